#include "stage.h"

#include "mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void stage_prepare(struct stage *stage, int fd)
{
    if (stage->most == 0) {
        mailbox_grow(fd, 2 * BATCH_BYTES);
        int size = fcntl(fd, F_GETPIPE_SZ);
        stage->most = size > 0 ? (size_t)size / 2 : 0;
    }
}

void stage_drop(struct stage *stage)
{
    if (stage->pipe[1] != 0) {
        close(stage->pipe[0]);
        close(stage->pipe[1]);
        stage->pipe[1] = 0;
    }
    stage->batch = NULL;
}

/* Makes the private pipe, or empties it. False: there is none to be had. */
static bool make_empty(struct stage *stage)
{
    if (stage->batch != NULL) {
        stage_drop(stage);
    }
    if (stage->pipe[1] == 0) {
        if (pipe2(stage->pipe, O_CLOEXEC | O_NONBLOCK) == -1) {
            stage->pipe[1] = 0;
            return false;
        }
        mailbox_grow(stage->pipe[1], BATCH_BYTES);
    }
    return true;
}

bool stage_fill(struct stage *stage, const struct batch *batch, size_t from, size_t to)
{
    size_t start = batch_start(batch, from);

    if (!make_empty(stage)) {
        return false;
    }
    while (to > from && batch->ends[to - 1] - start > stage->most) {
        to--;
    }
    size_t length = batch_start(batch, to) - start;
    ssize_t written = to > from ? write(stage->pipe[1], batch->bytes + start, length) : 0;
    stage->batch = written > 0 ? batch : NULL;
    stage->serial = batch->serial;
    stage->from = from;
    stage->to = to;
    /* Who has many pipes gets small ones: then it is not whole, and never to be launched. */
    if (written > 0 && (size_t)written < length) {
        stage->most = (size_t)written;
        stage_drop(stage);
    }
    return stage->batch != NULL;
}

size_t stage_launch(struct stage *stage, int fd)
{
    const struct batch *batch = stage->batch;
    size_t length = batch_start(batch, stage->to) - batch_start(batch, stage->from);
    int size = fcntl(fd, F_GETPIPE_SZ);

    /* Somebody may have made it smaller meanwhile. */
    if (size < 0 || (size_t)size / 2 < length) {
        stage->most = 0;
        errno = EAGAIN;
        return 0;
    }
    ssize_t moved = splice(stage->pipe[0], NULL, fd, NULL, length, SPLICE_F_NONBLOCK);
    if (moved == (ssize_t)length) {
        stage->batch = NULL; /* the private pipe is empty, and can be used again */
    }
    return moved > 0 ? (size_t)moved : 0;
}
