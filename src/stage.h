/*
 * stage: lays frames out in a pipe of our own, from where one splice(2) moves them into the FIFO.
 *
 * The work of copying is done while the receiver is still busy with what came before, outside of all locks;
 * what is left for the moment when it is our turn takes microseconds.
 *
 * What makes it as safe as a write(2) of PIPE_BUF bytes: splice(2) between two pipes moves whole buffers,
 * without copying and without a point where it could fail or be killed, and holds both pipes' mutexes from
 * the first to the last. Only a FIFO that becomes full cuts it short. So no more is moved than half of what
 * the FIFO has room for, and it must have been found empty: to cut it short, somebody would have to write the
 * other half, in between. Should that ever be, the caller is told, and takes it out again (recall_piece() in
 * recall.h) before a receiver may look.
 *
 * struct stage owns the private pipe until stage_drop(), or the end of the process. Nothing here blocks.
 */
#ifndef FIFO_STAGE_H
#define FIFO_STAGE_H

#include "batch.h"

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty one. */
struct stage {
    int pipe[2];
    size_t length;             /* bytes that are staged; 0: nothing is */
    const struct batch *batch; /* they are of this batch; NULL: they are one frame */
    size_t serial;             /* of the batch */
    size_t from;               /* frames `from` up to `to` (exclusive) are */
    size_t to;
    struct message_part part; /* which is this part, if it is one */
    size_t most;              /* bytes that may be staged */
    size_t wanted;            /* that were asked for */
};

/*
 * Finds out how much may be staged for the FIFO `fd`, which is made bigger if that is less than `wanted`, at
 * most BATCH_BYTES.
 */
void stage_prepare(struct stage *stage, int fd, size_t wanted);

/*
 * Stages frames `from` up to `to`, or fewer if they are more than may be staged, in place of what was staged
 * before. False: nothing is staged, for want of a pipe.
 */
bool stage_fill(struct stage *stage, const struct batch *batch, size_t from, size_t to);

/* Whether frame `from` is the first one that is staged. */
static inline bool stage_has(const struct stage *stage, const struct batch *batch, size_t from)
{
    return stage->length > 0 && stage->batch == batch && stage->serial == batch->serial &&
           stage->from == from;
}

/*
 * The same for one frame: the `head_length` bytes before its content, and the `length` bytes of that. `part`:
 * which part it is; NULL: a whole message. False, too, if it is more than may be staged.
 */
bool stage_fill_frame(struct stage *stage, const struct message_part *part, const void *head,
                      size_t head_length, const void *content, size_t length);

static inline bool stage_has_part(const struct stage *stage, const struct message_part *part)
{
    return stage->length > 0 && stage->batch == NULL && stage->part.total == part->total &&
           stage->part.id == part->id && stage->part.offset == part->offset;
}

/*
 * Moves what is staged into the FIFO `fd`, which was found empty and whose hand lock the caller has. Returns
 * the bytes that are there now: all that were staged, 0 with errno of splice(2), or in between (see above).
 */
size_t stage_launch(struct stage *stage, int fd);

/* Gives back the private pipe. */
void stage_drop(struct stage *stage);

#endif
