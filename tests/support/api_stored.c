/* tests/support/api_stored.c - see api_stored.h. */
#include "support/api_stored.h"

#include "support/test.h"

#include <stdarg.h>
#include <stdlib.h>

enum { SCRIPT_BYTES = API_VALUE_BYTES + 512, PAUSE_MS = 20 };

/* Runs a script made of parts, and keeps what it printed. */
__attribute__((format(printf, 4, 5))) static void run(const struct api_scene *scene, char *out,
                                                      size_t out_bytes, const char *format, ...)
{
    char script[SCRIPT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    const int size_bytes = vsnprintf(script, sizeof script, format, arguments);
    va_end(arguments);
    CHECK(size_bytes > 0 && (size_t)size_bytes < sizeof script);
    api_etcdctl(scene, script, out, out_bytes);
}

/* A member of etcdctl's JSON; `otherwise` when it has none of that name, as for a zero. */
static int64_t member(const char *json, const char *name, int64_t otherwise)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *found = strstr(json, quoted);
    return found == NULL ? otherwise : strtoll(found + strlen(quoted), NULL, 10);
}

/* ---- keys ---- */

struct api_stored api_stored(const struct api_scene *scene, const char *key)
{
    struct api_stored stored = {.there = false};
    char text[2 * SCRIPT_BYTES + API_VALUE_BYTES]; /* in base64, then as it is */
    run(scene, text, sizeof text,
        "etcdctl get -w json '%s'; printf '\\n'; etcdctl get --print-value-only '%s'", key, key);
    stored.there = member(text, "count", 0) == 1;
    if (!stored.there) {
        return stored;
    }
    stored.lease_id = member(text, "lease", 0);
    stored.create_revision = member(text, "create_revision", 0);
    stored.mod_revision = member(text, "mod_revision", 0);
    stored.version = member(text, "version", 0);
    const char *value = strstr(text, "\n");
    CHECK(value != NULL);
    value += strspn(value, "\n");
    snprintf(stored.value, sizeof stored.value, "%.*s", (int)strcspn(value, "\n"), value);
    return stored;
}

void api_store(const struct api_scene *scene, const char *key, const char *value, int64_t lease_id)
{
    run(scene, NULL, 0, "etcdctl put --lease=%" PRIx64 " -- '%s' '%s'", (uint64_t)lease_id, key,
        value);
}

void api_delete(const struct api_scene *scene, const char *key)
{
    char text[64];
    run(scene, text, sizeof text, "etcdctl del '%s'", key);
    CHECK_STR(text, "1\n");
}

/* ---- leases ---- */

int64_t api_lease_grant(const struct api_scene *scene, int64_t ttl_s)
{
    char text[256];
    run(scene, text, sizeof text, "etcdctl lease grant %" PRId64, ttl_s);
    const int64_t lease_id = (int64_t)strtoull(text + strlen("lease "), NULL, 16);
    CHECK(lease_id != 0);
    return lease_id;
}

void api_lease_revoke(const struct api_scene *scene, int64_t lease_id)
{
    run(scene, NULL, 0, "etcdctl lease revoke %" PRIx64, (uint64_t)lease_id);
}

static void ask_lease(const struct api_scene *scene, int64_t lease_id, char *text,
                      size_t text_bytes)
{
    run(scene, text, text_bytes, "etcdctl lease timetolive -w json %" PRIx64, (uint64_t)lease_id);
}

int64_t api_lease_left_s(const struct api_scene *scene, int64_t lease_id)
{
    char text[SCRIPT_BYTES];
    ask_lease(scene, lease_id, text, sizeof text);
    return member(text, "ttl", 0);
}

int64_t api_lease_ttl_s(const struct api_scene *scene, int64_t lease_id)
{
    char text[SCRIPT_BYTES];
    ask_lease(scene, lease_id, text, sizeof text);
    return member(text, "granted-ttl", 0);
}

int64_t api_lease_count(const struct api_scene *scene)
{
    char text[SCRIPT_BYTES];
    run(scene, text, sizeof text, "etcdctl lease list");
    return strtoll(text + strlen("found "), NULL, 10);
}

bool api_await_no_lease(const struct api_scene *scene, int64_t lease_id, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    while (api_lease_left_s(scene, lease_id) >= 0) {
        if (process_now_ms() > until_ms) {
            return false;
        }
        process_sleep_ms(PAUSE_MS);
    }
    return true;
}

bool api_await_lease_count(const struct api_scene *scene, int64_t count, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    while (api_lease_count(scene) != count) {
        if (process_now_ms() > until_ms) {
            return false;
        }
        process_sleep_ms(PAUSE_MS);
    }
    return true;
}
