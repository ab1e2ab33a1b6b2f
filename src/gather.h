/*
 * gather: what a receiver has of a message that comes in parts; transfer.h is the sender's side.
 *
 * Each part is read into memory as it comes, but for the last one: that stays in the FIFO, where the sender
 * sees it, until the message has been dealt with. While parts are gathered the receiver keeps turn, and the
 * lock `gather` (link.h), which the kernel drops if it dies: then the sender begins anew for another one.
 *
 * struct gather owns its memory, until gather_free() or the end of the process. Much of it is kept for the
 * next message, for a second. The descriptor is the receiver's, who holds the hand lock for everything that
 * reads. Nothing here waits.
 */
#ifndef FIFO_GATHER_H
#define FIFO_GATHER_H

#include "buffer.h"
#include "deadline.h"
#include "message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: nothing has been gathered. */
struct gather {
    bool active;
    uint64_t id;
    size_t total;
    size_t length; /* bytes that have been gathered */
    pid_t sender;
    struct return_address back;
    struct buffer content;
    deadline kept; /* nothing is gathered: until when the content's memory is */
    size_t piece;  /* the length of the part that came last */
};

/* Whether the part is the one that has to come next. */
bool gather_is_next(const struct gather *gather, const struct message *part);

/*
 * Makes room for the message that `part`, the first, begins. False and errno: ENOMEM. The room is claimed,
 * and taken only as parts come: what a header says of the total may be a lie.
 */
bool gather_begin(struct gather *gather, const struct message *part);

/*
 * Reads the next part from the front of the FIFO. False and errno: ENOMEM; or, if a raw reader was faster,
 * EAGAIN, and nothing has been read, or EIO, and something else has.
 */
bool gather_read(struct gather *gather, int fd, const struct message *part);

/* Gets memory for another part like the last one, while there is nothing else to do. */
void gather_prepare(struct gather *gather);

/* Adds the content of *message, the last part, which stays where it is, and makes it the whole. */
void gather_finish(struct gather *gather, struct message *message);

/*
 * Reads a part that means nothing any more, in one step: whoever is killed leaves all of it or nothing.
 * Nothing may be gathered. False and errno.
 */
bool gather_discard(struct gather *gather, int fd, const struct message *part);

/* Nothing is gathered any more, and the lock goes back. */
void gather_end(struct gather *gather, int fd);

/*
 * The moment until which who waits may keep the memory: DEADLINE_NEVER while it is needed, or is little. Then
 * it is due for gather_free().
 */
deadline gather_kept_until(const struct gather *gather);

/* Frees the memory. Nothing may be gathered. */
void gather_free(struct gather *gather);

#endif
