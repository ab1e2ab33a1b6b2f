#include "stream.h"

#include "consume.h"
#include "peek.h"
#include "receiver.h"
#include "sender.h"
#include "wait.h"
#include "withdraw.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* How long -n waits for another sender, and how long a reader is given before we watch the name. */
#define GRACE  MILLISECONDS(100)
#define PROMPT MILLISECONDS(2)

#define MAJOR_MEMORY 1 /* /dev/null, /dev/zero ... of mem(4) and null(4) */

static const struct verdict same_end = {
    STATUS_ERROR, 0, "is standard input or output itself; the bytes would go round in circles"};

/*
 * Whether splice(2) from a mailbox to such a file can only block for a moment. The kernel holds the mailbox's
 * mutex meanwhile, and whoever wants to use the mailbox waits for it uninterruptibly: for as long as a
 * socket's peer does not read, or a terminal is stopped.
 */
static bool is_quick(const struct stat *file)
{
    return S_ISREG(file->st_mode) || S_ISFIFO(file->st_mode) ||
           (S_ISCHR(file->st_mode) && major(file->st_rdev) == MAJOR_MEMORY);
}

/* Chooses the way, makes it wide, and refuses to send a mailbox into itself. */
static struct verdict survey(struct stream *stream, int end, int fd)
{
    struct stat there;
    struct stat here;

    if (fstat(end, &there) == -1 || fstat(fd, &here) == -1) {
        return verdict_errno("cannot look at standard input or output", errno);
    }
    if (S_ISFIFO(there.st_mode)) {
        mailbox_grow(end, RELAY_CHUNK);
    }
    stream->is_file = S_ISREG(there.st_mode);
    stream->relay.direct = is_quick(&there);
    return there.st_dev == here.st_dev && there.st_ino == here.st_ino ? same_end : verdict_done();
}

static struct verdict late(bool started)
{
    return started ? verdict(STATUS_UNCERTAIN, "timed out in the middle")
                   : verdict(STATUS_TIMEOUT, "timed out: nothing was delivered");
}

static void count(struct stream *stream, size_t bytes)
{
    stream->passed += bytes;
    progress_add(stream->progress, bytes, 0);
}

/* --- sending -------------------------------------------------------------------------------------------- */

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

/*
 * The last reader has gone. Before the first byte the next one will do. One that has read everything so far
 * may have known where the stream ends, as head -c does, and gone before we knew it: that is for the input to
 * say.
 */
static struct verdict lost_reader(struct stream *stream, struct sender *sender, int input)
{
    struct pollfd end = {.fd = input, .events = POLLIN};

    if (stream->passed == 0) {
        struct verdict v = sender_reopen(sender);
        mailbox_grow(sender->fd, RELAY_CHUNK);
        return v;
    }
    while (peek_count(sender->fd) == 0 && stream->relay.held == 0) {
        if (sender_is_gone(sender)) {
            return leave(stream, sender, verdict(STATUS_GONE, "removed while waiting"));
        }
        enum wake wake = wait_poll(&end, 1, stream->until);
        if (wake == WAKE_DEADLINE) {
            return leave(stream, sender, late(true));
        }
        if (wake == WAKE_EVENT && is_at_end(input)) {
            stream->ended = true;
            return verdict_done();
        }
        if (wake == WAKE_EVENT) {
            break;
        }
    }
    return leave(stream, sender, verdict(STATUS_ERROR, "its reader has gone"));
}

/* Waits for what is missing: input, or room in the mailbox. */
static struct verdict wait_to_push(struct stream *stream, struct sender *sender, int input)
{
    struct pollfd ends[] = {{.fd = sender->fd, .events = POLLOUT}, {.fd = input, .events = POLLIN}};
    bool full = stream->relay.held > 0;

    ends[0].events = full ? POLLOUT : 0;
    if (sender_is_gone(sender)) {
        return leave(stream, sender, verdict(STATUS_GONE, "removed while waiting"));
    }
    if (wait_poll(ends, full ? 1 : 2, stream->until) == WAKE_DEADLINE) {
        return leave(stream, sender, late(stream->passed > 0));
    }
    return ends[0].revents & POLLERR ? lost_reader(stream, sender, input) : verdict_done();
}

/* Waits until everything has been read. */
static struct verdict drain(struct stream *stream, struct sender *sender)
{
    deadline until = deadline_sooner(stream->until, deadline_in(PROMPT));

    (void)wait_arm(sender->fd);
    while (peek_count(sender->fd) > 0) {
        if (withdraw_has_no_reader(sender) && peek_count(sender->fd) > 0) {
            return leave(stream, sender, verdict(STATUS_ERROR, "its reader has gone"));
        }
        if (wait_event(until) == WAKE_DEADLINE && deadline_passed(stream->until)) {
            return leave(stream, sender, late(stream->passed > 0));
        }
        if (sender_is_gone(sender)) {
            return leave(stream, sender, verdict(STATUS_GONE, "removed while waiting"));
        }
        until = stream->until;
    }
    return leave(stream, sender, verdict_done());
}

static struct verdict push_all(struct stream *stream, struct sender *sender, int input)
{
    while (!stream->ended) {
        struct verdict v = verdict_done();
        if (deadline_passed(stream->until)) {
            return leave(stream, sender, late(stream->passed > 0));
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
            count(stream, (size_t)moved);
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

/* -n: writes what there is room for, in pieces that are written whole or not at all, and leaves it there. */
static struct verdict push_now(struct stream *stream, const struct sender *sender, int input)
{
    unsigned char piece[PIPE_BUF];

    for (;;) {
        struct verdict none = verdict(STATUS_NOT_NOW, "full");
        ssize_t got = read(input, piece, sizeof piece);
        if (got == 0) {
            return leave(stream, sender, verdict_done());
        }
        if (got == -1 && errno == EAGAIN) {
            struct pollfd end = {.fd = input, .events = POLLIN};
            poll(&end, 1, -1);
        }
        if (got == -1 && errno != EINTR && errno != EAGAIN) {
            return leave(stream, sender, verdict_errno("cannot read standard input", errno));
        }
        if (got == -1) {
            continue;
        }
        ssize_t written = write(sender->fd, piece, (size_t)got);
        if (written == -1 && errno == EAGAIN) {
            mailbox_grow(sender->fd, RELAY_CHUNK);
            written = write(sender->fd, piece, (size_t)got);
        }
        if (written == -1) {
            none.reason = errno == EPIPE ? "no receiver is there" : none.reason;
            none.status = stream->passed > 0 ? STATUS_ERROR : none.status;
            return leave(stream, sender, none);
        }
        count(stream, (size_t)written);
    }
}

/* Opens the write end and keeps other senders out, so that what they send does not get into the stream. */
static struct verdict begin_sending(const struct stream *stream, struct sender *sender, const char *path)
{
    struct verdict v = sender_open(sender, path);

    if (v.status != STATUS_DONE) {
        return v;
    }
    /* Those who put a few bytes into a pool are there for microseconds only. */
    if (stream->nonblock) {
        sender->nonblock = false;
        sender->until = deadline_in(GRACE);
    }
    v = sender_meet(sender);
    if (stream->nonblock) {
        sender->nonblock = true;
        sender->until = stream->until;
        v = v.status == STATUS_TIMEOUT ? verdict(STATUS_NOT_NOW, "busy: another sender is at work") : v;
    }
    sender_release(sender);
    return v;
}

struct verdict stream_send(struct stream *stream, const char *path, int input)
{
    struct sender sender = {
        .until = stream->until, .nonblock = stream->nonblock, .raw = true, .exclusive = true};
    struct verdict v = begin_sending(stream, &sender, path);

    if (v.status == STATUS_DONE) {
        v = survey(stream, input, sender.fd);
    }
    if (v.status != STATUS_DONE) {
        v.reason = v.status == STATUS_TIMEOUT ? late(false).reason : v.reason;
        return v;
    }
    wait_mortal();
    if (stream->nonblock) {
        return push_now(stream, &sender, input);
    }
    mailbox_grow(sender.fd, RELAY_CHUNK);
    wait_interrupt(stream->until);
    return push_all(stream, &sender, input);
}

/* --- receiving ------------------------------------------------------------------------------------------ */

static bool hung_up(int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    return poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0;
}

/* Waits for what is missing: something to read, or room in the output. */
static struct verdict wait_to_pull(struct stream *stream, struct receiver *receiver, int output)
{
    struct pollfd ends[] = {{.fd = output, .events = POLLOUT}, {.fd = receiver->fd, .events = POLLIN}};
    bool full = stream->relay.held > 0 || peek_count(receiver->fd) > 0;

    ends[0].events = full ? POLLOUT : 0;
    if (!full && receiver_is_gone(receiver)) {
        return verdict(STATUS_GONE, "removed while waiting");
    }
    if (wait_poll(ends, full ? 1 : 2, stream->until) == WAKE_DEADLINE) {
        return late(true);
    }
    return ends[0].revents & POLLERR ? verdict_errno("cannot write to standard output", EPIPE)
                                     : verdict_done();
}

/* Receives one stream to its end. */
static struct verdict pull_all(struct stream *stream, struct receiver *receiver, int output)
{
    const uint64_t before = stream->passed;

    for (;;) {
        struct verdict v = verdict_done();
        if (deadline_passed(stream->until)) {
            return late(stream->passed > before);
        }
        ssize_t moved = relay_out(&stream->relay, receiver->fd, output);
        if (moved == 0) {
            return v;
        }
        if (moved > 0) {
            count(stream, (size_t)moved);
        } else if (errno == EAGAIN && stream->nonblock && peek_count(receiver->fd) == 0) {
            return v;
        } else if (errno == EAGAIN) {
            v = wait_to_pull(stream, receiver, output);
        } else if (errno != EINTR) {
            v = verdict_errno("cannot write to standard output", errno);
        }
        if (v.status != STATUS_DONE) {
            return v;
        }
    }
}

/* Waits for the first byte, or for a writer that comes and goes without one. */
static struct verdict await_stream(const struct stream *stream, struct receiver *receiver)
{
    struct verdict v = verdict_done();

    while (v.status == STATUS_DONE && peek_count(receiver->fd) == 0) {
        bool over = hung_up(receiver->fd);
        if (over && !stream->follow) {
            return v;
        }
        v = over && receiver->box.anonymous ? verdict(STATUS_GONE, "its writer has gone")
                                            : receiver_sleep(receiver, 0);
    }
    if (v.status == STATUS_DONE) {
        v = receiver_take_turn(receiver);
    }
    v.reason = v.status == STATUS_TIMEOUT ? late(false).reason : v.reason;
    return v;
}

struct verdict stream_receive(struct stream *stream, const char *path, int output)
{
    struct receiver receiver = {
        .until = stream->until, .nonblock = stream->nonblock, .exclusive = stream->exclusive};
    struct verdict v = receiver_open(&receiver, path);

    if (v.status == STATUS_DONE) {
        v = survey(stream, output, receiver.fd);
        wait_mortal();
    }
    do {
        if (v.status == STATUS_DONE) {
            v = await_stream(stream, &receiver);
        }
        if (v.status == STATUS_DONE) {
            mailbox_grow(receiver.fd, RELAY_CHUNK);
            wait_interrupt(stream->until);
            v = pull_all(stream, &receiver, output);
            if (stream->until != DEADLINE_NEVER) {
                wait_interrupt(DEADLINE_NEVER);
            }
            receiver_release(&receiver, &(struct message){0});
        }
    } while (v.status == STATUS_DONE && stream->follow);
    return v;
}
