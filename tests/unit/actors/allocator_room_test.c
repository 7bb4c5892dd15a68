/* Server IDs where there is no room: a full lane to those who ask, a full transport, and more who
 * ask than may wait. */
#include "actors/allocator_asks.h"

#include "unit/actors/allocator_world.h"
#include "unit/actors/stuck_world.h"

enum { BURST = 1000, LANE = 1023, MANY = 3 * BURST };

/* ---- many who are answered at once ---- */

struct burst {
    struct bench *bench;
    int count;
};

static void ask_as_probe(struct rollcall_context *cx, void *user)
{
    const struct burst *burst = user;
    const struct allocator_ask payload = {.answer = ASKER_ANSWER};
    struct session_config *config = session_config_create(&(struct session_choice){0});
    for (int i = 0; i < burst->count; i++) {
        CHECK_INT(rollcall_send_object(cx, burst->bench->allocator, ALLOCATOR_ASK, &payload,
                                       sizeof payload, rollcall_object_keep(&config->object)),
                  ROLLCALL_OK);
    }
    rollcall_object_drop(&config->object);
}

static void ask_at_once(struct bench *b, struct probe *asker, int count)
{
    struct burst burst = {b, count};
    probe_run(asker, b->world.rt, ask_as_probe, &burst);
    world_settle(&b->world);
}

/* Races for the id key are lost from now on: who asks waits for as long as the clock stands. */
static void hold(struct bench *b)
{
    b->before = another_takes_one;
    b->last_take = SIZE_MAX;
}

/* They are answered, as far as there is room; what is owed is still owed. */
static void let_go(struct bench *b)
{
    const size_t before = probe_count(b->asker, ASKER_ANSWER);
    b->last_take = 0;
    while (probe_count(b->asker, ASKER_ANSWER) == before) {
        world_run(&b->world, 1);
    }
}

static void open_with_many(struct bench *b)
{
    open(b);
    hold(b);
    for (int i = 0; i < MANY; i += BURST) {
        ask_at_once(b, b->asker, BURST);
    }
    CHECK_INT(probe_count(b->asker, ASKER_ANSWER), 0);
}

static void check_many_distinct(const struct bench *b)
{
    static bool seen[MANY];
    memset(seen, 0, sizeof seen);
    CHECK_INT(probe_count(b->asker, ASKER_ANSWER), MANY);
    const int64_t first = answered(b, 0).server_id;
    for (size_t i = 0; i < MANY; i++) {
        const struct allocator_answer answer = answered(b, i);
        CHECK_INT(answer.status, ROLLCALL_OK);
        CHECK(answer.server_id >= first && answer.server_id < first + MANY);
        CHECK(!seen[answer.server_id - first]);
        seen[answer.server_id - first] = true;
    }
    CHECK_STATE(&b->world, b->allocator, "IDLE");
}

TEST(allocator_room, answers_that_find_the_lane_full_are_sent_when_there_is_room)
{
    while (world_next(5)) {
        struct bench b;
        open_with_many(&b);
        let_go(&b);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), LANE);
        world_run(&b.world, 1000);
        check_many_distinct(&b);
        close_bench(&b);
    }
}

TEST(allocator_room, a_refusal_that_finds_the_lane_full_keeps_its_reason)
{
    while (world_next(3)) {
        struct bench b;
        open_with_many(&b);
        fake_etcd_put(b.etcd, ID_KEY, "x", 0);
        let_go(&b);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), LANE);
        world_run(&b.world, 1000);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), MANY);
        for (size_t i = 0; i < MANY; i++) {
            const struct rollcall_reason *why =
                (const void *)probe_find(b.asker, ASKER_ANSWER, i)->object;
            CHECK_INT(answered(&b, i).status, ROLLCALL_E_CORRUPT);
            CHECK(why != NULL && strstr(why->error.text, ID_KEY) != NULL);
        }
        close_bench(&b);
    }
}

TEST(allocator_room, a_restart_keeps_the_answers_that_are_owed)
{
    while (world_next(5)) {
        struct bench b;
        open_with_many(&b);
        let_go(&b);
        rollcall_sim_crash(b.world.sim, b.allocator, ROLLCALL_E_ACTOR);
        world_run(&b.world, 2000);
        check_many_distinct(&b);
        close_bench(&b);
    }
}

TEST(allocator_room, an_end_with_answers_owed_frees_them)
{
    while (world_next(3)) {
        struct bench b;
        open_with_many(&b);
        fake_etcd_put(b.etcd, ID_KEY, "x", 0);
        let_go(&b);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), LANE);
        close_bench(&b); /* a leak is what fails it */
    }
}

/* The lane to one worker is full; on the other nobody waits for that. */
TEST(allocator_room, who_has_room_is_answered_before_those_who_have_none)
{
    while (world_next(5)) {
        struct bench b;
        open_with_many(&b);
        struct probe *near = probe_create("near", SIZES, NAMES, ASKER_COUNT);
        probe_spawn(near, b.world.rt, 0);
        ask_at_once(&b, near, 5);
        let_go(&b);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), LANE);
        CHECK_INT(probe_count(near, ASKER_ANSWER), 5);
        close_bench(&b);
        probe_destroy(near);
    }
}

static size_t count_full(const struct bench *b, size_t from)
{
    size_t full = 0;
    for (size_t i = from; i < probe_count(b->asker, ASKER_ANSWER); i++) {
        full += answered(b, i).status == ROLLCALL_E_FULL;
    }
    return full;
}

TEST(allocator_room, those_who_wait_for_an_id_and_those_who_wait_for_room_share_one_bound)
{
    enum {
        BURSTS = ALLOCATOR_ASKS_MAX / BURST + 1,
        TOO_MANY = BURSTS * BURST - ALLOCATOR_ASKS_MAX
    };
    while (world_next(1)) {
        struct bench b;
        open(&b);
        hold(&b);
        for (int i = 0; i < BURSTS; i++) {
            ask_at_once(&b, b.asker, BURST);
        }
        CHECK_INT(count_full(&b, 0), TOO_MANY);
        probe_forget(b.asker);
        let_go(&b);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), LANE); /* so many places are free */
        hold(&b);
        ask_at_once(&b, b.asker, BURST);
        ask_at_once(&b, b.asker, BURST);
        CHECK_INT(count_full(&b, LANE), 2 * BURST - LANE);
        b.last_take = 0;
        world_run(&b.world, 10000);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), ALLOCATOR_ASKS_MAX + 2 * BURST);
        close_bench(&b);
    }
}

/* ---- requests that come back ---- */

TEST(allocator_room, a_request_that_comes_back_from_a_full_transport_is_sent_again)
{
    static const uint16_t PORT_SIZES[] = ROLLCALL_PAYLOAD_SIZES(TRANSPORT_LIST);
    static const char *const PORT_NAMES[] = ROLLCALL_MESSAGE_NAMES(TRANSPORT_LIST);
    const struct transport_watch_id fill = {0};
    while (world_next(SEEDS)) {
        struct bench b;
        struct stuck stuck;
        open(&b);
        stuck_open(&stuck, &b.world, 1,
                   probe_create("transport", PORT_SIZES, PORT_NAMES, TRANSPORT_COUNT),
                   TRANSPORT_WATCH_CANCEL, &fill, sizeof fill);
        const struct allocator_options options = {.transport = stuck.ref};
        b.allocator =
            world_spawn(&b.world, 0,
                        ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type, .options = &options,
                                               .supervisor = world_supervisor(&b.world)));
        ask(&b, 1, SESSION_ROOT);
        world_run(&b.world, 3000);
        CHECK_INT(probe_count(stuck.probe, TRANSPORT_CALL), 0);
        stuck_free(&stuck, &b.world);
        world_run(&b.world, 3000);
        CHECK_INT(probe_count(stuck.probe, TRANSPORT_CALL), 1);
        CHECK_STATE(&b.world, b.allocator, "READING");
        close_bench(&b);
        stuck_close(&stuck);
    }
}

TEST(allocator_room, a_request_that_comes_back_at_any_step_costs_a_repetition_and_nothing_else)
{
    for (int step = 0; step < 2; step++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            b.fate = FAKE_ETCD_SILENT;
            b.survey = step == 0 ? FAKE_ETCD_SILENT : FAKE_ETCD_ANSWER;
            ask(&b, 3, SESSION_ROOT);
            world_settle(&b.world);
            CHECK_STATE(&b.world, b.allocator, step == 0 ? "SURVEYING" : "TAKING");
            b.fate = b.survey = FAKE_ETCD_ANSWER;
            stuck_bounce(&b.world, b.allocator, b.etcd->ref, TRANSPORT_CALL);
            world_run(&b.world, 1000);
            check_ids(&b, 3, 1, 3);
            close_bench(&b);
        }
    }
}

/* An asker that has no place for its one answer is none of the allocator's business. */
TEST(allocator_room, an_answer_that_comes_back_ends_no_request)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.fate = FAKE_ETCD_SILENT;
        ask(&b, 1, SESSION_ROOT);
        world_settle(&b.world);
        const uint64_t calls = b.etcd->calls;
        stuck_bounce(&b.world, b.allocator, probe_ref(b.asker), ASKER_ANSWER);
        world_run(&b.world, 1000);
        CHECK_STATE(&b.world, b.allocator, "TAKING");
        CHECK_INT(b.etcd->calls, calls);
        close_bench(&b);
    }
}
