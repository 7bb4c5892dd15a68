/* The findings of `rollcall doctor`, in the order they were found, and how they are printed. */
#include "cli/doctor.h"

#include "cli/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 3, GAP_COLUMNS = 2 };

static const char *const STATE_NAMES[CLI_DOCTOR_STATES] = {"ok", "warn", "fail"};
static const char *const STATE_COLOURS[CLI_DOCTOR_STATES] = {"\033[32m", "\033[33m", "\033[31m"};

void cli_doctor_report_fini(struct cli_doctor_report *report)
{
    free(report->findings);
    *report = (struct cli_doctor_report){0};
}

/* The room for one more; when there is none, the last is written over. */
static struct cli_doctor_finding *next_place(struct cli_doctor_report *report)
{
    static struct cli_doctor_finding nowhere;
    if (report->count == report->capacity) {
        const size_t capacity = report->capacity == 0 ? 64 : report->capacity * 2;
        struct cli_doctor_finding *findings =
            realloc(report->findings, capacity * sizeof *findings);
        if (findings == NULL) {
            report->failed = true;
            return &nowhere;
        }
        report->findings = findings;
        report->capacity = capacity;
    }
    return &report->findings[report->count++];
}

struct cli_doctor_finding *cli_doctor_add(struct cli_doctor_report *report, const char *endpoint,
                                          const char *check, enum cli_doctor_state state)
{
    struct cli_doctor_finding *finding = next_place(report);
    finding->endpoint = endpoint;
    finding->check = check;
    finding->state = state;
    finding->detail[0] = '\0';
    finding->advice[0] = '\0';
    report->states[state]++;
    return finding;
}

void cli_doctor_detail(struct cli_doctor_finding *finding, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->detail, sizeof finding->detail, format, arguments);
    va_end(arguments);
}

void cli_doctor_advice(struct cli_doctor_finding *finding, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->advice, sizeof finding->advice, format, arguments);
    va_end(arguments);
}

/* What is quoted in it may hold colons too, so it is the last that counts. */
void cli_doctor_sentence(struct cli_doctor_finding *finding, const char *sentence)
{
    static const char colon[] = ": ";
    const char *last = NULL;
    for (const char *at = strstr(sentence, colon); at != NULL; at = strstr(at + 1, colon)) {
        last = at;
    }
    if (last == NULL) {
        cli_doctor_detail(finding, "%s", sentence);
        return;
    }
    cli_doctor_detail(finding, "%.*s", (int)(last - sentence), sentence);
    cli_doctor_advice(finding, "%s", last + sizeof colon - 1);
}

/* ---- for programs ---- */

static void print_json(struct cli_text *text, const struct cli_doctor_report *report,
                       const struct cli_doctor_facts *facts)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct cli_doctor_finding *finding = &report->findings[i];
        cli_json_begin(text, "check");
        cli_json_string(text, "endpoint", cli_bytes(finding->endpoint));
        cli_json_string(text, "check", cli_bytes(finding->check));
        cli_json_string(text, "state", cli_bytes(STATE_NAMES[finding->state]));
        cli_json_string(text, "detail", cli_bytes(finding->detail));
        cli_json_string(text, "advice", cli_bytes(finding->advice));
        cli_json_end(text);
    }
    cli_json_begin(text, "end");
    cli_json_count(text, "count", report->count);
    for (int state = 0; state < CLI_DOCTOR_STATES; state++) {
        cli_json_count(text, STATE_NAMES[state], report->states[state]);
    }
    cli_json_count(text, "endpoints", facts->endpoint_count);
    cli_json_count(text, "answered", cli_doctor_answered_count(facts));
    cli_json_end(text);
}

/* ---- for people ---- */

static const char *cell_of(const struct cli_doctor_finding *finding, int column)
{
    return column == 0   ? finding->endpoint
           : column == 1 ? finding->check
                         : STATE_NAMES[finding->state];
}

/* Not a struct cli_table, which cuts what is long: here the last column is what it is about. */
static void print_cell(struct cli_text *text, const char *cell, size_t width, const char *colour)
{
    cli_text_string(text, colour);
    const size_t begin = text->size_bytes;
    cli_text_printable(text, cli_bytes(cell));
    const size_t columns =
        text->failed ? width : cli_text_columns(text->data + begin, text->size_bytes - begin);
    cli_text_string(text, colour[0] == '\0' ? "" : "\033[0m");
    cli_text_spaces(text, (columns < width ? width - columns : 0) + GAP_COLUMNS);
}

static void print_row(struct cli_output *output, const struct cli_doctor_finding *finding,
                      const size_t *widths)
{
    struct cli_text *text = &output->text;
    for (int column = 0; column < COLUMNS; column++) {
        const bool coloured = output->colour && column == COLUMNS - 1;
        print_cell(text, cell_of(finding, column), widths[column],
                   coloured ? STATE_COLOURS[finding->state] : "");
    }
    cli_text_printable(text, cli_bytes(finding->detail));
    if (finding->advice[0] != '\0') {
        cli_text_string(text, ": ");
        cli_text_printable(text, cli_bytes(finding->advice));
    }
    cli_text_string(text, "\n");
}

static void print_table(struct cli_output *output, const struct cli_doctor_report *report)
{
    static const char *const headings[COLUMNS] = {"ENDPOINT", "CHECK", "STATE"};
    size_t widths[COLUMNS];
    for (int column = 0; column < COLUMNS; column++) {
        widths[column] = strlen(headings[column]);
        for (size_t i = 0; i < report->count; i++) {
            const size_t width = strlen(cell_of(&report->findings[i], column));
            widths[column] = width > widths[column] ? width : widths[column];
        }
        print_cell(&output->text, headings[column], widths[column], "");
    }
    cli_text_string(&output->text, "WHAT\n");
    for (size_t i = 0; i < report->count; i++) {
        print_row(output, &report->findings[i], widths);
    }
}

void cli_doctor_print(struct cli_output *output, const struct cli_doctor_report *report,
                      const struct cli_doctor_facts *facts)
{
    if (output->json) {
        print_json(&output->text, report, facts);
    } else {
        print_table(output, report);
    }
    output->text.failed = output->text.failed || report->failed;
}
