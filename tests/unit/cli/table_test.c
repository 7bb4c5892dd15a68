#include "cli/table.h"

#include "support/test.h"

static void add_row(struct cli_table *table, const char *first, const char *second)
{
    cli_table_cell(table, cli_bytes(first));
    cli_table_cell(table, cli_bytes(second));
}

static void check_printed(struct cli_table *table, const char *expected)
{
    struct cli_text text = {0};
    cli_table_print(table, &text);
    CHECK(!text.failed);
    CHECK_BYTES(((struct rollcall_bytes){text.data, text.size_bytes}), expected);
    cli_text_fini(&text);
}

TEST(table, columns_are_as_wide_as_their_widest_cell)
{
    struct cli_table table = {.columns = 2};
    add_row(&table, "KEY", "ID");
    add_row(&table, "querynode-1", "1");
    check_printed(&table, "KEY          ID\nquerynode-1  1\n");
    cli_table_fini(&table);
}

TEST(table, rows_printed_later_keep_the_widths)
{
    struct cli_table table = {.columns = 2};
    add_row(&table, "longer", "a");
    check_printed(&table, "longer  a\n");
    add_row(&table, "x", "b");
    check_printed(&table, "x       b\n");
    check_printed(&table, "");
    cli_table_fini(&table);
}

TEST(table, a_long_cell_is_cut_and_the_columns_stay_narrow)
{
    static const char tens[] = "123456789_123456789_123456789_123456789_123456789_123456789_";
    char exact[80], longer[80], expected[160];
    snprintf(exact, sizeof exact, "%s1234", tens);
    snprintf(longer, sizeof longer, "%s12345", tens);
    snprintf(expected, sizeof expected, "%s  a\n%s1...  b\n", exact, tens);
    struct cli_table table = {.columns = 2};
    add_row(&table, exact, "a");
    add_row(&table, longer, "b");
    check_printed(&table, expected);
    cli_table_fini(&table);
}

TEST(table, a_cell_is_cut_between_characters)
{
    char cell[3 * 65 + 1] = "", expected[3 * 61 + 8] = "";
    for (size_t i = 0; i < 65; i++) {
        memcpy(cell + 3 * i, "\xe2\x82\xac", 3);
    }
    memcpy(expected, cell, 3 * 61);
    strcat(expected, "...  a\n");
    struct cli_table table = {.columns = 2};
    add_row(&table, cell, "a");
    check_printed(&table, expected);
    cli_table_fini(&table);
}

TEST(table, an_empty_cell_is_a_dash)
{
    struct cli_table table = {.columns = 2};
    add_row(&table, NULL, "");
    check_printed(&table, "-  -\n");
    cli_table_fini(&table);
}

TEST(table, a_character_is_one_column_whatever_its_bytes)
{
    struct cli_table table = {.columns = 2};
    add_row(&table, "\xc3\xa9\xc3\xa9", "a");
    add_row(&table, "xyz", "b");
    check_printed(&table, "\xc3\xa9\xc3\xa9   a\nxyz  b\n");
    cli_table_fini(&table);
}

TEST(table, what_others_stored_cannot_move_the_cursor)
{
    struct cli_table table = {.columns = 2};
    cli_table_cell(&table, (struct rollcall_bytes){"a\0\n", 3});
    cli_table_cell(&table, cli_bytes("\033[2J\x7f\xff\xc2\x9b\\"));
    check_printed(&table, "a\\x00\\x0a  \\x1b[2J\\x7f\\xff\\xc2\\x9b\\\\\n");
    cli_table_fini(&table);
}
