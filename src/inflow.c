#include "inflow.h"

#include "front.h"
#include "link.h"
#include "mailbox.h"
#include "message.h"
#include "peek.h"
#include "receiver.h"
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

/* Whether the stream has ended, and all of it been written: that nobody reads on does not matter then. */
static bool is_over(const struct stream *stream, const struct receiver *receiver)
{
    return stream->relay.held == 0 && front_is_all(receiver, 0);
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
        return stream_late(true);
    }
    return (ends[0].revents & POLLERR) && !is_over(stream, receiver)
               ? verdict_errno("cannot write to standard output", EPIPE)
               : verdict_done();
}

/* Receives one stream to its end. */
static struct verdict pull_all(struct stream *stream, struct receiver *receiver, int output)
{
    const uint64_t before = stream->passed;

    for (;;) {
        struct verdict v = verdict_done();
        if (deadline_passed(stream->until)) {
            return stream_late(stream->passed > before);
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
            stream_count(stream, (size_t)moved);
        } else if ((errno == EAGAIN && stream->nonblock && peek_count(receiver->fd) == 0) ||
                   (errno == EPIPE && is_over(stream, receiver))) {
            return v; /* splice(2) says EPIPE before it looks whether there is anything to move */
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
        bool over = front_is_left(receiver);
        if (over && !stream->follow) {
            /* Who removes it opens and closes it, so that nobody is stuck in open(2). */
            v = watch_gone(&receiver->box.id) ? verdict(STATUS_GONE, "removed while waiting") : v;
            break;
        }
        v = over && receiver->box.anonymous ? verdict(STATUS_GONE, "its writer has gone")
                                            : receiver_sleep(receiver, 0);
    }
    if (v.status == STATUS_DONE) {
        v = receiver_take_turn(receiver);
    }
    if (v.status == STATUS_TIMEOUT) {
        v.reason =
            link_signed(receiver->fd, LINK_RECEIVER, "timed out",
                        stream->passed > 0 ? "timed out: no further stream came" : "timed out: nothing came");
    }
    return v;
}

/* Whether a message that only a receiver of messages can make sense of stands where a stream should begin. */
static bool is_message(struct receiver *receiver)
{
    const struct peek *peek = &receiver->peek;
    struct message message;

    if (peek_at(&receiver->peek, receiver->fd, 1) == -1 || peek->length == 0 ||
        message_plain(peek->bytes, peek->length) > 0) {
        return false;
    }
    return peek_at(&receiver->peek, receiver->fd, SIZE_MAX) == 0 &&
           message_find(peek->bytes, peek->length, peek->all, &message) == FOUND_MESSAGE &&
           message.form != FORM_LINE;
}

struct verdict inflow(struct stream *stream, const char *path, int output)
{
    struct receiver receiver = {
        .until = stream->until, .nonblock = stream->nonblock, .exclusive = stream->exclusive};
    struct verdict v = receiver_open(&receiver, path);

    if (v.status == STATUS_DONE) {
        v = stream_survey(stream, output, receiver.fd);
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
            const uint64_t before = stream->passed;
            v = pull_all(stream, &receiver, output);
            if (v.status == STATUS_GONE && stream->passed > before) {
                v = verdict(STATUS_UNCERTAIN, stream_removed);
            }
            receiver_release(&receiver, &(struct message){0});
        }
    } while (v.status == STATUS_DONE && stream->follow);
    return v;
}
