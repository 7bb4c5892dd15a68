/*
 * runtime/failpoint_text.c - the text of fail points:
 *
 *    points  = point (';' point)*                     empty points are skipped
 *    point   = ACTOR '/' MESSAGE '=' action trigger*  either name may be '*'
 *    action  = crash | crash(E_STATUS) | delay(N ms|s) | drop | error | error(E_STATUS)
 *    trigger = '@' N | '@' N '+' | '%' FRACTION | '*' N
 */
#include "runtime/failpoint.h"

#include <string.h>

enum { DELAY_MAX_MS = 3600000 };
static const uint64_t NUMBER_MAX = 1000000000;

struct parser {
    const char *text, *at;
    struct rollcall_error *error;
};

/* Says what the text must have where the parser is. */
static bool refuse(const struct parser *parser, const char *want)
{
    const size_t rest = strlen(parser->at);
    rollcall_error_set(
        parser->error, ROLLCALL_E_INVALID, "fail points, byte %zu, at \"%.24s%s\": %s",
        (size_t)(parser->at - parser->text) + 1, parser->at, rest > 24 ? "..." : "", want);
    return false;
}

static void skip_blanks(struct parser *parser)
{
    parser->at += strspn(parser->at, " \t\r\n");
}

static bool take(struct parser *parser, char wanted)
{
    const bool found = *parser->at == wanted;
    parser->at += found ? 1 : 0;
    return found;
}

static bool take_word(struct parser *parser, const char *word)
{
    const size_t size = strlen(word);
    const bool found =
        strncmp(parser->at, word, size) == 0 && (parser->at[size] < 'a' || parser->at[size] > 'z');
    parser->at += found ? size : 0;
    return found;
}

static bool parse_name(struct parser *parser, char end, char name[ROLLCALL__FAILPOINT_NAME_BYTES],
                       const char *want)
{
    const size_t size = strcspn(parser->at, "/=;*()@% \t\r\n");
    const size_t kept = *parser->at == '*' ? 1 : size;
    if (kept == 0 || kept >= ROLLCALL__FAILPOINT_NAME_BYTES || parser->at[kept] != end) {
        return refuse(parser, want);
    }
    memcpy(name, parser->at, kept);
    name[kept] = '\0';
    parser->at += kept + 1;
    return true;
}

static bool parse_number(struct parser *parser, uint64_t *number, const char *want)
{
    const char *at = parser->at;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9' && value <= NUMBER_MAX; at++) {
        value = 10 * value + (uint64_t)(*at - '0');
    }
    if (value == 0 || value > NUMBER_MAX) {
        return refuse(parser, want);
    }
    parser->at = at;
    *number = value;
    return true;
}

/* ---- actions ---- */

/* "(E_STATUS)", or nothing, which leaves *status. */
static bool parse_status(struct parser *parser, enum rollcall_status *status)
{
    if (!take(parser, '(')) {
        return true;
    }
    const size_t size = strcspn(parser->at, ")");
    for (int i = ROLLCALL_OK + 1; i < ROLLCALL_STATUS_COUNT; i++) {
        const char *name = rollcall_status_name((enum rollcall_status)i);
        if (strlen(name) == size && strncmp(name, parser->at, size) == 0 &&
            parser->at[size] == ')') {
            *status = (enum rollcall_status)i;
            parser->at += size + 1;
            return true;
        }
    }
    return refuse(parser, "give a status of <rollcall/error.h>, as E_UNAVAILABLE, and \")\"");
}

static bool parse_delay(struct parser *parser, int64_t *delay_ms)
{
    static const char want[] = "give \"(\", 1ms to 3600s, and \")\", as delay(200ms)";
    const struct parser begin = *parser;
    uint64_t number;
    if (!take(parser, '(') || !parse_number(parser, &number, want)) {
        return refuse(&begin, want);
    }
    const bool seconds = *parser->at == 's';
    const uint64_t delay = seconds ? 1000 * number : number;
    parser->at += seconds ? 1 : strncmp(parser->at, "ms", 2) == 0 ? 2 : 0;
    if (parser->at[-1] != 's' || !take(parser, ')') || delay > DELAY_MAX_MS) {
        return refuse(&begin, want);
    }
    *delay_ms = (int64_t)delay;
    return true;
}

static bool parse_action(struct parser *parser, struct rollcall__failpoint *point)
{
    if (take_word(parser, "crash")) {
        point->action = ROLLCALL__FAIL_CRASH;
        point->status = ROLLCALL_E_ACTOR;
        return parse_status(parser, &point->status);
    }
    if (take_word(parser, "delay")) {
        point->action = ROLLCALL__FAIL_DELAY;
        return parse_delay(parser, &point->delay_ms);
    }
    if (take_word(parser, "drop")) {
        point->action = ROLLCALL__FAIL_DROP;
        return true;
    }
    if (take_word(parser, "error")) {
        const bool etcd = strcmp(point->actor, "etcd") == 0;
        point->action = ROLLCALL__FAIL_ERROR;
        point->status = etcd ? ROLLCALL_E_UNAVAILABLE : ROLLCALL_E_FULL;
        return parse_status(parser, &point->status);
    }
    return refuse(parser, "give crash, crash(STATUS), delay(TIME), drop, error or error(STATUS)");
}

/* ---- triggers ---- */

/* "0.25": at most nine places, for there is no locale here. */
static bool parse_chance(struct parser *parser, uint64_t *chance)
{
    static const char want[] = "give a chance above 0 and up to 1, as %0.01";
    const struct parser begin = *parser;
    uint64_t value = take(parser, '1') ? ROLLCALL__CHANCE_ONE : 0;
    if (value == 0 && !take(parser, '0')) {
        return refuse(&begin, want);
    }
    if (take(parser, '.')) {
        for (uint64_t place = ROLLCALL__CHANCE_ONE / 10; *parser->at >= '0' && *parser->at <= '9';
             place /= 10) {
            value += place * (uint64_t)(*parser->at++ - '0');
        }
    }
    if (value == 0 || value > ROLLCALL__CHANCE_ONE) {
        return refuse(&begin, want);
    }
    *chance = value;
    return true;
}

static bool parse_triggers(struct parser *parser, struct rollcall__failpoint *point)
{
    bool good = true;
    while (good) {
        if (point->nth == 0 && take(parser, '@')) {
            good = parse_number(parser, &point->nth, "give the number of a hit, as @3 or @3+");
            point->onwards = good && take(parser, '+');
        } else if (point->chance == 0 && take(parser, '%')) {
            good = parse_chance(parser, &point->chance);
        } else if (point->times_max == 0 && take(parser, '*')) {
            good = parse_number(parser, &point->times_max, "give how often at most, as *2");
        } else {
            break;
        }
    }
    point->chance = point->chance == 0 ? ROLLCALL__CHANCE_ONE : point->chance;
    return good;
}

/* ---- points ---- */

static bool is_signal(const char *name)
{
    static const char *const names[] = {ROLLCALL_SIGNALS(ROLLCALL_NAME)};
    bool found = false;
    for (int i = 0; i < ROLLCALL_SIGNAL_COUNT; i++) {
        found |= strcmp(name, names[i]) == 0;
    }
    return found;
}

static const char *misuse(const struct rollcall__failpoint *point)
{
    const char *message = point->message;
    if (strcmp(point->actor, "etcd") == 0) {
        if (strcmp(message, "call") != 0 && strcmp(message, "renewal") != 0 &&
            strcmp(message, "watch") != 0 && strcmp(message, "*") != 0) {
            return "of etcd there are etcd/call, etcd/renewal, etcd/watch and etcd/*";
        }
        return point->action == ROLLCALL__FAIL_CRASH
                   ? "a point of etcd takes error, delay and drop, not crash"
                   : NULL;
    }
    if (point->action == ROLLCALL__FAIL_ERROR && point->status != ROLLCALL_E_FULL) {
        return "a send to an actor is refused with E_FULL only: give error";
    }
    if (is_signal(message) && point->action != ROLLCALL__FAIL_CRASH) {
        return "a signal is never lost or late: it takes crash only";
    }
    return NULL;
}

static bool parse_point(struct parser *parser, struct rollcall__failpoint *point)
{
    const struct parser begin = *parser;
    *point = (struct rollcall__failpoint){.action = ROLLCALL__FAIL_NOT};
    if (!parse_name(parser, '/', point->actor, "give the name of an actor, or *, and \"/\"") ||
        !parse_name(parser, '=', point->message,
                    "give the name of a message of the actor, or *, and \"=\"") ||
        !parse_action(parser, point) || !parse_triggers(parser, point)) {
        return false;
    }
    const size_t size = (size_t)(parser->at - begin.at);
    const char *why = misuse(point);
    skip_blanks(parser);
    if (*parser->at != ';' && *parser->at != '\0') {
        return refuse(parser, "give @N, @N+, %CHANCE or *N, each once, or \";\" and another point");
    }
    if (why != NULL || size >= sizeof point->text) {
        return refuse(&begin, why != NULL ? why : "the point is too long");
    }
    memcpy(point->text, begin.at, size);
    point->text[size] = '\0';
    return true;
}

enum rollcall_status rollcall__failpoints_parse(const char *text,
                                                struct rollcall__failpoint *points, uint32_t *count,
                                                struct rollcall_error *error)
{
    struct parser parser = {.text = text, .at = text, .error = error};
    *count = 0;
    do {
        skip_blanks(&parser);
        if (*parser.at == ';' || *parser.at == '\0') {
            continue;
        }
        if (*count == ROLLCALL__FAILPOINTS_MAX) {
            refuse(&parser, "there are 64 points already: give no more, or clear them first");
            return ROLLCALL_E_INVALID;
        }
        if (!parse_point(&parser, &points[*count])) {
            return ROLLCALL_E_INVALID;
        }
        ++*count;
    } while (take(&parser, ';'));
    return ROLLCALL_OK;
}
