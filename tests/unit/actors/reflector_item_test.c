/* A session as the reflector keeps it: all of it in one block, and nothing of what it was made of.
 */
#include "actors/reflector.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "support/test.h"

#include <stdlib.h>

#define KEY "by-dev/meta/session/querynode-7"
#define USUAL                                                                                      \
    "{\"ServerID\":7,\"ServerName\":\"querynode\",\"Address\":\"a:1\",\"Version\":\"2.4.2\","      \
    "\"HostName\":\"h\",\"ServerLabels\":{\"a\":\"1\",\"b\":\"\"}}"
/* What the general reader takes memory for: an escape, many labels, and those unsorted. */
#define ODD                                                                                        \
    "{\"ServerID\":7,\"ServerName\":\"query\\u006eode\",\"Address\":\"a:1\",\"Version\":\"2.4.2\"" \
    ",\"HostName\":\"h\",\"ServerLabels\":{\"b\":\"\",\"q\":\"\",\"c\":\"\",\"d\":\"\",\"e\":\"\"" \
    ",\"f\":\"\",\"g\":\"\",\"h\":\"\",\"i\":\"\",\"j\":\"\",\"k\":\"\",\"l\":\"\",\"m\":\"\","    \
    "\"n\":\"\",\"o\":\"\",\"p\":\"\",\"a\":\"1\"}}"

/* Made of memory that is overwritten and freed before this returns. */
static enum rollcall_status make(const char *json, struct reflector_item **item)
{
    char *key = strdup(KEY), *value = strdup(json);
    CHECK(key != NULL && value != NULL);
    const struct transport_kv kv = {.key = rollcall__bytes(key),
                                    .value = rollcall__bytes(value),
                                    .create_revision = 3,
                                    .mod_revision = 5,
                                    .lease_id = 9};
    struct rollcall_error error;
    const enum rollcall_status status = reflector_item_create(&kv, item, &error);
    CHECK(status == ROLLCALL_OK || (error.status == status && error.text[0] != '\0'));
    memset(key, 'x', kv.key.size_bytes);
    memset(value, 'x', kv.value.size_bytes);
    free(key);
    free(value);
    return status;
}

static void check_text(struct rollcall_bytes text, const char *expected)
{
    CHECK_BYTES(text, expected);
    CHECK_INT(text.data[text.size_bytes], '\0');
}

static void check_item(const struct reflector_item *item, const char *json)
{
    const struct rollcall_record *record = &item->record;
    check_text(item->key, KEY);
    check_text(item->value, json);
    check_text(record->server_name, "querynode");
    check_text(record->address, "a:1");
    check_text(record->version, "2.4.2");
    check_text(record->host_name, "h");
    CHECK(record->label_count >= 2);
    check_text(record->labels[0].name, "a");
    check_text(record->labels[0].value, "1");
    check_text(record->labels[1].name, "b");
    check_text(record->labels[1].value, "");
    CHECK_INT(record->server_id, 7);
    CHECK(item->create_revision == 3 && item->mod_revision == 5 && item->lease_id == 9);
}

TEST(reflector_item, holds_what_it_was_made_of_and_a_nul_behind_each_text)
{
    struct reflector_item *item;
    static const char *const INPUTS[] = {USUAL, ODD};
    for (size_t i = 0; i < sizeof INPUTS / sizeof INPUTS[0]; i++) {
        CHECK_INT(make(INPUTS[i], &item), ROLLCALL_OK);
        check_item(item, INPUTS[i]);
        rollcall_object_drop(&item->object);
    }
}

TEST(reflector_item, holds_empty_texts_for_what_a_record_does_not_say)
{
    struct reflector_item *item;
    CHECK_INT(make("{}", &item), ROLLCALL_OK);
    check_text(item->record.server_name, "");
    check_text(item->record.host_name, "");
    CHECK(item->record.labels == NULL && item->record.label_count == 0);
    rollcall_object_drop(&item->object);
}

TEST(reflector_item, of_no_record_is_not_made)
{
    struct reflector_item *item;
    CHECK_INT(make("{\"ServerID\":7,\"ServerName\":\"\\u0041\"", &item), ROLLCALL_E_CORRUPT);
    CHECK(item == NULL);
    CHECK_INT(make("{\"Version\":\"2.4\"}", &item), ROLLCALL_E_CORRUPT);
    CHECK(item == NULL);
}

struct countdown {
    int left; /* the allocation that fails, from 1; 0: none */
    int asked;
};

static bool count(void *user)
{
    struct countdown *countdown = user;
    return ++countdown->asked == countdown->left;
}

static enum rollcall_status make_failing(const char *json, struct countdown *countdown,
                                         struct reflector_item **item)
{
    rollcall__memory_hook((struct rollcall__memory_hook){.fails = count, .user = countdown});
    const enum rollcall_status status = make(json, item);
    rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
    return status;
}

TEST(reflector_item, of_a_record_as_go_writes_it_is_one_allocation)
{
    struct countdown none = {0};
    struct reflector_item *item;
    CHECK_INT(make_failing(USUAL, &none, &item), ROLLCALL_OK);
    CHECK_INT(none.asked, 1);
    rollcall_object_drop(&item->object);
}

TEST(reflector_item, is_made_whole_or_not_at_all)
{
    struct countdown all = {0};
    struct reflector_item *item;
    CHECK_INT(make_failing(ODD, &all, &item), ROLLCALL_OK);
    rollcall_object_drop(&item->object);
    CHECK(all.asked > 1);
    for (int nth = 1; nth <= all.asked; nth++) {
        struct countdown countdown = {.left = nth};
        CHECK_INT(make_failing(ODD, &countdown, &item), ROLLCALL_E_NO_MEMORY);
        CHECK(item == NULL);
    }
}
