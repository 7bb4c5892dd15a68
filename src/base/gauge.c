/* base/gauge.c - see gauge.h.  Relaxed on both sides: the number stands for itself, so the two have
 * no partner to order them with; that it is never torn is all that is needed. */
#include "base/gauge.h"

void rollcall__gauge_set(struct rollcall__gauge *gauge, int64_t value)
{
    __atomic_store_n(&gauge->value, value, __ATOMIC_RELAXED);
}

int64_t rollcall__gauge_get(const struct rollcall__gauge *gauge)
{
    return __atomic_load_n(&gauge->value, __ATOMIC_RELAXED);
}
