#include "cli/output.h"

#include "cli/interrupt.h"
#include "cli/json.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void cli_output_fini(struct cli_output *output)
{
    cli_text_fini(&output->text);
}

/* Waits until stdout takes PIPE_BUF bytes without blocking; false when there is no point. */
static bool wait_for_reader(void)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                               {.fd = cli_interrupt_fd(), .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return false;
        }
        if (fds[0].revents != 0) {
            return true; /* or an error, which write() will name */
        }
        if (fds[1].revents != 0) {
            return false;
        }
    }
}

/* Once.  A reader that ends with us, as Ctrl-C ends a whole pipeline, is no failure. */
static void fail(struct cli_output *output, int why)
{
    struct rollcall_error error;
    output->closed = true;
    if (why == EPIPE && cli_interrupted()) {
        return;
    }
    output->failed = true;
    if (why == EPIPE) {
        rollcall_error_set(&error, ROLLCALL_E_SYSTEM,
                           "nobody reads stdout any more, so this ends here: let it lead to "
                           "/dev/null if its results are not needed");
    } else {
        rollcall_error_set(&error, ROLLCALL_E_SYSTEM,
                           "stdout cannot be written to (%s): check where it leads", strerror(why));
    }
    cli_output_fail(output, &error);
}

bool cli_output_has_reader(struct cli_output *output)
{
    struct pollfd fd = {.fd = STDOUT_FILENO}; /* no events: only whether its reader is gone */
    if (!output->closed && poll(&fd, 1, 0) == 1) {
        fail(output, EPIPE);
    }
    return !output->closed;
}

/* How much of it stdout took; -1 when it takes no more, which is reported. */
static ssize_t write_chunk(struct cli_output *output, const char *data, size_t size_bytes)
{
    enum { CHUNK_BYTES = 4096 }; /* what a pipe that polls as writable takes at once */
    const ssize_t written =
        write(STDOUT_FILENO, data, size_bytes < CHUNK_BYTES ? size_bytes : CHUNK_BYTES);
    if (written >= 0 || errno == EINTR || errno == EAGAIN) {
        return written >= 0 ? written : 0;
    }
    fail(output, errno);
    return -1;
}

/* Writes all; false when stdout does not take it. */
static bool write_out(struct cli_output *output, const char *data, size_t size_bytes)
{
    while (size_bytes > 0) {
        const ssize_t written = wait_for_reader() ? write_chunk(output, data, size_bytes) : -1;
        if (written < 0) {
            return false;
        }
        data += written;
        size_bytes -= (size_t)written;
    }
    return true;
}

bool cli_output_flush(struct cli_output *output)
{
    if (output->text.failed) {
        cli_notice("out of memory: the output is cut here");
        output->closed = output->failed = true;
    }
    if (!output->closed) {
        output->closed = !write_out(output, output->text.data, output->text.size_bytes);
    }
    cli_text_clear(&output->text);
    return !output->closed;
}

/* One write, so that lines of several threads do not mix; stderr that fails has no other place. */
static void write_error(const char *data, size_t size_bytes)
{
    while (write(STDERR_FILENO, data, size_bytes) < 0 && errno == EINTR) {
    }
}

void cli_output_stderr(const struct cli_text *text)
{
    if (!text->failed) {
        write_error(text->data, text->size_bytes);
    }
}

static void write_line(const char *message)
{
    struct cli_text line = {0};
    cli_text_string(&line, "rollcall: ");
    cli_text_printable(&line, cli_bytes(message));
    cli_text_string(&line, "\n");
    if (line.failed) {
        static const char text[] = "rollcall: out of memory\n";
        write_error(text, sizeof text - 1);
    } else {
        write_error(line.data, line.size_bytes);
    }
    cli_text_fini(&line);
}

void cli_notice(const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_line(message);
}

int cli_output_fail(const struct cli_output *output, const struct rollcall_error *error)
{
    const char *message = error->text;
    if (message[0] == '\0') {
        message = rollcall_status_text(error->status);
    }
    write_line(message);
    if (output->json) {
        struct cli_text object = {0};
        cli_json_begin(&object, "error");
        cli_json_string(&object, "code", cli_bytes(rollcall_status_name(error->status)));
        cli_json_string(&object, "message", cli_bytes(message));
        cli_json_boolean(&object, "retriable",
                         rollcall_status_class(error->status) == ROLLCALL_RETRY);
        cli_json_end(&object);
        if (!object.failed) {
            write_error(object.data, object.size_bytes);
        }
        cli_text_fini(&object);
    }
    return cli_exit_code(error->status);
}

int cli_exit_code(enum rollcall_status status)
{
    if (status == ROLLCALL_OK) {
        return CLI_EXIT_DONE;
    }
    if (status == ROLLCALL_E_INVALID) {
        return CLI_EXIT_USAGE;
    }
    if (status == ROLLCALL_E_UNAVAILABLE || status == ROLLCALL_E_TIMEOUT) {
        return CLI_EXIT_UNREACHABLE;
    }
    if (status == ROLLCALL_E_LEASE_LOST || status == ROLLCALL_E_KEY_LOST) {
        return CLI_EXIT_LOST;
    }
    return status == ROLLCALL_E_RIVAL ? CLI_EXIT_RIVAL : CLI_EXIT_FAILED;
}
