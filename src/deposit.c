#include "deposit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Content that is kept until it is stored: what one read brings, and the piece of a line from before it. */
#define BYTES    ((size_t)320 * 1024)
#define MESSAGES ((size_t)4096)

/* Messages that have been read and not stored yet. */
struct pile {
    char *bytes;
    struct queue_item *items;
    size_t length;
    size_t count;
    struct outgoing message; /* one behind them that has no room among them */
    bool pending;            /* there is such a message */
};

static bool pile_has_room(const struct pile *pile, size_t length)
{
    return pile->count < MESSAGES && length <= BYTES - pile->length;
}

/* Memory that is kept for the next pile. */
static bool pile_prepare(struct pile *pile)
{
    if (pile->bytes == NULL) {
        pile->bytes = malloc(BYTES);
        pile->items = malloc(MESSAGES * sizeof *pile->items);
    }
    return pile->bytes != NULL && pile->items != NULL;
}

static void pile_add(struct pile *pile, const struct outgoing *message)
{
    char *content = pile->bytes + pile->length;

    if (message->length > 0) {
        memcpy(content, message->content, message->length);
    }
    pile->items[pile->count++] = (struct queue_item){.content = content, .length = message->length};
    pile->length += message->length;
}

/*
 * Reads the next message and those that are there already behind it. One that comes alone, as most do, stays
 * where the input has it.
 */
static struct verdict gather(struct pile *pile, struct input *input)
{
    struct verdict v = verdict_done();

    pile->count = pile->length = 0;
    do {
        if (!pile->pending) {
            v = input_next(input, &pile->message, &pile->pending);
        }
        if (v.status != STATUS_DONE || !pile->pending || (pile->count == 0 && !input_is_ready(input)) ||
            !pile_has_room(pile, pile->message.length)) {
            return v;
        }
        if (!pile_prepare(pile)) {
            return verdict_errno("cannot keep the message", ENOMEM);
        }
        pile_add(pile, &pile->message);
        pile->pending = false;
    } while (input_is_ready(input));
    return v;
}

/* The message's return address, and its content, in memory of their own. NULL and errno. */
static unsigned char *put_together(const struct outgoing *message)
{
    unsigned char *bytes = malloc(RETURN_ADDRESS_BYTES + message->length);

    if (bytes != NULL) {
        message_put_address(bytes, message->back);
        if (message->length > 0) {
            memcpy(bytes + RETURN_ADDRESS_BYTES, message->content, message->length);
        }
    }
    return bytes;
}

struct verdict deposit_one(struct queue *queue, struct outgoing *message, size_t *stored)
{
    struct queue_item item = {.content = message->content, .length = message->length};
    unsigned char *together = NULL;
    struct verdict v;

    *stored = 0;
    if (message->back != NULL) {
        item.content = together = put_together(message);
        item.length += RETURN_ADDRESS_BYTES;
        item.flags = QUEUE_ADDRESSED;
    }
    if (message->back != NULL && together == NULL) {
        v = verdict_errno("cannot keep the message", errno);
    } else {
        v = queue_store(queue, &item, 1, stored);
    }
    free(together);
    return v;
}

static uint64_t length_of(const struct pile *pile, size_t count)
{
    uint64_t length = 0;

    for (size_t i = 0; i < count; i++) {
        length += pile->items[i].length;
    }
    return length;
}

/* Stores the pile or, if there is none, the message. */
static struct verdict store_pile(struct queue *queue, struct pile *pile, struct progress *progress,
                                 unsigned long *stored)
{
    uint64_t bytes = pile->message.length;
    size_t done = 0;
    struct verdict v;

    if (pile->count > 0) {
        v = queue_store(queue, pile->items, pile->count, &done);
        bytes = length_of(pile, done);
    } else {
        v = deposit_one(queue, &pile->message, &done);
        pile->pending = false;
    }
    if (progress != NULL && done > 0) {
        progress_add(progress, bytes, done);
    }
    *stored += done;
    return v;
}

static struct verdict open_now(struct queue *queue, const struct mailbox *box, const struct input *input)
{
    struct mailbox now = *box;
    struct verdict v = input->cut == CUT_OPERANDS ? verdict_done() : mailbox_find(box->id.path, &now);

    return v.status == STATUS_DONE ? queue_open(queue, &now.id, QUEUE_SENDER) : v;
}

struct verdict deposit(struct queue *queue, const struct mailbox *box, struct input *input,
                       struct progress *progress, unsigned long *stored)
{
    struct pile pile = {0};
    struct verdict v;
    bool opened = false, there;

    *stored = 0;
    do {
        struct verdict read = gather(&pile, input);
        there = pile.count > 0 || (pile.pending && read.status == STATUS_DONE);
        v = there && !opened ? open_now(queue, box, input) : verdict_done();
        opened = opened || (there && v.status == STATUS_DONE);
        if (there && v.status == STATUS_DONE) {
            v = store_pile(queue, &pile, progress, stored);
        }
        v = v.status == STATUS_DONE ? read : v;
    } while (there && v.status == STATUS_DONE);
    free(pile.bytes);
    free(pile.items);
    return v;
}
