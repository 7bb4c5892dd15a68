#include "cli/session_view.h"

#include "cli/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void cli_session_header(struct cli_table *table)
{
    static const char *const names[CLI_SESSION_COLUMNS] = {"KEY",     "ID",    "ROLE",  "ADDRESS",
                                                           "VERSION", "STATE", "LEASE", "HOST"};
    for (size_t i = 0; i < CLI_SESSION_COLUMNS; i++) {
        cli_table_cell(table, cli_bytes(names[i]));
    }
}

void cli_session_row(struct cli_table *table, const struct rollcall_watch_event *event)
{
    const struct rollcall_record *record = event->record;
    cli_table_cell(table, event->key);
    if (record == NULL) {
        for (size_t i = 1; i < CLI_SESSION_COLUMNS; i++) {
            cli_table_cell(table, cli_bytes(NULL));
        }
        return;
    }
    char id[24], lease[24];
    snprintf(id, sizeof id, "%" PRId64, record->server_id);
    snprintf(lease, sizeof lease, "%" PRIx64, (uint64_t)event->lease_id); /* hex, as etcdctl */
    cli_table_cell(table, cli_bytes(id));
    cli_table_cell(table, record->server_name);
    cli_table_cell(table, record->address);
    cli_table_cell(table, record->version);
    cli_table_cell(table, cli_bytes(record->stopping ? "STOPPING" : "ACTIVE"));
    cli_table_cell(table, cli_bytes(event->lease_id == 0 ? NULL : lease));
    cli_table_cell(table, record->host_name);
}

void cli_session_json(struct cli_text *text, const char *name,
                      const struct rollcall_watch_event *event)
{
    cli_json_begin(text, name);
    cli_json_integer(text, "at_ms", event->at_ms);
    cli_json_string(text, "key", event->key);
    cli_json_integer(text, "mod_revision", event->mod_revision);
    cli_json_integer(text, "create_revision", event->create_revision);
    cli_json_stored(text, "session", event->value);
    cli_json_end(text);
}
