#include "cli/session_report.h"

#include "cli/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

void cli_report_registered(struct cli_output *output, struct rollcall_bytes key,
                           const struct cli_session_told *told)
{
    struct cli_text *text = &output->text;
    const struct rollcall_session_info *info = &told->info;
    if (!output->json) {
        cli_text_string(text, "registered ");
        cli_text_printable(text, key);
        cli_text_format(text,
                        " as server %" PRId64 ", lease %" PRIx64 ", TTL %" PRId64
                        " s, revision %" PRId64 "\n",
                        info->server_id, (uint64_t)info->lease_id, info->ttl_s, info->revision);
        return;
    }
    cli_json_begin(text, "registered");
    cli_json_integer(text, "at_ms", told->at_ms);
    cli_json_string(text, "key", key);
    cli_json_integer(text, "server_id", info->server_id);
    cli_json_integer(text, "lease_id", info->lease_id);
    cli_json_integer(text, "ttl_s", info->ttl_s);
    cli_json_integer(text, "revision", info->revision);
    cli_json_integer(text, "create_revision", info->create_revision);
    cli_json_end(text);
}

void cli_report_state(struct cli_output *output, const struct cli_session_told *told)
{
    struct cli_text *text = &output->text;
    const char *name = rollcall_session_state_name(told->state);
    if (output->json) {
        cli_json_begin(text, "state");
        cli_json_integer(text, "at_ms", told->at_ms);
        cli_json_string(text, "state", cli_bytes(name));
        cli_json_string(text, "reason", cli_bytes(told->reason));
        cli_json_end(text);
        return;
    }
    cli_text_string(text, name);
    if (told->reason[0] != '\0') {
        cli_text_string(text, ": ");
        cli_text_printable(text, cli_bytes(told->reason));
    }
    cli_text_string(text, "\n");
}

void cli_report_role(struct cli_output *output, const char *key,
                     const struct cli_session_told *told)
{
    struct cli_text *text = &output->text;
    const char *name = rollcall_role_name(told->role);
    if (output->json) {
        cli_json_begin(text, "role");
        cli_json_integer(text, "at_ms", told->at_ms);
        cli_json_string(text, "role", cli_bytes(name));
        cli_json_integer(text, "token", told->token);
        cli_json_string(text, "key", cli_bytes(key));
        cli_json_string(text, "reason", cli_bytes(told->reason));
        cli_json_end(text);
        return;
    }
    cli_text_format(text, "role %s", name);
    if (told->role == ROLLCALL_ROLE_ACTIVE) {
        cli_text_format(text, ", token %" PRId64, told->token);
    }
    cli_text_string(text, " of ");
    cli_text_printable(text, cli_bytes(key));
    if (told->reason[0] != '\0') {
        cli_text_string(text, ": ");
        cli_text_printable(text, cli_bytes(told->reason));
    }
    cli_text_string(text, "\n");
}

void cli_report_suspect(struct rollcall_bytes key, bool suspect)
{
    cli_notice(suspect ? "etcd does not answer: do not act as the owner of %.*s until ACTIVE"
                       : "etcd answers again: %.*s was kept",
               (int)key.size_bytes, key.data);
}

static int64_t wall_clock_ms(void)
{
    struct timespec now;
    /* tidy: allow - no event of the library's has come whose time could be taken */
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void cli_report_stopping(struct cli_output *output, const char *reason)
{
    struct cli_session_told told = {.state = ROLLCALL_SESSION_STOPPING, .at_ms = wall_clock_ms()};
    snprintf(told.reason, sizeof told.reason, "%s", reason);
    cli_report_state(output, &told);
}
