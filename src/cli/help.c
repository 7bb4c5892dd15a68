#include "cli/help.h"

#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 36, LINE_COLUMNS = 100 };

struct page {
    const char *usage, *summary, *example;
};

static const struct page pages[CLI_COMMAND_COUNT] = {
    [CLI_NO_COMMAND] =
        {"rollcall COMMAND [OPTIONS]",
         "Be a member, and see the members: sessions of processes, kept in etcd under leases.\n"
         "\n"
         "Commands:\n"
         "  demo       a tour: a private etcd, sessions, a watcher, a crash; nothing to set up\n"
         "  register   register a process and stay until SIGTERM or SIGINT\n"
         "  force      the same, and take the active role from who has it\n"
         "  list       print the sessions now\n"
         "  watch      print the sessions now, and every change after\n"
         "  stop       mark a session as stopping, so that others send it nothing new\n"
         "  revoke     end a session: revoke its lease\n"
         "  doctor     check every etcd endpoint, and say what to do\n"
         "  sim        explore the library's own actors in a seeded simulation\n"
         "\n"
         "`rollcall COMMAND --help`, or `rollcall help COMMAND`, tells the options of one.\n",
         "  rollcall demo\n"
         "  rollcall register querynode --address 10.0.0.7:21123 &\n"
         "  rollcall list querynode\n"},
    [CLI_REGISTER] =
        {"rollcall register ROLE --address ADDR [OPTIONS] [-- COMMAND ARG...]",
         "Registers a session for ROLE and keeps it alive until SIGTERM or SIGINT; then it is\n"
         "marked as stopping, its lease is revoked, and the command ends.  A second signal\n"
         "revokes at once.  While etcd does not answer it stays and says so: while SUSPECT, do\n"
         "not act as the owner.\n"
         "\n"
         "With COMMAND: starts it once the session is ACTIVE, with ROLLCALL_SESSION_KEY,\n"
         "ROLLCALL_SERVER_ID, ROLLCALL_LEASE_ID and ROLLCALL_CREATE_REVISION in its environment,\n"
         "and leaves when it ends.  Asked to leave, the session is first marked as stopping; then\n"
         "COMMAND gets SIGTERM and is waited for (a second signal kills it); then the lease is\n"
         "revoked.  When the session becomes SUSPECT or LOST, COMMAND gets SIGTERM too, even if\n"
         "all is well soon after: then we leave when it has ended, or, with --on-lost reregister,\n"
         "start it again once the session is ACTIVE.\n"
         "\n"
         "Only COMMAND itself gets signals, not what it starts: let a shell end with `exec\n"
         "PROGRAM`, or pass them on with a trap.  When rollcall itself is killed (SIGKILL), the\n"
         "kernel sends COMMAND SIGTERM at once, unless it is a set-user-ID program; the session\n"
         "then ends with its TTL, or, with --sentinel, as soon as COMMAND has ended too.\n"
         "\n"
         "The exit code is COMMAND's: its status, 128 + the signal that ended it, 127 when there\n"
         "is no such program, 126 when it cannot be run.  When that is 0, it is as below; but 4\n"
         "when COMMAND was ended because the session became SUSPECT or LOST, so that whoever\n"
         "supervises rollcall starts it again.\n"
         "\n"
         "With --standby: stands for ROLE with all others that do.  One of them is ACTIVE, with a\n"
         "token, a number higher than every one before; when it leaves, or its session ends, who\n"
         "has waited longest follows.  Nobody is a rival: the others wait.\n"
         "\n"
         "With --standby and COMMAND, of all candidates one runs COMMAND: while ACTIVE, with\n"
         "ROLLCALL_TOKEN and ROLLCALL_ACTIVE_KEY in its environment as well.  When the role is\n"
         "lost, or in doubt (SUSPECT), COMMAND gets SIGTERM, and SIGKILL when --grace is over; we\n"
         "stand by, and start it again when ACTIVE again.  So it is too when rollcall is stopped\n"
         "or killed: a guard, a process of its own, sees to that.  A COMMAND that ends by itself\n"
         "is done: we leave, with its status, and the next candidate starts its own; run rollcall\n"
         "under a supervisor that starts it again, to be a standby then.  Asked to leave, COMMAND\n"
         "has all the time it takes, as above, and the next one starts when it has ended.  Let\n"
         "COMMAND pass its token on to what it writes to, which should refuse a lower one: a\n"
         "machine that stands still cannot end anything.\n",
         "  rollcall register querynode --address 10.0.0.7:21123 --ttl 10 --label zone=a\n"
         "  rollcall register rootcoord --address 10.0.0.7:53100 --exclusive -- ./rootcoord\n"
         "  rollcall register scheduler --address 10.0.0.7 --standby --ttl 10 -- ./scheduler\n"},
    [CLI_FORCE] =
        {"rollcall force ROLE --address ADDR [OPTIONS] [-- COMMAND ARG...]",
         "As `rollcall register --standby`, but takes the active key from its holder, as soon as\n"
         "it is registered, and in one transaction, so that nobody else gets it in between.  The\n"
         "holder is not asked: it becomes a standby when it sees that.  Its COMMAND has --grace "
         "to\n"
         "end, and ours is started twice that later.  From then on this is a candidate like any\n"
         "other.  When the key cannot be taken, it leaves, and the exit code is 1.\n",
         "  rollcall force rootcoord --address 10.0.0.8:53100 -- ./rootcoord\n"},
    [CLI_LIST] =
        {"rollcall list [ROLE] [OPTIONS]",
         "Prints the sessions of ROLE now, or all.  A key that holds no session record is\n"
         "counted, not shown.\n",
         "  rollcall list querynode --range \">=2.2.3 <3.0.0\"\n"},
    [CLI_WATCH] =
        {"rollcall watch ROLE [OPTIONS]",
         "Prints the sessions of ROLE now (the snapshot), then every add, update and delete,\n"
         "until SIGINT.  When steps were missed (compaction, a slow reader) the difference is\n"
         "told between resync_begin and resync_end: nothing is lost silently.\n",
         "  rollcall watch querynode --count 1 -o json\n"},
    [CLI_STOP] =
        {"rollcall stop KEY [OPTIONS]",
         "Marks a session as stopping from outside, so that others send it nothing new.  It stays\n"
         "a member; its process is not told.  KEY is what comes after ROOT/session/, or the key "
         "in\n"
         "full, which says its root by itself.\n",
         "  rollcall stop querynode-7\n"},
    [CLI_REVOKE] =
        {"rollcall revoke KEY [OPTIONS]",
         "Ends a session from outside: shows whose it is, asks, and revokes its lease, which\n"
         "deletes every key under it.  A session that registered under the same key after it was\n"
         "shown is left alone.  KEY is what comes after ROOT/session/, or the key in full, which\n"
         "says its root by itself.\n",
         "  rollcall revoke querynode-7\n"
         "  rollcall revoke by-dev/meta/session/querynode-7 --yes\n"},
    [CLI_DOCTOR] =
        {"rollcall doctor [OPTIONS]",
         "Asks every endpoint of --endpoints, at the same time, how it is: whether it is reached "
         "and\n"
         "how fast, TLS, credentials, version, leader, learner, raft, space, alarms, and whether\n"
         "ROOT/session/ can be read.  Then whether they are one cluster, with a majority; and "
         "this\n"
         "machine's clock and certificates.  Each check is ok, warn or fail, with what was seen "
         "and\n"
         "what to do.  Nothing is written to etcd.\n"
         "\n"
         "The exit code is 1 when a check fails; but 3 when no endpoint answers within --timeout.\n"
         "A warning is no failure.\n",
         "  rollcall doctor --endpoints 10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379\n"
         "  rollcall doctor -o json | grep '\"state\":\"fail\"'\n"},
    [CLI_SIM] =
        {"rollcall sim [OPTIONS]",
         "Runs the library's actors in a deterministic simulation with an etcd of its own, no\n"
         "network and no waiting: seed by seed, each with its own mix of faults, and checks what\n"
         "must always hold.  The same options give the same runs, and the same hash, everywhere.\n"
         "\n"
         "At the first violation it prints what did not hold, the last messages, the state of\n"
         "each actor and the command that replays it with as few faults as it takes; exit code 1.\n"
         "After SIGINT the run of now is ended, and what was done is told; a second ends at once.\n"
         "\n"
         "All scenarios run, each with all the seeds; --scenario names one.\n",
         "  rollcall sim\n"
         "  rollcall sim --first-seed random --seeds 2000\n"
         "  rollcall sim --scenario watch --seeds 1 --first-seed 7 --faults cut@17 --trace\n"},
    [CLI_DEMO] =
        {"rollcall demo [OPTIONS]",
         "Starts a private etcd (the one on PATH) in a temporary directory, on loopback, and\n"
         "shows the whole job: query nodes register, a watcher sees them, one of two coordinators\n"
         "acts, etcd is killed and restarted and no session is lost, one node leaves gracefully,\n"
         "the active coordinator is killed and the standby takes over.  It ends by itself and\n"
         "removes all it made.\n",
         "  rollcall demo --fast\n"},
};

/* Where and how the default comes from: "  (default 5s) [ROLLCALL_TIMEOUT]". */
static void format_origin(const struct cli_option *option, struct cli_text *line)
{
    if (option->initial != NULL) {
        cli_text_format(line, " (default: %s)", option->initial);
    }
    if (option->environment[0] != NULL) {
        cli_text_format(line, " [%s%s%s]", option->environment[0],
                        option->environment[1] != NULL ? ", " : "",
                        option->environment[1] != NULL ? option->environment[1] : "");
    }
}

/* Appends `words`, broken between words, from HELP_COLUMN on; the line is at `column` already. */
static void append_wrapped(struct cli_text *text, size_t column, struct cli_text *words)
{
    const size_t size = words->failed ? 0 : words->size_bytes;
    if (column + 2 > HELP_COLUMN) {
        cli_text_string(text, "\n");
        column = 0;
    }
    cli_text_spaces(text, HELP_COLUMN - column);
    column = HELP_COLUMN;
    for (size_t at = 0; at < size;) {
        const char *word = words->data + at;
        const char *space = memchr(word, ' ', size - at);
        const size_t word_size = space == NULL ? size - at : (size_t)(space - word);
        if (column + 1 + word_size > LINE_COLUMNS) {
            cli_text_string(text, "\n");
            cli_text_spaces(text, HELP_COLUMN);
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            cli_text_string(text, " ");
            column++;
        }
        cli_text_append(text, word, word_size);
        column += word_size;
        at += word_size + 1;
    }
    cli_text_string(text, "\n");
}

static void append_option(struct cli_text *text, const struct cli_option *option)
{
    struct cli_text words = {0};
    const size_t begin = text->size_bytes;
    cli_text_string(text, "  ");
    if (option->letter != 0) {
        cli_text_format(text, "-%c, ", option->letter);
    }
    cli_text_format(text, "--%s", option->name);
    if (option->argument != NULL) {
        cli_text_format(text, " %s", option->argument);
    }
    cli_text_string(&words, option->help);
    format_origin(option, &words);
    append_wrapped(text, text->size_bytes - begin, &words);
    text->failed = text->failed || words.failed;
    cli_text_fini(&words);
}

/* Options of the command alone, or those every command has. */
static void append_options(struct cli_text *text, enum cli_command command, bool global)
{
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *option = &cli_option_table[i];
        const bool is_global = (option->commands & CLI_FOR(CLI_NO_COMMAND)) != 0;
        if (option->kind != CLI_LATER && is_global == global &&
            (option->commands & CLI_FOR(command)) != 0) {
            append_option(text, option);
        }
    }
}

void cli_help(struct cli_text *text, enum cli_command command)
{
    const struct page *page = &pages[command];
    cli_text_format(text, "Usage: %s\n\n%s\n", page->usage, page->summary);
    if (command != CLI_NO_COMMAND) {
        cli_text_format(text, "Options of %s:\n", cli_command_name(command));
        append_options(text, command, false);
        cli_text_string(text, "\n");
    }
    cli_text_string(text, "Global options, before or after the command [environment]:\n");
    append_options(text, command, true);
    cli_text_string(
        text, "\n"
              "Exit codes:\n"
              "  0    done\n"
              "  1    the operation failed; the reason is on stderr\n"
              "  2    usage\n"
              "  3    etcd unreachable within the time allowed\n"
              "  4    the session was lost\n"
              "  5    a rival holds the key\n"
              "  130  interrupted before it was running\n"
              "\n"
              "Results go to stdout, text for people to stderr.  When nobody reads stdout any\n"
              "more, the command ends (register: leaves), says so, and exits 1.\n"
              "\n");
    cli_text_format(text, "Example:\n%s", page->example);
}
