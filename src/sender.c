#include "sender.h"

#include "framing.h"
#include "link.h"
#include "wait.h"
#include "withdraw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

/* How long we give a raw writer in the middle of a line, or a receiver between two messages. */
#define GRACE MILLISECONDS(100)
/* A receiver that waits takes a message within microseconds; the cost of watching the name is saved. */
#define PROMPT MILLISECONDS(2)

static const char *const gone = "removed while waiting; the message is withdrawn";

/* Opens the write end when somebody opens the other one. */
static struct verdict wait_for_reader(struct sender *sender)
{
    if (sender->box.anonymous) {
        return verdict(STATUS_GONE, "its reader has gone");
    }
    if (sender->nonblock) {
        return verdict(STATUS_NOT_NOW, "no receiver is there");
    }
    return mailbox_open_waiting(&sender->box, sender->until, &sender->fd);
}

struct verdict sender_open(struct sender *sender, const char *path)
{
    int probe = -1;

    wait_begin();
    struct verdict v = mailbox_find(path, &sender->box);

    if (v.status != STATUS_DONE) {
        return v;
    }
    if (sender->nonblock) {
        v = mailbox_open(&sender->box, O_WRONLY, &probe);
        if (v.error == ENXIO) {
            return verdict(STATUS_NOT_NOW, "no receiver is there");
        }
        if (v.status != STATUS_DONE) {
            return v;
        }
    }
    /*
     * Both ends, so that opening never waits and what we write stays alive without a reader. Not for a pipe
     * without a name: nobody can come to it later, so we must see when its last reader has gone.
     */
    v = sender->box.anonymous ? verdict_errno("", EACCES) : mailbox_open(&sender->box, O_RDWR, &sender->fd);
    sender->readable = v.status == STATUS_DONE;
    if (v.error == EACCES) {
        v = mailbox_open(&sender->box, O_WRONLY, &sender->fd);
        if (v.error == ENXIO) {
            v = wait_for_reader(sender);
        }
    }
    if (probe != -1) {
        close(probe);
    }
    return v;
}

/* Starts to watch the name, once, and says whether it is still there. */
static bool name_is_gone(struct sender *sender)
{
    if (!sender->watched) {
        sender->watched = true;
        watch_start(&sender->box.id);
    }
    return watch_gone(&sender->box.id);
}

static void arm(struct sender *sender)
{
    if (!sender->armed) {
        sender->armed = wait_arm(sender->fd) == 0;
    }
}

static void give_hand(struct sender *sender)
{
    if (sender->hand) {
        link_give(sender->fd, LINK_HAND);
        sender->hand = false;
    }
}

void sender_release(struct sender *sender)
{
    give_hand(sender);
    if (sender->rendezvous && !sender->exclusive) {
        link_give(sender->fd, LINK_RENDEZVOUS);
        sender->rendezvous = false;
    }
}

/* Waits for our turn among the senders. */
static struct verdict meet(struct sender *sender)
{
    if (sender->rendezvous) {
        return verdict_done();
    }
    if (link_try(sender->fd, LINK_SENDER, LINK_RENDEZVOUS_AND_HAND)) {
        sender->rendezvous = sender->hand = true;
        return verdict_done();
    }
    sender->rendezvous = link_try(sender->fd, LINK_SENDER, LINK_RENDEZVOUS);
    if (!sender->rendezvous && sender->nonblock) {
        return verdict(STATUS_NOT_NOW, "busy: another sender is waiting for a receiver");
    }
    while (!sender->rendezvous) {
        if (name_is_gone(sender)) {
            return verdict(STATUS_GONE, gone);
        }
        switch (link_wait(sender->fd, LINK_SENDER, LINK_RENDEZVOUS, sender->until, WAIT_NAME | WAIT_MORTAL)) {
        case WAKE_DONE:
            /* The one before us may have left because the mailbox did. */
            if (name_is_gone(sender)) {
                return verdict(STATUS_GONE, gone);
            }
            sender->rendezvous = true;
            break;
        case WAKE_DEADLINE:
            return verdict(STATUS_TIMEOUT, "timed out: other senders are waiting; the message is withdrawn");
        case WAKE_EVENT:
            return verdict_errno("cannot lock it", errno);
        default:
            break;
        }
    }
    return verdict_done();
}

/* Takes the hand lock, which receivers hold while they work on a message; false if one keeps it. */
static bool take_hand(struct sender *sender, int flags)
{
    if (!sender->hand) {
        sender->hand = link_try(sender->fd, LINK_SENDER, LINK_HAND);
    }
    if (!sender->hand) {
        deadline soon = deadline_sooner(sender->until, deadline_in(GRACE));
        /* At the deadline itself the receiver still gets a moment to finish what it has in hand. */
        if (deadline_passed(sender->until)) {
            soon = deadline_in(GRACE);
        }
        sender->hand = link_wait(sender->fd, LINK_SENDER, LINK_HAND, soon, flags) == WAKE_DONE;
    }
    return sender->hand;
}

/*
 * A raw writer that stopped inside a line gets a moment to go on, or a receiver to take what it left. Returns
 * what it is then.
 */
static enum tail wait_for_clean_tail(struct sender *sender, enum tail tail)
{
    deadline soon = deadline_sooner(sender->until, deadline_in(GRACE));

    arm(sender);
    while (tail == TAIL_OPEN) {
        give_hand(sender);
        if (wait_event(soon) != WAKE_EVENT || !take_hand(sender, 0)) {
            break; /* deadline, name, signal: the wait for the receiver meets each of them again */
        }
        tail = framing_tail(sender, peek_count(sender->fd));
    }
    if (take_hand(sender, 0)) {
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
    give_hand(sender);
    if (error == EPIPE) {
        int old = sender->fd;
        struct verdict v = wait_for_reader(sender);
        if (v.status == STATUS_DONE) {
            close(old);
            sender->armed = sender->rendezvous = false;
            v = meet(sender);
        }
        return v;
    }
    if (error != EAGAIN) {
        return verdict_errno("cannot write to it", error);
    }
    if (sender->nonblock) {
        return verdict(STATUS_NOT_NOW, "full, or blocked by something damaged");
    }
    if (name_is_gone(sender)) {
        return verdict(STATUS_GONE, gone);
    }
    arm(sender);
    wait_forget_events();
    if (has_room(sender) && framing_tail(sender, peek_count(sender->fd)) != TAIL_LIE) {
        return verdict_done();
    }
    enum wake wake = wait_event(sender->until);
    bool stay = wake == WAKE_EVENT || (wake == WAKE_NAME && !watch_gone(&sender->box.id));
    return stay ? verdict_done() : gave_up(sender, wake);
}

/* Tries to write the message once. 0, or the errno of what is in the way; *v is other than 0 if it cannot be
 * sent. */
static int try_put(struct sender *sender, struct outgoing *message, struct verdict *v)
{
    sender->unit = message->bare ? message->length : 0;
    take_hand(sender, WAIT_MORTAL);
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

/*
 * Takes the message back, if it is still there, and returns `why`; or status 0 if it has been taken, or 4
 * if a receiver keeps it in hand.
 */
static struct verdict conclude(struct sender *sender, struct outgoing *message, struct verdict why)
{
    struct verdict v = verdict(STATUS_UNCERTAIN, "a receiver has the message in hand and has not finished");

    if (take_hand(sender, 0)) {
        switch (withdraw(sender, message)) {
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
    give_hand(sender);
    /* A signal still ends us, whatever it found. */
    return why.status > STATUS_SIGNAL ? why : v;
}

/* Waits until the message has been taken. */
static struct verdict await(struct sender *sender, struct outgoing *message)
{
    deadline until = sender->nonblock ? deadline_in(GRACE) : sender->until;
    deadline prompt = deadline_sooner(until, deadline_in(PROMPT));

    arm(sender);
    if (peek_count(sender->fd) < sender->frame.length) {
        return verdict_done();
    }
    enum wake wake = wait_event(prompt);
    for (;;) {
        if (wake != WAKE_SIGNAL && withdraw_is_taken(sender)) {
            return verdict_done();
        }
        if (wake == WAKE_SIGNAL || deadline_passed(until)) {
            return conclude(sender, message, gave_up(sender, wake == WAKE_SIGNAL ? wake : WAKE_DEADLINE));
        }
        if (name_is_gone(sender)) {
            return conclude(sender, message, gave_up(sender, WAKE_NAME));
        }
        if (sender->box.anonymous && withdraw_has_no_reader(sender)) {
            return verdict(STATUS_GONE, "its reader has gone; the message is withdrawn");
        }
        wake = wait_event(until);
    }
}

struct verdict sender_send(struct sender *sender, struct outgoing *message)
{
    struct verdict v = meet(sender);

    if (v.status != STATUS_DONE) {
        return v;
    }
    v = put(sender, message);
    if (v.status == STATUS_DONE) {
        give_hand(sender);
        v = await(sender, message);
    }
    return v;
}
