/*
 * bell: how who waits at a buffered mailbox hears of a change, and of a death, without polling.
 *
 * Two bells, `ready` for receivers and `space` for senders, each a FIFO that carries no content. Who waits
 *
 *     takes a chair (an OFD lock), opens the FIFO for reading with O_ASYNC, drains it, looks, sleeps.
 *
 * Who changes something
 *
 *     makes the change, looks whether a chair is taken, and if so writes a byte into the FIFO.
 *
 * No wake-up is lost. If the ringer found no chair taken, it was taken after the change, and the look that
 * follows sees the change. If it found one, its write raised SIGIO, which stays pending until the sleep, or
 * the FIFO was not open yet or just being drained, and the look comes after that. A full FIFO, where the
 * write fails, is one that was written to since it was drained: SIGIO is pending already.
 *
 * A death rings no bell, but it closes: each lease is a lock on an open `ready` (lease.h), and when a read
 * end of a FIFO that nobody has open for writing is closed, the kernel raises SIGIO at the other read ends,
 * after it has dropped the locks that lay on the closed one (__fput: locks_remove_file, then pipe_release).
 * That nobody has it open for writing is why a ringer opens it for the one write. If a ringer has, its own
 * close raises the SIGIO. The same makes up for a ringer that is killed between the change and the ring:
 * everyone who may change something has the bell open for reading.
 *
 * There are several chairs, and whoever finds them all taken waits for one: a ring wakes as many processes
 * as there are chairs and not a thousand. They are many so that somebody who sits in one while he is stopped
 * does not keep the bell from the others; only who stands behind that very chair, when there are more waiters
 * than chairs, may miss what the others leave. Who gets what he waited for leaves the chair, and the next one
 * looks before it sleeps, so what one ring announced reaches as many as there is work for.
 *
 * struct bell owns its descriptor.
 */
#ifndef FIFO_BELL_H
#define FIFO_BELL_H

#include "deadline.h"
#include "wait.h"

#include <stdbool.h>
#include <stdint.h>

#define BELL_CHAIRS 64

struct bell {
    int directory; /* the mailbox; not a path, so that it may be moved */
    const char *name;
    int fd;        /* the read end, -1 until it is needed */
    int locks;     /* the descriptor that locks are taken on */
    short type;    /* of those locks: F_WRLCK, or F_RDLCK if it is open for reading only */
    int64_t first; /* the first chair's byte */
    int64_t chair; /* ours, 0: none */
};

/*
 * Takes a chair and listens at the bell, which is open.
 * WAKE_DONE: look now, then bell_sleep(). WAKE_EVENT: the kernel refused, see errno. Anything else as
 * wait_call(); then nothing is held.
 */
enum wake bell_sit(struct bell *bell, deadline until);

/* Sleeps until it rings, as wait_event(). After WAKE_EVENT the bell is drained: look again. */
enum wake bell_sleep(const struct bell *bell, deadline until);

/* Leaves the chair, if there is one. */
void bell_leave(struct bell *bell);

/* Rings, if anybody listens. */
void bell_ring(const struct bell *bell);

#endif
