#include "cli/values.h"

#include "cli/text.h"

#include <string.h>

enum { DURATION_MIN_MS = 10, DURATION_MAX_MS = 10 * 60 * 1000 };

/* Reads digits up to `end`, at least one, a value of at most `max`, which is 9 or more. */
static bool parse_digits(const char *text, const char *end, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;
    for (const char *at = text; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        const uint64_t digit = (uint64_t)(*at - '0');
        if (sum > (max - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return text < end;
}

bool cli_duration_parse(const char *text, int64_t *value_ms)
{
    static const struct {
        const char *name;
        int64_t size_ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}};
    const char *unit = text + strspn(text, "0123456789");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].name) != 0) {
            continue;
        }
        uint64_t count;
        const uint64_t count_max = (uint64_t)(DURATION_MAX_MS / units[i].size_ms);
        if (!parse_digits(text, unit, count_max, &count) ||
            (int64_t)count * units[i].size_ms < DURATION_MIN_MS) {
            return false;
        }
        *value_ms = (int64_t)count * units[i].size_ms;
        return true;
    }
    return false;
}

bool cli_integer_parse(const char *text, int64_t min, int64_t max, int64_t *value)
{
    const bool negative = text[0] == '-';
    const char *digits = text + negative;
    uint64_t magnitude;
    if (!parse_digits(digits, digits + strlen(digits), (uint64_t)INT64_MAX, &magnitude)) {
        return false;
    }
    const int64_t number = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (number < min || number > max) {
        return false;
    }
    *value = number;
    return true;
}

bool cli_index_version_parse(const char *text, int32_t *minimal, int32_t *current)
{
    const char *colon = strchr(text, ':');
    uint64_t low, high;
    if (colon == NULL || !parse_digits(text, colon, INT32_MAX, &low) ||
        !parse_digits(colon + 1, colon + strlen(colon), INT32_MAX, &high) || low > high) {
        return false;
    }
    *minimal = (int32_t)low;
    *current = (int32_t)high;
    return true;
}

bool cli_label_parse(const char *text, struct rollcall_label *label)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return false;
    }
    label->name = (struct rollcall_bytes){text, (size_t)(equals - text)};
    label->value = cli_bytes(equals + 1);
    return true;
}
