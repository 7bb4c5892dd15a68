/* The sorted map of what is and what was told. */
#include "session/view.h"

#include "base/buffer.h"
#include "base/random.h"

#include "support/test.h"

#include <stdlib.h>

static int alive;

static void destroy(struct rollcall_object *object)
{
    alive--;
    free(object);
}

static struct rollcall_object *create(void)
{
    struct rollcall_object *object = calloc(1, sizeof *object);
    CHECK(object != NULL);
    rollcall_object_init(object, destroy);
    alive++;
    return object;
}

static struct rollcall__view_entry *put(struct rollcall__view *view, const char *key)
{
    struct rollcall__view_entry *entry = rollcall__view_put(view, rollcall__bytes(key));
    CHECK(entry != NULL);
    return entry;
}

TEST(view, keys_are_sorted_by_byte_and_found_again)
{
    static const char *const KEYS[] = {"b", "a", "ab", "", "\xff", "a-10", "a-9"};
    static const char *const SORTED[] = {"", "a", "a-10", "a-9", "ab", "b", "\xff"};
    struct rollcall__view view = {0};
    CHECK(rollcall__view_find(&view, rollcall__bytes("a")) == NULL);
    for (size_t i = 0; i < 7; i++) {
        put(&view, KEYS[i]);
        CHECK(put(&view, KEYS[i]) == rollcall__view_find(&view, rollcall__bytes(KEYS[i])));
    }
    CHECK_INT(view.count, 7);
    for (size_t i = 0; i < 7; i++) {
        CHECK_BYTES(view.entries[i].key, SORTED[i]);
    }
    CHECK(rollcall__view_find(&view, rollcall__bytes("a-1")) == NULL);
    rollcall__view_free(&view);
    CHECK_INT(view.count, 0);
}

TEST(view, a_key_is_copied)
{
    struct rollcall__view view = {0};
    char key[] = "node-1";
    put(&view, key);
    key[0] = 'x';
    CHECK_BYTES(view.entries[0].key, "node-1");
    rollcall__view_free(&view);
}

TEST(view, each_side_holds_its_own_reference)
{
    struct rollcall__view view = {0};
    struct rollcall_object *first = create();
    struct rollcall__view_entry *entry = put(&view, "a");
    rollcall__view_set_now(entry, first);
    CHECK(entry->told == NULL && rollcall__view_differs(&view));
    rollcall__view_set_told(entry);
    CHECK(entry->told == first && !rollcall__view_differs(&view));
    rollcall__view_set_told(entry); /* again: nothing */
    rollcall__view_set_now(entry, create());
    CHECK_INT(alive, 2); /* the first is still what was told */
    rollcall__view_set_told(entry);
    CHECK_INT(alive, 1);
    rollcall__view_set_now(entry, NULL);
    CHECK_INT(alive, 1);
    CHECK(rollcall__view_differs(&view));
    rollcall__view_set_told(entry);
    CHECK_INT(alive, 0);
    rollcall__view_set_now(entry, create());
    rollcall__view_free(&view);
    CHECK_INT(alive, 0);
}

TEST(view, the_same_object_may_be_now_again)
{
    struct rollcall__view view = {0};
    struct rollcall__view_entry *entry = put(&view, "a");
    rollcall__view_set_now(entry, create());
    rollcall__view_set_told(entry);
    rollcall__view_clear_now(&view);
    CHECK(entry->now == NULL);
    rollcall__view_set_now(entry, rollcall_object_keep(entry->told));
    CHECK(!rollcall__view_differs(&view));
    rollcall__view_free(&view);
    CHECK_INT(alive, 0);
}

TEST(view, a_sweep_removes_what_has_neither_side_and_nothing_else)
{
    struct rollcall__view view = {0};
    rollcall__view_set_now(put(&view, "now"), create());
    rollcall__view_set_now(put(&view, "told"), create());
    rollcall__view_set_told(put(&view, "told"));
    rollcall__view_set_now(put(&view, "told"), NULL);
    put(&view, "a");
    put(&view, "zero");
    rollcall__view_sweep(&view);
    CHECK_INT(view.count, 2);
    CHECK_BYTES(view.entries[0].key, "now");
    CHECK_BYTES(view.entries[1].key, "told");
    rollcall__view_free(&view);
    CHECK_INT(alive, 0);
}

/* Against an array that is looked through. */
TEST(view, agrees_with_a_plain_array_on_random_steps)
{
    enum { KEYS = 50, STEPS = 5000 };
    struct rollcall__view view = {0};
    struct rollcall__random random;
    bool now[KEYS] = {false}, told[KEYS] = {false};
    rollcall__random_init(&random, 42);
    for (int step = 0; step < STEPS; step++) {
        char key[16];
        const uint64_t index = rollcall__random_below(&random, KEYS);
        snprintf(key, sizeof key, "k%d", (int)index);
        struct rollcall__view_entry *entry = put(&view, key);
        now[index] = rollcall__random_below(&random, 2) == 0;
        rollcall__view_set_now(entry, now[index] ? create() : NULL);
        if (rollcall__random_below(&random, 2) == 0) {
            rollcall__view_set_told(entry);
            told[index] = now[index];
        }
        if (rollcall__random_below(&random, 8) == 0) {
            rollcall__view_sweep(&view);
        }
    }
    rollcall__view_sweep(&view);
    size_t expected = 0;
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        const struct rollcall__view_entry *entry = rollcall__view_find(&view, rollcall__bytes(key));
        expected += now[i] || told[i];
        CHECK((entry != NULL) == (now[i] || told[i]));
        CHECK(entry == NULL ||
              ((entry->now != NULL) == now[i] && (entry->told != NULL) == told[i]));
    }
    CHECK_INT(view.count, expected);
    for (size_t i = 1; i < view.count; i++) {
        CHECK(rollcall__bytes_compare(view.entries[i - 1].key, view.entries[i].key) < 0);
    }
    rollcall__view_free(&view);
    CHECK_INT(alive, 0);
}
