/* actors/session_membership.c - how a membership is made; what it is: session.h. */
#include "actors/session.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

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
