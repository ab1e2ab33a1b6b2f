/*
 * spool: content that is too long for a buffer, gathered piece by piece in a memfd.
 *
 * To give a process memory of that size takes the kernel longer than all else that is done with the content,
 * and from a memfd splice(2) moves it into a pipe without copying it. struct spool owns the descriptor and
 * the mapping until spool_drop(). Nothing here blocks.
 */
#ifndef FIFO_SPOOL_H
#define FIFO_SPOOL_H

#include <stddef.h>

struct spool {
    int fd; /* the memfd, -1 if there is none */
    size_t length;
    void *map; /* NULL: not mapped */
};

/* What has no memfd yet. */
static inline struct spool spool_none(void)
{
    return (struct spool){.fd = -1};
}

/* Makes an empty one. Returns 0, or -1 and errno of memfd_create(2). */
int spool_create(struct spool *spool);

/* Appends content. Returns 0, or -1 and errno of write(2). */
int spool_append(struct spool *spool, const void *content, size_t length);

/* Maps everything that was appended; nothing may be appended after that. NULL and errno of mmap(2). */
const void *spool_map(struct spool *spool);

/* Gives everything back. Accepts one that was never created. */
void spool_drop(struct spool *spool);

#endif
