/*
 * What comes from outside: rollcall__port_post and _flush in src/runtime/port.c, on one poller's
 * thread each, and rollcall__runtime_push in src/runtime/runtime.c, on threads of the application.
 *
 *    Port (two)         -- own lane, own list when it is full --> .
 *    Application (two)  -- one lane for all, behind a mutex -->   one worker
 *
 * Modelled: the list and its order, one wake per flush, the flush that is repeated while something
 * is left; of the application's lane each load and store of ck_ring, since two threads produce.
 *
 * Abstracted: the event count is whether it has moved since the worker read it, see park.pml; the
 * worker is what it does with lanes, see wake.pml.  A port's push is one step with its look for
 * room, for the consumer can only make more.  Attaching and detaching a lane is a control call, in
 * which the other side waits.
 *
 * Properties: nobody sleeps for ever while a cell is in a lane or a list (no invalid end state);
 * a port's cells arrive once and in order; of the application's each arrives once or was refused,
 * E_FULL; the lists are empty in the end; and there is an end (ltl ends).
 */
#define LANE 1
#define POSTS 3
#define THREADS 2

chan port_lane[2] = [LANE] of { byte };
chan pending[2] = [POSTS] of { byte };
#ifdef BUG_SHARED_DIRTY
bool marked; /* somebody has promised the wake */
#endif
byte slots[2], p_tail, c_head; /* the application's lane: a ck_ring for one cell */
bool locked;                   /* the application monitor's mutex */
bool moved;                    /* the event count, since the worker has read it */
bool stop;

byte got[2], application_got, refused;
bool thread_got[THREADS + 1];
bool stopped;

/* rollcall__port_post */
inline port_post(me, number)
{
    atomic {
        if
#ifdef BUG_LIST_OVERTAKEN
        :: len(port_lane[me]) < LANE -> port_lane[me] ! number
#else
        :: len(pending[me]) == 0 && len(port_lane[me]) < LANE -> port_lane[me] ! number
#endif
        :: else -> pending[me] ! number
        fi
    }
#ifdef BUG_SHARED_DIRTY
    atomic { dirty = dirty || !marked; marked = true }
#else
    dirty = true
#endif
}

/* rollcall__port_flush */
inline port_flush(me)
{
    do
    :: atomic { len(pending[me]) > 0 && len(port_lane[me]) < LANE ->
           pending[me] ? moving;
           port_lane[me] ! moving;
           moving = 0;
#ifndef BUG_LIST_WITHOUT_WAKE
           dirty = true
#endif
       }
    :: atomic { len(pending[me]) == 0 -> done = true; break }
    :: atomic { len(pending[me]) > 0 && len(port_lane[me]) == LANE -> done = false; break }
    od;
    if
    :: dirty -> moved = true /* rollcall__park_wake */
    :: else
    fi;
#ifdef BUG_SHARED_DIRTY
    atomic { marked = marked && !dirty; dirty = false }
#else
    dirty = false
#endif
}

/* A poller: bursts of any size, a flush behind each, and again after a millisecond. */
proctype Port(byte me)
{
    byte number, moving;
    bool dirty, done;
    do
    :: number < POSTS ->
       number++;
       port_post(me, number);
       done = false;
       if
       :: number < POSTS
       :: port_flush(me)
       fi
    :: number == POSTS && !done ->
       port_flush(me)
#ifdef BUG_FLUSHED_ONCE
       ; break
#endif
    :: number == POSTS && done -> break
    od
}

/* rollcall__runtime_push */
proctype Thread(byte number)
{
    byte tail;
#ifndef BUG_NO_MUTEX
    atomic { !locked -> locked = true };
#endif
    tail = p_tail;
    if
    :: tail - c_head < 1 ->
       slots[tail % 2] = number;
       p_tail = tail + 1;
#ifndef BUG_NO_MUTEX
       locked = false;
#endif
       moved = true
    :: else ->
       locked = false;
       refused++
    fi
}

/* rollcall__worker_drain_all */
inline drain()
{
    for (i : 0 .. 1) {
        do
        :: atomic { len(port_lane[i]) > 0 ->
               port_lane[i] ? number;
               assert(number == got[i] + 1);
               got[i] = number;
               number = 0;
               work = true
           }
        :: atomic { len(port_lane[i]) == 0 -> break }
        od
    }
    i = 0;
    do
    :: c_head != p_tail ->
       atomic {
           number = slots[c_head % 2];
           assert(!thread_got[number]);
           thread_got[number] = true;
           number = 0;
           application_got++;
           work = true
       }
       c_head++
    :: else -> break
    od
}

/* run */
proctype Worker()
{
    byte i, number;
    bool work;
    do
    :: moved = false; /* rollcall__park_prepare */
       work = false;
       drain();
       if
       :: stop -> break
       :: else
       fi;
       if
       :: work
       :: else -> moved
       fi
    od;
    stopped = true
}

init
{
    byte expected;
    atomic {
        run Worker();
        if /* lanes do not meet, but in the worker: one sort of producers at a time */
        :: run Port(0); run Port(1); expected = 2 * POSTS
        :: run Thread(1); run Thread(2); expected = THREADS
        fi
    }
    got[0] + got[1] + application_got + refused == expected;
    stop = true; /* join_all */
    moved = true;
    stopped;
    assert(len(pending[0]) + len(pending[1]) == 0)
}

ltl ends { <> stopped }
