/* Endpoints taken apart, and each mistake told with its own sentence. */
#include "etcd/endpoints.h"

#include "base/buffer.h"

#include "support/test.h"

static struct rollcall__endpoints parse(const char *text)
{
    struct rollcall__endpoints endpoints;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (rollcall__endpoints_parse(text, &endpoints, &error) != ROLLCALL_OK) {
        CHECK_STR(error.text, "");
    }
    return endpoints;
}

static void refuse(const char *text, const char *sentence_part)
{
    struct rollcall__endpoints endpoints;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(rollcall__endpoints_parse(text, &endpoints, &error), ROLLCALL_E_INVALID);
    if (strstr(error.text, sentence_part) == NULL) {
        CHECK_STR(error.text, sentence_part);
    }
}

TEST(endpoints, null_is_the_usual_one)
{
    const struct rollcall__endpoints endpoints = parse(NULL);
    CHECK_INT(endpoints.count, 1);
    CHECK_STR(endpoints.names[0], "127.0.0.1:2379");
    CHECK_INT(endpoints.scheme, ROLLCALL__SCHEME_NONE);
}

TEST(endpoints, several_are_kept_in_order)
{
    const struct rollcall__endpoints endpoints =
        parse("a.example:1, http://b_2-c:65535/ ,[::1]:2379");
    CHECK_INT(endpoints.count, 3);
    CHECK_STR(endpoints.names[0], "a.example:1");
    CHECK_STR(endpoints.names[1], "b_2-c:65535");
    CHECK_STR(endpoints.names[2], "[::1]:2379");
    CHECK_INT(endpoints.scheme, ROLLCALL__SCHEME_HTTP);
}

TEST(endpoints, https_is_noticed_wherever_it_stands)
{
    CHECK_INT(parse("a:1,https://b:2").scheme, ROLLCALL__SCHEME_HTTPS);
    CHECK_INT(parse("https://b:2,a:1").scheme, ROLLCALL__SCHEME_HTTPS);
    refuse("https://a:1,http://b:2", "mixes");
}

TEST(endpoints, wrong_ones_are_named)
{
    refuse("", "empty entry");
    refuse("a:1,,b:2", "empty entry");
    refuse("a:1,", "empty entry");
    refuse("http://", "has no port");
    refuse("localhost", "\"localhost\" has no port");
    refuse("a:", "has no port");
    refuse("a:0", "\"a:0\" has a port out of range: give 1 to 65535");
    refuse("a:65536", "out of range");
    refuse("a:99999999999999999999", "out of range");
    refuse("a:12x", "has no port");
    refuse("a:1/path", "has no port");
    refuse(":2379", "no valid host");
    refuse("::1:2379", "brackets");
    refuse("[::1:2379", "brackets");
    refuse("unix:/x:1", "no valid host");
    refuse("ftp://a:1", "no valid host");
    refuse("a b:1", "no valid host");
}

TEST(endpoints, more_than_the_table_holds_are_refused)
{
    char text[17 * 4 + 1];
    for (size_t i = 0; i < 17; i++) {
        memcpy(text + i * 4, "a:1,", 4);
    }
    text[17 * 4 - 1] = '\0';
    refuse(text, "more than 16");
    text[16 * 4 - 1] = '\0';
    CHECK_INT(parse(text).count, 16);
    char longer[ROLLCALL__ENDPOINT_BYTES + 8];
    memset(longer, 'a', sizeof longer);
    memcpy(longer + sizeof longer - 3, ":1", 3);
    refuse(longer, "more than 279 bytes");
}

static const char *target(const char *name)
{
    static char text[ROLLCALL__ENDPOINT_BYTES + 8];
    rollcall__endpoint_target(name, text, sizeof text);
    return text;
}

TEST(endpoints, literal_addresses_bypass_the_resolver)
{
    CHECK_STR(target("127.0.0.1:2379"), "ipv4:127.0.0.1:2379");
    CHECK_STR(target("[::1]:2379"), "ipv6:[::1]:2379");
    CHECK_STR(target("etcd-1.example:2379"), "dns:///etcd-1.example:2379");
    CHECK_STR(target("1a.example:2379"), "dns:///1a.example:2379");
}

TEST(endpoints, what_etcd_tells_of_is_added_once_and_only_if_it_can_be_used)
{
    struct rollcall__endpoints endpoints;
    CHECK_INT(rollcall__endpoints_parse("h:1,10.0.0.1:2379", &endpoints, NULL), ROLLCALL_OK);
    CHECK(rollcall__endpoints_add(&endpoints, rollcall__bytes("http://10.0.0.2:2379")));
    CHECK_INT(endpoints.count, 3);
    CHECK_STR(endpoints.names[2], "10.0.0.2:2379");
    CHECK(!rollcall__endpoints_add(&endpoints, rollcall__bytes("http://10.0.0.2:2379")));
    CHECK(!rollcall__endpoints_add(&endpoints, rollcall__bytes("http://h:1")));
    CHECK(!rollcall__endpoints_add(&endpoints, rollcall__bytes("https://10.0.0.3:2379")));
    CHECK(!rollcall__endpoints_add(&endpoints, rollcall__bytes("unix:///etcd.sock")));
    CHECK(!rollcall__endpoints_add(&endpoints, rollcall__bytes("")));
    CHECK_INT(endpoints.count, 3);
    for (int i = 0; i < ROLLCALL__ENDPOINTS_MAX; i++) {
        char url[32];
        snprintf(url, sizeof url, "http://10.1.0.%d:2379", i);
        CHECK_INT(rollcall__endpoints_add(&endpoints, rollcall__bytes(url)),
                  i < ROLLCALL__ENDPOINTS_MAX - 3);
    }
}
