/*
 * A12: a process that is killed says nothing to etcd, so its key goes when its lease ends, neither
 * earlier nor much later; but at once when a sentinel says it.
 */
#include "support/command.h"
#include "support/gateway.h"
#include "support/outage.h"
#include "support/sentinel.h"
#include "support/test.h"

#include <signal.h>
#include <stdlib.h>

/* etcd looks for leases that have ended every half second, and then has to agree on each. */
enum { SCAN_MS = 600, MS_PER_S = 1000, POLL_MS = 5, CRASH_MS = 100 };

/* Asks etcd itself, again and again. */
static void await_gone(const struct outage *outage, const char *key)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    char value[GATEWAY_TEXT_BYTES] = "";
    do {
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(POLL_MS);
        CHECK(gateway_get(etcd_fixture_endpoint(outage->etcd), key, value));
    } while (value[0] != '\0');
}

TEST(lease_crash, the_key_of_a_process_that_crashed_goes_with_its_lease_and_not_before)
{
    const int64_t ttl_s = outage_choose(3, 5), ttl_ms = ttl_s * MS_PER_S;
    struct outage outage;
    struct process owner;
    char ttl[8], key[GATEWAY_TEXT_BYTES];
    outage_open_node(&outage, NULL);
    const struct api_scene beside = outage_beside(&outage, 0);
    struct command_scene scene = {.endpoint = outage.endpoints[0]};
    memcpy(scene.root, beside.root, sizeof beside.root);
    snprintf(ttl, sizeof ttl, "%d", (int)ttl_s);
    snprintf(key, sizeof key, "%s/session/querynode-1", beside.root);
    START(&owner, &scene, "register", "querynode", "--address", "h:1", "--ttl", ttl, "--server-id",
          "1", "-o", "json");
    command_await(&owner, "\"state\":\"ACTIVE\"");
    const int64_t lease_id = command_number(owner.out.data, "lease_id");
    CHECK(api_stored(&beside, key).there);
    const int64_t answered_ms = outage_await_next(&outage, lease_id);
    process_signal(&owner, SIGKILL);
    CHECK(process_wait(&owner, API_SOON_MS));
    await_gone(&outage, key);
    const int64_t gone_ms = process_now_ms();
    const int64_t sent_ms = renewals_last_ms(outage.renewals, RENEWALS_SENT, 0, lease_id);
    outage_say("A12: gone after the last renewal", gone_ms - sent_ms);
    CHECK(gone_ms >= answered_ms + ttl_ms);
    CHECK(outage_took_ms(&outage, sent_ms + ttl_ms, gone_ms) <= SCAN_MS);
    CHECK_INT(api_lease_count(&beside), 0);
    process_destroy(&owner);
    outage_close(&outage);
}

/* From the signal to the key that is gone: the kernel takes the process away, the sentinel is
 * woken, connects, and revokes.  Returns how long that took, as outage_took_ms has it. */
static int64_t crash(const struct outage *outage, const struct command_scene *scene, int signal)
{
    struct process owner;
    char key[GATEWAY_TEXT_BYTES];
    snprintf(key, sizeof key, "%s/session/querynode-1", scene->root);
    START(&owner, scene, "register", "querynode", "--address", "h:1", "--ttl", "30", "--server-id",
          "1", "--sentinel", "--log-level", "info", "-o", "json");
    command_await(&owner, "\"state\":\"ACTIVE\"");
    const pid_t sentinel = sentinel_await_ready(&owner);
    const int64_t killed_ms = process_now_ms();
    process_signal(&owner, signal);
    await_gone(outage, key);
    const int64_t took_ms = outage_took_ms(outage, killed_ms, process_now_ms());
    CHECK(sentinel_await_end(sentinel, API_SOON_MS));
    process_destroy(&owner);
    return took_ms;
}

static int by_size(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Of several, for the chain has a dozen links, each of which waits for a core that others may have:
 * by night all but one in a hundred are in time, else all but two in seven. */
TEST(lease_crash, with_a_sentinel_the_key_goes_within_a_tenth_of_a_second)
{
    enum { ROUNDS_MAX = 200 };
    const int64_t rounds = outage_choose(7, ROUNDS_MAX), late = outage_choose(2, ROUNDS_MAX / 100);
    int64_t took_ms[ROUNDS_MAX];
    struct outage outage;
    outage_open_node(&outage, NULL);
    const struct api_scene beside = outage_beside(&outage, 0);
    struct command_scene scene = {.endpoint = etcd_fixture_endpoint(outage.etcd)};
    memcpy(scene.root, beside.root, sizeof beside.root);
    for (int64_t i = 0; i < rounds; i++) {
        took_ms[i] = crash(&outage, &scene, i % 2 == 0 ? SIGKILL : SIGSEGV);
    }
    qsort(took_ms, (size_t)rounds, sizeof *took_ms, by_size);
    outage_say("A12: gone after the crash, half of them within", took_ms[rounds / 2]);
    outage_say("A12: all but the last within", took_ms[rounds - 1 - late]);
    outage_say("A12: the last", took_ms[rounds - 1]);
    CHECK(took_ms[rounds - 1 - late] <= CRASH_MS);
    CHECK_INT(api_lease_count(&beside), 0);
    outage_close(&outage);
}
