#include "session/names.h"

#include <rollcall/session.h>

#include <inttypes.h>
#include <stdio.h>

const char *rollcall_session_state_name(enum rollcall_session_state state)
{
    switch (state) {
    case ROLLCALL_SESSION_REGISTERING:
        return "REGISTERING";
    case ROLLCALL_SESSION_ACTIVE:
        return "ACTIVE";
    case ROLLCALL_SESSION_SUSPECT:
        return "SUSPECT";
    case ROLLCALL_SESSION_LOST:
        return "LOST";
    case ROLLCALL_SESSION_STOPPING:
        return "STOPPING";
    case ROLLCALL_SESSION_STOPPED:
        return "STOPPED";
    case ROLLCALL_SESSION_FAILED:
        return "FAILED";
    }
    return "UNKNOWN";
}

void session_no_contact_text(char *text, size_t size_bytes, const char *endpoints,
                             int64_t timeout_ms, const char *trouble)
{
    if (trouble[0] == '\0') {
        snprintf(text, size_bytes,
                 "no etcd answers at %.120s within %" PRId64
                 " ms: is it running, and is the address right?",
                 endpoints, timeout_ms);
    } else {
        snprintf(text, size_bytes, "no answer within %" PRId64 " ms: %s", timeout_ms, trouble);
    }
}
