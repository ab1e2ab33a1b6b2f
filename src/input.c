#include "input.h"

#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHUNK ((size_t)256 * 1024)
/* A message of more bytes is not kept in memory: it does not go in one frame either. */
#define LONG BATCH_BYTES

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

/* Makes room behind what is in the buffer. One byte of it always stays, for a newline behind the last item.
 */
static bool make_room(struct input *input)
{
    if (input->start > 0) {
        memmove(input->buffer, input->buffer + input->start, input->end - input->start);
        input->end -= input->start;
        input->looked -= input->start;
        input->start = 0;
    }
    if (input->room - input->end <= CHUNK) {
        size_t room = 2 * input->room + 2 * CHUNK;
        char *buffer = realloc(input->buffer, room);
        if (buffer == NULL) {
            return false;
        }
        input->buffer = buffer;
        input->room = room;
    }
    return true;
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
 * Reads on without waiting: does nothing where that might be needed. Not poll(2) and then a read(2): whoever
 * else has this input could take it in between.
 */
static struct verdict fill_now(struct input *input)
{
    bool regular = is_regular(input);

    if (!make_room(input)) {
        return verdict_errno("cannot keep the input", errno);
    }
    struct iovec part = {input->buffer + input->end, CHUNK};
    ssize_t got = regular ? readv(input->fd, &part, 1) : preadv2(input->fd, &part, 1, -1, RWF_NOWAIT);
    bool later = got == -1 && (errno == EAGAIN || errno == EINTR || errno == EOPNOTSUPP || errno == EINVAL);
    return later ? verdict_done() : add(input, got);
}

/* Reads on into the buffer. */
static struct verdict fill(struct input *input)
{
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
    struct reading reading = {input->fd, input->buffer + input->end, CHUNK};
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
        char *from = input->buffer + input->looked;
        char *end = memchr(from, input->cut == CUT_NULL ? '\0' : '\n', input->end - input->looked);
        input->looked = end == NULL ? input->end : (size_t)(end + 1 - input->buffer);
        input->item = end == NULL ? 0 : input->looked - input->start;
    }
    return input->item > 0;
}

struct pouring {
    int from;
    int to;
    bool regular;
};

/* So many bytes at once: few calls, and yet a signal is soon heard. */
#define POUR ((size_t)8 << 20)

static long pour_some(void *argument)
{
    struct pouring *pouring = argument;
    return pouring->regular ? sendfile(pouring->to, pouring->from, NULL, POUR)
                            : splice(pouring->from, NULL, pouring->to, NULL, POUR, 0);
}

/*
 * Moves all that follows into the memfd, without a stay in our memory. What cannot be moved so, or not now,
 * is left to be read: no matter why, for reading tells.
 */
static void pour(struct input *input, struct spool *spool)
{
    struct pouring pouring = {.from = input->fd, .to = spool->fd, .regular = is_regular(input)};

    while (!input->ended && !deadline_passed(input->until)) {
        long moved;
        enum wake wake = wait_call(pour_some, &pouring, &moved, input->until, WAIT_MORTAL | WAIT_COUNTED);
        if (wake != WAKE_DONE || (moved == -1 && errno != EINTR)) {
            return;
        }
        spool->length += moved > 0 ? (size_t)moved : 0;
        input->ended = moved == 0;
    }
}

/*
 * One long message, from what is in the buffer on: to the end of its item, or of the input. It goes into a
 * memfd piece by piece: to give memory to a buffer of that size takes the kernel longer than all else that is
 * done with the message.
 */
static struct verdict spill(struct input *input, struct outgoing *message)
{
    struct verdict v = verdict_done();
    bool last = false;
    int failed = spool_create(&message->spool);

    while (failed == 0 && v.status == STATUS_DONE) {
        char *piece = input->buffer + input->start;
        last = input_is_ready(input);
        size_t length = last ? input->item : input->end - input->start;
        size_t used = length;
        if (last && input->cut == CUT_NULL) {
            piece[length - 1] = '\n';
        }
        if (last && input->no_newline) {
            used--;
        }
        failed = spool_append(&message->spool, piece, used);
        message->length += used;
        input->start += length;
        input->looked = input->start;
        if (failed == 0 && input->cut == CUT_WHOLE) {
            pour(input, &message->spool);
            message->length = message->spool.length;
        }
        if (last || input->ended) {
            break;
        }
        v = fill(input);
    }
    input->item = 0;
    /* The NUL that the last item may lack. */
    if (failed == 0 && !last && input->cut == CUT_NULL && !input->no_newline) {
        failed = spool_append(&message->spool, "\n", 1);
        message->length++;
    }
    if (failed == 0 && v.status == STATUS_DONE) {
        message->content = spool_map(&message->spool);
        failed = message->content == NULL ? -1 : 0;
    }
    if (failed != 0) {
        v = verdict_errno("cannot keep the message", errno);
    }
    if (v.status != STATUS_DONE) {
        outgoing_drop(message);
    }
    return v;
}

/* Everything as one message: in memory while it is short, in a memfd when it is not. */
static struct verdict whole(struct input *input, struct outgoing *message)
{
    struct verdict v = verdict_done();

    while (!input->ended && input->end < LONG && v.status == STATUS_DONE) {
        v = fill(input);
    }
    if (v.status == STATUS_DONE && !input->ended) {
        return spill(input, message);
    }
    message->content = input->buffer;
    message->length = input->end;
    return v;
}

static struct verdict operand(struct input *input, struct outgoing *message)
{
    size_t length = strlen(*input->operands);

    if (length + 1 > input->room) {
        char *buffer = realloc(input->buffer, length + 1);
        if (buffer == NULL) {
            return verdict_errno("cannot keep the message", errno);
        }
        input->buffer = buffer;
        input->room = length + 1;
    }
    memcpy(input->buffer, *input->operands, length);
    input->buffer[length] = '\n';
    message->content = input->buffer;
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
        input->start += batch_add_lines(batch, input->buffer + input->start, input->end - input->start);
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

struct verdict input_next(struct input *input, struct outgoing *message, bool *there)
{
    struct verdict v = verdict_done();
    size_t length = 0;

    *message = (struct outgoing){.spool = spool_none(), .bare = input->cut == CUT_SIZE};
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
        if (input->end - input->start >= LONG && input->cut != CUT_SIZE) {
            *there = true;
            return spill(input, message);
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
    char *content = input->buffer + input->start;
    if (input->cut == CUT_NULL) {
        content[length - 1] = '\n';
    }
    message->content = content;
    message->length = input->no_newline && terminated ? length - 1 : length;
    input->start += length;
    if (input->start > input->end) {
        input->end = input->start;
    }
    input->looked = input->start;
    *there = true;
    return v;
}
