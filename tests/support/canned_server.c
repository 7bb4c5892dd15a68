/* tests/support/canned_server.c - see canned_server.h. */
#include "support/canned_server.h"

#include "support/etcd_fixture.h"
#include "support/process.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STOP_LOOK_MS = 2, DRAIN_MS = 5000, PORT_TRIES = 20, ENDPOINT_BYTES = 32 };

/* What a batch of a call was for.  Its address is the tag. */
enum tag_kind { TAG_ACCEPTED, TAG_BEGUN, TAG_RECEIVED, TAG_SENT, TAG_STATUS, TAG_CLOSED, TAGS };
struct tag {
    struct canned_call *call;
    enum tag_kind kind;
};

struct canned_call {
    struct canned_server *server;
    struct canned_call *before, *after; /* all calls, so that destroy finds them */
    struct tag tags[TAGS];
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *received;
    int cancelled;
    void *user;
    int pending; /* batches that have not completed */
    bool sending, ending, closed;
    grpc_status_code end_code; /* told when nothing is under way */
    char end_text[96];
};

struct canned_server {
    const struct canned_script *script;
    grpc_server *server;
    grpc_completion_queue *cq;
    struct canned_call *calls;
    char endpoint[ENDPOINT_BYTES];
    bool stopping, shut_down;
};

/* ---- calls ---- */

static void start(struct canned_call *call, const grpc_op *ops, size_t count, enum tag_kind kind)
{
    if (grpc_call_start_batch(call->call, ops, count, &call->tags[kind], NULL) != GRPC_CALL_OK) {
        fprintf(stderr, "canned server: a batch was refused\n");
        abort();
    }
    call->pending++;
}

static void accept_next(struct canned_server *server)
{
    struct canned_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        abort();
    }
    call->server = server;
    for (int i = 0; i < TAGS; i++) {
        call->tags[i] = (struct tag){call, (enum tag_kind)i};
    }
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    call->after = server->calls;
    if (call->after != NULL) {
        call->after->before = call;
    }
    server->calls = call;
    if (grpc_server_request_call(server->server, &call->call, &call->details, &call->metadata,
                                 server->cq, server->cq,
                                 &call->tags[TAG_ACCEPTED]) != GRPC_CALL_OK) {
        abort();
    }
    call->pending++;
}

static void free_call(struct canned_call *call)
{
    struct canned_server *server = call->server;
    if (call->call != NULL) {
        if (server->script->ended != NULL) {
            server->script->ended(server->script->user, call);
        }
        grpc_call_unref(call->call);
    }
    *(call->before == NULL ? &server->calls : &call->before->after) = call->after;
    if (call->after != NULL) {
        call->after->before = call->before;
    }
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
    free(call);
}

static void receive_next(struct canned_call *call)
{
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE,
                        .data.recv_message.recv_message = &call->received};
    start(call, &op, 1, TAG_RECEIVED);
}

static void begin(struct canned_call *call)
{
    const grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                           .data.recv_close_on_server.cancelled = &call->cancelled};
    const grpc_op metadata = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    start(call, &close, 1, TAG_CLOSED);
    start(call, &metadata, 1, TAG_BEGUN);
    receive_next(call);
}

static void send_status(struct canned_call *call)
{
    grpc_slice text = grpc_slice_from_copied_string(call->end_text);
    const grpc_op op = {
        .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
        .data.send_status_from_server = {.status = call->end_code, .status_details = &text}};
    start(call, &op, 1, TAG_STATUS);
    grpc_slice_unref(text);
}

/* The message is one piece for the script, whatever it is for gRPC. */
static void received(struct canned_call *call)
{
    const struct canned_script *script = call->server->script;
    grpc_byte_buffer_reader reader;
    if (call->received == NULL) {
        return; /* the client sends no more */
    }
    if (!call->ending && grpc_byte_buffer_reader_init(&reader, call->received)) {
        const grpc_slice whole = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
        script->message(script->user, call,
                        (struct rollcall_bytes){(const char *)GRPC_SLICE_START_PTR(whole),
                                                GRPC_SLICE_LENGTH(whole)});
        grpc_slice_unref(whole);
    }
    grpc_byte_buffer_destroy(call->received);
    call->received = NULL;
    if (!call->closed) {
        receive_next(call);
    }
}

static void sent(struct canned_call *call)
{
    const struct canned_script *script = call->server->script;
    call->sending = false;
    if (call->ending) {
        send_status(call);
    } else if (script->sent != NULL && !call->closed) {
        script->sent(script->user, call);
    }
}

static void completed(struct canned_server *server, const struct tag *tag, bool good)
{
    struct canned_call *call = tag->call;
    call->pending--;
    switch (tag->kind) {
    case TAG_ACCEPTED:
        if (good) {
            accept_next(server);
            begin(call);
        }
        break;
    case TAG_RECEIVED:
        received(call);
        break;
    case TAG_SENT:
        sent(call);
        break;
    case TAG_CLOSED:
        call->closed = true;
        break;
    case TAG_BEGUN:
    case TAG_STATUS:
    case TAGS:
        break;
    }
    if (call->pending == 0) {
        free_call(call);
    }
}

struct rollcall_bytes canned_call_method(const struct canned_call *call)
{
    return (struct rollcall_bytes){(const char *)GRPC_SLICE_START_PTR(call->details.method),
                                   GRPC_SLICE_LENGTH(call->details.method)};
}

void canned_call_set_user(struct canned_call *call, void *user)
{
    call->user = user;
}

void *canned_call_user(const struct canned_call *call)
{
    return call->user;
}

bool canned_call_is_free(const struct canned_call *call)
{
    return !call->sending && !call->ending && !call->closed;
}

void canned_call_send(struct canned_call *call, grpc_slice *pieces, size_t count, bool more)
{
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(pieces, count);
    const grpc_op op = {.op = GRPC_OP_SEND_MESSAGE,
                        .flags = more ? GRPC_WRITE_BUFFER_HINT : 0,
                        .data.send_message.send_message = message};
    call->sending = true;
    start(call, &op, 1, TAG_SENT);
    grpc_byte_buffer_destroy(message); /* gRPC has its own references */
}

void canned_call_end(struct canned_call *call, grpc_status_code code, const char *text)
{
    if (call->ending || call->closed) {
        return;
    }
    call->ending = true;
    call->end_code = code;
    snprintf(call->end_text, sizeof call->end_text, "%s", text);
    if (!call->sending) {
        send_status(call);
    }
}

/* ---- the server ---- */

static grpc_arg integer(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

/* A port below those that outgoing connections get; another, should somebody be faster. */
static bool listen_somewhere(struct canned_server *server)
{
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    bool listening = false;
    for (int i = 0; i < PORT_TRIES && !listening; i++) {
        snprintf(server->endpoint, ENDPOINT_BYTES, "127.0.0.1:%u", etcd_fixture_draw_port(0));
        listening = grpc_server_add_http2_port(server->server, server->endpoint, plain) != 0;
    }
    grpc_server_credentials_release(plain);
    return listening;
}

struct canned_server *canned_server_create(const struct canned_script *script)
{
    grpc_arg args[] = {
        /* Clients ping as often as etcd lets them. */
        integer("grpc.http2.min_ping_interval_without_data_ms", 1000),
        integer("grpc.http2.max_ping_strikes", 0),
        integer("grpc.so_reuseport", 0), /* two servers on a port would share its clients */
        integer("grpc.max_receive_message_length", INT_MAX),
    };
    const grpc_channel_args all = {.num_args = sizeof args / sizeof args[0], .args = args};
    struct canned_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        fprintf(stderr, "canned server: no memory\n");
        return NULL;
    }
    grpc_init();
    server->script = script;
    server->server = grpc_server_create(&all, NULL);
    server->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->server, server->cq, NULL);
    if (!listen_somewhere(server)) {
        fprintf(stderr, "canned server: no port is free\n");
        grpc_server_start(server->server);
        canned_server_destroy(server);
        return NULL;
    }
    grpc_server_start(server->server);
    accept_next(server);
    return server;
}

const char *canned_server_endpoint(const struct canned_server *server)
{
    return server->endpoint;
}

static gpr_timespec in_ns(int64_t after_ns)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(after_ns, GPR_TIMESPAN));
}

/* Waits for one batch for so long, and handles it and all that are complete by then. */
static void serve(struct canned_server *server, int64_t wait_ns)
{
    grpc_event event = grpc_completion_queue_next(server->cq, in_ns(wait_ns), NULL);
    while (event.type == GRPC_OP_COMPLETE) {
        if (event.tag == NULL) {
            server->shut_down = true;
        } else {
            completed(server, event.tag, event.success != 0);
        }
        if (server->script->due != NULL) { /* may not wait for a lull */
            return;
        }
        event = grpc_completion_queue_next(server->cq, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);
    }
}

void canned_server_run(struct canned_server *server, const atomic_bool *stop)
{
    const struct canned_script *script = server->script;
    const int64_t look_ns = STOP_LOOK_MS * 1000000LL;
    int64_t due_ns = script->due == NULL ? INT64_MAX : 0;
    while (!atomic_load(stop)) {
        const gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);
        const int64_t now_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
        if (now_ns >= due_ns) {
            due_ns = script->due(script->user, now_ns);
        }
        serve(server, due_ns - now_ns < look_ns ? due_ns - now_ns : look_ns);
    }
}

void canned_server_destroy(struct canned_server *server)
{
    if (server == NULL) {
        return;
    }
    const int64_t deadline_ms = process_now_ms() + DRAIN_MS;
    grpc_server_shutdown_and_notify(server->server, server->cq, NULL);
    grpc_server_cancel_all_calls(server->server);
    while ((!server->shut_down || server->calls != NULL) && process_now_ms() < deadline_ms) {
        serve(server, STOP_LOOK_MS * 1000000LL);
    }
    grpc_server_destroy(server->server);
    grpc_completion_queue_shutdown(server->cq);
    while (grpc_completion_queue_next(server->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(server->cq);
    grpc_shutdown();
    free(server);
}
