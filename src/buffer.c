#include "buffer.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

bool buffer_grow(struct buffer *buffer, size_t size)
{
    const int access = PROT_READ | PROT_WRITE;

    if (size <= buffer->size) {
        return true;
    }
    void *bytes = buffer->bytes == NULL
                      ? mmap(NULL, size, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                      : mremap(buffer->bytes, buffer->size, size, MREMAP_MAYMOVE);
    if (bytes == MAP_FAILED) {
        errno = ENOMEM;
        return false;
    }
    buffer->bytes = bytes;
    buffer->size = size;
    return true;
}

bool buffer_populate(struct buffer *buffer, size_t length)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t from = buffer->ready - buffer->ready % page;

    if (length <= buffer->ready) {
        return true;
    }
    /* Kernels before 5.14 do not know how (EINVAL). */
    if (madvise(buffer->bytes + from, length - from, MADV_POPULATE_WRITE) == -1 && errno != EINVAL) {
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
