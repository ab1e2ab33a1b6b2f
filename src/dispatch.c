#include "dispatch.h"

#include "deliver.h"

/*
 * Reads the next message and, where the input is cut into messages, those that are there already behind it.
 * Who types, or writes slowly, need not wait until a batch is full.
 */
static struct verdict fill(struct dispatch *dispatch, struct batch *batch)
{
    struct verdict v = verdict_done();

    batch_clear(batch);
    do {
        if (!dispatch->pending) {
            v = input_next(dispatch->input, &dispatch->message, &dispatch->pending);
        }
        if (v.status != STATUS_DONE || !dispatch->pending || !dispatch->batched ||
            !batch_add(batch, &dispatch->message)) {
            return v;
        }
        dispatch->pending = false;
        input_add_lines(dispatch->input, batch);
    } while (input_is_ready(dispatch->input));
    return v;
}

/*
 * While a receiver is at work on one batch, fills the other, if no waiting is needed for that; or reads on,
 * while it is at work on a long message.
 */
static const struct batch *fill_other(void *context)
{
    struct dispatch *dispatch = context;
    struct batch *other = &dispatch->batches[!dispatch->current];

    if (dispatch->pending && dispatch->batches[dispatch->current].count == 0) {
        while (input_read_ahead(dispatch->input) && peek_count(dispatch->sender->fd) > 0) {
        }
        return NULL;
    }
    if (!dispatch->filled && !dispatch->pending && input_prefetch(dispatch->input)) {
        dispatch->verdict = fill(dispatch, other);
        dispatch->filled = true;
    }
    return dispatch->filled ? other : NULL;
}

/* Goes on to the next batch. */
static struct verdict next(struct dispatch *dispatch)
{
    dispatch->current = !dispatch->current;
    if (dispatch->filled) {
        dispatch->filled = false;
        return dispatch->verdict;
    }
    return fill(dispatch, &dispatch->batches[dispatch->current]);
}

/* Sends the batch or, if there is none, the message. *taken is how many were taken. */
static struct verdict send_some(struct dispatch *dispatch, struct sender *sender, size_t *taken)
{
    struct batch *batch = &dispatch->batches[dispatch->current];
    struct outgoing *message = &dispatch->message;

    if (batch->count > 0) {
        return deliver_batch(sender, batch, taken);
    }
    struct verdict v =
        dispatch->asking == NULL ? deliver(sender, message) : ask(dispatch->asking, sender, message);
    *taken = v.status == STATUS_DONE ? 1 : 0;
    progress_add(sender->progress, *taken > 0 ? message->length - sender->counted : 0, *taken);
    dispatch->pending = false;
    return v;
}

struct verdict dispatch(struct dispatch *dispatch, struct sender *sender, const char *path,
                        unsigned long *taken)
{
    dispatch->sender = sender;
    sender->meanwhile = fill_other;
    sender->context = dispatch;
    for (*taken = 0;;) {
        struct verdict v = next(dispatch);
        bool there = dispatch->batches[dispatch->current].count > 0 || dispatch->pending;
        size_t some = 0;
        if (there && v.status == STATUS_DONE && sender->fd == 0) {
            v = sender_open(sender, path);
        }
        if (there && v.status == STATUS_DONE) {
            v = send_some(dispatch, sender, &some);
        }
        *taken += some;
        if (v.status != STATUS_DONE || !there) {
            return v;
        }
        if (!input_is_last(dispatch->input)) {
            sender_release(sender);
        }
    }
}
