#include "cli/child.h"

#include "support/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { SOON_MS = 20000 };

static enum rollcall_status start(struct cli_child *child, const char *script,
                                  const char *const *variables, struct rollcall_error *error)
{
    const char *const words[] = {"sh", "-c", script, NULL};
    static const char *const none[] = {NULL};
    return cli_child_start(child, (char *const *)words, variables == NULL ? none : variables,
                           error);
}

static void await_end(struct cli_child *child)
{
    struct pollfd fd = {.fd = child->fd, .events = POLLIN};
    CHECK_INT(poll(&fd, 1, SOON_MS), 1);
    CHECK(!cli_child_runs(child));
    CHECK_INT(child->fd, -1);
}

static void check_exit(const char *script, const char *const *variables, int exit_code)
{
    struct cli_child child = CLI_CHILD_NONE;
    struct rollcall_error error;
    CHECK_INT(start(&child, script, variables, &error), ROLLCALL_OK);
    await_end(&child);
    CHECK_INT(child.exit_code, exit_code);
}

TEST(child, its_exit_code_is_its_status_or_the_signal_that_ended_it)
{
    check_exit("exit 0", NULL, 0);
    check_exit("exit 7", NULL, 7);
    check_exit("kill -KILL $$", NULL, 137);
}

TEST(child, it_runs_until_it_ends)
{
    struct cli_child child = CLI_CHILD_NONE;
    struct rollcall_error error;
    CHECK(!cli_child_runs(&child));
    CHECK_INT(start(&child, "exec sleep 1000", NULL, &error), ROLLCALL_OK);
    CHECK(cli_child_runs(&child));
    CHECK_INT(child.exit_code, 0);
    cli_child_signal(&child, SIGTERM);
    await_end(&child);
    CHECK_INT(child.exit_code, 128 + SIGTERM);
    cli_child_signal(&child, SIGTERM); /* none runs: not our own process group, nor anybody */
}

TEST(child, a_program_that_cannot_be_run_is_told_apart_from_one_that_is_not_there)
{
    struct cli_child child = CLI_CHILD_NONE;
    struct rollcall_error error;
    static const char *const none[] = {NULL};
    char *missing[] = {(char *)"rollcall-no-such-program", NULL};
    char *folder[] = {(char *)"/", NULL};
    CHECK_INT(cli_child_start(&child, missing, none, &error), ROLLCALL_E_SYSTEM);
    CHECK_INT(child.exit_code, 127);
    CHECK_STR(error.text, "rollcall-no-such-program cannot be run: No such file or directory");
    CHECK_INT(cli_child_start(&child, folder, none, &error), ROLLCALL_E_SYSTEM);
    CHECK_INT(child.exit_code, 126);
    CHECK(!cli_child_runs(&child));
    CHECK_INT(child.fd, -1);
}

TEST(child, variables_replace_those_of_the_same_name)
{
    static const char *const variables[] = {"ROLLCALL_CHILD_TEST=new", "ROLLCALL_CHILD_MORE=a=b",
                                            NULL};
    setenv("ROLLCALL_CHILD_TEST", "old", 1);
    setenv("ROLLCALL_CHILD", "kept", 1); /* begins alike */
    check_exit("test \"$ROLLCALL_CHILD_TEST $ROLLCALL_CHILD_MORE $ROLLCALL_CHILD\" = "
               "'new a=b kept' && test \"$(tr '\\0' '\\n' </proc/$$/environ | grep -c "
               "'^ROLLCALL_CHILD_TEST=')\" = 1",
               variables, 0);
}

TEST(child, no_signal_is_ignored_or_blocked_in_it_because_of_us)
{
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignored, NULL);
    sigaction(SIGCHLD, &ignored, NULL); /* as whoever started us may have left it */
    check_exit("grep -q '^SigIgn:.0*$' /proc/self/status && "
               "grep -q '^SigBlk:.0*$' /proc/self/status",
               NULL, 0);
}

TEST(child, a_file_of_ours_does_not_reach_it)
{
    struct cli_child child = CLI_CHILD_NONE;
    struct rollcall_error error;
    CHECK_INT(start(&child, "exec sleep 1000", NULL, &error), ROLLCALL_OK);
    /* The pid file of the first is the only one there is; the second must not have it. */
    char script[64];
    snprintf(script, sizeof script, "test ! -e /proc/$$/fd/%d", child.fd);
    check_exit(script, NULL, 0);
    cli_child_signal(&child, SIGKILL);
    await_end(&child);
}
