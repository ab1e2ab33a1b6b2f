/*
 * sender: sends messages through an unbuffered mailbox, each in a rendezvous with the receiver that takes it.
 *
 * sender_send() returns status 0 only when the message has been taken, and any other status than 4 only when
 * it never will be. At most one message of ours is in the FIFO at a time.
 *
 * struct sender owns its descriptors until the process ends. Everything that blocks ends at the deadline,
 * when the mailbox loses its name, or by a signal that asks us to end (verdict.status is then
 * STATUS_SIGNAL plus its number, and the message has been withdrawn).
 */
#ifndef FIFO_SENDER_H
#define FIFO_SENDER_H

#include "deadline.h"
#include "mailbox.h"
#include "message.h"
#include "peek.h"
#include "reference.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * One message to send: content in memory, or in a sealed memfd where it is too long for a frame. Small
 * content is given to a memfd too when the frame's form demands it, so both may be there.
 */
struct outgoing {
    const void *content; /* NULL if it is in `big` alone */
    size_t length;
    struct reference_writer big; /* big.fd is -1 if unused */
    bool bare;                   /* -s: the content itself is the frame */
    bool referred;               /* the frame is a reference to `big`, rather than a line or a record */
};

struct sender {
    deadline until;
    bool nonblock;  /* -n: status 1 where others wait */
    bool exclusive; /* keep other senders out between messages too */

    struct mailbox box;
    int fd;
    bool readable;   /* we may read: look at what is in the FIFO, and take ours back */
    bool rendezvous; /* locks that we hold, see link.h */
    bool hand;
    bool armed;
    bool watched;
    struct frame frame; /* our message as it stands in the FIFO */
    size_t unit;        /* -s: the size of every message in the FIFO, otherwise 0 */
    struct peek peek;
};

/*
 * Finds and opens the mailbox. The caller has set until, nonblock and exclusive, the rest is zero. With
 * nonblock status 1 if nobody has it open for reading.
 */
struct verdict sender_open(struct sender *sender, const char *path);

/* Sends one message. Keeps the rendezvous, so that the next sender waits, until sender_release(). */
struct verdict sender_send(struct sender *sender, struct outgoing *message);

/* Lets the next sender in, unless we are exclusive. */
void sender_release(struct sender *sender);

#endif
