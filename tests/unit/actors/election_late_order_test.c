/* What is asked while the key is on its way to another, for the application could not act. */
#include "unit/actors/election_world.h"

static const char *const MEANWHILE[] = {"NAMING", "GIVING"};
enum { STATES = sizeof MEANWHILE / sizeof MEANWHILE[0] };

/* Two stand beside us; the first has waited longer. */
static void open_beside_two(struct bench *b)
{
    open_holding(b);
    fake_etcd_grant(b->etcd, RIVAL_LEASE, 10);
    fake_etcd_put(b->etcd, "root/session/coord-5", STANDBY(5, ""), RIVAL_LEASE);
    fake_etcd_put(b->etcd, "root/session/coord-6", STANDBY(6, ""), RIVAL_LEASE);
    pump(b);
}

/* Asked in that state; by seed it is heard before etcd's answer or after it. */
static void refuse_and_ask(struct bench *b, const char *state, enum session_elect_kind kind,
                           int64_t to)
{
    const struct election_lease lease = {.doubts = 2, .refused = gained(b)->token, .safe = true};
    send_mine(b, ELECTION_LEASE, &lease, sizeof lease);
    CHECK(step_to_state(b, state));
    order(b, 1, kind, to);
    pump(b);
}

TEST(election_late_order, to_force_it_is_done_after_the_key_was_given_away)
{
    for (size_t i = 0; i < STATES; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_beside_two(&b);
            const int64_t token = gained(&b)->token;
            refuse_and_ask(&b, MEANWHILE[i], SESSION_ELECT_FORCE, 0);
            CHECK_INT(fake_etcd_find(b.etcd, "root/session/coord-5")->version, 2);
            CHECK_INT(ordered(&b), ROLLCALL_OK);
            check_holds(&b);
            CHECK(gained(&b)->token > token);
            CHECK_INT(gained(&b)->token, fake_etcd_find(b.etcd, ACTIVE)->mod_revision);
            close_bench(&b);
        }
    }
}

TEST(election_late_order, to_hand_it_over_is_done_only_if_it_went_to_who_is_meant)
{
    for (size_t i = 0; i < STATES; i++) {
        for (int64_t to = 5; to <= 6; to++) {
            int done = 0;
            while (world_next(SEEDS)) {
                struct bench b;
                open_beside_two(&b);
                refuse_and_ask(&b, MEANWHILE[i], SESSION_ELECT_HAND_OVER, to);
                CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
                CHECK_INT(fake_etcd_find(b.etcd, "root/session/coord-5")->version, 2);
                CHECK_INT(fake_etcd_find(b.etcd, "root/session/coord-6")->version, 1);
                done += ordered(&b) == ROLLCALL_OK;
                CHECK(ordered(&b) == ROLLCALL_OK || ordered(&b) == ROLLCALL_E_KEY_LOST);
                close_bench(&b);
            }
            CHECK_INT(done != 0, to == 5); /* of the others it was heard when the key was gone */
        }
    }
}

TEST(election_late_order, to_hand_it_over_is_not_done_if_it_went_to_nobody)
{
    for (size_t i = 0; i < STATES; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_beside_two(&b);
            fake_etcd_delete(b.etcd, "root/session/coord-5"); /* no watch has told of that */
            refuse_and_ask(&b, MEANWHILE[i], SESSION_ELECT_HAND_OVER, 5);
            CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
            CHECK_INT(ordered(&b), ROLLCALL_E_KEY_LOST);
            close_bench(&b);
        }
    }
}
