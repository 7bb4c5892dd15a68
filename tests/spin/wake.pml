/*
 * What goes between two workers: rollcall__worker_send, _send_system, _drain, _run_one and _flush
 * in src/runtime/worker.c, run and turn in src/runtime/threads.c.
 *
 *    Worker 0: asker  -- user lane: DATA, refused when full -->     Worker 1: answerer
 *                     -- system lane: SIGNAL, own list when full -->
 *                     -- system lane: MONITOR, of an actor that is no more -->
 *                     <-- system lane: BOUNCED, of DATA that found the mailbox full --
 *                     <-- system lane: DOWN, sent without any actor having run --
 *
 * And the asker may be BUSY with messages to itself for ever.
 *
 * Modelled: lanes that fill, the list of what a full system lane did not take, its order, the dirty
 * bits, one wake per destination at a flush, the flush after each run and the one before sleeping,
 * the short sleep while a list is not empty, a mailbox that fills and bounces.
 *
 * Abstracted: the event count is whether it has moved since its worker read it, and each use of it
 * is one step: park.pml shows that this is what it does, and that a push is in memory before the
 * wake.  A push is one step with its look for room: the consumer can only make more room in
 * between, and who finds a lane full does then what he would have done a moment before.  A worker
 * has one actor, so that its run queues say only whether there is mail: sched.pml has the queues.
 * Sizes are small, and only their being reached matters.
 *
 * Properties: nobody sleeps for ever while a cell is in a lane, in a list or in a mailbox (no
 * invalid end state); each cell is taken once, or the sender was told (E_FULL, BOUNCED); the cells
 * of one lane arrive in the order they were sent in; all lists are empty in the end; and there is
 * an end (ltl ends).
 */
#define LANE 1
#define MAILBOX 1
#define DRAIN_CELLS 2
#define RUNS_PER_LOOP 2
#define ASKS 2
#define TOLD_CELLS (2 * ASKS + 1)
#define OTHER(worker) (1 - (worker))
#define FORGET type = 0; number = 0 /* states that differ in what is over are one */

mtype = { ASK, DATA, SIGNAL, BOUNCED, MONITOR, DOWN, BUSY };

/* By the worker they lead to. */
chan user_lane[2] = [LANE] of { mtype, byte };
chan system_lane[2] = [LANE] of { mtype, byte };
bool moved[2]; /* the event count, since its worker has read it */
bool stop;

/* By the worker they belong to. */
chan user_mailbox[2] = [MAILBOX] of { mtype, byte };
chan system_mailbox[2] = [8] of { mtype, byte }; /* grows */
chan pending[2] = [4] of { mtype, byte };
bool dirty[2];

/* What was told to whom, and the last number of each sort: numbers start at 1. */
byte told, refused, last_data, last_signal;
byte stopped;

/* ---- src/runtime/worker.c ---- */

/* rollcall__worker_send, to the other worker */
inline worker_send(worker, number_)
{
#ifdef BUG_WAKE_WHEN_EMPTY
    dirty[worker] = dirty[worker] || len(user_lane[OTHER(worker)]) == 0;
#endif
    atomic {
        if
        :: len(user_lane[OTHER(worker)]) < LANE ->
           user_lane[OTHER(worker)] ! DATA, number_;
#ifndef BUG_WAKE_WHEN_EMPTY
           dirty[worker] = true
#endif
        :: else ->
#ifndef BUG_FULL_IS_OK
           refused++ /* E_FULL */
#endif
        fi
    }
}

/* rollcall__worker_send_system, to the other worker */
inline worker_send_system(worker, type_, number_)
{
#ifdef BUG_WAKE_WHEN_EMPTY
    dirty[worker] = dirty[worker] || len(system_lane[OTHER(worker)]) == 0;
#endif
    atomic {
        if
#ifdef BUG_LIST_OVERTAKEN
        :: len(system_lane[OTHER(worker)]) < LANE ->
#else
        :: len(pending[worker]) == 0 && len(system_lane[OTHER(worker)]) < LANE ->
#endif
           system_lane[OTHER(worker)] ! type_, number_
        :: else ->
           assert(len(pending[worker]) < 4);
           pending[worker] ! type_, number_
        fi
#ifndef BUG_WAKE_WHEN_EMPTY
        ; dirty[worker] = true
#endif
    }
}

/* take: enqueue, or bounce */
inline take_user(worker)
{
    if
    :: len(user_mailbox[worker]) < MAILBOX -> user_mailbox[worker] ! type, number
    :: else ->
#ifndef BUG_NOT_BOUNCED
       worker_send_system(worker, BOUNCED, number)
#else
       skip
#endif
    fi
}

/* rollcall__worker_drain_all(worker, 0): the system lanes */
inline drain_system(worker)
{
    do
    :: atomic { len(system_lane[worker]) > 0 ->
           system_lane[worker] ? type, number;
           work = true;
           if
           :: type != MONITOR -> system_mailbox[worker] ! type, number; FORGET
           :: else -> assert(number == last_signal + 1 + len(system_mailbox[worker]))
           fi
       };
       if
       :: atomic { type == MONITOR -> FORGET };
          worker_send_system(worker, DOWN, 0) /* take_monitor: of nobody */
       :: atomic { type != MONITOR }
       fi
    :: atomic { len(system_lane[worker]) == 0 -> break }
    od
}

inline drain_user(worker)
{
    do
    :: atomic { n < DRAIN_CELLS && len(user_lane[worker]) > 0 -> user_lane[worker] ? type, number };
       atomic { n++; work = true; take_user(worker); FORGET }
    :: atomic { n == DRAIN_CELLS || len(user_lane[worker]) == 0 -> n = 0; break }
    od
}

/* What the asker does in one run; each of its sends is a step. */
inline ask(worker)
{
    worker_send(worker, i);
    worker_send_system(worker, SIGNAL, i);
    if
    :: i == ASKS -> worker_send_system(worker, MONITOR, ASKS + 1)
    :: else
    fi;
    i = 0
}

/* What else is told; the numbers must rise. */
inline deliver()
{
    if
    :: type == DATA -> assert(number > last_data); last_data = number; told++
    :: type == SIGNAL -> assert(number == last_signal + 1); last_signal = number; told++
    :: type == BOUNCED || type == DOWN -> told++ /* the sender knows */
    :: type == BUSY -> user_mailbox[0] ! BUSY, 0
    :: else
    fi
}

/* rollcall__worker_run_one, with a quantum of one message */
inline run_one(worker)
{
    atomic {
        if
        :: len(system_mailbox[worker]) > 0 -> system_mailbox[worker] ? type, number
        :: else -> user_mailbox[worker] ? type, number
        fi;
        deliver()
    }
    if
    :: atomic { type == ASK -> i = number; FORGET };
       ask(worker)
    :: atomic { type != ASK -> FORGET }
    fi
}

/* rollcall__worker_flush; `clean`: nothing is left in the list */
inline worker_flush(worker)
{
    do
    :: atomic { len(pending[worker]) > 0 && len(system_lane[OTHER(worker)]) < LANE ->
           pending[worker] ? type, number;
           system_lane[OTHER(worker)] ! type, number;
#ifndef BUG_LIST_WITHOUT_WAKE
           dirty[worker] = true;
#endif
           FORGET
       }
    :: atomic { len(pending[worker]) == 0 -> clean = true; break }
    :: atomic { len(pending[worker]) > 0 && len(system_lane[OTHER(worker)]) == LANE ->
           clean = false;
           break
       }
    od;
    atomic {
        if
        :: dirty[worker] -> moved[OTHER(worker)] = true
        :: else
        fi;
        dirty[worker] = false
    }
}

/* ---- src/runtime/threads.c ---- */

inline turn(worker)
{
    work = false;
    drain_system(worker);
    drain_user(worker);
    do
    :: runs < RUNS_PER_LOOP && (len(system_mailbox[worker]) + len(user_mailbox[worker]) > 0) ->
       atomic { runs++; work = true };
       run_one(worker);
       drain_system(worker);
#ifndef BUG_NO_FLUSH_AFTER_RUN
       worker_flush(worker)
#endif
    :: else -> break
    od;
    runs = 0
}

/* run */
proctype Worker(byte me)
{
    byte number, n, i, runs;
    mtype type;
    bool work, clean;
    do
    :: moved[me] = false; /* rollcall__park_prepare */
       turn(me);
       if
       :: stop -> break
       :: else
       fi;
       if
       :: work
       :: else ->
#ifndef BUG_NO_FLUSH_BEFORE_SLEEP
          worker_flush(me);
#else
          clean = len(pending[me]) == 0;
#endif
          assert(len(user_mailbox[me]) + len(system_mailbox[me]) == 0);
          if
          :: moved[me]
#ifndef BUG_LIST_SLEEPS
          :: !clean /* PENDING_RETRY_MS */
#endif
          fi
       fi
    od;
    stopped++
}

init
{
    byte i;
    atomic {
        for (i : 1 .. ASKS) {
            system_mailbox[0] ! ASK, i
        }
        if
        :: user_mailbox[0] ! BUSY, 0
        :: skip
        fi;
        run Worker(0);
        run Worker(1)
    }
    told + refused == TOLD_CELLS;
    stop = true; /* join_all */
    moved[0] = true;
    moved[1] = true;
    stopped == 2;
    assert(len(pending[0]) + len(pending[1]) == 0);
    assert(told + refused == TOLD_CELLS)
}

ltl ends { <> (stopped == 2) }
