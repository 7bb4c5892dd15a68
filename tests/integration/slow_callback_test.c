/* A session whose callback takes its time, through the public calls and against a real etcd. */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

enum { TTL_S = 60, LOSSES = 3, REQUESTS = 6000 };

/* Its first event waits inside its callback until it is let go. */
struct gate {
    struct api_session_log log;
    struct rollcall__monitor monitor; /* guards the rest */
    bool inside, open;
    size_t answered;
};

static void await_gate(void *user, const struct rollcall_session_event *event)
{
    struct gate *gate = user;
    rollcall__monitor_lock(&gate->monitor);
    gate->inside = true;
    rollcall__monitor_notify(&gate->monitor);
    while (!gate->open) {
        (void)rollcall__monitor_wait(&gate->monitor, INT64_MAX);
    }
    rollcall__monitor_unlock(&gate->monitor);
    api_session_note(&gate->log, event);
}

static void count_answer(void *user, const struct rollcall_error *error)
{
    struct gate *gate = user;
    (void)error;
    rollcall__monitor_lock(&gate->monitor);
    gate->answered++;
    rollcall__monitor_notify(&gate->monitor);
    rollcall__monitor_unlock(&gate->monitor);
}

static void let_go(struct gate *gate)
{
    rollcall__monitor_lock(&gate->monitor);
    gate->open = true;
    rollcall__monitor_notify(&gate->monitor);
    rollcall__monitor_unlock(&gate->monitor);
}

struct stage {
    struct api_scene scene;
    struct gate gate;
    struct rollcall_session *session;
    char key[128];
};

/* The session is registered, and its callback is inside ACTIVE. */
static void set_up(struct stage *stage)
{
    memset(stage, 0, sizeof *stage);
    api_scene_open(&stage->scene, etcd_fixture_shared());
    api_session_log_init(&stage->gate.log);
    rollcall__monitor_init(&stage->gate.monitor);
    const enum rollcall_status status = rollcall_session_start(
        stage->scene.etcd,
        ROLLCALL_SESSION_OPTIONS(.root = stage->scene.root, .role = "querynode",
                                 .address = "10.0.0.7:21123", .server_id = 1, .ttl_s = TTL_S,
                                 .on_lost = ROLLCALL_ON_LOST_REREGISTER, .on_event = await_gate,
                                 .user = &stage->gate),
        &stage->session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    snprintf(stage->key, sizeof stage->key, "%s/session/querynode-1", stage->scene.root);
    rollcall__monitor_lock(&stage->gate.monitor);
    while (!stage->gate.inside) {
        (void)rollcall__monitor_wait(&stage->gate.monitor, INT64_MAX);
    }
    rollcall__monitor_unlock(&stage->gate.monitor);
}

static void tear_down(struct stage *stage)
{
    CHECK_INT(rollcall_session_close(stage->session, API_SOON_MS), ROLLCALL_OK);
    rollcall__monitor_fini(&stage->gate.monitor);
    api_session_log_fini(&stage->gate.log);
    api_scene_close(&stage->scene);
}

/* It is registered again, as etcd says: nobody is told yet. */
static struct api_stored lose_and_await(struct stage *stage)
{
    const struct api_stored before = api_stored(&stage->scene, stage->key);
    struct api_stored now = {.there = false};
    CHECK(before.there);
    api_delete(&stage->scene, stage->key);
    CHECK(api_await_no_lease(&stage->scene, before.lease_id, API_SOON_MS));
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    while (!now.there && process_now_ms() < until_ms) {
        now = api_stored(&stage->scene, stage->key);
    }
    CHECK(now.there);
    CHECK(now.lease_id != before.lease_id);
    return now;
}

static void ask_mark(struct stage *stage)
{
    enum rollcall_status status;
    do {
        status =
            rollcall_session_mark_stopping_async(stage->session, count_answer, &stage->gate, NULL);
    } while (status == ROLLCALL_E_FULL);
    CHECK_INT(status, ROLLCALL_OK);
}

/* Once it is marked, each request is an event more, until nothing has room. */
static void fill_mailbox(struct stage *stage)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    ask_mark(stage);
    while (strstr(api_stored(&stage->scene, stage->key).value, "Stopping") == NULL) {
        CHECK(process_now_ms() < until_ms);
    }
    for (int i = 1; i < REQUESTS; i++) {
        ask_mark(stage);
    }
}

TEST(slow_callback, delays_neither_that_a_loss_is_seen_nor_that_it_registers_again)
{
    struct stage stage;
    set_up(&stage);
    const struct api_stored again = lose_and_await(&stage);
    CHECK_INT(api_session_count(&stage.gate.log, ROLLCALL_SESSION_LOST), 0);
    let_go(&stage.gate);
    CHECK(api_session_await(&stage.gate.log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    api_session_check_story(&stage.gate.log, "ACTIVE LOST REGISTERING ACTIVE");
    CHECK_INT(api_info(stage.session).lease_id, again.lease_id);
    tear_down(&stage);
}

TEST(slow_callback, a_loss_that_newer_events_overtook_is_told_before_them_and_counted)
{
    struct stage stage;
    set_up(&stage);
    fill_mailbox(&stage);
    for (int i = 0; i < LOSSES; i++) {
        (void)lose_and_await(&stage);
    }
    let_go(&stage.gate);
    CHECK(api_session_await(&stage.gate.log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    api_session_check_story(&stage.gate.log, "ACTIVE LOST ACTIVE");
    const struct api_session_note lost = api_session_at(&stage.gate.log, 1);
    CHECK_INT(lost.info.losses, LOSSES);
    CHECK_INT(lost.info.loss, ROLLCALL_LOSS_DELETED);
    CHECK_INT(lost.status, ROLLCALL_E_KEY_LOST);
    CHECK(lost.info.disconnected && !lost.info.registered);
    const struct api_session_note active = api_session_at(&stage.gate.log, 2);
    CHECK_INT(active.info.losses, LOSSES);
    CHECK(active.info.registered && active.info.lease_id != lost.info.lease_id);
    rollcall__monitor_lock(&stage.gate.monitor);
    CHECK_INT(stage.gate.answered, REQUESTS);
    rollcall__monitor_unlock(&stage.gate.monitor);
    tear_down(&stage);
}
