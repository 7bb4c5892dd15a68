#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 1024 };

static const char *const LEVELS[] = {"error", "warn", "info", "debug"};

void rollcall__log_init(struct rollcall__log *log, enum rollcall_log_level level,
                        rollcall_log_fn *write, void *user)
{
    log->level = level;
    log->write = write;
    log->user = user;
    pthread_mutex_init(&log->mutex, NULL);
}

void rollcall__log_fini(struct rollcall__log *log)
{
    pthread_mutex_destroy(&log->mutex);
}

/* One record is one line, and msg one quoted value, whatever etcd holds or a user typed. */
static void make_quotable(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == '\x7f') {
            *text = '?';
        } else if (*text == '"') {
            *text = '\'';
        }
    }
}

void rollcall__log_writev(struct rollcall__log *log, enum rollcall_log_level level,
                          const char *subject, const char *format, va_list arguments)
{
    char line[LINE_BYTES];
    char text[LINE_BYTES / 2];
    if (level > log->level) {
        return;
    }
    vsnprintf(text, sizeof text, format, arguments);
    make_quotable(text);
    snprintf(line, sizeof line, "level=%s %s%.100s%smsg=\"%s\"", LEVELS[level],
             subject == NULL ? "" : "actor=", subject == NULL ? "" : subject,
             subject == NULL ? "" : " ", text);
    pthread_mutex_lock(&log->mutex);
    if (log->write != NULL) {
        log->write(log->user, level, line);
    } else {
        fprintf(stderr, "%s\n", line);
    }
    pthread_mutex_unlock(&log->mutex);
}

void rollcall__log_write(struct rollcall__log *log, enum rollcall_log_level level,
                         const char *subject, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    rollcall__log_writev(log, level, subject, format, arguments);
    va_end(arguments);
}
