#include "ask.h"

#include "deliver.h"
#include "deposit.h"
#include "output.h"

#include <inttypes.h>
#include <stdio.h>

/* Prints who took the message, which has waited since `start`. */
static struct verdict print_receipt(const struct request *request, int64_t start)
{
    char text[NOTICE_NAME + 80];
    char who[NOTICE_NAME + 40] = "- - -";
    struct output output = {.fd = request->output, .until = request->until};
    const long long waited = (deadline_now() - start) / 1000;

    if (request->noticed) {
        snprintf(who, sizeof who, "%" PRIu32 " %" PRIu32 " %s", request->notice.pid, request->notice.uid,
                 request->notice.name);
    }
    int length = snprintf(text, sizeof text, "%s %lld.%06lld\n", who, waited / 1000000, waited % 1000000);
    struct verdict v = output_add(&output, text, (size_t)length);
    v = v.status == STATUS_DONE ? output_flush(&output) : v;
    if (v.status == STATUS_TIMEOUT) {
        v = verdict(STATUS_UNCERTAIN,
                    "timed out: it was taken, but standard output does not take the receipt");
    }
    if (v.status == STATUS_ERROR) {
        v.reason = "the message was taken, but the receipt cannot be written to standard output";
    }
    return v;
}

/* What remains to be done when everything has come. */
static struct verdict finish(const struct request *request, int64_t start, struct verdict v)
{
    return v.status == STATUS_DONE && (request->wants & WANTS_RECEIPT) ? print_receipt(request, start) : v;
}

static struct verdict no_place(const struct mailbox *box)
{
    return box->reply
               ? verdict(STATUS_ERROR, "is where somebody waits for a reply, and cannot be asked itself")
               : verdict(STATUS_ERROR, "is a pipe without a name, with no place beside it for an answer");
}

struct verdict ask(struct asking *asking, struct sender *sender, struct outgoing *message)
{
    struct request *request = &asking->request;
    const int64_t start = deadline_now();
    struct verdict v =
        sender->box.anonymous ? no_place(&sender->box) : request_begin(request, asking->mailbox);

    if (v.status != STATUS_DONE) {
        return v;
    }
    message->back = &request->box.address;
    v = deliver(sender, message);
    if (v.status == STATUS_DONE) {
        sender_release(sender);
        v = request_await(request);
    } else {
        v = request_conclude(request, v);
    }
    return finish(request, start, v);
}

struct verdict ask_queue(struct asking *asking, struct queue *queue, struct input *input, unsigned long *done)
{
    struct request *request = &asking->request;
    struct outgoing message;
    size_t one;
    bool there = true;
    struct verdict v = queue_open(queue, asking->who, QUEUE_SENDER);

    for (*done = 0; v.status == STATUS_DONE && there;) {
        v = input_next(input, &message, &there);
        if (v.status != STATUS_DONE || !there) {
            break;
        }
        const int64_t start = deadline_now();
        v = request_begin(request, asking->mailbox);
        if (v.status == STATUS_DONE) {
            message.back = &request->box.address;
            v = deposit_one(queue, &message, &one);
        }
        if (v.status == STATUS_DONE) {
            const struct place place = queue->last;
            v = request_await_stored(request, queue, &place);
        }
        v = finish(request, start, v);
        *done += v.status == STATUS_DONE ? 1 : 0;
    }
    return v;
}
