/*
 * cli/output.h - results on stdout, what people should know on stderr, and the exit code.
 *
 * Writing waits for a slow reader of stdout; an interrupted command waits no longer than the reader
 * is ready.  When the reader goes away, that is said once, `closed` is set and the command ends,
 * with exit code 1 if it had no other.
 *
 * Threads: one at a time for a struct cli_output; cli_notice: any.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "cli/text.h"

enum cli_exit {
    CLI_EXIT_DONE = 0,
    CLI_EXIT_FAILED = 1,
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_UNREACHABLE = 3,
    CLI_EXIT_LOST = 4,
    CLI_EXIT_RIVAL = 5,
    CLI_EXIT_INTERRUPTED = 130
};

struct cli_output {
    bool json;
    bool colour;
    bool closed;          /* nobody reads stdout any more, or we gave up on it: write nothing */
    bool failed;          /* closed, and not because we were interrupted; that was reported */
    struct cli_text text; /* what the next cli_output_flush writes */
};

void cli_output_fini(struct cli_output *output);

/* Writes and empties output->text.  Returns false when stdout is closed or it ran out of memory;
 * that is reported here. */
bool cli_output_flush(struct cli_output *output);

/* Looks whether stdout still has a reader, without writing; reports it once when it has none.
 * Returns false when it is closed. */
bool cli_output_has_reader(struct cli_output *output);

/* One line for people, on stderr: "rollcall: ...". */
void cli_notice(const char *format, ...) ROLLCALL_PRINTF(1, 2);

/* Text for people as it is, on stderr, at once. */
void cli_output_stderr(const struct cli_text *text);

/* Reports a failure, as a line and, with -o json, as an object; returns its exit code. */
int cli_output_fail(const struct cli_output *output, const struct rollcall_error *error);

int cli_exit_code(enum rollcall_status status);

#endif /* CLI_OUTPUT_H */
