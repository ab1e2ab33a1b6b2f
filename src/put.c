#include "put.h"

#include "framing.h"
#include "recall.h"
#include "wait.h"
#include "withdraw.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* How long we give a raw writer in the middle of a line. */
#define GRACE MILLISECONDS(100)

/* What came of one try to write. Anything above is the errno of what is in the way. */
enum { PUT_DONE = 0, PUT_AGAIN = -1, PUT_TORN = -2, PUT_ENDED = -3 };

struct verdict put_gave_up(const struct sender *sender, enum wake wake)
{
    if (wake == WAKE_NAME) {
        return verdict(STATUS_GONE, sender_gone);
    }
    if (wake == WAKE_SIGNAL) {
        return verdict(STATUS_SIGNAL + wait_signal(), "ended by a signal; the message is withdrawn");
    }
    return sender->nonblock ? verdict(STATUS_NOT_NOW, "no receiver took it; the message is withdrawn")
                            : verdict(STATUS_TIMEOUT, "timed out; the message is withdrawn");
}

/*
 * A raw writer that stopped inside a line gets some time to go on, or a receiver to take what it left.
 * Returns what it is then. The hand lock may be lost.
 */
static enum tail wait_for_clean_tail(struct sender *sender, enum tail tail, size_t *count)
{
    deadline soon = deadline_sooner(sender->until, deadline_in(GRACE));
    bool end = false;

    sender_arm(sender);
    while (tail == TAIL_OPEN && !end) {
        sender_give_hand(sender);
        end = wait_event(soon) != WAKE_EVENT; /* the wait for the receiver meets each of them again */
        if (!sender_take_hand(sender, 0)) {
            break;
        }
        *count = peek_count(sender->fd);
        tail = framing_tail(sender, *count);
    }
    return tail;
}

static bool has_room(const struct sender *sender)
{
    struct pollfd end = {.fd = sender->fd, .events = POLLOUT};
    return poll(&end, 1, 0) == 1 && (end.revents & POLLOUT) != 0;
}

/* Whether what is to be written must not stand behind the `count` bytes that are there, which we may not look
 * at: they may claim it. */
static bool is_blind(const struct sender *sender, size_t count)
{
    return count > 0 && !sender->readable && sender->unit == 0;
}

/*
 * Waits until something is read from the FIFO, which is full or ends in a lie (EAGAIN), or until a reader
 * comes, if none is there (EPIPE).
 */
static struct verdict wait_for_room(struct sender *sender, int error)
{
    sender_give_hand(sender);
    if (error == EPIPE) {
        return sender_reopen(sender);
    }
    if (sender->nonblock) {
        return verdict(STATUS_NOT_NOW, "full, or blocked by something damaged");
    }
    if (sender_is_gone(sender)) {
        return put_gave_up(sender, WAKE_NAME);
    }
    sender_arm(sender);
    wait_forget_events();
    size_t count = peek_count(sender->fd);
    if (is_blind(sender, count) && withdraw_has_no_reader(sender)) {
        return sender_reopen(sender);
    }
    if (!is_blind(sender, count) && has_room(sender) && framing_tail(sender, count) != TAIL_LIE) {
        return verdict_done();
    }
    enum wake wake = wait_event(sender->until);
    bool stay = wake == WAKE_EVENT || (wake == WAKE_NAME && !watch_gone(&sender->box.id));
    return stay ? verdict_done() : put_gave_up(sender, wake);
}

/* Whether the last of `count` bytes, which we have just looked at, does not end a line. */
static bool could_hide(const struct sender *sender, size_t count)
{
    const struct peek *peek = &sender->peek;
    return count > 0 && sender->unit == 0 && (peek->length == 0 || peek->bytes[peek->length - 1] != '\n');
}

/*
 * How many bytes are there, now that ours have been written. Our own write has raised SIGIO, as we may read,
 * too: from here on one says that something else has happened. Who asks has other reasons to be woken.
 */
static size_t count_after(const struct sender *sender)
{
    if (sender->armed && sender->readable && sender->attend == NULL) {
        wait_forget_events();
    }
    return peek_count(sender->fd);
}

/*
 * `length` bytes of ours, which start with the `told` bytes at `start`, went into the FIFO, which was empty:
 * all of them, or fewer. Takes out what must not stay.
 */
static int settle(struct sender *sender, const unsigned char *start, size_t told, size_t length, bool whole)
{
    if (whole && (count_after(sender) == length || sender->unit > 0)) {
        return PUT_DONE;
    }
    sender->doubtful |= !sender->readable && !sender->box.anonymous;
    if (recall_piece(sender, start, told, length, whole) == WITHDRAWN) {
        return PUT_AGAIN;
    }
    return whole ? PUT_DONE : PUT_TORN;
}

/* Writes the frame that stands ready behind `count` bytes. */
static int write_frame(struct sender *sender, size_t count)
{
    const struct standing *ours = &sender->standing;
    const size_t length = standing_length(ours);

    sender->doubtful = false;
    if (!sender->readable) {
        wait_forget_events(); /* from here on, one says that somebody has read something */
    }
    if (length > PIPE_BUF) {
        size_t put = stage_launch(&sender->stage, sender->fd);
        return put == 0 ? errno : settle(sender, ours->head, ours->head_length, put, put == length);
    }
    ssize_t written = write(sender->fd, sender->frame.bytes, length);
    if (written != (ssize_t)length) {
        return written == -1 ? errno : EIO;
    }
    if (count_after(sender) == count + length || sender->unit > 0) {
        return PUT_DONE;
    }
    sender->doubtful = !sender->readable && !sender->box.anonymous;
    return withdraw_if_glued(sender) ? PUT_AGAIN : PUT_DONE;
}

/* What is to be put: the message, or a part of it. */
struct wanted {
    const struct outgoing *message;
    const struct message_part *part; /* NULL: the message */
    size_t length;                   /* how much of it the part is */
    bool unfit;
};

/* Tries to write it once. *v says why it is PUT_ENDED. */
static int try_put(struct sender *sender, struct wanted *wanted, struct verdict *v)
{
    const struct outgoing *message = wanted->message;

    sender->unit = message->bare ? message->length : 0;
    *v = sender_wait_hand(sender);
    if (v->status != STATUS_DONE) {
        return PUT_ENDED;
    }
    size_t count = peek_count(sender->fd);
    if (is_blind(sender, count)) {
        return EAGAIN;
    }
    enum tail tail = framing_tail(sender, count);
    if (tail == TAIL_OPEN && wanted->part == NULL && !message->bare) {
        tail = wait_for_clean_tail(sender, tail, &count);
    }
    if (!sender->hand) {
        return PUT_AGAIN;
    }
    if (tail == TAIL_LIE) {
        return EAGAIN;
    }
    if (wanted->part != NULL) {
        wanted->length = framing_make_part(sender, message, wanted->part, count);
    } else if (!framing_make(sender, message, count, tail)) {
        wanted->unfit = true;
        return PUT_DONE;
    }
    sender->hideable = could_hide(sender, count);
    return write_frame(sender, count);
}

static struct verdict torn(void)
{
    return verdict(STATUS_UNCERTAIN,
                   "another program filled it without locking, and a part of the message is in it");
}

static struct verdict put(struct sender *sender, struct wanted *wanted)
{
    const unsigned reopened = sender->reopened;
    struct verdict v = verdict_done();

    for (;;) {
        int error = try_put(sender, wanted, &v);
        if (error == PUT_DONE || error == PUT_ENDED) {
            return v;
        }
        if (error == PUT_TORN) {
            return torn();
        }
        /* Raw writers may take the room each time before we do: then no wait below ever lasts. */
        if (deadline_passed(sender->until) || wait_pending() == WAKE_SIGNAL) {
            return put_gave_up(sender, wait_signal() != 0 ? WAKE_SIGNAL : WAKE_DEADLINE);
        }
        if (error != PUT_AGAIN) {
            v = wait_for_room(sender, error);
            if (v.status != STATUS_DONE || (wanted->part != NULL && sender->reopened != reopened)) {
                return v;
            }
        }
    }
}

struct verdict put_message(struct sender *sender, const struct outgoing *message, bool *unfit)
{
    struct wanted wanted = {.message = message};
    struct verdict v = put(sender, &wanted);

    *unfit = wanted.unfit;
    return v;
}

struct verdict put_part(struct sender *sender, const struct outgoing *message,
                        const struct message_part *part, size_t *length)
{
    struct wanted wanted = {.message = message, .part = part};
    struct verdict v = put(sender, &wanted);

    *length = wanted.length;
    return v;
}

struct verdict put_batch(struct sender *sender, const struct batch *batch, size_t from, size_t most,
                         size_t *end)
{
    struct stage *stage = &sender->stage;
    const size_t piece = batch_piece(batch, from, most);
    const size_t start = batch_start(batch, from);
    size_t to = piece;
    size_t put = 0;

    sender->unit = batch->unit;
    sender->doubtful = false;
    if (piece < most) {
        stage_prepare(stage, sender->fd, batch_start(batch, most) - start);
    }
    if (piece < most &&
        ((stage_has(stage, batch, from) && stage->to <= most) || stage_fill(stage, batch, from, most))) {
        to = stage->to;
        put = stage_launch(stage, sender->fd);
    } else if (piece > from) {
        ssize_t written = write(sender->fd, batch->bytes + start, batch->ends[piece - 1] - start);
        put = written > 0 ? (size_t)written : 0;
    }
    *end = from;
    if (put == 0) {
        return verdict_done();
    }
    bool whole = put == batch_start(batch, to) - start;
    int left = settle(sender, batch->bytes + start, put, put, whole);
    *end = left == PUT_DONE ? to : from;
    return left == PUT_TORN ? torn() : verdict_done();
}
