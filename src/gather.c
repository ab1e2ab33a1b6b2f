#include "gather.h"

#include "link.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* So much memory is kept from one message for the next. */
#define KEPT ((size_t)8 << 20)

bool gather_is_next(const struct gather *gather, const struct message *part)
{
    return gather->active && part->part.id == gather->id && part->part.total == gather->total &&
           part->part.offset == gather->length;
}

void gather_free(struct gather *gather)
{
    if (gather->bytes != NULL) {
        munmap(gather->bytes, gather->room);
    }
    gather->bytes = NULL;
    gather->room = 0;
}

/* Has room for `length` bytes; what is there is lost. mmap(2), for it gives pages only when they are used. */
static bool make_room(struct gather *gather, size_t length)
{
    if (length <= gather->room) {
        return true;
    }
    gather_free(gather);
    void *bytes =
        mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED) {
        errno = ENOMEM;
        return false;
    }
    madvise(bytes, length, MADV_HUGEPAGE);
    gather->bytes = bytes;
    gather->room = length;
    return true;
}

/*
 * Reads a frame of `length` bytes in one step, of which the last ones, the content, go to `at`. A readv(2) of
 * what is there, into memory that is there too, faults nowhere, and goes through under the pipe's mutex: a
 * kill takes effect before or after it.
 */
static bool read_frame(int fd, size_t head_length, unsigned char *at, size_t length)
{
    static unsigned char head[UINT16_MAX + MESSAGE_PART]; /* as long as a header may say */
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char *start = at - (uintptr_t)at % page;
    const struct iovec parts[] = {{head, head_length}, {at, length}};
    ssize_t got;

    memset(head, 0, head_length);
    if (madvise(start, (size_t)(at + length - start), MADV_POPULATE_WRITE) == -1 && errno != EINVAL) {
        errno = ENOMEM;
        return false;
    }
    do {
        got = readv(fd, parts, 2);
    } while (got == -1 && errno == EINTR);
    if (got == (ssize_t)(head_length + length)) {
        return true;
    }
    errno = got == -1 ? errno : EIO;
    return false;
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
    if (!read_frame(fd, part->frame - part->length, gather->bytes + gather->length, part->length)) {
        return false;
    }
    gather->length += part->length;
    return true;
}

void gather_finish(struct gather *gather, struct message *message)
{
    const struct message last = *message;

    memcpy(gather->bytes + gather->length, last.content, last.length);
    *message = (struct message){
        .form = FORM_PART,
        .content = gather->bytes,
        .length = gather->total,
        .frame = last.frame,
        .sender = gather->sender,
        .back = gather->back,
        .part = last.part,
    };
}

bool gather_discard(struct gather *gather, int fd, const struct message *part)
{
    return make_room(gather, part->length + 1) &&
           read_frame(fd, part->frame - part->length, gather->bytes, part->length);
}

void gather_end(struct gather *gather, int fd)
{
    if (gather->active) {
        gather->active = false;
        link_give(fd, LINK_GATHER);
    }
    if (gather->room > KEPT) {
        gather_free(gather);
    }
}
