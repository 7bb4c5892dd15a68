/* etcd/credentials.c - gRPC reports a file it cannot use only as an endpoint it cannot reach, much
 * later; so what can be seen to be wrong is refused here. */
#include "etcd/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEM_BYTES_MAX = 1 << 20 };

enum rollcall_status rollcall__credentials_check(const struct rollcall_etcd_options *options,
                                                 enum rollcall__scheme scheme,
                                                 struct rollcall_error *error)
{
    if ((options->cert_file == NULL) != (options->key_file == NULL)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "%s is set without %s: mutual TLS needs both",
                                  options->cert_file != NULL ? "cert_file" : "key_file",
                                  options->cert_file != NULL ? "key_file" : "cert_file");
    }
    if (options->cert_file != NULL && options->ca_file == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "cert_file is set without ca_file: give the CA that signed "
                                  "etcd's certificate");
    }
    if (scheme == ROLLCALL__SCHEME_HTTPS && options->ca_file == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "an endpoint says https://, but ca_file is not set: give the CA "
                                  "that signed etcd's certificate");
    }
    if (scheme == ROLLCALL__SCHEME_HTTP && options->ca_file != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "an endpoint says http://, but ca_file asks for TLS: write "
                                  "https://, or leave ca_file out");
    }
    return ROLLCALL_OK;
}

/* Reads a whole file into *text, with a NUL. */
static enum rollcall_status read_file(FILE *file, const char *option, const char *path, char **text,
                                      struct rollcall_error *error)
{
    char *data = malloc(PEM_BYTES_MAX + 1);
    if (data == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory reading %s", option);
    }
    const size_t size = fread(data, 1, PEM_BYTES_MAX, file);
    data[size] = '\0';
    if (ferror(file) != 0 || fgetc(file) != EOF || strstr(data, "-----BEGIN ") == NULL) {
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
                                     struct rollcall_error *error)
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
    const enum rollcall_status status = read_file(file, option, path, text, error);
    fclose(file);
    return status;
}

/* Nothing of a private key stays in freed memory. */
static void free_secret(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

static enum rollcall_status create_tls(const struct rollcall_etcd_options *options,
                                       grpc_channel_credentials **credentials,
                                       struct rollcall_error *error)
{
    char *ca = NULL, *cert = NULL, *key = NULL;
    enum rollcall_status status = read_pem("ca_file", options->ca_file, &ca, error);
    if (status == ROLLCALL_OK) {
        status = read_pem("cert_file", options->cert_file, &cert, error);
    }
    if (status == ROLLCALL_OK) {
        status = read_pem("key_file", options->key_file, &key, error);
    }
    if (status == ROLLCALL_OK) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
        *credentials = grpc_ssl_credentials_create(ca, key == NULL ? NULL : &pair, NULL, NULL);
        if (*credentials == NULL) {
            status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                        "gRPC refused ca_file, cert_file or key_file: check that "
                                        "they hold certificates and a key");
        }
    }
    free(ca);
    free(cert);
    free_secret(key);
    return status;
}

enum rollcall_status rollcall__credentials_create(const struct rollcall_etcd_options *options,
                                                  grpc_channel_credentials **credentials,
                                                  struct rollcall_error *error)
{
    if (options->ca_file != NULL) {
        return create_tls(options, credentials, error);
    }
    *credentials = grpc_insecure_credentials_create();
    if (*credentials == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for credentials");
    }
    return ROLLCALL_OK;
}
