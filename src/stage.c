#include "stage.h"

#include "mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

void stage_prepare(struct stage *stage, int fd, size_t wanted)
{
    if (wanted > stage->most && wanted > stage->wanted) {
        stage->wanted = wanted;
        mailbox_grow(fd, 2 * wanted);
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
    stage->length = 0;
}

/* Makes the private pipe, or empties it. False: there is none to be had. */
static bool make_empty(struct stage *stage, size_t bytes)
{
    if (stage->length > 0) {
        stage_drop(stage);
    }
    if (stage->pipe[1] == 0 && pipe2(stage->pipe, O_CLOEXEC | O_NONBLOCK) == -1) {
        stage->pipe[1] = 0;
        return false;
    }
    mailbox_grow(stage->pipe[1], bytes);
    return true;
}

/* Says that `length` bytes are staged, if `written` of them are. */
static bool is_staged(struct stage *stage, size_t written, size_t length)
{
    stage->length = length;
    /* Who has many pipes gets small ones: then it is not whole, and never to be launched. */
    if (written < length) {
        stage->most = written;
        stage_drop(stage);
    }
    return stage->length > 0;
}

bool stage_fill(struct stage *stage, const struct batch *batch, size_t from, size_t to)
{
    size_t start = batch_start(batch, from);

    while (to > from && batch->ends[to - 1] - start > stage->most) {
        to--;
    }
    size_t length = batch_start(batch, to) - start;
    if (length == 0 || !make_empty(stage, length)) {
        return false;
    }
    ssize_t written = write(stage->pipe[1], batch->bytes + start, length);
    stage->batch = batch;
    stage->serial = batch->serial;
    stage->from = from;
    stage->to = to;
    return is_staged(stage, written > 0 ? (size_t)written : 0, length);
}

bool stage_fill_frame(struct stage *stage, const struct message_part *part, const void *head,
                      size_t head_length, const void *content, size_t length)
{
    union {
        const void *in;
        void *out;
    } places[] = {{head}, {content}};
    const struct iovec pieces[] = {{places[0].out, head_length}, {places[1].out, length}};

    if (head_length + length > stage->most || !make_empty(stage, head_length + length)) {
        return false;
    }
    ssize_t written = writev(stage->pipe[1], pieces, 2);
    stage->batch = NULL;
    stage->part = (struct message_part){0};
    if (part != NULL) {
        stage->part = *part;
    }
    return is_staged(stage, written > 0 ? (size_t)written : 0, head_length + length);
}

size_t stage_launch(struct stage *stage, int fd)
{
    size_t length = stage->length;
    int size = fcntl(fd, F_GETPIPE_SZ);

    /* Somebody may have made it smaller meanwhile. */
    if (size < 0 || (size_t)size / 2 < length) {
        stage_drop(stage);
        stage->most = stage->wanted = 0;
        errno = EAGAIN;
        return 0;
    }
    ssize_t moved = splice(stage->pipe[0], NULL, fd, NULL, length, SPLICE_F_NONBLOCK);
    if (moved == (ssize_t)length) {
        stage->length = 0; /* the private pipe is empty, and can be used again */
    } else if (moved > 0) {
        stage_drop(stage); /* what is left in it is no frame */
    }
    return moved > 0 ? (size_t)moved : 0;
}
