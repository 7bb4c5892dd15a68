/*
 * etcd/pem.h - the TLS files of the options: read whole, and found to fit together.
 *
 * gRPC reports a file it cannot use only as an endpoint it cannot reach, much later; so what can be
 * seen to be wrong is refused here.
 * Threads: any; nothing is shared.
 */
#ifndef ETCD_PEM_H
#define ETCD_PEM_H

#include <rollcall/error.h>

struct rollcall__pem_paths {
    char *ca, *cert, *key; /* NULL: not given; cert and key: both or neither */
};

/* What was read, owned; NULL where there was no path. */
struct rollcall__pem {
    char *ca, *cert, *key;
    bool regular; /* all are regular files: reading them again reads what they hold then */
};

/* Returns: ROLLCALL_OK; ROLLCALL_E_INVALID for a file that cannot be opened or is no PEM;
 * ROLLCALL_E_NO_MEMORY.  Then there is nothing to free. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__pem_read(const struct rollcall__pem_paths *paths,
                                                          struct rollcall__pem *pem,
                                                          struct rollcall_error *error);
/* Returns: ROLLCALL_OK; ROLLCALL_E_INVALID for one that cannot be understood, or a key that is not
 * the certificate's.  paths: for the sentence. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__pem_check(const struct rollcall__pem *pem,
                                                           const struct rollcall__pem_paths *paths,
                                                           struct rollcall_error *error);
/* Nothing of a private key stays in freed memory. */
void rollcall__pem_free(struct rollcall__pem *pem);
bool rollcall__pem_equal(const struct rollcall__pem *a, const struct rollcall__pem *b);

#endif /* ETCD_PEM_H */
