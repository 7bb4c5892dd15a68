/*
 * `rollcall watch`: a snapshot, then events.
 *
 * The callback writes on the runtime's thread and waits for a slow reader there; what changes in
 * the meantime, the library tells afterwards or repairs by a resync.  The main thread only waits
 * for an end: the callback's (the `ended` pipe), a signal, or a reader of stdout gone.
 */
#include "cli/commands.h"

#include "cli/connection.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/session_view.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

struct watching {
    struct cli_output *output; /* the callback's until the watch is closed, as is all below */
    struct cli_table table;
    int64_t count, count_max; /* count_max 0: no limit */
    bool running;             /* etcd has answered */
    bool has_ended, failed;
    struct rollcall_error error; /* why, when failed */
    int ended[2];                /* a pipe: a byte when the watch is to end */
};

static void end(struct watching *watching)
{
    if (!watching->has_ended) {
        watching->has_ended = true;
        while (write(watching->ended[1], "", 1) < 0 && errno == EINTR) {
        }
    }
}

static void show_mark(struct watching *watching, const char *name,
                      const struct rollcall_watch_event *event)
{
    struct cli_text *text = &watching->output->text;
    if (!watching->output->json) {
        return; /* rows speak for themselves; a resync is a notice */
    }
    cli_json_begin(text, name);
    cli_json_integer(text, "at_ms", event->at_ms);
    if (event->type == ROLLCALL_WATCH_RESYNC_BEGIN) {
        cli_json_string(text, "reason", cli_bytes(event->reason));
    } else {
        cli_json_integer(text, "revision", event->revision);
    }
    cli_json_end(text);
}

static void show_session(struct watching *watching, const char *name,
                         const struct rollcall_watch_event *event)
{
    struct cli_text *text = &watching->output->text;
    if (watching->output->json) {
        cli_session_json(text, name, event);
        return;
    }
    cli_table_cell(&watching->table, cli_bytes(name));
    cli_session_row(&watching->table, event);
    if (event->type != ROLLCALL_WATCH_SESSION) {
        cli_table_print(&watching->table, text); /* the snapshot is printed, aligned, at its end */
    }
}

static void end_snapshot(struct watching *watching, const struct rollcall_watch_event *event)
{
    if (!watching->output->json) {
        cli_table_print(&watching->table, &watching->output->text);
    }
    show_mark(watching, "snapshot_end", event);
    if (event->skipped > 0) {
        cli_notice("keys that hold no session record, not shown: %llu",
                   (unsigned long long)event->skipped);
    }
}

static void begin_resync(struct watching *watching, const struct rollcall_watch_event *event)
{
    show_mark(watching, "resync_begin", event);
    if (!watching->output->json) {
        cli_notice("some changes were missed (%s): what follows is the difference", event->reason);
    }
}

static void fail(struct watching *watching, const struct rollcall_watch_event *event)
{
    watching->failed = true;
    ROLLCALL_DROP(rollcall_error_set(&watching->error, event->status, "%s", event->reason),
                  "it answers the status it was given");
    end(watching);
}

static void show(struct watching *watching, const struct rollcall_watch_event *event)
{
    switch (event->type) {
    case ROLLCALL_WATCH_SNAPSHOT_BEGIN:
        show_mark(watching, "snapshot_begin", event);
        break;
    case ROLLCALL_WATCH_SESSION:
        show_session(watching, "session", event);
        break;
    case ROLLCALL_WATCH_SNAPSHOT_END:
        end_snapshot(watching, event);
        break;
    case ROLLCALL_WATCH_ADD:
        show_session(watching, "add", event);
        break;
    case ROLLCALL_WATCH_UPDATE:
        show_session(watching, "update", event);
        break;
    case ROLLCALL_WATCH_DELETE:
        show_session(watching, "delete", event);
        break;
    case ROLLCALL_WATCH_RESYNC_BEGIN:
        begin_resync(watching, event);
        break;
    case ROLLCALL_WATCH_RESYNC_END:
        show_mark(watching, "resync_end", event);
        break;
    case ROLLCALL_WATCH_FAILED:
        fail(watching, event);
        break;
    }
}

static bool is_change(enum rollcall_watch_event_type type)
{
    return type == ROLLCALL_WATCH_ADD || type == ROLLCALL_WATCH_UPDATE ||
           type == ROLLCALL_WATCH_DELETE;
}

/* On a runtime thread.  After the end it stays silent: N events are N events. */
static void on_event(void *user, const struct rollcall_watch_event *event)
{
    struct watching *watching = user;
    if (watching->has_ended) {
        return;
    }
    watching->running = watching->running || event->type != ROLLCALL_WATCH_FAILED;
    show(watching, event);
    if (!cli_output_flush(watching->output)) {
        end(watching);
    }
    if (is_change(event->type) && ++watching->count == watching->count_max) {
        end(watching);
    }
}

static void wait_for_end(const struct watching *watching)
{
    struct pollfd fds[] = {{.fd = watching->ended[0], .events = POLLIN},
                           {.fd = cli_interrupt_fd(), .events = POLLIN},
                           {.fd = STDOUT_FILENO}}; /* no events: only whether its reader is gone */
    int ready;
    do {
        ready = poll(fds, 3, -1);
    } while (ready < 0 && errno == EINTR);
}

static int result(const struct watching *watching)
{
    if (watching->failed) {
        const int code = cli_output_fail(watching->output, &watching->error);
        return code == CLI_EXIT_UNREACHABLE && watching->running ? CLI_EXIT_FAILED : code;
    }
    if (watching->has_ended) {
        return CLI_EXIT_DONE; /* but if stdout has failed, main makes that a failure */
    }
    if (!cli_interrupted()) {
        cli_output_has_reader(watching->output); /* it has none, says so, and has failed */
        return CLI_EXIT_DONE;
    }
    return watching->running ? CLI_EXIT_DONE : CLI_EXIT_INTERRUPTED;
}

static enum rollcall_status watch(const struct cli_options *options, struct watching *watching,
                                  struct rollcall_error *error)
{
    struct cli_connection connection;
    enum rollcall_status status = cli_connect(options, &connection, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    const struct rollcall_watch_options what = cli_watch_options(options, on_event, watching);
    struct rollcall_watch *handle = NULL;
    status = rollcall_watch_open(connection.etcd, &what, &handle, error);
    if (status == ROLLCALL_OK) {
        wait_for_end(watching);
        ROLLCALL_DROP(rollcall_watch_close(handle), "this is no callback");
    }
    cli_disconnect(&connection);
    return status;
}

int cli_watch(const struct cli_options *options, struct cli_output *output)
{
    struct watching watching = {
        .output = output,
        .table = {.columns = CLI_SESSION_COLUMNS + 1, .widths = {7, 34, 4, 10, 20, 7, 8, 16}},
        .count_max = options->count,
        .running = options->from_revision != 0};
    struct rollcall_error error = {0};
    if (pipe2(watching.ended, O_CLOEXEC) != 0) {
        ROLLCALL_DROP(rollcall_error_set(&error, ROLLCALL_E_SYSTEM, "no pipe: %s", strerror(errno)),
                      "reported in the next line");
        return cli_output_fail(output, &error);
    }
    cli_table_cell(&watching.table, cli_bytes("EVENT"));
    cli_session_header(&watching.table);
    const enum rollcall_status status = watch(options, &watching, &error);
    cli_table_fini(&watching.table);
    close(watching.ended[0]);
    close(watching.ended[1]);
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_output_fail(output, &error);
    }
    return result(&watching);
}
