/* What etcd's and gRPC's failures mean to us. */
#include "channel/error.h"

#include "base/buffer.h"
#include "support/test.h"

static struct rollcall_error map(int code, const char *message, bool write)
{
    const struct rollcall__etcd_failure failure = {.grpc_code = code,
                                                   .message = rollcall__bytes(message),
                                                   .endpoint = "h:1",
                                                   .timeout_ms = 300,
                                                   .write = write};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(rollcall__etcd_error(&error, &failure), error.status);
    return error;
}

/* Every message that etcd has, with the code of each version that says it. */
static const struct {
    int code, older_code; /* 0: no other */
    const char *message;
    enum rollcall__etcd_class class; /* of a write */
    enum rollcall_status status;
    bool maybe_applied;
} MESSAGES[] = {
    {14, 0, "etcdserver: no leader", ROLLCALL__ETCD_RETRY, ROLLCALL_E_UNAVAILABLE, false},
    {14, 0, "etcdserver: unhealthy cluster", ROLLCALL__ETCD_RETRY, ROLLCALL_E_UNAVAILABLE, false},
    {14, 0, "etcdserver: leader changed", ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {14, 0, "etcdserver: server stopped", ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {14, 0, "etcdserver: request timed out", ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {14, 0, "etcdserver: request timed out, possibly due to previous leader failure",
     ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {14, 0, "etcdserver: request timed out, possibly due to connection lost",
     ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {14, 0, "etcdserver: request timed out, waiting for the applied index took too long",
     ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {1, 0, "etcdserver: watch canceled", ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {1, 0, "etcdserver: request canceled", ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {4, 0, "etcdserver: context deadline exceeded", ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_TIMEOUT,
     true},
    {2, 0, "context deadline exceeded", ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_TIMEOUT, true},
    {2, 0, "not a primary lessor", ROLLCALL__ETCD_UNKNOWN, ROLLCALL_E_UNAVAILABLE, true},
    {8, 0, "etcdserver: too many requests", ROLLCALL__ETCD_BACKOFF, ROLLCALL_E_UNAVAILABLE, false},
    {9, 14, "etcdserver: rpc not supported for learner", ROLLCALL__ETCD_ENDPOINT,
     ROLLCALL_E_UNAVAILABLE, false},
    {9, 14, "etcdserver: not capable", ROLLCALL__ETCD_ENDPOINT, ROLLCALL_E_UNAVAILABLE, false},
    {3, 0, "etcdserver: user name is empty", ROLLCALL__ETCD_AUTH, ROLLCALL_E_DENIED, false},
    {3, 0, "etcdserver: revision of auth store is old", ROLLCALL__ETCD_AUTH, ROLLCALL_E_DENIED,
     false},
    {16, 0, "etcdserver: invalid auth token", ROLLCALL__ETCD_AUTH, ROLLCALL_E_DENIED, false},
    {9, 0, "etcdserver: authentication is not enabled", ROLLCALL__ETCD_NO_AUTH, ROLLCALL_E_DENIED,
     false},
    {11, 0, "etcdserver: mvcc: required revision has been compacted", ROLLCALL__ETCD_RESYNC,
     ROLLCALL_E_COMPACTED, false},
    {11, 0, "etcdserver: mvcc: required revision is a future revision", ROLLCALL__ETCD_RESYNC,
     ROLLCALL_E_UNAVAILABLE, false},
    {5, 0, "etcdserver: requested lease not found", ROLLCALL__ETCD_LEASE, ROLLCALL_E_LEASE_LOST,
     false},
    {9, 0, "etcdserver: lease already exists", ROLLCALL__ETCD_LEASE, ROLLCALL_E_REJECTED, false},
    {8, 0, "etcdserver: mvcc: database space exceeded", ROLLCALL__ETCD_HALT, ROLLCALL_E_NO_SPACE,
     false},
    {8, 0, "grpc: received message larger than max (7172819 vs. 4194304)", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, true},
    {8, 0, "Received message larger than max (7172819 vs. 4194304)", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, true},
    {3, 0, "etcdserver: authentication failed, invalid user ID or password", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_DENIED, false},
    {7, 0, "etcdserver: permission denied", ROLLCALL__ETCD_HALT, ROLLCALL_E_DENIED, false},
    {15, 0, "etcdserver: corrupt cluster", ROLLCALL__ETCD_HALT, ROLLCALL_E_CORRUPT, false},
    {8, 0, "Sent message larger than max (2097153 vs. 2097152)", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: request is too large", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: key is not provided", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: key not found", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: value is provided", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: lease is provided", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: too many operations in txn request", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: duplicate key given in txn request", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: invalid sort option", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: invalid client api version", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED,
     false},
    {3, 0, "etcdserver: invalid auth management", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: role name is empty", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: permission not given", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: given member URLs are invalid", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED,
     false},
    {3, 0, "etcdserver: wrong downgrade target version format", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {3, 0, "etcdserver: invalid downgrade target version", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED,
     false},
    {9, 0, "etcdserver: cluster ID mismatch", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: not leader", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: bad leader transferee", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: member ID already exist", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: Peer URLs already exists", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: re-configuration failed due to not enough started members",
     ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: can only promote a learner member", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: can only promote a learner member which is in sync with leader",
     ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: too many learner members in cluster", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: root user does not exist", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: root user does not have root role", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: user name already exists", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: user name not found", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: role name already exists", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: role name not found", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: role is not granted to the user", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED,
     false},
    {9, 0, "etcdserver: permission is not granted to the role", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: cluster has a downgrade job in progress", ROLLCALL__ETCD_HALT,
     ROLLCALL_E_REJECTED, false},
    {9, 0, "etcdserver: no inflight downgrade job", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED,
     false},
    {11, 0, "etcdserver: too large lease TTL", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
    {5, 0, "etcdserver: member not found", ROLLCALL__ETCD_HALT, ROLLCALL_E_REJECTED, false},
};
enum { MESSAGE_COUNT = sizeof MESSAGES / sizeof MESSAGES[0] };

/* So that a failure says of which message. */
static void check_message(size_t i, const struct rollcall_error *error)
{
    char is[256], wanted[256];
    snprintf(is, sizeof is, "%s: %d %s %d", MESSAGES[i].message, (int)rollcall__etcd_class(error),
             rollcall_status_name(error->status), error->maybe_applied);
    snprintf(wanted, sizeof wanted, "%s: %d %s %d", MESSAGES[i].message, (int)MESSAGES[i].class,
             rollcall_status_name(MESSAGES[i].status), MESSAGES[i].maybe_applied);
    CHECK_STR(is, wanted);
}

TEST(error, every_message_of_etcd_has_its_class_and_status_with_every_code_it_comes_with)
{
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        struct rollcall_error error = map(MESSAGES[i].code, MESSAGES[i].message, true);
        check_message(i, &error);
        if (MESSAGES[i].older_code != 0) {
            error = map(MESSAGES[i].older_code, MESSAGES[i].message, true);
            check_message(i, &error);
        }
        /* Its own advice is there, so that it was not taken for another's or for a code's. */
        CHECK(strstr(error.text, "says") != NULL && strstr(error.text, "\": ") != NULL);
    }
}

/* Nothing of a read is unknown, and what the transport itself says is classed too. */
TEST(error, only_a_write_has_an_unknown_outcome)
{
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        const struct rollcall_error error = map(MESSAGES[i].code, MESSAGES[i].message, false);
        const enum rollcall__etcd_class class =
            MESSAGES[i].class == ROLLCALL__ETCD_UNKNOWN ? ROLLCALL__ETCD_RETRY : MESSAGES[i].class;
        CHECK_INT(rollcall__etcd_class(&error), class);
    }
    struct rollcall_error own = {.status = ROLLCALL_E_UNAVAILABLE, .maybe_applied = true};
    CHECK_INT(rollcall__etcd_class(&own), ROLLCALL__ETCD_UNKNOWN);
    own = (struct rollcall_error){.status = ROLLCALL_E_TIMEOUT};
    CHECK_INT(rollcall__etcd_class(&own), ROLLCALL__ETCD_RETRY);
    own = (struct rollcall_error){.status = ROLLCALL_E_NO_MEMORY};
    CHECK_INT(rollcall__etcd_class(&own), ROLLCALL__ETCD_HALT);
}

/* The text of one message stands inside another's. */
TEST(error, the_longest_message_in_a_text_counts)
{
    const struct rollcall_error brief = map(14, "etcdserver: request timed out", false);
    const struct rollcall_error longer =
        map(14, "etcdserver: request timed out, possibly due to connection lost", false);
    CHECK(strstr(brief.text, "disks") != NULL);
    CHECK(strstr(longer.text, "reach each other") != NULL);
}

TEST(error, unknown_sentences_go_by_code)
{
    CHECK_INT(map(4, "Deadline Exceeded", false).status, ROLLCALL_E_TIMEOUT);
    CHECK_INT(map(14, "failed to connect to all addresses", false).status, ROLLCALL_E_UNAVAILABLE);
    CHECK_INT(map(12, "unknown service", false).status, ROLLCALL_E_REJECTED);
    CHECK_INT(map(16, "whatever", false).status, ROLLCALL_E_DENIED);
    CHECK_INT(map(3, "etcdserver: some new sentence", false).status, ROLLCALL_E_REJECTED);
    CHECK_INT(map(0, "", false).status, ROLLCALL_E_UNAVAILABLE); /* a stream ended quietly */
    CHECK_INT(map(99, "", false).status, ROLLCALL_E_UNAVAILABLE);
    CHECK_INT(map(-1, "", false).status, ROLLCALL_E_UNAVAILABLE);
    const struct {
        int code;
        enum rollcall__etcd_class class;
    } rows[] = {
        {0, ROLLCALL__ETCD_UNKNOWN},  {1, ROLLCALL__ETCD_UNKNOWN},  {2, ROLLCALL__ETCD_UNKNOWN},
        {3, ROLLCALL__ETCD_HALT},     {4, ROLLCALL__ETCD_UNKNOWN},  {5, ROLLCALL__ETCD_HALT},
        {7, ROLLCALL__ETCD_HALT},     {8, ROLLCALL__ETCD_HALT},     {9, ROLLCALL__ETCD_HALT},
        {10, ROLLCALL__ETCD_UNKNOWN}, {11, ROLLCALL__ETCD_HALT},    {12, ROLLCALL__ETCD_HALT},
        {13, ROLLCALL__ETCD_UNKNOWN}, {14, ROLLCALL__ETCD_UNKNOWN}, {15, ROLLCALL__ETCD_HALT},
        {16, ROLLCALL__ETCD_AUTH},    {99, ROLLCALL__ETCD_UNKNOWN}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct rollcall_error error = map(rows[i].code, "some new sentence", true);
        CHECK_INT(rollcall__etcd_class(&error), rows[i].class);
    }
}

/* A caller that believes a write did not happen must be right. */
TEST(error, only_certain_refusals_deny_a_write)
{
    CHECK(map(4, "Deadline Exceeded", true).maybe_applied);
    CHECK(map(14, "Socket closed", true).maybe_applied);
    CHECK(map(14, "etcdserver: request timed out", true).maybe_applied);
    CHECK(map(14, "etcdserver: leader changed", true).maybe_applied);
    CHECK(map(2, "boom", true).maybe_applied);
    CHECK(!map(14, "etcdserver: no leader", true).maybe_applied);
    CHECK(!map(8, "etcdserver: too many requests", true).maybe_applied);
    CHECK(!map(16, "etcdserver: invalid auth token", true).maybe_applied);
    CHECK(!map(14, "failed to connect to all addresses; last error: x", true).maybe_applied);
    CHECK(!map(4, "Deadline Exceeded", false).maybe_applied); /* a read */
}

TEST(error, sentence_names_the_endpoint_and_keeps_the_code)
{
    const struct rollcall_error late = map(4, "Deadline Exceeded", false);
    CHECK(strstr(late.text, "h:1") != NULL && strstr(late.text, "300 ms") != NULL);
    CHECK_INT(late.grpc_code, 4);
    const struct rollcall_error down = map(14, "Connection refused", false);
    CHECK(strstr(down.text, "h:1") != NULL && strstr(down.text, "Connection refused") != NULL);
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    CHECK(strstr(map(14, longer, false).text, "check that it runs") != NULL); /* not cut off */
}

/* gRPC's words for it are of no use to whoever reads them. */
TEST(error, trouble_with_tls_says_what_to_do)
{
    static const struct {
        const char *cause, *advice;
    } rows[] = {
        {"Tls handshake failed: SSL_ERROR_SSL: error:0A000086:SSL routines::certificate verify "
         "failed",
         "expired"},
        {"Tls handshake failed: SSL_ERROR_SSL: error:0A000086:SSL routines::certificate verify "
         "failed",
         "ca_file"},
        {"Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification "
         "Check failed.",
         "another name"},
        {"Endpoint read failed", "cert_file"},
        {"Socket closed", "ca_file"},
        {"Connection reset by peer", "cert_file"},
        {"Tls handshake failed: SSL_ERROR_SSL: error:0A00010B:SSL routines::wrong version number",
         "does not talk TLS"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:2379: %s",
                 rows[i].cause);
        const struct rollcall_error error = map(14, text, true);
        CHECK(strstr(error.text, rows[i].advice) != NULL);
        CHECK(strlen(error.text) < sizeof error.text - 1); /* not cut */
        CHECK(!error.maybe_applied);
    }
    CHECK(strstr(map(14, "Connection refused", true).text, "TLS") == NULL);
}

TEST(error, token_trouble_is_told_from_other_refusals)
{
    struct rollcall_error error = map(16, "etcdserver: invalid auth token", false);
    CHECK(rollcall__etcd_token_refused(&error));
    error = map(3, "etcdserver: revision of auth store is old", false);
    CHECK(rollcall__etcd_token_refused(&error));
    error = map(3, "etcdserver: user name is empty", false);
    CHECK(rollcall__etcd_token_refused(&error));
    error = map(7, "etcdserver: permission denied", false);
    CHECK(!rollcall__etcd_token_refused(&error));
    error = map(3, "etcdserver: authentication failed, invalid user ID or password", false);
    CHECK(!rollcall__etcd_token_refused(&error));
}

TEST(error, cancel_reason_is_found_inside_its_wrapping)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall__etcd_canceled(&error, ""); /* a watcher that took it for OK would wait for ever */
    CHECK_INT(rollcall_status_class(error.status), ROLLCALL_RETRY);
    rollcall__etcd_canceled(&error, "rpc error: code = Unauthenticated desc = etcdserver: invalid "
                                    "auth token");
    CHECK(rollcall__etcd_token_refused(&error));
    rollcall__etcd_canceled(&error, "something new");
    CHECK_INT(error.status, ROLLCALL_E_REJECTED);
}

TEST(error, a_cluster_without_authentication_is_known_by_its_words)
{
    struct rollcall__etcd_failure failure = {
        .grpc_code = 9,
        .message = rollcall__bytes("etcdserver: authentication is not enabled"),
        .endpoint = "h:1"};
    CHECK(rollcall__etcd_needs_no_token(&failure));
    failure.message = rollcall__bytes("etcdserver: invalid auth management");
    CHECK(!rollcall__etcd_needs_no_token(&failure));
}

static bool already_done(enum transport_kind kind, const char *message)
{
    const struct rollcall__etcd_failure failure = {.message = rollcall__bytes(message)};
    return rollcall__etcd_already_done(kind, &failure);
}

TEST(error, our_earlier_try_is_a_success)
{
    CHECK(already_done(TRANSPORT_LEASE_GRANT, "etcdserver: lease already exists"));
    CHECK(already_done(TRANSPORT_LEASE_REVOKE, "etcdserver: requested lease not found"));
    /* A put under a lease that is gone has not been done. */
    CHECK(!already_done(TRANSPORT_TXN, "etcdserver: requested lease not found"));
    CHECK(!already_done(TRANSPORT_LEASE_GRANT, "etcdserver: too large lease TTL"));
    CHECK(!already_done(TRANSPORT_LEASE_GRANT, ""));
}

TEST(error, only_an_endpoints_own_trouble_is_blamed_on_it)
{
    struct rollcall_error error = map(14, "etcdserver: no leader", false);
    CHECK(rollcall__etcd_blames_endpoint(&error));
    error = map(4, "Deadline Exceeded", false);
    CHECK(rollcall__etcd_blames_endpoint(&error));
    error = map(7, "etcdserver: permission denied", false);
    CHECK(!rollcall__etcd_blames_endpoint(&error));
    error = map(8, "etcdserver: mvcc: database space exceeded", false);
    CHECK(!rollcall__etcd_blames_endpoint(&error));
    error = map(8, "etcdserver: too many requests", false); /* the cluster is, not this member */
    CHECK(!rollcall__etcd_blames_endpoint(&error));
    error = map(9, "etcdserver: rpc not supported for learner", false);
    CHECK(rollcall__etcd_blames_endpoint(&error));
    error = map(11, "etcdserver: mvcc: required revision is a future revision", false);
    CHECK(rollcall__etcd_blames_endpoint(&error));
    error = map(11, "etcdserver: mvcc: required revision has been compacted", false);
    CHECK(!rollcall__etcd_blames_endpoint(&error));
}
