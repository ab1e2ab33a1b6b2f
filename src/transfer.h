/*
 * transfer: sends a message in parts: one that is longer than a frame, or that stands where only a part can
 * be taken back for certain.
 *
 * Part after part goes through the FIFO, each a frame of its own, the next when the one before it has been
 * read. A receiver gathers them (gather.h), but leaves the last one in the FIFO until the message has been
 * dealt with. So that this has gone means what it means for a whole message: it has been taken.
 *
 * Each try to send a message has an id of its own, random and new, and a lock on the byte of that number
 * (link.h) says that this try is alive. It goes from held to free once, and never comes back, so that asking
 * and then waiting cannot race. To withdraw is to give it back, from wherever the parts are: without it no
 * receiver begins, nor delivers. A receiver that has read the first part holds the lock `gather` until it has
 * taken the last one. A sender who can have that lock knows that the receiver has died, or given up, and
 * begins anew with another id: what is left of the old try means nothing to anybody.
 *
 * fifo-mailbox(5) has the rules, and tests/model a model of them, which spin(1) searches for faults.
 *
 * Descriptors are the sender's. What waits ends as sender.h has it.
 */
#ifndef FIFO_TRANSFER_H
#define FIFO_TRANSFER_H

#include "outgoing.h"
#include "sender.h"
#include "status.h"

/* Sends the message, with the rendezvous held, as deliver() does. */
struct verdict transfer(struct sender *sender, const struct outgoing *message);

#endif
