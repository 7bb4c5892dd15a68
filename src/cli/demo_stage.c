#include "cli/demo_stage.h"

#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { STEP_WITHIN_MS = 60000, CONNECT_WITHIN_MS = 20000, WATCHER = -1 };

/* One thing a callback was told. */
struct told {
    int node; /* or WATCHER */
    enum rollcall_session_state state;
    enum rollcall_watch_event_type type;
    bool stopping;
    char key[CLI_DEMO_KEY_BYTES];
    char reason[CLI_DEMO_KEY_BYTES];
};
_Static_assert(sizeof(struct told) <= PIPE_BUF, "a pipe takes it whole");

static void tell(const struct cli_demo_stage *stage, const struct told *told)
{
    while (write(stage->told[1], told, sizeof *told) < 0 && errno == EINTR) {
    }
}

static void on_session_event(void *user, const struct rollcall_session_event *event)
{
    const struct cli_demo_node *node = user;
    struct told told = {.node = (int)(node - node->stage->nodes), .state = event->state};
    snprintf(told.key, sizeof told.key, "%s", event->info.key == NULL ? "" : event->info.key);
    snprintf(told.reason, sizeof told.reason, "%s", event->reason == NULL ? "" : event->reason);
    tell(node->stage, &told);
}

static void on_watch_event(void *user, const struct rollcall_watch_event *event)
{
    struct told told = {.node = WATCHER, .type = event->type};
    told.stopping = event->record != NULL && event->record->stopping;
    if (event->key.size_bytes > 0) {
        snprintf(told.key, sizeof told.key, "%.*s", (int)event->key.size_bytes, event->key.data);
    }
    snprintf(told.reason, sizeof told.reason, "%s", event->reason == NULL ? "" : event->reason);
    tell(user, &told);
}

static void fail(struct cli_demo_stage *stage, enum rollcall_status status, const char *who,
                 const struct told *told)
{
    if (!stage->failed) {
        stage->failed = true;
        ROLLCALL_DROP(
            rollcall_error_set(&stage->error, status, "%s: %s", who,
                               told->reason[0] == '\0' ? "no reason given" : told->reason),
            "it answers the status it was given");
    }
}

static void show(struct cli_demo_stage *stage, const char *who, const char *what, const char *more)
{
    struct cli_text *text = &stage->output->text;
    cli_text_format(text, "     %-10s", who);
    cli_text_string(text, what);
    if (more[0] != '\0') {
        cli_text_spaces(text, strlen(what) < 12 ? 12 - strlen(what) : 1);
        cli_text_printable(text, cli_bytes(more));
    }
    cli_text_string(text, "\n");
    cli_output_flush(stage->output);
}

static bool was_watched_early(const struct cli_demo_stage *stage, const char *key)
{
    for (int i = 0; i < stage->early_count; i++) {
        if (strcmp(stage->early_keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void on_node(struct cli_demo_stage *stage, const struct told *told)
{
    struct cli_demo_node *node = &stage->nodes[told->node];
    node->state = told->state;
    if (told->state == ROLLCALL_SESSION_ACTIVE && node->key[0] == '\0') {
        snprintf(node->key, sizeof node->key, "%s", told->key);
        node->watched = was_watched_early(stage, node->key);
        show(stage, node->name, "ACTIVE", node->key);
    } else if (told->state != ROLLCALL_SESSION_REGISTERING) {
        show(stage, node->name, rollcall_session_state_name(told->state), told->reason);
    }
    if (told->state == ROLLCALL_SESSION_LOST || told->state == ROLLCALL_SESSION_FAILED) {
        fail(stage, ROLLCALL_E_LEASE_LOST, node->name, told);
    }
}

static struct cli_demo_node *node_of(struct cli_demo_stage *stage, const char *key)
{
    for (int i = 0; i < CLI_DEMO_NODES; i++) {
        if (strcmp(stage->nodes[i].key, key) == 0) {
            return &stage->nodes[i];
        }
    }
    return NULL;
}

/* A change the watcher was told, or a session of its snapshot. */
static void on_change(struct cli_demo_stage *stage, const struct told *told, const char *what)
{
    struct cli_demo_node *node = node_of(stage, told->key);
    show(stage, "watcher", what, told->key);
    if (node == NULL) {
        if (stage->early_count < CLI_DEMO_NODES) {
            snprintf(stage->early_keys[stage->early_count++], CLI_DEMO_KEY_BYTES, "%s", told->key);
        }
        return;
    }
    node->watched = true;
    node->seen_stopping = node->seen_stopping || told->stopping;
    if (told->type == ROLLCALL_WATCH_DELETE) {
        node->seen_gone = true;
        if (!node->seen_stopping) {
            fail(stage, ROLLCALL_E_LEASE_LOST, "a key is gone that nobody asked to leave", told);
        }
    }
}

static void on_watcher(struct cli_demo_stage *stage, const struct told *told)
{
    switch (told->type) {
    case ROLLCALL_WATCH_SNAPSHOT_BEGIN:
        break;
    case ROLLCALL_WATCH_SESSION:
        on_change(stage, told, "session");
        break;
    case ROLLCALL_WATCH_SNAPSHOT_END:
        stage->watching = true;
        break;
    case ROLLCALL_WATCH_ADD:
        on_change(stage, told, "add");
        break;
    case ROLLCALL_WATCH_UPDATE:
        on_change(stage, told, told->stopping ? "stopping" : "update");
        break;
    case ROLLCALL_WATCH_DELETE:
        on_change(stage, told, "delete");
        break;
    case ROLLCALL_WATCH_RESYNC_BEGIN:
        show(stage, "watcher", "looks for what it missed", "");
        break;
    case ROLLCALL_WATCH_RESYNC_END:
        show(stage, "watcher", "is up to date", "");
        break;
    case ROLLCALL_WATCH_FAILED:
        fail(stage, ROLLCALL_E_UNAVAILABLE, "the watcher", told);
        break;
    }
}

static void listen_to(struct cli_demo_stage *stage, struct cli_demo_coordinator *coordinator)
{
    char what[CLI_DEMO_KEY_BYTES];
    while (cli_demo_coordinator_take(coordinator, what, sizeof what)) {
        if (what[0] != '\0') {
            show(stage, coordinator->name, what, "");
        }
    }
    if (coordinator->out < 0 && coordinator->pid != 0 && !stage->coordinators_may_end) {
        fail(stage, ROLLCALL_E_SYSTEM, coordinator->name,
             &(const struct told){.reason = "it has ended, and nobody asked it to"});
    }
}

/* Prints and sums up what was told so far; never blocks. */
static void listen_to_all(struct cli_demo_stage *stage)
{
    struct told told;
    struct pollfd fd = {.fd = stage->told[0], .events = POLLIN};
    while (poll(&fd, 1, 0) == 1 && read(fd.fd, &told, sizeof told) == (ssize_t)sizeof told) {
        if (told.node == WATCHER) {
            on_watcher(stage, &told);
        } else {
            on_node(stage, &told);
        }
    }
    for (int i = 0; i < CLI_DEMO_COORDINATORS; i++) {
        listen_to(stage, &stage->coordinators[i]);
    }
}

static void set_timer(const struct cli_demo_stage *stage, int64_t time_ms)
{
    const struct itimerspec after = {
        .it_value = {.tv_sec = time_ms / 1000, .tv_nsec = time_ms % 1000 * 1000000}};
    timerfd_settime(stage->timer, 0, &after, NULL);
}

/* Until is_met (NULL: never), or the timer: ROLLCALL_E_TIMEOUT. */
static enum rollcall_status wait_for(struct cli_demo_stage *stage, cli_demo_condition_fn *is_met,
                                     int64_t time_ms, struct rollcall_error *error)
{
    struct pollfd fds[] = {{.fd = stage->told[0], .events = POLLIN},
                           {.fd = stage->timer, .events = POLLIN},
                           {.fd = cli_interrupt_fd(), .events = POLLIN},
                           {.fd = STDOUT_FILENO}, /* no events: only whether its reader is gone */
                           {.fd = -1},
                           {.fd = -1}};
    _Static_assert(sizeof fds / sizeof fds[0] == 4 + CLI_DEMO_COORDINATORS, "one for each");
    set_timer(stage, time_ms);
    for (;;) {
        listen_to_all(stage);
        if (stage->failed) {
            *error = stage->error;
            return error->status;
        }
        if (is_met != NULL && is_met(stage)) {
            return ROLLCALL_OK;
        }
        if (fds[2].revents != 0 || fds[3].revents != 0) {
            return rollcall_error_set(error, ROLLCALL_E_STOPPED, "interrupted");
        }
        if (fds[1].revents != 0) {
            return rollcall_error_set(error, ROLLCALL_E_TIMEOUT, "nothing more happened");
        }
        for (int i = 0; i < CLI_DEMO_COORDINATORS; i++) {
            fds[4 + i] = (struct pollfd){.fd = stage->coordinators[i].out, .events = POLLIN};
        }
        if (poll(fds, sizeof fds / sizeof fds[0], -1) < 0 && errno != EINTR) {
            return rollcall_error_set(error, ROLLCALL_E_SYSTEM, "poll: %s", strerror(errno));
        }
    }
}

enum rollcall_status cli_demo_stage_await(struct cli_demo_stage *stage,
                                          cli_demo_condition_fn *is_met, const char *wanted,
                                          struct rollcall_error *error)
{
    const enum rollcall_status status = wait_for(stage, is_met, STEP_WITHIN_MS, error);
    return status == ROLLCALL_E_TIMEOUT
               ? rollcall_error_set(error, status, "after %d s still waiting for this: %s",
                                    STEP_WITHIN_MS / 1000, wanted)
               : status;
}

enum rollcall_status cli_demo_stage_pause(struct cli_demo_stage *stage, int64_t pause_ms,
                                          struct rollcall_error *error)
{
    if (pause_ms == 0) {
        return ROLLCALL_OK;
    }
    const enum rollcall_status status = wait_for(stage, NULL, pause_ms, error);
    return status == ROLLCALL_E_TIMEOUT ? ROLLCALL_OK : status;
}

enum rollcall_status cli_demo_stage_open(struct cli_demo_stage *stage, struct cli_output *output,
                                         const struct cli_options *options,
                                         struct rollcall_error *error)
{
    static const char *const names[CLI_DEMO_NODES] = {"node-a", "node-b", "node-c"};
    *stage = (struct cli_demo_stage){.output = output, .told = {-1, -1}};
    for (int i = 0; i < CLI_DEMO_NODES; i++) {
        stage->nodes[i] = (struct cli_demo_node){.stage = stage, .name = names[i]};
    }
    for (int i = 0; i < CLI_DEMO_COORDINATORS; i++) {
        stage->coordinators[i] =
            (struct cli_demo_coordinator){.name = i == 0 ? "coord-a" : "coord-b", .out = -1};
    }
    stage->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (stage->timer < 0 || pipe2(stage->told, O_CLOEXEC) != 0) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM, "no file descriptors: %s",
                                  strerror(errno));
    }
    return cli_connect(options, &stage->connection, error);
}

enum rollcall_status cli_demo_stage_register(struct cli_demo_stage *stage, int node,
                                             struct rollcall_error *error)
{
    char address[64];
    snprintf(address, sizeof address, "10.0.0.%d:21123", node + 1);
    return rollcall_session_start(
        stage->connection.etcd,
        ROLLCALL_SESSION_OPTIONS(.role = "querynode", .address = address, .ttl_s = CLI_DEMO_TTL_S,
                                 .host_name = stage->nodes[node].name,
                                 .connect_timeout_ms = CONNECT_WITHIN_MS,
                                 .on_event = on_session_event, .user = &stage->nodes[node]),
        &stage->nodes[node].session, error);
}

enum rollcall_status cli_demo_stage_coordinate(struct cli_demo_stage *stage, int coordinator,
                                               const char *endpoint, struct rollcall_error *error)
{
    char address[64];
    snprintf(address, sizeof address, "10.0.0.%d:53100", CLI_DEMO_NODES + coordinator + 1);
    return cli_demo_coordinator_start(&stage->coordinators[coordinator], endpoint, address,
                                      CLI_DEMO_TTL_S, error);
}

enum rollcall_status cli_demo_stage_watch(struct cli_demo_stage *stage,
                                          struct rollcall_error *error)
{
    return rollcall_watch_open(stage->connection.etcd,
                               ROLLCALL_WATCH_OPTIONS(.role = "querynode",
                                                      .connect_timeout_ms = CONNECT_WITHIN_MS,
                                                      .on_event = on_watch_event, .user = stage),
                               &stage->watch, error);
}

void cli_demo_stage_close(struct cli_demo_stage *stage)
{
    for (int i = 0; i < CLI_DEMO_NODES; i++) {
        listen_to_all(stage); /* a callback blocked by a full pipe could not return */
        if (stage->nodes[i].session != NULL) {
            ROLLCALL_DROP(rollcall_session_close(stage->nodes[i].session, 0), "see demo_stage.h");
            stage->nodes[i].session = NULL;
        }
    }
    listen_to_all(stage);
    for (int i = 0; i < CLI_DEMO_COORDINATORS; i++) {
        cli_demo_coordinator_kill(&stage->coordinators[i]);
    }
    if (stage->watch != NULL) {
        ROLLCALL_DROP(rollcall_watch_close(stage->watch), "this is no callback");
        stage->watch = NULL;
    }
    cli_disconnect(&stage->connection);
    if (stage->told[0] >= 0) {
        close(stage->told[0]);
        close(stage->told[1]);
    }
    if (stage->timer >= 0) {
        close(stage->timer);
    }
}
