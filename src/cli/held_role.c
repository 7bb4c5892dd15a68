#include "cli/held_role.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Renewals come each third of a TTL; asked twice as often, the guard is never far behind. */
enum { BEATS_PER_TTL = 6 };

bool cli_held_role_init(struct cli_held_role *role, const struct cli_options *options)
{
    *role =
        (struct cli_held_role){.stands = options->standby || options->command == CLI_FORCE,
                               .is_to_force = options->command == CLI_FORCE,
                               .timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK),
                               .grace_ms = options->grace_ms};
    return role->timer >= 0;
}

void cli_held_role_fini(struct cli_held_role *role)
{
    if (role->timer >= 0) {
        close(role->timer);
    }
}

static void set_timer(const struct cli_held_role *role, int64_t time_ms)
{
    const struct itimerspec after = {
        .it_value = {.tv_sec = time_ms / 1000, .tv_nsec = time_ms % 1000 * 1000000}};
    timerfd_settime(role->timer, 0, &after, NULL);
}

void cli_held_role_note(struct cli_held_role *role, const struct cli_session_told *told)
{
    role->role = told->role;
    role->token = told->role == ROLLCALL_ROLE_ACTIVE ? told->token : 0;
    /* With the same token nobody else had the role meanwhile. */
    role->settled = role->token != 0 && role->token == role->command_token;
    set_timer(role, role->token != 0 && !role->settled ? 2 * role->grace_ms : 0);
}

/* Until when `token` is safe; 0: it is not.  In this order: the time may be that of another lease,
 * but not if the token is valid after it was read. */
static int64_t safe_until_ms(struct rollcall_session *session, int64_t token, int64_t *beat_ms)
{
    struct rollcall_session_info info = {0};
    rollcall_session_get_info(session, &info);
    *beat_ms = info.ttl_s * 1000 / BEATS_PER_TTL;
    return token != 0 && rollcall_election_token(session) == token ? info.safe_until_ms : 0;
}

void cli_held_role_heed_time(struct cli_held_role *role, struct rollcall_session *session,
                             const struct cli_held_command *command)
{
    struct pollfd timer = {.fd = role->timer, .events = POLLIN};
    if (poll(&timer, 1, 0) != 1) {
        return;
    }
    set_timer(role, 0);
    role->settled = role->token != 0;
    if (command->child.pid != 0) {
        int64_t beat_ms;
        const int64_t until_ms = safe_until_ms(session, role->command_token, &beat_ms);
        if (until_ms != 0) {
            cli_guard_extend(&command->guard, until_ms);
        }
        set_timer(role, beat_ms);
    }
}

bool cli_held_role_admits(struct cli_held_role *role, struct rollcall_session *session,
                          struct cli_held_command *command)
{
    int64_t beat_ms;
    if (!role->settled) {
        return false;
    }
    const int64_t until_ms = safe_until_ms(session, role->token, &beat_ms);
    if (until_ms == 0) {
        set_timer(role, role->grace_ms); /* STANDBY is to come, or it is safe again, untold */
        return false;
    }
    struct rollcall_election_info info = {0};
    rollcall_election_get_info(session, &info);
    cli_held_command_describe_role(command, info.key, role->token, until_ms);
    role->command_token = role->token;
    set_timer(role, beat_ms);
    return true;
}

void cli_held_role_explain_end(const struct cli_held_role *role, struct rollcall_session *session,
                               struct cli_held_command *command)
{
    if (role->stands && command->started && !command->told && !cli_held_command_runs(command)) {
        command->told = cli_guard_has_struck(&command->guard) ||
                        rollcall_election_token(session) != role->command_token;
    }
}
