#include "sim/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word, *about;
} WORDS[ROLLCALL_FAULT_COUNT] = {
#define X(name, word, about) {word, about},
    ROLLCALL_FAULTS(X)
#undef X
};

const char *rollcall_fault_name(enum rollcall_fault fault)
{
    return (unsigned)fault < ROLLCALL_FAULT_COUNT ? WORDS[fault].word : "";
}

const char *rollcall_fault_about(enum rollcall_fault fault)
{
    return (unsigned)fault < ROLLCALL_FAULT_COUNT ? WORDS[fault].about : "";
}

/* ---- draws ---- */

/* The finalizer of splitmix64 (Steele and others, 2014) over three numbers. */
static uint64_t mix(uint64_t seed, uint64_t fault, uint64_t nth)
{
    uint64_t z = seed * UINT64_C(0x9e3779b97f4a7c15) + (fault + 1) * UINT64_C(0xd1b54a32d192ed03) +
                 nth * UINT64_C(0xaef17502108ef2d9);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z = (z ^ (z >> 31)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 29);
}

/* The faults that are in every scenario's mixes; their number is in each draw, so those that came
 * later, and any to come, leave the runs of a seed as they are. */
enum { COMMON = ROLLCALL_FAULT_MEMORY + 1 };
static const double RATES[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05};

static double draw_rate(uint64_t seed, uint64_t fault)
{
    return RATES[mix(~seed, fault, 1) % (sizeof RATES / sizeof RATES[0])];
}

void rollcall__fault_plan_draw(struct rollcall__fault_plan *plan, uint64_t seed,
                               const struct rollcall_fault_weight *weights)
{
    const uint64_t one_in = mix(~seed, COMMON, 0) % 4 == 0 ? 16 : 2;
    *plan = (struct rollcall__fault_plan){.scripted = false};
    for (uint64_t fault = 0; weights == NULL && fault < COMMON; fault++) {
        if (mix(~seed, fault, 0) % one_in == 1) {
            plan->rates[fault] = draw_rate(seed, fault);
        }
    }
    for (; weights != NULL && weights->fault != ROLLCALL_FAULT_COUNT; weights++) {
        if (mix(~seed, weights->fault, 0) % 100 < weights->percent) {
            plan->rates[weights->fault] = draw_rate(seed, weights->fault);
        }
    }
}

/* Of 2^64. */
static uint64_t threshold(double rate)
{
    return rate >= 1 ? UINT64_MAX : (uint64_t)(rate * 0x1p64);
}

void rollcall__faults_init(struct rollcall__faults *faults, uint64_t seed,
                           const struct rollcall__fault_plan *plan)
{
    faults->seed = seed;
    faults->plan = *plan;
    faults->off = true;
    faults->list_count = 0;
    faults->on_taken = NULL;
    memset(faults->seen, 0, sizeof faults->seen);
    memset(faults->taken, 0, sizeof faults->taken);
    memset(faults->draws, 0, sizeof faults->draws);
    for (size_t i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        faults->thresholds[i] = plan->scripted ? 0 : threshold(plan->rates[i]);
    }
}

void rollcall__fault_worsen(struct rollcall__faults *faults, enum rollcall_fault fault, double rate)
{
    if (faults->thresholds[fault] != 0) {
        faults->thresholds[fault] = threshold(rate < 0 ? faults->plan.rates[fault] : rate);
    }
}

static bool is_listed(const struct rollcall__fault_plan *plan, enum rollcall_fault fault,
                      uint64_t nth)
{
    for (size_t i = 0; i < plan->script_count; i++) {
        if (plan->script[i].fault == fault && plan->script[i].nth == nth) {
            return true;
        }
    }
    return false;
}

bool rollcall__fault(struct rollcall__faults *faults, enum rollcall_fault fault)
{
    if (faults->off) {
        return false;
    }
    const uint64_t nth = ++faults->seen[fault];
    if (faults->plan.scripted) {
        if (!is_listed(&faults->plan, fault, nth)) {
            return false;
        }
    } else if (faults->thresholds[fault] == 0 ||
               mix(faults->seed, fault, nth) >= faults->thresholds[fault]) {
        return false;
    }
    faults->taken[fault]++;
    faults->draws[fault] = 0;
    if (faults->list_count < ROLLCALL__FAULTS_TAKEN_MAX) {
        faults->list[faults->list_count++] = (struct rollcall__fault_at){fault, nth};
    }
    if (faults->on_taken != NULL) {
        faults->on_taken(faults->user, fault);
    }
    return true;
}

uint64_t rollcall__fault_draw(struct rollcall__faults *faults, enum rollcall_fault fault,
                              uint64_t below)
{
    const uint64_t draw = ++faults->draws[fault];
    return mix(faults->seed + draw, fault + COMMON, faults->seen[fault]) % below;
}

/* ---- text ---- */

static bool find_fault(const char *word, size_t length, enum rollcall_fault *fault)
{
    for (size_t i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        if (strlen(WORDS[i].word) == length && strncmp(WORDS[i].word, word, length) == 0) {
            *fault = (enum rollcall_fault)i;
            return true;
        }
    }
    return false;
}

/* One "cut@17" or "cut=0.01"; false: it is neither, or the other form than those before. */
static bool parse_one(const char *text, size_t length, size_t before,
                      struct rollcall__fault_plan *plan, struct rollcall__fault_at *at)
{
    const size_t word = strcspn(text, "=@,");
    char *end = NULL;
    if (word >= length || !find_fault(text, word, &at->fault)) {
        return false;
    }
    const bool scripted = text[word] == '@';
    if (before > 0 && scripted != plan->scripted) {
        return false;
    }
    plan->scripted = scripted;
    const char *number = text + word + 1;
    if (*number < '0' || *number > '9') {
        return false; /* strtoull would take a sign or a space, and "-1" for a large number */
    }
    if (scripted) {
        errno = 0;
        at->nth = strtoull(number, &end, 10);
        return end == text + length && at->nth > 0 && errno == 0;
    }
    const double rate = strtod(number, &end);
    plan->rates[at->fault] = rate;
    return end == text + length && rate >= 0 && rate <= 1;
}

enum rollcall_status rollcall__fault_plan_parse(const char *text, struct rollcall__fault_plan *plan,
                                                struct rollcall__fault_at **script,
                                                struct rollcall_error *error)
{
    size_t count = 0;
    *plan = (struct rollcall__fault_plan){.scripted = strcmp(text, "none") == 0};
    *script = malloc((strlen(text) / 2 + 1) * sizeof **script); /* the shortest entry is longer */
    if (*script == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "faults: out of memory");
    }
    const char *at = plan->scripted ? "" : text;
    while (*at != '\0') {
        const size_t length = strcspn(at, ",");
        if (!parse_one(at, length, count, plan, &(*script)[count])) {
            free(*script);
            *script = NULL;
            return rollcall_error_set(
                error, ROLLCALL_E_INVALID,
                "faults: \"%.*s\" is neither NAME=RATE (0 to 1) nor NAME@NTH, "
                "or both forms are mixed: the list shows the names",
                (int)length, at);
        }
        count++;
        at += length + (at[length] == ',');
    }
    plan->script = *script;
    plan->script_count = plan->scripted ? count : 0;
    return ROLLCALL_OK;
}
