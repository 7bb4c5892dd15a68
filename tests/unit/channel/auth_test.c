/* How often a token is asked for, in the simulated network: each costs a real etcd 70 ms of bcrypt.
 */
#include "unit/sim/net_world.h"

enum { PERIOD_MS = 10000 };

static void forget_tokens(struct scene *scene)
{
    for (uint32_t member = 0; member < rollcall__net_members(scene->net); member++) {
        rollcall__net_forget_passes(scene->net, member);
    }
}

/* Some leases, each asked for as keepalive does; how many calls that cost. */
static uint64_t asks_while_renewing(struct scene *scene, int64_t ms, bool forget)
{
    const uint64_t before = rollcall__net_asks(scene->net);
    const int64_t end_ms = rollcall_sim_now_ms(scene->sim) + ms;
    for (int64_t round = 0; rollcall_sim_now_ms(scene->sim) < end_ms; round++) {
        if (round % 30 == 0) {
            CHECK(scene_renew(scene, 0, 7 + round / 30 % 10));
        }
        if (forget) {
            forget_tokens(scene);
        }
        scene_pass(scene, 1);
    }
    return rollcall__net_asks(scene->net) - before;
}

/* E6: it stays wrong until somebody changes it. */
TEST(auth, a_password_that_is_another_by_now_is_tried_once_a_second)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 1);
        scene_pass(&scene, 1000);
        rollcall__net_deny_passes(scene.net);
        forget_tokens(&scene);
        const uint64_t asks = asks_while_renewing(&scene, PERIOD_MS, false);
        CHECK(asks >= PERIOD_MS / 2000 && asks <= PERIOD_MS / 1000 + 1);
        scene_close(&scene);
    }
}

/* Such as while somebody changes users one after the other, and tokens are JWTs. */
TEST(auth, tokens_that_do_not_last_are_asked_for_a_few_times_a_second)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 1);
        scene_pass(&scene, 1000);
        const uint64_t asks = asks_while_renewing(&scene, PERIOD_MS, true);
        CHECK(asks >= 5 && asks <= PERIOD_MS / 1000 * 4);
        scene_close(&scene);
    }
}
