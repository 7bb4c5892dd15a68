/* etcd/cluster.c - open and close: options checked, two links opened, and all of it undone. */
#include "etcd/cluster.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/options.h"
#include "base/thread.h"
#include "etcd/credentials.h"
#include "etcd/link.h"
#include "runtime/port.h"

#include <grpc/support/log.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIMEOUT_DEFAULT_MS = 5000,
    TIMEOUT_MIN_MS = 10,
    TIMEOUT_MAX_MS = 600000,
    CLOSE_TIMEOUT_MS = 5000
};
enum link_index { CONTROL, BULK, LINK_COUNT };

struct rollcall__cluster {
    struct rollcall_runtime *runtime;
    struct rollcall__link links[LINK_COUNT];
    struct rollcall__credentials *credentials; /* of the links' channels */
    char *user, *password;
    char *endpoints; /* as given, for sentences */
    int64_t call_timeout_ms;
};

/* ---- options ---- */

static enum rollcall_status check_timeout(const char *name, int64_t *timeout_ms,
                                          struct rollcall_error *error)
{
    if (*timeout_ms == 0) {
        *timeout_ms = TIMEOUT_DEFAULT_MS;
    }
    if (*timeout_ms < TIMEOUT_MIN_MS || *timeout_ms > TIMEOUT_MAX_MS) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID, "%s is %lld: give %d to %d, or 0",
                                  name, (long long)*timeout_ms, TIMEOUT_MIN_MS, TIMEOUT_MAX_MS);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check_user(const struct rollcall_etcd_options *options,
                                       struct rollcall_error *error)
{
    if ((options->user == NULL) != (options->password == NULL)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID, "%s is set without %s: give both",
                                  options->user != NULL ? "user" : "password",
                                  options->user != NULL ? "password" : "user");
    }
    if (options->user != NULL && options->user[0] == '\0') {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "user is empty: give a name, or leave user and password out");
    }
    return ROLLCALL_OK;
}

/* Fills defaults into *options. */
static enum rollcall_status check(struct rollcall_etcd_options *options,
                                  struct rollcall__endpoints *endpoints,
                                  struct rollcall_error *error)
{
    enum rollcall_status status =
        check_timeout("dial_timeout_ms", &options->dial_timeout_ms, error);
    if (status == ROLLCALL_OK) {
        status = check_timeout("call_timeout_ms", &options->call_timeout_ms, error);
    }
    if (status == ROLLCALL_OK) {
        status = check_user(options, error);
    }
    if (status == ROLLCALL_OK) {
        status = rollcall__endpoints_parse(options->endpoints, endpoints, error);
    }
    if (status == ROLLCALL_OK) {
        status = rollcall__credentials_check(options, endpoints->scheme, error);
        endpoints->scheme = options->ca_file != NULL ? ROLLCALL__SCHEME_HTTPS : endpoints->scheme;
    }
    return status;
}

/* ---- gRPC ---- */

static void discard(gpr_log_func_args *record)
{
    (void)record;
}

/* gRPC writes to stderr about every connection refused; our own answers say that.  Whoever asks
 * for its log by gRPC's environment variables gets it. */
static void start_grpc(void)
{
    if (getenv("GRPC_VERBOSITY") == NULL && getenv("GRPC_TRACE") == NULL) {
        gpr_set_log_function(discard);
    }
    sigset_t
        before; /* its threads take no signal either: one might find a thread that waits long */
    rollcall__thread_block_signals(&before);
    grpc_init();
    rollcall__thread_take_signals(&before);
}

/* Our uses of gRPC in this process.  A child that forks while there is one inherits threads that do
 * not exist and sockets that are its parent's: to use gRPC there breaks both, so it is refused. */
static struct {
    pthread_mutex_t mutex;
    pid_t pid;
    uint32_t count;
} uses = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool take_use(void)
{
    pthread_mutex_lock(&uses.mutex);
    const bool allowed = uses.count == 0 || uses.pid == getpid();
    if (allowed) {
        uses.pid = getpid();
        uses.count++;
        start_grpc();
    }
    pthread_mutex_unlock(&uses.mutex);
    return allowed;
}

static void give_use(void)
{
    pthread_mutex_lock(&uses.mutex);
    grpc_shutdown();
    uses.count--;
    pthread_mutex_unlock(&uses.mutex);
}

static enum rollcall_status open_links(struct rollcall__cluster *cluster,
                                       const struct rollcall__link_options *common,
                                       const uint32_t workers[LINK_COUNT],
                                       struct rollcall_error *error)
{
    struct rollcall__link_options options = *common;
    options.name = "rc-etcd-control";
    options.worker = workers[CONTROL];
    enum rollcall_status status =
        rollcall__link_open(&cluster->links[CONTROL], cluster->runtime, &options, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    options.name = "rc-etcd-bulk";
    options.worker = workers[BULK];
    status = rollcall__link_open(&cluster->links[BULK], cluster->runtime, &options, error);
    if (status != ROLLCALL_OK) {
        rollcall__link_stop(&cluster->links[CONTROL]);
        /* Nothing but an Authenticate can be in flight: the wait ends when its cancel is done. */
        ROLLCALL_ASSERT(rollcall__link_wait(&cluster->links[CONTROL], INT64_MAX));
        rollcall__link_close(&cluster->links[CONTROL]);
    }
    return status;
}

static enum rollcall_status connect_links(struct rollcall__cluster *cluster,
                                          const struct rollcall_etcd_options *options,
                                          const struct rollcall__endpoints *endpoints,
                                          const uint32_t workers[LINK_COUNT],
                                          struct rollcall_error *error)
{
    enum rollcall_status status = rollcall__credentials_open(
        options, rollcall__runtime_log(cluster->runtime), &cluster->credentials, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    const struct rollcall__link_options common = {
        .call_timeout_ms = options->call_timeout_ms,
        .dial_timeout_ms = options->dial_timeout_ms,
        .user = cluster->user,
        .password = cluster->password,
        .sync_members = options->sync_members,
        .endpoints = endpoints,
        .credentials = rollcall__credentials_grpc(cluster->credentials),
    };
    status = open_links(cluster, &common, workers, error);
    if (status != ROLLCALL_OK) {
        rollcall__credentials_close(cluster->credentials);
    }
    return status;
}

/* ---- open and close ---- */

static void free_cluster(struct rollcall__cluster *cluster)
{
    if (cluster->password != NULL) {
        explicit_bzero(cluster->password, strlen(cluster->password));
    }
    free(cluster->password);
    free(cluster->user);
    free(cluster->endpoints);
    free(cluster);
}

/* NULL: out of memory. */
static struct rollcall__cluster *create(struct rollcall_runtime *runtime,
                                        const struct rollcall_etcd_options *options)
{
    struct rollcall__cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL) {
        return NULL;
    }
    cluster->runtime = runtime;
    cluster->call_timeout_ms = options->call_timeout_ms;
    cluster->endpoints =
        strdup(options->endpoints == NULL ? ROLLCALL__ENDPOINTS_DEFAULT : options->endpoints);
    bool complete = cluster->endpoints != NULL;
    if (options->user != NULL) {
        cluster->user = strdup(options->user);
        cluster->password = strdup(options->password);
        complete &= cluster->user != NULL && cluster->password != NULL;
    }
    if (!complete) {
        free_cluster(cluster);
        return NULL;
    }
    return cluster;
}

enum rollcall_status rollcall__cluster_open(struct rollcall_runtime *runtime,
                                            const struct rollcall_etcd_options *options,
                                            uint32_t control_worker, uint32_t bulk_worker,
                                            struct rollcall__cluster **cluster,
                                            struct rollcall_error *error)
{
    const uint32_t workers[LINK_COUNT] = {[CONTROL] = control_worker, [BULK] = bulk_worker};
    struct rollcall_etcd_options given;
    struct rollcall__endpoints endpoints;
    enum rollcall_status status =
        rollcall__options_copy(&given, sizeof given, options, "rollcall_etcd_options", error);
    if (status == ROLLCALL_OK) {
        status = check(&given, &endpoints, error);
    }
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall__cluster *created = create(runtime, &given);
    if (created == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a connection");
    }
    if (!take_use()) {
        free_cluster(created);
        return rollcall_error_set(
            error, ROLLCALL_E_FORKED,
            "this process was forked while its parent had etcd open, and gRPC "
            "does not survive that: close etcd before the fork, or exec");
    }
    status = connect_links(created, &given, &endpoints, workers, error);
    if (status != ROLLCALL_OK) {
        give_use();
        free_cluster(created);
        return status;
    }
    *cluster = created;
    return ROLLCALL_OK;
}

enum rollcall_status rollcall__cluster_close(struct rollcall__cluster *cluster)
{
    const int64_t deadline_ns =
        rollcall__clock_monotonic_ns() + (int64_t)CLOSE_TIMEOUT_MS * 1000000;
    for (size_t i = 0; i < LINK_COUNT; i++) {
        rollcall__link_stop(&cluster->links[i]);
    }
    for (size_t i = 0; i < LINK_COUNT; i++) {
        if (!rollcall__link_wait(&cluster->links[i], deadline_ns)) {
            return ROLLCALL_E_TIMEOUT;
        }
    }
    for (size_t i = 0; i < LINK_COUNT; i++) {
        rollcall__link_close(&cluster->links[i]);
    }
    rollcall__credentials_close(cluster->credentials);
    give_use();
    free_cluster(cluster);
    return ROLLCALL_OK;
}

struct rollcall_ref rollcall__cluster_control(const struct rollcall__cluster *cluster)
{
    return cluster->links[CONTROL].actor;
}

struct rollcall_ref rollcall__cluster_bulk(const struct rollcall__cluster *cluster)
{
    return cluster->links[BULK].actor;
}

int64_t rollcall__cluster_call_timeout_ms(const struct rollcall__cluster *cluster)
{
    return cluster->call_timeout_ms;
}

const char *rollcall__cluster_endpoints(const struct rollcall__cluster *cluster)
{
    return cluster->endpoints;
}
