#include "session/record_fields.h"

#define FIELD(name, kind, type, member)                                                            \
    {                                                                                              \
        name, sizeof(name) - 1, "\"" name "\":", sizeof("\"" name "\":") - 1,                      \
            ROLLCALL__FIELD_##kind, offsetof(struct type, member)                                  \
    }
#define RECORD(name, kind, member) FIELD(name, kind, rollcall_record, member)
#define MEMBER(name, member) FIELD(name, INTEGER_32, rollcall_index_version, member)

const struct rollcall__field rollcall__record_fields[ROLLCALL__RECORD_FIELDS] = {
    RECORD("ServerID", INTEGER, server_id),
    RECORD("ServerName", TEXT, server_name),
    RECORD("Address", TEXT, address),
    RECORD("Exclusive", FLAG, exclusive),
    RECORD("Stopping", FLAG, stopping),
    RECORD("TriggerKill", KILL, trigger_kill),
    RECORD("Version", VERSION, version),
    RECORD("IndexEngineVersion", INDEX, index_engine_version),
    RECORD("ScalarIndexEngineVersion", SCALAR_INDEX, scalar_index_engine_version),
    RECORD("IndexNonEncoding", FLAG, index_non_encoding),
    RECORD("LeaseID", LEASE, lease_id),
    RECORD("HostName", TEXT, host_name),
    RECORD("EnableDisk", FLAG, enable_disk),
    RECORD("ServerLabels", LABELS, labels),
};

const struct rollcall__field rollcall__index_fields[ROLLCALL__INDEX_FIELDS] = {
    MEMBER("MinimalIndexVersion", minimal),
    MEMBER("CurrentIndexVersion", current),
    MEMBER("MaximumIndexVersion", maximum),
};

void rollcall__record_clear(struct rollcall_record *record)
{
    const struct rollcall_bytes empty = {"", 0};
    *record = (struct rollcall_record){
        .server_name = empty, .address = empty, .version = empty, .host_name = empty};
}

enum rollcall_status rollcall__record_no_memory(size_t size_bytes, struct rollcall_error *error)
{
    return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY,
                              "out of memory while reading a session record of %zu bytes",
                              size_bytes);
}
