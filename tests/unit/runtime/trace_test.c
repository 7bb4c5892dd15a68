#include "runtime/trace.h"

#include "support/test.h"

static const char *const STATES[] = {"IDLE", "ALIVE"};
static const char *const MESSAGES[] = {"STOP", "REPLY"};
static const struct rollcall_actor_type TYPE = {.name = "keepalive",
                                                .state_count = 2,
                                                .message_count = 2,
                                                .state_names = STATES,
                                                .message_names = MESSAGES};

static struct rollcall__trace_entry entry(int before, int after)
{
    return (struct rollcall__trace_entry){.at_ms = 3100,
                                          .sequence = 412,
                                          .from = {UINT64_C(1) << 40},
                                          .to = {(UINT64_C(1) << 40) + 3},
                                          .from_type = &TYPE,
                                          .to_type = &TYPE,
                                          .message = 1,
                                          .before = (int16_t)before,
                                          .after = (int16_t)after};
}

static void check_line(struct rollcall__trace_entry one, const char *expected)
{
    char line[ROLLCALL__TRACE_LINE_BYTES];
    rollcall__trace_format(&one, line);
    CHECK_STR(line, expected);
}

TEST(trace, a_line_says_when_who_what_and_which_states)
{
    check_line(entry(0, 1),
               "t=0000003100 #0000000412  keepalive/0 -> keepalive/3  REPLY  IDLE>ALIVE");
    check_line(entry(1, ROLLCALL_STAY),
               "t=0000003100 #0000000412  keepalive/0 -> keepalive/3  REPLY  ALIVE>-");
    check_line(entry(1, ROLLCALL_END),
               "t=0000003100 #0000000412  keepalive/0 -> keepalive/3  REPLY  ALIVE>END");
    check_line(entry(-1, ROLLCALL_FAIL),
               "t=0000003100 #0000000412  keepalive/0 -> keepalive/3  init  >FAIL");
}

TEST(trace, a_sender_outside_or_elsewhere_has_no_type_and_still_a_name)
{
    struct rollcall__trace_entry one = entry(0, 1);
    one.from_type = NULL;
    one.from.bits = UINT64_C(1) << 40 | UINT64_C(1) << 32 | 7;
    check_line(one, "t=0000003100 #0000000412  w1/7 -> keepalive/3  REPLY  IDLE>ALIVE");
    one.from.bits = 0;
    check_line(one, "t=0000003100 #0000000412  outside -> keepalive/3  REPLY  IDLE>ALIVE");
}

static void count_line(void *user, const char *line)
{
    int *count = user;
    char expected[40];
    snprintf(expected, sizeof expected, "t=0000003100 #%010d", 34 + *count);
    CHECK(strncmp(line, expected, strlen(expected)) == 0);
    ++*count;
}

TEST(trace, keeps_the_last_ones_oldest_first)
{
    struct rollcall__trace trace;
    int printed = 0;
    CHECK(rollcall__trace_init(&trace, 10)); /* rounded up to 16 */
    for (int i = 0; i < 50; i++) {
        rollcall__trace_add(&trace, entry(0, 1));
    }
    rollcall__trace_print(&trace, count_line, &printed);
    CHECK_INT(printed, 16);
    rollcall__trace_fini(&trace);
}

TEST(trace, the_hash_depends_on_every_field_and_on_the_order)
{
    struct rollcall__trace_entry other[6];
    uint64_t hash[7];
    for (int i = 0; i < 6; i++) {
        other[i] = entry(0, 1);
    }
    other[0].at_ms++;
    other[1].from.bits++;
    other[2].to.bits++;
    other[3].message = 0;
    other[4].before = -1;
    other[5].after = ROLLCALL_END;
    for (int i = 0; i < 7; i++) {
        struct rollcall__trace trace;
        CHECK(rollcall__trace_init(&trace, 16));
        rollcall__trace_add(&trace, i < 6 ? other[i] : entry(0, 1));
        hash[i] = trace.hash;
        for (int j = 0; j < i; j++) {
            CHECK(hash[j] != hash[i]);
        }
        rollcall__trace_fini(&trace);
    }
}
