/*
 * api/view.h - what a feed knows now, for a thread of the application.
 */
#ifndef API_VIEW_H
#define API_VIEW_H

#include "api/feed.h"

struct rollcall_view {
    int64_t revision;
    struct hub_batch *sessions; /* one reference */
};

/* As rollcall_watch_view, of what counts for the filter; NULL: of all. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__view_ask(struct rollcall__feed *feed, const struct watcher_filter *filter,
                   int64_t timeout_ms, struct rollcall_view **view, struct rollcall_error *error);

#endif /* API_VIEW_H */
