#include "base/log.h"

#include "support/test.h"

static char last[2048];
static int lines;

static void keep(void *user, enum rollcall_log_level level, const char *line)
{
    (void)level;
    CHECK(user == &lines);
    snprintf(last, sizeof last, "%s", line);
    lines++;
}

static struct rollcall__log start(enum rollcall_log_level level)
{
    struct rollcall__log log;
    lines = 0;
    last[0] = '\0';
    rollcall__log_init(&log, level, keep, &lines);
    return log;
}

TEST(log, a_record_is_one_line_with_level_actor_and_message)
{
    struct rollcall__log log = start(ROLLCALL_WARN);
    rollcall__log_write(&log, ROLLCALL_WARN, "keepalive/3", "late by %d ms", 7);
    CHECK_STR(last, "level=warn actor=keepalive/3 msg=\"late by 7 ms\"");
    rollcall__log_write(&log, ROLLCALL_ERROR, NULL, "alone");
    CHECK_STR(last, "level=error msg=\"alone\"");
    rollcall__log_fini(&log);
}

TEST(log, what_is_above_the_level_is_not_written)
{
    struct rollcall__log log = start(ROLLCALL_WARN);
    rollcall__log_write(&log, ROLLCALL_INFO, NULL, "x");
    CHECK_INT(lines, 0);
    rollcall__log_fini(&log);
}

TEST(log, nothing_in_a_message_can_forge_a_second_record)
{
    struct rollcall__log log = start(ROLLCALL_DEBUG);
    rollcall__log_write(&log, ROLLCALL_DEBUG, "a", "%s", "x\"\nlevel=error msg=\"\x1b[2J");
    CHECK(strchr(last, '\n') == NULL && strchr(last, '\x1b') == NULL);
    CHECK_STR(last, "level=debug actor=a msg=\"x'?level=error msg='?[2J\"");
    rollcall__log_fini(&log);
}

TEST(log, a_record_of_any_length_ends_in_its_quote)
{
    struct rollcall__log log = start(ROLLCALL_DEBUG);
    rollcall__log_write(&log, ROLLCALL_INFO, "subject", "%2000d", 1);
    CHECK_INT(last[strlen(last) - 1], '"');
    rollcall__log_fini(&log);
}
