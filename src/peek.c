#include "peek.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BRIEFLY 100 /* ms: how long we wait for room to put something back */

size_t peek_count(int fd)
{
    int count = 0;
    return ioctl(fd, FIONREAD, &count) == -1 || count < 0 ? 0 : (size_t)count;
}

void peek_drop(struct peek *peek)
{
    if (peek->pipe[1] != 0) {
        close(peek->pipe[0]);
        close(peek->pipe[1]);
    }
    free(peek->bytes);
    *peek = (struct peek){0};
}

static int prepare(struct peek *peek, size_t most)
{
    if (peek->pipe[1] == 0 && pipe2(peek->pipe, O_CLOEXEC | O_NONBLOCK) == -1) {
        peek->pipe[0] = peek->pipe[1] = 0;
        return -1;
    }
    if (most > peek->size) {
        unsigned char *bytes = realloc(peek->bytes, most);
        if (bytes == NULL) {
            return -1;
        }
        peek->bytes = bytes;
        peek->size = most;
    }
    return 0;
}

static int look(struct peek *peek, int fd, size_t most)
{
    ssize_t seen = tee(fd, peek->pipe[1], most, SPLICE_F_NONBLOCK);

    if (seen == -1 && errno != EAGAIN) {
        return -1;
    }
    /* tee(2) copies buffer by buffer, so that one pipe is full when the other, of the same size, is. */
    struct pollfd end = {.fd = peek->pipe[1], .events = POLLOUT};
    peek->full = seen > PIPE_BUF && poll(&end, 1, 0) == 0;
    peek->length = 0;
    while (peek->length < (size_t)(seen > 0 ? seen : 0)) {
        ssize_t got = read(peek->pipe[0], peek->bytes + peek->length, (size_t)seen - peek->length);
        if (got <= 0) {
            return -1;
        }
        peek->length += (size_t)got;
    }
    return 0;
}

int peek_at(struct peek *peek, int fd, size_t most)
{
    size_t there = peek_count(fd);

    peek->length = 0;
    peek->all = there == 0;
    peek->narrow = false;
    if (there == 0) {
        return 0;
    }
    if (most > there) {
        most = there;
    }
    if (prepare(peek, most) == -1 || look(peek, fd, most) == -1) {
        return -1;
    }
    /* Somebody may have grown the FIFO. */
    if (peek->length > 0 && peek->length < most) {
        peek->narrow = fcntl(peek->pipe[1], F_SETPIPE_SZ, fcntl(fd, F_GETPIPE_SZ)) == -1;
        if (!peek->narrow && look(peek, fd, most) == -1) {
            return -1;
        }
    }
    peek->all = peek->length == there;
    return 0;
}

/* Up to PIPE_BUF bytes lie in one or two pages: a read(2) that faults nowhere takes all of them or none. */
static bool take_few(int fd, const unsigned char *expected, size_t length, int back)
{
    unsigned char got[PIPE_BUF];
    ssize_t count;

    memset(got, 0, sizeof got);
    do {
        count = read(fd, got, length);
    } while (count == -1 && errno == EINTR);
    bool same = count == (ssize_t)length && memcmp(got, expected, length) == 0;
    if (!same && count > 0 && back != -1) {
        (void)!write(back, got, (size_t)count);
    }
    return same;
}

/* Reads `length` bytes from the private pipe, and says whether they are `expected`. */
static bool compare(const struct peek *peek, const unsigned char *expected, size_t length)
{
    static unsigned char slice[8 * PIPE_BUF];
    bool same = true;

    while (length > 0) {
        ssize_t got = read(peek->pipe[0], slice, length < sizeof slice ? length : sizeof slice);
        if (got <= 0) {
            return false;
        }
        same = same && memcmp(slice, expected, (size_t)got) == 0;
        expected += got;
        length -= (size_t)got;
    }
    return same;
}

/*
 * The same, but of what lies between the first and the last bytes nothing is looked at. Who takes something
 * out of a pipe takes it from the front: everything behind it moves, and the ends tell. To copy the rest
 * would take as long as to print it.
 */
static bool compare_ends(const struct peek *peek, const unsigned char *expected, size_t length)
{
    static int nowhere = -1;
    const size_t end = PIPE_BUF;

    if (nowhere == -1) {
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    if (length <= 2 * end || nowhere == -1) {
        return compare(peek, expected, length);
    }
    size_t middle = length - 2 * end;
    bool same = compare(peek, expected, end);
    while (middle > 0) {
        ssize_t dropped = splice(peek->pipe[0], NULL, nowhere, NULL, middle, 0);
        if (dropped <= 0) {
            break;
        }
        middle -= (size_t)dropped;
    }
    size_t rest = end + middle;
    return compare(peek, expected + length - rest, rest) && same;
}

/* Moves bytes that are not ours to take into the FIFO again. A raw writer may have filled it meanwhile. */
static void move_back(int from, int fifo, size_t length)
{
    while (length > 0) {
        ssize_t moved = splice(from, NULL, fifo, NULL, length, SPLICE_F_NONBLOCK);
        struct pollfd end = {.fd = fifo, .events = POLLOUT};
        if (moved <= 0 && (errno != EAGAIN || poll(&end, 1, BRIEFLY) != 1)) {
            return; /* and nobody reads */
        }
        length -= moved > 0 ? (size_t)moved : 0;
    }
}

bool peek_take(struct peek *peek, int fd, const unsigned char *expected, size_t length, int back)
{
    int copy[2];

    if (length <= PIPE_BUF) {
        return take_few(fd, expected, length, back);
    }
    ssize_t moved = splice(fd, NULL, peek->pipe[1], NULL, length, SPLICE_F_NONBLOCK);
    if (moved <= 0) {
        return false;
    }
    if (back == -1) {
        return compare_ends(peek, expected, (size_t)moved) && moved == (ssize_t)length;
    }
    /* For the case that they are others', a copy that can be moved back whole. */
    if (pipe2(copy, O_CLOEXEC | O_NONBLOCK) == -1) {
        move_back(peek->pipe[0], back, (size_t)moved);
        return false;
    }
    (void)fcntl(copy[1], F_SETPIPE_SZ, fcntl(peek->pipe[1], F_GETPIPE_SZ));
    bool copied = tee(peek->pipe[0], copy[1], (size_t)moved, SPLICE_F_NONBLOCK) == moved;
    bool same = copied && compare(peek, expected, (size_t)moved) && moved == (ssize_t)length;
    if (!same) {
        move_back(copied ? copy[0] : peek->pipe[0], back, (size_t)moved);
    }
    close(copy[0]);
    close(copy[1]);
    return same;
}
