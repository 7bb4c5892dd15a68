/*
 * Etcd is killed and restarted again and again under sessions and watches, and writers that put
 * numbered records all the time: no session is lost, and each watch tells exactly what happened.
 *
 * What happened is asked of etcd itself: its history, before it is compacted.  Each change that a
 * watch tells has to be the next of that history: none is left out, told twice, or out of order.
 * Now and then half of the watches are cut off until what they have missed is compacted: then,
 * between the marks of a resync, they tell the difference, which has to lead to the true state.
 */
#include "support/gateway.h"
#include "support/numbered.h"
#include "support/outage.h"
#include "support/recorder.h"
#include "support/seed.h"
#include "support/test.h"

#include <stdlib.h>

enum { SESSIONS = 100, TTL_S = 10, WATCHES = 20, NUMBERED = 20, CUT_OFF_EVERY = 5 };
enum { PACE_MS = 10, UP_MIN_MS = 100, UP_MS = 900, DOWN_MS = 300 };
/* Keys: the sessions', the writer's, and the recorder's own. */
enum { KEYS = SESSIONS + NUMBERED + 2 };

struct soak {
    struct outage outage;
    struct outage_crowd crowd;
    struct numbered_writer writer;
    struct recorder recorder;
    struct recorder_watch told[WATCHES];
    uint64_t seed;
};

/* ---- what happened ---- */

/* The history itself: each number of each key once and in order, and every session put once. */
static void check_history(const struct recorder_changes *history)
{
    int64_t number[KEYS] = {0};
    for (size_t i = 0; i < history->count; i++) {
        const struct recorder_change *change = &history->list[i];
        CHECK(change->key > SESSIONS || change->type == ROLLCALL_WATCH_ADD);
        if (change->key > SESSIONS && change->type != ROLLCALL_WATCH_DELETE) {
            CHECK_INT(change->number, ++number[change->key]);
        }
    }
}

/* ---- the run ---- */

static void open_soak(struct soak *soak)
{
    const char *endpoint;
    outage_open_node(&soak->outage, NULL); /* the first connection: through the proxy */
    endpoint = etcd_fixture_endpoint(soak->outage.etcd);
    api_scene_open(&soak->outage.scene[1], endpoint);
    soak->outage.scenes = 2; /* the second: straight to etcd */
    memcpy(soak->outage.scene[1].root, soak->outage.scene[0].root, API_ROOT_BYTES);
    outage_crowd_open(&soak->crowd, &soak->outage.scene[0], SESSIONS, TTL_S, 0);
    soak->writer = (struct numbered_writer){.endpoints = {endpoint},
                                            .root = soak->outage.scene[0].root,
                                            .keys = NUMBERED,
                                            .pace_ms = PACE_MS};
    numbered_writer_start(&soak->writer);
    recorder_init(&soak->recorder, endpoint, soak->writer.root, KEYS, SESSIONS);
    for (int i = 0; i < WATCHES; i++) {
        recorder_watch_open(&soak->told[i], &soak->recorder, &soak->outage.scene[i % 2], 0);
    }
}

static int64_t draw_ms(struct soak *soak, int64_t below_ms)
{
    soak->seed = soak->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((soak->seed >> 33) % (uint64_t)below_ms);
}

static void await_all_told(struct soak *soak, int64_t revision)
{
    for (int i = 0; i < WATCHES; i++) {
        CHECK(recorder_await(&soak->told[i], revision, API_SOON_MS));
    }
}

/* Kills etcd in the middle of everything, and starts it again.  cut_off: the proxied connection
 * stays away until what it has missed is compacted. */
static void play_cycle(struct soak *soak, bool cut_off)
{
    struct outage *outage = &soak->outage;
    process_sleep_ms(UP_MIN_MS + draw_ms(soak, UP_MS)); /* so much happens in between */
    if (cut_off) {
        proxy_set(outage->proxy[0], PROXY_REFUSE);
    }
    etcd_fixture_kill(outage->etcd);
    process_sleep_ms(draw_ms(soak, DOWN_MS)); /* the fault itself */
    CHECK(etcd_fixture_restart(outage->etcd));
    if (cut_off) {
        const int64_t revision = recorder_mark(&soak->recorder);
        for (int i = 1; i < WATCHES; i += 2) { /* the others, lest they be compacted too */
            CHECK(recorder_await(&soak->told[i], revision, API_SOON_MS));
        }
        CHECK(gateway_compact(soak->recorder.endpoint, revision));
        proxy_set(outage->proxy[0], PROXY_FORWARD);
        await_all_told(soak, revision);
    }
}

static void check_told(struct soak *soak)
{
    struct recorder_verdict verdict = {.changes = 0};
    check_history(&soak->recorder.history);
    for (int i = 0; i < WATCHES; i++) {
        recorder_watch_close(&soak->told[i]);
        recorder_judge(&soak->told[i], i, &verdict);
    }
    fprintf(stderr, "soak: changes %zu, told by %d watches %zu, resyncs %zu\n",
            soak->recorder.history.count, WATCHES, verdict.changes, verdict.resyncs);
    CHECK_STR(verdict.fault, "");
    CHECK(verdict.resyncs >= WATCHES / 2);
    for (int i = 0; i < WATCHES; i++) {
        recorder_watch_fini(&soak->told[i]);
    }
    recorder_fini(&soak->recorder);
}

TEST(soak, etcd_killed_again_and_again_loses_no_session_and_no_event_is_lost_repeated_or_late)
{
    static struct soak soak;
    const int64_t cycles = outage_choose(CUT_OFF_EVERY, 200);
    soak.seed = seed_of_test(1);
    open_soak(&soak);
    const int64_t began_ms = process_now_ms();
    for (int64_t i = 1; i <= cycles; i++) {
        play_cycle(&soak, i % CUT_OFF_EVERY == 0);
    }
    numbered_writer_stop(&soak.writer);
    await_all_told(&soak, recorder_mark(&soak.recorder));
    fprintf(stderr,
            "soak: cycles %" PRId64 " in %" PRId64 " ms, writes %" PRId64 ", doubted %" PRId64
            ", SUSPECT %zu, LOST %zu\n",
            cycles, process_now_ms() - began_ms, soak.writer.writes, soak.writer.doubted,
            outage_crowd_suspect(&soak.crowd), outage_crowd_lost(&soak.crowd));
    check_told(&soak);
    CHECK_INT(outage_crowd_lost(&soak.crowd), 0);
    outage_crowd_close(&soak.crowd);
    outage_close(&soak.outage);
}
