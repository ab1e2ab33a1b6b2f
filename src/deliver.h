/*
 * deliver: puts messages into the FIFO and waits until a receiver has taken them.
 *
 * Status 0 means that the message has been taken, and any status but 4 and 0 that it never will be: it has
 * been withdrawn. At most one message of ours is in the FIFO at a time or, of a batch, as many as are taken
 * at once; of a message that goes in parts (transfer.h), one part.
 *
 * Descriptors are the sender's. Everything that blocks ends as sender.h has it.
 */
#ifndef FIFO_DELIVER_H
#define FIFO_DELIVER_H

#include "batch.h"
#include "outgoing.h"
#include "sender.h"
#include "status.h"

/* Sends one message. Keeps the rendezvous, so that the next sender waits, until sender_release(). */
struct verdict deliver(struct sender *sender, const struct outgoing *message);

/*
 * Sends the messages of a batch, several in one rendezvous, and lets other senders in between. *taken is how
 * many, from the first, have been taken; the verdict is that of the first one that was not.
 *
 * How many go at once is for the receiver to say: one to begin with, twice as many each time they are taken
 * promptly, half as many when they are not. So what is there when something goes wrong is little where
 * messages are worked on, and much only where they are merely passed on.
 */
struct verdict deliver_batch(struct sender *sender, const struct batch *batch, size_t *taken);

/*
 * For who waits until what stands in the FIFO is taken. Whether it makes no sense any more to wait, as the
 * sender's `attend` has it.
 */
static inline bool deliver_is_over(struct sender *sender)
{
    return sender->attend != NULL && sender->attend(sender->attending);
}

/*
 * Whether to wait no longer, after `wake`: *why is what to say if it is withdrawn then. `over`: what
 * deliver_is_over() has said, before the last look; a receiver that is done takes the message first.
 */
bool deliver_stops(struct sender *sender, bool over, enum wake wake, deadline until, struct verdict *why);

/* What is said of a message that a receiver does not let go of. */
extern const char *const deliver_in_hand;

/* A signal ends us, whatever it found: `why`, unless it has found that the message is not withdrawn. */
struct verdict deliver_interrupted(struct verdict why, struct verdict found);

/* Status 0, unless we could not look, and another program may have had the message for its own. */
struct verdict deliver_taken(const struct sender *sender);

#endif
