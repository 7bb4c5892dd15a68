/*
 * What etcd holds and never tells is found by audits, from the public calls down to gRPC: see
 * support/scripted_etcd.h, and for what an audit does at any moment unit/actors/auditor_test.c.
 */
#include "support/scripted_stage.h"

enum { AUDIT_MS = 1000, AUDITS = 2 };

/* So many audits later. */
static void await_audits(struct stage *stage, size_t audits)
{
    CHECK(scripted_etcd_await_reads(stage->etcd, scripted_etcd_reads(stage->etcd) + audits,
                                    API_SOON_MS));
}

static void check_repair(struct stage *stage, size_t at)
{
    struct rollcall_view *view;
    CHECK_INT(rollcall_watch_view(stage->watch, 0, &view, NULL), ROLLCALL_OK); /* all is counted */
    rollcall_view_free(view);
    const struct api_watch_note resync = api_watch_at(&stage->log, at);
    CHECK_INT(resync.type, ROLLCALL_WATCH_RESYNC_BEGIN);
    CHECK_INT(resync.status, ROLLCALL_E_CORRUPT);
    api_check_contains(resync.reason, "audit");
    CHECK_INT(api_watch_count(&stage->log, ROLLCALL_WATCH_RESYNC_BEGIN), 1);
    CHECK_INT(rollcall_watch_stats(stage->watch).repairs, 1);
    CHECK_INT(rollcall_watch_stats(stage->watch).lags, 0);
}

TEST(watch_audit, a_change_that_etcd_lost_is_found_by_the_audit_and_told_once_as_a_resync)
{
    struct stage stage;
    begin_with(&stage, AUDIT_MS);
    create(stage.etcd, 0, LISTED);
    scripted_etcd_store(stage.etcd, stage.scene.root, 2, 11, 11); /* which is lost */
    scripted_etcd_store(stage.etcd, stage.scene.root, 3, 12, 12);
    tell(&stage, 0, 3, 12, 12);
    CHECK(await_watch(&stage, 1) <= 13);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    create(stage.etcd, 1, 12);
    check_repair(&stage, SNAPSHOT_NOTES + 1);
    CHECK_INT(api_watch_told(&stage.log), 3);
    await_audits(&stage, AUDITS);
    check_repair(&stage, SNAPSHOT_NOTES + 1);
    CHECK_INT(scripted_etcd_watches(stage.etcd), 2);
    api_watch_check(&stage.log);
    end_after_resync(&stage);
}

/* The member answers all, pings too, and its watch is dead. */
TEST(watch_audit, a_watch_that_tells_nothing_is_begun_again_and_what_it_missed_is_no_resync)
{
    struct stage stage;
    begin_with(&stage, AUDIT_MS);
    create(stage.etcd, 0, LISTED);
    await_audits(&stage, AUDITS);
    CHECK_INT(scripted_etcd_watches(stage.etcd), 1);
    scripted_etcd_store(stage.etcd, stage.scene.root, 2, 11, 11);
    CHECK(await_watch(&stage, 1) <= 11);
    CHECK(scripted_etcd_await_ended(stage.etcd, 0, API_SOON_MS));
    create(stage.etcd, 1, 11);
    tell(&stage, 1, 2, 11, 11);
    await_told(&stage, 11);
    await_audits(&stage, AUDITS);
    check_told(&stage, (const int64_t[]){11, 0});
    CHECK_INT(scripted_etcd_watches(stage.etcd), 2);
    CHECK_INT(rollcall_watch_stats(stage.watch).repairs, 0);
    end(&stage);
}

TEST(watch_audit, what_no_watch_tells_is_told_as_a_resync_after_two_more_were_tried)
{
    enum { TRIED = 3 };
    struct stage stage;
    begin_with(&stage, AUDIT_MS);
    scripted_etcd_store(stage.etcd, stage.scene.root, 2, 11, 11);
    for (size_t nth = 0; nth < TRIED; nth++) {
        CHECK(await_watch(&stage, nth) <= 11);
        CHECK_INT(api_watch_total(&stage.log), SNAPSHOT_NOTES);
        create(stage.etcd, nth, 11);
    }
    CHECK(await_watch(&stage, TRIED) <= 12);
    create(stage.etcd, TRIED, 11);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    check_repair(&stage, SNAPSHOT_NOTES);
    CHECK_INT(api_watch_told(&stage.log), 2);
    api_watch_check(&stage.log);
    end_after_resync(&stage);
}

TEST(watch_audit, a_change_that_an_audit_sees_before_it_is_told_is_no_cause_for_anything)
{
    struct stage stage;
    int64_t numbers[AUDITS + 1] = {0};
    begin_with(&stage, AUDIT_MS);
    create(stage.etcd, 0, LISTED);
    for (int i = 0; i < AUDITS; i++) {
        const int64_t revision = LISTED + 1 + i;
        scripted_etcd_store(stage.etcd, stage.scene.root, 2, revision, revision);
        await_audits(&stage, 1);
        tell(&stage, 0, 2, revision, revision);
        await_told(&stage, revision);
        numbers[i] = revision;
        await_audits(&stage, 1); /* it looks once more: this etcd keeps no history for it */
    }
    await_audits(&stage, AUDITS);
    check_told(&stage, numbers);
    CHECK_INT(scripted_etcd_watches(stage.etcd), 1);
    end(&stage);
}

TEST(watch_audit, an_audit_whose_revision_is_compacted_meanwhile_waits_for_the_next)
{
    struct stage stage;
    begin_with(&stage, AUDIT_MS);
    create(stage.etcd, 0, LISTED);
    scripted_etcd_compact(stage.etcd, true);
    scripted_etcd_store(stage.etcd, stage.scene.root, 2, 11, 11); /* which is lost */
    scripted_etcd_store(stage.etcd, stage.scene.root, 3, 12, 12);
    tell(&stage, 0, 3, 12, 12);
    await_audits(&stage, 2 * AUDITS); /* each reads twice */
    CHECK_INT(api_watch_total(&stage.log), SNAPSHOT_NOTES + 1);
    CHECK_INT(scripted_etcd_watches(stage.etcd), 1);
    scripted_etcd_compact(stage.etcd, false);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    check_repair(&stage, SNAPSHOT_NOTES + 1);
    api_watch_check(&stage.log);
    end_after_resync(&stage);
}

TEST(watch_audit, audits_more_often_than_every_second_are_refused_and_none_can_be_asked_for)
{
    struct stage stage;
    struct rollcall_watch *watch;
    struct rollcall_error error;
    static const int64_t refused[] = {1, AUDIT_MS - 1, -2};
    begin_with(&stage, ROLLCALL_WATCH_NO_AUDIT);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CHECK_INT(rollcall_watch_open(
                      stage.scene.etcd,
                      ROLLCALL_WATCH_OPTIONS(.root = stage.scene.root, .audit_ms = refused[i],
                                             .on_event = api_watch_note, .user = &stage.log),
                      &watch, &error),
                  ROLLCALL_E_INVALID);
        api_check_contains(error.text, "audit_ms");
    }
    create(stage.etcd, 0, LISTED);
    const size_t reads = scripted_etcd_reads(stage.etcd);
    CHECK(!scripted_etcd_await_reads(stage.etcd, reads + 1, 2 * AUDIT_MS));
    end(&stage);
}
