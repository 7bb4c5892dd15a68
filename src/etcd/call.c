/* etcd/call.c - one batch of six operations, one tag, one message to the actor. */
#include "etcd/call.h"

#include "channel/channel.h"
#include "channel/error.h"
#include "etcd/wire.h"
#include "transport/request.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include <stdlib.h>
#include <string.h>

static const char *const METHODS[] = {
    [TRANSPORT_RANGE] = "/etcdserverpb.KV/Range",
    [TRANSPORT_TXN] = "/etcdserverpb.KV/Txn",
    [TRANSPORT_LEASE_GRANT] = "/etcdserverpb.Lease/LeaseGrant",
    [TRANSPORT_LEASE_REVOKE] = "/etcdserverpb.Lease/LeaseRevoke",
    [TRANSPORT_LEASE_TIME_TO_LIVE] = "/etcdserverpb.Lease/LeaseTimeToLive",
    [TRANSPORT_STATUS] = "/etcdserverpb.Maintenance/Status",
    [TRANSPORT_MEMBERS] = "/etcdserverpb.Cluster/MemberList",
    [TRANSPORT_ALARMS] = "/etcdserverpb.Maintenance/Alarm",
};
static const char AUTHENTICATE[] = "/etcdserverpb.Auth/Authenticate";

struct call {
    struct rollcall__call base; /* first: the actor's */
    struct rollcall__tag tag;
    struct rollcall__link *link;
    bool authenticates;
    enum transport_kind kind; /* of the result; Authenticate's carries only an error */
    int64_t lease_id;         /* that the request is about */
    int64_t timeout_ms;
    grpc_call *call;
    struct rollcall__metadata metadata;
    grpc_byte_buffer *sent;
    /* gRPC and the poller: */
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *received;
    grpc_status_code code;
    grpc_slice details;
};

static struct call *of_base(struct rollcall__call *base)
{
    return (struct call *)base;
}

static const char *endpoint_of(const struct call *call)
{
    return call->link->driver.endpoints[call->base.endpoint];
}

static bool is_write(const struct call *call)
{
    return !call->authenticates && transport_is_write(call->kind);
}

/* ---- on the poller ---- */

static struct transport_result *failed(struct call *call)
{
    char *details = grpc_slice_to_c_string(call->details);
    const struct rollcall__etcd_failure failure = {
        .grpc_code = (int)call->code,
        .message = {.data = details, .size_bytes = strlen(details)},
        .endpoint = endpoint_of(call),
        .timeout_ms = call->timeout_ms,
        .write = is_write(call),
    };
    struct rollcall_error error = {.status = ROLLCALL_OK};
    struct transport_result *result;
    call->base.needs_no_token = call->authenticates && rollcall__etcd_needs_no_token(&failure);
    if (!call->authenticates && rollcall__etcd_already_done(call->kind, &failure)) {
        result = rollcall__codec_done(call->kind, call->lease_id);
    } else {
        rollcall__etcd_error(&error, &failure);
        result = transport_result_failed(call->kind, &error);
    }
    gpr_free(details);
    return result;
}

static struct transport_result *no_answer(struct call *call)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE,
                       "the server at %s answered without an answer: check that it is an etcd of "
                       "version 3.4 or later",
                       endpoint_of(call));
    error.maybe_applied = is_write(call);
    return transport_result_failed(call->kind, &error);
}

static struct transport_result *decode(struct call *call)
{
    if (call->received == NULL) {
        return no_answer(call);
    }
    struct rollcall__view view;
    struct transport_result *result;
    rollcall__view_init(&view, call->received);
    if (call->authenticates) {
        call->base.token = rollcall__codec_token(view.bytes);
        result = call->base.token == NULL ? no_answer(call) : rollcall__codec_done(call->kind, 0);
    } else {
        result = rollcall__codec_result(call->kind, view.bytes);
    }
    rollcall__view_fini(&view);
    return result;
}

static void completed(struct rollcall__tag *tag, struct rollcall__event_queue *queue)
{
    struct call *call = (struct call *)(void *)((char *)tag - offsetof(struct call, tag));
    struct transport_result *result = call->code == GRPC_STATUS_OK ? decode(call) : failed(call);
    const struct channel_call_done done = {.call = &call->base};
    rollcall__event_queue_post(queue, CHANNEL_CALL_DONE, &done, sizeof done, &result->object);
}

/* ---- on the actor's worker ---- */

static grpc_call_error start_batch(struct call *call)
{
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = call->metadata.count;
    ops[0].data.send_initial_metadata.metadata = call->metadata.entries;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = call->sent;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &call->received;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &call->trailing;
    ops[5].data.recv_status_on_client.status = &call->code;
    ops[5].data.recv_status_on_client.status_details = &call->details;
    return rollcall__batch_start(call->call, ops, sizeof ops / sizeof ops[0], &call->tag);
}

/* A member tells its own status without one, and a token must be had whoever leads. */
static bool needs_leader(const struct transport_request *request)
{
    return request != NULL && request->kind != TRANSPORT_STATUS;
}

static struct call *create(struct rollcall__link *link, size_t endpoint,
                           const struct transport_request *request, const char *token,
                           int64_t timeout_ms)
{
    struct rollcall__packet packet = {0};
    struct call *call = calloc(1, sizeof *call);
    const bool packed = request == NULL
                            ? rollcall__codec_authenticate(link->user, link->password, &packet)
                            : rollcall__codec_request(request, &packet);
    if (call == NULL || !packed) {
        free(call);
        free(packet.data);
        return NULL;
    }
    call->tag.completed = completed;
    call->link = link;
    call->base.endpoint = endpoint;
    call->authenticates = request == NULL;
    call->kind = request == NULL ? TRANSPORT_RANGE : request->kind;
    call->timeout_ms = timeout_ms;
    call->details = grpc_empty_slice();
    call->sent = rollcall__wire_buffer(&packet);
    rollcall__metadata_init(&call->metadata, needs_leader(request), token);
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    const char *method = request == NULL ? AUTHENTICATE : METHODS[request->kind];
    call->call = grpc_channel_create_call(
        rollcall__link_channel(link, ROLLCALL__FOR_CALLS, endpoint), NULL, GRPC_PROPAGATE_DEFAULTS,
        link->queue.cq, grpc_slice_from_static_string(method), NULL,
        rollcall__wire_deadline(timeout_ms), NULL);
    return call;
}

struct rollcall__call *rollcall__grpc_call_start(struct rollcall__driver *driver, size_t endpoint,
                                                 const struct transport_request *request,
                                                 const char *token, int64_t timeout_ms,
                                                 struct rollcall_error *error)
{
    struct call *call = create(rollcall__link_of(driver), endpoint, request, token, timeout_ms);
    if (call == NULL) {
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a request to etcd");
        return NULL;
    }
    if (request != NULL && request->kind != TRANSPORT_RANGE && request->kind != TRANSPORT_TXN) {
        call->lease_id = request->lease.lease_id;
    }
    const grpc_call_error refused = start_batch(call);
    if (refused != GRPC_CALL_OK) { /* no completion will come */
        rollcall_error_set(error, ROLLCALL_E_REJECTED, "gRPC refused the request to %s: %s",
                           endpoint_of(call), grpc_call_error_to_string(refused));
        rollcall__grpc_call_destroy(driver, &call->base);
        return NULL;
    }
    return &call->base;
}

void rollcall__grpc_call_cancel(struct rollcall__driver *driver, struct rollcall__call *call)
{
    (void)driver;
    grpc_call_cancel(of_base(call)->call, NULL);
}

void rollcall__grpc_call_destroy(struct rollcall__driver *driver, struct rollcall__call *base)
{
    struct call *call = of_base(base);
    (void)driver;
    grpc_byte_buffer_destroy(call->sent);
    grpc_byte_buffer_destroy(call->received);
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    rollcall__metadata_fini(&call->metadata);
    grpc_slice_unref(call->details);
    grpc_call_unref(call->call);
    free(base->token);
    free(call);
}
