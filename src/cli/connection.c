#include "cli/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PASSWORD_MAX_BYTES = 1024, PATH_BYTES = 4096 };

/* Who we are to etcd. */
struct credentials {
    const char *user, *password;   /* NULL: no authentication; borrowed, or in what follows */
    char file[PASSWORD_MAX_BYTES]; /* the first line of the password file */
    char variable[2 * PASSWORD_MAX_BYTES]; /* ETCDCTL_USER, taken apart */
};

/* How much of `text` is its first line, without what ends it. */
static size_t line_size(const char *text, size_t size)
{
    const char *newline = memchr(text, '\n', size);
    size = newline == NULL ? size : (size_t)(newline - text);
    return size > 0 && text[size - 1] == '\r' ? size - 1 : size;
}

/* The first line of the file.  Never says anything of what it read; `name`: the option. */
static enum rollcall_status read_password(const char *name, const char *path,
                                          char password[PASSWORD_MAX_BYTES],
                                          struct rollcall_error *error)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID, "%s %s cannot be opened: %s", name,
                                  path, strerror(errno));
    }
    size_t size = 0;
    ssize_t count = 1;
    while (count > 0 && size < PASSWORD_MAX_BYTES) {
        count = read(fd, password + size, PASSWORD_MAX_BYTES - size);
        size += count > 0 ? (size_t)count : 0;
    }
    const int failure = count < 0 ? errno : 0;
    close(fd);
    if (failure != 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID, "%s %s cannot be read: %s", name, path,
                                  strerror(failure));
    }
    size = line_size(password, size);
    if (size == 0 || size == PASSWORD_MAX_BYTES || memchr(password, '\0', size) != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "%s %s holds no password: put it in its first line", name, path);
    }
    password[size] = '\0';
    return ROLLCALL_OK;
}

/* NAME:PASSWORD; both parts are there. */
static enum rollcall_status split_user(const char *user, struct credentials *credentials,
                                       struct rollcall_error *error)
{
    const size_t size = strlen(user);
    if (size >= sizeof credentials->variable) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "ETCDCTL_USER is too long: give at most %zu bytes",
                                  sizeof credentials->variable - 1);
    }
    memcpy(credentials->variable, user, size + 1);
    char *colon = strchr(credentials->variable, ':');
    *colon = '\0';
    credentials->user = credentials->variable;
    credentials->password = colon + 1;
    return ROLLCALL_OK;
}

static enum rollcall_status find_credentials(const struct cli_options *options,
                                             struct credentials *credentials,
                                             struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    credentials->user = options->user;
    credentials->password = options->password;
    if (options->user_has_password) {
        status = split_user(options->user, credentials, error);
    }
    if (status == ROLLCALL_OK && options->password_file != NULL) {
        status = read_password(cli_option_origin(options, "--password-file"),
                               options->password_file, credentials->file, error);
        credentials->password = credentials->file;
    }
    return status;
}

/* The library names an option of its own; puts the variable it came from in front. */
static void name_variable(const struct cli_options *options, struct rollcall_error *error)
{
    static const struct {
        const char *word, *option;
    } names[] = {{"endpoint", "--endpoints"},
                 {"ca_file", "--cacert"},
                 {"cert_file", "--cert"},
                 {"key_file", "--key"},
                 {"fail points", "--failpoints"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *origin = cli_option_origin(options, names[i].option);
        if (origin[0] != '-' && strstr(error->text, names[i].word) != NULL) {
            const struct rollcall_error library = *error;
            ROLLCALL_DROP(rollcall_error_set(error, library.status, "%s: %s", origin, library.text),
                          "it answers the status it was given");
            return;
        }
    }
}

/* The program that we are; by a name that lasts when another version takes its place.  When it
 * cannot be told, by what the kernel calls it. */
static const char *own_path(char path[PATH_BYTES])
{
    const ssize_t size = readlink("/proc/self/exe", path, PATH_BYTES - 1);
    if (size <= 0 || size == PATH_BYTES - 1) {
        return "/proc/self/exe";
    }
    path[size] = '\0';
    return path;
}

static enum rollcall_status connect_etcd(const struct cli_options *options,
                                         struct cli_connection *connection,
                                         struct rollcall_error *error)
{
    struct credentials credentials = {0};
    char path[PATH_BYTES];
    enum rollcall_status status = find_credentials(options, &credentials, error);
    if (status == ROLLCALL_OK) {
        status = rollcall_etcd_connect(
            connection->runtime,
            ROLLCALL_ETCD_OPTIONS(.endpoints = options->endpoints,
                                  .dial_timeout_ms = options->dial_timeout_ms,
                                  .call_timeout_ms = options->call_timeout_ms,
                                  .user = credentials.user, .password = credentials.password,
                                  .ca_file = options->ca_file, .cert_file = options->cert_file,
                                  .key_file = options->key_file,
                                  .sentinel = options->sentinel ? own_path(path) : NULL),
            &connection->etcd, error);
        if (status == ROLLCALL_E_INVALID) {
            name_variable(options, error);
        }
    }
    explicit_bzero(&credentials, sizeof credentials);
    return status;
}

enum rollcall_status cli_connect(const struct cli_options *options,
                                 struct cli_connection *connection, struct rollcall_error *error)
{
    *connection = (struct cli_connection){0};
    enum rollcall_status status =
        rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = options->log_level,
                                                         .failpoints = options->failpoints),
                                &connection->runtime, error);
    if (status != ROLLCALL_OK) {
        connection->runtime = NULL;
        name_variable(options, error);
        return status;
    }
    status = connect_etcd(options, connection, error);
    if (status != ROLLCALL_OK) {
        connection->etcd = NULL;
        cli_disconnect(connection);
    }
    return status;
}

void cli_disconnect(struct cli_connection *connection)
{
    if (connection->etcd != NULL) {
        ROLLCALL_DROP(rollcall_etcd_close(connection->etcd), "the process ends");
    }
    if (connection->runtime != NULL) {
        ROLLCALL_DROP(rollcall_runtime_destroy(connection->runtime), "the process ends");
    }
    *connection = (struct cli_connection){0};
}

int64_t cli_connect_timeout_ms(const struct cli_options *options)
{
    int64_t endpoints = 1;
    for (const char *at = options->endpoints; at != NULL && *at != '\0'; at++) {
        endpoints += *at == ',';
    }
    return options->dial_timeout_ms * endpoints;
}

struct rollcall_watch_options cli_watch_options(const struct cli_options *options,
                                                rollcall_watch_event_fn *on_event, void *user)
{
    return *ROLLCALL_WATCH_OPTIONS(.root = options->root, .role = options->role,
                                   .raw_prefix = options->raw_prefix,
                                   .version_range = options->range,
                                   .from_revision = options->from_revision,
                                   .connect_timeout_ms = cli_connect_timeout_ms(options),
                                   .on_event = on_event, .user = user);
}
