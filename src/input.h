/*
 * input: hands out the messages to send: operands, or what -l, -0, -s or none of them make of standard input.
 *
 * struct input owns its memory. The content of a message is valid until the next call of anything but
 * input_read_ahead(). Reading blocks until the deadline, and dies there by the signals that end a process:
 * nothing is in flight.
 */
#ifndef FIFO_INPUT_H
#define FIFO_INPUT_H

#include "batch.h"
#include "buffer.h"
#include "deadline.h"
#include "outgoing.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

enum cut {
    CUT_WHOLE,    /* all of it is one message, byte for byte */
    CUT_LINES,    /* each line, with its newline if it has one */
    CUT_NULL,     /* each item that a NUL ends, with a newline in place of the NUL */
    CUT_SIZE,     /* each `size` bytes */
    CUT_OPERANDS, /* not standard input, but `count` operands, each with a newline behind it */
};

struct input {
    int fd;
    enum cut cut;
    size_t size;     /* CUT_SIZE */
    bool no_newline; /* CUT_LINES, CUT_NULL, CUT_OPERANDS: leave the newline out */
    char **operands;
    int count;
    deadline until;

    enum { INPUT_UNKNOWN, INPUT_REGULAR, INPUT_OTHER } kind; /* of file it is */
    bool ended;
    struct verdict trouble; /* what a prefetch met, kept for input_next() */
    char *line;             /* CUT_OPERANDS: the operand that was handed out, with its newline */
    struct buffer buffer;
    size_t ahead;  /* room for so many bytes more, to read ahead while a long message is on its way */
    size_t start;  /* what has not been handed out lies from here ... */
    size_t end;    /* ... to here */
    size_t looked; /* and up to here no end of a message was found */
    size_t item;   /* length of the next message with its terminator, 0 if it has not been looked for */
};

/*
 * Stores the next message in *message and sets *there, or clears *there at the end of the input. Status 2
 * with errno of read(2), malloc(3) or mmap(2), or when the input ends inside a message of fixed size;
 * 124 when the deadline passes.
 */
struct verdict input_next(struct input *input, struct outgoing *message, bool *there);

/* Whether the next message is there already, so that input_next() will not have to read. */
bool input_is_ready(struct input *input);

/*
 * Reads what there is to read without waiting, if nothing is ready yet. Returns whether input_next() has an
 * answer now: a message, the end, or what went wrong. Signals that end a process do not end it here.
 */
bool input_prefetch(struct input *input);

/*
 * The same while the message that was handed out last is needed still: reads a little, if there is room for
 * it. Returns whether it has.
 */
bool input_read_ahead(struct input *input);

/* With CUT_LINES: adds to the batch, without reading, the whole lines that come next and fit into it. */
void input_add_lines(struct input *input, struct batch *batch);

/* Whether the message that was handed out last is known to be the last one. */
bool input_is_last(const struct input *input);

#endif
