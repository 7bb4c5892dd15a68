/* What `rollcall doctor` makes of what it was told: one fact is changed at a time. */
#include "cli/doctor.h"

#include "support/test.h"

#include <stdlib.h>

enum { MEMBERS = 3, CODE_PASSWORD = 3, CODE_PERMISSION = 7, CODE_NO_USER = 16 };
#define MEMBER_ID(i) (UINT64_C(0x10) + (i))
#define VERSION "3.6.14"

static const char *const NAMES[MEMBERS] = {"a:1", "b:2", "c:3"};

static struct rollcall_health health_of(size_t i)
{
    struct rollcall_health health = {.has_leader = true,
                                     .cluster_id = 0xc1,
                                     .member_id = MEMBER_ID(i),
                                     .leader_id = MEMBER_ID(0),
                                     .raft_term = 4,
                                     .raft_index = 5000,
                                     .raft_applied_index = 5000,
                                     .db_size_bytes = INT64_C(64) << 20,
                                     .db_size_in_use_bytes = INT64_C(32) << 20,
                                     .db_quota_bytes = INT64_C(8) << 30,
                                     .version = VERSION,
                                     .member_count = MEMBERS,
                                     .key_count = 7};
    for (size_t k = 0; k < MEMBERS; k++) {
        health.members[k].member_id = MEMBER_ID(k);
        snprintf(health.members[k].name, sizeof health.members[k].name, "m%zu", k);
    }
    return health;
}

/* Three members, all well, and nobody needs a user. */
static struct cli_doctor_facts *healthy(void)
{
    struct cli_doctor_facts *facts = calloc(1, sizeof *facts);
    CHECK(facts != NULL);
    facts->root = "by-dev/meta";
    facts->endpoint_count = MEMBERS;
    facts->here.boottime_works = true;
    facts->here.wall = CLI_DOCTOR_WALL_SYNCHRONISED;
    for (size_t i = 0; i < MEMBERS; i++) {
        facts->endpoints[i].name = NAMES[i];
        facts->endpoints[i].without_user =
            (struct cli_doctor_answer){.asked = true, .health = health_of(i)};
    }
    return facts;
}

static const struct cli_doctor_finding *find(const struct cli_doctor_report *report,
                                             const char *endpoint, const char *check)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct cli_doctor_finding *finding = &report->findings[i];
        if (strcmp(finding->endpoint, endpoint) == 0 && strcmp(finding->check, check) == 0) {
            return finding;
        }
    }
    return NULL;
}

static void check_part(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        CHECK_STR(text, part);
    }
}

static struct cli_doctor_report judge(const struct cli_doctor_facts *facts)
{
    struct cli_doctor_report report = {0};
    cli_doctor_judge(facts, &report);
    CHECK(!report.failed);
    CHECK_INT(report.states[CLI_DOCTOR_OK] + report.states[CLI_DOCTOR_WARN] +
                  report.states[CLI_DOCTOR_FAIL],
              report.count);
    for (size_t i = 0; i < report.count; i++) { /* whatever is not well says what to do */
        const struct cli_doctor_finding *finding = &report.findings[i];
        CHECK(finding->detail[0] != '\0');
        CHECK(finding->state != CLI_DOCTOR_FAIL || finding->advice[0] != '\0');
    }
    return report;
}

/* ---- what may be wrong ---- */

static void refuse(struct cli_doctor_answer *answer, enum rollcall_status status, int grpc_code,
                   const char *text)
{
    answer->asked = true;
    rollcall_error_set(&answer->error, status, "%s", text);
    answer->error.grpc_code = grpc_code;
}

static void refuse_read(struct rollcall_health *health, enum rollcall_status status, int grpc_code)
{
    rollcall_error_set(&health->read_error, status, "etcd says \"x: y\": do this");
    health->read_error.grpc_code = grpc_code;
}

#define CHANGE(name)                                                                               \
    static void name(struct cli_doctor_facts *facts, struct cli_doctor_endpoint *b,                \
                     struct rollcall_health *health)
#define UNUSED (void)facts, (void)b, (void)health

CHANGE(nothing)
{
    UNUSED;
}
CHANGE(b_is_dead)
{
    UNUSED;
    refuse(&b->without_user, ROLLCALL_E_UNAVAILABLE, 14, "b:2 is away (c: d): start it");
}
CHANGE(b_is_slow)
{
    UNUSED;
    health->latency_ms = 100;
}
CHANGE(b_is_very_slow)
{
    UNUSED;
    health->latency_ms = 1000;
}
CHANGE(b_is_almost_slow)
{
    UNUSED;
    health->latency_ms = 99;
}
CHANGE(b_is_old)
{
    UNUSED;
    snprintf(health->version, sizeof health->version, "3.3.27");
}
CHANGE(b_has_no_leader)
{
    UNUSED;
    health->has_leader = false;
    health->leader_id = 0;
}
CHANGE(b_learns)
{
    UNUSED;
    health->is_learner = true;
    health->alarms_status = ROLLCALL_E_UNAVAILABLE;
    refuse_read(health, ROLLCALL_E_UNAVAILABLE, 14);
}
CHANGE(b_is_in_an_old_term)
{
    UNUSED;
    health->raft_term = 3;
}
CHANGE(b_is_far_behind)
{
    UNUSED;
    health->raft_applied_index = 4000;
}
CHANGE(b_is_a_little_behind)
{
    UNUSED;
    health->raft_applied_index = 4001;
}
CHANGE(b_is_ahead) /* it was asked later */
{
    UNUSED;
    health->raft_index = health->raft_applied_index = 5010;
}
CHANGE(b_has_applied_more_meanwhile) /* a status is no one moment */
{
    UNUSED;
    health->raft_applied_index = 5001;
}
CHANGE(b_is_out_of_space)
{
    UNUSED;
    health->alarm_count = 1;
    health->alarms[0] = (struct rollcall_health_alarm){MEMBER_ID(2), ROLLCALL_ALARM_NO_SPACE};
}
CHANGE(b_is_corrupt)
{
    UNUSED;
    health->alarm_count = 1;
    health->alarms[0] = (struct rollcall_health_alarm){0xabc, ROLLCALL_ALARM_CORRUPT};
}
CHANGE(b_does_not_tell_alarms)
{
    UNUSED;
    health->alarms_status = ROLLCALL_E_DENIED;
}
CHANGE(b_is_nearly_full)
{
    UNUSED;
    health->db_size_bytes = health->db_quota_bytes / 10 * 9;
}
CHANGE(b_is_nearly_full_by_default)
{
    UNUSED;
    health->db_quota_bytes = 0;
    health->db_size_bytes = INT64_C(1900) << 20;
}
CHANGE(b_wants_a_user)
{
    UNUSED;
    refuse_read(health, ROLLCALL_E_DENIED, CODE_NO_USER);
}
CHANGE(b_tells_nobody_anything)
{
    UNUSED;
    refuse(&b->without_user, ROLLCALL_E_DENIED, CODE_NO_USER, "it wants a user");
}
CHANGE(b_denies_the_certificate)
{
    UNUSED;
    refuse_read(health, ROLLCALL_E_DENIED, CODE_PERMISSION);
}
CHANGE(b_cannot_be_read)
{
    UNUSED;
    refuse_read(health, ROLLCALL_E_TIMEOUT, 0);
}
CHANGE(b_is_of_another_cluster)
{
    UNUSED;
    health->cluster_id = 0xd2;
}
CHANGE(two_are_dead_and_no_read_succeeds)
{
    UNUSED;
    b_is_dead(facts, b, health);
    b_is_dead(facts, &facts->endpoints[2], NULL);
    refuse_read(&facts->endpoints[0].without_user.health, ROLLCALL_E_TIMEOUT, 0);
}
CHANGE(two_are_not_asked)
{
    UNUSED;
    facts->endpoint_count = 1;
}
CHANGE(nobody_has_a_leader)
{
    UNUSED;
    for (size_t i = 0; i < MEMBERS; i++) {
        facts->endpoints[i].without_user.health = (struct rollcall_health){
            .members_status = ROLLCALL_E_UNAVAILABLE, .alarms_status = ROLLCALL_E_UNAVAILABLE};
        refuse_read(&facts->endpoints[i].without_user.health, ROLLCALL_E_UNAVAILABLE, 14);
    }
}
CHANGE(all_lost_their_leader) /* and tell everything else */
{
    UNUSED;
    for (size_t i = 0; i < MEMBERS; i++) {
        facts->endpoints[i].without_user.health.has_leader = false;
        facts->endpoints[i].without_user.health.leader_id = 0;
        refuse_read(&facts->endpoints[i].without_user.health, ROLLCALL_E_UNAVAILABLE, 14);
    }
}
CHANGE(there_are_four)
{
    UNUSED;
    struct rollcall_health *list = &facts->endpoints[0].without_user.health;
    list->member_count = 4;
    list->members[3].name[0] = 'd';
    list->members[3].member_id = MEMBER_ID(3);
}
CHANGE(the_third_was_never_started)
{
    UNUSED;
    for (size_t i = 0; i < MEMBERS; i++) {
        facts->endpoints[i].without_user.health.members[2].name[0] = '\0';
    }
}
CHANGE(the_third_learns)
{
    UNUSED;
    for (size_t i = 0; i < MEMBERS; i++) {
        facts->endpoints[i].without_user.health.members[2].is_learner = true;
    }
}
CHANGE(the_clock_is_missing)
{
    UNUSED;
    facts->here.boottime_works = false;
}
CHANGE(it_was_suspended)
{
    UNUSED;
    facts->here.suspended_ms = 61000;
}
CHANGE(the_time_is_free)
{
    UNUSED;
    facts->here.wall = CLI_DOCTOR_WALL_FREE;
}
CHANGE(tls_is_on)
{
    UNUSED;
    facts->tls = true;
}
CHANGE(the_authority_has_expired)
{
    UNUSED;
    facts->here.authority = (struct cli_doctor_certificate){"--cacert", "/ca.pem", true, -3};
}
CHANGE(our_certificate_ends_soon)
{
    UNUSED;
    facts->here.own = (struct cli_doctor_certificate){"--cert", "/c.pem", true, 30};
}
CHANGE(our_certificate_lasts)
{
    UNUSED;
    facts->here.own = (struct cli_doctor_certificate){"--cert", "/c.pem", true, 31};
}
CHANGE(our_certificate_is_none)
{
    UNUSED;
    facts->here.own = (struct cli_doctor_certificate){"--cert", "/c.pem", false, 0};
}

struct row {
    void (*change)(struct cli_doctor_facts *facts, struct cli_doctor_endpoint *b,
                   struct rollcall_health *health);
    const char *endpoint, *check;
    enum cli_doctor_state state;
    const char *detail, *advice; /* parts of it */
    size_t fails;                /* in all */
};

static void check_row(const struct row *row, struct cli_doctor_facts *facts)
{
    row->change(facts, &facts->endpoints[1], &facts->endpoints[1].without_user.health);
    struct cli_doctor_report report = judge(facts);
    const struct cli_doctor_finding *finding = find(&report, row->endpoint, row->check);
    if (finding == NULL) {
        CHECK_STR("no such finding", row->check);
    }
    CHECK_STR(finding->state == row->state ? "" : finding->detail, "");
    check_part(finding->detail, row->detail);
    check_part(finding->advice, row->advice);
    if (report.states[CLI_DOCTOR_FAIL] != row->fails) {
        fprintf(stderr, "%s of %s\n", row->check, row->endpoint);
    }
    CHECK_INT(report.states[CLI_DOCTOR_FAIL], row->fails);
    cli_doctor_report_fini(&report);
    free(facts);
}

#define OK CLI_DOCTOR_OK
#define WARN CLI_DOCTOR_WARN
#define FAIL CLI_DOCTOR_FAIL
#define CLUSTER CLI_DOCTOR_CLUSTER
#define HERE CLI_DOCTOR_HERE

TEST(doctor, a_healthy_cluster_is_well_in_every_check)
{
    struct cli_doctor_facts *facts = healthy();
    struct cli_doctor_report report = judge(facts);
    static const char *const checks[] = {"reachable", "tls",    "auth",    "latency",
                                         "version",   "leader", "learner", "raft",
                                         "space",     "alarms", "read"};
    enum { CHECKS = sizeof checks / sizeof checks[0] };
    for (size_t i = 0; i < MEMBERS; i++) {
        for (size_t k = 0; k < CHECKS; k++) {
            CHECK(find(&report, NAMES[i], checks[k]) != NULL);
        }
    }
    CHECK_INT(report.count, MEMBERS * CHECKS + 5);
    CHECK_INT(report.states[CLI_DOCTOR_OK], report.count);
    check_part(find(&report, "a:1", "leader")->detail, "it leads, in term 4");
    check_part(find(&report, "b:2", "leader")->detail, "follows 10 (m0)");
    check_part(find(&report, "b:2", "read")->detail, "7 keys under by-dev/meta/session/");
    check_part(find(&report, CLUSTER, "quorum")->detail, "3 of 3");
    cli_doctor_report_fini(&report);
    free(facts);
}

TEST(doctor, one_thing_that_is_wrong_is_found_with_what_to_do)
{
    static const struct row rows[] = {
        {nothing, "b:2", "latency", OK, "under 1 ms", "", 0},
        {b_is_dead, "b:2", "reachable", FAIL, "b:2 is away (c: d)", "start it", 1},
        {b_is_dead, CLUSTER, "quorum", WARN, "2 of 3", "start those", 1},
        {b_is_slow, "b:2", "latency", WARN, "100 ms", "slow network", 0},
        {b_is_almost_slow, "b:2", "latency", OK, "99 ms", "", 0},
        {b_is_very_slow, "b:2", "latency", FAIL, "1000 ms", "slow network", 1},
        {b_is_old, "b:2", "version", FAIL, "3.3.27 is too old", "upgrade", 1},
        {b_has_no_leader, "b:2", "leader", FAIL, "no leader", "start a majority", 1},
        {b_has_no_leader, CLUSTER, "quorum", WARN, "2 of 3", "", 1},
        {b_learns, "b:2", "learner", WARN, "only learns", "promote 11", 0},
        {b_learns, "b:2", "alarms", WARN, "not told, for it only learns", "", 0},
        {b_is_in_an_old_term, "b:2", "raft", WARN, "term 3, another in 4", "ask again", 0},
        {b_is_far_behind, "b:2", "raft", WARN, "1000 entries behind", "slow disk", 0},
        {b_is_a_little_behind, "b:2", "raft", OK, "", "", 0},
        {b_has_applied_more_meanwhile, "b:2", "raft", OK, "", "", 0},
        {b_is_ahead, "b:2", "raft", OK, "", "", 0},
        {b_is_ahead, "a:1", "raft", OK, "", "", 0},
        {b_is_out_of_space, "b:2", "alarms", FAIL, "NOSPACE, raised by member 12 (m2)", "disarm",
         1},
        {b_is_corrupt, "b:2", "alarms", FAIL, "CORRUPT, raised by member abc", "remove abc", 1},
        {b_does_not_tell_alarms, "b:2", "alarms", WARN, "not told to this user", "role root", 0},
        {b_is_nearly_full, "b:2", "space", WARN, "the quota is 8192", "defragment", 0},
        {b_is_nearly_full_by_default, "b:2", "space", WARN, "the default quota is 2048", "unless",
         0},
        {b_wants_a_user, "b:2", "auth", FAIL, "no user was given", "--password-file", 1},
        {b_tells_nobody_anything, "b:2", "auth", FAIL, "no user was given", "--user", 1},
        {b_tells_nobody_anything, "b:2", "reachable", OK, "", "", 1},
        {b_denies_the_certificate, "b:2", "auth", OK, "our certificate is a user", "", 1},
        {b_denies_the_certificate, "b:2", "read", FAIL, "may not read by-dev/meta/session/",
         "grant-permission", 1},
        {b_cannot_be_read, "b:2", "read", FAIL, "etcd says \"x: y\"", "do this", 1},
        {b_cannot_be_read, "b:2", "auth", WARN, "not known", "", 1},
        {b_is_of_another_cluster, CLUSTER, "same", FAIL, "a:1 is of cluster c1, b:2 of cluster d2",
         "one cluster", 1},
        {two_are_dead_and_no_read_succeeds, CLUSTER, "quorum", FAIL, "1 of 3", "start members", 4},
        {two_are_not_asked, CLUSTER, "quorum", WARN, "1 of 3", "endpoints of all", 0},
        {nobody_has_a_leader, CLUSTER, "quorum", FAIL, "has a leader", "start members", 7},
        {nobody_has_a_leader, "c:3", "alarms", WARN, "no leader", "", 7},
        {all_lost_their_leader, CLUSTER, "quorum", FAIL, "has a leader", "start members", 7},
        {all_lost_their_leader, CLUSTER, "same", OK, "c1", "", 7},
        {nobody_has_a_leader, "c:3", "version", WARN, "not told", "", 7},
        {there_are_four, CLUSTER, "members", WARN, "4 with a vote", "survive no more losses than 3",
         0},
        {the_third_was_never_started, CLUSTER, "members", WARN, "1 never started", "start it", 0},
        {the_third_learns, CLUSTER, "members", WARN, "2 with a vote, 1 without", "odd", 0},
        {the_third_learns, CLUSTER, "quorum", OK, "2 of 2", "", 0},
        {the_clock_is_missing, HERE, "clock", FAIL, "cannot be read", "Linux", 1},
        {it_was_suspended, HERE, "clock", OK, "61 s", "", 0},
        {the_time_is_free, HERE, "time", WARN, "leases do not depend on it", "chrony", 0},
        {tls_is_on, "b:2", "tls", OK, "on", "", 0},
        {the_authority_has_expired, HERE, "certificate", FAIL, "--cacert /ca.pem has expired, 3",
         "replace", 1},
        {our_certificate_ends_soon, HERE, "certificate", WARN, "good for 30 days", "replace", 0},
        {our_certificate_lasts, HERE, "certificate", OK, "good for 31 days", "", 0},
        {our_certificate_is_none, HERE, "certificate", WARN, "no certificate", "PEM", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(&rows[i], healthy());
    }
}

/* ---- with a user ---- */

static void accept(struct cli_doctor_facts *facts)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        facts->endpoints[i].with_user =
            (struct cli_doctor_answer){.asked = true, .health = health_of(i)};
    }
}

CHANGE(the_user_is_fine)
{
    UNUSED;
    for (size_t i = 0; i < MEMBERS; i++) {
        refuse_read(&facts->endpoints[i].without_user.health, ROLLCALL_E_DENIED, CODE_NO_USER);
    }
}
CHANGE(the_password_is_wrong)
{
    the_user_is_fine(facts, b, health);
    refuse(&b->with_user, ROLLCALL_E_DENIED, CODE_PASSWORD, "authentication failed");
}
CHANGE(the_user_may_not_read)
{
    the_user_is_fine(facts, b, health);
    refuse_read(&b->with_user.health, ROLLCALL_E_DENIED, CODE_PERMISSION);
}
CHANGE(only_the_user_is_told)
{
    the_user_is_fine(facts, b, health);
    refuse(&b->without_user, ROLLCALL_E_DENIED, CODE_NO_USER, "it wants a user");
}
CHANGE(the_user_is_not_answered)
{
    the_user_is_fine(facts, b, health);
    refuse(&b->with_user, ROLLCALL_E_TIMEOUT, 4, "it did not answer: wait");
}

TEST(doctor, a_user_is_judged_by_what_it_may_and_nobody_may_not)
{
    static const struct row rows[] = {
        {the_user_is_fine, "b:2", "auth", OK, "user me is accepted", "", 0},
        {the_user_is_fine, "b:2", "tls", WARN, "password of me", "--cacert", 0},
        {the_user_is_fine, "b:2", "read", OK, "7 keys", "", 0},
        {nothing, "b:2", "auth", WARN, "authentication is off", "auth enable", 0},
        {the_password_is_wrong, "b:2", "auth", FAIL, "does not know user me", "user passwd me", 1},
        {the_password_is_wrong, "b:2", "leader", OK, "", "", 1}, /* hides nothing */
        {the_user_may_not_read, "b:2", "auth", OK, "user me is accepted", "", 1},
        {the_user_may_not_read, "b:2", "read", FAIL, "me may not read", "grant-permission", 1},
        {only_the_user_is_told, "b:2", "leader", OK, "follows", "", 0},
        {the_user_is_not_answered, "b:2", "auth", FAIL, "it did not answer", "ask again", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cli_doctor_facts *facts = healthy();
        facts->user = "me";
        accept(facts);
        check_row(&rows[i], facts);
    }
}

/* ---- versions ---- */

TEST(doctor, a_version_is_judged_by_the_bugs_it_has)
{
    static const struct {
        const char *version;
        enum cli_doctor_state state;
        const char *detail, *advice;
    } rows[] = {
        {"3.4.23", WARN, "3.4.23 has 6 known bugs: an old leader", "3.4.42 or later, or to 3.5"},
        {"3.4.19", WARN, "7 known bugs", "3.4.42"},
        {"3.4.31", WARN, "4 known bugs", "3.4.42"},
        {"3.4.41", WARN, "2 known bugs: reads may be stale", "3.4.42"},
        {"3.4.42", OK, "etcd 3.4.42", ""},
        {"3.5.2", WARN, "9 known bugs: it may lose or corrupt data", "3.5.33 or later"},
        {"3.5.13", WARN, "5 known bugs", "3.5.33"},
        {"3.5.32", WARN, "1 known bug: a watch may see", "3.5.33"},
        {"3.5.33", OK, "", ""},
        {"3.6.0-rc.1", WARN, "4 known bugs", "3.6.14"},
        {"3.6.14", OK, "", ""},
        {"3.7.0", WARN, "1 known bug", "3.7.1"},
        {"3.7.1", OK, "", ""},
        {"3.8.0-alpha", OK, "newer than any", ""},
        {"4.0.0", OK, "newer than any", ""},
        {"3.3.27", FAIL, "too old", "upgrade"},
        {"2.3.8", FAIL, "too old", "upgrade"},
        {"", WARN, "no leader", ""},
        {"3.4", WARN, "is no version", "check"},
        {"v3.4.1", WARN, "is no version", "check"},
        {"unknown", WARN, "is no version", "check"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cli_doctor_report report = {0};
        cli_doctor_judge_version("a:1", rows[i].version, &report);
        CHECK_INT(report.count, 1);
        CHECK_STR(report.findings[0].state == rows[i].state ? "" : rows[i].version, "");
        check_part(report.findings[0].detail, rows[i].detail);
        check_part(report.findings[0].advice, rows[i].advice);
        cli_doctor_report_fini(&report);
    }
}

/* ---- how it is printed ---- */

static char *print(const struct cli_doctor_facts *facts, bool json, bool colour)
{
    struct cli_doctor_report report = judge(facts);
    struct cli_output output = {.json = json, .colour = colour};
    cli_doctor_print(&output, &report, facts);
    CHECK(!output.text.failed);
    cli_text_append(&output.text, "", 1);
    char *text = strdup(output.text.data);
    CHECK(text != NULL);
    cli_output_fini(&output);
    cli_doctor_report_fini(&report);
    return text;
}

TEST(doctor, objects_have_every_field_and_the_last_counts)
{
    struct cli_doctor_facts *facts = healthy();
    b_is_dead(facts, &facts->endpoints[1], NULL);
    char *text = print(facts, true, true);
    check_part(text, "{\"event\":\"check\",\"endpoint\":\"b:2\",\"check\":\"reachable\","
                     "\"state\":\"fail\",\"detail\":\"b:2 is away (c: d)\","
                     "\"advice\":\"start it\"}\n");
    check_part(text, "\"check\":\"leader\",\"state\":\"ok\",\"detail\":\"it leads, in term 4\","
                     "\"advice\":\"\"}\n");
    check_part(text, "{\"event\":\"end\",\"count\":28,\"ok\":26,\"warn\":1,\"fail\":1,"
                     "\"endpoints\":3,\"answered\":2}\n");
    CHECK(strchr(text, '\033') == NULL);
    free(text);
    free(facts);
}

TEST(doctor, lines_are_aligned_and_never_cut_and_cannot_be_faked)
{
    struct cli_doctor_facts *facts = healthy();
    facts->endpoints[0].name = "a-longer-name:1";
    refuse(&facts->endpoints[1].without_user, ROLLCALL_E_UNAVAILABLE, 14,
           "a server of a long name, which nobody would ever believe to be one, said \033[2J "
           "and nothing more: look at it");
    char *text = print(facts, false, false);
    check_part(text, "ENDPOINT         CHECK      STATE  WHAT\n");
    check_part(text, "\na-longer-name:1  reachable  ok     it answers\n");
    check_part(text, "\nb:2              reachable  fail   a server of a long name, which nobody "
                     "would ever believe to be one, said \\x1b[2J and nothing more: look at it\n");
    CHECK(strchr(text, '\033') == NULL);
    free(text);
    text = print(facts, false, true);
    check_part(text, "  \033[31mfail\033[0m   a server");
    check_part(text, "  \033[32mok\033[0m     it answers");
    free(text);
    free(facts);
}
