#include "bell.h"

#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct flock chair_range(const struct bell *bell, int64_t at, int64_t count, bool give)
{
    return (struct flock){
        .l_type = (short)(give ? F_UNLCK : bell->type),
        .l_whence = SEEK_SET,
        .l_start = at,
        .l_len = count,
    };
}

/* Opens the FIFO and nothing else: a byte that is written to what lies there instead would be somebody's
 * loss. */
static int open_end(const struct bell *bell, int flags)
{
    struct stat file;
    int fd = openat(bell->directory, bell->name, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);

    fd = descriptor_above_standard(fd);
    if (fd != -1 && (fstat(fd, &file) == -1 || !S_ISFIFO(file.st_mode))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

int bell_open(struct bell *bell)
{
    if (bell->fd == -1) {
        bell->fd = open_end(bell, O_RDONLY);
    }
    return bell->fd == -1 ? -1 : 0;
}

struct request {
    int fd;
    struct flock range;
};

static long take(void *argument)
{
    struct request *request = argument;
    return fcntl(request->fd, F_OFD_SETLKW, &request->range);
}

static void drain(const struct bell *bell)
{
    char bytes[4096];

    while (read(bell->fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

enum wake bell_sit(struct bell *bell, deadline until)
{
    const int64_t own = bell->first + getpid() % BELL_CHAIRS;
    struct request request = {.fd = bell->locks};
    long result = -1;

    if (bell_open(bell) == -1) {
        return WAKE_EVENT;
    }
    for (int i = 0; i < BELL_CHAIRS && result == -1; i++) {
        bell->chair = bell->first + (own - bell->first + i) % BELL_CHAIRS;
        request.range = chair_range(bell, bell->chair, 1, false);
        result = fcntl(request.fd, F_OFD_SETLK, &request.range);
    }
    while (result == -1) {
        bell->chair = own;
        request.range = chair_range(bell, own, 1, false);
        enum wake wake = wait_call(take, &request, &result, until, WAIT_NAME | WAIT_MORTAL);
        if (wake != WAKE_DONE || (result == -1 && errno != EINTR)) {
            bell_leave(bell);
            return wake == WAKE_DONE ? WAKE_EVENT : wake;
        }
    }
    if (wait_arm(bell->fd) == -1) {
        bell_leave(bell);
        return WAKE_EVENT;
    }
    drain(bell);
    return WAKE_DONE;
}

enum wake bell_sleep(const struct bell *bell, deadline until)
{
    enum wake wake = wait_event(until);

    if (wake == WAKE_EVENT) {
        drain(bell);
    }
    return wake;
}

void bell_leave(struct bell *bell)
{
    if (bell->chair != 0) {
        struct flock range = chair_range(bell, bell->chair, 1, true);
        if (bell->fd != -1) {
            fcntl(bell->fd, F_SETFL, O_NONBLOCK);
        }
        fcntl(bell->locks, F_OFD_SETLK, &range);
        bell->chair = 0;
    }
}

bool bell_has_listener(const struct bell *bell)
{
    struct flock range = chair_range(bell, bell->first, BELL_CHAIRS, false);

    range.l_type = F_WRLCK;
    return fcntl(bell->locks, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

void bell_ring(const struct bell *bell)
{
    if (!bell_has_listener(bell)) {
        return;
    }
    int fd = open_end(bell, O_WRONLY);
    if (fd != -1) { /* ENXIO: who has the chair has yet to open the bell, and then to look */
        (void)!write(fd, "", 1);
        close(fd);
    }
}
