/* Registering: server IDs, leases, lost answers, rivals, refusals. */
#include "unit/actors/registration_world.h"

/* ---- the ordinary way ---- */

TEST(registration, an_empty_store_gives_the_id_1_and_leaves_2)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.ttl_s = 7});
        world_settle(&b.world);
        const struct session_membership *won = membership(&b);
        const struct transport_kv *kv = fake_etcd_find(b.etcd, "root/session/coord-1");
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "2");
        CHECK_STR(won->key, "root/session/coord-1");
        CHECK_INT(won->server_id, 1);
        CHECK_INT(won->ttl_s, 7);
        CHECK(won->lease_id > 0 && won->lease_id == kv->lease_id);
        CHECK_INT(won->create_revision, kv->create_revision);
        CHECK_INT(won->revision, kv->mod_revision);
        const struct stored_record stored = stored_record_read(kv->value);
        CHECK_INT(stored.server_id, 1);
        CHECK_INT(stored.lease_id, won->lease_id);
        CHECK(!stored.stopping);
        CHECK_INT(told(&b, SESSION_CONTACT), 1);
        CHECK_INT(b.etcd->calls, 5); /* create, survey, take, grant, claim */
        close_bench(&b);
    }
}

TEST(registration, takes_the_id_it_finds_and_writes_the_next)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true});
        fake_etcd_put(b.etcd, ID_KEY, "41", 0);
        world_settle(&b.world);
        CHECK_INT(membership(&b)->server_id, 41);
        CHECK_STR(membership(&b)->key, EXCLUSIVE_KEY);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "42");
        CHECK_INT(fake_etcd_find(b.etcd, ID_KEY)->lease_id, 0);
        close_bench(&b);
    }
}

TEST(registration, an_id_that_was_given_is_not_allocated)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.server_id = 12});
        world_settle(&b.world);
        CHECK_STR(membership(&b)->key, "root/session/coord-12");
        CHECK(fake_etcd_find(b.etcd, ID_KEY) == NULL);
        CHECK_INT(b.etcd->calls, 2);
        close_bench(&b);
    }
}

TEST(registration, the_ttl_is_the_one_that_etcd_granted)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.ttl_s = 1});
        b.etcd->ttl_s = 3;
        world_settle(&b.world);
        CHECK_INT(membership(&b)->ttl_s, 3);
        close_bench(&b);
    }
}

/* ---- the server ID ---- */

static void another_takes_the_id(struct fake_etcd *etcd)
{
    char next[32];
    snprintf(next, sizeof next, "%" PRId64, next_id(etcd) + 1);
    fake_etcd_put(etcd, ID_KEY, next, 0);
}

TEST(registration, a_lost_race_for_an_id_takes_the_next)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        fake_etcd_put(b.etcd, ID_KEY, "5", 0);
        b.steps.plan[TAKE_ID].before = another_takes_the_id;
        b.steps.plan[TAKE_ID].last = 2; /* three races in a row */
        world_run(&b.world, 2000);
        CHECK_INT(membership(&b)->server_id, 8);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "9");
        close_bench(&b);
    }
}

static void somebody_deletes_the_id(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, ID_KEY);
}

TEST(registration, an_id_key_deleted_between_the_requests_is_created_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        fake_etcd_put(b.etcd, ID_KEY, "5", 0);
        b.steps.plan[TAKE_ID].before = somebody_deletes_the_id;
        world_run(&b.world, 2000);
        CHECK_INT(membership(&b)->server_id, 1);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "2");
        close_bench(&b);
    }
}

TEST(registration, a_corrupt_id_key_is_refused_and_named)
{
    static const char *const CORRUPT[] = {
        "", "x", "-3", "0", "1 ", "9223372036854775807", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof CORRUPT / sizeof CORRUPT[0]; i++) {
        while (world_next(5)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            fake_etcd_put(b.etcd, ID_KEY, CORRUPT[i], 0);
            world_settle(&b.world);
            CHECK_INT(refusal(&b)->status, ROLLCALL_E_CORRUPT);
            CHECK(strstr(refusal(&b)->text, ID_KEY) != NULL);
            CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, CORRUPT[i]);
            CHECK_INT(b.etcd->grants, 0);
            close_bench(&b);
        }
    }
}

/* ---- answers that are lost ---- */

TEST(registration, a_lost_answer_at_any_step_costs_a_repetition_and_nothing_else)
{
    for (enum step step = CREATE_ID; step <= CLAIM; step++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            b.steps.plan[step].fate = FAKE_ETCD_LOSE_ANSWER;
            b.steps.plan[step].last = 2;
            world_run(&b.world, 10000);
            const struct session_membership *won = membership(&b);
            const int64_t skipped = step == TAKE_ID ? 3 : 0;
            CHECK_INT(won->server_id, 1 + skipped);
            CHECK_INT(b.etcd->grants, 1);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
            CHECK_INT(fake_etcd_find(b.etcd, won->key)->lease_id, won->lease_id);
            CHECK_INT(fake_etcd_find(b.etcd, won->key)->version, 1); /* put once */
            CHECK_INT(won->create_revision, fake_etcd_find(b.etcd, won->key)->create_revision);
            close_bench(&b);
        }
    }
}

TEST(registration, a_grant_keeps_its_own_positive_id_until_it_is_answered)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.steps.plan[GRANT].fate = FAKE_ETCD_LOSE_ANSWER;
        b.steps.plan[GRANT].last = 1;
        world_run(&b.world, 10000);
        CHECK(b.steps.granted[0] > 0);
        CHECK_INT(b.steps.granted[1], b.steps.granted[0]);
        CHECK_INT(b.steps.granted[2], b.steps.granted[0]);
        CHECK_INT(membership(&b)->granted_sent_ms, 0); /* the first try may be what worked */
        CHECK_INT(membership(&b)->ttl_s, 10);
        close_bench(&b);
    }
}

TEST(registration, the_ttl_counts_from_the_try_that_etcd_granted)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.server_id = 3});
        b.steps.plan[GRANT].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[GRANT].last = 20;
        world_run(&b.world, 60000);
        const struct session_membership *won = membership(&b);
        const int64_t told_ms = probe_find(b.session, SESSION_REGISTERED, 0)->at_ms;
        CHECK(told_ms > 5000);
        CHECK_INT(won->granted_sent_ms, told_ms); /* the fake answers at once */
        close_bench(&b);
    }
}

static void the_lease_ends(struct fake_etcd *etcd)
{
    struct bench *b = etcd->user;
    fake_etcd_end_lease(etcd, b->steps.granted[0]);
}

TEST(registration, a_lease_that_ended_before_the_claim_is_replaced)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.steps.plan[CLAIM].before = the_lease_ends;
        world_run(&b.world, 5000);
        CHECK(b.steps.granted[1] != b.steps.granted[0]);
        CHECK_INT(membership(&b)->lease_id, b.steps.granted[1]);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

/* ---- refusals ---- */

TEST(registration, a_denial_at_any_step_is_refused_without_a_lease_left)
{
    for (enum step step = CREATE_ID; step <= CLAIM; step++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            b.steps.plan[step].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[step].status = ROLLCALL_E_DENIED;
            world_run(&b.world, 1000);
            CHECK_INT(refusal(&b)->status, ROLLCALL_E_DENIED);
            CHECK_INT(told(&b, SESSION_CONTACT), 1); /* a refusal is an answer */
            close_bench(&b);
        }
    }
}

TEST(registration, an_etcd_that_fails_every_attempt_is_refused_in_the_end)
{
    for (enum step step = CREATE_ID; step <= CLAIM; step++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){.retries = 5});
            b.steps.plan[step].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[step].last = SIZE_MAX;
            world_run(&b.world, 20000);
            if (step <= TAKE_ID) { /* no contact: whether to go on is for the session's deadline */
                CHECK_INT(told(&b, SESSION_CONTACT), 0);
                CHECK_INT(told(&b, SESSION_REFUSED), 0);
                CHECK(told(&b, SESSION_TROUBLE) > 5);
            } else {
                CHECK_INT(told(&b, SESSION_CONTACT), 1);
                CHECK_INT(refusal(&b)->status, ROLLCALL_E_UNAVAILABLE);
                CHECK(strstr(refusal(&b)->text, "failed 5 times") != NULL);
                CHECK(strstr(refusal(&b)->text, "the fake etcd says E_UNAVAILABLE") != NULL);
                CHECK_INT(b.steps.plan[step].seen, 5);
            }
            close_bench(&b);
        }
    }
}

TEST(registration, a_refusal_tries_to_revoke_once_and_is_told_whatever_comes_of_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.steps.plan[CLAIM].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[CLAIM].status = ROLLCALL_E_REJECTED;
        b.steps.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[REVOKE].last = SIZE_MAX;
        world_run(&b.world, 2000);
        CHECK_INT(b.steps.plan[REVOKE].seen, 1);
        CHECK_INT(told(&b, SESSION_REFUSED), 1);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1); /* for its TTL: etcd would not have it */
        CHECK_STATE(&b.world, b.registration, "DONE");
        close_bench(&b);
    }
}

/* Under an ID that it made up, since the survey. */
static void someone_takes_the_key(struct fake_etcd *etcd)
{
    char key[64];
    snprintf(key, sizeof key, "root/session/coord-%" PRId64, next_id(etcd) - 1);
    fake_etcd_put(etcd, key, "someone", 0);
}

TEST(registration, an_allocated_id_whose_key_is_taken_is_skipped)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.retries = 1});
        b.steps.plan[CLAIM].before = someone_takes_the_key;
        b.steps.plan[CLAIM].last = 1;
        world_run(&b.world, 1000);
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK_INT(membership(&b)->server_id, 3);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

TEST(registration, an_id_that_is_reused_is_waited_for_and_not_skipped)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.reuse_server_id = true, .retries = 2});
        b.steps.plan[CLAIM].before = someone_takes_the_key;
        world_run(&b.world, 5000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK(strstr(refusal(&b)->text, "coord-1 ") != NULL);
        CHECK_INT(next_id(b.etcd), 2);
        close_bench(&b);
    }
}

TEST(registration, who_reuses_a_server_id_has_the_one_of_the_others)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.reuse_server_id = true});
        const struct registration_options options = {
            .config = session_config_create(&(struct session_choice){.reuse_server_id = true}),
            .session = probe_ref(b.session),
            .transport = b.etcd->ref,
            .allocator = b.allocator};
        options.config->role = "other";
        world_spawn(&b.world, 0,
                    ROLLCALL_SPAWN_OPTIONS(.type = &registration_type, .options = &options,
                                           .supervisor = world_supervisor(&b.world)));
        world_run(&b.world, 1000);
        CHECK_INT(told(&b, SESSION_REGISTERED), 2);
        CHECK(fake_etcd_find(b.etcd, "root/session/coord-1") != NULL);
        CHECK(fake_etcd_find(b.etcd, "root/session/other-1") != NULL);
        CHECK_INT(next_id(b.etcd), 2);
        close_bench(&b);
    }
}

/* ---- again ---- */

TEST(registration, who_is_patient_outlasts_an_outage_and_asks_for_no_other_id)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_again(&b, &(struct session_choice){.retries = 2},
                   &(struct before){.server_id = 12, .lease_id = 5, .patient = true});
        b.etcd->away = true;
        world_run(&b.world, 120000);
        CHECK_INT(told(&b, SESSION_REFUSED), 0);
        b.etcd->away = false;
        world_run(&b.world, 2000);
        CHECK_STR(membership(&b)->key, "root/session/coord-12");
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        CHECK(fake_etcd_find(b.etcd, ID_KEY) == NULL);
        close_bench(&b);
    }
}

TEST(registration, patience_with_an_outage_is_none_with_a_rival)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_again(&b, &(struct session_choice){.retries = 3},
                   &(struct before){.server_id = 12, .lease_id = 5, .patient = true});
        fake_etcd_put(b.etcd, "root/session/coord-12", RIVAL, RIVAL_LEASE);
        world_run(&b.world, 20000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK_INT(b.steps.plan[CLAIM].seen, 3);
        close_bench(&b);
    }
}

/* ---- contact ---- */

TEST(registration, only_an_answer_of_etcd_is_contact)
{
    static const struct {
        enum rollcall_status status;
        size_t contacts;
    } CASES[] = {{ROLLCALL_E_FULL, 0},        {ROLLCALL_E_NO_MEMORY, 0}, {ROLLCALL_E_INVALID, 0},
                 {ROLLCALL_E_UNAVAILABLE, 0}, {ROLLCALL_E_TIMEOUT, 0},   {ROLLCALL_E_DENIED, 1},
                 {ROLLCALL_E_NO_SPACE, 1},    {ROLLCALL_E_REJECTED, 1}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        for (int allocates = 0; allocates < 2; allocates++) {
            while (world_next(SEEDS)) {
                const enum step step = allocates ? CREATE_ID : GRANT;
                struct bench b;
                open(&b, &(struct session_choice){.server_id = allocates ? 0 : 12});
                b.steps.plan[step].fate = FAKE_ETCD_REFUSE;
                b.steps.plan[step].status = CASES[i].status;
                b.steps.plan[REVOKE].fate = FAKE_ETCD_SILENT;
                world_settle(&b.world);
                CHECK_INT(b.steps.plan[step].seen, 1);
                CHECK_INT(told(&b, SESSION_CONTACT), CASES[i].contacts);
                close_bench(&b);
            }
        }
    }
}

TEST(registration, a_shared_server_id_that_was_known_is_no_contact)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.reuse_server_id = true});
        world_settle(&b.world);
        CHECK_INT(told(&b, SESSION_CONTACT), 1);
        b.etcd->away = true;
        const struct registration_options options = {
            .config = session_config_create(&(struct session_choice){.reuse_server_id = true}),
            .session = probe_ref(b.session),
            .transport = b.etcd->ref,
            .allocator = b.allocator};
        const struct rollcall_ref second =
            world_spawn(&b.world, 0,
                        ROLLCALL_SPAWN_OPTIONS(.type = &registration_type, .options = &options,
                                               .supervisor = world_supervisor(&b.world)));
        world_settle(&b.world);
        CHECK_STATE(&b.world, second, "FAILED"); /* it has the ID, and no lease */
        CHECK_INT(told(&b, SESSION_CONTACT), 1);
        b.etcd->away = false;
        world_run(&b.world, 2000);
        CHECK_INT(told(&b, SESSION_CONTACT), 2);
        close_bench(&b);
    }
}
