#include "base/options.h"

#include "support/test.h"

struct known {
    size_t size_bytes;
    int first, second;
};
struct older {
    size_t size_bytes;
    int first, not_yet_invented;
};
struct newer {
    size_t size_bytes;
    int first, second;
    long third;
};

static enum rollcall_status copy(struct known *to, const void *from, struct rollcall_error *error)
{
    memset(to, 0xee, sizeof *to);
    return rollcall__options_copy(to, sizeof *to, from, "known", error);
}

TEST(options, absent_options_are_all_defaults)
{
    struct known to;
    CHECK_INT(copy(&to, NULL, NULL), ROLLCALL_OK);
    CHECK(to.first == 0 && to.second == 0);
}

TEST(options, what_an_older_caller_does_not_have_is_zero)
{
    const struct older from = {.size_bytes = offsetof(struct older, not_yet_invented), 5, 0x7777};
    struct known to;
    CHECK_INT(copy(&to, &from, NULL), ROLLCALL_OK);
    CHECK_INT(to.first, 5);
    CHECK_INT(to.second, 0);
}

TEST(options, a_newer_caller_is_served_unless_it_uses_what_we_do_not_know)
{
    struct newer from = {sizeof from, 1, 2, 0};
    struct rollcall_error error;
    struct known to;
    CHECK_INT(copy(&to, &from, &error), ROLLCALL_OK);
    CHECK(to.first == 1 && to.second == 2);
    from.third = 1;
    CHECK_INT(copy(&to, &from, &error), ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "known") != NULL);
}

TEST(options, a_size_that_was_never_set_is_refused)
{
    struct known from = {.first = 1}, to;
    CHECK_INT(copy(&to, &from, NULL), ROLLCALL_E_INVALID);
    from.size_bytes = SIZE_MAX;
    CHECK_INT(copy(&to, &from, NULL), ROLLCALL_E_INVALID);
}
