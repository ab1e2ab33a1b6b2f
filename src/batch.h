/*
 * batch: messages, framed and laid side by side, so that one write(2) or splice(2) carries as many as it may.
 *
 * Each frame stays whole within one such call, so that nothing is torn whoever is killed. Only memory: no
 * descriptor, nothing blocks. struct batch owns its buffers until batch_drop().
 */
#ifndef FIFO_BATCH_H
#define FIFO_BATCH_H

#include "message.h"
#include "outgoing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one batch holds at most: half of what a FIFO can be grown to without privilege. */
#define BATCH_BYTES    ((size_t)512 * 1024)
#define BATCH_MESSAGES ((size_t)16384)

/* All zero is an empty one. */
struct batch {
    unsigned char *bytes;
    uint32_t *ends; /* where each frame ends in `bytes` */
    size_t count;   /* frames */
    size_t serial;  /* tells what it held before batch_clear() from what it holds now */
    size_t unit;    /* -s: the size of every message, otherwise 0 */
};

/* Where frame `index` begins. batch_start(batch, batch->count) is the length of them all. */
static inline size_t batch_start(const struct batch *batch, size_t index)
{
    return index == 0 ? 0 : batch->ends[index - 1];
}

static inline void batch_clear(struct batch *batch)
{
    batch->count = 0;
    batch->serial++;
}

/*
 * Adds a message in the form that it has on its own in an empty FIFO. False, and nothing is changed, if there
 * is no room, or no memory.
 */
bool batch_add(struct batch *batch, const struct outgoing *message);

/*
 * Adds the lines that `bytes` starts with, up to the first that is not whole, has no place or could not
 * travel as a line. Returns how many bytes they are.
 */
size_t batch_add_lines(struct batch *batch, const char *bytes, size_t length);

/* The index behind the last frame that fits into one write that starts with frame `from`, and is below `to`.
 */
size_t batch_piece(const struct batch *batch, size_t from, size_t to);

/* Frees its buffers. */
void batch_drop(struct batch *batch);

/* The message of frame `index`, to be sent on its own. Its content lies in the batch. */
struct outgoing batch_message(const struct batch *batch, size_t index);

#endif
