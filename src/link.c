#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

static struct flock range(enum link_lock lock, short type)
{
    return (struct flock){
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = lock == LINK_HAND    ? 1
                   : lock == LINK_QUEUE ? 2
                                        : 0,
        .l_len = lock == LINK_RENDEZVOUS_AND_HAND ? 2 : 1,
    };
}

struct request {
    int fd;
    enum link_lock lock;
    struct flock range;
    bool wait;
};

static long take(void *argument)
{
    struct request *request = argument;

    if (request->lock == LINK_TURN) {
        return flock(request->fd, LOCK_EX | (request->wait ? 0 : LOCK_NB));
    }
    return fcntl(request->fd, request->wait ? F_OFD_SETLKW : F_OFD_SETLK, &request->range);
}

bool link_try(int fd, enum link_side side, enum link_lock lock)
{
    struct request request = {fd, lock, range(lock, side == LINK_SENDER ? F_WRLCK : F_RDLCK), false};
    return take(&request) == 0;
}

enum wake link_wait(int fd, enum link_side side, enum link_lock lock, deadline until, int flags)
{
    struct request request = {fd, lock, range(lock, side == LINK_SENDER ? F_WRLCK : F_RDLCK), true};
    long result;

    for (;;) {
        enum wake wake = wait_call(take, &request, &result, until, flags);
        if (wake == WAKE_DONE && result == 0) {
            return wake;
        }
        if (wake != WAKE_DONE) {
            /* The kernel may have granted it just before we jumped out: nobody would know that we have it. */
            link_give(fd, lock);
            return wake;
        }
        if (errno != EINTR) { /* EINTR: a stop and a continue */
            return WAKE_EVENT;
        }
    }
}

void link_give(int fd, enum link_lock lock)
{
    if (lock == LINK_TURN) {
        flock(fd, LOCK_UN);
    } else {
        struct flock whole = range(lock, F_UNLCK);
        fcntl(fd, F_OFD_SETLK, &whole);
    }
}

/* Whether somebody else has a lock that a lock of `type` would have to wait for. */
static bool is_held(int fd, enum link_lock lock, short type)
{
    struct flock probe = range(lock, type);
    return fcntl(fd, F_OFD_GETLK, &probe) == 0 && probe.l_type != F_UNLCK;
}

void link_enqueue(int fd)
{
    struct flock mark = range(LINK_QUEUE, F_RDLCK);
    fcntl(fd, F_OFD_SETLK, &mark);
}

bool link_has_queue(int fd)
{
    return is_held(fd, LINK_QUEUE, F_WRLCK);
}

bool link_has_sender(int fd)
{
    return is_held(fd, LINK_RENDEZVOUS, F_RDLCK);
}
