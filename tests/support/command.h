/*
 * tests/support/command.h - runs the command `rollcall` from outside, and checks what it says.
 *
 * Every scene has a root of its own, so tests may share an etcd, run at the same time and find
 * nothing of others.
 *
 * Threads: main (see process.h).
 * Errors:  what must not happen in any test fails the test here, with all that was said on stderr.
 */
#ifndef TESTS_SUPPORT_COMMAND_H
#define TESTS_SUPPORT_COMMAND_H

#include "support/process.h"

enum { COMMAND_SOON_MS = 30000, COMMAND_ROOT_BYTES = 96 };

struct command_scene {
    const char *endpoint; /* borrowed */
    char root[COMMAND_ROOT_BYTES];
};
struct command_scene command_scene_create(const char *endpoint);

/* How a command is started besides its words; a zero struct: as always. */
struct command_setting {
    const char *const *environment; /* "NAME=VALUE" each, then NULL; NULL: none */
    const char *terminal;           /* its stdin; NULL: /dev/null */
};

/* words: the command and its arguments, then NULL.  The scene's endpoint and root are put after the
 * first; scene: NULL: neither. */
void command_start(struct process *process, const struct command_scene *scene,
                   const struct command_setting *setting, const char *const *words);
#define START(process, scene, ...)                                                                 \
    command_start(process, scene, &(const struct command_setting){0},                              \
                  (const char *const[]){__VA_ARGS__, NULL})

/* Waits until it has written `part` to stdout. */
void command_await(struct process *process, const char *part);
/* Waits for its end and checks its exit code. */
void command_check_ends(struct process *process, int exit_code);
/* Both of START and command_check_ends. */
#define RUN(process, scene, exit_code, ...)                                                        \
    do {                                                                                           \
        START(process, scene, __VA_ARGS__);                                                        \
        command_check_ends(process, exit_code);                                                    \
    } while (0)

void command_check_contains(const char *text, const char *part);
/* It said one error: a line for people first, then the object that says the same. */
void command_check_error(const struct process *process, const char *code);
/* The number that follows "name": in the first object of `text` that has it. */
int64_t command_number(const char *text, const char *name);

/* A session of the role querynode, once it is ACTIVE; its output is JSON. */
void command_start_registered(struct process *process, const struct command_scene *scene);
/* SIGTERM, exit code 0, and freed. */
void command_stop(struct process *process);
/* How many sessions there are now in all. */
void command_check_count(const struct command_scene *scene, int count);

/* Runs `script` with sh -ec; etcdctl in it talks to the scene's etcd, and $ROOT is its root. */
void command_etcdctl(const struct command_scene *scene, const char *script);

#endif /* TESTS_SUPPORT_COMMAND_H */
