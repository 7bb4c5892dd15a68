/*
 * cli/interrupt.h - SIGINT, SIGTERM and SIGHUP as files that become readable, and stay so.
 *
 * Threads: init from main before other threads start; the rest any.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/* Catches the signals; ignores SIGPIPE.  Returns false, and changes nothing, when the system
 * refuses.  SIGHUP stays ignored where it is (nohup). */
bool cli_interrupt_init(void);
/* From now on a signal ends the process at once with exit code 130. */
void cli_interrupt_exits(void);
/* The same of a second signal. */
void cli_interrupt_again_exits(void);

int cli_interrupt_fd(void);       /* readable for good after the first signal; -1 before init */
int cli_interrupt_again_fd(void); /* and after the second */
bool cli_interrupted(void);

#endif /* CLI_INTERRUPT_H */
