/* tests/support/standing.c - see standing.h. */
#include "support/standing.h"

#include "base/clock.h"
#include "support/test.h"

enum { NS_PER_MS = 1000000 };

static enum rollcall_status activate(void *user, int64_t token)
{
    struct standing *standing = user;
    rollcall__monitor_lock(&standing->monitor);
    standing->activated = token;
    standing->activated_ms = process_now_ms();
    standing->activations++;
    const enum rollcall_status status = standing->activation;
    standing->activation = ROLLCALL_OK;
    rollcall__monitor_notify(&standing->monitor);
    rollcall__monitor_unlock(&standing->monitor);
    return status;
}

static void on_role(void *user, const struct rollcall_role_event *event)
{
    struct standing *standing = user;
    rollcall__monitor_lock(&standing->monitor);
    struct standing_note *note = &standing->notes[standing->count++ % STANDING_NOTES_MAX];
    *note = (struct standing_note){.role = event->role,
                                   .token = event->token,
                                   .at_ms = process_now_ms(),
                                   .status = event->status};
    snprintf(note->reason, sizeof note->reason, "%s", event->reason);
    rollcall__monitor_notify(&standing->monitor);
    rollcall__monitor_unlock(&standing->monitor);
}

void standing_open(struct standing *standing, const struct api_scene *scene, const char *role,
                   int64_t server_id, int64_t ttl_s)
{
    struct rollcall_error error = {0};
    *standing = (struct standing){.session = NULL};
    rollcall__monitor_init(&standing->monitor);
    const struct rollcall_election_options election =
        *ROLLCALL_ELECTION_OPTIONS(.activate = activate, .on_role = on_role, .user = standing);
    const enum rollcall_status status = rollcall_session_open(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = role, .address = "10.0.0.7:53100",
                                 .server_id = server_id, .ttl_s = ttl_s,
                                 .on_lost = ROLLCALL_ON_LOST_REREGISTER, .election = &election),
        &standing->session, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    CHECK(standing_await(standing, ROLLCALL_ROLE_STANDBY, 0));
}

void standing_close(struct standing *standing)
{
    CHECK_INT(rollcall_session_close(standing->session, API_SOON_MS), ROLLCALL_OK);
    standing->session = NULL;
}

void standing_fini(struct standing *standing)
{
    standing_close(standing);
    rollcall__monitor_fini(&standing->monitor);
}

int64_t standing_token(const struct standing *standing)
{
    return standing->session == NULL ? 0 : rollcall_election_token(standing->session);
}

/* Called locked. */
static size_t told(const struct standing *standing, enum rollcall_role role)
{
    size_t count = 0;
    for (size_t i = 0; i < standing->count; i++) {
        count += standing->notes[i % STANDING_NOTES_MAX].role == role;
    }
    return count;
}

size_t standing_told(struct standing *standing, enum rollcall_role role)
{
    rollcall__monitor_lock(&standing->monitor);
    const size_t count = told(standing, role);
    rollcall__monitor_unlock(&standing->monitor);
    return count;
}

bool standing_await(struct standing *standing, enum rollcall_role role, size_t times)
{
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + (int64_t)API_SOON_MS * NS_PER_MS;
    bool timely = true;
    rollcall__monitor_lock(&standing->monitor);
    while (timely && told(standing, role) <= times) {
        timely = rollcall__monitor_wait(&standing->monitor, deadline_ns);
    }
    const bool enough = told(standing, role) > times;
    rollcall__monitor_unlock(&standing->monitor);
    return enough;
}

struct standing_note standing_last(struct standing *standing)
{
    rollcall__monitor_lock(&standing->monitor);
    CHECK(standing->count != 0);
    const struct standing_note note = standing->notes[(standing->count - 1) % STANDING_NOTES_MAX];
    rollcall__monitor_unlock(&standing->monitor);
    return note;
}

struct standing *standing_await_any(struct standing *standings, size_t count, int64_t above)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    do {
        for (size_t i = 0; i < count; i++) {
            if (standing_token(&standings[i]) > above) {
                return &standings[i];
            }
        }
        process_sleep_ms(1);
    } while (process_now_ms() < until_ms);
    return NULL;
}
