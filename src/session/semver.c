#include "session/semver.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A version in an error sentence: cut, and only what a terminal can be trusted with. */
struct shown {
    char text[72];
};

static struct shown show(struct rollcall_bytes text)
{
    struct shown shown;
    size_t size_bytes = 0;
    while (size_bytes < text.size_bytes && size_bytes < sizeof shown.text - 1) {
        const char c = text.data[size_bytes];
        shown.text[size_bytes++] = c >= 0x20 && c < 0x7F ? c : '?';
    }
    shown.text[size_bytes] = '\0';
    return shown;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_all_digits(struct rollcall_bytes text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
    }
    return text.size_bytes > 0;
}

/* Cuts *rest at the first `separator`: returns what is before it and leaves what is behind it, and
 * says whether there was one. */
static struct rollcall_bytes cut(struct rollcall_bytes *rest, char separator, bool *found)
{
    const char *at = rest->size_bytes > 0 ? memchr(rest->data, separator, rest->size_bytes) : NULL;
    struct rollcall_bytes before = *rest;
    *found = at != NULL;
    if (at == NULL) {
        *rest = (struct rollcall_bytes){"", 0};
        return before;
    }
    before.size_bytes = (size_t)(at - rest->data);
    rest->data = at + 1;
    rest->size_bytes -= before.size_bytes + 1;
    return before;
}

/* Digits without a leading zero that fit 64 bits. */
static bool parse_number(struct rollcall_bytes text, uint64_t *number)
{
    enum { DIGITS_SAFE = 19 }; /* so many nines fit */
    if (!is_all_digits(text) || (text.size_bytes > 1 && text.data[0] == '0')) {
        return false;
    }
    *number = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        const uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (i >= DIGITS_SAFE && *number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *number = *number * 10 + digit;
    }
    return true;
}

static bool is_identifier(struct rollcall_bytes text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        const char c = text.data[i];
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-') {
            return false;
        }
    }
    return text.size_bytes > 0;
}

/* Dot-separated identifiers; numeric: an identifier of digits alone must be a number. */
static bool are_identifiers(struct rollcall_bytes rest, bool numeric)
{
    bool more = true;
    while (more) {
        uint64_t number;
        const struct rollcall_bytes identifier = cut(&rest, '.', &more);
        if (!is_identifier(identifier) ||
            (numeric && is_all_digits(identifier) && !parse_number(identifier, &number))) {
            return false;
        }
    }
    return true;
}

/* Takes a number off the front of *rest: digits without a leading zero that fit 64 bits. */
static bool take_number(struct rollcall_bytes *rest, uint64_t *number)
{
    struct rollcall_bytes digits = {rest->data, 0};
    while (digits.size_bytes < rest->size_bytes && is_digit(digits.data[digits.size_bytes])) {
        digits.size_bytes++;
    }
    rest->data += digits.size_bytes;
    rest->size_bytes -= digits.size_bytes;
    return parse_number(digits, number);
}

static bool take_dot(struct rollcall_bytes *rest)
{
    if (rest->size_bytes == 0 || *rest->data != '.') {
        return false;
    }
    rest->data++;
    rest->size_bytes--;
    return true;
}

/* Returns which part is at fault, or NULL. */
static const char *parse(struct rollcall_bytes text, struct rollcall__semver *version)
{
    bool found;
    const struct rollcall_bytes none = {"", 0};
    struct rollcall_bytes rest = text;
    *version = (struct rollcall__semver){.prerelease = none, .build = none};
    if (!take_number(&rest, &version->major) || !take_dot(&rest)) {
        return "the major number";
    }
    if (!take_number(&rest, &version->minor) || !take_dot(&rest)) {
        return "the minor number";
    }
    if (!take_number(&rest, &version->patch)) {
        return "the patch number";
    }
    if (rest.size_bytes == 0) {
        return NULL;
    }
    /* The build is cut off first: it may hold a '-', a prerelease never a '+'. */
    version->build = rest;
    rest = cut(&version->build, '+', &found);
    if (found && !are_identifiers(version->build, false)) {
        return "the build";
    }
    version->prerelease = rest;
    rest = cut(&version->prerelease, '-', &found);
    if (found && !are_identifiers(version->prerelease, true)) {
        return "the prerelease";
    }
    return rest.size_bytes == 0 ? NULL : "the patch number";
}

enum rollcall_status rollcall__semver_parse(struct rollcall_bytes text,
                                            struct rollcall__semver *version,
                                            struct rollcall_error *error)
{
    const char *fault = parse(text, version);
    if (fault == NULL) {
        return ROLLCALL_OK;
    }
    return rollcall_error_set(error, ROLLCALL_E_INVALID,
                              "\"%s\" is no semantic version: %s is missing or malformed; "
                              "write it like 2.4.2 or 2.4.2-rc.1",
                              show(text).text, fault);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_identifiers(struct rollcall_bytes a, struct rollcall_bytes b)
{
    const bool a_is_number = is_all_digits(a), b_is_number = is_all_digits(b);
    if (a_is_number != b_is_number) {
        return a_is_number ? -1 : 1;
    }
    /* Numbers have no leading zeros, so the longer one is the larger. */
    if (a_is_number && a.size_bytes != b.size_bytes) {
        return a.size_bytes < b.size_bytes ? -1 : 1;
    }
    return rollcall__bytes_compare(a, b);
}

static int compare_prereleases(struct rollcall_bytes a, struct rollcall_bytes b)
{
    if (a.size_bytes == 0 || b.size_bytes == 0) {
        return (a.size_bytes == 0) - (b.size_bytes == 0);
    }
    bool more_a = true, more_b = true;
    while (more_a && more_b) {
        const struct rollcall_bytes left = cut(&a, '.', &more_a), right = cut(&b, '.', &more_b);
        const int order = compare_identifiers(left, right);
        if (order != 0) {
            return order;
        }
    }
    return more_a - more_b;
}

int rollcall__semver_compare(const struct rollcall__semver *a, const struct rollcall__semver *b)
{
    int order = compare_numbers(a->major, b->major);
    if (order == 0) {
        order = compare_numbers(a->minor, b->minor);
    }
    if (order == 0) {
        order = compare_numbers(a->patch, b->patch);
    }
    return order == 0 ? compare_prereleases(a->prerelease, b->prerelease) : order;
}

void rollcall__semver_print(const struct rollcall__semver *version, struct rollcall__buffer *out)
{
    rollcall__buffer_format(out, "%" PRIu64 ".%" PRIu64 ".%" PRIu64, version->major, version->minor,
                            version->patch);
    if (version->prerelease.size_bytes > 0) {
        rollcall__buffer_text(out, "-");
        rollcall__buffer_append(out, version->prerelease.data, version->prerelease.size_bytes);
    }
    if (version->build.size_bytes > 0) {
        rollcall__buffer_text(out, "+");
        rollcall__buffer_append(out, version->build.data, version->build.size_bytes);
    }
}

/* ---- ranges ---- */

enum operation { EQUAL, DIFFERENT, ABOVE, AT_LEAST, BELOW, AT_MOST, WITHIN, OUTSIDE, NEVER };

struct rollcall__semver_comparison {
    enum operation operation;
    bool begins_group;
    struct rollcall__semver low;
    struct rollcall__semver high; /* for WITHIN and OUTSIDE: the first version above */
};

/* A range while it is read. */
struct parser {
    enum rollcall__semver_dialect dialect;
    struct rollcall__semver_comparison *comparisons;
    size_t count, capacity;
    char *spare; /* room for what is left of the text, without its spaces */
    bool begins_group;
    struct rollcall_error *error;
};

static enum rollcall_status refuse(struct parser *parser, struct rollcall_bytes word,
                                   const char *why)
{
    return rollcall_error_set(parser->error, ROLLCALL_E_INVALID,
                              "version range, at \"%s\": %s; write it like \">=2.2.3 <3.0.0 || "
                              "3.1.x\"",
                              show(word).text, why);
}

static struct rollcall__semver_comparison *add_comparison(struct parser *parser)
{
    ROLLCALL_ASSERT(parser->count < parser->capacity);
    struct rollcall__semver_comparison *comparison = &parser->comparisons[parser->count++];
    *comparison = (struct rollcall__semver_comparison){.begins_group = parser->begins_group};
    parser->begins_group = false;
    return comparison;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool parse_operator(struct rollcall_bytes text, enum operation *operation)
{
    static const struct {
        const char *text;
        enum operation operation;
    } OPERATORS[] = {{"", EQUAL},      {"=", EQUAL},      {"==", EQUAL},
                     {"!", DIFFERENT}, {"!=", DIFFERENT}, {">", ABOVE},
                     {">=", AT_LEAST}, {"<", BELOW},      {"<=", AT_MOST}};
    while (text.size_bytes > 0 && is_space(text.data[text.size_bytes - 1])) {
        text.size_bytes--;
    }
    while (text.size_bytes > 0 && is_space(text.data[0])) {
        text.data++;
        text.size_bytes--;
    }
    for (size_t i = 0; i < sizeof OPERATORS / sizeof OPERATORS[0]; i++) {
        if (rollcall__bytes_equal(text, rollcall__bytes(OPERATORS[i].text))) {
            *operation = OPERATORS[i].operation;
            return true;
        }
    }
    return false;
}

static bool is_x(struct rollcall_bytes text)
{
    return text.size_bytes == 1 && text.data[0] == 'x';
}

/* Whether text is A.x, A.x.x or A.B.x; then *low is the first release that begins so and *high the
 * first above. */
static bool parse_wildcard(struct rollcall_bytes text, enum rollcall__semver_dialect dialect,
                           struct rollcall__semver *low, struct rollcall__semver *high)
{
    bool more = false, third = false;
    *low = (struct rollcall__semver){0};
    if (!parse_number(cut(&text, '.', &more), &low->major) || !more) {
        return false;
    }
    const struct rollcall_bytes minor = cut(&text, '.', &third);
    const bool any_minor = is_x(minor);
    if ((!any_minor && !third) || (third && !is_x(text)) ||
        (!any_minor && !parse_number(minor, &low->minor))) {
        return false;
    }
    *high = *low;
    uint64_t *next =
        any_minor && (!third || dialect == ROLLCALL__SEMVER_OURS) ? &high->major : &high->minor;
    if (*next >= INT64_MAX) {
        return false; /* upstream counts with an int */
    }
    ++*next;
    return true;
}

/* Turns a comparison with low .. high, which stand for all releases of a wildcard, into one with
 * versions. */
static void expand_wildcard(struct rollcall__semver_comparison *comparison,
                            enum rollcall__semver_dialect dialect)
{
    switch (comparison->operation) {
    case EQUAL:
        comparison->operation = WITHIN;
        break;
    case DIFFERENT:
        comparison->operation = dialect == ROLLCALL__SEMVER_OURS ? OUTSIDE : NEVER;
        break;
    case ABOVE:
        comparison->operation = AT_LEAST;
        comparison->low = comparison->high;
        break;
    case AT_MOST:
        comparison->operation = BELOW;
        comparison->low = comparison->high;
        break;
    case AT_LEAST:
    case BELOW:
    case WITHIN:
    case OUTSIDE:
    case NEVER:
        break;
    }
}

static enum rollcall_status parse_comparison(struct parser *parser, struct rollcall_bytes word)
{
    size_t operator_bytes = 0;
    while (operator_bytes < word.size_bytes && !is_digit(word.data[operator_bytes])) {
        operator_bytes++;
    }
    const struct rollcall_bytes text = {word.data + operator_bytes,
                                        word.size_bytes - operator_bytes};
    if (text.size_bytes == 0) {
        return refuse(parser, word, "there is no version in it");
    }
    struct rollcall__semver_comparison *comparison = add_comparison(parser);
    if (!parse_operator((struct rollcall_bytes){word.data, operator_bytes},
                        &comparison->operation)) {
        return refuse(parser, word, "it is no operator: one of = == ! != > >= < <=");
    }
    if (parse_wildcard(text, parser->dialect, &comparison->low, &comparison->high)) {
        expand_wildcard(comparison, parser->dialect);
        return ROLLCALL_OK;
    }
    if (parser->dialect == ROLLCALL__SEMVER_UPSTREAM && memchr(text.data, 'x', text.size_bytes) &&
        comparison->operation != AT_LEAST && comparison->operation != BELOW) {
        return refuse(parser, word, "upstream takes the x for a wildcard");
    }
    return parse(text, &comparison->low) == NULL
               ? ROLLCALL_OK
               : refuse(parser, word, "the version is malformed: three numbers are needed");
}

static enum rollcall_status parse_or(struct parser *parser, struct rollcall_bytes word)
{
    if (parser->begins_group && (parser->count == 0 || parser->dialect == ROLLCALL__SEMVER_OURS)) {
        return refuse(parser, word, "there is nothing before it");
    }
    if (parser->begins_group) {
        add_comparison(parser)->operation = NEVER;
    }
    parser->begins_group = true;
    return ROLLCALL_OK;
}

/* raw: a word that may hold spaces behind its operator. */
static enum rollcall_status parse_word(struct parser *parser, struct rollcall_bytes raw)
{
    struct rollcall_bytes word = {parser->spare, 0};
    for (size_t i = 0; i < raw.size_bytes; i++) {
        if (raw.data[i] != ' ') {
            parser->spare[word.size_bytes++] = raw.data[i];
        }
    }
    parser->spare += word.size_bytes;
    if (raw.size_bytes == 1) {
        return parser->dialect == ROLLCALL__SEMVER_UPSTREAM
                   ? ROLLCALL_OK
                   : refuse(parser, word, "it is too short for a version");
    }
    return rollcall__bytes_equal(word, rollcall__bytes("||")) ? parse_or(parser, word)
                                                              : parse_comparison(parser, word);
}

/* Whether a space behind c belongs to the same word.  Upstream forgets the '!'. */
static bool joins(char c, enum rollcall__semver_dialect dialect)
{
    return c == '>' || c == '<' || c == '=' || (c == '!' && dialect == ROLLCALL__SEMVER_OURS);
}

static enum rollcall_status parse_words(struct parser *parser, struct rollcall_bytes text)
{
    char last = '\0'; /* the last byte that is no space */
    size_t begin = 0;
    for (size_t i = 0; i <= text.size_bytes; i++) {
        const bool ends = i == text.size_bytes;
        if (!ends && text.data[i] != ' ') {
            last = text.data[i];
        } else if (ends || !joins(last, parser->dialect)) {
            const struct rollcall_bytes raw = {text.data + begin, i - begin};
            const enum rollcall_status status =
                raw.size_bytes == 0 ? ROLLCALL_OK : parse_word(parser, raw);
            if (status != ROLLCALL_OK) {
                return status;
            }
            begin = i + 1;
        }
    }
    return parser->begins_group ? refuse(parser, text, "it is empty or ends with ||") : ROLLCALL_OK;
}

enum rollcall_status rollcall__semver_range_parse(struct rollcall_bytes text,
                                                  enum rollcall__semver_dialect dialect,
                                                  struct rollcall__semver_range *range,
                                                  struct rollcall_error *error)
{
    *range = (struct rollcall__semver_range){0};
    if (text.size_bytes > ROLLCALL__SEMVER_RANGE_MAX_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "a version range of %zu bytes: give at most %d", text.size_bytes,
                                  ROLLCALL__SEMVER_RANGE_MAX_BYTES);
    }
    /* A word that counts takes two bytes and a space. */
    struct parser parser = {.dialect = dialect,
                            .capacity = (text.size_bytes + 1) / 3 + 1,
                            .begins_group = true,
                            .error = error};
    parser.comparisons =
        rollcall__allocate(parser.capacity * sizeof *parser.comparisons + text.size_bytes);
    if (parser.comparisons == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY,
                                  "out of memory while reading a version range");
    }
    parser.spare = (char *)(parser.comparisons + parser.capacity);
    const enum rollcall_status status = parse_words(&parser, text);
    if (status != ROLLCALL_OK) {
        free(parser.comparisons);
        return status;
    }
    range->comparisons = parser.comparisons;
    range->count = parser.count;
    return ROLLCALL_OK;
}

static bool holds(const struct rollcall__semver_comparison *comparison,
                  const struct rollcall__semver *version)
{
    const int order = rollcall__semver_compare(version, &comparison->low);
    switch (comparison->operation) {
    case EQUAL:
        return order == 0;
    case DIFFERENT:
        return order != 0;
    case ABOVE:
        return order > 0;
    case AT_LEAST:
        return order >= 0;
    case BELOW:
        return order < 0;
    case AT_MOST:
        return order <= 0;
    case WITHIN:
        return order >= 0 && rollcall__semver_compare(version, &comparison->high) < 0;
    case OUTSIDE:
        return order < 0 || rollcall__semver_compare(version, &comparison->high) >= 0;
    case NEVER:
        break;
    }
    return false;
}

bool rollcall__semver_range_matches(const struct rollcall__semver_range *range,
                                    const struct rollcall__semver *version)
{
    bool group_holds = false;
    for (size_t i = 0; i < range->count; i++) {
        if (range->comparisons[i].begins_group) {
            if (group_holds) {
                return true;
            }
            group_holds = true;
        }
        group_holds = group_holds && holds(&range->comparisons[i], version);
    }
    return group_holds;
}

void rollcall__semver_range_free(struct rollcall__semver_range *range)
{
    free(range->comparisons);
    *range = (struct rollcall__semver_range){0};
}
