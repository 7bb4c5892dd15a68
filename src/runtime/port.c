#include "runtime/port.h"

#include "base/assert.h"
#include "runtime/runtime_internal.h"

#include <stdlib.h>
#include <string.h>

enum { PORT_LANE = 256 };

struct rollcall__port {
    struct rollcall_runtime *rt;
    uint32_t index; /* among the ports */
    struct rollcall__lane *lanes[ROLLCALL__WORKERS_MAX];
    struct {
        struct rollcall__pending *head, *tail;
    } pending[ROLLCALL__WORKERS_MAX];
    uint32_t dirty; /* bit w: worker w has mail from us and has not been woken for it */
};

/* ---- attaching lanes to workers, on their threads ---- */

struct attach_control {
    struct rollcall__control control;
    uint32_t source;
    struct rollcall__lane *lane; /* NULL: detach */
    uint32_t dropped;            /* messages that never got into the lane */
};

static void run_attach(struct rollcall__worker *worker, struct rollcall__control *control)
{
    const struct attach_control *attach = (const struct attach_control *)control;
    if (attach->lane == NULL) {
        rollcall__worker_drain(worker, attach->source, ROLLCALL__SYSTEM, UINT32_MAX);
    }
    worker->in[attach->source][ROLLCALL__SYSTEM] = attach->lane;
    worker->stats.sent += attach->dropped;
    worker->stats.dead_letters += attach->dropped;
}

static enum rollcall_status attach(struct rollcall__port *port, uint32_t worker,
                                   struct rollcall__lane *lane, uint32_t dropped)
{
    struct attach_control *attach = rollcall__control_create(sizeof *attach, run_attach);
    if (attach == NULL) {
        return ROLLCALL_E_NO_MEMORY;
    }
    attach->source = ROLLCALL__SOURCE_PORTS + port->index;
    attach->lane = lane;
    attach->dropped = dropped;
    const enum rollcall_status status =
        port->rt->executor->call(port->rt, worker, &attach->control);
    rollcall_object_drop(&attach->control.object);
    return status;
}

static bool take_index(struct rollcall_runtime *rt, uint32_t *index)
{
    bool found = false;
    rollcall__monitor_lock(&rt->application);
    for (uint32_t i = 0; !found && i < ROLLCALL__PORTS_MAX; i++) {
        if (!rt->port_used[i]) {
            rt->port_used[i] = found = true;
            *index = i;
        }
    }
    rollcall__monitor_unlock(&rt->application);
    return found;
}

static enum rollcall_status open_lanes(struct rollcall__port *port)
{
    enum rollcall_status status = ROLLCALL_OK;
    for (uint32_t i = 0; status == ROLLCALL_OK && i < port->rt->worker_count; i++) {
        port->lanes[i] = rollcall__lane_create(PORT_LANE);
        status = port->lanes[i] == NULL ? ROLLCALL_E_NO_MEMORY : attach(port, i, port->lanes[i], 0);
        if (status != ROLLCALL_OK) {
            rollcall__lane_destroy(port->lanes[i]);
            port->lanes[i] = NULL;
        }
    }
    return status;
}

enum rollcall_status rollcall__port_open(struct rollcall_runtime *rt,
                                         struct rollcall__port **opened,
                                         struct rollcall_error *error)
{
    struct rollcall__port *port = calloc(1, sizeof *port);
    if (port == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "port: out of memory");
    }
    port->rt = rt;
    if (!take_index(rt, &port->index)) {
        free(port);
        return rollcall_error_set(
            error, ROLLCALL_E_BUSY,
            "a runtime serves at most %d etcd connections: close one, or make "
            "another runtime",
            ROLLCALL__PORTS_MAX / 2);
    }
    const enum rollcall_status status = open_lanes(port);
    if (status != ROLLCALL_OK) {
        rollcall__port_close(port);
        return rollcall_error_set(error, status, "port: %s", rollcall_status_text(status));
    }
    *opened = port;
    return ROLLCALL_OK;
}

static uint32_t drop_pending(struct rollcall__port *port, uint32_t worker)
{
    struct rollcall__pending *pending;
    uint32_t count = 0;
    while ((pending = port->pending[worker].head) != NULL) {
        port->pending[worker].head = pending->next;
        rollcall_object_drop(pending->cell.object);
        free(pending);
        count++;
    }
    return count;
}

void rollcall__port_close(struct rollcall__port *port)
{
    bool stuck = false;
    if (port == NULL) {
        return;
    }
    struct rollcall_runtime *rt = port->rt;
    for (uint32_t i = 0; i < rt->worker_count; i++) {
        const uint32_t dropped = drop_pending(port, i);
        if (port->lanes[i] == NULL) {
            continue;
        }
        if (attach(port, i, NULL, dropped) == ROLLCALL_OK) {
            rollcall__lane_destroy(port->lanes[i]);
        } else {
            /* The worker is stuck in a callback and may still read it: the runtime frees it. */
            rt->lanes[ROLLCALL__SOURCE_PORTS + port->index][i][ROLLCALL__SYSTEM] = port->lanes[i];
            stuck = true;
        }
    }
    rollcall__monitor_lock(&rt->application);
    rt->port_used[port->index] = stuck; /* a source that still has a lane stays taken */
    rollcall__monitor_unlock(&rt->application);
    free(port);
}

/* ---- posting, on the port's thread ---- */

static void add_pending(struct rollcall__port *port, uint32_t worker,
                        const struct rollcall__cell *cell)
{
    struct rollcall__pending *pending = malloc(sizeof *pending);
    ROLLCALL_ASSERT(pending != NULL); /* an asker would wait for ever for what is lost here */
    *pending = (struct rollcall__pending){.cell = *cell};
    if (port->pending[worker].tail == NULL) {
        port->pending[worker].head = pending;
    } else {
        port->pending[worker].tail->next = pending;
    }
    port->pending[worker].tail = pending;
}

void rollcall__port_post(struct rollcall__port *port, struct rollcall_caller to, uint16_t type,
                         const void *payload, size_t size_bytes, struct rollcall_object *object)
{
    const uint32_t worker = rollcall__ref_worker(to.ref);
    struct rollcall__cell cell = {.to = to.ref,
                                  .to_epoch = to.epoch,
                                  .type = type,
                                  .size_bytes = (uint8_t)size_bytes,
                                  .object = object};
    ROLLCALL_ASSERT(size_bytes <= ROLLCALL_PAYLOAD_MAX_BYTES && worker < port->rt->worker_count);
    if (size_bytes != 0) {
        memcpy(cell.payload, payload, size_bytes);
    }
    if (port->pending[worker].head != NULL || !rollcall__lane_push(port->lanes[worker], &cell)) {
        add_pending(port, worker, &cell);
    }
    port->dirty |= UINT32_C(1) << worker;
}

bool rollcall__port_flush(struct rollcall__port *port)
{
    bool done = true;
    for (uint32_t i = 0; i < port->rt->worker_count; i++) {
        struct rollcall__pending *pending;
        while ((pending = port->pending[i].head) != NULL &&
               rollcall__lane_push(port->lanes[i], &pending->cell)) {
            port->pending[i].head = pending->next;
            port->dirty |= UINT32_C(1) << i;
            free(pending);
        }
        if (port->pending[i].head == NULL) {
            port->pending[i].tail = NULL;
        } else {
            done = false;
        }
        if ((port->dirty & UINT32_C(1) << i) != 0) {
            port->rt->executor->wake(port->rt, i, ROLLCALL__SOURCE_PORTS + port->index);
        }
    }
    port->dirty = 0;
    return done;
}
