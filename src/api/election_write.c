/* What is written only while a token is valid: the public calls, and their one transaction. */
#include "api/election.h"
#include "api/errand.h"
#include "base/buffer.h"
#include "transport/request.h"

#include <inttypes.h>
#include <string.h>

enum { KEY_MAX_BYTES = 4096 };
_Static_assert((int)ROLLCALL_WRITES_MAX == (int)TRANSPORT_TXN_OPS_MAX, "each is one operation");

static enum rollcall_status check_write(const struct rollcall__election *election,
                                        const struct rollcall_write *write,
                                        struct rollcall_error *error)
{
    if (write->key.size_bytes == 0 || write->key.size_bytes > KEY_MAX_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "a key to be written has %zu bytes: give 1 to %d",
                                  write->key.size_bytes, KEY_MAX_BYTES);
    }
    if (rollcall__bytes_equal(write->key, rollcall__bytes(election->key))) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the active key %.160s is to be written: that is the election's "
                                  "own, resign instead",
                                  election->key);
    }
    if (write->kind != ROLLCALL_WRITE_PUT && write->kind != ROLLCALL_WRITE_DELETE) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the kind of a write is %d: give one of enum "
                                  "rollcall_write_kind",
                                  (int)write->kind);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check(const struct rollcall__election *election,
                                  const struct rollcall_write *writes, size_t count,
                                  int64_t timeout_ms, struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    if (election == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the session stands for no election: open it with the option "
                                  "`election`");
    }
    if (count == 0 || count > ROLLCALL_WRITES_MAX || writes == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "there are %zu writes: give 1 to %d, in an array", count,
                                  ROLLCALL_WRITES_MAX);
    }
    for (size_t i = 0; i < count && status == ROLLCALL_OK; i++) {
        status = check_write(election, &writes[i], error);
    }
    return status == ROLLCALL_OK ? rollcall__errand_check_timeout(timeout_ms, error) : status;
}

/* The active key has this create revision and this lease: both together never come again. */
static struct transport_request *guard(const struct rollcall_election_info *info,
                                       const struct rollcall_write *writes, size_t count)
{
    const struct rollcall_bytes key = rollcall__bytes(info->key);
    struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_CREATE_REVISION,
                      .key = key,
                      .number = info->create_revision},
                     {.target = TRANSPORT_COMPARE_LEASE, .key = key, .number = info->lease_id}},
        .compare_count = 2,
        .success_count = (uint8_t)count,
    };
    for (size_t i = 0; i < count; i++) {
        const bool puts = writes[i].kind == ROLLCALL_WRITE_PUT;
        txn.success[i] =
            (struct transport_op){.kind = puts ? TRANSPORT_OP_PUT : TRANSPORT_OP_DELETE,
                                  .key = writes[i].key,
                                  .value = writes[i].value,
                                  .lease_id = puts && writes[i].with_lease ? info->lease_id : 0};
    }
    return transport_request_txn(&txn);
}

/* *config: to be run. */
static enum rollcall_status prepare(struct rollcall_session *session, int64_t token,
                                    const struct rollcall_write *writes, size_t count,
                                    int64_t timeout_ms, struct errand_config **config,
                                    struct rollcall_error *error)
{
    struct rollcall__election *election = rollcall__session_election(session);
    const enum rollcall_status status = check(election, writes, count, timeout_ms, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__monitor_lock(&election->handle->monitor);
    const struct rollcall_election_info info = election->info;
    rollcall__monitor_unlock(&election->handle->monitor);
    if (token == 0 || token != info.token) {
        return rollcall_error_set(error, ROLLCALL_E_KEY_LOST,
                                  "the token %" PRId64 " is not valid: the session %s", token,
                                  info.token == 0 ? "is a standby" : "has a higher one");
    }
    *config = rollcall__errand_write(election->handle->etcd, guard(&info, writes, count), token,
                                     timeout_ms);
    return ROLLCALL_OK;
}

enum rollcall_status rollcall_election_write(struct rollcall_session *session, int64_t token,
                                             const struct rollcall_write *writes,
                                             size_t write_count, int64_t timeout_ms,
                                             struct rollcall_error *error)
{
    const struct rollcall__election *election = rollcall__session_election(session);
    struct errand_config *config;
    enum rollcall_status status =
        prepare(session, token, writes, write_count, timeout_ms, &config, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = rollcall__handle_may_wait(election->handle);
    if (status != ROLLCALL_OK) {
        rollcall_object_drop((struct rollcall_object *)config);
        return rollcall_error_set(error, status, "election: cannot wait here: %s",
                                  rollcall_status_text(status));
    }
    return rollcall__errand_run(election->handle->etcd, config, error);
}

enum rollcall_status rollcall_election_write_async(struct rollcall_session *session, int64_t token,
                                                   const struct rollcall_write *writes,
                                                   size_t write_count, int64_t timeout_ms,
                                                   rollcall_done_fn *done, void *user,
                                                   struct rollcall_error *error)
{
    const struct rollcall__election *election = rollcall__session_election(session);
    struct errand_config *config;
    if (done == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "done is missing: give a function to tell, or call the form that "
                                  "waits");
    }
    const enum rollcall_status status =
        prepare(session, token, writes, write_count, timeout_ms, &config, error);
    return status == ROLLCALL_OK
               ? rollcall__errand_run_later(election->handle->etcd, config, done, user, error)
               : status;
}
