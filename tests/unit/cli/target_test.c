#include "cli/target.h"

#include "support/test.h"

static void check_split(const char *key, const char *root, const char *expected_name)
{
    struct cli_text text = {0};
    const char *name = NULL;
    CHECK(cli_target_split(key, &text, &name));
    CHECK_STR(name, expected_name);
    if (root == NULL) {
        CHECK(text.data == NULL);
    } else {
        CHECK_STR(text.data, root);
    }
    cli_text_fini(&text);
}

TEST(target, a_key_is_a_name_or_a_root_and_a_name)
{
    check_split("querynode-7", NULL, "querynode-7");
    check_split("by-dev/meta/session/querynode-7", "by-dev/meta", "querynode-7");
    check_split("/a/session/session/rootcoord", "/a/session", "rootcoord");
    check_split("session/rootcoord", "", "rootcoord");
    check_split("/session/rootcoord", "/", "rootcoord");
}

TEST(target, what_is_no_key_of_a_session_is_refused)
{
    static const char *const wrong[] = {"by-dev/meta/querynode-7", "by-dev/session/",
                                        "by-dev/mysession/querynode-7", "a/session/b/c", "/"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct cli_text root = {0};
        const char *name;
        CHECK(!cli_target_split(wrong[i], &root, &name));
        CHECK(root.data == NULL);
        cli_text_fini(&root);
    }
}
