/*
 * bench/failover.c - how soon another acts when the one that acts is gone, and what that costs:
 *     failover PEER SCENE [STANDBYS [ROUNDS [TTL_S [PROGRAM]]]]
 * PEER: "rollcall"; or "election" (concurrency.Election) or "single-key" (upstream's loop), of the
 * built bench/peers/clientv3 that PROGRAM is.  For ours PROGRAM is the command `rollcall`, to be
 * the crash sentinel; without it there is none.
 *
 * SCENE, of which each round plays one: "close": the active one leaves.  "resign": it gives up its
 * role, and joins anew later.  "rotate": it gives it up, and stays where it is.  "kill": it gets
 * SIGKILL.  "frozen": whoever is next is stopped, then the active one leaves.  "quiet": nothing
 * happens, for ROUNDS seconds.
 *
 * Each candidate is a process of its own, with a connection of its own: what a cluster has.  In one
 * process ours would share a watch, and one wakeup would serve all.
 * Prints one JSON line.  Exit 1 when nobody took over, or two did; 77 when the library has no crash
 * sentinel.
 */
#include "support/board.h"
#include "support/counts.h"
#include "support/etcd_fixture.h"
#include "support/measure.h"
#include "support/orphans.h"
#include "support/process.h"
#include "support/witness.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ROUNDS_MAX = 10000,
    START_MS = 30000,
    ANSWER_MS = 20000,
    LOOK_MS = 1,
    AFTER_MS = 200,      /* what a takeover costs is what is asked until so long after it */
    SETTLE_LOOK_MS = 50, /* nothing is asked for so long: then all wait */
    SETTLE_MS = 3000,
    ORPHANS_MS = 5000,
    DISTURBED_US = 10000, /* the winner's threads waited for a core for so long */
    FOLDER_BYTES = 4096,
    NAME_BYTES = 4200
};

enum scene { CLOSE, RESIGN, ROTATE, KILL, FROZEN, QUIET, SCENES };
static const char *const SCENE_NAMES[SCENES] = {"close", "resign", "rotate",
                                                "kill",  "frozen", "quiet"};

struct plan {
    const char *peer, *program;
    bool is_ours;
    enum scene scene;
    int64_t standbys, rounds, ttl_s;
};

/* Of one takeover; times in us. */
struct takeover {
    int64_t from_delete, from_leaving, to_delete;
    int64_t to_put;    /* of the key by which the winner acts, from the DELETE; 0: it was there */
    int64_t core_wait; /* of the winner's threads, together, from before it until AFTER_MS later */
    struct counts cost;
};

struct bench {
    struct plan plan;
    char folder[FOLDER_BYTES], board_path[64], version[32];
    struct board board;
    struct etcd_fixture *etcd;
    const char *endpoint;
    struct witness *witness;
    int64_t core_wait_us[BOARD_SLOTS_MAX]; /* of each candidate, when the round began */
    struct process candidate[BOARD_SLOTS_MAX];
    int candidates, holder;
    bool skipped;
    struct takeover takeover[ROUNDS_MAX];
    int done, unsettled, not_next; /* takeovers; that others than the oldest won */
    int64_t extra;                 /* activations that were none */
    int unplanned;                 /* takeovers between rounds: the lease of who acted was lost */
    int orphans;
};

static bool fail(const char *what)
{
    fprintf(stderr, "failover: %s\n", what);
    return false;
}

static struct counts count(const struct bench *bench)
{
    return counts_get(bench->endpoint, bench->witness);
}

/* ---- candidates ---- */

static int64_t read_word(const _Atomic int64_t *word)
{
    return atomic_load(word);
}

static bool start_candidate(struct bench *bench, int number)
{
    char program[NAME_BYTES], slot[16], ttl_s[16];
    const struct plan *plan = &bench->plan;
    struct process *process = &bench->candidate[number];
    snprintf(program, sizeof program, "%s/failover_candidate", bench->folder);
    snprintf(slot, sizeof slot, "%d", number);
    snprintf(ttl_s, sizeof ttl_s, "%" PRId64, plan->ttl_s);
    const char *const ours[] = {program, bench->board_path, slot, bench->endpoint,
                                ttl_s,   plan->program,     NULL};
    const char *const theirs[] = {plan->program,   "failover", bench->board_path, slot,
                                  bench->endpoint, ttl_s,      plan->peer,        NULL};
    if (process_start(process,
                      &(struct process_options){.arguments = plan->is_ours ? ours : theirs}) &&
        process_wait_for(process, "\nready ", START_MS)) {
        return sscanf(process->out.data, "\nready %31s", bench->version) == 1;
    }
    bench->skipped = !process_running(process) && process->exit_code == BOARD_SKIPPED;
    return fail(process->err.data == NULL ? "no candidate" : process->err.data);
}

static bool await_word(struct bench *bench, int number, const _Atomic int64_t *word, int64_t least)
{
    const int64_t deadline_ms = process_now_ms() + ANSWER_MS;
    while (read_word(word) < least) {
        if (!process_running(&bench->candidate[number])) {
            return fail(bench->candidate[number].err.data);
        }
        if (process_now_ms() > deadline_ms) {
            return fail("a candidate does not do what it is to do");
        }
        process_sleep_ms(LOOK_MS);
    }
    return true;
}

static int64_t give_order(struct bench *bench, int number, enum board_order order)
{
    struct board_slot *slot = &bench->board.slot[number];
    const int64_t done = read_word(&slot->done);
    atomic_store(&slot->order, (int64_t)order);
    process_signal(&bench->candidate[number], SIGUSR1);
    return done + 1;
}

static bool all_wait(const struct bench *bench)
{
    for (int i = 0; i < bench->candidates; i++) {
        const int64_t state = read_word(&bench->board.slot[i].state);
        if (state != (i == bench->holder ? BOARD_ACTIVE : BOARD_STANDING)) {
            return false;
        }
    }
    return true;
}

/* A machine that stands still for a TTL costs leases: then another acts than the last winner. */
static void follow_holder(struct bench *bench)
{
    int active = -1;
    for (int i = 0; i < bench->candidates; i++) {
        if (read_word(&bench->board.slot[i].state) == BOARD_ACTIVE) {
            if (active >= 0 || i == bench->holder) {
                return;
            }
            active = i;
        }
    }
    if (active >= 0) {
        bench->holder = active;
        bench->unplanned++;
    }
}

static bool say_who_does_not(const struct bench *bench)
{
    for (int i = 0; i < bench->candidates; i++) {
        const struct board_slot *slot = &bench->board.slot[i];
        fprintf(stderr,
                "failover: candidate %d%s: state %" PRId64 ", activations %" PRId64
                ", lost %" PRId64 "\n",
                i, i == bench->holder ? ", which is to act" : "", read_word(&slot->state),
                read_word(&slot->activations), read_word(&slot->lost));
    }
    return fail("not all candidates stand");
}

/* Until all stand, etcd is asked for nothing, and has no watch that it looks at every 100 ms only,
 * for it began in the past.  The single-key loop may ask on and on. */
static bool settle(struct bench *bench)
{
    const int64_t states_ms = process_now_ms() + ANSWER_MS;
    while (!all_wait(bench)) {
        if (process_now_ms() > states_ms) {
            return say_who_does_not(bench);
        }
        process_sleep_ms(LOOK_MS);
        follow_holder(bench);
    }
    const int64_t deadline_ms = process_now_ms() + SETTLE_MS;
    struct counts before = count(bench);
    while (process_now_ms() < deadline_ms) {
        process_sleep_ms(SETTLE_LOOK_MS);
        const struct counts now = count(bench);
        if (now.requests == before.requests && now.events == before.events && now.behind == 0) {
            return true;
        }
        before = now;
    }
    bench->unsettled++;
    return true;
}

/* ---- a takeover ---- */

static int64_t activations(const struct bench *bench)
{
    int64_t sum = 0;
    for (int i = 0; i < bench->candidates; i++) {
        sum += read_word(&bench->board.slot[i].activations);
    }
    return sum;
}

/* Who has waited longest. */
static int find_next(const struct bench *bench)
{
    int next = -1;
    for (int i = 0; i < bench->candidates; i++) {
        if (i != bench->holder &&
            (next < 0 || read_word(&bench->board.slot[i].waiting_since) <
                             read_word(&bench->board.slot[next].waiting_since))) {
            next = i;
        }
    }
    return next;
}

/* Who acts now and did not at from_ns; -1: nobody, in time. */
static int await_winner(struct bench *bench, int64_t from_ns)
{
    const int64_t deadline_ms = process_now_ms() + ANSWER_MS + bench->plan.ttl_s * 1000;
    while (process_now_ms() < deadline_ms) {
        for (int i = 0; i < bench->candidates; i++) {
            const struct board_slot *slot = &bench->board.slot[i];
            if (i != bench->holder && read_word(&slot->activated_ns) > from_ns &&
                read_word(&slot->state) == BOARD_ACTIVE) {
                return i;
            }
        }
        process_sleep_ms(LOOK_MS);
    }
    return -1;
}

/* When it left, by its own count, or was killed. */
static int64_t leaving_ns(const struct bench *bench, int64_t asked_ns)
{
    return bench->plan.scene == KILL ? asked_ns
                                     : read_word(&bench->board.slot[bench->holder].left_ns);
}

/* When etcd told the witness that the holder's key went; 0: never, for the watch of one among many
 * may be behind those of candidates, but not for long. */
static int64_t await_deleted_ns(const struct bench *bench, int64_t events)
{
    const char *key = bench->board.slot[bench->holder].key;
    const int64_t deadline_ms = process_now_ms() + SETTLE_MS;
    int64_t deleted_ns = 0;
    while ((deleted_ns = witness_deleted_ns(bench->witness, events, key)) == 0 &&
           process_now_ms() < deadline_ms) {
        process_sleep_ms(LOOK_MS);
    }
    return deleted_ns;
}

static bool note_takeover(struct bench *bench, int winner, int64_t asked_ns, int64_t events,
                          const struct counts *before)
{
    const int64_t active_ns = read_word(&bench->board.slot[winner].activated_ns);
    const struct counts after = count(bench);
    const int64_t deleted_ns = await_deleted_ns(bench, events);
    const int64_t left_ns = leaving_ns(bench, asked_ns);
    struct takeover *takeover = &bench->takeover[bench->done];
    if (deleted_ns == 0) {
        return fail("somebody acts, and the key of who did before is there, or went too early");
    }
    takeover->from_delete = (active_ns - deleted_ns) / 1000;
    takeover->from_leaving = (active_ns - left_ns) / 1000;
    takeover->to_delete = (deleted_ns - left_ns) / 1000;
    const int64_t put_ns =
        witness_put_ns(bench->witness, deleted_ns, bench->board.slot[winner].key);
    takeover->to_put = put_ns == 0 ? 0 : (put_ns - deleted_ns) / 1000;
    takeover->core_wait =
        measure_core_wait_us(bench->candidate[winner].pid) - bench->core_wait_us[winner];
    takeover->cost = counts_between(before, &after);
    bench->done++;
    return true;
}

static bool take_away(struct bench *bench, int64_t *order)
{
    struct process *holder = &bench->candidate[bench->holder];
    if (bench->plan.scene == KILL) {
        process_signal(holder, SIGKILL);
        return process_wait(holder, ANSWER_MS);
    }
    const bool stays = bench->plan.scene == RESIGN || bench->plan.scene == ROTATE;
    *order = give_order(bench, bench->holder, stays ? BOARD_RESIGN : BOARD_CLOSE);
    return true;
}

static bool bring_back(struct bench *bench, int number, int64_t order)
{
    struct board_slot *slot = &bench->board.slot[number];
    if (bench->plan.scene == KILL) {
        process_destroy(&bench->candidate[number]);
        atomic_store(&slot->state, BOARD_AWAY);
        return start_candidate(bench, number);
    }
    if (!await_word(bench, number, &slot->done, order) ||
        (bench->plan.scene == RESIGN &&
         !await_word(bench, number, &slot->done, give_order(bench, number, BOARD_CLOSE)))) {
        return false;
    }
    return await_word(bench, number, &slot->done, give_order(bench, number, BOARD_JOIN));
}

static bool play_round(struct bench *bench)
{
    const int next = find_next(bench);
    const int64_t acted = activations(bench);
    for (int i = 0; i < bench->candidates; i++) {
        bench->core_wait_us[i] = measure_core_wait_us(bench->candidate[i].pid);
    }
    const struct counts before = count(bench);
    const int64_t events = witness_count(bench->witness).events;
    int64_t order = 0;
    if (bench->plan.scene == FROZEN) {
        process_signal(&bench->candidate[next], SIGSTOP);
    }
    const int64_t asked_ns = board_now_ns();
    const bool away = take_away(bench, &order);
    const int winner = away ? await_winner(bench, asked_ns) : -1;
    if (bench->plan.scene == FROZEN) {
        process_signal(&bench->candidate[next], SIGCONT);
    }
    if (winner < 0) {
        return fail("nobody takes over");
    }
    process_sleep_ms(AFTER_MS);
    if (!note_takeover(bench, winner, asked_ns, events, &before)) {
        return false;
    }
    bench->extra += activations(bench) - acted - 1;
    bench->not_next += winner != next;
    const int gone = bench->holder;
    bench->holder = winner;
    return bring_back(bench, gone, order) && settle(bench);
}

/* ---- what comes out ---- */

static int compare(const void *a, const void *b)
{
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* offset: of a number of a takeover. */
static void sort_out(const struct bench *bench, size_t offset, int64_t sorted[ROUNDS_MAX])
{
    for (int i = 0; i < bench->done; i++) {
        memcpy(&sorted[i], (const char *)&bench->takeover[i] + offset, sizeof sorted[i]);
    }
    qsort(sorted, (size_t)bench->done, sizeof sorted[0], compare);
}

static void print_times(const struct bench *bench, const char *name, size_t offset)
{
    static int64_t sorted_us[ROUNDS_MAX];
    sort_out(bench, offset, sorted_us);
    /* p99: the nearest rank; of fewer than 100 the last. */
    printf("\"%s_p50_us\":%" PRId64 ",\"%s_p99_us\":%" PRId64 ",\"%s_max_us\":%" PRId64 ",", name,
           sorted_us[bench->done / 2], name, sorted_us[(bench->done * 99 + 99) / 100 - 1], name,
           sorted_us[bench->done - 1]);
}

static void print_cost(const struct bench *bench, const char *name, size_t offset)
{
    static int64_t sorted[ROUNDS_MAX];
    int64_t sum = 0;
    sort_out(bench, offset, sorted);
    for (int i = 0; i < bench->done; i++) {
        sum += sorted[i];
    }
    printf("\"%s\":%.2f,\"%s_max\":%" PRId64 ",", name, (double)sum / bench->done, name,
           sorted[bench->done - 1]);
}

/* Of a machine that is busy otherwise, the slowest takeovers tell how its scheduler works. */
static void print_undisturbed(const struct bench *bench)
{
    static int64_t sorted_us[ROUNDS_MAX];
    size_t count = 0;
    for (int i = 0; i < bench->done; i++) {
        if (bench->takeover[i].core_wait < DISTURBED_US) {
            sorted_us[count++] = bench->takeover[i].from_delete;
        }
    }
    qsort(sorted_us, count, sizeof sorted_us[0], compare);
    printf("\"undisturbed\":%zu,\"undisturbed_p99_us\":%" PRId64 ",", count,
           count == 0 ? 0 : sorted_us[(count * 99 + 99) / 100 - 1]);
}

static void print_takeovers(const struct bench *bench)
{
    if (bench->done == 0) {
        return;
    }
    print_times(bench, "takeover", offsetof(struct takeover, from_delete));
    print_times(bench, "from_leaving", offsetof(struct takeover, from_leaving));
    print_times(bench, "to_delete", offsetof(struct takeover, to_delete));
    print_times(bench, "to_put", offsetof(struct takeover, to_put));
    print_times(bench, "core_wait", offsetof(struct takeover, core_wait));
    print_undisturbed(bench);
    print_cost(bench, "writes", offsetof(struct takeover, cost.writes));
    print_cost(bench, "txns", offsetof(struct takeover, cost.txns));
    print_cost(bench, "ranges", offsetof(struct takeover, cost.ranges));
    print_cost(bench, "revokes", offsetof(struct takeover, cost.revokes));
    print_cost(bench, "requests", offsetof(struct takeover, cost.requests));
    print_cost(bench, "watch_events", offsetof(struct takeover, cost.events));
    print_cost(bench, "watch_responses", offsetof(struct takeover, cost.responses));
    printf("\"not_the_oldest\":%d,\"extra_activations\":%" PRId64 ",\"unsettled\":%d,"
           "\"unplanned\":%d,",
           bench->not_next, bench->extra, bench->unsettled, bench->unplanned);
}

static void print(const struct bench *bench, const struct counts *quiet)
{
    const struct plan *plan = &bench->plan;
    int64_t lost = 0;
    for (int i = 0; i < bench->candidates; i++) {
        lost += read_word(&bench->board.slot[i].lost);
    }
    printf("{\"event\":\"bench\",\"name\":\"failover\",\"peer\":\"%s\",\"version\":\"%s\","
           "\"scene\":\"%s\",\"standbys\":%" PRId64 ",\"ttl_s\":%" PRId64 ",\"sentinel\":%s,",
           plan->peer, bench->version, SCENE_NAMES[plan->scene], plan->standbys, plan->ttl_s,
           plan->is_ours && plan->program != NULL ? "true" : "false");
    if (plan->scene == QUIET) {
        printf("\"window_s\":%" PRId64 ",\"requests\":%" PRId64 ",\"writes\":%" PRId64
               ",\"watch_events\":%" PRId64 ",\"renewals\":%" PRId64 ",",
               plan->rounds, quiet->requests, quiet->writes, quiet->events, quiet->renewals);
    } else {
        printf("\"rounds\":%d,", bench->done);
        print_takeovers(bench);
    }
    printf("\"lost\":%" PRId64 ",\"left_behind\":%d,", lost, bench->orphans);
    measure_print_etcd();
    printf(",");
    measure_print_host();
    printf("}\n");
}

/* ---- the run ---- */

static bool start_all(struct bench *bench)
{
    const int file = memfd_create("failover", MFD_CLOEXEC);
    snprintf(bench->board_path, sizeof bench->board_path, "/proc/%d/fd/%d", (int)getpid(), file);
    bench->etcd = etcd_fixture_create(NULL);
    if (file < 0 || !board_create(&bench->board, bench->board_path) || bench->etcd == NULL) {
        return false;
    }
    bench->endpoint = etcd_fixture_endpoint(bench->etcd);
    bench->witness = witness_create(bench->endpoint, "failover/");
    if (bench->witness == NULL) {
        return false;
    }
    for (int i = 0; i <= bench->plan.standbys; i++) {
        if (!start_candidate(bench, i)) {
            return false;
        }
        bench->candidates = i + 1;
        if (i == 0 && !await_word(bench, 0, &bench->board.slot[0].activations, 1)) {
            return false; /* the first acts: then it is known who does */
        }
    }
    return settle(bench);
}

static bool play(struct bench *bench, struct counts *quiet)
{
    if (bench->plan.scene == QUIET) {
        const struct counts before = count(bench);
        process_sleep_ms(bench->plan.rounds * 1000);
        const struct counts after = count(bench);
        *quiet = counts_between(&before, &after);
        return all_wait(bench);
    }
    for (int64_t i = 0; i < bench->plan.rounds; i++) {
        if (!play_round(bench)) {
            return false;
        }
    }
    return !witness_failed(bench->witness) || fail("the witness has lost its watch");
}

static void end_candidates(struct bench *bench)
{
    for (int i = 0; i < BOARD_SLOTS_MAX; i++) {
        process_destroy(&bench->candidate[i]);
    }
    /* Sentinels end by themselves when their owners have. */
    bench->orphans =
        orphans_await(bench->etcd == NULL ? 0 : etcd_fixture_pid(bench->etcd), ORPHANS_MS);
}

static int run(struct bench *bench)
{
    struct counts quiet = {0};
    const bool good = start_all(bench) && play(bench, &quiet);
    end_candidates(bench);
    if (bench->skipped) {
        return BOARD_SKIPPED;
    }
    if (!good) {
        return 1;
    }
    print(bench, &quiet);
    return bench->orphans == 0 && (!bench->plan.is_ours || bench->extra == 0) ? 0 : 1;
}

static void close_all(struct bench *bench)
{
    witness_destroy(bench->witness);
    etcd_fixture_destroy(bench->etcd);
    board_close(&bench->board);
}

static bool find_folder(char folder[FOLDER_BYTES])
{
    const ssize_t size_bytes = readlink("/proc/self/exe", folder, FOLDER_BYTES - 1);
    if (size_bytes <= 0) {
        return fail("cannot tell where failover_candidate is");
    }
    folder[size_bytes] = '\0';
    *strrchr(folder, '/') = '\0';
    return true;
}

static bool in(int64_t value, int64_t least, int64_t most)
{
    return value >= least && value <= most;
}

static bool read_plan(struct plan *plan, int argc, char **argv)
{
    if (argc < 3 || argc > 7) {
        return false;
    }
    plan->peer = argv[1];
    plan->is_ours = strcmp(argv[1], "rollcall") == 0;
    while (plan->scene < SCENES && strcmp(argv[2], SCENE_NAMES[plan->scene]) != 0) {
        plan->scene++;
    }
    plan->standbys = argc > 3 ? strtoll(argv[3], NULL, 10) : 10;
    plan->rounds = argc > 4 ? strtoll(argv[4], NULL, 10) : 100;
    plan->ttl_s = argc > 5 ? strtoll(argv[5], NULL, 10) : 2;
    plan->program = argc > 6 ? argv[6] : NULL;
    const bool is_single_key = strcmp(argv[1], "single-key") == 0;
    return plan->scene < SCENES && in(plan->standbys, 1, BOARD_SLOTS_MAX - 1) &&
           in(plan->rounds, 1, ROUNDS_MAX) && in(plan->ttl_s, 2, 3600) &&
           (plan->scene != FROZEN || plan->standbys > 1) &&
           (plan->is_ours || (plan->program != NULL &&
                              (strcmp(argv[1], "election") == 0 ||
                               (is_single_key && plan->scene != RESIGN && plan->scene != ROTATE))));
}

int main(int argc, char **argv)
{
    static struct bench bench;
    if (!read_plan(&bench.plan, argc, argv)) {
        fprintf(stderr,
                "usage: failover rollcall|election|single-key "
                "close|resign|rotate|kill|frozen|quiet [STANDBYS [ROUNDS [TTL_S [PROGRAM]]]]\n"
                "election, single-key: PROGRAM is the built bench/peers/clientv3; upstream's "
                "single-key loop cannot resign\n");
        return 2;
    }
    orphans_adopt();
    const int status = find_folder(bench.folder) ? run(&bench) : 1;
    close_all(&bench);
    return status;
}
