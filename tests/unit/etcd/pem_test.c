/* TLS files that can be used, and those that cannot. */
#include "etcd/pem.h"

#include "support/certificates.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 86400 };

struct bench {
    struct certificates certificates;
    char ca[CERTIFICATES_PATH_BYTES], cert[CERTIFICATES_PATH_BYTES], key[CERTIFICATES_PATH_BYTES];
};

static void bench_open(struct bench *b)
{
    certificates_open(&b->certificates);
    certificates_authority(&b->certificates, "ca");
    certificates_issue(&b->certificates, "one", "ca", "IP:127.0.0.1", DAY_S);
    certificates_issue(&b->certificates, "two", "ca", "IP:127.0.0.1", DAY_S);
    certificates_path(&b->certificates, "ca.pem", b->ca);
    certificates_path(&b->certificates, "one.pem", b->cert);
    certificates_path(&b->certificates, "one.key", b->key);
}

/* Reads and checks the three files; the sentence of what is wrong goes into *error. */
static enum rollcall_status use(struct bench *b, struct rollcall__pem *pem,
                                struct rollcall_error *error)
{
    const struct rollcall__pem_paths paths = {.ca = b->ca, .cert = b->cert, .key = b->key};
    *error = (struct rollcall_error){.status = ROLLCALL_OK};
    enum rollcall_status status = rollcall__pem_read(&paths, pem, error);
    if (status == ROLLCALL_OK) {
        status = rollcall__pem_check(pem, &paths, error);
    }
    return status;
}

static void check_refused(struct bench *b, const char *part)
{
    struct rollcall__pem pem;
    struct rollcall_error error;
    CHECK_INT(use(b, &pem, &error), ROLLCALL_E_INVALID);
    if (strstr(error.text, part) == NULL) {
        CHECK_STR(error.text, part);
    }
    rollcall__pem_free(&pem);
}

TEST(pem, files_that_belong_together_are_read_whole)
{
    struct bench b;
    struct rollcall__pem pem, again;
    struct rollcall_error error;
    bench_open(&b);
    CHECK_INT(use(&b, &pem, &error), ROLLCALL_OK);
    CHECK(pem.regular);
    CHECK(strstr(pem.key, "-----END PRIVATE KEY-----") != NULL);
    CHECK_INT(use(&b, &again, &error), ROLLCALL_OK);
    CHECK(rollcall__pem_equal(&pem, &again));
    rollcall__pem_free(&again);
    certificates_replace(&b.certificates, "ca.pem", "ca.pem", "two.pem");
    CHECK_INT(use(&b, &again, &error), ROLLCALL_OK);
    CHECK(!rollcall__pem_equal(&pem, &again));
    rollcall__pem_free(&again);
    rollcall__pem_free(&pem);
    certificates_close(&b.certificates);
}

TEST(pem, what_cannot_be_used_is_refused_with_the_option_at_fault)
{
    static const char torn[] = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    struct bench b;
    bench_open(&b);
    certificates_path(&b.certificates, "two.key", b.key);
    check_refused(&b, "is not the key of cert_file");
    certificates_write(&b.certificates, "two.key", "-----BEGIN PRIVATE KEY-----\nMIIB\n");
    check_refused(&b, "key_file");
    certificates_write(&b.certificates, "one.pem", torn);
    check_refused(&b, "cert_file");
    certificates_write(&b.certificates, "ca.pem", torn);
    check_refused(&b, "ca_file");
    certificates_write(&b.certificates, "ca.pem", "no PEM at all");
    check_refused(&b, "is no PEM file");
    CHECK_INT(unlink(b.ca), 0);
    check_refused(&b, "cannot open ca_file");
    certificates_close(&b.certificates);
}

/* Were the pass phrase asked for, the program would hang at its terminal. */
TEST(pem, a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked)
{
    static const char locked[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgAAAAAAAAAAAICCAAw\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n";
    struct bench b;
    bench_open(&b);
    certificates_write(&b.certificates, "one.key", locked);
    check_refused(&b, "pass phrase");
    certificates_close(&b.certificates);
}

TEST(pem, a_pipe_is_read_and_told_from_a_file)
{
    struct bench b;
    struct rollcall__pem pem;
    struct rollcall_error error;
    bench_open(&b);
    char text[8192];
    FILE *file = fopen(b.key, "re");
    const size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    CHECK_INT(write(ends[1], text, size), size);
    close(ends[1]);
    snprintf(b.key, sizeof b.key, "/proc/self/fd/%d", ends[0]);
    CHECK_INT(use(&b, &pem, &error), ROLLCALL_OK);
    CHECK(!pem.regular);
    rollcall__pem_free(&pem);
    close(ends[0]);
    certificates_close(&b.certificates);
}
