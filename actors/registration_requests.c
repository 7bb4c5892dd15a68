/* What registration asks of etcd.  Every one is a put under a condition that tells, when the
 * condition does not hold, what is there instead: that is how an earlier effect of our own is
 * recognised. */
#include "actors/registration.h"

#include "base/buffer.h"
#include "session/record.h"
#include "transport/request.h"

static void encode(const struct session_config *config, int64_t server_id, int64_t lease_id,
                   bool stopping, struct rollcall__buffer *value)
{
    struct rollcall_record record = config->record;
    record.server_id = server_id;
    record.has_lease_id = true;
    record.lease_id = lease_id;
    record.stopping = stopping;
    rollcall__record_encode(&record, value);
}

struct transport_request *registration_claim(const struct session_config *config,
                                             struct rollcall_bytes key, int64_t server_id,
                                             int64_t lease_id)
{
    struct rollcall__buffer value = {0};
    const struct transport_compare absent = {.target = TRANSPORT_COMPARE_VERSION, .key = key};
    encode(config, server_id, lease_id, false, &value);
    struct transport_request *request =
        value.failed ? NULL
                     : transport_request_put_if(&absent, rollcall__buffer_bytes(&value), lease_id);
    rollcall__buffer_free(&value);
    return request;
}

struct transport_request *registration_mark_stopping(const struct session_config *config,
                                                     const struct session_membership *mine)
{
    struct rollcall__buffer value = {0};
    const struct transport_compare still_ours = {
        .target = TRANSPORT_COMPARE_CREATE_REVISION,
        .key = rollcall__bytes(mine->key),
        .number = mine->create_revision,
    };
    encode(config, mine->server_id, mine->lease_id, true, &value);
    struct transport_request *request =
        value.failed
            ? NULL
            : transport_request_put_if(&still_ours, rollcall__buffer_bytes(&value), mine->lease_id);
    rollcall__buffer_free(&value);
    return request;
}
