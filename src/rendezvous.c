#include "answer.h"
#include "output.h"
#include "receiver.h"
#include "receiving.h"
#include "wait.h"

#include <limits.h>
#include <unistd.h>

/* Messages that have been dealt with, and so may be taken. */
struct handful {
    struct message first; /* what is in hand, from here */
    size_t count;
    size_t frames; /* bytes they take in the FIFO */
    size_t length; /* bytes of content */
};

static void add_to(struct handful *handful, const struct message *message)
{
    handful->count++;
    handful->frames += message->frame;
    handful->length += message->length;
}

/* Adds to *handful, of `count` messages, those that the first `written` bytes of output are all of. */
static void add_printed(const struct receiving *options, const struct receiver *receiver, size_t count,
                        size_t written, struct handful *handful)
{
    struct message message = handful->first;

    while (handful->count < count) {
        size_t length = receiving_printed(options, message.content, message.length) + (options->null ? 1 : 0);
        if (length > written) {
            return;
        }
        written -= length;
        size_t at = handful->frames;
        add_to(handful, &message);
        receiver_more(receiver, &message, at);
    }
}

/* Adds the message in hand to the output and, up to `most`, those that have come with it. */
static struct verdict collect(const struct receiving *options, const struct receiver *receiver, size_t most,
                              struct output *output, struct handful *all)
{
    struct message message = all->first;
    struct verdict v;
    size_t at;

    do {
        const unsigned char *lines;
        size_t length;
        v = output_add(output, message.content, receiving_printed(options, message.content, message.length));
        if (v.status == STATUS_DONE && options->null) {
            v = output_add(output, "", 1);
        }
        at = all->frames;
        add_to(all, &message);
        /* Lines that are printed as they are need not be looked at one by one. */
        bool plain =
            v.status == STATUS_DONE && !options->null && message.form == FORM_LINE && message.frame > 0;
        size_t count =
            plain ? receiver_more_lines(receiver, all->frames, most - all->count, &lines, &length) : 0;
        if (count > 0) {
            v = output_add(output, lines, length);
            at = all->frames;
            message.frame = length;
            all->count += count;
            all->frames += length;
            all->length += length;
        }
    } while (v.status == STATUS_DONE && all->count < most && receiver_more(receiver, &message, at));
    return v;
}

/* Prints what is in hand, up to `most` messages. Whatever the verdict, *handful is what was printed in full.
 */
static struct verdict print(const struct receiving *options, const struct receiver *receiver, size_t most,
                            struct handful *handful)
{
    struct output output = {.fd = STDOUT_FILENO, .until = options->common.until};
    struct handful all = *handful;
    struct verdict v = collect(options, receiver, most, &output, &all);

    if (v.status == STATUS_DONE) {
        v = output_flush(&output);
    }
    if (v.status == STATUS_DONE) {
        *handful = all;
    } else {
        add_printed(options, receiver, all.count, output.written, handful);
    }
    return v;
}

/* Receives a message, or up to `most` that are there, and takes those it may. */
static struct verdict receive(const struct receiving *options, struct receiver *receiver, size_t most,
                              struct handful *handful)
{
    struct message *message = &handful->first;
    struct verdict v = receiver_next(receiver, message);
    const bool stays = options->peek || options->keep;
    struct answer answer = answer_none(options->name);

    if (v.status == STATUS_DONE && !stays) {
        v = answer_begin(&answer, options->mailbox, &message->back);
    }
    if (v.status == STATUS_DONE) {
        if (options->command == NULL) {
            v = print(options, receiver, most, handful);
        } else {
            struct command command = receiving_command(options);
            v = answer_run(&answer, &command, message);
            if (v.status == STATUS_DONE) {
                add_to(handful, message);
            } else if (answer.drop) {
                struct verdict dropped = receiver_take(receiver, message->frame);
                v = dropped.status == STATUS_DONE ? v : dropped;
            }
        }
        if (v.status != STATUS_DONE && message->form == FORM_LINE && message->frame == 0) {
            v.reason = "failed with a line that was too long for the pipe, and is lost";
        }
    }
    if (handful->count > 0 && !stays) {
        /* First, so that a sender that sees its message gone has been told by whom. */
        answer_taken(&answer, options->command != NULL);
        struct verdict taken = receiver_take(receiver, handful->frames);
        if (taken.status != STATUS_DONE) {
            handful->count = handful->length = 0;
        }
        v = v.status == STATUS_DONE ? taken : v;
        receiving_tell_lost(options, &answer);
    }
    answer_end(&answer);
    return v;
}

/* Whether to go on after something was skipped: whoever follows is told, and stays. */
static bool goes_on(const struct receiving *options, struct verdict v, const struct message *message)
{
    return options->follow && v.status == STATUS_REFUSED && message->frame > 0 && options->command == NULL;
}

static void tell(const struct receiving *options, const struct message *message)
{
    if (message->sender > 0) {
        cli_tell(&options->common, receiving_label(options), "message of %zu bytes from process %d",
                 message->length, (int)message->sender);
    } else {
        cli_tell(&options->common, receiving_label(options), "message of %zu bytes", message->length);
    }
}

static struct verdict receive_all(struct receiving *options, struct receiver *receiver)
{
    size_t received = 0;

    for (;;) {
        struct handful handful = {0};
        size_t most = options->follow ? SIZE_MAX : options->count - received;
        struct verdict v = receive(options, receiver, most, &handful);
        received += handful.count;
        const size_t counted = handful.first.form == FORM_PART ? receiver->counted : 0;
        progress_add(&options->common.progress, handful.count > 0 ? handful.length - counted : 0,
                     handful.count);
        if (v.status == STATUS_DONE) {
            tell(options, &handful.first);
            if (received == options->count || wait_signal() != 0) {
                return v;
            }
        } else if (goes_on(options, v, &handful.first)) {
            cli_report(&options->common, receiving_label(options), v);
        } else {
            cli_tell(&options->common, receiving_label(options), "%zu received before", received);
            return v;
        }
        receiver_release(receiver, &handful.first);
    }
}

struct verdict rendezvous(struct receiving *options, const struct mailbox *box)
{
    struct receiver receiver = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
        .keeps = options->peek || options->keep,
        /* -v speaks of each message. */
        .many =
            (options->follow || options->count > 1) && options->command == NULL && !options->common.verbose,
        .size = options->size,
        .max_size = options->max_size,
        .progress = &options->common.progress,
        .box = *box,
    };
    if (options->max_tries > 0) {
        return verdict(STATUS_ERROR, "tries are counted in a buffered mailbox only: --max-tries needs one");
    }
    struct verdict v = receiver_open(&receiver, options->mailbox);

    if (v.status == STATUS_DONE && options->size > PIPE_BUF) {
        v = verdict(STATUS_REFUSED,
                    "a message of fixed size has at most 4096 bytes here: more is not written at once");
    }
    return v.status == STATUS_DONE ? receive_all(options, &receiver) : v;
}
