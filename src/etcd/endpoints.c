/* etcd/endpoints.c - one endpoint at a time; the first that is wrong is named. */
#include "etcd/endpoints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char DIGITS[] = "0123456789";

/* A part of the text. */
struct span {
    const char *data;
    size_t size;
};

static struct span trim(struct span span)
{
    while (span.size > 0 && strchr(" \t", span.data[0]) != NULL) {
        span.data++;
        span.size--;
    }
    while (span.size > 0 && strchr(" \t/", span.data[span.size - 1]) != NULL) {
        span.size--;
    }
    return span;
}

static bool strip(struct span *span, const char *prefix)
{
    const size_t size = strlen(prefix);
    if (span->size < size || strncmp(span->data, prefix, size) != 0) {
        return false;
    }
    span->data += size;
    span->size -= size;
    return true;
}

/* 2379 of "host:2379", at most LONG_MAX; -1 when there is none. */
static long port_of(const char *name)
{
    const char *colon = strrchr(name, ':');
    if (colon == NULL || colon[1] == '\0' || strspn(colon + 1, DIGITS) != strlen(colon + 1)) {
        return -1;
    }
    return strtol(colon + 1, NULL, 10);
}

/* A host is a name, an IPv4 address, or an IPv6 address in brackets. */
static bool host_is_valid(const char *name)
{
    const size_t size = (size_t)(strrchr(name, ':') - name);
    if (name[0] == '[') {
        return size > 3 && name[size - 1] == ']' &&
               strspn(name + 1, "0123456789abcdefABCDEF:.") == size - 2;
    }
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    return size > 0 && strspn(name, allowed) == size;
}

static enum rollcall_status check(const char *name, struct rollcall_error *error)
{
    const long port = port_of(name);
    if (port < 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "endpoint \"%.100s\" has no port: write HOST:PORT, such "
                                  "as " ROLLCALL__ENDPOINTS_DEFAULT,
                                  name);
    }
    if (port < 1 || port > 65535) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "endpoint \"%.100s\" has a port out of range: give 1 to 65535",
                                  name);
    }
    if (!host_is_valid(name)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "endpoint \"%.100s\" has no valid host: write HOST:PORT, and an "
                                  "IPv6 address in brackets",
                                  name);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status add(struct rollcall__endpoints *endpoints, struct span span,
                                struct rollcall_error *error)
{
    enum rollcall__scheme scheme = ROLLCALL__SCHEME_NONE;
    span = trim(span);
    if (strip(&span, "http://")) {
        scheme = ROLLCALL__SCHEME_HTTP;
    } else if (strip(&span, "https://")) {
        scheme = ROLLCALL__SCHEME_HTTPS;
    }
    if (span.size == 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "endpoints has an empty entry: write HOST:PORT[,HOST:PORT...]");
    }
    if (endpoints->count == ROLLCALL__ENDPOINTS_MAX || span.size >= ROLLCALL__ENDPOINT_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "endpoints has more than %d entries, or one of more than %d "
                                  "bytes: give fewer",
                                  ROLLCALL__ENDPOINTS_MAX, ROLLCALL__ENDPOINT_BYTES - 1);
    }
    if (scheme != ROLLCALL__SCHEME_NONE && endpoints->scheme != ROLLCALL__SCHEME_NONE &&
        scheme != endpoints->scheme) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "endpoints mixes http:// and https://: use one of them");
    }
    char *name = endpoints->names[endpoints->count];
    memcpy(name, span.data, span.size);
    name[span.size] = '\0';
    endpoints->scheme = scheme != ROLLCALL__SCHEME_NONE ? scheme : endpoints->scheme;
    endpoints->count++;
    return check(name, error);
}

enum rollcall_status rollcall__endpoints_parse(const char *text,
                                               struct rollcall__endpoints *endpoints,
                                               struct rollcall_error *error)
{
    const char *rest = text == NULL ? ROLLCALL__ENDPOINTS_DEFAULT : text;
    memset(endpoints, 0, sizeof *endpoints);
    for (;;) {
        const size_t size = strcspn(rest, ",");
        const enum rollcall_status status =
            add(endpoints, (struct span){.data = rest, .size = size}, error);
        if (status != ROLLCALL_OK || rest[size] == '\0') {
            return status;
        }
        rest += size + 1;
    }
}

static bool is_known(const struct rollcall__endpoints *endpoints, const char *name)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        if (strcmp(endpoints->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool rollcall__endpoints_add(struct rollcall__endpoints *endpoints, struct rollcall_bytes url)
{
    struct rollcall__endpoints one = {.count = 0};
    const struct span span = {.data = url.data, .size = url.size_bytes};
    if (endpoints->count == ROLLCALL__ENDPOINTS_MAX || add(&one, span, NULL) != ROLLCALL_OK) {
        return false;
    }
    const bool secure = endpoints->scheme == ROLLCALL__SCHEME_HTTPS;
    if (secure != (one.scheme == ROLLCALL__SCHEME_HTTPS) || is_known(endpoints, one.names[0])) {
        return false;
    }
    memcpy(endpoints->names[endpoints->count++], one.names[0], sizeof one.names[0]);
    return true;
}

void rollcall__endpoint_target(const char *name, char *target, size_t target_bytes)
{
    const size_t host_size = (size_t)(strrchr(name, ':') - name);
    const char *scheme = "dns:///";
    if (name[0] == '[') {
        scheme = "ipv6:";
    } else if (strspn(name, "0123456789.") == host_size) {
        scheme = "ipv4:";
    }
    snprintf(target, target_bytes, "%s%s", scheme, name);
}
