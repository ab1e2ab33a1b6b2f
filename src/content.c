#include "content.h"

#include "queue-inner.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ATTEMPTS 8

struct queue_message content_message(const struct record *record, const unsigned char *content)
{
    bool addressed = (record->flags & QUEUE_ADDRESSED) && record->length >= RETURN_ADDRESS_BYTES;
    struct queue_message message = {
        .content = content,
        .length = (size_t)record->length,
        .sequence = record->sequence,
        .time = record->time,
        .sender = record->sender,
        /* One that was given back untried, and then lies behind fresh again since the ledger was lost, has
           none. */
        .tries = record->tries == UINT32_MAX ? 1 : record->tries + 1,
    };
    if (addressed) {
        message.back = message_get_address(content);
        message.content += RETURN_ADDRESS_BYTES;
        message.length -= RETURN_ADDRESS_BYTES;
    }
    return message;
}

bool queue_room_to_look(struct queue *queue)
{
    return queue->window.bytes != NULL || (queue->window.bytes = malloc(RECORD_WINDOW)) != NULL;
}

/* Reads content that the window does not hold. NULL and errno; EBADMSG if it is cut off. */
static const unsigned char *read_long(struct queue *queue, uint64_t at, uint64_t length)
{
    uint64_t done = 0;

    if ((queue->max_size > 0 && length > queue->max_size) || length > SIZE_MAX / 2) {
        errno = EMSGSIZE;
        return NULL;
    }
    unsigned char *content = queue_room(queue, (size_t)length + 1);
    while (content != NULL && done < length) {
        ssize_t got = pread(queue->log, content + done, (size_t)(length - done), (off_t)(at + done));
        if (got == -1 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? EBADMSG : errno;
            return NULL;
        }
        done += (uint64_t)got;
    }
    return content;
}

const unsigned char *content_read(struct queue *queue, uint64_t at, const struct record *record, size_t ahead)
{
    uint64_t size = record_size(record->length);
    const unsigned char *content;

    if (size <= RECORD_WINDOW) {
        size_t want = size > ahead ? (size_t)size : ahead;
        if (window_show(&queue->window, at, (size_t)size) < size ||
            (want > size && queue->window.at == at && queue->window.length < want &&
             window_show(&queue->window, at, want) < size)) {
            errno = errno == 0 ? EBADMSG : errno;
            return NULL;
        }
        content = window_bytes(&queue->window, at) + sizeof *record;
        if (queue->max_size > 0 && record->length > queue->max_size) {
            errno = EMSGSIZE;
            return NULL;
        }
    } else {
        content = read_long(queue, at + sizeof *record, record->length);
    }
    if (content != NULL && !record_has_content(record, queue->window.id, at, content)) {
        errno = EBADMSG;
        return NULL;
    }
    return content;
}

bool content_room(struct queue *queue, size_t most)
{
    if (!queue_room_to_look(queue)) {
        return false;
    }
    if (queue->room < most) {
        uint64_t *ends = realloc(queue->ends, most * sizeof *ends);
        if (ends == NULL) {
            return false;
        }
        queue->ends = ends;
        queue->room = most;
    }
    return true;
}

struct verdict queue_peek(struct queue *queue, struct queue_message *message)
{
    struct record record;
    bool garbage;

    if (!content_room(queue, 1)) {
        return verdict_errno("cannot look into it", ENOMEM);
    }
    /* What we look at may be taken and its space given back meanwhile; then the checksum fails: look again.
     */
    for (int i = 0; i < ATTEMPTS; i++) {
        window_forget(&queue->window);
        if (ledger_read(queue->state, &queue->ledger, LEDGER_COUNTS) != LEDGER_COUNTS) {
            return verdict(STATUS_REFUSED, "damaged; a receiver that may write to it can repair it");
        }
        uint64_t tail = queue->ledger.stored.tail;
        uint64_t at = queue->ledger.taken.head;
        while ((at = window_search(&queue->window, at, tail, &record, &garbage)) < tail) {
            if (record.state != RECORD_DONE) {
                const unsigned char *content = content_read(queue, at, &record, 0);
                if (content != NULL) {
                    *message = content_message(&record, content);
                    return verdict_done();
                }
                if (errno == EMSGSIZE) {
                    return verdict(STATUS_REFUSED,
                                   "the message is longer than --max-size; it stays in the mailbox");
                }
                if (errno == ENOMEM) {
                    return verdict_errno("cannot look at the oldest message", errno);
                }
            }
            at = record_run(&record, queue->window.id, at, tail);
        }
        if (ledger_waiting(&queue->ledger) == 0) {
            break;
        }
    }
    return verdict(STATUS_NOT_NOW, "empty");
}
