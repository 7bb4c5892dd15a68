#include <rollcall/error.h>

#include <stdarg.h>
#include <stdio.h>

struct row {
    const char *name, *text;
    enum rollcall_error_class class;
};

static const struct row ROWS[ROLLCALL_STATUS_COUNT] = {
#define X(name, class, text) [ROLLCALL_##name] = {#name, text, ROLLCALL_##class},
    ROLLCALL_ERRORS(X)
#undef X
};

static bool known(enum rollcall_status status)
{
    return (unsigned)status < ROLLCALL_STATUS_COUNT;
}

const char *rollcall_status_name(enum rollcall_status status)
{
    return known(status) ? ROWS[status].name : "E_UNKNOWN";
}

const char *rollcall_status_text(enum rollcall_status status)
{
    return known(status) ? ROWS[status].text : "unknown status";
}

enum rollcall_error_class rollcall_status_class(enum rollcall_status status)
{
    return known(status) ? ROWS[status].class : ROLLCALL_FATAL;
}

enum rollcall_status rollcall_error_set(struct rollcall_error *error, enum rollcall_status status,
                                        const char *format, ...)
{
    if (error != NULL) {
        struct rollcall_error filled = {.status = status};
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(filled.text, sizeof filled.text, format, arguments);
        va_end(arguments);
        *error = filled; /* last: an argument may be error->text itself, to be wrapped */
    }
    return status;
}
