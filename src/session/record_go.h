/*
 * session/record_go.h - a first look at a session record: whether it is written as Go writes it.
 * Threads: any; nothing is shared.
 */
#ifndef SESSION_RECORD_GO_H
#define SESSION_RECORD_GO_H

#include <rollcall/record.h>

/*
 * Reads JSON without a space, whose fields are in upstream's order and case, each once, with texts
 * of ASCII that need no escape, and labels that are sorted and no more than there is room for.
 * record:  its texts are views of `json`, without a NUL; its labels are in `labels`.
 * Returns: true: *record is what the general reader makes of it; the version is not checked.
 *          false: no word about what is wrong, if anything is; *record is not to be used.
 */
ROLLCALL_MUST_USE bool rollcall__record_read_go(struct rollcall_bytes json,
                                                struct rollcall_label *labels, size_t label_room,
                                                struct rollcall_record *record);

#endif /* SESSION_RECORD_GO_H */
