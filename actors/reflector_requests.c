/* What a reflector asks of etcd. */
#include "actors/reflector.h"

#include "base/buffer.h"
#include "transport/request.h"

enum { PAGE_KEYS = 500 };

struct transport_request *reflector_request_page(const struct reflector_config *config,
                                                 struct rollcall_bytes after, int64_t revision)
{
    struct rollcall__buffer start = {0};
    if (after.size_bytes == 0) {
        rollcall__buffer_append(&start, config->range_start.data, config->range_start.size_bytes);
    } else { /* the key right after: a NUL more */
        rollcall__buffer_append(&start, after.data, after.size_bytes);
        rollcall__buffer_append(&start, "", 1);
    }
    struct transport_request *request =
        start.failed ? NULL
                     : transport_request_range(rollcall__buffer_bytes(&start), config->range_end);
    if (request != NULL) {
        request->range.limit = PAGE_KEYS;
        request->range.revision = revision;
    }
    rollcall__buffer_free(&start);
    return request;
}

struct transport_range *reflector_request_watch(const struct reflector_config *config,
                                                int64_t next_revision, bool exact, bool listed)
{
    const int64_t before = exact ? 0 : 1;
    struct transport_range *range = transport_range_create(config->range_start, config->range_end);
    if (range != NULL) {
        range->revision = next_revision > before ? next_revision - before : 1;
        range->prev_kv = !listed;
    }
    return range;
}
