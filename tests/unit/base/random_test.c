#include "base/random.h"

#include "support/test.h"

TEST(random, the_stream_of_a_seed_never_changes)
{
    struct rollcall__random a, b, c;
    rollcall__random_init(&a, 42);
    rollcall__random_init(&b, 42);
    rollcall__random_init(&c, 43);
    int equal = 0;
    for (int i = 0; i < 100; i++) {
        const uint64_t value = rollcall__random_next(&a);
        CHECK(value == rollcall__random_next(&b));
        equal += value == rollcall__random_next(&c);
    }
    CHECK_INT(equal, 0);
}

TEST(random, xoshiro256_starstar_matches_its_reference)
{
    /* The first outputs of the authors' code for the state {1, 2, 3, 4}. */
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    struct rollcall__random random = {.state = {1, 2, 3, 4}};
    for (size_t i = 0; i < 4; i++) {
        CHECK(rollcall__random_next(&random) == expected[i]);
    }
}

TEST(random, below_reaches_every_value_and_no_other)
{
    struct rollcall__random random;
    int seen[7] = {0};
    rollcall__random_init(&random, 1);
    for (int i = 0; i < 7000; i++) {
        const uint64_t value = rollcall__random_below(&random, 7);
        CHECK(value < 7);
        seen[value]++;
    }
    for (int i = 0; i < 7; i++) {
        CHECK(seen[i] > 800 && seen[i] < 1200);
    }
    CHECK_INT(rollcall__random_below(&random, 1), 0);
}

TEST(random, entropy_differs_from_call_to_call)
{
    CHECK(rollcall__random_entropy() != rollcall__random_entropy());
}
