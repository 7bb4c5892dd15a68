#include "sim/net.h"

#include "base/assert.h"
#include "base/random.h"
#include "runtime/port.h"
#include "sim/flight.h"
#include "sim/sim.h"
#include "sim/transport.h"
#include "transport/request.h"

#include <stdlib.h>

enum {
    WATCHES_MAX = 256,
    WEATHER_MS = 250,     /* how often faults have their chance when nothing else happens */
    SLOW_ONE_IN = 16,     /* of all messages: a few that take longer, without any fault */
    PROGRESS_ONE_IN = 16, /* times that there is weather: for each watch */
    REFUSED_MS = 1,       /* a connection that nobody takes is refused as fast as that */
    DELAY_MAX_MS = 8000   /* longer than the deadline of a call */
};

struct watch {
    uint32_t link;
    uint64_t token;
    struct rollcall__model_watch *watch; /* NULL: it has not reached its member */
    uint32_t outstanding;                /* responses on their way or not acknowledged */
    int64_t last_ms;                     /* when the last response arrives: none overtakes it */
};

struct link {
    struct rollcall_ref actor;
    uint32_t member;
    uint32_t generation;           /* of its connection; what belongs to an older one is lost */
    int64_t asked_ms, answered_ms; /* when the last renewal arrives, each way */
};

struct rollcall__net {
    struct rollcall_sim *sim;
    struct rollcall__faults *faults;
    struct rollcall__random random; /* latencies */
    struct rollcall__model *model;
    struct rollcall__port *port;
    uint32_t members, link_count;
    struct link links[ROLLCALL__NET_LINKS_MAX];
    struct watch watches[WATCHES_MAX];
    uint32_t watch_count;
    struct rollcall__flights flights; /* what is on its way */
    struct rollcall__flight *held;    /* what has reached a member that is frozen */
    size_t held_count, held_capacity;
    int64_t weather_ms;
    bool pump; /* a watch may go on: its window has opened */
    enum rollcall__member_state states[ROLLCALL__MODEL_MEMBERS_MAX];
    int64_t until_ms[ROLLCALL__MODEL_MEMBERS_MAX]; /* when that state ends; INT64_MAX: never */
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

/* One way through the network. */
static int64_t latency_ms(struct rollcall__net *net)
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

/* Sends on `link`, at least `ms` from now; object: moved. */
static void send(struct rollcall__net *net, struct rollcall__flight event, int64_t at_ms)
{
    event.at_ms = at_ms;
    event.generation = net->links[event.link].generation;
    rollcall__flights_push(&net->flights, event);
}

/* ---- to the transport actors ---- */

static void post(struct rollcall__net *net, uint32_t link, uint16_t type, const void *payload,
                 size_t size_bytes, struct rollcall_object *object)
{
    const struct rollcall_caller to = {.ref = net->links[link].actor};
    rollcall__port_post(net->port, to, type, payload, size_bytes, object);
    (void)rollcall__port_flush(net->port);
}

static void rotate(struct rollcall__net *net, struct link *link)
{
    link->member = (link->member + 1) % net->members;
}

/* On to the next member, unless the link has left the flight's member already. */
static void leave_member(struct rollcall__net *net, const struct rollcall__flight *event)
{
    struct link *link = &net->links[event->link];
    if (link->member == event->member) {
        rotate(net, link);
    }
}

void rollcall__net_blame(struct rollcall__net *net, uint32_t link)
{
    rotate(net, &net->links[link]);
}

/* ---- calls ---- */

void rollcall__net_ask(struct rollcall__net *net, uint32_t link, uint64_t token,
                       struct transport_request *request)
{
    const int64_t now_ms = net->sim->now_ms;
    const int64_t at_ms = now_ms + latency_ms(net);
    if (rollcall__fault(net->faults, ROLLCALL_FAULT_LOSE_REQUEST)) {
        return; /* the call's deadline is all that is heard of it */
    }
    send(net,
         (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_ASK,
                                   .link = link,
                                   .member = net->links[link].member,
                                   .token = token,
                                   .object = rollcall_object_keep(&request->object)},
         at_ms);
}

static struct transport_result *refuse(const struct transport_request *request)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE, "the simulated etcd refuses connections");
    return need(transport_result_error(request->kind, &error));
}

static void answer_ask(struct rollcall__net *net, const struct rollcall__flight *event)
{
    const struct transport_request *request = (const struct transport_request *)event->object;
    const bool down = net->states[event->member] == ROLLCALL__MEMBER_DOWN;
    const int64_t now_ms = net->sim->now_ms;
    struct transport_result *result =
        down ? refuse(request)
             : rollcall__model_perform(net->model, event->member, request, now_ms);
    if (!down && rollcall__fault(net->faults, ROLLCALL_FAULT_REPEAT_REQUEST)) {
        rollcall_object_drop(&result->object); /* as a retry below us does it */
        result = rollcall__model_perform(net->model, event->member, request, now_ms);
    }
    if (result->error.status == ROLLCALL_E_UNAVAILABLE) {
        leave_member(net, event);
    }
    const int64_t at_ms = now_ms + (down ? REFUSED_MS : latency_ms(net));
    if (!down && rollcall__fault(net->faults, ROLLCALL_FAULT_LOSE_ANSWER)) {
        rollcall_object_drop(&result->object);
        return;
    }
    send(net,
         (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_ANSWER,
                                   .link = event->link,
                                   .token = event->token,
                                   .object = &result->object},
         at_ms);
}

/* ---- renewals ---- */

static int64_t in_order(int64_t *last_ms, int64_t at_ms)
{
    *last_ms = at_ms > *last_ms ? at_ms : *last_ms;
    return *last_ms;
}

void rollcall__net_renew(struct rollcall__net *net, uint32_t link, uint64_t token, int64_t lease_id)
{
    struct link *on = &net->links[link];
    send(net,
         (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_RENEW,
                                   .link = link,
                                   .member = on->member,
                                   .token = token,
                                   .lease_id = lease_id},
         in_order(&on->asked_ms, net->sim->now_ms + latency_ms(net)));
}

static void answer_renew(struct rollcall__net *net, const struct rollcall__flight *event)
{
    struct link *link = &net->links[event->link];
    struct rollcall__flight answer = {
        .kind = ROLLCALL__FLIGHT_RENEWED, .link = event->link, .token = event->token};
    answer.status = net->states[event->member] == ROLLCALL__MEMBER_DOWN
                        ? ROLLCALL_E_UNAVAILABLE
                        : rollcall__model_renew(net->model, event->member, event->lease_id,
                                                net->sim->now_ms, &answer.ttl_s);
    if (answer.status != ROLLCALL_OK) {
        leave_member(net, event);
    }
    const int64_t at_ms = in_order(&link->answered_ms, net->sim->now_ms + latency_ms(net));
    send(net, answer, at_ms);
    if (rollcall__fault(net->faults, ROLLCALL_FAULT_REPEAT_ANSWER)) {
        send(net, answer, at_ms);
    }
}

/* ---- watches ---- */

static struct watch *find_watch(struct rollcall__net *net, uint32_t link, uint64_t token)
{
    for (uint32_t i = 0; i < net->watch_count; i++) {
        if (net->watches[i].link == link && net->watches[i].token == token) {
            return &net->watches[i];
        }
    }
    return NULL;
}

static void forget_watch(struct rollcall__net *net, struct watch *watch)
{
    if (watch->watch != NULL) {
        rollcall__model_watch_close(watch->watch);
    }
    *watch = net->watches[--net->watch_count];
}

void rollcall__net_watch(struct rollcall__net *net, uint32_t link, uint64_t token,
                         struct transport_range *range)
{
    const int64_t at_ms = net->sim->now_ms + latency_ms(net);
    ROLLCALL_ASSERT(net->watch_count < WATCHES_MAX);
    net->watches[net->watch_count++] =
        (struct watch){.link = link, .token = token, .last_ms = at_ms};
    send(net,
         (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_OPEN,
                                   .link = link,
                                   .member = net->links[link].member,
                                   .token = token,
                                   .object = rollcall_object_keep(&range->object)},
         at_ms);
}

static void open_watch(struct rollcall__net *net, const struct rollcall__flight *event)
{
    struct watch *watch = find_watch(net, event->link, event->token);
    if (watch == NULL) {
        return; /* cancelled on its way */
    }
    if (net->states[event->member] != ROLLCALL__MEMBER_DOWN) {
        watch->watch = need(rollcall__model_watch_open(net->model, event->member,
                                                       (struct transport_range *)event->object));
        return;
    }
    struct transport_watch_response *response = need(rollcall__sim_watch_failed(
        ROLLCALL_E_UNAVAILABLE, "the simulated etcd refuses connections"));
    leave_member(net, event);
    send(net,
         (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_RESPONSE,
                                   .link = event->link,
                                   .token = event->token,
                                   .object = &response->object},
         net->sim->now_ms + REFUSED_MS);
    forget_watch(net, watch);
}

void rollcall__net_watch_ack(struct rollcall__net *net, uint32_t link, uint64_t token)
{
    struct watch *watch = find_watch(net, link, token);
    if (watch != NULL) {
        ROLLCALL_ASSERT(watch->outstanding > 0); /* acknowledged twice */
        watch->outstanding--;
        net->pump = true;
    }
}

void rollcall__net_watch_cancel(struct rollcall__net *net, uint32_t link, uint64_t token)
{
    struct watch *watch = find_watch(net, link, token);
    if (watch != NULL) {
        forget_watch(net, watch);
    }
}

/* Sends what the watch has to tell, as far as its window goes; true: it has ended, and is no more.
 */
static bool pump_watch(struct rollcall__net *net, struct watch *watch)
{
    struct transport_watch_response *response;
    const int64_t now_ms = net->sim->now_ms;
    while (watch->watch != NULL && watch->outstanding < TRANSPORT_WATCH_WINDOW &&
           (response = rollcall__model_watch_next(watch->watch, now_ms)) != NULL) {
        const bool last = response->canceled || response->error.status != ROLLCALL_OK;
        watch->outstanding += response->fragment ? 0 : 1;
        send(net,
             (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_RESPONSE,
                                       .link = watch->link,
                                       .token = watch->token,
                                       .object = &response->object},
             in_order(&watch->last_ms, now_ms + latency_ms(net)));
        if (last) {
            forget_watch(net, watch);
            return true;
        }
    }
    return false;
}

static void pump_watches(struct rollcall__net *net)
{
    net->pump = false;
    for (uint32_t i = 0; i < net->watch_count;) {
        i += pump_watch(net, &net->watches[i]) ? 0 : 1;
    }
}

/* ---- breaking ---- */

void rollcall__net_cut(struct rollcall__net *net, uint32_t link, bool streams_only)
{
    struct link *cut = &net->links[link];
    if (rollcall_ref_is_nobody(cut->actor)) {
        return;
    }
    if (!streams_only) {
        cut->generation++;
        rotate(net, cut);
    }
    for (uint32_t i = 0; i < net->watch_count;) {
        if (net->watches[i].link == link) {
            forget_watch(net, &net->watches[i]);
        } else {
            i++;
        }
    }
    const struct sim_broken broken = {.streams_only = streams_only};
    post(net, link, SIM_BROKEN, &broken, sizeof broken, NULL);
}

bool rollcall__net_member_up(const struct rollcall__net *net, uint32_t member)
{
    return net->states[member] == ROLLCALL__MEMBER_UP;
}

void rollcall__net_set_member(struct rollcall__net *net, uint32_t member,
                              enum rollcall__member_state state, int64_t until_ms)
{
    net->states[member] = state;
    net->pump = true; /* it may have something to tell now */
    net->until_ms[member] = state == ROLLCALL__MEMBER_UP ? INT64_MAX : until_ms;
    rollcall__model_set_member(net->model, member, state, net->sim->now_ms);
    for (uint32_t i = 0; state == ROLLCALL__MEMBER_DOWN && i < net->link_count; i++) {
        if (net->links[i].member == member) {
            rollcall__net_cut(net, i, false);
        }
    }
    for (size_t i = 0; i < net->held_count; i++) { /* they look again */
        struct rollcall__flight *event = &net->held[i];
        event->at_ms = net->sim->now_ms;
        rollcall__flights_push(&net->flights, *event);
    }
    net->held_count = 0;
}

void rollcall__net_heal(struct rollcall__net *net)
{
    for (uint32_t i = 0; i < net->members; i++) {
        if (net->states[i] != ROLLCALL__MEMBER_UP) {
            rollcall__net_set_member(net, i, ROLLCALL__MEMBER_UP, 0);
        }
    }
}

/* ---- one thing that is due ---- */

/* etcd tells an idle watch now and then how far it is. */
static void notify_progress(struct rollcall__net *net)
{
    const uint64_t chosen = rollcall__random_below(&net->random, PROGRESS_ONE_IN);
    if (chosen < net->watch_count && net->watches[chosen].watch != NULL) {
        rollcall__model_watch_progress(net->watches[chosen].watch);
    }
}

static void arrive(struct rollcall__net *net, struct rollcall__flight *event)
{
    const bool at_member = event->kind == ROLLCALL__FLIGHT_ASK ||
                           event->kind == ROLLCALL__FLIGHT_RENEW ||
                           event->kind == ROLLCALL__FLIGHT_OPEN;
    if (event->generation != net->links[event->link].generation ||
        rollcall_ref_is_nobody(net->links[event->link].actor)) {
        rollcall_object_drop(event->object);
        return;
    }
    if (at_member && net->states[event->member] == ROLLCALL__MEMBER_FROZEN) {
        hold(net, event);
        return;
    }
    const struct sim_answered answered = {.token = event->token};
    const struct sim_renewed renewed = {
        .token = event->token, .ttl_s = event->ttl_s, .status = event->status};
    switch (event->kind) {
    case ROLLCALL__FLIGHT_ASK:
        answer_ask(net, event);
        rollcall_object_drop(event->object);
        break;
    case ROLLCALL__FLIGHT_RENEW:
        answer_renew(net, event);
        break;
    case ROLLCALL__FLIGHT_OPEN:
        open_watch(net, event);
        rollcall_object_drop(event->object);
        break;
    case ROLLCALL__FLIGHT_ANSWER:
        post(net, event->link, SIM_ANSWERED, &answered, sizeof answered, event->object);
        break;
    case ROLLCALL__FLIGHT_RENEWED:
        post(net, event->link, SIM_RENEWED, &renewed, sizeof renewed, NULL);
        break;
    case ROLLCALL__FLIGHT_RESPONSE:
        post(net, event->link, SIM_RESPONDED, &answered, sizeof answered, event->object);
        break;
    }
}

static void recover(struct rollcall__net *net)
{
    for (uint32_t i = 0; i < net->members; i++) {
        if (net->until_ms[i] <= net->sim->now_ms) {
            rollcall__net_set_member(net, i, ROLLCALL__MEMBER_UP, 0);
        }
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
    pump_watches(net);
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
    while (net->watch_count > 0) {
        forget_watch(net, &net->watches[0]);
    }
    rollcall__flights_free(&net->flights);
    for (size_t i = 0; i < net->held_count; i++) {
        rollcall_object_drop(net->held[i].object);
    }
    net->held_count = 0;
}

void rollcall__net_destroy(struct rollcall__net *net)
{
    rollcall__model_destroy(net->model);
    rollcall__flights_free(&net->flights);
    free(net->held);
    free(net);
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
    net->links[*link] = (struct link){.member = process % net->members};
    const enum rollcall_status status = rollcall__sim_transport_spawn(
        &net->sim->rt, worker, net, *link, &net->links[*link].actor, error);
    if (status == ROLLCALL_OK) {
        *transport = net->links[*link].actor;
        net->link_count++;
    }
    return status;
}

void rollcall__net_shut(struct rollcall__net *net, uint32_t link)
{
    struct link *shut = &net->links[link];
    for (uint32_t i = net->watch_count; i-- > 0;) {
        if (net->watches[i].link == link) {
            forget_watch(net, &net->watches[i]);
        }
    }
    rollcall_runtime_stop(&net->sim->rt, shut->actor);
    shut->actor = (struct rollcall_ref){0};
    shut->generation++;
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
