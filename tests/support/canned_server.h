/*
 * tests/support/canned_server.h - a gRPC server whose answers are a script's: for what a real etcd
 * cannot be made to say, or not fast enough.  It knows calls and messages, and nothing of etcd.
 *
 *     struct canned_server *server = canned_server_create(&script);
 *     ... canned_server_endpoint(server) ...
 *     canned_server_run(server, &stop);      (on any thread: every callback runs on this one)
 *     canned_server_destroy(server);
 *
 * Threads: run: one thread, which calls the script; the functions of a call: only in the script.
 * Memory:  a call is the server's until `ended` returns; what is sent is copied or counted by gRPC.
 * Errors:  NULL or false; create says one sentence on stderr.
 */
#ifndef TESTS_SUPPORT_CANNED_SERVER_H
#define TESTS_SUPPORT_CANNED_SERVER_H

#include <grpc/grpc.h>
#include <rollcall/record.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct canned_server;
struct canned_call; /* one call of a client: of one answer, or a stream */

struct canned_script {
    void *user;
    /* The client has sent a message; it is borrowed.  The call may be answered now or later. */
    void (*message)(void *user, struct canned_call *call, struct rollcall_bytes message);
    /* What was sent last is on its way: another may be sent.  NULL: nobody asks. */
    void (*sent)(void *user, struct canned_call *call);
    /* The client or its connection has gone, or the call was ended.  NULL: nobody asks. */
    void (*ended)(void *user, struct canned_call *call);
    /* Runs about at the time it last returned (CLOCK_MONOTONIC); first at once.  NULL: never. */
    int64_t (*due)(void *user, int64_t now_ns);
};

/* Listens on a free loopback port.  script: borrowed for life. */
struct canned_server *canned_server_create(const struct canned_script *script);
void canned_server_destroy(struct canned_server *server); /* not while it runs; NULL: nothing */
const char *canned_server_endpoint(const struct canned_server *server); /* "127.0.0.1:PORT" */

/* Serves until `stop` is set, and a few milliseconds. */
void canned_server_run(struct canned_server *server, const atomic_bool *stop);

/* "/package.Service/Method" */
struct rollcall_bytes canned_call_method(const struct canned_call *call);
/* The script's own; NULL at first. */
void canned_call_set_user(struct canned_call *call, void *user);
void *canned_call_user(const struct canned_call *call);

/* Whether a message may be sent: none is under way, and the call has not ended. */
bool canned_call_is_free(const struct canned_call *call);
/* Sends one message, made of these pieces, of which it takes a reference each; it must be free.
 * more: another will follow soon, so that they may share a packet. */
void canned_call_send(struct canned_call *call, grpc_slice *pieces, size_t count, bool more);
/* The last of a call, after what was sent; twice: the first counts. */
void canned_call_end(struct canned_call *call, grpc_status_code code, const char *text);

#endif /* TESTS_SUPPORT_CANNED_SERVER_H */
