/* sim/auth.c - see auth.h. */
#include "sim/auth.h"

enum { INVALID_ARGUMENT = 3, PERMISSION_DENIED = 7, UNAUTHENTICATED = 16 /* gRPC's codes */ };

uint64_t rollcall__sim_auth_issue(struct rollcall__sim_auth *auth, int64_t now_ms)
{
    const uint64_t pass = ++auth->issued;
    for (uint32_t member = 0; member < ROLLCALL__MODEL_MEMBERS_MAX; member++) {
        auth->good_until_ms[member][pass % ROLLCALL__PASSES_MAX] = now_ms + ROLLCALL__PASS_MS;
    }
    return pass;
}

bool rollcall__sim_auth_admits(struct rollcall__sim_auth *auth, uint32_t member, uint64_t pass,
                               int64_t now_ms)
{
    int64_t *good_until_ms = &auth->good_until_ms[member][pass % ROLLCALL__PASSES_MAX];
    if (!auth->on) {
        return true;
    }
    if (pass == 0 || pass + ROLLCALL__PASSES_MAX <= auth->issued || *good_until_ms <= now_ms) {
        return false;
    }
    *good_until_ms = now_ms + ROLLCALL__PASS_MS;
    return true;
}

void rollcall__sim_auth_forget(struct rollcall__sim_auth *auth, uint32_t member)
{
    for (size_t i = 0; i < ROLLCALL__PASSES_MAX; i++) {
        auth->good_until_ms[member][i] = 0;
    }
}

void rollcall__sim_auth_refuse(struct rollcall_error *error)
{
    rollcall_error_set(error, ROLLCALL_E_DENIED, "etcdserver: invalid auth token");
    error->grpc_code = UNAUTHENTICATED;
}

void rollcall__sim_auth_deny(struct rollcall_error *error)
{
    rollcall_error_set(error, ROLLCALL_E_DENIED, "etcdserver: authentication failed");
    error->grpc_code = INVALID_ARGUMENT;
}

void rollcall__sim_auth_forbid(struct rollcall_error *error)
{
    rollcall_error_set(error, ROLLCALL_E_DENIED, "etcdserver: permission denied");
    error->grpc_code = PERMISSION_DENIED;
}
