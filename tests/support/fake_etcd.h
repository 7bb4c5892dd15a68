/*
 * tests/support/fake_etcd.h - an etcd for tests of actors: a history in memory behind the port.
 *
 * It answers at once, remembers every revision, keeps leases until it is told that they ended, and
 * fails as it is told.  It is an actor with the transport's message list; a test on the simulator's
 * one thread may also call it directly between steps, and then pump what watches are to be told.
 * What it is asked to write itself is told to watches without that.  It may be spawned twice, as
 * the two transports of one etcd; watches are then the last one's.
 *
 *     struct fake_etcd *etcd = fake_etcd_create();
 *     struct rollcall_ref transport = fake_etcd_spawn(etcd, rt, 1);
 *     fake_etcd_put(etcd, "root/session/id", "7", 0);
 *     fake_etcd_pump(etcd, rt);
 *     ... rollcall_sim_settle(sim, 1000); ...
 *     rollcall_sim_destroy(sim);
 *     fake_etcd_destroy(etcd);
 *
 * Memory: it outlives the simulation, and with it every key and value it ever handed out.
 */
#ifndef TESTS_SUPPORT_FAKE_ETCD_H
#define TESTS_SUPPORT_FAKE_ETCD_H

#include "base/arena.h"
#include "transport/messages.h"

#include <rollcall/runtime.h>

enum fake_etcd_fate {
    FAKE_ETCD_ANSWER,
    FAKE_ETCD_LOSE_ANSWER, /* it is done, and answered with E_TIMEOUT */
    FAKE_ETCD_REFUSE,      /* it is not done, and answered with `refusal` */
    FAKE_ETCD_SILENT       /* it is not done, and not answered */
};

struct fake_etcd;
/* Decides about one request; may change the store first, as a rival would. */
typedef enum fake_etcd_fate fake_etcd_decide_fn(struct fake_etcd *etcd,
                                                const struct transport_request *request);

enum { FAKE_ETCD_LEASES_MAX = 64, FAKE_ETCD_WATCHES_MAX = 4 };
enum { FAKE_ETCD_CLUSTER = 0xc1, FAKE_ETCD_MEMBER = 0x11 };

struct fake_etcd_watch {
    bool open, created;
    struct rollcall_caller asker;
    uint64_t watch_id;
    uint32_t window;
    uint16_t answer;
    int64_t next_revision, repeat_revision;
    uint32_t unacknowledged;
    struct transport_range *range; /* kept */
};

struct fake_etcd {
    /* Set by the test: */
    fake_etcd_decide_fn *decide; /* NULL: every request is answered */
    void *user;
    enum rollcall_status refusal;  /* 0: E_UNAVAILABLE */
    bool away;                     /* refuses everything, renewals too, and ends watches */
    bool renews_nothing;           /* refuses renewals */
    bool last_second;              /* leases that live have no whole second left */
    int64_t ttl_s;                 /* 0: as asked for */
    size_t page_max;               /* 0: as asked for */
    size_t revisions_per_response; /* 0: one */
    bool forgets_previous;         /* as after a compaction: no prev_kv */
    bool repeats;                  /* a part of each response comes again, alone */
    int64_t hidden_revision;       /* a change that no watch is ever told; 0: none */
    bool no_leader, no_space;      /* so its status, and its alarms, say */

    /* Read by the test: */
    int64_t revision, compacted;
    uint64_t calls, grants, revokes, renewals, watches_opened, pages;
    uint32_t unacknowledged_max;
    int64_t page_revisions[16];  /* as asked for; the last 16, by pages % 16 */
    int64_t watch_revision;      /* the first revision the last watch wanted */
    struct rollcall_ref asker;   /* of the last call: `decide` sees whose it is */
    struct rollcall_ref renewer; /* of the last renewal */

    /* Its own: */
    struct rollcall_ref ref;
    struct rollcall__arena arena;
    struct transport_event *history; /* prev_kv unused */
    size_t history_count, history_capacity;
    struct rollcall_bytes *keys; /* every key there ever was, sorted */
    size_t key_count, key_capacity;
    struct {
        int64_t lease_id, ttl_s;
        bool alive;
    } leases[FAKE_ETCD_LEASES_MAX];
    size_t lease_count;
    struct fake_etcd_watch watches[FAKE_ETCD_WATCHES_MAX];
    enum rollcall_status break_with; /* ends every watch at the next pump */
    bool pumping;                    /* a pump is on its way */
};

struct fake_etcd *fake_etcd_create(void);
void fake_etcd_destroy(struct fake_etcd *etcd); /* after the simulation; NULL: nothing */
struct rollcall_ref fake_etcd_spawn(struct fake_etcd *etcd, struct rollcall_runtime *rt,
                                    uint32_t worker);

/* ---- the store; each change is one revision, which they return ---- */

int64_t fake_etcd_put(struct fake_etcd *etcd, const char *key, const char *value, int64_t lease_id);
int64_t fake_etcd_delete(struct fake_etcd *etcd, const char *key);
/* Several keys in one revision, as the end of a lease does it. */
int64_t fake_etcd_delete_two(struct fake_etcd *etcd, const char *key, const char *other);
void fake_etcd_grant(struct fake_etcd *etcd, int64_t lease_id, int64_t ttl_s);
/* Revoked or expired: its keys go in one revision. */
void fake_etcd_end_lease(struct fake_etcd *etcd, int64_t lease_id);
void fake_etcd_compact(struct fake_etcd *etcd, int64_t revision);
/* Forgets what came after `revision`, as a restored backup has. */
void fake_etcd_restore(struct fake_etcd *etcd, int64_t revision);

/* NULL: there is none. */
const struct transport_kv *fake_etcd_find(const struct fake_etcd *etcd, const char *key);
const struct transport_kv *fake_etcd_find_at(const struct fake_etcd *etcd,
                                             struct rollcall_bytes key, int64_t revision);
size_t fake_etcd_leases_alive(const struct fake_etcd *etcd);

/* ---- watches ---- */

/* Lets it tell what the store has become. */
void fake_etcd_pump(struct fake_etcd *etcd, struct rollcall_runtime *rt);
/* What watches that are open have not been told yet they never are; new ones are. */
void fake_etcd_lose(struct fake_etcd *etcd);
/* Ends every watch with `status`, before anything more is told. */
void fake_etcd_break(struct fake_etcd *etcd, struct rollcall_runtime *rt,
                     enum rollcall_status status);

/* ---- between its two files ---- */

_Noreturn void fake_etcd__give_up(const char *why);
void *fake_etcd__need(void *memory); /* gives up on NULL */
/* Does what is asked, and answers it. */
struct transport_result *fake_etcd__perform(struct fake_etcd *etcd,
                                            const struct transport_request *request);
struct transport_result *fake_etcd__fail(const struct transport_request *request,
                                         enum rollcall_status status);
bool fake_etcd__in_range(const struct transport_range *range, struct rollcall_bytes key);
int64_t fake_etcd__lease_ttl_s(const struct fake_etcd *etcd, int64_t lease_id); /* 0: none */

#endif /* TESTS_SUPPORT_FAKE_ETCD_H */
