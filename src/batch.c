#include "batch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool make_buffers(struct batch *batch)
{
    if (batch->bytes == NULL) {
        batch->bytes = malloc(BATCH_BYTES);
    }
    if (batch->ends == NULL) {
        batch->ends = malloc(BATCH_MESSAGES * sizeof *batch->ends);
    }
    return batch->bytes != NULL && batch->ends != NULL;
}

bool batch_add(struct batch *batch, const struct outgoing *message)
{
    static pid_t self;

    if (message->length > BATCH_BYTES || !make_buffers(batch)) {
        return false;
    }
    const struct return_address *back = message->back;
    bool line = message->bare || (back == NULL && message_is_line(message->content, message->length));
    size_t length = line ? message->length : message_record_length(message->length, back);
    size_t start = batch_start(batch, batch->count);
    if (batch->count == BATCH_MESSAGES || length > BATCH_BYTES - start) {
        return false;
    }
    if (line) {
        memcpy(batch->bytes + start, message->content, length);
    } else {
        self = self == 0 ? getpid() : self;
        message_put_record(batch->bytes + start, message->content, message->length, self, back);
    }
    batch->unit = message->bare ? message->length : 0;
    batch->ends[batch->count++] = (uint32_t)(start + length);
    return true;
}

size_t batch_add_lines(struct batch *batch, const char *bytes, size_t length)
{
    if (!make_buffers(batch) || batch->count == BATCH_MESSAGES) {
        return 0;
    }
    size_t start = batch_start(batch, batch->count);
    size_t room = BATCH_BYTES - start;
    size_t plain = message_plain(bytes, length < room ? length : room);
    size_t done = 0;

    while (batch->count < BATCH_MESSAGES && done < plain) {
        const char *newline = memchr(bytes + done, '\n', plain - done);
        size_t end = newline == NULL ? 0 : (size_t)(newline + 1 - bytes);
        if (newline == NULL) {
            break;
        }
        done = end;
        batch->ends[batch->count++] = (uint32_t)(start + done);
    }
    memcpy(batch->bytes + start, bytes, done);
    batch->unit = 0;
    return done;
}

size_t batch_piece(const struct batch *batch, size_t from, size_t to)
{
    size_t start = batch_start(batch, from);
    size_t end = from;

    while (end < to && batch->ends[end] - start <= PIPE_BUF) {
        end++;
    }
    return end;
}

void batch_drop(struct batch *batch)
{
    free(batch->bytes);
    free(batch->ends);
    *batch = (struct batch){0};
}

struct outgoing batch_message(const struct batch *batch, size_t index)
{
    const unsigned char *frame = batch->bytes + batch_start(batch, index);
    size_t length = batch->ends[index] - batch_start(batch, index);
    struct outgoing outgoing = {.content = frame, .length = length, .bare = batch->unit > 0};
    struct message message;

    if (!outgoing.bare && message_find(frame, length, true, &message) == FOUND_MESSAGE) {
        outgoing.content = message.content;
        outgoing.length = message.length;
    }
    return outgoing;
}
