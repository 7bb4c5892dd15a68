/*
 * support/transport_bench.h - ask the etcd adapter by hand: a runtime, a connection, and a probe
 * actor before each of its two transports, which forwards what the test sends and records what
 * comes back.  Needs an etcd, whose HOST:PORT is in ROLLCALL_TEST_ETCD.
 *
 * Every function fails the test when something goes wrong.
 */
#ifndef SUPPORT_TRANSPORT_BENCH_H
#define SUPPORT_TRANSPORT_BENCH_H

#include "api/connection.h"
#include "base/thread.h"
#include "transport/request.h"

enum { BENCH_RECORDS_MAX = 4096, BENCH_WAIT_MS = 10000 };

#define PROBE_LIST(X)                                                                              \
    X(PROBE_CALL, sizeof(struct transport_call)) /* object: a request */                           \
    X(PROBE_KEEPALIVE, sizeof(int64_t))                                                            \
    X(PROBE_WATCH, sizeof(uint64_t)) /* object: a range */                                         \
    X(PROBE_ACK, sizeof(uint64_t))                                                                 \
    X(PROBE_CANCEL, sizeof(uint64_t))                                                              \
    X(PROBE_ANSWER, sizeof(struct transport_answer))                                               \
    X(PROBE_RENEWED, sizeof(struct transport_keepalive_answer))                                    \
    X(PROBE_WATCHED, sizeof(struct transport_watch_answer))
ROLLCALL_MESSAGES(probe_message, PROBE_LIST, PROBE_COUNT);

struct bench_record {
    uint16_t type;
    bool taken; /* the test's: it has looked at it */
    uint64_t payload[4];
    struct rollcall_object *object;
};

/* What the probes and the test share. */
struct bench_notebook {
    struct rollcall__monitor monitor;
    struct bench_record records[BENCH_RECORDS_MAX];
    size_t count;
    bool ended;
};

struct bench {
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd;
    struct bench_notebook *notebook;
    struct rollcall_ref control, bulk; /* a probe in front of each link */
    char prefix[64];                   /* of this bench's keys */
};

/* The HOST:PORT of the etcd under test. */
const char *bench_endpoint(void);
struct bench bench_open(const struct rollcall_etcd_options *options);
struct bench bench_open_real(void); /* on bench_endpoint() */
void bench_close(struct bench *bench);

/* To a probe, as if the test were an actor. */
void bench_tell(struct bench *bench, struct rollcall_ref probe, uint16_t type, const void *payload,
                size_t size_bytes, struct rollcall_object *object);
/* The oldest record not taken yet, within `wait_ms`; NULL: there is none. */
const struct bench_record *bench_next_within(struct bench *bench, int64_t wait_ms);
/* The oldest of a type: the two links do not wait for each other, so an event may come before the
 * answer to the put that caused it. */
const struct bench_record *bench_next(struct bench *bench, uint16_t type);

/* Drops what was taken, for a test of more than BENCH_RECORDS_MAX records. */
void bench_forget(struct bench *bench);

/* One call and its answer; the result is the notebook's. */
const struct transport_result *bench_ask(struct bench *bench, struct rollcall_ref probe,
                                         struct transport_call call,
                                         struct transport_request *request);
/* It waits for a connection, and must succeed. */
const struct transport_result *bench_ask_well(struct bench *bench, struct rollcall_ref probe,
                                              struct transport_request *request);

/* "<prefix><name>" in a place of its own; four are alive at a time. */
struct rollcall_bytes bench_key(const struct bench *bench, const char *name);
const struct transport_result *bench_put_if_absent(struct bench *bench, const char *name,
                                                   const char *value, int64_t lease_id);
int64_t bench_put(struct bench *bench, const char *name, const char *value); /* its revision */
int64_t bench_lease(struct bench *bench, int64_t ttl_s);
void bench_revoke(struct bench *bench, int64_t lease_id);
struct transport_keepalive_answer bench_renew(struct bench *bench, int64_t lease_id);

/* Watches every key of the bench from `revision` on; returns after `created`. */
void bench_watch(struct bench *bench, uint64_t watch_id, int64_t revision);
const struct transport_watch_response *bench_watched(struct bench *bench);

#endif /* SUPPORT_TRANSPORT_BENCH_H */
