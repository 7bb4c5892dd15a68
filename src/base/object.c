/*
 * Reference counts of the objects messages carry.  C11-style atomics by way of gcc's builtins,
 * because the count sits in a public header that C++ programs include too.
 */
#include "base/object.h"

#include "base/assert.h"
#include "base/memory.h"

#include <rollcall/actor.h>

#include <stdlib.h>

void rollcall_object_init(struct rollcall_object *object,
                          void (*destroy)(struct rollcall_object *object))
{
    object->references = 1;
    object->destroy = destroy;
}

struct rollcall_object *rollcall_object_keep(struct rollcall_object *object)
{
    /* Relaxed: whoever keeps holds a reference already, so no order is needed to see the object. */
    const uint32_t before = __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);
    ROLLCALL_ASSERT(before > 0 && before < UINT32_MAX / 2);
    return object;
}

void rollcall_object_drop(struct rollcall_object *object)
{
    if (object == NULL) {
        return;
    }
    /* The last one: nobody is left who could keep it again.  Worth a look, for it saves the locked
     * instruction for most objects, which have one owner. */
    if (rollcall__object_is_sole(object)) {
        object->destroy(object);
        return;
    }
    /* Release, paired with the acquire here and in rollcall__object_is_sole: what every holder did
     * with the object happens before the last one destroys it. */
    const uint32_t before = __atomic_fetch_sub(&object->references, 1, __ATOMIC_ACQ_REL);
    ROLLCALL_ASSERT(before > 0);
    if (before == 1) {
        object->destroy(object);
    }
}

bool rollcall__object_is_sole(const struct rollcall_object *object)
{
    /* Acquire, paired with the release in rollcall_object_drop: what the others read of the object
     * they have read before we change it, or destroy it. */
    return __atomic_load_n(&object->references, __ATOMIC_ACQUIRE) == 1;
}

static void destroy_reason(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

struct rollcall_reason *rollcall_reason_create(const struct rollcall_error *error)
{
    struct rollcall_reason *reason = rollcall__allocate(sizeof *reason);
    if (reason != NULL) {
        rollcall_object_init(&reason->object, destroy_reason);
        reason->error = *error;
    }
    return reason;
}
