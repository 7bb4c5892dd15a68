/*
 * Asks every endpoint at the same time, each in a thread with a runtime of its own, so that one
 * that is silent holds up no other; and looks at this machine meanwhile.
 *
 * With a user, each is asked twice: as nobody, which most of an etcd's state needs no user for, and
 * as that user.  So a wrong password hides nothing, and authentication that is off is noticed.
 */
#include "cli/doctor.h"

#include "cli/connection.h"

#include <openssl/asn1.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#define ENDPOINT_DEFAULT "127.0.0.1:2379"
#define ROOT_DEFAULT "by-dev/meta"

/* ---- one endpoint ---- */

struct asker {
    struct cli_options options; /* a copy, for this endpoint alone */
    struct cli_doctor_endpoint *endpoint;
    pthread_t thread;
    bool started;
};

static void ask(const struct cli_options *options, struct cli_doctor_answer *answer)
{
    struct cli_connection connection;
    answer->asked = true;
    answer->error = (struct rollcall_error){.status = ROLLCALL_OK};
    enum rollcall_status status = cli_connect(options, &connection, &answer->error);
    if (status == ROLLCALL_OK) {
        status = rollcall_health(connection.etcd, options->root, options->call_timeout_ms,
                                 &answer->health, &answer->error);
        cli_disconnect(&connection);
    }
    answer->error.status = status;
}

static void *ask_endpoint(void *argument)
{
    struct asker *asker = argument;
    struct cli_options nobody = asker->options;
    nobody.user = nobody.password = nobody.password_file = NULL;
    nobody.user_has_password = false;
    ask(&nobody, &asker->endpoint->without_user);
    /* As a user only when there is somebody to ask: what is not there is not there twice. */
    if (asker->options.user != NULL && cli_doctor_answered(asker->endpoint)) {
        ask(&asker->options, &asker->endpoint->with_user);
    }
    return NULL;
}

/* ---- this machine ---- */

static int64_t read_clock_ms(clockid_t clock, bool *works)
{
    struct timespec now = {0};
    /* tidy: allow - the clock itself is what is looked at */
    *works = clock_gettime(clock, &now) == 0 && *works;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void look_at_clocks(struct cli_doctor_here *here)
{
    struct timex timex = {.modes = 0}; /* only asks */
    here->boottime_works = true;
    const int64_t monotonic_ms = read_clock_ms(CLOCK_MONOTONIC, &here->boottime_works);
    const int64_t boottime_ms = read_clock_ms(CLOCK_BOOTTIME, &here->boottime_works);
    here->suspended_ms = boottime_ms > monotonic_ms ? boottime_ms - monotonic_ms : 0;
    const int state = adjtimex(&timex);
    here->wall = state < 0 ? CLI_DOCTOR_WALL_UNKNOWN
                 : state == TIME_ERROR || (timex.status & STA_UNSYNC) != 0
                     ? CLI_DOCTOR_WALL_FREE
                     : CLI_DOCTOR_WALL_SYNCHRONISED;
}

/* A day that has begun to be missing counts: -1 right after the end. */
static bool read_days_left(const X509 *certificate, int *days_left)
{
    int days, seconds;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1) {
        return false;
    }
    *days_left = seconds < 0 ? days - 1 : days;
    return true;
}

/* leaf: the first of the file is meant, and those behind it lead to its authority; else each is an
 * authority of its own, and one that is good is enough. */
static void look_at_certificate(const char *option, const char *path, bool leaf,
                                struct cli_doctor_certificate *found)
{
    *found = (struct cli_doctor_certificate){.option = option, .path = path};
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    X509 *certificate;
    while (file != NULL && (!leaf || !found->found) &&
           (certificate = PEM_read_X509(file, NULL, NULL, NULL)) != NULL) {
        int days_left;
        if (read_days_left(certificate, &days_left) &&
            (!found->found || days_left > found->days_left)) {
            found->found = true;
            found->days_left = days_left;
        }
        X509_free(certificate);
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void look_here(const struct cli_options *options, struct cli_doctor_here *here)
{
    look_at_clocks(here);
    look_at_certificate("--cacert", options->ca_file, false, &here->authority);
    look_at_certificate("--cert", options->cert_file, true, &here->own);
}

/* ---- all of it ---- */

/* Copies `size` bytes of text and moves *place behind them; the room is known to be enough. */
static const char *copy_text(char **place, const char *from, size_t size)
{
    char *copy = *place;
    memcpy(copy, from, size);
    copy[size] = '\0';
    *place += size + 1;
    return copy;
}

static void name_endpoints(struct cli_doctor_facts *facts, const char *list, char **place)
{
    static const char blank[] = " \t";
    for (const char *at = list; facts->endpoint_count < CLI_DOCTOR_ENDPOINTS_MAX;) {
        const size_t size = strcspn(at, ",");
        const char *begin = at + strspn(at, blank);
        const char *end = at + size;
        while (end > begin && strchr(blank, end[-1]) != NULL) {
            end--;
        }
        facts->endpoints[facts->endpoint_count++].name =
            copy_text(place, begin, (size_t)(end - begin));
        if (at[size] == '\0') {
            return;
        }
        at += size + 1;
    }
}

/* Whether the options are right is the connection's to say: to all endpoints at once. */
static enum rollcall_status check(const struct cli_options *options, struct rollcall_error *error)
{
    struct cli_connection connection;
    const enum rollcall_status status = cli_connect(options, &connection, error);
    if (status == ROLLCALL_OK) {
        cli_disconnect(&connection);
    }
    return status;
}

static void ask_all(const struct cli_options *options, struct cli_doctor_facts *facts)
{
    struct asker askers[CLI_DOCTOR_ENDPOINTS_MAX];
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        struct asker *asker = &askers[i];
        asker->options = *options;
        asker->options.endpoints = facts->endpoints[i].name;
        asker->endpoint = &facts->endpoints[i];
        asker->started = pthread_create(&asker->thread, NULL, ask_endpoint, asker) == 0;
    }
    look_here(options, &facts->here);
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        if (askers[i].started) {
            pthread_join(askers[i].thread, NULL);
        } else {
            (void)ask_endpoint(&askers[i]);
        }
    }
}

enum rollcall_status cli_doctor_ask(const struct cli_options *options,
                                    struct cli_doctor_facts *facts, char *text,
                                    struct rollcall_error *error)
{
    const char *list = options->endpoints == NULL ? ENDPOINT_DEFAULT : options->endpoints;
    const size_t user_size =
        options->user == NULL ? 0 : strcspn(options->user, options->user_has_password ? ":" : "");
    memset(facts, 0, sizeof *facts);
    const enum rollcall_status status = check(options, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    if (strlen(list) + user_size + 2 + CLI_DOCTOR_ENDPOINTS_MAX > CLI_DOCTOR_NAMES_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID, "--endpoints, or --user, is too long");
    }
    facts->user = options->user == NULL ? NULL : copy_text(&text, options->user, user_size);
    facts->root = options->root == NULL ? ROOT_DEFAULT : options->root;
    name_endpoints(facts, list, &text);
    facts->tls = options->ca_file != NULL;
    ask_all(options, facts);
    return ROLLCALL_OK;
}
