/* tests/integration/cli_scene.h - what the tests of sessions that the command registers share. */
#ifndef TESTS_INTEGRATION_CLI_SCENE_H
#define TESTS_INTEGRATION_CLI_SCENE_H

#include "support/command.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

enum { KEY_BYTES = COMMAND_ROOT_BYTES + 64 };

/* The session's key in full, as `registered` said it. */
static inline void key_of(const struct process *session, char key[KEY_BYTES])
{
    static const char before[] = "\"key\":\"";
    const char *found = strstr(session->out.data, before);
    CHECK(found != NULL);
    found += sizeof before - 1;
    snprintf(key, KEY_BYTES, "%.*s", (int)strcspn(found, "\""), found);
}

static inline const char *name_in(const char *key)
{
    return strrchr(key, '/') + 1;
}

static inline void revoke_lease(const struct command_scene *scene, const struct process *session)
{
    char script[96];
    snprintf(script, sizeof script, "etcdctl lease revoke %" PRIx64 " >&2",
             (uint64_t)command_number(session->out.data, "lease_id"));
    command_etcdctl(scene, script);
}

/* Fails unless the parts stand in stdout in this order. */
static inline void check_order(const struct process *process, const char *const *parts)
{
    const char *at = process->out.data;
    for (; *parts != NULL; parts++) {
        const char *found = strstr(at, *parts);
        if (found == NULL) {
            fprintf(stderr, "stdout: %s\n", process->out.data);
            CHECK_STR(at, *parts);
        }
        at = found + strlen(*parts);
    }
}
#define CHECK_ORDER(process, ...) check_order(process, (const char *const[]){__VA_ARGS__, NULL})

#endif /* TESTS_INTEGRATION_CLI_SCENE_H */
