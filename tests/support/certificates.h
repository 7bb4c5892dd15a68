/*
 * tests/support/certificates.h - authorities, and certificates that they sign, in a folder of their
 * own: NAME.pem and NAME.key.
 *
 * Threads: one at a time.
 * Errors:  what must not happen in any test fails the test here.
 */
#ifndef TESTS_SUPPORT_CERTIFICATES_H
#define TESTS_SUPPORT_CERTIFICATES_H

#include <stdint.h>

enum { CERTIFICATES_PATH_BYTES = 256 };

struct certificates {
    char folder[CERTIFICATES_PATH_BYTES];
};

void certificates_open(struct certificates *certificates);
void certificates_close(struct certificates *certificates); /* removes the folder */

/* Fills path with that of a file in the folder, and returns it. */
const char *certificates_path(const struct certificates *certificates, const char *file,
                              char path[CERTIFICATES_PATH_BYTES]);

void certificates_authority(const struct certificates *certificates, const char *name);
/* One of both client and server, signed by an authority.
 * who: "IP:127.0.0.1,DNS:localhost".  lifetime_s: from now; below 0: it is over. */
void certificates_issue(const struct certificates *certificates, const char *name,
                        const char *authority, const char *who, int64_t lifetime_s);

/* Writes a file anew in one step, as who replaces it does: with the content of one file, or of two,
 * or with a text. */
void certificates_replace(const struct certificates *certificates, const char *file,
                          const char *source, const char *second_source);
void certificates_write(const struct certificates *certificates, const char *file,
                        const char *text);

#endif /* TESTS_SUPPORT_CERTIFICATES_H */
