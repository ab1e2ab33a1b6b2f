#include "output.h"

#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

struct request {
    int fd;
    const char *content;
    size_t length;
};

static long write_some(void *argument)
{
    struct request *request = argument;
    return write(request->fd, request->content, request->length);
}

static long wait_for_room(void *argument)
{
    struct request *request = argument;
    struct pollfd end = {.fd = request->fd, .events = POLLOUT};
    return poll(&end, 1, -1);
}

struct verdict output_write(int fd, const void *content, size_t length, deadline until)
{
    struct request request = {fd, content, length};
    const struct verdict late =
        verdict(STATUS_TIMEOUT, "timed out: standard output does not take the message");

    while (request.length > 0) {
        long written;
        if (wait_call(write_some, &request, &written, until, WAIT_MORTAL) == WAKE_DEADLINE) {
            return late;
        }
        if (written >= 0) {
            request.content += written;
            request.length -= (size_t)written;
        } else if (errno == EAGAIN) {
            if (wait_call(wait_for_room, &request, &written, until, WAIT_MORTAL) == WAKE_DEADLINE) {
                return late;
            }
        } else if (errno != EINTR) {
            return verdict_errno("cannot write to standard output; the message is not taken", errno);
        }
    }
    return verdict_done();
}
