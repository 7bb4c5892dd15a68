#include "support/command.h"

#include "support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 48 };

struct command_scene command_scene_create(const char *endpoint)
{
    static int count;
    struct command_scene scene = {.endpoint = endpoint};
    snprintf(scene.root, sizeof scene.root, "cli-test/%ld-%" PRId64 "-%d", (long)getpid(),
             process_now_ms(), count++);
    return scene;
}

/* Appends one argument, if there is room for it and the NULL. */
static void add(const char **arguments, const char *word)
{
    size_t count = 0;
    while (arguments[count] != NULL) {
        count++;
    }
    CHECK(count + 1 < ARGUMENTS_MAX);
    arguments[count] = word;
}

static void add_scene(const char **arguments, const struct command_scene *scene)
{
    if (scene != NULL) {
        add(arguments, "--endpoints");
        add(arguments, scene->endpoint);
        add(arguments, "--root");
        add(arguments, scene->root);
    }
}

void command_start(struct process *process, const struct command_scene *scene,
                   const struct command_setting *setting, const char *const *words)
{
    const char *arguments[ARGUMENTS_MAX] = {0};
    const char *environment[8] = {0};
    char script[128];
    if (setting->terminal != NULL) {
        snprintf(script, sizeof script, "exec \"$0\" \"$@\" <%s", setting->terminal);
        add(arguments, "sh");
        add(arguments, "-c");
        add(arguments, script);
    }
    add(arguments, ROLLCALL_TEST_COMMAND);
    for (size_t i = 0; words[i] != NULL; i++) {
        add(arguments, words[i]);
        if (i == 0) {
            add_scene(arguments, scene);
        }
    }
    for (size_t i = 0; setting->environment != NULL && setting->environment[i] != NULL; i++) {
        CHECK(i + 1 < sizeof environment / sizeof environment[0]);
        environment[i] = setting->environment[i];
    }
    const struct process_options options = {
        .arguments = arguments, .environment = environment, .without_prefix = "ETCDCTL_"};
    CHECK(process_start(process, &options));
}

static void show(const struct process *process)
{
    fprintf(stderr, "stdout: %s\nstderr: %s\n", process->out.data, process->err.data);
}

void command_await(struct process *process, const char *part)
{
    if (!process_wait_for(process, part, COMMAND_SOON_MS)) {
        show(process);
        CHECK_STR(process->out.data, part);
    }
}

void command_check_ends(struct process *process, int exit_code)
{
    const bool ended = process_wait(process, COMMAND_SOON_MS);
    if (!ended || process->exit_code != exit_code) {
        show(process);
    }
    CHECK(ended);
    CHECK_INT(process->exit_code, exit_code);
}

void command_check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        CHECK_STR(text, part);
    }
}

void command_check_error(const struct process *process, const char *code)
{
    char object[64];
    snprintf(object, sizeof object, "\n{\"event\":\"error\",\"code\":\"%s\",\"message\":\"", code);
    const bool first = strncmp(process->err.data, "rollcall: ", 10) == 0;
    if (!first && strstr(process->err.data, "\nrollcall: ") == NULL) { /* behind the log */
        show(process);
        CHECK_FAIL("stderr has no line for people");
    }
    command_check_contains(process->err.data, object);
}

int64_t command_number(const char *text, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *found = strstr(text, key);
    CHECK(found != NULL);
    return strtoll(found + strlen(key), NULL, 10);
}

void command_start_registered(struct process *process, const struct command_scene *scene)
{
    START(process, scene, "register", "querynode", "--address", "10.0.0.7:21123", "--ttl", "10",
          "-o", "json");
    command_await(process, "\"state\":\"ACTIVE\"");
}

void command_stop(struct process *process)
{
    process_signal(process, SIGTERM);
    command_check_ends(process, 0);
    process_destroy(process);
}

void command_check_count(const struct command_scene *scene, int count)
{
    struct process list;
    RUN(&list, scene, 0, "list", "-o", "json");
    CHECK_INT(command_number(list.out.data, "count"), count);
    process_destroy(&list);
}

void command_etcdctl(const struct command_scene *scene, const char *script)
{
    char endpoint[64], root[COMMAND_ROOT_BYTES + 8];
    snprintf(endpoint, sizeof endpoint, "ETCDCTL_ENDPOINTS=%s", scene->endpoint);
    snprintf(root, sizeof root, "ROOT=%s", scene->root);
    const char *const environment[] = {endpoint, root, "ETCDCTL_API=3", NULL};
    const char *const arguments[] = {"sh", "-ec", script, NULL};
    const struct process_options options = {
        .arguments = arguments, .environment = environment, .without_prefix = "ETCDCTL_"};
    struct process process;
    CHECK(process_run(&process, &options, COMMAND_SOON_MS));
    CHECK_INT(process.exit_code, 0);
    process_destroy(&process);
}
