/* etcd/pem.c - see pem.h.  OpenSSL is what gRPC does its TLS with, so both understand the same. */
#include "etcd/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PEM_BYTES_MAX = 1 << 20 };

/* ---- reading ---- */

static void free_secret(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

/* Reads a whole file into *text, with a NUL. */
static enum rollcall_status read_file(FILE *file, const char *option, const char *path, char **text,
                                      struct rollcall_error *error)
{
    char *data = malloc(PEM_BYTES_MAX + 1);
    if (data == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory reading %s", option);
    }
    setvbuf(file, NULL, _IONBF, 0); /* a key is in no buffer but ours */
    const size_t size = fread(data, 1, PEM_BYTES_MAX, file);
    data[size] = '\0';
    if (ferror(file) != 0 || fgetc(file) != EOF || strstr(data, "-----BEGIN ") == NULL) {
        explicit_bzero(data, size);
        free(data);
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "%s \"%.120s\" is no PEM file: give one that holds -----BEGIN "
                                  "and is at most 1 MiB",
                                  option, path);
    }
    *text = data;
    return ROLLCALL_OK;
}

/* path NULL: *text stays NULL. */
static enum rollcall_status read_pem(const char *option, const char *path, char **text,
                                     bool *regular, struct rollcall_error *error)
{
    if (path == NULL) {
        return ROLLCALL_OK;
    }
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "cannot open %s \"%.120s\": check that it exists and that this "
                                  "process may read it",
                                  option, path);
    }
    struct stat about;
    *regular &= fstat(fileno(file), &about) == 0 && S_ISREG(about.st_mode);
    const enum rollcall_status status = read_file(file, option, path, text, error);
    fclose(file);
    return status;
}

/* ---- fitting together ---- */

/* What OpenSSL asks for the pass phrase of a key; without it, it would ask at the terminal. */
static int no_pass_phrase(char *text, int capacity, int writing, void *user)
{
    (void)text;
    (void)capacity;
    (void)writing;
    (void)user;
    return -1;
}

/* NULL: the first certificate in the text cannot be read, or there is none. */
static X509 *parse_certificate(const char *text)
{
    BIO *source = BIO_new_mem_buf(text, -1);
    X509 *certificate = NULL;
    if (source != NULL) {
        certificate = PEM_read_bio_X509(source, NULL, no_pass_phrase, NULL);
        BIO_free(source);
    }
    return certificate;
}

static EVP_PKEY *parse_key(const char *text)
{
    BIO *source = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = NULL;
    if (source != NULL) {
        key = PEM_read_bio_PrivateKey(source, NULL, no_pass_phrase, NULL);
        BIO_free(source);
    }
    return key;
}

static enum rollcall_status check_identity(const struct rollcall__pem *pem,
                                           const struct rollcall__pem_paths *paths,
                                           struct rollcall_error *error)
{
    X509 *certificate = parse_certificate(pem->cert);
    EVP_PKEY *key = parse_key(pem->key);
    enum rollcall_status status = ROLLCALL_OK;
    if (certificate == NULL) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "cert_file \"%.120s\" holds no certificate that can be read: "
                                    "give our certificate, and after it those that signed it",
                                    paths->cert);
    } else if (key == NULL) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "key_file \"%.120s\" holds no private key that can be read: "
                                    "give the key of cert_file, without a pass phrase",
                                    paths->key);
    } else if (X509_check_private_key(certificate, key) != 1) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "key_file \"%.120s\" is not the key of cert_file \"%.120s\": "
                                    "give the two that were made together",
                                    paths->key, paths->cert);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return status;
}

enum rollcall_status rollcall__pem_check(const struct rollcall__pem *pem,
                                         const struct rollcall__pem_paths *paths,
                                         struct rollcall_error *error)
{
    X509 *ca = parse_certificate(pem->ca);
    enum rollcall_status status = ROLLCALL_OK;
    if (ca == NULL) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "ca_file \"%.120s\" holds no certificate that can be read: "
                                    "give the CA that signed etcd's certificate",
                                    paths->ca);
    } else if (pem->cert != NULL) {
        status = check_identity(pem, paths, error);
    }
    X509_free(ca);
    ERR_clear_error(); /* OpenSSL's list of this thread, in which others would look for theirs */
    return status;
}

enum rollcall_status rollcall__pem_read(const struct rollcall__pem_paths *paths,
                                        struct rollcall__pem *pem, struct rollcall_error *error)
{
    *pem = (struct rollcall__pem){.regular = true};
    enum rollcall_status status = read_pem("ca_file", paths->ca, &pem->ca, &pem->regular, error);
    if (status == ROLLCALL_OK) {
        status = read_pem("cert_file", paths->cert, &pem->cert, &pem->regular, error);
    }
    if (status == ROLLCALL_OK) {
        status = read_pem("key_file", paths->key, &pem->key, &pem->regular, error);
    }
    if (status != ROLLCALL_OK) {
        rollcall__pem_free(pem);
    }
    return status;
}

void rollcall__pem_free(struct rollcall__pem *pem)
{
    free(pem->ca);
    free(pem->cert);
    free_secret(pem->key);
    *pem = (struct rollcall__pem){0};
}

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool rollcall__pem_equal(const struct rollcall__pem *a, const struct rollcall__pem *b)
{
    return same(a->ca, b->ca) && same(a->cert, b->cert) && same(a->key, b->key);
}
