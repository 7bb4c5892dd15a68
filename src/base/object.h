/*
 * base/object.h - what the library alone may ask of an object.
 */
#ifndef BASE_OBJECT_H
#define BASE_OBJECT_H

#include <rollcall/actor.h>

/* The caller's reference is the only one: it may change the object, as its creator may. */
bool rollcall__object_is_sole(const struct rollcall_object *object);

#endif /* BASE_OBJECT_H */
