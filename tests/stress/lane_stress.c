/*
 * Two threads, a lane each way, a park each: nothing is lost, reordered or torn, and nobody sleeps
 * through a message.  What a cell's object holds is written by one thread and read by the other, so
 * that ThreadSanitizer sees whether a lane really hands it over.
 */
#include "runtime/lane.h"
#include "runtime/park.h"
#include "support/stress.h"

#include <string.h>

enum { RUN_MS = 1500, BURST_MAX = 40 };

struct parcel {
    struct rollcall_object object;
    uint64_t number;
};

struct side {
    struct rollcall__lane *in, *out;
    struct rollcall__park park, *other;
    struct rollcall__random random;
    uint64_t sent, received;
    int64_t deadline_ns;
    uint64_t promised; /* what the other side has sent in all; UINT64_MAX: it still sends; atomic */
    struct side *peer;
    int64_t timeout_ms;
};

static int parcels; /* atomic: alive */

static void destroy_parcel(struct rollcall_object *object)
{
    __atomic_fetch_sub(&parcels, 1, __ATOMIC_RELAXED);
    free(object); /* the object is the first member */
}

static struct parcel *create_parcel(uint64_t number)
{
    struct parcel *parcel = malloc(sizeof *parcel);
    STRESS_CHECK(parcel != NULL);
    rollcall_object_init(&parcel->object, destroy_parcel);
    parcel->number = number;
    __atomic_fetch_add(&parcels, 1, __ATOMIC_RELAXED);
    return parcel;
}

static bool send_burst(struct side *side)
{
    const uint64_t burst = rollcall__random_below(&side->random, BURST_MAX);
    uint64_t count = 0;
    while (count < burst) {
        struct rollcall__cell cell = {.type = (uint16_t)side->sent, .size_bytes = 32};
        memset(cell.payload, (int)(side->sent & 0xff), sizeof cell.payload);
        struct parcel *parcel = create_parcel(side->sent);
        cell.object = &parcel->object;
        if (!rollcall__lane_push(side->out, &cell)) {
            rollcall_object_drop(cell.object);
            break;
        }
        side->sent++;
        count++;
    }
    if (count != 0) {
        rollcall__park_wake(side->other); /* once per burst, as a worker does */
    }
    return count != 0;
}

static bool receive(struct side *side)
{
    struct rollcall__cell cell;
    bool any = false;
    while (rollcall__lane_pop(side->in, &cell)) {
        const struct parcel *parcel = (const struct parcel *)cell.object;
        STRESS_CHECK(parcel->number == side->received);
        STRESS_CHECK(cell.type == (uint16_t)side->received);
        for (size_t i = 0; i < sizeof cell.payload; i++) {
            STRESS_CHECK(cell.payload[i] == (side->received & 0xff));
        }
        rollcall_object_drop(cell.object);
        side->received++;
        any = true;
        stress_progress();
    }
    return any;
}

/* One side has a burst to send only now and then, so that both sleep and wake each other a lot. */
static void *run(void *argument)
{
    struct side *side = argument;
    bool sending = true;
    for (;;) {
        const uint32_t seen = rollcall__park_prepare(&side->park);
        bool moved = receive(side);
        if (sending && rollcall__clock_monotonic_ns() >= side->deadline_ns) {
            sending = false;
            __atomic_store_n(&side->peer->promised, side->sent, __ATOMIC_RELEASE);
            rollcall__park_wake(side->other);
        }
        if (sending &&
            (moved || side->sent == 0 || rollcall__random_below(&side->random, 4) == 0)) {
            moved |= send_burst(side);
        }
        if (!sending && side->received == __atomic_load_n(&side->promised, __ATOMIC_ACQUIRE)) {
            return NULL;
        }
        if (!moved) {
            rollcall__park_wait(&side->park, seen, sending ? side->timeout_ms : -1);
        }
    }
}

static void run_pair(uint64_t seed, uint32_t capacity)
{
    struct side sides[2] = {{.sent = 0}};
    pthread_t threads[2];
    struct rollcall__lane *lanes[2] = {rollcall__lane_create(capacity),
                                       rollcall__lane_create(capacity)};
    for (int i = 0; i < 2; i++) {
        STRESS_CHECK(lanes[i] != NULL);
        sides[i].in = lanes[i];
        sides[i].out = lanes[1 - i];
        sides[i].other = &sides[1 - i].park;
        sides[i].peer = &sides[1 - i];
        sides[i].promised = UINT64_MAX;
        sides[i].timeout_ms = 1;
        sides[i].deadline_ns = rollcall__clock_monotonic_ns() + (int64_t)RUN_MS * 1000000;
        rollcall__park_init(&sides[i].park);
        rollcall__random_init(&sides[i].random, seed + (uint64_t)i);
    }
    for (int i = 0; i < 2; i++) {
        STRESS_CHECK(pthread_create(&threads[i], NULL, run, &sides[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < 2; i++) {
        STRESS_CHECK(sides[i].sent == sides[1 - i].received);
        fprintf(stderr, "  %" PRIu64 " cells\n", sides[i].sent);
        rollcall__lane_destroy(lanes[i]);
    }
    STRESS_CHECK(__atomic_load_n(&parcels, __ATOMIC_RELAXED) == 0);
}

/* No timeout, no spare traffic: each message is answered by one, so a single lost wake-up ends it.
 */
static void *echo(void *argument)
{
    struct side *side = argument;
    struct rollcall__cell cell = {.type = 1};
    while (side->received < side->promised) {
        const uint32_t seen = rollcall__park_prepare(&side->park);
        if (rollcall__lane_pop(side->in, &cell)) {
            side->received++;
            STRESS_CHECK(rollcall__lane_push(side->out, &cell));
            rollcall__park_wake(side->other);
            stress_progress();
        } else {
            rollcall__park_wait(&side->park, seen, -1);
        }
    }
    return NULL;
}

static void run_echo(uint64_t trips)
{
    struct side sides[2] = {{.sent = 0}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        sides[i].in = rollcall__lane_create(4);
        STRESS_CHECK(sides[i].in != NULL);
        rollcall__park_init(&sides[i].park);
        sides[i].other = &sides[1 - i].park;
        sides[i].promised = trips;
    }
    sides[0].out = sides[1].in;
    sides[1].out = sides[0].in;
    STRESS_CHECK(rollcall__lane_push(sides[0].in, &(struct rollcall__cell){.type = 1}));
    for (int i = 0; i < 2; i++) {
        STRESS_CHECK(pthread_create(&threads[i], NULL, echo, &sides[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < 2; i++) { /* neither has a side that pushes into it any more */
        rollcall__lane_destroy(sides[i].in);
    }
}

int main(void)
{
    const uint64_t seed = stress_begin();
    stress_enter("both ways through lanes of 4");
    run_pair(seed, 4);
    stress_enter("both ways through lanes of 1024");
    run_pair(seed + 2, 1024);
    stress_enter("one cell back and forth");
    run_echo(100000);
    return EXIT_SUCCESS;
}
