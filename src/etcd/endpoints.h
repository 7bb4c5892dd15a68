/* etcd/endpoints.h - "HOST:PORT[,HOST:PORT...]" taken apart.  Pure. */
#ifndef ETCD_ENDPOINTS_H
#define ETCD_ENDPOINTS_H

#include "channel/driver.h"

#include <stddef.h>

enum { ROLLCALL__ENDPOINT_BYTES = 280 };

#define ROLLCALL__ENDPOINTS_DEFAULT "127.0.0.1:2379"

enum rollcall__scheme { ROLLCALL__SCHEME_NONE, ROLLCALL__SCHEME_HTTP, ROLLCALL__SCHEME_HTTPS };

/* A plain value; it owns nothing. */
struct rollcall__endpoints {
    size_t count;
    enum rollcall__scheme scheme;                                  /* that any of them names */
    char names[ROLLCALL__ENDPOINTS_MAX][ROLLCALL__ENDPOINT_BYTES]; /* HOST:PORT */
};

/* text: NULL: "127.0.0.1:2379".  Spaces around an endpoint, and "/" after it, are skipped.
 * Returns: ROLLCALL_OK, or ROLLCALL_E_INVALID with the endpoint at fault. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__endpoints_parse(const char *text, struct rollcall__endpoints *endpoints,
                          struct rollcall_error *error);
/* One more, such as etcd tells of its members.  False: it is there already, is no valid endpoint or
 * has the other scheme, or there is no room. */
bool rollcall__endpoints_add(struct rollcall__endpoints *endpoints, struct rollcall_bytes url);
/* How gRPC wants to hear it: a literal address is not sent through its resolver, which would keep
 * a failed one for 30 seconds.  target: at least ROLLCALL__ENDPOINT_BYTES + 8. */
void rollcall__endpoint_target(const char *name, char *target, size_t target_bytes);

#endif /* ETCD_ENDPOINTS_H */
