/*
 * ask: sends messages with a return address, one at a time, and prints what comes back: a reply, or a
 * receipt.
 *
 * The caller ends asking->request with request_end(). Blocks as deliver(), queue_store() and request_await()
 * do.
 */
#ifndef FIFO_ASK_H
#define FIFO_ASK_H

#include "input.h"
#include "outgoing.h"
#include "queue.h"
#include "request.h"
#include "sender.h"
#include "status.h"

struct asking {
    const char *mailbox;
    const struct identity *who; /* it, if it is buffered */
    struct request request;     /* its options are set */
};

/* Sends one message to an unbuffered mailbox. Status 0: it was taken, and what was asked for has been
 * printed. */
struct verdict ask(struct asking *asking, struct sender *sender, struct outgoing *message);

/*
 * Stores message after message in a buffered mailbox, which it opens, and waits for each. *done is how many
 * were answered; the verdict is that of the first that was not.
 */
struct verdict ask_queue(struct asking *asking, struct queue *queue, struct input *input,
                         unsigned long *done);

#endif
