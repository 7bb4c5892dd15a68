#include <rollcall/actor.h>

#include "support/test.h"

static int destroyed;

static void count(struct rollcall_object *object)
{
    (void)object;
    destroyed++;
}

TEST(object, the_last_drop_destroys_and_no_other)
{
    struct rollcall_object object;
    destroyed = 0;
    rollcall_object_init(&object, count);
    CHECK(rollcall_object_keep(&object) == &object);
    rollcall_object_keep(&object);
    rollcall_object_drop(&object);
    rollcall_object_drop(&object);
    CHECK_INT(destroyed, 0);
    rollcall_object_drop(&object);
    CHECK_INT(destroyed, 1);
}

TEST(object, dropping_nothing_is_nothing)
{
    rollcall_object_drop(NULL);
}
