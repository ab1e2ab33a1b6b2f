#include "recall.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a look at the FIFO found of frames `from` to `to`. */
struct finding {
    size_t left;  /* how many of them are there: the last ones */
    bool certain; /* and there cannot be more */
    bool fits;    /* `others` is all there is beside them */
    size_t length;
    unsigned char others[PIPE_BUF];
};

/* Whether all that was seen is the last frames before `to`, and nothing else. */
static bool is_ours_alone(const struct peek *peek, const struct batch *batch, size_t from, size_t to,
                          size_t *left)
{
    size_t end = batch_start(batch, to);
    size_t first = to;

    while (first > from && end - batch_start(batch, first) < peek->length) {
        first--;
    }
    size_t start = batch_start(batch, first);
    *left = to - first;
    return end - start == peek->length && memcmp(batch->bytes + start, peek->bytes, peek->length) == 0;
}

/* Where the message that starts at `at` ends, as a receiver would see it. */
static size_t step(const struct peek *peek, size_t at, size_t unit)
{
    struct message message;
    size_t rest = peek->length - at;

    /* Behind an odd number of bytes, what a raw reader has left of the first, they are in place from the
     * back. */
    if (unit > 0) {
        return at + (rest % unit > 0 ? rest % unit : unit);
    }
    message_find(peek->bytes + at, rest, true, &message);
    return message.frame > 0 && message.frame < rest ? at + message.frame : peek->length;
}

static void add_other(struct finding *finding, const unsigned char *bytes, size_t length)
{
    finding->fits &= length <= sizeof finding->others - finding->length;
    if (finding->fits) {
        memcpy(finding->others + finding->length, bytes, length);
        finding->length += length;
    }
}

/*
 * Tells our frames from the messages of others. Messages are taken in their order, so what is left of ours
 * are the last ones: they are looked for from the end.
 */
static bool sift(const struct peek *peek, const struct batch *batch, size_t from, size_t to,
                 struct finding *finding)
{
    uint32_t *starts = malloc((peek->length + 1) * sizeof *starts);
    size_t count = 0;
    size_t first = to;

    if (starts == NULL) {
        return false;
    }
    for (size_t at = 0; at < peek->length; at = step(peek, at, batch->unit)) {
        starts[count++] = (uint32_t)at;
    }
    starts[count] = (uint32_t)peek->length;
    bool *ours = calloc(count + 1, sizeof *ours);
    for (size_t i = count; ours != NULL && i-- > 0 && first > from;) {
        size_t length = starts[i + 1] - starts[i];
        size_t start = batch_start(batch, first - 1);
        ours[i] = batch_start(batch, first) - start == length &&
                  memcmp(peek->bytes + starts[i], batch->bytes + start, length) == 0;
        first -= ours[i] ? 1 : 0;
    }
    for (size_t i = 0; ours != NULL && i < count; i++) {
        if (!ours[i]) {
            add_other(finding, peek->bytes + starts[i], starts[i + 1] - starts[i]);
        }
    }
    finding->left = to - first;
    bool done = ours != NULL;
    free(ours);
    free(starts);
    return done;
}

static void find(struct sender *sender, int fd, const struct batch *batch, size_t from, size_t to,
                 struct finding *finding)
{
    size_t count = peek_count(sender->fd);

    finding->left = to - from;
    finding->length = 0;
    finding->certain = finding->fits = true;
    if (count == 0) {
        finding->left = 0;
        return;
    }
    if (fd == -1 || peek_at(&sender->peek, fd, count) == -1) {
        finding->certain = finding->fits = false;
        return;
    }
    finding->certain = sender->peek.all;
    if (!is_ours_alone(&sender->peek, batch, from, to, &finding->left)) {
        finding->certain &= sift(&sender->peek, batch, from, to, finding);
    }
}

/* Takes everything that was seen, and only that. */
static bool read_all(struct sender *sender, int fd)
{
    return peek_take(&sender->peek, fd, sender->peek.bytes, sender->peek.length, sender->fd);
}

/*
 * As with a single message, what belongs to others is written again first and read then: whoever kills us in
 * between, it is there twice rather than not at all.
 */
static bool take_out(struct sender *sender, int fd, const struct finding *finding, size_t unit)
{
    if (!finding->certain || !finding->fits || !withdraw_is_whole(unit, finding->others, finding->length)) {
        return false;
    }
    if (finding->length > 0 &&
        write(sender->fd, finding->others, finding->length) != (ssize_t)finding->length) {
        return false;
    }
    return read_all(sender, fd);
}

enum withdrawal recall(struct sender *sender, const struct batch *batch, size_t from, size_t to, size_t *left)
{
    struct finding finding;
    enum withdrawal result = WITHDRAW_FAILED;
    int fd = withdraw_reading_end(sender);

    find(sender, fd, batch, from, to, &finding);
    if (finding.certain && finding.left == 0) {
        result = WITHDRAW_TAKEN;
    } else if (take_out(sender, fd, &finding, batch->unit)) {
        result = WITHDRAWN;
    }
    *left = finding.left;
    if (fd != -1 && fd != sender->fd) {
        close(fd);
    }
    return result;
}

size_t recall_left(struct sender *sender, const struct batch *batch, size_t from, size_t to)
{
    struct finding finding;

    find(sender, sender->readable ? sender->fd : -1, batch, from, to, &finding);
    return finding.left;
}

enum withdrawal recall_piece(struct sender *sender, const unsigned char *start, size_t told, size_t length,
                             bool whole)
{
    struct peek *peek = &sender->peek;

    if (!sender->readable || peek_at(peek, sender->fd, SIZE_MAX) == -1 || !peek->all) {
        return WITHDRAW_FAILED;
    }
    unsigned char *ours = memmem(peek->bytes, peek->length, start, told < length ? told : length);
    size_t before = ours == NULL ? 0 : (size_t)(ours - peek->bytes);
    if (ours == NULL || peek->length - before < length) {
        return WITHDRAW_TAKEN; /* a raw reader has been quick */
    }
    if ((whole && withdraw_is_whole(sender->unit, peek->bytes, before)) || !read_all(sender, sender->fd)) {
        return WITHDRAW_FAILED;
    }
    /* Ours follow when they may, in a form that they may have. */
    withdraw_put_back(sender, peek->bytes, before);
    withdraw_put_back(sender, ours + length, peek->length - before - length);
    return WITHDRAWN;
}
