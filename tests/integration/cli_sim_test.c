/* `rollcall sim` from outside: the library's own scenarios, its terminal, its signals.  What it
 * says of a violation is in unit/cli/sim_test.c, which has scenarios that have some. */
#include "support/command.h"
#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

TEST(cli_sim, without_faults_every_scenario_holds_and_asks_no_etcd)
{
    struct process process;
    RUN(&process, NULL, 0, "sim", "--faults", "none", "--seeds", "2", "--steps", "300");
    CHECK_INT(command_number(process.out.data, "violations"), 0);
    CHECK(command_number(process.out.data, "simulated_ms") > 0);
    command_check_contains(process.out.data, "{\"event\":\"sim\",\"scenario\":\"members\",");
    CHECK_STR(process.err.data, "");
    process_destroy(&process);
}

TEST(cli_sim, a_seed_is_the_same_in_every_process)
{
    char hashes[2][32];
    for (size_t i = 0; i < 2; i++) {
        struct process process;
        RUN(&process, NULL, 0, "sim", "--scenario", "members", "--seeds", "3", "--first-seed", "11",
            "--steps", "200", "--faults", "delay=0.05,lose-answer=0.02");
        const char *hash = strstr(process.out.data, "\"hash\":\"");
        CHECK(hash != NULL);
        snprintf(hashes[i], sizeof hashes[i], "%.16s", hash + 8);
        process_destroy(&process);
    }
    CHECK_STR(hashes[0], hashes[1]);
}

TEST(cli_sim, the_matrix_tells_the_states_of_the_session)
{
    struct process process;
    RUN(&process, NULL, 0, "sim", "--scenario", "members", "--seeds", "3", "--steps", "200",
        "--faults", "delay=0.05", "--matrix");
    command_check_contains(process.out.data,
                           "{\"event\":\"matrix\",\"actor\":\"session\",\"state\":\"ACTIVE\",");
    CHECK(command_number(process.out.data, "visited") > 1);
    process_destroy(&process);
}

/* Starts what does not end by itself in any time we wait; handlers are in place when it speaks. */
static void start_endless(struct process *process, const char *seeds, const char *steps)
{
    START(process, NULL, "sim", "--faults", "none", "--seeds", seeds, "--steps", steps,
          "--first-seed", "random");
    CHECK(process_wait_for_error(process, "--first-seed ", COMMAND_SOON_MS));
}

TEST(cli_sim, a_signal_ends_it_after_the_run_of_now_and_what_was_done_is_told)
{
    struct process process;
    start_endless(&process, "1000000000", "100");
    process_signal(&process, SIGINT);
    command_check_ends(&process, 130);
    CHECK(command_number(process.out.data, "seeds") < 1000000000);
    CHECK_INT(command_number(process.out.data, "violations"), 0);
    const char *line_end = strchr(process.out.data, '\n');
    CHECK(line_end != NULL && line_end[1] == '\0'); /* no other scenario was begun */
    process_destroy(&process);
}

TEST(cli_sim, a_second_signal_ends_it_in_the_middle_of_a_run)
{
    struct process process;
    start_endless(&process, "1", "1000000000");
    process_signal(&process, SIGINT);
    process_signal(&process, SIGTERM);
    command_check_ends(&process, 130);
    CHECK_STR(process.out.data, "");
    process_destroy(&process);
}

TEST(cli_sim, ends_when_nobody_reads_its_results)
{
    struct process process;
    start_endless(&process, "1000000000", "100");
    process_close_stdout(&process);
    command_check_ends(&process, 1);
    command_check_contains(process.err.data, "nobody reads stdout any more");
    process_destroy(&process);
}

TEST(cli_sim, a_terminal_is_told_how_far_it_is_and_keeps_nothing_of_it)
{
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    char script[256], said[4096];
    snprintf(script, sizeof script,
             "exec %s sim --scenario members --faults none --seeds 2 --steps 100 2>%s",
             ROLLCALL_TEST_COMMAND, ptsname(terminal));
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct process_options options = {.arguments = arguments};
    struct process process;
    CHECK(process_run(&process, &options, COMMAND_SOON_MS));
    CHECK_INT(process.exit_code, 0);
    CHECK(strstr(process.out.data, " of 2 seeds") == NULL);
    process_destroy(&process);
    size_t size_bytes = 0;
    for (ssize_t got;
         (got = read(terminal, said + size_bytes, sizeof said - 1 - size_bytes)) > 0;) {
        size_bytes += (size_t)got; /* until EIO: nobody has the other end any more */
    }
    CHECK(size_bytes > 4);
    said[size_bytes] = '\0';
    CHECK(strncmp(said, "\rmembers: 1 of 2 seeds, ", 24) == 0);
    CHECK_STR(said + size_bytes - 4, "\r\x1b[K");
    close(terminal);
}
