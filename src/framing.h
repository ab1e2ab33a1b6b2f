/*
 * framing: decides in which form a message may stand behind what is in the FIFO, and puts it into that form.
 *
 * The content of a message that becomes a reference is kept by its struct outgoing; see reference.h for who
 * owns that. Nothing here blocks.
 */
#ifndef FIFO_FRAMING_H
#define FIFO_FRAMING_H

#include "outgoing.h"
#include "sender.h"
#include "withdraw.h"

/* Behind more bytes of others than this, a message goes as a reference, which can be withdrawn anywhere. */
#define FRAMING_BACKLOG (PIPE_BUF / 2)

/*
 * What the `count` bytes that are in the FIFO end in, for the message that is to be sent. TAIL_OPEN where
 * that cannot be seen: we may not read, or a raw writer is at work this very moment.
 */
enum tail framing_tail(struct sender *sender, size_t count);

/*
 * Makes sender->frame for writing behind `count` bytes that end in `tail`, TAIL_CLEAN or TAIL_OPEN. A line
 * needs the hand lock, a clean end before it, and so little before it that it could be taken back from behind
 * that. Status 5 if the message is too big for a mailbox of another user, 2 and errno if a memfd cannot be
 * made.
 */
struct verdict framing_make(struct sender *sender, struct outgoing *message, size_t count, enum tail tail);

#endif
