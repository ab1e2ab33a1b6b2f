#include "gather.h"

#include "link.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* So much memory does no harm in a process that waits. */
#define LITTLE ((size_t)8 << 20)
/* How long more of it is kept for the next message. */
#define SPARE MILLISECONDS(1000)

bool gather_is_next(const struct gather *gather, const struct message *part)
{
    return gather->active && part->part.id == gather->id && part->part.total == gather->total &&
           part->part.offset == gather->length;
}

deadline gather_kept_until(const struct gather *gather)
{
    return !gather->active && gather->content.ready > LITTLE ? gather->kept : DEADLINE_NEVER;
}

void gather_free(struct gather *gather)
{
    buffer_drop(&gather->content);
}

/* Has room for `length` bytes; what is there is lost. */
static bool make_room(struct gather *gather, size_t length)
{
    if (length > gather->content.size) {
        gather_free(gather);
    }
    return buffer_grow(&gather->content, length);
}

/*
 * Reads a frame in one step, of which the last `length` bytes, the content, go to `offset`. A readv(2) of
 * what is there, into memory that is there too, faults nowhere, and goes through under the pipe's mutex: a
 * kill takes effect before or after it.
 */
static bool read_frame(struct gather *gather, int fd, const struct message *part, size_t offset)
{
    static unsigned char head[UINT16_MAX + MESSAGE_PART]; /* as long as a header may say */
    const struct iovec places[] = {{head, part->frame - part->length},
                                   {gather->content.bytes + offset, part->length}};
    ssize_t got;

    memset(head, 0, part->frame - part->length);
    if (!buffer_populate(&gather->content, offset + part->length)) {
        return false;
    }
    do {
        got = readv(fd, places, 2);
    } while (got == -1 && errno == EINTR);
    if (got == -1) {
        return false;
    }
    /* A raw reader may have taken what we looked at, or the beginning of it. */
    struct message read;
    errno = EIO;
    return got == (ssize_t)part->frame &&
           message_is_part(head, part->frame - part->length, part->frame, &read) &&
           read.part.id == part->part.id && read.part.offset == part->part.offset;
}

bool gather_begin(struct gather *gather, const struct message *part)
{
    if (!make_room(gather, (size_t)part->part.total)) {
        return false;
    }
    gather->active = true;
    gather->id = part->part.id;
    gather->total = (size_t)part->part.total;
    gather->length = 0;
    gather->sender = part->sender;
    gather->back = part->back;
    return true;
}

bool gather_read(struct gather *gather, int fd, const struct message *part)
{
    if (!read_frame(gather, fd, part, gather->length)) {
        return false;
    }
    gather->length += part->length;
    gather->piece = part->length;
    return true;
}

void gather_prepare(struct gather *gather)
{
    const size_t rest = gather->total - gather->length;

    /* What cannot be had now is asked for again when the part is there. */
    (void)buffer_populate(&gather->content, gather->length + (gather->piece < rest ? gather->piece : rest));
}

void gather_finish(struct gather *gather, struct message *message)
{
    const struct message last = *message;

    memcpy(gather->content.bytes + gather->length, last.content, last.length);
    *message = (struct message){
        .form = FORM_PART,
        .content = gather->content.bytes,
        .length = gather->total,
        .frame = last.frame,
        .sender = gather->sender,
        .back = gather->back,
        .part = last.part,
    };
}

bool gather_discard(struct gather *gather, int fd, const struct message *part)
{
    return make_room(gather, part->length + 1) && read_frame(gather, fd, part, 0);
}

void gather_end(struct gather *gather, int fd)
{
    if (gather->active) {
        gather->active = false;
        gather->kept = deadline_in(SPARE);
        link_give(fd, LINK_GATHER);
    }
}
