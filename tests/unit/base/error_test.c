#include <rollcall/error.h>

#include "support/test.h"

TEST(error, every_status_has_a_name_a_sentence_and_a_class)
{
    for (int i = 0; i < ROLLCALL_STATUS_COUNT; i++) {
        const enum rollcall_status status = (enum rollcall_status)i;
        CHECK(strlen(rollcall_status_name(status)) > 0);
        CHECK(strlen(rollcall_status_text(status)) > 0);
        CHECK((rollcall_status_class(status) == ROLLCALL_FINE) == (status == ROLLCALL_OK));
    }
    CHECK_STR(rollcall_status_name(ROLLCALL_E_LEASE_LOST), "E_LEASE_LOST");
}

TEST(error, a_number_that_is_no_status_is_fatal_and_unknown)
{
    CHECK_STR(rollcall_status_name((enum rollcall_status)4711), "E_UNKNOWN");
    CHECK_STR(rollcall_status_name((enum rollcall_status) - 1), "E_UNKNOWN");
    CHECK_INT(rollcall_status_class((enum rollcall_status)4711), ROLLCALL_FATAL);
    CHECK(strlen(rollcall_status_text((enum rollcall_status) - 1)) > 0);
}

TEST(error, a_failure_is_one_line_and_the_error_is_optional)
{
    struct rollcall_error error = {.grpc_code = 14, .maybe_applied = true};
    CHECK_INT(rollcall_error_set(NULL, ROLLCALL_E_FULL, "%d", 1), ROLLCALL_E_FULL);
    CHECK_INT(rollcall_error_set(&error, ROLLCALL_E_INVALID, "ttl_ms is %d", 3),
              ROLLCALL_E_INVALID);
    CHECK_STR(error.text, "ttl_ms is 3");
    CHECK_INT(error.status, ROLLCALL_E_INVALID);
    CHECK_INT(error.grpc_code, 0); /* of an earlier failure */
    CHECK(!error.maybe_applied);
}

TEST(error, an_error_may_be_wrapped_in_its_own_text)
{
    struct rollcall_error error;
    rollcall_error_set(&error, ROLLCALL_E_DENIED, "no such user");
    rollcall_error_set(&error, error.status, "open: %s", error.text);
    CHECK_STR(error.text, "open: no such user");
    CHECK_INT(error.status, ROLLCALL_E_DENIED);
}

TEST(error, a_long_sentence_is_cut_and_terminated)
{
    struct rollcall_error error;
    rollcall_error_set(&error, ROLLCALL_E_SYSTEM, "%1000d", 7);
    CHECK_INT(strlen(error.text), ROLLCALL_ERROR_TEXT_BYTES - 1);
}
