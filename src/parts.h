/*
 * parts: goes on after a writev(2) or pwritev(2) that has written less than all.
 */
#ifndef FIFO_PARTS_H
#define FIFO_PARTS_H

#include <stddef.h>
#include <sys/uio.h>

/* The first `written` bytes of the `count` parts from `at` on are done with. Returns the first part that is
 * not, and shortens it; `count` if none is left. */
static inline int parts_skip(struct iovec *parts, int at, int count, size_t written)
{
    while (at < count && written >= parts[at].iov_len) {
        written -= parts[at++].iov_len;
    }
    if (at < count) {
        parts[at].iov_base = (char *)parts[at].iov_base + written;
        parts[at].iov_len -= written;
    }
    return at;
}

#endif
