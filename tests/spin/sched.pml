/*
 * One worker and its actors: enqueue, take, rollcall__worker_drain, _queue, pop_next, serve,
 * requeue and _run_one in src/runtime/worker.c; rollcall__actor_fail, _restart, _end and _free in
 * src/runtime/lifecycle.c; turn and run in src/runtime/threads.c.
 *
 *    application -- user lane --> mailbox, and `ready` --.
 *    anybody   -- system lane --> mailbox, and `urgent` --+--> one actor at a time, for a quantum
 *
 * Actor 0 may fail, be restarted or stay failed, and be stopped, at any moment.  Actor 1 may be
 * flooded: a message, or a signal, that sends itself again for ever.  Signals starve its own
 * messages, since serve takes signals first: then only its neighbour is sent any.
 *
 * Modelled: both queues and their marks, who is queued when, the quantum, signals before messages
 * but not for ever, the look at the system lanes between two runs, the cell of the application that
 * waits for room in a mailbox and what rests behind it, phases, and the freeing of who ended.
 *
 * Abstracted: a run is one step, for only lanes are seen by other threads, and what handlers send
 * to them is wake.pml's.  The event count is as in wake.pml, and who pushes wakes in the same step:
 * park.pml and wake.pml take it apart.  urgent_runs stops at its limit, where it is compared.
 * Sizes are small: only their being reached matters.
 *
 * Properties: an actor that runs, and has mail, is queued (mail_is_queued), at most once in each
 * queue; one actor runs at a time, and none that was freed; the worker does not sleep with anybody
 * queued; each cell is delivered once, in order, or counted as bounced or dead; a STOP is
 * delivered within STOP_RUNS_MAX runs after it was pushed, whatever the data; no more than
 * URGENT_RUNS_MAX runs for signals while a message waits; and there is an end (ltl ends).
 */
#define ACTORS 2
#define NOBODY ACTORS
#define LANE 1
#define MAILBOX 2
#define QUANTUM 2
#define URGENT_RUNS_MAX 2
#define RUNS_PER_LOOP 4
#define OUTSIDE_CELLS_MAX 2
#define CELLS 2 /* from the application */
/* The run it came in, one of each other actor, and one of a message after too many signals. */
#define STOP_RUNS_MAX (1 + (ACTORS - 1) + 1)
#define FORGET to = 0; type = 0; number = 0 /* states that differ in what is over are one */
#define FORGET_WAITING waiting_to = 0; waiting_type = 0; waiting_number = 0

#define CLEAR_MARK \
    if \
    :: system_only -> urgent_queued[who] = false \
    :: else -> ready_queued[who] = false \
    fi

mtype = { NEW, RUNNING, FAILED, ENDED };
mtype = { DATA, FAIL, FLOOD, SIGNAL, STOP, RESTART };

/* Lanes: receiver, type, number. */
chan user_lane = [LANE] of { byte, mtype, byte };
chan system_lane = [2] of { byte, mtype, byte };
bool moved; /* the event count, since the worker has read it */
bool stop;

/* The worker. */
mtype phase[ACTORS] = NEW;
chan user_mailbox[ACTORS] = [MAILBOX] of { mtype, byte };
chan system_mailbox[ACTORS] = [4] of { mtype, byte }; /* grows */
chan urgent = [3] of { byte };
chan ready = [3] of { byte };
bool urgent_queued[ACTORS], ready_queued[ACTORS], freed[ACTORS];
byte running = NOBODY, urgent_runs;
bool waits;
byte waiting_to, waiting_number;
mtype waiting_type;
byte signals_left = 1;

/* What became of the application's cells. */
byte sent, delivered, bounced, dead, last[ACTORS];
byte stop_runs, starved; /* runs while a STOP waits; runs of signals while a message waits */
bool stop_waits, stopped, flooded;
byte gone; /* of the three outside */

/* ---- run queues: rollcall__worker_queue ---- */

inline queue_urgent(who)
{
    if
    :: urgent_queued[who]
    :: else ->
       assert(!(urgent ?? [eval(who)])); /* at most once */
#ifndef BUG_QUEUED_NOT_MARKED
       urgent_queued[who] = true;
#endif
       urgent ! who
    fi
}

inline queue_ready(who)
{
    if
    :: ready_queued[who]
    :: else ->
       assert(!(ready ?? [eval(who)]));
       ready_queued[who] = true;
       ready ! who
    fi
}

inline mail_is_queued(who)
{
    assert(phase[who] != RUNNING || len(system_mailbox[who]) == 0 || urgent_queued[who]);
    assert(phase[who] != RUNNING || len(user_mailbox[who]) == 0 || ready_queued[who]);
    assert(phase[who] != NEW || urgent_queued[who])
}

/* ---- src/runtime/lifecycle.c ---- */

inline actor_free(who)
{
    if
#ifdef BUG_FREED_WHILE_QUEUED
    :: phase[who] == ENDED -> freed[who] = true
#else
    :: phase[who] == ENDED && !urgent_queued[who] && !ready_queued[who] -> freed[who] = true
#endif
    :: else
    fi
}

inline actor_end(who)
{
    phase[who] = ENDED;
    stop_waits = false;
    do /* drain_mailboxes */
    :: user_mailbox[who] ? [DATA, _] -> user_mailbox[who] ? DATA, _; dead++
    :: user_mailbox[who] ? [FAIL, _] -> user_mailbox[who] ? FAIL, _
    :: len(system_mailbox[who]) > 0 -> system_mailbox[who] ? _, _
    :: len(user_mailbox[who]) + len(system_mailbox[who]) == 0 -> break
    od;
    if
    :: running != who -> actor_free(who)
    :: else
    fi
}

inline actor_fail(who)
{
    phase[who] = FAILED;
    if
    :: system_mailbox[who] ?? [STOP, _] -> actor_end(who)
    :: else
    fi
}

inline actor_restart(who)
{
    if
    :: phase[who] == FAILED ->
       phase[who] = NEW;
#ifndef BUG_RESTART_NOT_QUEUED
       queue_urgent(who)
#endif
    :: else
    fi
}

/* ---- into mailboxes ---- */

inline enqueue_system(who)
{
    if
    :: phase[who] == ENDED
    :: phase[who] == FAILED && type == STOP -> actor_end(who)
    :: else -> system_mailbox[who] ! type, number; queue_urgent(who)
    fi
}

/* take, of a user cell: `taken` is false when it must wait */
inline take_user()
{
    taken = true;
    if
    :: phase[to] == ENDED -> dead = dead + (type == DATA)
    :: phase[to] != ENDED && len(user_mailbox[to]) < MAILBOX ->
       user_mailbox[to] ! type, number;
       queue_ready(to)
    :: phase[to] != ENDED && len(user_mailbox[to]) == MAILBOX ->
       if /* may_wait_for */
       :: phase[to] == FAILED -> bounced = bounced + (type == DATA)
       :: else -> taken = false
       fi
    fi
}

/* rollcall__worker_drain, of the system lanes */
inline drain_system()
{
    do
    :: atomic { len(system_lane) > 0 ->
           system_lane ? to, type, number;
           work = true;
           if
           :: type == RESTART -> actor_restart(to)
           :: else -> enqueue_system(to)
           fi;
           FORGET
       }
    :: atomic { len(system_lane) == 0 -> mail_is_queued(0); mail_is_queued(1); break }
    od
}

/* rollcall__worker_drain, of the application's user lane, and take_waiting */
inline drain_user()
{
    atomic {
        taken = true;
        if
        :: waits ->
           to = waiting_to;
           type = waiting_type;
           number = waiting_number;
           take_user();
           if
           :: taken -> n = 1; work = true; waits = false; FORGET_WAITING
           :: else
           fi;
           FORGET
        :: else
        fi
    }
    do
    :: atomic { taken && n < OUTSIDE_CELLS_MAX && len(user_lane) > 0 ->
           user_lane ? to, type, number;
           take_user();
           if
           :: taken -> n++; work = true
           :: else ->
#ifndef BUG_WAITING_DROPPED
              waits = true;
              waiting_to = to;
              waiting_type = type;
              waiting_number = number
#endif
           fi;
           FORGET
       }
    :: atomic { !taken || n == OUTSIDE_CELLS_MAX || len(user_lane) == 0 ->
           n = 0;
           taken = false;
           mail_is_queued(0);
           mail_is_queued(1);
           break
       }
    od
}

/* ---- running ---- */

/* What the actors do. */
inline deliver()
{
    if
    :: type == DATA ->
       assert(number > last[who]); /* in order, and none twice */
       last[who] = number;
       delivered++;
       if
       :: signals_left > 0 -> signals_left--; system_mailbox[who] ! SIGNAL, 0; queue_urgent(who)
       :: skip
       fi
    :: type == FAIL -> actor_fail(who)
    :: type == STOP -> actor_end(who)
    :: type == SIGNAL
    :: type == FLOOD && from_system -> system_mailbox[who] ! FLOOD, 0; queue_urgent(who)
    :: type == FLOOD && !from_system -> user_mailbox[who] ! FLOOD, 0; queue_ready(who)
    fi
}

inline serve()
{
    do
    :: n < QUANTUM && phase[who] == RUNNING && len(system_mailbox[who]) > 0 ->
       system_mailbox[who] ? type, number;
       n++;
       from_system = true;
       deliver()
    :: n < QUANTUM && phase[who] == RUNNING && len(system_mailbox[who]) == 0 && !system_only &&
       len(user_mailbox[who]) > 0 ->
       user_mailbox[who] ? type, number;
       n++;
       from_system = false;
       deliver()
    :: else -> break
    od;
    n = 0
}

inline pop_next()
{
    if
#ifdef BUG_MESSAGES_FIRST
    :: len(ready) > 0 ->
#else
#ifdef BUG_SIGNALS_FOR_EVER
    :: len(urgent) == 0 ->
#else
    :: len(urgent) == 0 || (urgent_runs >= URGENT_RUNS_MAX && len(ready) > 0) ->
#endif
#endif
       ready ? who;
       system_only = false;
       urgent_runs = 0;
       starved = 0
    :: else ->
       urgent ? who;
       system_only = true;
       urgent_runs = urgent_runs + (urgent_runs < URGENT_RUNS_MAX);
       starved = (len(ready) > 0 -> starved + 1 : 0);
       assert(starved <= URGENT_RUNS_MAX)
    fi;
#ifndef BUG_MARK_CLEARED_LATE
    CLEAR_MARK
#endif
}

/* rollcall__worker_run_one */
inline run_one()
{
    atomic {
        pop_next();
        assert(running == NOBODY && !freed[who]);
        running = who;
        if
        :: phase[who] == NEW -> phase[who] = RUNNING /* init */
        :: else
        fi;
        serve();
        running = NOBODY;
#ifndef BUG_NOT_REQUEUED
        if /* requeue */
        :: phase[who] == RUNNING && len(system_mailbox[who]) > 0 -> queue_urgent(who)
        :: else
        fi;
        if
        :: phase[who] == RUNNING && len(user_mailbox[who]) > 0 -> queue_ready(who)
        :: else
        fi;
#endif
#ifdef BUG_MARK_CLEARED_LATE
        CLEAR_MARK;
#endif
        actor_free(who);
        mail_is_queued(0);
        mail_is_queued(1);
        stop_runs = (stop_waits -> stop_runs + 1 : 0);
        assert(stop_runs <= STOP_RUNS_MAX);
        who = 0;
        from_system = false;
        system_only = false;
        FORGET
    }
}

/* ---- src/runtime/threads.c ---- */

inline turn()
{
    work = false;
    drain_system();
    drain_user();
    do
    :: runs < RUNS_PER_LOOP && len(urgent) + len(ready) > 0 ->
       runs++;
       work = true;
       run_one();
#ifndef BUG_SIGNALS_BEHIND_DATA
       drain_system()
#endif
    :: else -> break
    od;
    runs = 0
}

/* run */
proctype Worker()
{
    byte to, number, who, n, runs;
    mtype type;
    bool work, taken, system_only, from_system;
    do
    :: moved = false; /* rollcall__park_prepare */
       turn();
       if
       :: stop -> break
       :: else
       fi;
       if
       :: work
       :: else ->
          assert(len(urgent) + len(ready) == 0);
          moved
       fi
    od;
    stopped = true
}

/* ---- everybody else ---- */

/* rollcall_runtime_send, and again after E_FULL; the wake is in the same step, see above. */
proctype Application()
{
    bool fails;
    byte to;
    do
    :: sent < CELLS ->
       atomic {
           if
           :: to = 0
           :: !flooded -> to = 1
           fi
       }
       atomic { len(user_lane) < LANE -> sent++; user_lane ! to, DATA, sent; moved = true }
    :: atomic { sent == 1 && !fails && len(user_lane) < LANE ->
           fails = true;
           user_lane ! 0, FAIL, 0;
           moved = true
       }
    :: atomic { sent == CELLS -> to = 0; fails = false; gone++; break }
    od
}

/* The supervisor of actor 0, or nobody: rollcall__worker_send_system of another worker. */
proctype Supervisor()
{
    do
    :: atomic { phase[0] == FAILED -> system_lane ! 0, RESTART, 0; moved = true; gone++; break }
    :: atomic { true -> gone++; break }
    od
}

/* rollcall_runtime_stop */
proctype Stopper()
{
    if
    :: atomic { system_lane ! 0, STOP, 0; stop_waits = phase[0] != ENDED; moved = true; gone++ }
    :: gone++
    fi
}

#define IN_FAILED (phase[0] == FAILED -> len(user_mailbox[0]) : 0)

init
{
    atomic {
        urgent_queued[0] = true; /* rollcall__worker_spawn */
        urgent ! 0;
        urgent_queued[1] = true;
        urgent ! 1;
        if
        :: skip
        :: system_mailbox[1] ! FLOOD, 0; flooded = true
        :: user_mailbox[1] ! FLOOD, 0; ready_queued[1] = true; ready ! 1
        fi;
        run Worker();
        run Application();
        run Supervisor();
        run Stopper()
    }
    gone == 3;
    sent == delivered + bounced + dead + IN_FAILED;
    stop = true; /* join_all */
    moved = true;
    stopped
}

ltl ends { <> stopped }
