/* What an owner writes into its ledger, and what a sentinel reads there. */
#include "sentinel/ledger.h"

#include "support/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROOM = 64, TTL_S = 30 };

struct bench {
    struct rollcall__ledger *ledger;
    struct rollcall__ledger_view *view;
    struct rollcall__held_lease held[ROOM];
};

static void open_bench(struct bench *b, const struct rollcall_etcd_options *options)
{
    struct rollcall_error error = {0};
    CHECK_INT(rollcall__ledger_create(options, &b->ledger, &error), ROLLCALL_OK);
    CHECK_INT(rollcall__ledger_view_open(rollcall__ledger_fd(b->ledger), &b->view, &error),
              ROLLCALL_OK);
    CHECK_STR(error.text, "");
}

static void close_bench(struct bench *b)
{
    rollcall__ledger_view_close(b->view);
    rollcall__ledger_drop(b->ledger);
}

static size_t count_held(struct bench *b)
{
    return rollcall__ledger_held(b->view, b->held, ROOM);
}

static struct rollcall__ledger_entry *hold(struct bench *b, int64_t lease_id, int64_t ttl_s)
{
    struct rollcall__ledger_entry *entry = rollcall__ledger_open(b->ledger, ttl_s);
    CHECK(entry != NULL);
    rollcall__gauge_set(&entry->slot->lease_id, lease_id);
    return entry;
}

TEST(ledger, how_etcd_is_reached_is_read_as_it_was_given)
{
    struct bench b;
    open_bench(&b, ROLLCALL_ETCD_OPTIONS(.endpoints = "a:1,b:2", .user = "u", .password = "p w",
                                         .ca_file = "/ca.pem", .dial_timeout_ms = 7,
                                         .call_timeout_ms = 8, .sync_members = true));
    const struct rollcall_etcd_options options = rollcall__ledger_options(b.view);
    CHECK_STR(options.endpoints, "a:1,b:2");
    CHECK_STR(options.user, "u");
    CHECK_STR(options.password, "p w");
    CHECK_STR(options.ca_file, "/ca.pem");
    CHECK(options.cert_file == NULL && options.key_file == NULL && options.sentinel == NULL);
    CHECK_INT(options.dial_timeout_ms, 7);
    CHECK_INT(options.call_timeout_ms, 8);
    CHECK(options.sync_members);
    close_bench(&b);
}

TEST(ledger, files_are_absolute_but_links_stay)
{
    struct bench b;
    char folder[] = "/tmp/ledger.XXXXXX", expected[64];
    char *before = getcwd(NULL, 0);
    CHECK(before != NULL && mkdtemp(folder) != NULL && chdir(folder) == 0);
    CHECK_INT(symlink("of_today", "now"), 0);
    open_bench(&b, ROLLCALL_ETCD_OPTIONS(.ca_file = "now/ca.pem"));
    snprintf(expected, sizeof expected, "%s/now/ca.pem", folder);
    CHECK_STR(rollcall__ledger_options(b.view).ca_file, expected);
    CHECK(unlink("now") == 0 && chdir(before) == 0 && rmdir(folder) == 0);
    free(before);
    close_bench(&b);
}

TEST(ledger, options_that_are_too_long_are_refused)
{
    static char endpoints[ROLLCALL__LEDGER_TEXT_BYTES + 1];
    struct rollcall__ledger *ledger;
    struct rollcall_error error = {0};
    memset(endpoints, 'a', sizeof endpoints - 1);
    CHECK_INT(
        rollcall__ledger_create(ROLLCALL_ETCD_OPTIONS(.endpoints = endpoints), &ledger, &error),
        ROLLCALL_E_INVALID);
}

TEST(ledger, a_lease_is_held_from_when_it_is_noted_until_the_slot_is_closed)
{
    struct bench b;
    open_bench(&b, ROLLCALL_ETCD_OPTIONS(.endpoints = "a:1"));
    CHECK_INT(count_held(&b), 0);
    struct rollcall__ledger_entry *entry = rollcall__ledger_open(b.ledger, TTL_S);
    CHECK_INT(count_held(&b), 0);
    CHECK_INT(rollcall__ledger_longest_ttl_s(b.view), 0);
    rollcall__gauge_set(&entry->slot->lease_id, 77);
    CHECK_INT(count_held(&b), 1);
    CHECK_INT(b.held[0].lease_id, 77);
    CHECK_INT(b.held[0].ttl_s, TTL_S);
    CHECK_INT(rollcall__ledger_longest_ttl_s(b.view), TTL_S);
    rollcall__ledger_close(entry);
    CHECK_INT(count_held(&b), 0);
    rollcall__gauge_set(&entry->slot->lease_id, 78); /* an actor that was still at it */
    CHECK_INT(count_held(&b), 0);
    rollcall_object_drop(&entry->object);
    entry = rollcall__ledger_open(b.ledger, TTL_S); /* the same slot, and nothing of before in it */
    CHECK_INT(count_held(&b), 0);
    rollcall_object_drop(&entry->object);
    close_bench(&b);
}

TEST(ledger, a_lease_that_several_share_is_told_once)
{
    static const int64_t leases[] = {9, 3, 9, 5, 9, 3};
    struct rollcall__ledger_entry *entries[6];
    struct bench b;
    open_bench(&b, ROLLCALL_ETCD_OPTIONS(.endpoints = "a:1"));
    for (size_t i = 0; i < 6; i++) {
        entries[i] = hold(&b, leases[i], (int64_t)i + 1);
    }
    CHECK_INT(count_held(&b), 3);
    CHECK_INT(b.held[0].lease_id, 3);
    CHECK_INT(b.held[1].lease_id, 5);
    CHECK_INT(b.held[2].lease_id, 9);
    CHECK_INT(rollcall__ledger_longest_ttl_s(b.view), 6);
    rollcall_object_drop(&entries[2]->object);
    rollcall_object_drop(&entries[0]->object);
    CHECK_INT(count_held(&b), 3); /* one still shares it */
    rollcall_object_drop(&entries[4]->object);
    CHECK_INT(count_held(&b), 2);
    for (size_t i = 1; i < 6; i += 2) {
        rollcall_object_drop(&entries[i]->object);
    }
    CHECK_INT(count_held(&b), 0);
    close_bench(&b);
}

TEST(ledger, it_has_so_many_slots_and_each_can_be_taken_again)
{
    static struct rollcall__ledger_entry *entries[ROLLCALL__LEDGER_SLOTS];
    struct bench b;
    open_bench(&b, ROLLCALL_ETCD_OPTIONS(.endpoints = "a:1"));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ROLLCALL__LEDGER_SLOTS; i++) {
            entries[i] = rollcall__ledger_open(b.ledger, TTL_S);
            CHECK(entries[i] != NULL);
        }
        CHECK(rollcall__ledger_open(b.ledger, TTL_S) == NULL);
        for (size_t i = 0; i < ROLLCALL__LEDGER_SLOTS; i++) {
            rollcall_object_drop(&entries[i]->object);
        }
    }
    close_bench(&b);
}

TEST(ledger, what_is_none_is_refused)
{
    struct rollcall__ledger_view *view;
    struct rollcall_error error = {0};
    struct bench b;
    CHECK_INT(rollcall__ledger_view_open(-1, &view, &error), ROLLCALL_E_INVALID);
    const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    CHECK_INT(rollcall__ledger_view_open(zero, &view, &error), ROLLCALL_E_INVALID);
    close(zero);
    open_bench(&b, ROLLCALL_ETCD_OPTIONS(.endpoints = "a:1"));
    CHECK(ftruncate(rollcall__ledger_fd(b.ledger), 1) != 0); /* or to read it could be a fault */
    char *bytes =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rollcall__ledger_fd(b.ledger), 0);
    CHECK(bytes != MAP_FAILED);
    bytes[7]++; /* of another version */
    CHECK_INT(rollcall__ledger_view_open(rollcall__ledger_fd(b.ledger), &view, &error),
              ROLLCALL_E_INVALID);
    munmap(bytes, 4096);
    close_bench(&b);
}
