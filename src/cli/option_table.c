#include "cli/options.h"

#define FIELD(name) offsetof(struct cli_options, name)
#define REGISTER (CLI_FOR(CLI_REGISTER) | CLI_FOR(CLI_FORCE))
#define SIM CLI_FOR(CLI_SIM)
#define LIST_AND_WATCH (CLI_FOR(CLI_LIST) | CLI_FOR(CLI_WATCH))

/* clang-format off */
const struct cli_option cli_option_table[] = {
    {"address", 0, CLI_TEXT, REGISTER, FIELD(address), 0, 0, "ADDR",
     "where others reach this process; required", NULL, {0}},
    {"exclusive", 0, CLI_FLAG, REGISTER, FIELD(exclusive), 0, 0, NULL,
     "the key is ROLE itself: one process at a time", NULL, {0}},
    {"standby", 0, CLI_FLAG, REGISTER, FIELD(standby), 0, 0, NULL,
     "stand for ROLE: of all who do, one at a time is ACTIVE; implies --exclusive, and is implied "
     "by `rollcall force`",
     NULL, {0}},
    {"grace", 0, CLI_DURATION, REGISTER, FIELD(grace_ms), 0, 0, "DURATION",
     "with --standby and COMMAND: how long COMMAND has to end when the role is lost; it is started "
     "twice that after the role was gained, so give all candidates the same",
     "500ms", {0}},
    {"ttl", 0, CLI_INTEGER, REGISTER, FIELD(ttl_s), 2, INT64_C(9000000000), "SECONDS",
     "how long the session outlives a silent process", "30", {0}},
    {"server-id", 0, CLI_INTEGER, REGISTER, FIELD(server_id), 1, INT64_MAX, "N",
     "the server ID", "the next one, from ROOT/session/id", {0}},
    {"version", 0, CLI_TEXT, REGISTER, FIELD(version), 0, 0, "SEMVER",
     "the version this process runs", "2.4.2", {0}},
    {"index-version", 0, CLI_INDEX_VERSION, REGISTER, 0, 0, 0, "MIN:CUR",
     "index engine versions it reads and writes", "0:0", {0}},
    {"enable-disk", 0, CLI_FLAG, REGISTER, FIELD(enable_disk), 0, 0, NULL,
     "it can hold indexes on disk", NULL, {0}},
    {"trigger-kill", 0, CLI_FLAG, REGISTER, FIELD(trigger_kill), 0, 0, NULL,
     "stored as TriggerKill, for older readers", NULL, {0}},
    {"label", 0, CLI_LABEL, REGISTER, 0, 0, 0, "NAME=VALUE",
     "a label; up to 64, each with its own name; MILVUS_SERVER_LABEL_NAME=VALUE in the environment "
     "is one too",
     NULL, {0}},
    {"on-lost", 0, CLI_ON_LOST, REGISTER, 0, 0, 0, "exit|reregister",
     "what to do when the session is lost: exit with status 4, or register again with the same "
     "server ID",
     "exit", {0}},
    {"retries", 0, CLI_INTEGER, REGISTER, FIELD(retries), 1, UINT32_MAX, "N",
     "attempts at registering", "30", {0}},
    {"sentinel", 0, CLI_FLAG, REGISTER, FIELD(sentinel), 0, 0, NULL,
     "when this process is killed, a small one beside it revokes the lease at once, instead of "
     "leaving it to the TTL",
     NULL, {0}},
    {"dry-run", 0, CLI_FLAG, REGISTER, FIELD(dry_run), 0, 0, NULL,
     "print the record that would be stored, and exit: asks no etcd, runs no COMMAND", NULL, {0}},

    {"yes", 0, CLI_FLAG, CLI_FOR(CLI_REVOKE), FIELD(yes), 0, 0, NULL,
     "do not ask", NULL, {0}},

    {"range", 0, CLI_TEXT, LIST_AND_WATCH, FIELD(range), 0, 0, "RANGE",
     "only versions in this range, as \">=2.2.3 <3.0.0\"", "all", {0}},
    {"raw-prefix", 0, CLI_FLAG, LIST_AND_WATCH, FIELD(raw_prefix), 0, 0, NULL,
     "ROLE is a prefix of keys, not a whole role", NULL, {0}},
    {"from", 0, CLI_INTEGER, CLI_FOR(CLI_WATCH), FIELD(from_revision), 1, INT64_MAX, "REVISION",
     "no snapshot: tell the events from this revision on", "a snapshot first", {0}},
    {"count", 0, CLI_INTEGER, CLI_FOR(CLI_WATCH), FIELD(count), 1, INT64_MAX, "N",
     "end after N events; those of the snapshot do not count", "until SIGINT", {0}},

    {"scenario", 0, CLI_TEXT, SIM, FIELD(scenario), 0, 0, "NAME",
     "only this one", "all, one after the other", {0}},
    {"seeds", 0, CLI_INTEGER, SIM, FIELD(seeds), 1, INT64_C(1000000000000), "N",
     "runs of each scenario, each with the next seed", "1000", {0}},
    {"first-seed", 0, CLI_SEED, SIM, 0, 0, 0, "S|random",
     "the seed of the first run; random, or 0: a fresh one, printed first, on stderr", "1", {0}},
    {"steps", 0, CLI_INTEGER, SIM, FIELD(steps), 1, INT64_C(1000000000000), "N",
     "of each run under faults, before it heals", "1000", {0}},
    {"faults", 0, CLI_TEXT, SIM, FIELD(faults), 0, 0, "FAULTS",
     "what goes wrong: by rate, as \"cut=0.01,crash=0.001\"; exactly the nth opportunities, as "
     "\"cut@17,crash@203\"; or none",
     "each seed draws its own mix", {0}},
    {"keep-going", 0, CLI_FLAG, SIM, FIELD(keep_going), 0, 0, NULL,
     "after a violation too: tells how many seeds fail, and explains the first of each scenario",
     NULL, {0}},
    {"trace", 0, CLI_FLAG, SIM, FIELD(trace), 0, 0, NULL,
     "print every message of every run, on stderr", NULL, {0}},
    {"matrix", 0, CLI_FLAG, SIM, FIELD(matrix), 0, 0, NULL,
     "print how often each fault found an actor in each state", NULL, {0}},
    {"list", 0, CLI_FLAG, SIM, FIELD(list), 0, 0, NULL,
     "print the scenarios and the faults, and exit", NULL, {0}},

    {"fast", 0, CLI_FLAG, CLI_FOR(CLI_DEMO), FIELD(fast), 0, 0, NULL,
     "without the pauses for reading", NULL, {0}},

    {"endpoints", 0, CLI_TEXT, CLI_FOR_ALL, FIELD(endpoints), 0, 0, "HOST:PORT[,...]",
     "where etcd is", "127.0.0.1:2379", {"ROLLCALL_ENDPOINTS", "ETCDCTL_ENDPOINTS"}},
    {"root", 0, CLI_TEXT, CLI_FOR_ALL, FIELD(root), 0, 0, "PATH",
     "keys live under PATH/session/", "by-dev/meta", {"ROLLCALL_ROOT"}},
    {"user", 0, CLI_TEXT, CLI_FOR_ALL, FIELD(user), 0, 0, "NAME",
     "etcd user; with --password-file, or ETCDCTL_PASSWORD, or as ETCDCTL_USER=NAME:PASSWORD",
     "no authentication", {"ROLLCALL_USER", "ETCDCTL_USER"}},
    {"password-file", 0, CLI_TEXT, CLI_FOR_ALL, FIELD(password_file), 0, 0, "FILE",
     "its password is the first line of FILE", NULL, {"ROLLCALL_PASSWORD_FILE"}},
    {"cacert", 0, CLI_TEXT, CLI_FOR_ALL, FIELD(ca_file), 0, 0, "FILE",
     "TLS: verify etcd against these PEM certificates", "plain TCP",
     {"ROLLCALL_CACERT", "ETCDCTL_CACERT"}},
    {"cert", 0, CLI_TEXT, CLI_FOR_ALL, FIELD(cert_file), 0, 0, "FILE",
     "mutual TLS: our certificate; with --key", NULL, {"ROLLCALL_CERT", "ETCDCTL_CERT"}},
    {"key", 0, CLI_TEXT, CLI_FOR_ALL, FIELD(key_file), 0, 0, "FILE",
     "mutual TLS: its private key", NULL, {"ROLLCALL_KEY", "ETCDCTL_KEY"}},
    {"dial-timeout", 0, CLI_DURATION, CLI_FOR_ALL, FIELD(dial_timeout_ms), 0, 0, "DURATION",
     "for one connection, and for the first answer of each endpoint: 500ms, 5s, 1m", "5s",
     {"ROLLCALL_DIAL_TIMEOUT"}},
    {"timeout", 0, CLI_DURATION, CLI_FOR_ALL, FIELD(call_timeout_ms), 0, 0, "DURATION",
     "for one request", "5s", {"ROLLCALL_TIMEOUT"}},
    {"output", 'o', CLI_FORMAT, CLI_FOR_ALL, FIELD(format), 0, 0, "table|json",
     "how results are printed", "table on a terminal, json otherwise", {"ROLLCALL_OUTPUT"}},
    {"log-level", 0, CLI_LOG_LEVEL, CLI_FOR_ALL, FIELD(log_level), 0, 0, "error|warn|info|debug",
     "the library's log, on stderr", "warn; of demo and doctor: error", {"ROLLCALL_LOG_LEVEL"}},
    {"failpoints", 0, CLI_TEXT, CLI_FOR_ALL, FIELD(failpoints), 0, 0, "POINTS",
     "for tests: what is to fail on purpose, as \"keepalive/KEEPALIVE_ANSWER=crash@3\"; "
     "<rollcall/testing.h> says how they are written",
     "nothing", {"ROLLCALL_FAILPOINTS"}},
    {"no-color", 0, CLI_FLAG, CLI_FOR_ALL, FIELD(no_color), 0, 0, NULL,
     "no colour, which is only ever used on a terminal", NULL, {"NO_COLOR"}},
    {"help", 'h', CLI_FLAG, CLI_FOR_ALL, FIELD(help), 0, 0, NULL,
     "print this and exit", NULL, {0}},
    {"version", 0, CLI_FLAG, CLI_FOR_ALL & ~REGISTER, FIELD(show_version), 0, 0, NULL,
     "print the version and exit", NULL, {0}},

    {"metrics-listen", 0, CLI_LATER, REGISTER | CLI_FOR(CLI_WATCH), 0, 0, 0, "HOST:PORT",
     NULL, NULL, {0}},
};
/* clang-format on */
_Static_assert(sizeof cli_option_table / sizeof cli_option_table[0] <= CLI_OPTIONS_MAX,
               "struct cli_options keeps a source for each row");
const size_t cli_option_count = sizeof cli_option_table / sizeof cli_option_table[0];

const char *cli_command_name(enum cli_command command)
{
    static const char *const names[CLI_COMMAND_COUNT] = {
        [CLI_NO_COMMAND] = "",   [CLI_REGISTER] = "register", [CLI_FORCE] = "force",
        [CLI_LIST] = "list",     [CLI_WATCH] = "watch",       [CLI_STOP] = "stop",
        [CLI_REVOKE] = "revoke", [CLI_DOCTOR] = "doctor",     [CLI_SIM] = "sim",
        [CLI_DEMO] = "demo",
    };
    return names[command];
}
