/*
 * `rollcall register` and `force`: one session, from registering to its end, and a COMMAND while it
 * is held.
 *
 * The main thread sleeps in poll() until the session tells something, a signal, the end of the
 * COMMAND, a timer, or a reader of stdout gone.  Each time it looks at everything and takes the
 * next step.
 *
 * Asked to leave, in this order:
 *   1. with a COMMAND: the record is marked Stopping, so that others send it nothing new
 *   2. the COMMAND gets SIGTERM, and is waited for as long as it takes; the session is kept
 *   3. the session leaves: marked if it was not, then revoked, within --timeout
 * A second signal: SIGKILL for the COMMAND, and the lease is revoked at once.
 *
 * SUSPECT or LOST: the COMMAND gets SIGTERM, whatever comes after.  When it has ended we leave; but
 * with --on-lost reregister it is started again once the session is ACTIVE.  A COMMAND that ends by
 * itself is never started again: we leave.
 *
 * In an election COMMAND runs while the role is held (held_role.h), and is started again each time
 * it is, until it ends by itself.
 *
 * STOPPING is told as soon as it is sure that we leave, with our reason, and not when the session
 * is told to: that comes last.  After it, of the states only LOST and STOPPED are told.
 */
#include "cli/commands.h"

#include "cli/connection.h"
#include "cli/held_command.h"
#include "cli/held_role.h"
#include "cli/interrupt.h"
#include "cli/own_session.h"
#include "cli/session_report.h"

#include <rollcall/sentinel.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { HURRIED_MS = 1000 };

struct registration {
    struct cli_output *output;
    struct rollcall_etcd *etcd; /* borrowed while there is a session */
    struct rollcall_session *session;
    struct cli_session_pipe pipe;
    struct cli_text key;
    enum rollcall_on_lost on_lost;
    struct cli_held_command command;
    struct cli_held_role role;
    int timer; /* a timerfd: the time of `marking`, then of `leaving`, is over */
    int64_t leave_timeout_ms;

    enum rollcall_session_state state; /* as told last */
    bool registered;                   /* it has been ACTIVE once */
    bool announced;                    /* its present registration was told */
    bool suspect;                      /* and said so on stderr */
    bool stopping;                     /* STOPPING was told */
    bool given_up;                     /* SUSPECT, not the COMMAND itself, has ended the COMMAND */
    bool ended;                        /* FAILED, STOPPED or, with --on-lost exit, LOST has come */
    struct rollcall_error error;       /* why it ended; status OK: as asked */
    struct rollcall_error not_forced;  /* why the active key could not be taken; else status OK */

    bool asked;   /* to leave, by a signal or for want of a reader */
    bool marking; /* step 1 is under way */
    bool leaving; /* step 3 is */
    bool hurried; /* the second signal has come */
    bool gave_up; /* nothing more to wait for */
};

/* Copies the key while there is a session to ask. */
static struct rollcall_bytes key_of(struct registration *registration)
{
    struct cli_text *key = &registration->key;
    if (key->size_bytes == 0 && registration->session != NULL) {
        struct rollcall_session_info info = {0};
        rollcall_session_get_info(registration->session, &info);
        cli_text_string(key, info.key == NULL ? "" : info.key);
    }
    return (struct rollcall_bytes){key->data, key->size_bytes};
}

static void set_timer(const struct registration *registration, int64_t time_ms)
{
    const struct itimerspec after = {
        .it_value = {.tv_sec = time_ms / 1000, .tv_nsec = time_ms % 1000 * 1000000}};
    timerfd_settime(registration->timer, 0, &after, NULL); /* 0: never, and not readable any more */
}

/* ---- what the session tells ---- */

static void end(struct registration *registration, enum rollcall_status status, const char *reason)
{
    registration->ended = true;
    registration->error.status = status;
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall_error_set(&registration->error, status, "%s", reason),
                      "it answers the status it was given");
    }
    cli_held_command_give_up(&registration->command);
}

/* The active key is taken once.  Whether that was done is told later, unless this fails at once. */
static void take_the_key(struct registration *registration)
{
    registration->role.is_to_force = false;
    registration->not_forced.status =
        rollcall_election_force_async(registration->session, cli_session_pipe_forced,
                                      &registration->pipe, &registration->not_forced);
}

/* What a COMMAND said when it was ended for the sake of a role is of no interest to whoever goes on
 * as a standby. */
static void forget_what_was_given_up(struct registration *registration)
{
    if (registration->role.stands && registration->command.told &&
        !cli_held_command_runs(&registration->command)) {
        registration->command.child.exit_code = CLI_EXIT_DONE;
    }
}

static void on_active(struct registration *registration, const struct cli_session_told *told)
{
    const struct rollcall_bytes key = key_of(registration);
    if (!registration->announced) {
        registration->registered = registration->announced = true;
        cli_held_command_describe(&registration->command, key, &told->info);
        cli_report_registered(registration->output, key, told);
    } else if (registration->suspect) {
        cli_report_suspect(key, false);
    }
    registration->suspect = false;
    if (registration->role.is_to_force) {
        take_the_key(registration);
    }
    forget_what_was_given_up(registration);
}

static void on_suspect(struct registration *registration)
{
    if (registration->registered && !registration->suspect) {
        registration->suspect = true;
        cli_report_suspect(key_of(registration), true);
    }
    cli_held_command_give_up(&registration->command);
}

static void on_lost(struct registration *registration, const struct cli_session_told *told)
{
    char text[CLI_REASON_BYTES + 64];
    const char *reason = told->reason[0] != '\0' ? told->reason : "its lease is gone";
    registration->announced = registration->suspect = false;
    if (registration->on_lost == ROLLCALL_ON_LOST_REREGISTER) {
        cli_notice("session lost: %s; registering again", reason);
        cli_held_command_give_up(&registration->command);
    } else {
        snprintf(text, sizeof text, "session lost: %s; register again to get a new one", reason);
        end(registration, told->status == ROLLCALL_OK ? ROLLCALL_E_LEASE_LOST : told->status, text);
    }
}

static void on_role(struct registration *registration, const struct cli_session_told *told)
{
    struct rollcall_election_info info = {0};
    rollcall_election_get_info(registration->session, &info);
    cli_held_role_note(&registration->role, told);
    if (told->role == ROLLCALL_ROLE_STANDBY) {
        cli_held_command_give_up(&registration->command);
    }
    cli_report_role(registration->output, info.key, told);
    cli_output_flush(registration->output);
}

static void on_forced(struct registration *registration, const struct cli_session_told *told)
{
    if (told->status != ROLLCALL_OK) {
        registration->not_forced.status = told->status;
        ROLLCALL_DROP(rollcall_error_set(&registration->not_forced, told->status,
                                         "the active key could not be taken: %s", told->reason),
                      "it answers the status it was given");
    }
}

static void tell_stopping(struct registration *registration, const char *reason)
{
    if (registration->registered && !registration->stopping && !registration->ended) {
        registration->stopping = true;
        cli_report_stopping(registration->output, reason);
        cli_output_flush(registration->output);
    }
}

/* Before it was registered there is nothing to tell: it was interrupted. */
static bool is_to_be_told(const struct registration *registration,
                          enum rollcall_session_state state)
{
    return registration->registered && (!registration->stopping || state == ROLLCALL_SESSION_LOST ||
                                        state == ROLLCALL_SESSION_STOPPED);
}

/* At once, so that nothing that is told after SUSPECT comes before STOPPING. */
static void heed_suspect(struct registration *registration)
{
    if (!registration->asked && cli_held_command_is_ending(&registration->command)) {
        registration->given_up = true;
        tell_stopping(registration, "it became SUSPECT, so COMMAND is to end");
    }
}

static void on_state(struct registration *registration, const struct cli_session_told *told)
{
    registration->state = told->state;
    switch (told->state) {
    case ROLLCALL_SESSION_REGISTERING:
        return;
    case ROLLCALL_SESSION_ACTIVE:
        on_active(registration, told);
        break;
    case ROLLCALL_SESSION_SUSPECT:
        on_suspect(registration);
        break;
    case ROLLCALL_SESSION_LOST:
        on_lost(registration, told);
        break;
    case ROLLCALL_SESSION_STOPPING:
        break;
    case ROLLCALL_SESSION_STOPPED:
        end(registration, told->status, told->reason);
        break;
    case ROLLCALL_SESSION_FAILED:
        end(registration, told->status, told->reason);
        return;
    }
    if (is_to_be_told(registration, told->state)) {
        cli_report_state(registration->output, told);
    }
    cli_output_flush(registration->output);
    heed_suspect(registration);
}

static void on_told(struct registration *registration, const struct cli_session_told *told)
{
    switch (told->kind) {
    case CLI_TOLD_STATE:
        on_state(registration, told);
        break;
    case CLI_TOLD_ROLE:
        on_role(registration, told);
        break;
    case CLI_TOLD_FORCED:
        on_forced(registration, told);
        break;
    case CLI_TOLD_MARKED:
        break;
    }
}

/* Handles all that was told; never blocks.  After the end, only what nobody waits for may come. */
static void drain(struct registration *registration)
{
    struct cli_session_told told;
    while (cli_session_pipe_take(&registration->pipe, &told)) {
        if (told.kind == CLI_TOLD_MARKED) {
            registration->marking = false;
        } else if (!registration->ended) {
            on_told(registration, &told);
        }
    }
}

/* ---- leaving ---- */

static bool is_readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1;
}

/* Step 1; without a COMMAND the session itself does it, in step 3. */
static void ask_to_leave(struct registration *registration)
{
    registration->asked = true;
    tell_stopping(registration, "asked to leave");
    forget_what_was_given_up(registration);
    if (cli_held_command_runs(&registration->command) && !registration->ended) {
        registration->marking =
            rollcall_session_mark_stopping_async(registration->session, cli_session_pipe_marked,
                                                 &registration->pipe, NULL) == ROLLCALL_OK;
        set_timer(registration, registration->leave_timeout_ms);
    }
}

static void hurry(struct registration *registration)
{
    registration->hurried = true;
    registration->marking = false;
    cli_held_command_kill(&registration->command);
    if (!registration->ended && registration->registered) {
        registration->leaving = true;
        set_timer(registration, HURRIED_MS);
        rollcall_session_revoke(registration->session);
    }
}

/* Step 3, or the end when there is no session yet to leave. */
static void leave(struct registration *registration, const char *reason)
{
    if (registration->registered) {
        tell_stopping(registration, reason);
        registration->leaving = true;
        set_timer(registration, registration->leave_timeout_ms);
        rollcall_session_stop(registration->session);
    } else {
        registration->gave_up = true;
    }
}

static void heed_timer(struct registration *registration)
{
    if (is_readable(registration->timer)) {
        registration->gave_up = registration->leaving;
        registration->marking = false;
        set_timer(registration, 0);
    }
}

static void heed_signals(struct registration *registration)
{
    if (!registration->asked &&
        (cli_interrupted() || !cli_output_has_reader(registration->output))) {
        ask_to_leave(registration);
    }
    if (registration->asked && !registration->hurried && is_readable(cli_interrupt_again_fd())) {
        hurry(registration);
    }
}

/* It acts for the session: a sentinel is to wait for its end, whenever we die. */
static void start_command(struct registration *registration)
{
    struct cli_held_command *command = &registration->command;
    rollcall_etcd_companion(registration->etcd, ROLLCALL_COMPANION_COMING);
    cli_held_command_start(command, registration->output);
    rollcall_etcd_companion(registration->etcd, command->child.fd);
}

/* Whether we have now what COMMAND runs for. */
static bool is_held(struct registration *registration)
{
    struct cli_held_role *role = &registration->role;
    return role->stands ? cli_held_role_admits(role, registration->session, &registration->command)
                        : registration->state == ROLLCALL_SESSION_ACTIVE;
}

/* Starts the COMMAND, ends it, or does what its end asks for. */
static void tend_command(struct registration *registration)
{
    struct cli_held_command *command = &registration->command;
    const bool runs = cli_held_command_runs(command);
    if (!runs) {
        rollcall_etcd_companion(registration->etcd, ROLLCALL_COMPANION_NONE);
    }
    const bool wanted = !registration->asked && !registration->ended && !registration->leaving;
    if (registration->asked && !registration->marking) {
        cli_held_command_end(command); /* step 2; nothing when it was told, or none runs */
    }
    cli_held_role_explain_end(&registration->role, registration->session, command);
    if (wanted && !runs && cli_held_command_may_start(command) && is_held(registration)) {
        start_command(registration);
    }
    const bool over = registration->asked ? !runs : cli_held_command_is_over(command);
    if (over && !registration->ended && !registration->leaving) {
        leave(registration, "COMMAND is over");
    }
}

/* Whoever asked for the key, and cannot have it, is told so by our end. */
static void heed_not_forced(struct registration *registration)
{
    if (registration->not_forced.status != ROLLCALL_OK && !registration->asked &&
        !registration->ended && !registration->leaving) {
        cli_held_command_end(&registration->command);
        leave(registration, "the active key could not be taken");
    }
}

/* Sleeps until something happens. */
static void wait_for_change(const struct registration *registration)
{
    const bool asked = registration->asked;
    const int again_fd = registration->hurried ? -1 : cli_interrupt_again_fd();
    struct pollfd fds[] = {{.fd = registration->pipe.ends[0], .events = POLLIN},
                           {.fd = asked ? again_fd : cli_interrupt_fd(), .events = POLLIN},
                           {.fd = registration->timer, .events = POLLIN}, /* silent until set */
                           {.fd = registration->role.timer, .events = POLLIN}, /* likewise */
                           {.fd = asked ? -1 : STDOUT_FILENO},
                           {.fd = registration->command.child.fd, .events = POLLIN}};
    poll(fds, sizeof fds / sizeof fds[0], -1);
}

static bool is_over(struct registration *registration)
{
    return registration->gave_up ||
           (registration->ended && !cli_held_command_runs(&registration->command));
}

/* From registering to the end of the session and of the COMMAND, or until we have waited enough. */
static void follow(struct registration *registration)
{
    for (;;) {
        drain(registration);
        heed_timer(registration);
        heed_signals(registration);
        cli_held_role_heed_time(&registration->role, registration->session, &registration->command);
        heed_not_forced(registration);
        tend_command(registration);
        if (is_over(registration)) {
            return;
        }
        wait_for_change(registration);
    }
}

/* Frees the session; whatever it told on the way is still printed. */
static void close_session(struct registration *registration)
{
    const struct rollcall_bytes key = key_of(registration);
    const int64_t limit_ms = registration->leave_timeout_ms;
    drain(registration); /* a callback blocked by a full pipe could not return */
    const bool undone = !registration->ended && !registration->leaving;
    const int64_t undo_ms = limit_ms < HURRIED_MS ? limit_ms : HURRIED_MS;
    ROLLCALL_DROP(rollcall_session_close(registration->session, undone ? undo_ms : 0),
                  "it is closed; whether it was revoked, its last state tells");
    registration->session = NULL;
    drain(registration);
    if (!registration->ended && registration->registered) {
        ROLLCALL_DROP(rollcall_error_set(&registration->error, ROLLCALL_E_TIMEOUT,
                                         "etcd did not confirm in time that %.*s is revoked: it "
                                         "goes away by itself when its TTL is over",
                                         (int)key.size_bytes, key.data),
                      "it answers the status it was given");
    }
}

/* ---- the whole ---- */

/* Whoever supervises us must not take it for a COMMAND that was done: to start it again is right,
 * just as after a loss. */
static int fail_suspect(const struct registration *registration)
{
    struct rollcall_error error;
    if (registration->error.status != ROLLCALL_OK) {
        cli_notice("%s", registration->error.text); /* the revoke was not confirmed, as is likely */
    }
    rollcall_error_set(
        &error, ROLLCALL_E_UNAVAILABLE,
        "the session became SUSPECT, for etcd did not answer in time, so COMMAND was "
        "ended: start it again, or let --on-lost reregister do that");
    cli_output_fail(registration->output, &error);
    return CLI_EXIT_LOST;
}

/* The exit code of the session alone. */
static int result(const struct registration *registration)
{
    const bool failed = registration->ended && registration->error.status != ROLLCALL_OK;
    if (registration->given_up && !failed) {
        return fail_suspect(registration);
    }
    if (registration->not_forced.status != ROLLCALL_OK && !failed) {
        const int code = cli_output_fail(registration->output, &registration->not_forced);
        return code == CLI_EXIT_LOST ? CLI_EXIT_FAILED : code;
    }
    if (registration->error.status == ROLLCALL_OK) {
        return registration->registered || registration->output->failed ? CLI_EXIT_DONE
                                                                        : CLI_EXIT_INTERRUPTED;
    }
    const int code = cli_output_fail(registration->output, &registration->error);
    if (registration->ended && registration->state == ROLLCALL_SESSION_LOST) {
        return CLI_EXIT_LOST;
    }
    /* It was reached, but did not confirm the revoke. */
    return code == CLI_EXIT_UNREACHABLE && registration->state != ROLLCALL_SESSION_FAILED
               ? CLI_EXIT_FAILED
               : code;
}

static enum rollcall_status run(const struct cli_options *options,
                                struct registration *registration, struct rollcall_error *error)
{
    struct cli_connection connection;
    enum rollcall_status status = cli_connect(options, &connection, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall_session_options what = cli_session_options(options);
    what.on_event = cli_session_pipe_event;
    what.user = &registration->pipe;
    registration->etcd = connection.etcd;
    const struct rollcall_election_options election =
        *ROLLCALL_ELECTION_OPTIONS(.on_role = cli_session_pipe_role, .user = &registration->pipe);
    what.election = registration->role.stands ? &election : NULL;
    status = rollcall_session_start(connection.etcd, &what, &registration->session, error);
    if (status == ROLLCALL_OK) {
        follow(registration);
        close_session(registration);
    }
    cli_disconnect(&connection);
    return status;
}

static int register_session(const struct cli_options *options, struct cli_output *output)
{
    struct registration registration = {.output = output,
                                        .pipe = CLI_SESSION_PIPE_NONE,
                                        .on_lost = options->on_lost,
                                        .timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC),
                                        .leave_timeout_ms = options->call_timeout_ms};
    struct rollcall_error error = {0};
    enum rollcall_status status;
    cli_held_command_init(&registration.command, options->child, options->on_lost);
    if (!cli_held_role_init(&registration.role, options) || registration.timer < 0 ||
        !cli_session_pipe_open(&registration.pipe)) {
        status = rollcall_error_set(&error, ROLLCALL_E_SYSTEM,
                                    "no file descriptors: %s; check the limits (ulimit -n)",
                                    strerror(errno));
    } else {
        if (registration.role.stands) {
            cli_held_command_guard(&registration.command, options->grace_ms, output->json);
        }
        status = run(options, &registration, &error);
    }
    const int command_code = registration.command.child.exit_code;
    cli_text_fini(&registration.key);
    cli_held_command_fini(&registration.command);
    cli_held_role_fini(&registration.role);
    cli_session_pipe_close(&registration.pipe);
    close(registration.timer);
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_output_fail(output, &error);
    }
    const int code = result(&registration);
    return command_code != CLI_EXIT_DONE ? command_code : code;
}

int cli_register(const struct cli_options *options, struct cli_output *output)
{
    return options->dry_run ? cli_print_plan(options, output) : register_session(options, output);
}
