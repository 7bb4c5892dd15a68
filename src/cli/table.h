/*
 * cli/table.h - columns for people: as wide as their widest cell, two spaces apart.
 *
 * A cell that is too long is cut, and ends with "...": one record that somebody stored cannot make
 * every row wide.
 *
 * Rows are added cell by cell and printed later; after printing, the widths stay, so a stream of
 * rows printed one by one stays aligned as far as it can.
 *
 * Threads: one at a time.
 * Memory:  cells are copied, escaped by cli_text_printable; cli_table_fini frees them.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/text.h"

enum { CLI_TABLE_COLUMNS_MAX = 12, CLI_TABLE_CELL_MAX = 64 /* columns of text */ };

struct cli_table {
    size_t columns; /* 1 .. CLI_TABLE_COLUMNS_MAX; set by whoever makes the table */
    size_t column;  /* the one the next cell goes to */
    size_t widths[CLI_TABLE_COLUMNS_MAX];
    struct cli_text cells; /* each followed by a NUL, which escaped text never holds */
};

void cli_table_fini(struct cli_table *table);
/* The next cell; no bytes: "-". */
void cli_table_cell(struct cli_table *table, struct rollcall_bytes cell);
/* Appends the rows to `text` and forgets them.  A row not yet full stays for the next time. */
void cli_table_print(struct cli_table *table, struct cli_text *text);

#endif /* CLI_TABLE_H */
