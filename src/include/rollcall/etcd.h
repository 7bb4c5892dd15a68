/*
 * rollcall/etcd.h - a connection to an etcd cluster, shared by sessions and watches.
 *
 * Threads: any thread; one rollcall_etcd may serve any number of sessions and watches.
 * Memory:  all options are copied.
 *
 * Errors:  connect answers E_INVALID for what can be seen to be wrong (an endpoint that is no
 *          HOST:PORT, a file that cannot be read, a key that is not its certificate's, a sentinel
 *          that cannot be run); E_BUSY in a callback, or when the runtime serves 4 connections
 *          already; E_FORKED in a child process; E_NO_MEMORY; E_SYSTEM when the system refuses a
 *          sentinel.  Then nothing is connected.  It does not wait for etcd: whether etcd answers
 *          shows in the first call that needs it.
 *
 * TLS:     the name or address in an endpoint has to be in the server's certificate.  Files that
 *          are replaced on disk, at once or one after the other, need no call: connections made
 *          from about two seconds later on use them, those that stand stay as they are, and no
 *          session is lost.  While a file is missing, or they do not fit together, the ones before
 *          are used, and the log says so.  What is no regular file is read once.  /proc has to be
 *          there.  A server that cannot be verified, or wants a certificate of ours, is
 *          E_UNAVAILABLE, with the cause, and is tried about once a second, for it may be mended.
 */
#ifndef ROLLCALL_ETCD_H
#define ROLLCALL_ETCD_H

#include <rollcall/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rollcall_etcd;

struct rollcall_etcd_options {
    size_t size_bytes;       /* set by ROLLCALL_ETCD_OPTIONS */
    const char *endpoints;   /* "HOST:PORT[,HOST:PORT...]"; NULL: "127.0.0.1:2379"; "http://" and
                                "https://" in front of one are accepted */
    int64_t dial_timeout_ms; /* 0: 5'000; how long one connection attempt may take */
    int64_t call_timeout_ms; /* 0: 5'000; how long one request may take */
    const char *user;        /* NULL: no authentication */
    const char *password;    /* with user; never logged */
    const char *ca_file;     /* NULL: plain TCP; PEM: TLS, the server is verified against it */
    const char *cert_file;   /* with key_file: our certificate, for mutual TLS, and after it those
                                that signed it */
    const char *key_file;    /* PEM, without a pass phrase */
    bool sync_members;       /* the cluster's other members become endpoints too, once they have
                                said that they belong to it, up to 16 in all; those given stay */
    const char *sentinel;    /* NULL: none; the path of the program `rollcall`, which is run as a
                                crash sentinel: see <rollcall/sentinel.h> */
};
#define ROLLCALL_ETCD_OPTIONS(...)                                                                 \
    (&(const struct rollcall_etcd_options){.size_bytes = sizeof(struct rollcall_etcd_options),     \
                                           __VA_ARGS__})

ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_etcd_connect(struct rollcall_runtime *runtime, const struct rollcall_etcd_options *options,
                      struct rollcall_etcd **etcd, struct rollcall_error *error);

/* Cancels what is in flight, waits until gRPC has let go of it, frees.  NULL: nothing.
 * Returns: ROLLCALL_OK; ROLLCALL_E_BUSY while a session or watch still uses it, or in a callback,
 * or ROLLCALL_E_FORKED in a child process: nothing happened; ROLLCALL_E_TIMEOUT when a worker is
 * stuck in a callback: close it again when that has returned. */
ROLLCALL_API enum rollcall_status rollcall_etcd_close(struct rollcall_etcd *etcd);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_ETCD_H */
