/* session/names.h - sentences that several actors say. */
#ifndef SESSION_NAMES_H
#define SESSION_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* That etcd has not answered once.  trouble: what was in the way last; "": nothing is known. */
void session_no_contact_text(char *text, size_t size_bytes, const char *endpoints,
                             int64_t timeout_ms, const char *trouble);

#endif /* SESSION_NAMES_H */
