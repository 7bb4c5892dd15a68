#include "sim/check.h"

#include "session/keys.h"
#include "sim/sim.h"

#include <inttypes.h>

/* The number that the bytes are, which is all that the allocator writes; 0: they are none. */
static int64_t number_of(struct rollcall_bytes text)
{
    int64_t number = 0;
    for (size_t i = 0; i < text.size_bytes && i < 18; i++) {
        number = number * 10 + (text.data[i] - '0');
    }
    return number;
}

static void check_id(struct rollcall_world *world, const struct transport_event *change)
{
    if (change->has_prev_kv && number_of(change->kv.value) <= number_of(change->prev_kv.value)) {
        rollcall_world_violate(world, "an-id-for-one", "the next server ID went from %.*s to %.*s",
                               (int)change->prev_kv.value.size_bytes, change->prev_kv.value.data,
                               (int)change->kv.value.size_bytes, change->kv.value.data);
    }
}

static void check_put(struct rollcall_world *world, const struct transport_event *change)
{
    const struct transport_kv *kv = &change->kv;
    const bool created = kv->create_revision == kv->mod_revision;
    if (kv->lease_id == 0) {
        rollcall_world_violate(world, "a-lease-for-each-key", "%.*s has no lease at %" PRId64,
                               (int)kv->key.size_bytes, kv->key.data, kv->mod_revision);
    } else if (!created && change->has_prev_kv && change->prev_kv.lease_id != kv->lease_id) {
        rollcall_world_violate(world, "nobody-is-overwritten",
                               "%.*s came from lease %" PRIx64 " to %" PRIx64 " at %" PRId64,
                               (int)kv->key.size_bytes, kv->key.data, change->prev_kv.lease_id,
                               kv->lease_id, kv->mod_revision);
    }
}

void rollcall__check_history(struct rollcall_world *world, const char *root)
{
    const struct rollcall_sim *sim = rollcall_world_sim(world);
    struct rollcall__buffer id_key = {0};
    size_t count;
    if (sim->faults.taken[ROLLCALL_FAULT_STRANGER] != 0) {
        return; /* who knows no rules */
    }
    const struct transport_event *history =
        rollcall__model_history(rollcall__net_model(sim->net), &count);
    rollcall__key_id(&id_key, root);
    for (size_t i = 0; i < count; i++) {
        if (history[i].kind == TRANSPORT_PUT) {
            (rollcall__bytes_equal(history[i].kv.key, rollcall__buffer_bytes(&id_key))
                 ? check_id
                 : check_put)(world, &history[i]);
        }
    }
    rollcall__buffer_free(&id_key);
}

/* Faults that delay nothing by themselves, or cost a request: it is given up, and sent again. */
static bool is_mild(enum rollcall_fault fault)
{
    return fault == ROLLCALL_FAULT_LOSE_REQUEST || fault == ROLLCALL_FAULT_LOSE_ANSWER ||
           fault == ROLLCALL_FAULT_REPEAT_REQUEST || fault == ROLLCALL_FAULT_REPEAT_ANSWER ||
           fault == ROLLCALL_FAULT_COMPACT || fault == ROLLCALL_FAULT_WALL ||
           fault == ROLLCALL_FAULT_TOKEN || fault == ROLLCALL_FAULT_CUT;
}

static bool was_mild(const struct rollcall__faults *faults)
{
    bool mild = true;
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        mild &= faults->taken[i] == 0 || is_mild((enum rollcall_fault)i);
    }
    return mild;
}

/* A lease whose key is still waited for may be gone before a lost request is given up. */
static bool may_lapse(const struct rollcall__faults *faults,
                      const struct rollcall__model_lease *lease)
{
    const bool lost = faults->taken[ROLLCALL_FAULT_LOSE_REQUEST] != 0 ||
                      faults->taken[ROLLCALL_FAULT_LOSE_ANSWER] != 0;
    const bool renewed = lease->ended_ms - lease->granted_ms > lease->ttl_s * 1250;
    return lost && !renewed;
}

void rollcall__check_leases(struct rollcall_world *world, bool may_revoke)
{
    const struct rollcall_sim *sim = rollcall_world_sim(world);
    const struct rollcall__model_lease *leases;
    const size_t count = rollcall__model_leases(rollcall__net_model(sim->net), &leases);
    for (size_t i = 0; i < count && was_mild(&sim->faults); i++) {
        const bool ended = leases[i].ended_ms != INT64_MAX;
        if (ended && !leases[i].revoked && !may_lapse(&sim->faults, &leases[i])) {
            rollcall_world_violate(world, "no-lease-lapses",
                                   "lease %" PRIx64 ", granted at %" PRId64
                                   " ms, ran out at %" PRId64,
                                   leases[i].lease_id, leases[i].granted_ms, leases[i].ended_ms);
        } else if (ended && leases[i].revoked && !may_revoke) {
            rollcall_world_violate(world, "nobody-gives-up",
                                   "lease %" PRIx64 " was revoked, and nobody was to leave",
                                   leases[i].lease_id);
        }
    }
}
