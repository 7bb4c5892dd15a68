/*
 * etcd/error.c - two tables: etcd's sentences, which have been stable since 3.4, then gRPC's codes.
 * A message is looked for inside the text, because a watch's cancel_reason wraps it.
 */
#include "etcd/error.h"

#include <grpc/status.h>

#include <string.h>

struct rule {
    const char *message;
    int grpc_code; /* what we report, whatever version of etcd said it */
    enum rollcall_status status;
    bool refused; /* certainly not applied */
    const char *advice;
};

#define NO_LEADER "etcdserver: no leader"
#define LEASE_NOT_FOUND "etcdserver: requested lease not found"
#define LEASE_EXISTS "etcdserver: lease already exists"
#define AUTH_OFF "etcdserver: authentication is not enabled"

/* A longer message stands before one it contains. */
static const struct rule RULES[] = {
    {NO_LEADER, GRPC_STATUS_UNAVAILABLE, ROLLCALL_E_UNAVAILABLE, true,
     "this member has no leader; another may"},
    {"etcdserver: leader changed", GRPC_STATUS_UNAVAILABLE, ROLLCALL_E_UNAVAILABLE, false,
     "try again"},
    {"etcdserver: unhealthy cluster", GRPC_STATUS_UNAVAILABLE, ROLLCALL_E_UNAVAILABLE, true,
     "check that a majority of the members runs"},
    {"etcdserver: too many requests", GRPC_STATUS_RESOURCE_EXHAUSTED, ROLLCALL_E_UNAVAILABLE, true,
     "try again later"},
    {"etcdserver: mvcc: database space exceeded", GRPC_STATUS_RESOURCE_EXHAUSTED,
     ROLLCALL_E_NO_SPACE, true, "compact, defragment and disarm the alarm"},
    {"mvcc: required revision has been compacted", GRPC_STATUS_OUT_OF_RANGE, ROLLCALL_E_COMPACTED,
     true, "list again"},
    {"mvcc: required revision is a future revision", GRPC_STATUS_OUT_OF_RANGE,
     ROLLCALL_E_UNAVAILABLE, true, "this member lags; another may not"},
    {LEASE_NOT_FOUND, GRPC_STATUS_NOT_FOUND, ROLLCALL_E_LEASE_LOST, true, "register again"},
    {"etcdserver: invalid auth token", GRPC_STATUS_UNAUTHENTICATED, ROLLCALL_E_DENIED, true,
     "authenticate again"},
    {"etcdserver: revision of auth store is old", GRPC_STATUS_UNAUTHENTICATED, ROLLCALL_E_DENIED,
     true, "authenticate again"},
    {"etcdserver: user name is empty", GRPC_STATUS_UNAUTHENTICATED, ROLLCALL_E_DENIED, true,
     "this cluster has authentication on: give user and password"},
    {"etcdserver: authentication failed", GRPC_STATUS_INVALID_ARGUMENT, ROLLCALL_E_DENIED, true,
     "check user and password"},
    {"etcdserver: permission denied", GRPC_STATUS_PERMISSION_DENIED, ROLLCALL_E_DENIED, true,
     "grant the user's role readwrite on the keys"},
    {"etcdserver: request is too large", GRPC_STATUS_INVALID_ARGUMENT, ROLLCALL_E_REJECTED, true,
     "store less, or raise --max-request-bytes"},
    {"received message larger than max", GRPC_STATUS_RESOURCE_EXHAUSTED, ROLLCALL_E_REJECTED, false,
     "ask for less at a time"},
    {"rpc not supported for learner", GRPC_STATUS_UNAVAILABLE, ROLLCALL_E_UNAVAILABLE, true,
     "this member only learns; another does not"},
    {"etcdserver: not capable", GRPC_STATUS_UNAVAILABLE, ROLLCALL_E_UNAVAILABLE, true,
     "this member is not up yet; try again"},
    {"etcdserver: corrupt cluster", GRPC_STATUS_DATA_LOSS, ROLLCALL_E_CORRUPT, true,
     "etcd found its members to differ: repair the cluster"},
    {"mvcc: duplicate watch ID", GRPC_STATUS_INVALID_ARGUMENT, ROLLCALL_E_REJECTED, true,
     "this is a bug of rollcall: report it"},
    {"mvcc: watcher range is empty", GRPC_STATUS_INVALID_ARGUMENT, ROLLCALL_E_REJECTED, true,
     "give an end that sorts after the key"},
};

struct code_rule {
    enum rollcall_status status;
    bool refused;
};

static const struct code_rule CODE_RULES[] = {
    [GRPC_STATUS_OK] = {ROLLCALL_E_UNAVAILABLE, false}, /* a stream that ended without an error */
    [GRPC_STATUS_CANCELLED] = {ROLLCALL_E_UNAVAILABLE, false},
    [GRPC_STATUS_UNKNOWN] = {ROLLCALL_E_UNAVAILABLE, false},
    [GRPC_STATUS_INVALID_ARGUMENT] = {ROLLCALL_E_REJECTED, true},
    [GRPC_STATUS_DEADLINE_EXCEEDED] = {ROLLCALL_E_TIMEOUT, false},
    [GRPC_STATUS_NOT_FOUND] = {ROLLCALL_E_REJECTED, true},
    [GRPC_STATUS_ALREADY_EXISTS] = {ROLLCALL_E_REJECTED, true},
    [GRPC_STATUS_PERMISSION_DENIED] = {ROLLCALL_E_DENIED, true},
    [GRPC_STATUS_RESOURCE_EXHAUSTED] = {ROLLCALL_E_REJECTED, true},
    [GRPC_STATUS_FAILED_PRECONDITION] = {ROLLCALL_E_REJECTED, true},
    [GRPC_STATUS_ABORTED] = {ROLLCALL_E_UNAVAILABLE, false},
    [GRPC_STATUS_OUT_OF_RANGE] = {ROLLCALL_E_REJECTED, true},
    [GRPC_STATUS_UNIMPLEMENTED] = {ROLLCALL_E_REJECTED, true},
    [GRPC_STATUS_INTERNAL] = {ROLLCALL_E_UNAVAILABLE, false},
    [GRPC_STATUS_UNAVAILABLE] = {ROLLCALL_E_UNAVAILABLE, false},
    [GRPC_STATUS_DATA_LOSS] = {ROLLCALL_E_CORRUPT, false},
    [GRPC_STATUS_UNAUTHENTICATED] = {ROLLCALL_E_DENIED, true},
};
enum { CODE_COUNT = sizeof CODE_RULES / sizeof CODE_RULES[0] };

static bool holds(struct rollcall_bytes text, const char *part)
{
    return text.size_bytes != 0 && memmem(text.data, text.size_bytes, part, strlen(part)) != NULL;
}

static const struct rule *find_rule(struct rollcall_bytes message)
{
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        if (holds(message, RULES[i].message)) {
            return &RULES[i];
        }
    }
    return NULL;
}

/* A printf precision: at most `most` bytes of the text. */
static int cut(struct rollcall_bytes text, int most)
{
    return text.size_bytes < (size_t)most ? (int)text.size_bytes : most;
}

static const char *text_of(struct rollcall_bytes text)
{
    return text.data == NULL ? "" : text.data;
}

/* gRPC begins with the same words for every endpoint that cannot be reached; the cause follows. */
static struct rollcall_bytes cause_of(struct rollcall_bytes message)
{
    static const char *const PREFIXES[] = {
        "failed to connect to all addresses; last error: ", "UNKNOWN: ", "UNAVAILABLE: "};
    for (size_t i = 0; i < sizeof PREFIXES / sizeof PREFIXES[0]; i++) {
        const size_t length = strlen(PREFIXES[i]);
        if (message.size_bytes > length && memcmp(message.data, PREFIXES[i], length) == 0) {
            message.data += length;
            message.size_bytes -= length;
        }
    }
    return message;
}

static void say_code(struct rollcall_error *error, enum rollcall_status status,
                     const struct rollcall__etcd_failure *failure)
{
    const struct rollcall_bytes message = cause_of(failure->message);
    if (failure->grpc_code == GRPC_STATUS_DEADLINE_EXCEEDED) {
        rollcall_error_set(error, status,
                           "etcd at %s did not answer within %lld ms: check that it runs and has a "
                           "leader, or raise call_timeout_ms",
                           failure->endpoint, (long long)failure->timeout_ms);
    } else if (failure->grpc_code == GRPC_STATUS_UNAVAILABLE) {
        rollcall_error_set(error, status,
                           "etcd at %s is unreachable (%.*s): check that it runs there, and "
                           "whether it wants TLS",
                           failure->endpoint, cut(message, 140), text_of(message));
    } else if (failure->grpc_code == GRPC_STATUS_UNIMPLEMENTED) {
        rollcall_error_set(error, status,
                           "the server at %s does not know the request (%.*s): check that it is an "
                           "etcd of version 3.4 or later",
                           failure->endpoint, cut(message, 80), text_of(message));
    } else if (failure->grpc_code == GRPC_STATUS_OK) {
        rollcall_error_set(error, status, "etcd at %s closed the stream: open it again",
                           failure->endpoint);
    } else {
        rollcall_error_set(error, status, "etcd at %s answered with gRPC code %d: %.*s",
                           failure->endpoint, failure->grpc_code, cut(message, 150),
                           text_of(message));
    }
}

enum rollcall_status rollcall__etcd_error(struct rollcall_error *error,
                                          const struct rollcall__etcd_failure *failure)
{
    const struct rule *rule = find_rule(failure->message);
    const int code = failure->grpc_code;
    if (rule != NULL) {
        rollcall_error_set(error, rule->status, "etcd at %s says \"%.*s\": %s", failure->endpoint,
                           cut(failure->message, 100), text_of(failure->message), rule->advice);
        error->grpc_code = rule->grpc_code;
        error->maybe_applied = failure->write && !rule->refused;
        return rule->status;
    }
    const struct code_rule by_code = code >= 0 && code < CODE_COUNT
                                         ? CODE_RULES[code]
                                         : (struct code_rule){ROLLCALL_E_UNAVAILABLE, false};
    say_code(error, by_code.status, failure);
    error->grpc_code = code;
    error->maybe_applied = failure->write && !by_code.refused;
    return by_code.status;
}

void rollcall__etcd_canceled(struct rollcall_error *error, const char *reason)
{
    const struct rollcall_bytes message = {.data = reason, .size_bytes = strlen(reason)};
    const struct rule *rule = find_rule(message);
    if (reason[0] == '\0') { /* never ours: we end the stream instead */
        rollcall_error_set(error, ROLLCALL_E_UNAVAILABLE,
                           "etcd cancelled the watch without a reason");
        return;
    }
    rollcall_error_set(error, rule == NULL ? ROLLCALL_E_REJECTED : rule->status,
                       "etcd cancelled the watch, saying \"%.*s\": %s", cut(message, 100), reason,
                       rule == NULL ? "check the range and the user's role" : rule->advice);
    error->grpc_code = rule == NULL ? GRPC_STATUS_UNKNOWN : rule->grpc_code;
}

bool rollcall__etcd_already_done(enum transport_kind kind,
                                 const struct rollcall__etcd_failure *failure)
{
    return (kind == TRANSPORT_LEASE_GRANT && holds(failure->message, LEASE_EXISTS)) ||
           (kind == TRANSPORT_LEASE_REVOKE && holds(failure->message, LEASE_NOT_FOUND)) ||
           (kind == TRANSPORT_STATUS && holds(failure->message, NO_LEADER));
}

bool rollcall__etcd_token_refused(const struct rollcall_error *error)
{
    return error->status == ROLLCALL_E_DENIED && error->grpc_code == GRPC_STATUS_UNAUTHENTICATED;
}

bool rollcall__etcd_needs_no_token(const struct rollcall__etcd_failure *failure)
{
    return holds(failure->message, AUTH_OFF);
}

bool rollcall__etcd_blames_endpoint(const struct rollcall_error *error)
{
    return error->status == ROLLCALL_E_UNAVAILABLE || error->status == ROLLCALL_E_TIMEOUT;
}
