/*
 * tests/support/scripted_stage.h - a watch of a scripted etcd, which knows one session and follows.
 *
 *     struct stage stage;
 *     begin(&stage);
 *     create(stage.etcd, 0, LISTED);
 *     tell(&stage, 0, 2, 11, 11);
 *     await_told(&stage, 11);
 *     end(&stage);
 *
 * Threads: the test's.
 */
#ifndef TESTS_SUPPORT_SCRIPTED_STAGE_H
#define TESTS_SUPPORT_SCRIPTED_STAGE_H

#include "support/api_events.h"
#include "support/numbered.h"
#include "support/scripted_etcd.h"
#include "support/test.h"

enum { LISTED = 10, SNAPSHOT_NOTES = 3, QUIET_MS = 200, TOLD_MAX = 64 };

/* One session, listed at revision 10, and a watch that follows. */
struct stage {
    struct scripted_etcd *etcd;
    struct api_scene scene;
    struct api_watch_log log;
    struct rollcall_watch *watch;
};

static inline void create(struct scripted_etcd *etcd, size_t nth, int64_t revision)
{
    scripted_etcd_send(etcd, nth,
                       &(const struct scripted_response){.created = true, .revision = revision});
}

/* Returns where it begins. */
static inline int64_t await_watch(struct stage *stage, size_t nth)
{
    struct scripted_watch watch;
    CHECK(scripted_etcd_await_watch(stage->etcd, nth, API_SOON_MS, &watch));
    return watch.start_revision;
}

static inline void begin_with(struct stage *stage, int64_t audit_ms)
{
    stage->etcd = scripted_etcd_create(1);
    api_scene_open(&stage->scene, scripted_etcd_endpoint(stage->etcd));
    scripted_etcd_store(stage->etcd, stage->scene.root, 1, 1, LISTED);
    api_watch_log_init(&stage->log);
    CHECK_INT(
        rollcall_watch_open(stage->scene.etcd,
                            ROLLCALL_WATCH_OPTIONS(.root = stage->scene.root, .role = "datanode",
                                                   .audit_ms = audit_ms, .on_event = api_watch_note,
                                                   .user = &stage->log),
                            &stage->watch, NULL),
        ROLLCALL_OK);
    CHECK(await_watch(stage, 0) <= LISTED + 1);
    CHECK(api_watch_await(&stage->log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
}

static inline void begin(struct stage *stage)
{
    begin_with(stage, 0);
}

static inline void end(struct stage *stage)
{
    api_watch_close(stage->watch, &stage->log);
    api_watch_check(&stage->log);
    CHECK_INT(api_watch_count(&stage->log, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    CHECK_INT(api_watch_count(&stage->log, ROLLCALL_WATCH_FAILED), 0);
    api_watch_log_fini(&stage->log);
    api_scene_close(&stage->scene);
    scripted_etcd_destroy(stage->etcd);
}

/* One event, of a key that has the number of its revision unless another is given. */
static inline void tell(struct stage *stage, size_t nth, int id, int64_t number, int64_t revision)
{
    scripted_etcd_send(
        stage->etcd, nth,
        &(const struct scripted_response){
            .revision = revision, .events = {{.id = id, .number = number, .revision = revision}}});
}

static inline void await_told(struct stage *stage, int64_t revision)
{
    CHECK(api_watch_await_revision(&stage->log, revision, API_SOON_MS));
}

/* After the snapshot exactly these numbers were told, in this order; 0 ends them. */
static inline void check_told(struct stage *stage, const int64_t *numbers)
{
    size_t count = 0;
    for (; numbers[count] != 0; count++) {
        const struct api_watch_note note = api_watch_at(&stage->log, SNAPSHOT_NOTES + count);
        CHECK_INT(numbered_read(note.value), numbers[count]);
    }
    CHECK_INT(api_watch_total(&stage->log), SNAPSHOT_NOTES + count);
}

/* As end, of one that was told a difference. */
static inline void end_after_resync(struct stage *stage)
{
    api_watch_close(stage->watch, &stage->log);
    CHECK_INT(api_watch_count(&stage->log, ROLLCALL_WATCH_FAILED), 0);
    api_watch_log_fini(&stage->log);
    api_scene_close(&stage->scene);
    scripted_etcd_destroy(stage->etcd);
}

#endif /* TESTS_SUPPORT_SCRIPTED_STAGE_H */
