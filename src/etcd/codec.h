/*
 * etcd/codec.h - the port's requests and results as protobuf bytes.  Pure: no gRPC, no state.
 *
 * Threads: any; a result or response belongs to one thread until it is sent as an object.
 * Memory:  a decoded answer is one object with an arena inside; dropping it frees everything.
 */
#ifndef ETCD_CODEC_H
#define ETCD_CODEC_H

#include "transport/messages.h"

/* Encoded bytes, from malloc; owned by whoever holds the packet. */
struct rollcall__packet {
    uint8_t *data;
    size_t size_bytes;
};

/* Each answers false when out of memory; then the packet is empty. */
ROLLCALL_MUST_USE bool rollcall__codec_request(const struct transport_request *request,
                                               struct rollcall__packet *packet);
ROLLCALL_MUST_USE bool rollcall__codec_watch(const struct transport_range *range,
                                             struct rollcall__packet *packet);
ROLLCALL_MUST_USE bool rollcall__codec_keepalive(int64_t lease_id, struct rollcall__packet *packet);
ROLLCALL_MUST_USE bool rollcall__codec_authenticate(const char *user, const char *password,
                                                    struct rollcall__packet *packet);

/* The answer to a request of `kind`.  Never NULL: trouble is in its error.  body: borrowed. */
struct transport_result *rollcall__codec_result(enum transport_kind kind,
                                                struct rollcall_bytes body);
/* A success without an answer to decode. */
struct transport_result *rollcall__codec_done(enum transport_kind kind, int64_t lease_id);

/* Of the only watch of a stream. */
enum { ROLLCALL__WATCH_ID = 1 };

/*
 * What has come of a watch stream and is not handed over: some fragments of a response, or whole
 * responses with nothing but events, which are handed over as one: then what a response costs is
 * paid once.  Nobody waits for others to join: the poller hands over what it has before it waits.
 */
struct rollcall__watch_block;

/* Room for the next message's bytes, in *block, which is made if there is none.  They are to be
 * written there, and then read, before the next room is asked for.
 * Returns: NULL: out of memory; then what was in *block is gone as well, and it is NULL. */
char *rollcall__codec_watch_room(struct rollcall__watch_block **block, size_t size_bytes);
/*
 * Reads the message in the room.  What is of another watch is as if it had not come.
 * bytes_max: more than this in one response, fragments joined, is an error.
 * Returns: what was in *block before, which is handed over first, for this message does not join
 *          it; NULL: nothing.
 */
struct transport_watch_response *rollcall__codec_watch_read(struct rollcall__watch_block **block,
                                                            size_t bytes_max);
/* Whether what is there is whole, and may still be joined by more. */
bool rollcall__codec_watch_joins(const struct rollcall__watch_block *block);
/* Hands over what is there, with *block NULL again; NULL: nothing is, or fragments are missing.
 * Trouble, a cancellation other than by compaction included, is in response->error. */
struct transport_watch_response *rollcall__codec_watch_take(struct rollcall__watch_block **block);
void rollcall__watch_block_free(struct rollcall__watch_block *block); /* NULL: nothing */

/* False when the bytes are not such a message, or out of memory. */
ROLLCALL_MUST_USE bool rollcall__codec_renewed(struct rollcall_bytes body, int64_t *lease_id,
                                               int64_t *ttl_s);
/* The token in an answer to Authenticate, from malloc; NULL as above. */
char *rollcall__codec_token(struct rollcall_bytes body);

#endif /* ETCD_CODEC_H */
