/*
 * buffer: memory that grows with what is put into it, up to the longest message there is.
 *
 * It is mapped, not allocated: pages cost nothing before they are used, and growing copies nothing. A large
 * one is asked for in huge pages: a guest whose host keeps its page tables pays up to 17 us for the first
 * touch of each small one, five times what copying it takes. Where a host takes back what its guest does not
 * use, a huge one can cost milliseconds; so not for less.
 *
 * struct buffer owns the memory until buffer_drop(), or the end of the process. Nothing here blocks.
 */
#ifndef FIFO_BUFFER_H
#define FIFO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty one. */
struct buffer {
    unsigned char *bytes;
    size_t size;
    size_t ready; /* so many of them are known to have pages */
};

/*
 * Makes it `size` bytes long, if it is shorter. What is in it stays, though perhaps at another address.
 * False and errno ENOMEM of mmap(2) or mremap(2), and nothing has changed.
 */
bool buffer_grow(struct buffer *buffer, size_t size);

/*
 * Has pages for the first `length` bytes, which lie in it: to write there faults nowhere, and to get them so
 * takes less time than the faults. False and errno ENOMEM.
 */
bool buffer_populate(struct buffer *buffer, size_t length);

/* Gives the memory back. */
void buffer_drop(struct buffer *buffer);

#endif
