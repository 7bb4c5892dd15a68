#include "cli/table.h"

#include <string.h>

enum { GAP_COLUMNS = 2 };

void cli_table_fini(struct cli_table *table)
{
    cli_text_fini(&table->cells);
}

/* Bytes that the first `columns` of a text take, which has more of them. */
static size_t size_of_columns(const char *text, size_t columns)
{
    size_t size = 0;
    for (size_t found = 0; found <= columns; size++) {
        found += cli_text_columns(text + size, 1); /* 0 in the middle of a character */
    }
    return size - 1;
}

/* Shortens the cell that begins there, when it must; returns how wide it is. */
static size_t cut(struct cli_text *cells, size_t begin)
{
    static const char ellipsis[] = "...";
    const size_t kept = CLI_TABLE_CELL_MAX - (sizeof ellipsis - 1);
    const size_t width = cli_text_columns(cells->data + begin, cells->size_bytes - begin);
    if (width <= CLI_TABLE_CELL_MAX) {
        return width;
    }
    cells->size_bytes = begin + size_of_columns(cells->data + begin, kept);
    cli_text_string(cells, ellipsis);
    return CLI_TABLE_CELL_MAX;
}

void cli_table_cell(struct cli_table *table, struct rollcall_bytes cell)
{
    const size_t begin = table->cells.size_bytes;
    if (cell.size_bytes == 0) {
        cell = cli_bytes("-");
    }
    cli_text_printable(&table->cells, cell);
    if (!table->cells.failed) {
        const size_t width = cut(&table->cells, begin);
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
