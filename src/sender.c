#include "sender.h"

#include "link.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* How long we wait for a receiver between two messages, or for senders to go first. */
#define GRACE MILLISECONDS(100)

const char *const sender_gone = "removed while waiting; the message is withdrawn";

/* Opens the write end when somebody opens the other one. */
static struct verdict wait_for_reader(struct sender *sender)
{
    if (sender->box.anonymous) {
        return verdict(STATUS_GONE, "its reader has gone");
    }
    if (sender->nonblock) {
        return verdict(STATUS_NOT_NOW, "no receiver is there");
    }
    struct verdict v = mailbox_open_waiting(&sender->box, sender->until, &sender->fd);
    if (v.status == STATUS_GONE) {
        v.reason = sender->raw ? "removed while waiting" : sender_gone;
    }
    return v;
}

struct verdict sender_open(struct sender *sender, const char *path)
{
    int probe = -1;

    wait_begin();
    struct verdict v = sender->box.id.path == NULL ? mailbox_find(path, &sender->box) : verdict_done();

    if (v.status == STATUS_DONE && sender->box.buffered) {
        v = verdict(STATUS_ERROR, "is a buffered mailbox: it holds messages, not a stream (-R)");
    }
    if (v.status == STATUS_DONE && sender->box.reply && sender->raw) {
        v = verdict(STATUS_ERROR,
                    "is where somebody waits for a reply, which is a message: -R is not for it");
    }
    if (v.status != STATUS_DONE) {
        return v;
    }
    if (sender->nonblock) {
        v = mailbox_open(&sender->box, O_WRONLY, &probe);
        if (v.error == ENXIO) {
            return sender->box.anonymous ? verdict(STATUS_GONE, "its reader has gone")
                                         : verdict(STATUS_NOT_NOW, "no receiver is there");
        }
        if (v.status != STATUS_DONE) {
            return v;
        }
    }
    /*
     * Both ends, so that opening never waits and what we write stays alive without a reader. Not for a pipe
     * without a name: nobody can come to it later, so we must see when its last reader has gone.
     */
    v = sender->box.anonymous || sender->raw ? verdict_errno("", EACCES)
                                             : mailbox_open(&sender->box, O_RDWR, &sender->fd);
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

bool sender_is_gone(struct sender *sender)
{
    if (!sender->watched) {
        sender->watched = watch_start(&sender->box.id) == 0;
    }
    return watch_may_be_gone(&sender->box.id) && watch_gone(&sender->box.id);
}

bool sender_arm(struct sender *sender)
{
    if (!sender->armed) {
        sender->armed = wait_arm(sender->fd) == 0;
    }
    return sender->armed;
}

void sender_give_hand(struct sender *sender)
{
    if (sender->hand) {
        link_give(sender->fd, LINK_HAND);
        sender->hand = false;
    }
}

/* Gives back all the locks by which senders take turns. */
static void leave(struct sender *sender)
{
    link_give(sender->fd, LINK_ALL);
    sender->rendezvous = sender->hand = false;
}

void sender_release(struct sender *sender)
{
    if (!sender->rendezvous || sender->exclusive) {
        sender_give_hand(sender);
        return;
    }
    leave(sender);
    sender->served = true;
}

/* Lets those go first who wait already. One of them that is stopped holds us up a little, but not for good.
 */
static void yield(struct sender *sender)
{
    if (!deadline_passed(sender->yielded) || !link_has_queue(sender->fd)) {
        return;
    }
    deadline soon = deadline_sooner(sender->until, deadline_in(GRACE));
    if (link_wait(sender->fd, LINK_SENDER, LINK_QUEUE, soon, WAIT_MORTAL) == WAKE_DONE) {
        link_give(sender->fd, LINK_QUEUE);
    } else {
        sender->yielded = deadline_in(GRACE);
    }
}

/* Waits for our turn among the senders: for `entry`, if we do not have that, and then for the rendezvous. */
static struct verdict queue(struct sender *sender, bool entry)
{
    while (!sender->rendezvous) {
        /* The one before us may have left because the mailbox did. */
        if (sender_is_gone(sender)) {
            return verdict(STATUS_GONE, sender_gone);
        }
        switch (link_wait(sender->fd, LINK_SENDER, entry ? LINK_RENDEZVOUS : LINK_ENTRY, sender->until,
                          WAIT_NAME | WAIT_MORTAL)) {
        case WAKE_DONE:
            sender->rendezvous = entry;
            entry = true;
            break;
        case WAKE_DEADLINE:
            return verdict(STATUS_TIMEOUT,
                           link_signed(sender->fd, LINK_SENDER, "timed out, and the message is withdrawn",
                                       "timed out: other senders are waiting; the message is withdrawn"));
        case WAKE_FAILED:
            return verdict_errno("cannot lock it", errno);
        default:
            break;
        }
    }
    return sender_is_gone(sender) ? verdict(STATUS_GONE, sender_gone) : verdict_done();
}

/* The rendezvous is ours. */
static struct verdict met(struct sender *sender)
{
    if (sender->exclusive) {
        link_sign(sender->fd, LINK_SENDER);
    }
    return verdict_done();
}

struct verdict sender_meet(struct sender *sender)
{
    if (sender->rendezvous) {
        return verdict_done();
    }
    if (sender->served && !sender->nonblock) {
        yield(sender);
    }
    const bool entry = link_try(sender->fd, LINK_SENDER, LINK_ENTRY);
    sender->hand = entry && link_try(sender->fd, LINK_SENDER, LINK_RENDEZVOUS_AND_HAND);
    sender->rendezvous = sender->hand || (entry && link_try(sender->fd, LINK_SENDER, LINK_RENDEZVOUS));
    if (sender->rendezvous) {
        return met(sender);
    }
    if (sender->nonblock) {
        leave(sender);
        return verdict(STATUS_NOT_NOW, link_signed(sender->fd, LINK_SENDER, "busy",
                                                   "busy: another sender is waiting for a receiver"));
    }
    if (sender->readable) {
        link_enqueue(sender->fd);
    }
    struct verdict v = queue(sender, entry);
    link_give(sender->fd, LINK_QUEUE);
    if (v.status == STATUS_DONE) {
        return met(sender);
    }
    leave(sender);
    return v;
}

struct verdict sender_reopen(struct sender *sender)
{
    int old = sender->fd;
    struct verdict v = wait_for_reader(sender);

    if (v.status == STATUS_DONE) {
        close(old);
        sender->reopened++;
        sender->armed = sender->rendezvous = sender->hand = false;
        v = sender_meet(sender);
    }
    return v;
}

struct verdict sender_wait_hand(struct sender *sender)
{
    if (!sender->hand) {
        sender->hand = link_try(sender->fd, LINK_SENDER, LINK_HAND);
    }
    const deadline until = sender->nonblock && !sender->hand ? deadline_in(GRACE) : sender->until;
    while (!sender->hand) {
        if (sender_is_gone(sender)) {
            return verdict(STATUS_GONE, sender_gone);
        }
        switch (link_wait(sender->fd, LINK_SENDER, LINK_HAND, until, WAIT_NAME | WAIT_MORTAL)) {
        case WAKE_DONE:
            sender->hand = true;
            break;
        case WAKE_DEADLINE:
            return sender->nonblock ? verdict(STATUS_NOT_NOW, "busy: a receiver is at work")
                                    : verdict(STATUS_TIMEOUT,
                                              "timed out: a receiver is at work; the message is withdrawn");
        case WAKE_FAILED:
            return verdict_errno("cannot lock it", errno);
        default:
            break;
        }
    }
    return verdict_done();
}

bool sender_take_hand(struct sender *sender, int flags)
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

void sender_close(struct sender *sender)
{
    close(sender->fd); /* and with it, all the locks */
    peek_drop(&sender->peek);
    stage_drop(&sender->stage);
}
