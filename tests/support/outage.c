/* tests/support/outage.c - see outage.h. */
#include "support/outage.h"

#include "support/test.h"

#include <stdlib.h>

enum { NOTES = 1 << 22, WAIT_MS = 60000 }; /* memory that is not used costs nothing */

bool outage_full(void)
{
    const char *full = getenv("ROLLCALL_OUTAGE_FULL");
    return full != NULL && *full != '\0';
}

int64_t outage_choose(int64_t shortened, int64_t full)
{
    return outage_full() ? full : shortened;
}

void outage_say(const char *what, int64_t value_ms)
{
    fprintf(stderr, "outage: %s: %" PRId64 "\n", what, value_ms);
}

/* ---- life ---- */

static void open_any(struct outage *outage)
{
    *outage = (struct outage){.proxies = 0};
    outage->lag = lag_create();
    outage->renewals = renewals_create(NOTES);
    outage->sessions = calloc(OUTAGE_SESSIONS_MAX, sizeof *outage->sessions);
    CHECK(outage->sessions != NULL);
}

int outage_add_proxy(struct outage *outage, const char *endpoint)
{
    const int index = outage->proxies++;
    CHECK(index < OUTAGE_PROXIES_MAX);
    outage->proxy[index] =
        proxy_create(endpoint, renewals_tap, renewals_user(outage->renewals, index));
    CHECK(outage->proxy[index] != NULL);
    return index;
}

void outage_connect(struct outage *outage, const int *proxies)
{
    const int index = outage->scenes++;
    CHECK(index < OUTAGE_SCENES_MAX);
    char *text = outage->endpoints[index];
    size_t used = 0;
    for (; *proxies >= 0; proxies++) {
        used += (size_t)snprintf(text + used, sizeof outage->endpoints[index] - used, "%s%s",
                                 used == 0 ? "" : ",", proxy_endpoint(outage->proxy[*proxies]));
    }
    api_scene_open(&outage->scene[index], text);
    memcpy(outage->scene[index].root, outage->scene[0].root, sizeof outage->scene[0].root);
}

void outage_open_node(struct outage *outage, const char *const *more_arguments)
{
    open_any(outage);
    outage->etcd = etcd_fixture_create(more_arguments);
    CHECK(outage->etcd != NULL);
    outage_add_proxy(outage, etcd_fixture_endpoint(outage->etcd));
    outage_connect(outage, (const int[]){0, -1});
}

void outage_open_cluster(struct outage *outage, int scenes)
{
    outage_open_cluster_with(outage, scenes, NULL);
}

void outage_open_cluster_with(struct outage *outage, int scenes, const char *argument)
{
    enum { MEMBERS = ETCD_CLUSTER_MEMBERS };
    open_any(outage);
    outage->cluster = etcd_cluster_create_with(argument);
    CHECK(outage->cluster != NULL);
    CHECK(etcd_cluster_await_whole(outage->cluster, API_SOON_MS));
    for (int i = 0; i < MEMBERS; i++) {
        outage_add_proxy(outage, etcd_cluster_endpoint(outage->cluster, i));
    }
    for (int i = 0; i < scenes; i++) {
        outage_connect(outage,
                       (const int[]){i % MEMBERS, (i + 1) % MEMBERS, (i + 2) % MEMBERS, -1});
    }
}

void outage_close(struct outage *outage)
{
    for (int i = 0; i < outage->proxies; i++) {
        proxy_set(outage->proxy[i], PROXY_FORWARD);
    }
    for (int i = 0; i < outage->count; i++) {
        if (outage->sessions[i].session != NULL) {
            rollcall_session_stop(outage->sessions[i].session);
        }
    }
    for (int i = 0; i < outage->count; i++) {
        outage_leave(&outage->sessions[i]);
        api_session_log_fini(&outage->sessions[i].log);
    }
    for (int i = 0; i < outage->scenes; i++) {
        api_scene_close(&outage->scene[i]);
    }
    for (int i = 0; i < outage->proxies; i++) {
        proxy_destroy(outage->proxy[i]);
    }
    etcd_fixture_destroy(outage->etcd);
    etcd_cluster_destroy(outage->cluster);
    renewals_destroy(outage->renewals);
    lag_destroy(outage->lag);
    free(outage->sessions);
}

/* ---- sessions ---- */

struct outage_session *outage_join_one(struct outage *outage, int scene, int64_t ttl_s)
{
    CHECK(outage->count < OUTAGE_SESSIONS_MAX);
    struct outage_session *member = &outage->sessions[outage->count++];
    api_session_log_init(&member->log);
    member->session =
        api_open(&outage->scene[scene], "querynode", outage->count, ttl_s, &member->log);
    member->info = api_info(member->session);
    return member;
}

void outage_join(struct outage *outage, int sessions, int64_t ttl_s)
{
    for (int i = 0; i < sessions; i++) {
        outage_join_one(outage, i % outage->scenes, ttl_s);
    }
}

void outage_join_spread(struct outage *outage, int sessions, int64_t ttl_s)
{
    for (int i = 0; i < sessions; i++) {
        const int64_t next_ms = process_now_ms() + ttl_s * 1000 / 3 / sessions;
        outage_join_one(outage, i % outage->scenes, ttl_s);
        outage_sleep_until(next_ms);
    }
}

void outage_leave(struct outage_session *member)
{
    if (member->session != NULL) {
        rollcall_session_close(member->session, API_SOON_MS);
        member->session = NULL;
    }
}

struct api_scene outage_beside(const struct outage *outage, int member)
{
    struct api_scene other = outage->scene[0];
    other.endpoint = outage->cluster == NULL ? etcd_fixture_endpoint(outage->etcd)
                                             : etcd_cluster_endpoint(outage->cluster, member);
    return other;
}

static size_t count_told(struct outage *outage, enum rollcall_session_state state)
{
    size_t count = 0;
    for (int i = 0; i < outage->count; i++) {
        count += api_session_count(&outage->sessions[i].log, state);
    }
    return count;
}

size_t outage_lost(struct outage *outage)
{
    return count_told(outage, ROLLCALL_SESSION_LOST);
}

size_t outage_suspected(struct outage *outage)
{
    return count_told(outage, ROLLCALL_SESSION_SUSPECT);
}

static bool say_lost(struct api_session_log *log)
{
    bool found = false;
    rollcall__monitor_lock(&log->monitor);
    for (size_t i = 0; i < log->count && !found; i++) {
        found = log->notes[i].state == ROLLCALL_SESSION_LOST;
        if (found) {
            fprintf(stderr, "outage: LOST at %" PRId64 ": %s\n", log->notes[i].at_ms,
                    log->notes[i].reason);
        }
    }
    rollcall__monitor_unlock(&log->monitor);
    return found;
}

void outage_say_lost(struct outage *outage)
{
    for (int i = 0; i < outage->count && !say_lost(&outage->sessions[i].log); i++) {
    }
}

static int64_t longest_suspect_ms(struct api_session_log *log)
{
    int64_t longest_ms = 0;
    rollcall__monitor_lock(&log->monitor);
    for (size_t i = 0; i < log->count; i++) {
        if (log->notes[i].state == ROLLCALL_SESSION_SUSPECT) {
            const int64_t end_ms = i + 1 < log->count ? log->notes[i + 1].at_ms : process_now_ms();
            const int64_t lasted_ms = end_ms - log->notes[i].at_ms;
            longest_ms = lasted_ms > longest_ms ? lasted_ms : longest_ms;
        }
    }
    rollcall__monitor_unlock(&log->monitor);
    return longest_ms;
}

int64_t outage_longest_suspect_ms(struct outage *outage)
{
    int64_t longest_ms = 0;
    for (int i = 0; i < outage->count; i++) {
        const int64_t its_ms = longest_suspect_ms(&outage->sessions[i].log);
        longest_ms = its_ms > longest_ms ? its_ms : longest_ms;
    }
    return longest_ms;
}

bool outage_await_renewed(struct outage *outage, int64_t from_ms, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    for (int i = 0; i < outage->count; i++) {
        if (!renewals_await(outage->renewals, RENEWALS_ANSWERED, RENEWALS_ANY,
                            outage->sessions[i].info.lease_id, from_ms,
                            until_ms - process_now_ms())) {
            return false;
        }
    }
    return true;
}

int64_t outage_await_next(struct outage *outage, int64_t lease_id)
{
    CHECK(renewals_await(outage->renewals, RENEWALS_SENT, RENEWALS_ANY, lease_id, process_now_ms(),
                         API_SOON_MS));
    const int64_t sent_ms =
        renewals_last_ms(outage->renewals, RENEWALS_SENT, RENEWALS_ANY, lease_id);
    CHECK(renewals_await(outage->renewals, RENEWALS_ANSWERED, RENEWALS_ANY, lease_id, sent_ms,
                         API_SOON_MS));
    return sent_ms;
}

void outage_check_kept(struct outage *outage, int member)
{
    const struct api_scene beside = outage_beside(outage, member);
    for (int i = 0; i < outage->count; i++) {
        struct outage_session *each = &outage->sessions[i];
        CHECK_INT(rollcall_session_wait(each->session, API_SOON_MS, NULL), ROLLCALL_OK);
        const struct api_stored stored = api_stored(&beside, each->info.key);
        CHECK(stored.there);
        CHECK_INT(api_info(each->session).lease_id, each->info.lease_id);
        CHECK_INT(stored.lease_id, each->info.lease_id);
        CHECK_INT(stored.create_revision, each->info.create_revision);
    }
}

/* ---- times ---- */

void outage_sleep_until(int64_t at_ms)
{
    const int64_t left_ms = at_ms - process_now_ms();
    process_sleep_ms(left_ms > 0 ? left_ms : 0);
}

int64_t outage_took_ms(const struct outage *outage, int64_t from_ms, int64_t to_ms)
{
    const int64_t took_ms = to_ms - from_ms - lag_ms(outage->lag, from_ms, to_ms);
    return took_ms > 0 ? took_ms : 0;
}

static void say_took(const struct outage *outage, const char *what, int64_t from_ms, int64_t to_ms)
{
    fprintf(stderr, "outage: %s: %" PRId64 ", of which the machine lost %" PRId64 "\n", what,
            to_ms - from_ms, lag_ms(outage->lag, from_ms, to_ms));
}

void outage_check_took(const struct outage *outage, const char *what, int64_t from_ms,
                       int64_t bound_ms)
{
    const int64_t to_ms = process_now_ms();
    say_took(outage, what, from_ms, to_ms);
    CHECK(outage_took_ms(outage, from_ms, to_ms) <= bound_ms);
}

/* Returns its worst gap.  What the machine lost before the next renewal was due delayed nothing.  A
 * pause that is noticeable may cost one more than itself: the renewal is then tried again, a
 * twelfth of a TTL later. */
static struct renewals_gap check_gap_of(struct outage *outage, struct outage_session *member,
                                        int64_t from_ms, int64_t bound_ms)
{
    enum { MARGIN_MS = 200 }; /* keepalive's own, and some for what follows it */
    enum { NOTICEABLE_MS = 100 };
    const int64_t ttl_ms = member->info.ttl_s * 1000;
    const struct renewals_gap gap =
        renewals_worst_gap(outage->renewals, member->info.lease_id, from_ms, process_now_ms());
    const int64_t gap_ms = gap.to_ms - gap.from_ms;
    const int64_t lost_ms = lag_ms(outage->lag, gap.from_ms + ttl_ms / 4, gap.to_ms);
    const int64_t again_ms = lost_ms > NOTICEABLE_MS ? ttl_ms / 12 : 0;
    if (gap_ms - lost_ms - again_ms > bound_ms) {
        fprintf(stderr,
                "outage: too long a gap: %" PRId64 ", of which the machine lost %" PRId64 "\n",
                gap_ms, lost_ms);
        CHECK(false);
    }
    CHECK_INT(api_session_count(&member->log, ROLLCALL_SESSION_LOST), 0);
    if (gap_ms + lost_ms < ttl_ms - MARGIN_MS) {
        CHECK_INT(api_session_count(&member->log, ROLLCALL_SESSION_SUSPECT), 0);
    }
    return gap;
}

void outage_check_gap(struct outage *outage, struct outage_session *member, const char *what,
                      int64_t from_ms, int64_t bound_ms)
{
    struct renewals_gap worst = {0, 0};
    outage_say_lost(outage);
    for (int i = 0; i < outage->count; i++) {
        if (member == NULL || member == &outage->sessions[i]) {
            const struct renewals_gap its =
                check_gap_of(outage, &outage->sessions[i], from_ms, bound_ms);
            worst = its.to_ms - its.from_ms > worst.to_ms - worst.from_ms ? its : worst;
        }
    }
    say_took(outage, what, worst.from_ms, worst.to_ms);
}

void outage_check_suspect_in_time(struct outage *outage, struct outage_session *member)
{
    enum { EARLY_MS = 100 }; /* keepalive's margin: what was lost before that delayed nothing */
    const int64_t end_ms =
        renewals_last_ms(outage->renewals, RENEWALS_ANSWERED, RENEWALS_ANY, member->info.lease_id) +
        member->info.ttl_s * 1000;
    CHECK_INT(api_session_at(&member->log, 1).state, ROLLCALL_SESSION_SUSPECT);
    CHECK(outage_took_ms(outage, end_ms - EARLY_MS, api_session_at(&member->log, 1).at_ms) <=
          EARLY_MS);
}

int64_t outage_await_election(struct outage *outage, int old_leader, int64_t from_ms)
{
    CHECK(etcd_cluster_await_leader(outage->cluster, old_leader, API_SOON_MS));
    const int64_t took_ms = process_now_ms() - from_ms;
    outage_say("election", took_ms);
    return took_ms > OUTAGE_ELECTION_MS ? took_ms : OUTAGE_ELECTION_MS;
}

/* ---- members ---- */

int outage_leader(const struct outage *outage)
{
    const int leader = etcd_cluster_leader(outage->cluster, 0);
    CHECK(leader >= 0);
    return leader;
}

int outage_carrier(struct outage *outage, const struct outage_session *member)
{
    int carrier = 0;
    int64_t last_ms = 0;
    CHECK(renewals_await(outage->renewals, RENEWALS_ANSWERED, RENEWALS_ANY, member->info.lease_id,
                         process_now_ms(), WAIT_MS));
    for (int i = 0; i < outage->proxies; i++) {
        const int64_t its_ms =
            renewals_last_ms(outage->renewals, RENEWALS_ANSWERED, i, member->info.lease_id);
        carrier = its_ms > last_ms ? i : carrier;
        last_ms = its_ms > last_ms ? its_ms : last_ms;
    }
    return carrier;
}

int outage_watch_carrier(struct outage *outage)
{
    enum { PAUSE_MS = 20, MANY_BYTES = 4096 }; /* what is asked of a member else is less */
    const int64_t until_ms = process_now_ms() + WAIT_MS;
    uint64_t before[OUTAGE_PROXIES_MAX];
    int carrier = -1;
    for (int i = 0; i < outage->proxies; i++) {
        before[i] = proxy_bytes_from(outage->proxy[i], PROXY_SERVER);
    }
    while (carrier < 0 && process_now_ms() < until_ms) {
        process_sleep_ms(PAUSE_MS);
        for (int i = 0; i < outage->proxies; i++) {
            const uint64_t now = proxy_bytes_from(outage->proxy[i], PROXY_SERVER);
            carrier = now - before[i] >= MANY_BYTES ? i : carrier;
        }
    }
    CHECK(carrier >= 0);
    return carrier;
}

/* ---- many ---- */

static void count_event(void *user, const struct rollcall_session_event *event)
{
    struct outage_crowd *crowd = user;
    rollcall__monitor_lock(&crowd->monitor);
    crowd->active += event->state == ROLLCALL_SESSION_ACTIVE;
    crowd->suspect += event->state == ROLLCALL_SESSION_SUSPECT;
    crowd->lost += event->state == ROLLCALL_SESSION_LOST;
    rollcall__monitor_unlock(&crowd->monitor);
}

void outage_crowd_open(struct outage_crowd *crowd, const struct api_scene *scene, size_t count,
                       int64_t ttl_s, int64_t spread_ms)
{
    const int64_t began_ms = process_now_ms();
    *crowd = (struct outage_crowd){.count = count};
    rollcall__monitor_init(&crowd->monitor);
    crowd->sessions = calloc(count, sizeof(struct rollcall_session *));
    CHECK(crowd->sessions != NULL);
    for (size_t i = 0; i < count; i++) {
        outage_sleep_until(began_ms + (int64_t)i * spread_ms / (int64_t)count);
        const enum rollcall_status status = rollcall_session_start(
            scene->etcd,
            ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "proxy",
                                     .address = "10.0.0.9:19530", .server_id = (int64_t)i + 1,
                                     .ttl_s = ttl_s, .connect_timeout_ms = WAIT_MS,
                                     .on_event = count_event, .user = crowd),
            &crowd->sessions[i], NULL);
        CHECK_INT(status, ROLLCALL_OK);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(rollcall_session_wait(crowd->sessions[i], WAIT_MS, NULL), ROLLCALL_OK);
    }
}

size_t outage_crowd_lost(struct outage_crowd *crowd)
{
    rollcall__monitor_lock(&crowd->monitor);
    const size_t lost = crowd->lost;
    rollcall__monitor_unlock(&crowd->monitor);
    return lost;
}

size_t outage_crowd_suspect(struct outage_crowd *crowd)
{
    rollcall__monitor_lock(&crowd->monitor);
    const size_t suspect = crowd->suspect;
    rollcall__monitor_unlock(&crowd->monitor);
    return suspect;
}

void outage_crowd_close(struct outage_crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        CHECK_INT(rollcall_session_close(crowd->sessions[i], 0), ROLLCALL_OK);
    }
    rollcall__monitor_fini(&crowd->monitor);
    free(crowd->sessions);
}
