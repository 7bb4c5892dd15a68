/* The sorted list that is shared: what a change costs whom, and what differs between two. */
#include "session/roster.h"

#include "base/buffer.h"
#include "base/random.h"

#include "support/test.h"

#include <stdlib.h>

static int alive;

struct item {
    struct rollcall_object object;
    char key[16];
};

static void destroy(struct rollcall_object *object)
{
    alive--;
    free(object);
}

static struct item *item_of(const char *key)
{
    struct item *item = calloc(1, sizeof *item);
    CHECK(item != NULL);
    rollcall_object_init(&item->object, destroy);
    snprintf(item->key, sizeof item->key, "%s", key);
    alive++;
    return item;
}

static void put_item(struct rollcall__roster **roster, const char *key,
                     struct rollcall_object *item)
{
    size_t place;
    const bool there = rollcall__roster_find(*roster, rollcall__bytes(key), &place);
    CHECK(rollcall__roster_reserve(roster, 1)); /* the place stays what it is */
    if (there) {
        rollcall_object_drop(rollcall__roster_replace(*roster, place, rollcall__bytes(key), item));
    } else {
        rollcall__roster_insert(*roster, place, rollcall__bytes(key), item);
    }
}

static void put(struct rollcall__roster **roster, const char *key)
{
    struct item *item = item_of(key);
    put_item(roster, item->key, &item->object);
}

static void remove_key(struct rollcall__roster **roster, const char *key)
{
    size_t place;
    CHECK(rollcall__roster_reserve(roster, 0));
    if (rollcall__roster_find(*roster, rollcall__bytes(key), &place)) {
        rollcall_object_drop(rollcall__roster_remove(*roster, place));
    }
}

static struct rollcall__roster *create(void)
{
    struct rollcall__roster *roster = rollcall__roster_create();
    CHECK(roster != NULL);
    return roster;
}

TEST(roster, keys_are_sorted_by_byte_and_found_again)
{
    static const char *const KEYS[] = {"b", "a", "ab", "", "\xff", "a-10", "a-9"};
    static const char *const SORTED[] = {"", "a", "a-10", "a-9", "ab", "b", "\xff"};
    struct rollcall__roster *roster = create();
    size_t place;
    CHECK(!rollcall__roster_find(roster, rollcall__bytes("a"), &place));
    for (size_t i = 0; i < 7; i++) {
        put(&roster, KEYS[i]);
        put(&roster, KEYS[i]); /* replaces it */
    }
    CHECK_INT(roster->count, 7);
    CHECK_INT(alive, 7);
    for (size_t i = 0; i < 7; i++) {
        CHECK_BYTES(roster->entries[i].key, SORTED[i]);
        CHECK(rollcall__roster_find(roster, rollcall__bytes(SORTED[i]), &place));
        CHECK_INT(place, i);
    }
    CHECK(!rollcall__roster_find(roster, rollcall__bytes("a-1"), &place));
    CHECK_INT(place, 2);
    rollcall_object_drop(&roster->object);
    CHECK_INT(alive, 0);
}

TEST(roster, what_somebody_keeps_stays_as_it_was_and_is_copied_once)
{
    struct rollcall__roster *roster = create();
    put(&roster, "a");
    put(&roster, "b");
    struct rollcall__roster *kept = (void *)rollcall_object_keep(&roster->object);
    put(&roster, "c");
    CHECK(roster != kept);
    struct rollcall__roster *const own = roster;
    remove_key(&roster, "a");
    CHECK(roster == own); /* nobody else has it: no second copy */
    CHECK_INT(kept->count, 2);
    CHECK_BYTES(kept->entries[0].key, "a");
    CHECK_INT(roster->count, 2);
    CHECK_BYTES(roster->entries[0].key, "b");
    CHECK_INT(alive, 3); /* "b" is one item */
    rollcall_object_drop(&kept->object);
    CHECK_INT(alive, 2);
    rollcall_object_drop(&roster->object);
    CHECK_INT(alive, 0);
}

/* ---- differences ---- */

static bool same_items(const struct rollcall__roster *a, const struct rollcall__roster *b)
{
    struct rollcall__roster_walk walk = {0};
    return !rollcall__roster_differs(a, b, &walk);
}

/* Changes `before` to what `after` is, by what is said to differ. */
static void replay(const struct rollcall__roster *before, const struct rollcall__roster *after)
{
    struct rollcall__roster *changed = create();
    struct rollcall__roster_walk walk = {0};
    for (size_t i = 0; before != NULL && i < before->count; i++) {
        CHECK(rollcall__roster_reserve(&changed, 1));
        rollcall__roster_append(changed, before->entries[i].key,
                                rollcall_object_keep(before->entries[i].item));
    }
    while (rollcall__roster_differs(before, after, &walk)) {
        CHECK(walk.before != walk.after);
        const struct item *of =
            (const struct item *)(walk.after != NULL ? walk.after : walk.before);
        if (walk.after != NULL) {
            put_item(&changed, of->key, rollcall_object_keep(walk.after));
        } else {
            remove_key(&changed, of->key);
        }
    }
    CHECK(same_items(changed, after));
    CHECK(same_items(after, changed));
    rollcall_object_drop(&changed->object);
}

TEST(roster, what_differs_leads_from_any_to_any_other)
{
    struct rollcall__random random;
    rollcall__random_init(&random, 7);
    for (int round = 0; round < 300; round++) {
        struct rollcall__roster *roster = create();
        for (int i = 0; i < 12; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%d", (int)(rollcall__random_next(&random) % 12));
            put(&roster, key);
        }
        struct rollcall__roster *before = (void *)rollcall_object_keep(&roster->object);
        for (int i = 0; i < 6; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%d", (int)(rollcall__random_next(&random) % 14));
            if (rollcall__random_next(&random) % 2 == 0) {
                put(&roster, key);
            } else {
                remove_key(&roster, key);
            }
        }
        replay(before, roster);
        replay(NULL, roster);
        rollcall_object_drop(&before->object);
        rollcall_object_drop(&roster->object);
    }
    CHECK_INT(alive, 0);
}
