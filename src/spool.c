#include "spool.h"

#include "descriptor.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int spool_create(struct spool *spool)
{
    *spool = (struct spool){.fd = descriptor_above_standard(memfd_create("fifo-message", MFD_CLOEXEC))};
    return spool->fd == -1 ? -1 : 0;
}

int spool_append(struct spool *spool, const void *content, size_t length)
{
    const char *at = content;

    while (length > 0) {
        ssize_t written = write(spool->fd, at, length);
        if (written == -1 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return -1;
        }
        at += written;
        length -= (size_t)written;
        spool->length += (size_t)written;
    }
    return 0;
}

const void *spool_map(struct spool *spool)
{
    void *map = mmap(NULL, spool->length, PROT_READ, MAP_SHARED, spool->fd, 0);

    spool->map = map == MAP_FAILED ? NULL : map;
    return spool->map;
}

void spool_drop(struct spool *spool)
{
    if (spool->map != NULL) {
        munmap(spool->map, spool->length);
    }
    if (spool->fd != -1) {
        close(spool->fd);
    }
    *spool = spool_none();
}
