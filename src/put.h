/*
 * put: writes into the FIFO what its receiver is to find there, where a message may begin, and nowhere else.
 *
 * Whoever holds the hand lock keeps our receivers away, but a raw writer may still get its bytes in between
 * the look at the FIFO and the write. So everything is written under that lock, looked at once more before it
 * is given back, and taken out again where something unfinished, or a header that lies, has got before it.
 *
 * Descriptors are the sender's, who has the rendezvous. put_message() and put_part() wait, for the hand lock
 * and for room, and end as sender.h has it.
 */
#ifndef FIFO_PUT_H
#define FIFO_PUT_H

#include "batch.h"
#include "outgoing.h"
#include "sender.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

/* Writes the message as one frame, sender->standing. *unfit: nothing is written, it has to go in parts. */
struct verdict put_message(struct sender *sender, const struct outgoing *message, bool *unfit);

/*
 * The same for what may go now of the message from part->offset on; *length is how much of it. If the last
 * reader has left, so that sender->reopened has changed, nothing is written: the lock of the try is lost.
 */
struct verdict put_part(struct sender *sender, const struct outgoing *message,
                        const struct message_part *part, size_t *length);

/*
 * Puts frames of the batch into the empty FIFO in one go, up to frame `most`. The hand lock is held. *end is
 * the index behind the last one; `from` if there was no room, no reader, or a raw writer in the way. Status
 * 4: a part of them is there, and cannot be taken out.
 */
struct verdict put_batch(struct sender *sender, const struct batch *batch, size_t from, size_t most,
                         size_t *end);

/* What a wait that ended says about a message that is not, or no longer, in the FIFO. */
struct verdict put_gave_up(const struct sender *sender, enum wake wake);

#endif
