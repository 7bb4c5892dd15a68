#include "cli/output.h"

#include "support/test.h"

TEST(output, an_exit_code_says_what_to_do_about_a_status)
{
    CHECK_INT(cli_exit_code(ROLLCALL_OK), CLI_EXIT_DONE);
    CHECK_INT(cli_exit_code(ROLLCALL_E_INVALID), CLI_EXIT_USAGE);
    CHECK_INT(cli_exit_code(ROLLCALL_E_UNAVAILABLE), CLI_EXIT_UNREACHABLE);
    CHECK_INT(cli_exit_code(ROLLCALL_E_TIMEOUT), CLI_EXIT_UNREACHABLE);
    CHECK_INT(cli_exit_code(ROLLCALL_E_LEASE_LOST), CLI_EXIT_LOST);
    CHECK_INT(cli_exit_code(ROLLCALL_E_KEY_LOST), CLI_EXIT_LOST);
    CHECK_INT(cli_exit_code(ROLLCALL_E_RIVAL), CLI_EXIT_RIVAL);
    CHECK_INT(cli_exit_code(ROLLCALL_E_CORRUPT), CLI_EXIT_FAILED);
}
