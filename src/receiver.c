#include "receiver.h"

#include "front.h"
#include "link.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* How long -n waits for a sender that is at the mailbox but has no message in it yet. */
#define GRACE MILLISECONDS(100)

const char *const receiver_rival = "another program reads this mailbox without locking, at the same time";

bool receiver_is_gone(struct receiver *receiver)
{
    if (!receiver->watched) {
        receiver->watched = watch_start(&receiver->box.id) == 0;
    }
    return watch_may_be_gone(&receiver->box.id) && watch_gone(&receiver->box.id);
}

static const char *signed_or(const struct receiver *receiver, const char *begin, const char *otherwise)
{
    return link_signed(receiver->fd, LINK_RECEIVER, begin, otherwise);
}

/* The turn is ours. */
static struct verdict have_turn(struct receiver *receiver)
{
    receiver->turn = true;
    if (receiver->exclusive) {
        link_sign(receiver->fd, LINK_RECEIVER);
    }
    return verdict_done();
}

static struct verdict ended(const struct receiver *receiver, enum wake wake)
{
    switch (wake) {
    case WAKE_NAME:
        return verdict(STATUS_GONE, "removed while waiting");
    case WAKE_SIGNAL:
        return verdict(STATUS_SIGNAL + wait_signal(), NULL);
    case WAKE_DEADLINE:
        return verdict(STATUS_TIMEOUT, signed_or(receiver, "timed out", "timed out: no message came"));
    default:
        return verdict_errno("cannot lock it", errno);
    }
}

/* How long to wait at most, with memory that others could use. */
static deadline with_memory(const struct receiver *receiver, deadline until)
{
    return deadline_sooner(until, gather_kept_until(&receiver->gather));
}

/* Frees it, if it is time for that. */
static bool gives_back(struct receiver *receiver)
{
    if (!deadline_passed(gather_kept_until(&receiver->gather))) {
        return false;
    }
    gather_free(&receiver->gather);
    return true;
}

struct verdict receiver_take_turn(struct receiver *receiver)
{
    if (receiver->turn) {
        return verdict_done();
    }
    if (link_try(receiver->fd, LINK_RECEIVER, LINK_TURN)) {
        return have_turn(receiver);
    }
    if (receiver->nonblock) {
        return verdict(STATUS_NOT_NOW, signed_or(receiver, "busy", "busy: another receiver is at work"));
    }
    for (;;) {
        if (receiver_is_gone(receiver)) {
            return ended(receiver, WAKE_NAME);
        }
        enum wake wake = link_wait(receiver->fd, LINK_RECEIVER, LINK_TURN,
                                   with_memory(receiver, receiver->until), WAIT_NAME | WAIT_MORTAL);
        if (wake == WAKE_DONE) {
            return have_turn(receiver);
        }
        if (wake == WAKE_DEADLINE && gives_back(receiver)) {
            continue;
        }
        if (wake == WAKE_DEADLINE) {
            return verdict(STATUS_TIMEOUT,
                           signed_or(receiver, "timed out", "timed out: another receiver is at work"));
        }
        if (wake != WAKE_NAME) {
            return ended(receiver, wake);
        }
    }
}

struct verdict receiver_open(struct receiver *receiver, const char *path)
{
    wait_begin();
    struct verdict v = receiver->box.id.path == NULL ? mailbox_find(path, &receiver->box) : verdict_done();

    if (v.status == STATUS_DONE && receiver->box.buffered) {
        v = verdict(STATUS_ERROR, "is a buffered mailbox: it holds messages, not a stream (-R)");
    }
    if (v.status == STATUS_DONE) {
        v = mailbox_open(&receiver->box, O_RDONLY, &receiver->fd);
    }
    if (v.status == STATUS_DONE && receiver->exclusive) {
        v = receiver_take_turn(receiver);
    }
    return v;
}

void receiver_give_hand(struct receiver *receiver)
{
    if (receiver->hand) {
        link_give(receiver->fd, LINK_HAND);
        receiver->hand = false;
    }
}

void receiver_release(struct receiver *receiver, const struct message *message)
{
    if (message->form == FORM_PART) {
        gather_end(&receiver->gather, receiver->fd);
        receiver->counted = 0;
    }
    receiver_give_hand(receiver);
    if (receiver->turn && !receiver->exclusive && !receiver->gather.active) {
        link_give(receiver->fd, LINK_TURN);
        receiver->turn = false;
    }
}

struct verdict receiver_take_hand(struct receiver *receiver)
{
    struct verdict v = receiver_take_turn(receiver);

    if (v.status != STATUS_DONE || receiver->hand) {
        return v;
    }
    while (!(receiver->hand = link_try(receiver->fd, LINK_RECEIVER, LINK_HAND))) {
        deadline until = receiver->nonblock ? deadline_in(GRACE) : receiver->until;
        if (receiver_is_gone(receiver)) {
            return ended(receiver, WAKE_NAME);
        }
        enum wake wake = link_wait(receiver->fd, LINK_RECEIVER, LINK_HAND, until, WAIT_NAME | WAIT_MORTAL);
        if (wake == WAKE_DEADLINE && receiver->nonblock) {
            receiver->barred = true;
            return verdict(STATUS_NOT_NOW, "busy: a sender is at work");
        }
        if (wake != WAKE_DONE && wake != WAKE_NAME) {
            return ended(receiver, wake);
        }
    }
    return v;
}

struct verdict receiver_sleep(struct receiver *receiver, size_t seen)
{
    deadline until = receiver->until;

    if (!receiver->armed) {
        receiver->armed = wait_arm(receiver->fd) == 0;
        if (!receiver->armed) {
            return verdict_errno("cannot wait for it", errno);
        }
        return verdict_done(); /* and look again: it may have come before we were armed */
    }
    if (receiver->nonblock) {
        /* A sender that has the rendezvous is about to write, or has just been served and is about to go. */
        if (seen > 0 || !link_has_sender(receiver->fd)) {
            return verdict(STATUS_NOT_NOW, signed_or(receiver, "busy", "empty"));
        }
        until = deadline_in(GRACE);
    }
    if (!receiver->dozed) {
        receiver->dozed = true;
        deadline soon = deadline_sooner(until, deadline_in(WATCH_AFTER));
        enum wake wake = wait_event(soon);
        return wake == WAKE_SIGNAL ? ended(receiver, wake) : verdict_done();
    }
    if (receiver_is_gone(receiver)) {
        return ended(receiver, WAKE_NAME);
    }
    enum wake wake = wait_event(with_memory(receiver, until));
    if (wake == WAKE_DEADLINE && gives_back(receiver)) {
        return verdict_done();
    }
    if (wake == WAKE_DEADLINE && receiver->nonblock) {
        return verdict(STATUS_NOT_NOW, signed_or(receiver, "busy", "empty"));
    }
    return wake == WAKE_EVENT || wake == WAKE_NAME ? verdict_done() : ended(receiver, wake);
}

/* Where there is always something to do, nobody would ever wait, and so never hear that it is time to end. */
static struct verdict still_wanted(struct receiver *receiver)
{
    if (receiver->busy++ == 0) {
        return verdict_done();
    }
    gives_back(receiver);
    if (deadline_passed(receiver->until)) {
        return ended(receiver, WAKE_DEADLINE);
    }
    enum wake wake = wait_pending();
    bool look = watch_told() || !receiver->watched;
    if (wake == WAKE_SIGNAL || (look && receiver_is_gone(receiver))) {
        return ended(receiver, wake == WAKE_SIGNAL ? wake : WAKE_NAME);
    }
    return verdict_done();
}

/*
 * Waits for the next part of what is gathered, or for the end of the try that it is of: then the sender has
 * died, or begins anew.
 */
static struct verdict wait_for_part(struct receiver *receiver)
{
    const deadline until = receiver->nonblock ? deadline_in(GRACE) : receiver->until;

    gather_prepare(&receiver->gather);
    if (!receiver->armed) {
        return receiver_sleep(receiver, 0);
    }
    /* Who asked has more to wait for, and comes back. */
    if (receiver->notices) {
        return verdict(STATUS_NOT_NOW, "the rest is to come");
    }
    if (receiver_is_gone(receiver)) {
        return ended(receiver, WAKE_NAME);
    }
    enum wake wake = link_wait_for_end(receiver->fd, receiver->gather.id, until, WAIT_NAME | WAIT_EVENTS);
    switch (wake) {
    case WAKE_DONE:
        /* Once more: the last part may have come, and the sender gone, since we looked. */
        if (peek_count(receiver->fd) == 0) {
            front_drop(receiver);
            receiver_release(receiver, &(struct message){0});
        }
        return verdict_done();
    case WAKE_EVENT:
    case WAKE_NAME:
        return verdict_done();
    case WAKE_DEADLINE:
        return receiver->nonblock ? verdict(STATUS_NOT_NOW, "only a part of the message is there")
                                  : verdict(STATUS_TIMEOUT, "timed out: only a part of the message has come");
    default:
        return ended(receiver, wake);
    }
}

struct verdict receiver_next(struct receiver *receiver, struct message *message)
{
    struct verdict wanted = still_wanted(receiver);

    *message = (struct message){0};
    receiver->barred = false;
    if (wanted.status != STATUS_DONE) {
        return wanted;
    }
    for (;;) {
        struct verdict v;
        enum step step = STEP_AGAIN;

        *message = (struct message){0};
        if (peek_count(receiver->fd) == 0) {
            if (receiver->box.anonymous && front_is_all(receiver, 0)) {
                return verdict(STATUS_GONE, "its writer has gone");
            }
            v = receiver->gather.active ? wait_for_part(receiver) : receiver_sleep(receiver, 0);
        } else {
            v = receiver_take_hand(receiver);
            if (v.status == STATUS_DONE) {
                step = front_find(receiver, message, &v);
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

    if (!receiver->many || message->form == FORM_PART || message->back.wants != 0 || message->frame == 0 ||
        next >= peek->length) {
        return false;
    }
    if (receiver->size > 0) {
        message->content = peek->bytes + next;
        return peek->length - next >= receiver->size;
    }
    if (message_find(peek->bytes + next, peek->length - next, peek->all, &more) != FOUND_MESSAGE ||
        more.form == FORM_PART || more.form == FORM_NOTICE || more.back.wants != 0 ||
        more.length > receiver->max_size) {
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

struct verdict receiver_take(struct receiver *receiver, size_t length)
{
    bool same = length == 0 || (is_still_there(receiver, length) &&
                                peek_take(&receiver->peek, receiver->fd, receiver->peek.bytes, length, -1));
    return same ? verdict_done() : verdict(STATUS_ERROR, receiver_rival);
}
