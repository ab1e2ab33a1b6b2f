#include "transfer.h"

#include "deliver.h"
#include "framing.h"
#include "link.h"
#include "put.h"
#include "wait.h"
#include "withdraw.h"

#include <errno.h>
#include <sys/random.h>

/* How long without waiting (-n) we give a receiver, for each part, and for all those together that give up;
 * and one that has it in hand at the end. */
#define GRACE MILLISECONDS(100)
/* How often a receiver is looked for while standard output is waited for. */
#define LOOK MILLISECONDS(100)
/* So many numbers are tried for one try. */
#define NUMBERS 3
/* So many times the first part may vanish with no receiver in sight. */
#define STRANGERS 8

/* One try to send a message. */
struct attempt {
    struct sender *sender;
    const struct outgoing *message;
    struct message_part part; /* the one that is in the FIFO, or that is to be put there */
    size_t length;            /* bytes of content in it */
    bool there;               /* it has been put there */
    bool touched;             /* since then somebody has read something */
    bool met;                 /* a receiver has been seen to gather */
    unsigned strangers;       /* how often parts have gone to somebody who was no receiver */
};

/* What came of waiting for a part to be read. */
enum outcome { PART_TAKEN, PART_LOST, PART_ENDED };

static bool is_last(const struct attempt *attempt)
{
    return attempt->part.offset + attempt->length == attempt->part.total;
}

/* Begins a try. Another one may have the same number only by an accident; who has locked them all means harm.
 */
static struct verdict begin(struct attempt *attempt)
{
    struct message_part *part = &attempt->part;

    *part = (struct message_part){.total = attempt->message->length};
    attempt->there = attempt->met = false;
    for (int i = 0; i < NUMBERS; i++) {
        if (getrandom(&part->id, sizeof part->id, 0) != (ssize_t)sizeof part->id) {
            return verdict_errno("cannot make a number for the message", errno);
        }
        part->id %= MESSAGE_ID_END;
        if (link_begin(attempt->sender->fd, part->id)) {
            return verdict_done();
        }
    }
    return verdict_errno("cannot lock it", errno);
}

/* Counts what has been taken, or takes it back. */
static void count(const struct attempt *attempt, size_t bytes, bool more)
{
    struct sender *sender = attempt->sender;

    progress_add(sender->progress, more ? bytes : -(uint64_t)bytes, 0);
    sender->counted = more ? sender->counted + bytes : sender->counted - bytes;
}

/*
 * The try is no more. Takes its part out too, where that is easily done; nobody would miss it. Whether it was
 * found to have been taken, even so, before the hand lock was given back.
 */
static bool end(struct attempt *attempt)
{
    struct sender *sender = attempt->sender;

    link_end(sender->fd, attempt->part.id);
    sender->hand = sender->hand || (attempt->there && link_try(sender->fd, LINK_SENDER, LINK_HAND));
    bool taken = attempt->there && sender->hand && withdraw(sender) == WITHDRAW_TAKEN;
    sender_give_hand(sender);
    return taken;
}

/*
 * Where the part is. Who may not look knows that it is there as long as nobody has read anything; where
 * something has been read, and others' bytes are there, it may be either: PLACE_UNKNOWN.
 */
static enum place look(struct attempt *attempt)
{
    struct sender *sender = attempt->sender;
    enum place place = withdraw_look(sender);

    if (place != PLACE_UNKNOWN || (sender->readable && sender->peek.all)) {
        return place == PLACE_UNKNOWN ? PLACE_BEHIND : place; /* its id is seen there, behind a lie */
    }
    attempt->touched |= wait_forget_events();
    /* The last reader has gone: that raises SIGIO, too. */
    const bool left =
        withdraw_has_no_reader(sender) && peek_count(sender->fd) == standing_length(&sender->standing);
    return attempt->touched && !left ? PLACE_UNKNOWN : PLACE_FRONT;
}

/*
 * The last part is in the FIFO, and a receiver is at work, on it or on what stands before it: what does not
 * stand at the front nobody has in hand. So the try may be ended from there; unless it is at the front by the
 * time that it has ended.
 */
static struct verdict end_behind(struct attempt *attempt, struct verdict why)
{
    struct sender *sender = attempt->sender;
    enum place place = look(attempt);

    if (place == PLACE_NONE) {
        return deliver_taken(sender);
    }
    if (place == PLACE_BEHIND) {
        link_end(sender->fd, attempt->part.id);
        place = look(attempt);
    }
    return place == PLACE_BEHIND ? why : verdict(STATUS_UNCERTAIN, deliver_in_hand);
}

/* Ends the try for the reason `why`; or it has been taken, or a receiver has it in hand. */
static struct verdict conclude(struct attempt *attempt, struct verdict why)
{
    struct sender *sender = attempt->sender;
    struct verdict v;

    if (!attempt->there || !is_last(attempt)) {
        end(attempt);
        return why;
    }
    if (sender_take_hand(sender, 0)) {
        /* No receiver can have seen that the try is alive, and not be done; a raw reader is ever so quick. */
        bool unknown = look(attempt) == PLACE_UNKNOWN;
        bool taken = end(attempt);
        v = taken ? deliver_taken(sender) : unknown ? verdict(STATUS_UNCERTAIN, deliver_in_hand) : why;
    } else {
        v = end_behind(attempt, why);
        end(attempt);
    }
    return deliver_interrupted(why, v);
}

/* Waits until something happens: to the part or, once the first one is gone, to the receiver. */
static enum wake rest(struct attempt *attempt, deadline until)
{
    struct sender *sender = attempt->sender;

    if (attempt->part.offset == 0) {
        return sender->rest == NULL ? wait_event(until) : sender->rest(sender->attending, until);
    }
    if (link_try(sender->fd, LINK_SENDER, LINK_GATHER)) {
        return WAKE_DONE;
    }
    attempt->met = true;
    if (sender->rest != NULL && sender->occupied(sender->attending)) {
        /* Two things at once cannot be waited for: so the lock is looked at now and then. */
        enum wake wake = sender->rest(sender->attending, deadline_sooner(until, deadline_in(LOOK)));
        return wake == WAKE_DEADLINE ? WAKE_NAME : wake;
    }
    return link_wait(sender->fd, LINK_SENDER, LINK_GATHER, until, WAIT_NAME | WAIT_EVENTS);
}

/* Somebody who knows nothing of parts has read one, or a piece of it. */
static enum outcome in_pieces(struct attempt *attempt, struct verdict *v)
{
    end(attempt);
    *v = verdict(STATUS_UNCERTAIN, "a program that reads without locking has taken parts of the message");
    return PART_ENDED;
}

/* No receiver gathers: whoever had read the first part has died, or given up. Or is there nothing lost? */
static enum outcome lost(struct attempt *attempt, struct verdict *v)
{
    struct sender *sender = attempt->sender;
    enum place place = is_last(attempt) ? look(attempt) : PLACE_BEHIND;

    if (place == PLACE_NONE) {
        link_give(sender->fd, LINK_GATHER);
        return PART_TAKEN;
    }
    /* First the try, then the lock: another receiver that has that would wait for what never comes. */
    link_end(sender->fd, attempt->part.id);
    link_give(sender->fd, LINK_GATHER);
    end(attempt);
    count(attempt, sender->counted, false);
    if (place == PLACE_UNKNOWN) {
        *v = verdict(STATUS_UNCERTAIN, deliver_in_hand);
        return PART_ENDED;
    }
    attempt->strangers = attempt->met ? 0 : attempt->strangers + 1;
    return attempt->strangers > STRANGERS ? in_pieces(attempt, v) : PART_LOST;
}

/*
 * The part has been read. By a receiver? One has the lock `gather` before it reads the first part, and until
 * it has read the last one.
 */
static enum outcome gone(struct attempt *attempt, struct verdict *v)
{
    if (!is_last(attempt) && link_try(attempt->sender->fd, LINK_SENDER, LINK_GATHER)) {
        return lost(attempt, v);
    }
    attempt->met = true;
    return PART_TAKEN;
}

/*
 * Whether the FIFO holds as many bytes as when the part, and nothing else, had been put there. To look would
 * be to copy them all, while a receiver is about to do the same. Should it be others' bytes, no more comes of
 * that than another wait.
 */
static bool is_untouched(const struct attempt *attempt)
{
    const size_t length = standing_length(&attempt->sender->standing);

    return length > PIPE_BUF && peek_count(attempt->sender->fd) == length;
}

/* Waits until the part has been read. PART_ENDED: *v says why the try has been ended. */
static enum outcome await(struct attempt *attempt, struct verdict *v)
{
    struct sender *sender = attempt->sender;
    deadline until = sender->nonblock ? deadline_in(GRACE) : sender->until;
    enum wake wake = WAKE_EVENT;

    for (;;) {
        bool over = deliver_is_over(sender);
        enum place place = wake == WAKE_SIGNAL     ? PLACE_UNKNOWN
                           : is_untouched(attempt) ? PLACE_FRONT
                                                   : withdraw_look(sender);
        if (place == PLACE_NONE) {
            return gone(attempt, v);
        }
        if (place == PLACE_PARTLY) {
            return in_pieces(attempt, v);
        }
        struct verdict why = verdict(STATUS_GONE, "its reader has gone; the message is withdrawn");
        if (deliver_stops(sender, over, wake, until, &why) ||
            (sender->box.anonymous && withdraw_has_no_reader(sender))) {
            *v = conclude(attempt, why);
            return PART_ENDED;
        }
        wake = rest(attempt, until);
        attempt->touched |= wake == WAKE_EVENT;
        if (wake == WAKE_DONE) {
            return lost(attempt, v);
        }
        if (wake == WAKE_FAILED) {
            *v = conclude(attempt, verdict_errno("cannot lock it", errno));
            return PART_ENDED;
        }
    }
}

struct verdict transfer(struct sender *sender, const struct outgoing *message)
{
    const deadline grace = sender->nonblock ? deadline_in(GRACE) : DEADLINE_NEVER;
    struct attempt attempt = {.sender = sender, .message = message};
    struct verdict v = begin(&attempt);

    while (v.status == STATUS_DONE) {
        const unsigned reopened = sender->reopened;
        attempt.there = attempt.touched = false;
        v = sender_arm(sender) ? put_part(sender, message, &attempt.part, &attempt.length)
                               : verdict_errno("cannot wait for a receiver", errno);
        if (v.status != STATUS_DONE) {
            end(&attempt);
            return v;
        }
        if (sender->reopened != reopened) {
            /* The last reader had left, and the lock of this try went with our descriptor. */
            count(&attempt, sender->counted, false);
            v = begin(&attempt);
            continue;
        }
        attempt.there = true;
        sender_give_hand(sender);
        if (!is_last(&attempt)) {
            struct message_part next = attempt.part;
            next.offset += attempt.length;
            framing_prepare_part(sender, message, &next);
        } else if (sender->meanwhile != NULL) {
            sender->meanwhile(sender->context);
        }
        switch (await(&attempt, &v)) {
        case PART_TAKEN:
            if (is_last(&attempt)) {
                link_end(sender->fd, attempt.part.id);
                return deliver_taken(sender);
            }
            count(&attempt, attempt.length, true);
            attempt.part.offset += attempt.length;
            break;
        case PART_LOST:
            v = deadline_passed(grace) ? put_gave_up(sender, WAKE_DEADLINE) : begin(&attempt);
            break;
        default:
            return v;
        }
    }
    return v;
}
