/* tests/unit/actors/steps.h - what a session's actors ask of etcd, step by step, and what a test
 * makes of each step.  `struct steps` stands first in a test's bench, which is etcd's user. */
#ifndef TESTS_UNIT_ACTORS_STEPS_H
#define TESTS_UNIT_ACTORS_STEPS_H

#include "support/fake_etcd.h"
#include "unit/actors/session_world.h"

/* The requests, by what they are for. */
enum step {
    CREATE_ID,
    SURVEY,
    TAKE_ID,
    GRANT,
    CLAIM,
    EVICT,
    WITHDRAW,
    LOOK,
    MARK,
    REVOKE,
    ASK_LEASE,
    STEP_COUNT
};

struct steps {
    /* What happens to the `first`th to `last`th request (from 0) of each step. */
    struct {
        enum fake_etcd_fate fate;
        enum rollcall_status status; /* with FAKE_ETCD_REFUSE */
        size_t first, last;
        void (*before)(struct fake_etcd *etcd);
        size_t seen;
        struct rollcall_ref asker; /* of the last one */
    } plan[STEP_COUNT];
    int64_t granted[8]; /* the lease of each GRANT */
    struct transport_op mark;
    struct transport_compare mark_compares[2];
};

static inline enum step step_of_txn(const struct transport_compare *compare)
{
    switch (compare->target) {
    case TRANSPORT_COMPARE_VALUE:
        return TAKE_ID;
    case TRANSPORT_COMPARE_CREATE_REVISION:
        return MARK;
    case TRANSPORT_COMPARE_MOD_REVISION:
        return EVICT;
    case TRANSPORT_COMPARE_VERSION:
        break;
    case TRANSPORT_COMPARE_LEASE:
        return WITHDRAW;
    }
    return rollcall__bytes_equal(compare->key, rollcall__bytes(ID_KEY)) ? CREATE_ID : CLAIM;
}

static inline enum step step_of(const struct transport_request *request)
{
    switch (request->kind) {
    case TRANSPORT_RANGE:
        return request->range.end.size_bytes == 0 ? LOOK : SURVEY;
    case TRANSPORT_LEASE_GRANT:
        return GRANT;
    case TRANSPORT_LEASE_REVOKE:
        return REVOKE;
    case TRANSPORT_TXN:
        break;
    case TRANSPORT_LEASE_TIME_TO_LIVE:
        return ASK_LEASE;
    case TRANSPORT_STATUS:
    case TRANSPORT_MEMBERS:
    case TRANSPORT_ALARMS:
        CHECK_FAIL("no member asks how etcd is");
        break;
    }
    return step_of_txn(&request->txn.compares[0]);
}

static inline void steps_note(struct steps *steps, enum step step,
                              const struct transport_request *request)
{
    if (step == GRANT) {
        steps->granted[steps->plan[step].seen % 8] = request->lease.lease_id;
    }
    if (step == MARK) {
        CHECK_INT(request->txn.compare_count, 2);
        steps->mark = request->txn.success[0];
        steps->mark_compares[0] = request->txn.compares[0];
        steps->mark_compares[1] = request->txn.compares[1];
    }
}

static inline enum fake_etcd_fate decide(struct fake_etcd *etcd,
                                         const struct transport_request *request)
{
    struct steps *steps = etcd->user;
    const enum step step = step_of(request);
    steps_note(steps, step, request);
    steps->plan[step].asker = etcd->asker;
    const size_t nth = steps->plan[step].seen++;
    if (nth < steps->plan[step].first || nth > steps->plan[step].last) {
        return FAKE_ETCD_ANSWER;
    }
    if (steps->plan[step].before != NULL) {
        steps->plan[step].before(etcd);
    }
    etcd->refusal = steps->plan[step].status;
    return steps->plan[step].fate;
}

/* Does `fate` to the requests of a step from now on. */
static inline void steps_from_now(struct steps *steps, enum step step, enum fake_etcd_fate fate,
                                  size_t times)
{
    steps->plan[step].fate = fate;
    steps->plan[step].first = steps->plan[step].seen;
    steps->plan[step].last = times == SIZE_MAX ? SIZE_MAX : steps->plan[step].seen + times - 1;
}

#endif /* TESTS_UNIT_ACTORS_STEPS_H */
