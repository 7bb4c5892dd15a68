/*
 * Watches that are read from a queue, with epoll, as a program with a loop of its own would; what a
 * view gives; and arrays of events.
 */
#include "base/clock.h"
#include "support/api_events.h"
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <rollcall/queue.h>

#include <sys/epoll.h>
#include <unistd.h>

enum { KEY_BYTES = 160, MANY = 40, SLICES = 4 };

struct stage {
    struct api_scene scene;
    struct rollcall_queue *queue;
    int epoll;
    struct api_watch_log log;
};

static void stage_open(struct stage *stage, uint32_t slices)
{
    struct rollcall_error error;
    struct epoll_event event = {.events = EPOLLIN};
    api_scene_open(&stage->scene, etcd_fixture_shared());
    api_watch_log_init(&stage->log);
    CHECK_INT(rollcall_queue_create(stage->scene.runtime, slices, &stage->queue, &error),
              ROLLCALL_OK);
    stage->epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK_INT(epoll_ctl(stage->epoll, EPOLL_CTL_ADD, rollcall_queue_fd(stage->queue), &event), 0);
}

static void stage_close(struct stage *stage)
{
    CHECK_INT(rollcall_queue_destroy(stage->queue), ROLLCALL_OK);
    close(stage->epoll);
    api_watch_check(&stage->log);
    api_watch_log_fini(&stage->log);
    api_scene_close(&stage->scene);
}

static struct rollcall_watch *open_watch(struct stage *stage, void *user)
{
    struct rollcall_watch *watch;
    CHECK_INT(
        rollcall_watch_open(stage->scene.etcd,
                            ROLLCALL_WATCH_OPTIONS(.root = stage->scene.root, .role = "querynode",
                                                   .queue = stage->queue, .user = user),
                            &watch, NULL),
        ROLLCALL_OK);
    return watch;
}

/* Reads, as a loop does, until `type` has been told `times` times. */
static void read_until(struct stage *stage, enum rollcall_watch_event_type type, size_t times)
{
    struct rollcall_queue_slice slices[SLICES];
    const int64_t deadline_ms = process_now_ms() + API_SOON_MS;
    while (api_watch_count(&stage->log, type) < times) {
        struct epoll_event event;
        CHECK(process_now_ms() < deadline_ms);
        CHECK(epoll_wait(stage->epoll, &event, 1, 1000) >= 0);
        for (size_t count; (count = rollcall_queue_next(stage->queue, slices, SLICES)) > 0;) {
            for (size_t i = 0; i < count; i++) {
                for (size_t k = 0; k < slices[i].count; k++) {
                    api_watch_note(slices[i].user, &slices[i].events[k]);
                }
            }
        }
    }
}

/* Once the worker has done what it did when the last event was read. */
static struct rollcall_watch_stats stats_of(struct rollcall_watch *watch)
{
    struct rollcall_view *view;
    CHECK_INT(rollcall_watch_view(watch, 0, &view, NULL), ROLLCALL_OK);
    rollcall_view_free(view);
    return rollcall_watch_stats(watch);
}

static void store(const struct stage *stage, int number)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%s/session/querynode-%d", stage->scene.root, number);
    api_store(&stage->scene, key,
              "{\"ServerID\":1,\"ServerName\":\"querynode\",\"Version\":\"1.0.0\"}", 0);
}

TEST(queue, what_is_read_with_epoll_is_every_event_in_order)
{
    struct stage stage;
    stage_open(&stage, 0);
    store(&stage, 1);
    struct rollcall_watch *watch = open_watch(&stage, &stage.log);
    read_until(&stage, ROLLCALL_WATCH_SNAPSHOT_END, 1);
    CHECK_INT(rollcall_queue_destroy(stage.queue), ROLLCALL_E_BUSY);
    for (int i = 2; i <= MANY; i++) {
        store(&stage, i);
    }
    read_until(&stage, ROLLCALL_WATCH_ADD, MANY - 1);
    CHECK_INT(stats_of(watch).events, 3 + MANY - 1);
    CHECK_INT(rollcall_watch_close(watch), ROLLCALL_OK);
    stage_close(&stage);
}

/* What whoever wants to know sees of one that does not read, and of the feed that it shares. */
static void check_lag_is_seen(const struct stage *stage, struct rollcall_watch *slow,
                              struct rollcall_watch *other, int64_t since_ms)
{
    const struct rollcall_watch_stats lagging = stats_of(slow), quick = stats_of(other);
    const struct rollcall_feed_stats feed = rollcall_watch_feed_stats(other);
    const struct rollcall_queue_stats queue = rollcall_queue_stats(stage->queue);
    CHECK(lagging.lagging_since_ms >= since_ms);
    CHECK(lagging.lagging_since_ms <= rollcall__clock_wall_ms());
    CHECK_INT(lagging.waiting, MANY - 1); /* all but the one in the queue */
    CHECK_INT(lagging.lags, 0);           /* it has not been told so yet */
    CHECK_INT(quick.lagging_since_ms, 0);
    CHECK_INT(quick.waiting, 0);
    CHECK_INT(feed.watches, 2);
    CHECK_INT(feed.lagging, 1);
    CHECK_INT(feed.sessions, MANY);
    CHECK_INT(feed.changes, MANY);
    CHECK_INT(feed.lists, 1);
    CHECK_INT(queue.slices, 1);
    CHECK_INT(queue.waiting, 1);
    CHECK_INT(queue.watches, 1);
    CHECK(queue.full > 0);
}

/* And afterwards: what was told as a difference is counted. */
static void check_lag_is_over(struct stage *stage, struct rollcall_watch *slow)
{
    const struct rollcall_watch_stats stats = stats_of(slow);
    size_t singly = 0; /* what was told before the difference */
    while (api_watch_at(&stage->log, singly).type != ROLLCALL_WATCH_RESYNC_BEGIN) {
        singly++;
    }
    singly -= 2; /* the marks of the snapshot, which was empty */
    CHECK_INT(stats.lagging_since_ms, 0);
    CHECK_INT(stats.waiting, 0);
    CHECK_INT(stats.lags, 1);
    CHECK_INT(stats.resyncs, 1);
    CHECK_INT(stats.merged, MANY - singly);
    CHECK_INT(rollcall_watch_feed_stats(slow).lagging, 0);
    CHECK_INT(rollcall_queue_stats(stage->queue).waiting, 0);
}

/* Two watches of one range, one by a queue of one slice, which nobody reads for a while. */
TEST(queue, who_does_not_read_is_told_the_difference_and_holds_up_no_other)
{
    struct stage stage;
    struct api_watch_log quick;
    stage_open(&stage, 1);
    api_watch_log_init(&quick);
    struct rollcall_watch *slow = open_watch(&stage, &stage.log);
    struct rollcall_watch *other = api_watch(&stage.scene, "querynode", 0, &quick);
    read_until(&stage, ROLLCALL_WATCH_SNAPSHOT_END, 1);
    CHECK(api_watch_await(&quick, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    const int64_t since_ms = rollcall__clock_wall_ms();
    for (int i = 1; i <= MANY; i++) {
        store(&stage, i); /* a few of these, and it has no more room */
        CHECK(api_watch_await(&quick, ROLLCALL_WATCH_ADD, (size_t)i, API_SOON_MS));
    }
    check_lag_is_seen(&stage, slow, other, since_ms);
    read_until(&stage, ROLLCALL_WATCH_RESYNC_END, 1);
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_ADD), MANY);
    check_lag_is_over(&stage, slow);
    CHECK_INT(stats_of(other).lags, 0);
    CHECK_INT(rollcall_watch_close(slow), ROLLCALL_OK);
    api_watch_close(other, &quick);
    api_watch_log_fini(&quick);
    stage_close(&stage);
}

/* Else a queue of few slices could hold any number of events. */
TEST(queue, a_slice_of_many_events_counts_as_several)
{
    enum { AT_ONCE = 100 };
    struct stage stage;
    struct rollcall_queue_slice slices[SLICES];
    struct epoll_event event;
    stage_open(&stage, 0);
    struct rollcall_watch *watch = open_watch(&stage, &stage.log);
    read_until(&stage, ROLLCALL_WATCH_SNAPSHOT_END, 1);
    api_etcdctl(&stage.scene,
                "{ echo; i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo \"put "
                "$ROOT/session/querynode-$i \\\"{}\\\"\"; done; echo; echo; } | etcdctl txn",
                NULL, 0);
    CHECK_INT(epoll_wait(stage.epoll, &event, 1, API_SOON_MS), 1);
    CHECK_INT(rollcall_queue_stats(stage.queue).waiting, 2);
    CHECK_INT(rollcall_queue_next(stage.queue, slices, SLICES), 1);
    CHECK_INT(slices[0].count, AT_ONCE);
    CHECK_INT(rollcall_queue_stats(stage.queue).waiting, 0);
    CHECK_INT(rollcall_watch_close(watch), ROLLCALL_OK);
    stage_close(&stage);
}

TEST(queue, a_watch_that_is_closed_is_not_read_any_more)
{
    struct stage stage;
    struct rollcall_queue_slice slices[SLICES];
    struct epoll_event event;
    stage_open(&stage, 0);
    struct rollcall_watch *watch = open_watch(&stage, &stage.log);
    CHECK_INT(epoll_wait(stage.epoll, &event, 1, API_SOON_MS), 1);
    CHECK_INT(rollcall_watch_close(watch), ROLLCALL_OK);
    CHECK_INT(rollcall_queue_next(stage.queue, slices, SLICES), 0);
    CHECK_INT(epoll_wait(stage.epoll, &event, 1, 0), 0);
    stage_close(&stage);
}

TEST(queue, a_view_is_what_is_there_without_asking_etcd)
{
    struct stage stage;
    struct rollcall_view *view;
    size_t count;
    stage_open(&stage, 0);
    for (int i = 1; i <= MANY; i++) {
        store(&stage, i);
    }
    struct rollcall_watch *watch = open_watch(&stage, &stage.log);
    read_until(&stage, ROLLCALL_WATCH_SNAPSHOT_END, 1);
    CHECK_INT(rollcall_watch_view(watch, 0, &view, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_watch_close(watch), ROLLCALL_OK); /* which the view outlives */
    const struct rollcall_watch_event *sessions = rollcall_view_sessions(view, &count);
    CHECK_INT(count, MANY);
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(sessions[i].type, ROLLCALL_WATCH_SESSION);
        CHECK(sessions[i].mod_revision <= rollcall_view_revision(view));
        CHECK(i == 0 || strcmp(sessions[i - 1].key.data, sessions[i].key.data) < 0);
    }
    rollcall_view_free(view);
    stage_close(&stage);
}

static void note_all(void *user, const struct rollcall_watch_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        api_watch_note(user, &events[i]);
    }
}

TEST(queue, an_array_holds_what_single_events_tell)
{
    struct stage stage;
    struct rollcall_watch *watch;
    stage_open(&stage, 0);
    CHECK_INT(
        rollcall_watch_open(stage.scene.etcd,
                            ROLLCALL_WATCH_OPTIONS(.root = stage.scene.root, .role = "querynode",
                                                   .on_events = note_all, .user = &stage.log),
                            &watch, NULL),
        ROLLCALL_OK);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    for (int i = 1; i <= MANY; i++) {
        store(&stage, i);
    }
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_ADD, MANY, API_SOON_MS));
    CHECK_INT(rollcall_watch_close(watch), ROLLCALL_OK);
    stage_close(&stage);
}

TEST(queue, what_cannot_be_is_refused_with_the_reason)
{
    struct stage stage;
    struct rollcall_watch *watch;
    struct rollcall_error error;
    stage_open(&stage, 0);
    CHECK_INT(
        rollcall_watch_open(stage.scene.etcd,
                            ROLLCALL_WATCH_OPTIONS(.root = stage.scene.root, .on_events = note_all,
                                                   .queue = stage.queue, .user = &stage.log),
                            &watch, &error),
        ROLLCALL_E_INVALID);
    api_check_contains(error.text, "one of on_event, on_events and queue");
    CHECK_INT(rollcall_list(stage.scene.etcd,
                            ROLLCALL_WATCH_OPTIONS(.root = stage.scene.root, .queue = stage.queue),
                            0, &error),
              ROLLCALL_E_INVALID);
    stage_close(&stage);
}
