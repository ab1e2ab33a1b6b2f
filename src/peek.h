/*
 * peek: copies what a FIFO holds without taking a byte of it, by tee(2) into a pipe of our own.
 *
 * struct peek owns the private pipe and the buffer; both are made at the first look and kept, until
 * peek_drop() or the end of the process. Nothing here blocks, but for the moment in which peek_take() may
 * have to put something back into a FIFO that has become full.
 */
#ifndef FIFO_PEEK_H
#define FIFO_PEEK_H

#include <stdbool.h>
#include <stddef.h>

struct peek {
    int pipe[2]; /* 0, 0 before the first look */
    size_t size; /* of the buffer */
    unsigned char *bytes;
    size_t length; /* bytes seen by the last look */
    bool all;      /* and these were all that the FIFO held */
    bool narrow;   /* our private pipe may not be as large as the FIFO: so many are all that can be seen */
    bool full;     /* they took all the room there is, so that no more can come before some are taken */
};

/*
 * Copies up to `most` bytes from the front of the FIFO `fd`, which is open for reading. Fewer than are there
 * only if `most` or our private pipe is too small; peek->all tells. Returns 0, or -1 and errno of pipe2(2),
 * tee(2), read(2) or malloc(3).
 */
int peek_at(struct peek *peek, int fd, size_t most);

/*
 * Takes the first `length` bytes of the FIFO, which the last looks have shown to be `expected`, and compares
 * them. All or nothing, whoever kills us: they leave the FIFO in one step, before any memory of ours is
 * touched that a fault could keep us from. False: a raw reader was faster. What came instead is written to
 * `back`, unless that is -1.
 */
bool peek_take(struct peek *peek, int fd, const unsigned char *expected, size_t length, int back);

/* Gives back the private pipe and the buffer; what is left is ready for a first look again. close(2),
 * free(3). */
void peek_drop(struct peek *peek);

/* The number of bytes the FIFO holds. FIONREAD of ioctl(2), see pipe(7); either end will do. */
size_t peek_count(int fd);

#endif
