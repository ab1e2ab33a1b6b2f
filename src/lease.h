/*
 * lease: who has which messages in hand. The verbs are in queue.h.
 *
 * A lease is an OFD lock on `ready`, at the places that the message's bytes have in the log. Why not on the
 * log: who waits has to hear of a death, and the kernel rings a FIFO's other read ends when one is closed,
 * right after it has dropped the locks that lay on that very descriptor (bell.h). Locks on another file of
 * the same process go at another moment, and a waiter might look too early, and then sleep for good. It is a
 * read lock, for that is all that a read end may have; what excludes others is that leases are only given,
 * and only looked for, under TAKE.
 *
 * Between `head` and `fresh` lie the messages that are leased, that were leased and given back, or that are
 * done while an older one is not. The oldest free one among them goes first. To find it costs a step per
 * lease, and a step per run of done messages between two leases: it does not depend on how many wait, nor on
 * how many are done, for runs that touch are joined when somebody steps over them.
 *
 * Nothing here is for more than one lease at a time of one struct queue: the kernel would not tell our own
 * locks from free messages.
 */
#ifndef FIFO_LEASE_H
#define FIFO_LEASE_H

#include "queue.h"

/* Locks the bytes from `start` to `end` on `ready`. TAKE is held. */
bool lease_lock(struct queue *queue, uint64_t start, uint64_t end);
void lease_unlock(struct queue *queue, uint64_t start, uint64_t end);

/* Where the lease of another receiver ends that holds any byte from `start` to `end`; 0: nobody does. */
uint64_t lease_end(const struct queue *queue, uint64_t start, uint64_t end);

/*
 * Looks between head and fresh for the oldest message that nobody has leased. Returns where it is, `fresh` if
 * there is none; TAKE is held. *damaged: there is something between that is no record; see repair.h.
 */
uint64_t lease_oldest(struct queue *queue, bool *damaged);

/*
 * What lies from `start` to `end`, `count` messages, is done, and was leased, or is one that never was: marks
 * it and moves the head on. TAKE is held. False and errno: nothing has changed.
 */
bool lease_finish(struct queue *queue, uint64_t start, uint64_t end, uint64_t count);

/* Empties the log's file if everything is done; gives space back. TAKE is held. */
void lease_reclaim(struct queue *queue);

#endif
