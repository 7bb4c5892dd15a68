/* The public calls of rollcall/session.h: messages to the session's root actor, and waiting for
 * what it tells. */
#include "api/election.h"
#include "api/handle.h"
#include "api/session_options.h"
#include "base/memory.h"
#include "runtime/port.h"

#include <stdlib.h>
#include <string.h>

enum { APPLICATION_MAILBOX = 64 };

/* Somebody who waits for his going-stop to be answered: a thread, whose stack it is on; or a
 * callback, and then it is freed when that is called. */
struct mark {
    struct mark *next;
    uint64_t request;
    rollcall_done_fn *done; /* NULL: a thread */
    void *user;
    bool answered;
    struct rollcall_error answer;
};

struct rollcall_session {
    struct rollcall__handle handle; /* must be first */
    struct rollcall_ref root;
    struct session_config *config;       /* shared */
    struct rollcall__election *election; /* NULL: it stands for none */
    rollcall_session_event_fn *on_event;
    void *user;
    int64_t open_timeout_ms;
    uint64_t sequence; /* of the event told last; the application actor's, like the next */
    uint64_t change;   /* of the state told last */
    /* Guarded by handle.monitor; written by the application actor. */
    struct session_membership *membership; /* shared; NULL until it has registered */
    struct session_membership *named;      /* the first: its key is the one of all, and stays */
    struct rollcall_session_info info;     /* but for what the membership says */
    struct rollcall_error error;           /* why it is in this state */
    /* Guarded by handle.monitor; anybody's. */
    struct mark *marks; /* not answered, newest first */
    uint64_t marks_asked;
    uint64_t orders; /* stop, revoke and restart, in the order in which they took the monitor */
    bool closing;    /* restart is refused, or close would wait for what begins again */
};

/* ---- what the application actor calls, on its worker ---- */

static int64_t now_ms(const struct rollcall_session *session)
{
    return rollcall__runtime_now_ms(rollcall__etcd_runtime(session->handle.etcd));
}

/* Called locked. */
static void fill_info(const struct rollcall_session *session, struct rollcall_session_info *info)
{
    const struct session_membership *mine = session->membership;
    *info = session->info;
    info->key = "";
    if (mine != NULL) {
        info->server_id = mine->server_id;
        info->lease_id = mine->lease_id;
        info->ttl_s = mine->ttl_s;
        info->revision = mine->revision;
        info->create_revision = mine->create_revision;
        info->key = session->named->key;
        info->safe_until_ms = session_safe_until_ms(&session->config->safety, mine->lease_id);
    }
    if (info->state == ROLLCALL_SESSION_ACTIVE && now_ms(session) >= info->safe_until_ms) {
        info->state = ROLLCALL_SESSION_SUSPECT;
    }
}

static void drop_membership(struct session_membership *membership)
{
    if (membership != NULL) {
        rollcall_object_drop(&membership->object);
    }
}

/* Called locked.  Who registers again keeps role and server ID, and so the key. */
static void keep_membership(struct rollcall_session *session, struct session_membership *membership)
{
    if (membership == NULL || membership == session->membership) {
        return;
    }
    drop_membership(session->membership);
    session->membership = membership;
    rollcall_object_keep(&membership->object);
    if (session->named == NULL) {
        session->named = membership;
        rollcall_object_keep(&membership->object);
    }
}

/* Called locked.  Takes out the marks up to `request`; wakes threads, returns what has a callback,
 * oldest first. */
static struct mark *take_answered(struct rollcall_session *session,
                                  const struct session_event *event)
{
    struct mark *answered = NULL;
    struct mark **at = &session->marks;
    while (*at != NULL) {
        struct mark *mark = *at;
        if (mark->request > event->answered) {
            at = &mark->next;
            continue;
        }
        *at = mark->next;
        mark->answer = event->answer;
        mark->answered = true;
        if (mark->done != NULL) {
            mark->next = answered;
            answered = mark;
        }
    }
    return answered;
}

static void call_answered(struct mark *mark, bool closed)
{
    while (mark != NULL) {
        struct mark *next = mark->next;
        if (!closed) {
            mark->done(mark->user, &mark->answer);
        }
        free(mark);
        mark = next;
    }
}

static void tell_one(struct rollcall_session *session, const struct session_event *event)
{
    struct rollcall_session_event told = {.state = event->state,
                                          .at_ms = event->at_ms,
                                          .status = event->status,
                                          .reason = event->reason};
    if (event->sequence <= session->sequence) {
        return; /* sent again, and not needed */
    }
    const bool changed = event->change > session->change;
    session->sequence = event->sequence;
    session->change = event->change;
    rollcall__monitor_lock(&session->handle.monitor);
    const bool closed = session->handle.closed;
    if (changed) {
        session->info.state = event->state;
        rollcall_error_set(&session->error, event->status, "%s", event->reason);
    }
    session->info.registered = event->registered;
    session->info.disconnected = event->disconnected;
    session->info.stopping = event->stopping;
    session->info.loss = event->loss;
    session->info.losses = event->losses;
    keep_membership(session, event->membership);
    fill_info(session, &told.info);
    struct mark *answered = take_answered(session, event);
    rollcall__monitor_unlock(&session->handle.monitor);
    if (changed && session->on_event != NULL && !closed) {
        session->on_event(session->user, &told);
    }
    call_answered(answered, closed);
    rollcall__monitor_notify(&session->handle.monitor); /* after the callback: a waiter that closes
                                                           has seen every event before */
}

/* While a callback takes its time newer events may overtake older ones, but no LOST is left out. */
static void tell(struct rollcall_object *handle, struct rollcall_object *object)
{
    struct rollcall_session *session = (struct rollcall_session *)handle;
    const struct session_event *event = (const struct session_event *)object;
    if (event->kind == SESSION_EVENT_ROLE) { /* the kind is in the same place */
        rollcall__election_tell(session->election, (const struct session_role_event *)object);
        return;
    }
    if (event->lost != NULL) {
        tell_one(session, event->lost);
    }
    tell_one(session, event);
}

/* ---- starting ---- */

static void destroy_session(struct rollcall_object *object)
{
    struct rollcall_session *session = (struct rollcall_session *)object;
    call_answered(session->marks, true); /* no thread waits any more */
    drop_membership(session->membership);
    drop_membership(session->named);
    rollcall__election_destroy(session->election);
    rollcall_object_drop(&session->config->object);
    rollcall__handle_fini(&session->handle);
    free(session);
}

/* config: moved; NULL: out of memory, and it is dropped. */
static struct rollcall_session *create(struct rollcall_etcd *etcd,
                                       const struct rollcall_session_options *o,
                                       struct session_config *config)
{
    struct rollcall_session *session = rollcall__allocate_zeroed(1, sizeof *session);
    if (session == NULL) {
        rollcall_object_drop(&config->object);
        return NULL;
    }
    rollcall__handle_init(&session->handle, etcd, destroy_session);
    session->config = config;
    session->on_event = o->on_event;
    session->user = o->user;
    session->open_timeout_ms = config->connect_timeout_ms +
                               (int64_t)config->retries * (rollcall__etcd_call_timeout_ms(etcd) +
                                                           ROLLCALL__CONNECT_TIMEOUT_MS);
    return session;
}

static enum rollcall_status spawn(struct rollcall_session *session, struct rollcall_error *error)
{
    struct rollcall_etcd *etcd = session->handle.etcd;
    struct session_options options = {.config = session->config,
                                      .transport = rollcall__etcd_control(etcd),
                                      .allocator = rollcall__etcd_allocator(etcd),
                                      .keeper = rollcall__etcd_lease_keeper(etcd)};
    const enum rollcall_status status =
        rollcall__handle_start(&session->handle, APPLICATION_MAILBOX, tell, NULL, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    options.application = session->handle.application;
    if (session->election != NULL && (options.roles = session_roles_create()) == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "session: out of memory");
    }
    rollcall_object_keep(&session->config->object); /* moved into the spawn */
    return rollcall_runtime_spawn(
        rollcall__etcd_runtime(etcd), rollcall__etcd_control_worker(etcd),
        ROLLCALL_SPAWN_OPTIONS(.type = &session_type, .options = &options), &session->root, error);
}

struct rollcall__election *rollcall__session_election(struct rollcall_session *session)
{
    return session->election;
}

struct rollcall_ref rollcall__session_root(const struct rollcall_session *session)
{
    return session->root;
}

enum rollcall_status rollcall_session_start(struct rollcall_etcd *etcd,
                                            const struct rollcall_session_options *given,
                                            struct rollcall_session **started,
                                            struct rollcall_error *error)
{
    struct rollcall_session_options options;
    struct session_config *config;
    enum rollcall_status status = rollcall__session_config_create(
        given, rollcall__etcd_endpoints(etcd), &options, &config, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__session_guard(etcd, config);
    struct rollcall_session *session = create(etcd, &options, config);
    if (session == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "session: out of memory");
    }
    if (options.election != NULL) {
        status = rollcall__election_create(&session->handle, session->config, options.election,
                                           &session->election, error);
    }
    if (status == ROLLCALL_OK) {
        status = spawn(session, error);
    }
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall__handle_close(&session->handle), "the first error is told");
        return status;
    }
    *started = session;
    return ROLLCALL_OK;
}

/* ---- waiting ---- */

/* Called locked. */
static bool is_over(const struct rollcall_session *session)
{
    const enum rollcall_session_state state = session->info.state;
    return (state == ROLLCALL_SESSION_LOST && session->config->on_lost == ROLLCALL_ON_LOST_STOP) ||
           state == ROLLCALL_SESSION_STOPPED || state == ROLLCALL_SESSION_FAILED;
}

bool rollcall__session_is_over(const struct rollcall_session *session, struct rollcall_error *why)
{
    *why = session->error;
    return is_over(session);
}

static enum rollcall_status may_wait(const struct rollcall_session *session,
                                     struct rollcall_error *error)
{
    const enum rollcall_status status = rollcall__handle_may_wait(&session->handle);
    return status == ROLLCALL_OK
               ? status
               : rollcall_error_set(error, status, "session: cannot wait here: %s",
                                    rollcall_status_text(status));
}

enum rollcall_status rollcall_session_wait(struct rollcall_session *session, int64_t timeout_ms,
                                           struct rollcall_error *error)
{
    const int64_t deadline_ns = rollcall__handle_deadline_ns(&session->handle, timeout_ms);
    struct rollcall_error why = {0};
    enum rollcall_status status = may_wait(session, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__monitor_lock(&session->handle.monitor);
    bool timely = true;
    while (timely && session->info.state != ROLLCALL_SESSION_ACTIVE && !is_over(session)) {
        timely = rollcall__handle_wait(&session->handle, deadline_ns);
    }
    if (is_over(session)) {
        why = session->error;
        status = why.status == ROLLCALL_OK ? ROLLCALL_E_STOPPED : why.status;
    } else if (session->info.state != ROLLCALL_SESSION_ACTIVE) {
        status = ROLLCALL_E_TIMEOUT;
        rollcall_error_set(&why, status, "the session was not active within %lld ms",
                           (long long)timeout_ms);
    }
    rollcall__monitor_unlock(&session->handle.monitor);
    why.status = status;
    if (error != NULL && status != ROLLCALL_OK) {
        *error = why;
    }
    return status;
}

enum rollcall_status rollcall_session_wait_over(struct rollcall_session *session,
                                                int64_t timeout_ms, struct rollcall_error *error)
{
    const int64_t deadline_ns = rollcall__handle_deadline_ns(&session->handle, timeout_ms);
    enum rollcall_status status = may_wait(session, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__monitor_lock(&session->handle.monitor);
    while (!is_over(session) && rollcall__handle_wait(&session->handle, deadline_ns)) {
    }
    const bool over = is_over(session);
    const struct rollcall_error why = session->error;
    rollcall__monitor_unlock(&session->handle.monitor);
    if (!over) {
        return rollcall_error_set(error, ROLLCALL_E_TIMEOUT,
                                  "the session was not over within %lld ms", (long long)timeout_ms);
    }
    if (why.status != ROLLCALL_OK && error != NULL) {
        *error = why;
    }
    return why.status;
}

enum rollcall_status rollcall_session_open(struct rollcall_etcd *etcd,
                                           const struct rollcall_session_options *options,
                                           struct rollcall_session **opened,
                                           struct rollcall_error *error)
{
    struct rollcall_session *session;
    enum rollcall_status status = rollcall_session_start(etcd, options, &session, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = rollcall_session_wait(session, session->open_timeout_ms, error);
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall_session_close(session, ROLLCALL__CONNECT_TIMEOUT_MS),
                      "why it failed is told");
        return status;
    }
    *opened = session;
    return ROLLCALL_OK;
}

/* ---- what is known ---- */

void rollcall_session_get_info(struct rollcall_session *session, struct rollcall_session_info *info)
{
    rollcall__monitor_lock(&session->handle.monitor);
    fill_info(session, info);
    rollcall__monitor_unlock(&session->handle.monitor);
}

enum rollcall_status rollcall_session_get_record(struct rollcall_session *session,
                                                 struct rollcall_record **record,
                                                 struct rollcall_error *error)
{
    struct rollcall_session_info info;
    struct rollcall_record now = session->config->record;
    rollcall_session_get_info(session, &info);
    now.server_id = info.server_id != 0 ? info.server_id : session->config->server_id;
    now.has_lease_id = info.lease_id != 0;
    now.lease_id = info.lease_id;
    now.stopping = info.stopping;
    return rollcall__record_copy(&now, record, error);
}

/* ---- going-stop ---- */

/* mark: in the list from here on, if this succeeds.  Locked while it is sent, so that requests
 * arrive in the order of their numbers. */
static enum rollcall_status ask_mark(struct rollcall_session *session, struct mark *mark,
                                     struct rollcall_error *error)
{
    rollcall__monitor_lock(&session->handle.monitor);
    const struct session_mark payload = {.request = session->marks_asked + 1};
    const enum rollcall_status status =
        rollcall_runtime_send(rollcall__etcd_runtime(session->handle.etcd), session->root,
                              SESSION_MARK, &payload, sizeof payload, NULL);
    if (status == ROLLCALL_OK) {
        session->marks_asked = payload.request;
        mark->request = payload.request;
        mark->next = session->marks;
        session->marks = mark;
    }
    rollcall__monitor_unlock(&session->handle.monitor);
    return status == ROLLCALL_OK
               ? status
               : rollcall_error_set(error, status,
                                    "the session was not asked to mark its record: %s; try again",
                                    rollcall_status_text(status));
}

/* Called locked. */
static void forget_mark(struct rollcall_session *session, const struct mark *mark)
{
    struct mark **at = &session->marks;
    while (*at != NULL && *at != mark) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = mark->next;
    }
}

enum rollcall_status rollcall_session_mark_stopping(struct rollcall_session *session,
                                                    int64_t timeout_ms,
                                                    struct rollcall_error *error)
{
    const int64_t deadline_ns = rollcall__handle_deadline_ns(&session->handle, timeout_ms);
    struct mark mark = {0};
    enum rollcall_status status = may_wait(session, error);
    if (status != ROLLCALL_OK || (status = ask_mark(session, &mark, error)) != ROLLCALL_OK) {
        return status;
    }
    rollcall__monitor_lock(&session->handle.monitor);
    while (!mark.answered && rollcall__handle_wait(&session->handle, deadline_ns)) {
    }
    if (!mark.answered) {
        forget_mark(session, &mark);
        rollcall_error_set(&mark.answer, ROLLCALL_E_TIMEOUT,
                           "etcd did not store the mark within %lld ms; it may do so later",
                           (long long)timeout_ms);
        mark.answer.maybe_applied = true;
    }
    rollcall__monitor_unlock(&session->handle.monitor);
    if (error != NULL && mark.answer.status != ROLLCALL_OK) {
        *error = mark.answer;
    }
    return mark.answer.status;
}

enum rollcall_status rollcall_session_mark_stopping_async(struct rollcall_session *session,
                                                          rollcall_done_fn *done, void *user,
                                                          struct rollcall_error *error)
{
    if (done == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "done is missing: give a function to tell, or call the form that "
                                  "waits");
    }
    struct mark *mark = rollcall__allocate_zeroed(1, sizeof *mark);
    if (mark == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "session: out of memory");
    }
    mark->done = done;
    mark->user = user;
    const enum rollcall_status status = ask_mark(session, mark, error);
    if (status != ROLLCALL_OK) {
        free(mark);
    }
    return status;
}

/* ---- the end ---- */

/* They may overtake each other on their way: the root obeys the one with the highest number. */
static void send_order(const struct rollcall_session *session, uint16_t message, uint64_t number)
{
    const struct session_order order = {.number = number};
    rollcall__runtime_signal(rollcall__etcd_runtime(session->handle.etcd), session->root, message,
                             &order, sizeof order);
}

static void send_out(struct rollcall_session *session, uint16_t message)
{
    rollcall__monitor_lock(&session->handle.monitor);
    const uint64_t number = ++session->orders;
    rollcall__monitor_unlock(&session->handle.monitor);
    send_order(session, message, number);
}

void rollcall_session_stop(struct rollcall_session *session)
{
    send_out(session, SESSION_LEAVE);
}

void rollcall_session_revoke(struct rollcall_session *session)
{
    send_out(session, SESSION_REVOKE);
}

enum rollcall_status rollcall_session_restart(struct rollcall_session *session,
                                              struct rollcall_error *error)
{
    uint64_t number = 0;
    rollcall__monitor_lock(&session->handle.monitor);
    const bool over = is_over(session) && !session->closing;
    if (over) {
        session->info.state = ROLLCALL_SESSION_REGISTERING; /* so that nobody else restarts it */
        number = ++session->orders;
    }
    rollcall__monitor_unlock(&session->handle.monitor);
    if (!over) {
        return rollcall_error_set(
            error, ROLLCALL_E_BUSY,
            "the session is not over, or is being closed: stop it first, or leave "
            "it as it is");
    }
    send_order(session, SESSION_RESTART, number);
    return ROLLCALL_OK;
}

/* Called locked.  A LOST or FAILED session had nothing left to revoke. */
static enum rollcall_status how_it_ended(const struct rollcall_session *session)
{
    if (!is_over(session)) {
        return ROLLCALL_E_TIMEOUT;
    }
    return session->info.state == ROLLCALL_SESSION_STOPPED ? session->error.status : ROLLCALL_OK;
}

enum rollcall_status rollcall_session_close(struct rollcall_session *session, int64_t timeout_ms)
{
    if (session == NULL) {
        return ROLLCALL_OK;
    }
    const int64_t deadline_ns = rollcall__handle_deadline_ns(&session->handle, timeout_ms);
    enum rollcall_status status = rollcall__handle_may_wait(&session->handle);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__monitor_lock(&session->handle.monitor);
    session->closing = true;
    rollcall__monitor_unlock(&session->handle.monitor);
    if (timeout_ms > 0) {
        rollcall_session_stop(session);
        rollcall__monitor_lock(&session->handle.monitor);
        while (!is_over(session) && rollcall__handle_wait(&session->handle, deadline_ns)) {
        }
        status = how_it_ended(session);
        rollcall__monitor_unlock(&session->handle.monitor);
    }
    rollcall__session_unguard(session->config);
    rollcall_runtime_stop(rollcall__etcd_runtime(session->handle.etcd), session->root);
    const enum rollcall_status closed = rollcall__handle_close(&session->handle);
    return status == ROLLCALL_OK ? closed : status;
}
