/*
 * session/keys.h - the names of sessions in etcd, as upstream builds them with Go's path.Join:
 *
 *    ROOT/session/id            the next server ID, in decimal
 *    ROOT/session/ROLE-<id>     a session; ROOT/session/ROLE for an exclusive one
 *    ROOT/session/version       newer upstream's version guard
 *
 * Functions that build append to `out`, and must not be given views of it.
 *
 * Threads: any; nothing is shared.
 */
#ifndef SESSION_KEYS_H
#define SESSION_KEYS_H

#include "base/buffer.h"

#define ROLLCALL__ROOT_DEFAULT "by-dev/meta" /* upstream's etcd.rootPath and etcd.metaSubPath */

enum { ROLLCALL__ROLE_MAX_BYTES = 255, ROLLCALL__ROOT_MAX_BYTES = 1024 };

/* Joins the parts that are not empty with slashes, then cleans: no "//", no ".", ".." resolved, no
 * slash at the end; a slash at the front stays.  Nothing but empty parts: appends nothing. */
void rollcall__path_join(struct rollcall__buffer *out, const struct rollcall_bytes *parts,
                         size_t count);

/* ROOT/session/ROLE if exclusive, else ROOT/session/ROLE-<server_id>. */
void rollcall__key_session(struct rollcall__buffer *out, const char *root, const char *role,
                           int64_t server_id, bool exclusive);
/* ROOT/session/id */
void rollcall__key_id(struct rollcall__buffer *out, const char *root);
/* ROOT/session/ROLE, which other roles' keys may begin with too; role NULL or "": ROOT/session/
 * with the slash, which siblings such as ROOT/session-ut do not. */
void rollcall__key_prefix(struct rollcall__buffer *out, const char *root, const char *role);

/* Appends the end of the range of all keys that begin with prefix: prefix with its last byte one
 * higher; one NUL byte, etcd's "to the end", when there is no such key. */
void rollcall__prefix_end(struct rollcall_bytes prefix, struct rollcall__buffer *out);

/*
 * Whether key is session_prefix (ROOT/session/, as rollcall__key_prefix gives it without a role)
 * and then exactly ROLE or ROLE-<decimal>; of an empty role: a name of any session, so not "id",
 * not "version", and nothing in a folder below.
 */
bool rollcall__key_is_of_role(struct rollcall_bytes key, struct rollcall_bytes session_prefix,
                              struct rollcall_bytes role);

/* Whether keys built from role are where they seem to be and cannot be taken for another's.
 * Returns: ROLLCALL_OK, or ROLLCALL_E_INVALID with what is wrong.  role NULL: as if empty. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__role_check(const char *role,
                                                            struct rollcall_error *error);
/* Likewise for a root; an empty one is fine: the keys are then session/... */
ROLLCALL_MUST_USE enum rollcall_status rollcall__root_check(const char *root,
                                                            struct rollcall_error *error);

#endif /* SESSION_KEYS_H */
