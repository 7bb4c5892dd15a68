/*
 * candidate - a process that stands for a role, and notes whenever it believes that it acts, until
 * SIGTERM: then it leaves, and ends with 0.
 *
 *     candidate ENDPOINTS ROOT SERVER_ID TTL_S BOOK [ROLE]
 *
 * ROLE: else "rootcoord".
 */
#include "support/belief.h"

#include <rollcall/election.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { NAP_NS = 200000, LEAVE_MS = 10000, NS_PER_S = 1000000000 };

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
    (void)number;
    told_to_end = 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static struct belief_book *open_book(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    void *book =
        fd < 0 ? MAP_FAILED
               : mmap(NULL, sizeof(struct belief_book), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) {
        close(fd);
    }
    return book == MAP_FAILED ? NULL : book;
}

/* Notes what it believes, every now and then, until it is told to end. */
static void look(struct rollcall_session *session, struct belief_book *book, int64_t server_id)
{
    struct belief *belief = NULL;
    while (!told_to_end) {
        const int64_t before_ns = now_ns();
        const int64_t token = rollcall_election_token(session);
        const int64_t after_ns = now_ns();
        if (token == 0) {
            belief = NULL;
        } else if (belief == NULL || belief->token != token) {
            belief = &book->beliefs[atomic_fetch_add(&book->count, 1) % BELIEFS_MAX];
            belief->server_id = server_id;
            belief->pid = getpid();
            belief->first_ns = after_ns;
            belief->last_ns = before_ns;
            belief->token = token;
        } else {
            belief->last_ns = before_ns;
        }
        nanosleep(&(const struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
}

static int stand(char **words, const char *role, struct rollcall_runtime *runtime,
                 struct rollcall_etcd **etcd, struct rollcall_session **session)
{
    struct rollcall_error error;
    if (rollcall_etcd_connect(runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = words[1]), etcd,
                              &error) != ROLLCALL_OK ||
        rollcall_session_start(
            *etcd,
            ROLLCALL_SESSION_OPTIONS(.root = words[2], .role = role, .address = "127.0.0.1:53100",
                                     .server_id = atoll(words[3]), .ttl_s = atoll(words[4]),
                                     .retries = 1000, .connect_timeout_ms = 60000,
                                     .on_lost = ROLLCALL_ON_LOST_REREGISTER,
                                     .election = ROLLCALL_ELECTION_OPTIONS(.user = NULL)),
            session, &error) != ROLLCALL_OK) {
        fprintf(stderr, "candidate: %s\n", error.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct rollcall_runtime *runtime = NULL;
    struct rollcall_etcd *etcd = NULL;
    struct rollcall_session *session = NULL;
    struct belief_book *book = argc == 6 || argc == 7 ? open_book(argv[5]) : NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, on_signal);
    if (book == NULL || rollcall_runtime_create(NULL, &runtime, NULL) != ROLLCALL_OK ||
        stand(argv, argc == 7 ? argv[6] : "rootcoord", runtime, &etcd, &session) != EXIT_SUCCESS) {
        return EXIT_FAILURE;
    }
    printf("stands\n");
    fflush(stdout);
    look(session, book, atoll(argv[3]));
    const bool left = rollcall_session_close(session, LEAVE_MS) == ROLLCALL_OK &&
                      rollcall_etcd_close(etcd) == ROLLCALL_OK &&
                      rollcall_runtime_destroy(runtime) == ROLLCALL_OK;
    return left ? EXIT_SUCCESS : EXIT_FAILURE;
}
