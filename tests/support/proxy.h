/*
 * tests/support/proxy.h - a TCP proxy between a client and one port of an etcd, that a test may let
 * refuse, swallow, hold, delay, cut and rewrite what passes.
 *
 * It listens on a loopback port below the kernel's ephemeral range, and keeps it for life.  What a
 * fault does it does to every connection, those that are open and those that come; a connection
 * that once lost a byte is never forwarded again: cut it.  A connection that etcd does not accept
 * is reset, and counted all the same.
 *
 * Threads: its own serves the sockets and calls the tap; the calls here are the test's, any thread.
 * Errors:  NULL, after one sentence on stderr.
 */
#ifndef TESTS_SUPPORT_PROXY_H
#define TESTS_SUPPORT_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proxy;

enum proxy_mode {
    PROXY_FORWARD,   /* passes on, what was held too */
    PROXY_HOLD,      /* reads nothing, in neither direction; it comes later, complete */
    PROXY_QUESTIONS, /* the same for what etcd sends; what the client sends passes */
    PROXY_ANSWERS,   /* the other way round */
    PROXY_BLACKHOLE, /* reads and forgets, in both directions; nobody is told (no RST) */
    PROXY_REFUSE     /* nobody listens, and every connection is reset */
};

enum proxy_side { PROXY_CLIENT, PROXY_SERVER };

/* Read from one side, and not passed on yet; the tap may change it in place. */
struct proxy_bytes {
    enum proxy_side from;
    char *data;        /* begins with bytes of before, as many as there are: up to PROXY_TAIL */
    size_t begin, end; /* what is new */
    int64_t at_ms;     /* of process_now_ms */
};
enum { PROXY_TAIL = 96 };
typedef void proxy_tap_fn(void *user, const struct proxy_bytes *bytes);

/* server: "127.0.0.1:PORT".  tap: NULL: none; called on the proxy's thread, with what passes and
 * with what is then forgotten; user: borrowed for life. */
struct proxy *proxy_create(const char *server, proxy_tap_fn *tap, void *user);
void proxy_destroy(struct proxy *proxy); /* resets what is open; NULL: nothing */

/* "127.0.0.1:PORT"; stays the same for life. */
const char *proxy_endpoint(const struct proxy *proxy);

/* What is read later than this returns is treated so. */
void proxy_set(struct proxy *proxy, enum proxy_mode mode);
/* Resets every connection there is (RST); new ones are as the mode says. */
void proxy_cut(struct proxy *proxy);
/* What is read from now on is passed on so much later; 0: at once. */
void proxy_delay(struct proxy *proxy, int64_t delay_ms);
/* Once the client sends `text` on a connection, nothing that etcd answers there arrives.  text:
 * borrowed, shorter than PROXY_TAIL; NULL: no longer, on connections that come. */
void proxy_drop_answers_after(struct proxy *proxy, const char *text);
/* How many connections lost their answers by that so far. */
uint64_t proxy_dropped(struct proxy *proxy);
/* How many connections came so far, and how many are open. */
uint64_t proxy_connections(struct proxy *proxy);
size_t proxy_open(struct proxy *proxy);
/* How many bytes came from a side so far, passed on or forgotten. */
uint64_t proxy_bytes_from(struct proxy *proxy, enum proxy_side side);

#endif /* TESTS_SUPPORT_PROXY_H */
