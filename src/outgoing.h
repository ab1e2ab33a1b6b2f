/*
 * outgoing: one message to send, between where it was read and where it is put into frames.
 *
 * The content belongs to whoever made it; outgoing_drop() gives back that of a long one.
 */
#ifndef FIFO_OUTGOING_H
#define FIFO_OUTGOING_H

#include "message.h"
#include "spool.h"

#include <stdbool.h>
#include <stddef.h>

struct outgoing {
    const void *content;
    size_t length;
    struct spool spool;                /* where the content of a long one lies */
    bool bare;                         /* -s: the content itself is the frame */
    const struct return_address *back; /* who waits for an answer; NULL: nobody */
};

static inline void outgoing_drop(struct outgoing *message)
{
    spool_drop(&message->spool);
}

#endif
