/*
 * tests/support/leaks.h - what is allocated between the two may leak.
 *
 * A simulation that has broken a contract is left as it is: whether what lies in its memory can be
 * freed, nobody knows any more.
 */
#ifndef TESTS_SUPPORT_LEAKS_H
#define TESTS_SUPPORT_LEAKS_H

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#else
static inline void __lsan_disable(void)
{
}
static inline void __lsan_enable(void)
{
}
#endif

static inline void leaks_begin(void)
{
    __lsan_disable();
}

static inline void leaks_end(void)
{
    __lsan_enable();
}

#endif /* TESTS_SUPPORT_LEAKS_H */
