/* etcd/etcd.c - connect and close: options checked, two links opened, and all of it undone. */
#include "etcd/etcd.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/options.h"
#include "etcd/credentials.h"
#include "etcd/link.h"

#include <grpc/support/log.h>

#include <pthread.h>
#include <stdatomic.h>
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

struct rollcall_etcd {
    struct rollcall_runtime *runtime;
    struct rollcall__link links[LINK_COUNT];
    char *user, *password;
    char *endpoints; /* as given, for sentences */
    int64_t call_timeout_ms;
    _Atomic uint32_t users;
    struct rollcall_ref companion_root, companion; /* set before anybody else sees it */
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
    }
    return status;
}

static enum rollcall_status check_caller(const struct rollcall_runtime *runtime,
                                         struct rollcall_error *error)
{
    if (runtime == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "runtime is NULL: create one with rollcall_runtime_create");
    }
    if (rollcall__runtime_forked(runtime)) {
        return rollcall_error_set(error, ROLLCALL_E_FORKED,
                                  "the runtime was created before this process forked: create one "
                                  "after the fork");
    }
    if (rollcall__runtime_on_worker(runtime)) {
        return rollcall_error_set(error, ROLLCALL_E_BUSY,
                                  "rollcall_etcd_connect was called from a callback: call it from "
                                  "a thread of your own");
    }
    return ROLLCALL_OK;
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
    grpc_init();
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

static enum rollcall_status open_links(struct rollcall_etcd *etcd,
                                       const struct rollcall__link_options *common,
                                       struct rollcall_error *error)
{
    struct rollcall__link_options options = *common;
    options.name = "rc-etcd-control";
    options.worker = 0;
    enum rollcall_status status =
        rollcall__link_open(&etcd->links[CONTROL], etcd->runtime, &options, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    options.name = "rc-etcd-bulk";
    options.worker = 1;
    status = rollcall__link_open(&etcd->links[BULK], etcd->runtime, &options, error);
    if (status != ROLLCALL_OK) {
        rollcall__link_stop(&etcd->links[CONTROL]);
        /* Nothing but an Authenticate can be in flight: the wait ends when its cancel is done. */
        ROLLCALL_ASSERT(rollcall__link_wait(&etcd->links[CONTROL], INT64_MAX));
        rollcall__link_close(&etcd->links[CONTROL]);
    }
    return status;
}

static enum rollcall_status connect_links(struct rollcall_etcd *etcd,
                                          const struct rollcall_etcd_options *options,
                                          const struct rollcall__endpoints *endpoints,
                                          struct rollcall_error *error)
{
    grpc_channel_credentials *credentials = NULL;
    enum rollcall_status status = rollcall__credentials_create(options, &credentials, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    const struct rollcall__link_options common = {
        .call_timeout_ms = options->call_timeout_ms,
        .dial_timeout_ms = options->dial_timeout_ms,
        .user = etcd->user,
        .password = etcd->password,
        .endpoints = endpoints,
        .credentials = credentials,
    };
    status = open_links(etcd, &common, error);
    grpc_channel_credentials_release(credentials);
    return status;
}

/* ---- connect and close ---- */

static void free_etcd(struct rollcall_etcd *etcd)
{
    if (etcd->password != NULL) {
        explicit_bzero(etcd->password, strlen(etcd->password));
    }
    free(etcd->password);
    free(etcd->user);
    free(etcd->endpoints);
    free(etcd);
}

/* NULL: out of memory. */
static struct rollcall_etcd *create(struct rollcall_runtime *runtime,
                                    const struct rollcall_etcd_options *options)
{
    struct rollcall_etcd *etcd = calloc(1, sizeof *etcd);
    if (etcd == NULL) {
        return NULL;
    }
    etcd->runtime = runtime;
    etcd->call_timeout_ms = options->call_timeout_ms;
    etcd->endpoints =
        strdup(options->endpoints == NULL ? ROLLCALL__ENDPOINTS_DEFAULT : options->endpoints);
    bool complete = etcd->endpoints != NULL;
    if (options->user != NULL) {
        etcd->user = strdup(options->user);
        etcd->password = strdup(options->password);
        complete &= etcd->user != NULL && etcd->password != NULL;
    }
    if (!complete) {
        free_etcd(etcd);
        return NULL;
    }
    return etcd;
}

enum rollcall_status rollcall__etcd_open(struct rollcall_runtime *runtime,
                                         const struct rollcall_etcd_options *options,
                                         struct rollcall_etcd **etcd, struct rollcall_error *error)
{
    struct rollcall_etcd_options given;
    struct rollcall__endpoints endpoints;
    enum rollcall_status status = check_caller(runtime, error);
    if (status == ROLLCALL_OK) {
        status =
            rollcall__options_copy(&given, sizeof given, options, "rollcall_etcd_options", error);
    }
    if (status == ROLLCALL_OK) {
        status = check(&given, &endpoints, error);
    }
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall_etcd *created = create(runtime, &given);
    if (created == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a connection");
    }
    if (!take_use()) {
        free_etcd(created);
        return rollcall_error_set(
            error, ROLLCALL_E_FORKED,
            "this process was forked while its parent had etcd open, and gRPC "
            "does not survive that: close etcd before the fork, or exec");
    }
    status = connect_links(created, &given, &endpoints, error);
    if (status != ROLLCALL_OK) {
        give_use();
        free_etcd(created);
        return status;
    }
    rollcall__runtime_hold(runtime);
    *etcd = created;
    return ROLLCALL_OK;
}

enum rollcall_status rollcall_etcd_close(struct rollcall_etcd *etcd)
{
    if (etcd == NULL) {
        return ROLLCALL_OK;
    }
    if (rollcall__runtime_forked(etcd->runtime)) {
        return ROLLCALL_E_FORKED; /* gRPC aborts when a child touches what its parent opened */
    }
    if (rollcall__runtime_on_worker(etcd->runtime) || atomic_load(&etcd->users) > 0) {
        return ROLLCALL_E_BUSY;
    }
    const int64_t deadline_ns =
        rollcall__clock_monotonic_ns() + (int64_t)CLOSE_TIMEOUT_MS * 1000000;
    rollcall_runtime_stop(etcd->runtime, etcd->companion_root);
    for (size_t i = 0; i < LINK_COUNT; i++) {
        rollcall__link_stop(&etcd->links[i]);
    }
    for (size_t i = 0; i < LINK_COUNT; i++) {
        if (!rollcall__link_wait(&etcd->links[i], deadline_ns)) {
            return ROLLCALL_E_TIMEOUT; /* a worker is stuck in a callback: close again later */
        }
    }
    for (size_t i = 0; i < LINK_COUNT; i++) {
        rollcall__link_close(&etcd->links[i]);
    }
    struct rollcall_runtime *runtime = etcd->runtime;
    give_use();
    free_etcd(etcd);
    rollcall__runtime_release(runtime);
    return ROLLCALL_OK;
}

/* ---- for the library ---- */

struct rollcall_ref rollcall__etcd_control(const struct rollcall_etcd *etcd)
{
    return etcd->links[CONTROL].actor;
}

struct rollcall_ref rollcall__etcd_bulk(const struct rollcall_etcd *etcd)
{
    return etcd->links[BULK].actor;
}

struct rollcall_runtime *rollcall__etcd_runtime(const struct rollcall_etcd *etcd)
{
    return etcd->runtime;
}

int64_t rollcall__etcd_call_timeout_ms(const struct rollcall_etcd *etcd)
{
    return etcd->call_timeout_ms;
}

const char *rollcall__etcd_endpoints(const struct rollcall_etcd *etcd)
{
    return etcd->endpoints;
}

void rollcall__etcd_adopt(struct rollcall_etcd *etcd, struct rollcall_ref root,
                          struct rollcall_ref companion)
{
    etcd->companion_root = root;
    etcd->companion = companion;
}

struct rollcall_ref rollcall__etcd_companion(const struct rollcall_etcd *etcd)
{
    return etcd->companion;
}

void rollcall__etcd_hold(struct rollcall_etcd *etcd)
{
    atomic_fetch_add(&etcd->users, 1);
}

void rollcall__etcd_release(struct rollcall_etcd *etcd)
{
    atomic_fetch_sub(&etcd->users, 1);
}
