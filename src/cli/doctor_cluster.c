/* What only shows when all endpoints are looked at together. */
#include "cli/doctor.h"

#include <inttypes.h>

size_t cli_doctor_answered_count(const struct cli_doctor_facts *facts)
{
    size_t count = 0;
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        count += cli_doctor_answered(&facts->endpoints[i]);
    }
    return count;
}

/* The first of those that said which cluster they belong to, and are of another than `but`; 0: of
 * any.  NULL: there is none. */
static const struct cli_doctor_endpoint *find_of_other(const struct cli_doctor_facts *facts,
                                                       uint64_t but)
{
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        const struct rollcall_health *health = cli_doctor_health(&facts->endpoints[i]);
        if (health != NULL && health->cluster_id != 0 && health->cluster_id != but) {
            return &facts->endpoints[i];
        }
    }
    return NULL;
}

/* How many told their status; *led: how many of them have a leader. */
static size_t count_told(const struct cli_doctor_facts *facts, size_t *led)
{
    size_t told = 0;
    *led = 0;
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        const struct rollcall_health *health = cli_doctor_health(&facts->endpoints[i]);
        told += health != NULL;
        *led += health != NULL && health->has_leader;
    }
    return told;
}

static void say_leaderless(struct cli_doctor_report *report)
{
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, CLI_DOCTOR_CLUSTER, "quorum", CLI_DOCTOR_FAIL);
    cli_doctor_detail(finding, "no endpoint that answers has a leader");
    cli_doctor_advice(finding, "start members until a majority runs, or name those that run in "
                               "--endpoints");
}

/* Returns whether they are of one cluster.  None told of any, as those without a leader: true, and
 * nothing is found. */
static bool judge_same(const struct cli_doctor_facts *facts, struct cli_doctor_report *report)
{
    const struct cli_doctor_endpoint *first = find_of_other(facts, 0);
    if (first == NULL) {
        return true;
    }
    const uint64_t cluster_id = cli_doctor_health(first)->cluster_id;
    const struct cli_doctor_endpoint *other = find_of_other(facts, cluster_id);
    struct cli_doctor_finding *finding = cli_doctor_add(
        report, CLI_DOCTOR_CLUSTER, "same", other == NULL ? CLI_DOCTOR_OK : CLI_DOCTOR_FAIL);
    if (other == NULL) {
        cli_doctor_detail(finding, "all that told are of cluster %" PRIx64, cluster_id);
        return true;
    }
    cli_doctor_detail(finding, "%s is of cluster %" PRIx64 ", %s of cluster %" PRIx64, first->name,
                      cluster_id, other->name, cli_doctor_health(other)->cluster_id);
    cli_doctor_advice(finding, "give the endpoints of one cluster: sessions of the one are not "
                               "seen in the other");
    return false;
}

/* ---- the members of one cluster ---- */

struct votes {
    size_t members, learners, voters, unstarted;
    size_t answering; /* voters, with a leader, among the endpoints */
    bool read;        /* a majority has served one of our reads */
};

/* The longest list that was told; NULL: none. */
static const struct rollcall_health *find_list(const struct cli_doctor_facts *facts)
{
    const struct rollcall_health *list = NULL;
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        const struct rollcall_health *health = cli_doctor_health(&facts->endpoints[i]);
        if (health != NULL && health->members_status == ROLLCALL_OK &&
            (list == NULL || health->member_count > list->member_count)) {
            list = health;
        }
    }
    return list;
}

/* A member may be there under two names. */
static bool answers_with_leader(const struct cli_doctor_facts *facts, uint64_t member_id)
{
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        const struct rollcall_health *health = cli_doctor_health(&facts->endpoints[i]);
        if (health != NULL && health->member_id == member_id && health->has_leader) {
            return true;
        }
    }
    return false;
}

static struct votes count_votes(const struct cli_doctor_facts *facts,
                                const struct rollcall_health *list)
{
    struct votes votes = {.members = list->member_count};
    for (size_t i = 0; i < list->member_count && i < ROLLCALL_HEALTH_MEMBERS_MAX; i++) {
        const struct rollcall_health_member *member = &list->members[i];
        votes.learners += member->is_learner;
        votes.unstarted += member->name[0] == '\0';
        votes.answering += !member->is_learner && answers_with_leader(facts, member->member_id);
    }
    votes.voters = votes.members - votes.learners;
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        const struct cli_doctor_answer *answers[] = {&facts->endpoints[i].with_user,
                                                     &facts->endpoints[i].without_user};
        for (size_t k = 0; k < sizeof answers / sizeof answers[0]; k++) {
            votes.read |= answers[k]->asked && answers[k]->error.status == ROLLCALL_OK &&
                          answers[k]->health.read_error.status == ROLLCALL_OK;
        }
    }
    return votes;
}

static void judge_quorum(const struct votes *votes, struct cli_doctor_report *report)
{
    const size_t needed = votes->voters / 2 + 1;
    const bool all = votes->answering == votes->voters;
    const bool there = votes->read || votes->answering >= needed;
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, CLI_DOCTOR_CLUSTER, "quorum",
                       !there ? CLI_DOCTOR_FAIL : (all ? CLI_DOCTOR_OK : CLI_DOCTOR_WARN));
    cli_doctor_detail(finding, "%zu of %zu voting members answer here with a leader, %zu needed%s",
                      votes->answering, votes->voters, needed,
                      votes->read ? "; a read by majority succeeded" : "");
    if (!there) {
        cli_doctor_advice(finding, "start members until a majority runs, or name those that run in "
                                   "--endpoints");
    } else if (!all) {
        cli_doctor_advice(finding, "give the endpoints of all, and start those that do not answer, "
                                   "so that sessions outlive the loss of one");
    }
}

static void judge_members(const struct votes *votes, struct cli_doctor_report *report)
{
    const bool even = votes->voters % 2 == 0;
    const bool warns = even || votes->unstarted > 0;
    struct cli_doctor_finding *finding = cli_doctor_add(report, CLI_DOCTOR_CLUSTER, "members",
                                                        warns ? CLI_DOCTOR_WARN : CLI_DOCTOR_OK);
    cli_doctor_detail(finding, "%zu with a vote, %zu without, %zu never started", votes->voters,
                      votes->learners, votes->unstarted);
    if (votes->unstarted > 0) {
        cli_doctor_advice(finding, "start it, or take it out (etcdctl member remove): it counts "
                                   "for the majority all the same");
    } else if (even) {
        cli_doctor_advice(finding, "have an odd number: %zu survive no more losses than %zu",
                          votes->voters, votes->voters - 1);
    }
}

void cli_doctor_judge_cluster(const struct cli_doctor_facts *facts,
                              struct cli_doctor_report *report)
{
    size_t led;
    const size_t told = count_told(facts, &led);
    if (told == 0 || !judge_same(facts, report)) {
        return; /* the votes of two clusters do not add up */
    }
    if (led == 0) {
        say_leaderless(report);
        return;
    }
    const struct rollcall_health *list = find_list(facts);
    if (list == NULL) {
        struct cli_doctor_finding *finding =
            cli_doctor_add(report, CLI_DOCTOR_CLUSTER, "members", CLI_DOCTOR_WARN);
        cli_doctor_detail(finding, "no endpoint lists them for us");
        cli_doctor_advice(finding, "give a user, if authentication is on");
        return;
    }
    const struct votes votes = count_votes(facts, list);
    judge_quorum(&votes, report);
    judge_members(&votes, report);
}

void cli_doctor_judge(const struct cli_doctor_facts *facts, struct cli_doctor_report *report)
{
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        cli_doctor_judge_endpoint(facts, &facts->endpoints[i], report);
    }
    cli_doctor_judge_cluster(facts, report);
    cli_doctor_judge_here(&facts->here, report);
}
