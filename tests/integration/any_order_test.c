/*
 * Several threads that call a session in any order while its key comes and goes: against a real
 * etcd, what is told keeps to the picture in rollcall/session.h, and nothing is held at the end.
 */
#include "base/random.h"
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/seed.h"
#include "support/test.h"

enum { THREADS = 4, DELETIONS = 20, DELETIONS_MAX = 400, CHOICES = 40 };

/* What may follow a state. */
#define TO(state) (1u << ROLLCALL_SESSION_##state)
static const unsigned FOLLOWS[] = {
    [ROLLCALL_SESSION_REGISTERING] = TO(ACTIVE) | TO(LOST) | TO(FAILED) | TO(STOPPING),
    [ROLLCALL_SESSION_ACTIVE] = TO(SUSPECT) | TO(LOST) | TO(STOPPING),
    [ROLLCALL_SESSION_SUSPECT] = TO(ACTIVE) | TO(LOST) | TO(STOPPING),
    [ROLLCALL_SESSION_LOST] = TO(REGISTERING) | TO(STOPPING),
    [ROLLCALL_SESSION_STOPPING] = TO(STOPPED),
    [ROLLCALL_SESSION_STOPPED] = TO(REGISTERING),
    [ROLLCALL_SESSION_FAILED] = TO(REGISTERING),
};

/* What was told, held against the picture as it comes. */
struct teller {
    struct rollcall__monitor monitor; /* guards the rest */
    enum rollcall_session_state state;
    size_t counts[ROLLCALL_SESSION_FAILED + 1];
    int64_t create_revision;
    char fault[256]; /* the first; "": none */
};

static void note(void *user, const struct rollcall_session_event *event)
{
    struct teller *teller = user;
    const bool active = event->state == ROLLCALL_SESSION_ACTIVE;
    rollcall__monitor_lock(&teller->monitor);
    const bool follows = (FOLLOWS[teller->state] & 1u << event->state) != 0;
    const bool agrees = event->info.state == event->state && (!active || event->info.registered) &&
                        (event->state != ROLLCALL_SESSION_LOST || event->info.disconnected) &&
                        (!active || event->info.create_revision >= teller->create_revision);
    if ((!follows || !agrees) && teller->fault[0] == '\0') {
        snprintf(teller->fault, sizeof teller->fault, "%s after %s%s",
                 rollcall_session_state_name(event->state),
                 rollcall_session_state_name(teller->state),
                 agrees ? "" : ", and its info differs");
    }
    teller->state = event->state;
    teller->counts[event->state]++;
    teller->create_revision = event->info.create_revision;
    rollcall__monitor_unlock(&teller->monitor);
}

struct caller {
    struct rollcall_session *session;
    const bool *over; /* atomic */
    pthread_t thread;
    uint64_t seed;
    int64_t restarts; /* atomic: counted, and read as it goes */
    int64_t strange;
};

static bool may_answer(enum rollcall_status status)
{
    static const enum rollcall_status may[] = {
        ROLLCALL_OK,        ROLLCALL_E_BUSY,     ROLLCALL_E_FULL,      ROLLCALL_E_TIMEOUT,
        ROLLCALL_E_STOPPED, ROLLCALL_E_KEY_LOST, ROLLCALL_E_LEASE_LOST};
    for (size_t i = 0; i < sizeof may / sizeof may[0]; i++) {
        if (may[i] == status) {
            return true;
        }
    }
    return false;
}

static void ignore_answer(void *user, const struct rollcall_error *error)
{
    (void)user, (void)error;
}

/* Ends are rarer than beginnings, so that there is mostly something to end. */
static enum rollcall_status call_once(struct caller *caller, uint64_t choice)
{
    struct rollcall_session_info info;
    enum rollcall_status status;
    switch (choice) {
    case 0:
        rollcall_session_stop(caller->session);
        return ROLLCALL_OK;
    case 1:
        rollcall_session_revoke(caller->session);
        return ROLLCALL_OK;
    case 2:
    case 3:
        return rollcall_session_mark_stopping(caller->session, 50, NULL);
    case 4:
    case 5:
        return rollcall_session_mark_stopping_async(caller->session, ignore_answer, NULL, NULL);
    case 6:
        rollcall_session_get_info(caller->session, &info);
        return ROLLCALL_OK;
    case 7:
    case 8:
    case 9:
        status = rollcall_session_restart(caller->session, NULL);
        __atomic_fetch_add(&caller->restarts, status == ROLLCALL_OK, __ATOMIC_RELAXED);
        return status;
    default:
        return choice % 2 == 0 ? rollcall_session_wait(caller->session, 20, NULL)
                               : rollcall_session_wait_over(caller->session, 20, NULL);
    }
}

static void *call(void *argument)
{
    struct caller *caller = argument;
    struct rollcall__random random;
    rollcall__random_init(&random, caller->seed);
    while (!__atomic_load_n(caller->over, __ATOMIC_ACQUIRE)) {
        caller->strange += !may_answer(call_once(caller, rollcall__random_below(&random, CHOICES)));
    }
    return NULL;
}

static int64_t restarts_of(struct caller *callers)
{
    int64_t restarts = 0;
    for (int i = 0; i < THREADS; i++) {
        restarts += __atomic_load_n(&callers[i].restarts, __ATOMIC_RELAXED);
    }
    return restarts;
}

/* It is about restarts and losses: on a slow machine they take their time to come. */
static bool has_seen_both(struct teller *teller, struct caller *callers)
{
    rollcall__monitor_lock(&teller->monitor);
    const bool lost = teller->counts[ROLLCALL_SESSION_LOST] > 0;
    rollcall__monitor_unlock(&teller->monitor);
    return lost && restarts_of(callers) > 0;
}

static void call_from_threads(const struct api_scene *scene, struct rollcall_session *session,
                              uint64_t seed, struct teller *teller, struct caller *callers)
{
    bool over = false;
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.session = session, .over = &over, .seed = seed + (uint64_t)i};
        CHECK_INT(rollcall__thread_start(&callers[i].thread, "caller", call, &callers[i], NULL),
                  ROLLCALL_OK);
    }
    for (int i = 0; i < DELETIONS || (i < DELETIONS_MAX && !has_seen_both(teller, callers)); i++) {
        api_etcdctl(scene, "etcdctl del $ROOT/session/querynode-1", NULL, 0);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(callers[i].thread, NULL), 0);
        CHECK_INT(callers[i].strange, 0);
    }
}

static void check_any_order(enum rollcall_on_lost on_lost)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct teller teller = {.state = ROLLCALL_SESSION_REGISTERING};
    struct caller callers[THREADS];
    struct rollcall_session *session = NULL;
    const uint64_t seed = seed_of_test(0x5e55);
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    rollcall__monitor_init(&teller.monitor);
    const enum rollcall_status status = rollcall_session_open(
        scene.etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode", .address = "a:1",
                                 .server_id = 1, .on_lost = on_lost, .on_event = note,
                                 .user = &teller),
        &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    call_from_threads(&scene, session, seed, &teller, callers);
    rollcall_session_stop(session);
    CHECK(rollcall_session_wait_over(session, API_SOON_MS, NULL) != ROLLCALL_E_TIMEOUT);
    CHECK(api_await_lease_count(&scene, 0, API_SOON_MS));
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK_STR(teller.fault, "");
    CHECK(has_seen_both(&teller, callers));
    CHECK(on_lost == ROLLCALL_ON_LOST_REREGISTER ||
          (int64_t)teller.counts[ROLLCALL_SESSION_REGISTERING] <= restarts_of(callers));
    rollcall__monitor_fini(&teller.monitor);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

TEST(any_order, of_calls_keeps_to_the_picture_and_ends_with_nothing_held)
{
    check_any_order(ROLLCALL_ON_LOST_STOP);
}

TEST(any_order, of_calls_and_losses_that_it_outlives_keeps_to_the_picture_too)
{
    check_any_order(ROLLCALL_ON_LOST_REREGISTER);
}
