/*
 * Three processes of ours and two of Go's, which run upstream's loop on one key, stand for one
 * role, on one etcd: round after round the one that acts leaves or is killed, and whoever is free
 * to contests the active key, or one side alone, while the other is stopped.  What each process
 * believed, and when, is held against the others, and against etcd's own history of the key.
 *
 * Go's program is bench/peers/clientv3, which is built here, from what the machine has; where that
 * is not enough the test is skipped, and says so.
 */
#include "support/belief.h"
#include "support/board.h"
#include "support/etcd_fixture.h"
#include "support/gateway.h"
#include "support/lag.h"
#include "support/outage.h"
#include "support/process.h"
#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* As bench/peers/clientv3/failover.go has them. */
#define ROOT "failover"
#define ROLE "coordinator"
#define ACTIVE ROOT "/session/" ROLE
enum { SERVER_ID_0 = 100 };

enum {
    OURS = 3,
    SEATS = 5, /* the last ones are Go's */
    TTL_S = 5,
    LEFT_MS = 1000,
    KILLED_MS = TTL_S * 1000 + 600, /* etcd looks for leases that have ended every half second */
    BUILD_MS = 180000,
    WAIT_MS = 60000,
    LOOK_MS = 1,
    FRESH_MS = 300,
    CYCLES = 3,
    SPANS_MAX = 256,
    PATH_BYTES = 64,
    NS_PER_MS = 1000000
};

enum side { BOTH, ONLY_OURS, ONLY_THEIRS };
struct round {
    enum side side; /* who may follow */
    bool kill;      /* whoever acts; else it leaves */
};
/* Each side follows itself and the other, and is killed. */
static const struct round ROUNDS[] = {
    {ONLY_OURS, false}, {ONLY_OURS, false}, {ONLY_THEIRS, false}, {ONLY_THEIRS, false},
    {ONLY_OURS, false}, {BOTH, true},       {ONLY_THEIRS, false}, {BOTH, true},
    {BOTH, false},      {BOTH, false},      {BOTH, false},        {BOTH, false},
};
enum { ROUND_COUNT = sizeof ROUNDS / sizeof ROUNDS[0] };

/* For so long one believed that it acts; times of CLOCK_BOOTTIME. */
struct span {
    int64_t server_id, from_ns, to_ns;
    int64_t token; /* 0: Go's have none */
};

/* etcd gave the active key to one. */
struct reign {
    int64_t server_id, revision;
};

struct match {
    struct etcd_fixture *etcd;
    const char *endpoint;
    struct lag *lag;
    char book_path[PATH_BYTES], board_path[PATH_BYTES];
    struct belief_book *book;
    struct board board;
    struct process processes[SEATS];
    struct span theirs[SPANS_MAX]; /* what Go's processes believed, as the board had it */
    size_t their_count;
    struct reign reigns[SPANS_MAX]; /* by etcd's history, in order */
    size_t reign_count;
    bool is_held; /* so far in the history */
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

static int64_t now_ns(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}

/* The board's clock stands still while the machine sleeps, the book's does not. */
static int64_t of_board(int64_t at_ns)
{
    return at_ns + now_ns() - clock_ns(CLOCK_MONOTONIC);
}

static bool is_ours(int seat)
{
    return seat < OURS;
}

/* ---- Go's program ---- */

/* False: this machine cannot, for want of Go or of the modules; what does not compile is a
 * failure. */
static bool build_peer(void)
{
    static const char *const SIGNS[] = {"not found", "GOPROXY=off", "toolchain", "requires go"};
    const char *const arguments[] = {
        "sh", "-c", "GOPROXY=off exec go build -mod=readonly -o '" ROLLCALL_TEST_PEER "' .", NULL};
    struct process process;
    const bool ended = process_run(
        &process,
        &(const struct process_options){.arguments = arguments,
                                        .folder = ROLLCALL_TEST_SOURCE "/bench/peers/clientv3"},
        BUILD_MS);
    const bool built = ended && process.exit_code == 0;
    bool lacks = false;
    for (size_t i = 0; i < sizeof SIGNS / sizeof SIGNS[0]; i++) {
        lacks |= strstr(process.err.data, SIGNS[i]) != NULL;
    }
    if (!built) {
        fprintf(stderr, "%s: upstream's loop in Go cannot be built: %s\n",
                lacks ? "skipped" : "failed", process.err.data);
    }
    CHECK(built || lacks);
    process_destroy(&process);
    return built;
}

/* ---- who stands ---- */

static void start(struct match *match, int seat)
{
    char id[16], slot[16], ttl[16];
    snprintf(id, sizeof id, "%d", seat + 1);
    snprintf(slot, sizeof slot, "%d", seat);
    snprintf(ttl, sizeof ttl, "%d", (int)TTL_S);
    const char *const ours[] = {
        ROLLCALL_TEST_CANDIDATE, match->endpoint, ROOT, id, ttl, match->book_path, ROLE, NULL};
    const char *const theirs[] = {ROLLCALL_TEST_PEER, "failover", match->board_path, slot,
                                  match->endpoint,    ttl,        "single-key",      NULL};
    CHECK(process_start(&match->processes[seat], &(const struct process_options){
                                                     .arguments = is_ours(seat) ? ours : theirs}));
    CHECK(process_wait_for(&match->processes[seat], is_ours(seat) ? "stands" : "\nready", WAIT_MS));
}

static struct board_slot *slot_of(const struct match *match, int seat)
{
    return &match->board.slot[seat];
}

static void order(struct match *match, int seat, enum board_order what)
{
    struct board_slot *slot = slot_of(match, seat);
    const int64_t done = slot->done, until_ms = process_now_ms() + WAIT_MS;
    slot->order = what;
    process_signal(&match->processes[seat], SIGUSR1);
    while (slot->done == done) {
        CHECK(process_now_ms() < until_ms);
        CHECK(process_running(&match->processes[seat]));
        process_sleep_ms(LOOK_MS);
    }
}

static void make_file(char *path, const char *what, size_t size_bytes)
{
    snprintf(path, PATH_BYTES, "/tmp/rollcall-%s-XXXXXX", what);
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_INT(ftruncate(fd, (off_t)size_bytes), 0);
    close(fd);
}

static void open_match(struct match *match)
{
    *match = (struct match){.etcd = etcd_fixture_create(NULL), .lag = lag_create()};
    CHECK(match->etcd != NULL);
    match->endpoint = etcd_fixture_endpoint(match->etcd);
    make_file(match->book_path, "beliefs", sizeof *match->book);
    make_file(match->board_path, "board", 0);
    CHECK(board_create(&match->board, match->board_path));
    const int fd = open(match->book_path, O_RDWR | O_CLOEXEC);
    match->book = mmap(NULL, sizeof *match->book, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(match->book != MAP_FAILED);
    close(fd);
    for (int seat = SEATS; seat-- > 0;) { /* Go's are the oldest, and ours wait 40 ms for each */
        start(match, seat);
    }
}

static void close_match(struct match *match)
{
    for (int seat = 0; seat < SEATS; seat++) {
        process_destroy(&match->processes[seat]);
    }
    munmap(match->book, sizeof *match->book);
    board_close(&match->board);
    unlink(match->book_path);
    unlink(match->board_path);
    lag_destroy(match->lag);
    etcd_fixture_destroy(match->etcd);
}

/* ---- a round ---- */

/* Whether it believes now that it acts, and did not before that time. */
static bool acts_since(const struct match *match, int seat, int64_t after_ns)
{
    const struct board_slot *slot = slot_of(match, seat);
    const uint32_t count = match->book->count;
    if (!is_ours(seat)) {
        return slot->state == BOARD_ACTIVE && of_board(slot->activated_ns) > after_ns;
    }
    CHECK(count <= BELIEFS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct belief *one = &match->book->beliefs[i];
        if (one->token != 0 && one->pid == match->processes[seat].pid && one->first_ns > after_ns &&
            one->last_ns > now_ns() - (int64_t)FRESH_MS * NS_PER_MS) {
            return true;
        }
    }
    return false;
}

static int await_acting(const struct match *match, int64_t after_ns)
{
    const int64_t until_ms = process_now_ms() + WAIT_MS;
    for (;;) {
        for (int seat = 0; seat < SEATS; seat++) {
            if (acts_since(match, seat, after_ns)) {
                return seat;
            }
        }
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(LOOK_MS);
    }
}

/* Those that are not to follow, but for who acts. */
static void signal_others(struct match *match, enum side side, int acting, int number)
{
    for (int seat = 0; seat < SEATS && side != BOTH; seat++) {
        if (is_ours(seat) != (side == ONLY_OURS) && seat != acting) {
            process_signal(&match->processes[seat], number);
        }
    }
}

static void end(struct match *match, int seat, bool kill)
{
    struct process *process = &match->processes[seat];
    struct board_slot *slot = slot_of(match, seat);
    const int64_t from_ns = of_board(slot->activated_ns);
    if (kill || is_ours(seat)) {
        process_signal(process, kill ? SIGKILL : SIGTERM);
        CHECK(process_wait(process, WAIT_MS));
        CHECK_INT(process->exit_code, kill ? 128 + SIGKILL : 0);
    } else {
        order(match, seat, BOARD_CLOSE);
    }
    if (!is_ours(seat)) {
        CHECK(match->their_count < SPANS_MAX);
        match->theirs[match->their_count++] =
            (struct span){.server_id = SERVER_ID_0 + seat,
                          .from_ns = from_ns,
                          .to_ns = kill ? now_ns() : of_board(slot->left_ns)};
    }
}

static void bring_back(struct match *match, int seat)
{
    if (match->processes[seat].pid == 0) {
        process_destroy(&match->processes[seat]);
        slot_of(match, seat)->state = BOARD_AWAY;
        start(match, seat);
    } else {
        order(match, seat, BOARD_JOIN);
    }
}

/* Returns who acts then. */
static int play(struct match *match, const struct round *round, int acting)
{
    const int64_t began_ns = now_ns(), began_ms = process_now_ms();
    signal_others(match, round->side, acting, SIGSTOP);
    end(match, acting, round->kill);
    const int next = await_acting(match, began_ns);
    const int64_t late_ms = lag_ms(match->lag, began_ms, process_now_ms());
    const int64_t took_ms = (now_ns() - began_ns) / NS_PER_MS;
    CHECK(took_ms <= (round->kill ? KILLED_MS : LEFT_MS) + late_ms);
    CHECK(round->side == BOTH || is_ours(next) == (round->side == ONLY_OURS));
    signal_others(match, round->side, acting, SIGCONT);
    bring_back(match, acting);
    return next;
}

/* ---- what is checked ---- */

/* Nobody is given what another has; one that has it may mark it, when it leaves. */
static void note_event(void *user, const struct gateway_event *event)
{
    struct match *match = user;
    if (strcmp(event->key, ACTIVE) != 0) {
        return;
    }
    if (event->deleted) {
        CHECK(match->is_held);
        match->is_held = false;
        return;
    }
    const char *id = strstr(event->value, "\"ServerID\":");
    CHECK(id != NULL);
    const int64_t server_id = strtoll(id + strlen("\"ServerID\":"), NULL, 10);
    if (match->is_held) {
        CHECK_INT(server_id, match->reigns[match->reign_count - 1].server_id);
        CHECK(strstr(event->value, "\"Stopping\":true") != NULL);
        return;
    }
    CHECK(match->reign_count < SPANS_MAX);
    match->is_held = true;
    match->reigns[match->reign_count++] =
        (struct reign){.server_id = server_id, .revision = event->revision};
}

static int compare(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return (left->from_ns > right->from_ns) - (left->from_ns < right->from_ns);
}

static size_t collect(const struct match *match, struct span spans[SPANS_MAX])
{
    size_t count = match->their_count;
    memcpy(spans, match->theirs, count * sizeof spans[0]);
    for (uint32_t i = 0; i < match->book->count; i++) {
        const struct belief *one = &match->book->beliefs[i];
        CHECK(count < SPANS_MAX);
        spans[count++] = (struct span){.server_id = one->server_id,
                                       .from_ns = one->first_ns,
                                       .to_ns = one->last_ns,
                                       .token = one->token};
    }
    qsort(spans, count, sizeof spans[0], compare);
    return count;
}

/* All that was believed, in order: each was given the key by etcd then, and no two believed at one
 * instant. */
static void check_match(struct match *match)
{
    static struct span spans[SPANS_MAX];
    const size_t count = collect(match, spans);
    int64_t last = 0, closest_ns = INT64_MAX;
    CHECK(gateway_put(match->endpoint, ROOT "/end", "x", &last));
    CHECK(gateway_history(match->endpoint, ROOT, 1, last, note_event, match));
    CHECK_INT(count, match->reign_count);
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(spans[i].server_id, match->reigns[i].server_id);
        CHECK(spans[i].token == 0 || spans[i].token == match->reigns[i].revision);
        if (i != 0) {
            const int64_t apart_ns = spans[i].from_ns - spans[i - 1].to_ns;
            closest_ns = apart_ns < closest_ns ? apart_ns : closest_ns;
            CHECK(apart_ns > 0);
        }
    }
    outage_say("the closest that two beliefs came, in us", closest_ns / 1000);
}

TEST(election_upstream, its_loop_in_go_and_ours_contest_one_key_and_no_two_have_it)
{
    static struct match match;
    int contests = 0, won = 0;
    if (!build_peer()) {
        return;
    }
    open_match(&match);
    int acting = await_acting(&match, 0);
    for (int i = 0; i < CYCLES * ROUND_COUNT; i++) {
        const struct round *round = &ROUNDS[i % ROUND_COUNT];
        acting = play(&match, round, acting);
        contests += round->side == BOTH;
        won += round->side == BOTH && is_ours(acting);
    }
    outage_say("where both sides could, takeovers", contests);
    outage_say("of which ours were", won);
    for (int seat = OURS; seat < SEATS; seat++) { /* Go's would not notice before it is too late */
        CHECK_INT(slot_of(&match, seat)->lost, 0);
    }
    for (int left = SEATS; left > 0; left--) { /* one after the other, until nobody is left */
        const int64_t began_ns = now_ns();
        end(&match, acting, false);
        acting = left == 1 ? acting : await_acting(&match, began_ns);
    }
    check_match(&match);
    close_match(&match);
}
