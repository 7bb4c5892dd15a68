/*
 * tests/support/api_stored.h - what etcd holds, seen and changed from outside: by etcdctl, so that
 * no test believes the library about its own writes.
 *
 * Threads: the main one (see process.h).
 * Errors:  what must not happen in any test fails the test here.
 */
#ifndef TESTS_SUPPORT_API_STORED_H
#define TESTS_SUPPORT_API_STORED_H

#include "support/api_events.h"

enum { API_VALUE_BYTES = 2048 };

struct api_stored {
    bool there;
    int64_t lease_id; /* 0: none */
    int64_t create_revision, mod_revision;
    int64_t version; /* how often it was put since it was created */
    char value[API_VALUE_BYTES];
};

/* What is under exactly this key now; all zero when it is not there. */
struct api_stored api_stored(const struct api_scene *scene, const char *key);
/* Puts a value without a newline or a single quote.  lease_id: 0: none. */
void api_store(const struct api_scene *scene, const char *key, const char *value, int64_t lease_id);
void api_delete(const struct api_scene *scene, const char *key);

int64_t api_lease_grant(const struct api_scene *scene, int64_t ttl_s);
void api_lease_revoke(const struct api_scene *scene, int64_t lease_id);
/* Seconds that a lease has left; -1: there is none. */
int64_t api_lease_left_s(const struct api_scene *scene, int64_t lease_id);
/* The TTL that it was granted with. */
int64_t api_lease_ttl_s(const struct api_scene *scene, int64_t lease_id);
/* How many leases this etcd has: for a private one. */
int64_t api_lease_count(const struct api_scene *scene);
/* Each asks until it is so; false when it was not within timeout_ms. */
bool api_await_no_lease(const struct api_scene *scene, int64_t lease_id, int64_t timeout_ms);
bool api_await_lease_count(const struct api_scene *scene, int64_t count, int64_t timeout_ms);

#endif /* TESTS_SUPPORT_API_STORED_H */
