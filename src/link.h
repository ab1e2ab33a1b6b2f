/*
 * link: the locks that senders and receivers of an unbuffered mailbox meet by, on the FIFO itself.
 *
 * These locks; the kernel keeps them and drops them when their holder dies, however it dies.
 *
 *   rendezvous  OFD write lock on byte 0   one sender at a time has a message in the FIFO
 *   turn        flock(2)                   one receiver at a time takes messages
 *   hand        OFD lock on byte 1         held by a receiver (read lock) while it looks, and while it has a
 *                                          message in hand; and by a sender (write lock) while it looks and
 *                                          writes, or takes back
 *   gather      OFD lock on byte 3         held by a receiver (read lock) that has taken the first part of a
 *                                          message and waits for the others; a sender asks for a write lock
 *                                          to learn that the receiver has gone
 *   alive       OFD write lock on byte     held by the sender of a message in parts while its try number id
 *               2^62 + id                  may still be completed; see transfer.h
 *   queue       OFD read lock on byte 2    held by every sender that waits for its turn
 *   entry       OFD write lock on byte 5   held by a sender from before it takes the rendezvous until it
 *                                          gives both back
 *   signatures  bytes 8 and 9              of an exclusive sender and receiver, see lock.h
 *
 * Why hand beside turn: a receiver opens the FIFO read-only, where only read locks are to be had, and read
 * locks do not exclude each other: that is what turn is for. An exclusive receiver keeps turn while it waits,
 * when a sender must still be able to write and to withdraw: that is what hand is for. And a receiver that
 * gathers parts waits for them, which nobody does who holds hand: that is what gather is for.
 *
 * Order: a sender takes entry, rendezvous, alive, and then hand or gather, for a moment; a receiver turn,
 * gather, hand. Nobody waits for anything while it holds hand, but a receiver for its output or COMMAND.
 *
 * Why queue: a lock that is given back wakes a waiter, but whoever asks before that one runs gets it. A
 * sender of many batches, that asks again at once, would keep the others out for good. It looks at queue
 * first, and lets those who wait go before it.
 *
 * Why entry: it is where senders wait. The kernel makes one lock of rendezvous and hand, which are
 * neighbours, and cuts it when hand goes back; then it wakes whoever waits for either, and each that finds
 * nothing wakes the next. Where many wait, that was most of what there was to do.
 *
 * Waiting is done by wait.h; nothing here holds a descriptor.
 */
#ifndef FIFO_LINK_H
#define FIFO_LINK_H

#include "deadline.h"
#include "wait.h"

#include <stdbool.h>
#include <stdint.h>

enum link_lock {
    LINK_RENDEZVOUS,
    LINK_TURN,
    LINK_HAND,
    LINK_RENDEZVOUS_AND_HAND,
    LINK_QUEUE,
    LINK_GATHER,
    LINK_ENTRY,
    LINK_ALL, /* of these but turn: only to be given back */
};

/* As a sender, or a receiver: decides between write and read locks. */
enum link_side { LINK_SENDER, LINK_RECEIVER };

/* Tries to take a lock on the FIFO `fd`. False if somebody has it. fcntl(2), flock(2). */
bool link_try(int fd, enum link_side side, enum link_lock lock);

/*
 * Waits for a lock; `flags` as wait_call(). WAKE_DONE: we have it. WAKE_FAILED: the kernel refused it, see
 * errno (ENOLCK). Anything else as wait_call(): we do not have it.
 */
enum wake link_wait(int fd, enum link_side side, enum link_lock lock, deadline until, int flags);

/* Gives a lock back. Harmless if it is not ours. */
void link_give(int fd, enum link_lock lock);

/* Says who keeps the others on this side out for long, see lock.h; and tells it. */
void link_sign(int fd, enum link_side side);
const char *link_signed(int fd, enum link_side side, const char *begin, const char *otherwise);

/* Says that this sender waits for the rendezvous. Not possible, and not done, without permission to read. */
void link_enqueue(int fd);

/* Whether some other sender waits for the rendezvous. */
bool link_has_queue(int fd);

/* Takes the lock that says that the try `id` is alive. False if somebody has it; another id will do. */
bool link_begin(int fd, uint64_t id);

/* Gives it back. Nobody can have had it in the meantime, nor take it for the same try again. */
void link_end(int fd, uint64_t id);

/* Whether the try `id` of another process is alive. */
bool link_is_alive(int fd, uint64_t id);

/* Waits until it is not; as link_wait(), but nothing is held afterwards. */
enum wake link_wait_for_end(int fd, uint64_t id, deadline until, int flags);

/* Whether some sender has a message in the FIFO, is about to put one there or just has, or waits to. */
bool link_has_sender(int fd);

#endif
