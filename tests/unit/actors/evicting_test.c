/* Registration, when it finds what an earlier process in its place has left: its own, by compare
 * and delete, and nobody else's. */
#include "unit/actors/registration_world.h"

#define PREDECESSOR RECORD_OF(3, OUR_ADDRESS, OUR_HOST)
#define KEY_12 "root/session/coord-12"

static void put(struct bench *b, const char *key, const char *value, int64_t lease_id)
{
    fake_etcd_grant(b->etcd, lease_id, 60);
    fake_etcd_put(b->etcd, key, value, lease_id);
}

/* The key is ours, newly created, under a lease of our own. */
static void check_taken_over(const struct bench *b, const char *key, int64_t created_before)
{
    const struct session_membership *won = membership(b);
    const struct transport_kv *kv = fake_etcd_find(b->etcd, key);
    CHECK_STR(won->key, key);
    CHECK_INT(kv->lease_id, won->lease_id);
    CHECK_INT(kv->version, 1);
    CHECK_INT(kv->create_revision, won->create_revision);
    CHECK(won->create_revision > created_before);
}

TEST(evicting, the_key_of_a_predecessor_is_taken_over_without_waiting)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true});
        put(&b, EXCLUSIVE_KEY, PREDECESSOR, RIVAL_LEASE);
        world_settle(&b.world);
        check_taken_over(&b, EXCLUSIVE_KEY, b.etcd->history[0].kv.create_revision);
        CHECK_INT(membership(&b)->server_id, 4);
        CHECK_INT(b.steps.plan[EVICT].seen, 1);
        CHECK_INT(b.etcd->revokes, 0); /* the lease is not ours to end */
        fake_etcd_end_lease(b.etcd, RIVAL_LEASE);
        CHECK(fake_etcd_find(b.etcd, EXCLUSIVE_KEY) != NULL);
        close_bench(&b);
    }
}

struct spared {
    struct session_choice choice;
    const char *key, *value;
};

TEST(evicting, what_is_not_a_predecessors_is_waited_for_and_left_alone)
{
    static const struct spared SPARED[] = {
        {{.exclusive = true, .retries = 2}, EXCLUSIVE_KEY, RECORD_OF(3, OUR_ADDRESS, "there")},
        {{.exclusive = true, .retries = 2}, EXCLUSIVE_KEY, RECORD_OF(3, "10.0.0.1:1", OUR_HOST)},
        {{.exclusive = true, .retries = 2, .server_id = 2}, EXCLUSIVE_KEY, PREDECESSOR},
        {{.exclusive = true, .retries = 2, .server_id = 3}, EXCLUSIVE_KEY, PREDECESSOR},
        {{.exclusive = true, .retries = 2, .keep_predecessor = true}, EXCLUSIVE_KEY, PREDECESSOR},
        {{.retries = 2, .server_id = 12}, KEY_12, PREDECESSOR},
        {{.exclusive = true, .retries = 2}, EXCLUSIVE_KEY, "not a record"},
        {{.exclusive = true, .retries = 2}, EXCLUSIVE_KEY, "{}"},
        {{.exclusive = true, .retries = 2}, EXCLUSIVE_KEY, ""},
    };
    for (size_t i = 0; i < sizeof SPARED / sizeof SPARED[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &SPARED[i].choice);
            fake_etcd_put(b.etcd, SPARED[i].key, SPARED[i].value, RIVAL_LEASE);
            world_run(&b.world, 5000);
            CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
            CHECK_INT(b.steps.plan[EVICT].seen, 0);
            CHECK_INT(b.steps.plan[CLAIM].seen, 2);
            CHECK_BYTES(fake_etcd_find(b.etcd, SPARED[i].key)->value, SPARED[i].value);
            close_bench(&b);
        }
    }
}

static void a_rival_is_faster(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, EXCLUSIVE_KEY);
    fake_etcd_put(etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

TEST(evicting, a_key_that_became_a_rivals_since_it_was_read_is_left_alone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true, .retries = 2});
        fake_etcd_put(b.etcd, EXCLUSIVE_KEY, PREDECESSOR, RIVAL_LEASE);
        b.steps.plan[EVICT].before = a_rival_is_faster;
        world_run(&b.world, 5000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK_INT(b.steps.plan[EVICT].seen, 1);
        CHECK_BYTES(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->value, RIVAL);
        close_bench(&b);
    }
}

static void the_predecessor_writes(struct fake_etcd *etcd)
{
    fake_etcd_put(etcd, EXCLUSIVE_KEY, PREDECESSOR, RIVAL_LEASE);
}

TEST(evicting, a_key_that_its_predecessor_wrote_again_is_judged_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true});
        the_predecessor_writes(b.etcd);
        b.steps.plan[EVICT].before = the_predecessor_writes;
        world_settle(&b.world);
        CHECK_INT(b.steps.plan[EVICT].seen, 2);
        check_taken_over(&b, EXCLUSIVE_KEY, 0);
        close_bench(&b);
    }
}

TEST(evicting, a_predecessor_that_keeps_coming_back_is_finally_waited_for)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true, .retries = 2});
        the_predecessor_writes(b.etcd); /* so that its ID is lower */
        b.steps.plan[CLAIM].before = the_predecessor_writes;
        b.steps.plan[CLAIM].last = SIZE_MAX;
        world_run(&b.world, 5000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK_INT(b.steps.plan[EVICT].seen, 10);
        close_bench(&b);
    }
}

TEST(evicting, a_lost_answer_costs_a_repetition_and_nothing_else)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true});
        the_predecessor_writes(b.etcd);
        b.steps.plan[EVICT].fate = FAKE_ETCD_LOSE_ANSWER;
        b.steps.plan[EVICT].last = 2;
        world_run(&b.world, 5000);
        CHECK_INT(b.steps.plan[EVICT].seen, 1);
        check_taken_over(&b, EXCLUSIVE_KEY, 0);
        CHECK_INT(b.etcd->grants, 1);
        close_bench(&b);
    }
}

TEST(evicting, a_denial_is_refused_without_a_lease_left)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true});
        the_predecessor_writes(b.etcd);
        b.steps.plan[EVICT].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[EVICT].status = ROLLCALL_E_DENIED;
        world_run(&b.world, 5000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_DENIED);
        CHECK_BYTES(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->value, PREDECESSOR);
        close_bench(&b);
    }
}

/* ---- what we held before ---- */

enum { OLD_LEASE = 99 };
static const struct before BEFORE = {.server_id = 12, .lease_id = OLD_LEASE, .patient = true};

TEST(evicting, our_own_key_under_the_lease_before_is_taken_over)
{
    static const struct session_choice CHOICES[] = {
        {.exclusive = false}, {.exclusive = true}, {.exclusive = true, .keep_predecessor = true}};
    for (size_t i = 0; i < 3; i++) {
        while (world_next(SEEDS)) {
            const char *key = CHOICES[i].exclusive ? EXCLUSIVE_KEY : KEY_12;
            struct bench b;
            open_again(&b, &CHOICES[i], &BEFORE);
            put(&b, key, RECORD_OF(12, OUR_ADDRESS, OUR_HOST), OLD_LEASE);
            world_settle(&b.world);
            check_taken_over(&b, key, b.etcd->history[0].kv.create_revision);
            CHECK(membership(&b)->lease_id != OLD_LEASE);
            close_bench(&b);
        }
    }
}

/* Somebody put it under our lease; it goes when that ends, and until then it is his. */
TEST(evicting, anothers_record_under_the_lease_before_is_waited_for)
{
    static const char *const VALUES[] = {RIVAL, "not a record"};
    for (size_t i = 0; i < 2; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_again(&b, &(struct session_choice){0}, &BEFORE);
            put(&b, KEY_12, VALUES[i], OLD_LEASE);
            world_run(&b.world, 2000);
            CHECK_INT(told(&b, SESSION_REGISTERED), 0);
            CHECK_BYTES(fake_etcd_find(b.etcd, KEY_12)->value, VALUES[i]);
            fake_etcd_end_lease(b.etcd, OLD_LEASE);
            world_run(&b.world, 4000);
            check_taken_over(&b, KEY_12, 0);
            close_bench(&b);
        }
    }
}

/* A rival who has our server ID, and no lease that we ever had. */
TEST(evicting, a_record_with_our_id_under_another_lease_is_waited_for)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_again(&b, &(struct session_choice){.retries = 2}, &BEFORE);
        put(&b, KEY_12, RECORD_OF(12, OUR_ADDRESS, OUR_HOST), OLD_LEASE + 1);
        world_run(&b.world, 5000);
        CHECK_INT(told(&b, SESSION_REFUSED), 1);
        CHECK_INT(b.steps.plan[EVICT].seen, 0);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1); /* the rival's */
        close_bench(&b);
    }
}

/* ---- what we held before, and somebody has put again ---- */

#define RECORD_UNDER(lease, id, address, host)                                                     \
    "{\"ServerID\":" #id ",\"ServerName\":\"coord\",\"Address\":\"" address                        \
    "\",\"Version\":\"2.4.2\",\"LeaseID\":" #lease ",\"HostName\":\"" host "\"}"
#define OURS RECORD_UNDER(99, 12, OUR_ADDRESS, OUR_HOST)

struct put_again {
    const char *value;
    int64_t lease_id; /* 0: none */
};

static void put_again(struct bench *b, const struct put_again *how)
{
    if (how->lease_id != 0) {
        fake_etcd_grant(b->etcd, how->lease_id, 60);
    }
    fake_etcd_put(b->etcd, KEY_12, how->value, how->lease_id);
}

TEST(evicting, our_own_record_without_its_lease_is_taken_over)
{
    static const struct put_again HOW[] = {
        {OURS, 0},
        {OURS, OLD_LEASE},
        {OURS, OLD_LEASE + 1},
        {RECORD_OF(12, OUR_ADDRESS, OUR_HOST), 0},
        {RECORD_UNDER(0, 12, OUR_ADDRESS, OUR_HOST), 0},
    };
    for (size_t i = 0; i < sizeof HOW / sizeof HOW[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_again(&b, &(struct session_choice){.retries = 2}, &BEFORE);
            put_again(&b, &HOW[i]);
            world_run(&b.world, 5000);
            check_taken_over(&b, KEY_12, b.etcd->history[0].kv.create_revision);
            CHECK_INT(b.steps.plan[EVICT].seen, 1);
            close_bench(&b);
        }
    }
}

static const struct put_again ANOTHERS[] = {
    {RECORD_UNDER(99, 12, "10.0.0.1:1", OUR_HOST), 0},
    {RECORD_UNDER(99, 12, OUR_ADDRESS, "there"), 0},
    {RECORD_UNDER(99, 13, OUR_ADDRESS, OUR_HOST), 0},
    {RECORD_UNDER(98, 12, OUR_ADDRESS, OUR_HOST), 0}, /* a later one in our place */
    {RECORD_UNDER(98, 12, OUR_ADDRESS, OUR_HOST), 98},
    {RECORD_UNDER(99, 12, "10.0.0.1:1", OUR_HOST), 98},
    {"{}", 0},
    {"not a record", 0},
};

TEST(evicting, anothers_record_without_a_lease_or_under_his_is_left_alone)
{
    for (size_t i = 0; i < sizeof ANOTHERS / sizeof ANOTHERS[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_again(&b, &(struct session_choice){.retries = 2}, &BEFORE);
            put_again(&b, &ANOTHERS[i]);
            world_run(&b.world, 5000);
            CHECK_INT(told(&b, SESSION_REFUSED), 1);
            CHECK_INT(b.steps.plan[EVICT].seen, 0);
            CHECK_BYTES(fake_etcd_find(b.etcd, KEY_12)->value, ANOTHERS[i].value);
            close_bench(&b);
        }
    }
}

/* It never held anything: a record like its own is that of another process, which may be in its
 * place by mistake. */
TEST(evicting, who_registers_for_the_first_time_takes_no_record_like_its_own)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.retries = 2, .server_id = 12});
        put_again(&b, &(struct put_again){RECORD_UNDER(0, 12, OUR_ADDRESS, OUR_HOST), 0});
        world_run(&b.world, 5000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK_INT(b.steps.plan[EVICT].seen, 0);
        close_bench(&b);
    }
}

static void a_stranger_takes_key_12(struct fake_etcd *etcd)
{
    fake_etcd_put(etcd, KEY_12, RIVAL, 0);
}

TEST(evicting, our_own_record_that_became_anothers_since_it_was_read_is_left_alone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_again(&b, &(struct session_choice){.retries = 2}, &BEFORE);
        put_again(&b, &(struct put_again){OURS, 0});
        b.steps.plan[EVICT].before = a_stranger_takes_key_12;
        world_run(&b.world, 5000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK_BYTES(fake_etcd_find(b.etcd, KEY_12)->value, RIVAL);
        close_bench(&b);
    }
}

/* A record that there is no memory to read is no rival's.  Each allocation in turn. */
TEST(evicting, an_allocation_that_fails_costs_a_repetition_and_nothing_else)
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        while (world_next(2)) {
            struct bench b;
            open(&b, &(struct session_choice){.exclusive = true, .retries = 3, .server_id = 12});
            world_memory_fails_at(&b.world, nth);
            put(&b, EXCLUSIVE_KEY, PREDECESSOR, RIVAL_LEASE);
            world_run(&b.world, 3000);
            failed = world_memory_failed(&b.world);
            check_taken_over(&b, EXCLUSIVE_KEY, b.etcd->history[0].kv.create_revision);
            CHECK_INT(b.steps.plan[EVICT].seen, 1);
            CHECK_INT(b.etcd->revokes, 0);
            close_bench(&b);
        }
        CHECK(nth > 1 || failed);
    }
}
