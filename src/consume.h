/*
 * consume: takes bytes out of the FIFO that have been seen to be there: a frame, or a piece of a long raw
 * line.
 *
 * The caller holds turn and hand (link.h) and owns the descriptor, which is non-blocking: nothing here
 * blocks.
 */
#ifndef FIFO_CONSUME_H
#define FIFO_CONSUME_H

#include <stdbool.h>
#include <stddef.h>

/* A raw line that is longer than the pipe, as far as it has been read. To be zeroed before the first use. */
struct long_line {
    unsigned char *bytes;
    size_t length; /* more than what was kept, if the line is longer than allowed */
    size_t room;
};

/*
 * Takes `length` bytes into `buffer`. Returns how many came: fewer only if a raw reader was faster, or on an
 * error of read(2), in errno.
 */
size_t consume(int fd, unsigned char *buffer, size_t length);

/* Takes `length` bytes and drops them. */
void consume_nothing(int fd, size_t length);

/* Takes `length` bytes and adds them to the line, or drops them once it is longer than `most`. False: ENOMEM.
 */
bool consume_into(int fd, struct long_line *line, size_t length, size_t most);

#endif
