#include "receiver.h"

#include "link.h"
#include "reference.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long -n waits for a sender that is at the mailbox but has no message in it yet. */
#define GRACE MILLISECONDS(100)

/* What one step towards a message led to. */
enum step {
    STEP_MESSAGE, /* it is in hand */
    STEP_AGAIN,   /* look again */
    STEP_END,     /* the verdict says why */
};

bool receiver_is_gone(struct receiver *receiver)
{
    if (!receiver->watched) {
        receiver->watched = true;
        watch_start(&receiver->box.id);
    }
    return watch_gone(&receiver->box.id);
}

static struct verdict ended(enum wake wake)
{
    switch (wake) {
    case WAKE_NAME:
        return verdict(STATUS_GONE, "removed while waiting");
    case WAKE_SIGNAL:
        return verdict(STATUS_SIGNAL + wait_signal(), NULL);
    case WAKE_DEADLINE:
        return verdict(STATUS_TIMEOUT, "timed out: no message came");
    default:
        return verdict_errno("cannot lock it", errno);
    }
}

struct verdict receiver_take_turn(struct receiver *receiver)
{
    if (receiver->turn || link_try(receiver->fd, LINK_RECEIVER, LINK_TURN)) {
        receiver->turn = true;
        return verdict_done();
    }
    if (receiver->nonblock) {
        return verdict(STATUS_NOT_NOW, "busy: another receiver is at work");
    }
    for (;;) {
        if (receiver_is_gone(receiver)) {
            return ended(WAKE_NAME);
        }
        enum wake wake =
            link_wait(receiver->fd, LINK_RECEIVER, LINK_TURN, receiver->until, WAIT_NAME | WAIT_MORTAL);
        if (wake == WAKE_DONE) {
            receiver->turn = true;
            return verdict_done();
        }
        if (wake == WAKE_DEADLINE) {
            return verdict(STATUS_TIMEOUT, "timed out: another receiver is at work");
        }
        if (wake != WAKE_NAME) {
            return ended(wake);
        }
    }
}

struct verdict receiver_open(struct receiver *receiver, const char *path)
{
    wait_begin();
    struct verdict v = mailbox_find(path, &receiver->box);

    if (v.status == STATUS_DONE) {
        v = mailbox_open(&receiver->box, O_RDONLY, &receiver->fd);
    }
    if (v.status == STATUS_DONE && receiver->exclusive) {
        v = receiver_take_turn(receiver);
    }
    return v;
}

void receiver_release(struct receiver *receiver, const struct message *message)
{
    if (message->form == FORM_REFERENCE) {
        reference_unmap(message, message->content);
    }
    if (receiver->hand) {
        link_give(receiver->fd, LINK_HAND);
        receiver->hand = false;
    }
    if (receiver->turn && !receiver->exclusive) {
        link_give(receiver->fd, LINK_TURN);
        receiver->turn = false;
    }
}

/* Takes both locks. A sender has the hand lock for microseconds only, unless it was stopped right then. */
static struct verdict take_hand(struct receiver *receiver)
{
    struct verdict v = receiver_take_turn(receiver);

    if (v.status != STATUS_DONE || receiver->hand) {
        return v;
    }
    while (!(receiver->hand = link_try(receiver->fd, LINK_RECEIVER, LINK_HAND))) {
        deadline until = receiver->nonblock ? deadline_in(GRACE) : receiver->until;
        if (receiver_is_gone(receiver)) {
            return ended(WAKE_NAME);
        }
        enum wake wake = link_wait(receiver->fd, LINK_RECEIVER, LINK_HAND, until, WAIT_NAME | WAIT_MORTAL);
        if (wake == WAKE_DEADLINE && receiver->nonblock) {
            return verdict(STATUS_NOT_NOW, "busy: a sender is at work");
        }
        if (wake != WAKE_DONE && wake != WAKE_NAME) {
            return ended(wake);
        }
    }
    return v;
}

/*
 * Whether no process has the other end open any more, for a FIFO that had a writer since we opened it, and
 * what we have `seen` is all it left. In this order: a writer can write and go between our look and this
 * question.
 */
static bool is_all_there_will_be(const struct receiver *receiver, size_t seen)
{
    struct pollfd end = {.fd = receiver->fd, .events = POLLIN};
    bool hung_up = poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0;
    return hung_up && peek_count(receiver->fd) == seen;
}

/*
 * When bytes are there, but their writer had gone before we came, poll(2) does not report a hang-up: to us,
 * there never was a writer. Being one for an instant makes it so.
 */
static void become_writer_once(const struct receiver *receiver)
{
    int fd = open(receiver->box.id.path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd != -1) {
        close(fd);
    }
}

struct verdict receiver_sleep(struct receiver *receiver, size_t seen)
{
    deadline until = receiver->until;

    if (!receiver->armed) {
        receiver->armed = wait_arm(receiver->fd) == 0;
        return verdict_done(); /* and look again: it may have come before we were armed */
    }
    if (receiver->nonblock) {
        /* A sender that has the rendezvous is about to write, or has just been served and is about to go. */
        if (seen > 0 || !link_has_sender(receiver->fd)) {
            return verdict(STATUS_NOT_NOW, "empty");
        }
        until = deadline_in(GRACE);
    }
    if (receiver_is_gone(receiver)) {
        return ended(WAKE_NAME);
    }
    enum wake wake = wait_event(until);
    if (wake == WAKE_DEADLINE && receiver->nonblock) {
        return verdict(STATUS_NOT_NOW, "empty");
    }
    return wake == WAKE_EVENT || wake == WAKE_NAME ? verdict_done() : ended(wake);
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
        ended = found == FOUND_NOTHING ? is_all_there_will_be(receiver, 0) : found != FOUND_UNFINISHED;
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
    if (receiver->peek.length > 0 && is_all_there_will_be(receiver, receiver->peek.length)) {
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

    if (is_all_there_will_be(receiver, seen)) {
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

/* Looks at the front of the FIFO, with both locks held. */
static enum step find(struct receiver *receiver, struct message *message, struct verdict *v)
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
        if (message->length <= receiver->max_size) {
            return STEP_MESSAGE;
        }
        return too_long(message, v);
    case FOUND_UNFINISHED:
        return find_unfinished(receiver, message, v);
    case FOUND_DAMAGED:
        consume_nothing(receiver->fd, message->frame);
        *v = verdict(STATUS_REFUSED, "skipped a damaged message");
        return STEP_END;
    case FOUND_NEWER:
        message->frame = 0;
        *v = verdict(STATUS_ERROR, "the message has a format of a newer version; it stays in the mailbox");
        return STEP_END;
    default:
        return STEP_AGAIN; /* another receiver was faster */
    }
}

/* Where there is always something to do, nobody would ever wait, and so never hear that it is time to end. */
static struct verdict still_wanted(struct receiver *receiver)
{
    if (receiver->busy++ == 0) {
        return verdict_done();
    }
    if (deadline_passed(receiver->until)) {
        return ended(WAKE_DEADLINE);
    }
    enum wake wake = wait_pending();
    bool look = wake == WAKE_NAME || !receiver->watched;
    if (wake == WAKE_SIGNAL || (look && receiver_is_gone(receiver))) {
        return ended(wake == WAKE_SIGNAL ? wake : WAKE_NAME);
    }
    return verdict_done();
}

struct verdict receiver_next(struct receiver *receiver, struct message *message)
{
    struct verdict wanted = still_wanted(receiver);

    *message = (struct message){0};
    if (wanted.status != STATUS_DONE) {
        return wanted;
    }
    for (;;) {
        struct verdict v;
        enum step step = STEP_AGAIN;

        *message = (struct message){0};
        if (peek_count(receiver->fd) == 0) {
            if (receiver->box.anonymous && is_all_there_will_be(receiver, 0)) {
                return verdict(STATUS_GONE, "its writer has gone");
            }
            v = receiver_sleep(receiver, 0);
        } else {
            v = take_hand(receiver);
            if (v.status == STATUS_DONE) {
                step = find(receiver, message, &v);
            }
        }
        if (step == STEP_MESSAGE) {
            return verdict_done();
        }
        if (receiver->hand) {
            receiver_release(receiver, &(struct message){0});
        }
        if (step == STEP_END || v.status != STATUS_DONE) {
            return v;
        }
    }
}

bool receiver_more(const struct receiver *receiver, struct message *message, size_t at)
{
    const struct peek *peek = &receiver->peek;
    size_t next = at + message->frame;
    struct message more = *message;

    if (!receiver->many || message->form == FORM_REFERENCE || message->frame == 0 || next >= peek->length) {
        return false;
    }
    if (receiver->size > 0) {
        message->content = peek->bytes + next;
        return peek->length - next >= receiver->size;
    }
    if (message_find(peek->bytes + next, peek->length - next, peek->all, &more) != FOUND_MESSAGE ||
        more.form == FORM_REFERENCE || more.length > receiver->max_size) {
        return false;
    }
    *message = more;
    return true;
}

size_t receiver_more_lines(const struct receiver *receiver, size_t at, size_t most,
                           const unsigned char **bytes, size_t *length)
{
    const struct peek *peek = &receiver->peek;
    size_t count = 0;

    *length = 0;
    if (!receiver->many || receiver->size > 0 || at >= peek->length) {
        return 0;
    }
    *bytes = peek->bytes + at;
    size_t plain = message_plain(*bytes, peek->length - at);
    while (count < most && *length < plain) {
        const unsigned char *newline = memchr(*bytes + *length, '\n', plain - *length);
        size_t end = newline == NULL ? 0 : (size_t)(newline + 1 - *bytes);
        if (newline == NULL || end - *length > receiver->max_size) {
            break;
        }
        *length = end;
        count++;
    }
    return count;
}

/*
 * Whether what we have looked at is still at the front. COMMAND may have run for an hour, and a raw reader
 * knows no locks: what stands there now may be somebody else's. What happens between this look and the read
 * is lost to it.
 */
static bool is_still_there(struct receiver *receiver, size_t length)
{
    unsigned char front[PIPE_BUF];
    size_t enough = length < sizeof front ? length : sizeof front;

    memcpy(front, receiver->peek.bytes, enough);
    return peek_at(&receiver->peek, receiver->fd, enough) == 0 && receiver->peek.length == enough &&
           memcmp(front, receiver->peek.bytes, enough) == 0;
}

/* Where `length` bytes can be read to. NULL: no memory. */
static unsigned char *place(struct receiver *receiver, size_t length)
{
    static unsigned char usual[PIPE_BUF];

    if (length <= sizeof usual) {
        return usual;
    }
    if (length > receiver->room) {
        free(receiver->taken);
        receiver->taken = malloc(length);
        receiver->room = receiver->taken == NULL ? 0 : length;
    }
    return receiver->taken;
}

struct verdict receiver_take(struct receiver *receiver, size_t length)
{
    unsigned char *taken = place(receiver, length);

    if (taken == NULL) {
        return verdict_errno("cannot take it", ENOMEM);
    }
    /* One read(2): whoever kills us, all of it is taken or nothing. */
    bool same =
        length == 0 || (is_still_there(receiver, length) && consume(receiver->fd, taken, length) == length &&
                        memcmp(taken, receiver->peek.bytes, length) == 0);
    return same ? verdict_done()
                : verdict(STATUS_ERROR,
                          "another program reads this mailbox without locking, at the same time");
}
