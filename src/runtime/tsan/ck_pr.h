/*
 * What ThreadSanitizer needs to understand ck: the same operations as C11-style atomics.  ck's
 * inline assembly hides the happens-before edges that its rings establish, so every ring would look
 * racy. On the include path of the tsan build only, ahead of the system's; ck's own code is
 * unchanged.
 */
#ifndef RUNTIME_TSAN_CK_PR_H
#define RUNTIME_TSAN_CK_PR_H

#include_next <ck_pr.h>

#undef ck_pr_load_uint
#undef ck_pr_store_uint
#undef ck_pr_load_32
#undef ck_pr_store_32
#undef ck_pr_load_ptr
#undef ck_pr_store_ptr
#define ck_pr_load_uint(from) __atomic_load_n((from), __ATOMIC_ACQUIRE)
#define ck_pr_store_uint(to, value) __atomic_store_n((to), (value), __ATOMIC_RELEASE)
#define ck_pr_load_32(from) __atomic_load_n((from), __ATOMIC_ACQUIRE)
#define ck_pr_store_32(to, value) __atomic_store_n((to), (value), __ATOMIC_RELEASE)
#define ck_pr_load_ptr(from) __atomic_load_n((from), __ATOMIC_ACQUIRE)
#define ck_pr_store_ptr(to, value) __atomic_store_n((to), (value), __ATOMIC_RELEASE)
#define ck_pr_faa_32(to, value) __atomic_fetch_add((to), (value), __ATOMIC_SEQ_CST)
#define ck_pr_fas_32(to, value) __atomic_exchange_n((to), (value), __ATOMIC_SEQ_CST)

#endif /* RUNTIME_TSAN_CK_PR_H */
