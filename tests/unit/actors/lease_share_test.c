/* One share of a lease: the lease_keeper and the session are probes. */
#include "actors/lease_keeper.h"
#include "actors/lease_share.h"
#include "base/buffer.h"

#include "support/probe.h"
#include "unit/actors/deaf_session.h"
#include "unit/actors/world.h"

enum { SEEDS = 20, LEASE = 77, CREATED = 5 };

static const uint16_t SESSION_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SESSION_LIST);
static const char *const SESSION_NAMES[] = ROLLCALL_MESSAGE_NAMES(SESSION_LIST);
static const uint16_t KEEPER_SIZES[] = ROLLCALL_PAYLOAD_SIZES(LEASE_KEEPER_LIST);
static const char *const KEEPER_NAMES[] = ROLLCALL_MESSAGE_NAMES(LEASE_KEEPER_LIST);

struct bench {
    struct world world;
    struct probe *session, *keeper, *parent;
    struct rollcall_ref keeper_ref, session_ref, share;
};

/* The lease_keeper is one that can fail, and is restarted. */
static struct rollcall_ref spawn_keeper(struct bench *b)
{
    const struct probe_options options = {b->keeper};
    return world_spawn(&b->world, 0,
                       ROLLCALL_SPAWN_OPTIONS(.type = probe_type(b->keeper), .options = &options,
                                              .supervisor = world_supervisor(&b->world)));
}

static void open(struct bench *b)
{
    world_open(&b->world);
    b->parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    b->session = probe_create("session", SESSION_SIZES, SESSION_NAMES, SESSION_COUNT);
    b->keeper = probe_create("lease_keeper", KEEPER_SIZES, KEEPER_NAMES, LEASE_KEEPER_COUNT);
    b->keeper_ref = spawn_keeper(b);
    probe_use(b->keeper, b->keeper_ref);
    b->session_ref = deaf_session_spawn(&b->world, b->session, b->parent);
    const struct lease_share_options options = {.session = b->session_ref, .keeper = b->keeper_ref};
    b->share = world_spawn(&b->world, 0,
                           ROLLCALL_SPAWN_OPTIONS(.type = &lease_share_type, .options = &options,
                                                  .supervisor = world_supervisor(&b->world)));
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->share, "IDLE");
}

static void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->session);
    probe_destroy(b->keeper);
    probe_destroy(b->parent);
}

static void start(struct bench *b)
{
    const struct session_membership draft = {
        .lease_id = LEASE, .create_revision = CREATED, .unsure = true};
    struct session_membership *mine = session_membership_create(&draft, rollcall__bytes("key"));
    CHECK(mine != NULL);
    world_send(&b->world, b->share, LEASE_SHARE_START, NULL, 0, &mine->object);
    world_settle(&b->world);
}

static void say(struct bench *b, uint16_t word)
{
    probe_send(b->keeper, b->world.rt, b->share, word, NULL, 0, NULL);
    world_settle(&b->world);
}

static size_t told(const struct bench *b, uint16_t message)
{
    return probe_count(b->session, message);
}

static size_t joins(const struct bench *b)
{
    return probe_count(b->keeper, LEASE_KEEPER_JOIN);
}

TEST(lease_share, joins_with_what_the_session_won)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        CHECK_INT(joins(&b), 1);
        const struct lease_keeper_join *join =
            probe_payload(probe_find(b.keeper, LEASE_KEEPER_JOIN, 0));
        CHECK_INT(join->lease_id, LEASE);
        CHECK_INT(join->create_revision, CREATED);
        CHECK(join->unsure);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 0); /* nobody relies on it yet */
        start(&b);
        CHECK_INT(joins(&b), 1);
        close_bench(&b);
    }
}

TEST(lease_share, passes_on_what_the_lease_keeper_says)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        say(&b, LEASE_SHARE_SAFE);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 1);
        say(&b, LEASE_SHARE_SUSPECT);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        say(&b, LEASE_SHARE_SAFE);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 2);
        say(&b, LEASE_SHARE_LOST);
        say(&b, LEASE_SHARE_LOST);
        say(&b, LEASE_SHARE_SAFE);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 2);
        close_bench(&b);
    }
}

TEST(lease_share, tells_suspect_while_the_lease_keeper_is_down_and_joins_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        say(&b, LEASE_SHARE_SAFE);
        rollcall_sim_crash(b.world.sim, b.keeper_ref, ROLLCALL_E_ACTOR);
        world_send(&b.world, b.keeper_ref, LEASE_KEEPER_DUE, NULL, 0, NULL);
        world_settle(&b.world);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        CHECK_STATE(&b.world, b.share, "SUSPECT");
        world_run(&b.world, 2000);
        CHECK_INT(joins(&b), 2);
        say(&b, LEASE_SHARE_SAFE);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 2);
        close_bench(&b);
    }
}

/* What the lease_keeper said before it failed may come after its DOWN, which travels faster. */
TEST(lease_share, does_not_believe_what_was_said_before_a_failure)
{
    size_t overtaken = 0;
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        probe_return(b.keeper, LEASE_KEEPER_DUE, ROLLCALL_FAIL);
        probe_send(b.keeper, b.world.rt, b.share, LEASE_SHARE_SAFE, NULL, 0, NULL);
        world_send(&b.world, b.keeper_ref, LEASE_KEEPER_DUE, NULL, 0, NULL); /* in the same run */
        world_settle(&b.world);
        overtaken += told(&b, SESSION_LEASE_SAFE) == 0;
        CHECK_STATE(&b.world, b.share, "SUSPECT");
        close_bench(&b);
    }
    CHECK(overtaken > 0);
}

TEST(lease_share, fails_for_good_when_the_lease_keeper_has_ended)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        rollcall_runtime_stop(b.world.rt, b.keeper_ref);
        world_run(&b.world, 30000);
        CHECK_STATE(&b.world, b.share, "ENDED");
        close_bench(&b);
    }
}

TEST(lease_share, restarted_says_suspect_and_joins_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        say(&b, LEASE_SHARE_SAFE);
        rollcall_sim_crash(b.world.sim, b.share, ROLLCALL_E_ACTOR);
        say(&b, LEASE_SHARE_SAFE);
        world_run(&b.world, 2000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        CHECK_INT(joins(&b), 2);
        say(&b, LEASE_SHARE_SAFE);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 2);
        close_bench(&b);
    }
}

TEST(lease_share, restarted_after_a_loss_tells_it_no_more)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        say(&b, LEASE_SHARE_LOST);
        rollcall_sim_crash(b.world.sim, b.share, ROLLCALL_E_ACTOR);
        say(&b, LEASE_SHARE_LOST);
        world_run(&b.world, 2000);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        CHECK_STATE(&b.world, b.share, "LOST");
        close_bench(&b);
    }
}

/* ---- a session that does not read ---- */

TEST(lease_share, tells_the_last_word_when_a_full_session_mailbox_has_room)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        deaf_session_block(&b.world, b.session_ref);
        say(&b, LEASE_SHARE_SAFE);
        say(&b, LEASE_SHARE_SUSPECT);
        world_run(&b.world, 100);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE) + told(&b, SESSION_LEASE_SUSPECT), 0);
        deaf_session_unblock(&b.world, b.parent, b.session_ref);
        world_run(&b.world, 100);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 0);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        close_bench(&b);
    }
}

TEST(lease_share, does_not_lose_a_loss_that_found_a_full_mailbox)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b);
        deaf_session_block(&b.world, b.session_ref);
        say(&b, LEASE_SHARE_LOST);
        rollcall_sim_crash(b.world.sim, b.share, ROLLCALL_E_ACTOR); /* and a restart tells it */
        say(&b, LEASE_SHARE_LOST);
        world_run(&b.world, 2000);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 0);
        deaf_session_unblock(&b.world, b.parent, b.session_ref);
        world_run(&b.world, 100);
        say(&b, LEASE_SHARE_LOST); /* as the lease_keeper does to one that joins again */
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        close_bench(&b);
    }
}
