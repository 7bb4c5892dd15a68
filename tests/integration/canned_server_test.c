/*
 * What support/canned_server.h plays for an etcd is what a watch of ours sees: here the shortest
 * script that makes one tell something, lose its stream, and go on.
 */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/thread.h"
#include "etcd.pb-c.h"
#include "support/canned_server.h"
#include "support/process.h"
#include "support/test.h"

#include <rollcall/watch.h>

#include <pthread.h>

enum { REVISION = 100, WAIT_MS = 10000 };
static const char KEY[] = "canned/session/querynode-1";

/* Tells one change a stream, that of the revision it is asked to begin at, and ends the first. */
struct script {
    struct canned_script callbacks;
    struct canned_server *server;
    atomic_bool stop;
    atomic_int streams, told, ended;
    atomic_int_fast64_t second_from; /* where the second stream was to begin */
};

static void send_packed(struct canned_call *call, const ProtobufCMessage *message)
{
    grpc_slice bytes = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(bytes));
    canned_call_send(call, &bytes, 1, false);
    grpc_slice_unref(bytes);
}

static void tell_change(struct canned_call *call, int64_t revision)
{
    char value[64];
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    Etcd__Event event = ETCD__EVENT__INIT, *events = &event;
    Etcd__WatchResponse response = ETCD__WATCH_RESPONSE__INIT;
    snprintf(value, sizeof value, "{\"ServerID\":%" PRId64 ",\"Version\":\"2.4.2\"}", revision);
    kv.key = (ProtobufCBinaryData){sizeof KEY - 1, (uint8_t *)(uintptr_t)KEY};
    kv.value = (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
    kv.create_revision = REVISION;
    kv.mod_revision = header.revision = revision;
    kv.version = 1;
    header.cluster_id = 1;
    event.kv = &kv;
    response.header = &header;
    response.watch_id = 1;
    response.events = &events;
    response.n_events = 1;
    send_packed(call, &response.base);
}

static void tell_created(struct canned_call *call, int64_t revision)
{
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    Etcd__WatchResponse response = ETCD__WATCH_RESPONSE__INIT;
    header.cluster_id = 1;
    header.revision = revision;
    response.header = &header;
    response.watch_id = 1;
    response.created = true;
    send_packed(call, &response.base);
}

static void on_message(void *user, struct canned_call *call, struct rollcall_bytes message)
{
    struct script *script = user;
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    Etcd__RangeResponse nothing = ETCD__RANGE_RESPONSE__INIT;
    header.cluster_id = 1;
    header.revision = REVISION + atomic_load(&script->told); /* a lower one would be a backup's */
    nothing.header = &header;
    if (rollcall__bytes_equal(canned_call_method(call),
                              rollcall__bytes("/etcdserverpb.Watch/Watch"))) {
        Etcd__WatchRequest *request =
            etcd__watch_request__unpack(NULL, message.size_bytes, (const uint8_t *)message.data);
        CHECK(request != NULL);
        if (atomic_fetch_add(&script->streams, 1) == 1) {
            atomic_store(&script->second_from, request->create_request->start_revision);
        }
        etcd__watch_request__free_unpacked(request, NULL);
        canned_call_set_user(call, script);
        tell_created(call, header.revision);
    } else if (rollcall__bytes_equal(canned_call_method(call),
                                     rollcall__bytes("/etcdserverpb.KV/Range"))) {
        send_packed(call, &nothing.base);
        canned_call_end(call, GRPC_STATUS_OK, "");
    } else {
        canned_call_end(call, GRPC_STATUS_UNIMPLEMENTED, "not in the script");
    }
}

/* After `created` the change; after the change of the first stream its end. */
static void on_sent(void *user, struct canned_call *call)
{
    struct script *script = user;
    if (canned_call_user(call) == NULL) {
        return;
    }
    if (canned_call_user(call) == script) {
        canned_call_set_user(call, &script->told);
        tell_change(call, REVISION + 1 + atomic_fetch_add(&script->told, 1));
    } else if (atomic_load(&script->told) == 1) {
        canned_call_end(call, GRPC_STATUS_UNAVAILABLE, "the script ends it");
    }
}

static void on_ended(void *user, struct canned_call *call)
{
    struct script *script = user;
    atomic_fetch_add(&script->ended, canned_call_user(call) != NULL);
}

static void *serve(void *argument)
{
    struct script *script = argument;
    canned_server_run(script->server, &script->stop);
    return NULL;
}

struct seen {
    struct rollcall__monitor monitor; /* guards the rest */
    int changes;
    int64_t last_id;
};

static void on_event(void *user, const struct rollcall_watch_event *event)
{
    struct seen *seen = user;
    if (event->record != NULL) {
        rollcall__monitor_lock(&seen->monitor);
        seen->changes++;
        seen->last_id = event->record->server_id;
        rollcall__monitor_notify(&seen->monitor);
        rollcall__monitor_unlock(&seen->monitor);
    }
}

static void await_changes(struct seen *seen, int count)
{
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + WAIT_MS * 1000000LL;
    bool in_time = true;
    rollcall__monitor_lock(&seen->monitor);
    while (seen->changes < count && in_time) {
        in_time = rollcall__monitor_wait(&seen->monitor, deadline_ns);
    }
    CHECK_INT(seen->changes, count);
    CHECK_INT(seen->last_id, REVISION + count);
    rollcall__monitor_unlock(&seen->monitor);
}

TEST(canned_server, a_watch_sees_what_the_script_says_and_comes_back_when_it_ends_the_stream)
{
    static struct script script;
    struct seen seen = {.changes = 0};
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd;
    struct rollcall_watch *watch;
    pthread_t thread;
    script.callbacks = (struct canned_script){
        .user = &script, .message = on_message, .sent = on_sent, .ended = on_ended};
    script.server = canned_server_create(&script.callbacks);
    CHECK(script.server != NULL);
    CHECK_INT(pthread_create(&thread, NULL, serve, &script), 0);
    rollcall__monitor_init(&seen.monitor);
    CHECK_INT(rollcall_runtime_create(NULL, &runtime, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_etcd_connect(
                  runtime,
                  ROLLCALL_ETCD_OPTIONS(.endpoints = canned_server_endpoint(script.server)), &etcd,
                  NULL),
              ROLLCALL_OK);
    CHECK_INT(rollcall_watch_open(etcd,
                                  ROLLCALL_WATCH_OPTIONS(.root = "canned", .role = "querynode",
                                                         .on_event = on_event, .user = &seen),
                                  &watch, NULL),
              ROLLCALL_OK);
    await_changes(&seen, 2);
    CHECK_INT(rollcall_watch_close(watch), ROLLCALL_OK);
    CHECK_INT(rollcall_etcd_close(etcd), ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_destroy(runtime), ROLLCALL_OK);
    atomic_store(&script.stop, true);
    CHECK_INT(pthread_join(thread, NULL), 0);
    canned_server_destroy(script.server);
    rollcall__monitor_fini(&seen.monitor);
    CHECK_INT(atomic_load(&script.streams), 2);
    CHECK_INT(atomic_load(&script.ended), 2);
    CHECK(atomic_load(&script.second_from) > REVISION);
}
