/*
 * receiver: takes messages out of an unbuffered mailbox, each only after it has been dealt with.
 *
 * receiver_next() puts a message in hand: it stays in the FIFO, other receivers wait, and if this process
 * dies it goes to one of them. receiver_take() then takes it out, not one byte more; receiver_release()
 * without it gives it back.
 *
 * struct receiver owns its descriptors and the content of the message in hand, until the next
 * receiver_next() or receiver_release(). Everything that blocks ends at the deadline, when the mailbox
 * loses its name, or by a signal that asks us to end (verdict.status: STATUS_SIGNAL plus its number).
 */
#ifndef FIFO_RECEIVER_H
#define FIFO_RECEIVER_H

#include "consume.h"
#include "deadline.h"
#include "mailbox.h"
#include "message.h"
#include "peek.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

struct receiver {
    deadline until;
    bool nonblock;   /* -n: status 1 instead of waiting */
    bool exclusive;  /* keep other receivers out between messages too */
    bool keeps;      /* nothing will be taken: --peek, --keep */
    size_t size;     /* -s: every message is so many bytes; 0: framed */
    size_t max_size; /* a message of more bytes is refused */

    struct mailbox box;
    int fd;
    bool turn; /* locks that we hold, see link.h */
    bool hand;
    bool armed;
    bool watched;
    unsigned long busy; /* how many messages were asked for */
    struct peek peek;
    struct long_line line;
};

/*
 * Finds and opens the mailbox. The caller has set the options, the rest is zero. With exclusive, waits for
 * our turn.
 */
struct verdict receiver_open(struct receiver *receiver, const char *path);

/*
 * Waits for a message and puts it in hand. Status 0: *message is it, its content readable until it is
 * released. Status 5 with message->frame > 0: something damaged or too long has been skipped. Any other
 * status, or 5 with message->frame 0: nothing was taken and nothing is in hand.
 */
struct verdict receiver_next(struct receiver *receiver, struct message *message);

/* Takes the message in hand out of the FIFO. Status 2 if a raw reader got in between. */
struct verdict receiver_take(struct receiver *receiver, const struct message *message);

/* Gives back what is in hand, if it was not taken, and lets the next receiver in, unless exclusive. */
void receiver_release(struct receiver *receiver, const struct message *message);

#endif
