/*
 * outgoing: one message to send, between where it was read and where it is put into a frame.
 *
 * The content belongs to whoever made it. The memfd, if there is one, is closed by reference_drop().
 */
#ifndef FIFO_OUTGOING_H
#define FIFO_OUTGOING_H

#include "reference.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Content in memory, or in a sealed memfd where it is too long for a frame. Small content is given to a memfd
 * too when the frame's form demands it, so both may be there.
 */
struct outgoing {
    const void *content; /* NULL if it is in `big` alone */
    size_t length;
    struct reference_writer big;       /* big.fd is -1 if unused */
    bool bare;                         /* -s: the content itself is the frame */
    const struct return_address *back; /* who waits for an answer; NULL: nobody */
    bool referred;                     /* the frame is a reference to `big`, rather than a line or a record */
};

#endif
