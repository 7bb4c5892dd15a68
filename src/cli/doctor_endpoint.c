/* What one endpoint told, and what is to be said of it. */
#include "cli/doctor.h"

#include <inttypes.h>
#include <string.h>

enum {
    LATENCY_WARN_MS = 100,
    LATENCY_FAIL_MS = 1000,  /* a renewal is given up after two seconds */
    ENTRIES_WARN = 1000,     /* etcd refuses writes when a member is 5000 behind in applying */
    CODE_WRONG_PASSWORD = 3, /* gRPC's, with E_DENIED */
    CODE_PERMISSION_DENIED = 7,
    PER_CENT_FULL = 80
};
static const int64_t MIB_BYTES = INT64_C(1) << 20;
static const int64_t QUOTA_DEFAULT_BYTES = INT64_C(2) << 30;

const struct rollcall_health *cli_doctor_health(const struct cli_doctor_endpoint *endpoint)
{
    const struct cli_doctor_answer *answers[] = {&endpoint->with_user, &endpoint->without_user};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        if (answers[i]->asked && answers[i]->error.status == ROLLCALL_OK) {
            return &answers[i]->health;
        }
    }
    return NULL;
}

static bool was_denied(const struct cli_doctor_answer *answer)
{
    return answer->asked && answer->error.status == ROLLCALL_E_DENIED;
}

bool cli_doctor_answered(const struct cli_doctor_endpoint *endpoint)
{
    return cli_doctor_health(endpoint) != NULL || was_denied(&endpoint->without_user) ||
           was_denied(&endpoint->with_user);
}

/* ---- reached, and how fast ---- */

static void judge_reached(const struct cli_doctor_endpoint *endpoint,
                          struct cli_doctor_report *report)
{
    if (cli_doctor_answered(endpoint)) {
        cli_doctor_detail(cli_doctor_add(report, endpoint->name, "reachable", CLI_DOCTOR_OK),
                          "it answers");
        return;
    }
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, endpoint->name, "reachable", CLI_DOCTOR_FAIL);
    cli_doctor_sentence(finding, endpoint->without_user.error.text);
}

static void judge_latency(const char *name, const struct rollcall_health *health,
                          struct cli_doctor_report *report)
{
    const int64_t ms = health->latency_ms;
    struct cli_doctor_finding *finding = cli_doctor_add(report, name, "latency",
                                                        ms >= LATENCY_FAIL_MS   ? CLI_DOCTOR_FAIL
                                                        : ms >= LATENCY_WARN_MS ? CLI_DOCTOR_WARN
                                                                                : CLI_DOCTOR_OK);
    if (ms < 1) {
        cli_doctor_detail(finding, "under 1 ms");
    } else {
        cli_doctor_detail(finding, "%" PRId64 " ms", ms);
    }
    if (ms >= LATENCY_WARN_MS) {
        cli_doctor_advice(finding,
                          "look for a slow network, disk or CPU there; until it is faster, "
                          "register with a long --ttl");
    }
}

/* ---- its place in the cluster ---- */

static const char *name_of(const struct rollcall_health *health, uint64_t member_id)
{
    for (size_t i = 0; i < health->member_count && i < ROLLCALL_HEALTH_MEMBERS_MAX; i++) {
        if (health->members[i].member_id == member_id && health->members[i].name[0] != '\0') {
            return health->members[i].name;
        }
    }
    return "of no known name";
}

static void judge_leader(const char *name, const struct rollcall_health *health,
                         struct cli_doctor_report *report)
{
    struct cli_doctor_finding *finding = cli_doctor_add(
        report, name, "leader", health->has_leader ? CLI_DOCTOR_OK : CLI_DOCTOR_FAIL);
    if (!health->has_leader) {
        cli_doctor_detail(finding, "the member has no leader");
        cli_doctor_advice(finding, "start a majority of the members, and check that they reach "
                                   "each other's peer ports; sessions that are there stay until "
                                   "then");
    } else if (health->leader_id == health->member_id) {
        cli_doctor_detail(finding, "it leads, in term %" PRIu64, health->raft_term);
    } else {
        cli_doctor_detail(finding, "it follows %" PRIx64 " (%s), in term %" PRIu64,
                          health->leader_id, name_of(health, health->leader_id), health->raft_term);
    }
}

static void judge_learner(const char *name, const struct rollcall_health *health,
                          struct cli_doctor_report *report)
{
    struct cli_doctor_finding *finding = cli_doctor_add(
        report, name, "learner", health->is_learner ? CLI_DOCTOR_WARN : CLI_DOCTOR_OK);
    if (health->is_learner) {
        cli_doctor_detail(finding, "it only learns: it has no vote, and answers few requests");
        cli_doctor_advice(finding,
                          "promote it (etcdctl member promote %" PRIx64 "), or leave it "
                          "out of --endpoints until then",
                          health->member_id);
    } else {
        cli_doctor_detail(finding, "it has a vote");
    }
}

/* The highest of what the endpoints of the same cluster know. */
static void find_highest(const struct cli_doctor_facts *facts, uint64_t cluster_id,
                         uint64_t *raft_term, uint64_t *raft_index)
{
    *raft_term = *raft_index = 0;
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        const struct rollcall_health *other = cli_doctor_health(&facts->endpoints[i]);
        if (other != NULL && other->cluster_id == cluster_id) {
            *raft_term = other->raft_term > *raft_term ? other->raft_term : *raft_term;
            *raft_index = other->raft_index > *raft_index ? other->raft_index : *raft_index;
        }
    }
}

static void judge_raft(const struct cli_doctor_facts *facts, const char *name,
                       const struct rollcall_health *health, struct cli_doctor_report *report)
{
    uint64_t raft_term, raft_index;
    find_highest(facts, health->cluster_id, &raft_term, &raft_index);
    const uint64_t behind = raft_index - health->raft_applied_index;
    const bool old_term = health->raft_term < raft_term;
    const bool lags = raft_index > health->raft_applied_index && behind >= ENTRIES_WARN;
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, name, "raft", old_term || lags ? CLI_DOCTOR_WARN : CLI_DOCTOR_OK);
    if (old_term) {
        cli_doctor_detail(finding, "it is in term %" PRIu64 ", another in %" PRIu64,
                          health->raft_term, raft_term);
        cli_doctor_advice(finding, "ask again: unless an election was on, it is cut off from the "
                                   "others, and what it says is old");
    } else if (lags) {
        cli_doctor_detail(finding, "it is %" PRIu64 " entries behind", behind);
        cli_doctor_advice(finding, "look for a slow disk or network there: watches there are late, "
                                   "and with 5000 it refuses writes");
    } else {
        cli_doctor_detail(finding, "it has what the others have");
    }
}

/* ---- its store ---- */

static void say_alarm(struct cli_doctor_finding *finding, const struct rollcall_health *health)
{
    const struct rollcall_health_alarm *first = &health->alarms[0];
    const char *what = first->alarm == ROLLCALL_ALARM_NO_SPACE  ? "NOSPACE"
                       : first->alarm == ROLLCALL_ALARM_CORRUPT ? "CORRUPT"
                                                                : "an alarm not known here";
    cli_doctor_detail(finding, "%s, raised by member %" PRIx64 " (%s)%s", what, first->member_id,
                      name_of(health, first->member_id),
                      health->alarm_count > 1 ? ", and more" : "");
    if (first->alarm == ROLLCALL_ALARM_NO_SPACE) {
        cli_doctor_advice(finding,
                          "sessions stay, but none can register until this is repaired: etcdctl "
                          "compact REVISION, etcdctl defrag of each member, then etcdctl alarm "
                          "disarm; raise --quota-backend-bytes if it fills up again");
    } else if (first->alarm == ROLLCALL_ALARM_CORRUPT) {
        cli_doctor_advice(finding,
                          "this member's data differs from the others': stop it, etcdctl member "
                          "remove %" PRIx64 ", delete its data, and add it again",
                          first->member_id);
    } else {
        cli_doctor_advice(finding, "etcdctl alarm list says which");
    }
}

static void judge_alarms(const char *name, const struct rollcall_health *health,
                         struct cli_doctor_report *report)
{
    struct cli_doctor_finding *finding;
    if (health->alarms_status != ROLLCALL_OK) {
        finding = cli_doctor_add(report, name, "alarms", CLI_DOCTOR_WARN);
        cli_doctor_detail(finding, "not told%s",
                          !health->has_leader  ? ", for the member has no leader"
                          : health->is_learner ? ", for it only learns"
                          : health->alarms_status == ROLLCALL_E_DENIED ? " to this user"
                                                                       : " in time");
        if (health->alarms_status == ROLLCALL_E_DENIED) {
            cli_doctor_advice(finding, "ask as a user with the role root, or see etcdctl alarm "
                                       "list");
        }
    } else if (health->alarm_count == 0) {
        cli_doctor_detail(cli_doctor_add(report, name, "alarms", CLI_DOCTOR_OK), "none");
    } else {
        say_alarm(cli_doctor_add(report, name, "alarms", CLI_DOCTOR_FAIL), health);
    }
}

static void judge_space(const char *name, const struct rollcall_health *health,
                        struct cli_doctor_report *report)
{
    const int64_t size_bytes = health->db_size_bytes;
    const bool told = health->db_quota_bytes > 0;
    const int64_t quota_bytes = told ? health->db_quota_bytes : QUOTA_DEFAULT_BYTES;
    const bool full = size_bytes / PER_CENT_FULL >= quota_bytes / 100;
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, name, "space", full ? CLI_DOCTOR_WARN : CLI_DOCTOR_OK);
    cli_doctor_detail(finding,
                      "%" PRId64 " MiB, of which %" PRId64 " in use; %s quota is %" PRId64 " MiB",
                      size_bytes / MIB_BYTES, health->db_size_in_use_bytes / MIB_BYTES,
                      told ? "the" : "the default", quota_bytes / MIB_BYTES);
    if (full) {
        cli_doctor_advice(finding, "compact and defragment (etcdctl compact, etcdctl defrag)%s",
                          told ? ", or raise --quota-backend-bytes"
                               : ", unless --quota-backend-bytes gives it more");
    }
}

/* ---- who we are to it ---- */

/* Without a user: reads succeed, or say that a user is wanted. */
static void judge_nobody(const struct cli_doctor_endpoint *endpoint,
                         struct cli_doctor_report *report)
{
    const struct cli_doctor_answer *answer = &endpoint->without_user;
    const struct rollcall_error *error =
        answer->error.status == ROLLCALL_OK ? &answer->health.read_error : &answer->error;
    struct cli_doctor_finding *finding;
    if (error->status == ROLLCALL_OK) {
        cli_doctor_detail(cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_OK),
                          "no user is needed: authentication is off, or our certificate is one");
    } else if (error->status != ROLLCALL_E_DENIED) {
        finding = cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_WARN);
        cli_doctor_detail(finding, "not known, for nothing could be read");
    } else if (error->grpc_code == CODE_PERMISSION_DENIED) {
        cli_doctor_detail(cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_OK),
                          "our certificate is a user");
    } else {
        finding = cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_FAIL);
        cli_doctor_detail(finding, "authentication is on, and no user was given");
        cli_doctor_advice(finding, "give --user NAME and --password-file FILE");
    }
}

/* A user was given, and accepted: or not even looked at. */
static void say_accepted(const struct cli_doctor_facts *facts,
                         const struct cli_doctor_endpoint *endpoint,
                         struct cli_doctor_report *report)
{
    const struct cli_doctor_answer *nobody = &endpoint->without_user;
    struct cli_doctor_finding *finding;
    if (nobody->error.status == ROLLCALL_OK && nobody->health.read_error.status == ROLLCALL_OK) {
        finding = cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_WARN);
        cli_doctor_detail(finding,
                          "authentication is off: anybody may read and write, user %s or "
                          "not",
                          facts->user);
        cli_doctor_advice(finding, "turn it on (etcdctl auth enable), or give no --user");
    } else {
        cli_doctor_detail(cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_OK),
                          "user %s is accepted", facts->user);
    }
}

static void judge_user(const struct cli_doctor_facts *facts,
                       const struct cli_doctor_endpoint *endpoint, struct cli_doctor_report *report)
{
    const struct rollcall_error *error = &endpoint->with_user.error;
    struct cli_doctor_finding *finding;
    if (error->status == ROLLCALL_OK) {
        say_accepted(facts, endpoint, report);
    } else if (error->status != ROLLCALL_E_DENIED) {
        finding = cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_FAIL);
        cli_doctor_detail(finding, "user %s could not be checked: %s", facts->user, error->text);
        cli_doctor_advice(finding, "repair what the other checks found, and ask again");
    } else if (error->grpc_code == CODE_WRONG_PASSWORD) {
        finding = cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_FAIL);
        cli_doctor_detail(finding, "etcd does not know user %s by this password", facts->user);
        cli_doctor_advice(finding,
                          "check the name and the first line of the password file; "
                          "etcdctl user passwd %s sets a new one",
                          facts->user);
    } else {
        finding = cli_doctor_add(report, endpoint->name, "auth", CLI_DOCTOR_FAIL);
        cli_doctor_sentence(finding, error->text);
    }
}

/* Whether the sessions can be read, by who we are. */
static void judge_read(const struct cli_doctor_facts *facts,
                       const struct cli_doctor_endpoint *endpoint, struct cli_doctor_report *report)
{
    const struct cli_doctor_answer *answer =
        facts->user != NULL ? &endpoint->with_user : &endpoint->without_user;
    if (!answer->asked || answer->error.status != ROLLCALL_OK) {
        return; /* said by the check before */
    }
    const struct rollcall_error *error = &answer->health.read_error;
    if (error->status == ROLLCALL_OK) {
        cli_doctor_detail(cli_doctor_add(report, endpoint->name, "read", CLI_DOCTOR_OK),
                          "%" PRId64 " key%s under %s/session/", answer->health.key_count,
                          answer->health.key_count == 1 ? "" : "s", facts->root);
        return;
    }
    if (error->status == ROLLCALL_E_DENIED && error->grpc_code != CODE_PERMISSION_DENIED &&
        facts->user == NULL) {
        return; /* a user is wanted: said by the check before */
    }
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, endpoint->name, "read", CLI_DOCTOR_FAIL);
    if (error->status == ROLLCALL_E_DENIED) {
        cli_doctor_detail(finding, "%s may not read %s/session/",
                          facts->user == NULL ? "the user of our certificate" : facts->user,
                          facts->root);
        cli_doctor_advice(finding,
                          "grant it: etcdctl role grant-permission ROLE readwrite --prefix "
                          "%s/session/",
                          facts->root);
    } else {
        cli_doctor_sentence(finding, error->text);
    }
}

static void judge_tls(const struct cli_doctor_facts *facts, const char *name,
                      struct cli_doctor_report *report)
{
    struct cli_doctor_finding *finding;
    if (facts->tls) {
        cli_doctor_detail(cli_doctor_add(report, name, "tls", CLI_DOCTOR_OK),
                          facts->here.own.path != NULL
                              ? "on, verified, and we showed our certificate"
                              : "on, and its certificate is verified");
    } else if (facts->user != NULL) {
        finding = cli_doctor_add(report, name, "tls", CLI_DOCTOR_WARN);
        cli_doctor_detail(finding, "off: the password of %s goes over the network as it is",
                          facts->user);
        cli_doctor_advice(finding, "let etcd serve https, and give --cacert FILE");
    } else {
        cli_doctor_detail(cli_doctor_add(report, name, "tls", CLI_DOCTOR_OK), "off: plain TCP");
    }
}

void cli_doctor_judge_endpoint(const struct cli_doctor_facts *facts,
                               const struct cli_doctor_endpoint *endpoint,
                               struct cli_doctor_report *report)
{
    const struct rollcall_health *health = cli_doctor_health(endpoint);
    judge_reached(endpoint, report);
    if (!cli_doctor_answered(endpoint)) {
        return;
    }
    judge_tls(facts, endpoint->name, report);
    if (facts->user != NULL) {
        judge_user(facts, endpoint, report);
    } else {
        judge_nobody(endpoint, report);
    }
    if (health == NULL) {
        return;
    }
    judge_latency(endpoint->name, health, report);
    cli_doctor_judge_version(endpoint->name, health->version, report);
    judge_leader(endpoint->name, health, report);
    if (health->version[0] != '\0') { /* else it said no more than that it has no leader */
        judge_learner(endpoint->name, health, report);
        judge_raft(facts, endpoint->name, health, report);
        judge_space(endpoint->name, health, report);
    }
    judge_alarms(endpoint->name, health, report);
    if (!health->is_learner) { /* which no session can use: said before */
        judge_read(facts, endpoint, report);
    }
}
