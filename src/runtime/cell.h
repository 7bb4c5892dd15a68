/*
 * runtime/cell.h - what travels: one cache line, moved by value.
 */
#ifndef RUNTIME_CELL_H
#define RUNTIME_CELL_H

#include <rollcall/actor.h>

enum rollcall__cell_kind {
    ROLLCALL__CELL_MESSAGE, /* for the receiver's table */
    ROLLCALL__CELL_TIMER,   /* the same, if payload's generation is still the timer's */
    ROLLCALL__CELL_MONITOR, /* for the runtime: `from` wants to hear of `to`'s end */
    ROLLCALL__CELL_CONTROL  /* for the worker: object is a struct rollcall__control */
};

struct rollcall__cell {
    struct rollcall_ref to, from;
    uint16_t to_epoch; /* 0: whichever incarnation is there */
    uint16_t from_epoch;
    uint16_t type;
    uint8_t size_bytes, kind;
    struct rollcall_object *object; /* owned by the cell */
    union {
        unsigned char payload[ROLLCALL_PAYLOAD_MAX_BYTES];
        uint64_t timer_generation;
        struct rollcall__cell *next_free; /* in a worker's pool */
        uint64_t align;                   /* payloads hold int64_t */
    };
};
_Static_assert(sizeof(struct rollcall__cell) == 64, "a cell is one cache line");

/* A ref is generation:24 | worker:8 | slot:32; generations start at 1, so no ref is 0. */
enum { ROLLCALL__GENERATION_MAX = (1 << 24) - 1 };
static inline struct rollcall_ref rollcall__ref(uint32_t generation, uint32_t worker, uint32_t slot)
{
    return (struct rollcall_ref){(uint64_t)generation << 40 | (uint64_t)worker << 32 | slot};
}
static inline uint32_t rollcall__ref_slot(struct rollcall_ref ref)
{
    return (uint32_t)ref.bits;
}
static inline uint32_t rollcall__ref_worker(struct rollcall_ref ref)
{
    return (uint32_t)(ref.bits >> 32) & 0xff;
}
static inline uint32_t rollcall__ref_generation(struct rollcall_ref ref)
{
    return (uint32_t)(ref.bits >> 40);
}

#endif /* RUNTIME_CELL_H */
