/*
 * tests/support/numbered.h - records with numbers, which a writer puts one after the other through
 * etcd's gateway, and now and then deletes: from a record its number can be read back.
 *
 *     struct numbered_writer writer = {.endpoints = {endpoint}, .root = scene.root, .keys = 20};
 *     CHECK(numbered_write(&writer, 1000));      (on this thread)
 *     numbered_writer_start(&writer);            (on one of its own, until it is stopped)
 *     ... a fault ...
 *     numbered_writer_stop(&writer);
 *
 * With one endpoint each number of a key is put exactly once, whatever etcd does meanwhile: what
 * was killed before it answered has come true, or never will, so it is asked.  Of several members
 * one that is killed may have passed a put on: then a number may be there twice.
 *
 * Threads: numbered_write and the writer's own, never both at once.
 * Errors:  false, or `failed`: a request was not answered for NUMBERED_TRIES_MS.
 */
#ifndef TESTS_SUPPORT_NUMBERED_H
#define TESTS_SUPPORT_NUMBERED_H

#include "base/thread.h"

#include <stdbool.h>
#include <stdint.h>

enum { NUMBERED_TRIES_MS = 30000, NUMBERED_ENDPOINTS_MAX = 3 };

/* ROOT/session/datanode-ID, and a record of it; of GATEWAY_TEXT_BYTES each. */
void numbered_key(const char *root, int id, char *key);
void numbered_value(int id, int64_t number, char *value);
/* 0: it is no such value. */
int64_t numbered_read(const char *value);

struct numbered_writer {
    /* Set by the test: */
    const char *endpoints[NUMBERED_ENDPOINTS_MAX]; /* after a failure the next is asked */
    const char *root;                              /* borrowed, as the endpoints */
    int first, keys;                               /* of so many ids after the first, by turns */
    int64_t pace_ms;                               /* between two on its own thread; 0: none */
    /* Read by the test, once it is stopped: */
    int64_t writes, doubted; /* requests that were done; that were not answered */
    bool failed;
    /* Its own: */
    int64_t next;
    int endpoint;
    pthread_t thread;
    struct rollcall__monitor monitor; /* guards stopping */
    bool stopping;
};

/* So many puts; every tenth of a key is followed by its deletion. */
bool numbered_write(struct numbered_writer *writer, int64_t puts);
void numbered_writer_start(struct numbered_writer *writer);
/* Fails the test when the writer has failed. */
void numbered_writer_stop(struct numbered_writer *writer);

#endif /* TESTS_SUPPORT_NUMBERED_H */
