/* What a hub and its watchers publish of themselves. */
#include "actors/hub.h"

#include "base/memory.h"

#include <stdlib.h>

static void destroy(struct rollcall_object *object)
{
    free(object); /* it is the first member of both */
}

struct hub_meter *hub_meter_create(void)
{
    struct hub_meter *meter = rollcall__allocate_zeroed(1, sizeof *meter);
    if (meter != NULL) {
        rollcall_object_init(&meter->object, destroy);
    }
    return meter;
}

struct hub_watcher_meter *hub_watcher_meter_create(bool from_now)
{
    struct hub_watcher_meter *meter = rollcall__allocate_zeroed(1, sizeof *meter);
    if (meter != NULL) {
        rollcall_object_init(&meter->object, destroy);
        rollcall__gauge_set(&meter->through, from_now ? 0 : HUB_THROUGH_NOTHING);
    }
    return meter;
}
