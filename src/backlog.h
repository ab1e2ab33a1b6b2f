/*
 * backlog: bytes that have been taken from somewhere and wait for standard output to take them.
 *
 * Nothing here blocks: who replies need not wait for whoever reads our standard output. The memory belongs to
 * the backlog, until backlog_drop(); the descriptor to the caller.
 */
#ifndef FIFO_BACKLOG_H
#define FIFO_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: there is nothing. */
struct backlog {
    unsigned char *bytes;
    size_t length;
    size_t room;
    size_t done; /* of them have been written */
};

static inline bool backlog_is_empty(const struct backlog *backlog)
{
    return backlog->done == backlog->length;
}

/* How many bytes wait. */
static inline size_t backlog_size(const struct backlog *backlog)
{
    return backlog->length - backlog->done;
}

/* Adds a copy of `length` bytes. False and errno: there is no memory. */
bool backlog_add(struct backlog *backlog, const void *bytes, size_t length);

/*
 * Writes what the descriptor takes without waiting, as poll(2) tells. 0 if it is all written, or the rest has
 * to wait; otherwise the errno of write(2): EPIPE, ENOSPC ...
 */
int backlog_write(struct backlog *backlog, int fd);

/* Frees it. */
void backlog_drop(struct backlog *backlog);

#endif
