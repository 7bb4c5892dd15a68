/*
 * cli/target.h - the session that a KEY of `stop` or `revoke` means, as it is now.
 *
 * Threads: main.
 * Memory:  cli_target_fini frees it, also after a failure.  A zeroed struct is empty.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "cli/connection.h"
#include "cli/output.h"

#include <rollcall/admin.h>

struct cli_target {
    struct rollcall_target session; /* its key is in `key` */
    int64_t server_id;
    struct cli_text key;         /* in full, with a NUL */
    struct cli_text description; /* for people: role, server ID, address, lease, host */
};

/* Takes KEY apart; false when it is in full, but not ROOT/session/NAME.
 * root: appended, with a NUL; nothing when KEY is a name alone.  name: points into key. */
bool cli_target_split(const char *key, struct cli_text *root, const char **name);

/* Asks etcd.  Returns: ROLLCALL_OK; ROLLCALL_E_KEY_LOST when there is no such session;
 * ROLLCALL_E_CORRUPT when the key holds something else; or as rollcall_list. */
ROLLCALL_MUST_USE enum rollcall_status cli_target_find(const struct cli_options *options,
                                                       struct rollcall_etcd *etcd,
                                                       struct cli_target *target,
                                                       struct rollcall_error *error);
void cli_target_fini(struct cli_target *target);

/* {"event":EVENT,"key":K,"server_id":N,"lease_id":N,"create_revision":N} and a newline. */
void cli_target_json(struct cli_text *text, const char *event, const struct cli_target *target);

/* Connects and finds what options->target names, lets `act` act on it, and disconnects.  Returns
 * the exit code: what `act` returned, or that of a failure, which is reported. */
typedef int cli_target_fn(const struct cli_options *options, struct cli_output *output,
                          struct rollcall_etcd *etcd, const struct cli_target *target);
int cli_target_act(const struct cli_options *options, struct cli_output *output,
                   cli_target_fn *act);
/* Reports a failure; what is lost here is not a session of ours. */
int cli_target_fail(const struct cli_output *output, const struct rollcall_error *error);

#endif /* CLI_TARGET_H */
