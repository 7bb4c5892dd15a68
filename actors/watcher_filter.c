/* Which sessions count for a watcher.  Pure. */
#include "actors/watcher.h"

#include "session/record.h"

bool watcher_counts(const struct watcher_filter *filter, const struct reflector_item *item)
{
    if (item == NULL || filter == NULL) {
        return item != NULL;
    }
    const struct rollcall__semver version = rollcall__record_semver(&item->record);
    return rollcall__semver_range_matches(&filter->version_range, &version);
}

struct hub_batch *watcher_sessions(const struct watcher_filter *filter,
                                   const struct rollcall__roster *roster)
{
    struct hub_batch *sessions = hub_batch_create();
    if (sessions == NULL || !hub_batch_reserve(sessions, roster->count)) {
        rollcall_object_drop(sessions == NULL ? NULL : &sessions->object);
        return NULL;
    }
    for (size_t i = 0; i < roster->count; i++) {
        struct reflector_item *item = (struct reflector_item *)roster->entries[i].item;
        if (watcher_counts(filter, item)) {
            hub_batch_add(sessions, ROLLCALL_WATCH_SESSION, 0, item->mod_revision, NULL,
                          reflector_item_keep(item));
        }
    }
    return sessions;
}
