#include "cli/json.h"

#include <inttypes.h>

/* Appends the first character of `rest`, escaped where JSON wants it; returns its bytes. */
static size_t append_character(struct cli_text *text, struct rollcall_bytes rest)
{
    const unsigned char byte = (unsigned char)rest.data[0];
    const size_t size = cli_utf8_size(rest);
    if (size == 0) {
        cli_text_string(text, "\xef\xbf\xbd"); /* U+FFFD */
        return 1;
    }
    if (byte < 0x20) {
        cli_text_format(text, "\\u%04x", byte);
    } else {
        cli_text_append(text, rest.data, size);
    }
    return size;
}

static struct rollcall_bytes rest_of(struct rollcall_bytes bytes, size_t at)
{
    return (struct rollcall_bytes){bytes.data + at, bytes.size_bytes - at};
}

static void append_quoted(struct cli_text *text, struct rollcall_bytes value)
{
    cli_text_string(text, "\"");
    for (size_t at = 0; at < value.size_bytes;) {
        if (value.data[at] == '"' || value.data[at] == '\\') {
            cli_text_string(text, "\\");
        }
        at += append_character(text, rest_of(value, at));
    }
    cli_text_string(text, "\"");
}

/* Names are ours: letters and '_'. */
static void append_name(struct cli_text *text, const char *name)
{
    cli_text_format(text, ",\"%s\":", name);
}

void cli_json_begin(struct cli_text *text, const char *event)
{
    cli_text_format(text, "{\"event\":\"%s\"", event);
}

void cli_json_integer(struct cli_text *text, const char *name, int64_t value)
{
    append_name(text, name);
    cli_text_format(text, "%" PRId64, value);
}

void cli_json_count(struct cli_text *text, const char *name, uint64_t value)
{
    append_name(text, name);
    cli_text_format(text, "%" PRIu64, value);
}

void cli_json_boolean(struct cli_text *text, const char *name, bool value)
{
    append_name(text, name);
    cli_text_string(text, value ? "true" : "false");
}

void cli_json_string(struct cli_text *text, const char *name, struct rollcall_bytes value)
{
    append_name(text, name);
    append_quoted(text, value);
}

void cli_json_stored(struct cli_text *text, const char *name, struct rollcall_bytes value)
{
    append_name(text, name);
    if (value.size_bytes == 0) {
        cli_text_string(text, "null");
        return;
    }
    bool quoted = false;
    for (size_t at = 0; at < value.size_bytes;) {
        const char byte = value.data[at];
        if (!quoted && (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r')) {
            at++;
        } else if (quoted && byte == '\\' && at + 1 < value.size_bytes) {
            cli_text_append(text, &byte, 1);
            at += 1 + append_character(text, rest_of(value, at + 1));
        } else {
            quoted = quoted != (byte == '"');
            at += append_character(text, rest_of(value, at));
        }
    }
}

void cli_json_end(struct cli_text *text)
{
    cli_text_string(text, "}\n");
}
