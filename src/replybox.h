/*
 * replybox: the FIFO through which who asks is answered, from its own side: made, renewed for each message,
 * deleted.
 *
 * See reply.h for what it is. struct replybox owns its names and descriptors until replybox_end(), which
 * deletes everything, by descriptors, so that nothing is left if a directory on the way is renamed; a signal
 * that ends the process meanwhile deletes it too. Nothing here blocks.
 */
#ifndef FIFO_REPLYBOX_H
#define FIFO_REPLYBOX_H

#include "message.h"
#include "status.h"

/* All zero is none. */
struct replybox {
    struct return_address address;
    char *path;      /* of the FIFO */
    char *directory; /* NULL: none is made */
    int parent;      /* descriptors of what they lie in */
    int lock;
};

/*
 * Makes the FIFO, with a new random name, for a message to `mailbox` that wants an answer, and the directory
 * if there is none yet; the FIFO of the message before it is deleted. Status 2 with errno.
 */
struct verdict replybox_renew(struct replybox *box, const char *mailbox, uint32_t wants);

/* Deletes the FIFO, and the directory. */
void replybox_end(struct replybox *box);

#endif
