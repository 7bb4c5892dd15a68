/* tests/support/renewals.c - see renewals.h. */
#include "support/renewals.h"

#include "base/thread.h"
#include "support/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_BYTES = 5, MESSAGE_MAX_BYTES = PROXY_TAIL - PREFIX_BYTES };
/* The first byte of a field: its number, and that a varint or counted bytes follow. */
enum { ID_OF_REQUEST = 0x08, HEADER = 0x0a, ID_OF_ANSWER = 0x10, TTL_OF_ANSWER = 0x18 };

struct note {
    int64_t at_ms, lease_id;
    int via;
    enum renewals_what what;
};

struct via {
    struct renewals *renewals;
    int number;
};

struct renewals {
    struct via via[RENEWALS_VIA_MAX];
    struct rollcall__monitor monitor; /* guards the rest */
    struct note *notes;               /* in the order they passed */
    size_t count, capacity;
    int64_t zero_lease_id;
    int zero_times, zeroed;
};

/* ---- noting: on the proxies' threads ---- */

/* Returns what follows, or NULL when it does not end in time. */
static const unsigned char *read_varint(const unsigned char *at, const unsigned char *end,
                                        uint64_t *value)
{
    *value = 0;
    for (unsigned int shift = 0; at < end && shift < 64; shift += 7) {
        *value |= (uint64_t)(*at & 0x7f) << shift;
        if ((*at++ & 0x80) == 0) {
            return at;
        }
    }
    return NULL;
}

static bool is_request(const unsigned char *at, const unsigned char *end, uint64_t *lease_id)
{
    return *at == ID_OF_REQUEST && read_varint(at + 1, end, lease_id) == end;
}

static bool is_answer(const unsigned char *at, const unsigned char *end, uint64_t *lease_id)
{
    uint64_t ttl_s;
    if (end - at < 2 || at[0] != HEADER || at[1] >= end - at - 2 || at[2 + at[1]] != ID_OF_ANSWER) {
        return false;
    }
    const unsigned char *next = read_varint(at + 3 + at[1], end, lease_id);
    return next == end ||
           (next != NULL && *next == TTL_OF_ANSWER && read_varint(next + 1, end, &ttl_s) == end);
}

static void note(struct renewals *renewals, const struct note *what)
{
    if (renewals->count == renewals->capacity) {
        fprintf(stderr, "renewals: more than %zu\n", renewals->capacity);
        abort(); /* on a thread where no test can be failed */
    }
    renewals->notes[renewals->count++] = *what;
}

/* A TTL below 128 is one byte, the last. */
static void make_zero(struct renewals *renewals, unsigned char *end, uint64_t lease_id)
{
    if (renewals->zero_times > 0 && (int64_t)lease_id == renewals->zero_lease_id &&
        end[-2] == TTL_OF_ANSWER) {
        renewals->zero_times--;
        renewals->zeroed++;
        end[-1] = 0;
    }
}

/* A message about a lease that ends among what is new. */
struct found {
    bool asked; /* a request; else an answer */
    uint64_t lease_id;
    unsigned char *end;
};

/* Looks from *at on, and leaves there where to look next. */
static bool find(const struct proxy_bytes *bytes, size_t *at, struct found *found)
{
    static const unsigned char prefix[PREFIX_BYTES - 1] = {0};
    unsigned char *data = (unsigned char *)bytes->data;
    for (size_t i = *at; i + PREFIX_BYTES < bytes->end; i++) {
        const size_t from = i + PREFIX_BYTES, to = from + data[from - 1];
        if (to - from > MESSAGE_MAX_BYTES || to <= bytes->begin || to > bytes->end || to == from ||
            memcmp(data + i, prefix, sizeof prefix) != 0) {
            continue;
        }
        found->asked = bytes->from == PROXY_CLIENT;
        found->end = data + to;
        *at = i + 1;
        if (found->asked ? is_request(data + from, data + to, &found->lease_id)
                         : is_answer(data + from, data + to, &found->lease_id)) {
            return true;
        }
    }
    return false;
}

size_t renewals_in(const struct proxy_bytes *bytes)
{
    struct found found = {.lease_id = 0};
    size_t count = 0;
    for (size_t at = 0; find(bytes, &at, &found);) {
        count++;
    }
    return count;
}

void renewals_tap(void *user, const struct proxy_bytes *bytes)
{
    const struct via *via = user;
    struct renewals *renewals = via->renewals;
    struct found found = {.lease_id = 0};
    rollcall__monitor_lock(&renewals->monitor);
    for (size_t at = 0; find(bytes, &at, &found);) {
        note(renewals,
             &(const struct note){.at_ms = bytes->at_ms,
                                  .lease_id = (int64_t)found.lease_id,
                                  .via = via->number,
                                  .what = found.asked ? RENEWALS_SENT : RENEWALS_ANSWERED});
        if (!found.asked) {
            make_zero(renewals, found.end, found.lease_id);
        }
    }
    rollcall__monitor_notify(&renewals->monitor);
    rollcall__monitor_unlock(&renewals->monitor);
}

/* ---- asking ---- */

static bool is_of(const struct note *note, enum renewals_what what, int via, int64_t lease_id)
{
    return note->what == what && (via == RENEWALS_ANY || note->via == via) &&
           (lease_id == 0 || note->lease_id == lease_id);
}

static bool is_within(const struct note *note, int64_t from_ms, int64_t to_ms)
{
    return note->at_ms >= from_ms && note->at_ms < to_ms;
}

size_t renewals_count(struct renewals *renewals, enum renewals_what what, int via, int64_t lease_id,
                      int64_t from_ms, int64_t to_ms)
{
    size_t count = 0;
    rollcall__monitor_lock(&renewals->monitor);
    for (size_t i = 0; i < renewals->count; i++) {
        count += is_of(&renewals->notes[i], what, via, lease_id) &&
                 is_within(&renewals->notes[i], from_ms, to_ms);
    }
    rollcall__monitor_unlock(&renewals->monitor);
    return count;
}

/* Called locked. */
static int64_t last_ms(const struct renewals *renewals, enum renewals_what what, int via,
                       int64_t lease_id)
{
    for (size_t i = renewals->count; i-- > 0;) {
        if (is_of(&renewals->notes[i], what, via, lease_id)) {
            return renewals->notes[i].at_ms;
        }
    }
    return 0;
}

int64_t renewals_last_ms(struct renewals *renewals, enum renewals_what what, int via,
                         int64_t lease_id)
{
    rollcall__monitor_lock(&renewals->monitor);
    const int64_t at_ms = last_ms(renewals, what, via, lease_id);
    rollcall__monitor_unlock(&renewals->monitor);
    return at_ms;
}

size_t renewals_bytes(struct renewals *renewals)
{
    rollcall__monitor_lock(&renewals->monitor);
    const size_t bytes = renewals->count * sizeof *renewals->notes;
    rollcall__monitor_unlock(&renewals->monitor);
    return bytes;
}

bool renewals_await(struct renewals *renewals, enum renewals_what what, int via, int64_t lease_id,
                    int64_t from_ms, int64_t timeout_ms)
{
    const int64_t until_ns = (process_now_ms() + timeout_ms) * 1000000;
    bool waiting = true;
    rollcall__monitor_lock(&renewals->monitor);
    while (waiting && last_ms(renewals, what, via, lease_id) < from_ms) {
        waiting = rollcall__monitor_wait(&renewals->monitor, until_ns);
    }
    const bool passed = last_ms(renewals, what, via, lease_id) >= from_ms;
    rollcall__monitor_unlock(&renewals->monitor);
    return passed;
}

/* Called locked.  When the request was sent that the note at `index` answers: the last on the way
 * it came, for those before it that were not answered were given up; -1: none. */
static int64_t asked_ms(const struct renewals *renewals, size_t index)
{
    const struct note *answer = &renewals->notes[index];
    for (size_t i = index; i-- > 0;) {
        if (is_of(&renewals->notes[i], RENEWALS_SENT, answer->via, answer->lease_id)) {
            return renewals->notes[i].at_ms;
        }
    }
    return -1;
}

struct renewals_gap renewals_worst_gap(struct renewals *renewals, int64_t lease_id, int64_t from_ms,
                                       int64_t to_ms)
{
    struct renewals_gap worst = {0, 0};
    int64_t sent_ms = -1;
    rollcall__monitor_lock(&renewals->monitor);
    for (size_t i = 0; i < renewals->count; i++) {
        const struct note *note = &renewals->notes[i];
        if (note->at_ms >= to_ms || !is_of(note, RENEWALS_ANSWERED, RENEWALS_ANY, lease_id)) {
            continue;
        }
        if (sent_ms >= 0 && note->at_ms >= from_ms &&
            note->at_ms - sent_ms > worst.to_ms - worst.from_ms) {
            worst = (struct renewals_gap){sent_ms, note->at_ms};
        }
        const int64_t its_ms = asked_ms(renewals, i);
        sent_ms = its_ms > sent_ms ? its_ms : sent_ms;
    }
    rollcall__monitor_unlock(&renewals->monitor);
    return sent_ms >= 0 && to_ms - sent_ms <= worst.to_ms - worst.from_ms
               ? worst
               : (struct renewals_gap){sent_ms, to_ms};
}

int64_t renewals_worst_gap_ms(struct renewals *renewals, int64_t lease_id, int64_t from_ms,
                              int64_t to_ms)
{
    const struct renewals_gap gap = renewals_worst_gap(renewals, lease_id, from_ms, to_ms);
    return gap.to_ms - gap.from_ms;
}

int64_t renewals_worst_delay_ms(struct renewals *renewals, int64_t lease_id, int64_t from_ms,
                                int64_t to_ms)
{
    int64_t worst_ms = 0, sent_ms = -1;
    rollcall__monitor_lock(&renewals->monitor);
    for (size_t i = 0; i < renewals->count; i++) {
        const struct note *note = &renewals->notes[i];
        if (note->lease_id != lease_id || !is_within(note, from_ms, to_ms)) {
            continue;
        }
        if (note->what == RENEWALS_SENT && sent_ms < 0) {
            sent_ms = note->at_ms;
        } else if (note->what == RENEWALS_ANSWERED && sent_ms >= 0) {
            worst_ms = note->at_ms - sent_ms > worst_ms ? note->at_ms - sent_ms : worst_ms;
            sent_ms = -1;
        }
    }
    rollcall__monitor_unlock(&renewals->monitor);
    return sent_ms >= 0 && to_ms - sent_ms > worst_ms ? to_ms - sent_ms : worst_ms;
}

size_t renewals_most_outstanding(struct renewals *renewals, int64_t lease_id, int64_t from_ms,
                                 int64_t to_ms)
{
    size_t most = 0, now = 0;
    rollcall__monitor_lock(&renewals->monitor);
    for (size_t i = 0; i < renewals->count; i++) {
        const struct note *note = &renewals->notes[i];
        if (note->lease_id == lease_id && is_within(note, from_ms, to_ms)) {
            now = note->what == RENEWALS_SENT ? now + 1 : 0;
            most = now > most ? now : most;
        }
    }
    rollcall__monitor_unlock(&renewals->monitor);
    return most;
}

void renewals_answer_zero(struct renewals *renewals, int64_t lease_id, int times)
{
    rollcall__monitor_lock(&renewals->monitor);
    renewals->zero_lease_id = lease_id;
    renewals->zero_times = times;
    rollcall__monitor_unlock(&renewals->monitor);
}

int renewals_zeroed(struct renewals *renewals)
{
    rollcall__monitor_lock(&renewals->monitor);
    const int zeroed = renewals->zeroed;
    rollcall__monitor_unlock(&renewals->monitor);
    return zeroed;
}

/* ---- life ---- */

struct renewals *renewals_create(size_t capacity)
{
    struct renewals *renewals = calloc(1, sizeof *renewals);
    struct note *notes = calloc(capacity, sizeof *notes);
    if (renewals == NULL || notes == NULL) {
        fprintf(stderr, "renewals: no memory for %zu\n", capacity);
        abort();
    }
    rollcall__monitor_init(&renewals->monitor);
    renewals->notes = notes;
    renewals->capacity = capacity;
    for (int i = 0; i < RENEWALS_VIA_MAX; i++) {
        renewals->via[i] = (struct via){.renewals = renewals, .number = i};
    }
    return renewals;
}

void *renewals_user(struct renewals *renewals, int via)
{
    return &renewals->via[via];
}

void renewals_destroy(struct renewals *renewals)
{
    if (renewals != NULL) {
        rollcall__monitor_fini(&renewals->monitor);
        free(renewals->notes);
        free(renewals);
    }
}
