/*
 * Server IDs through the public calls, against a real etcd: who shares one, who never does, and
 * what is above what.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <rollcall/admin.h>

enum { THREADS = 10, TTL_S = 60 };

static void close_session(struct rollcall_session *session)
{
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
}

static int64_t server_id(struct rollcall_session *session)
{
    return api_info(session).server_id;
}

static struct rollcall_session *open_sharing(const struct api_scene *scene, const char *role)
{
    struct rollcall_session *session = NULL;
    const enum rollcall_status status = rollcall_session_open(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = role, .address = "10.0.0.7:21123",
                                 .ttl_s = TTL_S, .reuse_server_id = true),
        &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    return session;
}

static int64_t next_id(const struct api_scene *scene)
{
    char key[256];
    int64_t next = 0;
    snprintf(key, sizeof key, "%s/session/id", scene->root);
    const struct api_stored stored = api_stored(scene, key);
    CHECK_INT(stored.lease_id, 0); /* it must outlive everybody */
    CHECK_INT(sscanf(stored.value, "%" SCNd64, &next), 1);
    return next;
}

static void set_next_id(const struct api_scene *scene, const char *next)
{
    char key[256];
    snprintf(key, sizeof key, "%s/session/id", scene->root);
    api_store(scene, key, next, 0);
}

/* ---- one for the process ---- */

struct asker {
    const struct api_scene *scene;
    pthread_t thread;
    bool reuse;
    int64_t server_id;
    enum rollcall_status status;
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    asker->status = rollcall_server_id(asker->scene->etcd, asker->scene->root, asker->reuse,
                                       API_SOON_MS, &asker->server_id, NULL);
    return NULL;
}

static void ask_at_once(const struct api_scene *scene, bool reuse, struct asker *askers)
{
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.scene = scene, .reuse = reuse};
        CHECK_INT(rollcall__thread_start(&askers[i].thread, "asker", ask, &askers[i], NULL),
                  ROLLCALL_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(askers[i].thread, NULL), 0);
        CHECK_INT(askers[i].status, ROLLCALL_OK);
    }
}

/* TestGetServerIDConcurrently */
TEST(node_id, asked_for_by_ten_threads_of_one_process_at_once_is_1_for_each)
{
    struct api_scene scene;
    struct asker askers[THREADS];
    api_scene_open(&scene, etcd_fixture_shared());
    ask_at_once(&scene, true, askers);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(askers[i].server_id, 1);
    }
    CHECK_INT(next_id(&scene), 2);
    api_scene_close(&scene);
}

/* The same without sharing: each has its own, and none is skipped. */
TEST(node_id, asked_for_by_ten_threads_that_do_not_share_is_another_for_each)
{
    struct api_scene scene;
    struct asker askers[THREADS];
    bool seen[THREADS + 1] = {false};
    api_scene_open(&scene, etcd_fixture_shared());
    ask_at_once(&scene, false, askers);
    for (int i = 0; i < THREADS; i++) {
        CHECK(askers[i].server_id >= 1 && askers[i].server_id <= THREADS);
        CHECK(!seen[askers[i].server_id]);
        seen[askers[i].server_id] = true;
    }
    CHECK_INT(next_id(&scene), THREADS + 1);
    api_scene_close(&scene);
}

/* All roles of a process are one node. */
TEST(node_id, is_shared_by_all_roles_of_a_process_that_ask_for_that)
{
    static const char *const roles[] = {"rootcoord", "datacoord", "querynode", "proxy"};
    struct api_scene scene;
    struct rollcall_session *sessions[4];
    int64_t asked = 0;
    api_scene_open(&scene, etcd_fixture_shared());
    for (int i = 0; i < 4; i++) {
        sessions[i] = open_sharing(&scene, roles[i]);
        CHECK_INT(server_id(sessions[i]), 1);
    }
    CHECK_INT(rollcall_server_id(scene.etcd, scene.root, true, API_SOON_MS, &asked, NULL),
              ROLLCALL_OK);
    CHECK_INT(asked, 1);
    struct rollcall_session *other = api_open(&scene, "indexnode", 0, TTL_S, NULL);
    CHECK_INT(server_id(other), 2);
    close_session(other);
    for (int i = 0; i < 4; i++) {
        close_session(sessions[i]);
    }
    api_scene_close(&scene);
}

/* TestIntegrationMode: with sharing off, two sessions of one process are two nodes. */
TEST(node_id, is_another_for_each_session_that_does_not_ask_to_share)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *first = api_open(&scene, "querynode", 0, TTL_S, NULL);
    struct rollcall_session *second = api_open(&scene, "querynode", 0, TTL_S, NULL);
    struct rollcall_session *third = api_open(&scene, "proxy", 0, TTL_S, NULL);
    CHECK(server_id(first) != server_id(second));
    CHECK(server_id(second) != server_id(third));
    CHECK(server_id(first) != server_id(third));
    close_session(third);
    close_session(second);
    close_session(first);
    api_scene_close(&scene);
}

/* Two connections are as two processes. */
TEST(node_id, is_not_shared_between_two_connections)
{
    struct api_scene first, second;
    api_scene_open(&first, etcd_fixture_shared());
    api_scene_open_beside(&second, &first);
    struct rollcall_session *mine = open_sharing(&first, "querynode");
    struct rollcall_session *theirs = open_sharing(&second, "querynode");
    CHECK(server_id(mine) != server_id(theirs));
    close_session(theirs);
    close_session(mine);
    api_scene_close(&second);
    api_scene_close(&first);
}

/* Two sessions of one role that share cannot both have the key: the second is told so. */
TEST(node_id, shared_twice_in_one_role_is_a_rival)
{
    struct api_scene scene;
    struct rollcall_session *second = NULL;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *first = open_sharing(&scene, "querynode");
    const enum rollcall_status status = rollcall_session_open(
        scene.etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode", .address = "10.0.0.7:1",
                                 .reuse_server_id = true, .retries = 1),
        &second, &error);
    CHECK_INT(status, ROLLCALL_E_RIVAL);
    api_check_contains(error.text, api_info(first).key);
    close_session(first);
    api_scene_close(&scene);
}

/* ---- after etcd was set back ---- */

/* D-26: upstream hands out whatever the id key says, in use or not. */
TEST(node_id, is_above_every_id_in_use_though_the_counter_was_set_back)
{
    struct api_scene scene, fresh;
    int64_t asked = 0;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *high = api_open(&scene, "querynode", 41, TTL_S, NULL);
    struct rollcall_session *low = api_open(&scene, "proxy", 3, TTL_S, NULL);
    set_next_id(&scene, "1");
    api_scene_open_beside(&fresh, &scene); /* one that has never looked */
    struct rollcall_session *next = api_open(&fresh, "datanode", 0, TTL_S, NULL);
    CHECK(server_id(next) > 41);
    CHECK(next_id(&scene) > server_id(next));
    CHECK_INT(rollcall_server_id(fresh.etcd, fresh.root, false, API_SOON_MS, &asked, NULL),
              ROLLCALL_OK);
    CHECK(asked > server_id(next));
    close_session(next);
    close_session(low);
    close_session(high);
    api_scene_close(&fresh);
    api_scene_close(&scene);
}

/* D-26: an exclusive key does not say the ID, its record does. */
TEST(node_id, is_above_the_id_of_an_exclusive_session)
{
    struct api_scene scene;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    set_next_id(&scene, "2");
    snprintf(key, sizeof key, "%s/session/rootcoord", scene.root);
    api_store(&scene, key, "{\"ServerID\":77,\"ServerName\":\"rootcoord\"}", 0);
    struct rollcall_session *session = api_open(&scene, "querynode", 0, TTL_S, NULL);
    CHECK(server_id(session) > 77);
    close_session(session);
    api_scene_close(&scene);
}

/* D-26: the key says the ID when its record does not. */
TEST(node_id, is_above_the_id_of_a_key_whose_record_is_garbage)
{
    struct api_scene scene;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    set_next_id(&scene, "2");
    snprintf(key, sizeof key, "%s/session/querynode-90", scene.root);
    api_store(&scene, key, "garbage", 0);
    struct rollcall_session *session = api_open(&scene, "proxy", 0, TTL_S, NULL);
    CHECK(server_id(session) > 90);
    close_session(session);
    api_scene_close(&scene);
}

/* D-26: the counter is set back between two sessions of one connection. */
TEST(node_id, is_never_one_that_is_in_use_though_the_counter_was_set_back_meanwhile)
{
    struct api_scene scene;
    struct rollcall_session *sessions[4];
    api_scene_open(&scene, etcd_fixture_shared());
    for (int i = 0; i < 4; i++) {
        sessions[i] = api_open(&scene, "querynode", 0, TTL_S, NULL);
        for (int before = 0; before < i; before++) {
            CHECK(server_id(sessions[i]) != server_id(sessions[before]));
        }
        set_next_id(&scene, "1");
    }
    for (int i = 0; i < 4; i++) {
        close_session(sessions[i]);
    }
    api_scene_close(&scene);
}

/* A store that served others before, and an ID that no double holds. */
TEST(node_id, counts_on_from_what_the_counter_says)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    set_next_id(&scene, "9007199254740993"); /* 2^53 + 1 */
    struct rollcall_session *session = api_open(&scene, "querynode", 0, TTL_S, NULL);
    CHECK_INT(server_id(session), 9007199254740993);
    CHECK_INT(next_id(&scene), 9007199254740994);
    api_check_contains(api_stored(&scene, api_info(session).key).value,
                       "{\"ServerID\":9007199254740993,");
    close_session(session);
    api_scene_close(&scene);
}
