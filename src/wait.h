/*
 * wait: every way this program sleeps, so that none of them can miss an event or outlast a deadline.
 *
 * wait_event() sleeps in one rt_sigtimedwait(2) until something happens, wait_ready() until
 * then or until a descriptor is ready. wait_call() makes
 * a system call that can only block (a lock, an open, a write) and gets out of it when the deadline
 * passes or the mailbox's name changes. wait_poll() is for streams, which wait for two ends at once. All
 * rest on signals that wait_begin() blocks:
 *
 *   SIGIO    the FIFO was read from or written to (O_ASYNC on its descriptor: wait_arm)
 *   SIGURG   the mailbox's name may have changed (watch.h)
 *   SIGCHLD  COMMAND ended
 *   SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGTERM   somebody wants us to end
 *   SIGPIPE  blocked so that a dead reader is an EPIPE; never waited for
 *   SIGXFSZ  the same for a limit on file sizes, and EFBIG
 *   SIGRTMIN+5  the deadline, inside wait_call() or after wait_interrupt()
 *
 * A signal that arrives between a look at the state and the sleep stays pending and ends the sleep
 * at once: arm, look, sleep, in that order, cannot lose a wake-up.
 *
 * The module owns one descriptor, of wait_ready(). Its state is the process's signal mask: one thread only
 * may call it, and any other (watch_process()) has all signals blocked.
 */
#ifndef FIFO_WAIT_H
#define FIFO_WAIT_H

#include "deadline.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>

enum wake {
    WAKE_DONE,     /* wait_call: the call returned */
    WAKE_EVENT,    /* SIGIO or SIGCHLD: look again */
    WAKE_NAME,     /* SIGURG: look whether the mailbox still has its name */
    WAKE_SIGNAL,   /* somebody wants us to end: wait_signal() says which signal */
    WAKE_DEADLINE, /* too late */
    WAKE_FAILED,   /* of locks: the kernel refused it, see errno */
};

/* Blocks SIGPIPE and SIGXFSZ alone: for what is done before, or without, wait_begin(). */
void wait_block_failures(void);

/* Blocks the signals above; calls after the first do nothing. sigprocmask(2). */
void wait_begin(void);

/*
 * For who has nothing in flight that could be taken back: from now on the signals that end a process do so at
 * once. To be called after wait_begin().
 */
void wait_mortal(void);

/*
 * Sleeps until an event, a signal or the deadline. Spurious events happen: the caller looks and comes
 * back. Signals that were ignored or blocked when the program started are not WAKE_SIGNAL.
 */
enum wake wait_event(deadline until);

/*
 * Does not sleep: WAKE_SIGNAL or WAKE_NAME if that is pending, WAKE_EVENT otherwise. For loops that always
 * find something to do.
 */
enum wake wait_pending(void);

/*
 * Drops a SIGIO that is pending, and says whether there was one: one's own write raises it too, even one that
 * failed for want of room. To be followed by a look at the state.
 */
bool wait_forget_events(void);

/*
 * The same for a parent that waits for its child: SIGIO does not end the sleep, and each signal that asks us
 * to end is WAKE_SIGNAL once, to be passed on; wait_event() still sees it afterwards.
 */
enum wake wait_child(deadline until);

/* How many SIGURG there have been so far, of those that were noticed. */
unsigned wait_names(void);

/* The signal number of the last WAKE_SIGNAL, 0 if there was none. */
int wait_signal(void);

enum {
    WAIT_NAME = 1,    /* end with WAKE_NAME when the mailbox's name may have changed */
    WAIT_MORTAL = 2,  /* let signals that end the process do so at once: nothing is in flight */
    WAIT_EVENTS = 8,  /* end as wait_event() does, too: by SIGIO, or by a signal that asks us to end */
    WAIT_COUNTED = 4, /* at the deadline interrupt the call, rather than abandon it: its result counts */
};

/*
 * Makes `call(argument)`, a function that makes exactly one blocking system call, and stores what it
 * returned in *result (errno is its errno). Ends early with WAKE_DEADLINE or, as `flags` have it, WAKE_NAME,
 * WAKE_EVENT or WAKE_SIGNAL; the call has then been abandoned, and may or may not have had its effect. So
 * this is for locks, which may be taken twice and are given back by closing, and for reads that are given up
 * on. With WAIT_COUNTED it is WAKE_DONE at the deadline too: with EINTR, or what the call has done so far.
 * Before wait_begin(), with no deadline, it is a plain call.
 */
enum wake wait_call(long (*call)(void *), void *argument, long *result, deadline until, int flags);

/* The same for a descriptor that does not block: waits until it is ready for `events` of poll(2), or has
 * failed. */
enum wake wait_until_ready(int fd, short events, deadline until, int flags);

/*
 * Makes the deadline interrupt whatever call is blocking then: it ends with EINTR, or with what it has done
 * so far, which is not lost as in wait_call(). A signal that comes between two calls interrupts none, so it
 * comes again and again. DEADLINE_NEVER ends that. False and errno if there is
 * no timer. timer_create(2).
 */
bool wait_interrupt(deadline until);

/*
 * poll(2), until the deadline. WAKE_EVENT: revents are set. WAKE_NAME: interrupted, perhaps because the
 * mailbox's name changed. WAKE_DEADLINE.
 */
enum wake wait_poll(struct pollfd *ends, nfds_t count, deadline until);

/*
 * As wait_event(), or until `end` is ready, a descriptor on which poll(2) tells of other things than signals
 * do: WAKE_DONE, and its revents are set.
 */
enum wake wait_ready(struct pollfd *end, deadline until);

/* Makes the kernel send SIGIO for each read and write of the FIFO `fd`. 0, or -1 and errno. fcntl(2). */
int wait_arm(int fd);

/* Like wait_arm, for a descriptor of watch.h: SIGURG instead of SIGIO. */
int wait_arm_name(int fd);

/* The signal mask the process was started with, for a COMMAND that is about to be run. */
const sigset_t *wait_entry_mask(void);

/*
 * Has the signals that end a process call `tidy_up`, which makes only calls that signal-safety(7) allows,
 * before they end it: wherever they are not blocked, and with wait_die(). Two modules may ask for that.
 */
void wait_tidily(void (*tidy_up)(void));

/* Ends the process by the signal `number`, as if it had never been blocked. */
_Noreturn void wait_die(int number);

#endif
