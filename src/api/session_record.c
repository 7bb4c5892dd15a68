/* A session's record, as it is stored or would be. */
#include "api/session_options.h"
#include "base/buffer.h"
#include "session/record.h"

enum rollcall_status rollcall__record_copy(const struct rollcall_record *from,
                                           struct rollcall_record **record,
                                           struct rollcall_error *error)
{
    struct rollcall__buffer json = {0};
    rollcall__record_encode(from, &json);
    const enum rollcall_status status =
        json.failed ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "session: out of memory")
                    : rollcall_record_decode(rollcall__buffer_bytes(&json), record, error);
    if (status == ROLLCALL_OK) {
        (*record)->omit_trigger_kill = from->omit_trigger_kill;
    }
    rollcall__buffer_free(&json);
    return status;
}

enum rollcall_status rollcall_session_plan_record(const struct rollcall_session_options *options,
                                                  struct rollcall_record **record,
                                                  struct rollcall_error *error)
{
    struct rollcall_session_options given;
    struct session_config *config;
    enum rollcall_status status =
        rollcall__session_config_create(options, "", &given, &config, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall_record planned = config->record;
    planned.server_id = config->server_id;
    status = rollcall__record_copy(&planned, record, error);
    rollcall_object_drop(&config->object);
    return status;
}
