#include "deliver.h"

#include "framing.h"
#include "recall.h"
#include "wait.h"
#include "withdraw.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* How long we give a raw writer in the middle of a line, or without waiting (-n) a receiver. */
#define GRACE MILLISECONDS(100)
/* A receiver that waits takes a message within microseconds. What takes longer is more than a batch ought to
 * be. */
#define PROMPT MILLISECONDS(2)
/* How often at most we look through a full FIFO while it is being emptied. */
#define LOOK MILLISECONDS(20)

static const char *const gone = "removed while waiting; the message is withdrawn";

/* What is in the FIFO of ours: one message, or frames `from` to `to` of a batch. */
struct flight {
    struct outgoing *message;
    const struct batch *batch;
    size_t from;
    size_t to;
    size_t left; /* at the end, how many of them were not taken */
};

/*
 * A raw writer that stopped inside a line gets a moment to go on, or a receiver to take what it left. Returns
 * what it is then.
 */
static enum tail wait_for_clean_tail(struct sender *sender, enum tail tail)
{
    deadline soon = deadline_sooner(sender->until, deadline_in(GRACE));

    sender_arm(sender);
    while (tail == TAIL_OPEN) {
        sender_give_hand(sender);
        if (wait_event(soon) != WAKE_EVENT || !sender_take_hand(sender, 0)) {
            break; /* deadline, name, signal: the wait for the receiver meets each of them again */
        }
        tail = framing_tail(sender, peek_count(sender->fd));
    }
    if (sender_take_hand(sender, 0)) {
        tail = framing_tail(sender, peek_count(sender->fd));
    }
    return tail;
}

/* What a wait that ended says about a message that is not, or no longer, in the FIFO. */
static struct verdict gave_up(struct sender *sender, enum wake wake)
{
    if (wake == WAKE_NAME) {
        return verdict(STATUS_GONE, gone);
    }
    if (wake == WAKE_SIGNAL) {
        return verdict(STATUS_SIGNAL + wait_signal(), "ended by a signal; the message is withdrawn");
    }
    return sender->nonblock ? verdict(STATUS_NOT_NOW, "no receiver took it; the message is withdrawn")
                            : verdict(STATUS_TIMEOUT, "timed out; the message is withdrawn");
}

static bool has_room(const struct sender *sender)
{
    struct pollfd end = {.fd = sender->fd, .events = POLLOUT};
    return poll(&end, 1, 0) == 1 && (end.revents & POLLOUT) != 0;
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
    if (error != EAGAIN) {
        return verdict_errno("cannot write to it", error);
    }
    if (sender->nonblock) {
        return verdict(STATUS_NOT_NOW, "full, or blocked by something damaged");
    }
    if (sender_is_gone(sender)) {
        return verdict(STATUS_GONE, gone);
    }
    sender_arm(sender);
    wait_forget_events();
    if (has_room(sender) && framing_tail(sender, peek_count(sender->fd)) != TAIL_LIE) {
        return verdict_done();
    }
    enum wake wake = wait_event(sender->until);
    bool stay = wake == WAKE_EVENT || (wake == WAKE_NAME && !watch_gone(&sender->box.id));
    return stay ? verdict_done() : gave_up(sender, wake);
}

/* Whether the last of `count` bytes, which we have just looked at, does not end a line. */
static bool could_hide(const struct sender *sender, size_t count)
{
    const struct peek *peek = &sender->peek;
    return count > 0 && sender->unit == 0 && (peek->length == 0 || peek->bytes[peek->length - 1] != '\n');
}

/* Tries to write the message once. 0, or the errno of what is in the way; *v is other than 0 if it cannot be
 * sent. */
static int try_put(struct sender *sender, struct outgoing *message, struct verdict *v)
{
    sender->unit = message->bare ? message->length : 0;
    sender_take_hand(sender, WAIT_MORTAL);
    size_t count = peek_count(sender->fd);
    enum tail tail = framing_tail(sender, count);
    if (tail == TAIL_OPEN && sender->hand && sender->readable && count <= FRAMING_BACKLOG && !message->bare) {
        tail = wait_for_clean_tail(sender, tail);
        count = peek_count(sender->fd);
    }
    if (tail == TAIL_LIE) {
        return EAGAIN;
    }
    *v = framing_make(sender, message, count, tail);
    if (v->status != STATUS_DONE) {
        return 0;
    }
    sender->hideable = could_hide(sender, count);
    ssize_t written = write(sender->fd, sender->frame.bytes, sender->frame.length);
    if (written != (ssize_t)sender->frame.length) {
        return written == -1 ? errno : EIO;
    }
    bool alone = peek_count(sender->fd) == count + sender->frame.length;
    return !alone && sender->hand && !message->bare && withdraw_if_glued(sender) ? EINTR : 0;
}

/*
 * Writes the message as one frame.
 *
 * It has to start where a message ends. Whoever holds the hand lock keeps our receivers away, but a raw
 * writer may still get its bytes in between the look at the FIFO and the write. So we look again while we
 * still hold the lock, and if something unfinished stands before our frame, take it out and start anew.
 */
static struct verdict put(struct sender *sender, struct outgoing *message)
{
    struct verdict v = verdict_done();

    for (;;) {
        int error = try_put(sender, message, &v);
        if (error == 0 || v.status != STATUS_DONE) {
            return v;
        }
        /* Raw writers may take the room each time before we do: then no wait below ever lasts. */
        if (deadline_passed(sender->until) || wait_pending() == WAKE_SIGNAL) {
            return gave_up(sender, wait_signal() != 0 ? WAKE_SIGNAL : WAKE_DEADLINE);
        }
        if (error != EINTR) {
            v = wait_for_room(sender, error);
            if (v.status != STATUS_DONE) {
                return v;
            }
        }
    }
}

static enum withdrawal take_back(struct sender *sender, struct flight *flight)
{
    if (flight->batch != NULL) {
        return recall(sender, flight->batch, flight->from, flight->to, &flight->left);
    }
    return withdraw(sender, flight->message);
}

/* A signal ends us, whatever it found. */
static struct verdict interrupted(struct verdict why, struct verdict found)
{
    if (found.status == STATUS_DONE) {
        why.reason = "ended by a signal; the message has been taken";
    } else if (found.status == STATUS_UNCERTAIN) {
        why.reason = "ended by a signal; a receiver may have the message";
    }
    return why;
}

/*
 * Takes back what is still there, and returns `why`; or status 0 if all has been taken, or 4 if a receiver
 * keeps it in hand.
 */
static struct verdict conclude(struct sender *sender, struct flight *flight, struct verdict why)
{
    struct verdict v = verdict(STATUS_UNCERTAIN, "a receiver has the message in hand and has not finished");

    if (!sender_take_hand(sender, 0)) {
        flight->left =
            flight->batch == NULL ? 0 : recall_left(sender, flight->batch, flight->from, flight->to);
    } else {
        switch (take_back(sender, flight)) {
        case WITHDRAWN:
            v = why;
            break;
        case WITHDRAW_TAKEN:
            v = verdict_done();
            break;
        default:
            v = verdict(STATUS_UNCERTAIN, "the message cannot be taken back out of the mailbox");
        }
    }
    sender_give_hand(sender);
    return why.status > STATUS_SIGNAL ? interrupted(why, v) : v;
}

/*
 * Sleeps until it is worth to look again. To look is to copy what is there, so while a long batch is being
 * taken piece by piece not every piece is a reason; but the last one is, for after it nothing wakes us.
 */
static enum wake doze(const struct sender *sender, deadline until, deadline *look)
{
    enum wake wake = sender->rest == NULL ? wait_event(until) : sender->rest(sender->attending, until);

    while (wake == WAKE_EVENT && peek_count(sender->fd) > PIPE_BUF && !deadline_passed(*look)) {
        wake = wait_event(deadline_sooner(until, *look));
    }
    *look = deadline_in(LOOK);
    return wake;
}

/* Waits until everything has been taken. */
static struct verdict await(struct sender *sender, struct flight *flight)
{
    deadline until = sender->nonblock ? deadline_in(GRACE) : sender->until;
    deadline look = deadline_in(LOOK);

    if (!sender_arm(sender)) {
        return conclude(sender, flight, verdict_errno("cannot wait for a receiver", errno));
    }
    if (peek_count(sender->fd) < sender->frame.length) {
        return verdict_done();
    }
    enum wake wake = doze(sender, deadline_sooner(until, deadline_in(WATCH_AFTER)), &look);
    for (;;) {
        /* In this order: a receiver that is done takes the message before it is gone. */
        bool over = sender->attend != NULL && sender->attend(sender->attending);
        if (wake != WAKE_SIGNAL && withdraw_is_taken(sender)) {
            return verdict_done();
        }
        if (over) {
            return conclude(sender, flight, verdict(STATUS_UNCERTAIN, "its receiver has failed"));
        }
        if (wake == WAKE_SIGNAL || deadline_passed(until)) {
            return conclude(sender, flight, gave_up(sender, wake == WAKE_SIGNAL ? wake : WAKE_DEADLINE));
        }
        if (sender_is_gone(sender)) {
            return conclude(sender, flight, gave_up(sender, WAKE_NAME));
        }
        if (sender->box.anonymous && withdraw_has_no_reader(sender)) {
            if (withdraw_is_taken(sender)) {
                return verdict_done(); /* between the two looks its last reader has read it, and gone */
            }
            flight->left = flight->to - flight->from;
            return verdict(STATUS_GONE, "its reader has gone; the message is withdrawn");
        }
        wake = doze(sender, until, &look);
    }
}

struct verdict deliver(struct sender *sender, struct outgoing *message)
{
    struct verdict v = sender_meet(sender);

    if (v.status != STATUS_DONE) {
        return v;
    }
    v = put(sender, message);
    if (v.status == STATUS_DONE) {
        sender_give_hand(sender);
        v = await(sender, &(struct flight){.message = message});
    }
    return v;
}

/* The index behind the last frame that may go in one rendezvous with frame `from`. */
static size_t last_of_quota(const struct sender *sender, const struct batch *batch, size_t from)
{
    size_t most = batch->count - from;
    return from + (sender->quota < most ? sender->quota : most);
}

/*
 * Puts frames of the batch into the empty FIFO in one go, as many as the quota allows. *end is the index
 * behind the last one; `from` if there was no room, no reader, or a raw writer in the way. False: a part of
 * them is there, and cannot be taken out.
 */
static bool put_batch(struct sender *sender, const struct batch *batch, size_t from, size_t *end)
{
    struct stage *stage = &sender->stage;
    size_t to = last_of_quota(sender, batch, from);
    size_t piece = batch_piece(batch, from, to);
    size_t start = batch_start(batch, from);
    size_t put;

    sender->unit = batch->unit;
    if (piece < to) {
        stage_prepare(stage, sender->fd);
    }
    if (piece < to &&
        ((stage_has(stage, batch, from) && stage->to <= to) || stage_fill(stage, batch, from, to))) {
        to = stage->to;
        put = stage_launch(stage, sender->fd);
    } else {
        ssize_t written = write(sender->fd, batch->bytes + start, batch->ends[piece - 1] - start);
        to = piece;
        put = written > 0 ? (size_t)written : 0;
    }
    *end = to;
    bool whole = put == batch_start(batch, to) - start;
    if (whole && (batch->unit > 0 || peek_count(sender->fd) == put)) {
        return true;
    }
    *end = whole ? to : from;
    if (put == 0) {
        return true;
    }
    /* Cut short, or not alone: is what a raw writer has left in front of it a whole line? */
    if (recall_piece(sender, batch->bytes + start, put, whole) == WITHDRAWN) {
        *end = from;
        return true;
    }
    return whole;
}

/* Sends one message of the batch as if it were none. *at moves on if it has been taken. */
static struct verdict deliver_one(struct sender *sender, const struct batch *batch, size_t *at)
{
    struct outgoing message = batch_message(batch, *at);
    struct verdict v = deliver(sender, &message);

    *at += v.status == STATUS_DONE ? 1 : 0;
    reference_drop(&message.big);
    return v;
}

/* While the receiver is at work, lays out what it will get next. */
static void prepare_next(struct sender *sender, const struct batch *batch, size_t from)
{
    if (from == batch->count && sender->meanwhile != NULL) {
        batch = sender->meanwhile(sender->context);
        from = 0;
    }
    if (batch != NULL && from < batch->count && !stage_has(&sender->stage, batch, from)) {
        size_t to = last_of_quota(sender, batch, from);
        if (batch_piece(batch, from, to) < to) {
            stage_fill(&sender->stage, batch, from, to);
        }
    }
}

/* Sends some of the batch in one rendezvous. *at moves on by as many as have been taken. */
static struct verdict deliver_some(struct sender *sender, const struct batch *batch, size_t *at)
{
    struct flight flight = {.batch = batch, .from = *at};

    if (!put_batch(sender, batch, *at, &flight.to)) {
        return verdict(STATUS_UNCERTAIN,
                       "another program filled it without locking, and a part of the message is in it");
    }
    if (flight.to == *at) {
        return deliver_one(sender, batch, at);
    }
    sender_give_hand(sender);
    size_t last = batch_start(batch, flight.to - 1);
    sender->frame.length = batch_start(batch, flight.to) - last;
    memcpy(sender->frame.bytes, batch->bytes + last, sender->frame.length);

    deadline prompt = deadline_in(PROMPT);
    prepare_next(sender, batch, flight.to);
    struct verdict v = await(sender, &flight);
    size_t count = flight.to - flight.from;
    if (deadline_passed(prompt)) {
        sender->quota = (count + 1) / 2;
    } else if (2 * count >= sender->quota && sender->quota < BATCH_MESSAGES) {
        sender->quota *= 2;
    }
    *at += count - flight.left;
    return v;
}

struct verdict deliver_batch(struct sender *sender, const struct batch *batch, size_t *taken)
{
    struct verdict v = verdict_done();

    sender->quota += sender->quota == 0 ? 1 : 0;
    for (*taken = 0; *taken < batch->count && v.status == STATUS_DONE;) {
        size_t before = *taken;
        v = sender_meet(sender);
        if (v.status != STATUS_DONE) {
            return v;
        }
        /* Beside bytes of others, or while a receiver is at work, each message needs a form of its own. */
        if (sender_take_hand(sender, WAIT_MORTAL) && peek_count(sender->fd) == 0) {
            v = deliver_some(sender, batch, taken);
        } else {
            v = deliver_one(sender, batch, taken);
        }
        progress_add(sender->progress, batch_start(batch, *taken) - batch_start(batch, before),
                     *taken - before);
        if (v.status == STATUS_DONE && *taken < batch->count) {
            sender_release(sender);
        }
    }
    return v;
}
