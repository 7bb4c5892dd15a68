/* What upstream's own tests of its watcher ask for, asked of ours.  Above each test stands theirs,
 * as "test: case", and what is wanted instead where upstream ends the process. */
#include "channel/error.h"
#include "transport/request.h"
#include "unit/actors/watcher_world.h"

#include <grpc/status.h>

enum { SEEDS = 20, A_MINUTE_MS = 60000 };

/* ---- events ---- */

/* TestWatcherHandleWatchResp: normal events. */
TEST(watcher, a_put_and_a_delete_of_what_was_there_before_are_one_event_each)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put_text(&b, "node-2", "{\"ServerID\": 2,\"ServerName\":\"test2\"}");
        watch(&b, &(struct watch_choice){.from_revision = b.etcd->revision + 1});
        flow(&b);
        put_text(&b, "node-1", "{\"ServerID\": 1,\"ServerName\":\"test1\"}");
        delete_key(&b, "node-2");
        flow(&b);
        CHECK_INT(b.listener->count, 2);
        check_told(&b, 0, ROLLCALL_WATCH_ADD, "node-1");
        check_told(&b, 1, ROLLCALL_WATCH_DELETE, "node-2");
        CHECK_STR(b.listener->told[1].value, "{\"ServerID\": 2,\"ServerName\":\"test2\"}");
        bench_close(&b);
    }
}

/* Ends the stream and forgets the history, so that the watcher has to list. */
static void lose_history(struct bench *b)
{
    fake_etcd_break(b->etcd, b->world.rt, ROLLCALL_E_UNAVAILABLE);
    world_settle(&b->world);
    put_text(b, "other", "{}"); /* a revision that nobody was told */
    fake_etcd_compact(b->etcd, b->etcd->revision);
}

static bool asks_for_previous(const struct bench *b)
{
    size_t open = 0, asking = 0;
    for (size_t i = 0; i < FAKE_ETCD_WATCHES_MAX; i++) {
        open += b->etcd->watches[i].open;
        asking += b->etcd->watches[i].open && b->etcd->watches[i].range->prev_kv;
    }
    CHECK_INT(open, 1);
    return asking == 1;
}

/* They are half of what has to be read, and etcd has to look them up. */
TEST(watcher, previous_values_are_asked_for_by_who_has_no_list_and_by_nobody_else)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put_text(&b, "node-1", "{\"ServerID\": 1,\"ServerName\":\"test1\"}");
        watch(&b, &(struct watch_choice){.from_revision = b.etcd->revision + 1});
        flow(&b);
        CHECK(asks_for_previous(&b));
        lose_history(&b);
        flow(&b);
        CHECK(!asks_for_previous(&b));
        const size_t before = b.listener->count;
        delete_key(&b, "node-1"); /* of before the list */
        flow(&b);
        check_told(&b, before, ROLLCALL_WATCH_DELETE, "node-1");
        bench_close(&b);
    }
}

/* TestWatcherHandleWatchResp: abnormal events. */
TEST(watcher, empty_values_are_told_as_nothing_end_nothing_and_are_counted)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        put_text(&b, "node-1", "");
        delete_key(&b, "node-1");
        put_text(&b, "node-1", "");
        flow(&b);
        CHECK_INT(b.listener->count, 2);
        CHECK_INT(b.etcd->watches_opened, 1);
        lose_history(&b);
        flow(&b);
        check_told(&b, 3, ROLLCALL_WATCH_RESYNC_END, "");
        CHECK_INT(b.listener->told[3].count, 0);
        CHECK_INT(b.listener->told[3].skipped, 1);
        bench_close(&b);
    }
}

#define STOPPING "{\"ServerID\":1,\"ServerName\":\"node\",\"Address\":\"a1\",\"Stopping\":true}"

/* TestWatcherHandleWatchResp: SessionUpdateEvent for Stopping.  Upstream's Update may be of what it
 * never added; ours never is. */
TEST(watcher, a_session_marked_stopping_is_an_update_of_what_was_told_and_else_an_add)
{
    for (int known = 0; known < 2; known++) {
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            put(&b, "node-1", 1, "2.4.2");
            watch(&b, &(struct watch_choice){.from_revision = known ? 0 : b.etcd->revision + 1});
            flow(&b);
            const size_t before = b.listener->count;
            put_text(&b, "node-1", STOPPING);
            flow(&b);
            CHECK_INT(b.listener->count, before + 1);
            check_told(&b, before, known ? ROLLCALL_WATCH_UPDATE : ROLLCALL_WATCH_ADD, "node-1");
            CHECK_STR(b.listener->told[before].value, STOPPING);
            bench_close(&b);
        }
    }
}

/* TestWatcherHandleWatchResp: validation fails for PUT and for DELETE. */
TEST(watcher, a_session_outside_the_range_is_told_neither_as_it_comes_nor_as_it_goes)
{
    for (int known = 0; known < 2; known++) {
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            put(&b, "node-1", 1, "2.4.2");
            watch(&b, &(struct watch_choice){.range = ">=3.0.0",
                                             .from_revision = known ? 0 : b.etcd->revision + 1});
            flow(&b);
            const size_t before = b.listener->count;
            put(&b, "node-2", 1, "2.9.9");
            delete_key(&b, "node-1"); /* etcd tells the value before it, which is outside too */
            delete_key(&b, "node-2");
            flow(&b);
            CHECK_INT(b.listener->count, before);
            bench_close(&b);
        }
    }
}

/* D-17: upstream's list is a map from the last element of the path, so one of these is lost. */
TEST(watcher, two_keys_that_end_alike_are_two_sessions)
{
    for (int later = 0; later < 2; later++) {
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            watch(&b, &(struct watch_choice){.raw_prefix = true,
                                             .from_revision = later ? b.etcd->revision + 1 : 0});
            put(&b, "node/a/node-1", 1, "2.4.2");
            put(&b, "node/b/node-1", 2, "2.4.2");
            flow(&b);
            check_same(&b, 2);
            delete_key(&b, "node/a/node-1");
            flow(&b);
            check_same(&b, 1);
            bench_close(&b);
        }
    }
}

/* ---- what etcd no longer has ---- */

/* TestWatcherHandleWatchResp: err compacted, nil Rewatch and valid Rewatch. */
TEST(watcher, a_compaction_is_a_resync_whether_a_snapshot_came_before_it_or_not)
{
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            put(&b, "node-1", 1, "2.4.2");
            watch(&b, &(struct watch_choice){.from_revision = snapshot ? 0 : b.etcd->revision});
            flow(&b);
            const size_t before = b.listener->count;
            CHECK_INT(b.listener->known_count, 1);
            lose_history(&b);
            delete_key(&b, "node-1");
            put(&b, "node-2", 1, "2.4.2");
            fake_etcd_compact(b.etcd, b.etcd->revision);
            flow(&b);
            CHECK_INT(b.listener->count, before + 4);
            check_told(&b, before, ROLLCALL_WATCH_RESYNC_BEGIN, "");
            check_told(&b, before + 1, ROLLCALL_WATCH_DELETE, "node-1");
            check_told(&b, before + 2, ROLLCALL_WATCH_ADD, "node-2");
            check_told(&b, before + 3, ROLLCALL_WATCH_RESYNC_END, "");
            CHECK_INT(b.listener->told[before].status, ROLLCALL_E_COMPACTED);
            bench_close(&b);
        }
    }
}

/* TestWatcherHandleWatchResp: rewatch starts after snapshot revision. */
TEST(watcher, after_a_resync_the_watch_goes_on_where_the_list_ended_and_repeats_nothing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        lose_history(&b);
        put(&b, "node-1", 1, "2.4.2"); /* at the revision of the list */
        fake_etcd_compact(b.etcd, b.etcd->revision);
        flow(&b);
        check_told(&b, 3, ROLLCALL_WATCH_ADD, "node-1");
        check_told(&b, 4, ROLLCALL_WATCH_RESYNC_END, "");
        CHECK_INT(b.listener->told[4].revision, b.etcd->revision);
        flow(&b);
        CHECK_INT(b.listener->count, 5);
        put(&b, "node-1", 2, "2.4.2");
        flow(&b);
        CHECK_INT(b.listener->count, 6);
        check_told(&b, 5, ROLLCALL_WATCH_UPDATE, "node-1");
        bench_close(&b);
    }
}

/* D-04: what upstream's watch starts with may be gone already. */
TEST(watcher, what_is_compacted_between_the_list_and_the_watch_is_told_as_a_resync)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        watch(&b, &(struct watch_choice){0});
        while (strcmp(rollcall_sim_state(b.world.sim, b.reflector), "FOLLOWING") != 0) {
            CHECK(rollcall_sim_step(b.world.sim));
        }
        CHECK_INT(b.etcd->watches_opened, 0); /* it is asked for, and etcd does not know yet */
        delete_key(&b, "node-1");
        put(&b, "node-2", 1, "2.4.2");
        fake_etcd_compact(b.etcd, b.etcd->revision);
        flow(&b);
        CHECK_INT(b.listener->count, 3 + 4);
        check_told(&b, 3, ROLLCALL_WATCH_RESYNC_BEGIN, "");
        check_told(&b, 4, ROLLCALL_WATCH_DELETE, "node-1");
        check_told(&b, 5, ROLLCALL_WATCH_ADD, "node-2");
        check_same(&b, 1);
        bench_close(&b);
    }
}

/* D-11: upstream's callback gets every session, whatever its version. */
TEST(watcher, a_resync_of_a_version_range_tells_only_what_is_inside_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        put(&b, "node-2", 1, "2.2.0");
        watch(&b, &(struct watch_choice){.range = ">=2.3.0"});
        flow(&b);
        CHECK_INT(b.listener->count, 3);
        lose_history(&b);
        put(&b, "node-1", 2, "2.2.0"); /* leaves the range */
        put(&b, "node-2", 2, "2.4.2"); /* enters it */
        put(&b, "node-3", 1, "2.2.0");
        fake_etcd_compact(b.etcd, b.etcd->revision);
        flow(&b);
        CHECK_INT(b.listener->count, 7);
        check_told(&b, 4, ROLLCALL_WATCH_DELETE, "node-1");
        check_told(&b, 5, ROLLCALL_WATCH_ADD, "node-2");
        CHECK_INT(b.listener->told[6].count, 2);
        bench_close(&b);
    }
}

/* D-13: upstream's list comes before up to 100 older events that are still in its queue. */
TEST(watcher, a_resync_is_told_after_every_change_that_was_told_before_it)
{
    enum { CHANGES = HUB_WINDOW - 1 };
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){.slow = true}); /* takes nothing while this runs */
        world_run(&b.world, 100);
        for (int i = 0; i < CHANGES; i++) {
            put(&b, "node-1", i, "2.4.2");
            fake_etcd_pump(b.etcd, b.world.rt);
            world_settle(&b.world);
        }
        lose_history(&b);
        delete_key(&b, "node-1");
        fake_etcd_compact(b.etcd, b.etcd->revision);
        world_run(&b.world, 5000);
        CHECK_INT(b.listener->count, 0);
        b.listener->room = SIZE_MAX;
        world_run(&b.world, 1000);
        CHECK_INT(b.listener->count, 2 + CHANGES + 3);
        check_told(&b, 2 + CHANGES, ROLLCALL_WATCH_RESYNC_BEGIN, "");
        check_told(&b, 2 + CHANGES + 1, ROLLCALL_WATCH_DELETE, "node-1");
        check_same(&b, 0);
        bench_close(&b);
    }
}

static enum fake_etcd_fate refuse_some(struct fake_etcd *etcd,
                                       const struct transport_request *request)
{
    int *refusals = etcd->user;
    (void)request;
    return (*refusals)-- > 0 ? FAKE_ETCD_REFUSE : FAKE_ETCD_ANSWER;
}

/* TestWatcherHandleWatchResp: recoverable request failure keeps retrying; err handled but list
 * failed, of which upstream dies. */
TEST(watcher, a_list_that_fails_in_a_resync_is_asked_for_again_until_it_is_answered)
{
    while (world_next(SEEDS)) {
        struct bench b;
        int refusals = 30;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        const uint64_t calls = b.etcd->calls;
        b.etcd->decide = refuse_some;
        b.etcd->user = &refusals;
        lose_history(&b);
        world_run(&b.world, A_MINUTE_MS);
        CHECK_INT(b.etcd->calls, calls + 30 + 1);
        CHECK_INT(b.listener->count, 5);
        check_told(&b, 3, ROLLCALL_WATCH_RESYNC_BEGIN, "");
        check_told(&b, 4, ROLLCALL_WATCH_RESYNC_END, "");
        CHECK_INT(b.listener->told[4].count, 0);
        bench_close(&b);
    }
}

/* TestWatcherHandleWatchResp: err handled but list failed, when it always will. */
TEST(watcher, a_list_that_is_denied_in_a_resync_is_told_once_as_a_failure)
{
    while (world_next(SEEDS)) {
        struct bench b;
        int refusals = INT32_MAX;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        const uint64_t calls = b.etcd->calls;
        b.etcd->decide = refuse_some;
        b.etcd->refusal = ROLLCALL_E_DENIED;
        b.etcd->user = &refusals;
        lose_history(&b);
        world_run(&b.world, A_MINUTE_MS);
        CHECK_INT(b.etcd->calls, calls + 1);
        CHECK_INT(b.listener->count, 4);
        check_told(&b, 3, ROLLCALL_WATCH_FAILED, "");
        CHECK_INT(b.listener->told[3].status, ROLLCALL_E_DENIED);
        CHECK_INT(b.listener->known_count, 1); /* what is known is taken back by nobody */
        bench_close(&b);
    }
}

/* ---- what ends a stream ---- */

/* A failure as gRPC tells it, and as etcd tells it in a cancelled watch; one of the two. */
struct end {
    int grpc_code;
    const char *message, *reason;
};

static struct rollcall_error error_of(const struct end *end)
{
    const struct rollcall__etcd_failure failure = {.grpc_code = end->grpc_code,
                                                   .message = rollcall__bytes(end->message),
                                                   .endpoint = "127.0.0.1:2379"};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (end->reason != NULL) {
        rollcall__etcd_canceled(&error, end->reason);
    } else {
        rollcall__etcd_error(&error, &failure);
    }
    return error;
}

static const struct end PASSING[] = {
    {GRPC_STATUS_UNAVAILABLE, "etcdserver: leader changed", NULL},
    {GRPC_STATUS_UNAVAILABLE, "etcdserver: no leader", NULL},
    {GRPC_STATUS_UNAVAILABLE, "connection reset by peer", NULL},
    {GRPC_STATUS_DEADLINE_EXCEEDED, "context deadline exceeded", NULL},
    {GRPC_STATUS_RESOURCE_EXHAUSTED, "etcdserver: too many requests", NULL},
    {GRPC_STATUS_INTERNAL, "stream terminated by RST_STREAM", NULL},
    {GRPC_STATUS_OK, "", NULL},
    {0, "", "etcdserver: leader changed"},
    {0, "", "etcdserver: no leader"},
    {0, "", "etcdserver: mvcc: required revision is a future revision"},
};

/* TestWatcherHandleWatchResp: leader change triggers rewatch. */
TEST(watcher, what_may_pass_makes_a_new_watch_that_misses_and_repeats_nothing)
{
    for (size_t i = 0; i < sizeof PASSING / sizeof PASSING[0]; i++) {
        const struct rollcall_error error = error_of(&PASSING[i]);
        CHECK(!rollcall__etcd_token_refused(&error));
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            watch(&b, &(struct watch_choice){0});
            flow(&b);
            put(&b, "node-1", 1, "2.4.2");
            flow(&b);
            fake_etcd_break(b.etcd, b.world.rt, error.status);
            world_settle(&b.world);
            put(&b, "node-1", 2, "2.4.2");
            flow(&b);
            CHECK_INT(b.etcd->watches_opened, 2);
            CHECK_INT(b.listener->count, 4);
            check_told(&b, 3, ROLLCALL_WATCH_UPDATE, "node-1");
            bench_close(&b);
        }
    }
}

/* TestWatcherHandleWatchResp: invalid auth token triggers rewatch.  The transport gets a new token
 * and tells the watcher E_UNAVAILABLE; integration/auth_test.c does that with a real etcd. */
TEST(watcher, what_upstream_knows_as_trouble_with_the_token_is_known_as_that)
{
    static const struct end TOKEN[] = {
        {GRPC_STATUS_UNAUTHENTICATED, "etcdserver: invalid auth token", NULL},
        {GRPC_STATUS_INVALID_ARGUMENT, "etcdserver: user name is empty", NULL},
        {GRPC_STATUS_INVALID_ARGUMENT, "etcdserver: revision of auth store is old", NULL},
        {0, "", "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"},
        {0, "", "rpc error: code = InvalidArgument desc = etcdserver: user name is empty"},
        {0, "",
         "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old"},
    };
    for (size_t i = 0; i < sizeof TOKEN / sizeof TOKEN[0]; i++) {
        const struct rollcall_error error = error_of(&TOKEN[i]);
        CHECK(rollcall__etcd_token_refused(&error));
    }
}

static const struct end LASTING[] = {
    {GRPC_STATUS_PERMISSION_DENIED, "etcdserver: permission denied", NULL},
    {GRPC_STATUS_INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password",
     NULL},
    {0, "", "rpc error: code = PermissionDenied desc = etcdserver: permission denied"},
    {0, "", "mvcc: watcher range is empty"},
};

/* TestWatcherHandleWatchResp: non-retriable error closes channel. */
TEST(watcher, what_will_not_pass_is_told_once_with_its_status_and_never_watched_again)
{
    for (size_t i = 0; i < sizeof LASTING / sizeof LASTING[0]; i++) {
        const struct rollcall_error error = error_of(&LASTING[i]);
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            watch(&b, &(struct watch_choice){0});
            flow(&b);
            fake_etcd_break(b.etcd, b.world.rt, error.status);
            world_run(&b.world, A_MINUTE_MS);
            CHECK_INT(b.listener->count, 3);
            check_told(&b, 2, ROLLCALL_WATCH_FAILED, "");
            CHECK_INT(b.listener->told[2].status, error.status);
            CHECK_INT(b.etcd->watches_opened, 1);
            bench_close(&b);
        }
    }
}

static void free_response(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

/* TestWatcherHandleWatchResp: err canceled.  etcd 3.3 cancels so a watch from the future. */
TEST(watcher, a_cancellation_without_a_reason_makes_a_new_watch)
{
    while (world_next(SEEDS)) {
        struct bench b;
        const struct transport_watch_answer answer = {.watch_id = 1};
        struct transport_watch_response *response = calloc(1, sizeof *response);
        CHECK(response != NULL);
        rollcall_object_init(&response->object, free_response);
        response->canceled = true;
        bench_open(&b);
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        response->revision = b.etcd->revision;
        world_send(&b.world, b.reflector, REFLECTOR_RESPONSE, &answer, sizeof answer,
                   &response->object);
        world_run(&b.world, A_MINUTE_MS);
        CHECK_INT(b.etcd->watches_opened, 2);
        put(&b, "node-1", 1, "2.4.2");
        flow(&b);
        check_told(&b, b.listener->count - 1, ROLLCALL_WATCH_ADD, "node-1");
        bench_close(&b);
    }
}

enum { LAGS_MS = 7000 };

/* TestWatcherHandleWatchResp: err canceled.  A later etcd waits for the revision to come, and tells
 * nothing until then. */
TEST(watcher, a_watch_from_the_future_lists_and_tells_the_difference)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        watch(&b, &(struct watch_choice){.from_revision = 1000});
        flow(&b);
        CHECK_INT(b.listener->count, 0); /* it may be a member that lags */
        world_run(&b.world, LAGS_MS);
        CHECK_INT(b.listener->count, 3);
        check_told(&b, 0, ROLLCALL_WATCH_RESYNC_BEGIN, "");
        check_told(&b, 1, ROLLCALL_WATCH_ADD, "node-1");
        check_told(&b, 2, ROLLCALL_WATCH_RESYNC_END, "");
        put(&b, "node-2", 1, "2.4.2");
        flow(&b);
        CHECK_INT(b.listener->count, 4);
        check_told(&b, 3, ROLLCALL_WATCH_ADD, "node-2");
        bench_close(&b);
    }
}

/* ---- the end ---- */

static const enum rollcall_status ENDS[] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_DENIED,
                                            ROLLCALL_E_COMPACTED};

/* TestWatcherHandleWatchResp: error during shutdown does not panic. */
TEST(watcher, an_error_as_it_is_stopped_is_its_end_and_opens_nothing_again)
{
    for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            watch(&b, &(struct watch_choice){0});
            flow(&b);
            rollcall_runtime_stop(b.world.rt, b.root);
            fake_etcd_break(b.etcd, b.world.rt, ENDS[i]);
            world_run(&b.world, A_MINUTE_MS);
            CHECK_STATE(&b.world, b.root, "ENDED");
            CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
            CHECK_INT(b.listener->count, 2 + count_told(&b, ROLLCALL_WATCH_FAILED));
            CHECK(ENDS[i] == ROLLCALL_E_DENIED || b.listener->count == 2);
            CHECK(b.listener->gone);
            CHECK_INT(b.etcd->watches_opened, 1);
            bench_close(&b);
        }
    }
}

/* D-21: upstream's Stop waits for a back-off of up to 10 s, or panics after it. */
TEST(watcher, stopped_while_it_waits_to_try_again_it_ends_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        b.etcd->away = true;
        fake_etcd_pump(b.etcd, b.world.rt);
        world_run(&b.world, 30000);
        rollcall_runtime_stop(b.world.rt, b.root);
        world_settle(&b.world); /* without a millisecond passing */
        CHECK_STATE(&b.world, b.root, "ENDED");
        CHECK_INT(b.listener->count, 2);
        bench_close(&b);
    }
}
