#include "front.h"

#include "reference.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

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

/* Opens what a reference refers to. */
static enum step follow(struct receiver *receiver, struct message *message, struct verdict *v)
{
    switch (reference_map(message, receiver->max_size, &message->content)) {
    case REFERENCE_OPEN:
        return STEP_MESSAGE;
    case REFERENCE_GONE:
        consume_nothing(receiver->fd, message->frame);
        return STEP_AGAIN;
    case REFERENCE_TOO_LONG:
        return too_long(message, v);
    case REFERENCE_LIES:
        consume_nothing(receiver->fd, message->frame);
        *v = verdict(STATUS_REFUSED, "skipped a damaged message: what it refers to is not there");
        return STEP_END;
    default:
        message->frame = 0;
        *v = errno == 0 ? verdict(STATUS_ERROR,
                                  "the message's sender is in another pid namespace; it stays in the mailbox")
                        : verdict_errno("cannot open the message's content, which its sender keeps; "
                                        "receive as the same user; it stays in the mailbox",
                                        errno);
        return STEP_END;
    }
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
static enum step gather(struct receiver *receiver, struct message *message, struct verdict *v)
{
    struct long_line *line = &receiver->line;
    bool ended = false;

    line->length = 0;
    while (!ended) {
        enum found found = message_find(receiver->peek.bytes, receiver->peek.length, true, message);
        /* Somebody else's frame is not part of the line, but the end of it. */
        bool ours = found != FOUND_NEWER && found != FOUND_NOTHING && message->form == FORM_LINE;
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
static enum step gather_if_wanted(struct receiver *receiver, struct message *message, struct verdict *v)
{
    if (!receiver->keeps && !receiver->nonblock) {
        return gather(receiver, message, v);
    }
    message->frame = 0;
    *v = receiver->keeps
             ? verdict(STATUS_REFUSED, "the line is too long for the pipe, and cannot be kept in it")
             : verdict(STATUS_NOT_NOW, "only the beginning of a long line is there");
    return STEP_END;
}

/* What to do about a line that has not ended: wait, read it into memory, or take it for whole. */
static enum step find_unfinished(struct receiver *receiver, struct message *message, struct verdict *v)
{
    size_t seen = receiver->peek.length;

    if (front_is_all(receiver, seen)) {
        return message->length <= receiver->max_size ? STEP_MESSAGE : too_long(message, v);
    }
    if (is_stuck(receiver)) {
        return gather_if_wanted(receiver, message, v);
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

enum step front_find(struct receiver *receiver, struct message *message, struct verdict *v)
{
    struct peek *peek = &receiver->peek;

    if (receiver->size > 0) {
        return find_fixed(receiver, message, v);
    }
    if (peek_at(peek, receiver->fd, receiver->many ? SIZE_MAX : PIPE_BUF) == -1) {
        *v = verdict_errno("cannot look into it", errno);
        return STEP_END;
    }
    enum found found = message_find(peek->bytes, peek->length, peek->all, message);
    if (found == FOUND_UNFINISHED && !peek->all) {
        if (!look(receiver, v)) {
            return STEP_END;
        }
        found = message_find(peek->bytes, peek->length, true, message);
    }
    switch (found) {
    case FOUND_MESSAGE:
        if (message->form == FORM_REFERENCE) {
            return follow(receiver, message, v);
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
    case FOUND_NEWER:
        message->frame = 0;
        *v = verdict(STATUS_ERROR, "the message has a format of a newer version; it stays in the mailbox");
        return STEP_END;
    default:
        return STEP_AGAIN; /* another receiver was faster */
    }
}
