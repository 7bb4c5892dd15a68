/*
 * tests/support/etcd_fixture.c - see etcd_fixture.h.
 *
 * Ports are drawn at random, tried by binding them, and let go again; somebody may take one before
 * etcd does.  Then etcd ends at once, and other ports are drawn.  "It answers" means: the process
 * we started holds the listening socket, and GET /health on it says there is a leader.
 */
#include "support/etcd_fixture.h"

#include "support/process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Below the ephemeral range (32768 up), above most services. */
enum { PORT_FIRST = 20000, PORT_COUNT = 12000, TRIES = 10, READY_MS = 30000, ARGUMENTS_MAX = 48 };

enum socket_state { CONNECTED = 0x01, LISTENS = 0x0A }; /* as the kernel's table has them */

struct etcd_fixture {
    struct process process;
    uint16_t client_port, peer_port;
    uint16_t health_port; /* client_port, unless that one talks TLS */
    char folder[256];
    char log_path[300];
    char endpoint[32];
    const char *const *more_arguments;
};

/* ---- ports ---- */

int etcd_fixture_socket(uint16_t port, int flags, struct sockaddr_in *address)
{
    *address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

static bool is_free(uint16_t port)
{
    struct sockaddr_in address;
    const int fd = etcd_fixture_socket(port, 0, &address);
    const bool free_now =
        fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return free_now;
}

uint16_t etcd_fixture_draw_port(uint16_t taken)
{
    for (int i = 0; i < 100; i++) {
        uint32_t drawn = 0;
        if (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn) {
            return 0;
        }
        const uint16_t port = (uint16_t)(PORT_FIRST + drawn % PORT_COUNT);
        if (port != taken && is_free(port)) {
            return port;
        }
    }
    return 0;
}

/* The inode of the socket at 127.0.0.1:port, from the kernel's table: the one that listens there,
 * or the one that is connected to to_port.  0: there is none. */
static unsigned long inode_of(uint16_t port, enum socket_state state, uint16_t to_port)
{
    FILE *table = fopen("/proc/net/tcp", "re");
    char line[512];
    unsigned long inode = 0;
    while (table != NULL && inode == 0 && fgets(line, sizeof line, table) != NULL) {
        unsigned int address = 0, line_port = 0, line_to = 0, line_state = 0;
        unsigned long line_inode = 0;
        const int fields = sscanf(line, "%*d: %8X:%4X %*8X:%4X %2X %*s %*s %*s %*s %*s %lu",
                                  &address, &line_port, &line_to, &line_state, &line_inode);
        if (fields == 5 && address == htonl(INADDR_LOOPBACK) && line_port == port &&
            line_to == to_port && line_state == state) {
            inode = line_inode;
        }
    }
    if (table != NULL) {
        fclose(table);
    }
    return inode;
}

static bool holds_socket(pid_t pid, unsigned long inode)
{
    char path[64], wanted[64], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *files = opendir(path);
    bool found = false;
    for (struct dirent *each = NULL; files != NULL && !found && (each = readdir(files)) != NULL;) {
        const ssize_t size = readlinkat(dirfd(files), each->d_name, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        found = strcmp(target, wanted) == 0;
    }
    if (files != NULL) {
        closedir(files);
    }
    return found;
}

bool etcd_fixture_connects(pid_t pid, uint16_t from_port, uint16_t to_port)
{
    const unsigned long inode = inode_of(from_port, CONNECTED, to_port);
    return inode != 0 && holds_socket(pid, inode);
}

/* ---- answering ---- */

static bool ask_health(int fd, char *answer, size_t capacity)
{
    static const char question[] = "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n";
    const struct timeval limit = {.tv_sec = 3};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != (ssize_t)sizeof question - 1) {
        return false;
    }
    size_t used = 0;
    ssize_t size = 0;
    while (used < capacity - 1 && (size = recv(fd, answer + used, capacity - 1 - used, 0)) > 0) {
        used += (size_t)size;
    }
    answer[used] = '\0';
    return true;
}

static bool is_healthy(const struct etcd_fixture *etcd)
{
    const unsigned long inode = inode_of(etcd->health_port, LISTENS, 0);
    if (inode == 0 || !holds_socket(etcd->process.pid, inode)) {
        return false;
    }
    struct sockaddr_in address;
    char answer[2048] = "";
    const int fd = etcd_fixture_socket(etcd->health_port, 0, &address);
    const bool healthy =
        fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        ask_health(fd, answer, sizeof answer) && strstr(answer, "\"health\":\"true\"") != NULL;
    if (fd >= 0) {
        close(fd);
    }
    return healthy;
}

static void print_log_end(const struct etcd_fixture *etcd)
{
    char text[2049] = "";
    FILE *log = fopen(etcd->log_path, "re");
    if (log != NULL) {
        if (fseek(log, -2048, SEEK_END) != 0) {
            rewind(log);
        }
        text[fread(text, 1, sizeof text - 1, log)] = '\0';
        fclose(log);
    }
    fprintf(stderr, "etcd fixture: etcd on %s does not answer; the end of its log:\n%s\n",
            etcd->endpoint, text);
}

bool etcd_fixture_await(struct etcd_fixture *etcd)
{
    const int64_t deadline_ms = process_now_ms() + READY_MS;
    while (process_running(&etcd->process) && process_now_ms() < deadline_ms) {
        if (is_healthy(etcd)) {
            return true;
        }
        process_sleep_ms(20);
    }
    print_log_end(etcd);
    return false;
}

/* ---- life ---- */

bool etcd_fixture_start(struct etcd_fixture *etcd)
{
    char client[64], health[64], peer[64], cluster[80], data[300];
    const bool tls = etcd->health_port != etcd->client_port;
    snprintf(client, sizeof client, "%s://127.0.0.1:%u", tls ? "https" : "http", etcd->client_port);
    snprintf(health, sizeof health, "http://127.0.0.1:%u", etcd->health_port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", etcd->peer_port);
    snprintf(cluster, sizeof cluster, "test=%s", peer);
    snprintf(data, sizeof data, "%s/data", etcd->folder);
    const char *arguments[ARGUMENTS_MAX + 1] = {"etcd",   "--name",
                                                "test",   "--data-dir",
                                                data,     "--logger",
                                                "zap",    "--log-outputs",
                                                "stderr", "--listen-client-urls",
                                                client,   "--advertise-client-urls",
                                                client,   "--listen-peer-urls",
                                                peer,     "--initial-advertise-peer-urls",
                                                peer,     "--initial-cluster",
                                                cluster};
    size_t count = 0;
    while (arguments[count] != NULL) {
        count++;
    }
    if (tls) {
        arguments[count++] = "--listen-metrics-urls";
        arguments[count++] = health;
    }
    for (const char *const *more = etcd->more_arguments;
         more != NULL && *more != NULL && count < ARGUMENTS_MAX; more++) {
        arguments[count++] = *more;
    }
    return process_start(&etcd->process, &(struct process_options){.arguments = arguments,
                                                                   .without_prefix = "ETCD_",
                                                                   .folder = etcd->folder,
                                                                   .log_path = etcd->log_path});
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_folder(const char *folder)
{
    if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        fprintf(stderr, "etcd fixture: %s could not be removed\n", folder);
    }
}

static bool make_folder(struct etcd_fixture *etcd)
{
    const char *parent = getenv("TMPDIR");
    snprintf(etcd->folder, sizeof etcd->folder, "%s/rollcall-etcd-XXXXXX",
             parent != NULL && *parent != '\0' ? parent : "/tmp");
    if (mkdtemp(etcd->folder) == NULL) {
        fprintf(stderr, "etcd fixture: cannot make a folder like %s\n", etcd->folder);
        return false;
    }
    snprintf(etcd->log_path, sizeof etcd->log_path, "%s/log", etcd->folder);
    return true;
}

struct etcd_fixture *etcd_fixture_prepare(const char *const *more_arguments)
{
    struct etcd_fixture *etcd = calloc(1, sizeof *etcd);
    if (etcd == NULL) {
        return NULL;
    }
    etcd->more_arguments = more_arguments;
    etcd->client_port = etcd_fixture_draw_port(0);
    etcd->peer_port = etcd_fixture_draw_port(etcd->client_port);
    etcd->health_port = etcd->client_port;
    snprintf(etcd->endpoint, sizeof etcd->endpoint, "127.0.0.1:%u", etcd->client_port);
    if (etcd->client_port == 0 || etcd->peer_port == 0) {
        fprintf(stderr, "etcd fixture: found no free port\n");
        free(etcd);
        return NULL;
    }
    if (!make_folder(etcd)) {
        free(etcd);
        return NULL;
    }
    return etcd;
}

bool etcd_fixture_use_tls(struct etcd_fixture *etcd)
{
    do {
        etcd->health_port = etcd_fixture_draw_port(etcd->client_port);
    } while (etcd->health_port == etcd->peer_port);
    return etcd->health_port != 0;
}

/* A fresh folder and fresh ports for every try: what a failed etcd left behind is gone.  It is
 * tried again when etcd ended at once, as it does when somebody took its port first. */
struct etcd_fixture *etcd_fixture_create(const char *const *more_arguments)
{
    bool again = true;
    for (int i = 0; i < TRIES && again; i++) {
        struct etcd_fixture *etcd = etcd_fixture_prepare(more_arguments);
        if (etcd == NULL) {
            return NULL;
        }
        const bool started = etcd_fixture_start(etcd);
        if (started && etcd_fixture_await(etcd)) {
            return etcd;
        }
        again = started && !process_running(&etcd->process);
        etcd_fixture_destroy(etcd);
    }
    return NULL;
}

void etcd_fixture_destroy(struct etcd_fixture *etcd)
{
    if (etcd != NULL) {
        process_destroy(&etcd->process);
        remove_folder(etcd->folder);
        free(etcd);
    }
}

const char *etcd_fixture_endpoint(const struct etcd_fixture *etcd)
{
    return etcd->endpoint;
}

uint16_t etcd_fixture_peer_port(const struct etcd_fixture *etcd)
{
    return etcd->peer_port;
}

const char *etcd_fixture_log_path(const struct etcd_fixture *etcd)
{
    return etcd->log_path;
}

pid_t etcd_fixture_pid(const struct etcd_fixture *etcd)
{
    return etcd->process.pid;
}

void etcd_fixture_kill(struct etcd_fixture *etcd)
{
    process_destroy(&etcd->process);
}

void etcd_fixture_freeze(struct etcd_fixture *etcd)
{
    siginfo_t stopped; /* all of its threads have, only once we are told */
    process_signal(&etcd->process, SIGSTOP);
    if (waitid(P_PID, (id_t)etcd->process.pid, &stopped, WSTOPPED | WNOWAIT) != 0) {
        fprintf(stderr, "etcd cannot be stopped: %s\n", strerror(errno));
        abort();
    }
}

void etcd_fixture_thaw(struct etcd_fixture *etcd)
{
    process_signal(&etcd->process, SIGCONT);
}

bool etcd_fixture_restart(struct etcd_fixture *etcd)
{
    return etcd_fixture_start(etcd) && etcd_fixture_await(etcd);
}

/* In its folder. */
static bool run_in(const struct etcd_fixture *etcd, const char *const *arguments)
{
    struct process process;
    const struct process_options options = {.arguments = arguments, .folder = etcd->folder};
    const bool done = process_run(&process, &options, READY_MS) && process.exit_code == 0;
    if (!done) {
        fprintf(stderr, "etcd fixture: %s: %s\n", arguments[0], process.err.data);
    }
    process_destroy(&process);
    return done;
}

bool etcd_fixture_save(struct etcd_fixture *etcd)
{
    return run_in(etcd, (const char *const[]){"cp", "-a", "data", "saved", NULL});
}

bool etcd_fixture_wipe(struct etcd_fixture *etcd)
{
    return run_in(etcd, (const char *const[]){"rm", "-r", "data", NULL});
}

bool etcd_fixture_restore(struct etcd_fixture *etcd)
{
    return etcd_fixture_wipe(etcd) &&
           run_in(etcd, (const char *const[]){"cp", "-a", "saved", "data", NULL});
}

const char *etcd_fixture_shared(void)
{
    const char *endpoint = getenv("ROLLCALL_TEST_ETCD");
    if (endpoint == NULL || *endpoint == '\0') {
        fprintf(stderr,
                "ROLLCALL_TEST_ETCD is not set: run this through tests/run.sh, or set it to "
                "the HOST:PORT of an etcd\n");
        abort();
    }
    return endpoint;
}
