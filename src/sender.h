/*
 * sender: the sender's end of an unbuffered mailbox: opening it, and taking turns with the others.
 *
 * What is then sent is the business of deliver.h (messages) and stream.h (bytes).
 *
 * struct sender owns its descriptors until sender_close(), or until the process ends. Everything that blocks
 * ends at the deadline, when the mailbox loses its name, or by a signal that asks us to end (verdict.status
 * is then STATUS_SIGNAL plus its number).
 */
#ifndef FIFO_SENDER_H
#define FIFO_SENDER_H

#include "deadline.h"
#include "mailbox.h"
#include "message.h"
#include "peek.h"
#include "progress.h"
#include "stage.h"
#include "status.h"
#include "wait.h"

#include <stdbool.h>
#include <stddef.h>

/* Our message, or the last of several, as it stands in the FIFO. */
struct standing {
    const unsigned char *head; /* what it starts with; of a part, that tells it from every other */
    size_t head_length;
    const unsigned char *body; /* and what follows */
    size_t body_length;
};

static inline size_t standing_length(const struct standing *standing)
{
    return standing->head_length + standing->body_length;
}

struct sender {
    deadline until;
    bool nonblock;  /* -n: status 1 where others wait */
    bool exclusive; /* keep other senders out between messages too */
    bool raw;       /* -R: open the write end alone, so that we see when there is no reader */

    struct mailbox box;
    int fd;
    unsigned reopened; /* how often it has been another descriptor, without the locks of the one before */
    bool readable;     /* we may read: look at what is in the FIFO, and take ours back */
    bool rendezvous;   /* locks that we hold, see link.h; the first together with `entry` */
    bool hand;
    bool armed;
    bool watched;
    bool served;               /* we have had the rendezvous before */
    deadline yielded;          /* until when we do not wait for others to go first */
    struct progress *progress; /* what has been taken is counted here; may be NULL */
    size_t counted;            /* bytes of the message on its way that are already */
    size_t quota;              /* how many messages of a batch go at once, see deliver.h */
    struct stage stage;
    /* What may be done while a receiver is at work on what was put last, such as to read more input: returns
     * the batch that follows, NULL if there is none yet. */
    const struct batch *(*meanwhile)(void *context);
    void *context;
    /* What is done whenever something has happened, until the message is taken: true ends that, with
     * status 4. */
    bool (*attend)(void *context);
    /* How to wait meanwhile, never WAKE_DONE; NULL: by wait_event(). */
    enum wake (*rest)(void *context, deadline until);
    bool (*occupied)(void *context); /* whether rest() has more to wait for than wait_event() has */
    void *attending;
    struct standing standing;
    struct frame frame; /* its bytes or, of a long one, the first of them */
    bool doubtful;      /* something else is beside it, and we may not look: it may have swallowed ours */
    bool hideable;      /* what stands before it would run into it, if its beginning were gone */
    size_t unit;        /* -s: the size of every message in the FIFO, otherwise 0 */
    struct peek peek;
};

/*
 * Finds the mailbox, unless the caller has just done so (sender->box), and opens it. The caller has set
 * until, nonblock and exclusive, the rest is zero. With nonblock status 1 if nobody has it open for reading;
 * 2 if it is a buffered one.
 */
struct verdict sender_open(struct sender *sender, const char *path);

/*
 * Waits until no other sender is at the mailbox, and keeps them out until sender_release(). With nonblock
 * status 1 if one is. The hand lock may come with it. Whoever comes back lets those go first who wait.
 */
struct verdict sender_meet(struct sender *sender);

/* Opens the write end anew when there is a reader again; waits for our turn again. */
struct verdict sender_reopen(struct sender *sender);

/* Whether the mailbox has lost its name, and what is said then. Looking for it starts here, see watch.h. */
bool sender_is_gone(struct sender *sender);
extern const char *const sender_gone;

/*
 * Takes the hand lock, which receivers hold while they work on a message. Nothing of ours is in the FIFO.
 * Status 124 if one keeps it until the deadline, or 1 with nonblock.
 */
struct verdict sender_wait_hand(struct sender *sender);

/* The same, for what is there; `flags` as wait_call(). False if a receiver keeps it for more than 100 ms. */
bool sender_take_hand(struct sender *sender, int flags);
void sender_give_hand(struct sender *sender);

/* Has SIGIO raised for what happens to the FIFO, see wait.h. False and errno of fcntl(2): nothing would ever
 * wake us. */
bool sender_arm(struct sender *sender);

/* Lets the next sender in, unless we are exclusive. */
void sender_release(struct sender *sender);

/* Gives back the locks, the descriptors and the memory. Nothing of ours may be in the FIFO. */
void sender_close(struct sender *sender);

#endif
