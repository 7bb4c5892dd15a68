/* The public calls of rollcall/election.h: what the session's election has told, and what it is
 * asked. */
#include "api/election.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/options.h"
#include "runtime/port.h"
#include "session/keys.h"

#include <stdlib.h>
#include <string.h>

const char *rollcall_role_name(enum rollcall_role role)
{
    return role == ROLLCALL_ROLE_ACTIVE ? "ACTIVE" : "STANDBY";
}

static struct rollcall_runtime *runtime_of(const struct rollcall__election *election)
{
    return rollcall__etcd_runtime(election->handle->etcd);
}

/* ---- the token ---- */

/* Who was stopped for a while must not act on what was true before.  The time belongs to the lease
 * under which the token was won: before there is the time of another, there is no token. */
static int64_t token_of(const struct rollcall__election *election)
{
    const int64_t token = rollcall__gauge_get(&election->config->token);
    const int64_t safe_until_ms = rollcall__gauge_get(&election->config->safety.until_ms);
    const bool is_safe = rollcall__runtime_now_ms(runtime_of(election)) < safe_until_ms;
    const bool is_still = rollcall__gauge_get(&election->config->token) == token;
    return is_safe && is_still ? token : 0;
}

static int64_t told_token(const struct rollcall__election *election)
{
    const int64_t told = rollcall__gauge_get(&election->told);
    return told != 0 && token_of(election) == told ? told : 0;
}

int64_t rollcall_election_token(struct rollcall_session *session)
{
    const struct rollcall__election *election = rollcall__session_election(session);
    return election == NULL ? 0 : told_token(election);
}

void rollcall_election_get_info(struct rollcall_session *session,
                                struct rollcall_election_info *info)
{
    struct rollcall__election *election = rollcall__session_election(session);
    if (election == NULL) {
        *info = (struct rollcall_election_info){.key = ""};
        return;
    }
    rollcall__monitor_lock(&election->handle->monitor);
    *info = election->info;
    rollcall__monitor_unlock(&election->handle->monitor);
    if (info->token == 0 || info->token != told_token(election)) {
        *info = (struct rollcall_election_info){.key = election->key};
    }
}

/* ---- what the application actor calls, on its worker ---- */

static void set_told(struct rollcall__election *election, const struct session_role_event *event)
{
    struct rollcall_election_info info = {.key = election->key};
    if (event != NULL) {
        info.role = ROLLCALL_ROLE_ACTIVE;
        info.token = event->token;
        info.create_revision = event->create_revision;
        info.lease_id = event->lease_id;
    }
    rollcall__monitor_lock(&election->handle->monitor);
    election->info = info;
    rollcall__monitor_unlock(&election->handle->monitor);
    rollcall__gauge_set(&election->told, info.token);
}

static void tell_role(const struct rollcall__election *election, enum rollcall_role role,
                      const struct session_role_event *event, const char *reason)
{
    const struct rollcall_role_event told = {.role = role,
                                             .token =
                                                 role == ROLLCALL_ROLE_ACTIVE ? event->token : 0,
                                             .key = election->key,
                                             .at_ms = event->at_ms,
                                             .status = event->status,
                                             .reason = reason};
    if (election->options.on_role != NULL) {
        election->options.on_role(election->options.user, &told);
    }
}

static void say_not_acting(const struct rollcall__election *election,
                           const struct session_role_event *event, enum rollcall_status status)
{
    const struct session_not_acting not_acting = {.token = event->token, .status = status};
    rollcall__runtime_signal(runtime_of(election), event->session, SESSION_NOT_ACTING, &not_acting,
                             sizeof not_acting);
}

/* What was told too late is told again once it has been confirmed, if nothing newer is. */
static void tell_active(struct rollcall__election *election, const struct session_role_event *event)
{
    const int64_t before = rollcall__gauge_get(&election->told);
    if (before != 0 && before != event->token) { /* what came between found no room */
        set_told(election, NULL);
        tell_role(election, ROLLCALL_ROLE_STANDBY, event, "the active key was lost, and won again");
    }
    if (token_of(election) != event->token) {
        say_not_acting(election, event, ROLLCALL_OK);
        return;
    }
    if (before == event->token) {
        return;
    }
    set_told(election, event);
    const enum rollcall_status status =
        election->options.activate == NULL
            ? ROLLCALL_OK
            : election->options.activate(election->options.user, event->token);
    if (status != ROLLCALL_OK) {
        set_told(election, NULL);
        say_not_acting(election, event, status);
    } else if (rollcall__gauge_get(&election->config->token) == event->token) {
        tell_role(election, ROLLCALL_ROLE_ACTIVE, event, event->reason);
    } /* else STANDBY is to come */
}

/* Takes out the order, if it is answered; a thread is woken, else whom to call is returned. */
static struct rollcall__order take_answered(struct rollcall__election *election,
                                            const struct session_role_event *event)
{
    struct rollcall__order *order = &election->order;
    struct rollcall__order answered = {.request = 0};
    if (order->request == 0 || order->request > event->answered) {
        return answered;
    }
    order->answer = event->answer;
    order->answered = true;
    if (order->done != NULL) {
        answered = *order;
        order->request = 0;
    }
    return answered;
}

void rollcall__election_tell(struct rollcall__election *election,
                             const struct session_role_event *event)
{
    if (event->sequence <= election->sequence) {
        return; /* sent again, and not needed */
    }
    const bool changed = event->change > election->change;
    election->sequence = event->sequence;
    election->change = event->change;
    rollcall__monitor_lock(&election->handle->monitor);
    const bool closed = election->handle->closed;
    rollcall__monitor_unlock(&election->handle->monitor);
    if (changed && !closed && event->active) {
        tell_active(election, event);
    } else if (changed && !closed) {
        set_told(election, NULL);
        tell_role(election, ROLLCALL_ROLE_STANDBY, event, event->reason);
    }
    rollcall__monitor_lock(&election->handle->monitor);
    const struct rollcall__order answered = take_answered(election, event);
    rollcall__monitor_unlock(&election->handle->monitor);
    if (answered.request != 0 && !closed) {
        answered.done(answered.user, &answered.answer);
    }
    rollcall__monitor_notify(&election->handle->monitor);
}

/* ---- life ---- */

/* The name of the active key; NULL: out of memory. */
static char *name_key(const struct session_config *config)
{
    struct rollcall__buffer name = {0};
    rollcall__key_session(&name, config->root, config->role, 0, true);
    char *key = name.failed ? NULL : rollcall__allocate(name.size_bytes + 1);
    if (key != NULL) {
        memcpy(key, name.data, name.size_bytes);
        key[name.size_bytes] = '\0';
    }
    rollcall__buffer_free(&name);
    return key;
}

enum rollcall_status rollcall__election_create(struct rollcall__handle *handle,
                                               const struct session_config *config,
                                               const struct rollcall_election_options *given,
                                               struct rollcall__election **created,
                                               struct rollcall_error *error)
{
    struct rollcall_election_options options;
    const enum rollcall_status status =
        rollcall__options_copy(&options, sizeof options, given, "rollcall_election_options", error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall__election *election = rollcall__allocate_zeroed(1, sizeof *election);
    char *key = name_key(config);
    if (election == NULL || key == NULL) {
        free(election);
        free(key);
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "session: out of memory");
    }
    election->handle = handle;
    election->config = config;
    election->key = key;
    election->info.key = key;
    election->options = options;
    *created = election;
    return ROLLCALL_OK;
}

void rollcall__election_destroy(struct rollcall__election *election)
{
    if (election != NULL) {
        free(election->key);
        free(election);
    }
}

/* ---- orders ---- */

static enum rollcall_status check(struct rollcall_session *session,
                                  struct rollcall__election **election,
                                  struct rollcall_error *error)
{
    *election = rollcall__session_election(session);
    return *election != NULL
               ? ROLLCALL_OK
               : rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "the session stands for no election: open it with the option "
                                    "`election`");
}

static enum rollcall_status begin(struct rollcall_session *session, enum session_elect_kind kind,
                                  int64_t server_id, rollcall_done_fn *done, void *user,
                                  struct rollcall_error *error)
{
    struct rollcall__election *election = rollcall__session_election(session);
    struct session_elect elect = {.server_id = server_id, .kind = kind};
    rollcall__monitor_lock(&election->handle->monitor);
    const bool busy = election->order.request != 0 && !election->order.answered;
    if (!busy) {
        elect.request = ++election->requests;
        election->order =
            (struct rollcall__order){.request = elect.request, .done = done, .user = user};
    }
    rollcall__monitor_unlock(&election->handle->monitor);
    if (busy) {
        return rollcall_error_set(error, ROLLCALL_E_BUSY,
                                  "the election is doing what it was asked before: wait until that "
                                  "is answered");
    }
    rollcall__runtime_signal(runtime_of(election), rollcall__session_root(session), SESSION_ELECT,
                             &elect, sizeof elect);
    return ROLLCALL_OK;
}

static enum rollcall_status may_wait(const struct rollcall__election *election,
                                     struct rollcall_error *error)
{
    const enum rollcall_status status = rollcall__handle_may_wait(election->handle);
    return status == ROLLCALL_OK
               ? status
               : rollcall_error_set(error, status, "election: cannot wait here: %s",
                                    rollcall_status_text(status));
}

static enum rollcall_status ask(struct rollcall_session *session, enum session_elect_kind kind,
                                int64_t server_id, int64_t timeout_ms, struct rollcall_error *error)
{
    struct rollcall__election *election;
    struct rollcall_error answer;
    enum rollcall_status status = check(session, &election, error);
    if (status != ROLLCALL_OK || (status = may_wait(election, error)) != ROLLCALL_OK) {
        return status;
    }
    const int64_t deadline_ns = rollcall__handle_deadline_ns(election->handle, timeout_ms);
    status = begin(session, kind, server_id, NULL, NULL, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__monitor_lock(&election->handle->monitor);
    while (!election->order.answered && rollcall__handle_wait(election->handle, deadline_ns)) {
    }
    answer = election->order.answer;
    if (!election->order.answered) { /* its place is taken until it is */
        rollcall_error_set(&answer, ROLLCALL_E_TIMEOUT,
                           "the election did not answer within %lld ms; it may be done later",
                           (long long)timeout_ms);
        answer.maybe_applied = true;
    }
    rollcall__monitor_unlock(&election->handle->monitor);
    if (error != NULL && answer.status != ROLLCALL_OK) {
        *error = answer;
    }
    return answer.status;
}

static enum rollcall_status ask_later(struct rollcall_session *session,
                                      enum session_elect_kind kind, int64_t server_id,
                                      rollcall_done_fn *done, void *user,
                                      struct rollcall_error *error)
{
    struct rollcall__election *election;
    const enum rollcall_status status = check(session, &election, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    if (done == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "done is missing: give a function to tell, or call the form that "
                                  "waits");
    }
    return begin(session, kind, server_id, done, user, error);
}

enum rollcall_status rollcall_election_resign(struct rollcall_session *session, int64_t timeout_ms,
                                              struct rollcall_error *error)
{
    return ask(session, SESSION_ELECT_RESIGN, 0, timeout_ms, error);
}

enum rollcall_status rollcall_election_hand_over(struct rollcall_session *session,
                                                 int64_t server_id, int64_t timeout_ms,
                                                 struct rollcall_error *error)
{
    return ask(session, SESSION_ELECT_HAND_OVER, server_id, timeout_ms, error);
}

enum rollcall_status rollcall_election_force(struct rollcall_session *session, int64_t timeout_ms,
                                             struct rollcall_error *error)
{
    return ask(session, SESSION_ELECT_FORCE, 0, timeout_ms, error);
}

enum rollcall_status rollcall_election_resign_async(struct rollcall_session *session,
                                                    rollcall_done_fn *done, void *user,
                                                    struct rollcall_error *error)
{
    return ask_later(session, SESSION_ELECT_RESIGN, 0, done, user, error);
}

enum rollcall_status rollcall_election_hand_over_async(struct rollcall_session *session,
                                                       int64_t server_id, rollcall_done_fn *done,
                                                       void *user, struct rollcall_error *error)
{
    return ask_later(session, SESSION_ELECT_HAND_OVER, server_id, done, user, error);
}

enum rollcall_status rollcall_election_force_async(struct rollcall_session *session,
                                                   rollcall_done_fn *done, void *user,
                                                   struct rollcall_error *error)
{
    return ask_later(session, SESSION_ELECT_FORCE, 0, done, user, error);
}

/* ---- waiting ---- */

enum rollcall_status rollcall_election_wait(struct rollcall_session *session, int64_t timeout_ms,
                                            struct rollcall_error *error)
{
    struct rollcall__election *election;
    struct rollcall_error why = {0};
    enum rollcall_status status = check(session, &election, error);
    if (status != ROLLCALL_OK || (status = may_wait(election, error)) != ROLLCALL_OK) {
        return status;
    }
    const int64_t deadline_ns = rollcall__handle_deadline_ns(election->handle, timeout_ms);
    bool over = false, timely = true;
    rollcall__monitor_lock(&election->handle->monitor);
    while (timely && rollcall__gauge_get(&election->told) == 0 &&
           !(over = rollcall__session_is_over(session, &why))) {
        timely = rollcall__handle_wait(election->handle, deadline_ns);
    }
    const bool active = rollcall__gauge_get(&election->told) != 0;
    rollcall__monitor_unlock(&election->handle->monitor);
    if (active) {
        return ROLLCALL_OK;
    }
    if (over) {
        return rollcall_error_set(
            error, why.status == ROLLCALL_OK ? ROLLCALL_E_STOPPED : why.status, "%s", why.text);
    }
    return rollcall_error_set(error, ROLLCALL_E_TIMEOUT,
                              "the session was not active in its role within %lld ms",
                              (long long)timeout_ms);
}
