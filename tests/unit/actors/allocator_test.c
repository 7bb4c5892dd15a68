/* Server IDs for many askers: each its own, few transactions, errors answered, restarts unnoticed.
 */
#include "actors/allocator.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/session_world.h"

enum { SEEDS = 20, ASKERS = 12 };

#define ASKER_LIST(X) X(ASKER_ANSWER, sizeof(struct allocator_answer))
ROLLCALL_MESSAGES(asker_message, ASKER_LIST, ASKER_COUNT);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(ASKER_LIST);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(ASKER_LIST);

struct bench {
    struct world world;
    struct fake_etcd *etcd;
    struct probe *asker;
    struct rollcall_ref allocator;
    enum fake_etcd_fate fate; /* of the takes numbered from 0 to `last_take` */
    size_t takes, last_take;
    void (*before)(struct fake_etcd *etcd);
};

static enum fake_etcd_fate decide(struct fake_etcd *etcd, const struct transport_request *request)
{
    struct bench *b = etcd->user;
    if (request->txn.compares[0].target != TRANSPORT_COMPARE_VALUE || b->takes++ > b->last_take) {
        return FAKE_ETCD_ANSWER;
    }
    if (b->before != NULL) {
        b->before(etcd);
    }
    return b->fate;
}

static void open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = b;
    b->asker = probe_create("asker", SIZES, NAMES, ASKER_COUNT);
    probe_spawn(b->asker, b->world.rt, 1);
    const struct allocator_options options = {fake_etcd_spawn(b->etcd, b->world.rt, 1)};
    b->allocator = world_spawn(&b->world, 0,
                               ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type, .options = &options,
                                                      .supervisor = world_supervisor(&b->world)));
}

static void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->asker);
    fake_etcd_destroy(b->etcd);
}

static void ask(struct bench *b, int count, const char *root)
{
    const struct allocator_ask payload = {.answer = ASKER_ANSWER};
    for (int i = 0; i < count; i++) {
        struct session_config *config = session_config_create(&(struct session_choice){0});
        config->root = root;
        probe_send(b->asker, b->world.rt, b->allocator, ALLOCATOR_ASK, &payload, sizeof payload,
                   &config->object);
    }
}

static struct allocator_answer answered(const struct bench *b, size_t nth)
{
    struct allocator_answer answer;
    memcpy(&answer, probe_payload(probe_find(b->asker, ASKER_ANSWER, nth)), sizeof answer);
    return answer;
}

/* All have been answered, with different IDs from `first` up. */
static void check_ids(const struct bench *b, size_t count, int64_t first, int64_t last)
{
    CHECK_INT(probe_count(b->asker, ASKER_ANSWER), count);
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(answered(b, i).status, ROLLCALL_OK);
        CHECK(answered(b, i).server_id >= first && answered(b, i).server_id <= last);
        for (size_t other = 0; other < i; other++) {
            CHECK(answered(b, other).server_id != answered(b, i).server_id);
        }
    }
    CHECK_STATE(&b->world, b->allocator, "IDLE");
}

TEST(allocator, many_askers_get_different_ids_with_few_transactions)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        ask(&b, ASKERS, SESSION_ROOT);
        world_settle(&b.world);
        check_ids(&b, ASKERS, 1, ASKERS);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "13");
        CHECK(b.takes <= ASKERS);
        close_bench(&b);
    }
}

TEST(allocator, askers_of_several_roots_are_all_served_from_their_own_key)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        for (int i = 0; i < 3; i++) {
            ask(&b, 1, "one");
            ask(&b, 1, "two");
        }
        world_settle(&b.world);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 6);
        CHECK_BYTES(fake_etcd_find(b.etcd, "one/session/id")->value, "4");
        CHECK_BYTES(fake_etcd_find(b.etcd, "two/session/id")->value, "4");
        CHECK_STATE(&b.world, b.allocator, "IDLE");
        close_bench(&b);
    }
}

static void another_takes_one(struct fake_etcd *etcd)
{
    char next[32];
    const struct rollcall_bytes value = fake_etcd_find(etcd, ID_KEY)->value;
    snprintf(next, sizeof next, "%.*s", (int)value.size_bytes, value.data);
    snprintf(next, sizeof next, "%lld", strtoll(next, NULL, 10) + 1);
    fake_etcd_put(etcd, ID_KEY, next, 0);
}

TEST(allocator, lost_races_are_run_again_after_a_pause)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.before = another_takes_one;
        b.last_take = 4;
        ask(&b, 3, SESSION_ROOT);
        world_settle(&b.world);
        world_run(&b.world, 2000);
        check_ids(&b, 3, 6, 8);
        close_bench(&b);
    }
}

TEST(allocator, an_endless_race_is_no_storm)
{
    while (world_next(3)) {
        struct bench b;
        open(&b);
        b.before = another_takes_one;
        b.last_take = SIZE_MAX;
        ask(&b, 1, SESSION_ROOT);
        world_run(&b.world, 60000);
        CHECK(b.takes >= 200 && b.takes <= 700);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 0);
        close_bench(&b);
    }
}

TEST(allocator, an_answer_that_was_lost_skips_its_ids_and_is_told_as_an_error)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.fate = FAKE_ETCD_LOSE_ANSWER;
        ask(&b, 1, SESSION_ROOT);
        world_settle(&b.world);
        CHECK_INT(answered(&b, 0).status, ROLLCALL_E_TIMEOUT);
        CHECK(probe_find(b.asker, ASKER_ANSWER, 0)->object != NULL);
        probe_forget(b.asker);
        ask(&b, 2, SESSION_ROOT);
        world_settle(&b.world);
        check_ids(&b, 2, 2, 3);
        close_bench(&b);
    }
}

TEST(allocator, a_corrupt_key_is_told_to_all_who_ask_and_named)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_put(b.etcd, ID_KEY, "7x", 0);
        ask(&b, 3, SESSION_ROOT);
        ask(&b, 1, "other");
        world_settle(&b.world);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 4);
        size_t good = 0;
        for (size_t i = 0; i < 4; i++) {
            const struct rollcall_reason *why =
                (const void *)probe_find(b.asker, ASKER_ANSWER, i)->object;
            if (answered(&b, i).status == ROLLCALL_OK) {
                CHECK(why == NULL);
                good++;
                continue;
            }
            CHECK_INT(answered(&b, i).status, ROLLCALL_E_CORRUPT);
            CHECK(strstr(why->error.text, ID_KEY) != NULL);
        }
        CHECK_INT(good, 1);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "7x");
        close_bench(&b);
    }
}

TEST(allocator, a_crash_at_any_moment_is_not_noticed_by_who_asked)
{
    for (int moment = 0; moment < 40; moment++) {
        while (world_next(5)) {
            struct bench b;
            open(&b);
            ask(&b, 4, SESSION_ROOT);
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            rollcall_sim_crash(b.world.sim, b.allocator, ROLLCALL_E_ACTOR);
            world_run(&b.world, 1000);
            CHECK(probe_count(b.asker, ASKER_ANSWER) >= 3); /* nobody had to ask again */
            ask(&b, 2, SESSION_ROOT);
            world_run(&b.world, 1000);
            /* The message it crashed on is lost, be it an ask; its asker would ask again. */
            const size_t count = probe_count(b.asker, ASKER_ANSWER);
            CHECK(count == 5 || count == 6);
            check_ids(&b, count, 1, 40);
            close_bench(&b);
        }
    }
}
