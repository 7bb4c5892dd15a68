#include "cli/own_session.h"

#include "cli/connection.h"

#include <stdlib.h>
#include <unistd.h>

struct rollcall_session_options cli_session_options(const struct cli_options *options)
{
    const bool stands = options->standby || options->command == CLI_FORCE;
    return *ROLLCALL_SESSION_OPTIONS(.root = options->root, .role = options->role,
                                     .address = options->address,
                                     .exclusive = options->exclusive || stands,
                                     .ttl_s = options->ttl_s, .server_id = options->server_id,
                                     .on_lost = options->on_lost, .version = options->version,
                                     .index_version.minimal = options->index_version_min,
                                     .index_version.current = options->index_version_current,
                                     .enable_disk = options->enable_disk,
                                     .trigger_kill = options->trigger_kill,
                                     .labels = options->label_count == 0 ? NULL : options->labels,
                                     .label_count = options->label_count,
                                     .environment = (const char *const *)environ,
                                     .retries = (uint32_t)options->retries,
                                     .connect_timeout_ms = cli_connect_timeout_ms(options));
}

/* Appends the record as JSON, which is as long as it is. */
static enum rollcall_status append_record(struct cli_text *text,
                                          const struct rollcall_record *record,
                                          struct rollcall_error *error)
{
    size_t size = 0;
    enum rollcall_status status = rollcall_record_encode(record, NULL, 0, &size, error);
    if (status != ROLLCALL_E_TOO_SMALL) {
        return status;
    }
    char *json = malloc(size + 1);
    status = json == NULL
                 ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "no memory for the record")
                 : rollcall_record_encode(record, json, size + 1, &size, error);
    if (status == ROLLCALL_OK) {
        cli_text_append(text, json, size);
        cli_text_string(text, "\n");
    }
    free(json);
    return status;
}

int cli_print_plan(const struct cli_options *options, struct cli_output *output)
{
    const struct rollcall_session_options what = cli_session_options(options);
    struct rollcall_record *record = NULL;
    struct rollcall_error error = {0};
    enum rollcall_status status = rollcall_session_plan_record(&what, &record, &error);
    if (status == ROLLCALL_OK) {
        if (options->child != NULL) {
            cli_notice("a dry run: %s is not run", options->child[0]);
        }
        status = append_record(&output->text, record, &error);
        rollcall_record_free(record);
    }
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_output_fail(output, &error);
    }
    cli_output_flush(output);
    return CLI_EXIT_DONE;
}
