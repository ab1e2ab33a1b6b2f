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
    *buffer = (struct buffer){bytes, size};
    return true;
}

bool buffer_populate(const struct buffer *buffer, size_t from, size_t to)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    from -= from % page;
    /* Kernels before 5.14 do not know how (EINVAL). */
    if (from < to && madvise(buffer->bytes + from, to - from, MADV_POPULATE_WRITE) == -1 && errno != EINVAL) {
        errno = ENOMEM;
        return false;
    }
    return true;
}

void buffer_drop(struct buffer *buffer)
{
    if (buffer->bytes != NULL) {
        munmap(buffer->bytes, buffer->size);
    }
    *buffer = (struct buffer){0};
}
