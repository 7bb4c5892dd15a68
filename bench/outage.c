/*
 * bench/outage.c - what `rollcall register` does while etcd is away:
 *     outage ROLLCALL [DOWN_S [TTL_S]]       (the command; 60, 30)
 * Registers, kills etcd, leaves it down for DOWN_S, starts it again on the same data, and prints
 * one JSON line: the CPU the command used meanwhile, and how long after etcd answered it was
 * ACTIVE. Exit 1 if the command ended, or did not come back.
 */
#include "support/etcd_fixture.h"
#include "support/measure.h"
#include "support/process.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { START_TIMEOUT_MS = 10000, BACK_TIMEOUT_MS = 30000 };

static int fail(struct process *command, const char *what)
{
    fprintf(stderr, "outage: %s\nstdout: %s\nstderr: %s\n", what, command->out.data,
            command->err.data);
    return 1;
}

/* The state it was told last is ACTIVE, or it never left it. */
static bool is_active(const struct process *command)
{
    static const char KEY[] = "\"state\":\"";
    const char *last = NULL, *at = command->out.data;
    while ((at = strstr(at, KEY)) != NULL) {
        last = at++;
    }
    return last != NULL && strncmp(last + sizeof KEY - 1, "ACTIVE", sizeof "ACTIVE" - 1) == 0;
}

static int run(struct etcd_fixture *etcd, struct process *command, int64_t down_s, int64_t ttl_s)
{
    if (!process_wait_for(command, "\"ACTIVE\"", START_TIMEOUT_MS)) {
        return fail(command, "it did not register");
    }
    etcd_fixture_kill(etcd);
    const int64_t cpu_before_ms = measure_cpu_ms(command->pid), down_at_ms = process_now_ms();
    process_sleep_ms(down_s * 1000);
    const int64_t cpu_ms = measure_cpu_ms(command->pid) - cpu_before_ms;
    const int64_t down_ms = process_now_ms() - down_at_ms;
    if (!process_running(command)) {
        return fail(command, "it ended while etcd was away");
    }
    const bool suspect = strstr(command->out.data, "\"SUSPECT\"") != NULL;
    if (!etcd_fixture_restart(etcd)) {
        return fail(command, "etcd did not start again");
    }
    const int64_t up_at_ms = process_now_ms();
    while (!is_active(command) && process_now_ms() - up_at_ms < BACK_TIMEOUT_MS) {
        process_sleep_ms(1);
        if (!process_running(command)) {
            return fail(command, "it ended when etcd was back");
        }
    }
    const int64_t back_ms = process_now_ms() - up_at_ms;
    const bool active = is_active(command);
    process_signal(command, SIGTERM);
    const bool ended = process_wait(command, START_TIMEOUT_MS) && command->exit_code == 0;
    printf("{\"event\":\"bench\",\"name\":\"outage\",\"down_ms\":%" PRId64 ",\"ttl_s\":%" PRId64
           ",\"was_suspect\":%s,\"cpu_percent_of_a_core\":%.3f,\"active\":%s,"
           "\"active_after_etcd_answers_ms\":%" PRId64 ",\"left_with_exit_0\":%s,",
           down_ms, ttl_s, suspect ? "true" : "false", 100.0 * (double)cpu_ms / (double)down_ms,
           active ? "true" : "false", back_ms, ended ? "true" : "false");
    measure_print_host();
    printf("}\n");
    return active && ended ? 0 : fail(command, "see the line above");
}

int main(int argc, char **argv)
{
    const long down_s = argc > 2 ? strtol(argv[2], NULL, 10) : 60;
    const long ttl_s = argc > 3 ? strtol(argv[3], NULL, 10) : 30;
    char ttl[32];
    if (argc < 2 || down_s < 1 || ttl_s < 2) {
        fprintf(stderr, "usage: outage ROLLCALL [DOWN_S [TTL_S]]\n");
        return 2;
    }
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    if (etcd == NULL) {
        return 1;
    }
    snprintf(ttl, sizeof ttl, "%ld", ttl_s);
    const char *const arguments[] = {argv[1],
                                     "register",
                                     "node",
                                     "--address",
                                     "127.0.0.1:1",
                                     "--endpoints",
                                     etcd_fixture_endpoint(etcd),
                                     "--ttl",
                                     ttl,
                                     "-o",
                                     "json",
                                     NULL};
    struct process command;
    int status = 1;
    if (process_start(&command, &(struct process_options){.arguments = arguments})) {
        status = run(etcd, &command, down_s, ttl_s);
    }
    process_destroy(&command);
    etcd_fixture_destroy(etcd);
    return status;
}
