/* tests/support/gateway.c - see gateway.h.  One connection for each request, by HTTP/1.0, so that
 * an answer is no chunks but what it says, until it ends. */
#include "support/gateway.h"

#include "support/etcd_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 2, BASE64_BYTES = GATEWAY_TEXT_BYTES * 4 / 3 + 8, ANSWER_BYTES = 1 << 16 };

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- base64 ---- */

static void encode(const char *text, char *out)
{
    const size_t size = strlen(text);
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i < 3 ? size - i : 3;
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++) {
            bits = bits << 8 | (j < left ? (unsigned char)text[i + j] : 0);
        }
        for (size_t j = 0; j < 4; j++) {
            *out++ = j <= left ? DIGITS[bits >> (18 - 6 * j) & 63] : '=';
        }
    }
    *out = '\0';
}

/* What follows a member's name, to the quote; false: it is no such text, or too long. */
static bool decode(const char *text, char *out)
{
    uint32_t bits = 0;
    size_t size = 0, digits = 0;
    for (; *text != '"' && *text != '='; text++) {
        const char *digit = *text == '\0' ? NULL : strchr(DIGITS, *text);
        if (digit == NULL || size == GATEWAY_TEXT_BYTES - 1) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(digit - DIGITS);
        if (++digits % 4 != 1) {
            out[size++] = (char)(bits >> (6 - 2 * ((digits - 1) % 4)) & 0xff);
        }
    }
    out[size] = '\0';
    return true;
}

/* ---- requests ---- */

/* body: NULL: none, and the method is GET.  -1: it cannot be reached. */
static int ask(const char *endpoint, const char *path, const char *body)
{
    static const struct timeval limit = {.tv_sec = TIMEOUT_S};
    char request[4096];
    struct sockaddr_in address;
    const char *colon = strrchr(endpoint, ':');
    const int fd = etcd_fixture_socket((uint16_t)strtoul(colon + 1, NULL, 10), 0, &address);
    const int size =
        snprintf(request, sizeof request, "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s",
                 body == NULL ? "GET" : "POST", path, body == NULL ? 0 : strlen(body),
                 body == NULL ? "" : body);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        (size_t)size < sizeof request && send(fd, request, (size_t)size, MSG_NOSIGNAL) == size) {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* True: a whole answer with status 200, of which the body is kept. */
static bool exchange(const char *endpoint, const char *path, const char *body, char *answer)
{
    const int fd = ask(endpoint, path, body);
    size_t used = 0;
    ssize_t size = 0;
    if (fd < 0) {
        return false;
    }
    while (used < ANSWER_BYTES - 1 &&
           (size = recv(fd, answer + used, ANSWER_BYTES - 1 - used, 0)) > 0) {
        used += (size_t)size;
    }
    close(fd);
    answer[used] = '\0';
    return size == 0 && strstr(answer, " 200 OK\r\n") != NULL && answer[used - 1] == '}';
}

static const char *member(const char *json, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":\"", name);
    const char *found = strstr(json, quoted);
    return found == NULL ? NULL : found + strlen(quoted);
}

static int64_t number(const char *json, const char *name)
{
    const char *digits = member(json, name);
    return digits == NULL ? 0 : strtoll(digits, NULL, 10);
}

bool gateway_put(const char *endpoint, const char *key, const char *value, int64_t *revision)
{
    char key64[BASE64_BYTES], value64[BASE64_BYTES], body[2 * BASE64_BYTES + 64];
    char answer[ANSWER_BYTES];
    encode(key, key64);
    encode(value, value64);
    snprintf(body, sizeof body, "{\"key\":\"%s\",\"value\":\"%s\"}", key64, value64);
    const bool done = exchange(endpoint, "/v3/kv/put", body, answer);
    if (done && revision != NULL) {
        *revision = number(answer, "revision");
    }
    return done;
}

bool gateway_delete(const char *endpoint, const char *key)
{
    char key64[BASE64_BYTES], body[BASE64_BYTES + 64], answer[ANSWER_BYTES];
    encode(key, key64);
    snprintf(body, sizeof body, "{\"key\":\"%s\"}", key64);
    return exchange(endpoint, "/v3/kv/deleterange", body, answer);
}

bool gateway_get(const char *endpoint, const char *key, char *value)
{
    char key64[BASE64_BYTES], body[BASE64_BYTES + 64], answer[ANSWER_BYTES];
    encode(key, key64);
    snprintf(body, sizeof body, "{\"key\":\"%s\"}", key64);
    if (!exchange(endpoint, "/v3/kv/range", body, answer)) {
        return false;
    }
    const char *found = member(answer, "value");
    value[0] = '\0';
    return found == NULL || decode(found, value);
}

bool gateway_compact(const char *endpoint, int64_t revision)
{
    char body[64], answer[ANSWER_BYTES];
    snprintf(body, sizeof body, "{\"revision\":\"%" PRId64 "\"}", revision);
    return exchange(endpoint, "/v3/kv/compaction", body, answer);
}

/* ---- history ---- */

/* One line: a watch response; sets *last to the highest revision told. */
static bool tell_events(char *line, gateway_event_fn *tell, void *user, int64_t *last)
{
    static const char KV[] = "\"kv\":{", DELETED[] = "\"type\":\"DELETE\",";
    for (char *at = strstr(line, KV); at != NULL; at = strstr(at, KV)) {
        static const size_t before = sizeof DELETED - 1;
        struct gateway_event event = {.deleted = at - line >= (ptrdiff_t)before &&
                                                 strncmp(at - before, DELETED, before) == 0};
        at += sizeof KV - 1;
        char *end = strchr(at, '}');
        if (end == NULL) {
            return false;
        }
        *end = '\0'; /* so that nothing is found of the next */
        const char *key = member(at, "key"), *value = member(at, "value");
        event.revision = number(at, "mod_revision");
        if (key == NULL || !decode(key, event.key) ||
            (value != NULL && !decode(value, event.value))) {
            return false;
        }
        *end = '}';
        tell(user, &event);
        *last = event.revision;
    }
    return strstr(line, "\"canceled\":true") == NULL && strstr(line, "\"error\"") == NULL;
}

/* The end of a prefix: its last byte, which is no 0xff, plus one. */
static void range_end(const char *prefix, char *end)
{
    snprintf(end, GATEWAY_TEXT_BYTES, "%s", prefix);
    end[strlen(end) - 1]++;
}

bool gateway_history(const char *endpoint, const char *prefix, int64_t from, int64_t to,
                     gateway_event_fn *tell, void *user)
{
    char end[GATEWAY_TEXT_BYTES], key64[BASE64_BYTES], end64[BASE64_BYTES];
    char body[2 * BASE64_BYTES + 128];
    char *line = NULL;
    size_t capacity = 0;
    int64_t last = 0;
    range_end(prefix, end);
    encode(prefix, key64);
    encode(end, end64);
    snprintf(
        body, sizeof body,
        "{\"create_request\":{\"key\":\"%s\",\"range_end\":\"%s\",\"start_revision\":\"%" PRId64
        "\"}}",
        key64, end64, from);
    const int fd = ask(endpoint, "/v3/watch", body);
    FILE *answer = fd < 0 ? NULL : fdopen(fd, "r");
    bool going_on = answer != NULL;
    while (going_on && last < to) {
        going_on = getline(&line, &capacity, answer) > 0 && tell_events(line, tell, user, &last);
    }
    free(line);
    if (answer != NULL) {
        fclose(answer);
    }
    return going_on;
}

int64_t gateway_metric(const char *endpoint, const char *name)
{
    const size_t length = strlen(name);
    const int fd = ask(endpoint, "/metrics", NULL);
    FILE *answer = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t capacity = 0;
    int64_t value = -1;
    while (answer != NULL && value < 0 && getline(&line, &capacity, answer) > 0) {
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            value = (int64_t)strtod(line + length, NULL);
        }
    }
    free(line);
    if (answer != NULL) {
        fclose(answer);
    }
    return value;
}
