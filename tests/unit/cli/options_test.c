#include "cli/options.h"

#include "cli/help.h"

#include "support/test.h"

enum { ARGUMENTS_MAX = 24 };

/* The environment of the test running: NAME, VALUE, NAME, VALUE, NULL. */
static const char *const *variables;

static const char *environment(const char *name)
{
    for (size_t i = 0; variables != NULL && variables[i] != NULL; i += 2) {
        if (strcmp(variables[i], name) == 0) {
            return variables[i + 1];
        }
    }
    return NULL;
}

struct parsed {
    enum rollcall_status status;
    struct cli_options options;
    struct rollcall_error error;
    const char *child[ARGUMENTS_MAX]; /* a copy of options.child, which lives in our argv */
};

/* Arguments, after the program's name, end with NULL. */
static struct parsed parse(const char *const *arguments)
{
    struct parsed parsed = {0};
    char *argv[ARGUMENTS_MAX] = {(char *)"rollcall"};
    int argc = 1;
    while (arguments[argc - 1] != NULL && argc + 1 < ARGUMENTS_MAX) {
        argv[argc] = (char *)arguments[argc - 1];
        argc++;
    }
    parsed.status = cli_options_parse(argc, argv, environment, &parsed.options, &parsed.error);
    for (size_t i = 0; parsed.options.child != NULL && parsed.options.child[i] != NULL; i++) {
        parsed.child[i] = parsed.options.child[i];
    }
    return parsed;
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void check_refused(struct parsed parsed, const char *part)
{
    CHECK_INT(parsed.status, ROLLCALL_E_INVALID);
    if (strstr(parsed.error.text, part) == NULL) {
        CHECK_STR(parsed.error.text, part);
    }
}

TEST(options, every_option_of_register_arrives)
{
    const struct parsed p =
        PARSE("register", "querynode", "--address", "10.0.0.7:21123", "--exclusive", "--ttl", "10",
              "--server-id=7", "--version", "2.4.3", "--index-version", "1:4", "--enable-disk",
              "--trigger-kill", "--label", "zone=a", "--label=rack=b", "--on-lost", "exit",
              "--retries", "4");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK_INT(p.options.command, CLI_REGISTER);
    CHECK_STR(p.options.role, "querynode");
    CHECK_STR(p.options.address, "10.0.0.7:21123");
    CHECK(p.options.exclusive && p.options.enable_disk && p.options.trigger_kill);
    CHECK_INT(p.options.ttl_s, 10);
    CHECK_INT(p.options.server_id, 7);
    CHECK_STR(p.options.version, "2.4.3");
    CHECK_INT(p.options.index_version_min, 1);
    CHECK_INT(p.options.index_version_current, 4);
    CHECK_INT(p.options.label_count, 2);
    CHECK_BYTES(p.options.labels[1].name, "rack");
    CHECK_INT(p.options.retries, 4);
}

TEST(options, force_has_the_options_of_register_and_standby_those_of_an_election)
{
    const struct parsed p = PARSE("force", "coord", "--address", "a:1", "--ttl", "5", "--grace",
                                  "2s", "--on-lost", "reregister", "--", "sleep", "1");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK_INT(p.options.command, CLI_FORCE);
    CHECK_STR(p.options.role, "coord");
    CHECK_INT(p.options.grace_ms, 2000);
    CHECK_INT(p.options.ttl_s, 5);
    CHECK_STR(p.child[0], "sleep");
    check_refused(PARSE("force"), "force needs a ROLE; see `rollcall force --help`");
    check_refused(PARSE("force", "a"), "force needs --address ADDR");
    const struct parsed q = PARSE("register", "coord", "--address", "a:1", "--standby");
    CHECK(q.options.standby);
    CHECK_INT(q.options.grace_ms, 500);
    CHECK(!PARSE("register", "coord", "--address", "a:1").options.standby);
}

TEST(options, global_options_stand_before_or_after_the_command)
{
    const struct parsed p = PARSE("-o", "json", "--root", "a", "list", "--endpoints", "h:1",
                                  "--timeout=500ms", "querynode", "--log-level", "debug");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK_INT(p.options.command, CLI_LIST);
    CHECK_INT(p.options.format, CLI_FORMAT_JSON);
    CHECK_STR(p.options.root, "a");
    CHECK_STR(p.options.endpoints, "h:1");
    CHECK_INT(p.options.call_timeout_ms, 500);
    CHECK_INT(p.options.dial_timeout_ms, 5000);
    CHECK_STR(p.options.role, "querynode");
    CHECK_INT(p.options.log_level, ROLLCALL_DEBUG);
}

TEST(options, a_short_option_takes_its_value_in_three_ways)
{
    CHECK_INT(PARSE("list", "-ojson").options.format, CLI_FORMAT_JSON);
    CHECK_INT(PARSE("list", "-o=table").options.format, CLI_FORMAT_TABLE);
    CHECK_INT(PARSE("list", "-o", "json").options.format, CLI_FORMAT_JSON);
    CHECK_INT(PARSE("list", "--output=json").options.format, CLI_FORMAT_JSON);
    check_refused(PARSE("list", "--o", "json"), "list has no option --o");
}

TEST(options, version_is_a_question_or_an_option_of_register)
{
    CHECK(PARSE("--version").options.show_version);
    CHECK(PARSE("list", "--version").options.show_version);
    const struct parsed p = PARSE("register", "a", "--address", "b", "--version", "1.2.3");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK(!p.options.show_version);
    CHECK_STR(p.options.version, "1.2.3");
}

TEST(options, help_wins_over_what_is_missing_or_wrong)
{
    CHECK_INT(PARSE("--help").status, ROLLCALL_OK);
    const struct parsed p = PARSE("register", "--help");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK(p.options.help);
    CHECK_INT(p.options.command, CLI_REGISTER);
}

TEST(options, the_environment_yields_to_the_command_line)
{
    static const char *const set[] = {"ROLLCALL_ROOT",
                                      "e",
                                      "ETCDCTL_ENDPOINTS",
                                      "etcdctl:1",
                                      "ROLLCALL_ENDPOINTS",
                                      "ours:1",
                                      "ROLLCALL_OUTPUT",
                                      "json",
                                      "NO_COLOR",
                                      "1",
                                      NULL};
    variables = set;
    const struct parsed from_environment = PARSE("list");
    CHECK_STR(from_environment.options.root, "e");
    CHECK_STR(from_environment.options.endpoints, "ours:1");
    CHECK_INT(from_environment.options.format, CLI_FORMAT_JSON);
    CHECK(from_environment.options.no_color);
    const struct parsed given = PARSE("list", "--root", "g", "--endpoints", "g:1", "-o", "table");
    CHECK_STR(given.options.root, "g");
    CHECK_STR(given.options.endpoints, "g:1");
    CHECK_INT(given.options.format, CLI_FORMAT_TABLE);
    variables = NULL;
}

TEST(options, etcdctls_variables_are_read_after_ours)
{
    static const char *const set[] = {"ETCDCTL_ENDPOINTS",
                                      "h:1",
                                      "ETCDCTL_CACERT",
                                      "ca",
                                      "ETCDCTL_CERT",
                                      "c",
                                      "ETCDCTL_KEY",
                                      "k",
                                      "ROLLCALL_ROOT",
                                      "",
                                      NULL};
    variables = set;
    const struct parsed p = PARSE("list");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK_STR(p.options.endpoints, "h:1");
    CHECK_STR(p.options.ca_file, "ca");
    CHECK_STR(p.options.cert_file, "c");
    CHECK_STR(p.options.key_file, "k");
    CHECK(p.options.root == NULL); /* empty: as if it were not set */
    variables = NULL;
}

TEST(options, a_wrong_variable_is_named)
{
    static const char *const set[] = {"ROLLCALL_TIMEOUT", "5", NULL};
    variables = set;
    check_refused(PARSE("list"), "ROLLCALL_TIMEOUT cannot be \"5\": give 10ms to 10m, as");
    variables = NULL;
}

TEST(options, a_variable_that_lacks_its_other_half_is_named)
{
    static const char *const set[] = {"ETCDCTL_CERT", "c", NULL};
    variables = set;
    check_refused(PARSE("list"), "ETCDCTL_CERT and --key go together");
    check_refused(PARSE("list", "--key", "k"), "ETCDCTL_CERT needs --cacert");
    check_refused(PARSE("list", "--cert", "d"), "--cert and --key go together");
    static const char *const file[] = {"ROLLCALL_PASSWORD_FILE", "f", NULL};
    variables = file;
    check_refused(PARSE("list"), "--user and ROLLCALL_PASSWORD_FILE go together");
    variables = NULL;
}

TEST(options, etcdctls_user_may_hold_its_password)
{
    static const char *const set[] = {"ETCDCTL_USER", "root:a:b", "ETCDCTL_PASSWORD", "x", NULL};
    variables = set;
    const struct parsed p = PARSE("list");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK(p.options.user_has_password);
    CHECK_STR(p.options.user, "root:a:b");
    CHECK(p.options.password == NULL);
    check_refused(PARSE("list", "--user", "root:a"), "--user holds a ':'");
    static const char *const ours[] = {"ROLLCALL_USER", "root:secret", NULL};
    variables = ours;
    check_refused(PARSE("list"), "ROLLCALL_USER holds a ':'");
    CHECK(strstr(PARSE("list").error.text, "secret") == NULL);
    variables = NULL;
}

TEST(options, half_a_user_is_told_by_its_variable)
{
    static const char *const wrong[] = {":secret", "root:", ":"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *const set[] = {"ETCDCTL_USER", wrong[i], NULL};
        variables = set;
        check_refused(PARSE("list"), "ETCDCTL_USER lacks a part");
        CHECK(strstr(PARSE("list").error.text, "secret") == NULL);
    }
    static const char *const only_name[] = {"ETCDCTL_USER", "root", NULL};
    variables = only_name;
    check_refused(PARSE("list"), "ETCDCTL_USER has no password");
    CHECK_INT(PARSE("list", "--password-file", "f").status, ROLLCALL_OK);
    variables = NULL;
}

TEST(options, etcdctls_password_serves_a_name_without_one)
{
    static const char *const set[] = {"ETCDCTL_USER", "root", "ETCDCTL_PASSWORD", "x", NULL};
    variables = set;
    const struct parsed p = PARSE("list");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK_STR(p.options.password, "x");
    CHECK(!p.options.user_has_password);
    static const char *const alone[] = {"ETCDCTL_PASSWORD", "x", NULL};
    variables = alone;
    CHECK_INT(PARSE("list").status, ROLLCALL_OK);
    CHECK(PARSE("list").options.password == NULL);
    variables = NULL;
}

TEST(options, warnings_are_logged_but_not_in_the_demo)
{
    CHECK_INT(PARSE("list").options.log_level, ROLLCALL_WARN);
    CHECK_INT(PARSE("demo").options.log_level, ROLLCALL_ERROR);
    CHECK_INT(PARSE("demo", "--log-level", "warn").options.log_level, ROLLCALL_WARN);
}

TEST(options, the_word_help_is_as_the_option)
{
    CHECK(PARSE("help").options.help);
    const struct parsed p = PARSE("help", "register");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK(p.options.help);
    CHECK_INT(p.options.command, CLI_REGISTER);
    check_refused(PARSE("help", "lst"), "there is no command \"lst\"");
    CHECK_STR(PARSE("list", "help").options.role, "help");
    CHECK(!PARSE("list", "help").options.help);
}

TEST(options, a_password_is_never_an_argument)
{
    check_refused(PARSE("list", "--user", "root:secret"), "with --password-file");
    check_refused(PARSE("list", "--user", "root"), "--user and --password-file go together");
    CHECK(strstr(PARSE("list", "--user", "root:secret").error.text, "secret") == NULL);
    CHECK_INT(PARSE("list", "--user", "root", "--password-file", "f").status, ROLLCALL_OK);
    check_refused(PARSE("list", "--password", "x"), "list has no option --password");
}

TEST(options, what_cannot_be_is_refused_with_what_to_do)
{
    check_refused(PARSE("register", "querynode"), "register needs --address");
    check_refused(PARSE("register", "--address", "a"), "register needs a ROLE");
    check_refused(PARSE("watch"), "watch needs a ROLE");
    check_refused(PARSE("watch", "a", "b"), "one argument too many: \"b\"");
    check_refused(PARSE("demo", "a"), "one argument too many: \"a\"");
    check_refused(PARSE("sim", "watch"), "one argument too many: \"watch\"");
    check_refused(PARSE("sim", "--seeds", "0"), "--seeds cannot be \"0\"");
    check_refused(PARSE("sim", "--first-seed", "-1"), "give a number from 0, or random");
    check_refused(PARSE("list", ""), "ROLE is empty");
    check_refused(PARSE("list", "--root", ""), "--root is empty");
    check_refused(PARSE("list", "--root"), "--root needs a value: PATH");
    check_refused(PARSE("list", "--raw-prefix=1"), "--raw-prefix takes no value");
    check_refused(PARSE("list", "--count", "1"), "list has no option --count");
    check_refused(PARSE("--count", "1", "watch", "a"), "put it after the command");
    check_refused(PARSE("--foo"), "unknown option --foo; see `rollcall --help`");
    check_refused(PARSE("-x"), "unknown option -x; see `rollcall --help`");
    check_refused(PARSE("watch", "a", "--count", "0"), "--count cannot be \"0\"");
    check_refused(PARSE("register", "a", "--address", "b", "--ttl", "1"), "--ttl cannot be \"1\"");
    check_refused(PARSE("list", "-o", "yaml"), "give table or json");
    check_refused(PARSE("list", "--log-level", "loud"), "give error, warn, info or debug");
    check_refused(PARSE("list", "--cert", "c", "--cacert", "a"), "--cert and --key go together");
    check_refused(PARSE("list", "--cert", "c", "--key", "k"), "--cert needs --cacert");
    check_refused(PARSE("lst"), "there is no command \"lst\"; see `rollcall --help`");
    check_refused(PARSE("list", "--bogus"), "see `rollcall list --help`");
}

TEST(options, what_comes_later_says_so)
{
    static const char part[] = "not available in this version";
    static const char *const commands[] = {"bench", "completion"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        check_refused(PARSE(commands[i]), part);
    }
    check_refused(PARSE("watch", "a", "--metrics-listen", "h:1"), part);
    check_refused(PARSE("register", "a", "--metrics-listen=h:1"), part);
}

TEST(options, every_option_of_sim_arrives)
{
    const struct parsed p =
        PARSE("sim", "--scenario", "watch", "--seeds", "5", "--first-seed", "7", "--steps=300",
              "--faults", "cut@17,crash@203", "--keep-going", "--trace", "--matrix", "--list");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK_STR(p.options.scenario, "watch");
    CHECK_INT(p.options.seeds, 5);
    CHECK_INT(p.options.first_seed, 7);
    CHECK_INT(p.options.steps, 300);
    CHECK_STR(p.options.faults, "cut@17,crash@203");
    CHECK(p.options.keep_going && p.options.trace && p.options.matrix && p.options.list);
}

TEST(options, sim_is_repeatable_unless_a_random_seed_is_asked_for)
{
    CHECK_INT(PARSE("sim").options.first_seed, 1);
    CHECK_INT(PARSE("sim").options.seeds, 1000);
    CHECK_INT(PARSE("sim").options.steps, 1000);
    CHECK_INT(PARSE("sim", "--first-seed", "random").options.first_seed, 0);
    CHECK_INT(PARSE("sim", "--first-seed", "0").options.first_seed, 0);
}

TEST(options, what_follows_two_dashes_is_the_command_untouched)
{
    const struct parsed p = PARSE("register", "a", "--address", "b", "--", "sh", "--ttl", "1", "--",
                                  "-o", "x", "--help");
    static const char *const words[] = {"sh", "--ttl", "1", "--", "-o", "x", "--help"};
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK_STR(p.options.role, "a");
    CHECK(!p.options.help && p.options.ttl_s == 0 && p.options.format == CLI_FORMAT_AUTO);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        CHECK(p.child[i] != NULL);
        CHECK_STR(p.child[i], words[i]);
    }
    CHECK(p.child[sizeof words / sizeof words[0]] == NULL);
    CHECK(PARSE("register", "a", "--address", "b").options.child == NULL);
    check_refused(PARSE("register", "a", "--address", "b", "--"), "-- needs a COMMAND");
    check_refused(PARSE("register", "--address", "b", "--", "a"), "register needs a ROLE");
    CHECK_STR(PARSE("list", "--", "--ttl").options.role, "--ttl"); /* elsewhere only words follow */
}

TEST(options, a_session_lost_may_be_registered_again)
{
    CHECK_INT(PARSE("register", "a", "--address", "b").options.on_lost, ROLLCALL_ON_LOST_STOP);
    CHECK_INT(PARSE("register", "a", "--address", "b", "--on-lost", "exit").options.on_lost,
              ROLLCALL_ON_LOST_STOP);
    CHECK_INT(PARSE("register", "a", "--address", "b", "--on-lost=reregister").options.on_lost,
              ROLLCALL_ON_LOST_REREGISTER);
    check_refused(PARSE("register", "a", "--address", "b", "--on-lost", "wait"),
                  "--on-lost cannot be \"wait\": give exit or reregister");
    CHECK(PARSE("register", "a", "--address", "b", "--dry-run").options.dry_run);
}

TEST(options, stop_and_revoke_need_one_key)
{
    CHECK_STR(PARSE("stop", "querynode-7").options.target, "querynode-7");
    const struct parsed p = PARSE("revoke", "r/session/querynode-7", "--yes", "--key", "k",
                                  "--cert", "c", "--cacert", "a");
    CHECK_INT(p.status, ROLLCALL_OK);
    CHECK_INT(p.options.command, CLI_REVOKE);
    CHECK_STR(p.options.target, "r/session/querynode-7");
    CHECK_STR(p.options.key_file, "k"); /* --key is TLS's */
    CHECK(p.options.yes && p.options.role == NULL);
    CHECK(!PARSE("revoke", "a-1").options.yes);
    check_refused(PARSE("stop"), "stop needs a KEY, such as querynode-7");
    check_refused(PARSE("revoke", "--yes"), "revoke needs a KEY");
    check_refused(PARSE("revoke", ""), "revoke needs a KEY");
    check_refused(PARSE("stop", "a-1", "a-2"), "one argument too many: \"a-2\"");
    check_refused(PARSE("stop", "a-1", "--yes"), "stop has no option --yes");
    check_refused(PARSE("list", "--dry-run"), "list has no option --dry-run");
}

TEST(options, labels_are_bounded)
{
    enum { COUNT = 2 * (CLI_LABELS_MAX + 1) };
    char *argv[COUNT + 4] = {(char *)"rollcall", (char *)"register"};
    char labels[COUNT][8];
    for (size_t i = 0; i < COUNT; i += 2) {
        argv[i + 2] = (char *)"--label";
        snprintf(labels[i], sizeof labels[i], "%zu=b", i);
        argv[i + 3] = labels[i];
    }
    struct parsed p = {0};
    p.status = cli_options_parse(COUNT + 2, argv, environment, &p.options, &p.error);
    check_refused(p, "more than 64 labels");
}

TEST(options, a_label_is_given_once)
{
    check_refused(PARSE("register", "a", "--address", "b", "--label", "zone=a", "--label=zone=b"),
                  "--label zone=b names a label that was given before");
    CHECK_INT(PARSE("register", "a", "--address", "b", "--label", "zone=a", "--label", "zon=a")
                  .options.label_count,
              2);
}

static bool contains(const struct cli_text *text, const char *part)
{
    return memmem(text->data, text->size_bytes, part, strlen(part)) != NULL;
}

TEST(options, help_tells_every_option_and_variable_and_nothing_that_comes_later)
{
    for (int command = CLI_NO_COMMAND; command < CLI_COMMAND_COUNT; command++) {
        struct cli_text text = {0};
        cli_help(&text, (enum cli_command)command);
        CHECK(!text.failed);
        CHECK(contains(&text, "Usage: rollcall") && contains(&text, "Example:"));
        CHECK(contains(&text, "130  interrupted before it was running"));
        CHECK(!contains(&text, "metrics"));
        for (size_t i = 0; i < cli_option_count; i++) {
            const struct cli_option *option = &cli_option_table[i];
            char name[64];
            snprintf(name, sizeof name, "--%s", option->name);
            if (option->kind != CLI_LATER && (option->commands & CLI_FOR(command)) != 0) {
                CHECK(contains(&text, name));
                CHECK(option->environment[0] == NULL || contains(&text, option->environment[0]));
            }
        }
        cli_text_fini(&text);
    }
}

TEST(options, no_line_of_help_is_too_long)
{
    for (int command = CLI_NO_COMMAND; command < CLI_COMMAND_COUNT; command++) {
        struct cli_text text = {0};
        cli_help(&text, (enum cli_command)command);
        size_t columns = 0;
        for (size_t i = 0; i < text.size_bytes; i++) {
            columns = text.data[i] == '\n' ? 0 : columns + 1;
            CHECK(columns <= 100);
        }
        cli_text_fini(&text);
    }
}
