/* tests/integration/etcd_fixture_test.c - the private etcd that other tests kill and freeze. */
#include "support/etcd_fixture.h"

#include "support/process.h"
#include "support/test.h"

#include <signal.h>
#include <stdlib.h>

static bool etcdctl(const struct etcd_fixture *etcd, const char *script, struct process *process)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "ETCDCTL_ENDPOINTS=%s", etcd_fixture_endpoint(etcd));
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const char *const changes[] = {endpoint, "ETCDCTL_API=3", NULL};
    return process_run(
        process, &(struct process_options){.arguments = arguments, .environment = changes}, 15000);
}

static void check_says(const struct etcd_fixture *etcd, const char *script, const char *expected)
{
    struct process process;
    CHECK(etcdctl(etcd, script, &process));
    CHECK_STR(process.out.data, expected);
    process_destroy(&process);
}

TEST(etcd_fixture, data_and_address_survive_a_kill)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    char before[64];
    snprintf(before, sizeof before, "%s", etcd_fixture_endpoint(etcd));
    check_says(etcd, "etcdctl put a b", "OK\n");
    const pid_t pid = etcd_fixture_pid(etcd);
    etcd_fixture_kill(etcd);
    CHECK_INT(etcd_fixture_pid(etcd), 0);
    CHECK(kill(pid, 0) != 0);
    CHECK(etcd_fixture_restart(etcd));
    CHECK_STR(etcd_fixture_endpoint(etcd), before);
    check_says(etcd, "etcdctl get a --print-value-only", "b\n");
    etcd_fixture_destroy(etcd);
}

TEST(etcd_fixture, a_frozen_etcd_is_silent_until_it_is_thawed)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    etcd_fixture_freeze(etcd);
    check_says(etcd, "etcdctl --command-timeout=300ms put a b >/dev/null 2>&1 || echo silent",
               "silent\n");
    etcd_fixture_thaw(etcd);
    check_says(etcd, "etcdctl put a c", "OK\n");
    etcd_fixture_destroy(etcd);
}

TEST(etcd_fixture, a_frozen_etcd_can_be_destroyed)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const pid_t pid = etcd_fixture_pid(etcd);
    etcd_fixture_freeze(etcd);
    etcd_fixture_destroy(etcd);
    CHECK(kill(pid, 0) != 0);
}

TEST(etcd_fixture, two_of_them_do_not_meet)
{
    struct etcd_fixture *one = etcd_fixture_create(NULL);
    struct etcd_fixture *two = etcd_fixture_create(NULL);
    CHECK(one != NULL && two != NULL);
    check_says(one, "etcdctl put a one", "OK\n");
    check_says(two, "etcdctl get a --print-value-only", "");
    etcd_fixture_destroy(two);
    etcd_fixture_destroy(one);
}

TEST(etcd_fixture, an_argument_reaches_etcd)
{
    const char *const arguments[] = {"--max-txn-ops", "1", NULL};
    struct etcd_fixture *etcd = etcd_fixture_create(arguments);
    CHECK(etcd != NULL);
    check_says(etcd,
               "printf '\\n%s\\n%s\\n\\n\\n' 'put a b' 'put c d' | etcdctl txn 2>&1 "
               "| grep -m 1 -o 'too many operations' | head -n 1",
               "too many operations\n");
    etcd_fixture_destroy(etcd);
}
