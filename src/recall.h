/*
 * recall: finds what is left of a batch among what else is in the FIFO, and takes it back, and only it.
 *
 * What withdraw.h says of one message holds for each of them; only recall_piece() waits, as there. The
 * descriptors belong to the sender.
 */
#ifndef FIFO_RECALL_H
#define FIFO_RECALL_H

#include "batch.h"
#include "withdraw.h"

/*
 * Takes back what is left in the FIFO of frames `from` up to `to` (exclusive): the last *left of them, for
 * messages are taken in their order. The caller holds the hand lock. WITHDRAWN: these are out, and nobody has
 * them or will have them. WITHDRAW_TAKEN: none was left. WITHDRAW_FAILED: they are there still, or may be;
 * *left is how many at most.
 */
enum withdrawal recall(struct sender *sender, const struct batch *batch, size_t from, size_t to,
                       size_t *left);

/* How many of them, the last ones, are in the FIFO, as far as can be seen. */
size_t recall_left(struct sender *sender, const struct batch *batch, size_t from, size_t to);

/*
 * After `length` bytes of ours, which start with the `told` bytes at `start`, were put into the FIFO in one
 * go: takes them out again, if they are not all of what was to be put there (`whole` is false), or if
 * something that a raw writer did not finish got before them, so that its rest and they would be read as one.
 * WITHDRAWN: they are out. WITHDRAW_TAKEN: a raw reader has some of them. WITHDRAW_FAILED: they are there; if
 * `whole`, that may be because all is well. Needs the hand lock.
 */
enum withdrawal recall_piece(struct sender *sender, const unsigned char *start, size_t told, size_t length,
                             bool whole);

#endif
