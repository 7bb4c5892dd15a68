/*
 * runtime/port.h - how those who are no worker speak into the runtime, and wait for it: a foreign
 * thread (a gRPC poller, a simulation's network) through a port of its own, and the public calls.
 *
 * A port owns one SPSC lane to each worker, so exactly one thread may post through it.  Posting
 * never fails and never blocks: what does not fit in a lane waits in the port's own list, which is
 * bounded by the number of operations the adapter has outstanding.
 */
#ifndef RUNTIME_PORT_H
#define RUNTIME_PORT_H

#include <rollcall/runtime.h>

struct rollcall__log;
struct rollcall__monitor;
struct rollcall__port;

/* Returns: ROLLCALL_OK; ROLLCALL_E_BUSY when all are taken; ROLLCALL_E_NO_MEMORY.
 * Threads: any but a worker. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__port_open(struct rollcall_runtime *runtime,
                                                           struct rollcall__port **port,
                                                           struct rollcall_error *error);
/* After its thread has been joined; what is still listed is dropped and counted. */
void rollcall__port_close(struct rollcall__port *port);

/* Puts one message into the receiver's system mailbox.  payload: copied.  object: moved.
 * Threads: the port's. */
void rollcall__port_post(struct rollcall__port *port, struct rollcall_caller to, uint16_t type,
                         const void *payload, size_t size_bytes, struct rollcall_object *object);
/* Pushes what is listed and wakes the workers posted to: once per burst, for a wake costs more
 * than a message.  Returns true when everything fitted; else call again in a millisecond.
 * Threads: the port's. */
bool rollcall__port_flush(struct rollcall__port *port);

/* ---- for the public calls ---- */

/* Sends a message in the system lane: waits for room, at most for the stop timeout; never in a
 * callback.  Callbacks and other threads have lanes of their own: between these there is no order.
 * payload: copied; may be NULL when size_bytes is 0.  Threads: any. */
void rollcall__runtime_signal(struct rollcall_runtime *runtime, struct rollcall_ref to,
                              uint16_t type, const void *payload, size_t size_bytes);

/* Counts a handle (session, watch, etcd) that must be closed before the runtime is destroyed. */
void rollcall__runtime_hold(struct rollcall_runtime *runtime);
void rollcall__runtime_release(struct rollcall_runtime *runtime);
/* As rollcall_now_ms, for those who are no actor. */
int64_t rollcall__runtime_now_ms(struct rollcall_runtime *runtime);
/* Now + timeout_ms, for the next; INT64_MAX: for ever. */
int64_t rollcall__runtime_deadline_ns(struct rollcall_runtime *runtime, int64_t timeout_ms);
/* Called locked, returns locked, perhaps for nothing; false once deadline_ns has passed.  In a
 * simulation it is what turns the clock.  Threads: the application's. */
bool rollcall__runtime_wait(struct rollcall_runtime *runtime, struct rollcall__monitor *monitor,
                            int64_t deadline_ns);
/* ROLLCALL_OK, or why a call that waits is wrong here: E_BUSY on a worker of this runtime, E_FORKED
 * in a child process. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__runtime_may_wait(const struct rollcall_runtime *runtime);
/* True on a worker thread of this runtime: the caller must not wait. */
bool rollcall__runtime_on_worker(const struct rollcall_runtime *runtime);
/* True in a child process that forked after create. */
bool rollcall__runtime_forked(const struct rollcall_runtime *runtime);
/* True of a simulation, which has no other thread than its owner's. */
bool rollcall__runtime_simulated(const struct rollcall_runtime *runtime);
uint32_t rollcall__runtime_worker_count(const struct rollcall_runtime *runtime);
/* Where those write who are no actor; lives as long as the runtime.  Threads: any. */
struct rollcall__log *rollcall__runtime_log(struct rollcall_runtime *runtime);

#endif /* RUNTIME_PORT_H */
