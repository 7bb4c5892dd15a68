/*
 * auditor - compares now and then what the hub knows with what etcd holds: for etcd is known to
 * store a change, and never to tell it to a watch.
 *
 *    RESTING --DUE--> ASKING --ROSTER--> READING --PAGE--> RESTING
 *    ASKING, READING --DUE: it took too long--> RESTING
 *
 * It reads the range, keys alone, for their revisions say enough, by pages at the revision of the
 * first.  If that is the roster, all was told.  If not, something may be on its way: after
 * SETTLE_MS it asks the hub for its roster once more, and reads again, at last with the values, for
 * what is no record is in no roster.  There are two cases, and no third:
 *  - the hub has been told something meanwhile: it is read at the revision up to which the hub
 * knows all.  What differs then was lost, and all has to be listed;
 *  - it has not: what was there at the first reading is read.  If that still differs, etcd keeps a
 *    change to itself, or the watch is dead though its member is alive: the watch has to be begun
 *    again, which repeats the change.
 * So nothing is lost for longer than two audits, and what is late costs no resync.  Where it cannot
 * read, as when the revision was compacted meanwhile, it leaves it at that until the next audit.
 * Invariant: it changes nothing itself, and keeps one page and one roster at most.
 */
#include "actors/auditor.h"

#include "actors/hub.h"
#include "base/buffer.h"

#include <inttypes.h>

enum { SETTLE_MS = 3000, TAKES_MS = 30000 };
enum state { RESTING, ASKING, READING, STATE_COUNT };
enum verdict { SAME, DIFFERENT, NOT_KNOWN };

struct auditor {
    const struct auditor_options *options;
    uint64_t asked;                  /* id of the page that is awaited */
    struct rollcall__roster *roster; /* READING: one reference */
    struct auditor_roster of;        /* and what the hub said of it */
    size_t at;                       /* its entries below have been found */
    int64_t revision;                /* it is read at; 0: now */
    bool keys_only;
    bool doubts;                   /* the first reading was not the roster: */
    int64_t doubted_revision;      /* at this revision */
    int64_t doubted_next_revision; /* when the hub was there */
};

static rollcall_handler_fn on_due, on_roster, on_page, on_late;

/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][AUDITOR_COUNT] = {
    [RESTING][AUDITOR_ROSTER] = {rollcall_ignore, 0}, /* came too late */
    [RESTING][AUDITOR_PAGE]   = {rollcall_ignore, 0},
    [RESTING][AUDITOR_DUE]    = {on_due,          ROLLCALL_TO(ASKING)},

    [ASKING] [AUDITOR_ROSTER] = {on_roster,       ROLLCALL_TO(READING) | ROLLCALL_TO(RESTING)},
    [ASKING] [AUDITOR_PAGE]   = {rollcall_ignore, 0}, /* of an audit that took too long */
    [ASKING] [AUDITOR_DUE]    = {on_late,         ROLLCALL_TO(RESTING)},

    [READING][AUDITOR_ROSTER] = {rollcall_ignore, 0}, /* of one that took too long */
    [READING][AUDITOR_PAGE]   = {on_page,         ROLLCALL_TO(READING) | ROLLCALL_TO(RESTING)},
    [READING][AUDITOR_DUE]    = {on_late,         ROLLCALL_TO(RESTING)},
};
/* clang-format on */

/* ---- between audits ---- */

static void drop_roster(struct auditor *au)
{
    if (au->roster != NULL) {
        rollcall_object_drop(&au->roster->object);
        au->roster = NULL;
    }
}

/* Until the next audit: within half a period more or less, so that no crowd asks at one moment. */
static int rest(struct rollcall_context *cx, struct auditor *au)
{
    const int64_t period_ms = au->options->config->audit_ms;
    const int64_t jitter_ms = (int64_t)(rollcall_random(cx) % (uint64_t)(period_ms / 2 + 1));
    drop_roster(au);
    au->doubts = false;
    rollcall_timer_set(cx, AUDITOR_DUE, rollcall_now_ms(cx) + period_ms * 3 / 4 + jitter_ms);
    return RESTING;
}

static int on_late(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return rest(cx, self);
}

static int on_due(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct auditor *au = self;
    (void)message;
    ROLLCALL_DROP(rollcall_send(cx, au->options->hub, HUB_AUDIT, NULL, 0),
                  "without an answer there is another audit");
    rollcall_timer_set(cx, AUDITOR_DUE, rollcall_now_ms(cx) + TAKES_MS);
    return ASKING;
}

/* ---- reading ---- */

/* Refused, or out of memory: it leaves it at that.  READING or RESTING. */
static int ask_page(struct rollcall_context *cx, struct auditor *au, struct rollcall_bytes after)
{
    const struct transport_call call = {.id = ++au->asked, .answer = AUDITOR_PAGE};
    struct transport_request *request =
        reflector_request_page(au->options->config, after, au->revision);
    if (request == NULL) {
        return rest(cx, au);
    }
    request->range.keys_only = au->keys_only;
    return rollcall_send_object(cx, au->options->transport, TRANSPORT_CALL, &call, sizeof call,
                                &request->object) == ROLLCALL_OK
               ? READING
               : rest(cx, au);
}

static int read_at(struct rollcall_context *cx, struct auditor *au, int64_t revision,
                   bool keys_only)
{
    au->revision = revision;
    au->keys_only = keys_only;
    au->at = 0;
    return ask_page(cx, au, (struct rollcall_bytes){NULL, 0});
}

static int on_roster(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct auditor *au = self;
    au->of = *(const struct auditor_roster *)message->payload;
    au->roster = (struct rollcall__roster *)rollcall_object_keep(message->object);
    if (!au->doubts) {
        return read_at(cx, au, 0, true);
    }
    return au->of.next_revision == au->doubted_next_revision
               ? read_at(cx, au, au->doubted_revision, false)
               : read_at(cx, au, au->of.next_revision - 1, true);
}

/* ---- comparing ---- */

/* What is no record is in no roster. */
static enum verdict judge_unknown(const struct transport_kv *kv)
{
    struct reflector_item *item;
    const enum rollcall_status status = reflector_item_create(kv, &item, NULL);
    if (status == ROLLCALL_OK) {
        rollcall_object_drop(&item->object);
    }
    return status == ROLLCALL_OK ? DIFFERENT : status == ROLLCALL_E_CORRUPT ? SAME : NOT_KNOWN;
}

static enum verdict judge(struct auditor *au, const struct transport_kv *kv)
{
    const struct rollcall__roster_entry *entry =
        au->at < au->roster->count ? &au->roster->entries[au->at] : NULL;
    const int order = entry == NULL ? 1 : rollcall__bytes_compare(entry->key, kv->key);
    if (order > 0 && !au->keys_only) {
        return judge_unknown(kv);
    }
    if (order != 0) {
        return DIFFERENT;
    }
    const struct reflector_item *item = (const struct reflector_item *)entry->item;
    au->at++;
    return item->mod_revision == kv->mod_revision && item->lease_id == kv->lease_id &&
                   (au->keys_only || rollcall__bytes_equal(item->value, kv->value))
               ? SAME
               : DIFFERENT;
}

static enum verdict judge_page(struct auditor *au, const struct transport_result *page)
{
    enum verdict verdict = SAME;
    for (size_t i = 0; i < page->kv_count && verdict == SAME; i++) {
        if (reflector_wants_key(au->options->config, page->kvs[i].key)) {
            verdict = judge(au, &page->kvs[i]);
        }
    }
    return verdict == SAME && !page->more && au->at < au->roster->count ? DIFFERENT : verdict;
}

/* ---- what follows ---- */

/* It may be on its way. */
static int doubt(struct rollcall_context *cx, struct auditor *au)
{
    au->doubts = true;
    au->doubted_revision = au->revision;
    au->doubted_next_revision = au->of.next_revision;
    drop_roster(au);
    rollcall_timer_set(cx, AUDITOR_DUE, rollcall_now_ms(cx) + SETTLE_MS);
    return RESTING;
}

/* It is not on its way. */
static int report(struct rollcall_context *cx, struct auditor *au)
{
    const struct reflector_audit audit = {.next_revision = au->of.next_revision,
                                          .listed_revision = au->of.listed_revision};
    const bool untold = au->revision >= au->of.next_revision;
    rollcall_log(cx, ROLLCALL_WARN,
                 untold ? "etcd holds a change that its watch has not told revision=%" PRId64
                        : "etcd holds something else than its watch has told revision=%" PRId64,
                 au->revision);
    ROLLCALL_DROP(rollcall_send(cx, au->options->reflector,
                                untold ? REFLECTOR_UNTOLD : REFLECTOR_LOST, &audit, sizeof audit),
                  "the next audit finds it again");
    return rest(cx, au);
}

static int differs(struct rollcall_context *cx, struct auditor *au)
{
    if (!au->doubts) {
        return doubt(cx, au);
    }
    return au->keys_only ? read_at(cx, au, au->revision, false) : report(cx, au);
}

static int on_page(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct auditor *au = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *page = (const struct transport_result *)message->object;
    if (answer->id != au->asked) {
        return ROLLCALL_STAY;
    }
    if (au->revision == 0) {
        au->revision = page->revision;
    }
    /* An etcd that was stopped for a while answers from before what the hub knows. */
    if (answer->status != ROLLCALL_OK || au->revision + 1 < au->of.next_revision) {
        return rest(cx, au);
    }
    const enum verdict verdict = judge_page(au, page);
    if (verdict == DIFFERENT) {
        return differs(cx, au);
    }
    return verdict == SAME && page->more && page->kv_count != 0
               ? ask_page(cx, au, page->kvs[page->kv_count - 1].key)
               : rest(cx, au);
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct auditor *au = self;
    au->options = options;
    return rest(cx, au);
}

static void fini(void *self)
{
    drop_roster(self);
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct auditor_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"RESTING", "ASKING", "READING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(AUDITOR_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(AUDITOR_LIST);

const struct rollcall_actor_type auditor_type = {
    .name = "auditor",
    .self_size_bytes = sizeof(struct auditor),
    .options_size_bytes = sizeof(struct auditor_options),
    .init = init,
    .fini = fini,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = AUDITOR_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};
