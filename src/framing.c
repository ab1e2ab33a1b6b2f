#include "framing.h"

#include <errno.h>
#include <sys/auxv.h>
#include <unistd.h>

enum tail framing_tail(struct sender *sender, size_t count)
{
    if (count == 0) {
        return TAIL_CLEAN;
    }
    /* Without framing a message is where its size puts it: behind an odd number of bytes nobody would see it
     * whole. */
    if (sender->unit > 0) {
        return count % sender->unit == 0 ? TAIL_CLEAN : TAIL_LIE;
    }
    if (!sender->readable || peek_at(&sender->peek, sender->fd, count) == -1 || !sender->peek.all) {
        return TAIL_OPEN;
    }
    return withdraw_tail(sender->peek.bytes, sender->peek.length);
}

/* Moves content that is in memory alone into a memfd. */
static int refer(struct outgoing *message)
{
    if (message->big.fd != -1) {
        return 0;
    }
    if (reference_create(&message->big) == -1) {
        return -1;
    }
    if (reference_append(&message->big, message->content, message->length) == 0 &&
        reference_seal(&message->big) == 0) {
        return 0;
    }
    int error = errno;
    reference_drop(&message->big);
    errno = error;
    return -1;
}

/* Whether a receiver will be able to open a reference: it is the owner of the FIFO, as far as we can see. */
static bool may_refer(const struct sender *sender)
{
    const struct mailbox *box = &sender->box;
    bool ours = box->owner == (uid_t)getauxval(AT_EUID);

    return box->reply ? ours : ours || box->anonymous || box->owner == 0;
}

struct verdict framing_make(struct sender *sender, struct outgoing *message, size_t count, enum tail tail)
{
    bool in_memory = message->content != NULL;

    message->referred = false;
    if (message->bare) {
        message_put_line(&sender->frame, message->content, message->length);
        return verdict_done();
    }
    if (message->back == NULL && sender->hand && tail == TAIL_CLEAN && count <= FRAMING_BACKLOG &&
        in_memory && message_is_line(message->content, message->length)) {
        message_put_line(&sender->frame, message->content, message->length);
        return verdict_done();
    }
    /* Behind others' bytes only a reference can always be taken back. */
    if (in_memory && message->length <= message_record_most(message->back) &&
        (count == 0 || !may_refer(sender) || !sender->readable)) {
        sender->frame.length = message_put_record(sender->frame.bytes, message->content, message->length,
                                                  getpid(), message->back);
        return verdict_done();
    }
    if (!may_refer(sender)) {
        return verdict(STATUS_REFUSED,
                       "too big for a mailbox of another user: at most 4080 bytes, or a line of 4096");
    }
    if (refer(message) == -1) {
        return verdict_errno("cannot keep the message", errno);
    }
    message->referred = true;
    message_put_reference(&sender->frame, &message->big.reference, getpid(), message->back);
    return verdict_done();
}
