/* What a session's root asks of the actors below is asked again: when the one that was asked fails
 * on the request, and when it has no room for it.  Neither ends a session. */
#include "actors/registration.h"
#include "unit/actors/root_world.h"

/* ---- what is asked, and how it goes wrong ---- */

static void arm(const struct bench *b, const char *point, const char *how)
{
    char text[96];
    struct rollcall_error error = {.text = ""};
    snprintf(text, sizeof text, "%s=%s", point, how);
    CHECK_INT(rollcall_failpoints_arm(b->world.rt, text, &error), ROLLCALL_OK);
}

static void add_fired(void *user, const struct rollcall_failpoint *point)
{
    *(uint64_t *)user += point->fired;
}

static uint64_t fired(const struct bench *b)
{
    uint64_t sum = 0;
    CHECK_INT(rollcall_failpoints_list(b->world.rt, add_fired, &sum), ROLLCALL_OK);
    return sum;
}

/* Restarted by the supervisor once and twice in a row, of both classes; no room once, and for some
 * time. */
static const struct {
    const char *text;
    uint64_t times;
} HOW[] = {
    {"crash(E_UNAVAILABLE)*1", 1},
    {"crash(E_ACTOR)*1", 1},
    {"crash(E_ACTOR)*2", 2},
    {"error*1", 1},
    {"error*40", 40},
};
enum { HOW_COUNT = sizeof HOW / sizeof HOW[0] };

static void check_fired(const struct bench *b, size_t how)
{
    CHECK_INT(fired(b), HOW[how].times);
}

/* Runs `body` with a bench that is open, and in which nothing has happened yet. */
static void each_way(enum rollcall_on_lost on_lost, void (*body)(struct bench *b, size_t how))
{
    for (size_t how = 0; how < HOW_COUNT; how++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){.on_lost = on_lost});
            body(&b, how);
            close_bench(&b);
        }
    }
}

static void become_active(struct bench *b)
{
    world_run(&b->world, 3000);
    check_told(b, "ACTIVE");
}

static void check_gone(struct bench *b)
{
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 0);
    CHECK(fake_etcd_find(b->etcd, KEY) == NULL);
    CHECK_INT(last_event(b)->status, ROLLCALL_OK);
}

/* ---- to begin ---- */

static void keepalive_start(struct bench *b, size_t how)
{
    arm(b, "keepalive/KEEPALIVE_START", HOW[how].text);
    become_active(b);
    check_fired(b, how);
    world_run(&b->world, 20000);
    check_told(b, "ACTIVE");
    CHECK(b->etcd->renewals > 5);
    CHECK_INT(b->steps.plan[LOOK].seen, 1); /* asked again too, liveness had looked already */
}

TEST(session_press, keepalive_is_asked_to_begin_again)
{
    each_way(ROLLCALL_ON_LOST_STOP, keepalive_start);
}

static void liveness_start(struct bench *b, size_t how)
{
    arm(b, "liveness/LIVENESS_START", HOW[how].text);
    become_active(b);
    check_fired(b, how);
    CHECK_INT(b->steps.plan[LOOK].seen, 1);
    lose(b, BY_MOVING);
    world_run(&b->world, 3000);
    check_told(b, "ACTIVE LOST");
}

TEST(session_press, liveness_is_asked_to_begin_again)
{
    each_way(ROLLCALL_ON_LOST_STOP, liveness_start);
}

/* ---- to mark ---- */

static void departure_mark(struct bench *b, size_t how)
{
    become_active(b);
    arm(b, "departure/DEPARTURE_MARK", HOW[how].text);
    mark(b, 1);
    world_run(&b->world, 3000);
    check_fired(b, how);
    CHECK_INT(answer_to(b, 1), ROLLCALL_OK);
    CHECK_INT(b->steps.plan[MARK].seen, 1);
    check_told(b, "ACTIVE");
    CHECK(last_event(b)->stopping);
}

TEST(session_press, departure_is_asked_to_mark_again)
{
    each_way(ROLLCALL_ON_LOST_STOP, departure_mark);
}

/* ---- to leave ---- */

static void departure_leave(struct bench *b, size_t how)
{
    become_active(b);
    arm(b, "departure/DEPARTURE_LEAVE", HOW[how].text);
    say(b, SESSION_LEAVE);
    world_run(&b->world, 3000);
    check_fired(b, how);
    check_told(b, "ACTIVE STOPPING STOPPED");
    CHECK_INT(b->steps.plan[MARK].seen, 1); /* going-stop first, as was asked */
    check_gone(b);
}

TEST(session_press, departure_is_asked_to_leave_again)
{
    each_way(ROLLCALL_ON_LOST_STOP, departure_leave);
}

static void departure_clear(struct bench *b, size_t how)
{
    become_active(b);
    arm(b, "departure/DEPARTURE_LEAVE", HOW[how].text);
    lose(b, BY_DELETION);
    world_run(&b->world, 5000);
    check_fired(b, how);
    check_told(b, "ACTIVE LOST REGISTERING ACTIVE");
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 1);
    CHECK_INT(fake_etcd_find(b->etcd, KEY)->lease_id, our_lease(b));
}

TEST(session_press, departure_is_asked_again_to_revoke_what_has_lost_its_key)
{
    each_way(ROLLCALL_ON_LOST_REREGISTER, departure_clear);
}

static void registration_leave(struct bench *b, size_t how, enum step step)
{
    steps_from_now(&b->steps, step, FAKE_ETCD_SILENT, 1);
    world_run(&b->world, 100);
    arm(b, "registration/REGISTRATION_LEAVE", HOW[how].text);
    say(b, SESSION_LEAVE);
    world_run(&b->world, 1000);
    check_fired(b, how);
    /* What was silent is asked again, or ends, with the incarnation that asked. */
    crash_child(b, b->steps.plan[step].asker, REGISTRATION_RETRY, ROLLCALL_E_ACTOR);
    world_run(&b->world, 3000);
    check_told(b, "STOPPING STOPPED");
    check_gone(b);
}

static void registration_leave_granting(struct bench *b, size_t how)
{
    registration_leave(b, how, GRANT);
}

static void registration_leave_claiming(struct bench *b, size_t how)
{
    registration_leave(b, how, CLAIM);
}

TEST(session_press, registration_is_asked_to_leave_again)
{
    each_way(ROLLCALL_ON_LOST_STOP, registration_leave_granting);
    each_way(ROLLCALL_ON_LOST_STOP, registration_leave_claiming);
}

/* ---- all of them ---- */

/* No request gets through for ten seconds, and none is lost. */
TEST(session_press, an_actor_without_room_delays_a_session_and_does_not_end_it)
{
    static const char *const POINTS[] = {"keepalive/KEEPALIVE_START", "liveness/LIVENESS_START",
                                         "departure/DEPARTURE_MARK", "departure/DEPARTURE_LEAVE",
                                         "registration/REGISTRATION_LEAVE"};
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        for (size_t i = 0; i < sizeof POINTS / sizeof POINTS[0]; i++) {
            arm(&b, POINTS[i], "error");
        }
        world_run(&b.world, 3000);
        check_told(&b, "");
        CHECK_INT(rollcall_failpoints_clear(b.world.rt), ROLLCALL_OK);
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE");
        arm(&b, "departure/*", "error");
        mark(&b, 1);
        say(&b, SESSION_LEAVE);
        world_run(&b.world, 10000);
        check_told(&b, "ACTIVE STOPPING");
        CHECK_INT(rollcall_failpoints_clear(b.world.rt), ROLLCALL_OK);
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE STOPPING STOPPED");
        check_gone(&b);
        close_bench(&b);
    }
}

static void add_hits_of_press(void *user, const struct rollcall_failpoint *point)
{
    *(uint64_t *)user += strstr(point->text, "PRESS") != NULL ? point->hits : 0;
}

/* The timer does not go on when all is said. */
TEST(session_press, what_has_been_taken_is_not_asked_for_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        arm(&b, "keepalive/KEEPALIVE_START", "error*1");
        arm(&b, "session/SESSION_PRESS", "drop@1000000"); /* never: it counts */
        become_active(&b);
        world_run(&b.world, 20000);
        uint64_t hits = 0;
        CHECK_INT(rollcall_failpoints_list(b.world.rt, add_hits_of_press, &hits), ROLLCALL_OK);
        CHECK_INT(hits, 1);
        close_bench(&b);
    }
}

/* ---- a restarted keepalive ---- */

/* The session hears of the failure while SAFE still waits to be read: nobody looks at the time
 * until the next incarnation has, and that says so itself. */
TEST(session_press, a_safe_that_keepalive_told_before_it_failed_is_not_believed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.etcd->renews_nothing = true;
        arm(&b, "session/SESSION_LEASE_SAFE", "delay(3s)*1");
        arm(&b, "keepalive/KEEPALIVE_RENEW", "crash*1");
        world_run(&b.world, 2900);
        check_told(&b, "");
        CHECK_INT(fired(&b), 2);
        world_run(&b.world, 300);
        check_told(&b, "");
        b.etcd->renews_nothing = false;
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE");
        close_bench(&b);
    }
}
