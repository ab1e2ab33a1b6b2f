/*
 * deposit: stores what there is to send in a buffered mailbox, many messages at once where they are there.
 *
 * Nothing waits longer in memory than until the input would have to be waited for: what is typed, or comes
 * slowly, is stored at once. Blocks as queue_store() and input_next() do. The queue and the input belong to
 * the caller.
 */
#ifndef FIFO_DEPOSIT_H
#define FIFO_DEPOSIT_H

#include "input.h"
#include "mailbox.h"
#include "progress.h"
#include "queue.h"
#include "status.h"

/*
 * Stores message after message until the input ends or one fails. The queue is not open yet: it is opened,
 * as mailbox `box`, when there is something to store, and found again for that where it came from a
 * descriptor, which may have taken hours. *stored is how many were, from the first; the verdict is that of
 * the first one that was not, as input_next(), queue_open() and queue_store() have it. `progress` may be
 * NULL.
 */
struct verdict deposit(struct queue *queue, const struct mailbox *box, struct input *input,
                       struct progress *progress, unsigned long *stored);

/*
 * Stores one message on its own, with the return address that it may have: a long one, or one that came
 * alone. *stored is 1 if that succeeds, otherwise 0.
 */
struct verdict deposit_one(struct queue *queue, struct outgoing *message, size_t *stored);

#endif
