/* tests/unit/etcd/packed.h - etcd's messages as bytes, by protobuf-c. */
#ifndef TESTS_UNIT_ETCD_PACKED_H
#define TESTS_UNIT_ETCD_PACKED_H

#include "etcd.pb-c.h"
#include "support/test.h"

#include <rollcall/record.h>

static inline ProtobufCBinaryData packed_data(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(uintptr_t)text};
}

/* Until the next one is packed. */
static inline struct rollcall_bytes packed(const ProtobufCMessage *message)
{
    static uint8_t buffer[32 << 10];
    CHECK(protobuf_c_message_get_packed_size(message) <= sizeof buffer);
    const size_t size_bytes = protobuf_c_message_pack(message, buffer);
    return (struct rollcall_bytes){.data = (const char *)buffer, .size_bytes = size_bytes};
}

#endif /* TESTS_UNIT_ETCD_PACKED_H */
