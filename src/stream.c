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

/* The mailbox has lost its name: who has it open may read on, so what was written may arrive or not. */
static struct verdict removed(struct stream *stream, const struct sender *sender)
{
    return leave(stream, sender,
                 stream->passed > 0 ? verdict(STATUS_UNCERTAIN, "removed in the middle")
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
        return leave(stream, sender, late(stream->passed > 0));
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
        return leave(stream, sender, late(stream->passed > 0));
    }
    return ends[0].revents & POLLERR ? lost_reader(stream, sender, input) : verdict_done();
}

/* Waits until everything has been read. */
static struct verdict drain(struct stream *stream, struct sender *sender)
{
    deadline until = deadline_sooner(stream->until, deadline_in(PROMPT));
    struct verdict v = verdict_done();

    (void)wait_arm(sender->fd);
    while (v.status == STATUS_DONE && peek_count(sender->fd) > 0) {
        if (withdraw_has_no_reader(sender) && peek_count(sender->fd) > 0) {
            v = peek_count(sender->fd) == stream->passed ? await_reader(stream, sender)
                                                         : cut_short(stream, sender);
        } else if (wait_event(until) == WAKE_DEADLINE && deadline_passed(stream->until)) {
            v = late(stream->passed > 0);
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
    return v.status == STATUS_TIMEOUT ? verdict(STATUS_NOT_NOW, "busy: another sender is at work") : v;
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
            count(stream, (size_t)got);
        }
    }
    /* Status 1 would say that nothing has happened. */
    if (v.status == STATUS_NOT_NOW && stream->passed > 0) {
        v.status = STATUS_ERROR;
    }
    return leave(stream, sender, v);
}

struct verdict stream_send(struct stream *stream, const char *path, int input)
{
    struct sender sender = {
        .until = stream->until, .nonblock = stream->nonblock, .raw = true, .exclusive = !stream->nonblock};
    struct verdict v = sender_open(&sender, path);

    if (v.status == STATUS_DONE) {
        v = survey(stream, input, sender.fd);
    }
    if (v.status == STATUS_DONE && stream->nonblock) {
        wait_mortal();
        return push_now(stream, &sender, input);
    }
    if (v.status == STATUS_DONE) {
        v = sender_meet(&sender);
    }
    if (v.status != STATUS_DONE) {
        v.reason = v.status == STATUS_TIMEOUT ? late(false).reason : v.reason;
        return v;
    }
    sender_give_hand(&sender);
    wait_mortal();
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
        /* Otherwise a sender could take back what is being written. */
        if (!stream->relay.direct) {
            v = receiver_take_hand(receiver);
            if (v.status != STATUS_DONE) {
                return v;
            }
        }
        ssize_t moved = relay_out(&stream->relay, receiver->fd, output);
        int error = errno;
        if (stream->relay.held == 0) {
            receiver_give_hand(receiver);
        }
        errno = error;
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
            break;
        }
        v = over && receiver->box.anonymous ? verdict(STATUS_GONE, "its writer has gone")
                                            : receiver_sleep(receiver, 0);
    }
    if (v.status == STATUS_DONE) {
        v = receiver_take_turn(receiver);
    }
    if (v.status == STATUS_TIMEOUT) {
        v.reason = stream->passed > 0 ? "timed out: no further stream came" : "timed out: nothing came";
    }
    return v;
}

/* Whether a message that only a receiver of messages can make sense of stands where a stream should begin. */
static bool is_message(struct receiver *receiver)
{
    const struct peek *peek = &receiver->peek;
    struct message message;

    if (peek_at(&receiver->peek, receiver->fd, 1) == -1 || message_plain(peek->bytes, peek->length) > 0) {
        return false;
    }
    return peek_at(&receiver->peek, receiver->fd, PIPE_BUF) == 0 &&
           message_find(peek->bytes, peek->length, peek->all, &message) == FOUND_MESSAGE &&
           message.form != FORM_LINE;
}

struct verdict stream_receive(struct stream *stream, const char *path, int output)
{
    struct receiver receiver = {
        .until = stream->until, .nonblock = stream->nonblock, .exclusive = stream->exclusive};
    struct verdict v = receiver_open(&receiver, path);

    if (v.status == STATUS_DONE) {
        v = survey(stream, output, receiver.fd);
        wait_mortal();
        wait_interrupt(stream->until);
    }
    do {
        if (v.status == STATUS_DONE) {
            v = await_stream(stream, &receiver);
        }
        if (v.status == STATUS_DONE && is_message(&receiver)) {
            v = verdict(STATUS_ERROR,
                        "a message is there, and no stream: receive it without -R; it stays in the "
                        "mailbox");
        }
        if (v.status == STATUS_DONE) {
            mailbox_grow(receiver.fd, RELAY_CHUNK);
            v = pull_all(stream, &receiver, output);
            receiver_release(&receiver, &(struct message){0});
        }
    } while (v.status == STATUS_DONE && stream->follow);
    return v;
}
