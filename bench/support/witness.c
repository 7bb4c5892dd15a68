/* bench/support/witness.c - see witness.h.  One stream, and a thread that asks the clock as soon as
 * gRPC has a message for it. */
#include "support/witness.h"

#include "etcd.pb-c.h"
#include "support/board.h"
#include "support/process.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTES = 4096, CREATE_MS = 10000, LOOK_MS = 1, TARGET_BYTES = 64 };
enum tag { STARTED, RECEIVED, ENDED };

struct note {
    int64_t at_ns;
    bool deleted;
    char key[BOARD_KEY_BYTES];
};

struct witness {
    grpc_channel *channel;
    grpc_completion_queue *cq;
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
    grpc_byte_buffer *message;
    pthread_t thread;
    atomic_bool created, failed;
    _Atomic int64_t responses;
    pthread_mutex_t mutex; /* guards: */
    int64_t events;
    struct note note[NOTES]; /* of event i at i % NOTES */
};

/* ---- what it is told ---- */

static void note_event(struct witness *witness, const Etcd__Event *event, int64_t at_ns)
{
    struct note *note = &witness->note[witness->events % NOTES];
    const ProtobufCBinaryData *key = &event->kv->key;
    note->at_ns = at_ns;
    note->deleted = event->type == ETCD__EVENT__EVENT_TYPE__DELETE;
    snprintf(note->key, sizeof note->key, "%.*s", (int)key->len, (const char *)key->data);
    witness->events++;
}

static void read_response(struct witness *witness, const uint8_t *bytes, size_t size, int64_t at_ns)
{
    Etcd__WatchResponse *response = etcd__watch_response__unpack(NULL, size, bytes);
    if (response == NULL || response->canceled) {
        atomic_store(&witness->failed, true);
    } else {
        pthread_mutex_lock(&witness->mutex);
        for (size_t i = 0; i < response->n_events; i++) {
            note_event(witness, response->events[i], at_ns);
        }
        pthread_mutex_unlock(&witness->mutex);
        atomic_fetch_add(&witness->responses, response->n_events > 0 ? 1 : 0);
        if (response->created) {
            atomic_store(&witness->created, true);
        }
    }
    if (response != NULL) {
        etcd__watch_response__free_unpacked(response, NULL);
    }
}

static void start_batch(struct witness *witness, const grpc_op *ops, size_t count, enum tag tag)
{
    if (grpc_call_start_batch(witness->call, ops, count, (void *)(uintptr_t)tag, NULL) !=
        GRPC_CALL_OK) {
        abort();
    }
}

static void receive(struct witness *witness)
{
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE,
                        .data.recv_message.recv_message = &witness->message};
    start_batch(witness, &op, 1, RECEIVED);
}

/* False: the stream has ended. */
static bool received(struct witness *witness, int64_t at_ns)
{
    grpc_byte_buffer_reader reader;
    if (witness->message == NULL || !grpc_byte_buffer_reader_init(&reader, witness->message)) {
        return false;
    }
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    read_response(witness, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes), at_ns);
    grpc_slice_unref(bytes);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(witness->message);
    witness->message = NULL;
    return true;
}

static void *look_on(void *argument)
{
    struct witness *witness = argument;
    for (;;) {
        const grpc_event event =
            grpc_completion_queue_next(witness->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        const int64_t at_ns = board_now_ns();
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        if ((enum tag)(uintptr_t)event.tag == RECEIVED && received(witness, at_ns)) {
            receive(witness);
        } else if ((enum tag)(uintptr_t)event.tag == ENDED) {
            atomic_store(&witness->failed, true);
            grpc_completion_queue_shutdown(witness->cq); /* nothing is under way any more */
        }
    }
}

/* ---- start, stop ---- */

static grpc_byte_buffer *pack_request(const char *prefix)
{
    char end[BOARD_KEY_BYTES];
    Etcd__WatchCreateRequest create = ETCD__WATCH_CREATE_REQUEST__INIT;
    Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
    const size_t size = (size_t)snprintf(end, sizeof end, "%s", prefix);
    end[size - 1]++;
    create.key = (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)prefix};
    create.range_end = (ProtobufCBinaryData){size, (uint8_t *)end};
    request.request_union_case = ETCD__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    grpc_slice bytes = grpc_slice_malloc(protobuf_c_message_get_packed_size(&request.base));
    protobuf_c_message_pack(&request.base, GRPC_SLICE_START_PTR(bytes));
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&bytes, 1);
    grpc_slice_unref(bytes);
    return message;
}

static void open_stream(struct witness *witness, const char *endpoint, const char *prefix)
{
    grpc_arg no_proxy = {.type = GRPC_ARG_INTEGER, .key = (char[]){"grpc.enable_http_proxy"}};
    const grpc_channel_args args = {.num_args = 1, .args = &no_proxy};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    grpc_byte_buffer *message = pack_request(prefix);
    char target[TARGET_BYTES];
    snprintf(target, sizeof target, "ipv4:%s", endpoint);
    witness->channel = grpc_channel_create(target, plain, &args);
    grpc_channel_credentials_release(plain);
    witness->cq = grpc_completion_queue_create_for_next(NULL);
    witness->call =
        grpc_channel_create_call(witness->channel, NULL, GRPC_PROPAGATE_DEFAULTS, witness->cq,
                                 grpc_slice_from_static_string("/etcdserverpb.Watch/Watch"), NULL,
                                 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    const grpc_op start[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &witness->initial}};
    const grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                         .data.recv_status_on_client = {.trailing_metadata = &witness->trailing,
                                                        .status = &witness->status,
                                                        .status_details = &witness->details}};
    start_batch(witness, start, sizeof start / sizeof start[0], STARTED);
    start_batch(witness, &end, 1, ENDED);
    receive(witness);
    grpc_byte_buffer_destroy(message);
}

static bool await_created(const struct witness *witness)
{
    const int64_t deadline_ms = process_now_ms() + CREATE_MS;
    while (!atomic_load(&witness->created) && !atomic_load(&witness->failed)) {
        if (process_now_ms() > deadline_ms) {
            break;
        }
        process_sleep_ms(LOOK_MS);
    }
    return atomic_load(&witness->created);
}

struct witness *witness_create(const char *endpoint, const char *prefix)
{
    struct witness *witness = calloc(1, sizeof *witness);
    if (witness == NULL) {
        fprintf(stderr, "witness: no memory\n");
        return NULL;
    }
    grpc_init();
    grpc_metadata_array_init(&witness->initial);
    grpc_metadata_array_init(&witness->trailing);
    witness->details = grpc_empty_slice();
    pthread_mutex_init(&witness->mutex, NULL);
    open_stream(witness, endpoint, prefix);
    if (pthread_create(&witness->thread, NULL, look_on, witness) != 0) {
        abort(); /* a benchmark that cannot start a thread has nothing to say */
    }
    if (!await_created(witness)) {
        fprintf(stderr, "witness: etcd does not begin a watch\n");
        witness_destroy(witness);
        return NULL;
    }
    return witness;
}

void witness_destroy(struct witness *witness)
{
    if (witness == NULL) {
        return;
    }
    grpc_call_cancel(witness->call, NULL);
    pthread_join(witness->thread, NULL);
    grpc_metadata_array_destroy(&witness->initial);
    grpc_metadata_array_destroy(&witness->trailing);
    grpc_slice_unref(witness->details);
    grpc_call_unref(witness->call);
    grpc_completion_queue_destroy(witness->cq);
    grpc_channel_destroy(witness->channel);
    grpc_shutdown();
    pthread_mutex_destroy(&witness->mutex);
    free(witness);
}

/* ---- what it saw ---- */

struct witness_count witness_count(const struct witness *witness)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&witness->mutex;
    pthread_mutex_lock(mutex);
    const struct witness_count count = {.events = witness->events,
                                        .responses = atomic_load(&witness->responses)};
    pthread_mutex_unlock(mutex);
    return count;
}

static int64_t find(const struct witness *witness, int64_t after_events, int64_t from_ns,
                    const char *key, bool deleted)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&witness->mutex;
    int64_t found_ns = 0;
    pthread_mutex_lock(mutex);
    const int64_t oldest = witness->events > NOTES ? witness->events - NOTES : 0;
    for (int64_t i = after_events > oldest ? after_events : oldest;
         i < witness->events && found_ns == 0; i++) {
        const struct note *note = &witness->note[i % NOTES];
        if (note->at_ns >= from_ns && note->deleted == deleted && strcmp(note->key, key) == 0) {
            found_ns = note->at_ns;
        }
    }
    pthread_mutex_unlock(mutex);
    return found_ns;
}

int64_t witness_deleted_ns(const struct witness *witness, int64_t after_events, const char *key)
{
    return find(witness, after_events, 0, key, true);
}

int64_t witness_put_ns(const struct witness *witness, int64_t from_ns, const char *key)
{
    return find(witness, 0, from_ns, key, false);
}

bool witness_failed(const struct witness *witness)
{
    return atomic_load(&witness->failed);
}
