/*
 * dispatch: sends what there is to send to an unbuffered mailbox, many messages at once where they are there;
 * deposit.h is the same for a buffered one.
 *
 * Nothing waits longer in memory than until the input would have to be waited for: what is typed, or comes
 * slowly, goes at once. Blocks as deliver() and input_next() do. The sender, the input and what asks belong
 * to the caller.
 */
#ifndef FIFO_DISPATCH_H
#define FIFO_DISPATCH_H

#include "ask.h"
#include "batch.h"
#include "input.h"
#include "outgoing.h"
#include "sender.h"
#include "status.h"

#include <stdbool.h>

/* The caller sets the first three; the rest is zero. */
struct dispatch {
    struct input *input;
    bool batched;          /* the input is cut into messages, of which those that are there go at once */
    struct asking *asking; /* -r, --receipt: they go one at a time, each with this; or NULL */

    struct sender *sender; /* set by dispatch() */

    /* What has been read and not been sent yet: a batch, and behind it perhaps one message that does not fit.
     */
    struct batch batches[2]; /* one that is being sent, and one that is being filled */
    int current;
    bool filled; /* the other one has been filled already, with `verdict` */
    struct verdict verdict;
    struct outgoing message;
    bool pending; /* there is such a message */
};

/*
 * Sends message after message until the input ends or one fails. The mailbox `path` is opened when there is
 * something to send, unless sender->box says that it has just been found. *taken is how many were, from the
 * first; the verdict is that of the first one that was not, as input_next(), sender_open() and deliver() have
 * it.
 */
struct verdict dispatch(struct dispatch *dispatch, struct sender *sender, const char *path,
                        unsigned long *taken);

#endif
