#include "deliver.h"

#include "put.h"
#include "recall.h"
#include "transfer.h"
#include "wait.h"
#include "withdraw.h"

#include <errno.h>
#include <string.h>

/* How long without waiting (-n) we give a receiver. */
#define GRACE MILLISECONDS(100)
/* How long a program that has read a piece of a message, without locking, has for the next one. */
#define PATIENCE MILLISECONDS(5000)
/* A receiver that waits takes a message within microseconds. What takes longer is more than a batch ought to
 * be. */
#define PROMPT MILLISECONDS(2)
/* How often at most we look through a full FIFO while it is being emptied. */
#define LOOK MILLISECONDS(20)

const char *const deliver_in_hand = "a receiver has the message in hand and has not finished";
static const char *const in_pieces =
    "a program that reads without locking has taken only a part of the message";

/* What is in the FIFO of ours: one message, or frames `from` to `to` of a batch. */
struct flight {
    const struct batch *batch; /* NULL: one message */
    size_t from;
    size_t to;
    size_t left; /* at the end, how many of them were not taken */
    bool bulky;  /* more than a read or two takes */
};

struct verdict deliver_taken(const struct sender *sender)
{
    return sender->doubtful
               ? verdict(STATUS_UNCERTAIN, "it is gone, but another program wrote beside it, and "
                                           "whoever may not read cannot know what became of it")
               : verdict_done();
}

static enum withdrawal take_back(struct sender *sender, struct flight *flight)
{
    if (flight->batch != NULL && withdraw_look(sender) != PLACE_PARTLY) {
        return recall(sender, flight->batch, flight->from, flight->to, &flight->left);
    }
    flight->left = flight->batch == NULL ? 0 : 1;
    return withdraw(sender);
}

struct verdict deliver_interrupted(struct verdict why, struct verdict found)
{
    if (why.status > STATUS_SIGNAL && found.status == STATUS_DONE) {
        why.reason = "ended by a signal; the message has been taken";
    } else if (why.status > STATUS_SIGNAL && found.status == STATUS_UNCERTAIN) {
        why.reason = "ended by a signal; a receiver may have the message";
    }
    return why.status > STATUS_SIGNAL ? why : found;
}

bool deliver_stops(struct sender *sender, bool over, enum wake wake, deadline until, struct verdict *why)
{
    if (over) {
        *why = verdict(STATUS_UNCERTAIN, "its receiver has failed");
        return true;
    }
    if (wake == WAKE_SIGNAL || deadline_passed(until)) {
        *why = put_gave_up(sender, wake == WAKE_SIGNAL ? wake : WAKE_DEADLINE);
        return true;
    }
    if (sender_is_gone(sender)) {
        *why = put_gave_up(sender, WAKE_NAME);
        return true;
    }
    return false;
}

/*
 * Takes back what is still there, and returns `why`; or status 0 if all has been taken, or 4 if a receiver
 * keeps it in hand.
 */
static struct verdict conclude(struct sender *sender, struct flight *flight, struct verdict why)
{
    struct verdict v = verdict(STATUS_UNCERTAIN, deliver_in_hand);

    if (!sender_take_hand(sender, 0)) {
        flight->left =
            flight->batch == NULL ? 0 : recall_left(sender, flight->batch, flight->from, flight->to);
    } else {
        switch (take_back(sender, flight)) {
        case WITHDRAWN:
            v = why;
            break;
        case WITHDRAW_TAKEN:
            v = deliver_taken(sender);
            break;
        case WITHDRAW_PARTLY:
            v = verdict(STATUS_UNCERTAIN, in_pieces);
            break;
        default:
            v = verdict(STATUS_UNCERTAIN, "the message cannot be taken back out of the mailbox");
        }
    }
    sender_give_hand(sender);
    return deliver_interrupted(why, v);
}

/*
 * Sleeps until it is worth to look again. To look is to copy what is there, so while a long batch is being
 * taken piece by piece not every piece is a reason; but the last one is, for after it nothing wakes us.
 */
static enum wake doze(const struct sender *sender, bool bulky, deadline until, deadline *look)
{
    enum wake wake = sender->rest == NULL ? wait_event(until) : sender->rest(sender->attending, until);

    while (bulky && wake == WAKE_EVENT && peek_count(sender->fd) > PIPE_BUF && !deadline_passed(*look)) {
        wake = wait_event(deadline_sooner(until, *look));
    }
    *look = bulky ? deadline_in(LOOK) : 0;
    return wake;
}

/* Waits until everything has been taken. */
static struct verdict await(struct sender *sender, struct flight *flight)
{
    deadline until = sender->nonblock ? deadline_in(GRACE) : sender->until;
    deadline look = deadline_in(LOOK);
    deadline patience = DEADLINE_NEVER;
    struct verdict why;
    const bool told = sender->armed; /* of everything since the look after the write */

    if (!sender_arm(sender)) {
        return conclude(sender, flight, verdict_errno("cannot wait for a receiver", errno));
    }
    if (!told && peek_count(sender->fd) == 0) {
        return deliver_taken(sender);
    }
    enum wake wake = doze(sender, flight->bulky, deadline_sooner(until, deadline_in(WATCH_AFTER)), &look);
    for (;;) {
        /* In this order: a receiver that is done takes the message before it is gone. */
        bool over = deliver_is_over(sender);
        enum place place = wake == WAKE_SIGNAL ? PLACE_UNKNOWN : withdraw_look(sender);
        if (place == PLACE_NONE) {
            sender_give_hand(sender);
            return deliver_taken(sender);
        }
        if (deliver_stops(sender, over, wake, until, &why)) {
            return conclude(sender, flight, why);
        }
        if (sender->box.anonymous && withdraw_has_no_reader(sender)) {
            if (withdraw_look(sender) == PLACE_NONE) {
                return verdict_done(); /* between the two looks its last reader has read it, and gone */
            }
            flight->left = flight->to - flight->from;
            return verdict(STATUS_GONE, "its reader has gone; the message is withdrawn");
        }
        /* No receiver may take what a raw reader has left for a message. */
        if (place == PLACE_PARTLY && sender_take_hand(sender, 0)) {
            if (deadline_passed(patience)) {
                return conclude(sender, flight, verdict(STATUS_UNCERTAIN, in_pieces));
            }
            patience = patience == DEADLINE_NEVER || wake == WAKE_EVENT ? deadline_in(PATIENCE) : patience;
        } else {
            patience = DEADLINE_NEVER;
        }
        wake = doze(sender, flight->bulky, deadline_sooner(until, patience), &look);
    }
}

/* The content, in the FIFO as one frame; what else is there is others'. */
static struct verdict await_one(struct sender *sender)
{
    sender_give_hand(sender);
    return await(sender, &(struct flight){.bulky = standing_length(&sender->standing) > PIPE_BUF});
}

struct verdict deliver(struct sender *sender, const struct outgoing *message)
{
    struct verdict v = sender_meet(sender);
    bool unfit;

    sender->counted = 0;
    if (v.status != STATUS_DONE) {
        return v;
    }
    v = put_message(sender, message, &unfit);
    if (v.status != STATUS_DONE) {
        return v;
    }
    return unfit ? transfer(sender, message) : await_one(sender);
}

/* The index behind the last frame that may go in one rendezvous with frame `from`. */
static size_t last_of_quota(const struct sender *sender, const struct batch *batch, size_t from)
{
    size_t most = batch->count - from;
    return from + (sender->quota < most ? sender->quota : most);
}

/* Sends one message of the batch as if it were none. *at moves on if it has been taken. */
static struct verdict deliver_one(struct sender *sender, const struct batch *batch, size_t *at)
{
    struct outgoing message = batch_message(batch, *at);
    struct verdict v = deliver(sender, &message);

    *at += v.status == STATUS_DONE ? 1 : 0;
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

    struct verdict v = put_batch(sender, batch, *at, last_of_quota(sender, batch, *at), &flight.to);
    if (v.status != STATUS_DONE) {
        return v;
    }
    if (flight.to == *at) {
        return deliver_one(sender, batch, at);
    }
    sender_give_hand(sender);
    size_t last = batch_start(batch, flight.to - 1);
    sender->standing =
        (struct standing){.head = batch->bytes + last, .head_length = batch_start(batch, flight.to) - last};

    flight.bulky = batch_start(batch, flight.to) - batch_start(batch, flight.from) > PIPE_BUF;
    deadline prompt = deadline_in(PROMPT);
    prepare_next(sender, batch, flight.to);
    v = await(sender, &flight);
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
        sender->counted = 0;
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
        progress_add(sender->progress,
                     batch_start(batch, *taken) - batch_start(batch, before) - sender->counted,
                     *taken - before);
        if (v.status == STATUS_DONE && *taken < batch->count) {
            sender_release(sender);
        }
    }
    return v;
}
