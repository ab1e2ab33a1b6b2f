#include "relay.h"

#include "consume.h"
#include "mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Bytes that are copied at once. */
#define COPY ((size_t)65536)

static bool make_relay(struct relay *relay)
{
    if (relay->pipe[1] == 0) {
        relay->bytes = malloc(COPY);
        if (relay->bytes == NULL || pipe2(relay->pipe, O_CLOEXEC) == -1) {
            relay->pipe[1] = 0;
            return false;
        }
        mailbox_grow(relay->pipe[1], RELAY_CHUNK);
        /* Who has many pipes gets small ones. */
        relay->room = (size_t)fcntl(relay->pipe[1], F_GETPIPE_SZ);
    }
    return true;
}

/* Reads input into the empty relay. Bytes, 0 at the end, or -1 and errno. */
static ssize_t fill(struct relay *relay, int input)
{
    if (!make_relay(relay)) {
        return -1;
    }
    if (!relay->copies) {
        ssize_t got = splice(input, NULL, relay->pipe[1], NULL, RELAY_CHUNK, 0);
        if (got != -1 || errno != EINVAL) {
            return got;
        }
        relay->copies = true;
    }
    ssize_t got = read(input, relay->bytes, relay->room < COPY ? relay->room : COPY);
    return got > 0 ? write(relay->pipe[1], relay->bytes, (size_t)got) : got;
}

/*
 * Always through the relay, even from a file: the kernel holds a pipe's mutex while it reads a file into it,
 * and with the mailbox's own the receiver would stand still meanwhile. This way both work at once.
 */
ssize_t relay_in(struct relay *relay, int input, int fd)
{
    if (relay->held == 0) {
        ssize_t got = fill(relay, input);
        if (got <= 0) {
            return got;
        }
        relay->held = (size_t)got;
    }
    ssize_t moved = splice(relay->pipe[0], NULL, fd, NULL, relay->held, SPLICE_F_NONBLOCK);
    relay->held -= moved > 0 ? (size_t)moved : 0;
    return moved;
}

/* Writes what is in the relay to `output`. How many bytes, or -1 and errno. */
static ssize_t empty(struct relay *relay, int output)
{
    if (!relay->copies) {
        ssize_t moved = splice(relay->pipe[0], NULL, output, NULL, relay->held, 0);
        if (moved != -1 || errno != EINVAL) {
            return moved;
        }
        relay->copies = true;
    }
    if (relay->at == relay->end) {
        ssize_t got = read(relay->pipe[0], relay->bytes, COPY);
        if (got <= 0) {
            return got;
        }
        relay->at = 0;
        relay->end = (size_t)got;
    }
    ssize_t written = write(output, relay->bytes + relay->at, relay->end - relay->at);
    relay->at += written > 0 ? (size_t)written : 0;
    return written;
}

/* Through the relay go copies; only what has been written is then taken out of the mailbox. */
ssize_t relay_out(struct relay *relay, int fd, int output)
{
    if (relay->direct) {
        ssize_t moved = splice(fd, NULL, output, NULL, RELAY_CHUNK, SPLICE_F_NONBLOCK);
        if (moved != -1 || errno != EINVAL) {
            return moved;
        }
        relay->direct = false;
        errno = EINTR;
        return -1;
    }
    if (!make_relay(relay)) {
        return -1;
    }
    if (relay->held == 0) {
        ssize_t seen = tee(fd, relay->pipe[1], RELAY_CHUNK, SPLICE_F_NONBLOCK);
        if (seen <= 0) {
            return seen;
        }
        relay->held = (size_t)seen;
    }
    ssize_t moved = empty(relay, output);
    if (moved > 0) {
        relay->held -= (size_t)moved;
        consume_nothing(fd, (size_t)moved);
    }
    return moved;
}
