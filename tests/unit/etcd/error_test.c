/* What etcd's and gRPC's failures mean to us. */
#include "etcd/error.h"

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

TEST(error, etcd_sentences_have_their_status)
{
    static const struct {
        int code;
        const char *message;
        enum rollcall_status status;
    } rows[] = {
        {14, "etcdserver: no leader", ROLLCALL_E_UNAVAILABLE},
        {14, "etcdserver: request timed out, possibly due to previous leader failure",
         ROLLCALL_E_UNAVAILABLE},
        {8, "etcdserver: too many requests", ROLLCALL_E_UNAVAILABLE},
        {8, "etcdserver: mvcc: database space exceeded", ROLLCALL_E_NO_SPACE},
        {11, "etcdserver: mvcc: required revision has been compacted", ROLLCALL_E_COMPACTED},
        {11, "etcdserver: mvcc: required revision is a future revision", ROLLCALL_E_UNAVAILABLE},
        {5, "etcdserver: requested lease not found", ROLLCALL_E_LEASE_LOST},
        {7, "etcdserver: permission denied", ROLLCALL_E_DENIED},
        {3, "etcdserver: authentication failed, invalid user ID or password", ROLLCALL_E_DENIED},
        {3, "etcdserver: request is too large", ROLLCALL_E_REJECTED},
        {9, "etcdserver: rpc not supported for learner", ROLLCALL_E_UNAVAILABLE},
        {14, "etcdserver: not capable", ROLLCALL_E_UNAVAILABLE},
        {15, "etcdserver: corrupt cluster", ROLLCALL_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(map(rows[i].code, rows[i].message, false).status, rows[i].status);
    }
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

TEST(error, a_member_without_a_leader_that_says_no_more_has_told_its_status)
{
    CHECK(already_done(TRANSPORT_STATUS, "etcdserver: no leader"));
    CHECK(!already_done(TRANSPORT_STATUS, "etcdserver: request timed out"));
    CHECK(!already_done(TRANSPORT_MEMBERS, "etcdserver: no leader"));
    CHECK(!already_done(TRANSPORT_RANGE, "etcdserver: no leader"));
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
}
