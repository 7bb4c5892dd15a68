/* tests/support/numbered.c - see numbered.h. */
#include "support/numbered.h"

#include "support/gateway.h"
#include "support/process.h"
#include "support/test.h"

#include <stdlib.h>

enum { AGAIN_MS = 10 };
/* Every so often a record is deleted, so that the next put of it is an ADD. */
enum { DELETE_EVERY = 10 };

void numbered_key(const char *root, int id, char *key)
{
    snprintf(key, GATEWAY_TEXT_BYTES, "%s/session/datanode-%d", root, id);
}

void numbered_value(int id, int64_t number, char *value)
{
    snprintf(value, GATEWAY_TEXT_BYTES,
             "{\"ServerID\":%d,\"ServerName\":\"datanode\",\"Address\":\"h:%" PRId64 "\"}", id,
             number);
}

int64_t numbered_read(const char *value)
{
    static const char address[] = "\"Address\":\"h:";
    const char *found = strstr(value, address);
    return found == NULL ? 0 : strtoll(found + sizeof address - 1, NULL, 10);
}

static const char *endpoint_of(const struct numbered_writer *writer)
{
    return writer->endpoints[writer->endpoint];
}

static void turn_to_the_next(struct numbered_writer *writer)
{
    writer->endpoint = (writer->endpoint + 1) % NUMBERED_ENDPOINTS_MAX;
    writer->endpoint = endpoint_of(writer) == NULL ? 0 : writer->endpoint;
}

/* Waits until it is so: "" deleted, else the value is there. */
static bool write_once(struct numbered_writer *writer, const char *key, const char *value)
{
    const int64_t until_ms = process_now_ms() + NUMBERED_TRIES_MS;
    char found[GATEWAY_TEXT_BYTES] = "";
    while (process_now_ms() < until_ms) {
        if (value[0] == '\0' ? gateway_delete(endpoint_of(writer), key)
                             : gateway_put(endpoint_of(writer), key, value, NULL)) {
            writer->writes++;
            return true;
        }
        writer->doubted++;
        turn_to_the_next(writer);
        while (!gateway_get(endpoint_of(writer), key, found) && process_now_ms() < until_ms) {
            process_sleep_ms(AGAIN_MS);
            turn_to_the_next(writer);
        }
        if (strcmp(found, value) == 0) {
            writer->writes++;
            return true;
        }
    }
    return false;
}

static bool write_next(struct numbered_writer *writer)
{
    char key[GATEWAY_TEXT_BYTES], value[GATEWAY_TEXT_BYTES];
    const int id = writer->first + (int)(writer->next % writer->keys) + 1;
    const int64_t number = writer->next / writer->keys + 1;
    writer->next++;
    numbered_key(writer->root, id, key);
    numbered_value(id, number, value);
    return write_once(writer, key, value) &&
           (number % DELETE_EVERY != 0 || write_once(writer, key, ""));
}

bool numbered_write(struct numbered_writer *writer, int64_t puts)
{
    bool done = true;
    for (int64_t i = 0; i < puts && done; i++) {
        done = write_next(writer);
    }
    return done;
}

/* True: it shall stop. */
static bool pause_between(struct numbered_writer *writer)
{
    const int64_t until_ns = (process_now_ms() + writer->pace_ms) * 1000000;
    rollcall__monitor_lock(&writer->monitor);
    while (!writer->stopping && writer->pace_ms > 0 &&
           rollcall__monitor_wait(&writer->monitor, until_ns)) {
    }
    const bool stopping = writer->stopping;
    rollcall__monitor_unlock(&writer->monitor);
    return stopping;
}

static void *run(void *argument)
{
    struct numbered_writer *writer = argument;
    while (!writer->failed && !pause_between(writer)) {
        writer->failed = !write_next(writer);
    }
    return NULL;
}

void numbered_writer_start(struct numbered_writer *writer)
{
    writer->stopping = false;
    rollcall__monitor_init(&writer->monitor);
    CHECK_INT(pthread_create(&writer->thread, NULL, run, writer), 0);
}

void numbered_writer_stop(struct numbered_writer *writer)
{
    rollcall__monitor_lock(&writer->monitor);
    writer->stopping = true;
    rollcall__monitor_notify(&writer->monitor);
    rollcall__monitor_unlock(&writer->monitor);
    CHECK_INT(pthread_join(writer->thread, NULL), 0);
    rollcall__monitor_fini(&writer->monitor);
    CHECK(!writer->failed);
}
