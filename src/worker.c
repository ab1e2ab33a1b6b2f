#include "answer.h"
#include "output.h"
#include "queue.h"
#include "receiving.h"
#include "wait.h"

#include <stdio.h>
#include <unistd.h>

/* How many messages are leased at once where they are only printed: so many may be printed twice. */
#define BATCH ((size_t)4096)

/* Messages in hand, and how many of them, from the first, are done with. */
struct hand {
    struct queue_message messages[BATCH];
    size_t count;
    size_t done;
    bool failed;          /* COMMAND was run with the first of them, and failed */
    struct answer answer; /* to the first of them */
};

static void tell(const struct receiving *options, const struct queue_message *message)
{
    cli_tell(&options->common, receiving_label(options), "message of %zu bytes from process %u, try %u",
             message->length, (unsigned)message->sender, (unsigned)message->tries);
}

/* -s: it has to be of that size. */
static struct verdict check_size(const struct receiving *options, const struct queue_message *message)
{
    return options->size == 0 || message->length == options->size
               ? verdict_done()
               : verdict(STATUS_REFUSED,
                         "the message is not of the size that -s says; it stays in the mailbox");
}

/* Prints what is in hand. Whatever the verdict, hand->done is how many were printed in full. */
static struct verdict print(const struct receiving *options, struct hand *hand)
{
    struct output output = {.fd = STDOUT_FILENO, .until = options->common.until};
    struct verdict v = verdict_done();

    for (size_t i = 0; i < hand->count && v.status == STATUS_DONE; i++) {
        const struct queue_message *message = &hand->messages[i];
        v = check_size(options, message);
        if (v.status == STATUS_REFUSED) {
            hand->count = i;
            break;
        }
        v = output_add(&output, message->content,
                       receiving_printed(options, message->content, message->length));
        if (v.status == STATUS_DONE && options->null) {
            v = output_add(&output, "", 1);
        }
    }
    struct verdict flushed =
        v.status == STATUS_DONE || v.status == STATUS_REFUSED ? output_flush(&output) : verdict_done();
    v = v.status == STATUS_DONE ? flushed : v;
    size_t written = output.written;
    for (hand->done = 0; hand->done < hand->count; hand->done++) {
        const struct queue_message *message = &hand->messages[hand->done];
        size_t length =
            receiving_printed(options, message->content, message->length) + (options->null ? 1 : 0);
        if (length > written) {
            break;
        }
        written -= length;
    }
    return v;
}

/* Moves the message in hand to the dead-letter mailbox. Stored there first: killed in between, it is in both.
 */
static struct verdict bury(const struct receiving *options, struct queue *queue,
                           const struct queue_message *message)
{
    struct queue dead = {.until = options->common.until, .nonblock = options->common.nonblock};
    struct mailbox box;
    const struct queue_item item = {.content = message->content, .length = message->length};
    size_t stored = 0;
    struct verdict v = mailbox_find(options->dead, &box);

    if (v.status == STATUS_DONE) {
        v = queue_open(&dead, &box.id, QUEUE_SENDER);
    }
    if (v.status == STATUS_DONE) {
        v = queue_store(&dead, &item, 1, &stored);
        queue_close(&dead);
    }
    if (v.status != STATUS_DONE) {
        cli_report(&options->common, options->dead, v);
        return verdict(v.status, NULL);
    }
    return queue_take(queue, 1);
}

static bool is_spent(const struct receiving *options, uint32_t failed)
{
    return options->max_tries > 0 && failed >= options->max_tries;
}

/*
 * Gives up a message that has failed so often. *moved: it has gone to the dead-letter mailbox, and the next
 * one is to be had.
 */
static struct verdict give_up(const struct receiving *options, struct queue *queue,
                              const struct queue_message *message, uint32_t failed, bool *moved)
{
    char detail[60];

    *moved = false;
    if (!is_spent(options, failed)) {
        return verdict_done();
    }
    struct verdict v = bury(options, queue, message);
    if (v.status == STATUS_DONE) {
        *moved = true;
        snprintf(detail, sizeof detail, " after %u %s", (unsigned)failed, failed == 1 ? "try" : "tries");
        cli_report_detail(&options->common, receiving_label(options),
                          verdict(STATUS_REFUSED, "a message was moved to the dead-letter mailbox"), detail);
    }
    return v;
}

/* Runs COMMAND with the message in hand. hand->done is 1 if it succeeded. */
static struct verdict run_command(const struct receiving *options, struct queue *queue, struct hand *hand)
{
    const struct queue_message *stored = &hand->messages[0];
    const struct message message = {
        .content = stored->content,
        .length = stored->length,
        .sender = (pid_t)stored->sender,
        .tries = stored->tries,
    };
    struct command command = receiving_command(options);
    struct verdict v = check_size(options, stored);
    bool moved;

    if (v.status != STATUS_DONE) {
        return v;
    }
    v = answer_run(&hand->answer, &command, &message);
    hand->done = v.status == STATUS_DONE ? 1 : 0;
    hand->failed = hand->answer.failed;
    if (hand->answer.drop) {
        struct verdict dropped = queue_take(queue, 1);
        v = dropped.status == STATUS_DONE ? v : dropped;
    } else if (hand->failed) {
        /* A dead-letter mailbox that cannot have it now has been reported; the next try will find it there.
         */
        give_up(options, queue, stored, stored->tries, &moved);
        v.reason = moved ? NULL : v.reason;
    }
    return v;
}

/* Leases messages that may be tried (once more); the others go to the dead-letter mailbox on the way. */
static struct verdict lease(const struct receiving *options, struct queue *queue, size_t most,
                            struct hand *hand)
{
    struct verdict v;
    bool moved;

    do {
        v = queue_lease(queue, hand->messages, most, &hand->count);
        moved = false;
        const struct queue_message *oldest = &hand->messages[0];
        if (v.status == STATUS_DONE && is_spent(options, oldest->tries - 1)) {
            /* Whoever tried it last was killed, or found no room for it there. Who waits for an answer is to
             * see that somebody has it, and no more. */
            (void)answer_begin(&hand->answer, options->mailbox, &oldest->back);
            v = give_up(options, queue, oldest, oldest->tries - 1, &moved);
            answer_end(&hand->answer);
        }
    } while (moved && v.status == STATUS_DONE);
    return v;
}

/* The bytes of those that are done with. */
static uint64_t length_of(const struct hand *hand)
{
    uint64_t length = 0;

    for (size_t i = 0; i < hand->done; i++) {
        length += hand->messages[i].length;
    }
    return length;
}

/* A message with a return address is dealt with alone: its answer is open from before it is tried until it is
 * taken. */
static void leave_addressed(struct hand *hand)
{
    for (size_t i = 0; i < hand->count; i++) {
        if (hand->messages[i].back.wants != 0) {
            hand->count = i == 0 ? 1 : i;
        }
    }
}

/* Receives what is to be had, up to `most` messages, and takes those it may. */
static struct verdict receive(struct receiving *options, struct queue *queue, size_t most, struct hand *hand)
{
    hand->count = hand->done = 0;
    hand->failed = false;
    struct verdict v = lease(options, queue, most, hand);

    if (v.status == STATUS_DONE) {
        leave_addressed(hand);
        if (!options->keep) {
            v = answer_begin(&hand->answer, options->mailbox, &hand->messages[0].back);
        }
        if (v.status == STATUS_DONE) {
            v = options->command == NULL ? print(options, hand) : run_command(options, queue, hand);
        }
    }
    if (hand->done > 0) {
        tell(options, &hand->messages[0]);
        struct verdict taken = options->keep ? verdict_done() : queue_take(queue, hand->done);
        if (taken.status == STATUS_DONE) {
            answer_taken(&hand->answer, options->command != NULL);
            receiving_tell_lost(options, &hand->answer);
        }
        if (taken.status != STATUS_DONE) {
            hand->done = 0;
        }
        v = v.status == STATUS_DONE ? taken : v;
    }
    answer_end(&hand->answer);
    if (hand->done > 0) {
        progress_add(&options->common.progress, length_of(hand), hand->done);
    }
    queue_give_back(queue, hand->failed || v.status == STATUS_UNCERTAIN);
    return v;
}

/* Where there always is a message, nobody waits, and so nobody would hear that it is time to end. */
static struct verdict still_wanted(const struct receiving *options, size_t received)
{
    if (received > 0 && deadline_passed(options->common.until)) {
        return verdict(STATUS_TIMEOUT, "timed out");
    }
    return received > 0 && wait_pending() == WAKE_SIGNAL ? verdict(STATUS_SIGNAL + wait_signal(), NULL)
                                                         : verdict_done();
}

static struct verdict receive_all(struct receiving *options, struct queue *queue, struct hand *hand)
{
    /* -v speaks of each message. */
    bool single = options->command != NULL || options->common.verbose;
    size_t received = 0;

    for (;;) {
        size_t left = options->follow ? BATCH : options->count - received;
        struct verdict v = still_wanted(options, received);
        hand->done = 0;
        if (v.status == STATUS_DONE) {
            v = receive(options, queue, single ? 1 : left < BATCH ? left : BATCH, hand);
        }
        received += hand->done;
        if (v.status == STATUS_DONE) {
            if ((!options->follow && received == options->count) || wait_signal() != 0) {
                return v;
            }
        } else if (options->follow && v.status == STATUS_REFUSED && queue->skipped) {
            cli_report(&options->common, receiving_label(options), v);
        } else {
            cli_tell(&options->common, receiving_label(options), "%zu received before", received);
            return v;
        }
    }
}

/* --peek */
static struct verdict look(const struct receiving *options, struct queue *queue, struct hand *hand)
{
    struct verdict v = queue_peek(queue, &hand->messages[0]);

    while (v.status == STATUS_NOT_NOW && !options->common.nonblock) {
        v = queue_wait(queue);
        v = v.status == STATUS_DONE ? queue_peek(queue, &hand->messages[0]) : v;
    }
    if (v.status == STATUS_DONE) {
        hand->count = 1;
        v = print(options, hand);
    }
    return v;
}

/* Whether messages could go there is better known before the first one fails. */
static struct verdict find_dead(const struct receiving *options, const struct mailbox *mailbox)
{
    struct mailbox box;

    if (options->dead == NULL) {
        return verdict_done();
    }
    struct verdict v = mailbox_find(options->dead, &box);
    if (v.status == STATUS_DONE && !box.buffered) {
        v = verdict(STATUS_ERROR, "is not buffered: dead letters have to be stored");
    }
    if (v.status == STATUS_DONE && box.id.device == mailbox->id.device && box.id.inode == mailbox->id.inode) {
        v = verdict(STATUS_ERROR, "is the mailbox itself: --dead needs another one");
    }
    if (v.status != STATUS_DONE) {
        cli_report(&options->common, options->dead, v);
        v.reason = NULL;
    }
    return v;
}

struct verdict worker(struct receiving *options, const struct mailbox *box)
{
    static struct hand hand;
    hand.answer = answer_none(options->name);
    struct verdict v = find_dead(options, box);
    struct queue queue = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
        .max_size = options->max_size,
    };

    if (v.status != STATUS_DONE) {
        return v;
    }
    v = queue_open(&queue, &box->id, options->peek ? QUEUE_LOOK : QUEUE_RECEIVER);
    if (v.status == STATUS_DONE) {
        v = options->peek ? look(options, &queue, &hand) : receive_all(options, &queue, &hand);
    }
    return v;
}
