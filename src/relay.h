/*
 * relay: moves bytes between a mailbox and some descriptor, by splice(2) through a pipe of our own.
 *
 * Why not from end to end: the kernel holds a pipe's mutex while it splices, and whoever wants to use the
 * mailbox waits for it uninterruptibly. With a pipe in between it is ours that is held while a file is read,
 * or a terminal is stopped. And sender and receiver then work at once.
 *
 * Where the other end does not know splice(2) bytes are copied. No byte leaves the mailbox that has not been
 * written to the output. struct relay owns its pipe and buffer until the process ends. What may block is the
 * descriptor at the other end, never the mailbox.
 */
#ifndef FIFO_RELAY_H
#define FIFO_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* As much as one call moves: what a pipe can grow to without privilege. */
#define RELAY_CHUNK ((size_t)1 << 20)

/* All zero before the first use, but for `direct`. */
struct relay {
    bool direct; /* the output is spliced to without a pipe in between: it never blocks for long */
    int pipe[2];
    size_t room; /* bytes that its buffers hold at least */
    size_t held; /* bytes on their way through it */
    bool copies; /* the other end does not know splice(2) at all */
    unsigned char *bytes;
    size_t at; /* what has been copied out of the pipe lies from here ... */
    size_t end;
};

/*
 * Moves some bytes from `input` into the mailbox `fd`, which is non-blocking. Returns how many, 0 at the end
 * of the input, or -1 and errno of splice(2), read(2), pipe2(2) or malloc(3): EAGAIN if the mailbox is full
 * (then relay->held is not 0) or `input` is non-blocking and has nothing, EPIPE if the mailbox has no reader.
 */
ssize_t relay_in(struct relay *relay, int input, int fd);

/*
 * Moves some bytes from the mailbox `fd`, which is non-blocking, to `output`. Returns how many, 0 when the
 * mailbox is empty and has no writer, or -1 and errno: EAGAIN if it is empty, or `output` does not take any
 * now.
 */
ssize_t relay_out(struct relay *relay, int fd, int output);

#endif
