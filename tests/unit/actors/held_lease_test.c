/* What a session notes for a crash sentinel: each lease before its key can be under it, and none
 * that etcd has said to be gone, or that is no concern of its any more. */
#include "unit/actors/root_world.h"

static int64_t noted(void)
{
    return rollcall__gauge_get(&session_held_lease);
}

static size_t claims_seen, claims_unnoted;

/* Runs as etcd gets a claim: the lease was granted by then, and is noted. */
static void look_at_claim(struct fake_etcd *etcd)
{
    const struct steps *steps = etcd->user;
    const size_t grants = steps->plan[GRANT].seen;
    claims_seen++;
    claims_unnoted += grants == 0 || noted() != steps->granted[(grants - 1) % 8];
}

static void open_looked_at(struct bench *b, const struct session_choice *choice)
{
    claims_seen = claims_unnoted = 0;
    open(b, choice);
    b->steps.plan[CLAIM].before = look_at_claim;
    b->steps.plan[CLAIM].last = SIZE_MAX;
    world_run(&b->world, 3000);
    check_told(b, "ACTIVE");
    CHECK_INT(claims_seen, 1);
}

TEST(held_lease, is_noted_before_the_key_is_put_and_until_the_session_has_left)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_looked_at(&b, &(struct session_choice){0});
        CHECK_INT(claims_unnoted, 0);
        CHECK_INT(noted(), last_event(&b)->membership->lease_id);
        b.steps.plan[REVOKE].before = look_at_claim; /* still: it could crash before that is done */
        signal_root(&b, SESSION_LEAVE);
        world_run(&b.world, 3000);
        check_told(&b, "ACTIVE STOPPING STOPPED");
        CHECK_INT(claims_seen, 2);
        CHECK_INT(claims_unnoted, 0);
        CHECK_INT(noted(), 0);
        close_bench(&b);
    }
}

TEST(held_lease, is_the_new_one_after_every_loss_and_none_after_the_last)
{
    static const enum rollcall_on_lost choices[] = {ROLLCALL_ON_LOST_STOP,
                                                    ROLLCALL_ON_LOST_REREGISTER};
    size_t again = 0;
    for (enum way way = BY_LEASE; way < WAY_COUNT; way++) {
        for (size_t i = 0; i < 2; i++) {
            while (world_next(SEEDS)) {
                struct bench b;
                open_looked_at(&b, &(struct session_choice){.on_lost = choices[i]});
                const int64_t first = noted();
                lose(&b, way);
                world_run(&b.world, 10000);
                CHECK_INT(claims_unnoted, 0);
                CHECK((noted() == first) == (i == 0 && way == BY_FAULT)); /* etcd has it still */
                if (i == 0) {
                    CHECK_INT(noted(), way == BY_FAULT ? first : 0);
                } else if (last_event(&b)->state == ROLLCALL_SESSION_ACTIVE) { /* no rival stayed */
                    CHECK_INT(noted(), last_event(&b)->membership->lease_id);
                    again++;
                }
                close_bench(&b);
            }
        }
    }
    CHECK(again >= (size_t)3 * SEEDS);
}

TEST(held_lease, of_a_session_that_never_was_is_none)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true, .retries = 1});
        fake_etcd_put(b.etcd, "root/session/coord", RIVAL, RIVAL_LEASE);
        world_run(&b.world, 30000);
        check_told(&b, "FAILED");
        CHECK_INT(noted(), 0);
        close_bench(&b);
    }
}
