#include "runtime/mailbox.h"

#include "base/assert.h"

#include <stdlib.h>

bool rollcall__mailbox_init(struct rollcall__mailbox *mailbox, uint32_t capacity)
{
    ROLLCALL_ASSERT(capacity >= 4 && (capacity & (capacity - 1)) == 0);
    mailbox->slots = malloc(capacity * sizeof *mailbox->slots);
    ck_ring_init(&mailbox->ring, capacity);
    return mailbox->slots != NULL;
}

void rollcall__mailbox_fini(struct rollcall__mailbox *mailbox)
{
    ROLLCALL_ASSERT(rollcall__mailbox_empty(mailbox));
    free(mailbox->slots);
    mailbox->slots = NULL;
}

bool rollcall__mailbox_push(struct rollcall__mailbox *mailbox, struct rollcall__cell *cell)
{
    return ck_ring_enqueue_spsc(&mailbox->ring, mailbox->slots, cell);
}

static bool grow(struct rollcall__mailbox *mailbox)
{
    struct rollcall__mailbox larger;
    struct rollcall__cell *cell;
    if (!rollcall__mailbox_init(&larger, 2 * ck_ring_capacity(&mailbox->ring))) {
        return false;
    }
    while ((cell = rollcall__mailbox_pop(mailbox)) != NULL) {
        const bool fits = rollcall__mailbox_push(&larger, cell);
        ROLLCALL_ASSERT(fits);
    }
    rollcall__mailbox_fini(mailbox);
    *mailbox = larger;
    return true;
}

bool rollcall__mailbox_push_growing(struct rollcall__mailbox *mailbox, struct rollcall__cell *cell)
{
    if (rollcall__mailbox_push(mailbox, cell)) {
        return true;
    }
    return grow(mailbox) && rollcall__mailbox_push(mailbox, cell);
}

struct rollcall__cell *rollcall__mailbox_pop(struct rollcall__mailbox *mailbox)
{
    struct rollcall__cell *cell;
    return ck_ring_dequeue_spsc(&mailbox->ring, mailbox->slots, &cell) ? cell : NULL;
}

bool rollcall__mailbox_empty(const struct rollcall__mailbox *mailbox)
{
    return ck_ring_size(&mailbox->ring) == 0;
}
