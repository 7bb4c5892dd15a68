/* The session's own key is watched: each way to lose it is told once, and nothing else is told. */
#include "actors/liveness.h"
#include "unit/actors/member_world.h"

static void open(struct bench *b)
{
    open_member(b);
    const struct liveness_options options = {.session = b->session_ref, .transport = b->etcd->ref};
    spawn_actor(b, &liveness_type, &options);
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->actor, "IDLE");
}

static void start(struct bench *b)
{
    send_mine(b, LIVENESS_START, NULL, 0);
}

static void open_watching(struct bench *b)
{
    open(b);
    start(b);
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->actor, "WATCHING");
}

static void pump(struct bench *b)
{
    fake_etcd_pump(b->etcd, b->world.rt);
    world_settle(&b->world);
}

/* Told once, now and in a while. */
static void check_lost(struct bench *b, enum rollcall_loss loss, bool lease_is_ours)
{
    world_run(&b->world, 5000);
    CHECK_STATE(&b->world, b->actor, "LOST");
    CHECK_INT(told(b, SESSION_KEY_LOST), 1);
    const struct session_key_lost *lost =
        probe_payload(probe_find(b->session, SESSION_KEY_LOST, 0));
    CHECK_INT(lost->loss, loss);
    CHECK_INT(lost->lease_is_ours, lease_is_ours);
}

static void check_watching(struct bench *b)
{
    world_run(&b->world, 5000);
    CHECK_STATE(&b->world, b->actor, "WATCHING");
    CHECK_INT(told(b, SESSION_KEY_LOST), 0);
}

/* ---- what is a loss ---- */

TEST(liveness, a_key_that_is_gone_at_the_first_look_is_missing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_delete(b.etcd, KEY);
        start(&b);
        check_lost(&b, ROLLCALL_LOSS_MISSING, true);
        CHECK_INT(b.etcd->watches_opened, 0);
        close_bench(&b);
    }
}

TEST(liveness, a_key_that_is_deleted_later_is_deleted)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_watching(&b);
        check_watching(&b);
        fake_etcd_delete(b.etcd, KEY);
        pump(&b);
        check_lost(&b, ROLLCALL_LOSS_DELETED, true);
        fake_etcd_put(b.etcd, KEY, OURS, OUR_LEASE);
        fake_etcd_delete(b.etcd, KEY);
        pump(&b);
        check_lost(&b, ROLLCALL_LOSS_DELETED, true);
        close_bench(&b);
    }
}

TEST(liveness, a_key_that_is_deleted_in_the_last_second_of_its_lease_is_told_as_the_key)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_watching(&b);
        b.etcd->last_second = true;
        fake_etcd_delete(b.etcd, KEY);
        pump(&b);
        check_lost(&b, ROLLCALL_LOSS_DELETED, true);
        close_bench(&b);
    }
}

static void check_lease_lost(struct bench *b)
{
    world_run(&b->world, 5000);
    CHECK_STATE(&b->world, b->actor, "LOST");
    CHECK_INT(told(b, SESSION_LEASE_LOST), 1);
    CHECK_INT(told(b, SESSION_KEY_LOST), 0);
}

TEST(liveness, a_key_that_went_with_its_lease_is_told_as_the_lease)
{
    for (int watching = 0; watching < 2; watching++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            if (watching) {
                start(&b);
                world_settle(&b.world);
            }
            fake_etcd_end_lease(b.etcd, OUR_LEASE);
            if (watching) {
                pump(&b);
            } else {
                start(&b);
            }
            check_lease_lost(&b);
            close_bench(&b);
        }
    }
}

/* That the lease cannot be asked after does not keep the loss back. */
TEST(liveness, a_key_that_is_gone_is_deleted_when_etcd_does_not_say_more)
{
    static const enum rollcall_status WHY[] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_DENIED};
    for (size_t i = 0; i < 2; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_watching(&b);
            b.steps.plan[ASK_LEASE].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[ASK_LEASE].status = WHY[i];
            fake_etcd_end_lease(b.etcd, OUR_LEASE);
            pump(&b);
            check_lost(&b, ROLLCALL_LOSS_DELETED, true);
            CHECK_INT(b.steps.plan[ASK_LEASE].seen, 1);
            close_bench(&b);
        }
    }
}

TEST(liveness, crashed_while_it_asks_after_the_lease_it_asks_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_watching(&b);
        b.steps.plan[ASK_LEASE].fate = FAKE_ETCD_SILENT;
        fake_etcd_end_lease(b.etcd, OUR_LEASE);
        pump(&b);
        CHECK_STATE(&b.world, b.actor, "ASKING");
        rollcall_sim_crash(b.world.sim, b.actor, ROLLCALL_E_ACTOR);
        world_send(&b.world, b.actor, LIVENESS_RETELL, NULL, 0, NULL);
        check_lease_lost(&b);
        CHECK_INT(b.steps.plan[ASK_LEASE].seen, 2);
        close_bench(&b);
    }
}

struct change {
    const char *value;
    int64_t lease_id;
    bool created_again;
    enum rollcall_loss loss;
    bool lease_is_ours;
};
static const struct change CHANGES[] = {
    {RIVAL, RIVAL_LEASE, false, ROLLCALL_LOSS_OVERWRITTEN, true},
    {RIVAL, OUR_LEASE, false, ROLLCALL_LOSS_OVERWRITTEN, false},
    {RIVAL, RIVAL_LEASE, true, ROLLCALL_LOSS_OVERWRITTEN, true},
    {"garbage", 0, false, ROLLCALL_LOSS_OVERWRITTEN, true},
    {"garbage", OUR_LEASE, false, ROLLCALL_LOSS_OVERWRITTEN, false},
    {"", OUR_LEASE, false, ROLLCALL_LOSS_OVERWRITTEN, false},
    {OURS, RIVAL_LEASE, false, ROLLCALL_LOSS_MOVED, true},
    {OURS, 0, false, ROLLCALL_LOSS_MOVED, true},
    {OURS, RIVAL_LEASE, true, ROLLCALL_LOSS_DELETED, true},
    {OURS, OUR_LEASE, true, ROLLCALL_LOSS_DELETED, false},
};
enum { CHANGE_COUNT = sizeof CHANGES / sizeof CHANGES[0] };

static void apply(struct bench *b, const struct change *change)
{
    if (change->created_again) {
        fake_etcd_delete(b->etcd, KEY);
    }
    fake_etcd_put(b->etcd, KEY, change->value, change->lease_id);
}

TEST(liveness, what_it_reads_is_judged)
{
    for (size_t i = 0; i < CHANGE_COUNT; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            apply(&b, &CHANGES[i]);
            start(&b);
            check_lost(&b, CHANGES[i].loss, CHANGES[i].lease_is_ours);
            close_bench(&b);
        }
    }
}

TEST(liveness, what_it_is_told_by_the_watch_is_judged_alike)
{
    for (size_t i = 0; i < CHANGE_COUNT; i++) {
        while (world_next(SEEDS)) {
            const bool deleted_first = CHANGES[i].created_again;
            struct bench b;
            open_watching(&b);
            b.etcd->revisions_per_response = (size_t)(world_seed % 3);
            apply(&b, &CHANGES[i]);
            pump(&b);
            check_lost(&b, deleted_first ? ROLLCALL_LOSS_DELETED : CHANGES[i].loss,
                       deleted_first || CHANGES[i].lease_is_ours);
            close_bench(&b);
        }
    }
}

TEST(liveness, our_own_mark_is_no_loss_however_often_it_is_put)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_watching(&b);
        for (int i = 0; i < 50; i++) { /* more than a watch may leave unacknowledged */
            fake_etcd_put(b.etcd, KEY,
                          "{\"ServerID\":12,\"ServerName\":\"coord\",\"Stopping\":true,"
                          "\"Version\":\"2.4.2\"}",
                          OUR_LEASE);
            pump(&b);
        }
        check_watching(&b);
        fake_etcd_put(b.etcd, KEY, RIVAL, RIVAL_LEASE);
        pump(&b);
        check_lost(&b, ROLLCALL_LOSS_OVERWRITTEN, true);
        close_bench(&b);
    }
}

TEST(liveness, only_the_key_itself_is_watched)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_watching(&b);
        fake_etcd_put(b.etcd, KEY "3", RIVAL, RIVAL_LEASE);
        fake_etcd_delete(b.etcd, KEY "3");
        pump(&b);
        check_watching(&b);
        CHECK_INT(b.etcd->watch_revision, b.mine->revision);
        close_bench(&b);
    }
}

/* ---- when it cannot look ---- */

static void lose_the_key(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, KEY);
}

/* Between the answer to the read and the watch. */
TEST(liveness, a_change_before_the_watch_begins_is_seen)
{
    for (int compacted = 0; compacted < 2; compacted++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            start(&b);
            CHECK(step_to_state(&b, "WATCHING"));
            CHECK_INT(b.etcd->watches_opened, 0); /* it is on its way */
            lose_the_key(b.etcd);
            fake_etcd_put(b.etcd, "another", "key", 0);
            if (compacted) {
                fake_etcd_compact(b.etcd, b.etcd->revision);
            }
            check_lost(&b, ROLLCALL_LOSS_DELETED, true);
            CHECK_INT(b.steps.plan[LOOK].seen, 1 + (size_t)compacted);
            close_bench(&b);
        }
    }
}

TEST(liveness, a_compaction_before_the_watch_begins_is_no_loss)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        CHECK(step_to_state(&b, "WATCHING"));
        fake_etcd_put(b.etcd, "another", "key", 0);
        fake_etcd_compact(b.etcd, b.etcd->revision);
        check_watching(&b);
        CHECK_INT(b.etcd->watches_opened, 2);
        close_bench(&b);
    }
}

TEST(liveness, a_watch_that_breaks_is_begun_again_and_tells_what_happened_meanwhile)
{
    static const enum rollcall_status WHY[] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_COMPACTED,
                                               ROLLCALL_E_DENIED};
    for (size_t i = 0; i < 6; i++) {
        while (world_next(SEEDS)) {
            const bool lost = i >= 3;
            struct bench b;
            open_watching(&b);
            for (int often = 0; often < 12; often++) { /* that it cannot look is never a fault */
                fake_etcd_break(b.etcd, b.world.rt, WHY[i % 3]);
                world_run(&b.world, 1100);
            }
            check_watching(&b);
            fake_etcd_break(b.etcd, b.world.rt, WHY[i % 3]);
            world_settle(&b.world);
            CHECK_STATE(&b.world, b.actor, "FAILED");
            if (lost) {
                lose_the_key(b.etcd);
                check_lost(&b, ROLLCALL_LOSS_DELETED, true); /* it had been there */
            } else {
                check_watching(&b);
            }
            close_bench(&b);
        }
    }
}

TEST(liveness, an_outage_is_no_loss_and_what_happened_meanwhile_is_told_after_it)
{
    for (int lost = 0; lost < 2; lost++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_watching(&b);
            b.etcd->away = true;
            pump(&b);
            world_run(&b.world, 60000);
            CHECK_INT(told(&b, SESSION_KEY_LOST), 0);
            if (lost) {
                fake_etcd_put(b.etcd, KEY, RIVAL, RIVAL_LEASE);
            }
            b.etcd->away = false;
            if (lost) {
                check_lost(&b, ROLLCALL_LOSS_OVERWRITTEN, true);
            } else {
                check_watching(&b);
            }
            close_bench(&b);
        }
    }
}

TEST(liveness, a_read_that_etcd_refuses_is_no_loss)
{
    static const enum rollcall_status WHY[] = {ROLLCALL_E_DENIED, ROLLCALL_E_REJECTED,
                                               ROLLCALL_E_TIMEOUT, ROLLCALL_E_CORRUPT};
    for (size_t i = 0; i < 4; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            b.steps.plan[LOOK].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[LOOK].status = WHY[i];
            b.steps.plan[LOOK].last = 20;
            start(&b);
            world_run(&b.world, 60000);
            check_watching(&b);
            CHECK_INT(b.steps.plan[LOOK].seen, 22);
            close_bench(&b);
        }
    }
}

/* ---- telling, and restarts ---- */

TEST(liveness, a_loss_is_told_once_the_session_has_room)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_watching(&b);
        block_session(&b);
        fake_etcd_delete(b.etcd, KEY);
        pump(&b);
        world_run(&b.world, 3000);
        CHECK_STATE(&b.world, b.actor, "LOST");
        CHECK_INT(told(&b, SESSION_KEY_LOST), 0);
        if (world_seed % 2 == 0) {
            rollcall_sim_crash(b.world.sim, b.actor, ROLLCALL_E_ACTOR);
            world_run(&b.world, 1000);
        }
        unblock_session(&b);
        check_lost(&b, ROLLCALL_LOSS_DELETED, true);
        close_bench(&b);
    }
}

/* At rest in the state; it is lost by then, or not. */
static void open_in(struct bench *b, const char *state)
{
    open(b);
    if (strcmp(state, "READING") == 0) {
        steps_from_now(&b->steps, LOOK, FAKE_ETCD_SILENT, 1);
    }
    if (strcmp(state, "IDLE") != 0) {
        start(b);
        world_settle(&b->world);
    }
    if (strcmp(state, "LOST") == 0) {
        lose_the_key(b->etcd);
        pump(b);
    }
    CHECK_STATE(&b->world, b->actor, state);
}

static void crash(struct bench *b)
{
    rollcall_sim_crash(b->world.sim, b->actor, ROLLCALL_E_ACTOR);
    world_send(&b->world, b->actor, LIVENESS_RETELL, NULL, 0, NULL); /* it takes one message */
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->actor, "FAILED");
}

TEST(liveness, a_crash_in_any_state_forgets_nothing)
{
    static const char *const STATES[] = {"IDLE", "READING", "WATCHING", "LOST"};
    for (size_t i = 0; i < 8; i++) {
        while (world_next(SEEDS)) {
            const bool is_idle = i % 4 == 0, lost_meanwhile = i >= 4, lost_before = i % 4 == 3;
            struct bench b;
            open_in(&b, STATES[i % 4]);
            crash(&b);
            if (is_idle) {
                start(&b); /* waits in the mailbox */
            }
            if (lost_meanwhile) {
                lose_the_key(b.etcd);
            }
            if (!lost_meanwhile && !lost_before) {
                check_watching(&b);
                lose_the_key(b.etcd);
                pump(&b);
            }
            check_lost(&b, i == 4 || i == 5 ? ROLLCALL_LOSS_MISSING : ROLLCALL_LOSS_DELETED, true);
            close_bench(&b);
        }
    }
}

/* ---- a transport on another worker, whose mailbox is full ---- */

static const uint16_t TRANSPORT_SIZES[] = ROLLCALL_PAYLOAD_SIZES(TRANSPORT_LIST);
static const char *const TRANSPORT_NAMES[] = ROLLCALL_MESSAGE_NAMES(TRANSPORT_LIST);
enum { TRANSPORT_MAILBOX = 8 };

struct full {
    struct bench b;
    struct probe *transport, *transport_parent;
    struct rollcall_ref transport_ref;
};

static void open_full(struct full *f)
{
    open_member(&f->b);
    f->transport = probe_create("transport", TRANSPORT_SIZES, TRANSPORT_NAMES, TRANSPORT_COUNT);
    f->transport_parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    const struct probe_options options = {f->transport};
    f->transport_ref = world_spawn(
        &f->b.world, 1,
        ROLLCALL_SPAWN_OPTIONS(.type = probe_type(f->transport), .options = &options,
                               .supervisor = probe_spawn(f->transport_parent, f->b.world.rt, 1),
                               .mailbox_messages = TRANSPORT_MAILBOX));
    const struct liveness_options liveness = {.session = f->b.session_ref,
                                              .transport = f->transport_ref};
    spawn_actor(&f->b, &liveness_type, &liveness);
    world_settle(&f->b.world);
}

static void close_full(struct full *f)
{
    close_bench(&f->b);
    probe_destroy(f->transport);
    probe_destroy(f->transport_parent);
}

/* The transport reads nothing for a while, and there is no room for more. */
static void fill_transport(struct full *f)
{
    const struct transport_watch_id id = {.watch_id = 99};
    rollcall_sim_crash(f->b.world.sim, f->transport_ref, ROLLCALL_E_ACTOR);
    for (int i = 0; i < TRANSPORT_MAILBOX; i++) {
        world_send(&f->b.world, f->transport_ref, TRANSPORT_WATCH_CANCEL, &id, sizeof id, NULL);
        world_settle(&f->b.world);
    }
}

static void empty_transport(struct full *f)
{
    probe_run(f->transport_parent, f->b.world.rt, restart_session, &f->transport_ref);
    world_run(&f->b.world, 3000);
}

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

/* Answers the last read: the key is as it was put. */
static void answer_read(struct full *f)
{
    const struct probe_message *call = probe_last(f->transport, TRANSPORT_CALL);
    const struct transport_call *asked = probe_payload(call);
    const struct transport_answer answer = {.id = asked->id, .status = ROLLCALL_OK};
    struct transport_result *result = calloc(1, sizeof *result);
    CHECK(result != NULL);
    rollcall_object_init(&result->object, destroy_block);
    result->kind = TRANSPORT_RANGE;
    result->revision = f->b.etcd->revision;
    result->kvs = fake_etcd_find(f->b.etcd, KEY);
    result->kv_count = 1;
    rollcall_object_keep(&result->object);
    probe_reply(f->b.parent, f->b.world.rt, call->from, asked->answer, &answer, sizeof answer,
                &result->object);
    world_run(&f->b.world, 3000);
    rollcall_object_drop(&result->object);
}

TEST(liveness, a_read_that_found_no_room_is_asked_again)
{
    while (world_next(SEEDS)) {
        struct full f;
        open_full(&f);
        fill_transport(&f);
        start(&f.b);
        world_run(&f.b.world, 3000);
        CHECK_INT(probe_count(f.transport, TRANSPORT_CALL), 0);
        empty_transport(&f);
        CHECK_INT(probe_count(f.transport, TRANSPORT_CALL), 1);
        close_full(&f);
    }
}

TEST(liveness, a_watch_that_found_no_room_begins_with_a_read_again)
{
    while (world_next(SEEDS)) {
        struct full f;
        open_full(&f);
        start(&f.b);
        world_settle(&f.b.world);
        fill_transport(&f);
        answer_read(&f);
        CHECK_INT(probe_count(f.transport, TRANSPORT_WATCH), 0);
        empty_transport(&f);
        CHECK_INT(probe_count(f.transport, TRANSPORT_CALL), 2);
        answer_read(&f);
        CHECK_INT(probe_count(f.transport, TRANSPORT_WATCH), 1);
        CHECK_STATE(&f.b.world, f.b.actor, "WATCHING");
        CHECK_INT(told(&f.b, SESSION_KEY_LOST), 0);
        close_full(&f);
    }
}

/* A record that there is no memory to read is not another's.  Each allocation in turn. */
TEST(liveness, an_allocation_that_fails_is_no_loss_and_hides_none)
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        while (world_next(2)) {
            struct bench b;
            open(&b);
            world_memory_fails_at(&b.world, nth);
            start(&b);
            world_settle(&b.world);
            fake_etcd_put(b.etcd, KEY, OURS, OUR_LEASE);
            pump(&b);
            check_watching(&b);
            fake_etcd_put(b.etcd, KEY, RIVAL, RIVAL_LEASE);
            pump(&b);
            failed = world_memory_failed(&b.world);
            check_lost(&b, ROLLCALL_LOSS_OVERWRITTEN, true);
            close_bench(&b);
        }
        CHECK(nth > 1 || failed);
    }
}
