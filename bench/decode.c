/*
 * bench/decode.c - what it costs to read a session record, beside a general JSON library:
 *     decode [ROUNDS [DECODES]]        (15, 20000)
 * For each of a few records: ROUNDS times DECODES decodes by us (the arena freed each time) and by
 * jansson (parsed, the same fields looked up by name, freed), and as many times what a watch does
 * with an event: the item made, and dropped; alternating who goes first.  One JSON line each, in
 * nanoseconds of CPU time for one.  Exit 1 if the two readers do not agree on a field.
 */
#include "actors/reflector.h"
#include "session/record.h"
#include "support/measure.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS_MAX = 1000, DECODES_MAX = 10000000, LABELS_MAX = 16 };

#define LEASE "\"LeaseID\":7587872012345678901,"

static const struct input {
    const char *name, *json;
} INPUTS[] = {
    {"query_node", /* what upstream 2.4 stores for a query node that is going to stop */
     "{\"ServerID\":1042,\"ServerName\":\"querynode\",\"Address\":\"10.244.13.207:21123\","
     "\"Stopping\":true,\"TriggerKill\":true,\"Version\":\"2.4.2\",\"IndexEngineVersion\":"
     "{\"MinimalIndexVersion\":1,\"CurrentIndexVersion\":4}," LEASE
     "\"HostName\":\"milvus-prod-querynode-7d9c6b5f48-x2lqp\",\"EnableDisk\":true}"},
    {"streaming_node_labels", /* what upstream 3.0 stores */
     "{\"ServerID\":12,\"ServerName\":\"streamingnode\",\"Address\":\"10.244.7.19:22222\","
     "\"Version\":\"3.0.0-beta\",\"IndexEngineVersion\":{\"CurrentIndexVersion\":8,"
     "\"MaximumIndexVersion\":10},\"ScalarIndexEngineVersion\":{},\"IndexNonEncoding\":true," LEASE
     "\"HostName\":\"streaming-0\",\"ServerLabels\":{\"STREAMING-EMBEDDED\":\"1\","
     "\"resource_group\":\"rg2\"}}"},
    {"escapes", /* the same as the first, with a host name that Go escapes, and some UTF-8 */
     "{\"ServerID\":1042,\"ServerName\":\"querynode\",\"Address\":\"10.244.13.207:21123\","
     "\"Stopping\":true,\"TriggerKill\":true,\"Version\":\"2.4.2\",\"IndexEngineVersion\":"
     "{\"MinimalIndexVersion\":1,\"CurrentIndexVersion\":4}," LEASE
     "\"HostName\":\"r\xC3\xA9gion \\u003c\\\"a\\\\b\\\" \\u0026 \xE5\x8C\x97\\u003e\\n\","
     "\"EnableDisk\":true}"},
};

/* What one library makes of an input; `labels` is room for jansson's. */
struct reading {
    struct rollcall__arena arena;
    struct reflector_item *item;
    json_t *root;
    struct rollcall_record record;
    struct rollcall_label labels[LABELS_MAX];
};

/* ---- the two ---- */

static bool read_ours(struct reading *reading, struct rollcall_bytes json)
{
    reading->arena = (struct rollcall__arena){0};
    return rollcall__record_decode(json, &reading->arena, &reading->record, NULL) == ROLLCALL_OK;
}

static void forget_ours(struct reading *reading)
{
    rollcall__arena_free(&reading->arena);
}

static bool make_item(struct reading *reading, struct rollcall_bytes json)
{
    const struct transport_kv kv = {.key = rollcall__bytes("by-dev/meta/session/querynode-1042"),
                                    .value = json};
    return reflector_item_create(&kv, &reading->item, NULL) == ROLLCALL_OK;
}

static void drop_item(struct reading *reading)
{
    rollcall_object_drop(&reading->item->object);
}

static struct rollcall_bytes text_of(const json_t *value)
{
    return (struct rollcall_bytes){json_string_value(value), json_string_length(value)};
}

static struct rollcall_index_version index_of(const json_t *value)
{
    return (struct rollcall_index_version){
        .minimal = (int32_t)json_integer_value(json_object_get(value, "MinimalIndexVersion")),
        .current = (int32_t)json_integer_value(json_object_get(value, "CurrentIndexVersion")),
        .maximum = (int32_t)json_integer_value(json_object_get(value, "MaximumIndexVersion"))};
}

static void read_jansson_labels(struct reading *reading, json_t *labels)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    json_object_foreach(labels, name, value)
    {
        if (count < LABELS_MAX) {
            reading->labels[count++] =
                (struct rollcall_label){rollcall__bytes(name), text_of(value)};
        }
    }
    reading->record.labels = reading->labels;
    reading->record.label_count = count;
}

static bool read_jansson(struct reading *reading, struct rollcall_bytes json)
{
    const json_t *root = reading->root = json_loadb(json.data, json.size_bytes, 0, NULL);
    const json_t *lease = json_object_get(root, "LeaseID");
    const json_t *scalar = json_object_get(root, "ScalarIndexEngineVersion");
    reading->record = (struct rollcall_record){
        .server_id = json_integer_value(json_object_get(root, "ServerID")),
        .server_name = text_of(json_object_get(root, "ServerName")),
        .address = text_of(json_object_get(root, "Address")),
        .exclusive = json_is_true(json_object_get(root, "Exclusive")),
        .stopping = json_is_true(json_object_get(root, "Stopping")),
        .trigger_kill = json_is_true(json_object_get(root, "TriggerKill")),
        .version = text_of(json_object_get(root, "Version")),
        .index_engine_version = index_of(json_object_get(root, "IndexEngineVersion")),
        .has_scalar_index_engine_version = scalar != NULL,
        .scalar_index_engine_version = index_of(scalar),
        .index_non_encoding = json_is_true(json_object_get(root, "IndexNonEncoding")),
        .has_lease_id = lease != NULL,
        .lease_id = json_integer_value(lease),
        .host_name = text_of(json_object_get(root, "HostName")),
        .enable_disk = json_is_true(json_object_get(root, "EnableDisk"))};
    read_jansson_labels(reading, json_object_get(root, "ServerLabels"));
    return root != NULL;
}

static void forget_jansson(struct reading *reading)
{
    json_decref(reading->root);
}

static const struct reader {
    bool (*read)(struct reading *, struct rollcall_bytes);
    void (*forget)(struct reading *);
} READERS[] = {{read_ours, forget_ours}, {read_jansson, forget_jansson}, {make_item, drop_item}};

enum { OURS, JANSSON, READER_COUNT, ITEM = READER_COUNT, MEASURED_COUNT };

/* Whether both read the same; a record that is written again shows every field. */
static bool agree(struct rollcall_bytes json)
{
    struct rollcall__buffer written[READER_COUNT] = {0};
    bool good = true;
    for (int i = 0; i < READER_COUNT; i++) {
        struct reading reading = {0};
        good = READERS[i].read(&reading, json) && good;
        if (good) {
            rollcall__record_encode(&reading.record, &written[i]);
        }
        READERS[i].forget(&reading);
    }
    good = good && rollcall__bytes_equal(rollcall__buffer_bytes(&written[OURS]),
                                         rollcall__buffer_bytes(&written[JANSSON]));
    for (int i = 0; i < READER_COUNT; i++) {
        rollcall__buffer_free(&written[i]);
    }
    return good;
}

/* ---- measuring ---- */

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

/* Nanoseconds for one decode; below 0 when one failed. */
static double measure(const struct reader *reader, struct rollcall_bytes json, int decodes)
{
    bool good = true;
    struct reading reading = {0};
    const double begin_ns = cpu_ns();
    for (int i = 0; i < decodes; i++) {
        good = reader->read(&reading, json) && good;
        reader->forget(&reading);
    }
    return good ? (cpu_ns() - begin_ns) / decodes : -1;
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void print_spread(const char *name, const double *sorted_ns, int rounds)
{
    printf("\"%s_median_ns\":%.0f,\"%s_min_ns\":%.0f,\"%s_max_ns\":%.0f,", name,
           sorted_ns[rounds / 2], name, sorted_ns[0], name, sorted_ns[rounds - 1]);
}

static int run(const struct input *input, int rounds, int decodes)
{
    static double taken_ns[MEASURED_COUNT][ROUNDS_MAX];
    const struct rollcall_bytes json = rollcall__bytes(input->json);
    if (!agree(json)) {
        fprintf(stderr, "decode: %s: the two do not read the same\n", input->name);
        return 1;
    }
    for (int i = 0; i < rounds * MEASURED_COUNT; i++) {
        const int round = i / MEASURED_COUNT, which = (i + round) % MEASURED_COUNT;
        taken_ns[which][round] = measure(&READERS[which], json, decodes);
        if (taken_ns[which][round] < 0) {
            fprintf(stderr, "decode: %s: out of memory\n", input->name);
            return 1;
        }
    }
    for (int i = 0; i < MEASURED_COUNT; i++) {
        qsort(taken_ns[i], (size_t)rounds, sizeof(double), compare);
    }
    printf("{\"event\":\"bench\",\"name\":\"decode\",\"input\":\"%s\",\"record_bytes\":%zu,"
           "\"rounds\":%d,\"decodes_per_round\":%d,",
           input->name, json.size_bytes, rounds, decodes);
    print_spread("ours", taken_ns[OURS], rounds);
    print_spread("item", taken_ns[ITEM], rounds);
    print_spread("jansson", taken_ns[JANSSON], rounds);
    printf("\"jansson_by_ours\":%.2f,\"jansson\":\"%s\",",
           taken_ns[JANSSON][rounds / 2] / taken_ns[OURS][rounds / 2], JANSSON_VERSION);
    measure_print_host();
    printf("}\n");
    return 0;
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 15;
    const long decodes = argc > 2 ? strtol(argv[2], NULL, 10) : 20000;
    if (rounds < 1 || rounds > ROUNDS_MAX || decodes < 1 || decodes > DECODES_MAX) {
        fprintf(stderr, "usage: decode [ROUNDS [DECODES]]\n");
        return 2;
    }
    int status = 0;
    for (size_t i = 0; i < sizeof INPUTS / sizeof INPUTS[0]; i++) {
        status |= run(&INPUTS[i], (int)rounds, (int)decodes);
    }
    return status;
}
