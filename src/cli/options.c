/*
 * Reads the command line from left to right, then the environment for what was not given.
 *
 * Before the command only global options are known.  options->sources remembers what has a value
 * and from where: it keeps the environment from overwriting the command line, and lets messages
 * name the variable at fault.
 */
#include "cli/options.h"

#include "cli/values.h"

#include <string.h>

struct parser {
    struct cli_options *options;
    struct rollcall_error *error;
    int argc, at; /* at: the argument being read */
    char **argv;
    bool asks_help; /* by the word `help` in place of a command */
};

static bool is_named(const struct cli_option *option, bool is_long, const char *name, size_t size)
{
    return is_long ? strlen(option->name) == size && memcmp(option->name, name, size) == 0
                   : option->letter == name[0];
}

/* Whether any command has an option of this name. */
static bool is_known(const char *name, size_t name_size)
{
    for (size_t i = 0; i < cli_option_count; i++) {
        if (is_named(&cli_option_table[i], true, name, name_size)) {
            return true;
        }
    }
    return false;
}

/* As in options->sources; name: without its dashes. */
static const char *source_of(const struct cli_options *options, const char *name)
{
    for (size_t i = 0; i < cli_option_count; i++) {
        if (strcmp(cli_option_table[i].name, name) == 0 && options->sources[i] != NULL) {
            return options->sources[i];
        }
    }
    return NULL;
}

const char *cli_option_origin(const struct cli_options *options, const char *option)
{
    const char *source = source_of(options, option + strlen("--"));
    return source == NULL || source[0] == '\0' ? option : source;
}

static enum cli_command command_of(const char *name)
{
    for (int i = CLI_NO_COMMAND + 1; i < CLI_COMMAND_COUNT; i++) {
        if (strcmp(name, cli_command_name((enum cli_command)i)) == 0) {
            return (enum cli_command)i;
        }
    }
    return CLI_NO_COMMAND;
}

static bool is_later_command(const char *name)
{
    static const char *const later[] = {"bench", "completion"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (strcmp(name, later[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Adds where to read more, and fails. */
#define USAGE(parser, format, ...)                                                                 \
    rollcall_error_set((parser)->error, ROLLCALL_E_INVALID, format "; see `rollcall %s%s--help`",  \
                       __VA_ARGS__, cli_command_name((parser)->options->command),                  \
                       (parser)->options->command == CLI_NO_COMMAND ? "" : " ")

static enum rollcall_status set_format(struct parser *parser, const char *name, const char *text)
{
    if (strcmp(text, "table") == 0) {
        parser->options->format = CLI_FORMAT_TABLE;
    } else if (strcmp(text, "json") == 0) {
        parser->options->format = CLI_FORMAT_JSON;
    } else {
        return USAGE(parser, "%s cannot be \"%.80s\": give table or json", name, text);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status set_log_level(struct parser *parser, const char *name, const char *text)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(text, levels[i]) == 0) {
            parser->options->log_level = (enum rollcall_log_level)(ROLLCALL_ERROR + i);
            return ROLLCALL_OK;
        }
    }
    return USAGE(parser, "%s cannot be \"%.80s\": give error, warn, info or debug", name, text);
}

static enum rollcall_status set_on_lost(struct parser *parser, const char *name, const char *text)
{
    if (strcmp(text, "exit") == 0) {
        parser->options->on_lost = ROLLCALL_ON_LOST_STOP;
    } else if (strcmp(text, "reregister") == 0) {
        parser->options->on_lost = ROLLCALL_ON_LOST_REREGISTER;
    } else {
        return USAGE(parser, "%s cannot be \"%.80s\": give exit or reregister", name, text);
    }
    return ROLLCALL_OK;
}

static bool has_label(const struct cli_options *options, struct rollcall_bytes name)
{
    for (size_t i = 0; i < options->label_count; i++) {
        const struct rollcall_bytes other = options->labels[i].name;
        if (other.size_bytes == name.size_bytes &&
            memcmp(other.data, name.data, name.size_bytes) == 0) {
            return true;
        }
    }
    return false;
}

static enum rollcall_status set_label(struct parser *parser, const char *name, const char *text)
{
    struct cli_options *options = parser->options;
    struct rollcall_label label;
    if (options->label_count == CLI_LABELS_MAX) {
        return USAGE(parser, "more than %d labels: give fewer", CLI_LABELS_MAX);
    }
    if (!cli_label_parse(text, &label)) {
        return USAGE(parser, "%s cannot be \"%.80s\": give NAME=VALUE", name, text);
    }
    if (has_label(options, label.name)) {
        return USAGE(parser, "%s %.80s names a label that was given before: give each name once",
                     name, text);
    }
    options->labels[options->label_count++] = label;
    return ROLLCALL_OK;
}

static enum rollcall_status set_number(struct parser *parser, const struct cli_option *option,
                                       const char *name, const char *text)
{
    int64_t *field = (int64_t *)(void *)((char *)parser->options + option->offset);
    if (option->kind == CLI_DURATION) {
        return cli_duration_parse(text, field)
                   ? ROLLCALL_OK
                   : USAGE(parser, "%s cannot be \"%.80s\": give 10ms to 10m, as 500ms, 5s or 1m",
                           name, text);
    }
    return cli_integer_parse(text, option->min, option->max, field)
               ? ROLLCALL_OK
               : USAGE(parser, "%s cannot be \"%.80s\": give a number from %lld to %lld", name,
                       text, (long long)option->min, (long long)option->max);
}

static enum rollcall_status set_seed(struct parser *parser, const char *name, const char *text)
{
    int64_t *seed = &parser->options->first_seed;
    if (strcmp(text, "random") == 0) {
        *seed = 0;
        return ROLLCALL_OK;
    }
    return cli_integer_parse(text, 0, INT64_MAX, seed)
               ? ROLLCALL_OK
               : USAGE(parser, "%s cannot be \"%.80s\": give a number from 0, or random", name,
                       text);
}

/* name: "--option", or the variable, which lives on; text: its value, "" for a flag. */
static enum rollcall_status set_option(struct parser *parser, const struct cli_option *option,
                                       const char *name, const char *text)
{
    struct cli_options *options = parser->options;
    void *field = (char *)options + option->offset;
    options->sources[option - cli_option_table] = name[0] == '-' ? "" : name;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)field = true;
        return ROLLCALL_OK;
    case CLI_TEXT:
        if (text[0] == '\0') {
            return USAGE(parser, "%s is empty: give it a value", name);
        }
        *(const char **)field = text;
        return ROLLCALL_OK;
    case CLI_DURATION:
    case CLI_INTEGER:
        return set_number(parser, option, name, text);
    case CLI_FORMAT:
        return set_format(parser, name, text);
    case CLI_LOG_LEVEL:
        return set_log_level(parser, name, text);
    case CLI_INDEX_VERSION:
        return cli_index_version_parse(text, &options->index_version_min,
                                       &options->index_version_current)
                   ? ROLLCALL_OK
                   : USAGE(parser, "%s cannot be \"%.80s\": give MIN:CUR, as 1:4", name, text);
    case CLI_LABEL:
        return set_label(parser, name, text);
    case CLI_ON_LOST:
        return set_on_lost(parser, name, text);
    case CLI_SEED:
        return set_seed(parser, name, text);
    case CLI_LATER:
        break;
    }
    return USAGE(parser, "%s is not available in this version", name);
}

/* The row for a name, or a letter, that the command given so far has; NULL: none. */
static const struct cli_option *find_option(const struct parser *parser, bool is_long,
                                            const char *name, size_t name_size)
{
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *option = &cli_option_table[i];
        if ((option->commands & CLI_FOR(parser->options->command)) != 0 &&
            is_named(option, is_long, name, name_size)) {
            return option;
        }
    }
    return NULL;
}

static enum rollcall_status refuse_option(struct parser *parser, const char *argument)
{
    if (parser->options->command != CLI_NO_COMMAND) {
        return USAGE(parser, "%s has no option %.80s", cli_command_name(parser->options->command),
                     argument);
    }
    return strncmp(argument, "--", 2) == 0 && is_known(argument + 2, strcspn(argument + 2, "="))
               ? USAGE(parser, "%.80s is no global option: put it after the command", argument)
               : USAGE(parser, "unknown option %.80s", argument);
}

/* A known option; value: what came with its name, NULL: nothing, so it may be the next argument. */
static enum rollcall_status take_option(struct parser *parser, const struct cli_option *option,
                                        const char *value)
{
    char name[32] = "--";
    strncat(name, option->name, sizeof name - 3);
    if (option->kind == CLI_LATER) {
        return set_option(parser, option, name, "");
    }
    if (option->argument == NULL) {
        return value == NULL ? set_option(parser, option, name, "")
                             : USAGE(parser, "%s takes no value", name);
    }
    if (value == NULL && parser->at + 1 == parser->argc) {
        return USAGE(parser, "%s needs a value: %s", name, option->argument);
    }
    return set_option(parser, option, name, value != NULL ? value : parser->argv[++parser->at]);
}

/* "--name", "--name=value", "--name value", "-n value", "-nvalue", "-n=value". */
static enum rollcall_status parse_option(struct parser *parser)
{
    const char *argument = parser->argv[parser->at];
    const bool is_long = argument[1] == '-';
    const char *name = argument + (is_long ? 2 : 1);
    const size_t name_size = is_long ? strcspn(name, "=") : 1;
    const struct cli_option *option = find_option(parser, is_long, name, name_size);
    if (option == NULL) {
        return refuse_option(parser, argument);
    }
    const char *rest = name + name_size;
    return take_option(parser, option, rest[0] == '\0' ? NULL : rest + (rest[0] == '='));
}

static bool registers(enum cli_command command)
{
    return command == CLI_REGISTER || command == CLI_FORCE;
}

static bool names_a_key(enum cli_command command)
{
    return command == CLI_STOP || command == CLI_REVOKE;
}

/* A word that is no option: first the command, then its ROLE or KEY. */
static enum rollcall_status parse_word(struct parser *parser)
{
    struct cli_options *options = parser->options;
    const char *word = parser->argv[parser->at];
    if (options->command == CLI_NO_COMMAND) {
        options->command = command_of(word);
        const bool is_help = strcmp(word, "help") == 0;
        parser->asks_help = parser->asks_help || is_help;
        if (options->command != CLI_NO_COMMAND || is_help) {
            return ROLLCALL_OK;
        }
        return is_later_command(word)
                   ? USAGE(parser, "`rollcall %s` is not available in this version", word)
                   : USAGE(parser, "there is no command \"%.80s\"", word);
    }
    const char **field = names_a_key(options->command) ? &options->target : &options->role;
    const bool takes_none = options->command == CLI_DEMO || options->command == CLI_SIM ||
                            options->command == CLI_DOCTOR;
    if (takes_none || *field != NULL) {
        return USAGE(parser, "there is one argument too many: \"%.80s\"", word);
    }
    *field = word;
    return ROLLCALL_OK;
}

/* After the "--" of register or force: all the rest is COMMAND, whatever it looks like. */
static enum rollcall_status take_child(struct parser *parser)
{
    if (parser->at + 1 == parser->argc) {
        return USAGE(parser, "%s", "-- needs a COMMAND after it");
    }
    parser->options->child = parser->argv + parser->at + 1;
    parser->at = parser->argc;
    return ROLLCALL_OK;
}

static enum rollcall_status parse_arguments(struct parser *parser)
{
    bool only_words = false;
    enum rollcall_status status = ROLLCALL_OK;
    for (parser->at = 1; parser->at < parser->argc && status == ROLLCALL_OK; parser->at++) {
        const char *argument = parser->argv[parser->at];
        if (only_words || argument[0] != '-' || argument[1] == '\0') {
            status = parse_word(parser);
        } else if (strcmp(argument, "--") != 0) {
            status = parse_option(parser);
        } else if (registers(parser->options->command)) {
            status = take_child(parser);
        } else {
            only_words = true;
        }
    }
    return status;
}

/* The value of the first of its variables that is set; NULL: none. */
static const char *variable_of(const struct cli_option *option, cli_environment_fn *environment,
                               const char **name)
{
    for (size_t i = 0; i < 2 && option->environment[i] != NULL; i++) {
        const char *value = environment(option->environment[i]);
        if (value != NULL && value[0] != '\0') {
            *name = option->environment[i];
            return value;
        }
    }
    return NULL;
}

static enum rollcall_status read_environment(struct parser *parser, cli_environment_fn *environment)
{
    enum rollcall_status status = ROLLCALL_OK;
    for (size_t i = 0; i < cli_option_count && status == ROLLCALL_OK; i++) {
        const char *name = NULL;
        const char *value = variable_of(&cli_option_table[i], environment, &name);
        if (value != NULL && parser->options->sources[i] == NULL) {
            status = set_option(parser, &cli_option_table[i], name, value);
        }
    }
    return status;
}

/* What etcdctl's variables hold besides: a password after the user's name, or one of its own. */
static void read_password_variables(struct cli_options *options, cli_environment_fn *environment)
{
    const char *password = environment("ETCDCTL_PASSWORD");
    if (options->user == NULL) {
        return;
    }
    if (strcmp(cli_option_origin(options, "--user"), "ETCDCTL_USER") == 0) {
        options->user_has_password = strchr(options->user, ':') != NULL;
    }
    if (!options->user_has_password && password != NULL && password[0] != '\0') {
        options->password = password;
    }
}

static enum rollcall_status check_role(struct parser *parser)
{
    const struct cli_options *options = parser->options;
    const bool is_own = registers(options->command);
    if (options->role == NULL && (is_own || options->command == CLI_WATCH)) {
        return USAGE(parser, "%s needs a ROLE", cli_command_name(options->command));
    }
    if (options->role != NULL && options->role[0] == '\0') {
        return USAGE(parser, "%s", "ROLE is empty: give one, as querynode");
    }
    if (is_own && options->address == NULL) {
        return USAGE(parser, "%s needs --address ADDR: where others reach this process",
                     cli_command_name(options->command));
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check_command(struct parser *parser)
{
    const struct cli_options *options = parser->options;
    if (options->command == CLI_NO_COMMAND) {
        return USAGE(
            parser, "%s",
            "give a command: register, force, list, watch, stop, revoke, doctor, sim or demo");
    }
    if (!names_a_key(options->command)) {
        return check_role(parser);
    }
    if (options->target == NULL || options->target[0] == '\0') {
        return USAGE(
            parser, "%s needs a KEY, such as querynode-7, or in full, as `rollcall list` prints it",
            cli_command_name(options->command));
    }
    return ROLLCALL_OK;
}

/* Never says anything of what ETCDCTL_USER holds. */
static enum rollcall_status check_user(struct parser *parser)
{
    const struct cli_options *options = parser->options;
    const char *user = cli_option_origin(options, "--user");
    const char *colon = options->user == NULL ? NULL : strchr(options->user, ':');
    if (options->user_has_password) {
        const bool is_whole = colon > options->user && colon[1] != '\0';
        return is_whole ? ROLLCALL_OK
                        : USAGE(parser, "%s lacks a part: give NAME:PASSWORD, or only NAME", user);
    }
    if (colon != NULL) {
        return USAGE(parser,
                     "%s holds a ':': give only the name, and the password with --password-file",
                     user);
    }
    if (options->user != NULL && options->password_file == NULL && options->password == NULL &&
        strcmp(user, "ETCDCTL_USER") == 0) {
        return USAGE(parser,
                     "%s has no password: give NAME:PASSWORD, or set ETCDCTL_PASSWORD, or give "
                     "--password-file",
                     user);
    }
    const bool has_password = options->password_file != NULL || options->password != NULL;
    return (options->user != NULL) == has_password
               ? ROLLCALL_OK
               : USAGE(parser, "%s and %s go together: give both", user,
                       cli_option_origin(options, "--password-file"));
}

/* Files that only make sense together. */
static enum rollcall_status check_files(struct parser *parser)
{
    const struct cli_options *options = parser->options;
    const char *cert = cli_option_origin(options, "--cert");
    if ((options->cert_file == NULL) != (options->key_file == NULL)) {
        return USAGE(parser, "%s and %s go together: give both", cert,
                     cli_option_origin(options, "--key"));
    }
    if (options->cert_file != NULL && options->ca_file == NULL) {
        return USAGE(parser, "%s needs --cacert, which etcd is verified against", cert);
    }
    return ROLLCALL_OK;
}

enum rollcall_status cli_options_parse(int argc, char **argv, cli_environment_fn *environment,
                                       struct cli_options *options, struct rollcall_error *error)
{
    *options = (struct cli_options){.dial_timeout_ms = 5000,
                                    .call_timeout_ms = 5000,
                                    .grace_ms = 500,
                                    .log_level = ROLLCALL_WARN,
                                    .seeds = 1000,
                                    .first_seed = 1,
                                    .steps = 1000};
    struct parser parser = {.options = options, .error = error, .argc = argc, .argv = argv};
    enum rollcall_status status = parse_arguments(&parser);
    options->help = options->help || (parser.asks_help && status == ROLLCALL_OK);
    if (options->help || options->show_version) {
        return ROLLCALL_OK; /* whoever asks for help does not want to be told off */
    }
    /* Read even after an error: it says in which format to report it. */
    struct parser from_environment = parser;
    from_environment.error = status == ROLLCALL_OK ? error : NULL;
    const enum rollcall_status read = read_environment(&from_environment, environment);
    status = status == ROLLCALL_OK ? read : status;
    const bool says_it_all = options->command == CLI_DEMO || options->command == CLI_DOCTOR;
    if (says_it_all && source_of(options, "log-level") == NULL) {
        options->log_level = ROLLCALL_ERROR; /* it looks for trouble, and tells it by itself */
    }
    read_password_variables(options, environment);
    status = status == ROLLCALL_OK ? check_command(&parser) : status;
    status = status == ROLLCALL_OK ? check_user(&parser) : status;
    return status == ROLLCALL_OK ? check_files(&parser) : status;
}
