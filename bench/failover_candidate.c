/*
 * bench/failover_candidate.c - one of ours that stands for the role of bench/failover, which starts
 * it:
 *     failover_candidate BOARD SLOT ENDPOINT TTL_S [SENTINEL]
 * SENTINEL: the path of the program `rollcall`, to be run beside this one.  Joins, prints "ready
 * VERSION", and does what its slot says each time SIGUSR1 comes, until it is killed.
 */
#include "support/board.h"
#include "support/process.h"

#include <rollcall/election.h>
#include <rollcall/version.h>
#if __has_include(<rollcall/sentinel.h>)
#include <rollcall/sentinel.h>
#define HAS_SENTINEL 1
#endif

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROOT "failover"
#define ROLE "coordinator"
enum { SERVER_ID_0 = 100, START_MS = 20000, ANSWER_MS = 10000, LOOK_MS = 1 };

struct candidate {
    struct board board;
    struct board_slot *slot;
    int64_t number, ttl_s;
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd;
    struct rollcall_session *session; /* NULL: it is away */
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "failover_candidate: %s\n", what);
    _exit(1);
}

/* ---- what it is told ---- */

static enum rollcall_status activate(void *user, int64_t token)
{
    const int64_t now_ns = board_now_ns();
    const struct candidate *candidate = user;
    atomic_store(&candidate->slot->waiting_since, token); /* who has had its turn is named last */
    board_note_active(candidate->slot, now_ns, ROOT "/session/" ROLE);
    return ROLLCALL_OK;
}

static void on_role(void *user, const struct rollcall_role_event *event)
{
    const struct candidate *candidate = user;
    if (event->role == ROLLCALL_ROLE_STANDBY) {
        atomic_store(&candidate->slot->state, BOARD_STANDING);
    }
}

static void on_event(void *user, const struct rollcall_session_event *event)
{
    const struct candidate *candidate = user;
    if (event->state == ROLLCALL_SESSION_ACTIVE) {
        atomic_store(&candidate->slot->waiting_since, event->info.create_revision);
    } else if (event->state == ROLLCALL_SESSION_LOST) {
        atomic_fetch_add(&candidate->slot->lost, 1);
    }
}

/* ---- what it is to do ---- */

static void join(struct candidate *candidate)
{
    struct rollcall_error error;
    if (candidate->session == NULL &&
        rollcall_session_open(
            candidate->etcd,
            ROLLCALL_SESSION_OPTIONS(
                    .root = ROOT, .role = ROLE, .address = "127.0.0.1:1",
                    .server_id = SERVER_ID_0 + candidate->number, .ttl_s = candidate->ttl_s,
                    .on_lost = ROLLCALL_ON_LOST_REREGISTER, .on_event = on_event, .user = candidate,
                    .election = ROLLCALL_ELECTION_OPTIONS(.activate = activate, .on_role = on_role,
                                                          .user = candidate)),
            &candidate->session, &error) != ROLLCALL_OK) {
        fail(error.text);
    }
}

static void resign(struct candidate *candidate)
{
    struct rollcall_error error;
    atomic_store(&candidate->slot->left_ns, board_now_ns());
    if (rollcall_election_resign(candidate->session, ANSWER_MS, &error) != ROLLCALL_OK) {
        fail(error.text);
    }
}

static void leave(struct candidate *candidate)
{
    atomic_store(&candidate->slot->left_ns, board_now_ns());
    rollcall_session_close(candidate->session, ANSWER_MS);
    candidate->session = NULL;
    atomic_store(&candidate->slot->state, BOARD_AWAY);
}

static void obey(struct candidate *candidate)
{
    switch ((enum board_order)atomic_load(&candidate->slot->order)) {
    case BOARD_RESIGN:
        resign(candidate);
        break;
    case BOARD_CLOSE:
        leave(candidate);
        break;
    case BOARD_JOIN:
        join(candidate);
        break;
    }
    atomic_fetch_add(&candidate->slot->done, 1);
}

/* ---- life ---- */

static void connect_to(struct candidate *candidate, const char *endpoint, const char *sentinel)
{
    struct rollcall_error error;
    struct rollcall_etcd_options options = *ROLLCALL_ETCD_OPTIONS(.endpoints = endpoint);
#ifdef HAS_SENTINEL
    options.sentinel = sentinel;
#else
    if (sentinel != NULL) {
        fprintf(stderr, "this library has no crash sentinel\n");
        _exit(BOARD_SKIPPED);
    }
#endif
    if (rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = ROLLCALL_ERROR),
                                &candidate->runtime, &error) != ROLLCALL_OK ||
        rollcall_etcd_connect(candidate->runtime, &options, &candidate->etcd, &error) !=
            ROLLCALL_OK) {
        fail(error.text);
    }
}

/* In time, or the process is given up: nothing else could end it. */
static void await_sentinel(struct candidate *candidate)
{
#ifdef HAS_SENTINEL
    const int64_t deadline_ms = process_now_ms() + START_MS;
    struct rollcall_sentinel_info info;
    do {
        if (process_now_ms() > deadline_ms) {
            fail("the sentinel is not there in time");
        }
        process_sleep_ms(LOOK_MS);
        rollcall_etcd_sentinel(candidate->etcd, &info);
    } while (!info.ready);
#else
    (void)candidate;
#endif
}

int main(int argc, char **argv)
{
    static struct candidate candidate;
    sigset_t ordered;
    int got = 0;
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: failover_candidate BOARD SLOT ENDPOINT TTL_S [SENTINEL]\n");
        return 2;
    }
    candidate.number = strtoll(argv[2], NULL, 10);
    candidate.ttl_s = strtoll(argv[4], NULL, 10);
    if (candidate.number < 0 || candidate.number >= BOARD_SLOTS_MAX ||
        !board_open(&candidate.board, argv[1])) {
        return 1;
    }
    candidate.slot = &candidate.board.slot[candidate.number];
    sigemptyset(&ordered);
    sigaddset(&ordered, SIGUSR1);
    sigprocmask(SIG_BLOCK, &ordered, NULL); /* before there is a second thread */
    connect_to(&candidate, argv[3], argc > 5 ? argv[5] : NULL);
    join(&candidate);
    if (argc > 5) {
        await_sentinel(&candidate);
    }
    printf("\nready %s\n", rollcall_version());
    fflush(stdout);
    for (;;) {
        if (sigwait(&ordered, &got) == 0) {
            obey(&candidate);
        }
    }
}
