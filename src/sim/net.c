#include "sim/net.h"

#include "base/assert.h"
#include "channel/channel.h"
#include "runtime/port.h"
#include "sim/net_internal.h"
#include "transport/request.h"

#include <stdlib.h>

enum {
    WEATHER_MS = 250,     /* how often faults have their chance when nothing else happens */
    SLOW_ONE_IN = 16,     /* of all messages: a few that take longer, without any fault */
    PROGRESS_ONE_IN = 16, /* times that there is weather: for each watch */
    DELAY_MAX_MS = 8000   /* longer than the deadline of a call */
};

/* ---- what is on its way ---- */

static void *need(void *memory)
{
    ROLLCALL_ASSERT(memory != NULL); /* a simulation without memory proves nothing */
    return memory;
}

static void hold(struct rollcall__net *net, const struct rollcall__flight *event)
{
    if (net->held_count == net->held_capacity) {
        net->held_capacity = net->held_capacity == 0 ? 16 : 2 * net->held_capacity;
        net->held = need(realloc(net->held, net->held_capacity * sizeof *net->held));
    }
    net->held[net->held_count++] = *event;
}

int64_t rollcall__net_latency_ms(struct rollcall__net *net)
{
    int64_t ms = 1 + (int64_t)rollcall__random_below(&net->random, 3);
    if (rollcall__random_below(&net->random, SLOW_ONE_IN) == 0) {
        ms += (int64_t)rollcall__random_below(&net->random, 40);
    }
    if (rollcall__fault(net->faults, ROLLCALL_FAULT_DELAY)) {
        ms += 1 + (int64_t)rollcall__fault_draw(net->faults, ROLLCALL_FAULT_DELAY, DELAY_MAX_MS);
    }
    return ms;
}

void rollcall__net_send(struct rollcall__net *net, struct rollcall__flight event, int64_t at_ms)
{
    event.at_ms = at_ms;
    event.generation = net->links[event.link].generations[event.member];
    event.sequence = 0; /* an answer is made of what it answers */
    rollcall__flights_push(&net->flights, event);
}

void rollcall__net_post(struct rollcall__net *net, struct rollcall_caller to, uint16_t type,
                        const void *payload, size_t size_bytes, struct rollcall_object *object)
{
    if (net->port == NULL) { /* closing: nobody hears any more */
        rollcall_object_drop(object);
        return;
    }
    rollcall__port_post(net->port, to, type, payload, size_bytes, object);
    (void)rollcall__port_flush(net->port);
}

static bool is_up(const struct rollcall__net *net, uint32_t member)
{
    return net->states[member] != ROLLCALL__MEMBER_DOWN;
}

/* ---- calls ---- */

void rollcall__net_ask(struct rollcall__net *net, uint32_t link, uint32_t member, uint64_t token,
                       const struct transport_request *request, uint64_t pass, int64_t timeout_ms)
{
    const int64_t now_ms = net->sim->now_ms;
    const int64_t at_ms = now_ms + rollcall__net_latency_ms(net);
    struct rollcall__flight event = {.link = link, .member = member, .token = token, .pass = pass};
    net->asks++;
    event.kind = ROLLCALL__FLIGHT_EXPIRED;
    rollcall__net_send(net, event, now_ms + timeout_ms);
    if (rollcall__fault(net->faults, ROLLCALL_FAULT_LOSE_REQUEST)) {
        return; /* the deadline is all that is heard of it */
    }
    event.kind = ROLLCALL__FLIGHT_ASK;
    if (request != NULL) {
        event.object = rollcall_object_keep((struct rollcall_object *)(uintptr_t)&request->object);
    }
    rollcall__net_send(net, event, at_ms);
}

static struct transport_result *refuse(const struct transport_request *request)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE, "the simulated etcd refuses connections");
    return transport_result_failed(request->kind, &error);
}

static struct transport_result *perform(struct rollcall__net *net,
                                        const struct rollcall__flight *event)
{
    const struct transport_request *request = (const struct transport_request *)event->object;
    const int64_t now_ms = net->sim->now_ms;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (request->kind != TRANSPORT_STATUS &&
        !rollcall__sim_auth_admits(&net->auth, event->member, event->pass, now_ms)) {
        rollcall__sim_auth_refuse(&error);
        return transport_result_failed(request->kind, &error);
    }
    struct transport_result *result =
        rollcall__model_perform(net->model, event->member, request, now_ms);
    if (rollcall__fault(net->faults, ROLLCALL_FAULT_REPEAT_REQUEST)) {
        rollcall_object_drop(&result->object); /* as a retry below us does it */
        result = rollcall__model_perform(net->model, event->member, request, now_ms);
    }
    return result;
}

/* One for a pass: it is written into etcd's log, so there must be a leader. */
static void admit(struct rollcall__net *net, const struct rollcall__flight *event)
{
    struct rollcall__flight answer = *event;
    const int64_t now_ms = net->sim->now_ms;
    if (net->auth.denies) {
        answer.status = ROLLCALL_E_DENIED;
    } else if (is_up(net, event->member) && rollcall__model_leader(net->model) >= 0 &&
               net->states[event->member] != ROLLCALL__MEMBER_ISOLATED) {
        answer.pass = rollcall__sim_auth_issue(&net->auth, now_ms);
    }
    answer.kind = ROLLCALL__FLIGHT_ADMITTED;
    rollcall__net_send(net, answer, now_ms + rollcall__net_latency_ms(net));
}

static void answer_ask(struct rollcall__net *net, const struct rollcall__flight *event)
{
    const bool up = is_up(net, event->member);
    const int64_t now_ms = net->sim->now_ms;
    struct transport_result *result =
        up ? perform(net, event) : refuse((const struct transport_request *)event->object);
    const int64_t at_ms = now_ms + (up ? rollcall__net_latency_ms(net) : ROLLCALL__NET_REFUSED_MS);
    if (up && rollcall__fault(net->faults, ROLLCALL_FAULT_LOSE_ANSWER)) {
        rollcall_object_drop(&result->object);
        return;
    }
    rollcall__net_send(net,
                       (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_ANSWER,
                                                 .link = event->link,
                                                 .member = event->member,
                                                 .token = event->token,
                                                 .object = &result->object},
                       at_ms);
}

/* ---- breaking ---- */

void rollcall__net_cut(struct rollcall__net *net, uint32_t link, uint32_t member)
{
    struct rollcall__net_link *cut = &net->links[link];
    if (rollcall_ref_is_nobody(cut->actor)) {
        return;
    }
    cut->generations[member]++;
    rollcall__sim_driver_cut(cut->driver, member);
}

void rollcall__net_cut_process(struct rollcall__net *net, uint32_t process)
{
    for (uint32_t i = 0; i < net->link_count; i++) {
        for (uint32_t m = 0; net->links[i].process == process && m < net->members; m++) {
            rollcall__net_cut(net, i, m);
        }
    }
}

void rollcall__net_deny_passes(struct rollcall__net *net)
{
    net->auth.denies = true;
}

void rollcall__net_forget_passes(struct rollcall__net *net, uint32_t member)
{
    rollcall__sim_auth_forget(&net->auth, member);
    net->forgets[member]++;
}

uint64_t rollcall__net_asks(const struct rollcall__net *net)
{
    return net->asks;
}

uint64_t rollcall__net_passes(const struct rollcall__net *net)
{
    return net->auth.issued;
}

bool rollcall__net_syncs(const struct rollcall__net *net)
{
    return net->sync_members;
}

bool rollcall__net_authenticates(const struct rollcall__net *net)
{
    return net->auth.on;
}

bool rollcall__net_member_up(const struct rollcall__net *net, uint32_t member)
{
    return net->states[member] == ROLLCALL__MEMBER_UP;
}

bool rollcall__net_member_refuses(const struct rollcall__net *net, uint32_t member)
{
    return !is_up(net, member);
}

/* What waited with a member looks again, in its order. */
static void release_held(struct rollcall__net *net)
{
    for (size_t i = 0; i < net->held_count; i++) {
        struct rollcall__flight *event = &net->held[i];
        event->at_ms = net->sim->now_ms;
        rollcall__flights_push(&net->flights, *event);
    }
    net->held_count = 0;
}

void rollcall__net_set_member(struct rollcall__net *net, uint32_t member,
                              enum rollcall__member_state state, int64_t until_ms)
{
    net->states[member] = state;
    net->pump = true; /* it may have something to tell now */
    net->until_ms[member] = state == ROLLCALL__MEMBER_UP ? INT64_MAX : until_ms;
    rollcall__model_set_member(net->model, member, state, net->sim->now_ms);
    for (uint32_t i = 0; state == ROLLCALL__MEMBER_DOWN && i < net->link_count; i++) {
        rollcall__net_cut(net, i, member);
    }
    release_held(net);
}

void rollcall__net_heal(struct rollcall__net *net)
{
    for (uint32_t i = 0; i < net->members; i++) {
        if (net->states[i] != ROLLCALL__MEMBER_UP) {
            rollcall__net_set_member(net, i, ROLLCALL__MEMBER_UP, 0);
        }
    }
    if (rollcall__net_unmute(net, INT64_MAX)) {
        release_held(net);
    }
}

/* ---- one thing that is due ---- */

/* etcd tells an idle watch now and then how far it is. */
static void notify_progress(struct rollcall__net *net)
{
    const uint64_t chosen = rollcall__random_below(&net->random, PROGRESS_ONE_IN);
    if (chosen < net->stream_count && net->streams[chosen].watch != NULL) {
        rollcall__model_watch_progress(net->streams[chosen].watch);
    }
}

/* At its member; false: it waits there. */
static bool arrive_there(struct rollcall__net *net, const struct rollcall__flight *event)
{
    struct rollcall__net_stream *stream = rollcall__net_stream_find(net, event->link, event->token);
    if (net->states[event->member] == ROLLCALL__MEMBER_FROZEN) {
        return false;
    }
    if (event->kind == ROLLCALL__FLIGHT_ASK && event->object == NULL) {
        admit(net, event);
    } else if (event->kind == ROLLCALL__FLIGHT_ASK) {
        answer_ask(net, event);
    } else if (stream == NULL) {
        return true; /* closed meanwhile */
    } else {
        return rollcall__net_stream_arrive(net, stream, event);
    }
    return true;
}

/* At the process. */
static void arrive_back(struct rollcall__net *net, const struct rollcall__flight *event)
{
    struct rollcall__sim_driver *driver = net->links[event->link].driver;
    if (event->kind == ROLLCALL__FLIGHT_ANSWER) {
        rollcall__sim_driver_answered(driver, event->token,
                                      (struct transport_result *)event->object);
    } else if (event->kind == ROLLCALL__FLIGHT_RESPONSE) {
        rollcall__sim_driver_responded(driver, event->token,
                                       (struct transport_watch_response *)event->object);
    } else if (event->kind == ROLLCALL__FLIGHT_ADMITTED) {
        rollcall__sim_driver_admitted(driver, event->token, event->pass, event->status);
    } else if (event->kind == ROLLCALL__FLIGHT_RENEWED) {
        rollcall__sim_driver_renewed(driver, event->token, event->lease_id, event->ttl_s);
    } else {
        rollcall__sim_driver_ended(driver, event->token, event->status);
    }
}

static void arrive(struct rollcall__net *net, struct rollcall__flight *event)
{
    const struct rollcall__net_link *link = &net->links[event->link];
    if (event->kind == ROLLCALL__FLIGHT_EXPIRED) { /* the process's own clock */
        rollcall__sim_driver_expired(link->driver, event->token);
        return;
    }
    if (event->generation != link->generations[event->member]) {
        rollcall_object_drop(event->object);
    } else if (net->states[event->member] == ROLLCALL__MEMBER_UNREACHED) {
        hold(net, event); /* either way */
    } else if (event->kind != ROLLCALL__FLIGHT_ASK && event->kind != ROLLCALL__FLIGHT_RENEW &&
               event->kind != ROLLCALL__FLIGHT_OPEN) {
        arrive_back(net, event);
    } else if (arrive_there(net, event)) {
        rollcall_object_drop(event->object);
    } else {
        hold(net, event);
    }
}

static void recover(struct rollcall__net *net)
{
    for (uint32_t i = 0; i < net->members; i++) {
        if (net->until_ms[i] <= net->sim->now_ms) {
            rollcall__net_set_member(net, i, ROLLCALL__MEMBER_UP, 0);
        }
    }
    for (uint32_t i = 0; i < net->stream_count; i++) {
        if (net->streams[i].stuck_until_ms == net->sim->now_ms) {
            release_held(net);
        }
    }
    if (rollcall__net_unmute(net, net->sim->now_ms)) {
        release_held(net);
    }
}

void rollcall__net_run(struct rollcall__net *net)
{
    const int64_t now_ms = net->sim->now_ms;
    rollcall__model_advance(net->model, now_ms);
    recover(net);
    if (rollcall__flights_next_ms(&net->flights) <= now_ms) {
        struct rollcall__flight event = rollcall__flights_pop(&net->flights);
        arrive(net, &event);
    } else if (net->weather_ms <= now_ms) {
        net->weather_ms = now_ms + WEATHER_MS;
        notify_progress(net);
    }
    rollcall__weather(net->sim);
    rollcall__net_pump_watches(net);
}

int64_t rollcall__net_next_ms(const struct rollcall__net *net)
{
    int64_t next_ms = net->pump ? net->sim->now_ms : rollcall__model_next_ms(net->model);
    const int64_t arrival_ms = rollcall__flights_next_ms(&net->flights);
    next_ms = arrival_ms < next_ms ? arrival_ms : next_ms;
    if (!net->faults->off && net->weather_ms < next_ms) {
        next_ms = net->weather_ms;
    }
    for (uint32_t i = 0; i < net->members; i++) {
        next_ms = net->until_ms[i] < next_ms ? net->until_ms[i] : next_ms;
    }
    for (uint32_t i = 0; i < net->stream_count; i++) {
        const int64_t stuck_ms = net->streams[i].stuck_until_ms;
        const int64_t mute_ms = net->streams[i].mute_until_ms;
        next_ms = stuck_ms < next_ms ? stuck_ms : next_ms;
        next_ms = mute_ms < next_ms ? mute_ms : next_ms;
    }
    return next_ms;
}

/* ---- life ---- */

struct rollcall__net *rollcall__net_create(const struct rollcall__net_options *options)
{
    struct rollcall__net *net = calloc(1, sizeof *net);
    const struct rollcall__model_options model = {
        .seed = options->seed,
        .members = options->members,
        .quirks = options->quirks,
        .events_per_response_max = options->seed % 3 == 0 ? 2 : 0,
    };
    if (net == NULL) {
        return NULL;
    }
    net->sim = options->sim;
    net->faults = options->faults;
    net->members = options->members;
    net->old = options->quirks != 0;
    net->auth.on = options->authentication;
    net->sync_members = options->sync_members;
    rollcall__random_init(&net->random, options->seed ^ UINT64_C(0x6e6574776f726b21));
    net->model = rollcall__model_create(&model);
    if (net->model == NULL ||
        rollcall__port_open(&options->sim->rt, &net->port, NULL) != ROLLCALL_OK) {
        rollcall__net_destroy(net);
        return NULL;
    }
    for (uint32_t i = 0; i < ROLLCALL__MODEL_MEMBERS_MAX; i++) {
        net->until_ms[i] = INT64_MAX;
    }
    return net;
}

void rollcall__net_close(struct rollcall__net *net)
{
    rollcall__port_close(net->port);
    net->port = NULL;
    while (net->stream_count > 0) {
        rollcall__net_stream_close(net, net->streams[0].link, net->streams[0].token);
    }
    rollcall__flights_free(&net->flights);
    for (size_t i = 0; i < net->held_count; i++) {
        rollcall_object_drop(net->held[i].object);
    }
    net->held_count = 0;
}

void rollcall__net_destroy(struct rollcall__net *net)
{
    for (uint32_t i = 0; i < net->link_count; i++) {
        rollcall__sim_driver_destroy(net->links[i].driver);
    }
    rollcall__model_destroy(net->model);
    rollcall__flights_free(&net->flights);
    free(net->held);
    free(net);
}

static enum rollcall_status spawn(struct rollcall__net *net, struct rollcall__net_link *link,
                                  uint32_t worker, struct rollcall_error *error)
{
    const struct channel_options options = {.driver = rollcall__sim_driver_base(link->driver)};
    return rollcall_runtime_spawn(
        &net->sim->rt, worker,
        ROLLCALL_SPAWN_OPTIONS(.type = &rollcall__channel_type, .options = &options), &link->actor,
        error);
}

enum rollcall_status rollcall__net_open(struct rollcall__net *net, uint32_t process,
                                        uint32_t worker, struct rollcall_ref *transport,
                                        uint32_t *link, struct rollcall_error *error)
{
    if (net->link_count == ROLLCALL__NET_LINKS_MAX) {
        return rollcall_error_set(error, ROLLCALL_E_BUSY,
                                  "a simulation has at most %d connections to etcd",
                                  ROLLCALL__NET_PROCESSES_MAX);
    }
    *link = net->link_count;
    struct rollcall__net_link *opened = &net->links[*link];
    *opened = (struct rollcall__net_link){
        .driver = rollcall__sim_driver_create(net, *link, process % net->members),
        .process = process};
    if (opened->driver == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "simulation: out of memory");
    }
    const enum rollcall_status status = spawn(net, opened, worker, error);
    if (status != ROLLCALL_OK) {
        rollcall__sim_driver_destroy(opened->driver);
        return status;
    }
    *transport = opened->actor;
    net->link_count++;
    return ROLLCALL_OK;
}

void rollcall__net_shut(struct rollcall__net *net, uint32_t link)
{
    struct rollcall__net_link *shut = &net->links[link];
    rollcall_runtime_stop(&net->sim->rt, shut->actor);
    shut->actor = (struct rollcall_ref){0};
}

struct rollcall__model *rollcall__net_model(const struct rollcall__net *net)
{
    return net->model;
}

uint32_t rollcall__net_links(const struct rollcall__net *net)
{
    return net->link_count;
}

uint32_t rollcall__net_members(const struct rollcall__net *net)
{
    return net->members;
}
