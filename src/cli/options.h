/*
 * cli/options.h - what the command line and the environment ask for.
 *
 * One table (option_table.c) says everything about every option; the parser, the help and the
 * environment all read it.  The command line wins over the environment, ours over etcdctl's.
 *
 * Threads: one, at start.
 * Memory:  every string is borrowed from argv, which ends with NULL, or the environment.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <rollcall/actor.h>
#include <rollcall/session.h>

enum cli_command {
    CLI_NO_COMMAND,
    CLI_REGISTER,
    CLI_FORCE,
    CLI_LIST,
    CLI_WATCH,
    CLI_STOP,
    CLI_REVOKE,
    CLI_DOCTOR,
    CLI_SIM,
    CLI_DEMO,
    CLI_COMMAND_COUNT
};

enum cli_format { CLI_FORMAT_AUTO, CLI_FORMAT_TABLE, CLI_FORMAT_JSON };

enum { CLI_LABELS_MAX = 64, CLI_OPTIONS_MAX = 64 };

struct cli_options {
    enum cli_command command;
    bool help, show_version;

    const char *endpoints, *root, *user, *password_file, *ca_file, *cert_file, *key_file;
    bool user_has_password; /* user is NAME:PASSWORD, as only ETCDCTL_USER may be */
    const char *password;   /* of ETCDCTL_PASSWORD; password_file comes before it; NULL: none */
    int64_t dial_timeout_ms, call_timeout_ms;
    enum cli_format format;
    enum rollcall_log_level log_level;
    const char *failpoints; /* NULL: none */
    bool no_color;

    const char *role; /* NULL: none given, which `list` allows */

    const char *address, *version; /* register, force */
    bool exclusive, standby, enable_disk, trigger_kill;
    int64_t grace_ms; /* of COMMAND, in an election */
    int64_t ttl_s, server_id, retries;
    int32_t index_version_min, index_version_current;
    struct rollcall_label labels[CLI_LABELS_MAX];
    size_t label_count;
    enum rollcall_on_lost on_lost;
    bool dry_run, sentinel;
    char *const *child; /* what follows "--", to its NULL; NULL: nothing does */

    const char *target; /* stop, revoke: KEY */
    bool yes;           /* revoke */

    const char *range; /* list, watch */
    bool raw_prefix;
    int64_t from_revision; /* 0: a snapshot first */
    int64_t count;         /* events to tell; 0: all */

    const char *scenario, *faults; /* sim; NULL: all, each seed's own */
    int64_t seeds, first_seed;     /* first_seed 0: a random one */
    int64_t steps;
    bool trace, keep_going, matrix, list;

    bool fast; /* demo */

    /* By row of the table: the variable its value came from, "" for the command line, NULL: not
     * given. */
    const char *sources[CLI_OPTIONS_MAX];
};

enum cli_kind {
    CLI_FLAG,          /* bool */
    CLI_TEXT,          /* const char *; not empty */
    CLI_DURATION,      /* int64_t, milliseconds */
    CLI_INTEGER,       /* int64_t in min .. max */
    CLI_FORMAT,        /* enum cli_format */
    CLI_LOG_LEVEL,     /* enum rollcall_log_level */
    CLI_INDEX_VERSION, /* index_version_min, index_version_current */
    CLI_LABEL,         /* one more of labels */
    CLI_ON_LOST,       /* on_lost */
    CLI_SEED,          /* first_seed */
    CLI_LATER          /* promised for a later version: using it is an error, help is silent */
};

struct cli_option {
    const char *name; /* without its dashes */
    char letter;      /* 0: none */
    enum cli_kind kind;
    unsigned commands; /* CLI_FOR(command) | ...; CLI_FOR_ALL: global */
    size_t offset;     /* of its field in struct cli_options */
    int64_t min, max;  /* CLI_INTEGER */
    const char *argument, *help;
    const char *initial;        /* the default, for help; NULL: nothing worth saying */
    const char *environment[2]; /* in the order they are asked */
};
#define CLI_FOR(command) (1U << (command))
#define CLI_FOR_ALL (CLI_FOR(CLI_COMMAND_COUNT) - 1)

extern const struct cli_option cli_option_table[];
extern const size_t cli_option_count;

const char *cli_command_name(enum cli_command command);

/* How the user gave an option, for messages about its value: the variable it came from, or
 * `option` itself, as "--cert". */
const char *cli_option_origin(const struct cli_options *options, const char *option);

typedef const char *cli_environment_fn(const char *name); /* getenv, or a test's */

/*
 * Fills *options, also on failure as far as it came, so that help and the format are known.
 * Returns: ROLLCALL_OK, also when help or the version was asked for; or ROLLCALL_E_INVALID and a
 *          sentence that says what to change.
 */
ROLLCALL_MUST_USE enum rollcall_status cli_options_parse(int argc, char **argv,
                                                         cli_environment_fn *environment,
                                                         struct cli_options *options,
                                                         struct rollcall_error *error);

#endif /* CLI_OPTIONS_H */
