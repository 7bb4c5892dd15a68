/*
 * A session is found by listing, not by composing its key: what etcd answers is compared, so root
 * and key need no rules of their own here, and the session is known by lease and create revision.
 * Only to tell garbage from nothing is the key itself asked for: a list skips both.
 */
#include "cli/target.h"

#include "cli/json.h"

#include <inttypes.h>
#include <string.h>

static const char FOLDER[] = "session/";

struct search {
    const char *key;  /* as the user gave it */
    const char *name; /* its end; the whole when it is short */
    struct cli_target *target;
    bool found;
    uint64_t skipped; /* keys there that hold garbage; perhaps the one meant is among them */
};

static bool equals(struct rollcall_bytes bytes, const char *string)
{
    return bytes.size_bytes == strlen(string) && memcmp(bytes.data, string, bytes.size_bytes) == 0;
}

/* Whether it is ROOT/session/NAME.  The first such place is looked at, so that no key in a folder
 * below, whose path ends alike, is taken for it. */
static bool has_name(struct rollcall_bytes key, const char *name)
{
    struct cli_text end = {0};
    cli_text_string(&end, FOLDER);
    cli_text_string(&end, name);
    const char *found =
        end.failed ? NULL : memmem(key.data, key.size_bytes, end.data, end.size_bytes);
    const bool is_end = found != NULL && found + end.size_bytes == key.data + key.size_bytes;
    cli_text_fini(&end);
    return is_end;
}

static void describe(struct cli_text *text, const struct rollcall_watch_event *event)
{
    const struct rollcall_record *record = event->record;
    cli_text_printable(text, event->key);
    cli_text_string(text, ": ");
    cli_text_printable(text, record->server_name);
    cli_text_format(text, ", server %" PRId64 ", at ", record->server_id);
    cli_text_printable(text, record->address);
    if (event->lease_id == 0) {
        cli_text_string(text, ", no lease");
    } else {
        cli_text_format(text, ", lease %" PRIx64, (uint64_t)event->lease_id);
    }
    if (record->host_name.size_bytes > 0) {
        cli_text_string(text, ", host ");
        cli_text_printable(text, record->host_name);
    }
}

/* On the thread of rollcall_list. */
static void on_event(void *user, const struct rollcall_watch_event *event)
{
    struct search *search = user;
    struct cli_target *target = search->target;
    if (event->type == ROLLCALL_WATCH_SNAPSHOT_END) {
        search->skipped = event->skipped;
    }
    if (event->type != ROLLCALL_WATCH_SESSION || search->found ||
        !(search->name == search->key ? has_name(event->key, search->name)
                                      : equals(event->key, search->key))) {
        return;
    }
    search->found = true;
    cli_text_append(&target->key, event->key.data, event->key.size_bytes);
    cli_text_append(&target->key, "", 1);
    describe(&target->description, event);
    target->server_id = event->record->server_id;
    target->session = (struct rollcall_target){.key = target->key.data,
                                               .lease_id = event->lease_id,
                                               .create_revision = event->create_revision};
}

bool cli_target_split(const char *key, struct cli_text *root, const char **name)
{
    const char *slash = strrchr(key, '/');
    *name = slash == NULL ? key : slash + 1;
    if (slash == NULL) {
        return true;
    }
    const size_t size = (size_t)(*name - key), folder = sizeof FOLDER - 1;
    if (**name == '\0' || size < folder || memcmp(*name - folder, FOLDER, folder) != 0 ||
        (size > folder && key[size - folder - 1] != '/')) {
        return false;
    }
    const size_t root_bytes = size - folder; /* with its slash, which "/" is alone */
    cli_text_append(root, key, root_bytes > 1 ? root_bytes - 1 : root_bytes);
    cli_text_append(root, "", 1);
    return true;
}

/* Nothing was found: because there is garbage, or nothing at all?  No session has the create
 * revision asked for, so nothing is written, even if there is one by now. */
static enum rollcall_status tell_why(const struct cli_options *options, struct rollcall_etcd *etcd,
                                     const struct search *search, const char *root,
                                     struct rollcall_error *error)
{
    struct cli_text key = {0};
    enum rollcall_status status = ROLLCALL_E_KEY_LOST;
    if (search->skipped > 0) {
        cli_text_string(&key, root);
        cli_text_string(&key, root[0] == '\0' || root[strlen(root) - 1] == '/' ? "" : "/");
        cli_text_string(&key, FOLDER);
        cli_text_string(&key, search->name);
        cli_text_append(&key, "", 1);
        const struct rollcall_target none = {.key = key.data, .create_revision = INT64_MAX};
        status = key.failed ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "no memory for a key")
                            : rollcall_mark_stopping(etcd, &none, options->call_timeout_ms, error);
        cli_text_fini(&key);
    }
    return status != ROLLCALL_E_KEY_LOST
               ? status
               : rollcall_error_set(error, status,
                                    "there is no session %.200s: look with `rollcall list`",
                                    search->key);
}

static enum rollcall_status look(const struct cli_options *options, struct rollcall_etcd *etcd,
                                 struct search *search, const char *root,
                                 struct rollcall_error *error)
{
    struct rollcall_watch_options what = cli_watch_options(options, on_event, search);
    what.root = root;
    what.role = search->name;
    what.raw_prefix = true;
    const enum rollcall_status status = rollcall_list(etcd, &what, options->call_timeout_ms, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    if (search->target->key.failed || search->target->description.failed) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "no memory for a session's key");
    }
    return search->found ? ROLLCALL_OK : tell_why(options, etcd, search, root, error);
}

enum rollcall_status cli_target_find(const struct cli_options *options, struct rollcall_etcd *etcd,
                                     struct cli_target *target, struct rollcall_error *error)
{
    struct search search = {.key = options->target, .target = target};
    struct cli_text root = {0};
    *target = (struct cli_target){0};
    enum rollcall_status status;
    if (!cli_target_split(options->target, &root, &search.name)) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "the key %.200s is not ROOT/session/NAME: give it as `rollcall "
                                    "list` prints it, or only the NAME",
                                    options->target);
    } else if (root.failed) {
        status = rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "no memory for a root");
    } else {
        status = look(options, etcd, &search, root.data != NULL ? root.data : options->root, error);
    }
    cli_text_fini(&root);
    return status;
}

void cli_target_fini(struct cli_target *target)
{
    cli_text_fini(&target->key);
    cli_text_fini(&target->description);
}

void cli_target_json(struct cli_text *text, const char *event, const struct cli_target *target)
{
    cli_json_begin(text, event);
    cli_json_string(text, "key", cli_bytes(target->session.key));
    cli_json_integer(text, "server_id", target->server_id);
    cli_json_integer(text, "lease_id", target->session.lease_id);
    cli_json_integer(text, "create_revision", target->session.create_revision);
    cli_json_end(text);
}

int cli_target_fail(const struct cli_output *output, const struct rollcall_error *error)
{
    const int code = cli_output_fail(output, error);
    return code == CLI_EXIT_LOST ? CLI_EXIT_FAILED : code;
}

int cli_target_act(const struct cli_options *options, struct cli_output *output, cli_target_fn *act)
{
    struct cli_connection connection;
    struct cli_target target = {0};
    struct rollcall_error error = {0};
    int code;
    enum rollcall_status status = cli_connect(options, &connection, &error);
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_target_fail(output, &error);
    }
    status = cli_target_find(options, connection.etcd, &target, &error);
    if (status == ROLLCALL_OK) {
        code = act(options, output, connection.etcd, &target);
    } else {
        error.status = status;
        code = cli_target_fail(output, &error);
    }
    cli_target_fini(&target);
    cli_disconnect(&connection);
    return code;
}
