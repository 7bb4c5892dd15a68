/*
 * sentinel/vigil.h - the sentinel's side: it says that it is ready, and waits for its owner's end.
 *
 * What proves that end is the owner's pidfd alone.  The socket's end proves nothing: another
 * process can hold it open after the owner is dead (a child that forked and did not exec), and the
 * owner can close it and live (it closes all files it does not know, as daemons do).  A pidfd is
 * readable when the last thread has ended, however that came to be, and never before: not while the
 * process is stopped, traced, or writing its core; and it means this process, whoever has its
 * number next.
 *
 * Threads: one.
 */
#ifndef SENTINEL_VIGIL_H
#define SENTINEL_VIGIL_H

#include "sentinel/verdict.h"

/* Whether we were started as birth.h says; else ROLLCALL_E_INVALID.  Keeps us from taking a signal,
 * but for our own faults. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__vigil_begin(struct rollcall_error *error);
/* Says that we are ready, and waits for a verdict: DEAD or DISMISSED. */
enum rollcall__verdict rollcall__vigil_keep(const struct rollcall__ledger_view *view);

#endif /* SENTINEL_VIGIL_H */
