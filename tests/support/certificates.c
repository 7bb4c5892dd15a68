/* tests/support/certificates.c - see certificates.h. */
#include "support/certificates.h"

#include "support/test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HOUR_S = 3600, FILE_BYTES = 16384 };

/* ---- the folder ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void certificates_open(struct certificates *certificates)
{
    const char *parent = getenv("TMPDIR");
    snprintf(certificates->folder, sizeof certificates->folder, "%.200s/rollcall-tls-XXXXXX",
             parent != NULL && *parent != '\0' ? parent : "/tmp");
    CHECK(mkdtemp(certificates->folder) != NULL);
}

void certificates_close(struct certificates *certificates)
{
    CHECK_INT(nftw(certificates->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *certificates_path(const struct certificates *certificates, const char *file,
                              char path[CERTIFICATES_PATH_BYTES])
{
    const int size = snprintf(path, CERTIFICATES_PATH_BYTES, "%s/%s", certificates->folder, file);
    CHECK(size > 0 && size < CERTIFICATES_PATH_BYTES);
    return path;
}

static FILE *open_file(const struct certificates *certificates, const char *name,
                       const char *ending, const char *mode)
{
    char file[64], path[CERTIFICATES_PATH_BYTES];
    snprintf(file, sizeof file, "%s%s", name, ending);
    FILE *opened = fopen(certificates_path(certificates, file, path), mode);
    CHECK(opened != NULL);
    return opened;
}

/* ---- certificates ---- */

static void add_extension(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    CHECK(extension != NULL);
    CHECK_INT(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void give_name_and_serial(X509 *certificate, const char *name)
{
    unsigned char drawn[8];
    CHECK_INT(RAND_bytes(drawn, sizeof drawn), 1);
    BIGNUM *serial = BN_bin2bn(drawn, sizeof drawn, NULL);
    CHECK(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL);
    BN_free(serial);
    CHECK_INT(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                         (const unsigned char *)name, -1, -1, 0),
              1);
}

static X509 *new_certificate(const char *name, EVP_PKEY *key, int64_t lifetime_s)
{
    X509 *certificate = X509_new();
    CHECK(certificate != NULL);
    CHECK_INT(X509_set_version(certificate, X509_VERSION_3), 1);
    give_name_and_serial(certificate, name);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * HOUR_S) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(certificate), (long)lifetime_s) != NULL);
    CHECK_INT(X509_set_pubkey(certificate, key), 1);
    return certificate;
}

static void sign_and_save(const struct certificates *certificates, const char *name,
                          X509 *certificate, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    CHECK_INT(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)), 1);
    CHECK(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
    FILE *file = open_file(certificates, name, ".pem", "we");
    CHECK_INT(PEM_write_X509(file, certificate), 1);
    CHECK_INT(fclose(file), 0);
    file = open_file(certificates, name, ".key", "we");
    CHECK_INT(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    CHECK_INT(fclose(file), 0);
}

void certificates_authority(const struct certificates *certificates, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    CHECK(key != NULL);
    X509 *certificate = new_certificate(name, key, 24 * HOUR_S);
    add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    sign_and_save(certificates, name, certificate, key, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void certificates_issue(const struct certificates *certificates, const char *name,
                        const char *authority, const char *who, int64_t lifetime_s)
{
    FILE *file = open_file(certificates, authority, ".pem", "re");
    X509 *issuer = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    file = open_file(certificates, authority, ".key", "re");
    EVP_PKEY *issuer_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    CHECK(issuer != NULL && issuer_key != NULL && key != NULL);
    X509 *certificate = new_certificate(name, key, lifetime_s);
    add_extension(certificate, issuer, NID_subject_alt_name, who);
    add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
    sign_and_save(certificates, name, certificate, key, issuer, issuer_key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    X509_free(issuer);
    EVP_PKEY_free(issuer_key);
}

/* ---- replacing ---- */

static void append(const struct certificates *certificates, FILE *out, const char *source)
{
    char text[FILE_BYTES];
    FILE *file = open_file(certificates, source, "", "re");
    const size_t size = fread(text, 1, sizeof text, file);
    CHECK(size > 0 && size < sizeof text);
    CHECK_INT(fwrite(text, 1, size, out), size);
    fclose(file);
}

static void move_into_place(const struct certificates *certificates, FILE *fresh, const char *file)
{
    char from[CERTIFICATES_PATH_BYTES], to[CERTIFICATES_PATH_BYTES];
    CHECK_INT(fclose(fresh), 0);
    CHECK_INT(rename(certificates_path(certificates, "fresh", from),
                     certificates_path(certificates, file, to)),
              0);
}

void certificates_replace(const struct certificates *certificates, const char *file,
                          const char *source, const char *second_source)
{
    FILE *fresh = open_file(certificates, "fresh", "", "we");
    append(certificates, fresh, source);
    if (second_source != NULL) {
        append(certificates, fresh, second_source);
    }
    move_into_place(certificates, fresh, file);
}

void certificates_write(const struct certificates *certificates, const char *file, const char *text)
{
    FILE *fresh = open_file(certificates, "fresh", "", "we");
    CHECK(fputs(text, fresh) >= 0);
    move_into_place(certificates, fresh, file);
}
