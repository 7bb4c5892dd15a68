/*
 * sim/etcd_model_lease.c - leases and when they end.
 *
 * The leader looks every 500 ms for leases that are over, so one ends 0 to 500 ms after its time.
 * Only the checks at which there is something to end are made.
 */
#include "sim/etcd_model_internal.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

/* ---- finding ---- */

static size_t id_place(const struct rollcall__model *model, int64_t lease_id)
{
    size_t low = 0, high = model->lease_id_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (model->leases[model->leases_by_id[middle]].lease_id < lease_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Index of the last lease granted under that id, alive or not; SIZE_MAX: none. */
static size_t find(const struct rollcall__model *model, int64_t lease_id)
{
    const size_t place = id_place(model, lease_id);
    const bool found = place < model->lease_id_count &&
                       model->leases[model->leases_by_id[place]].lease_id == lease_id;
    return found ? model->leases_by_id[place] : SIZE_MAX;
}

size_t rollcall__model_lease_alive(const struct rollcall__model *model, int64_t lease_id)
{
    const size_t lease = find(model, lease_id);
    return lease != SIZE_MAX && model->leases[lease].ended_ms == INT64_MAX ? lease : SIZE_MAX;
}

/* ---- when the leader looks ---- */

/* The first check at or after that time, and after now. */
static int64_t check_after(const struct rollcall__model *model, int64_t expires_ms)
{
    const int64_t at_ms = expires_ms > model->now_ms ? expires_ms : model->now_ms + 1;
    const int64_t past_ms = at_ms - model->lease_check_ms;
    if (past_ms <= 0) {
        return model->lease_check_ms;
    }
    const int64_t checks = (past_ms + MODEL_LEASE_CHECK_MS - 1) / MODEL_LEASE_CHECK_MS;
    return model->lease_check_ms + checks * MODEL_LEASE_CHECK_MS;
}

static void find_due(struct rollcall__model *model)
{
    int64_t first_ms = INT64_MAX;
    for (size_t i = 0; i < model->lease_alive_count; i++) {
        const int64_t expires_ms = model->leases[model->leases_alive[i]].expires_ms;
        first_ms = expires_ms < first_ms ? expires_ms : first_ms;
    }
    model->lease_due_ms = first_ms == INT64_MAX ? INT64_MAX : check_after(model, first_ms);
}

/* ---- grant ---- */

static void make_room(struct rollcall__model *model)
{
    if (model->lease_count < model->lease_capacity) {
        return;
    }
    size_t capacity = model->lease_capacity;
    model->leases = rollcall__model_grow(model->leases, &capacity, sizeof *model->leases);
    capacity = model->lease_capacity;
    model->lease_states =
        rollcall__model_grow(model->lease_states, &capacity, sizeof *model->lease_states);
    capacity = model->lease_capacity;
    model->leases_by_id =
        rollcall__model_grow(model->leases_by_id, &capacity, sizeof *model->leases_by_id);
    capacity = model->lease_capacity;
    model->leases_alive =
        rollcall__model_grow(model->leases_alive, &capacity, sizeof *model->leases_alive);
    model->lease_capacity = capacity;
}

static void index_by_id(struct rollcall__model *model, uint32_t lease)
{
    const int64_t lease_id = model->leases[lease].lease_id;
    const size_t place = id_place(model, lease_id);
    if (find(model, lease_id) == SIZE_MAX) {
        memmove(&model->leases_by_id[place + 1], &model->leases_by_id[place],
                (model->lease_id_count - place) * sizeof *model->leases_by_id);
        model->lease_id_count++;
    }
    model->leases_by_id[place] = lease;
}

int64_t rollcall__model_lease_grant(struct rollcall__model *model, int64_t lease_id, int64_t ttl_s)
{
    make_room(model);
    const uint32_t lease = (uint32_t)model->lease_count++;
    const int64_t granted_s = ttl_s < MODEL_LEASE_TTL_MIN_S ? MODEL_LEASE_TTL_MIN_S : ttl_s;
    model->leases[lease] = (struct rollcall__model_lease){
        .lease_id = lease_id,
        .ttl_s = granted_s,
        .granted_ms = model->now_ms,
        .expires_ms = model->now_ms + granted_s * 1000,
        .ended_ms = INT64_MAX,
    };
    model->lease_states[lease] = (struct rollcall__model_lease_state){.old_expires_ms = INT64_MAX};
    index_by_id(model, lease);
    model->leases_alive[model->lease_alive_count++] = lease;
    const int64_t due_ms = check_after(model, model->leases[lease].expires_ms);
    model->lease_due_ms = due_ms < model->lease_due_ms ? due_ms : model->lease_due_ms;
    return granted_s;
}

void rollcall__model_lease_count(struct rollcall__model *model, int64_t lease_id, bool attached)
{
    const size_t lease = lease_id == 0 ? SIZE_MAX : rollcall__model_lease_alive(model, lease_id);
    if (lease != SIZE_MAX) {
        model->lease_states[lease].key_count += attached ? (size_t)1 : SIZE_MAX; /* SIZE_MAX: -1 */
    }
}

/* ---- the end ---- */

static void forget_alive(struct rollcall__model *model, size_t lease)
{
    size_t place = 0;
    while (model->leases_alive[place] != lease) {
        place++;
    }
    model->lease_alive_count--;
    memmove(&model->leases_alive[place], &model->leases_alive[place + 1],
            (model->lease_alive_count - place) * sizeof *model->leases_alive);
}

static void delete_keys(struct rollcall__model *model, size_t lease)
{
    const int64_t lease_id = model->leases[lease].lease_id;
    for (size_t i = 0; model->lease_states[lease].key_count != 0; i++) {
        ROLLCALL_ASSERT(i < model->key_count);
        const struct transport_kv *kv = rollcall__model_key_at(model, model->keys[i], INT64_MAX);
        if (kv != NULL && kv->lease_id == lease_id) {
            (void)rollcall__model_change_delete(model, model->keys[i]->key); /* it is there */
        }
    }
}

void rollcall__model_lease_end(struct rollcall__model *model, size_t lease, bool revoked)
{
    delete_keys(model, lease);
    model->leases[lease].ended_ms = model->now_ms;
    model->leases[lease].revoked = revoked;
    forget_alive(model, lease);
    rollcall__model_commit(model);
}

void rollcall__model_lease_check_now(struct rollcall__model *model)
{
    int left = MODEL_LEASES_PER_CHECK_MAX;
    for (size_t i = 0; i < model->lease_alive_count && left > 0;) {
        const uint32_t lease = model->leases_alive[i];
        if (model->leases[lease].expires_ms <= model->now_ms) {
            rollcall__model_lease_end(model, lease, false);
            left--;
        } else {
            i++;
        }
    }
    find_due(model);
}

void rollcall__model_lease_check(struct rollcall__model *model)
{
    if (model->leading && model->lease_due_ms <= model->now_ms) {
        rollcall__model_lease_check_now(model);
    }
}

/* ---- leaders come and go ---- */

void rollcall__model_leases_extend(struct rollcall__model *model)
{
    for (size_t i = 0; i < model->lease_alive_count; i++) {
        struct rollcall__model_lease *lease = &model->leases[model->leases_alive[i]];
        lease->expires_ms = model->now_ms + lease->ttl_s * 1000 + MODEL_ELECTION_MS;
    }
    model->lease_check_ms =
        model->now_ms + 1 + (int64_t)rollcall__random_below(&model->random, MODEL_LEASE_CHECK_MS);
    find_due(model);
}

void rollcall__model_leases_remember(struct rollcall__model *model)
{
    for (size_t i = 0; i < model->lease_alive_count; i++) {
        const uint32_t lease = model->leases_alive[i];
        model->lease_states[lease].old_expires_ms = model->leases[lease].expires_ms;
    }
}

void rollcall__model_leases_end_by_memory(struct rollcall__model *model)
{
    for (size_t i = 0; i < model->lease_alive_count;) {
        const uint32_t lease = model->leases_alive[i];
        if (model->lease_states[lease].old_expires_ms <= model->now_ms) {
            rollcall__model_lease_end(model, lease, true);
        } else {
            model->lease_states[lease].old_expires_ms = INT64_MAX;
            i++;
        }
    }
}

/* ---- what renews, and what checks look at ---- */

/* What a renewal of a lease that is not alive is answered: 0, but for the quirk. */
static int64_t ttl_of_dead(const struct rollcall__model *model, int64_t lease_id)
{
    const size_t lease = find(model, lease_id);
    if ((model->options.quirks & ROLLCALL__QUIRK_RENEWS_REVOKED) == 0 || lease == SIZE_MAX ||
        !model->leases[lease].revoked ||
        model->leases[lease].ended_ms + MODEL_RENEWS_REVOKED_MS < model->now_ms) {
        return 0;
    }
    return model->leases[lease].ttl_s;
}

enum rollcall_status rollcall__model_renew(struct rollcall__model *model, uint32_t member,
                                           int64_t lease_id, int64_t now_ms, int64_t *ttl_s)
{
    rollcall__model_advance(model, now_ms);
    if (!rollcall__model_has_leader(model, member)) {
        return ROLLCALL_E_UNAVAILABLE;
    }
    *ttl_s = 0;
    const size_t lease = rollcall__model_lease_alive(model, lease_id);
    if (lease == SIZE_MAX) {
        *ttl_s = ttl_of_dead(model, lease_id);
    } else if (model->leases[lease].expires_ms <= now_ms) {
        /* etcd answers such a renewal when the lease has ended, and not before. */
        rollcall__model_lease_end(model, lease, false);
    } else {
        model->leases[lease].expires_ms = now_ms + model->leases[lease].ttl_s * 1000;
        *ttl_s = model->leases[lease].ttl_s;
    }
    return ROLLCALL_OK;
}

const struct rollcall__model_lease *rollcall__model_lease(const struct rollcall__model *model,
                                                          int64_t lease_id)
{
    const size_t lease = find(model, lease_id);
    return lease == SIZE_MAX ? NULL : &model->leases[lease];
}

size_t rollcall__model_leases(const struct rollcall__model *model,
                              const struct rollcall__model_lease **leases)
{
    *leases = model->leases;
    return model->lease_count;
}
