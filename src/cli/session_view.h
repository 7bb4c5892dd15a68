/* cli/session_view.h - a session as a JSON object and as a row of a table. */
#ifndef CLI_SESSION_VIEW_H
#define CLI_SESSION_VIEW_H

#include "cli/table.h"

#include <rollcall/watch.h>

enum { CLI_SESSION_COLUMNS = 8 };

/* KEY ID ROLE ADDRESS VERSION STATE LEASE HOST */
void cli_session_header(struct cli_table *table);
void cli_session_row(struct cli_table *table, const struct rollcall_watch_event *event);

/* {"event":NAME,"key":...,"session":{the record as stored}} and a newline. */
void cli_session_json(struct cli_text *text, const char *name,
                      const struct rollcall_watch_event *event);

#endif /* CLI_SESSION_VIEW_H */
