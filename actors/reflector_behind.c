/*
 * What a reflector makes of a member that is behind, or tells too little.
 *
 * One begins a watch, and its revision is below what was told.  It lags, and will catch up: then
 * its watch tells what is new, and repeats what is dropped.  Or etcd was restored from a backup,
 * and the watch would wait, without a word, until its revision is reached again.  Which of the two,
 * a moment later the cluster is asked, by a linearizable read: if it has got as far, the watch
 * moves to another member.  If it has not, for so long that no member can be late any more, or it
 * is another cluster, all is listed again.  Long, because an etcd before 3.4.42 that was stopped
 * for a while answers such a read from before.
 *
 * Of another the auditor says that it tells nothing though something was changed: the watch is
 * begun by another member, which tells it, from what etcd has stored.  If none does, all is listed
 * again.
 */
#include "actors/reflector_internal.h"

#include "transport/request.h"

enum { LAG_MS = 500, RESTORED_MS = 5000, LOOK_MS = 1000, UNTOLD_MAX = 2, LEAVES_MS = 1 };

/* It has applied all that was passed on. */
static bool knows_all(const struct reflector *re, const struct transport_watch_response *response)
{
    return response->event_count > 0
               ? response->events[response->event_count - 1].kv.mod_revision >=
                     re->held->next_revision
               : response->revision + 1 >= re->held->next_revision;
}

void reflector_look_at(struct rollcall_context *cx, struct reflector *re,
                       const struct transport_watch_response *response)
{
    struct reflector_handover *held = re->held;
    re->begun |= response->created;
    if (knows_all(re, response)) {
        held->behind = false;
        rollcall_timer_cancel(cx, REFLECTOR_BEHIND);
    } else if (response->created && response->revision != 0) {
        held->behind_since_ms = held->behind ? held->behind_since_ms : rollcall_now_ms(cx);
        held->behind = true;
        rollcall_timer_set(cx, REFLECTOR_BEHIND, rollcall_now_ms(cx) + LAG_MS);
    }
}

/* Asks for the cluster's revision: any linearizable read tells it, and one key may be read. */
int reflector_on_behind(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct reflector *re = self;
    const struct transport_call call = {.id = ++re->asked, .answer = REFLECTOR_REVISION};
    struct transport_request *request =
        transport_request_range(re->config->range_start, (struct rollcall_bytes){NULL, 0});
    (void)message;
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    request->range.keys_only = true;
    if (rollcall_send_object(cx, re->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return ROLLCALL_STAY;
}

/* Gives up the watch; the next is begun by another member, if there is one.  It does not fail yet:
 * that would be known before the cancellation. */
static int leave_member(struct rollcall_context *cx, const struct reflector *re)
{
    const struct transport_watch_id cancel = {.watch_id = REFLECTOR_WATCH_ID, .elsewhere = true};
    ROLLCALL_DROP(rollcall_send(cx, re->transport, TRANSPORT_WATCH_CANCEL, &cancel, sizeof cancel),
                  "the watch ends with this incarnation, and the next may meet the same member");
    rollcall_timer_set(cx, REFLECTOR_LEAVE, rollcall_now_ms(cx) + LEAVES_MS);
    return ROLLCALL_STAY;
}

int reflector_on_leave(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    (void)self, (void)message;
    return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE,
                         "a member of etcd tells less than the others know: another is asked");
}

int reflector_on_revision(struct rollcall_context *cx, void *self,
                          const struct rollcall_message *message)
{
    struct reflector *re = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    const struct reflector_handover *held = re->held;
    if (answer->id != re->asked || !held->behind) {
        return ROLLCALL_STAY; /* it has caught up meanwhile */
    }
    if (answer->status != ROLLCALL_OK) {
        return reflector_in_trouble(cx, re, &result->error);
    }
    if (held->cluster_id != 0 && result->cluster_id != 0 &&
        result->cluster_id != held->cluster_id) {
        return reflector_relist(cx, re, HUB_LIST_WENT_BACK);
    }
    if (result->revision + 1 >= held->next_revision) {
        return leave_member(cx, re);
    }
    if (rollcall_now_ms(cx) - held->behind_since_ms >= RESTORED_MS) {
        return reflector_relist(cx, re, HUB_LIST_WENT_BACK);
    }
    rollcall_timer_set(cx, REFLECTOR_BEHIND, rollcall_now_ms(cx) + LOOK_MS);
    return ROLLCALL_STAY;
}

/* ---- what the auditor says ---- */

/* It counts only of a watch that has been there all along, and has nothing on its way to the hub.
 */
int reflector_on_untold(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct reflector *re = self;
    const struct reflector_audit *audit = message->payload;
    struct reflector_handover *held = re->held;
    if (!re->begun || held->behind || re->passed > 0 || re->waiting.count > 0 ||
        held->next_revision != audit->next_revision) {
        return ROLLCALL_STAY;
    }
    held->untold = held->untold_revision == held->next_revision ? held->untold + 1 : 1;
    held->untold_revision = held->next_revision;
    if (held->untold > UNTOLD_MAX) {
        return reflector_relist(cx, re, HUB_LIST_LOST);
    }
    return leave_member(cx, re);
}

int reflector_on_lost(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct reflector *re = self;
    const struct reflector_audit *audit = message->payload;
    return audit->listed_revision == re->held->listed_revision
               ? reflector_relist(cx, re, HUB_LIST_LOST)
               : ROLLCALL_STAY; /* listed again since */
}
