/*
 * `rollcall demo`: a tour on a private etcd.
 *
 * Every step waits for what it shows, with a deadline; the pauses are only for reading.  Whatever
 * happens, the end of cli_demo removes all that was made.
 */
#include "cli/commands.h"

#include "cli/demo_etcd.h"
#include "cli/demo_stage.h"
#include "cli/session_view.h"

#include <stdio.h>

enum { READING_PAUSE_MS = 1500, LIST_WITHIN_MS = 20000, LEAVER = 1, FIRST = 0, SECOND = 1 };

struct demo {
    struct cli_output *output;
    struct cli_options options; /* of the private etcd, not the user's */
    struct cli_demo_etcd etcd;
    struct cli_demo_stage stage;
    bool on_stage; /* stage was opened: it is to be closed */
    int64_t token; /* of the first coordinator that acted */
    struct rollcall_error error;
};

typedef enum rollcall_status demo_step_fn(struct demo *demo);

static void say(struct demo *demo, const char *text)
{
    cli_text_format(&demo->output->text, "   %s\n", text);
    cli_output_flush(demo->output);
}

static bool every_node_is(const struct cli_demo_stage *stage, enum rollcall_session_state state)
{
    for (int i = 0; i < CLI_DEMO_NODES; i++) {
        if (stage->nodes[i].state != state) {
            return false;
        }
    }
    return true;
}

static bool is_acting(const struct cli_demo_coordinator *coordinator)
{
    return coordinator->stands && coordinator->role == ROLLCALL_ROLE_ACTIVE;
}

static bool first_acts(const struct cli_demo_stage *stage)
{
    return is_acting(&stage->coordinators[FIRST]);
}

static bool second_stands_by(const struct cli_demo_stage *stage)
{
    return stage->coordinators[SECOND].stands;
}

static bool second_acts(const struct cli_demo_stage *stage)
{
    return is_acting(&stage->coordinators[SECOND]);
}

static bool all_active(const struct cli_demo_stage *stage)
{
    return every_node_is(stage, ROLLCALL_SESSION_ACTIVE) && first_acts(stage) &&
           !stage->coordinators[SECOND].suspect;
}

/* And nobody acts. */
static bool all_suspect(const struct cli_demo_stage *stage)
{
    return every_node_is(stage, ROLLCALL_SESSION_SUSPECT) && !first_acts(stage) &&
           stage->coordinators[SECOND].suspect;
}

static bool all_watched(const struct cli_demo_stage *stage)
{
    bool watched = stage->watching;
    for (int i = 0; i < CLI_DEMO_NODES; i++) {
        watched = watched && stage->nodes[i].watched;
    }
    return watched;
}

static bool is_watching(const struct cli_demo_stage *stage)
{
    return stage->watching;
}

static bool started_are_active(const struct cli_demo_stage *stage)
{
    for (int i = 0; i < CLI_DEMO_NODES && stage->nodes[i].session != NULL; i++) {
        if (stage->nodes[i].state != ROLLCALL_SESSION_ACTIVE) {
            return false;
        }
    }
    return true;
}

static bool is_gone(const struct cli_demo_node *node)
{
    return node->state == ROLLCALL_SESSION_STOPPED && node->seen_stopping && node->seen_gone;
}

static bool leaver_is_gone(const struct cli_demo_stage *stage)
{
    return is_gone(&stage->nodes[LEAVER]);
}

static bool all_are_gone(const struct cli_demo_stage *stage)
{
    for (int i = 0; i < CLI_DEMO_NODES; i++) {
        if (!is_gone(&stage->nodes[i])) {
            return false;
        }
    }
    return stage->coordinators[SECOND].out < 0;
}

static enum rollcall_status start_etcd(struct demo *demo)
{
    enum rollcall_status status = cli_demo_etcd_create(&demo->etcd, &demo->error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    cli_text_format(&demo->output->text, "   It listens on %s and keeps its data in %s\n",
                    demo->etcd.endpoint, demo->etcd.directory);
    cli_output_flush(demo->output);
    demo->options.endpoints = demo->etcd.endpoint;
    demo->on_stage = true;
    return cli_demo_stage_open(&demo->stage, demo->output, &demo->options, &demo->error);
}

static enum rollcall_status start_watcher(struct demo *demo)
{
    const enum rollcall_status status = cli_demo_stage_watch(&demo->stage, &demo->error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    say(demo, "Nobody is there yet.");
    return cli_demo_stage_await(&demo->stage, is_watching, "the watcher's snapshot", &demo->error);
}

/* One after the other, so that their IDs are in order. */
static enum rollcall_status register_nodes(struct demo *demo)
{
    enum rollcall_status status = ROLLCALL_OK;
    for (int i = 0; i < CLI_DEMO_NODES && status == ROLLCALL_OK; i++) {
        status = cli_demo_stage_register(&demo->stage, i, &demo->error);
        if (status == ROLLCALL_OK) {
            status = cli_demo_stage_await(&demo->stage, started_are_active, "the node is ACTIVE",
                                          &demo->error);
        }
    }
    return status == ROLLCALL_OK
               ? cli_demo_stage_await(&demo->stage, all_watched, "the watcher sees three nodes",
                                      &demo->error)
               : status;
}

struct listing {
    struct cli_table table;
    int count;
};

static void on_listed(void *user, const struct rollcall_watch_event *event)
{
    struct listing *listing = user;
    if (event->type == ROLLCALL_WATCH_SESSION) {
        cli_session_row(&listing->table, event);
        listing->count++;
    }
}

static enum rollcall_status list_nodes(struct demo *demo, int wanted)
{
    struct listing listing = {.table = {.columns = CLI_SESSION_COLUMNS}};
    struct cli_options options = demo->options;
    options.role = "querynode";
    const struct rollcall_watch_options what = cli_watch_options(&options, on_listed, &listing);
    cli_session_header(&listing.table);
    enum rollcall_status status =
        rollcall_list(demo->stage.connection.etcd, &what, LIST_WITHIN_MS, &demo->error);
    if (status == ROLLCALL_OK) {
        cli_table_print(&listing.table, &demo->output->text);
        cli_output_flush(demo->output);
        if (listing.count != wanted) {
            status = rollcall_error_set(&demo->error, ROLLCALL_E_LEASE_LOST,
                                        "%d sessions are listed, not %d", listing.count, wanted);
        }
    }
    cli_table_fini(&listing.table);
    return status;
}

static enum rollcall_status list_all(struct demo *demo)
{
    return list_nodes(demo, CLI_DEMO_NODES);
}

static enum rollcall_status start_coordinators(struct demo *demo)
{
    say(demo, "Two processes, `rollcall register rootcoord --standby`: one acts, with a token.");
    enum rollcall_status status =
        cli_demo_stage_coordinate(&demo->stage, FIRST, demo->etcd.endpoint, &demo->error);
    if (status == ROLLCALL_OK) {
        status = cli_demo_stage_await(&demo->stage, first_acts, "the first coordinator is ACTIVE",
                                      &demo->error);
    }
    if (status == ROLLCALL_OK) {
        demo->token = demo->stage.coordinators[FIRST].token;
        status = cli_demo_stage_coordinate(&demo->stage, SECOND, demo->etcd.endpoint, &demo->error);
    }
    return status == ROLLCALL_OK
               ? cli_demo_stage_await(&demo->stage, second_stands_by,
                                      "the second coordinator is STANDBY", &demo->error)
               : status;
}

static enum rollcall_status check_token(struct demo *demo, bool is_right, const char *wrong)
{
    return is_right ? ROLLCALL_OK
                    : rollcall_error_set(&demo->error, ROLLCALL_E_LEASE_LOST, "%s", wrong);
}

static enum rollcall_status kill_etcd(struct demo *demo)
{
    cli_demo_etcd_kill(&demo->etcd);
    say(demo, "SIGKILL.  No lease can be renewed; before one could end, its node is SUSPECT:");
    return cli_demo_stage_await(&demo->stage, all_suspect,
                                "three nodes SUSPECT, and no coordinator ACTIVE", &demo->error);
}

static enum rollcall_status restart_etcd(struct demo *demo)
{
    say(demo, "The same data, the same port.  The leases are still there, and are renewed:");
    enum rollcall_status status = cli_demo_etcd_restart(&demo->etcd, &demo->error);
    status = status == ROLLCALL_OK
                 ? cli_demo_stage_await(&demo->stage, all_active,
                                        "three nodes and a coordinator ACTIVE again", &demo->error)
                 : status;
    if (status == ROLLCALL_OK) {
        status = check_token(demo, demo->stage.coordinators[FIRST].token == demo->token,
                             "the coordinator that kept its role has another token");
    }
    return status == ROLLCALL_OK ? list_all(demo) : status;
}

static enum rollcall_status stop_node(struct demo *demo)
{
    say(demo, "First the record says Stopping, so that others send it nothing new; then it goes:");
    rollcall_session_stop(demo->stage.nodes[LEAVER].session);
    const enum rollcall_status status = cli_demo_stage_await(
        &demo->stage, leaver_is_gone, "the watcher sees the node leave", &demo->error);
    return status == ROLLCALL_OK ? list_nodes(demo, CLI_DEMO_NODES - 1) : status;
}

static enum rollcall_status kill_coordinator(struct demo *demo)
{
    say(demo, "SIGKILL.  Its session ends with its TTL, 5 s; a higher token is the next one's:");
    cli_demo_coordinator_kill(&demo->stage.coordinators[FIRST]);
    const enum rollcall_status status = cli_demo_stage_await(
        &demo->stage, second_acts, "the second coordinator is ACTIVE", &demo->error);
    return status == ROLLCALL_OK
               ? check_token(demo, demo->stage.coordinators[SECOND].token > demo->token,
                             "the coordinator that took over has no higher token")
               : status;
}

static enum rollcall_status stop_all(struct demo *demo)
{
    demo->stage.coordinators_may_end = true;
    cli_demo_coordinator_stop(&demo->stage.coordinators[SECOND]);
    for (int i = 0; i < CLI_DEMO_NODES; i++) {
        rollcall_session_stop(demo->stage.nodes[i].session); /* the one that left ignores it */
    }
    return cli_demo_stage_await(&demo->stage, all_are_gone, "all have left, as the watcher sees",
                                &demo->error);
}

static const struct {
    const char *title;
    demo_step_fn *run;
} STEPS[] = {
    {"A private etcd starts", start_etcd},
    {"A watcher for the role querynode", start_watcher},
    {"Three query nodes register", register_nodes},
    {"Who is there?  rollcall list querynode", list_all},
    {"An active and a standby coordinator", start_coordinators},
    {"etcd is killed", kill_etcd},
    {"etcd is restarted: no session was lost", restart_etcd},
    {"One node leaves gracefully", stop_node},
    {"The active coordinator is killed: the standby takes over", kill_coordinator},
    {"The others leave as well", stop_all},
};
enum { STEP_COUNT = sizeof STEPS / sizeof STEPS[0] };

static void show_title(struct demo *demo, int step)
{
    const bool colour = demo->output->colour;
    cli_text_format(&demo->output->text, "\n%s%d. %s%s\n", colour ? "\033[1m" : "", step + 1,
                    STEPS[step].title, colour ? "\033[0m" : "");
    cli_output_flush(demo->output);
}

/* Returns how many steps were done: STEP_COUNT, or the number of the one that failed. */
static int run_steps(struct demo *demo, bool fast)
{
    for (int step = 0; step < STEP_COUNT; step++) {
        show_title(demo, step);
        enum rollcall_status status = STEPS[step].run(demo);
        if (status == ROLLCALL_OK) {
            status = cli_demo_stage_pause(&demo->stage, fast ? 0 : READING_PAUSE_MS, &demo->error);
        }
        if (status != ROLLCALL_OK) {
            demo->error.status = status;
            return step;
        }
    }
    return STEP_COUNT;
}

static void say_goodbye(struct demo *demo)
{
    cli_text_string(&demo->output->text,
                    "\nDone; everything it made is removed.  Try next, with an etcd of your own:\n"
                    "   rollcall register querynode --address 127.0.0.1:21123\n"
                    "   rollcall list\n"
                    "   rollcall watch querynode\n"
                    "   rollcall register scheduler --standby --address 127.0.0.1 -- sleep 1000\n"
                    "   rollcall --help\n");
    cli_output_flush(demo->output);
}

static int fail(struct demo *demo, int step)
{
    if (demo->error.status == ROLLCALL_E_STOPPED) {
        return demo->output->closed ? CLI_EXIT_DONE : CLI_EXIT_INTERRUPTED;
    }
    struct rollcall_error error;
    ROLLCALL_DROP(rollcall_error_set(&error, demo->error.status, "demo step %d (%s) failed: %s",
                                     step + 1, STEPS[step].title, demo->error.text),
                  "reported in the next line");
    cli_output_fail(demo->output, &error);
    return CLI_EXIT_FAILED;
}

int cli_demo(const struct cli_options *options, struct cli_output *output)
{
    struct demo demo = {.output = output,
                        .options = {.dial_timeout_ms = options->dial_timeout_ms,
                                    .call_timeout_ms = options->call_timeout_ms,
                                    .log_level = options->log_level}};
    cli_text_string(&output->text, "rollcall demo: be a member, and see the members.\n");
    cli_output_flush(output);
    const int done = run_steps(&demo, options->fast);
    if (demo.on_stage) {
        cli_demo_stage_close(&demo.stage);
    }
    cli_demo_etcd_destroy(&demo.etcd);
    if (done < STEP_COUNT) {
        return fail(&demo, done);
    }
    say_goodbye(&demo);
    return CLI_EXIT_DONE;
}
