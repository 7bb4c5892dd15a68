/* bench/support/puts.c - see puts.h. */
#include "support/puts.h"

#include "etcd.pb-c.h"
#include "support/process.h"
#include "support/session_record.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_NS = 1000000, CALL_MS = 10000, EVENTS_MAX = SESSION_RECORD_KEYS, TARGET_BYTES = 64 };

/* One request at a time. */
struct lane {
    struct puts *puts;
    grpc_call *call; /* NULL: none is under way */
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
    grpc_byte_buffer *answer;
    int64_t place; /* of the next event */
};

struct puts {
    struct tally *tally;
    grpc_channel *channel;
    grpc_completion_queue *cq;
    pthread_t thread;
    atomic_bool stop;
    bool failed;
    int lanes, under_way;
    int64_t written, per_request, began_ns, requests;
    struct lane lane[TALLY_LANES_MAX];
    char keys[EVENTS_MAX][SESSION_RECORD_KEY_BYTES + 1];
    char values[EVENTS_MAX][SESSION_RECORD_BYTES];
};

static gpr_timespec after_ns(int64_t duration_ns)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_nanos(duration_ns, GPR_TIMESPAN));
}

/* ---- requests ---- */

static grpc_slice pack(const ProtobufCMessage *message)
{
    grpc_slice bytes = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(bytes));
    return bytes;
}

static grpc_slice pack_request(struct puts *puts, const struct lane *lane, int64_t number)
{
    Etcd__PutRequest put[EVENTS_MAX];
    Etcd__RequestOp op[EVENTS_MAX], *ops[EVENTS_MAX];
    Etcd__TxnRequest txn = ETCD__TXN_REQUEST__INIT;
    for (int64_t i = 0; i < puts->per_request; i++) {
        session_record_key(puts->keys[i], lane->place + i);
        session_record_value(puts->values[i], number + i * puts->lanes);
        put[i] = (Etcd__PutRequest)ETCD__PUT_REQUEST__INIT;
        put[i].key = (ProtobufCBinaryData){SESSION_RECORD_KEY_BYTES, (uint8_t *)puts->keys[i]};
        put[i].value = (ProtobufCBinaryData){SESSION_RECORD_BYTES, (uint8_t *)puts->values[i]};
        op[i] = (Etcd__RequestOp)ETCD__REQUEST_OP__INIT;
        op[i].request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_PUT;
        op[i].request_put = &put[i];
        ops[i] = &op[i];
    }
    txn.success = ops;
    txn.n_success = (size_t)puts->per_request;
    return puts->per_request == 1 ? pack(&put[0].base) : pack(&txn.base);
}

static void send_request(struct puts *puts, struct lane *lane)
{
    const int64_t number = lane->place * puts->lanes + (lane - puts->lane);
    grpc_slice bytes = pack_request(puts, lane, number);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&bytes, 1);
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &lane->initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &lane->answer},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &lane->trailing,
                                        .status = &lane->status,
                                        .status_details = &lane->details}}};
    const char *method = puts->per_request == 1 ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Txn";
    grpc_metadata_array_init(&lane->initial);
    grpc_metadata_array_init(&lane->trailing);
    lane->answer = NULL;
    lane->call = grpc_channel_create_call(puts->channel, NULL, GRPC_PROPAGATE_DEFAULTS, puts->cq,
                                          grpc_slice_from_static_string(method), NULL,
                                          after_ns(CALL_MS * 1000000LL), NULL);
    if (grpc_call_start_batch(lane->call, ops, sizeof ops / sizeof ops[0], lane, NULL) !=
        GRPC_CALL_OK) {
        abort();
    }
    grpc_byte_buffer_destroy(message);
    grpc_slice_unref(bytes);
    puts->under_way++;
    puts->requests++;
    puts->written += puts->per_request;
}

static void completed(struct puts *puts, struct lane *lane)
{
    const int64_t now_ns = tally_now_ns();
    if (lane->status == GRPC_STATUS_OK) {
        for (int64_t i = 0; i < puts->per_request; i++) {
            tally_begun(puts->tally, (lane->place + i) * puts->lanes + (lane - puts->lane), now_ns);
        }
        lane->place += puts->per_request;
    } else if (!puts->failed) {
        fprintf(stderr, "puts: etcd refuses a write: status %d\n", (int)lane->status);
        puts->failed = true;
    }
    grpc_slice_unref(lane->details);
    grpc_metadata_array_destroy(&lane->initial);
    grpc_metadata_array_destroy(&lane->trailing);
    grpc_byte_buffer_destroy(lane->answer);
    grpc_call_unref(lane->call);
    lane->call = NULL;
    puts->under_way--;
}

/* ---- when ---- */

/* Whether another may be sent now; else when to look again. */
static bool is_due(const struct puts *puts, int64_t *wait_ns)
{
    const struct tally_head *head = puts->tally->head;
    if (head->rate_per_s == 0) {
        *wait_ns = LOOK_NS;
        return puts->written + puts->per_request <= tally_slowest(puts->tally) + head->lead;
    }
    const int64_t due_ns = puts->began_ns + puts->requests * 1000000000 / head->rate_per_s;
    *wait_ns = due_ns - tally_now_ns();
    return *wait_ns <= 0;
}

static void send_what_is_due(struct puts *puts, int64_t *wait_ns)
{
    *wait_ns = CALL_MS * 1000000LL;
    for (int i = 0; i < puts->lanes; i++) {
        if (puts->lane[i].call == NULL) {
            if (!is_due(puts, wait_ns)) {
                return;
            }
            send_request(puts, &puts->lane[i]);
        }
    }
}

static void *write_until_stopped(void *argument)
{
    struct puts *puts = argument;
    puts->began_ns = tally_now_ns();
    for (;;) {
        const bool stop = puts->failed || atomic_load(&puts->stop);
        int64_t wait_ns = CALL_MS * 1000000LL;
        if (stop && puts->under_way == 0) {
            return NULL;
        }
        if (!stop) {
            send_what_is_due(puts, &wait_ns);
        }
        const grpc_event event = grpc_completion_queue_next(puts->cq, after_ns(wait_ns), NULL);
        if (event.type == GRPC_OP_COMPLETE) {
            completed(puts, event.tag);
        }
    }
}

/* ---- start, stop ---- */

static void open_channel(struct puts *puts, const char *endpoint)
{
    grpc_arg no_proxy = {.type = GRPC_ARG_INTEGER, .key = (char[]){"grpc.enable_http_proxy"}};
    const grpc_channel_args args = {.num_args = 1, .args = &no_proxy};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    char target[TARGET_BYTES];
    snprintf(target, sizeof target, "ipv4:%s", endpoint);
    puts->channel = grpc_channel_create(target, plain, &args);
    puts->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_channel_credentials_release(plain);
}

static void destroy(struct puts *puts)
{
    grpc_channel_destroy(puts->channel);
    grpc_completion_queue_shutdown(puts->cq);
    grpc_completion_queue_destroy(puts->cq);
    grpc_shutdown();
    free(puts);
}

struct puts *puts_start(const char *endpoint, struct tally *tally)
{
    struct puts *puts = calloc(1, sizeof *puts);
    if (puts == NULL || tally->head->events_per_response > EVENTS_MAX) {
        fprintf(stderr, "puts: no memory, or more than %d events per response\n", EVENTS_MAX);
        free(puts);
        return NULL;
    }
    puts->tally = tally;
    puts->lanes = 1 << tally->head->lane_shift;
    puts->per_request = tally->head->events_per_response;
    grpc_init();
    open_channel(puts, endpoint);
    if (pthread_create(&puts->thread, NULL, write_until_stopped, puts) != 0) {
        fprintf(stderr, "puts: no thread\n");
        destroy(puts);
        return NULL;
    }
    return puts;
}

bool puts_stop(struct puts *puts, int64_t places[TALLY_LANES_MAX])
{
    atomic_store(&puts->stop, true);
    pthread_join(puts->thread, NULL); /* each call has a deadline */
    const bool good = !puts->failed;
    for (int i = 0; i < TALLY_LANES_MAX; i++) {
        places[i] = puts->lane[i].place;
    }
    destroy(puts);
    return good;
}
