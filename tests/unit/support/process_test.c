/* tests/unit/support/process_test.c - what other tests rely on when they start children. */
#include "support/process.h"

#include "support/test.h"

#include <signal.h>
#include <stdlib.h>

enum { SOON_MS = 10000 };

static bool run_shell(struct process *process, const char *script, int64_t timeout_ms)
{
    const char *const arguments[] = {"sh", "-c", script, NULL};
    return process_run(process, &(struct process_options){.arguments = arguments}, timeout_ms);
}

static bool start_shell(struct process *process, const char *script)
{
    const char *const arguments[] = {"sh", "-c", script, NULL};
    return process_start(process, &(struct process_options){.arguments = arguments});
}

TEST(process, both_outputs_and_the_exit_status_are_collected)
{
    struct process process;
    CHECK(run_shell(&process, "echo out; echo err >&2; exit 7", SOON_MS));
    CHECK_INT(process.exit_code, 7);
    CHECK_STR(process.out.data, "out\n");
    CHECK_STR(process.err.data, "err\n");
    process_destroy(&process);
}

TEST(process, more_output_than_a_pipe_holds_is_complete)
{
    struct process process;
    CHECK(run_shell(&process, "yes | head -c 300000", SOON_MS));
    CHECK_INT(process.out.size_bytes, 300000);
    process_destroy(&process);
}

TEST(process, a_program_that_is_not_there_does_not_start)
{
    const char *const arguments[] = {"there-is-no-such-program", NULL};
    struct process process;
    CHECK(!process_start(&process, &(struct process_options){.arguments = arguments}));
    process_destroy(&process);
}

TEST(process, one_that_does_not_end_in_time_is_killed)
{
    struct process process;
    CHECK(!run_shell(&process, "exec sleep 60", 100));
    CHECK_INT(process.pid, 0);
    CHECK_INT(process.exit_code, 128 + SIGKILL);
    process_destroy(&process);
}

TEST(process, a_grandchild_that_keeps_the_output_open_does_not_delay_the_end)
{
    struct process process;
    CHECK(run_shell(&process, "sleep 20 & echo $!", SOON_MS));
    const int grandchild = atoi(process.out.data);
    CHECK(grandchild > 1);
    CHECK_INT(kill(grandchild, SIGKILL), 0);
    process_destroy(&process);
}

TEST(process, a_signal_is_what_the_exit_code_says)
{
    struct process process;
    CHECK(start_shell(&process, "echo ready; exec sleep 60"));
    CHECK(process_wait_for(&process, "ready", SOON_MS));
    CHECK(process_running(&process));
    process_signal(&process, SIGTERM);
    CHECK(process_wait(&process, SOON_MS));
    CHECK_INT(process.exit_code, 128 + SIGTERM);
    process_destroy(&process);
}

TEST(process, waiting_for_words_that_never_come_ends_with_the_process)
{
    struct process process;
    CHECK(start_shell(&process, "echo something else"));
    CHECK(!process_wait_for(&process, "ready", SOON_MS));
    process_destroy(&process);
}

TEST(process, the_environment_is_ours_with_changes_on_top)
{
    setenv("ROLLCALL_TEST_KEPT", "kept", 1);
    setenv("ROLLCALL_TEST_CHANGED", "old", 1);
    setenv("ETCD_NAME", "not for the child", 1);
    const char *const arguments[] = {
        "sh", "-c", "echo $ROLLCALL_TEST_KEPT $ROLLCALL_TEST_CHANGED ${ETCD_NAME-none}", NULL};
    const char *const changes[] = {"ROLLCALL_TEST_CHANGED=new", NULL};
    struct process process;
    CHECK(process_run(&process,
                      &(struct process_options){.arguments = arguments,
                                                .environment = changes,
                                                .without_prefix = "ETCD_"},
                      SOON_MS));
    CHECK_STR(process.out.data, "kept new none\n");
    process_destroy(&process);
    unsetenv("ETCD_NAME");
}
