/*
 * output: writes a message to standard output in full, or says why not.
 *
 * The descriptor belongs to the caller. Blocks as long as the other end does, up to the deadline, and
 * dies there by the signals that end a process: nothing has been taken yet.
 */
#ifndef FIFO_OUTPUT_H
#define FIFO_OUTPUT_H

#include "deadline.h"
#include "status.h"

#include <stddef.h>

/*
 * Writes `length` bytes to `fd`, which may be non-blocking. Status 2 with errno of write(2) (ENOSPC, EPIPE,
 * EBADF...), 124 if the deadline passed first; part of it may have been written in either case.
 */
struct verdict output_write(int fd, const void *content, size_t length, deadline until);

#endif
