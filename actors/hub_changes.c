/* What a hub makes of what its reflector brings: its roster, and the batch for its watchers. */
#include "actors/hub_internal.h"

#include "base/buffer.h"

/* Makes room for a change of that revision, in a roster that is ours alone, and in the batch, there
 * for all that are left as well. */
static enum rollcall_status begin_change(struct rollcall_context *cx, struct hub_handover *held,
                                         int64_t mod_revision)
{
    const struct reflector_changes *changes = (const struct reflector_changes *)held->work;

    if (held->batch == NULL) {
        if ((held->batch = hub_batch_create()) == NULL) {
            return ROLLCALL_E_NO_MEMORY;
        }
        hub_leave_behind(cx, held);
    }
    if (!hub_batch_reserve(held->batch, changes->count - held->work_at) ||
        !rollcall__roster_reserve(&held->roster, 1)) {
        return ROLLCALL_E_NO_MEMORY;
    }
    held->roster->revision = mod_revision;
    return ROLLCALL_OK;
}

/* What was there, of a DELETE of what we never saw, for we began later: etcd's previous value.
 * *before stays NULL when that is no record, or not there. */
static enum rollcall_status read_previous(const struct transport_event *event,
                                          struct reflector_item **before)
{
    const enum rollcall_status status =
        event->has_prev_kv ? reflector_item_create(&event->prev_kv, before, NULL) : ROLLCALL_OK;
    return status == ROLLCALL_E_CORRUPT ? ROLLCALL_OK : status;
}

/* One change, and what is taken in with it. */
struct taking {
    const struct reflector_change *change;
    size_t place;  /* of its key in the roster, or where it belongs */
    int64_t at_ms; /* of the wall clock */
};

/* After begin_change.  before: moved, or NULL. */
static void add_change(struct hub_handover *held, enum rollcall_watch_event_type type,
                       const struct taking *taking, struct reflector_item *before)
{
    hub_batch_add(held->batch, type, taking->at_ms, taking->change->event->kv.mod_revision, before,
                  reflector_item_keep(taking->change->item));
    held->batch->through = ++held->changes;
}

/* Of a key that is not in the roster. */
static enum rollcall_status take_unknown(struct rollcall_context *cx, struct hub_handover *held,
                                         const struct taking *taking)
{
    const struct reflector_change *change = taking->change;
    const int64_t mod_revision = change->event->kv.mod_revision;
    struct reflector_item *before = NULL;
    enum rollcall_status status = ROLLCALL_OK;
    if (change->item == NULL && change->event->kind == TRANSPORT_DELETE &&
        held->listed_revision == 0) { /* else it was garbage, or etcd has not told that it came */
        status = read_previous(change->event, &before);
    }
    if (status != ROLLCALL_OK || (change->item == NULL && before == NULL)) {
        return status;
    }
    if ((status = begin_change(cx, held, mod_revision)) != ROLLCALL_OK) {
        rollcall_object_drop(before == NULL ? NULL : &before->object);
        return status;
    }
    add_change(held, before == NULL ? ROLLCALL_WATCH_ADD : ROLLCALL_WATCH_DELETE, taking, before);
    if (before == NULL) {
        rollcall__roster_insert(held->roster, taking->place, change->item->key,
                                rollcall_object_keep(&change->item->object));
    }
    return ROLLCALL_OK;
}

static enum rollcall_status take_known(struct rollcall_context *cx, struct hub_handover *held,
                                       const struct taking *taking)
{
    struct reflector_item *item = taking->change->item;
    const enum rollcall_status status =
        begin_change(cx, held, taking->change->event->kv.mod_revision);
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall_object *before =
        item == NULL ? rollcall__roster_remove(held->roster, taking->place)
                     : rollcall__roster_replace(held->roster, taking->place, item->key,
                                                rollcall_object_keep(&item->object));
    add_change(held, item == NULL ? ROLLCALL_WATCH_DELETE : ROLLCALL_WATCH_UPDATE, taking,
               (struct reflector_item *)before);
    return ROLLCALL_OK;
}

static void publish(const struct hub_handover *held)
{
    if (held->meter != NULL) {
        rollcall__gauge_set(&held->meter->changes, held->changes);
        rollcall__gauge_set(&held->meter->sessions, (int64_t)held->roster->count);
        rollcall__gauge_set(&held->meter->revision, held->roster->revision);
    }
}

static void publish_list(const struct hub_handover *held)
{
    publish(held);
    if (held->meter != NULL) {
        struct rollcall__gauge *lists = &held->meter->lists[held->list.cause];
        rollcall__gauge_set(lists, rollcall__gauge_get(lists) + 1);
    }
}

/* Not OK: the next incarnation goes on with the same change. */
enum rollcall_status hub_take_changes(struct rollcall_context *cx, struct hub_handover *held)
{
    const struct reflector_changes *changes = (const struct reflector_changes *)held->work;
    struct taking taking = {.at_ms = rollcall_wall_ms(cx)};
    for (; held->work_at < changes->count; held->work_at++) {
        taking.change = &changes->changes[held->work_at];
        const struct transport_kv *kv = &taking.change->event->kv;
        if (kv->mod_revision < held->work_from_revision) {
            continue;
        }
        const enum rollcall_status status =
            rollcall__roster_find(held->roster, kv->key, &taking.place)
                ? take_known(cx, held, &taking)
                : take_unknown(cx, held, &taking);
        if (status != ROLLCALL_OK) {
            return status;
        }
    }
    publish(held);
    return ROLLCALL_OK;
}

/* What has not changed stays the same object, so that it is told to nobody.  Both are in order. */
static void reuse(struct rollcall__roster *listed, const struct rollcall__roster *known)
{
    size_t at = 0;
    for (size_t i = 0; i < listed->count; i++) {
        struct rollcall__roster_entry *entry = &listed->entries[i];
        while (at < known->count &&
               rollcall__bytes_compare(known->entries[at].key, entry->key) < 0) {
            at++;
        }
        if (at < known->count && rollcall__bytes_equal(known->entries[at].key, entry->key) &&
            reflector_item_equal((const struct reflector_item *)known->entries[at].item,
                                 (const struct reflector_item *)entry->item)) {
            rollcall_object_drop(entry->item);
            *entry = known->entries[at];
            rollcall_object_keep(entry->item);
        }
    }
}

/* The first, or after a gap: then everybody has to be told the difference to what he knows. */
enum rollcall_status hub_take_list(struct rollcall_context *cx, struct hub_handover *held)
{
    const enum rollcall_status status = hub_flush(cx, held);
    struct rollcall__roster *listed = (struct rollcall__roster *)held->work;
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall_object_keep(&listed->object);
    if (held->roster != NULL) {
        if (!rollcall__roster_reserve(&listed, 0)) {
            rollcall_object_drop(&listed->object);
            return ROLLCALL_E_NO_MEMORY;
        }
        reuse(listed, held->roster);
        for (size_t i = 0; i < held->count; i++) {
            if (held->subscribers[i].phase == HUB_FOLLOWING) {
                hub_lag(cx, held, &held->subscribers[i], hub_list_told(held->list.cause),
                        hub_list_words(held->list.cause));
            }
        }
        rollcall_object_drop(&held->roster->object);
    }
    held->roster = listed;
    held->partial = false;
    publish_list(held);
    return ROLLCALL_OK;
}
