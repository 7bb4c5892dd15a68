/* bench/support/session_record.c - see session_record.h. */
#include "support/session_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char BEFORE_ID[] = "{\"ServerID\":";
static const char AFTER_ID[] =
    ",\"ServerName\":\"" SESSION_RECORD_ROLE "\",\"Address\":\"10.0.0.7:21123\","
    "\"TriggerKill\":true,\"Version\":\"2.4.2\",\"IndexEngineVersion\":{\"MinimalIndexVersion\":1,"
    "\"CurrentIndexVersion\":4},\"LeaseID\":7587872012345678901,\"HostName\":\"";
static const char AFTER_NAME[] = "\",\"EnableDisk\":true}";
static const char NAME[] = "milvus-querynode-7d9f8b6c5-x2k4q.milvus-prod-eu-central.svc.cluster";

enum {
    ID_DIGITS = 13,
    ID_AT = sizeof BEFORE_ID - 1,
    NAME_AT = ID_AT + ID_DIGITS + sizeof AFTER_ID - 1,
    NAME_BYTES = SESSION_RECORD_BYTES - NAME_AT - (int)(sizeof AFTER_NAME - 1)
};
_Static_assert(NAME_BYTES > 0 && NAME_BYTES < (int)sizeof NAME, "the name fills what is left");

void session_record_key(char key[SESSION_RECORD_KEY_BYTES + 1], int64_t place)
{
    snprintf(key, SESSION_RECORD_KEY_BYTES + 1, "%s/session/%s-%d", SESSION_RECORD_ROOT,
             SESSION_RECORD_ROLE, 1000 + (int)(place % SESSION_RECORD_KEYS));
}

void session_record_renumber(char value[SESSION_RECORD_BYTES], int64_t number)
{
    int64_t rest = SESSION_RECORD_ID_0 + number;
    for (int i = ID_DIGITS; i-- > 0; rest /= 10) {
        value[ID_AT + i] = (char)('0' + rest % 10);
    }
}

void session_record_value(char value[SESSION_RECORD_BYTES], int64_t number)
{
    memcpy(value, BEFORE_ID, ID_AT);
    session_record_renumber(value, number);
    memcpy(value + ID_AT + ID_DIGITS, AFTER_ID, sizeof AFTER_ID - 1);
    memcpy(value + NAME_AT, NAME, NAME_BYTES);
    memcpy(value + NAME_AT + NAME_BYTES, AFTER_NAME, sizeof AFTER_NAME - 1);
}
