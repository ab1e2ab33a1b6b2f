/*
 * request: the sender's side of a return address: makes the FIFO that answers come through, and waits for
 * them.
 *
 * A reply is any number of messages, its parts, which are written to `output` as they come. It is complete
 * when the receiver has said that the message is taken, at least one part has come, and nobody has the FIFO
 * open for writing any more. A receiver that dies with the message in hand closes the FIFO without having
 * said anything.
 *
 * struct request owns its descriptors, and its directory, until request_end(), which deletes it; a signal
 * that ends the process meanwhile deletes it too. Everything that blocks ends at the deadline, or by a signal
 * that asks us to end.
 */
#ifndef FIFO_REQUEST_H
#define FIFO_REQUEST_H

#include "backlog.h"
#include "queue.h"
#include "receiver.h"
#include "reply.h"
#include "replybox.h"
#include "status.h"

struct request {
    uint32_t wants; /* of enum wants */
    deadline until;
    bool nonblock;
    int output; /* where replies go */

    struct replybox box;
    bool watched;            /* that what is in it is not deleted */
    struct receiver replies; /* our end of the FIFO in it */
    bool open;
    bool begun;     /* a receiver has had it in hand */
    bool passed_on; /* and after that another one */
    bool noticed;   /* a receiver has said what has become of it: */
    struct notice notice;
    bool more;              /* has come than was taken in one go */
    size_t parts;           /* of the reply so far */
    struct backlog backlog; /* what has been taken of the reply, and not been printed */
    struct verdict trouble; /* with printing them */
};

/*
 * Makes an address for the next message to `mailbox`; a late answer to the last one finds nobody. Status 2
 * with errno. The caller has set what stands above the empty line, the rest is zero.
 */
struct verdict request_begin(struct request *request, const char *mailbox);

/*
 * Looks, without waiting, for what has come, and prints it. True: to wait until somebody takes the message
 * makes no sense any more; request_failed() says why. `context` is a struct request.
 */
bool request_attend(void *context);

/* Whether there is more to wait for than signals: that standard output takes more, or nothing at all. */
bool request_occupied(void *context);

/* Waits as wait_event() does, and until standard output takes more of what has come; not if more is there. */
enum wake request_rest(void *context, deadline until);

/*
 * What is to be said of a message that has not been taken, or may not have been, for the reason `v`: status 0
 * if the reply is there all the same, 4 if a receiver has had it in hand and will never reply, and why.
 */
struct verdict request_conclude(struct request *request, struct verdict v);

/* The message has been taken: waits for what has to come still. Status 4 if it does not. */
struct verdict request_await(struct request *request);

/*
 * The same for one that has been stored, at `place`, and is waited for until it is taken. 124, or 1, if it
 * was withdrawn; 3 if the mailbox was removed.
 */
struct verdict request_await_stored(struct request *request, struct queue *queue, const struct place *place);

void request_end(struct request *request);

#endif
