/* sim/etcd_model.c - begin and end, and the operator's hand; see etcd_model_internal.h. */
#include "sim/etcd_model.h"

#include "base/assert.h"
#include "sim/etcd_model_internal.h"

#include <stdlib.h>

struct rollcall__model *rollcall__model_create(const struct rollcall__model_options *options)
{
    ROLLCALL_ASSERT(options->members == 1 || options->members == ROLLCALL__MODEL_MEMBERS_MAX);
    struct rollcall__model *model = calloc(1, sizeof *model);
    ROLLCALL_ASSERT(model != NULL);
    model->options = *options;
    model->revision = 1; /* of an empty store; the first change is 2 */
    model->lease_due_ms = INT64_MAX;
    model->election_ms = INT64_MAX;
    rollcall__random_init(&model->random, options->seed);
    model->cluster_id = rollcall__random_next(&model->random) | 1; /* never 0 */
    rollcall__model_members_init(model);
    return model;
}

void rollcall__model_destroy(struct rollcall__model *model)
{
    if (model == NULL) {
        return;
    }
    ROLLCALL_ASSERT(model->watches == NULL);
    free(model->history);
    free(model->keys);
    free(model->leases);
    free(model->lease_states);
    free(model->leases_by_id);
    free(model->leases_alive);
    rollcall__arena_free(&model->arena);
    free(model);
}

/* ---- the operator's hand ---- */

bool rollcall__model_compact(struct rollcall__model *model, int64_t revision)
{
    if (!model->leading || revision <= model->compacted || revision > model->revision) {
        return false;
    }
    model->compacted = revision;
    rollcall__model_members_follow(model);
    return true;
}

bool rollcall__model_put(struct rollcall__model *model, struct rollcall_bytes key,
                         struct rollcall_bytes value, int64_t lease_id, int64_t now_ms)
{
    rollcall__model_advance(model, now_ms);
    const bool lease_lost =
        lease_id != 0 && rollcall__model_lease_alive(model, lease_id) == SIZE_MAX;
    if (!model->leading || lease_lost || key.size_bytes == 0) {
        return false;
    }
    rollcall__model_change_put(model, key, value, lease_id);
    rollcall__model_commit(model);
    return true;
}

bool rollcall__model_delete(struct rollcall__model *model, struct rollcall_bytes key,
                            int64_t now_ms)
{
    rollcall__model_advance(model, now_ms);
    if (!model->leading || !rollcall__model_change_delete(model, key)) {
        return false;
    }
    rollcall__model_commit(model);
    return true;
}

bool rollcall__model_revoke(struct rollcall__model *model, int64_t lease_id, int64_t now_ms)
{
    rollcall__model_advance(model, now_ms);
    const size_t lease = rollcall__model_lease_alive(model, lease_id);
    if (!model->leading || lease == SIZE_MAX) {
        return false;
    }
    rollcall__model_lease_end(model, lease, true);
    return true;
}

int64_t rollcall__model_revision(const struct rollcall__model *model)
{
    return model->revision;
}

int64_t rollcall__model_compacted(const struct rollcall__model *model)
{
    return model->compacted;
}
