/* What an etcd is asked about how it is, and what is made of its answers. */
#include "actors/errand_health.h"

#include "base/buffer.h"
#include "session/keys.h"
#include "transport/request.h"

#include <string.h>

void errand_health_init(struct rollcall_health *health)
{
    *health = (struct rollcall_health){.latency_ms = INT64_MAX,
                                       .members_status = ROLLCALL_E_TIMEOUT,
                                       .alarms_status = ROLLCALL_E_TIMEOUT};
    rollcall_error_set(&health->read_error, ROLLCALL_E_TIMEOUT,
                       "etcd did not come to this in the time allowed: allow more");
}

/* How many keys there are, by a majority: not serializable. */
static struct transport_request *ask_read(const struct errand_config *config)
{
    struct rollcall__buffer end = {0};
    struct transport_request *request = NULL;
    rollcall__prefix_end(rollcall__bytes(config->key), &end);
    if (!end.failed) {
        request =
            transport_request_range(rollcall__bytes(config->key), rollcall__buffer_bytes(&end));
    }
    if (request != NULL) {
        request->range.count_only = true;
    }
    rollcall__buffer_free(&end);
    return request;
}

struct transport_request *errand_health_request(const struct errand_config *config, int step)
{
    switch (step) {
    case ERRAND_HEALTH_MEMBERS:
        return transport_request_bare(TRANSPORT_MEMBERS);
    case ERRAND_HEALTH_ALARMS:
        return transport_request_bare(TRANSPORT_ALARMS);
    case ERRAND_HEALTH_READ:
        return ask_read(config);
    default:
        return transport_request_bare(TRANSPORT_STATUS);
    }
}

static void copy_text(char *to, size_t room_bytes, struct rollcall_bytes from)
{
    const size_t size = from.size_bytes < room_bytes ? from.size_bytes : room_bytes - 1;
    if (size > 0) {
        memcpy(to, from.data, size);
    }
    to[size] = '\0';
}

static void note_status(struct rollcall_health *health, const struct transport_result *result,
                        int64_t took_ms)
{
    const struct transport_status *status = &result->status;
    health->latency_ms = took_ms < health->latency_ms ? took_ms : health->latency_ms;
    health->has_leader = status->leader_id != 0;
    health->is_learner = status->is_learner;
    health->cluster_id = result->cluster_id;
    health->member_id = result->member_id;
    health->leader_id = status->leader_id;
    health->raft_term = status->raft_term;
    health->raft_index = status->raft_index;
    health->raft_applied_index = status->raft_applied_index;
    health->db_size_bytes = status->db_size_bytes;
    health->db_size_in_use_bytes = status->db_size_in_use_bytes;
    health->db_quota_bytes = status->quota_bytes;
    copy_text(health->version, sizeof health->version, status->version);
}

static void note_members(struct rollcall_health *health, const struct transport_result *result)
{
    health->members_status = result->error.status;
    health->member_count = result->member_count;
    for (size_t i = 0; i < result->member_count && i < ROLLCALL_HEALTH_MEMBERS_MAX; i++) {
        struct rollcall_health_member *member = &health->members[i];
        member->member_id = result->members[i].member_id;
        member->is_learner = result->members[i].is_learner;
        copy_text(member->name, sizeof member->name, result->members[i].name);
    }
}

static enum rollcall_alarm to_alarm(enum transport_alarm_kind kind)
{
    return kind == TRANSPORT_ALARM_NO_SPACE  ? ROLLCALL_ALARM_NO_SPACE
           : kind == TRANSPORT_ALARM_CORRUPT ? ROLLCALL_ALARM_CORRUPT
                                             : ROLLCALL_ALARM_OTHER;
}

/* NONE is no alarm, wherever it comes from. */
static void note_alarms(struct rollcall_health *health, const struct transport_result *result)
{
    health->alarms_status = result->error.status;
    health->alarm_count = 0;
    for (size_t i = 0; i < result->alarm_count; i++) {
        const struct transport_alarm *from = &result->alarms[i];
        if (from->kind == TRANSPORT_ALARM_NONE) {
            continue;
        }
        if (health->alarm_count < ROLLCALL_HEALTH_ALARMS_MAX) {
            health->alarms[health->alarm_count] = (struct rollcall_health_alarm){
                .member_id = from->member_id, .alarm = to_alarm(from->kind)};
        }
        health->alarm_count++;
    }
}

void errand_health_note(struct rollcall_health *health, int step,
                        const struct transport_result *result, int64_t took_ms)
{
    switch (step) {
    case ERRAND_HEALTH_MEMBERS:
        note_members(health, result);
        break;
    case ERRAND_HEALTH_ALARMS:
        note_alarms(health, result);
        break;
    case ERRAND_HEALTH_READ:
        health->read_error = result->error;
        health->key_count = result->count;
        break;
    default:
        note_status(health, result, took_ms);
        break;
    }
}
