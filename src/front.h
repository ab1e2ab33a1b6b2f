/*
 * front: finds out what stands at the front of a mailbox: a message, the beginning of one, or damage.
 *
 * Damage is skipped here. A raw line that is longer than the pipe is read into memory, since nothing more can
 * come before that; and so are the parts of a message, but for the last one. Everything else stays where it
 * is. What waits here ends as receiver.h has it. Descriptors and buffers are the receiver's.
 */
#ifndef FIFO_FRONT_H
#define FIFO_FRONT_H

#include "message.h"
#include "receiver.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

/* What one step towards a message led to. */
enum step {
    STEP_MESSAGE, /* it is in hand */
    STEP_AGAIN,   /* look again */
    STEP_END,     /* the verdict says why */
};

/*
 * Looks at the front of the FIFO, with both locks held. STEP_MESSAGE: *message is in hand. STEP_AGAIN:
 * nothing whole was there; the locks may have been given back. STEP_END: *v says why, as receiver_next() has
 * it.
 */
enum step front_find(struct receiver *receiver, struct message *message, struct verdict *v);

/* Drops what has been gathered of a message in parts. */
void front_drop(struct receiver *receiver);

/* Whether no process has the other end open any more, for a FIFO that had a writer since we opened it.
 * poll(2).
 */
bool front_is_left(const struct receiver *receiver);

/* The same, and what we have `seen`, so many bytes, is all it left. poll(2), FIONREAD. */
bool front_is_all(const struct receiver *receiver, size_t seen);

#endif
