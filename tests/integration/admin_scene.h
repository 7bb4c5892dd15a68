/* tests/integration/admin_scene.h - what the tests of rollcall/admin.h stand on. */
#ifndef TESTS_INTEGRATION_ADMIN_SCENE_H
#define TESTS_INTEGRATION_ADMIN_SCENE_H

#include "support/api_events.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <rollcall/admin.h>

/* LATE_MS: what a busy machine may add. */
enum { TEXT_BYTES = 1024, LATE_MS = 1500 };

static inline void check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        CHECK_STR(text, part);
    }
}

static inline void check_ok(enum rollcall_status status, const struct rollcall_error *error)
{
    CHECK_STR(status == ROLLCALL_OK ? "" : error->text, "");
    CHECK_INT(status, ROLLCALL_OK);
}

/* The full key of a session of this scene; lives until the next call. */
static inline const char *key_of(const struct api_scene *scene, const char *name)
{
    static char key[TEXT_BYTES];
    snprintf(key, sizeof key, "%s/session/%s", scene->root, name);
    return key;
}

static inline struct rollcall_target target_of(const struct api_scene *scene, const char *name)
{
    return (struct rollcall_target){.key = key_of(scene, name)};
}

static inline void check_value(const struct api_scene *scene, const char *name,
                               const char *expected)
{
    char script[TEXT_BYTES], text[TEXT_BYTES];
    snprintf(script, sizeof script, "etcdctl get --print-value-only $ROOT/session/%s", name);
    api_etcdctl(scene, script, text, sizeof text);
    text[strcspn(text, "\n")] = '\0';
    CHECK_STR(text, expected);
}

/* A record with a member that nobody here knows, open at its end. */
#define STRANGER                                                                                   \
    "{\"ServerID\":7,\"ServerName\":\"querynode\",\"Address\":\"a:1\",\"Version\":\"2.4.2\","      \
    "\"Novelty\":[1]"

#endif /* TESTS_INTEGRATION_ADMIN_SCENE_H */
