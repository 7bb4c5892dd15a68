#include "base/options.h"

#include <string.h>

enum rollcall_status rollcall__options_copy(void *to, size_t size_bytes, const void *from,
                                            const char *name, struct rollcall_error *error)
{
    size_t given_bytes;
    memset(to, 0, size_bytes);
    if (from == NULL) {
        return ROLLCALL_OK;
    }
    memcpy(&given_bytes, from, sizeof given_bytes);
    if (given_bytes < sizeof given_bytes || given_bytes > 64 * 1024) {
        return rollcall_error_set(
            error, ROLLCALL_E_INVALID,
            "struct %s: size_bytes is %zu: fill it with the macro of its name", name, given_bytes);
    }
    for (size_t i = size_bytes; i < given_bytes; i++) {
        if (((const unsigned char *)from)[i] != 0) {
            return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                      "struct %s: an option this library does not know is set: "
                                      "the program was built for a newer rollcall",
                                      name);
        }
    }
    memcpy(to, from, given_bytes < size_bytes ? given_bytes : size_bytes);
    return ROLLCALL_OK;
}
