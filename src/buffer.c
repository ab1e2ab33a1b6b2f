#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)
/* From here on it is asked for in huge pages. */
#define LARGE ((size_t)8 << 20)

bool buffer_grow(struct buffer *buffer, size_t size)
{
    const int access = PROT_READ | PROT_WRITE;
    const bool large = size >= LARGE && size < SIZE_MAX - HUGE_PAGE;

    if (size <= buffer->size) {
        return true;
    }
    size = large ? (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE : size;
    void *bytes = buffer->bytes == NULL
                      ? mmap(NULL, size, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                      : mremap(buffer->bytes, buffer->size, size, MREMAP_MAYMOVE);
    if (bytes == MAP_FAILED) {
        errno = ENOMEM;
        return false;
    }
    buffer->bytes = bytes;
    buffer->size = size;
    if (large) {
        (void)madvise(bytes, size, MADV_HUGEPAGE);
    }
    return true;
}

bool buffer_populate(struct buffer *buffer, size_t length)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t from = buffer->ready - buffer->ready % page;

    if (length <= buffer->ready) {
        return true;
    }
    /* Any other failure is that of the call: kernels before 5.14 do not know it, a filter may forbid it. */
    if (madvise(buffer->bytes + from, length - from, MADV_POPULATE_WRITE) == -1 &&
        (errno == ENOMEM || errno == EFAULT || errno == EHWPOISON)) {
        errno = ENOMEM;
        return false;
    }
    buffer->ready = length;
    return true;
}

void buffer_drop(struct buffer *buffer)
{
    if (buffer->bytes != NULL) {
        munmap(buffer->bytes, buffer->size);
    }
    *buffer = (struct buffer){0};
}
