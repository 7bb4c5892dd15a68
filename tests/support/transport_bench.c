/* support/transport_bench.c - see transport_bench.h. */
#include "support/transport_bench.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "support/test.h"

#include <stdlib.h>

/* ---- the probe ---- */

struct probe_options {
    struct bench_notebook *notebook;
    struct rollcall_ref transport;
};
struct probe {
    struct probe_options given;
};

static int probe_init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx;
    ((struct probe *)self)->given = *(const struct probe_options *)options;
    return 0;
}

static void probe_gone(void *options)
{
    struct bench_notebook *notebook = ((struct probe_options *)options)->notebook;
    rollcall__monitor_lock(&notebook->monitor);
    notebook->ended = true;
    rollcall__monitor_notify(&notebook->monitor);
    rollcall__monitor_unlock(&notebook->monitor);
}

static int forward(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct rollcall_ref to = ((struct probe *)self)->given.transport;
    struct rollcall_object *object =
        message->object == NULL ? NULL : rollcall_object_keep(message->object);
    uint64_t id;
    memcpy(&id, message->payload, sizeof id);
    enum rollcall_status status;
    if (message->type == PROBE_CALL) {
        struct transport_call call = *(const struct transport_call *)message->payload;
        call.answer = PROBE_ANSWER;
        status = rollcall_send_object(cx, to, TRANSPORT_CALL, &call, sizeof call, object);
    } else if (message->type == PROBE_KEEPALIVE) {
        const struct transport_keepalive ask = {.lease_id = (int64_t)id, .answer = PROBE_RENEWED};
        status = rollcall_send(cx, to, TRANSPORT_KEEPALIVE, &ask, sizeof ask);
    } else if (message->type == PROBE_WATCH) {
        const struct transport_watch ask = {.watch_id = id, .answer = PROBE_WATCHED};
        status = rollcall_send_object(cx, to, TRANSPORT_WATCH, &ask, sizeof ask, object);
    } else {
        const uint16_t type =
            message->type == PROBE_ACK ? TRANSPORT_WATCH_ACK : TRANSPORT_WATCH_CANCEL;
        const struct transport_watch_id which = {.watch_id = id};
        status = rollcall_send(cx, to, type, &which, sizeof which);
    }
    CHECK_INT(status, ROLLCALL_OK);
    return ROLLCALL_STAY;
}

static int note(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct bench_notebook *notebook = ((struct probe *)self)->given.notebook;
    (void)cx;
    rollcall__monitor_lock(&notebook->monitor);
    CHECK(notebook->count < BENCH_RECORDS_MAX);
    struct bench_record *record = &notebook->records[notebook->count++];
    record->type = message->type;
    memcpy(record->payload, message->payload, message->size_bytes);
    record->object = message->object == NULL ? NULL : rollcall_object_keep(message->object);
    rollcall__monitor_notify(&notebook->monitor);
    rollcall__monitor_unlock(&notebook->monitor);
    return ROLLCALL_STAY;
}

static const struct rollcall_cell TABLE[1][PROBE_COUNT] = {{
    [PROBE_CALL] = {forward, 0},
    [PROBE_KEEPALIVE] = {forward, 0},
    [PROBE_WATCH] = {forward, 0},
    [PROBE_ACK] = {forward, 0},
    [PROBE_CANCEL] = {forward, 0},
    [PROBE_ANSWER] = {note, 0},
    [PROBE_RENEWED] = {note, 0},
    [PROBE_WATCHED] = {note, 0},
}};
static const char *const STATE_NAMES[] = {"PROBING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(PROBE_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(PROBE_LIST);
static const struct rollcall_actor_type probe_type = {
    .name = "probe",
    .self_size_bytes = sizeof(struct probe),
    .options_size_bytes = sizeof(struct probe_options),
    .init = probe_init,
    .options_fini = probe_gone,
    .state_count = 1,
    .message_count = PROBE_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

/* ---- the bench ---- */

const char *bench_endpoint(void)
{
    const char *given = getenv("ROLLCALL_TEST_ETCD");
    if (given == NULL) {
        CHECK_FAIL("ROLLCALL_TEST_ETCD is not set: give the HOST:PORT of an empty etcd");
    }
    return given;
}

static struct rollcall_ref spawn_probe(struct bench *bench, struct rollcall_ref transport)
{
    const struct probe_options options = {.notebook = bench->notebook, .transport = transport};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    struct rollcall_ref ref = {0};
    CHECK_INT(rollcall_runtime_spawn(
                  bench->runtime, 0,
                  ROLLCALL_SPAWN_OPTIONS(.type = &probe_type, .options = &options,
                                         .restart = ROLLCALL_TEMPORARY, .mailbox_messages = 4096),
                  &ref, &error),
              ROLLCALL_OK);
    return ref;
}

struct bench bench_open(const struct rollcall_etcd_options *options)
{
    struct bench bench = {.notebook = calloc(1, sizeof *bench.notebook)};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(rollcall_runtime_create(NULL, &bench.runtime, &error), ROLLCALL_OK);
    if (rollcall_etcd_connect(bench.runtime, options, &bench.etcd, &error) != ROLLCALL_OK) {
        CHECK_STR(error.text, "");
    }
    rollcall__monitor_init(&bench.notebook->monitor);
    bench.control = spawn_probe(&bench, rollcall__etcd_control(bench.etcd));
    bench.bulk = spawn_probe(&bench, rollcall__etcd_bulk(bench.etcd));
    snprintf(bench.prefix, sizeof bench.prefix, "transport/%" PRId64 "/",
             rollcall__clock_monotonic_ns());
    return bench;
}

struct bench bench_open_real(void)
{
    return bench_open(ROLLCALL_ETCD_OPTIONS(.endpoints = bench_endpoint()));
}

void bench_close(struct bench *bench)
{
    CHECK_INT(rollcall_etcd_close(bench->etcd), ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_destroy(bench->runtime), ROLLCALL_OK);
    for (size_t i = 0; i < bench->notebook->count; i++) {
        rollcall_object_drop(bench->notebook->records[i].object);
    }
    rollcall__monitor_fini(&bench->notebook->monitor);
    free(bench->notebook);
}

void bench_tell(struct bench *bench, struct rollcall_ref probe, uint16_t type, const void *payload,
                size_t size_bytes, struct rollcall_object *object)
{
    CHECK_INT(rollcall_runtime_send(bench->runtime, probe, type, payload, size_bytes, object),
              ROLLCALL_OK);
}

enum { ANY_TYPE = 0 }; /* the runtime's STOP, which no probe records */

/* Called locked. */
static struct bench_record *find(struct bench_notebook *notebook, uint16_t type)
{
    for (size_t i = 0; i < notebook->count; i++) {
        struct bench_record *record = &notebook->records[i];
        if (!record->taken && (type == ANY_TYPE || record->type == type)) {
            return record;
        }
    }
    return NULL;
}

static const struct bench_record *take(struct bench *bench, uint16_t type, int64_t wait_ms)
{
    struct bench_notebook *notebook = bench->notebook;
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + wait_ms * 1000000;
    bool in_time = true;
    struct bench_record *record;
    rollcall__monitor_lock(&notebook->monitor);
    while ((record = find(notebook, type)) == NULL && in_time) {
        in_time = rollcall__monitor_wait(&notebook->monitor, deadline_ns);
    }
    if (record != NULL) {
        record->taken = true;
    }
    rollcall__monitor_unlock(&notebook->monitor);
    return record;
}

const struct bench_record *bench_next_within(struct bench *bench, int64_t wait_ms)
{
    return take(bench, ANY_TYPE, wait_ms);
}

const struct bench_record *bench_next(struct bench *bench, uint16_t type)
{
    const struct bench_record *record = take(bench, type, BENCH_WAIT_MS);
    CHECK(record != NULL);
    return record;
}

void bench_forget(struct bench *bench)
{
    struct bench_notebook *notebook = bench->notebook;
    size_t kept = 0;
    rollcall__monitor_lock(&notebook->monitor);
    for (size_t i = 0; i < notebook->count; i++) {
        if (notebook->records[i].taken) {
            rollcall_object_drop(notebook->records[i].object);
        } else {
            notebook->records[kept++] = notebook->records[i];
        }
    }
    memset(&notebook->records[kept], 0, (notebook->count - kept) * sizeof notebook->records[0]);
    notebook->count = kept;
    rollcall__monitor_unlock(&notebook->monitor);
}

const struct transport_result *bench_ask(struct bench *bench, struct rollcall_ref probe,
                                         struct transport_call call,
                                         struct transport_request *request)
{
    static uint64_t id;
    call.id = ++id;
    bench_tell(bench, probe, PROBE_CALL, &call, sizeof call, &request->object);
    const struct bench_record *record = bench_next(bench, PROBE_ANSWER);
    const struct transport_answer *answer = (const struct transport_answer *)record->payload;
    const struct transport_result *result = (const struct transport_result *)record->object;
    CHECK(answer->id == id);
    CHECK(result != NULL);
    CHECK_INT(answer->status, result->error.status);
    return result;
}

const struct transport_result *bench_ask_well(struct bench *bench, struct rollcall_ref probe,
                                              struct transport_request *request)
{
    const struct transport_result *result =
        bench_ask(bench, probe, (struct transport_call){.wait_for_ready = true}, request);
    if (result->error.status != ROLLCALL_OK) {
        CHECK_STR(result->error.text, "");
    }
    return result;
}

struct rollcall_bytes bench_key(const struct bench *bench, const char *name)
{
    static char texts[4][128];
    static size_t turn;
    char *text = texts[turn++ % 4];
    snprintf(text, sizeof texts[0], "%s%s", bench->prefix, name);
    return rollcall__bytes(text);
}

const struct transport_result *bench_put_if_absent(struct bench *bench, const char *name,
                                                   const char *value, int64_t lease_id)
{
    const struct rollcall_bytes k = bench_key(bench, name);
    const struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_CREATE_REVISION, .key = k}},
        .compare_count = 1,
        .success = {{.kind = TRANSPORT_OP_PUT,
                     .key = k,
                     .value = rollcall__bytes(value),
                     .lease_id = lease_id}},
        .success_count = 1,
        .failure = {{.kind = TRANSPORT_OP_GET, .key = k}},
        .failure_count = 1};
    return bench_ask_well(bench, bench->control, transport_request_txn(&txn));
}

int64_t bench_put(struct bench *bench, const char *name, const char *value)
{
    const struct transport_txn txn = {.success = {{.kind = TRANSPORT_OP_PUT,
                                                   .key = bench_key(bench, name),
                                                   .value = rollcall__bytes(value)}},
                                      .success_count = 1};
    return bench_ask_well(bench, bench->control, transport_request_txn(&txn))->revision;
}

int64_t bench_lease(struct bench *bench, int64_t ttl_s)
{
    const int64_t lease_id = rollcall__clock_monotonic_ns();
    const struct transport_result *result = bench_ask_well(
        bench, bench->control, transport_request_lease(TRANSPORT_LEASE_GRANT, lease_id, ttl_s));
    CHECK_INT(result->lease_id, lease_id);
    CHECK_INT(result->ttl_s, ttl_s);
    return lease_id;
}

void bench_revoke(struct bench *bench, int64_t lease_id)
{
    (void)bench_ask_well(bench, bench->control,
                         transport_request_lease(TRANSPORT_LEASE_REVOKE, lease_id, 0));
}

void bench_watch(struct bench *bench, uint64_t watch_id, int64_t revision)
{
    struct transport_range *range =
        transport_range_create(bench_key(bench, ""), bench_key(bench, "~"));
    range->revision = revision;
    range->prev_kv = true;
    bench_tell(bench, bench->bulk, PROBE_WATCH, &watch_id, sizeof watch_id, &range->object);
    const struct bench_record *record = bench_next(bench, PROBE_WATCHED);
    const struct transport_watch_response *response =
        (const struct transport_watch_response *)record->object;
    CHECK_INT(record->payload[0], watch_id);
    CHECK_INT(response->error.status, ROLLCALL_OK);
    CHECK(response->created && !response->canceled);
    bench_tell(bench, bench->bulk, PROBE_ACK, &watch_id, sizeof watch_id, NULL);
}

const struct transport_watch_response *bench_watched(struct bench *bench)
{
    const struct transport_watch_response *response =
        (const struct transport_watch_response *)bench_next(bench, PROBE_WATCHED)->object;
    if (response->error.status != ROLLCALL_OK) {
        CHECK_STR(response->error.text, "");
    }
    return response;
}

struct transport_keepalive_answer bench_renew(struct bench *bench, int64_t lease_id)
{
    struct transport_keepalive_answer answer;
    bench_tell(bench, bench->control, PROBE_KEEPALIVE, &lease_id, sizeof lease_id, NULL);
    memcpy(&answer, bench_next(bench, PROBE_RENEWED)->payload, sizeof answer);
    CHECK_INT(answer.lease_id, lease_id);
    return answer;
}
