/*
 * outgoing: one message to send, between where it was read and where it is put into frames.
 *
 * The content belongs to whoever made it, and stays as it is until the message has been dealt with.
 */
#ifndef FIFO_OUTGOING_H
#define FIFO_OUTGOING_H

#include "message.h"

#include <stdbool.h>
#include <stddef.h>

struct outgoing {
    const void *content;
    size_t length;
    bool bare;                         /* -s: the content itself is the frame */
    const struct return_address *back; /* who waits for an answer; NULL: nobody */
};

#endif
