/* actors/session_membership.c - how a membership is made, and noted; what it is: session.h. */
#include "actors/session.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void session_note_lease(const struct session_config *config, int64_t lease_id)
{
    if (config->held_lease != NULL) {
        rollcall__gauge_set(config->held_lease, lease_id);
    }
}

/* The time of one lease is never seen beside the ID of another: before there is a new ID there is
 * no time, and the ID is read on both sides of it. */
void session_set_safe(struct session_safety *safety, int64_t lease_id, int64_t until_ms)
{
    if (rollcall__gauge_get(&safety->lease_id) != lease_id) {
        rollcall__gauge_set(&safety->until_ms, 0);
        rollcall__gauge_set(&safety->lease_id, lease_id);
    }
    rollcall__gauge_set(&safety->until_ms, until_ms);
}

int64_t session_safe_until_ms(const struct session_safety *safety, int64_t lease_id)
{
    const bool is_it = rollcall__gauge_get(&safety->lease_id) == lease_id;
    const int64_t until_ms = rollcall__gauge_get(&safety->until_ms);
    return is_it && rollcall__gauge_get(&safety->lease_id) == lease_id ? until_ms : 0;
}

static void destroy(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

struct session_membership *session_membership_create(const struct session_membership *draft,
                                                     struct rollcall_bytes key)
{
    struct session_membership *made = rollcall__allocate(sizeof *made + key.size_bytes + 1);
    if (made == NULL) {
        return NULL;
    }
    *made = *draft;
    rollcall_object_init(&made->object, destroy);
    memcpy(made->key, key.data, key.size_bytes);
    made->key[key.size_bytes] = '\0';
    return made;
}
