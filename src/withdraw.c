#include "withdraw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How long we wait for room for what others have written, and we have taken out; and past our deadline. */
#define PATIENCE MILLISECONDS(5000)
#define GRACE    MILLISECONDS(100)

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

/* Whether what is at `bytes` starts with the frame that stands in the FIFO. */
static bool is_ours(const struct standing *ours, const unsigned char *bytes, size_t length)
{
    return length >= standing_length(ours) && memcmp(bytes, ours->head, ours->head_length) == 0 &&
           (ours->body_length == 0 || memcmp(bytes + ours->head_length, ours->body, ours->body_length) == 0);
}

/*
 * Returns the offset of the last message of fixed size that equals ours, or `length`. Nothing but their
 * place tells such messages apart: it is counted from the front, or, if a raw reader has taken an odd number
 * of bytes, from the back.
 */
static size_t walk_fixed(const unsigned char *bytes, size_t length, const struct standing *ours)
{
    size_t unit = standing_length(ours);

    for (size_t at = length - unit + 1; length >= unit && at-- > 0;) {
        bool in_place = at % unit == 0 || (length - at) % unit == 0;
        if (in_place && is_ours(ours, bytes + at, length - at)) {
            return at;
        }
    }
    return length;
}

/*
 * Steps from message to message. Returns the offset of the first one that equals ours (NULL: none will),
 * or `length`. *tail says what the last step ended in.
 */
static size_t walk(const unsigned char *bytes, size_t length, const struct standing *ours, enum tail *tail)
{
    struct message message;
    size_t at = 0;

    *tail = TAIL_CLEAN;
    while (at < length) {
        if (ours != NULL && is_ours(ours, bytes + at, length - at)) {
            return at;
        }
        enum found found = message_find(bytes + at, length - at, true, &message);
        *tail = found == FOUND_FOREIGN ? TAIL_LIE : tail_of(bytes + at, length - at, found, &message);
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

/* So many bytes of a frame tell that they are a piece of it, and no accident. */
#define TELLING ((size_t)64)

/* Whether the last `rest` bytes of our frame are `bytes`. */
static bool ends_so(const struct standing *ours, const unsigned char *bytes, size_t rest)
{
    const size_t in_body = rest < ours->body_length ? rest : ours->body_length;
    const size_t in_head = rest - in_body;

    return memcmp(bytes, ours->head + ours->head_length - in_head, in_head) == 0 &&
           (in_body == 0 || memcmp(bytes + in_head, ours->body + ours->body_length - in_body, in_body) == 0);
}

/*
 * How many bytes from the front of the FIFO are the end of our frame, of which a raw reader has taken the
 * beginning. Only asked of a frame that one read of a page cannot be expected to take whole.
 */
static size_t rest_of(const struct standing *ours, const struct peek *peek)
{
    const bool in_body = ours->body_length >= TELLING;
    const unsigned char *end = in_body ? ours->body + ours->body_length : ours->head + ours->head_length;
    const size_t behind = in_body ? 0 : ours->body_length;
    const size_t most = standing_length(ours) - 1;

    if (standing_length(ours) <= PIPE_BUF || peek->length < TELLING ||
        memmem(peek->bytes, peek->length, end - TELLING, TELLING) == NULL) {
        return 0;
    }
    /* From the longest: where the content repeats itself, a shorter one looks just so. */
    for (size_t rest = peek->length < most ? peek->length : most; rest >= TELLING + behind; rest--) {
        const unsigned char *telling = peek->bytes + rest - behind - TELLING;
        if (memcmp(telling, end - TELLING, TELLING) == 0 && ends_so(ours, peek->bytes, rest)) {
            return rest;
        }
    }
    return 0;
}

/* Where our frame is: *at is its offset from the front, sender->peek holds all there is. */
static enum place find_ours(struct sender *sender, int fd, size_t *at)
{
    const struct standing *ours = &sender->standing;
    struct peek *peek = &sender->peek;
    size_t count = peek_count(sender->fd);
    enum tail tail = TAIL_CLEAN;

    if (count == 0 || (count < standing_length(ours) && (fd == -1 || standing_length(ours) <= PIPE_BUF))) {
        return PLACE_NONE;
    }
    if (fd == -1 || peek_at(peek, fd, count) == -1) {
        return PLACE_UNKNOWN;
    }
    *at = sender->unit > 0 ? walk_fixed(peek->bytes, peek->length, ours)
                           : walk(peek->bytes, peek->length, ours, &tail);
    if (*at < peek->length) {
        return *at == 0 ? PLACE_FRONT : PLACE_BEHIND;
    }
    if (rest_of(ours, peek) > 0) {
        return PLACE_PARTLY;
    }
    if (!peek->all) {
        return PLACE_UNKNOWN;
    }
    /* Behind a lie no step leads, nor behind a record of which a raw reader has taken the beginning: it may
     * be there all the same. */
    bool hidden = (tail == TAIL_LIE || sender->hideable) &&
                  memmem(peek->bytes, peek->length, ours->head, ours->head_length) != NULL;
    return hidden ? PLACE_UNKNOWN : PLACE_NONE;
}

enum place withdraw_look(struct sender *sender)
{
    size_t at;
    return find_ours(sender, sender->readable ? sender->fd : -1, &at);
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
static enum withdrawal read_front(struct sender *sender, int fd, size_t length)
{
    size_t at;

    if (peek_take(&sender->peek, fd, sender->peek.bytes, length, sender->fd)) {
        return WITHDRAWN;
    }
    return find_ours(sender, fd, &at) == PLACE_NONE ? WITHDRAW_TAKEN : WITHDRAW_FAILED;
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
static enum withdrawal read_between(struct sender *sender, int fd, size_t at)
{
    const unsigned char *bytes = sender->peek.bytes;
    size_t end = at + standing_length(&sender->standing);
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
    return read_front(sender, fd, sender->peek.length);
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

enum withdrawal withdraw(struct sender *sender)
{
    enum withdrawal result = WITHDRAW_FAILED;
    int fd = withdraw_reading_end(sender);
    size_t at;

    switch (find_ours(sender, fd, &at)) {
    case PLACE_NONE:
        result = WITHDRAW_TAKEN;
        break;
    case PLACE_FRONT:
        result = read_front(sender, fd, standing_length(&sender->standing));
        break;
    case PLACE_BEHIND:
        result = read_between(sender, fd, at);
        break;
    case PLACE_PARTLY:
        result = read_front(sender, fd, rest_of(&sender->standing, &sender->peek));
        result = result == WITHDRAWN ? WITHDRAW_PARTLY : result;
        break;
    default:
        break;
    }
    if (fd != -1 && fd != sender->fd) {
        close(fd);
    }
    return result;
}

/* Waits until there is some room. Who is asked to end waits no longer than at the deadline. */
static bool gets_room(const struct sender *sender)
{
    struct pollfd end = {.fd = sender->fd, .events = POLLOUT};
    const deadline last = sender->until > DEADLINE_NEVER - GRACE ? DEADLINE_NEVER : sender->until + GRACE;
    const deadline until = deadline_sooner(deadline_in(PATIENCE), last);
    enum wake wake = WAKE_EVENT;

    while (wake == WAKE_EVENT || wake == WAKE_NAME) {
        wake = wait_ready(&end, until);
    }
    return wake == WAKE_DONE || (wake == WAKE_SIGNAL && poll(&end, 1, GRACE / MILLISECONDS(1)) == 1);
}

void withdraw_put_back(struct sender *sender, const unsigned char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        size_t rest = length - done;
        size_t most = rest < PIPE_BUF ? rest : PIPE_BUF;
        const unsigned char *newline = memrchr(bytes + done, '\n', most);
        size_t part = most < rest && newline != NULL ? (size_t)(newline + 1 - bytes) - done : most;
        if (write(sender->fd, bytes + done, part) == (ssize_t)part) {
            done += part;
        } else {
            /* Whoever makes room needs the hand lock for it. */
            bool full = errno == EAGAIN;
            sender_give_hand(sender);
            if (!full || !gets_room(sender)) {
                return; /* a raw writer has filled it again, and nobody reads */
            }
        }
    }
}

bool withdraw_if_glued(struct sender *sender)
{
    const struct standing *ours = &sender->standing;
    const struct peek *peek = &sender->peek;
    size_t at;
    enum place place = find_ours(sender, sender->readable ? sender->fd : -1, &at);

    if (place == PLACE_FRONT || place == PLACE_BEHIND || !peek->all) {
        return false;
    }
    /* Not where a message may start; but is it there at all, or has a raw reader been quick? */
    const unsigned char *found = memmem(peek->bytes, peek->length, ours->head, ours->head_length);
    if (found == NULL || found == peek->bytes) {
        return false;
    }
    size_t before = (size_t)(found - peek->bytes);
    if (before + standing_length(ours) > peek->length ||
        read_front(sender, sender->fd, before + standing_length(ours)) != WITHDRAWN) {
        return false;
    }
    /* What stood before goes back first. The message follows when it may, in a form that it may have. */
    withdraw_put_back(sender, peek->bytes, before);
    return true;
}
