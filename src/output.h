/*
 * output: writes messages to standard output in full, several at once, or says why not and how far it came.
 *
 * The descriptor belongs to the caller. Blocks as long as the other end does, up to the deadline, and
 * dies there by the signals that end a process: nothing has been taken yet.
 */
#ifndef FIFO_OUTPUT_H
#define FIFO_OUTPUT_H

#include "deadline.h"
#include "status.h"

#include <stddef.h>
#include <sys/uio.h>

#define OUTPUT_PARTS 512

/* What is to be written. The caller sets fd and until, the rest is zero. */
struct output {
    int fd;
    deadline until;
    size_t written; /* bytes since the start */
    int count;
    struct iovec parts[OUTPUT_PARTS];
};

/*
 * Adds `length` bytes, which have to stay where they are until output_flush(). What was added before may be
 * written here, with that call's results.
 */
struct verdict output_add(struct output *output, const void *content, size_t length);

/*
 * Writes what was added to the descriptor, which may be non-blocking. Status 2 with errno of writev(2)
 * (ENOSPC, EPIPE, EBADF...), 124 if the deadline passed first; output->written says how much was written all
 * the same.
 */
struct verdict output_flush(struct output *output);

#endif
