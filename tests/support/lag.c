/* tests/support/lag.c - see lag.h. */
#include "support/lag.h"

#include "support/process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* An hour; what is later counts as no lag, which loosens nothing. */
enum { STEP_MS = 100, STEPS = 36000, US_PER_MS = 1000, NOISE_US = 500 };

struct lag {
    pthread_t thread;
    int64_t began_ms;
    _Atomic bool over;
    _Atomic int64_t nap_from_us;    /* when the one that is being taken began */
    _Atomic int32_t lost_us[STEPS]; /* by when the nap should have ended */
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Spread over the steps it lasted, so that one long pause is not in one of them alone. */
static void note(struct lag *lag, int64_t from_us, int64_t to_us)
{
    while (from_us < to_us) {
        const int64_t step = from_us / US_PER_MS / STEP_MS - lag->began_ms / STEP_MS;
        const int64_t next_us = (from_us / US_PER_MS / STEP_MS + 1) * STEP_MS * US_PER_MS;
        const int64_t end_us = next_us < to_us ? next_us : to_us;
        if (step >= 0 && step < STEPS) {
            atomic_fetch_add(&lag->lost_us[step], (int32_t)(end_us - from_us));
        }
        from_us = end_us;
    }
}

static void *nap(void *argument)
{
    struct lag *lag = argument;
    while (!atomic_load(&lag->over)) {
        const int64_t due_us = now_us() + LAG_NAP_MS * US_PER_MS;
        atomic_store(&lag->nap_from_us, due_us - LAG_NAP_MS * US_PER_MS);
        process_sleep_ms(LAG_NAP_MS);
        const int64_t woken_us = now_us();
        if (woken_us - due_us > NOISE_US) {
            note(lag, due_us, woken_us);
        }
    }
    return NULL;
}

struct lag *lag_create(void)
{
    struct lag *lag = calloc(1, sizeof *lag);
    if (lag == NULL) {
        fprintf(stderr, "lag: no memory\n");
        abort();
    }
    lag->began_ms = process_now_ms();
    atomic_store(&lag->nap_from_us, now_us());
    if (pthread_create(&lag->thread, NULL, nap, lag) != 0) {
        fprintf(stderr, "lag: no thread\n");
        abort();
    }
    return lag;
}

void lag_destroy(struct lag *lag)
{
    if (lag != NULL) {
        atomic_store(&lag->over, true);
        pthread_join(lag->thread, NULL);
        free(lag);
    }
}

int64_t lag_ms(struct lag *lag, int64_t from_ms, int64_t to_ms)
{
    int64_t sum_us = now_us() - atomic_load(&lag->nap_from_us) - LAG_NAP_MS * US_PER_MS;
    sum_us = sum_us > NOISE_US && process_now_ms() - to_ms < STEP_MS ? sum_us : 0;
    const int64_t first = from_ms / STEP_MS - lag->began_ms / STEP_MS;
    const int64_t last = to_ms / STEP_MS - lag->began_ms / STEP_MS;
    for (int64_t i = first < 0 ? 0 : first; i <= last && i < STEPS; i++) {
        sum_us += atomic_load(&lag->lost_us[i]);
    }
    return sum_us / US_PER_MS;
}
