/*
 * How a worker sleeps and is woken: src/runtime/park.c, run and join_all in src/runtime/threads.c,
 * and Concurrency Kit's event count below them, on a machine that delays stores.
 *
 *    Waker (several)                        Sleeper (one)
 *    push into its lane                     (1) prepare: seen = count
 *    wake: count++, whole or not at all     (2) look at every lane, then at `stop`
 *          if the flag was up:              (3) park_wait(seen): raise the flag; the kernel
 *          lower it, wake in the kernel         compares count and flag once more; sleep
 *
 * Modelled: each load and store of the shared words, in the order of ck_ec32_value, ck_ec32_inc,
 * ck_ec32_wake and ck_ec32_wait_pred_slow; the kernel's compare before it sleeps; sleeps that end
 * for no reason.  Every thread has a store buffer, first in, first out, that reaches memory at any
 * later time: x86's memory, and the one reordering that sleeping protocols fall over.
 *
 * The fences, and why the other models may do without buffers: ck_ec32_inc is one locked
 * instruction behind ck_pr_fence_store_atomic, so a push is in memory before the count moves and
 * before the flag is read; the flag is raised by a compare-and-swap, locked too; ck_ec32_value ends
 * with ck_pr_fence_acquire, so no lane is looked at before the count was read.  A locked
 * instruction waits here for its thread's buffer.  The planted bugs NO_FENCE, NO_FENCE_SLEEPER and
 * BUG_LOOK_FIRST take these three away.  With the three a wake is a full barrier, each lane has one
 * writer, and an interleaving of whole steps (Spin's memory) shows all that can happen.
 *
 * Abstracted: a lane is how many cells are in it, for ck_ring's SPSC publishes a cell by one store
 * of p_tail, and nothing here depends on the cell.  The count does not wrap: 31 bits, and a sleeper
 * would have to rest between two steps for 2^31 wakes.  Time: a deadline can only end a sleep, and
 * is what `early` does; that it is kept (clamp) is unit.runtime.park's to check.
 *
 * Properties: nobody sleeps for ever (no invalid end state) while a cell lies in a lane or `stop`
 * is set; every cell is taken, once; and it always comes to an end (ltl ends).
 */
#define WAKERS 2
#define CELLS 2 /* from each */
#define JOINER WAKERS
#define SLEEPER (WAKERS + 1)
#define FLAG 128 /* somebody sleeps */

mtype = { LANE, WORD, STOP };

/* Memory. */
byte lane[WAKERS]; /* cells pushed: p_tail */
byte word;         /* the event count, and FLAG */
bool stop;
/* The stores of each thread that are not in memory yet. */
chan buffer[WAKERS + 2] = [2] of { mtype, byte, byte };

bool asleep;    /* in the kernel */
byte early = 2; /* sleeps that may end for no reason, or by their deadline */
byte taken;
bool ended;

#define STORE(thread, what, index, value) buffer[thread] ! what, index, value
#define FENCED(thread) (len(buffer[thread]) == 0)

proctype Buffer(byte thread)
{
    mtype what;
    byte index, value;
end:
    do
    :: atomic {
           buffer[thread] ? what, index, value;
           if
           :: what == LANE -> lane[index] = value
           :: what == WORD -> word = value
           :: what == STOP -> stop = true
           fi;
           what = 0;
           index = 0;
           value = 0
       }
    od
}

/* rollcall__park_wake: ck_ec32_inc in multi-producer mode, ck_ec32_wake, futex_wake. */
inline park_wake(thread)
{
#ifdef NO_FENCE
    atomic { old = word; word = word + 1 } /* what was pushed may come later */
#else
#ifdef BUG_ONE_PRODUCER
    old = word; /* ck's other mode: an increment by a load and a store */
    STORE(thread, WORD, 0, old + 1);
#else
    atomic { FENCED(thread) -> old = word; word = word + 1 }
#endif
#endif
    if
    :: (old & FLAG) != 0 ->
#ifdef BUG_FLAG_LOWERED_LATE
       asleep = false;
#endif
       atomic { FENCED(thread) -> word = word & (FLAG - 1) }
#ifndef BUG_FLAG_LOWERED_LATE
       asleep = false
#endif
    :: else
    fi;
    old = 0
}

/* Any other thread: rollcall__runtime_push, rollcall__port_flush, rollcall__worker_flush. */
proctype Waker(byte thread)
{
    byte old, pushed;
    do
    :: pushed < CELLS ->
       pushed++;
#ifdef BUG_WAKE_FIRST
       park_wake(thread);
       STORE(thread, LANE, thread, pushed)
#else
       STORE(thread, LANE, thread, pushed);
       park_wake(thread)
#endif
    :: else -> break
    od
}

/* rollcall__threads_stop: waits until all is done, then join_all. */
proctype Joiner()
{
    byte old;
    taken == WAKERS * CELLS;
    STORE(JOINER, STOP, 0, 1);
#ifndef BUG_STOP_WITHOUT_WAKE
    park_wake(JOINER);
#endif
    ended
}

/* rollcall__park_wait: ck_ec32_wait_pred, and its slow path. */
inline park_wait()
{
    do
    :: current = word;
       if
       :: (current & (FLAG - 1)) != seen -> break /* the count has moved */
       :: else
       fi;
#ifdef NO_FENCE_SLEEPER
       if
       :: current == seen -> STORE(SLEEPER, WORD, 0, seen | FLAG)
       :: else
       fi;
#else
       atomic { /* ck_ec32_upgrade: the compare-and-swap that raises the flag */
           FENCED(SLEEPER) ->
           if
           :: word == seen -> word = seen | FLAG
           :: else
           fi
       }
#endif
       atomic { /* futex_wait: the kernel compares, under the lock that a wake takes too */
#ifdef BUG_NO_COMPARE
           asleep = true
#else
           /* A thread sees its own store before memory does. */
           asleep = !FENCED(SLEEPER) || word == (seen | FLAG)
#endif
       }
       if
       :: !asleep
       :: atomic { early > 0 && asleep -> early--; asleep = false } /* looks at the count again */
       :: atomic { early > 0 && asleep -> early--; asleep = false; break } /* the deadline */
       fi
    od;
    current = 0
}

proctype Sleeper()
{
    byte popped[WAKERS], seen, current, i;
    bool work;
    do
    :: skip;
#ifndef BUG_LOOK_FIRST
       seen = word & (FLAG - 1); /* rollcall__park_prepare */
#endif
       work = false;
       for (i : 0 .. WAKERS - 1) { /* turn: rollcall__worker_drain_all */
           if
           :: popped[i] < lane[i] ->
              atomic { popped[i]++; taken++; work = true }
              assert(taken <= WAKERS * CELLS)
           :: else
           fi
       }
#ifdef BUG_LOOK_FIRST
       seen = word & (FLAG - 1);
#endif
       if
       :: stop -> break
       :: else
       fi;
       if
       :: work
       :: else -> park_wait()
       fi
    od;
    ended = true
}

init
{
    byte i;
    atomic {
        for (i : 0 .. WAKERS + 1) {
            run Buffer(i)
        }
        for (i : 0 .. WAKERS - 1) {
            run Waker(i)
        }
        run Joiner();
        run Sleeper()
    }
}

ltl ends { <> ended }
