#include "framing.h"

#include <string.h>
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

/* The frame is what sender->frame holds. */
static bool short_one(struct sender *sender)
{
    sender->standing = (struct standing){.head = sender->frame.bytes, .head_length = sender->frame.length};
    return true;
}

/* Lays out a message of more than PIPE_BUF bytes in one frame. False: it does not fit into one. */
static bool long_one(struct sender *sender, const struct outgoing *message)
{
    const unsigned char *content = message->content;
    const size_t length = message->length;
    unsigned char *head = sender->frame.bytes;
    size_t header = 0;

    if (length > BATCH_BYTES) {
        return false;
    }
    if (message->back != NULL || !message_is_line(content, length)) {
        header = message_put_header(head, length, getpid(), message->back);
    }
    if (header + length > BATCH_BYTES) {
        return false;
    }
    /* So much of the content goes with the header, of which every message of this length has the same. */
    const size_t piece = PIPE_BUF / 2;
    memcpy(head + header, content, piece);
    sender->standing = (struct standing){
        .head = head, .head_length = header + piece, .body = content + piece, .body_length = length - piece};
    stage_prepare(&sender->stage, sender->fd, header + length);
    return stage_fill_frame(&sender->stage, NULL, head, header, content, length);
}

bool framing_make(struct sender *sender, const struct outgoing *message, size_t count, enum tail tail)
{
    const bool line =
        message->length <= PIPE_BUF &&
        (message->bare || (message->back == NULL && tail == TAIL_CLEAN && count <= FRAMING_BACKLOG &&
                           message_is_line(message->content, message->length)));
    /* Who may not look cannot take a record back, unless it goes with the FIFO. */
    const bool record = count == 0 && (sender->readable || sender->box.anonymous);

    if (line) {
        message_put_line(&sender->frame, message->content, message->length);
        return short_one(sender);
    }
    if (!record) {
        return false;
    }
    if (message_record_length(message->length, message->back) <= PIPE_BUF) {
        sender->frame.length = message_put_record(sender->frame.bytes, message->content, message->length,
                                                  getpid(), message->back);
        return short_one(sender);
    }
    return long_one(sender, message);
}

/*
 * How much of the `rest` bytes of content that are left goes in one frame with `head` bytes before it. The
 * last part is always so short that every receiver can look at it whole, however small its pipes are.
 */
static size_t share(struct sender *sender, size_t rest, size_t head, size_t count)
{
    const size_t piece = PIPE_BUF - head;

    if (rest <= piece) {
        return rest;
    }
    /* More than that goes in one piece for certain only into an empty FIFO; and if not, must be seen. */
    if (count > 0 || (!sender->readable && !sender->box.anonymous)) {
        return piece;
    }
    stage_prepare(&sender->stage, sender->fd, BATCH_BYTES);
    const size_t most = sender->stage.most;
    if (most <= (size_t)4 * PIPE_BUF) {
        return piece;
    }
    const size_t last = (rest - 1) % (PIPE_BUF / 2) + 1;
    return rest - last < most - head ? rest - last : most - head;
}

size_t framing_make_part(struct sender *sender, const struct outgoing *message,
                         const struct message_part *part, size_t count)
{
    struct frame *frame = &sender->frame;
    const unsigned char *content = message->content;
    const size_t offset = (size_t)part->offset;
    const size_t head = message_record_length(MESSAGE_PART, message->back);
    size_t length = count == 0 && stage_has_part(&sender->stage, part)
                        ? sender->stage.length - head
                        : share(sender, message->length - offset, head, count);

    message_put_part(frame->bytes, part, length, getpid(), message->back);
    if (head + length > PIPE_BUF && !stage_has_part(&sender->stage, part) &&
        !stage_fill_frame(&sender->stage, part, frame->bytes, head, content + offset, length)) {
        length = PIPE_BUF - head;
        message_put_part(frame->bytes, part, length, getpid(), message->back);
    }
    frame->length = head + length;
    sender->standing = (struct standing){.head = frame->bytes,
                                         .head_length = head,
                                         .body = length == 0 ? NULL : content + offset,
                                         .body_length = length};
    if (frame->length <= PIPE_BUF && length > 0) {
        memcpy(frame->bytes + head, content + offset, length);
    }
    return length;
}

void framing_prepare_part(struct sender *sender, const struct outgoing *message,
                          const struct message_part *part)
{
    unsigned char head[MESSAGE_HEAD_MAX];
    const size_t head_length = message_record_length(MESSAGE_PART, message->back);
    const size_t length = share(sender, message->length - (size_t)part->offset, head_length, 0);

    if (head_length + length > PIPE_BUF) {
        message_put_part(head, part, length, getpid(), message->back);
        stage_fill_frame(&sender->stage, part, head, head_length,
                         (const char *)message->content + (size_t)part->offset, length);
    }
}
