/*
 * receiver: takes messages out of an unbuffered mailbox, each only after it has been dealt with.
 *
 * receiver_next() puts a message in hand, and receiver_more() those behind it: they stay in the FIFO, other
 * receivers wait, and if this process dies they go to one of them. receiver_take() then takes them out, not
 * one byte more; receiver_release() without it gives them back.
 *
 * struct receiver owns its descriptors and the content of what is in hand, until the next
 * receiver_next() or receiver_release(); memory that a large one has needed is kept for a second. Everything
 * that blocks ends at the deadline, when the mailbox loses its name, or by a signal that asks us to end
 * (verdict.status: STATUS_SIGNAL plus its number).
 */
#ifndef FIFO_RECEIVER_H
#define FIFO_RECEIVER_H

#include "consume.h"
#include "deadline.h"
#include "gather.h"
#include "mailbox.h"
#include "message.h"
#include "peek.h"
#include "progress.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

struct receiver {
    deadline until;
    bool nonblock;             /* -n: status 1 instead of waiting */
    bool exclusive;            /* keep other receivers out between messages too */
    bool keeps;                /* nothing will be taken: --peek, --keep */
    bool many;                 /* receiver_more() will be asked for what else is there */
    bool notices;              /* notices may come, too, as messages of that form */
    size_t size;               /* -s: every message is so many bytes; 0: framed */
    size_t max_size;           /* a message of more bytes is refused */
    struct progress *progress; /* parts are counted here as they come; may be NULL */

    struct mailbox box;
    int fd;
    bool turn; /* locks that we hold, see link.h */
    bool hand;
    bool armed;
    bool dozed; /* has waited for as long as nobody need watch */
    bool watched;
    unsigned long busy; /* how many messages were asked for */
    struct peek peek;
    struct long_line line;
    struct gather gather;
    size_t counted; /* bytes of the message in hand, or of what is gathered, that have been counted */
    bool barred;    /* a sender has kept the hand lock for long, by which nobody tells us when it is free */
    bool parted;    /* the message before came in parts; so may the next */
};

/*
 * Finds the mailbox, unless the caller has just done so (receiver->box), and opens it. The caller has set the
 * options, the rest is zero. With exclusive, waits for our turn. Status 2 if it is a buffered mailbox.
 */
struct verdict receiver_open(struct receiver *receiver, const char *path);

/* Waits for our turn among the receivers: status 1 with nonblock, 124, 3 or a signal if it does not come. */
struct verdict receiver_take_turn(struct receiver *receiver);

/*
 * The same for both locks: no sender takes anything back meanwhile. A sender has the hand lock for
 * microseconds only, unless it was stopped right then.
 */
struct verdict receiver_take_hand(struct receiver *receiver);
void receiver_give_hand(struct receiver *receiver);

/*
 * Sleeps until something happens to the FIFO, which holds `seen` bytes as far as the caller knows; the caller
 * looks again, and spurious events happen. Any status but 0 ends the wait, as receiver_next() has it.
 */
struct verdict receiver_sleep(struct receiver *receiver, size_t seen);

/* What is said when what was at the front is not there any more. */
extern const char *const receiver_rival;

/* Whether the mailbox has lost its name. Looking for it starts here, see watch.h. */
bool receiver_is_gone(struct receiver *receiver);

/*
 * Waits for a message and puts it in hand. Status 0: *message is it, its content readable until it is
 * released. Status 5 with message->frame > 0: something damaged or too long has been skipped. Any other
 * status, or 5 with message->frame 0: nothing was taken and nothing is in hand.
 */
struct verdict receiver_next(struct receiver *receiver, struct message *message);

/*
 * Steps from *message, which is in hand, to the one behind it that is there already and is in hand as well.
 * False, and *message is unchanged: there is none, or it needs receiver_next(), as one with a return address
 * does, and what follows it. `at` is where *message
 * starts: how many bytes the messages before it take in the FIFO.
 */
bool receiver_more(const struct receiver *receiver, struct message *message, size_t at);

/*
 * The same for lines, many in one step: how many of the messages behind the first `at` bytes are lines that
 * came whole, up to `most`. *length is how many bytes they are, in the FIFO as in content, and they start at
 * *bytes.
 */
size_t receiver_more_lines(const struct receiver *receiver, size_t at, size_t most,
                           const unsigned char **bytes, size_t *length);

/*
 * Takes messages in hand out of the FIFO: the first `length` bytes of it, the sum of their frames. Status 2
 * if a raw reader got in between.
 */
struct verdict receiver_take(struct receiver *receiver, size_t length);

/*
 * Gives back what is in hand, if it was not taken, and lets the next receiver in, unless exclusive, or parts
 * of another message have been gathered.
 */
void receiver_release(struct receiver *receiver, const struct message *message);

#endif
