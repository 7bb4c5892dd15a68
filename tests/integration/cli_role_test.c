/* The command `rollcall`, from outside: candidates for a role, and the COMMAND that one of them at
 * a time runs. */
#include "integration/cli_scene.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { VARIABLE_BYTES = 96, JOURNAL_BYTES = 4096 };

/* Where all COMMANDs of a test write what they do, in one order, and hold one lock as long as they
 * live: one that finds it held says so. */
struct arena {
    struct command_scene scene;
    char folder[32], lock[VARIABLE_BYTES], journal[VARIABLE_BYTES];
};

static void arena_open(struct arena *arena, const char *endpoint)
{
    arena->scene = command_scene_create(endpoint);
    snprintf(arena->folder, sizeof arena->folder, "/tmp/rollcall-test-XXXXXX");
    CHECK(mkdtemp(arena->folder) != NULL);
    snprintf(arena->lock, sizeof arena->lock, "LOCK=%s/lock", arena->folder);
    snprintf(arena->journal, sizeof arena->journal, "JOURNAL=%s/journal", arena->folder);
}

static const char *path_in(const char *variable)
{
    return strchr(variable, '=') + 1;
}

static void read_journal(const struct arena *arena, char text[JOURNAL_BYTES])
{
    FILE *file = fopen(path_in(arena->journal), "re");
    const size_t size = file == NULL ? 0 : fread(text, 1, JOURNAL_BYTES - 1, file);
    text[size] = '\0';
    if (file != NULL) {
        fclose(file);
    }
}

/* No COMMAND lives any more. */
static void await_nobody(const struct arena *arena)
{
    const int64_t deadline_ms = process_now_ms() + COMMAND_SOON_MS;
    const int fd = open(path_in(arena->lock), O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        CHECK(process_now_ms() < deadline_ms);
        process_sleep_ms(5);
    }
    close(fd);
}

/* What the COMMANDs did, from first to last, and nothing else. */
static void arena_check_and_close(const struct arena *arena, const char *expected)
{
    char text[JOURNAL_BYTES];
    read_journal(arena, text);
    CHECK_STR(text, expected);
    unlink(path_in(arena->journal));
    unlink(path_in(arena->lock));
    rmdir(arena->folder);
}

#define BEGIN                                                                                      \
    "exec 9>>$LOCK; flock -n 9 || echo $0 is not alone >>$JOURNAL; say() { echo $* >>$JOURNAL; "   \
    "echo $*; }; "
/* A COMMAND that ends on SIGTERM, with 9; and one that only says that it came. */
#define OBEYS BEGIN "trap 'say end $0; kill $!; exit 9' TERM; sleep 1000 9>&- & say begin $0; wait"
#define STAYS BEGIN "trap 'say told $0' TERM; say begin $0; while :; do sleep 0.1 9>&-; done"

/* So that one that ends on SIGTERM does so in time also on a busy machine. */
#define GRACE "1s"

/* A candidate with this COMMAND, which knows itself as `name`; verb: "register" or "force". */
static void stand(struct process *process, const struct arena *arena, const char *verb,
                  const char *ttl, const char *name, const char *script)
{
    const char *const environment[] = {arena->lock, arena->journal, NULL};
    command_start(process, &arena->scene,
                  &(const struct command_setting){.environment = environment},
                  (const char *const[]){verb, "coord", "--standby", "--address", name, "--ttl", ttl,
                                        "--grace", GRACE, "--on-lost", "reregister", "-o", "json",
                                        "--", "sh", "-c", script, name, NULL});
}

/* One that runs its COMMAND, and one that waits. */
static void stand_first(struct process *process, const struct arena *arena, const char *ttl,
                        const char *script)
{
    stand(process, arena, "register", ttl, "a", script);
    command_await(process, "begin a\n");
}

static void stand_by(struct process *process, const struct arena *arena, const char *ttl)
{
    stand(process, arena, "register", ttl, "b", OBEYS);
    command_await(process, "\"role\":\"STANDBY\"");
}

static void end_with(struct process *process, int exit_code)
{
    process_signal(process, SIGTERM);
    command_check_ends(process, exit_code);
    process_destroy(process);
}

/* Waits until `part` has been said so often in all. */
static void await_count(struct process *process, const char *part, int count)
{
    const int64_t deadline_ms = process_now_ms() + COMMAND_SOON_MS;
    for (;;) {
        const bool runs = process_running(process);
        int found = 0;
        for (const char *at = process->out.data; (at = strstr(at, part)) != NULL; at++) {
            found++;
        }
        if (found >= count) {
            return;
        }
        if (!runs || process_now_ms() > deadline_ms) {
            fprintf(stderr, "stderr: %s\n", process->err.data);
            CHECK_STR(process->out.data, part);
        }
        process_sleep_ms(5);
    }
}

/* SIGTERM, and once COMMAND has said so for the second time a second one, for one that stays. */
static void end_second_command(struct process *process, bool obeys)
{
    process_signal(process, SIGTERM);
    await_count(process, obeys ? "end a\n" : "told a\n", 2);
    process_signal(process, SIGTERM);
    command_check_ends(process, obeys ? 9 : 137);
    process_destroy(process);
}

static int64_t token_of(const struct process *process)
{
    const char *active = strstr(process->out.data, "\"role\":\"ACTIVE\"");
    CHECK(active != NULL);
    return command_number(active, "token");
}

TEST(cli_role, it_tells_its_role_and_its_token_and_who_waits_follows)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process first, second, list;
    char role[2 * KEY_BYTES];
    START(&first, &scene, "register", "coord", "--standby", "--address", "a:1", "-o", "json");
    command_await(&first, "\"role\":\"ACTIVE\"");
    snprintf(role, sizeof role, "\"role\":\"STANDBY\",\"token\":0,\"key\":\"%s/session/coord\"",
             scene.root);
    CHECK_ORDER(&first, "{\"event\":\"registered\"", "\"state\":\"ACTIVE\"", "{\"event\":\"role\"",
                role);
    RUN(&list, &scene, 0, "list", "coord", "-o", "json");
    CHECK_INT(command_number(list.out.data, "create_revision"), token_of(&first));
    command_check_contains(list.out.data, "\"Exclusive\":true");
    process_destroy(&list);

    START(&second, &scene, "register", "coord", "--standby", "--address", "b:1", "-o", "table");
    command_await(&second, "role STANDBY of ");
    command_check_count(&scene, 3);
    CHECK(strstr(second.out.data, "role ACTIVE") == NULL);
    process_signal(&first, SIGTERM);
    command_check_ends(&first, 0);
    CHECK_ORDER(&first, "\"role\":\"ACTIVE\"", "STOPPING", "\"role\":\"STANDBY\"", "STOPPED");
    command_await(&second, "role ACTIVE, token ");
    const char *token = strstr(second.out.data, "token ") + strlen("token ");
    CHECK(strtoll(token, NULL, 10) > token_of(&first));
    process_destroy(&first);
    command_stop(&second);
    command_check_count(&scene, 0);
}

TEST(cli_role, a_plan_is_of_an_exclusive_session_and_asks_no_etcd)
{
    struct process plan;
    RUN(&plan, NULL, 0, "register", "coord", "--standby", "--address", "a:1", "--dry-run");
    command_check_contains(plan.out.data, "\"Exclusive\":true");
    process_destroy(&plan);
}

TEST(cli_role, command_knows_the_token_and_the_active_key)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    char said[KEY_BYTES + 64];
    RUN(&session, &scene, 0, "register", "coord", "--standby", "--address", "a:1", "-o", "json",
        "--", "sh", "-c", "echo as $ROLLCALL_TOKEN $ROLLCALL_ACTIVE_KEY $ROLLCALL_SERVER_ID.");
    snprintf(said, sizeof said, "\nas %" PRId64 " %s/session/coord %" PRId64 ".\n",
             token_of(&session), scene.root, command_number(session.out.data, "server_id"));
    command_check_contains(session.out.data, said);
    process_destroy(&session);
}

TEST(cli_role, no_file_of_ours_or_of_the_guard_reaches_command)
{
    static const char script[] = "echo files $(ls /proc/self/fd) $(trap).";
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct process_options options = {.arguments = arguments};
    struct process session, alone;
    CHECK(process_run(&alone, &options, COMMAND_SOON_MS)); /* what the test itself hands down */
    RUN(&session, &scene, 0, "register", "coord", "--standby", "--address", "a:1", "--", "sh", "-c",
        script);
    command_check_contains(session.out.data, alone.out.data);
    process_destroy(&alone);
    process_destroy(&session);
}

TEST(cli_role, asked_to_leave_command_has_its_time_and_then_the_next_one_of_three_begins)
{
    struct arena arena;
    struct process first, second, third;
    arena_open(&arena, etcd_fixture_shared());
    /* It takes longer than the grace; the role is kept, so nobody is in a hurry. */
    stand_first(&first, &arena, "30",
                BEGIN "trap 'sleep 2.5 9>&-; say end $0; kill $!; exit 9' TERM;"
                      "sleep 1000 9>&- & say begin $0; wait");
    stand_by(&second, &arena, "30");
    stand(&third, &arena, "register", "30", "c", OBEYS);
    command_await(&third, "\"role\":\"STANDBY\"");
    process_signal(&first, SIGTERM);
    command_check_ends(&first, 9);
    CHECK_ORDER(&first, "begin a", "STOPPING\",\"reason\":\"asked to leave\"}", "end a\n",
                "\"role\":\"STANDBY\"", "STOPPED");
    command_await(&second, "begin b\n");
    process_destroy(&first);
    end_with(&second, 9);
    command_await(&third, "begin c\n");
    end_with(&third, 9);
    command_check_count(&arena.scene, 0);
    arena_check_and_close(&arena, "begin a\nend a\nbegin b\nend b\nbegin c\nend c\n");
}

TEST(cli_role, command_that_ends_by_itself_is_our_end_and_the_next_one_s_turn)
{
    struct arena arena;
    struct process first, second;
    arena_open(&arena, etcd_fixture_shared());
    stand_first(&first, &arena, "30", BEGIN "say begin $0; read line; say end $0; exit 7");
    command_check_ends(&first, 7); /* its input is empty */
    CHECK_ORDER(&first, "end a", "STOPPING\",\"reason\":\"COMMAND is over\"}", "STOPPED");
    process_destroy(&first);
    stand(&first, &arena, "register", "30", "a", BEGIN "say begin $0; sleep 2; say end $0");
    command_await(&first, "begin a\n");
    stand_by(&second, &arena, "30");
    command_check_ends(&first, 0);
    command_await(&second, "begin b\n");
    process_destroy(&first);
    end_with(&second, 9);
    arena_check_and_close(&arena, "begin a\nend a\nbegin a\nend a\nbegin b\nend b\n");
}

TEST(cli_role, command_runs_on_as_long_as_the_lease_is_renewed)
{
    struct arena arena;
    struct process session;
    arena_open(&arena, etcd_fixture_shared());
    stand_first(&session, &arena, "3", OBEYS);
    process_sleep_ms(9000); /* three TTLs */
    CHECK(process_running(&session));
    CHECK(strstr(session.out.data, "end a") == NULL);
    end_with(&session, 9);
    arena_check_and_close(&arena, "begin a\nend a\n");
}

TEST(cli_role, what_cannot_be_run_is_exit_127_or_126)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    RUN(&session, &scene, 127, "register", "coord", "--standby", "--address", "a:1", "-o", "json",
        "--", "rollcall-no-such-program");
    command_check_error(&session, "E_SYSTEM");
    command_check_contains(session.err.data, "rollcall-no-such-program cannot be run: No such");
    CHECK_ORDER(&session, "\"role\":\"ACTIVE\"", "STOPPED");
    process_destroy(&session);
    RUN(&session, &scene, 126, "register", "coord", "--standby", "--address", "a:1", "--", "/");
    process_destroy(&session);
    command_check_count(&scene, 0);
}

TEST(cli_role, command_that_ignores_sigterm_is_waited_for_until_a_second_signal)
{
    struct arena arena;
    struct process session;
    arena_open(&arena, etcd_fixture_shared());
    stand_first(&session, &arena, "30", STAYS);
    process_signal(&session, SIGTERM);
    command_await(&session, "told a\n");
    process_sleep_ms(2500); /* the grace of a role that is lost would be over */
    CHECK(process_running(&session));
    CHECK(strstr(session.out.data, "STOPPED") == NULL);
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 137);
    process_destroy(&session);
    arena_check_and_close(&arena, "begin a\ntold a\n");
}

TEST(cli_role, killed_its_command_ends_before_the_next_one_begins)
{
    static const struct {
        const char *script, *journal;
    } commands[] = {{OBEYS, "begin a\nend a\nbegin b\nend b\n"},
                    {STAYS, "begin a\ntold a\nbegin b\nend b\n"}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct arena arena;
        struct process first, second;
        arena_open(&arena, etcd_fixture_shared());
        stand_first(&first, &arena, "3", commands[i].script);
        stand_by(&second, &arena, "3");
        process_signal(&first, SIGKILL);
        command_check_ends(&first, 137);
        command_await(&second, "begin b\n");
        process_destroy(&first);
        end_with(&second, 9);
        arena_check_and_close(&arena, commands[i].journal);
    }
}

TEST(cli_role, killed_its_command_does_not_wait_for_the_ttl)
{
    struct arena arena;
    struct process session;
    arena_open(&arena, etcd_fixture_shared());
    stand_first(&session, &arena, "600", STAYS);
    process_signal(&session, SIGKILL);
    command_check_ends(&session, 137);
    process_destroy(&session);
    await_nobody(&arena);
    arena_check_and_close(&arena, "begin a\ntold a\n");
}

TEST(cli_role, stopped_beyond_its_ttl_its_command_ends_before_the_next_one_begins)
{
    static const struct {
        const char *script, *journal;
    } commands[] = {{OBEYS, "begin a\nend a\nbegin b\nend b\nbegin a\nend a\n"},
                    {STAYS, "begin a\ntold a\nbegin b\nend b\nbegin a\ntold a\n"}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct arena arena;
        struct process first, second;
        arena_open(&arena, etcd_fixture_shared());
        stand_first(&first, &arena, "3", commands[i].script);
        stand_by(&second, &arena, "3");
        process_signal(&first, SIGSTOP);
        command_await(&second, "begin b\n");
        CHECK(strstr(first.out.data, "LOST") == NULL);
        process_signal(&first, SIGCONT);
        command_await(&first, "LOST");
        await_count(&first, "\"role\":\"STANDBY\"", 3); /* it stands again, and waits */
        end_with(&second, 9);
        await_count(&first, "begin a\n", 2);
        end_second_command(&first, i == 0);
        arena_check_and_close(&arena, commands[i].journal);
    }
}

TEST(cli_role, force_takes_the_role_and_its_holder_stands_by)
{
    static const struct {
        const char *script, *journal;
    } commands[] = {{OBEYS, "begin a\nend a\nbegin c\nend c\nbegin a\nend a\n"},
                    {STAYS, "begin a\ntold a\nbegin c\nend c\nbegin a\ntold a\n"}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct arena arena;
        struct process first, forcing;
        arena_open(&arena, etcd_fixture_shared());
        stand_first(&first, &arena, "30", commands[i].script);
        stand(&forcing, &arena, "force", "30", "c", OBEYS);
        command_await(&forcing, "begin c\n");
        command_await(&first, "another process has taken the active key");
        CHECK(token_of(&forcing) > token_of(&first));
        end_with(&forcing, 9);
        await_count(&first, "begin a\n", 2);
        end_second_command(&first, i == 0);
        arena_check_and_close(&arena, commands[i].journal);
    }
}

/* Its lease goes before its election has heard that the key is wanted. */
TEST(cli_role, a_force_that_cannot_be_done_leaves_with_the_reason_and_takes_nothing)
{
    struct arena arena;
    struct process first, forcing;
    char text[JOURNAL_BYTES];
    arena_open(&arena, etcd_fixture_shared());
    stand_first(&first, &arena, "30", OBEYS);
    START(&forcing, &arena.scene, "force", "coord", "--address", "c:1", "--on-lost", "reregister",
          "-o", "json", "--failpoints", "election/ELECTION_ORDER=drop", "--", "sh", "-c", OBEYS,
          "c");
    command_await(&forcing, "\"role\":\"STANDBY\"");
    revoke_lease(&arena.scene, &forcing);
    command_check_ends(&forcing, 1);
    command_check_contains(forcing.err.data, "the active key could not be taken: ");
    command_check_error(&forcing, "E_LEASE_LOST");
    CHECK_ORDER(&forcing, "STOPPING\",\"reason\":\"the active key could not be taken\"", "STOPPED");
    CHECK(strstr(forcing.out.data, "\"role\":\"ACTIVE\"") == NULL);
    process_destroy(&forcing);
    command_check_count(&arena.scene, 2); /* the holder's own, and the active key, as it was */
    read_journal(&arena, text);
    CHECK_STR(text, "begin a\n");
    end_with(&first, 9);
    arena_check_and_close(&arena, "begin a\nend a\n");
}

TEST(cli_role, whose_command_was_taken_from_it_ends_well_as_a_standby)
{
    struct arena arena;
    struct process first, forcing;
    arena_open(&arena, etcd_fixture_shared());
    stand_first(&first, &arena, "30", OBEYS);
    stand(&forcing, &arena, "force", "30", "c", OBEYS);
    command_await(&first, "end a\n");
    command_await(&forcing, "begin c\n");
    end_with(&first, 0); /* not the 9 of a COMMAND that was ended long ago */
    end_with(&forcing, 9);
    arena_check_and_close(&arena, "begin a\nend a\nbegin c\nend c\n");
}

TEST(cli_role, a_deleted_key_ends_command_and_the_token_of_the_next_one_is_another)
{
    struct arena arena;
    struct process first, second;
    arena_open(&arena, etcd_fixture_shared());
    stand_first(&first, &arena, "30", STAYS);
    stand_by(&second, &arena, "30");
    command_etcdctl(&arena.scene, "etcdctl del $ROOT/session/coord >&2");
    await_count(&first, "begin a\n", 2); /* it has waited longest */
    CHECK_ORDER(&first, "the active key was deleted", "\"role\":\"ACTIVE\"", "begin a\n");
    const char *again = strstr(strstr(first.out.data, "was deleted"), "\"role\":\"ACTIVE\"");
    CHECK(command_number(again, "token") > token_of(&first));
    CHECK(strstr(second.out.data, "\"role\":\"ACTIVE\"") == NULL);
    end_with(&second, 0);
    end_second_command(&first, false);
    arena_check_and_close(&arena, "begin a\ntold a\nbegin a\ntold a\n");
}

TEST(cli_role, suspect_ends_command_and_it_begins_again_when_etcd_answers)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    struct arena arena;
    struct process first, second;
    arena_open(&arena, etcd_fixture_endpoint(etcd));
    stand_first(&first, &arena, "5", STAYS);
    etcd_fixture_freeze(etcd);
    command_await(&first, "\"state\":\"SUSPECT\"");
    CHECK_ORDER(&first, "\"role\":\"ACTIVE\"", "\"role\":\"STANDBY\"");
    command_await(&first, "told a\n");
    etcd_fixture_thaw(etcd);
    await_count(&first, "begin a\n", 2);
    stand_by(&second, &arena, "5");
    end_with(&second, 0);
    end_second_command(&first, false);
    arena_check_and_close(&arena, "begin a\ntold a\nbegin a\ntold a\n");
    etcd_fixture_destroy(etcd);
}

TEST(cli_role, a_guard_that_is_killed_takes_command_along)
{
    struct arena arena;
    struct process session;
    arena_open(&arena, etcd_fixture_shared());
    stand(&session, &arena, "register", "30", "a",
          BEGIN "trap '' TERM; say begin $0; kill -KILL $PPID; exec sleep 60");
    command_await(&session, "begin a\n");
    command_check_ends(&session, 137);
    CHECK_ORDER(&session, "STOPPING\",\"reason\":\"COMMAND is over\"}", "STOPPED");
    process_destroy(&session);
    await_nobody(&arena);
    arena_check_and_close(&arena, "begin a\n");
}
