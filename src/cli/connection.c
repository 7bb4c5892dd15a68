#include "cli/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PASSWORD_MAX_BYTES = 1024 };

/* The first line of the file.  Never says anything of what it read. */
static enum rollcall_status read_password(const char *path, char password[PASSWORD_MAX_BYTES],
                                          struct rollcall_error *error)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "--password-file %s cannot be opened: %s", path, strerror(errno));
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
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "--password-file %s cannot be read: %s", path, strerror(failure));
    }
    const char *newline = memchr(password, '\n', size);
    size = newline == NULL ? size : (size_t)(newline - password);
    if (size == 0 || size == PASSWORD_MAX_BYTES || memchr(password, '\0', size) != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "--password-file %s holds no password: put it in its first line",
                                  path);
    }
    password[size] = '\0';
    return ROLLCALL_OK;
}

static enum rollcall_status connect_etcd(const struct cli_options *options,
                                         struct cli_connection *connection,
                                         struct rollcall_error *error)
{
    char password[PASSWORD_MAX_BYTES] = "";
    enum rollcall_status status = ROLLCALL_OK;
    if (options->user != NULL) {
        status = read_password(options->password_file, password, error);
    }
    if (status == ROLLCALL_OK) {
        status = rollcall_etcd_connect(
            connection->runtime,
            ROLLCALL_ETCD_OPTIONS(.endpoints = options->endpoints,
                                  .dial_timeout_ms = options->dial_timeout_ms,
                                  .call_timeout_ms = options->call_timeout_ms,
                                  .user = options->user,
                                  .password = options->user == NULL ? NULL : password,
                                  .ca_file = options->ca_file, .cert_file = options->cert_file,
                                  .key_file = options->key_file),
            &connection->etcd, error);
    }
    explicit_bzero(password, sizeof password);
    return status;
}

enum rollcall_status cli_connect(const struct cli_options *options,
                                 struct cli_connection *connection, struct rollcall_error *error)
{
    *connection = (struct cli_connection){0};
    enum rollcall_status status = rollcall_runtime_create(
        ROLLCALL_RUNTIME_OPTIONS(.log_level = options->log_level), &connection->runtime, error);
    if (status != ROLLCALL_OK) {
        connection->runtime = NULL;
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
