/* base/gauge.c - see gauge.h.  The release of set is paired with the acquire of get: whoever sees a
 * number sees what its writer had set before, in other gauges as well. */
#include "base/gauge.h"

void rollcall__gauge_set(struct rollcall__gauge *gauge, int64_t value)
{
    __atomic_store_n(&gauge->value, value, __ATOMIC_RELEASE);
}

int64_t rollcall__gauge_get(const struct rollcall__gauge *gauge)
{
    return __atomic_load_n(&gauge->value, __ATOMIC_ACQUIRE);
}
