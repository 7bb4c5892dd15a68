/* Between processes and the simulated etcd: whatever breaks, what was asked is answered once, and
 * what is told in order stays in order. */
#include "net_world.h"

/* ---- calls and renewals ---- */

enum { CALLS = 30, LEASES = 10 };

/* Asks while one fault happens again and again; each that was sent is answered once. */
static uint64_t ask_under(uint64_t seed, enum rollcall_fault fault, uint64_t *taken)
{
    struct rollcall__fault_plan plan = {.scripted = false};
    struct scene scene = scene_of(seed, 2, 3);
    bool sent[CALLS + 1] = {false};
    size_t renewals = 0;
    plan.rates[fault] = 0.2;
    scene_faults(&scene, &plan);
    for (int i = 1; i <= CALLS; i++) {
        sent[i] = scene_put(&scene, 0);
        if (i % 3 == 0) {
            renewals += scene_renew(&scene, 0, i);
        }
        scene_pass(&scene, i % 5 == 0 ? 1000 : 3);
    }
    scene_heal(&scene);
    scene_pass(&scene, LONG_MS);
    const size_t bounced = probe_count(scene.askers[0], ROLLCALL_BOUNCED);
    size_t expected = renewals;
    for (uint64_t i = 1; i <= CALLS; i++) {
        const size_t answers = answers_to(&scene, 0, i);
        expected += sent[i];
        CHECK(answers == sent[i] || (answers == 0 && bounced > 0));
    }
    CHECK_INT(probe_count(scene.askers[0], ASKER_ANSWER) +
                  probe_count(scene.askers[0], ASKER_RENEWED) + bounced,
              expected);
    CHECK((bounced > 0) <= (fault == ROLLCALL_FAULT_FULL));
    *taken += scene.sim->faults.taken[fault];
    return scene_close(&scene);
}

TEST(net, under_each_fault_alone_what_was_asked_is_answered_or_bounced_once)
{
    for (int fault = 0; fault < ROLLCALL_FAULT_COUNT; fault++) {
        uint64_t taken = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            const uint64_t hash = ask_under(seed, (enum rollcall_fault)fault, &taken);
            CHECK(ask_under(seed, (enum rollcall_fault)fault, &taken) == hash);
        }
        const bool has_chances = fault != ROLLCALL_FAULT_CRASH && fault != ROLLCALL_FAULT_MEMORY &&
                                 fault != ROLLCALL_FAULT_LOSE_EVENT; /* nobody watches */
        CHECK(!has_chances || taken > 0);
    }
}

static void ask_one_under(struct scene *scene, uint64_t seed, enum rollcall_fault fault)
{
    const struct rollcall__fault_at first = {fault, 1};
    *scene = scene_of(seed, 1, 1);
    scene_faults(scene, &(struct rollcall__fault_plan){
                            .scripted = true, .script = &first, .script_count = 1});
    CHECK(scene_put(scene, 0));
    scene_pass(scene, 10000);
    CHECK_INT(answers_to(scene, 0, 1), 1);
    CHECK_INT(scene->sim->faults.taken[fault], 1);
}

TEST(net, a_lost_request_is_not_done_and_times_out)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene;
        ask_one_under(&scene, seed, ROLLCALL_FAULT_LOSE_REQUEST);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_E_TIMEOUT);
        CHECK_INT(store_revision(&scene), 1);
        scene_close(&scene);
    }
}

TEST(net, a_lost_answer_is_done_and_times_out_and_says_that_it_may_be_done)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene;
        ask_one_under(&scene, seed, ROLLCALL_FAULT_LOSE_ANSWER);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_E_TIMEOUT);
        CHECK_INT(store_revision(&scene), 2);
        const struct probe_message *answer = probe_last(scene.askers[0], ASKER_ANSWER);
        CHECK(((const struct transport_result *)answer->object)->error.maybe_applied);
        CHECK_INT(answer->at_ms, 5000);
        scene_close(&scene);
    }
}

TEST(net, a_repeated_request_is_done_twice_and_answered_once)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene;
        ask_one_under(&scene, seed, ROLLCALL_FAULT_REPEAT_REQUEST);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        CHECK_INT(store_revision(&scene), 3);
        scene_close(&scene);
    }
}

TEST(net, a_renewal_answered_twice_is_told_once)
{
    const struct rollcall__fault_at first = {ROLLCALL_FAULT_REPEAT_ANSWER, 1};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        scene_faults(&scene, &(struct rollcall__fault_plan){
                                 .scripted = true, .script = &first, .script_count = 1});
        CHECK(scene_renew(&scene, 0, 7));
        scene_pass(&scene, 10000);
        CHECK_INT(probe_count(scene.askers[0], ASKER_RENEWED), 1);
        CHECK_INT(scene.sim->faults.taken[ROLLCALL_FAULT_REPEAT_ANSWER], 1);
        scene_close(&scene);
    }
}

/* ---- connections ---- */

TEST(net, a_cut_ends_calls_and_watches_as_unavailable_and_the_next_call_is_answered)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 3);
        CHECK(scene_watch(&scene, 0, 1));
        scene_pass(&scene, 1000);
        CHECK_INT(probe_count(scene.askers[0], ASKER_RESPONSE), 1); /* it has begun */
        CHECK(scene_put(&scene, 0));
        for (uint32_t member = 0; member < 3; member++) {
            rollcall__net_cut(scene.net, 0, member);
        }
        CHECK(rollcall_sim_settle(scene.sim, 1000));
        CHECK_INT(last_status(&scene, 0), ROLLCALL_E_UNAVAILABLE);
        CHECK_INT(response_at(&scene, 0, 1)->error.status, ROLLCALL_E_UNAVAILABLE);
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 1000);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        CHECK_INT(answers_to(&scene, 0, 1), 1);
        CHECK_INT(probe_count(scene.askers[0], ASKER_RESPONSE), 2);
        CHECK_INT(store_revision(&scene), 2); /* the first was on its way, and is lost */
        scene_close(&scene);
    }
}

/* ---- members ---- */

TEST(net, a_killed_member_refuses_at_once_and_answers_when_it_is_back)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_DOWN, 20000);
        scene_pass(&scene, 1000);
        CHECK(scene_put(&scene, 0));
        CHECK(scene_renew(&scene, 0, 7));
        CHECK(scene_watch(&scene, 0, 1));
        scene_pass(&scene, 3000);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_E_UNAVAILABLE);
        CHECK_INT(response_at(&scene, 0, 0)->error.status, ROLLCALL_E_UNAVAILABLE);
        CHECK_INT(probe_count(scene.askers[0], ASKER_RENEWED), 1);
        scene_pass(&scene, 20000);
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 1000);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        scene_close(&scene);
    }
}

TEST(net, who_has_lost_its_member_goes_to_another)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 3);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_DOWN, INT64_MAX);
        scene_pass(&scene, 3000); /* if it led, another does by now */
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 1000);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        scene_close(&scene);
    }
}

/* True: the process asks this member first, and its silence was seen. */
static bool is_left(uint64_t seed, uint32_t member)
{
    struct scene scene = scene_of(seed, 1, 3);
    scene_pass(&scene, 1000);
    rollcall__net_set_member(scene.net, member, ROLLCALL__MEMBER_FROZEN, INT64_MAX);
    CHECK(scene_put(&scene, 0));
    scene_pass(&scene, 4999);
    const bool silent = answers_to(&scene, 0, 1) == 0;
    scene_pass(&scene, 1);
    CHECK_INT(last_status(&scene, 0), silent ? ROLLCALL_E_TIMEOUT : ROLLCALL_OK);
    CHECK(scene_put(&scene, 0));
    scene_pass(&scene, 1000);
    CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
    scene_close(&scene);
    return silent;
}

static int leader_of(uint64_t seed)
{
    struct scene scene = scene_of(seed, 1, 3);
    const int leader = rollcall__model_leader(rollcall__net_model(scene.net));
    scene_close(&scene);
    return leader;
}

TEST(net, a_frozen_member_is_silent_until_the_deadline_and_then_left)
{
    int total = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const int leader = leader_of(seed);
        int left = 0;
        for (int member = 0; member < 3; member++) {
            left += member != leader && is_left(seed, (uint32_t)member);
        }
        CHECK(left <= 1);
        total += left;
    }
    CHECK(total > 0);
}

TEST(net, what_a_frozen_member_was_asked_it_answers_when_it_is_thawed)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_FROZEN, 3000);
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 2999);
        CHECK_INT(answers_to(&scene, 0, 1), 0);
        scene_pass(&scene, 1500);
        CHECK_INT(answers_to(&scene, 0, 1), 1);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        scene_close(&scene);
    }
}

/* The leader cannot be reached, and leads: what it is told by a client waits, and so does what it
 * answers. */
TEST(net, a_member_out_of_reach_is_silent_either_way_and_still_has_its_place_among_the_others)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 3);
        const struct rollcall__model *model = rollcall__net_model(scene.net);
        const int leader = rollcall__model_leader(model);
        CHECK(scene_put(&scene, 0)); /* on its way, to one of them */
        for (uint32_t member = 0; member < 3; member++) {
            rollcall__net_set_member(scene.net, member, ROLLCALL__MEMBER_UNREACHED, 3000);
        }
        scene_pass(&scene, 2900);
        CHECK_INT(answers_to(&scene, 0, 1), 0);
        CHECK_INT(store_revision(&scene), 1);
        CHECK_INT(rollcall__model_leader(model), leader);
        scene_pass(&scene, 300);
        CHECK_INT(answers_to(&scene, 0, 1), 1);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        scene_close(&scene);
    }
}

static int64_t renewed_at_ms(const struct scene *scene)
{
    const struct probe_message *answer = probe_last(scene->askers[0], ASKER_RENEWED);
    return ((const struct transport_keepalive_answer *)probe_payload(answer))->status == ROLLCALL_OK
               ? answer->at_ms
               : INT64_MAX;
}

TEST(net, streams_that_have_gone_mute_are_left_for_new_ones_which_are_answered)
{
    enum { HEDGE_MS = 400, TICK_MS = 25, WAY_MS = 100 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        CHECK(scene_renew(&scene, 0, 7));
        scene_pass(&scene, 1000);
        CHECK_INT(probe_count(scene.askers[0], ASKER_RENEWED), 1);
        rollcall__net_mute(scene.net, 0, 5000);
        CHECK(scene_renew(&scene, 0, 7));
        scene_pass(&scene, HEDGE_MS - 1);
        CHECK_INT(probe_count(scene.askers[0], ASKER_RENEWED), 1);
        scene_pass(&scene, 2000);
        CHECK_INT(probe_count(scene.askers[0], ASKER_RENEWED), 2);
        CHECK(renewed_at_ms(&scene) <= 1000 + HEDGE_MS + TICK_MS + WAY_MS);
        scene_close(&scene);
    }
}

/* ---- watches ---- */

static void put_revisions(struct scene *scene, uint64_t revisions, uint64_t keys)
{
    for (uint64_t i = 0; i < revisions; i++) {
        CHECK(scene_ask(scene, 0, put_request(i * keys, keys)));
        scene_pass(scene, 200);
        CHECK_INT(last_status(scene, 0), ROLLCALL_OK);
        probe_forget(scene->askers[0]);
    }
}

/* The second process watches what the first writes. */
TEST(net, a_watch_has_at_most_its_window_outstanding_and_goes_on_when_acknowledged)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 2, 1);
        CHECK(scene_watch(&scene, 1, 1));
        scene_pass(&scene, 200);
        put_revisions(&scene, 20, 1);
        size_t count = probe_count(scene.askers[1], ASKER_RESPONSE);
        CHECK_INT(count, TRANSPORT_WATCH_WINDOW);
        size_t acknowledged = 0, events = 0;
        for (; acknowledged < count; acknowledged++) {
            events += response_at(&scene, 1, acknowledged)->event_count;
            CHECK(scene_ack(&scene, 1, 1));
            scene_pass(&scene, 200);
            count = probe_count(scene.askers[1], ASKER_RESPONSE);
            CHECK(count - acknowledged - 1 <= TRANSPORT_WATCH_WINDOW);
        }
        CHECK_INT(events, 20);
        scene_close(&scene);
    }
}

/* A seed in three cuts responses into fragments of two events. */
TEST(net, a_revision_is_told_whole)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 2, 1);
        CHECK(scene_watch(&scene, 1, 1));
        scene_pass(&scene, 200);
        put_revisions(&scene, 3, 5);
        CHECK_INT(probe_count(scene.askers[1], ASKER_RESPONSE), 4);
        CHECK(response_at(&scene, 1, 0)->created);
        for (size_t i = 1; i < 4; i++) {
            const struct transport_watch_response *response = response_at(&scene, 1, i);
            CHECK_INT(response->event_count, 5);
            CHECK(!response->fragment && !response->created);
            for (size_t k = 0; k < 5; k++) {
                CHECK_INT(response->events[k].kv.mod_revision, 1 + (int64_t)i);
            }
        }
        scene_close(&scene);
    }
}

static size_t events_told(const struct scene *scene, uint32_t process)
{
    size_t events = 0;
    for (size_t n = 0; response_at(scene, process, n) != NULL; n++) {
        events += response_at(scene, process, n)->event_count;
    }
    return events;
}

TEST(net, no_response_of_a_watch_overtakes_another)
{
    struct rollcall__fault_plan plan = {.rates = {[ROLLCALL_FAULT_DELAY] = 0.5}};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 2, 1);
        CHECK(scene_watch(&scene, 1, 1));
        scene_pass(&scene, 200); /* it has begun: one that is late with that is given up */
        scene_faults(&scene, &plan);
        for (int i = 0; i < 7; i++) {
            CHECK(scene_put(&scene, 0));
            scene_pass(&scene, 50);
        }
        scene_heal(&scene);
        scene_pass(&scene, LONG_MS);
        int64_t last = 1;
        size_t events = 0;
        for (size_t n = 0; response_at(&scene, 1, n) != NULL; n++) {
            const struct transport_watch_response *response = response_at(&scene, 1, n);
            for (size_t k = 0; k < response->event_count; k++) {
                CHECK_INT(response->events[k].kv.mod_revision, last + 1);
                last = response->events[k].kv.mod_revision;
                events++;
            }
            CHECK(scene_ack(&scene, 1, 1)); /* progress has its place in the window, too */
            scene_pass(&scene, 200);
        }
        CHECK_INT(events, 7);
        CHECK(scene.sim->faults.taken[ROLLCALL_FAULT_DELAY] > 0);
        scene_close(&scene);
    }
}

/* Of one that was told less, the next watch is told. */
TEST(net, a_lost_event_is_told_by_the_next_watch_and_by_no_other)
{
    const struct rollcall__fault_at first = {ROLLCALL_FAULT_LOSE_EVENT, 1};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 2, 1);
        CHECK(scene_watch(&scene, 1, 1));
        scene_pass(&scene, 200);
        scene_faults(&scene, &(struct rollcall__fault_plan){
                                 .scripted = true, .script = &first, .script_count = 1});
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 200);
        CHECK_INT(scene.sim->faults.taken[ROLLCALL_FAULT_LOSE_EVENT], 1);
        CHECK_INT(events_told(&scene, 1), 0);
        scene_heal(&scene);
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 200);
        CHECK_INT(events_told(&scene, 1), 1);
        CHECK(scene_watch(&scene, 1, 2));
        scene_pass(&scene, 200);
        CHECK_INT(events_told(&scene, 1), 3);
        scene_close(&scene);
    }
}

/* What was held on its way to a process that nobody reached keeps its place. */
TEST(net, no_response_overtakes_one_that_waited_for_an_etcd_out_of_reach)
{
    for (uint64_t seed = 1; seed <= 20 * SEEDS; seed++) {
        struct scene scene = scene_of(seed, 2, 1);
        CHECK(scene_watch(&scene, 1, 1));
        scene_pass(&scene, 200);
        int64_t last = 1;
        for (int i = 0; i < 5; i++) {
            CHECK(scene_put(&scene, 0));
            scene_pass(&scene, 1);
        }
        rollcall__net_set_member(scene.sim->net, 0, ROLLCALL__MEMBER_UNREACHED,
                                 scene.sim->now_ms + 1 + (int64_t)(seed % 5));
        scene_pass(&scene, LONG_MS);
        for (size_t n = 0; response_at(&scene, 1, n) != NULL; n++) {
            const struct transport_watch_response *response = response_at(&scene, 1, n);
            for (size_t k = 0; k < response->event_count; k++) {
                CHECK_INT(response->events[k].kv.mod_revision, ++last);
            }
        }
        CHECK_INT(last, 6);
        scene_close(&scene);
    }
}

TEST(net, a_cancelled_watch_tells_nothing_more)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 2, 1);
        const struct transport_watch_id cancel = {.watch_id = 1};
        CHECK(scene_watch(&scene, 1, 1));
        scene_pass(&scene, 200);
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 2); /* on its way, by now or soon */
        CHECK(scene_send(&scene, 1, TRANSPORT_WATCH_CANCEL, &cancel, sizeof cancel, NULL));
        const size_t count = probe_count(scene.askers[1], ASKER_RESPONSE);
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, LONG_MS);
        CHECK_INT(probe_count(scene.askers[1], ASKER_RESPONSE), count);
        scene_close(&scene);
    }
}

/* ---- clocks ---- */

TEST(net, a_paused_process_does_nothing_while_others_go_on_and_its_clock_too)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 2, 1);
        CHECK(scene_put(&scene, 0));
        CHECK(scene_put(&scene, 1));
        rollcall__sim_freeze(scene.sim, 0, 3000);
        scene_pass(&scene, 2999);
        CHECK_INT(answers_to(&scene, 0, 1), 0);
        CHECK_INT(answers_to(&scene, 1, 2), 1);
        scene_pass(&scene, 1);
        CHECK_INT(answers_to(&scene, 0, 1), 1);
        CHECK_INT(probe_last(scene.askers[0], ASKER_ANSWER)->at_ms, 3000);
        scene_close(&scene);
    }
}

TEST(net, a_process_paused_beyond_its_deadline_is_answered_once_when_it_goes_on)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        CHECK(scene_put(&scene, 0));
        rollcall__sim_freeze(scene.sim, 0, 9000);
        scene_pass(&scene, 20000);
        CHECK_INT(answers_to(&scene, 0, 1), 1);
        CHECK_INT(probe_last(scene.askers[0], ASKER_ANSWER)->at_ms, 9000);
        scene_close(&scene);
    }
}

struct clocks {
    int64_t now_ms, wall_ms;
};

static void read_clocks(struct rollcall_context *cx, void *user)
{
    struct clocks *clocks = user;
    clocks->now_ms = rollcall_now_ms(cx);
    clocks->wall_ms = rollcall_wall_ms(cx);
}

static struct clocks clocks_of(struct scene *scene)
{
    struct clocks clocks = {0};
    probe_run(scene->askers[0], scene->rt, read_clocks, &clocks);
    CHECK(rollcall_sim_settle(scene->sim, 1000));
    return clocks;
}

TEST(net, the_wall_clock_jumps_and_the_other_does_not)
{
    const struct rollcall__fault_at first = {ROLLCALL_FAULT_WALL, 1};
    int back = 0, forth = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        const struct clocks before = clocks_of(&scene);
        scene_faults(&scene, &(struct rollcall__fault_plan){
                                 .scripted = true, .script = &first, .script_count = 1});
        scene_pass(&scene, 1000);
        const struct clocks after = clocks_of(&scene);
        const int64_t jump_ms = after.wall_ms - before.wall_ms - (after.now_ms - before.now_ms);
        CHECK_INT(after.now_ms - before.now_ms, 1000);
        CHECK(jump_ms != 0 && jump_ms <= 3600 * 1000 && jump_ms >= -3600 * 1000);
        back += jump_ms < 0;
        forth += jump_ms > 0;
        scene_close(&scene);
    }
    CHECK(back > 0 && forth > 0);
}
