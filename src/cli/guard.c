/*
 * An order is one int64_t, which a pipe takes whole: a time, or what none is.  The end of the pipe
 * says that we are gone.  Times are absolute, so a guard that is late is not late by more.
 *
 * Several orders may wait when the guard looks, and are all carried out, in order; the pipe holds
 * thousands, and we write a few in a TTL.  We do not wait for a guard that is stopped: an order to
 * extend that finds no room is lost, and so ends COMMAND too early rather than too late.
 */
#include "cli/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* argv of a guard: itself, ROLE_GUARD, its end of the pipe, grace_ms, "json" or "table", COMMAND */
enum { ARGUMENTS_BEFORE = 5, NUMBER_BYTES = 24 };
static const char ROLE_GUARD[] = "guard-of-a-role";
static const char OURSELVES[] = "/proc/self/exe"; /* also when our file was replaced meanwhile */

enum { ORDER_END = -1, ORDER_ROLE_IS_OVER = -2, ORDER_KILL = -3 }; /* all else: until_ms */

static struct itimerspec at_ms(int64_t time_ms)
{
    const int64_t some_ms = time_ms > 0 ? time_ms : 1; /* 0 would be never */
    return (struct itimerspec){
        .it_value = {.tv_sec = some_ms / 1000, .tv_nsec = some_ms % 1000 * 1000000}};
}

static void set_alarm(int timer, int flags, int64_t time_ms)
{
    const struct itimerspec when = at_ms(time_ms);
    timerfd_settime(timer, flags, &when, NULL);
}

static bool is_readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&one, 1, 0) == 1;
}

/* ---- our side ---- */

static void order(const struct cli_guard *guard, int64_t what)
{
    ssize_t written;
    do {
        written = guard->orders < 0 ? 0 : write(guard->orders, &what, sizeof what);
    } while (written < 0 && errno == EINTR);
}

void cli_guard_extend(const struct cli_guard *guard, int64_t until_ms)
{
    if (guard->orders >= 0 && !cli_guard_has_struck(guard)) {
        set_alarm(guard->alarm, TFD_TIMER_ABSTIME, until_ms);
        order(guard, until_ms);
    }
}

void cli_guard_end(const struct cli_guard *guard)
{
    order(guard, ORDER_END);
}

void cli_guard_role_is_over(const struct cli_guard *guard)
{
    order(guard, ORDER_ROLE_IS_OVER);
}

void cli_guard_kill(const struct cli_guard *guard)
{
    order(guard, ORDER_KILL);
}

bool cli_guard_has_struck(const struct cli_guard *guard)
{
    return is_readable(guard->alarm);
}

void cli_guard_close(struct cli_guard *guard)
{
    if (guard->orders >= 0) {
        close(guard->orders);
    }
    if (guard->alarm >= 0) {
        close(guard->alarm);
    }
    *guard = CLI_GUARD_NONE;
}

static size_t count_of(char *const *words)
{
    size_t count = 0;
    while (words[count] != NULL) {
        count++;
    }
    return count;
}

/* ends[0] is the one file of ours that a child gets. */
static enum rollcall_status start(struct cli_child *child, const int ends[2], char *const *command,
                                  const char *const *variables, const struct cli_guard_terms *terms,
                                  struct rollcall_error *error)
{
    char fd[NUMBER_BYTES], grace_ms[NUMBER_BYTES];
    const char *before[ARGUMENTS_BEFORE] = {OURSELVES, ROLE_GUARD, fd, grace_ms,
                                            terms->json ? "json" : "table"};
    const size_t count = count_of(command);
    char **words = calloc(ARGUMENTS_BEFORE + count + 1, sizeof words[0]);
    if (words == NULL) {
        child->exit_code = CLI_EXIT_CANNOT_RUN;
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "%.200s cannot be run: no memory",
                                  command[0]);
    }
    snprintf(fd, sizeof fd, "%d", ends[0]);
    snprintf(grace_ms, sizeof grace_ms, "%lld", (long long)terms->grace_ms);
    memcpy(words, before, sizeof before);
    memcpy(words + ARGUMENTS_BEFORE, command, count * sizeof words[0]);
    const enum rollcall_status status = cli_child_start(child, words, variables, error);
    free(words);
    return status;
}

enum rollcall_status cli_guard_start(struct cli_guard *guard, struct cli_child *child,
                                     char *const *command, const char *const *variables,
                                     const struct cli_guard_terms *terms,
                                     struct rollcall_error *error)
{
    int ends[2] = {-1, -1};
    enum rollcall_status status;
    cli_guard_close(guard);
    guard->alarm = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (guard->alarm < 0 || pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFD, 0) != 0 ||
        fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0) {
        child->exit_code = CLI_EXIT_CANNOT_RUN;
        status = rollcall_error_set(error, ROLLCALL_E_SYSTEM, "%.200s cannot be run: %s",
                                    command[0], strerror(errno));
    } else {
        status = start(child, ends, command, variables, terms, error);
    }
    if (ends[0] >= 0) {
        close(ends[0]);
    }
    guard->orders = ends[1];
    cli_guard_extend(guard, terms->until_ms);
    if (status != ROLLCALL_OK) {
        cli_guard_close(guard);
    }
    return status;
}

/* ---- the guard's side ---- */

struct guarded {
    struct cli_child command;
    int orders; /* -1: whoever gave them is gone */
    int end;    /* a timerfd: the time of the role is over */
    int limit;  /* and that of the grace */
    int64_t grace_ms;
    bool told; /* COMMAND got SIGTERM */
    bool over; /* the role is: nothing extends it again */
};

static void tell(struct guarded *guarded)
{
    if (!guarded->told) {
        guarded->told = true;
        cli_child_signal(&guarded->command, SIGTERM);
    }
}

/* Before its time; but who was stopped meanwhile gets no more than the grace after that. */
static void role_is_over(struct guarded *guarded)
{
    if (!guarded->over && !is_readable(guarded->end)) {
        set_alarm(guarded->limit, 0, guarded->grace_ms);
    }
    guarded->over = true;
    tell(guarded);
}

static void extend(struct guarded *guarded, int64_t until_ms)
{
    if (!guarded->over) {
        set_alarm(guarded->end, TFD_TIMER_ABSTIME, until_ms);
        set_alarm(guarded->limit, TFD_TIMER_ABSTIME, until_ms + guarded->grace_ms);
    }
}

static void obey(struct guarded *guarded, int64_t what)
{
    switch (what) {
    case ORDER_KILL:
        cli_child_signal(&guarded->command, SIGKILL);
        break;
    case ORDER_END:
        tell(guarded);
        break;
    case ORDER_ROLE_IS_OVER:
        role_is_over(guarded);
        break;
    default:
        extend(guarded, what);
    }
}

static void take_orders(struct guarded *guarded)
{
    while (is_readable(guarded->orders)) {
        int64_t what = 0;
        const ssize_t size = read(guarded->orders, &what, sizeof what);
        if (size == (ssize_t)sizeof what) {
            obey(guarded, what);
        } else if (size >= 0 || errno != EINTR) {
            close(guarded->orders);
            guarded->orders = -1;
            role_is_over(guarded);
        }
    }
}

static void heed_time(struct guarded *guarded)
{
    if (!guarded->over && is_readable(guarded->end)) {
        guarded->over = true;
        tell(guarded);
    }
    if (is_readable(guarded->limit)) {
        cli_child_signal(&guarded->command, SIGKILL);
        timerfd_settime(guarded->limit, 0, &(const struct itimerspec){0}, NULL);
    }
}

/* Until COMMAND has ended. */
static void watch_over(struct guarded *guarded)
{
    while (cli_child_runs(&guarded->command)) {
        struct pollfd fds[] = {{.fd = guarded->orders, .events = POLLIN},
                               {.fd = guarded->over ? -1 : guarded->end, .events = POLLIN},
                               {.fd = guarded->limit, .events = POLLIN},
                               {.fd = guarded->command.fd, .events = POLLIN}};
        poll(fds, sizeof fds / sizeof fds[0], -1);
        take_orders(guarded); /* first: what was safe when it was written is safe */
        heed_time(guarded);
    }
}

/* The role may be over before COMMAND has begun: then it never does. */
static int guard(struct guarded *guarded, char *const *command, bool json)
{
    const struct cli_output output = {.json = json};
    const char *const no_variables[] = {NULL};
    struct rollcall_error error = {0};
    take_orders(guarded);
    heed_time(guarded);
    if (guarded->told) {
        return CLI_EXIT_SIGNAL + SIGTERM;
    }
    error.status = cli_child_start_bound(&guarded->command, command, no_variables, SIGKILL, &error);
    if (error.status != ROLLCALL_OK) {
        cli_output_fail(&output, &error);
        return guarded->command.exit_code;
    }
    watch_over(guarded);
    return guarded->command.exit_code;
}

static void on_signal(int number)
{
    (void)number; /* caught, not ignored: what is ignored, COMMAND would ignore too */
}

/* What a terminal or a service manager sends to all of us, each obeys by itself; we end after
 * COMMAND.  Returns false when the system refuses. */
static bool outlive_signals(void)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction old, action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        if (sigaction(caught[i], NULL, &old) != 0 ||
            (old.sa_handler != SIG_IGN && sigaction(caught[i], &action, NULL) != 0)) {
            return false;
        }
    }
    return true;
}

int cli_guard_main(int argc, char **argv)
{
    if (argc <= ARGUMENTS_BEFORE || strcmp(argv[1], ROLE_GUARD) != 0) {
        return -1;
    }
    struct guarded guarded = {.command = CLI_CHILD_NONE,
                              .orders = (int)strtol(argv[2], NULL, 10),
                              .end = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK),
                              .limit = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK),
                              .grace_ms = strtoll(argv[3], NULL, 10)};
    prctl(PR_SET_NAME, "rollcall-guard");
    if (guarded.end < 0 || guarded.limit < 0 || fcntl(guarded.orders, F_SETFD, FD_CLOEXEC) != 0 ||
        !outlive_signals()) {
        cli_notice("%s cannot be guarded: %s", argv[ARGUMENTS_BEFORE], strerror(errno));
        return CLI_EXIT_CANNOT_RUN;
    }
    return guard(&guarded, argv + ARGUMENTS_BEFORE, strcmp(argv[4], "json") == 0);
}
