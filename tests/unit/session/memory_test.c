/* What is said of a record, a range or a roster when any one of its allocations fails: that there
 * was no memory, and nothing else. */
#include "base/memory.h"

#include "session/record.h"
#include "session/record_edit.h"
#include "session/roster.h"

#include "support/test.h"

#include <stdlib.h>

/* With all that takes memory to read: an escape, many labels, and those unsorted. */
static const char RECORD[] =
    "{\"ServerID\":7,\"ServerName\":\"query\\u006eode\",\"Address\":\"a:1\","
    "\"Version\":\"2.4.2\",\"Mine\":[1],\"ServerLabels\":{\"b\":\"1\",\"a\":\"2\",\"c\":\"\","
    "\"d\":\"\",\"e\":\"\",\"f\":\"\",\"g\":\"\",\"h\":\"\",\"i\":\"\",\"j\":\"\",\"k\":\"\",\"l\":"
    "\"\","
    "\"m\":\"\",\"n\":\"\",\"o\":\"\",\"p\":\"\",\"q\":\"\"}}";
static const char USUAL[] = "{\"ServerID\":7,\"ServerName\":\"querynode\",\"Address\":\"a:1\","
                            "\"Version\":\"2.4.2\",\"ServerLabels\":{\"a\":\"1\",\"b\":\"2\"}}";

struct countdown {
    uint64_t left; /* the allocation that fails, from 1 */
    bool failed;
};

static bool count(void *user)
{
    struct countdown *countdown = user;
    const bool fails = --countdown->left == 0;
    countdown->failed |= fails;
    return fails;
}

/* Runs it with the first allocation failing, then the second, until none does. */
static void fail_each(enum rollcall_status (*run)(void))
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct countdown countdown = {.left = nth};
        rollcall__memory_hook((struct rollcall__memory_hook){.fails = count, .user = &countdown});
        const enum rollcall_status status = run();
        rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
        failed = countdown.failed;
        CHECK_INT(status, failed ? ROLLCALL_E_NO_MEMORY : ROLLCALL_OK);
        CHECK(nth > 1 || failed);
    }
}

static enum rollcall_status decode(void)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    const enum rollcall_status status =
        rollcall__record_decode(rollcall__bytes(RECORD), &arena, &record, NULL);
    if (status == ROLLCALL_OK) {
        CHECK_INT(record.label_count, 17);
    }
    rollcall__arena_free(&arena);
    return status;
}

TEST(memory, a_record_is_read_whole_or_not_at_all)
{
    fail_each(decode);
}

static bool refuse(void *user)
{
    (void)user;
    return true;
}

TEST(memory, none_is_needed_to_read_a_record_as_go_writes_it)
{
    struct rollcall__record_scratch scratch;
    struct rollcall_record record;
    rollcall__memory_hook((struct rollcall__memory_hook){.fails = refuse});
    CHECK_INT(rollcall__record_read(rollcall__bytes(USUAL), &scratch, &record, NULL), ROLLCALL_OK);
    rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
    CHECK_INT(record.label_count, 2);
    CHECK(scratch.arena.blocks == NULL);
}

static enum rollcall_status mark(void)
{
    struct rollcall__buffer marked = {0};
    const enum rollcall_status status =
        rollcall__record_mark_stopping(rollcall__bytes(RECORD), &marked, NULL);
    if (status == ROLLCALL_OK) {
        CHECK(strstr(marked.data, "\"Mine\":[1]") != NULL);
        CHECK(strstr(marked.data, "\"Stopping\":true") != NULL);
    }
    rollcall__buffer_free(&marked);
    return status;
}

TEST(memory, a_record_is_marked_whole_or_not_at_all)
{
    fail_each(mark);
}

static enum rollcall_status read_range(void)
{
    struct rollcall__semver_range range;
    const enum rollcall_status status = rollcall__semver_range_parse(
        rollcall__bytes(">=2.3.0 <3.0.0"), ROLLCALL__SEMVER_OURS, &range, NULL);
    rollcall__semver_range_free(&range);
    return status;
}

TEST(memory, a_version_range_says_that_there_was_none)
{
    fail_each(read_range);
}

static void destroy_item(struct rollcall_object *object)
{
    free(object);
}

static bool put_item(struct rollcall__roster **roster, const char *key)
{
    if (!rollcall__roster_reserve(roster, 1)) {
        return false;
    }
    struct rollcall_object *item = malloc(sizeof *item);
    CHECK(item != NULL);
    rollcall_object_init(item, destroy_item);
    size_t place;
    CHECK(!rollcall__roster_find(*roster, rollcall__bytes(key), &place));
    rollcall__roster_insert(*roster, place, rollcall__bytes(key), item);
    return true;
}

/* Twenty-six keys, and a copy in the middle. */
static enum rollcall_status fill_roster(void)
{
    static char keys[26][2];
    enum rollcall_status status = ROLLCALL_OK;
    struct rollcall__roster *roster = rollcall__roster_create(), *kept = NULL;
    if (roster == NULL) {
        return ROLLCALL_E_NO_MEMORY;
    }
    for (int i = 0; i < 26 && status == ROLLCALL_OK; i++) {
        const size_t before = roster->count;
        snprintf(keys[i], sizeof keys[i], "%c", 'a' + i);
        if (i == 20) {
            kept = (struct rollcall__roster *)rollcall_object_keep(&roster->object);
        }
        if (!put_item(&roster, keys[i])) {
            CHECK_INT(roster->count, before);
            status = ROLLCALL_E_NO_MEMORY;
        }
    }
    CHECK(status != ROLLCALL_OK || (roster->count == 26 && kept->count == 20));
    rollcall_object_drop(kept == NULL ? NULL : &kept->object);
    rollcall_object_drop(&roster->object);
    return status;
}

TEST(memory, a_roster_that_cannot_grow_is_as_it_was)
{
    fail_each(fill_roster);
}
