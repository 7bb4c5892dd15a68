/*
 * scenarios/cast.h - who plays in the library's own scenarios: processes with sessions and watches,
 * each with its check, which do what users do, at random.
 *
 * Threads: the simulation's.
 */
#ifndef SCENARIOS_CAST_H
#define SCENARIOS_CAST_H

#include "sim/check.h"

enum { CAST_PROCESSES = 3, CAST_MEMBERS = 6, CAST_WATCHES = 4 };

/* Calls that are not waited for: each is answered once, and by the end of a minute without faults.
 */
struct cast_answers {
    struct rollcall_world *world;
    uint64_t wanted; /* still */
};

/* One session of one process; it is opened, asked to leave, restarted and closed in its turn. */
struct cast;
struct cast_member {
    struct rollcall_session *session; /* NULL: none is open */
    struct rollcall__session_check check;
    struct cast *cast;
    struct cast_answers marks;
    bool asked_to_leave, reregisters, failed;
    bool shares;
    int64_t ttl_s;
};

struct cast_watch {
    struct rollcall_watch *watch; /* NULL: none is open */
    struct rollcall_queue *queue; /* NULL: it is told by callback */
    struct rollcall__watch_check check;
};

/* What they may do. */
struct cast_play {
    uint32_t processes, members, watches; /* how many there are */
    bool exclusive;                       /* all sessions are of one key */
    bool leave;                           /* members leave, and come again */
    bool mark;   /* members are marked Stopping, by themselves and others */
    bool slow;   /* watches have short queues, which are read now and then */
    bool evict;  /* members are revoked by others */
    bool outage; /* sessions have TTLs of some variety, and are held to be renewed in time */
    bool audit;  /* what watches know is compared with etcd every few seconds */
    bool share;  /* most members share the lease of their process, for one of two TTLs */
};

struct cast {
    struct rollcall_world *world;
    struct cast_play play;
    struct rollcall_etcd *etcds[CAST_PROCESSES];
    struct cast_member members[CAST_MEMBERS];
    struct cast_watch watches[CAST_WATCHES];
    struct cast_answers errands; /* of all: they are answered whatever becomes of a session */
    int64_t healed_ms;           /* when faults were over; 0: they are not */
    bool abandoned;              /* a session was closed without waiting for its end */
    bool gave_up;                /* one has FAILED, or shares its server ID with a rival */
    bool reused;                 /* the latter */
};

void cast_begin(struct cast *cast, struct rollcall_world *world, const struct cast_play *play);
/* One thing that a user might do now. */
void cast_act(struct cast *cast);
void cast_at_rest(struct cast *cast);
/* Faults are over: what has ended is begun again. */
void cast_heal(struct cast *cast);
/* What must hold after healing; then everything is closed, and what must hold after that. */
void cast_end(struct cast *cast);

#endif /* SCENARIOS_CAST_H */
