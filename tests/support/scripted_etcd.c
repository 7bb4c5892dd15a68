/*
 * tests/support/scripted_etcd.c - see scripted_etcd.h.
 *
 * The server's thread answers calls at once, and sends to watches what the test has put into a
 * queue.  Of the queue the head waits until its stream can take it, for one message is on its way
 * at a time; what is for a stream that has ended is dropped.
 */
#include "support/scripted_etcd.h"

#include "etcd.pb-c.h"
#include "support/canned_server.h"
#include "support/gateway.h"
#include "support/numbered.h"
#include "support/process.h"
#include "support/test.h"

#include <stdlib.h>

enum { TEXT_BYTES = GATEWAY_TEXT_BYTES, CLUSTER = 0xc1 };
enum { LOOK_NS = 500000 };

struct session {
    char key[TEXT_BYTES], value[TEXT_BYTES];
    int64_t revision;
};

struct watch {
    struct scripted_watch begun;
    struct canned_call *call; /* NULL: ended */
};

/* What is to be sent; no slice: the stream is to be ended. */
struct order {
    struct order *next;
    size_t nth;
    bool ends;
    grpc_slice message;
};

struct scripted_etcd {
    struct canned_script script;
    struct canned_server *server;
    uint64_t member;
    pthread_t thread;
    atomic_bool stop;
    struct rollcall__monitor monitor; /* guards the rest */
    const char *root;
    uint64_t cluster;
    int64_t revision;
    size_t reads;
    bool compacted;                                 /* all but now */
    struct session sessions[SCRIPTED_SESSIONS_MAX]; /* by id; those without a revision are not */
    struct watch watches[SCRIPTED_WATCHES_MAX];
    size_t watch_count;
    struct order *first, **last;
};

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "scripted etcd: %s\n", why);
    abort(); /* on a thread where no test can be failed */
}

static ProtobufCBinaryData data(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(uintptr_t)text};
}

static grpc_slice pack(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    return slice;
}

/* ---- calls; on the server's thread, locked ---- */

static void answer(struct canned_call *call, const ProtobufCMessage *message)
{
    grpc_slice slice = pack(message);
    canned_call_send(call, &slice, 1, false);
    grpc_slice_unref(slice);
    canned_call_end(call, GRPC_STATUS_OK, "");
}

static Etcd__ResponseHeader header_of(const struct scripted_etcd *etcd, int64_t revision)
{
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    header.cluster_id = etcd->cluster;
    header.member_id = etcd->member;
    header.revision = revision;
    header.raft_term = 2;
    return header;
}

/* Of what was before now it keeps nothing: a revision is answered as now, or is compacted. */
static void answer_range(struct scripted_etcd *etcd, struct canned_call *call,
                         struct rollcall_bytes message)
{
    Etcd__RangeRequest *request =
        etcd__range_request__unpack(NULL, message.size_bytes, (const uint8_t *)message.data);
    if (request == NULL) {
        give_up("a range that cannot be read");
    }
    const bool refused = etcd->compacted && request->revision != 0;
    const bool keys_only = request->keys_only;
    etcd__range_request__free_unpacked(request, NULL);
    etcd->reads++;
    if (refused) {
        canned_call_end(call, GRPC_STATUS_OUT_OF_RANGE,
                        "etcdserver: mvcc: required revision has been compacted");
        return;
    }
    Etcd__ResponseHeader header = header_of(etcd, etcd->revision);
    Etcd__RangeResponse response = ETCD__RANGE_RESPONSE__INIT;
    Etcd__KeyValue kvs[SCRIPTED_SESSIONS_MAX], *list[SCRIPTED_SESSIONS_MAX];
    response.header = &header;
    response.kvs = list;
    for (size_t i = 0; i < SCRIPTED_SESSIONS_MAX; i++) {
        const struct session *session = &etcd->sessions[i];
        Etcd__KeyValue *kv = &kvs[response.n_kvs];
        if (session->revision != 0) {
            etcd__key_value__init(kv);
            kv->key = data(session->key);
            kv->value = data(keys_only ? "" : session->value);
            kv->create_revision = kv->mod_revision = session->revision;
            kv->version = 1;
            list[response.n_kvs++] = kv;
        }
    }
    response.count = (int64_t)response.n_kvs;
    answer(call, &response.base);
}

static void answer_status(const struct scripted_etcd *etcd, struct canned_call *call)
{
    Etcd__ResponseHeader header = header_of(etcd, etcd->revision);
    Etcd__StatusResponse response = ETCD__STATUS_RESPONSE__INIT;
    response.header = &header;
    response.version = (char *)(uintptr_t) "3.4.23";
    response.leader = etcd->member;
    response.raft_term = header.raft_term;
    answer(call, &response.base);
}

static void begin_watch(struct scripted_etcd *etcd, struct canned_call *call,
                        struct rollcall_bytes message)
{
    Etcd__WatchRequest *request =
        etcd__watch_request__unpack(NULL, message.size_bytes, (const uint8_t *)message.data);
    if (request == NULL || etcd->watch_count == SCRIPTED_WATCHES_MAX) {
        give_up("a watch that cannot be read, or one too many");
    }
    if (request->request_union_case == ETCD__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST) {
        struct watch *watch = &etcd->watches[etcd->watch_count++];
        watch->call = call;
        watch->begun =
            (struct scripted_watch){.start_revision = request->create_request->start_revision,
                                    .watch_id = request->create_request->watch_id,
                                    .at_ms = process_now_ms()};
    } /* else: to cancel one, which is never answered here */
    etcd__watch_request__free_unpacked(request, NULL);
}

static bool is_method(const struct canned_call *call, const char *name)
{
    const struct rollcall_bytes method = canned_call_method(call);
    return method.size_bytes == strlen(name) && memcmp(method.data, name, strlen(name)) == 0;
}

static void on_message(void *user, struct canned_call *call, struct rollcall_bytes message)
{
    struct scripted_etcd *etcd = user;
    rollcall__monitor_lock(&etcd->monitor);
    if (is_method(call, "/etcdserverpb.KV/Range")) {
        answer_range(etcd, call, message);
    } else if (is_method(call, "/etcdserverpb.Maintenance/Status")) {
        answer_status(etcd, call);
    } else if (is_method(call, "/etcdserverpb.Watch/Watch")) {
        begin_watch(etcd, call, message);
    } else {
        canned_call_end(call, GRPC_STATUS_UNIMPLEMENTED,
                        "the scripted etcd does not know this method");
    }
    rollcall__monitor_notify(&etcd->monitor);
    rollcall__monitor_unlock(&etcd->monitor);
}

static void on_ended(void *user, struct canned_call *call)
{
    struct scripted_etcd *etcd = user;
    rollcall__monitor_lock(&etcd->monitor);
    for (size_t i = 0; i < etcd->watch_count; i++) {
        etcd->watches[i].call = etcd->watches[i].call == call ? NULL : etcd->watches[i].call;
    }
    rollcall__monitor_notify(&etcd->monitor);
    rollcall__monitor_unlock(&etcd->monitor);
}

/* ---- orders ---- */

/* False: it has to wait. */
static bool obey(const struct scripted_etcd *etcd, struct order *order)
{
    struct canned_call *call = etcd->watches[order->nth].call;
    if (call == NULL) {
        return true;
    }
    if (order->ends) {
        canned_call_end(call, GRPC_STATUS_UNAVAILABLE, "the scripted etcd ends the watch");
    } else if (canned_call_is_free(call)) {
        canned_call_send(call, &order->message, 1, false);
    } else {
        return false;
    }
    return true;
}

static void drop_first(struct scripted_etcd *etcd)
{
    struct order *order = etcd->first;
    etcd->first = order->next;
    etcd->last = etcd->first == NULL ? &etcd->first : etcd->last;
    grpc_slice_unref(order->message);
    free(order);
}

static int64_t on_due(void *user, int64_t now_ns)
{
    struct scripted_etcd *etcd = user;
    rollcall__monitor_lock(&etcd->monitor);
    while (etcd->first != NULL && obey(etcd, etcd->first)) {
        drop_first(etcd);
    }
    rollcall__monitor_unlock(&etcd->monitor);
    return now_ns + LOOK_NS;
}

static void put_order(struct scripted_etcd *etcd, size_t nth, grpc_slice message, bool ends)
{
    struct order *order = malloc(sizeof *order);
    CHECK(order != NULL);
    *order = (struct order){.nth = nth, .message = message, .ends = ends};
    rollcall__monitor_lock(&etcd->monitor);
    *etcd->last = order;
    etcd->last = &order->next;
    rollcall__monitor_unlock(&etcd->monitor);
}

void scripted_etcd_send(struct scripted_etcd *etcd, size_t nth,
                        const struct scripted_response *response)
{
    char keys[SCRIPTED_EVENTS_MAX][TEXT_BYTES], values[SCRIPTED_EVENTS_MAX][TEXT_BYTES];
    Etcd__Event events[SCRIPTED_EVENTS_MAX], *list[SCRIPTED_EVENTS_MAX];
    Etcd__KeyValue kvs[SCRIPTED_EVENTS_MAX];
    Etcd__ResponseHeader header = header_of(etcd, response->revision);
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    message.header = &header;
    message.watch_id =
        response->watch_id != 0 ? response->watch_id : etcd->watches[nth].begun.watch_id;
    message.created = response->created;
    message.canceled = response->canceled;
    message.fragment = response->fragment;
    message.compact_revision = response->compact_revision;
    message.cancel_reason = (char *)(uintptr_t)(response->reason == NULL ? "" : response->reason);
    message.events = list;
    for (size_t i = 0; i < SCRIPTED_EVENTS_MAX && response->events[i].id != 0; i++) {
        const struct scripted_event *event = &response->events[i];
        numbered_key(etcd->root, event->id, keys[i]);
        numbered_value(event->id, event->number, values[i]);
        etcd__event__init(&events[i]);
        etcd__key_value__init(&kvs[i]);
        events[i].type =
            event->deleted ? ETCD__EVENT__EVENT_TYPE__DELETE : ETCD__EVENT__EVENT_TYPE__PUT;
        events[i].kv = &kvs[i];
        kvs[i].key = data(keys[i]);
        kvs[i].value = data(event->deleted ? "" : values[i]);
        kvs[i].create_revision = kvs[i].mod_revision = event->revision;
        list[message.n_events++] = &events[i];
    }
    put_order(etcd, nth, pack(&message.base), false);
}

void scripted_etcd_send_large(struct scripted_etcd *etcd, size_t nth, int64_t revision, int pieces,
                              size_t piece_bytes)
{
    Etcd__ResponseHeader header = header_of(etcd, revision);
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    Etcd__Event event = ETCD__EVENT__INIT, *list = &event;
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    char key[TEXT_BYTES];
    numbered_key(etcd->root, SCRIPTED_SESSIONS_MAX, key);
    kv.key = data(key);
    kv.value.len = piece_bytes;
    kv.value.data = calloc(1, piece_bytes);
    CHECK(kv.value.data != NULL);
    kv.create_revision = kv.mod_revision = revision;
    event.kv = &kv;
    message.header = &header;
    message.watch_id = etcd->watches[nth].begun.watch_id;
    message.fragment = true;
    message.events = &list;
    message.n_events = 1;
    grpc_slice piece = pack(&message.base);
    for (int i = 1; i < pieces; i++) {
        put_order(etcd, nth, grpc_slice_ref(piece), false);
    }
    grpc_slice_unref(piece);
    message.fragment = false;
    put_order(etcd, nth, pack(&message.base), false);
    free(kv.value.data);
}

void scripted_etcd_end(struct scripted_etcd *etcd, size_t nth)
{
    put_order(etcd, nth, grpc_empty_slice(), true);
}

/* ---- what came ---- */

bool scripted_etcd_await_watch(struct scripted_etcd *etcd, size_t nth, int64_t timeout_ms,
                               struct scripted_watch *watch)
{
    const int64_t until_ns = (process_now_ms() + timeout_ms) * 1000000;
    bool waiting = true;
    rollcall__monitor_lock(&etcd->monitor);
    while (etcd->watch_count <= nth && waiting) {
        waiting = rollcall__monitor_wait(&etcd->monitor, until_ns);
    }
    const bool came = etcd->watch_count > nth;
    if (came) {
        *watch = etcd->watches[nth].begun;
    }
    rollcall__monitor_unlock(&etcd->monitor);
    return came;
}

bool scripted_etcd_await_ended(struct scripted_etcd *etcd, size_t nth, int64_t timeout_ms)
{
    const int64_t until_ns = (process_now_ms() + timeout_ms) * 1000000;
    bool waiting = true;
    rollcall__monitor_lock(&etcd->monitor);
    while (etcd->watches[nth].call != NULL && waiting) {
        waiting = rollcall__monitor_wait(&etcd->monitor, until_ns);
    }
    const bool ended = etcd->watches[nth].call == NULL;
    rollcall__monitor_unlock(&etcd->monitor);
    return ended;
}

size_t scripted_etcd_watches(struct scripted_etcd *etcd)
{
    rollcall__monitor_lock(&etcd->monitor);
    const size_t count = etcd->watch_count;
    rollcall__monitor_unlock(&etcd->monitor);
    return count;
}

size_t scripted_etcd_reads(struct scripted_etcd *etcd)
{
    rollcall__monitor_lock(&etcd->monitor);
    const size_t reads = etcd->reads;
    rollcall__monitor_unlock(&etcd->monitor);
    return reads;
}

bool scripted_etcd_await_reads(struct scripted_etcd *etcd, size_t reads, int64_t timeout_ms)
{
    const int64_t until_ns = (process_now_ms() + timeout_ms) * 1000000;
    bool waiting = true;
    rollcall__monitor_lock(&etcd->monitor);
    while (etcd->reads < reads && waiting) {
        waiting = rollcall__monitor_wait(&etcd->monitor, until_ns);
    }
    const bool read = etcd->reads >= reads;
    rollcall__monitor_unlock(&etcd->monitor);
    return read;
}

void scripted_etcd_compact(struct scripted_etcd *etcd, bool compacted)
{
    rollcall__monitor_lock(&etcd->monitor);
    etcd->compacted = compacted;
    rollcall__monitor_unlock(&etcd->monitor);
}

void scripted_etcd_store(struct scripted_etcd *etcd, const char *root, int id, int64_t number,
                         int64_t revision)
{
    CHECK(id > 0 && id < SCRIPTED_SESSIONS_MAX);
    rollcall__monitor_lock(&etcd->monitor);
    etcd->root = root;
    etcd->revision = revision;
    etcd->sessions[id].revision = revision;
    numbered_key(root, id, etcd->sessions[id].key);
    numbered_value(id, number, etcd->sessions[id].value);
    rollcall__monitor_unlock(&etcd->monitor);
}

void scripted_etcd_set_cluster(struct scripted_etcd *etcd, uint64_t cluster)
{
    rollcall__monitor_lock(&etcd->monitor);
    etcd->cluster = cluster;
    rollcall__monitor_unlock(&etcd->monitor);
}

/* ---- life ---- */

static void *run(void *argument)
{
    struct scripted_etcd *etcd = argument;
    canned_server_run(etcd->server, &etcd->stop);
    return NULL;
}

struct scripted_etcd *scripted_etcd_create(uint64_t member)
{
    struct scripted_etcd *etcd = calloc(1, sizeof *etcd);
    CHECK(etcd != NULL);
    etcd->member = member;
    etcd->cluster = CLUSTER;
    etcd->last = &etcd->first;
    etcd->script = (struct canned_script){
        .user = etcd, .message = on_message, .ended = on_ended, .due = on_due};
    rollcall__monitor_init(&etcd->monitor);
    etcd->server = canned_server_create(&etcd->script);
    CHECK(etcd->server != NULL);
    CHECK_INT(pthread_create(&etcd->thread, NULL, run, etcd), 0);
    return etcd;
}

void scripted_etcd_destroy(struct scripted_etcd *etcd)
{
    if (etcd == NULL) {
        return;
    }
    atomic_store(&etcd->stop, true);
    CHECK_INT(pthread_join(etcd->thread, NULL), 0);
    canned_server_destroy(etcd->server);
    while (etcd->first != NULL) {
        drop_first(etcd);
    }
    rollcall__monitor_fini(&etcd->monitor);
    free(etcd);
}

const char *scripted_etcd_endpoint(const struct scripted_etcd *etcd)
{
    return canned_server_endpoint(etcd->server);
}
