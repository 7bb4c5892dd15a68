/*
 * sim/auth.h - the passes (etcd's simple tokens) of a simulated cluster that wants a user.
 *
 * A member forgets a pass that nobody has used there for PASS_MS; so after a failover the next
 * member may not know it any more.  etcd's own default is 300 s.  Threads: the simulation's.
 */
#ifndef SIM_AUTH_H
#define SIM_AUTH_H

#include "sim/etcd_model.h"

enum { ROLLCALL__PASS_MS = 6000, ROLLCALL__PASSES_MAX = 64 };

/* Zero: no user is wanted. */
struct rollcall__sim_auth {
    bool on;
    bool denies;     /* the password is another by now: no pass is given */
    uint64_t issued; /* the last pass; the first is 1, and 0 is none */
    int64_t good_until_ms[ROLLCALL__MODEL_MEMBERS_MAX][ROLLCALL__PASSES_MAX];
};

/* A new one, which every member knows. */
uint64_t rollcall__sim_auth_issue(struct rollcall__sim_auth *auth, int64_t now_ms);
/* The member knows it, and goes on doing so. */
bool rollcall__sim_auth_admits(struct rollcall__sim_auth *auth, uint32_t member, uint64_t pass,
                               int64_t now_ms);
/* The member forgets all. */
void rollcall__sim_auth_forget(struct rollcall__sim_auth *auth, uint32_t member);
/* What it says then; E_DENIED. */
void rollcall__sim_auth_refuse(struct rollcall_error *error);

/* What it says to a wrong password; E_DENIED. */
void rollcall__sim_auth_deny(struct rollcall_error *error);

/* What it says to a user that may not; E_DENIED. */
void rollcall__sim_auth_forbid(struct rollcall_error *error);

#endif /* SIM_AUTH_H */
