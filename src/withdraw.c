#include "withdraw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the step of a walk that `found` something, with all the bytes there are, leaves for bytes behind them.
 */
static enum tail tail_of(const unsigned char *bytes, size_t length, enum found found,
                         const struct message *step)
{
    struct message message;

    if (message_find(bytes, length, false, &message) == FOUND_UNFINISHED) {
        return found == FOUND_UNFINISHED && memmem(bytes, length, "\377fm", 3) == NULL ? TAIL_OPEN : TAIL_LIE;
    }
    /* What is skipped for damage is skipped up to a newline, be it somebody else's. */
    bool open = found == FOUND_DAMAGED && step->frame == length && bytes[length - 1] != '\n';
    return open ? TAIL_OPEN : TAIL_CLEAN;
}

/*
 * Returns the offset of the last message of fixed size that equals `frame`, or `length`. Nothing but their
 * place tells such messages apart: it is counted from the front, or, if a raw reader has taken an odd number
 * of bytes, from the back.
 */
static size_t walk_fixed(const unsigned char *bytes, size_t length, const struct frame *frame)
{
    size_t unit = frame->length;

    for (size_t at = length - unit + 1; length >= unit && at-- > 0;) {
        bool in_place = at % unit == 0 || (length - at) % unit == 0;
        if (in_place && memcmp(bytes + at, frame->bytes, unit) == 0) {
            return at;
        }
    }
    return length;
}

/*
 * Steps from message to message. Returns the offset of the first one that equals `frame` (NULL: none will),
 * or `length`. *tail says what the last step ended in.
 */
static size_t walk(const unsigned char *bytes, size_t length, const struct frame *frame, enum tail *tail)
{
    struct message message;
    size_t at = 0;

    *tail = TAIL_CLEAN;
    while (at < length) {
        if (frame != NULL && length - at >= frame->length &&
            memcmp(bytes + at, frame->bytes, frame->length) == 0) {
            return at;
        }
        enum found found = message_find(bytes + at, length - at, true, &message);
        *tail = found == FOUND_NEWER ? TAIL_LIE : tail_of(bytes + at, length - at, found, &message);
        if (*tail == TAIL_LIE) {
            return length; /* who knows how far it reaches */
        }
        at += message.frame;
    }
    return length;
}

enum tail withdraw_tail(const unsigned char *bytes, size_t length)
{
    enum tail tail;
    walk(bytes, length, NULL, &tail);
    return tail;
}

enum place { PLACE_NONE, PLACE_FOUND, PLACE_UNKNOWN };

/* Where our frame is: *at is its offset from the front, sender->peek holds all there is. */
static enum place find_ours(struct sender *sender, int fd, size_t *at)
{
    size_t count = peek_count(sender->fd);

    if (count < sender->frame.length) {
        return PLACE_NONE;
    }
    if (fd == -1 || peek_at(&sender->peek, fd, count) == -1) {
        return PLACE_UNKNOWN;
    }
    enum tail tail = TAIL_CLEAN;
    *at = sender->unit > 0 ? walk_fixed(sender->peek.bytes, sender->peek.length, &sender->frame)
                           : walk(sender->peek.bytes, sender->peek.length, &sender->frame, &tail);
    if (*at < sender->peek.length) {
        return PLACE_FOUND;
    }
    if (!sender->peek.all) {
        return PLACE_UNKNOWN;
    }
    /* Behind a lie no step leads, nor behind a record of which a raw reader has taken the beginning: it may
     * be there all the same. */
    bool hidden =
        (tail == TAIL_LIE || sender->hideable) &&
        memmem(sender->peek.bytes, sender->peek.length, sender->frame.bytes, sender->frame.length) != NULL;
    return hidden ? PLACE_UNKNOWN : PLACE_NONE;
}

bool withdraw_is_taken(struct sender *sender)
{
    size_t at;
    return find_ours(sender, sender->readable ? sender->fd : -1, &at) == PLACE_NONE;
}

bool withdraw_has_no_reader(const struct sender *sender)
{
    struct pollfd end = {.fd = sender->fd};
    return poll(&end, 1, 0) == 1 && (end.revents & POLLERR) != 0;
}

/*
 * Reads `length` bytes that we have just seen at the front. A raw reader may have taken them meanwhile, in
 * which case other people's bytes are what we get: those go back, and what we wanted has been taken.
 */
static enum withdrawal read_front(int read_fd, int write_fd, const unsigned char *wanted, size_t length)
{
    unsigned char got[PIPE_BUF + sizeof(struct frame)];
    ssize_t count;

    if (length > sizeof got) {
        return WITHDRAW_FAILED;
    }
    memset(got, 0, sizeof got); /* a fault in the middle of the read, and death with it, would tear it */
    do {
        count = read(read_fd, got, length);
    } while (count == -1 && errno == EINTR);
    if (count == (ssize_t)length && memcmp(got, wanted, length) == 0) {
        return WITHDRAWN;
    }
    if (count > 0 && write(write_fd, got, (size_t)count) != count) {
        return WITHDRAW_FAILED;
    }
    return WITHDRAW_TAKEN;
}

bool withdraw_is_whole(size_t unit, const unsigned char *bytes, size_t length)
{
    return unit > 0 ? length % unit == 0 : withdraw_tail(bytes, length) == TAIL_CLEAN;
}

/*
 * Takes our frame out from between the bytes of others. Only the front can be read, so those are read too and
 * written again, first written and then read: whoever kills us in between, they are there twice rather than
 * not at all. Only where one atomic write can do it, and where it cannot tear or glue what they wrote.
 */
static enum withdrawal read_between(const struct sender *sender, int fd, size_t at)
{
    const unsigned char *bytes = sender->peek.bytes;
    size_t end = at + sender->frame.length;
    size_t after = sender->peek.length - end;
    unsigned char others[PIPE_BUF];

    if (!sender->peek.all || at + after > sizeof others || !withdraw_is_whole(sender->unit, bytes, at) ||
        !withdraw_is_whole(sender->unit, bytes + end, after)) {
        return WITHDRAW_FAILED;
    }
    memcpy(others, bytes, at);
    memcpy(others + at, bytes + end, after);
    if (write(sender->fd, others, at + after) != (ssize_t)(at + after)) {
        return WITHDRAW_FAILED;
    }
    return read_front(fd, sender->fd, bytes, sender->peek.length);
}

int withdraw_reading_end(const struct sender *sender)
{
    char alias[32];

    if (sender->readable) {
        return sender->fd;
    }
    snprintf(alias, sizeof alias, "/proc/self/fd/%d", sender->fd);
    return open(alias, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

enum withdrawal withdraw(struct sender *sender, struct outgoing *message)
{
    enum withdrawal result = WITHDRAW_FAILED;
    int fd = withdraw_reading_end(sender);
    size_t at;

    switch (find_ours(sender, fd, &at)) {
    case PLACE_NONE:
        result = WITHDRAW_TAKEN;
        break;
    case PLACE_FOUND:
        if (at == 0) {
            result = read_front(fd, sender->fd, sender->frame.bytes, sender->frame.length);
        } else {
            result = read_between(sender, fd, at);
        }
        break;
    default:
        break;
    }
    /*
     * A reference that stays in the FIFO leads nowhere once the memfd is closed. That is safe while we hold
     * the hand lock: no receiver can be just about to open it.
     */
    if (result == WITHDRAW_FAILED && message->referred) {
        reference_drop(&message->big);
        result = WITHDRAWN;
    }
    if (fd != -1 && fd != sender->fd) {
        close(fd);
    }
    return result;
}

void withdraw_put_back(const struct sender *sender, const unsigned char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        size_t rest = length - done;
        size_t most = rest < PIPE_BUF ? rest : PIPE_BUF;
        const unsigned char *newline = memrchr(bytes + done, '\n', most);
        size_t part = most < rest && newline != NULL ? (size_t)(newline + 1 - bytes) - done : most;
        if (write(sender->fd, bytes + done, part) == (ssize_t)part) {
            done += part;
        } else {
            struct pollfd end = {.fd = sender->fd, .events = POLLOUT};
            if (errno != EAGAIN || poll(&end, 1, 100) != 1) {
                return; /* a raw writer has filled it again, and nobody reads */
            }
        }
    }
}

bool withdraw_if_glued(struct sender *sender)
{
    const struct frame *frame = &sender->frame;
    size_t at;

    if (find_ours(sender, sender->readable ? sender->fd : -1, &at) == PLACE_FOUND || !sender->peek.all ||
        sender->peek.length < frame->length) {
        return false;
    }
    /* Not where a message may start; but is it there at all, or has a raw reader been quick? */
    const unsigned char *bytes = sender->peek.bytes;
    const unsigned char *ours = memmem(bytes, sender->peek.length, frame->bytes, frame->length);
    if (ours == NULL || ours == bytes) {
        return false;
    }
    size_t before = (size_t)(ours - bytes);
    if (before > PIPE_BUF || read_front(sender->fd, sender->fd, bytes, before + frame->length) != WITHDRAWN) {
        return false;
    }
    /* What stood before goes back first. The message follows when it may, in a form that it may have. */
    withdraw_put_back(sender, bytes, before);
    return true;
}
