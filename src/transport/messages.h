/*
 * transport/messages.h - the port: what an etcd can be asked, and what it answers.
 *
 * Two adapters stand behind it, each an actor with this message list: src/etcd speaks gRPC to a
 * real etcd, src/sim plays one.  An actor sends to a rollcall_ref and never learns which.
 *
 * A request is an object, immutable once sent; so is its answer.  The asker chooses the number of
 * the message that answers (in its own list, payload struct transport_answer) and an id that the
 * answer echoes.  Every request is answered exactly once, within its deadline, unless the asker's
 * incarnation has ended.  An asker keeps fewer requests outstanding than its mailbox holds.
 */
#ifndef TRANSPORT_MESSAGES_H
#define TRANSPORT_MESSAGES_H

#include <rollcall/actor.h>
#include <rollcall/record.h>

#define TRANSPORT_LIST(X)                                                                          \
    X(TRANSPORT_CALL, sizeof(struct transport_call))             /* object: transport_request */   \
    X(TRANSPORT_KEEPALIVE, sizeof(struct transport_keepalive))   /* renew one lease, once */       \
    X(TRANSPORT_WATCH, sizeof(struct transport_watch))           /* object: transport_range */     \
    X(TRANSPORT_WATCH_ACK, sizeof(struct transport_watch_id))    /* one response consumed */       \
    X(TRANSPORT_WATCH_CANCEL, sizeof(struct transport_watch_id)) /* no answer */
ROLLCALL_MESSAGES(transport_message, TRANSPORT_LIST, TRANSPORT_COUNT);

/* ---- unary requests ---- */

struct transport_call {
    uint64_t id;         /* echoed */
    int64_t timeout_ms;  /* 0: the adapter's default */
    uint16_t answer;     /* the asker's message number */
    bool wait_for_ready; /* wait for a connection until the deadline, instead of failing at once */
};

/* Payload of every answer to a call; the object is a struct transport_result, never NULL. */
struct transport_answer {
    uint64_t id;
    enum rollcall_status status; /* OK, or as the result's error says */
};

enum transport_kind {
    TRANSPORT_RANGE,
    TRANSPORT_TXN,
    TRANSPORT_LEASE_GRANT,  /* an id that exists already is a success: it was our earlier try */
    TRANSPORT_LEASE_REVOKE, /* a lease that is gone already is a success */
    TRANSPORT_LEASE_TIME_TO_LIVE,
    TRANSPORT_STATUS,  /* of the member that is asked, as are the two below */
    TRANSPORT_MEMBERS, /* as it knows them: they may have changed since it last heard of others */
    TRANSPORT_ALARMS   /* of all members */
};

/* [key, end): end empty: the one key; end "\0" (one byte): all keys from key on. */
struct transport_range {
    struct rollcall_object object;
    struct rollcall_bytes key, end;
    int64_t limit;    /* 0: none */
    int64_t revision; /* 0: now.  For a watch: the first revision wanted; never 0 */
    bool keys_only, count_only, serializable;
    bool prev_kv; /* for a watch */
};

enum transport_compare_target {
    TRANSPORT_COMPARE_VERSION,
    TRANSPORT_COMPARE_CREATE_REVISION,
    TRANSPORT_COMPARE_MOD_REVISION,
    TRANSPORT_COMPARE_LEASE,
    TRANSPORT_COMPARE_VALUE
};

struct transport_compare { /* always "equal" */
    enum transport_compare_target target;
    struct rollcall_bytes key;
    int64_t number;              /* all but VALUE */
    struct rollcall_bytes value; /* VALUE */
};

enum transport_op_kind { TRANSPORT_OP_GET, TRANSPORT_OP_PUT, TRANSPORT_OP_DELETE };
struct transport_op {
    enum transport_op_kind kind;
    struct rollcall_bytes key;
    struct rollcall_bytes value; /* PUT */
    int64_t lease_id;            /* PUT; 0: none */
};

enum { TRANSPORT_TXN_COMPARES_MAX = 4, TRANSPORT_TXN_OPS_MAX = 8 };
struct transport_txn {
    struct transport_compare compares[TRANSPORT_TXN_COMPARES_MAX];
    struct transport_op success[TRANSPORT_TXN_OPS_MAX], failure[TRANSPORT_TXN_OPS_MAX];
    uint8_t compare_count, success_count, failure_count;
};

struct transport_lease {
    int64_t lease_id; /* GRANT: chosen by the caller, random, positive */
    int64_t ttl_s;    /* GRANT */
};

/* Built by transport/request.h; its bytes live in the same block. */
struct transport_request {
    struct rollcall_object object;
    enum transport_kind kind;
    union {
        struct transport_range range; /* its own object header is unused here */
        struct transport_txn txn;
        struct transport_lease lease;
    };
};

/* ---- results: one block (the adapter's arena), freed as a whole ---- */

struct transport_kv {
    struct rollcall_bytes key, value;
    int64_t create_revision, mod_revision, version, lease_id;
};

struct transport_op_result { /* of a GET: what it found; of the others: empty */
    const struct transport_kv *kvs;
    size_t kv_count;
};

/* A member says it of itself, with a leader or without. */
struct transport_status {
    struct rollcall_bytes version;                            /* "3.4.23" */
    uint64_t leader_id;                                       /* 0: it knows of none */
    uint64_t raft_index, raft_term, raft_applied_index;       /* applied: 0 before 3.4 */
    int64_t db_size_bytes, db_size_in_use_bytes, quota_bytes; /* quota: 0 before 3.6 */
    const struct rollcall_bytes *errors;                      /* sentences */
    size_t error_count;
    bool is_learner;
};

struct transport_member {
    uint64_t member_id;
    struct rollcall_bytes name; /* empty: it has not been started yet */
    const struct rollcall_bytes *client_urls;
    size_t client_url_count;
    bool is_learner;
};

enum transport_alarm_kind {
    TRANSPORT_ALARM_NONE,
    TRANSPORT_ALARM_NO_SPACE,
    TRANSPORT_ALARM_CORRUPT,
    TRANSPORT_ALARM_OTHER /* of a newer etcd */
};
struct transport_alarm {
    uint64_t member_id;
    enum transport_alarm_kind kind;
};

struct transport_result {
    struct rollcall_object object;
    enum transport_kind kind;
    struct rollcall_error error; /* status OK: the fields of `kind` below are filled */
    int64_t revision;            /* of the store, from the response header; 0: absent */
    uint64_t cluster_id, member_id;
    /* RANGE: */
    const struct transport_kv *kvs;
    size_t kv_count;
    int64_t count; /* all in the range, whatever the limit */
    bool more;
    /* TXN: */
    bool succeeded;
    const struct transport_op_result *ops;
    size_t op_count;
    /* GRANT, TIME_TO_LIVE: */
    int64_t lease_id, ttl_s; /* ttl_s 0 after GRANT: existed already, ask TIME_TO_LIVE or renew;
                                -1 from TIME_TO_LIVE: no such lease */
    /* STATUS: */
    struct transport_status status;
    /* MEMBERS: */
    const struct transport_member *members;
    size_t member_count;
    /* ALARMS: */
    const struct transport_alarm *alarms;
    size_t alarm_count;
};

/* ---- renewals: no object, for there are thousands ---- */

struct transport_keepalive {
    int64_t lease_id;
    int64_t ttl_ms;        /* of the lease; silence is measured by it.  0: not known */
    int64_t safe_until_ms; /* from then on the lease may be over, and etcd lets its renewal wait
                              until that is decided.  0: not known */
    uint16_t answer;       /* the asker's message number */
};

/* Payload of the answer.  A renewal of a lease whose answer is still outstanding from the same
 * asker is not sent again; one answer serves both. */
struct transport_keepalive_answer {
    int64_t lease_id;
    int64_t ttl_s;               /* with OK: 0 or less: etcd does not know the lease */
    int64_t sent_ms;             /* when the answered request was sent: the TTL counts from here */
    enum rollcall_status status; /* OK, or why the stream broke: ask again */
};

/* ---- watches ---- */

struct transport_watch {
    uint64_t watch_id; /* chosen by the asker, unique among its own */
    uint32_t window;   /* responses that may be outstanding; 0: TRANSPORT_WATCH_WINDOW */
    uint16_t answer;   /* the asker's message number */
};

struct transport_watch_id {
    uint64_t watch_id;
    bool
        elsewhere; /* of a CANCEL: for a moment another member is preferred for watches and calls */
};

/* Payload of each response; the object is a struct transport_watch_response, never NULL.  At most
 * a window of them are outstanding: each must be answered with TRANSPORT_WATCH_ACK.  After one with
 * status other than OK, or `canceled`, no more come and the watch is forgotten.  The adapter also
 * forgets a watch when the asker's incarnation ends. */
struct transport_watch_answer {
    uint64_t watch_id;
    enum rollcall_status status;
};
enum { TRANSPORT_WATCH_WINDOW = 8 };

enum transport_event_kind { TRANSPORT_PUT, TRANSPORT_DELETE };
struct transport_event {
    enum transport_event_kind kind;
    struct transport_kv kv; /* DELETE: key and mod_revision only */
    bool has_prev_kv;       /* may be absent after a compaction */
    struct transport_kv prev_kv;
};

struct transport_watch_response {
    struct rollcall_object object;
    struct rollcall_error error;      /* why the stream ended, when status is not OK */
    int64_t revision;                 /* of the response header: never resume from it; may be 0 */
    int64_t compact_revision;         /* not 0: canceled, for the start is older than this */
    bool created, canceled, fragment; /* canceled is looked at first */
    bool too_large; /* with an error: it held more than may be held at once, and would again */
    const struct transport_event *events;
    size_t event_count;
};

#endif /* TRANSPORT_MESSAGES_H */
