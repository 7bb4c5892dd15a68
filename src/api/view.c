/* Asks the hub of a feed for its roster, and waits. */
#include "api/view.h"

#include "base/memory.h"
#include "runtime/port.h"

#include <stdlib.h>

enum { VIEW_TIMEOUT_MS = 5000 };

/* Shared by the one who asks and the hub. */
struct view_request {
    struct hub_view_request request;  /* must be first */
    struct rollcall__monitor monitor; /* guards the two below */
    bool answered;
    struct rollcall__roster *roster; /* one reference; NULL: there is none yet */
};

static void destroy(struct rollcall_object *object)
{
    struct view_request *asked = (struct view_request *)object;
    rollcall_object_drop(asked->roster == NULL ? NULL : &asked->roster->object);
    rollcall__monitor_fini(&asked->monitor);
    free(asked);
}

/* On the hub's worker. */
static void answer(struct hub_view_request *request, struct rollcall__roster *roster)
{
    struct view_request *asked = (struct view_request *)request;
    if (roster != NULL) {
        rollcall_object_keep(&roster->object);
    }
    rollcall__monitor_lock(&asked->monitor);
    asked->roster = roster;
    asked->answered = true;
    rollcall__monitor_notify(&asked->monitor);
    rollcall__monitor_unlock(&asked->monitor);
}

static struct view_request *create_request(void)
{
    struct view_request *asked = rollcall__allocate_zeroed(1, sizeof *asked);
    if (asked != NULL) {
        rollcall_object_init(&asked->request.object, destroy);
        asked->request.answer = answer;
        rollcall__monitor_init(&asked->monitor);
    }
    return asked;
}

/* NULL: out of memory. */
static struct rollcall_view *create_view(const struct rollcall__roster *roster,
                                         const struct watcher_filter *filter)
{
    struct rollcall_view *view = rollcall__allocate_zeroed(1, sizeof *view);
    if (view == NULL || (view->sessions = watcher_sessions(filter, roster)) == NULL) {
        rollcall_view_free(view);
        return NULL;
    }
    view->revision = roster->revision;
    return view;
}

/* What became of it. */
static enum rollcall_status finish(struct view_request *asked, const struct watcher_filter *filter,
                                   struct rollcall_view **view, struct rollcall_error *error)
{
    rollcall__monitor_lock(&asked->monitor);
    const bool answered = asked->answered;
    const struct rollcall__roster *roster = asked->roster;
    rollcall__monitor_unlock(&asked->monitor);
    if (!answered) {
        return rollcall_error_set(error, ROLLCALL_E_TIMEOUT,
                                  "view: the thread of the callbacks is busy: allow more time");
    }
    if (roster == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_UNAVAILABLE,
                                  "view: etcd has not answered yet: wait for SNAPSHOT_END");
    }
    *view = create_view(roster, filter);
    return *view != NULL ? ROLLCALL_OK
                         : rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "view: out of memory");
}

enum rollcall_status rollcall__view_ask(struct rollcall__feed *feed,
                                        const struct watcher_filter *filter, int64_t timeout_ms,
                                        struct rollcall_view **view, struct rollcall_error *error)
{
    struct rollcall_runtime *rt = rollcall__etcd_runtime(feed->handle.etcd);
    enum rollcall_status status = rollcall__runtime_may_wait(rt);
    if (status != ROLLCALL_OK || timeout_ms < 0) {
        return rollcall_error_set(error, status == ROLLCALL_OK ? ROLLCALL_E_INVALID : status,
                                  timeout_ms < 0 ? "view: the timeout is negative: give 1 or more"
                                                 : "view: asked in a callback, or a child process");
    }
    struct view_request *asked = create_request();
    if (asked == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "view: out of memory");
    }
    const int64_t deadline_ns =
        rollcall__handle_deadline_ns(&feed->handle, timeout_ms == 0 ? VIEW_TIMEOUT_MS : timeout_ms);
    status = rollcall_runtime_send(rt, feed->hub, HUB_VIEW, NULL, 0,
                                   rollcall_object_keep(&asked->request.object));
    if (status != ROLLCALL_OK) {
        rollcall_error_set(error, status, "view: too many requests wait: try again later");
    } else {
        rollcall__monitor_lock(&asked->monitor);
        while (!asked->answered && rollcall__runtime_wait(rt, &asked->monitor, deadline_ns)) {
        }
        rollcall__monitor_unlock(&asked->monitor);
        status = finish(asked, filter, view, error);
    }
    rollcall_object_drop(&asked->request.object);
    return status;
}

int64_t rollcall_view_revision(const struct rollcall_view *view)
{
    return view->revision;
}

const struct rollcall_watch_event *rollcall_view_sessions(const struct rollcall_view *view,
                                                          size_t *count)
{
    *count = view->sessions->count;
    return view->sessions->events;
}

void rollcall_view_free(struct rollcall_view *view)
{
    if (view != NULL) {
        rollcall_object_drop(view->sessions == NULL ? NULL : &view->sessions->object);
        free(view);
    }
}
