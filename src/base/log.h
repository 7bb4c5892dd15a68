/*
 * base/log.h - one record, one line: `level=warn actor=keepalive/3 msg="the sentence, key=value"`.
 * Threads: any; lines are handed over one at a time.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/thread.h"

#include <rollcall/runtime.h>

#include <stdarg.h>

struct rollcall__log {
    enum rollcall_log_level level;
    rollcall_log_fn *write; /* NULL: stderr */
    void *user;
    pthread_mutex_t mutex;
};
void rollcall__log_init(struct rollcall__log *log, enum rollcall_log_level level,
                        rollcall_log_fn *write, void *user);
void rollcall__log_fini(struct rollcall__log *log);
/* subject: "keepalive/3" or the like; NULL: none.  Costs a comparison when the level is off. */
void rollcall__log_write(struct rollcall__log *log, enum rollcall_log_level level,
                         const char *subject, const char *format, ...) ROLLCALL_PRINTF(4, 5);
void rollcall__log_writev(struct rollcall__log *log, enum rollcall_log_level level,
                          const char *subject, const char *format, va_list arguments);

#endif /* BASE_LOG_H */
