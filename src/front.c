#include "front.h"

#include "link.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* How long -n waits for what a sender is about to do. */
#define MOMENT MILLISECONDS(100)

/* In this order: a writer can write and go between our look and this question. */
bool front_is_left(const struct receiver *receiver)
{
    struct pollfd end = {.fd = receiver->fd, .events = POLLIN};
    return poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0;
}

bool front_is_all(const struct receiver *receiver, size_t seen)
{
    return front_is_left(receiver) && peek_count(receiver->fd) == seen;
}

/*
 * When bytes are there, but their writer had gone before we came, poll(2) does not report a hang-up: to us,
 * there never was a writer. Being one for an instant makes it so. Through our descriptor, for the name may
 * lead to another file by now; where there is no proc(5), only if it does not.
 */
static void become_writer_once(const struct receiver *receiver)
{
    char alias[32];

    snprintf(alias, sizeof alias, "/proc/self/fd/%d", receiver->fd);
    int fd = open(alias, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd == -1 && errno == ENOENT && !watch_gone(&receiver->box.id)) {
        fd = open(receiver->box.id.path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    }
    if (fd != -1) {
        close(fd);
    }
}

static enum step too_long(struct message *message, struct verdict *v)
{
    message->frame = 0;
    *v = verdict(STATUS_REFUSED, "the message is longer than --max-size; it stays in the mailbox");
    return STEP_END;
}

void front_drop(struct receiver *receiver)
{
    gather_end(&receiver->gather, receiver->fd);
    progress_add(receiver->progress, -(uint64_t)receiver->counted, 0);
    receiver->counted = 0;
}

/* Reads a part of a try that is no more. */
static enum step discard(struct receiver *receiver, const struct message *part, struct verdict *v)
{
    front_drop(receiver);
    if (gather_discard(&receiver->gather, receiver->fd, part) || errno == EIO || errno == EAGAIN) {
        return STEP_AGAIN;
    }
    *v = verdict_errno("cannot skip what a sender has left", errno);
    return STEP_END;
}

/*
 * Waits, without what a receiver holds: for the end of the try `id`, of which others have read the beginning,
 * so that its sender will begin anew; or for the lock `gather`, which a sender has for a moment.
 */
static enum step wait_without(struct receiver *receiver, uint64_t id, bool for_end, struct verdict *v)
{
    const deadline until = receiver->nonblock ? deadline_in(MOMENT) : receiver->until;
    const int flags = WAIT_NAME | WAIT_MORTAL;

    receiver_release(receiver, &(struct message){0});
    if (receiver_is_gone(receiver)) {
        *v = verdict(STATUS_GONE, "removed while waiting");
        return STEP_END;
    }
    enum wake wake;
    if (for_end) {
        wake = link_wait_for_end(receiver->fd, id, until, flags);
    } else {
        wake = link_wait(receiver->fd, LINK_RECEIVER, LINK_GATHER, until, flags);
        link_give(receiver->fd, LINK_GATHER); /* and look again */
    }
    if (wake == WAKE_DONE || wake == WAKE_NAME) {
        return STEP_AGAIN;
    }
    *v = wake != WAKE_DEADLINE ? verdict_errno("cannot lock it", errno)
         : receiver->nonblock  ? verdict(STATUS_NOT_NOW, "busy: a sender is at work")
                               : verdict(STATUS_TIMEOUT, "timed out: the rest of a message is there, "
                                                          "and its sender does not begin anew");
    return STEP_END;
}

/* Begins to gather the message of which the first part is at the front. */
static enum step begin(struct receiver *receiver, const struct message *part, struct verdict *v)
{
    if (!link_try(receiver->fd, LINK_RECEIVER, LINK_GATHER)) {
        return wait_without(receiver, 0, false, v);
    }
    if (gather_begin(&receiver->gather, part)) {
        return STEP_MESSAGE;
    }
    *v = verdict_errno("cannot keep the message, which stays in the mailbox", errno);
    link_give(receiver->fd, LINK_GATHER);
    return STEP_END;
}

/* The part that was at the front has not been gathered. */
static enum step lost_part(struct receiver *receiver, int error, struct verdict *v)
{
    front_drop(receiver);
    if (error == EAGAIN) {
        return STEP_AGAIN;
    }
    *v = error == EIO ? verdict(STATUS_ERROR, receiver_rival)
                      : verdict_errno("cannot keep the message, which stays in the mailbox", error);
    return STEP_END;
}

/* A part is at the front. STEP_AGAIN: it has been dealt with. STEP_MESSAGE: it is all there, and in hand. */
static enum step find_part(struct receiver *receiver, struct message *message, struct verdict *v)
{
    struct gather *gather = &receiver->gather;
    const bool first = message->part.offset == 0;
    const bool last = message_is_last(message);

    if (!gather_is_next(gather, message)) {
        front_drop(receiver);
    }
    /* Asked with the hand lock held: whoever withdraws what can still be delivered does so with that lock. */
    if ((first || last || !gather->active) && !link_is_alive(receiver->fd, message->part.id)) {
        return discard(receiver, message, v);
    }
    if (!first && !gather->active) {
        return wait_without(receiver, message->part.id, true, v);
    }
    if (message->part.total > receiver->max_size) {
        return too_long(message, v);
    }
    if (last) {
        if (!first) {
            gather_finish(gather, message);
        }
        receiver->parted = !first;
        return STEP_MESSAGE;
    }
    if (first && begin(receiver, message, v) != STEP_MESSAGE) {
        return v->status == STATUS_DONE ? STEP_AGAIN : STEP_END;
    }
    if (!gather_read(gather, receiver->fd, message)) {
        return lost_part(receiver, errno, v);
    }
    progress_add(receiver->progress, message->length, 0);
    receiver->counted += message->length;
    return STEP_AGAIN;
}

/* Looks at all that is in the FIFO. */
static bool look(struct receiver *receiver, struct verdict *v)
{
    if (peek_at(&receiver->peek, receiver->fd, peek_count(receiver->fd)) == 0) {
        return true;
    }
    *v = verdict_errno("cannot look into it", errno);
    return false;
}

/* Waits for the next piece of a long line. One that does not come is a line that is damaged. */
static bool wait_for_piece(struct receiver *receiver, struct verdict *v)
{
    *v = receiver_sleep(receiver, 0);
    if (v->status == STATUS_TIMEOUT || v->status == STATUS_NOT_NOW) {
        *v = verdict(STATUS_REFUSED, "skipped the beginning of a line that did not end in time");
    }
    return v->status == STATUS_DONE;
}

/*
 * A raw line that does not fit into the pipe: reads on until it ends, with both locks held, since nobody else
 * may have the rest of it.
 */
static enum step read_line(struct receiver *receiver, struct message *message, struct verdict *v)
{
    struct long_line *line = &receiver->line;
    bool ended = false;

    line->length = 0;
    while (!ended) {
        enum found found = message_find(receiver->peek.bytes, receiver->peek.length, true, message);
        /* Somebody else's frame is not part of the line, but the end of it. */
        bool ours = found != FOUND_FOREIGN && found != FOUND_NOTHING && message->form == FORM_LINE;
        if (!consume_into(receiver->fd, line, ours ? message->frame : 0, receiver->max_size)) {
            *v = verdict_errno("cannot keep a long line", errno);
            return STEP_END;
        }
        ended = found == FOUND_NOTHING ? front_is_all(receiver, 0) : found != FOUND_UNFINISHED;
        if (found == FOUND_NOTHING && !ended && !wait_for_piece(receiver, v)) {
            return STEP_END;
        }
        if (!ended && !look(receiver, v)) {
            return STEP_END;
        }
    }
    *message = (struct message){.form = FORM_LINE, .content = line->bytes, .length = line->length};
    if (message->length > receiver->max_size) {
        message->frame = message->length;
        *v = verdict(STATUS_REFUSED, "skipped a line longer than --max-size");
        return STEP_END;
    }
    return STEP_MESSAGE;
}

/* -s: so many bytes are a message, whatever they are. */
static enum step find_fixed(struct receiver *receiver, struct message *message, struct verdict *v)
{
    if (peek_at(&receiver->peek, receiver->fd, receiver->many ? SIZE_MAX : receiver->size) == -1) {
        *v = verdict_errno("cannot look into it", errno);
        return STEP_END;
    }
    *message =
        (struct message){.content = receiver->peek.bytes, .length = receiver->size, .frame = receiver->size};
    if (receiver->size > receiver->max_size) {
        return too_long(message, v);
    }
    if (receiver->peek.length >= receiver->size) {
        return STEP_MESSAGE;
    }
    if (receiver->peek.length > 0 && front_is_all(receiver, receiver->peek.length)) {
        message->frame = receiver->peek.length;
        consume_nothing(receiver->fd, message->frame);
        *v = verdict(STATUS_REFUSED, "skipped a message of fewer bytes than --size");
        return STEP_END;
    }
    size_t seen = receiver->peek.length;
    receiver_release(receiver, message);
    *v = receiver_sleep(receiver, seen);
    return v->status == STATUS_DONE ? STEP_AGAIN : STEP_END;
}

/* Whether the rest of an unfinished line cannot come before some of it is taken: there is no room for it. */
static bool is_stuck(const struct receiver *receiver)
{
    const struct peek *peek = &receiver->peek;
    return peek->full || !peek->all || peek->length >= (size_t)fcntl(receiver->fd, F_GETPIPE_SZ);
}

/* Who only looks, or does not wait, must not take the beginning of a line that may not end. */
static enum step read_line_if_wanted(struct receiver *receiver, struct message *message, struct verdict *v)
{
    if (!receiver->keeps && !receiver->nonblock) {
        return read_line(receiver, message, v);
    }
    message->frame = 0;
    *v = receiver->keeps
             ? verdict(STATUS_REFUSED, "the line is too long for the pipe, and cannot be kept in it")
             : verdict(STATUS_NOT_NOW, "only the beginning of a long line is there");
    return STEP_END;
}

/*
 * What to do about a line that has not ended: wait, read it into memory, or take it for whole. Or is it a
 * sender's, and we cannot see its end? What is read of that is lost if we die.
 */
static enum step find_unfinished(struct receiver *receiver, struct message *message, struct verdict *v)
{
    size_t seen = receiver->peek.length;

    if (receiver->peek.narrow &&
        (message_plain(receiver->peek.bytes, 1) == 0 || link_has_sender(receiver->fd))) {
        message->frame = 0;
        *v = verdict(STATUS_ERROR, "the message is longer than this user's pipes may be "
                                   "(fs.pipe-user-pages-soft); it stays in the mailbox");
        return STEP_END;
    }
    if (front_is_all(receiver, seen)) {
        return message->length <= receiver->max_size ? STEP_MESSAGE : too_long(message, v);
    }
    if (is_stuck(receiver)) {
        return read_line_if_wanted(receiver, message, v);
    }
    if (!receiver->armed) {
        become_writer_once(receiver);
    }
    receiver_release(receiver, message);
    *v = receiver_sleep(receiver, seen);
    return v->status == STATUS_DONE ? STEP_AGAIN : STEP_END;
}

static enum step skip_damaged(struct receiver *receiver, const struct message *message, struct verdict *v)
{
    consume_nothing(receiver->fd, message->frame);
    *v = verdict(STATUS_REFUSED, "skipped a damaged message");
    return STEP_END;
}

/* Looks at the front, and finds what is there. */
static bool look_at_front(struct receiver *receiver, enum found *found, struct message *message,
                          struct verdict *v)
{
    struct peek *peek = &receiver->peek;
    const bool little = !receiver->many || receiver->gather.active || receiver->parted;

    if (peek_at(peek, receiver->fd, little ? PIPE_BUF : SIZE_MAX) == -1) {
        *v = verdict_errno("cannot look into it", errno);
        return false;
    }
    /* A part that is to be read need not be looked at whole. */
    if (message_may_be_part(peek->bytes, peek->length) &&
        message_is_part(peek->bytes, peek->length, peek_count(receiver->fd), message) &&
        (message->frame <= peek->length || !message_is_last(message))) {
        *found = FOUND_MESSAGE;
        return true;
    }
    receiver->parted = false;
    *found = message_find(peek->bytes, peek->length, peek->all, message);
    if (!peek->all && (*found == FOUND_UNFINISHED || (little && receiver->many))) {
        if (!look(receiver, v)) {
            return false;
        }
        *found = message_find(peek->bytes, peek->length, !peek->narrow, message);
    }
    return true;
}

enum step front_find(struct receiver *receiver, struct message *message, struct verdict *v)
{
    enum found found;

    if (receiver->size > 0) {
        return find_fixed(receiver, message, v);
    }
    if (!look_at_front(receiver, &found, message, v)) {
        return STEP_END;
    }
    switch (found) {
    case FOUND_MESSAGE:
        if (message->form == FORM_PART) {
            return find_part(receiver, message, v);
        }
        if (message->form == FORM_NOTICE && !receiver->notices) {
            return skip_damaged(receiver, message, v);
        }
        if (message->length <= receiver->max_size) {
            return STEP_MESSAGE;
        }
        return too_long(message, v);
    case FOUND_UNFINISHED:
        return find_unfinished(receiver, message, v);
    case FOUND_DAMAGED:
        return skip_damaged(receiver, message, v);
    case FOUND_FOREIGN:
        message->frame = 0;
        *v = verdict(STATUS_ERROR,
                     "the message has a format of a newer or older version; it stays in the mailbox");
        return STEP_END;
    default:
        return STEP_AGAIN; /* another receiver was faster */
    }
}
