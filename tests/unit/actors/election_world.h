/* tests/unit/actors/election_world.h - a member that stands for a role, with the keys of others
 * beside its own, and how much it asks of etcd. */
#ifndef TESTS_UNIT_ACTORS_ELECTION_WORLD_H
#define TESTS_UNIT_ACTORS_ELECTION_WORLD_H

#include "actors/election.h"
#include "transport/request.h"
#include "unit/actors/member_world.h"

enum { TURN_MS = 40, PAUSE_MS = 2000, STAND_BACK_MS = 5000 };
#define ACTIVE "root/session/coord"
#define STANDBY(id, more)                                                                          \
    "{\"ServerID\":" #id ",\"ServerName\":\"coord\",\"Address\":\"h\",\"Exclusive\":true" more     \
    ",\"Version\":\"2.4.2\"}"
#define MARKED ",\"Stopping\":true"

/* What happens to the next transactions. */
static enum fake_etcd_fate fate;
static size_t fated;
static uint64_t writes, reads;

static inline enum fake_etcd_fate count_and_decide(struct fake_etcd *etcd,
                                                   const struct transport_request *request)
{
    (void)etcd;
    writes += request->kind == TRANSPORT_TXN;
    reads += request->kind == TRANSPORT_RANGE;
    if (request->kind != TRANSPORT_TXN || fated == 0) {
        return FAKE_ETCD_ANSWER;
    }
    fated--;
    return fate;
}

static inline void pump(struct bench *b)
{
    fake_etcd_pump(b->etcd, b->world.rt);
    world_settle(&b->world);
}

/* Our key comes after those of `ahead` others, server IDs 1, 2, ...; each with a lease. */
static inline void open_behind(struct bench *b, int ahead)
{
    char key[64];
    open_member(b);
    b->etcd->decide = count_and_decide;
    fated = 0;
    writes = reads = 0;
    fake_etcd_delete(b->etcd, KEY);
    fake_etcd_put(b->etcd, "root/session/coordinator-1", STANDBY(1, ""), 0); /* another role's */
    for (int i = 1; i <= ahead; i++) {
        snprintf(key, sizeof key, "root/session/coord-%d", i);
        fake_etcd_grant(b->etcd, RIVAL_LEASE + i, 10);
        fake_etcd_put(b->etcd, key, STANDBY(1, ""), RIVAL_LEASE + i);
    }
    b->mine->create_revision = fake_etcd_put(b->etcd, KEY, STANDBY(12, ""), OUR_LEASE);
    struct session_config *config =
        session_config_create(&(struct session_choice){.server_id = OUR_ID});
    config->record.exclusive = config->stands = true;
    const struct election_options options = {
        .config = config, .session = b->session_ref, .transport = b->etcd->ref};
    spawn_actor(b, &election_type, &options);
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->actor, "IDLE");
}

static inline void tell_lease(struct bench *b, uint64_t doubts, bool safe, int64_t refused)
{
    const struct election_lease lease = {.doubts = doubts, .refused = refused, .safe = safe};
    send_mine(b, ELECTION_LEASE, &lease, sizeof lease);
    world_settle(&b->world);
}

static inline void stand(struct bench *b)
{
    tell_lease(b, 1, true, 0);
}

static inline const struct session_gained *gained(const struct bench *b)
{
    const size_t count = told(b, SESSION_GAINED);
    CHECK(count != 0);
    return probe_payload(probe_find(b->session, SESSION_GAINED, count - 1));
}

static inline void check_holds(struct bench *b)
{
    const struct transport_kv *active = fake_etcd_find(b->etcd, ACTIVE);
    CHECK_STATE(&b->world, b->actor, "HOLDING");
    CHECK(active != NULL);
    CHECK_INT(active->lease_id, OUR_LEASE);
    CHECK_INT(gained(b)->create_revision, active->create_revision);
}

static inline void open_holding(struct bench *b)
{
    open_behind(b, 0);
    stand(b);
    check_holds(b);
    CHECK_INT(gained(b)->token, fake_etcd_find(b->etcd, ACTIVE)->create_revision);
}

static inline void open_waiting(struct bench *b, int ahead)
{
    open_behind(b, ahead);
    fake_etcd_put(b->etcd, ACTIVE, STANDBY(99, ""), RIVAL_LEASE);
    stand(b);
    CHECK_STATE(&b->world, b->actor, "STANDING");
    CHECK_INT(writes, 0);
}

/* The last holder puts this candidate's record again in the revision that deletes the active key.
 */
static inline void hand_over(struct bench *b, const char *key, const char *record, int64_t lease_id)
{
    const struct transport_txn txn = {
        .success = {{.kind = TRANSPORT_OP_PUT,
                     .key = rollcall__bytes(key),
                     .value = rollcall__bytes(record),
                     .lease_id = lease_id},
                    {.kind = TRANSPORT_OP_DELETE, .key = rollcall__bytes(ACTIVE)}},
        .success_count = 2};
    struct transport_request *request = transport_request_txn(&txn);
    rollcall_object_drop(&fake_etcd__perform(b->etcd, request)->object);
    rollcall_object_drop(&request->object);
    pump(b);
}

static inline void order(struct bench *b, uint64_t request, enum session_elect_kind kind,
                         int64_t to)
{
    const struct session_elect elect = {.request = request, .kind = kind, .server_id = to};
    world_send(&b->world, b->actor, ELECTION_ORDER, &elect, sizeof elect, NULL);
    world_settle(&b->world);
}

/* What the one order so far was answered. */
static inline enum rollcall_status ordered(const struct bench *b)
{
    CHECK_INT(told(b, SESSION_ELECTED), 1);
    const struct probe_message *message = probe_find(b->session, SESSION_ELECTED, 0);
    return message->object == NULL ? ROLLCALL_OK
                                   : ((struct rollcall_reason *)message->object)->error.status;
}

#endif /* TESTS_UNIT_ACTORS_ELECTION_WORLD_H */
