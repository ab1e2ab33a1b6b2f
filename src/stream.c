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

/* As much as one call moves: what a pipe can grow to without privilege. */
#define CHUNK ((size_t)1 << 20)
/* Bytes that are copied at once. */
#define COPY ((size_t)65536)
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

/* Chooses the way, and refuses to send a mailbox into itself. */
static struct verdict survey(struct stream *stream, int end, int fd)
{
    struct stat there;
    struct stat here;

    if (fstat(end, &there) == -1 || fstat(fd, &here) == -1) {
        return verdict_errno("cannot look at standard input or output", errno);
    }
    stream->is_file = S_ISREG(there.st_mode);
    stream->direct = is_quick(&there);
    return there.st_dev == here.st_dev && there.st_ino == here.st_ino ? same_end : verdict_done();
}

static bool has_relay(struct relay *relay)
{
    if (relay->pipe[1] == 0) {
        relay->bytes = malloc(COPY);
        if (relay->bytes == NULL || pipe2(relay->pipe, O_CLOEXEC) == -1) {
            relay->pipe[1] = 0;
            return false;
        }
        mailbox_grow(relay->pipe[1], CHUNK);
        /* Who has many pipes gets small ones. */
        relay->room = (size_t)fcntl(relay->pipe[1], F_GETPIPE_SZ);
    }
    return true;
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

/* Reads input into the empty relay. Bytes, 0 at the end, or -1 and errno. */
static ssize_t fill(struct relay *relay, int input)
{
    if (!has_relay(relay)) {
        return -1;
    }
    if (!relay->copies) {
        ssize_t got = splice(input, NULL, relay->pipe[1], NULL, CHUNK, 0);
        if (got != -1 || errno != EINVAL) {
            return got;
        }
        relay->copies = true;
    }
    ssize_t got = read(input, relay->bytes, relay->room < COPY ? relay->room : COPY);
    return got > 0 ? write(relay->pipe[1], relay->bytes, (size_t)got) : got;
}

/*
 * Moves some bytes into the mailbox. How many, 0 at the end of the input, or -1 and errno.
 *
 * Always through the relay, even from a file: the kernel holds a pipe's mutex while it reads a file into it,
 * and with the mailbox's own the receiver would stand still meanwhile. This way both work at once.
 */
static ssize_t push(struct relay *relay, int input, int fd)
{
    if (relay->held == 0) {
        ssize_t got = fill(relay, input);
        if (got <= 0) {
            return got;
        }
        relay->held = (size_t)got;
    }
    ssize_t moved = splice(relay->pipe[0], NULL, fd, NULL, relay->held, SPLICE_F_NONBLOCK);
    relay->held -= moved > 0 ? (size_t)moved : 0;
    return moved;
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
        mailbox_grow(sender->fd, CHUNK);
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
        ssize_t moved = v.status == STATUS_DONE ? push(&stream->relay, input, sender->fd) : -1;
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
            mailbox_grow(sender->fd, CHUNK);
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
    mailbox_grow(sender.fd, CHUNK);
    wait_interrupt(stream->until);
    return push_all(stream, &sender, input);
}

/* --- receiving ------------------------------------------------------------------------------------------ */

/* Writes what is in the relay to `output`. How many bytes, or -1 and errno. */
static ssize_t empty(struct relay *relay, int output)
{
    if (!relay->copies) {
        ssize_t moved = splice(relay->pipe[0], NULL, output, NULL, relay->held, 0);
        if (moved != -1 || errno != EINVAL) {
            return moved;
        }
        relay->copies = true;
    }
    if (relay->at == relay->end) {
        ssize_t got = read(relay->pipe[0], relay->bytes, COPY);
        if (got <= 0) {
            return got;
        }
        relay->at = 0;
        relay->end = (size_t)got;
    }
    ssize_t written = write(output, relay->bytes + relay->at, relay->end - relay->at);
    relay->at += written > 0 ? (size_t)written : 0;
    return written;
}

/*
 * Moves some bytes out of the mailbox. How many, 0 at the end of the stream, or -1 and errno. Through the
 * relay go copies; only what has been written is then taken out of the mailbox.
 */
static ssize_t pull(struct stream *stream, int fd, int output)
{
    struct relay *relay = &stream->relay;

    if (stream->direct) {
        ssize_t moved = splice(fd, NULL, output, NULL, CHUNK, SPLICE_F_NONBLOCK);
        if (moved != -1 || errno != EINVAL) {
            return moved;
        }
        stream->direct = false;
    }
    if (!has_relay(relay)) {
        return -1;
    }
    if (relay->held == 0) {
        ssize_t seen = tee(fd, relay->pipe[1], CHUNK, SPLICE_F_NONBLOCK);
        if (seen <= 0) {
            return seen;
        }
        relay->held = (size_t)seen;
    }
    ssize_t moved = empty(relay, output);
    if (moved > 0) {
        relay->held -= (size_t)moved;
        consume_nothing(fd, (size_t)moved);
    }
    return moved;
}

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
        ssize_t moved = pull(stream, receiver->fd, output);
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
            mailbox_grow(receiver.fd, CHUNK);
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
