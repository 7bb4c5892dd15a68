/*
 * etcd/credentials.c - see credentials.h.
 *
 * gRPC's own watcher is not shown the files themselves: when one is missing, torn, or not the
 * other's, it forgets what it had, and refuses every new connection until that is repaired; and
 * when one gets shorter while it is read, it aborts the process.
 *
 * A file in memory is replaced whole, by dup3 over its descriptor: gRPC opens it by its path in
 * /proc each time, and so finds the one before or the one after.
 */
#include "etcd/credentials.h"

#include "base/clock.h"
#include "etcd/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LOOK_MS = 1000, GRPC_LOOK_S = 1, LOOKS_BEFORE_WORDS = 2, FD_PATH_BYTES = 40 };

struct seat;

struct rollcall__credentials {
    grpc_channel_credentials *grpc;
    struct rollcall__log *log;
    struct seat *seat; /* taken; NULL: no TLS */

    /* The thread's, from its start to its join. */
    struct rollcall__pem_paths paths; /* owned; absolute, for the application may change folders */
    struct rollcall__pem pem;         /* what gRPC has */
    char trouble[ROLLCALL_ERROR_TEXT_BYTES]; /* of the files as they are now; "": none */
    int trouble_looks;                       /* how often it was there, up to LOOKS_BEFORE_WORDS */

    pthread_t thread;
    bool has_thread;
    struct rollcall__monitor stopping; /* guards `stop`, and tells of it */
    bool stop;
};

enum rollcall_status rollcall__credentials_check(const struct rollcall_etcd_options *options,
                                                 enum rollcall__scheme scheme,
                                                 struct rollcall_error *error)
{
    if ((options->cert_file == NULL) != (options->key_file == NULL)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "%s is set without %s: mutual TLS needs both",
                                  options->cert_file != NULL ? "cert_file" : "key_file",
                                  options->cert_file != NULL ? "key_file" : "cert_file");
    }
    if (options->cert_file != NULL && options->ca_file == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "cert_file is set without ca_file: give the CA that signed "
                                  "etcd's certificate");
    }
    if (scheme == ROLLCALL__SCHEME_HTTPS && options->ca_file == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "an endpoint says https://, but ca_file is not set: give the CA "
                                  "that signed etcd's certificate");
    }
    if (scheme == ROLLCALL__SCHEME_HTTP && options->ca_file != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "an endpoint says http://, but ca_file asks for TLS: write "
                                  "https://, or leave ca_file out");
    }
    return ROLLCALL_OK;
}

/* ---- files in memory ---- */

/*
 * What gRPC watches: descriptors that are never closed, but given to the next connection.  For now
 * and then gRPC goes on looking at them for a while after the last channel was destroyed, and what
 * it would find under a number that is another's by then can make it abort the process.
 */
struct seat {
    int ca_fd, identity_fd;
    struct seat *next; /* in the list of those that are free */
};

static struct {
    pthread_mutex_t mutex;
    struct seat *free;
} seats = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool write_all(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left != 0) {
        const ssize_t written = write(fd, text, left);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            text += written;
            left -= (size_t)written;
        }
    }
    return true;
}

/* A new file that holds both texts; -1: failed, see errno. */
static int create_file(const char *first, const char *second)
{
    const int fd = memfd_create("rollcall-tls", MFD_CLOEXEC);
    if (fd >= 0 && !(write_all(fd, first) && write_all(fd, "\n") && write_all(fd, second))) {
        const int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

/* Puts a new file in place of the one there, which is never changed: who has it open reads it to
 * its end. */
static bool put_file(int fd, const char *first, const char *second)
{
    const int fresh = create_file(first, second);
    if (fresh < 0) {
        return false;
    }
    const bool done = dup3(fresh, fd, O_CLOEXEC) >= 0;
    const int cause = errno;
    close(fresh);
    errno = cause;
    return done;
}

static struct seat *create_seat(void)
{
    struct seat *seat = malloc(sizeof *seat);
    if (seat == NULL) {
        return NULL;
    }
    seat->ca_fd = create_file("", "");
    seat->identity_fd = create_file("", "");
    if (seat->ca_fd < 0 || seat->identity_fd < 0) { /* gRPC has seen neither */
        const int cause = errno;
        close(seat->ca_fd);
        close(seat->identity_fd);
        free(seat);
        errno = cause;
        return NULL;
    }
    return seat;
}

/* NULL: failed, see errno. */
static struct seat *take_seat(void)
{
    pthread_mutex_lock(&seats.mutex);
    struct seat *seat = seats.free;
    if (seat != NULL) {
        seats.free = seat->next;
    }
    pthread_mutex_unlock(&seats.mutex);
    return seat != NULL ? seat : create_seat();
}

/* Nothing of a key is left in it, unless there is no memory even for that. */
static void give_seat(struct seat *seat)
{
    (void)put_file(seat->ca_fd, "", "");
    (void)put_file(seat->identity_fd, "", "");
    pthread_mutex_lock(&seats.mutex);
    seat->next = seats.free;
    seats.free = seat;
    pthread_mutex_unlock(&seats.mutex);
}

static enum rollcall_status no_files(struct rollcall_error *error)
{
    return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                              "cannot keep certificates in memory: %s: allow this process more "
                              "memory and open files",
                              strerror(errno));
}

/* Hands gRPC what was read.  Key and certificate are in one file: there is no moment between. */
static enum rollcall_status publish(const struct rollcall__credentials *credentials,
                                    const struct rollcall__pem *pem, struct rollcall_error *error)
{
    const struct seat *seat = credentials->seat;
    const bool done = put_file(seat->ca_fd, pem->ca, "") &&
                      (pem->key == NULL || put_file(seat->identity_fd, pem->key, pem->cert));
    return done ? ROLLCALL_OK : no_files(error);
}

/* ---- looking at the files on disk ---- */

/* One that is there for a single look is what replacing file after file looks like. */
static void note_trouble(struct rollcall__credentials *credentials,
                         const struct rollcall_error *error)
{
    if (strcmp(credentials->trouble, error->text) != 0) {
        memcpy(credentials->trouble, error->text, sizeof credentials->trouble);
        credentials->trouble_looks = 0;
    }
    if (credentials->trouble_looks < LOOKS_BEFORE_WORDS &&
        ++credentials->trouble_looks == LOOKS_BEFORE_WORDS) {
        rollcall__log_write(credentials->log, ROLLCALL_ERROR, "etcd",
                            "new connections go on with the TLS files as they were: %s",
                            error->text);
    }
}

static void look(struct rollcall__credentials *credentials)
{
    struct rollcall__pem pem;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    enum rollcall_status status = rollcall__pem_read(&credentials->paths, &pem, &error);
    const bool changed = status == ROLLCALL_OK && !rollcall__pem_equal(&pem, &credentials->pem);
    if (changed) {
        status = rollcall__pem_check(&pem, &credentials->paths, &error);
    }
    if (changed && status == ROLLCALL_OK) {
        status = publish(credentials, &pem, &error);
    }
    if (status != ROLLCALL_OK) {
        note_trouble(credentials, &error);
    } else {
        credentials->trouble[0] = '\0';
    }
    if (changed && status == ROLLCALL_OK) {
        const struct rollcall__pem before = credentials->pem;
        credentials->pem = pem;
        pem = before;
        rollcall__log_write(credentials->log, ROLLCALL_INFO, "etcd",
                            "the TLS files were replaced: new connections use them");
    }
    rollcall__pem_free(&pem);
}

static void *look_until_stopped(void *argument)
{
    struct rollcall__credentials *credentials = argument;
    rollcall__monitor_lock(&credentials->stopping);
    while (!credentials->stop) {
        const int64_t next_ns = rollcall__clock_monotonic_ns() + (int64_t)LOOK_MS * 1000000;
        while (!credentials->stop && rollcall__monitor_wait(&credentials->stopping, next_ns)) {
        }
        if (!credentials->stop) {
            rollcall__monitor_unlock(&credentials->stopping);
            look(credentials);
            rollcall__monitor_lock(&credentials->stopping);
        }
    }
    rollcall__monitor_unlock(&credentials->stopping);
    return NULL;
}

/* ---- gRPC ---- */

/* NULL: /proc does not show the files in memory. */
static grpc_channel_credentials *create_tls(const struct rollcall__credentials *credentials)
{
    const bool mutual = credentials->pem.key != NULL;
    char ca[FD_PATH_BYTES], identity[FD_PATH_BYTES];
    snprintf(ca, sizeof ca, "/proc/self/fd/%d", credentials->seat->ca_fd);
    snprintf(identity, sizeof identity, "/proc/self/fd/%d", credentials->seat->identity_fd);
    if (access(ca, R_OK) != 0) {
        return NULL;
    }
    grpc_tls_certificate_provider *provider = grpc_tls_certificate_provider_file_watcher_create(
        mutual ? identity : NULL, mutual ? identity : NULL, ca, GRPC_LOOK_S);
    /* They verify the server's name by default. */
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    grpc_tls_credentials_options_watch_root_certs(options);
    if (mutual) {
        grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    }
    grpc_tls_certificate_provider_release(provider);
    return grpc_tls_credentials_create(options); /* owns the options */
}

/* ---- open and close ---- */

/* NULL: out of memory, or path is NULL. */
static char *absolute(const char *path)
{
    char *result = NULL;
    if (path == NULL || path[0] == '/') {
        return path == NULL ? NULL : strdup(path);
    }
    char *folder = getcwd(NULL, 0);
    if (folder == NULL || asprintf(&result, "%s/%s", folder, path) < 0) {
        result = NULL;
    }
    free(folder);
    return result;
}

static enum rollcall_status copy_paths(struct rollcall__pem_paths *paths,
                                       const struct rollcall_etcd_options *options,
                                       struct rollcall_error *error)
{
    paths->ca = absolute(options->ca_file);
    paths->cert = absolute(options->cert_file);
    paths->key = absolute(options->key_file);
    if (paths->ca == NULL || (options->cert_file != NULL && paths->cert == NULL) ||
        (options->key_file != NULL && paths->key == NULL)) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for credentials");
    }
    return ROLLCALL_OK;
}

static enum rollcall_status open_tls(struct rollcall__credentials *credentials,
                                     const struct rollcall_etcd_options *options,
                                     struct rollcall_error *error)
{
    enum rollcall_status status = copy_paths(&credentials->paths, options, error);
    if (status == ROLLCALL_OK) {
        status = rollcall__pem_read(&credentials->paths, &credentials->pem, error);
    }
    if (status == ROLLCALL_OK) {
        status = rollcall__pem_check(&credentials->pem, &credentials->paths, error);
    }
    if (status == ROLLCALL_OK) {
        credentials->seat = take_seat();
        status = credentials->seat == NULL ? no_files(error)
                                           : publish(credentials, &credentials->pem, error);
    }
    if (status != ROLLCALL_OK) {
        return status;
    }
    credentials->grpc = create_tls(credentials);
    if (credentials->grpc == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                  "cannot read /proc/self/fd, which TLS needs: mount /proc");
    }
    if (credentials->pem.regular) { /* a pipe is empty by now */
        status = rollcall__thread_start(&credentials->thread, "rc-etcd-files", look_until_stopped,
                                        credentials, error);
        credentials->has_thread = status == ROLLCALL_OK;
    }
    return status;
}

enum rollcall_status rollcall__credentials_open(const struct rollcall_etcd_options *options,
                                                struct rollcall__log *log,
                                                struct rollcall__credentials **credentials,
                                                struct rollcall_error *error)
{
    struct rollcall__credentials *created = calloc(1, sizeof *created);
    if (created == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for credentials");
    }
    created->log = log;
    rollcall__monitor_init(&created->stopping);
    enum rollcall_status status = ROLLCALL_OK;
    if (options->ca_file != NULL) {
        status = open_tls(created, options, error);
    } else {
        created->grpc = grpc_insecure_credentials_create();
        if (created->grpc == NULL) {
            status =
                rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for credentials");
        }
    }
    if (status != ROLLCALL_OK) {
        rollcall__credentials_close(created);
        return status;
    }
    *credentials = created;
    return ROLLCALL_OK;
}

grpc_channel_credentials *
rollcall__credentials_grpc(const struct rollcall__credentials *credentials)
{
    return credentials->grpc;
}

static void stop_thread(struct rollcall__credentials *credentials)
{
    if (credentials->has_thread) {
        rollcall__monitor_lock(&credentials->stopping);
        credentials->stop = true;
        rollcall__monitor_notify(&credentials->stopping);
        rollcall__monitor_unlock(&credentials->stopping);
        pthread_join(credentials->thread, NULL);
    }
}

static void free_paths(struct rollcall__pem_paths *paths)
{
    free(paths->ca);
    free(paths->cert);
    free(paths->key);
}

void rollcall__credentials_close(struct rollcall__credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    stop_thread(credentials);
    if (credentials->grpc != NULL) {
        grpc_channel_credentials_release(credentials->grpc);
    }
    if (credentials->seat != NULL) {
        give_seat(credentials->seat);
    }
    rollcall__pem_free(&credentials->pem);
    free_paths(&credentials->paths);
    rollcall__monitor_fini(&credentials->stopping);
    free(credentials);
}
