/* bench/support/belief.c - see belief.h. */
#include "support/belief.h"

#include <stdlib.h>
#include <string.h>

void belief_take(void *user, const struct rollcall_watch_event *event)
{
    struct belief *belief = user;
    belief->events++;
    belief->resyncs += event->type == ROLLCALL_WATCH_RESYNC_BEGIN;
    if (event->record == NULL) {
        return;
    }
    const char *digits = strrchr(event->key.data, '-') + 1;
    const int64_t place = (strtoll(digits, NULL, 10) - 1000) % SESSION_RECORD_KEYS;
    const bool gone = event->type == ROLLCALL_WATCH_DELETE;
    belief->mod_revision[place] = gone ? 0 : event->mod_revision;
    belief->server_id[place] = gone ? 0 : event->record->server_id;
}

bool belief_equal(const struct belief *a, const struct belief *b)
{
    return memcmp(a->mod_revision, b->mod_revision, sizeof a->mod_revision) == 0 &&
           memcmp(a->server_id, b->server_id, sizeof a->server_id) == 0;
}

int64_t belief_count(const struct belief *belief)
{
    int64_t count = 0;
    for (int i = 0; i < SESSION_RECORD_KEYS; i++) {
        count += belief->mod_revision[i] != 0;
    }
    return count;
}
