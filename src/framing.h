/*
 * framing: decides in which form a message may stand behind what is in the FIFO, and puts it into that form.
 *
 * Nothing here blocks.
 */
#ifndef FIFO_FRAMING_H
#define FIFO_FRAMING_H

#include "outgoing.h"
#include "sender.h"
#include "withdraw.h"

#include <stdbool.h>

/*
 * What the `count` bytes that are in the FIFO end in, for the message that is to be sent. TAIL_OPEN where
 * that cannot be seen: we may not read, or a raw writer is at work this very moment.
 */
enum tail framing_tail(struct sender *sender, size_t count);

/* Behind more bytes of others than this, a line goes as a part, which can be withdrawn anywhere. */
#define FRAMING_BACKLOG (PIPE_BUF / 2)

/*
 * Makes the frame of a message, for writing behind `count` bytes that end in `tail`, TAIL_CLEAN or TAIL_OPEN,
 * with the hand lock held: in sender->standing, and laid out for launching if it has more than PIPE_BUF
 * bytes. A line needs a clean end before it, and so little before it that it could be taken back from behind
 * that: a program that reads lines, and is still at the one before, is to see just this one. False: as it is,
 * the message has no form here, and has to go in parts (transfer.h).
 */
bool framing_make(struct sender *sender, const struct outgoing *message, size_t count, enum tail tail);

/*
 * The same for the part of the message that begins at part->offset: as much of it as may go now. Always at
 * least a byte, unless there is none. Returns how much.
 */
size_t framing_make_part(struct sender *sender, const struct outgoing *message,
                         const struct message_part *part, size_t count);

/* Lays the part out, if it will be a long one: while the receiver reads the one before it. */
void framing_prepare_part(struct sender *sender, const struct outgoing *message,
                          const struct message_part *part);

#endif
