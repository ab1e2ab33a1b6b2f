#include "stream.h"

#include "mailbox.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MAJOR_MEMORY 1 /* /dev/null, /dev/zero ... of mem(4) and null(4) */

const char *const stream_removed = "removed in the middle";

static const struct verdict same_end = {
    STATUS_ERROR, 0, "is standard input or output itself; the bytes would go round in circles"};

/*
 * Whether splice(2) from a mailbox to such a file can only block for a moment. The kernel holds the mailbox's
 * mutex meanwhile, and whoever wants to use the mailbox waits for it uninterruptibly: for as long as a
 * socket's peer does not read, or a terminal is stopped.
 */
static bool is_quick(const struct stat *file)
{
    return S_ISREG(file->st_mode) || S_ISFIFO(file->st_mode) ||
           (S_ISCHR(file->st_mode) && major(file->st_rdev) == MAJOR_MEMORY);
}

struct verdict stream_survey(struct stream *stream, int end, int fd)
{
    struct stat there;
    struct stat here;

    if (fstat(end, &there) == -1 || fstat(fd, &here) == -1) {
        return verdict_errno("cannot look at standard input or output", errno);
    }
    if (S_ISFIFO(there.st_mode)) {
        mailbox_grow(end, RELAY_CHUNK);
    }
    stream->is_file = S_ISREG(there.st_mode);
    stream->relay.direct = is_quick(&there);
    return there.st_dev == here.st_dev && there.st_ino == here.st_ino ? same_end : verdict_done();
}

struct verdict stream_late(bool started)
{
    return started ? verdict(STATUS_UNCERTAIN, "timed out in the middle")
                   : verdict(STATUS_TIMEOUT, "timed out: nothing was delivered");
}

void stream_count(struct stream *stream, size_t bytes)
{
    stream->passed += bytes;
    progress_add(stream->progress, bytes, 0);
}
