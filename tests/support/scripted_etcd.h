/*
 * tests/support/scripted_etcd.h - an etcd, reached by gRPC, of which the test says what its watches
 * tell: what a real one cannot be made to say.
 *
 * It lists the sessions that the test has stored, says that it leads, and takes every watch; but
 * what is told to a watch, `created` too, the test sends.  Watches are numbered from 0 in the order
 * in which they came.
 *
 *     struct scripted_etcd *etcd = scripted_etcd_create(scene_root, 1);
 *     scripted_etcd_store(etcd, 1, 7, 10);                   (datanode-1 with number 7, revision
 * 10) CHECK(scripted_etcd_await_watch(etcd, 0, API_SOON_MS, &begun)); scripted_etcd_send(etcd, 0,
 * &(const struct scripted_response){.created = true, .revision = 10});
 *
 * Threads: its own serves; the calls here are the test's.
 * Errors:  what must not happen in any test fails the test here, or ends it from the thread.
 */
#ifndef TESTS_SUPPORT_SCRIPTED_ETCD_H
#define TESTS_SUPPORT_SCRIPTED_ETCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCRIPTED_EVENTS_MAX = 16, SCRIPTED_WATCHES_MAX = 64, SCRIPTED_SESSIONS_MAX = 32 };

struct scripted_etcd;

/* member: its id, of one cluster. */
struct scripted_etcd *scripted_etcd_create(uint64_t member);
void scripted_etcd_destroy(struct scripted_etcd *etcd); /* NULL: nothing */
const char *scripted_etcd_endpoint(const struct scripted_etcd *etcd);

/* What it lists from now on: datanode-ID of numbered.h under `root`, borrowed, put at `revision`,
 * which is the store's from here on. */
void scripted_etcd_store(struct scripted_etcd *etcd, const char *root, int id, int64_t number,
                         int64_t revision);

/* How often something was read of it. */
size_t scripted_etcd_reads(struct scripted_etcd *etcd);
/* Until that was `reads` times; false: not within timeout_ms. */
bool scripted_etcd_await_reads(struct scripted_etcd *etcd, size_t reads, int64_t timeout_ms);
/* From now on what is read at a revision of before is compacted, or, false, is not. */
void scripted_etcd_compact(struct scripted_etcd *etcd, bool compacted);

/* From now on it is a member of that cluster. */
void scripted_etcd_set_cluster(struct scripted_etcd *etcd, uint64_t cluster);

struct scripted_watch {
    int64_t start_revision, watch_id; /* as it was asked for */
    int64_t at_ms;                    /* of process_now_ms */
};
/* False: it did not come within timeout_ms. */
bool scripted_etcd_await_watch(struct scripted_etcd *etcd, size_t nth, int64_t timeout_ms,
                               struct scripted_watch *watch);
size_t scripted_etcd_watches(struct scripted_etcd *etcd);
/* Until its stream has ended, by whoever ended it. */
bool scripted_etcd_await_ended(struct scripted_etcd *etcd, size_t nth, int64_t timeout_ms);

struct scripted_event {
    int id; /* of datanode-ID */
    int64_t number, revision;
    bool deleted;
};
struct scripted_response {
    int64_t revision; /* the header's */
    int64_t watch_id; /* 0: as it was asked for */
    bool created, canceled, fragment;
    int64_t compact_revision;
    const char *reason;                                /* NULL: none */
    struct scripted_event events[SCRIPTED_EVENTS_MAX]; /* the first without an id ends them */
};
/* Sends it after all that was sent before; to a stream that has ended: nothing. */
void scripted_etcd_send(struct scripted_etcd *etcd, size_t nth,
                        const struct scripted_response *response);
/* One response of one revision in so many fragments, of one event each that is no session. */
void scripted_etcd_send_large(struct scripted_etcd *etcd, size_t nth, int64_t revision, int pieces,
                              size_t piece_bytes);
/* Ends the stream as UNAVAILABLE, after all that was sent before. */
void scripted_etcd_end(struct scripted_etcd *etcd, size_t nth);

#endif /* TESTS_SUPPORT_SCRIPTED_ETCD_H */
