/*
 * iovecs: goes on after a writev(2) or pwritev(2) that has written less than all.
 */
#ifndef FIFO_IOVECS_H
#define FIFO_IOVECS_H

#include <stddef.h>
#include <sys/uio.h>

/* The first `written` bytes of the `count` pieces from `at` on are done with. Returns the first one that is
 * not, and shortens it; `count` if none is left. */
static inline int iovecs_skip(struct iovec *pieces, int at, int count, size_t written)
{
    while (at < count && written >= pieces[at].iov_len) {
        written -= pieces[at++].iov_len;
    }
    if (at < count) {
        pieces[at].iov_base = (char *)pieces[at].iov_base + written;
        pieces[at].iov_len -= written;
    }
    return at;
}

#endif
