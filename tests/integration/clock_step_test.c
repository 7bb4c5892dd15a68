/*
 * A16: what a step of the machine's clock, and a suspend, are to a session: nothing.
 *
 * This program answers clock_gettime itself, for the library and for gRPC alike: as the kernel
 * does, but for as much as a test has moved a clock.
 */
#include "support/outage.h"
#include "support/test.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { TTL_S = 3, MS_PER_S = 1000, HOUR_S = 3600, PERIOD_MS = 4500, INTERVAL_MS = 500 };

static _Atomic int64_t wall_step_s, boot_step_s;

/* What stands for the C library's. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    const long failed = syscall(SYS_clock_gettime, clock, now);
    if (failed == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += atomic_load(&wall_step_s);
    } else if (failed == 0 && clock == CLOCK_BOOTTIME) {
        now->tv_sec += atomic_load(&boot_step_s);
    }
    return (int)failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise = {.tv_sec = 0};
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    *now = (struct timeval){.tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now)
{
    struct timespec precise = {.tv_sec = 0};
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now != NULL) {
        *now = precise.tv_sec;
    }
    return precise.tv_sec;
}

/* One and a half TTLs on, all is as it was, and renewals went on at their pace. */
static void check_goes_on(struct outage *outage, struct outage_session *member)
{
    const int64_t began_ms = process_now_ms();
    process_sleep_ms(PERIOD_MS);
    const int64_t now_ms = process_now_ms();
    const int64_t sent = (int64_t)renewals_count(outage->renewals, RENEWALS_SENT, 0,
                                                 member->info.lease_id, began_ms, now_ms);
    outage_say("A16: renewals in one and a half TTLs", sent);
    /* Twice a second, as short as it is; so nine to eleven, and one that is tried again. */
    CHECK((sent + 1) * INTERVAL_MS > outage_took_ms(outage, began_ms, now_ms));
    CHECK((sent - 3) * INTERVAL_MS <= now_ms - began_ms);
    api_session_check_story(&member->log, "ACTIVE");
}

struct told {
    _Atomic int64_t at_ms; /* since 1970, as the library says */
};

static void note_time(void *user, const struct rollcall_session_event *event)
{
    struct told *told = user;
    atomic_store(&told->at_ms, event->at_ms);
}

/* The library's own wall clock is the one that was moved: else nothing was tested. */
static int64_t wall_of_library_s(const struct api_scene *scene)
{
    struct told told = {0};
    struct rollcall_session *session;
    const enum rollcall_status status = rollcall_session_open(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "datanode", .address = "h:1",
                                 .server_id = 1, .on_event = note_time, .user = &told),
        &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    const int64_t at_s = atomic_load(&told.at_ms) / MS_PER_S;
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    return at_s;
}

TEST(clock_step, an_hour_forward_or_back_and_a_short_suspend_change_nothing)
{
    struct outage outage;
    struct timespec real;
    outage_open_node(&outage, NULL);
    struct outage_session *member = outage_join_one(&outage, 0, TTL_S);
    for (int sign = 1; sign >= -1; sign -= 2) {
        atomic_store(&wall_step_s, sign * HOUR_S);
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
        const int64_t ahead_s = wall_of_library_s(&outage.scene[0]) - real.tv_sec;
        CHECK(ahead_s >= sign * HOUR_S - 1 && ahead_s <= sign * HOUR_S + 10);
        check_goes_on(&outage, member);
    }
    atomic_store(&wall_step_s, 0);
    atomic_store(&boot_step_s, 1); /* less than the TTL has left between two renewals */
    check_goes_on(&outage, member);
    outage_close(&outage);
}

/* What etcd counted on meanwhile is counted here too: a suspend of two TTLs is told first. */
TEST(clock_step, a_suspend_of_two_ttls_is_not_slept_through)
{
    struct outage outage;
    outage_open_node(&outage, NULL);
    struct outage_session *member = outage_join_one(&outage, 0, TTL_S);
    atomic_fetch_add(&boot_step_s, 2 * TTL_S);
    const int64_t resumed_ms = process_now_ms();
    CHECK(api_session_await(&member->log, ROLLCALL_SESSION_SUSPECT, 1, API_SOON_MS));
    outage_check_took(&outage, "A16: SUSPECT after a suspend", resumed_ms, TTL_S * MS_PER_S);
    CHECK(api_session_await(&member->log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    api_session_check_story(&member->log, "ACTIVE SUSPECT ACTIVE");
    outage_close(&outage);
}
