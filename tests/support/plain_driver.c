/* tests/support/plain_driver.c - runs the tests of one program in one process; see test.h. */
#include "support/test.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define LEAKED() __lsan_do_recoverable_leak_check()
#else
#define LEAKED() 0
#endif

static struct plain_test *first, **last = &first;
static const struct plain_test *running;

void plain_test_add(struct plain_test *test)
{
    *last = test;
    last = &test->next;
}

_Noreturn void plain_test_fail(const char *file, int line, const char *text)
{
    fprintf(stderr, "%s:%d: %s.%s: %s\n", file, line, running->suite, running->name, text);
    abort(); /* with a core and, under a sanitizer, a stack */
}

/* Arguments: parts of "suite.name"; none: all. */
static bool chosen(const struct plain_test *test, int argc, char **argv)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", test->suite, test->name);
    for (int i = 1; i < argc; i++) {
        if (strstr(name, argv[i]) != NULL) {
            return true;
        }
    }
    return argc < 2;
}

int main(int argc, char **argv)
{
    int passed = 0;
    for (const struct plain_test *test = first; test != NULL; test = test->next) {
        if (!chosen(test, argc, argv)) {
            continue;
        }
        running = test;
        test->body();
        if (LEAKED()) {
            plain_test_fail(__FILE__, __LINE__, "this test leaked");
        }
        passed++;
    }
    printf("%d passed, 0 failed\n", passed);
    return passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
