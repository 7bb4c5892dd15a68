/* tests/support/probe.c - see probe.h. */
#include "support/probe.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct probe_message message;
    struct entry *next;
};

struct probe {
    struct rollcall_actor_type type;
    uint16_t *payload_sizes;
    const char **names;
    struct rollcall_cell *table;
    int *results; /* what the handler returns, by message type */
    struct rollcall_ref ref;
    pthread_mutex_t mutex; /* guards what follows, and results and ref */
    struct entry *first, **last;
    enum rollcall_status send_status;
    size_t send_failures;
};

/* What a command message carries. */
struct command {
    struct rollcall_object object;
    void (*run)(struct rollcall_context *cx, void *user);
    void *user;
    struct rollcall_caller to;
    struct rollcall_object *sent;
    uint16_t type, size_bytes;
    unsigned char payload[ROLLCALL_PAYLOAD_MAX_BYTES];
};

static _Noreturn void give_up(const char *name, const char *why)
{
    fprintf(stderr, "probe %s: %s\n", name, why);
    abort();
}

static void *need(void *memory)
{
    if (memory == NULL) {
        give_up("?", "out of memory");
    }
    return memory;
}

/* ---- the actor ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx;
    *(struct probe **)self = ((const struct probe_options *)options)->probe;
    return 0;
}

static int record(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct probe *probe = *(struct probe **)self;
    struct entry *entry = need(calloc(1, sizeof *entry));
    entry->message = (struct probe_message){
        .type = message->type,
        .size_bytes = message->size_bytes,
        .epoch = rollcall_epoch(cx),
        .at_ms = rollcall_now_ms(cx),
        .to = rollcall_self(cx),
        .from = message->from,
        .object = message->object == NULL ? NULL : rollcall_object_keep(message->object),
    };
    memcpy(entry->message.payload, message->payload, message->size_bytes);
    pthread_mutex_lock(&probe->mutex);
    *probe->last = entry;
    probe->last = &entry->next;
    const int result = probe->results[message->type];
    pthread_mutex_unlock(&probe->mutex);
    return result;
}

static int obey(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct probe *probe = *(struct probe **)self;
    struct command *command = (struct command *)message->object;
    if (command->run != NULL) {
        command->run(cx, command->user);
        return ROLLCALL_STAY;
    }
    struct rollcall_object *sent = command->sent;
    command->sent = NULL;
    const enum rollcall_status status =
        rollcall_reply(cx, command->to, command->type, command->payload, command->size_bytes, sent);
    pthread_mutex_lock(&probe->mutex);
    probe->send_status = status;
    probe->send_failures += status != ROLLCALL_OK;
    pthread_mutex_unlock(&probe->mutex);
    return ROLLCALL_STAY;
}

static const char *const STATE_NAMES[] = {"OPEN"};
static const uint16_t SIGNAL_SIZES[] = {ROLLCALL_SIGNALS(ROLLCALL_SIZE)};
static const char *const SIGNAL_NAMES[] = {ROLLCALL_SIGNALS(ROLLCALL_NAME)};

/* ---- begin and end ---- */

/* The list it was given, and one message more: the command. */
static void fill(struct probe *probe, const uint16_t *payload_sizes, const char *const *names,
                 uint16_t message_count)
{
    for (uint16_t i = 0; i < message_count; i++) {
        probe->payload_sizes[i] = payload_sizes[i];
        probe->names[i] = names[i];
        probe->table[i].handle = record;
        probe->results[i] = i == ROLLCALL_STOP ? ROLLCALL_END : ROLLCALL_STAY;
    }
    probe->names[message_count] = "PROBE_COMMAND";
    probe->table[message_count].handle = obey;
}

struct probe *probe_create(const char *name, const uint16_t *payload_sizes,
                           const char *const *names, uint16_t message_count)
{
    struct probe *probe = need(calloc(1, sizeof *probe));
    const size_t count = (size_t)message_count + 1;
    probe->payload_sizes = need(calloc(count, sizeof *probe->payload_sizes));
    probe->names = need(calloc(count, sizeof *probe->names));
    probe->table = need(calloc(count, sizeof *probe->table));
    probe->results = need(calloc(count, sizeof *probe->results));
    fill(probe, payload_sizes == NULL ? SIGNAL_SIZES : payload_sizes,
         names == NULL ? SIGNAL_NAMES : names, message_count);
    probe->type = (struct rollcall_actor_type){
        .name = name,
        .self_size_bytes = sizeof(struct probe *),
        .options_size_bytes = sizeof(struct probe_options),
        .init = init,
        .state_count = 1,
        .message_count = (uint16_t)count,
        .state_names = STATE_NAMES,
        .message_names = probe->names,
        .payload_sizes = probe->payload_sizes,
        .table = probe->table,
    };
    pthread_mutex_init(&probe->mutex, NULL);
    probe->last = &probe->first;
    return probe;
}

void probe_destroy(struct probe *probe)
{
    if (probe == NULL) {
        return;
    }
    probe_forget(probe);
    pthread_mutex_destroy(&probe->mutex);
    free(probe->payload_sizes);
    free(probe->names);
    free(probe->table);
    free(probe->results);
    free(probe);
}

void probe_return(struct probe *probe, uint16_t type, int result)
{
    if (type >= probe->type.message_count - 1) {
        give_up(probe->type.name, "probe_return: it has no such message");
    }
    pthread_mutex_lock(&probe->mutex);
    probe->results[type] = result;
    pthread_mutex_unlock(&probe->mutex);
}

struct rollcall_ref probe_spawn(struct probe *probe, struct rollcall_runtime *rt, uint32_t worker)
{
    const struct probe_options options = {probe};
    struct rollcall_error error;
    struct rollcall_ref ref;
    /* Large, so that a test finds its own limits before the probe's. */
    if (rollcall_runtime_spawn(rt, worker,
                               ROLLCALL_SPAWN_OPTIONS(.type = &probe->type, .options = &options,
                                                      .mailbox_messages = 4096),
                               &ref, &error) != ROLLCALL_OK) {
        give_up(probe->type.name, error.text);
    }
    pthread_mutex_lock(&probe->mutex);
    probe->ref = ref;
    pthread_mutex_unlock(&probe->mutex);
    return ref;
}

void probe_use(struct probe *probe, struct rollcall_ref ref)
{
    pthread_mutex_lock(&probe->mutex);
    probe->ref = ref;
    pthread_mutex_unlock(&probe->mutex);
}

struct rollcall_ref probe_ref(const struct probe *probe)
{
    return probe->ref;
}

const struct rollcall_actor_type *probe_type(const struct probe *probe)
{
    return &probe->type;
}

/* ---- what it was sent ---- */

enum { ANY = UINT16_MAX };

/* The nth of a type; *count: how many there are in all. */
static const struct probe_message *scan(const struct probe *probe, uint16_t type, size_t nth,
                                        size_t *count)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)&probe->mutex; /* const for the reader only */
    const struct probe_message *found = NULL;
    size_t seen = 0;
    pthread_mutex_lock(mutex);
    for (const struct entry *entry = probe->first; entry != NULL; entry = entry->next) {
        if (type == ANY || entry->message.type == type) {
            found = seen == nth ? &entry->message : found;
            seen++;
        }
    }
    pthread_mutex_unlock(mutex);
    *count = seen;
    return found;
}

size_t probe_count(const struct probe *probe, uint16_t type)
{
    size_t count;
    scan(probe, type, SIZE_MAX, &count);
    return count;
}

size_t probe_total(const struct probe *probe)
{
    return probe_count(probe, ANY);
}

const struct probe_message *probe_find(const struct probe *probe, uint16_t type, size_t nth)
{
    size_t count;
    return scan(probe, type, nth, &count);
}

const struct probe_message *probe_last(const struct probe *probe, uint16_t type)
{
    const size_t count = probe_count(probe, type);
    return count == 0 ? NULL : probe_find(probe, type, count - 1);
}

const struct probe_message *probe_nth(const struct probe *probe, size_t nth)
{
    return probe_find(probe, ANY, nth);
}

const void *probe_payload(const struct probe_message *message)
{
    if (message == NULL) {
        give_up("?", "probe_payload: the message never came");
    }
    return message->payload;
}

void probe_forget(struct probe *probe)
{
    pthread_mutex_lock(&probe->mutex);
    struct entry *entry = probe->first;
    probe->first = NULL;
    probe->last = &probe->first;
    pthread_mutex_unlock(&probe->mutex);
    while (entry != NULL) {
        struct entry *next = entry->next;
        rollcall_object_drop(entry->message.object);
        free(entry);
        entry = next;
    }
}

/* ---- what it is told to do ---- */

static void destroy_command(struct rollcall_object *object)
{
    rollcall_object_drop(((struct command *)object)->sent);
    free(object); /* the object is the first member */
}

static struct command *create_command(void)
{
    struct command *command = need(calloc(1, sizeof *command));
    rollcall_object_init(&command->object, destroy_command);
    return command;
}

static void post(struct probe *probe, struct rollcall_runtime *rt, struct command *command)
{
    const uint16_t type = (uint16_t)(probe->type.message_count - 1);
    if (rollcall_runtime_send(rt, probe_ref(probe), type, NULL, 0, &command->object) !=
        ROLLCALL_OK) {
        give_up(probe->type.name, "the application's lane is full: settle between commands");
    }
}

void probe_send(struct probe *probe, struct rollcall_runtime *rt, struct rollcall_ref to,
                uint16_t type, const void *payload, size_t size_bytes,
                struct rollcall_object *object)
{
    probe_reply(probe, rt, (struct rollcall_caller){.ref = to}, type, payload, size_bytes, object);
}

void probe_reply(struct probe *probe, struct rollcall_runtime *rt, struct rollcall_caller to,
                 uint16_t type, const void *payload, size_t size_bytes,
                 struct rollcall_object *object)
{
    struct command *command = create_command();
    if (size_bytes > sizeof command->payload) {
        give_up(probe->type.name, "the payload is larger than a cell's");
    }
    command->to = to;
    command->type = type;
    command->size_bytes = (uint16_t)size_bytes;
    command->sent = object;
    if (size_bytes != 0) {
        memcpy(command->payload, payload, size_bytes);
    }
    post(probe, rt, command);
}

enum rollcall_status probe_send_status(const struct probe *probe)
{
    return probe->send_status;
}

size_t probe_send_failures(const struct probe *probe)
{
    return probe->send_failures;
}

void probe_run(struct probe *probe, struct rollcall_runtime *rt,
               void (*run)(struct rollcall_context *cx, void *user), void *user)
{
    struct command *command = create_command();
    command->run = run;
    command->user = user;
    post(probe, rt, command);
}

/* ---- objects that can be counted ---- */

struct counted {
    struct rollcall_object object;
    int *alive;
};

static void destroy_counted(struct rollcall_object *object)
{
    __atomic_fetch_sub(((struct counted *)object)->alive, 1, __ATOMIC_RELAXED);
    free(object); /* the object is the first member */
}

struct rollcall_object *probe_object(int *alive)
{
    struct counted *counted = need(calloc(1, sizeof *counted));
    rollcall_object_init(&counted->object, destroy_counted);
    counted->alive = alive;
    __atomic_fetch_add(alive, 1, __ATOMIC_RELAXED);
    return &counted->object;
}
