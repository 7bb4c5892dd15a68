/* `rollcall list`: the sessions now, and nothing kept running. */
#include "cli/commands.h"

#include "cli/connection.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/session_view.h"

struct listing {
    struct cli_output *output;
    struct cli_table table;
    uint64_t skipped;
};

static void end_json(struct cli_text *text, const struct rollcall_watch_event *event)
{
    cli_json_begin(text, "end");
    cli_json_integer(text, "at_ms", event->at_ms);
    cli_json_integer(text, "revision", event->revision);
    cli_json_count(text, "count", event->count);
    cli_json_count(text, "skipped", event->skipped);
    cli_json_end(text);
}

/* On the thread of rollcall_list.  A table is written at its end, when its widths are known. */
static void on_event(void *user, const struct rollcall_watch_event *event)
{
    struct listing *listing = user;
    struct cli_output *output = listing->output;
    if (event->type == ROLLCALL_WATCH_SESSION) {
        if (output->json) {
            cli_session_json(&output->text, "session", event);
            cli_output_flush(output);
        } else {
            cli_session_row(&listing->table, event);
        }
    } else if (event->type == ROLLCALL_WATCH_SNAPSHOT_END) {
        listing->skipped = event->skipped;
        if (output->json) {
            end_json(&output->text, event);
        } else {
            cli_table_print(&listing->table, &output->text);
        }
        cli_output_flush(output);
    }
}

int cli_list(const struct cli_options *options, struct cli_output *output)
{
    struct listing listing = {.output = output, .table = {.columns = CLI_SESSION_COLUMNS}};
    struct cli_connection connection;
    struct rollcall_error error = {0};
    cli_interrupt_exits(); /* there is nothing to undo */
    enum rollcall_status status = cli_connect(options, &connection, &error);
    if (status == ROLLCALL_OK) {
        const struct rollcall_watch_options what = cli_watch_options(options, on_event, &listing);
        cli_session_header(&listing.table);
        status = rollcall_list(connection.etcd, &what, options->call_timeout_ms, &error);
        cli_disconnect(&connection);
    }
    cli_table_fini(&listing.table);
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_output_fail(output, &error);
    }
    if (listing.skipped > 0) {
        cli_notice("keys that hold no session record, not shown: %llu",
                   (unsigned long long)listing.skipped);
    }
    return CLI_EXIT_DONE;
}
