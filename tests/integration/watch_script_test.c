/*
 * Watches of an etcd that says what no etcd should, or says nothing: see support/scripted_etcd.h.
 * Each test has the number of its scenario, which the table in tests/README.md lists.
 */
#include "support/scripted_stage.h"

/* ---- what comes twice, late, or from elsewhere ---- */

/* C12: the new stream repeats what the old one had told, and the old one goes on after its end. */
TEST(watch_script, what_comes_twice_or_late_of_an_earlier_stream_is_told_once)
{
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    tell(&stage, 0, 2, 11, 11);
    tell(&stage, 0, 3, 12, 12);
    tell(&stage, 0, 2, 11, 11);
    tell(&stage, 0, 3, 12, 12);
    tell(&stage, 0, 2, 13, 13);
    await_told(&stage, 13);
    scripted_etcd_send(stage.etcd, 0,
                       &(const struct scripted_response){.canceled = true, .revision = 13});
    tell(&stage, 0, 4, 99, 14); /* of a stream that is over */
    const int64_t start_revision = await_watch(&stage, 1);
    CHECK(start_revision == 13 || start_revision == 14);
    tell(&stage, 0, 4, 99, 15);
    create(stage.etcd, 1, 14);
    tell(&stage, 1, 3, 12, 12);
    tell(&stage, 1, 2, 13, 13);
    tell(&stage, 1, 4, 14, 14);
    await_told(&stage, 14);
    check_told(&stage, (const int64_t[]){11, 12, 13, 14, 0});
    end(&stage);
}

/* C12: a watch shares its stream with nobody, so what is for another is a mistake of etcd's. */
TEST(watch_script, what_is_for_another_watch_is_not_told)
{
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    for (int64_t other = 5; other < 9; other++) {
        scripted_etcd_send(stage.etcd, 0,
                           &(const struct scripted_response){
                               .watch_id = other * 1000,
                               .fragment = other == 7,
                               .revision = 20,
                               .events = {{.id = 2, .number = 99, .revision = 10 + other}}});
    }
    tell(&stage, 0, 2, 11, 11);
    await_told(&stage, 11);
    tell(&stage, 0, 2, 12, 12);
    await_told(&stage, 12);
    check_told(&stage, (const int64_t[]){11, 12, 0});
    end(&stage);
}

/* ---- revisions that go back, and progress ---- */

static void tell_progress(struct stage *stage, size_t nth, int64_t watch_id, int64_t revision)
{
    scripted_etcd_send(
        stage->etcd, nth,
        &(const struct scripted_response){.watch_id = watch_id, .revision = revision});
}

/* C13 */
TEST(watch_script, an_event_of_before_is_dropped_and_a_lower_progress_changes_nothing)
{
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    tell(&stage, 0, 2, 15, 15);
    tell(&stage, 0, 3, 99, 4); /* from before the list */
    tell(&stage, 0, 2, 99, 14);
    tell_progress(&stage, 0, 0, 3);
    tell_progress(&stage, 0, -1, 3);
    tell(&stage, 0, 3, 99, 15); /* another of a revision that was told whole */
    tell(&stage, 0, 2, 16, 16);
    await_told(&stage, 16);
    scripted_etcd_end(stage.etcd, 0);
    const int64_t start_revision = await_watch(&stage, 1);
    CHECK(start_revision == 16 || start_revision == 17);
    create(stage.etcd, 1, 16);
    tell(&stage, 1, 3, 17, 17);
    await_told(&stage, 17);
    check_told(&stage, (const int64_t[]){15, 16, 17, 0});
    end(&stage);
}

/* C6: etcd before 3.4.25 tells progress ahead of events that are still to come, to a watch, or with
 * the id -1 to all of a stream, which only who asks for it is told. */
TEST(watch_script, a_progress_ahead_of_events_to_come_loses_none_of_them)
{
    for (int64_t watch_id = -1; watch_id <= 0; watch_id++) {
        struct stage stage;
        begin(&stage);
        create(stage.etcd, 0, 2500);
        tell(&stage, 0, 2, 11, 11);
        tell_progress(&stage, 0, watch_id, 2500);
        await_told(&stage, 11);
        scripted_etcd_end(stage.etcd, 0);
        CHECK(await_watch(&stage, 1) <= 12);
        create(stage.etcd, 1, 2500);
        tell(&stage, 1, 3, 12, 12);
        tell(&stage, 1, 2, 2500, 2500);
        await_told(&stage, 2500);
        check_told(&stage, (const int64_t[]){11, 12, 2500, 0});
        end(&stage);
    }
}

/* C5: what etcd brings up in pieces carries in its header the revision of now. */
TEST(watch_script, it_goes_on_after_the_last_event_and_not_after_the_header)
{
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, 2513);
    scripted_etcd_send(
        stage.etcd, 0,
        &(const struct scripted_response){.revision = 2513,
                                          .events = {{.id = 2, .number = 11, .revision = 11},
                                                     {.id = 3, .number = 1013, .revision = 1013}}});
    await_told(&stage, 1013);
    scripted_etcd_end(stage.etcd, 0);
    const int64_t start_revision = await_watch(&stage, 1);
    CHECK(start_revision == 1013 || start_revision == 1014);
    create(stage.etcd, 1, 2513);
    tell(&stage, 1, 2, 1014, 1014);
    await_told(&stage, 1014);
    check_told(&stage, (const int64_t[]){11, 1013, 1014, 0});
    end(&stage);
}

/* ---- a member that is behind, and an etcd that was restored ---- */

/* C1: the member has not applied yet what was told, and will in a moment. */
TEST(watch_script, a_member_that_lags_behind_is_not_taken_for_an_etcd_that_was_restored)
{
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    tell(&stage, 0, 2, 15, 15);
    await_told(&stage, 15);
    scripted_etcd_end(stage.etcd, 0);
    await_watch(&stage, 1);
    create(stage.etcd, 1, 12);
    tell(&stage, 1, 3, 16, 16);
    await_told(&stage, 16);
    check_told(&stage, (const int64_t[]){15, 16, 0});
    end(&stage);
}

/* It lags for good, and the cluster has what was told. */
TEST(watch_script, a_member_that_stays_behind_is_left_and_nothing_is_listed_again)
{
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    tell(&stage, 0, 2, 15, 15);
    await_told(&stage, 15);
    scripted_etcd_store(stage.etcd, stage.scene.root, 2, 15, 15);
    scripted_etcd_end(stage.etcd, 0);
    for (size_t nth = 1; nth <= 3; nth++) {
        CHECK(await_watch(&stage, nth) <= 16);
        create(stage.etcd, nth, 12);
        CHECK(scripted_etcd_await_ended(stage.etcd, nth, API_SOON_MS));
    }
    CHECK(await_watch(&stage, 4) <= 16);
    create(stage.etcd, 4, 15);
    tell(&stage, 4, 3, 16, 16);
    await_told(&stage, 16);
    check_told(&stage, (const int64_t[]){15, 16, 0});
    end(&stage);
}

/* Two members: whichever of them has begun a watch since it was asked last. */
struct pair {
    struct scripted_etcd *members[2];
    size_t begun[2];
};

static int await_either(struct pair *pair)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    struct scripted_watch watch;
    for (int i = 0; process_now_ms() < until_ms; i = 1 - i) {
        if (scripted_etcd_await_watch(pair->members[i], pair->begun[i], 5, &watch)) {
            pair->begun[i]++;
            return i;
        }
    }
    CHECK(false);
    return 0;
}

/* Of the last watch of that member. */
static void say(struct pair *pair, int member, const struct scripted_response *response)
{
    scripted_etcd_send(pair->members[member], pair->begun[member] - 1, response);
}

TEST(watch_script, a_watch_leaves_the_member_that_stays_behind_for_the_other)
{
    struct pair pair = {.members = {scripted_etcd_create(1), scripted_etcd_create(2)}};
    struct api_scene scene;
    struct api_watch_log log;
    char endpoints[128];
    snprintf(endpoints, sizeof endpoints, "%s,%s", scripted_etcd_endpoint(pair.members[0]),
             scripted_etcd_endpoint(pair.members[1]));
    api_scene_open(&scene, endpoints);
    scripted_etcd_store(pair.members[0], scene.root, 1, 15, 15);
    scripted_etcd_store(pair.members[1], scene.root, 1, 15, 15);
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&scene, "datanode", 0, &log);
    int member = await_either(&pair);
    for (int round = 0; round < 2; round++) {
        say(&pair, member, &(const struct scripted_response){.created = true, .revision = 12});
        const int next = await_either(&pair);
        CHECK(next != member);
        member = next;
    }
    say(&pair, member, &(const struct scripted_response){.created = true, .revision = 15});
    say(&pair, member,
        &(const struct scripted_response){.revision = 16,
                                          .events = {{.id = 2, .number = 16, .revision = 16}}});
    CHECK(api_watch_await_revision(&log, 16, API_SOON_MS));
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
    scripted_etcd_destroy(pair.members[0]);
    scripted_etcd_destroy(pair.members[1]);
}

/* C21: whoever is asked says so, for longer than a member can be late. */
TEST(watch_script, an_etcd_that_was_restored_is_listed_again_once_it_has_said_so_for_five_seconds)
{
    enum { RESTORED_MS = 5000 };
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    tell(&stage, 0, 2, 15, 15);
    await_told(&stage, 15);
    scripted_etcd_store(stage.etcd, stage.scene.root, 3, 12, 12); /* and it has no datanode-2 */
    scripted_etcd_end(stage.etcd, 0);
    CHECK(await_watch(&stage, 1) <= 16);
    const int64_t began_ms = process_now_ms();
    create(stage.etcd, 1, 12);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    CHECK(process_now_ms() - began_ms >= RESTORED_MS);
    const struct api_watch_note resync = api_watch_at(&stage.log, SNAPSHOT_NOTES + 1);
    CHECK_INT(resync.type, ROLLCALL_WATCH_RESYNC_BEGIN);
    CHECK_INT(resync.status, ROLLCALL_E_COMPACTED);
    api_check_contains(resync.reason, "restored");
    CHECK_INT(api_watch_told(&stage.log), 2); /* datanode-1 and -3 */
    CHECK(await_watch(&stage, 2) <= 13);
    create(stage.etcd, 2, 12);
    tell(&stage, 2, 4, 13, 13);
    CHECK(api_watch_await_told(&stage.log, 3, API_SOON_MS));
    end_after_resync(&stage);
}

/* C21: it need not be waited for. */
TEST(watch_script, another_cluster_at_the_same_address_is_listed_again_at_once)
{
    enum { AT_ONCE_MS = 4000 };
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    tell(&stage, 0, 2, 15, 15);
    await_told(&stage, 15);
    scripted_etcd_set_cluster(stage.etcd, 0xc2);
    scripted_etcd_store(stage.etcd, stage.scene.root, 3, 12, 12);
    scripted_etcd_end(stage.etcd, 0);
    CHECK(await_watch(&stage, 1) <= 16);
    const int64_t began_ms = process_now_ms();
    create(stage.etcd, 1, 12);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    CHECK(process_now_ms() - began_ms <= AT_ONCE_MS);
    CHECK_INT(api_watch_told(&stage.log), 2);
    end_after_resync(&stage);
}

/* ---- fragments ---- */

/* Sends the first `sent` of so many pieces of one revision, each with one key. */
static void send_pieces(struct stage *stage, size_t nth, int pieces, int sent, int64_t revision)
{
    for (int i = 0; i < sent; i++) {
        scripted_etcd_send(
            stage->etcd, nth,
            &(const struct scripted_response){
                .revision = revision,
                .fragment = i + 1 < pieces,
                .events = {{.id = i + 2, .number = 100 * revision + i, .revision = revision}}});
    }
}

/* C7 */
TEST(watch_script, a_revision_in_pieces_is_told_once_and_whole_wherever_its_stream_is_cut)
{
    enum { PIECES = 5 };
    struct stage stage;
    int64_t numbers[PIECES * PIECES + 1] = {0};
    size_t count = 0;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    for (size_t cut = 1; cut < PIECES; cut++) {
        const int64_t revision = LISTED + (int64_t)cut;
        send_pieces(&stage, cut - 1, PIECES, (int)cut, revision);
        scripted_etcd_end(stage.etcd, cut - 1);
        CHECK(await_watch(&stage, cut) <= revision);
        CHECK_INT(api_watch_total(&stage.log), SNAPSHOT_NOTES + count);
        create(stage.etcd, cut, revision);
        send_pieces(&stage, cut, PIECES, PIECES, revision);
        for (int i = 0; i < PIECES; i++) {
            numbers[count++] = 100 * revision + i;
        }
        CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_ADD, PIECES, API_SOON_MS));
        await_told(&stage, revision);
    }
    tell(&stage, PIECES - 1, 1, 77, LISTED + PIECES);
    await_told(&stage, LISTED + PIECES);
    numbers[count] = 77;
    check_told(&stage, numbers);
    end(&stage);
}

/* Many small responses in a row are handed over together: what stands between them, or ends them,
 * is in its place all the same, and their number is not what a watch has room for. */
TEST(watch_script, a_burst_of_single_news_is_told_whole_and_in_order_with_what_stands_between)
{
    enum { BURST = 3000, PIECES = 3, EVERY = 100, CUTS = 3 };
    struct stage stage;
    begin(&stage);
    int64_t revision = LISTED;
    size_t told = SNAPSHOT_NOTES;
    for (size_t stream = 0; stream < CUTS; stream++) {
        create(stage.etcd, stream, revision);
        for (int i = 1; i <= BURST; i++) {
            tell(&stage, stream, 1, revision + 1, revision + 1);
            revision++;
            if (i % EVERY == 0) { /* a revision in pieces, and progress, between others */
                send_pieces(&stage, stream, PIECES, PIECES, ++revision);
                scripted_etcd_send(stage.etcd, stream,
                                   &(const struct scripted_response){.revision = revision});
            }
        }
        send_pieces(&stage, stream, PIECES, PIECES - 1, revision + 1); /* cut in the middle */
        scripted_etcd_end(stage.etcd, stream);
        CHECK(await_watch(&stage, stream + 1) <= revision + 1);
    }
    await_told(&stage, revision);
    for (int64_t at = LISTED + 1; at <= revision; at++) {
        const bool in_pieces = (at - LISTED) % (EVERY + 1) == 0;
        for (int piece = 0; piece < (in_pieces ? PIECES : 1); piece++, told++) {
            const struct api_watch_note note = api_watch_at(&stage.log, told);
            CHECK_INT(numbered_read(note.value), in_pieces ? 100 * at + piece : at);
        }
    }
    CHECK_INT(api_watch_total(&stage.log), told);
    end(&stage);
}

/* A revision that is larger than what may be held at once, whenever it is asked for: it is told as
 * the difference that it made, and not asked for again. */
TEST(watch_script, a_response_of_more_than_256_megabytes_is_told_as_a_resync_and_the_watch_goes_on)
{
    enum { PIECES = 132, PIECE_BYTES = 2 << 20 };
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    scripted_etcd_store(stage.etcd, stage.scene.root, 2, 11, 11);
    scripted_etcd_send_large(stage.etcd, 0, 11, PIECES, PIECE_BYTES);
    for (size_t nth = 1; nth <= 2; nth++) { /* and when it is begun once more, too */
        CHECK_INT(await_watch(&stage, nth), 12);
        CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
        create(stage.etcd, nth, 11);
        if (nth == 1) {
            scripted_etcd_end(stage.etcd, nth);
        }
    }
    tell(&stage, 2, 3, 12, 12);
    await_told(&stage, 12);
    const struct api_watch_note resync = api_watch_at(&stage.log, SNAPSHOT_NOTES);
    CHECK_INT(resync.type, ROLLCALL_WATCH_RESYNC_BEGIN);
    CHECK_INT(resync.status, ROLLCALL_E_NO_MEMORY);
    api_check_contains(resync.reason, "at once");
    CHECK_INT(api_watch_told(&stage.log), 3);
    scripted_etcd_end(stage.etcd, 2);
    CHECK_INT(await_watch(&stage, 3), 12); /* what came just before is asked for again */
    api_watch_check(&stage.log);
    end_after_resync(&stage);
}

/* ---- what is not said ---- */

/* C14 */
TEST(watch_script, a_watch_that_is_cancelled_without_a_reason_is_asked_for_again)
{
    struct stage stage;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    tell(&stage, 0, 2, 11, 11);
    await_told(&stage, 11);
    for (size_t nth = 0; nth < 3; nth++) {
        scripted_etcd_send(stage.etcd, nth,
                           &(const struct scripted_response){
                               .created = nth == 1, .canceled = true, .revision = 11});
        CHECK(await_watch(&stage, nth + 1) <= 12);
    }
    create(stage.etcd, 3, 11);
    tell(&stage, 3, 2, 12, 12);
    await_told(&stage, 12);
    check_told(&stage, (const int64_t[]){11, 12, 0});
    end(&stage);
}

/* C14: the connection stands, and whatever else is asked is answered. */
TEST(watch_script, a_watch_that_is_never_begun_is_asked_for_again_after_two_seconds)
{
    enum { CREATED_MS = 2000, AGAIN_MS = 8000 };
    struct stage stage;
    struct scripted_watch first, second;
    begin(&stage);
    CHECK(scripted_etcd_await_watch(stage.etcd, 0, API_SOON_MS, &first));
    CHECK(scripted_etcd_await_watch(stage.etcd, 1, API_SOON_MS, &second));
    CHECK(second.at_ms - first.at_ms >= CREATED_MS - 100);
    CHECK(second.at_ms - first.at_ms <= AGAIN_MS);
    CHECK(scripted_etcd_await_ended(stage.etcd, 0, API_SOON_MS));
    create(stage.etcd, 1, LISTED);
    tell(&stage, 1, 2, 11, 11);
    await_told(&stage, 11);
    check_told(&stage, (const int64_t[]){11, 0});
    end(&stage);
}

/* C14: of two members one begins no watch, and seems well else. */
TEST(watch_script, a_watch_that_one_member_does_not_begin_is_begun_by_another)
{
    struct scripted_etcd *mute = scripted_etcd_create(1), *well = scripted_etcd_create(2);
    struct api_scene scene;
    struct api_watch_log log;
    struct scripted_watch begun;
    char endpoints[128];
    snprintf(endpoints, sizeof endpoints, "%s,%s", scripted_etcd_endpoint(mute),
             scripted_etcd_endpoint(well));
    for (int round = 0; round < 20; round++) { /* which of them is home is drawn by chance */
        const size_t asked = scripted_etcd_watches(mute), nth = scripted_etcd_watches(well);
        api_scene_open(&scene, endpoints);
        scripted_etcd_store(mute, scene.root, 1, 1, LISTED);
        scripted_etcd_store(well, scene.root, 1, 1, LISTED);
        api_watch_log_init(&log);
        struct rollcall_watch *watch = api_watch(&scene, "datanode", 0, &log);
        CHECK(scripted_etcd_await_watch(well, nth, API_SOON_MS, &begun));
        create(well, nth, LISTED);
        scripted_etcd_send(
            well, nth,
            &(const struct scripted_response){.revision = 11,
                                              .events = {{.id = 2, .number = 11, .revision = 11}}});
        CHECK(api_watch_await_revision(&log, 11, API_SOON_MS));
        api_watch_close(watch, &log);
        api_watch_check(&log);
        api_watch_log_fini(&log);
        api_scene_close(&scene);
        if (scripted_etcd_watches(mute) > asked) {
            break;
        }
    }
    CHECK(scripted_etcd_watches(mute) > 0);
    scripted_etcd_destroy(mute);
    scripted_etcd_destroy(well);
}

/* C14: nothing waits for an answer to a cancellation. */
TEST(watch_script, a_watch_is_closed_though_its_cancellation_is_not_answered)
{
    enum { CLOSED_MS = 2000 };
    struct stage stage;
    struct api_watch_log other;
    begin(&stage);
    create(stage.etcd, 0, LISTED);
    api_watch_log_init(&other);
    struct rollcall_watch *watch = api_watch(&stage.scene, "proxy", 0, &other);
    CHECK(await_watch(&stage, 1) <= LISTED + 1);
    create(stage.etcd, 1, LISTED);
    const int64_t began_ms = process_now_ms();
    api_watch_close(watch, &other);
    CHECK(process_now_ms() - began_ms <= CLOSED_MS);
    tell(&stage, 0, 2, 11, 11);
    await_told(&stage, 11);
    check_told(&stage, (const int64_t[]){11, 0});
    api_watch_log_fini(&other);
    end(&stage);
}
