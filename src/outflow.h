/*
 * outflow: sends a stream of bytes, and knows how many of them have been read.
 *
 * Guarantees, owners and what may block: see stream.h.
 */
#ifndef FIFO_OUTFLOW_H
#define FIFO_OUTFLOW_H

#include "status.h"
#include "stream.h"

/*
 * Sends what `input` holds, up to its end. The caller has set the options, the rest is zero.
 *
 * Waits for a reader. Status 0 when all has been read; with nonblock, when all is in the pipe. Otherwise 1,
 * 124 or 3 (the name has gone) if nothing was written; 2 (the reader has gone, or it is full) and 4 (too
 * late, or the name has gone) if something was. stream->passed and stream->read tell how much.
 */
struct verdict outflow(struct stream *stream, const char *path, int input);

#endif
