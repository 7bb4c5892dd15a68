/* The time until which a session's lease is safe: never that of another lease. */
#include "actors/session.h"

#include "support/test.h"

#include <pthread.h>

TEST(session_safety, a_time_counts_for_its_lease_alone)
{
    struct session_safety safety = {.lease_id = {0}};
    CHECK_INT(session_safe_until_ms(&safety, 7), 0);
    session_set_safe(&safety, 7, 5000);
    CHECK_INT(session_safe_until_ms(&safety, 7), 5000);
    session_set_safe(&safety, 7, 6000);
    CHECK_INT(session_safe_until_ms(&safety, 7), 6000);
    CHECK_INT(session_safe_until_ms(&safety, 8), 0);
    session_set_safe(&safety, 8, 5500);
    CHECK_INT(session_safe_until_ms(&safety, 7), 0);
    CHECK_INT(session_safe_until_ms(&safety, 8), 5500);
}

enum { LEASES = 200000, RENEWALS = 3, TIMES_PER_LEASE = 10 };

/* The times of a lease are told apart from those of every other. */
static void *register_again_and_again(void *safety)
{
    for (int64_t lease_id = 1; lease_id <= LEASES; lease_id++) {
        for (int64_t renewal = 0; renewal < RENEWALS; renewal++) {
            session_set_safe(safety, lease_id, lease_id * TIMES_PER_LEASE + renewal);
        }
    }
    return NULL;
}

TEST(session_safety, whoever_reads_while_leases_change_sees_no_time_of_another)
{
    static struct session_safety safety;
    pthread_t writer;
    int64_t lease_id = 0, seen = 0;
    CHECK_INT(pthread_create(&writer, NULL, register_again_and_again, &safety), 0);
    while (lease_id < LEASES) {
        lease_id = rollcall__gauge_get(&safety.lease_id);
        const int64_t until_ms = session_safe_until_ms(&safety, lease_id);
        CHECK(until_ms == 0 || until_ms / TIMES_PER_LEASE == lease_id);
        seen += until_ms != 0;
    }
    CHECK_INT(pthread_join(writer, NULL), 0);
    CHECK(seen > 0);
}
