#include <rollcall/session.h>

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
