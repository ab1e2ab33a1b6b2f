#include "outflow.h"

#include "link.h"
#include "mailbox.h"
#include "peek.h"
#include "sender.h"
#include "wait.h"
#include "withdraw.h"

#include <errno.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* How long -n waits for another sender. */
#define GRACE MILLISECONDS(100)

/* The outcome for a sender that gives up, with the state of the mailbox in stream->read. */
static struct verdict leave(struct stream *stream, const struct sender *sender, struct verdict v)
{
    size_t left = peek_count(sender->fd);

    stream->read = stream->passed - (left < stream->passed ? left : stream->passed);
    return v;
}

/* Whether `input`, which is ready to be read, has nothing more. Where that cannot be told it is false. */
static bool is_at_end(int input)
{
    int rest;
    return ioctl(input, FIONREAD, &rest) == 0 && rest == 0;
}

/* The mailbox has lost its name: who has it open may read on, so what was written may arrive or not. */
static struct verdict removed(struct stream *stream, const struct sender *sender)
{
    return leave(stream, sender,
                 stream->passed > 0 ? verdict(STATUS_UNCERTAIN, stream_removed)
                                    : verdict(STATUS_GONE, "removed while waiting"));
}

/* The last reader has gone and has not read everything. */
static struct verdict cut_short(struct stream *stream, struct sender *sender)
{
    if (sender_is_gone(sender)) {
        return removed(stream, sender);
    }
    return leave(stream, sender,
                 verdict(STATUS_ERROR, peek_count(sender->fd) > 0
                                           ? "its reader has gone before it read everything"
                                           : "its reader has gone before the end"));
}

/* Waits for a reader. What is in the mailbox stays there, since we have it open. */
static struct verdict await_reader(struct stream *stream, struct sender *sender)
{
    int probe = -1;

    if (sender->box.anonymous) {
        return cut_short(stream, sender);
    }
    struct verdict v = mailbox_open_waiting(&sender->box, stream->until, &probe);
    if (probe != -1) {
        close(probe);
    }
    if (v.status == STATUS_TIMEOUT) {
        return leave(stream, sender, stream_late(stream->passed > 0));
    }
    return v.status == STATUS_GONE ? removed(stream, sender) : v;
}

/*
 * The last reader has gone. If it has read nothing, as who only looks has not, the next one will do. One that
 * has read everything so far may have known where the stream ends, as head -c does, and gone before we knew
 * it: that is for the input to say.
 */
static struct verdict lost_reader(struct stream *stream, struct sender *sender, int input)
{
    struct pollfd end = {.fd = input, .events = POLLIN};

    if (peek_count(sender->fd) == stream->passed) {
        return await_reader(stream, sender);
    }
    while (peek_count(sender->fd) == 0 && stream->relay.held == 0) {
        if (sender_is_gone(sender)) {
            return removed(stream, sender);
        }
        enum wake wake = wait_poll(&end, 1, stream->until);
        if (wake == WAKE_DEADLINE) {
            return leave(stream, sender, stream_late(true));
        }
        if (wake == WAKE_EVENT && is_at_end(input)) {
            stream->ended = true;
            return verdict_done();
        }
        if (wake == WAKE_EVENT) {
            break;
        }
    }
    return cut_short(stream, sender);
}

/* Waits for what is missing: input, or room in the mailbox. */
static struct verdict wait_to_push(struct stream *stream, struct sender *sender, int input)
{
    struct pollfd ends[] = {{.fd = sender->fd, .events = POLLOUT}, {.fd = input, .events = POLLIN}};
    bool full = stream->relay.held > 0;

    ends[0].events = full ? POLLOUT : 0;
    enum wake wake;
    do {
        if (sender_is_gone(sender)) {
            return removed(stream, sender);
        }
        wake = wait_poll(ends, full ? 1 : 2, stream->until);
    } while (wake == WAKE_NAME); /* not ready: who reads now would block, and hear nothing any more */
    if (wake == WAKE_DEADLINE) {
        return leave(stream, sender, stream_late(stream->passed > 0));
    }
    return ends[0].revents & POLLERR ? lost_reader(stream, sender, input) : verdict_done();
}

/* Waits until everything has been read. */
static struct verdict drain(struct stream *stream, struct sender *sender)
{
    deadline until = deadline_sooner(stream->until, deadline_in(WATCH_AFTER));
    struct verdict v = verdict_done();

    (void)wait_arm(sender->fd);
    while (v.status == STATUS_DONE && peek_count(sender->fd) > 0) {
        if (withdraw_has_no_reader(sender) && peek_count(sender->fd) > 0) {
            v = peek_count(sender->fd) == stream->passed ? await_reader(stream, sender)
                                                         : cut_short(stream, sender);
        } else if (wait_event(until) == WAKE_DEADLINE && deadline_passed(stream->until)) {
            v = stream_late(stream->passed > 0);
        } else if (sender_is_gone(sender)) {
            v = removed(stream, sender);
        }
        until = stream->until;
    }
    return leave(stream, sender, v);
}

static struct verdict push_all(struct stream *stream, struct sender *sender, int input)
{
    while (!stream->ended) {
        struct verdict v = verdict_done();
        if (deadline_passed(stream->until)) {
            return leave(stream, sender, stream_late(stream->passed > 0));
        }
        /* Reading may block, and then nobody would see the reader go. */
        if (!stream->is_file && stream->relay.held == 0) {
            v = wait_to_push(stream, sender, input);
        }
        ssize_t moved = v.status == STATUS_DONE ? relay_in(&stream->relay, input, sender->fd) : -1;
        if (v.status != STATUS_DONE) {
            return v;
        }
        if (moved == 0) {
            break;
        }
        if (moved > 0) {
            stream_count(stream, (size_t)moved);
        } else if (errno == EAGAIN) {
            v = wait_to_push(stream, sender, input);
        } else if (errno == EPIPE) {
            v = lost_reader(stream, sender, input);
        } else if (errno != EINTR) {
            v = leave(stream, sender, verdict_errno("cannot read standard input", errno));
        }
        if (v.status != STATUS_DONE) {
            return v;
        }
    }
    return drain(stream, sender);
}

/* Reads a piece of the input, however long that takes. Bytes, 0 at the end, or -1 and errno. */
static ssize_t read_piece(int input, unsigned char *piece)
{
    for (;;) {
        ssize_t got = read(input, piece, PIPE_BUF);
        if (got != -1 || (errno != EAGAIN && errno != EINTR)) {
            return got;
        }
        struct pollfd end = {.fd = input, .events = POLLIN};
        poll(&end, 1, -1);
    }
}

/* Takes the rendezvous without waiting for a stream; those who put a few bytes into a pool are soon done. */
static struct verdict meet_now(struct sender *sender)
{
    sender->nonblock = false;
    sender->until = deadline_in(GRACE);
    struct verdict v = sender_meet(sender);
    sender->nonblock = true;
    return v.status == STATUS_TIMEOUT
               ? verdict(STATUS_NOT_NOW,
                         link_signed(sender->fd, LINK_SENDER, "busy", "busy: another sender is at work"))
               : v;
}

/* Writes a piece, whole or not at all. */
static struct verdict write_piece(struct sender *sender, const unsigned char *piece, size_t length)
{
    struct verdict v = meet_now(sender);

    if (v.status != STATUS_DONE) {
        return v;
    }
    ssize_t written = write(sender->fd, piece, length);
    if (written == -1 && errno == EAGAIN) {
        mailbox_grow(sender->fd, RELAY_CHUNK);
        written = write(sender->fd, piece, length);
    }
    if (written == -1) {
        v = verdict(STATUS_NOT_NOW, errno == EPIPE ? "no receiver is there" : "full");
    }
    sender_release(sender);
    return v;
}

/* -n: writes what there is room for, and leaves it there. Nobody is kept out while we wait for input. */
static struct verdict push_now(struct stream *stream, struct sender *sender, int input)
{
    unsigned char piece[PIPE_BUF];
    struct verdict v = verdict_done();

    while (v.status == STATUS_DONE) {
        ssize_t got = read_piece(input, piece);
        if (got == 0) {
            break;
        }
        if (got == -1) {
            v = verdict_errno("cannot read standard input", errno);
        } else {
            v = write_piece(sender, piece, (size_t)got);
        }
        if (v.status == STATUS_DONE) {
            stream_count(stream, (size_t)got);
        }
    }
    /* Status 1 would say that nothing has happened. */
    if (v.status == STATUS_NOT_NOW && stream->passed > 0) {
        v.status = STATUS_ERROR;
    }
    return leave(stream, sender, v);
}

struct verdict outflow(struct stream *stream, const char *path, int input)
{
    struct sender sender = {
        .until = stream->until, .nonblock = stream->nonblock, .raw = true, .exclusive = !stream->nonblock};
    struct verdict v = sender_open(&sender, path);

    if (v.status == STATUS_DONE) {
        v = stream_survey(stream, input, sender.fd);
    }
    if (v.status == STATUS_DONE && stream->nonblock) {
        wait_mortal();
        return push_now(stream, &sender, input);
    }
    if (v.status == STATUS_DONE) {
        v = sender_meet(&sender);
    }
    if (v.status != STATUS_DONE) {
        v.reason = v.status == STATUS_TIMEOUT
                       ? link_signed(sender.fd, LINK_SENDER, "timed out", stream_late(false).reason)
                       : v.reason;
        return v;
    }
    sender_give_hand(&sender);
    wait_mortal();
    mailbox_grow(sender.fd, RELAY_CHUNK);
    wait_interrupt(stream->until);
    return push_all(stream, &sender, input);
}
