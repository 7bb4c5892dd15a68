#include "runtime/trace.h"

#include "runtime/cell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t FNV_OFFSET = UINT64_C(14695981039346656037);
static const uint64_t FNV_PRIME = UINT64_C(1099511628211);

bool rollcall__trace_init(struct rollcall__trace *trace, uint32_t capacity)
{
    uint64_t size = 16;
    while (size < capacity) {
        size *= 2;
    }
    *trace = (struct rollcall__trace){.capacity = size, .hash = FNV_OFFSET};
    trace->entries = malloc(size * sizeof *trace->entries); /* read only where it was written */
    return trace->entries != NULL;
}

void rollcall__trace_fini(struct rollcall__trace *trace)
{
    free(trace->entries);
    trace->entries = NULL;
}

static void mix(struct rollcall__trace *trace, uint64_t value)
{
    trace->hash = (trace->hash ^ value) * FNV_PRIME;
}

void rollcall__trace_add(struct rollcall__trace *trace, struct rollcall__trace_entry entry)
{
    entry.sequence = trace->count;
    trace->entries[trace->count++ & (trace->capacity - 1)] = entry;
    mix(trace, (uint64_t)entry.at_ms);
    mix(trace, entry.from.bits);
    mix(trace, entry.to.bits);
    mix(trace, (uint64_t)entry.message << 32 | (uint64_t)(uint16_t)entry.before << 16 |
                   (uint16_t)entry.after);
}

static void name_actor(char *text, size_t size, struct rollcall_ref ref,
                       const struct rollcall_actor_type *type)
{
    if (rollcall_ref_is_nobody(ref)) {
        snprintf(text, size, "outside");
    } else if (type != NULL) {
        snprintf(text, size, "%s/%" PRIu32, type->name, rollcall__ref_slot(ref));
    } else {
        snprintf(text, size, "w%" PRIu32 "/%" PRIu32, rollcall__ref_worker(ref),
                 rollcall__ref_slot(ref));
    }
}

static const char *name_state(const struct rollcall_actor_type *type, int state)
{
    switch (state) {
    case ROLLCALL_STAY:
        return "-";
    case ROLLCALL_END:
        return "END";
    case ROLLCALL_FAIL:
        return "FAIL";
    default:
        return state < type->state_count ? type->state_names[state] : "?";
    }
}

void rollcall__trace_format(const struct rollcall__trace_entry *entry, char *line)
{
    char from[48], to[48];
    name_actor(from, sizeof from, entry->from, entry->from_type);
    name_actor(to, sizeof to, entry->to, entry->to_type);
    snprintf(line, ROLLCALL__TRACE_LINE_BYTES,
             "t=%010" PRId64 " #%010" PRIu64 "  %s -> %s  %s  %s>%s", entry->at_ms, entry->sequence,
             from, to, entry->before < 0 ? "init" : entry->to_type->message_names[entry->message],
             entry->before < 0 ? "" : name_state(entry->to_type, entry->before),
             name_state(entry->to_type, entry->after));
}

void rollcall__trace_print(const struct rollcall__trace *trace,
                           void (*print)(void *user, const char *line), void *user)
{
    char line[ROLLCALL__TRACE_LINE_BYTES];
    const uint64_t kept = trace->count < trace->capacity ? trace->count : trace->capacity;
    for (uint64_t i = trace->count - kept; i < trace->count; i++) {
        rollcall__trace_format(&trace->entries[i & (trace->capacity - 1)], line);
        print(user, line);
    }
}

static void print_line(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "rollcall: trace: %s\n", line); /* tidy: allow - the process is aborting */
}

void rollcall__trace_dump(const struct rollcall__trace *trace)
{
    rollcall__trace_print(trace, print_line, NULL);
}
