/* channel/error.c - see error.h. */
#include "channel/error.h"

#include <string.h>

struct rule {
    const char *message; /* NULL: the row is for its code, and what no other row knows */
    int grpc_code;       /* what we report, whatever version of etcd said it */
    enum rollcall__etcd_class class;
    enum rollcall_status status;
    bool refused;       /* certainly not applied */
    const char *advice; /* NULL: by the code */
};

/* So that a row fits a line or two. */
#define CODE(name) ROLLCALL__CODE_##name
#define CLASS(name) ROLLCALL__ETCD_##name
#define STATUS(name) ROLLCALL_E_##name

/* What we never ask for, or never so. */
#define OUR_BUG "this is a bug of rollcall: report it"
#define NOT_OURS "rollcall asks for no such thing: report it, with what stands before etcd, if any"

/*
 * Those by code stand last.  The rows of one status and code have one class, for an error is
 * classed by these two; but for RETRY and UNKNOWN, which maybe_applied tells apart.
 */
static const struct rule RULES[] = {
    /* ---- RETRY, UNKNOWN: the world may change its mind ---- */
    {"etcdserver: no leader", CODE(UNAVAILABLE), CLASS(RETRY), STATUS(UNAVAILABLE), true,
     "this member has no leader; another may"},
    {"etcdserver: unhealthy cluster", CODE(UNAVAILABLE), CLASS(RETRY), STATUS(UNAVAILABLE), true,
     "check that a majority of the members runs"},
    {"etcdserver: leader changed", CODE(UNAVAILABLE), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false,
     "try again"},
    {"etcdserver: server stopped", CODE(UNAVAILABLE), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false,
     "this member is going down; another may not"},
    {"etcdserver: request timed out", CODE(UNAVAILABLE), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false,
     "check that a majority of the members runs, and their disks"},
    {"etcdserver: request timed out, possibly due to previous leader failure", CODE(UNAVAILABLE),
     CLASS(UNKNOWN), STATUS(UNAVAILABLE), false, "there is a new leader: try again"},
    {"etcdserver: request timed out, possibly due to connection lost", CODE(UNAVAILABLE),
     CLASS(UNKNOWN), STATUS(UNAVAILABLE), false, "check how the members reach each other"},
    {"etcdserver: request timed out, waiting for the applied index took too long",
     CODE(UNAVAILABLE), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false,
     "this member lags; another may not"},
    {"etcdserver: watch canceled", CODE(CANCELLED), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false,
     "watch again"},
    {"etcdserver: request canceled", CODE(CANCELLED), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false,
     "try again"},
    {"context deadline exceeded", CODE(DEADLINE_EXCEEDED), CLASS(UNKNOWN), STATUS(TIMEOUT), false,
     "check that a majority of the members runs"},
    {"not a primary lessor", CODE(UNKNOWN), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false,
     "this member leads no more; another does"},
    /* gRPC's own: there was no connection, so nothing was sent. */
    {"failed to connect to all addresses", CODE(UNAVAILABLE), CLASS(RETRY), STATUS(UNAVAILABLE),
     true, NULL},
    /* ---- BACKOFF: it was not proposed ---- */
    {"etcdserver: too many requests", CODE(RESOURCE_EXHAUSTED), CLASS(BACKOFF), STATUS(UNAVAILABLE),
     true, "try again later"},
    /* ---- ENDPOINT: Unavailable in 3.4 and 3.5.0, FailedPrecondition since ---- */
    {"rpc not supported for learner", CODE(FAILED_PRECONDITION), CLASS(ENDPOINT),
     STATUS(UNAVAILABLE), true, "this member only learns; another does not"},
    {"etcdserver: not capable", CODE(FAILED_PRECONDITION), CLASS(ENDPOINT), STATUS(UNAVAILABLE),
     true, "this member is not up yet; try again"},
    /* ---- AUTH, NO_AUTH; the first two with InvalidArgument ---- */
    {"etcdserver: user name is empty", CODE(UNAUTHENTICATED), CLASS(AUTH), STATUS(DENIED), true,
     "this cluster has authentication on: give user and password"},
    {"etcdserver: revision of auth store is old", CODE(UNAUTHENTICATED), CLASS(AUTH),
     STATUS(DENIED), true, "authenticate again"},
    {"etcdserver: invalid auth token", CODE(UNAUTHENTICATED), CLASS(AUTH), STATUS(DENIED), true,
     "authenticate again"},
    {"etcdserver: authentication is not enabled", CODE(FAILED_PRECONDITION), CLASS(NO_AUTH),
     STATUS(DENIED), true, "leave user and password out"},
    /* ---- RESYNC ---- */
    {"mvcc: required revision has been compacted", CODE(OUT_OF_RANGE), CLASS(RESYNC),
     STATUS(COMPACTED), true, "list again"},
    {"mvcc: required revision is a future revision", CODE(OUT_OF_RANGE), CLASS(RESYNC),
     STATUS(UNAVAILABLE), true, "this member lags; another may not"},
    /* ---- LEASE; that it exists comes with FailedPrecondition ---- */
    {"etcdserver: requested lease not found", CODE(NOT_FOUND), CLASS(LEASE), STATUS(LEASE_LOST),
     true, "register again"},
    {"etcdserver: lease already exists", CODE(ALREADY_EXISTS), CLASS(LEASE), STATUS(REJECTED), true,
     OUR_BUG},
    /* ---- HALT: what somebody has to change ---- */
    {"etcdserver: mvcc: database space exceeded", CODE(RESOURCE_EXHAUSTED), CLASS(HALT),
     STATUS(NO_SPACE), true, "compact, defragment and disarm the alarm"},
    /* "received" is said by etcd of a request, "Received" by our gRPC of an answer. */
    {"eceived message larger than max", CODE(RESOURCE_EXHAUSTED), CLASS(HALT), STATUS(REJECTED),
     false, "ask for less at a time"},
    {"Sent message larger than max", CODE(RESOURCE_EXHAUSTED), CLASS(HALT), STATUS(REJECTED), true,
     "store less"},
    {"etcdserver: request is too large", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED),
     true, "store less, or raise --max-request-bytes"},
    {"etcdserver: authentication failed", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(DENIED), true,
     "check user and password"},
    {"etcdserver: permission denied", CODE(PERMISSION_DENIED), CLASS(HALT), STATUS(DENIED), true,
     "grant the user's role readwrite on the keys"},
    {"etcdserver: corrupt cluster", CODE(DATA_LOSS), CLASS(HALT), STATUS(CORRUPT), true,
     "etcd found its members to differ: repair the cluster"},
    {"etcdserver: too large lease TTL", CODE(OUT_OF_RANGE), CLASS(HALT), STATUS(REJECTED), true,
     "give a smaller ttl_s"},
    {"etcdserver: cluster ID mismatch", CODE(FAILED_PRECONDITION), CLASS(HALT), STATUS(REJECTED),
     true, "this member is of another cluster: check the endpoints"},
    {"etcdserver: invalid client api version", CODE(INVALID_ARGUMENT), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"mvcc: watcher range is empty", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true,
     "give an end that sorts after the key"},
    /* ---- HALT: what only a bug brings ---- */
    {"etcdserver: key is not provided", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true,
     OUR_BUG},
    {"etcdserver: key not found", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true,
     OUR_BUG},
    {"etcdserver: value is provided", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true,
     OUR_BUG},
    {"etcdserver: lease is provided", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true,
     OUR_BUG},
    {"etcdserver: too many operations in txn request", CODE(INVALID_ARGUMENT), CLASS(HALT),
     STATUS(REJECTED), true, OUR_BUG},
    {"etcdserver: duplicate key given in txn request", CODE(INVALID_ARGUMENT), CLASS(HALT),
     STATUS(REJECTED), true, OUR_BUG},
    {"etcdserver: invalid sort option", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true,
     OUR_BUG},
    {"mvcc: duplicate watch ID", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true,
     OUR_BUG},
    /* ---- HALT: administration, which we never ask for ---- */
    {"etcdserver: invalid auth management", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED),
     true, NOT_OURS},
    {"etcdserver: role name is empty", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true,
     NOT_OURS},
    {"etcdserver: permission not given", CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED),
     true, NOT_OURS},
    {"etcdserver: given member URLs are invalid", CODE(INVALID_ARGUMENT), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: wrong downgrade target version format", CODE(INVALID_ARGUMENT), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: invalid downgrade target version", CODE(INVALID_ARGUMENT), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: member not found", CODE(NOT_FOUND), CLASS(HALT), STATUS(REJECTED), true,
     NOT_OURS},
    {"etcdserver: not leader", CODE(FAILED_PRECONDITION), CLASS(HALT), STATUS(REJECTED), true,
     NOT_OURS},
    {"etcdserver: bad leader transferee", CODE(FAILED_PRECONDITION), CLASS(HALT), STATUS(REJECTED),
     true, NOT_OURS},
    {"etcdserver: member ID already exist", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: Peer URLs already exists", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: re-configuration failed due to not enough started members",
     CODE(FAILED_PRECONDITION), CLASS(HALT), STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: can only promote a learner member", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: too many learner members in cluster", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: root user does not exist", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: root user does not have root role", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: user name already exists", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: user name not found", CODE(FAILED_PRECONDITION), CLASS(HALT), STATUS(REJECTED),
     true, NOT_OURS},
    {"etcdserver: role name already exists", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: role name not found", CODE(FAILED_PRECONDITION), CLASS(HALT), STATUS(REJECTED),
     true, NOT_OURS},
    {"etcdserver: role is not granted to the user", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: permission is not granted to the role", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: cluster has a downgrade job in progress", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    {"etcdserver: no inflight downgrade job", CODE(FAILED_PRECONDITION), CLASS(HALT),
     STATUS(REJECTED), true, NOT_OURS},
    /* ---- by code: what no row above knows ---- */
    /* A stream that ended without an error. */
    {NULL, CODE(OK), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false, NULL},
    {NULL, CODE(CANCELLED), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false, NULL},
    {NULL, CODE(UNKNOWN), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false, NULL},
    {NULL, CODE(INVALID_ARGUMENT), CLASS(HALT), STATUS(REJECTED), true, NULL},
    {NULL, CODE(DEADLINE_EXCEEDED), CLASS(UNKNOWN), STATUS(TIMEOUT), false, NULL},
    {NULL, CODE(NOT_FOUND), CLASS(HALT), STATUS(REJECTED), true, NULL},
    {NULL, CODE(ALREADY_EXISTS), CLASS(LEASE), STATUS(REJECTED), true, NULL},
    {NULL, CODE(PERMISSION_DENIED), CLASS(HALT), STATUS(DENIED), true, NULL},
    {NULL, CODE(RESOURCE_EXHAUSTED), CLASS(HALT), STATUS(REJECTED), true, NULL},
    {NULL, CODE(FAILED_PRECONDITION), CLASS(HALT), STATUS(REJECTED), true, NULL},
    {NULL, CODE(ABORTED), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false, NULL},
    {NULL, CODE(OUT_OF_RANGE), CLASS(HALT), STATUS(REJECTED), true, NULL},
    {NULL, CODE(UNIMPLEMENTED), CLASS(HALT), STATUS(REJECTED), true, NULL},
    {NULL, CODE(INTERNAL), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false, NULL},
    {NULL, CODE(UNAVAILABLE), CLASS(UNKNOWN), STATUS(UNAVAILABLE), false, NULL},
    {NULL, CODE(DATA_LOSS), CLASS(HALT), STATUS(CORRUPT), false, NULL},
    {NULL, CODE(UNAUTHENTICATED), CLASS(AUTH), STATUS(DENIED), true, NULL},
};
enum { RULE_COUNT = sizeof RULES / sizeof RULES[0] };

static bool holds(struct rollcall_bytes text, const char *part)
{
    return text.size_bytes != 0 && memmem(text.data, text.size_bytes, part, strlen(part)) != NULL;
}

/* The longest message in the text; NULL: none of ours. */
static const struct rule *rule_of_message(struct rollcall_bytes message)
{
    const struct rule *best = NULL;
    for (size_t i = 0; i < RULE_COUNT && RULES[i].message != NULL; i++) {
        if (holds(message, RULES[i].message) &&
            (best == NULL || strlen(RULES[i].message) > strlen(best->message))) {
            best = &RULES[i];
        }
    }
    return best;
}

/* A code that gRPC does not have is as if it did not know. */
static const struct rule *rule_of_code(int grpc_code)
{
    const struct rule *unknown = NULL;
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (RULES[i].message == NULL && RULES[i].grpc_code == grpc_code) {
            return &RULES[i];
        }
        if (RULES[i].message == NULL && RULES[i].grpc_code == ROLLCALL__CODE_UNKNOWN) {
            unknown = &RULES[i];
        }
    }
    return unknown;
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

#define HUNG_UP                                                                                    \
    "check that it runs there, whether it wants TLS (ca_file), and whether it wants a "            \
    "certificate "                                                                                 \
    "of a CA that it trusts (cert_file, key_file)"

/* What gRPC says of a connection that cannot be made, and what to do.  First match. */
static const struct {
    const char *cause, *advice;
} CONNECTING[] = {
    {"certificate verify failed",
     "its certificate is not accepted: check that ca_file holds the CA that signed it, that it has "
     "not expired, and this machine's clock"},
    {"Hostname Verification Check failed",
     "its certificate is for another name: give the endpoint by a name that the certificate has"},
    {"wrong version number", "it does not talk TLS: leave ca_file and https:// out"},
    {"Failed to create security handshaker", "check ca_file, cert_file and key_file"},
    /* All that is seen of a server that wants TLS, or a certificate of ours: it hangs up. */
    {"Endpoint read failed", HUNG_UP},
    {"Socket closed", HUNG_UP},
    {"Connection reset by peer", HUNG_UP},
    {"", "check that it runs there"},
};

static const char *connecting_advice(struct rollcall_bytes cause)
{
    size_t i = 0;
    while (CONNECTING[i].cause[0] != '\0' && !holds(cause, CONNECTING[i].cause)) {
        i++;
    }
    return CONNECTING[i].advice;
}

static void say_code(struct rollcall_error *error, enum rollcall_status status,
                     const struct rollcall__etcd_failure *failure)
{
    const struct rollcall_bytes message = cause_of(failure->message);
    if (failure->grpc_code == ROLLCALL__CODE_DEADLINE_EXCEEDED) {
        rollcall_error_set(error, status,
                           "etcd at %s did not answer within %lld ms: check that it runs and has a "
                           "leader, or raise call_timeout_ms",
                           failure->endpoint, (long long)failure->timeout_ms);
    } else if (failure->grpc_code == ROLLCALL__CODE_UNAVAILABLE) {
        rollcall_error_set(error, status, "etcd at %s is unreachable (%.*s): %s", failure->endpoint,
                           cut(message, 120), text_of(message), connecting_advice(message));
    } else if (failure->grpc_code == ROLLCALL__CODE_UNIMPLEMENTED) {
        rollcall_error_set(error, status,
                           "the server at %s does not know the request (%.*s): check that it is an "
                           "etcd of version 3.4 or later",
                           failure->endpoint, cut(message, 80), text_of(message));
    } else if (failure->grpc_code == ROLLCALL__CODE_OK) {
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
    const struct rule *rule = rule_of_message(failure->message);
    if (rule == NULL) {
        rule = rule_of_code(failure->grpc_code);
    }
    if (rule->advice != NULL) {
        rollcall_error_set(error, rule->status, "etcd at %s says \"%.*s\": %s", failure->endpoint,
                           cut(failure->message, 100), text_of(failure->message), rule->advice);
        error->grpc_code = rule->grpc_code;
    } else {
        say_code(error, rule->status, failure);
        error->grpc_code = failure->grpc_code;
    }
    error->maybe_applied = failure->write && !rule->refused;
    return rule->status;
}

void rollcall__etcd_canceled(struct rollcall_error *error, const char *reason)
{
    const struct rollcall_bytes message = {.data = reason, .size_bytes = strlen(reason)};
    const struct rule *rule = rule_of_message(message);
    if (reason[0] == '\0') { /* never ours: we end the stream instead */
        rollcall_error_set(error, ROLLCALL_E_UNAVAILABLE,
                           "etcd cancelled the watch without a reason");
        return;
    }
    rollcall_error_set(error, rule == NULL ? ROLLCALL_E_REJECTED : rule->status,
                       "etcd cancelled the watch, saying \"%.*s\": %s", cut(message, 100), reason,
                       rule == NULL || rule->advice == NULL ? "check the range and the user's role"
                                                            : rule->advice);
    error->grpc_code = rule == NULL ? ROLLCALL__CODE_UNKNOWN : rule->grpc_code;
}

/* NULL: it is one of the transport's own. */
static const struct rule *rule_of_error(const struct rollcall_error *error)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (RULES[i].status == error->status && RULES[i].grpc_code == error->grpc_code) {
            return &RULES[i];
        }
    }
    return NULL;
}

enum rollcall__etcd_class rollcall__etcd_class(const struct rollcall_error *error)
{
    const struct rule *rule = rule_of_error(error);
    const bool passing =
        error->status == ROLLCALL_E_UNAVAILABLE || error->status == ROLLCALL_E_TIMEOUT;
    enum rollcall__etcd_class class = passing ? ROLLCALL__ETCD_UNKNOWN : ROLLCALL__ETCD_HALT;
    if (rule != NULL) {
        class = rule->class;
    }
    if (class == ROLLCALL__ETCD_RETRY || class == ROLLCALL__ETCD_UNKNOWN) {
        class = error->maybe_applied ? ROLLCALL__ETCD_UNKNOWN : ROLLCALL__ETCD_RETRY;
    }
    return class;
}

bool rollcall__etcd_already_done(enum transport_kind kind,
                                 const struct rollcall__etcd_failure *failure)
{
    const struct rule *rule = rule_of_message(failure->message);
    if (rule == NULL || rule->class != ROLLCALL__ETCD_LEASE) {
        return false;
    }
    return (kind == TRANSPORT_LEASE_GRANT && rule->grpc_code == ROLLCALL__CODE_ALREADY_EXISTS) ||
           (kind == TRANSPORT_LEASE_REVOKE && rule->grpc_code == ROLLCALL__CODE_NOT_FOUND);
}

bool rollcall__etcd_token_refused(const struct rollcall_error *error)
{
    return rollcall__etcd_class(error) == ROLLCALL__ETCD_AUTH;
}

bool rollcall__etcd_needs_no_token(const struct rollcall__etcd_failure *failure)
{
    const struct rule *rule = rule_of_message(failure->message);
    return rule != NULL && rule->class == ROLLCALL__ETCD_NO_AUTH;
}

bool rollcall__etcd_blames_endpoint(const struct rollcall_error *error)
{
    const enum rollcall__etcd_class class = rollcall__etcd_class(error);
    return class == ROLLCALL__ETCD_RETRY || class == ROLLCALL__ETCD_UNKNOWN ||
           class == ROLLCALL__ETCD_ENDPOINT ||
           (class == ROLLCALL__ETCD_RESYNC && error->status == ROLLCALL_E_UNAVAILABLE);
}
