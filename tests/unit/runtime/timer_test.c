#include "runtime/timer.h"

#include "base/random.h"
#include "support/seed.h"
#include "support/test.h"

static struct rollcall__timer idle(uint16_t type)
{
    return (struct rollcall__timer){.type = type, .place = ROLLCALL__TIMER_IDLE};
}

TEST(timer, equal_deadlines_fire_in_the_order_they_were_set)
{
    struct rollcall__timers timers = {0};
    struct rollcall__timer timer[50];
    for (uint16_t i = 0; i < 50; i++) {
        timer[i] = idle(i);
        CHECK(rollcall__timers_set(&timers, &timer[i], i % 2 == 0 ? 10 : 5));
    }
    CHECK_INT(rollcall__timers_next_ms(&timers), 5);
    CHECK(rollcall__timers_due(&timers, 4) == NULL);
    for (uint16_t i = 0; i < 50; i++) {
        const uint16_t expected = (uint16_t)(i < 25 ? 2 * i + 1 : 2 * (i - 25));
        CHECK_INT(rollcall__timers_due(&timers, 10)->type, expected);
    }
    CHECK(rollcall__timers_due(&timers, INT64_MAX) == NULL);
    CHECK(rollcall__timers_next_ms(&timers) == INT64_MAX);
    rollcall__timers_fini(&timers);
}

TEST(timer, set_again_goes_behind_those_with_the_same_deadline)
{
    struct rollcall__timers timers = {0};
    struct rollcall__timer a = idle(0), b = idle(1);
    CHECK(rollcall__timers_set(&timers, &a, 7) && rollcall__timers_set(&timers, &b, 7));
    CHECK(rollcall__timers_set(&timers, &a, 7));
    CHECK_INT(timers.count, 2);
    CHECK(rollcall__timers_due(&timers, 7) == &b);
    CHECK(rollcall__timers_due(&timers, 7) == &a);
    rollcall__timers_fini(&timers);
}

TEST(timer, what_fired_is_no_longer_current_once_set_again_or_cancelled)
{
    struct rollcall__timers timers = {0};
    struct rollcall__timer timer = idle(0);
    CHECK(rollcall__timers_set(&timers, &timer, 1));
    const uint64_t first = rollcall__timers_due(&timers, 1)->sequence;
    CHECK(first != 0 && timer.sequence == first); /* fired: its message is current */
    CHECK(rollcall__timers_set(&timers, &timer, 1));
    CHECK(timer.sequence != first);
    CHECK(rollcall__timers_due(&timers, 1) == &timer);
    rollcall__timers_cancel(&timers, &timer);
    CHECK_INT(timer.sequence, 0);
    rollcall__timers_cancel(&timers, &timer);
    rollcall__timers_fini(&timers);
}

/* Against the simplest model: an array searched from end to end. */
TEST(timer, any_mix_of_set_cancel_and_fire_agrees_with_a_plain_list)
{
    enum { COUNT = 40, STEPS = 20000 };
    struct rollcall__timers timers = {0};
    struct rollcall__timer timer[COUNT];
    struct rollcall__random random;
    rollcall__random_init(&random, seed_of_test(7));
    for (uint16_t i = 0; i < COUNT; i++) {
        timer[i] = idle(i);
    }
    for (int step = 0; step < STEPS; step++) {
        struct rollcall__timer *one = &timer[rollcall__random_below(&random, COUNT)];
        const int64_t at_ms = (int64_t)rollcall__random_below(&random, 30);
        switch (rollcall__random_below(&random, 4)) {
        case 0:
            rollcall__timers_cancel(&timers, one);
            break;
        case 1: {
            struct rollcall__timer *first = NULL;
            for (int i = 0; i < COUNT; i++) {
                if (timer[i].place != ROLLCALL__TIMER_IDLE && timer[i].at_ms <= at_ms &&
                    (first == NULL || timer[i].at_ms < first->at_ms ||
                     (timer[i].at_ms == first->at_ms && timer[i].sequence < first->sequence))) {
                    first = &timer[i];
                }
            }
            CHECK(rollcall__timers_due(&timers, at_ms) == first);
            break;
        }
        default:
            CHECK(rollcall__timers_set(&timers, one, at_ms));
            break;
        }
    }
    rollcall__timers_fini(&timers);
}
