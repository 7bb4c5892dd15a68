/*
 * tests/support/test.h - one test body, two runners.
 *
 * TEST(suite, claim) { ... } runs under Criterion (one process per test), and, built with
 * ROLLCALL_PLAIN_DRIVER, under tests/support/plain_driver.c (all in one process, in order), because
 * Criterion cannot start under ThreadSanitizer and does not fail on a leak.
 * Name a test by what it claims: TEST(keepalive, broken_stream_is_not_a_lost_lease).
 */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef ROLLCALL_PLAIN_DRIVER

struct plain_test {
    const char *suite, *name;
    void (*body)(void);
    struct plain_test *next;
};
void plain_test_add(struct plain_test *test); /* before main */
_Noreturn void plain_test_fail(const char *file, int line, const char *text);

#define TEST(suite_, name_)                                                                        \
    static void suite_##_##name_(void);                                                            \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)                          \
    {                                                                                              \
        static struct plain_test test = {#suite_, #name_, suite_##_##name_, NULL};                 \
        plain_test_add(&test);                                                                     \
    }                                                                                              \
    static void suite_##_##name_(void)
#define CHECK_FAIL(text) plain_test_fail(__FILE__, __LINE__, text)

#else

#include <criterion/criterion.h>

#define TEST(suite_, name_) Test(suite_, name_)
#define CHECK_FAIL(text) cr_assert(false, "%s:%d: %s", __FILE__, __LINE__, text)

#endif

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            CHECK_FAIL("not true: " #condition);                                                   \
        }                                                                                          \
    } while (0)

#define CHECK_INT(actual, expected)                                                                \
    do {                                                                                           \
        const int64_t check_actual = (int64_t)(actual), check_expected = (int64_t)(expected);      \
        if (check_actual != check_expected) {                                                      \
            char check_text[256];                                                                  \
            snprintf(check_text, sizeof check_text, "%s is %" PRId64 ", not %" PRId64, #actual,    \
                     check_actual, check_expected);                                                \
            CHECK_FAIL(check_text);                                                                \
        }                                                                                          \
    } while (0)

#define CHECK_STR(actual, expected)                                                                \
    do {                                                                                           \
        const char *check_actual = (actual), *check_expected = (expected);                         \
        if (check_actual == NULL || strcmp(check_actual, check_expected) != 0) {                   \
            char check_text[1024];                                                                 \
            snprintf(check_text, sizeof check_text, "%s is \"%.400s\", not \"%.400s\"", #actual,   \
                     check_actual ? check_actual : "(null)", check_expected);                      \
            CHECK_FAIL(check_text);                                                                \
        }                                                                                          \
    } while (0)

/* Counted bytes against a C string. */
#define CHECK_BYTES(actual, expected)                                                              \
    do {                                                                                           \
        const struct rollcall_bytes check_bytes = (actual);                                        \
        const char *check_text_expected = (expected);                                              \
        if (check_bytes.size_bytes != strlen(check_text_expected) ||                               \
            (check_bytes.size_bytes != 0 &&                                                        \
             memcmp(check_bytes.data, check_text_expected, check_bytes.size_bytes) != 0)) {        \
            char check_text[1024];                                                                 \
            snprintf(check_text, sizeof check_text, "%s is \"%.*s\", not \"%.400s\"", #actual,     \
                     (int)(check_bytes.size_bytes < 400 ? check_bytes.size_bytes : 400),           \
                     check_bytes.data ? check_bytes.data : "", check_text_expected);               \
            CHECK_FAIL(check_text);                                                                \
        }                                                                                          \
    } while (0)

#endif /* TESTS_SUPPORT_TEST_H */
