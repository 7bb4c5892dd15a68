/*
 * A program that holds sessions, with a sentinel beside it, and ends, or nearly, in some way that a
 * test asks for:
 *     sentinel_owner ENDPOINT ROOT SENTINEL WAY
 * Once all its sessions are ACTIVE and the sentinel is ready it says "held PID", of that, and then
 * does WAY: stay    nothing, until it is killed fork    says "child PID" of a child that has all
 * its files, execs nothing, and stays exec    becomes `sleep 1000` shut    closes its end of the
 * socket to the sentinel, behind the library's back, and stays coming  says that a companion will
 * come, and stays return  returns from main with everything open close   closes its sessions at
 * once, without leaving, and returns
 */
#include <rollcall/sentinel.h>
#include <rollcall/session.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SESSIONS = 4, TTL_S = 30, WAIT_MS = 20000, NAP_MS = 5 };

static struct rollcall_etcd *etcd;
static struct rollcall_session *sessions[SESSIONS];

static int fail(const struct rollcall_error *error)
{
    fprintf(stderr, "sentinel_owner: %s\n", error->text);
    return EXIT_FAILURE;
}

static void say(const char *word, long number)
{
    printf("%s %ld\n", word, number);
    fflush(stdout);
}

static void nap(void)
{
    const struct timespec time = {.tv_nsec = NAP_MS * 1000000L};
    nanosleep(&time, NULL);
}

/* Two that share a lease, and two with one each. */
static enum rollcall_status open_all(const char *root, struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    for (int i = 0; i < SESSIONS && status == ROLLCALL_OK; i++) {
        status = rollcall_session_open(
            etcd,
            ROLLCALL_SESSION_OPTIONS(.root = root, .role = "querynode", .address = "h:1",
                                     .server_id = i + 1, .ttl_s = TTL_S, .share_lease = i < 2),
            &sessions[i], error);
    }
    return status;
}

/* Its PID; 0: it has not come. */
static long await_sentinel(void)
{
    struct rollcall_sentinel_info info = {0};
    for (int left_ms = WAIT_MS; left_ms > 0 && !info.ready; left_ms -= NAP_MS) {
        nap();
        rollcall_etcd_sentinel(etcd, &info);
    }
    return (long)info.pid;
}

/* Its end of the socket to the sentinel is as closed, behind the library's back.  (The file itself
 * cannot be: whoever sleeps on it keeps it.)  TCP is left alone. */
static void shut_socket(void)
{
    enum { FILES = 256 };
    for (int fd = 0; fd < FILES; fd++) {
        int domain = 0;
        socklen_t size = sizeof domain;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
            shutdown(fd, SHUT_WR) == 0) {
            say("shut", fd);
        }
    }
}

static int stay(void)
{
    while (pause() < 0) {
    }
    return EXIT_FAILURE;
}

static int go(const char *way)
{
    char *const sleeper[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
    if (strcmp(way, "exec") == 0) {
        execvp(sleeper[0], sleeper);
        return EXIT_FAILURE;
    }
    if (strcmp(way, "fork") == 0) {
        const pid_t child = fork();
        if (child == 0) {
            return stay();
        }
        say("child", child);
    }
    if (strcmp(way, "shut") == 0) {
        shut_socket();
    }
    if (strcmp(way, "coming") == 0) {
        say("announced", rollcall_etcd_companion(etcd, ROLLCALL_COMPANION_COMING));
    }
    for (int i = 0; i < SESSIONS && strcmp(way, "close") == 0; i++) {
        (void)rollcall_session_close(sessions[i], 0);
    }
    return strcmp(way, "return") == 0 || strcmp(way, "close") == 0 ? EXIT_SUCCESS : stay();
}

int main(int argc, char **argv)
{
    struct rollcall_runtime *runtime;
    struct rollcall_error error = {0};
    if (argc != 5) {
        return EXIT_FAILURE;
    }
    if (open("/dev/zero", O_RDONLY) < 0) { /* that children may have */
        return EXIT_FAILURE;
    }
    if (rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = ROLLCALL_WARN), &runtime,
                                &error) != ROLLCALL_OK ||
        rollcall_etcd_connect(runtime,
                              ROLLCALL_ETCD_OPTIONS(.endpoints = argv[1], .sentinel = argv[3]),
                              &etcd, &error) != ROLLCALL_OK ||
        open_all(argv[2], &error) != ROLLCALL_OK) {
        return fail(&error);
    }
    const long sentinel = await_sentinel();
    if (sentinel == 0) {
        return EXIT_FAILURE;
    }
    say("held", sentinel);
    return go(argv[4]);
}
