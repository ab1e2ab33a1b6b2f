#include "input.h"

#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* So much is read at once: most of a batch, so that few are needed, and the rest of a line still fits in. */
#define CHUNK ((size_t)384 * 1024)
/* How far at most we read ahead. */
#define AHEAD ((size_t)8 << 20)
/* So much memory does no harm in a process that waits for more to send. */
#define LITTLE ((size_t)8 << 20)

struct reading {
    int fd;
    void *buffer;
    size_t length;
};

static long read_some(void *argument)
{
    struct reading *reading = argument;
    return read(reading->fd, reading->buffer, reading->length);
}

/* The bytes that have not been handed out. */
static char *rest(const struct input *input)
{
    return (char *)input->buffer.bytes + input->start;
}

static bool has_room(const struct input *input, size_t ahead)
{
    return input->buffer.size - input->end > CHUNK + ahead;
}

/* Has room for more. Address space costs nothing, and moving what is there does; but where so much of it
 * cannot be had, a little will do. */
static bool grow(struct input *input)
{
    struct buffer *buffer = &input->buffer;

    return has_room(input, input->ahead) ||
           (buffer_grow(buffer, 8 * buffer->size + 10 * CHUNK + input->ahead + 1) && has_room(input, 0)) ||
           (buffer_grow(buffer, input->end + 2 * CHUNK + 1) && has_room(input, 0));
}

/* Makes room behind what is in the buffer. One byte of it always stays, for a newline behind the last item.
 */
static bool make_room(struct input *input)
{
    if (input->start > 0) {
        memmove(input->buffer.bytes, rest(input), input->end - input->start);
        input->end -= input->start;
        input->looked -= input->start;
        input->start = 0;
    }
    /* Where so much has come, there is more. */
    return grow(input) && (input->end < CHUNK || buffer_populate(&input->buffer, input->end + CHUNK));
}

static struct verdict add(struct input *input, ssize_t got)
{
    if (got == -1) {
        return verdict_errno("cannot read standard input", errno);
    }
    input->ended = got == 0;
    input->end += (size_t)got;
    return verdict_done();
}

static bool is_regular(struct input *input)
{
    struct stat file;

    if (input->kind == INPUT_UNKNOWN) {
        input->kind = fstat(input->fd, &file) == 0 && S_ISREG(file.st_mode) ? INPUT_REGULAR : INPUT_OTHER;
    }
    return input->kind == INPUT_REGULAR;
}

/*
 * Reads into the room that there is, without waiting: does nothing where that might be needed. Not poll(2)
 * and then a read(2): whoever else has this input could take it in between.
 */
static struct verdict read_now(struct input *input)
{
    bool regular = is_regular(input);
    struct iovec part = {input->buffer.bytes + input->end, CHUNK};
    ssize_t got = regular ? readv(input->fd, &part, 1) : preadv2(input->fd, &part, 1, -1, RWF_NOWAIT);
    bool later = got == -1 && (errno == EAGAIN || errno == EINTR || errno == EOPNOTSUPP || errno == EINVAL);
    return later ? verdict_done() : add(input, got);
}

static struct verdict fill_now(struct input *input)
{
    return make_room(input) ? read_now(input) : verdict_errno("cannot keep the input", errno);
}

/* Reads on into the buffer. */
static struct verdict fill(struct input *input)
{
    if (input->start == input->end && input->buffer.ready > LITTLE) {
        buffer_drop(
            &input->buffer); /* a long message has been sent, and the next one may be long in coming */
        input->start = input->end = input->looked = 0;
    }
    if (!make_room(input)) {
        return verdict_errno("cannot keep the input", errno);
    }
    if (deadline_passed(input->until)) {
        /*
         * If it has ended, there is nothing that could be too late. Asked before the read and never after it:
         * one that was abandoned at the deadline may have taken the last bytes, and the end would look like
         * success.
         */
        struct verdict v = fill_now(input);
        return input->ended ? v : verdict(STATUS_TIMEOUT, "timed out: standard input did not end");
    }
    struct reading reading = {input->fd, input->buffer.bytes + input->end, CHUNK};
    for (;;) {
        long got;
        enum wake wake = wait_call(read_some, &reading, &got, input->until, WAIT_MORTAL);
        if (wake == WAKE_DONE && got == -1 && errno == EAGAIN) {
            wake = wait_until_ready(input->fd, POLLIN, input->until, WAIT_MORTAL);
            got = -1;
            errno = EINTR;
        }
        if (wake == WAKE_DEADLINE) {
            return verdict(STATUS_TIMEOUT, "timed out: standard input did not end");
        }
        if (got != -1 || errno != EINTR) {
            return add(input, got);
        }
    }
}

bool input_is_ready(struct input *input)
{
    if (input->item > 0 || input->cut == CUT_WHOLE || input->cut == CUT_OPERANDS) {
        return input->item > 0 || (input->cut == CUT_OPERANDS && input->count > 0);
    }
    if (input->cut == CUT_SIZE) {
        input->item = input->end - input->start >= input->size ? input->size : 0;
    } else if (input->looked < input->end) {
        char *from = (char *)input->buffer.bytes + input->looked;
        char *end = memchr(from, input->cut == CUT_NULL ? '\0' : '\n', input->end - input->looked);
        input->looked = end == NULL ? input->end : (size_t)(end + 1 - (char *)input->buffer.bytes);
        input->item = end == NULL ? 0 : input->looked - input->start;
    }
    return input->item > 0;
}

/* Everything as one message. */
static struct verdict whole(struct input *input, struct outgoing *message)
{
    struct verdict v = verdict_done();

    while (!input->ended && v.status == STATUS_DONE) {
        v = fill(input);
    }
    message->content = input->buffer.bytes;
    message->length = input->end;
    return v;
}

static struct verdict operand(struct input *input, struct outgoing *message)
{
    size_t length = strlen(*input->operands);

    char *line = realloc(input->line, length + 1);
    if (line == NULL) {
        return verdict_errno("cannot keep the message", errno);
    }
    memcpy(line, *input->operands, length);
    line[length] = '\n';
    message->content = input->line = line;
    message->length = input->no_newline ? length : length + 1;
    input->operands++;
    input->count--;
    return verdict_done();
}

bool input_is_last(const struct input *input)
{
    return input->cut == CUT_WHOLE || (input->cut == CUT_OPERANDS && input->count == 0);
}

void input_add_lines(struct input *input, struct batch *batch)
{
    if (input->cut == CUT_LINES && !input->no_newline && input->start < input->end) {
        input->start += batch_add_lines(batch, rest(input), input->end - input->start);
        input->item = 0;
        input->looked = input->start;
    }
}

bool input_prefetch(struct input *input)
{
    if (input->cut == CUT_WHOLE || input->cut == CUT_OPERANDS) {
        return false;
    }
    if (!input_is_ready(input) && !input->ended) {
        input->trouble = fill_now(input);
    }
    return input_is_ready(input) || input->ended || input->trouble.status != STATUS_DONE;
}

bool input_read_ahead(struct input *input)
{
    const size_t end = input->end;

    if (input->cut == CUT_WHOLE || input->cut == CUT_OPERANDS || input->ended ||
        input->buffer.size - end <= CHUNK || input->trouble.status != STATUS_DONE || input_is_ready(input)) {
        return false;
    }
    input->trouble = read_now(input);
    return input->end > end;
}

struct verdict input_next(struct input *input, struct outgoing *message, bool *there)
{
    struct verdict v = verdict_done();
    size_t length = 0;

    *message = (struct outgoing){.bare = input->cut == CUT_SIZE};
    *there = false;
    if (input->cut == CUT_OPERANDS) {
        *there = input->count > 0;
        return *there ? operand(input, message) : v;
    }
    if (input->cut == CUT_WHOLE) {
        *there = !input->ended;
        return *there ? whole(input, message) : v;
    }
    while (!input_is_ready(input) && !input->ended) {
        if (input->trouble.status != STATUS_DONE) {
            return input->trouble;
        }
        v = fill(input);
        if (v.status != STATUS_DONE) {
            return v;
        }
    }
    length = input->item;
    input->item = 0;
    bool terminated = length > 0;
    if (!terminated) {
        length = input->end - input->start;
        if (length == 0) {
            return v;
        }
        if (input->cut == CUT_SIZE) {
            return verdict(STATUS_ERROR, "standard input ends inside a message");
        }
        if (input->cut == CUT_NULL) {
            length++; /* fill() has left room for this byte */
            terminated = true;
        }
    }
    char *content = rest(input);
    if (input->cut == CUT_NULL) {
        content[length - 1] = '\n';
    }
    message->content = content;
    message->length = input->no_newline && terminated ? length - 1 : length;
    input->ahead = length <= BATCH_BYTES ? 0 : length < AHEAD ? length : AHEAD;
    input->start += length;
    if (input->start > input->end) {
        input->end = input->start;
    }
    input->looked = input->start;
    *there = true;
    return v;
}
