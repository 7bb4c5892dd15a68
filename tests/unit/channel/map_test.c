/* What one asker has is found without a look at what the others have, and nothing else is. */
#include "channel/map.h"
#include "support/test.h"

enum { ASKERS = 1000, EACH = 3 };

static struct rollcall__map_entry entries[ASKERS][EACH];

/* The sum of all `b` of the entries that are found for `a`, each once. */
static uint64_t sum_of(const struct rollcall__map *map, uint64_t a)
{
    uint64_t sum = 0;
    for (const struct rollcall__map_entry *entry = rollcall__map_first(map, a); entry != NULL;
         entry = rollcall__map_next(entry)) {
        CHECK_INT(entry->a, a);
        sum += entry->b;
    }
    return sum;
}

static void fill(struct rollcall__map *map)
{
    for (uint64_t a = 0; a < ASKERS; a++) {
        for (uint64_t b = 0; b < EACH; b++) {
            entries[a][b] = (struct rollcall__map_entry){.a = a << 32, .b = UINT64_C(1) << b};
            CHECK(rollcall__map_insert(map, &entries[a][b]));
        }
    }
}

TEST(map, all_that_share_the_first_half_of_a_key_are_found_and_no_others)
{
    struct rollcall__map map = {.count = 0};
    CHECK(rollcall__map_first(&map, 0) == NULL);
    fill(&map);
    CHECK_INT(map.count, ASKERS * EACH);
    for (uint64_t a = 0; a < ASKERS; a++) {
        CHECK_INT(sum_of(&map, a << 32), (1 << EACH) - 1);
        CHECK(rollcall__map_find(&map, a << 32, 2) == &entries[a][1]);
        CHECK(rollcall__map_find(&map, a << 32, 3) == NULL);
    }
    CHECK(rollcall__map_first(&map, 1) == NULL);
    rollcall__map_fini(&map);
}

TEST(map, an_entry_may_be_removed_once_the_next_was_asked_for)
{
    struct rollcall__map map = {.count = 0};
    fill(&map);
    for (uint64_t a = 0; a < ASKERS; a += 2) {
        for (struct rollcall__map_entry *entry = rollcall__map_first(&map, a << 32), *next;
             entry != NULL; entry = next) {
            next = rollcall__map_next(entry);
            rollcall__map_remove(&map, entry);
        }
    }
    CHECK_INT(map.count, ASKERS / 2 * EACH);
    for (uint64_t a = 0; a < ASKERS; a++) {
        CHECK_INT(sum_of(&map, a << 32), a % 2 == 0 ? 0 : (1 << EACH) - 1);
    }
    rollcall__map_fini(&map);
}
