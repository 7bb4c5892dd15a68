/*
 * tests/support/standing.h - a session that stands for a role, and what it was told of that.
 *
 * Threads: the callbacks run on any thread; the rest on the test's own.
 * Errors:  what must not happen in any test fails the test here.
 */
#ifndef TESTS_SUPPORT_STANDING_H
#define TESTS_SUPPORT_STANDING_H

#include "support/api_events.h"

#include <rollcall/election.h>

enum { STANDING_NOTES_MAX = 128 };

struct standing_note {
    enum rollcall_role role;
    int64_t token;
    int64_t at_ms; /* of process_now_ms */
    enum rollcall_status status;
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
};

struct standing {
    struct rollcall_session *session;
    struct rollcall__monitor monitor; /* guards the rest */
    size_t count;
    struct standing_note notes[STANDING_NOTES_MAX];
    int64_t activated, activated_ms; /* the token of the last activation, and when it began */
    uint64_t activations;
    enum rollcall_status activation; /* what the next answers; set it before */
};

/* Opens one with this server ID, and waits until it is registered and has been told STANDBY. */
void standing_open(struct standing *standing, const struct api_scene *scene, const char *role,
                   int64_t server_id, int64_t ttl_s);
/* Closes it, which has to be done in time.  NULL session: nothing. */
void standing_close(struct standing *standing);
void standing_fini(struct standing *standing);

int64_t standing_token(const struct standing *standing);
/* Waits until it is told `role` once more than `times`; false when it was not within API_SOON_MS.
 */
bool standing_await(struct standing *standing, enum rollcall_role role, size_t times);
size_t standing_told(struct standing *standing, enum rollcall_role role);
struct standing_note standing_last(struct standing *standing);
/* Waits until one of these has a token above `above`; NULL when none has within API_SOON_MS. */
struct standing *standing_await_any(struct standing *standings, size_t count, int64_t above);

#endif /* TESTS_SUPPORT_STANDING_H */
