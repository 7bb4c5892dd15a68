/* The mark and the revoke: what is put, what is left alone, and that the session is told. */
#include "actors/departure.h"
#include "unit/actors/member_world.h"

static void open(struct bench *b)
{
    open_member(b);
    const struct departure_options options = {
        .config = session_config_create(&(struct session_choice){.server_id = OUR_ID}),
        .session = b->session_ref,
        .transport = b->etcd->ref};
    spawn_actor(b, &departure_type, &options);
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->actor, "IDLE");
}

static void mark(struct bench *b)
{
    send_mine(b, DEPARTURE_MARK, NULL, 0);
    world_settle(&b->world);
}

static void leave(struct bench *b, bool marking)
{
    const struct departure_leave payload = {.mark = marking};
    send_mine(b, DEPARTURE_LEAVE, &payload, sizeof payload);
    world_settle(&b->world);
}

/* How the nth mark was answered. */
static enum rollcall_status marked(const struct bench *b, size_t nth)
{
    const struct probe_message *message = probe_find(b->session, SESSION_MARKED, nth);
    CHECK(message != NULL);
    return message->object == NULL ? ROLLCALL_OK
                                   : ((struct rollcall_reason *)message->object)->error.status;
}

static const char *marked_text(const struct bench *b, size_t nth)
{
    const struct probe_message *message = probe_find(b->session, SESSION_MARKED, nth);
    return ((struct rollcall_reason *)message->object)->error.text;
}

static bool is_stopping(const struct bench *b)
{
    return stored_record_read(fake_etcd_find(b->etcd, KEY)->value).stopping;
}

static void check_gone(struct bench *b)
{
    CHECK_STATE(&b->world, b->actor, "DONE");
    CHECK_INT(told(b, SESSION_LEFT), 1);
    const struct session_left *left = probe_payload(probe_find(b->session, SESSION_LEFT, 0));
    CHECK_INT(left->status, ROLLCALL_OK);
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 0);
}

/* ---- the mark ---- */

TEST(departure, a_mark_is_put_under_our_lease_and_on_our_key_only)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        mark(&b);
        CHECK_STATE(&b.world, b.actor, "IDLE");
        CHECK_INT(marked(&b, 0), ROLLCALL_OK);
        CHECK(is_stopping(&b));
        const struct transport_kv *kv = fake_etcd_find(b.etcd, KEY);
        CHECK_INT(kv->lease_id, OUR_LEASE);
        CHECK_INT(kv->create_revision, b.mine->create_revision);
        CHECK_INT(stored_record_read(kv->value).server_id, OUR_ID);
        CHECK_INT(stored_record_read(kv->value).lease_id, OUR_LEASE);
        CHECK_INT(b.steps.mark.lease_id, OUR_LEASE);
        CHECK_INT(b.steps.mark_compares[0].number, b.mine->create_revision);
        CHECK_INT(b.steps.mark_compares[1].target, TRANSPORT_COMPARE_LEASE);
        CHECK_INT(b.steps.mark_compares[1].number, OUR_LEASE);
        CHECK_INT(b.etcd->revokes, 0);
        mark(&b);
        CHECK_INT(told(&b, SESSION_MARKED), 2);
        CHECK_INT(marked(&b, 1), ROLLCALL_OK);
        close_bench(&b);
    }
}

struct thief {
    const char *value; /* NULL: deleted */
    int64_t lease_id;
    bool created_again;
};
static const struct thief THIEVES[] = {
    {NULL, 0, false},           {RIVAL, RIVAL_LEASE, true},
    {RIVAL, OUR_LEASE, true},   {RIVAL, RIVAL_LEASE, false},
    {OURS, RIVAL_LEASE, false}, {OURS, 0, false},
    {OURS, OUR_LEASE, true},
};
enum { THIEF_COUNT = sizeof THIEVES / sizeof THIEVES[0] };
static const struct thief *now_comes; /* a decide hook has no room for it */

static void steal(struct fake_etcd *etcd)
{
    if (now_comes->value == NULL || now_comes->created_again) {
        fake_etcd_delete(etcd, KEY);
    }
    if (now_comes->value != NULL) {
        fake_etcd_put(etcd, KEY, now_comes->value, now_comes->lease_id);
    }
}

static void check_not_touched(const struct bench *b)
{
    const struct transport_kv *kv = fake_etcd_find(b->etcd, KEY);
    if (now_comes->value == NULL) {
        CHECK(kv == NULL);
        return;
    }
    CHECK_BYTES(kv->value, now_comes->value);
    CHECK_INT(kv->lease_id, now_comes->lease_id);
}

TEST(departure, a_mark_on_a_key_that_is_not_ours_any_more_writes_nothing_and_is_key_lost)
{
    for (size_t i = 0; i < THIEF_COUNT; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            now_comes = &THIEVES[i];
            b.steps.plan[MARK].before = steal;
            mark(&b);
            CHECK_STATE(&b.world, b.actor, "IDLE");
            CHECK_INT(marked(&b, 0), ROLLCALL_E_KEY_LOST);
            CHECK(strstr(marked_text(&b, 0), KEY) != NULL);
            check_not_touched(&b);
            CHECK_INT(told(&b, SESSION_MARKED), 1);
            close_bench(&b);
        }
    }
}

/* Even if our lease ends: what is there under another lives on. */
TEST(departure, leaving_never_touches_a_key_that_has_become_anothers)
{
    for (size_t i = 0; i < THIEF_COUNT; i++) {
        if (THIEVES[i].lease_id == OUR_LEASE) {
            continue; /* it goes with the lease; the session does not ask then */
        }
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            now_comes = &THIEVES[i];
            b.steps.plan[MARK].before = steal;
            leave(&b, true);
            check_gone(&b);
            check_not_touched(&b);
            CHECK_INT(told(&b, SESSION_MARKED), 0); /* nobody asked */
            close_bench(&b);
        }
    }
}

TEST(departure, a_mark_that_etcd_did_not_answer_well_is_told_and_may_be_asked_for_again)
{
    for (int lost = 0; lost < 2; lost++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            b.steps.plan[MARK].fate = lost ? FAKE_ETCD_LOSE_ANSWER : FAKE_ETCD_REFUSE;
            mark(&b);
            CHECK_INT(marked(&b, 0), lost ? ROLLCALL_E_TIMEOUT : ROLLCALL_E_UNAVAILABLE);
            CHECK_STATE(&b.world, b.actor, "IDLE");
            CHECK_INT(is_stopping(&b), lost);
            mark(&b);
            CHECK_INT(marked(&b, 1), ROLLCALL_OK);
            CHECK(is_stopping(&b));
            close_bench(&b);
        }
    }
}

TEST(departure, a_mark_after_the_end_of_the_lease_is_key_lost)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_end_lease(b.etcd, OUR_LEASE);
        mark(&b);
        CHECK_INT(marked(&b, 0), ROLLCALL_E_KEY_LOST);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        close_bench(&b);
    }
}

/* ---- the revoke ---- */

TEST(departure, leaving_marks_first_unless_it_is_marked_or_in_a_hurry)
{
    for (int way = 0; way < 3; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            if (way == 1) {
                mark(&b);
            }
            leave(&b, way != 2);
            check_gone(&b);
            CHECK_INT(b.steps.plan[MARK].seen, way == 2 ? 0 : 1);
            CHECK_INT(b.steps.plan[REVOKE].seen, 1);
            CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
            leave(&b, way == 0);
            CHECK_STATE(&b.world, b.actor, "DONE");
            CHECK_INT(told(&b, SESSION_LEFT), 1);
            close_bench(&b);
        }
    }
}

TEST(departure, whoever_leaves_goes_on_without_a_mark_that_failed)
{
    static const enum rollcall_status WHY[] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_DENIED};
    for (size_t i = 0; i < 2; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            b.steps.plan[MARK].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[MARK].status = WHY[i];
            leave(&b, true);
            check_gone(&b);
            CHECK_INT(b.steps.plan[MARK].seen, 1);
            CHECK_INT(told(&b, SESSION_MARKED), 0);
            close_bench(&b);
        }
    }
}

TEST(departure, a_leave_while_marking_waits_for_the_mark_and_answers_it)
{
    for (int lost = 0; lost < 2; lost++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            b.steps.plan[MARK].fate = lost ? FAKE_ETCD_LOSE_ANSWER : FAKE_ETCD_ANSWER;
            send_mine(&b, DEPARTURE_MARK, NULL, 0);
            CHECK(step_to_state(&b, "MARKING"));
            leave(&b, true);
            check_gone(&b);
            CHECK_INT(told(&b, SESSION_MARKED), 1);
            CHECK_INT(marked(&b, 0), lost ? ROLLCALL_E_TIMEOUT : ROLLCALL_OK);
            CHECK(b.steps.plan[MARK].seen == 1 || lost); /* answered before the leave came */
            close_bench(&b);
        }
    }
}

TEST(departure, whoever_is_in_a_hurry_revokes_though_etcd_is_silent_about_the_mark)
{
    for (int asked = 0; asked < 2; asked++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
            if (asked) {
                mark(&b);
            }
            leave(&b, true);
            world_run(&b.world, 60000);
            CHECK_STATE(&b.world, b.actor, "MARKING");
            CHECK_INT(told(&b, SESSION_LEFT), 0);
            leave(&b, false);
            check_gone(&b);
            CHECK_INT(told(&b, SESSION_MARKED), 0); /* the session answers, for it is over */
            close_bench(&b);
        }
    }
}

TEST(departure, a_mark_that_is_answered_after_the_hurry_changes_nothing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        send_mine(&b, DEPARTURE_MARK, NULL, 0);
        CHECK(step_to_state(&b, "MARKING"));
        leave(&b, false); /* while the answer is on its way, or the request */
        world_run(&b.world, 5000);
        check_gone(&b);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        CHECK(told(&b, SESSION_MARKED) <= 1);
        close_bench(&b);
    }
}

TEST(departure, the_revoke_is_repeated_while_etcd_is_away)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.etcd->away = true;
        leave(&b, true);
        world_run(&b.world, 10000);
        CHECK_STATE(&b.world, b.actor, "REVOKING");
        CHECK_INT(told(&b, SESSION_LEFT), 0);
        CHECK(b.etcd->calls >= 40 && b.etcd->calls <= 60); /* five a second */
        b.etcd->away = false;
        world_run(&b.world, 200);
        check_gone(&b);
        close_bench(&b);
    }
}

TEST(departure, a_revoke_whose_answer_is_lost_is_repeated_and_told_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.steps.plan[REVOKE].fate = FAKE_ETCD_LOSE_ANSWER;
        leave(&b, false);
        world_run(&b.world, 1000);
        check_gone(&b);
        CHECK_INT(b.steps.plan[REVOKE].seen, 2);
        close_bench(&b);
    }
}

TEST(departure, a_lease_that_etcd_would_not_revoke_is_told_with_the_reason)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.steps.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[REVOKE].status = ROLLCALL_E_DENIED;
        leave(&b, true);
        world_run(&b.world, 1000);
        CHECK_INT(told(&b, SESSION_LEFT), 1);
        const struct session_left *left = probe_payload(probe_find(b.session, SESSION_LEFT, 0));
        CHECK_INT(left->status, ROLLCALL_E_DENIED);
        CHECK_INT(b.steps.plan[REVOKE].seen, 1);
        CHECK_STATE(&b.world, b.actor, "DONE");
        close_bench(&b);
    }
}

/* ---- a full mailbox, and restarts ---- */

TEST(departure, what_it_has_to_say_is_told_once_the_session_has_room)
{
    for (int leaving = 0; leaving < 2; leaving++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            block_session(&b);
            if (leaving) {
                leave(&b, true);
            } else {
                mark(&b);
            }
            world_run(&b.world, 20000);
            CHECK_INT(told(&b, SESSION_MARKED) + told(&b, SESSION_LEFT), 0);
            unblock_session(&b);
            world_run(&b.world, 5000);
            if (leaving) {
                check_gone(&b);
            } else {
                CHECK_INT(told(&b, SESSION_MARKED), 1);
                CHECK_INT(marked(&b, 0), ROLLCALL_OK);
                CHECK_STATE(&b.world, b.actor, "IDLE");
            }
            close_bench(&b);
        }
    }
}

static void crash(struct bench *b)
{
    rollcall_sim_crash(b->world.sim, b->actor, ROLLCALL_E_ACTOR);
    world_send(&b->world, b->actor, DEPARTURE_RETRY, NULL, 0, NULL); /* it takes one message */
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->actor, "FAILED");
}

TEST(departure, a_crash_while_marking_asks_again_and_answers_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        crash(&b); /* IDLE: nothing to remember */
        world_run(&b.world, 2000);
        b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
        mark(&b);
        CHECK_STATE(&b.world, b.actor, "MARKING");
        crash(&b);
        world_run(&b.world, 2000);
        CHECK_STATE(&b.world, b.actor, "IDLE");
        CHECK_INT(told(&b, SESSION_MARKED), 1);
        CHECK_INT(marked(&b, 0), ROLLCALL_OK);
        crash(&b);
        world_run(&b.world, 2000);
        leave(&b, true);
        check_gone(&b);
        CHECK_INT(b.steps.plan[MARK].seen, 2); /* it has not forgotten that it is marked */
        CHECK_INT(told(&b, SESSION_MARKED), 1);
        close_bench(&b);
    }
}

TEST(departure, a_crash_on_the_way_out_goes_on_and_tells_it_once)
{
    static const enum step SILENT[] = {MARK, REVOKE, STEP_COUNT};
    static const char *const STATES[] = {"MARKING", "REVOKING", "DONE"};
    for (size_t i = 0; i < 6; i++) {
        while (world_next(SEEDS)) {
            const bool marks = i < 3;
            struct bench b;
            open(&b);
            if (SILENT[i % 3] != STEP_COUNT) {
                b.steps.plan[SILENT[i % 3]].fate = FAKE_ETCD_SILENT;
            }
            leave(&b, marks);
            if (i == 3) { /* there is no such state without a mark */
                check_gone(&b);
                close_bench(&b);
                continue;
            }
            CHECK_STATE(&b.world, b.actor, STATES[i % 3]);
            crash(&b);
            world_run(&b.world, 2000);
            check_gone(&b);
            CHECK_INT(told(&b, SESSION_MARKED), 0);
            CHECK_INT(b.steps.plan[MARK].seen, i == 0 ? 2 : (size_t)marks);
            close_bench(&b);
        }
    }
}

/* The hurry is not forgotten either: no second mark is waited for. */
TEST(departure, a_crash_after_the_hurry_revokes_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
        b.steps.plan[MARK].last = SIZE_MAX;
        b.steps.plan[REVOKE].fate = FAKE_ETCD_SILENT;
        mark(&b);
        leave(&b, false);
        CHECK_STATE(&b.world, b.actor, "REVOKING");
        crash(&b);
        world_run(&b.world, 2000);
        check_gone(&b);
        CHECK_INT(b.steps.plan[MARK].seen, 1);
        close_bench(&b);
    }
}
