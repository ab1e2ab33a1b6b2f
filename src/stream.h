/*
 * stream: bytes as they come, from a descriptor through a mailbox to a descriptor, at the kernel's speed.
 *
 * No message, no framing. splice(2) moves pages rather than bytes wherever the other end allows it; where it
 * does not, bytes are copied. Either way each byte is counted where it has arrived, and none is taken that
 * could not be passed on.
 *
 * The descriptors of the other ends belong to the caller. Everything that blocks ends at the deadline and,
 * but for the time the other end takes, when the mailbox loses its name. The signals that end a process do
 * so at once, for nothing can be taken back.
 */
#ifndef FIFO_STREAM_H
#define FIFO_STREAM_H

#include "deadline.h"
#include "progress.h"
#include "relay.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
    deadline until;
    bool nonblock;  /* -n */
    bool exclusive; /* keep other receivers out between streams too */
    bool follow;    /* receive stream after stream */
    struct progress *progress;

    uint64_t passed; /* bytes that went into the mailbox, or to the receiver's output */
    uint64_t read;   /* of those that went into it, how many have been read by somebody */
    bool ended;      /* the input has nothing more */
    bool is_file;    /* the input never keeps us waiting */
    struct relay relay;
};

/*
 * Sends what `input` holds, up to its end. The caller has set the options, the rest is zero.
 *
 * Waits for a reader. Status 0 when all has been read; with nonblock, when all is in the pipe. Otherwise 1 or
 * 124 if nothing was written, 2 and 4 (too late) if something was; 3 if the name has gone. stream->passed and
 * stream->read tell how much.
 */
struct verdict stream_send(struct stream *stream, const char *path, int input);

/*
 * Receives into `output`, until the last writer has closed or, with follow, for ever. Other receivers are
 * kept out from the first byte to the end. Status 0 at the end; 1 (nothing there) and 124 as receiver.h has
 * them, 4 if the deadline came in the middle, 2 if `output` fails: then what it did not take stays in the
 * mailbox.
 */
struct verdict stream_receive(struct stream *stream, const char *path, int output);

#endif
