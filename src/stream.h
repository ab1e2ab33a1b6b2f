/*
 * stream: what the two ends of a stream of bytes share; outflow.h sends one, inflow.h receives it.
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

/* The reason where a mailbox lost its name after the first byte. */
extern const char *const stream_removed;

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
 * Chooses the way to `end`, the descriptor beside the mailbox `fd`, and makes it wide. Status 2 if `end` is
 * the mailbox itself, or is not open. fstat(2).
 */
struct verdict stream_survey(struct stream *stream, int end, int fd);

/* The verdict for a deadline that has passed: 124, or 4 if the stream had `started`. */
struct verdict stream_late(bool started);

/* Counts bytes that have arrived. */
void stream_count(struct stream *stream, size_t bytes);

#endif
