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
