#include "output.h"

#include "iovecs.h"
#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

struct writing {
    int fd;
    const struct iovec *parts;
    int count;
};

static long write_some(void *argument)
{
    struct writing *writing = argument;
    return writev(writing->fd, writing->parts, writing->count);
}

struct verdict output_flush(struct output *output)
{
    int at = 0;

    while (at < output->count) {
        struct writing writing = {output->fd, output->parts + at, output->count - at};
        long written;
        wait_call(write_some, &writing, &written, output->until, WAIT_MORTAL | WAIT_COUNTED);
        if (written >= 0) {
            output->written += (size_t)written;
            at = iovecs_skip(output->parts, at, output->count, (size_t)written);
        } else if (errno == EAGAIN) {
            (void)wait_until_ready(output->fd, POLLOUT, output->until, WAIT_MORTAL);
        } else if (errno != EINTR) {
            return verdict_errno("cannot write to standard output; the message is not taken", errno);
        }
        if (at < output->count && deadline_passed(output->until)) {
            return verdict(STATUS_TIMEOUT, "timed out: standard output does not take the message");
        }
    }
    output->count = 0;
    return verdict_done();
}

struct verdict output_add(struct output *output, const void *content, size_t length)
{
    union {
        const void *in;
        void *out;
    } place = {.in = content};
    struct iovec *last = output->count > 0 ? &output->parts[output->count - 1] : NULL;
    struct verdict v = verdict_done();

    if (length == 0) {
        return v;
    }
    if (last != NULL && (const char *)last->iov_base + last->iov_len == content) {
        last->iov_len += length;
        return v;
    }
    if (output->count == OUTPUT_PARTS) {
        v = output_flush(output);
    }
    if (v.status == STATUS_DONE) {
        output->parts[output->count++] = (struct iovec){.iov_base = place.out, .iov_len = length};
    }
    return v;
}
