/*
 * `rollcall register`: one session, from registering to its end.
 *
 * The callback copies every state into a pipe, whole (a write of at most PIPE_BUF bytes is), so
 * none is lost and the main thread prints them in order.  The main thread sleeps in poll() until a
 * state, a signal, or a reader of stdout gone.  After the first signal it asks the session to leave
 * and waits for STOPPED, as long as one request may take in all (--timeout); after the second it
 * grants the revoke only a moment more.
 */
#include "cli/commands.h"

#include "cli/connection.h"
#include "cli/interrupt.h"
#include "cli/json.h"

#include <rollcall/session.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { HURRIED_REVOKE_MS = 500, REASON_MAX_BYTES = 512 };

/* A session event as it travels through the pipe; info.key is not to be followed. */
struct state_event {
    struct rollcall_session_info info;
    enum rollcall_session_state state;
    enum rollcall_status status;
    int64_t at_ms;
    char reason[REASON_MAX_BYTES];
};
_Static_assert(sizeof(struct state_event) <= PIPE_BUF, "a pipe takes it whole");

struct registration {
    struct cli_output *output;
    struct rollcall_session *session;
    struct cli_text key;
    int events[2]; /* a pipe of struct state_event */
    int timer;     /* a timerfd, armed when it is asked to leave: readable when it is too late */
    int64_t leave_timeout_ms;
    bool registered;             /* it has been ACTIVE once */
    bool suspect;                /* and said so on stderr */
    bool stopping;               /* we asked it to leave */
    bool ended;                  /* LOST, STOPPED or FAILED has come */
    struct rollcall_error error; /* why it ended; status OK: as asked */
};

/* On a runtime thread.  Blocks when hundreds of states wait to be printed. */
static void on_event(void *user, const struct rollcall_session_event *event)
{
    const struct registration *registration = user;
    struct state_event copy = {
        .info = event->info, .state = event->state, .status = event->status, .at_ms = event->at_ms};
    snprintf(copy.reason, sizeof copy.reason, "%s", event->reason == NULL ? "" : event->reason);
    while (write(registration->events[1], &copy, sizeof copy) < 0 && errno == EINTR) {
    }
}

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

static void show_registered(struct registration *registration, const struct state_event *event)
{
    struct cli_text *text = &registration->output->text;
    const struct rollcall_bytes key = key_of(registration);
    if (!registration->output->json) {
        cli_text_string(text, "registered ");
        cli_text_printable(text, key);
        cli_text_format(text,
                        " as server %" PRId64 ", lease %" PRIx64 ", TTL %" PRId64
                        " s, revision %" PRId64 "\n",
                        event->info.server_id, (uint64_t)event->info.lease_id, event->info.ttl_s,
                        event->info.revision);
        return;
    }
    cli_json_begin(text, "registered");
    cli_json_integer(text, "at_ms", event->at_ms);
    cli_json_string(text, "key", key);
    cli_json_integer(text, "server_id", event->info.server_id);
    cli_json_integer(text, "lease_id", event->info.lease_id);
    cli_json_integer(text, "ttl_s", event->info.ttl_s);
    cli_json_integer(text, "revision", event->info.revision);
    cli_json_integer(text, "create_revision", event->info.create_revision);
    cli_json_end(text);
}

/* What was never registered has no states to tell: it failed, or was interrupted. */
static void show_state(struct registration *registration, const struct state_event *event)
{
    if (!registration->registered) {
        return;
    }
    struct cli_text *text = &registration->output->text;
    const char *name = rollcall_session_state_name(event->state);
    if (registration->output->json) {
        cli_json_begin(text, "state");
        cli_json_integer(text, "at_ms", event->at_ms);
        cli_json_string(text, "state", cli_bytes(name));
        cli_json_string(text, "reason", cli_bytes(event->reason));
        cli_json_end(text);
        return;
    }
    cli_text_string(text, name);
    if (event->reason[0] != '\0') {
        cli_text_string(text, ": ");
        cli_text_printable(text, cli_bytes(event->reason));
    }
    cli_text_string(text, "\n");
}

static void say_suspect(struct registration *registration, const struct state_event *event)
{
    if (registration->suspect != (event->state == ROLLCALL_SESSION_SUSPECT)) {
        registration->suspect = !registration->suspect;
        const struct rollcall_bytes key = key_of(registration);
        cli_notice(registration->suspect
                       ? "etcd does not answer: do not act as the owner of %.*s until ACTIVE"
                       : "etcd answers again: %.*s was kept",
                   (int)key.size_bytes, key.data);
    }
}

static void end(struct registration *registration, enum rollcall_status status, const char *reason)
{
    registration->ended = true;
    registration->error.status = status;
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall_error_set(&registration->error, status, "%s", reason),
                      "it answers the status it was given");
    }
}

static void on_lost(struct registration *registration, const struct state_event *event)
{
    char text[REASON_MAX_BYTES + 64];
    snprintf(text, sizeof text, "session lost: %s; register again to get a new one",
             event->reason[0] != '\0' ? event->reason : "its lease is gone");
    show_state(registration, event);
    end(registration, ROLLCALL_E_LEASE_LOST, text);
}

static void on_state(struct registration *registration, const struct state_event *event)
{
    switch (event->state) {
    case ROLLCALL_SESSION_REGISTERING:
        break;
    case ROLLCALL_SESSION_ACTIVE:
        if (!registration->registered) {
            registration->registered = true;
            show_registered(registration, event);
        }
        say_suspect(registration, event);
        show_state(registration, event);
        break;
    case ROLLCALL_SESSION_SUSPECT:
        say_suspect(registration, event);
        show_state(registration, event);
        break;
    case ROLLCALL_SESSION_LOST:
        on_lost(registration, event);
        break;
    case ROLLCALL_SESSION_STOPPING:
        show_state(registration, event);
        break;
    case ROLLCALL_SESSION_STOPPED:
        show_state(registration, event);
        end(registration, event->status, event->reason);
        break;
    case ROLLCALL_SESSION_FAILED:
        end(registration, event->status, event->reason);
        break;
    }
    cli_output_flush(registration->output);
}

/* Handles every state that waits; never blocks. */
static void drain(struct registration *registration)
{
    struct state_event event;
    struct pollfd fd = {.fd = registration->events[0], .events = POLLIN};
    while (!registration->ended && poll(&fd, 1, 0) == 1) {
        if (read(fd.fd, &event, sizeof event) == (ssize_t)sizeof event) {
            on_state(registration, &event);
        }
    }
}

/* Sleeps until something happens; false when the time for leaving is over, or a second signal
 * asks to hurry. */
static bool wait_for_change(const struct registration *registration)
{
    const bool stopping = registration->stopping;
    struct pollfd fds[] = {
        {.fd = registration->events[0], .events = POLLIN},
        {.fd = stopping ? cli_interrupt_again_fd() : cli_interrupt_fd(), .events = POLLIN},
        {.fd = registration->timer, .events = POLLIN}, /* silent until armed */
        {.fd = stopping ? -1 : STDOUT_FILENO}}; /* no events: only whether its reader is gone */
    poll(fds, 4, -1);
    return !stopping || (fds[1].revents == 0 && fds[2].revents == 0);
}

static bool must_leave(const struct registration *registration)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};
    return cli_interrupted() || registration->output->closed || poll(&reader, 1, 0) == 1;
}

static void arm_timer(const struct registration *registration)
{
    const int64_t time_ms = registration->leave_timeout_ms;
    const struct itimerspec after = {
        .it_value = {.tv_sec = time_ms / 1000, .tv_nsec = time_ms % 1000 * 1000000}};
    timerfd_settime(registration->timer, 0, &after, NULL);
}

/* How much longer leaving may take. */
static int64_t time_left_ms(const struct registration *registration)
{
    struct itimerspec left = {0};
    if (!registration->stopping) {
        return registration->leave_timeout_ms;
    }
    timerfd_gettime(registration->timer, &left); /* 0 once it has gone off */
    return (int64_t)left.it_value.tv_sec * 1000 + left.it_value.tv_nsec / 1000000;
}

/* Asks the session to leave, when it must; false when there is none yet to leave. */
static bool leave_if_asked(struct registration *registration)
{
    if (registration->stopping || !must_leave(registration)) {
        return true;
    }
    if (registration->registered) {
        registration->stopping = true;
        arm_timer(registration);
        rollcall_session_stop(registration->session);
    }
    return registration->registered;
}

/* From registering to the end of the session, or until we have waited enough for it. */
static void follow(struct registration *registration)
{
    bool goes_on = true;
    while (goes_on) {
        drain(registration);
        goes_on =
            !registration->ended && leave_if_asked(registration) && wait_for_change(registration);
    }
}

/* Frees the session; whatever it told on the way is still printed. */
static void close_session(struct registration *registration)
{
    const struct rollcall_bytes key = key_of(registration);
    drain(registration); /* a callback blocked by a full pipe could not return */
    const int64_t left_ms = time_left_ms(registration);
    const int64_t revoke_ms = left_ms < HURRIED_REVOKE_MS ? left_ms : HURRIED_REVOKE_MS;
    const int64_t timeout_ms = registration->ended ? 0 : revoke_ms;
    ROLLCALL_DROP(rollcall_session_close(registration->session, timeout_ms),
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

static int result(const struct registration *registration)
{
    if (registration->error.status != ROLLCALL_OK) {
        const int code = cli_output_fail(registration->output, &registration->error);
        return code == CLI_EXIT_UNREACHABLE && registration->registered ? CLI_EXIT_FAILED : code;
    }
    return registration->registered ? CLI_EXIT_DONE : CLI_EXIT_INTERRUPTED;
}

static struct rollcall_session_options session_options(const struct cli_options *options,
                                                       struct registration *registration)
{
    return *ROLLCALL_SESSION_OPTIONS(.root = options->root, .role = options->role,
                                     .address = options->address, .exclusive = options->exclusive,
                                     .ttl_s = options->ttl_s, .server_id = options->server_id,
                                     .version = options->version,
                                     .index_version_min = options->index_version_min,
                                     .index_version_current = options->index_version_current,
                                     .enable_disk = options->enable_disk,
                                     .trigger_kill = options->trigger_kill,
                                     .labels = options->label_count == 0 ? NULL : options->labels,
                                     .label_count = options->label_count,
                                     .retries = (uint32_t)options->retries,
                                     .connect_timeout_ms = cli_connect_timeout_ms(options),
                                     .on_event = on_event, .user = registration);
}

static enum rollcall_status run(const struct cli_options *options,
                                struct registration *registration, struct rollcall_error *error)
{
    struct cli_connection connection;
    enum rollcall_status status = cli_connect(options, &connection, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    const struct rollcall_session_options what = session_options(options, registration);
    status = rollcall_session_start(connection.etcd, &what, &registration->session, error);
    if (status == ROLLCALL_OK) {
        follow(registration);
        close_session(registration);
    }
    cli_disconnect(&connection);
    return status;
}

int cli_register(const struct cli_options *options, struct cli_output *output)
{
    struct registration registration = {.output = output,
                                        .events = {-1, -1},
                                        .timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC),
                                        .leave_timeout_ms = options->call_timeout_ms};
    struct rollcall_error error = {0};
    enum rollcall_status status;
    if (registration.timer < 0 || pipe2(registration.events, O_CLOEXEC) != 0) {
        status = rollcall_error_set(&error, ROLLCALL_E_SYSTEM,
                                    "no file descriptors: %s; check the limits (ulimit -n)",
                                    strerror(errno));
    } else {
        status = run(options, &registration, &error);
    }
    cli_text_fini(&registration.key);
    close(registration.events[0]);
    close(registration.events[1]);
    close(registration.timer);
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_output_fail(output, &error);
    }
    return result(&registration);
}
