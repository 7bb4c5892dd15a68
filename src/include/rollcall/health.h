/*
 * rollcall/health.h - how an etcd is: what one endpoint says of itself, of its cluster, and whether
 * it lets us read.  Nothing is written.
 *
 * It is asked of the endpoint that the connection uses at the moment: to ask a certain one, connect
 * to that one alone.
 *
 * Threads: any thread may call any function; the form that waits answers E_BUSY in a callback.
 * Time:    timeout_ms bounds the call as a whole; 0: 5'000.
 * Errors:  *error has the sentence.  E_UNAVAILABLE or E_TIMEOUT: the endpoint did not answer, and
 *          is not asked again: what is wanted is how it is now.  E_DENIED: it answered, and does
 * not accept our user (error->grpc_code 3: user or password is wrong; 16: it wants a user). Async:
 * as in rollcall/admin.h.
 */
#ifndef ROLLCALL_HEALTH_H
#define ROLLCALL_HEALTH_H

#include <rollcall/etcd.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ROLLCALL_HEALTH_VERSION_BYTES = 32,
    ROLLCALL_HEALTH_NAME_BYTES = 64,
    ROLLCALL_HEALTH_MEMBERS_MAX = 16, /* what is more is counted, and not listed */
    ROLLCALL_HEALTH_ALARMS_MAX = 16
};

struct rollcall_health_member {
    uint64_t member_id;
    char name[ROLLCALL_HEALTH_NAME_BYTES]; /* terminated, may be cut; "": it was never started */
    bool is_learner;                       /* it has no vote yet, and answers little */
};

enum rollcall_alarm {
    ROLLCALL_ALARM_NO_SPACE = 1, /* the quota is used up: nothing can be put, no lease granted */
    ROLLCALL_ALARM_CORRUPT,      /* a member's data differs from the others' */
    ROLLCALL_ALARM_OTHER         /* of a newer etcd */
};
struct rollcall_health_alarm {
    uint64_t member_id; /* whose it is */
    enum rollcall_alarm alarm;
};

/* A plain value.  IDs are etcd's: 64 bits, written in hexadecimal by etcdctl. */
struct rollcall_health {
    int64_t latency_ms; /* the fastest of three answers */
    /* What it says of itself.  A member without a leader may refuse to say more than that: then the
     * rest is 0, version is "", and all below has the status E_UNAVAILABLE. */
    bool has_leader;
    bool is_learner;
    uint64_t cluster_id, member_id;
    uint64_t leader_id; /* 0: it has none */
    uint64_t raft_term, raft_index, raft_applied_index;
    int64_t db_size_bytes,
        db_size_in_use_bytes; /* in use: the rest is freed by a defragmentation */
    int64_t db_quota_bytes;   /* 0: not told, as before etcd 3.6 */
    char version[ROLLCALL_HEALTH_VERSION_BYTES]; /* "3.4.23" */

    enum rollcall_status members_status; /* OK, or why there is no list: E_DENIED, E_TIMEOUT, ... */
    size_t member_count;                 /* of the cluster, as this member knows it */
    struct rollcall_health_member members[ROLLCALL_HEALTH_MEMBERS_MAX];

    enum rollcall_status alarms_status; /* as above */
    size_t alarm_count;                 /* of all members */
    struct rollcall_health_alarm alarms[ROLLCALL_HEALTH_ALARMS_MAX];

    /* Whether it lets us read ROOT/session/, by a read that takes a majority of the members. */
    struct rollcall_error read_error; /* status OK, or why not */
    int64_t key_count;                /* below ROOT/session/, the ID key among them */
};

/*
 * root:    under which the keys are counted; NULL: "by-dev/meta".
 * *health: filled when the answer is ROLLCALL_OK, and else left alone.
 * Returns: ROLLCALL_OK: the endpoint answered, which says nothing of how it is.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_health(struct rollcall_etcd *etcd, const char *root, int64_t timeout_ms,
                struct rollcall_health *health, struct rollcall_error *error);
/* health: borrowed until it returns; NULL unless error->status is ROLLCALL_OK. */
typedef void rollcall_health_fn(void *user, const struct rollcall_health *health,
                                const struct rollcall_error *error);
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_health_async(struct rollcall_etcd *etcd, const char *root, int64_t timeout_ms,
                      rollcall_health_fn *done, void *user, struct rollcall_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_HEALTH_H */
