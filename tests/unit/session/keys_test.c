#include "session/keys.h"

#include "support/test.h"

/* Fails unless joining root, "session/" and name gives `expected`. */
static void check_join(const char *root, const char *name, const char *expected)
{
    struct rollcall__buffer out = {0};
    const struct rollcall_bytes parts[] = {rollcall__bytes(root), rollcall__bytes("session/"),
                                           rollcall__bytes(name)};
    rollcall__path_join(&out, parts, 3);
    CHECK_BYTES(rollcall__buffer_bytes(&out), expected);
    CHECK(out.data[out.size_bytes] == '\0');
    rollcall__buffer_free(&out);
}

TEST(keys, paths_are_joined_and_cleaned_as_in_go)
{
    check_join("by-dev/meta", "id", "by-dev/meta/session/id");
    check_join("/by-dev/meta", "querynode-7", "/by-dev/meta/session/querynode-7");
    check_join("123/session/", "test", "123/session/session/test");
    check_join("", "x", "session/x");
    check_join("a//b", "x", "a/b/session/x");
    check_join("a/./b", "x", "a/b/session/x");
    check_join("a/../b", "x", "b/session/x");
    check_join("../a", "x", "../a/session/x");
    check_join("a", "", "a/session");
    check_join("a", "../x", "a/x");
    check_join("a", "x/", "a/session/x");
    check_join("/", "x", "/session/x");
    check_join("/..", "x", "/session/x");
    check_join("a", "../../../..", "../..");
    check_join("a", "../..", ".");
    check_join("/a", "../../..", "/");
    check_join("../..", "../..", "../../..");
    check_join("a", "..x", "a/session/..x");
    check_join("///", "..", "/");
}

TEST(keys, joining_nothing_appends_nothing)
{
    struct rollcall__buffer out = {0};
    const struct rollcall_bytes parts[] = {{NULL, 0}, {"", 0}};
    rollcall__path_join(&out, parts, 2);
    CHECK_INT(out.size_bytes, 0);
    rollcall__buffer_free(&out);
}

TEST(keys, joining_leaves_alone_what_the_buffer_held)
{
    struct rollcall__buffer out = {0};
    const struct rollcall_bytes parts[] = {rollcall__bytes(".."), rollcall__bytes("a")};
    rollcall__buffer_text(&out, "b/");
    rollcall__path_join(&out, parts, 2);
    CHECK_BYTES(rollcall__buffer_bytes(&out), "b/../a");
    rollcall__buffer_free(&out);
}

TEST(keys, are_upstreams)
{
    struct rollcall__buffer out = {0};
    rollcall__key_session(&out, "by-dev/meta", "querynode", 7, false);
    CHECK_BYTES(rollcall__buffer_bytes(&out), "by-dev/meta/session/querynode-7");
    rollcall__buffer_clear(&out);
    rollcall__key_session(&out, "by-dev/meta", "rootcoord", 3, true);
    CHECK_BYTES(rollcall__buffer_bytes(&out), "by-dev/meta/session/rootcoord");
    rollcall__buffer_clear(&out);
    rollcall__key_session(&out, "", "n", INT64_MAX, false);
    CHECK_BYTES(rollcall__buffer_bytes(&out), "session/n-9223372036854775807");
    rollcall__buffer_clear(&out);
    rollcall__key_id(&out, "/by-dev//meta/");
    CHECK_BYTES(rollcall__buffer_bytes(&out), "/by-dev/meta/session/id");
    rollcall__buffer_clear(&out);
    rollcall__key_prefix(&out, "by-dev/meta", "querynode");
    CHECK_BYTES(rollcall__buffer_bytes(&out), "by-dev/meta/session/querynode");
    rollcall__buffer_free(&out);
}

TEST(keys, the_prefix_of_all_roles_ends_with_a_slash)
{
    struct rollcall__buffer out = {0};
    rollcall__key_prefix(&out, "by-dev/meta", NULL);
    CHECK_BYTES(rollcall__buffer_bytes(&out), "by-dev/meta/session/");
    rollcall__buffer_clear(&out);
    rollcall__key_prefix(&out, "/", "");
    CHECK_BYTES(rollcall__buffer_bytes(&out), "/session/");
    rollcall__buffer_free(&out);
}

/* Upstream's TestGetSessionPrefixByRole: no dash behind the role, so another role's keys may begin
 * so too. */
TEST(keys, the_prefix_of_a_role_is_its_exclusive_key)
{
    static const char *const ROOTS[] = {"by-dev/meta", "/by-dev//meta/", "", "/", "a/./b"};
    for (size_t i = 0; i < sizeof ROOTS / sizeof ROOTS[0]; i++) {
        struct rollcall__buffer prefix = {0}, key = {0};
        rollcall__key_prefix(&prefix, ROOTS[i], "mixcoord");
        rollcall__key_session(&key, ROOTS[i], "mixcoord", 7, true);
        CHECK_BYTES(rollcall__buffer_bytes(&prefix), key.data);
        rollcall__buffer_free(&prefix);
        rollcall__buffer_free(&key);
    }
}

static void check_end(struct rollcall_bytes prefix, struct rollcall_bytes expected)
{
    struct rollcall__buffer out = {0};
    rollcall__prefix_end(prefix, &out);
    CHECK(rollcall__bytes_equal(rollcall__buffer_bytes(&out), expected));
    rollcall__buffer_free(&out);
}

#define BYTES(literal) ((struct rollcall_bytes){literal, sizeof(literal) - 1})

TEST(keys, a_prefix_ends_where_its_last_byte_is_one_higher)
{
    check_end(BYTES("session/"), BYTES("session0"));
    check_end(BYTES("a\x7F"), BYTES("a\x80"));
    check_end(BYTES("a\xFE"), BYTES("a\xFF"));
    check_end(BYTES("a\xFF\xFF"), BYTES("b"));
    check_end(BYTES("a\0"), BYTES("a\1"));
    check_end(BYTES("\xFF\xFF"), BYTES("\0"));
    check_end(BYTES(""), BYTES("\0"));
}

static bool of_role(const char *key, const char *role)
{
    return rollcall__key_is_of_role(rollcall__bytes(key), BYTES("r/session/"),
                                    rollcall__bytes(role));
}

TEST(keys, a_role_is_not_another_that_begins_with_its_name)
{
    CHECK(of_role("r/session/querynode", "querynode"));
    CHECK(of_role("r/session/querynode-7", "querynode"));
    CHECK(of_role("r/session/querynode-9223372036854775807", "querynode"));
    CHECK(!of_role("r/session/querynode2-1", "querynode"));
    CHECK(!of_role("r/session/querynode-a-1", "querynode"));
    CHECK(!of_role("r/session/querynode-1-1", "querynode"));
    CHECK(!of_role("r/session/querynode-", "querynode"));
    CHECK(!of_role("r/session/querynode7", "querynode"));
    CHECK(!of_role("r/session/querynode-7x", "querynode"));
    CHECK(!of_role("r/session/querynod", "querynode"));
    CHECK(of_role("r/session/data-node-7", "data-node"));
}

TEST(keys, a_role_is_found_only_directly_in_the_session_folder)
{
    CHECK(!of_role("r/session/sub/querynode-7", "querynode"));
    CHECK(!of_role("r/session/querynode/7", "querynode"));
    CHECK(!of_role("r/session-ut/querynode-7", "querynode"));
    CHECK(!of_role("r/session", "querynode"));
    CHECK(!of_role("", "querynode"));
}

TEST(keys, no_role_means_every_session_but_neither_id_nor_version)
{
    CHECK(of_role("r/session/querynode-7", ""));
    CHECK(of_role("r/session/rootcoord", ""));
    CHECK(of_role("r/session/identity", ""));
    CHECK(!of_role("r/session/id", ""));
    CHECK(!of_role("r/session/version", ""));
    CHECK(!of_role("r/session/", ""));
    CHECK(!of_role("r/session/sub/querynode-7", ""));
}

/* Fails unless the role is refused with a sentence that has `part` in it. */
static void check_role_refused(const char *role, const char *part)
{
    struct rollcall_error error = {0};
    CHECK_INT(rollcall__role_check(role, &error), ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, part) != NULL);
}

TEST(keys, a_role_that_could_be_taken_for_something_else_is_refused)
{
    char longest[257];
    memset(longest, 'a', sizeof longest - 1);
    longest[256] = '\0';
    check_role_refused(NULL, "empty");
    check_role_refused("", "empty");
    check_role_refused("a/b", "slash");
    check_role_refused(".", "vanish");
    check_role_refused("..", "leads out");
    check_role_refused("a..b", "leads out");
    check_role_refused("querynode-7", "server ID");
    check_role_refused("-0", "server ID");
    check_role_refused("id", "another key");
    check_role_refused("version", "another key");
    check_role_refused("query node", "0x20");
    check_role_refused("n\xC3\xA9", "0xc3");
    check_role_refused(longest, "256 bytes");
    longest[255] = '\0';
    CHECK_INT(rollcall__role_check(longest, NULL), ROLLCALL_OK);
}

TEST(keys, ordinary_roles_are_fine)
{
    static const char *const ROLES[] = {"querynode", "query-node", "q7",  "a-7b", "id2",
                                        "Version",   "a.b_c-d",    "7-a", "-",    "7"};
    for (size_t i = 0; i < sizeof ROLES / sizeof ROLES[0]; i++) {
        struct rollcall_error error;
        if (rollcall__role_check(ROLES[i], &error) != ROLLCALL_OK) {
            CHECK_FAIL(error.text);
        }
    }
}

TEST(keys, a_root_that_leads_elsewhere_is_refused)
{
    static const char *const FINE[] = {"",           "/",        "by-dev/meta",
                                       "/a//b/./c/", "a..b/...", "caf\xC3\xA9"};
    static const char *const BAD[] = {"..", "a/../b", "../a", "a/..", "/..", "a\nb", "a\x7F"};
    for (size_t i = 0; i < sizeof FINE / sizeof FINE[0]; i++) {
        CHECK_INT(rollcall__root_check(FINE[i], NULL), ROLLCALL_OK);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct rollcall_error error = {0};
        CHECK_INT(rollcall__root_check(BAD[i], &error), ROLLCALL_E_INVALID);
        CHECK(error.text[0] != '\0');
    }
    char longest[1026];
    memset(longest, 'a', sizeof longest - 1);
    longest[1025] = '\0';
    CHECK_INT(rollcall__root_check(longest, NULL), ROLLCALL_E_INVALID);
    longest[1024] = '\0';
    CHECK_INT(rollcall__root_check(longest, NULL), ROLLCALL_OK);
}
