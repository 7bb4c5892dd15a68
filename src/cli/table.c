#include "cli/table.h"

#include <string.h>

enum { GAP_COLUMNS = 2 };

void cli_table_fini(struct cli_table *table)
{
    cli_text_fini(&table->cells);
}

void cli_table_cell(struct cli_table *table, struct rollcall_bytes cell)
{
    const size_t begin = table->cells.size_bytes;
    if (cell.size_bytes == 0) {
        cell = cli_bytes("-");
    }
    cli_text_printable(&table->cells, cell);
    if (!table->cells.failed) {
        const size_t width =
            cli_text_columns(table->cells.data + begin, table->cells.size_bytes - begin);
        size_t *widest = &table->widths[table->column];
        *widest = width > *widest ? width : *widest;
    }
    cli_text_append(&table->cells, "", 1);
    table->column = (table->column + 1) % table->columns;
}

void cli_table_print(struct cli_table *table, struct cli_text *text)
{
    const char *cell = table->cells.data;
    const char *end = cell + (cell == NULL ? 0 : table->cells.size_bytes);
    for (size_t column = 0; cell < end; column = (column + 1) % table->columns) {
        const size_t size = strlen(cell);
        cli_text_append(text, cell, size);
        if (column + 1 == table->columns) {
            cli_text_string(text, "\n");
        } else {
            const size_t padding = table->widths[column] - cli_text_columns(cell, size);
            cli_text_spaces(text, padding + GAP_COLUMNS);
        }
        cell += size + 1;
    }
    text->failed = text->failed || table->cells.failed;
    cli_text_clear(&table->cells);
}
