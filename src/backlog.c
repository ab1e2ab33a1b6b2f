#include "backlog.h"

#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a write may wait where somebody else has been faster. */
#define MOMENT MILLISECONDS(10)
/* What a terminal has room for when it says that it has some. */
#define TERMINAL ((size_t)256)

bool backlog_add(struct backlog *backlog, const void *bytes, size_t length)
{
    if (backlog->done > backlog_size(backlog)) {
        memmove(backlog->bytes, backlog->bytes + backlog->done, backlog_size(backlog));
        backlog->length -= backlog->done;
        backlog->done = 0;
    }
    size_t whole = backlog->length + length;
    if (whole > backlog->room) {
        unsigned char *larger = realloc(backlog->bytes, 2 * whole);
        if (larger == NULL) {
            return false;
        }
        backlog->bytes = larger;
        backlog->room = 2 * whole;
    }
    if (length > 0) {
        memcpy(backlog->bytes + backlog->length, bytes, length);
    }
    backlog->length = whole;
    return true;
}

/* A pipe that says that it has room has it for so many bytes; more would wait. */
static size_t most_at_once(int fd)
{
    struct stat file;

    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
        return SIZE_MAX;
    }
    return isatty(fd) ? TERMINAL : PIPE_BUF;
}

struct piece {
    int fd;
    const unsigned char *bytes;
    size_t length;
};

static long write_piece(void *argument)
{
    const struct piece *piece = argument;
    return write(piece->fd, piece->bytes, piece->length);
}

int backlog_write(struct backlog *backlog, int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLOUT};
    const size_t most = backlog_is_empty(backlog) ? 0 : most_at_once(fd);

    while (!backlog_is_empty(backlog) && poll(&end, 1, 0) == 1) {
        size_t left = backlog_size(backlog);
        struct piece piece = {fd, backlog->bytes + backlog->done, left < most ? left : most};
        long written;
        /* Others may write there too, and be first to the room that poll(2) has seen. */
        wait_call(write_piece, &piece, &written, deadline_in(MOMENT), WAIT_COUNTED);
        if (written == -1 && (errno == EAGAIN || errno == EINTR)) {
            return 0;
        }
        if (written == -1) {
            return errno;
        }
        backlog->done += written > 0 ? (size_t)written : 0;
    }
    if (backlog_is_empty(backlog)) {
        backlog->done = backlog->length = 0;
    }
    return 0;
}

void backlog_drop(struct backlog *backlog)
{
    free(backlog->bytes);
    *backlog = (struct backlog){0};
}
