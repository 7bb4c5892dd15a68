#include "runtime/mailbox.h"

#include "support/test.h"

enum { CELLS = 300 };
static struct rollcall__cell cells[CELLS];

static void start(struct rollcall__mailbox *mailbox, uint32_t capacity, unsigned int index)
{
    CHECK(rollcall__mailbox_init(mailbox, capacity));
    mailbox->ring.c_head = mailbox->ring.p_tail = mailbox->ring.p_head = index;
}

TEST(mailbox, full_and_empty_at_every_offset_of_a_wrapping_index)
{
    for (unsigned int before = 0; before < 10; before++) {
        struct rollcall__mailbox mailbox;
        start(&mailbox, 8, UINT32_MAX - before);
        for (int round = 0; round < 3; round++) {
            CHECK(rollcall__mailbox_empty(&mailbox));
            for (int i = 0; i < 7; i++) {
                CHECK(rollcall__mailbox_push(&mailbox, &cells[i]));
            }
            CHECK(!rollcall__mailbox_push(&mailbox, &cells[8]));
            for (int i = 0; i < 7; i++) {
                CHECK(!rollcall__mailbox_empty(&mailbox));
                CHECK(rollcall__mailbox_pop(&mailbox) == &cells[i]);
            }
            CHECK(rollcall__mailbox_pop(&mailbox) == NULL);
        }
        rollcall__mailbox_fini(&mailbox);
    }
}

TEST(mailbox, a_growing_one_keeps_everything_in_order)
{
    struct rollcall__mailbox mailbox;
    start(&mailbox, 4, UINT32_MAX - 1);
    int in = 0, out = 0;
    while (in < CELLS) {
        CHECK(rollcall__mailbox_push_growing(&mailbox, &cells[in++]));
        if (in % 5 == 0) { /* grow from a ring whose first cell is not at slot 0 */
            CHECK(rollcall__mailbox_pop(&mailbox) == &cells[out++]);
        }
    }
    while (out < CELLS) {
        CHECK(rollcall__mailbox_pop(&mailbox) == &cells[out++]);
    }
    CHECK(rollcall__mailbox_empty(&mailbox));
    rollcall__mailbox_fini(&mailbox);
}
