/*
 * sim/flight.h - what is on its way through the simulated network, by the instant it arrives.
 * Threads: the simulation's.
 */
#ifndef SIM_FLIGHT_H
#define SIM_FLIGHT_H

#include <rollcall/actor.h>

enum rollcall__flight_kind {
    ROLLCALL__FLIGHT_ASK,      /* to a member: a request; object: a transport_request; NULL: for a
                                  pass */
    ROLLCALL__FLIGHT_ANSWER,   /* back; object: a transport_result */
    ROLLCALL__FLIGHT_RENEW,    /* to a member */
    ROLLCALL__FLIGHT_RENEWED,  /* back */
    ROLLCALL__FLIGHT_OPEN,     /* to a member: a watch; object: a transport_range */
    ROLLCALL__FLIGHT_RESPONSE, /* back; object: a transport_watch_response */
    ROLLCALL__FLIGHT_ENDED,    /* back: the stream is over */
    ROLLCALL__FLIGHT_ADMITTED, /* back: a pass */
    ROLLCALL__FLIGHT_EXPIRED   /* a call's time has run out */
};

struct rollcall__flight {
    int64_t at_ms;
    uint64_t sequence; /* from 1; ties are broken in the order things were sent */
    enum rollcall__flight_kind kind;
    uint32_t link, generation, member;
    uint64_t token, pass;
    int64_t lease_id, ttl_s;
    enum rollcall_status status;
    struct rollcall_object *object; /* owned; NULL: none */
};

/* A binary heap.  Zero is an empty one. */
struct rollcall__flights {
    struct rollcall__flight *heap;
    size_t count, capacity;
    uint64_t sequence;
};

/* Stamps the sequence, unless it has one: what was held keeps its place.  flight: copied, its
 * object moved. */
void rollcall__flights_push(struct rollcall__flights *flights, struct rollcall__flight flight);
/* The first to arrive; there must be one. */
struct rollcall__flight rollcall__flights_pop(struct rollcall__flights *flights);
/* When that is; INT64_MAX: nothing is on its way. */
int64_t rollcall__flights_next_ms(const struct rollcall__flights *flights);
/* Drops every object. */
void rollcall__flights_free(struct rollcall__flights *flights);

#endif /* SIM_FLIGHT_H */
