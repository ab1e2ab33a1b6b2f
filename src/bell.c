#include "bell.h"

#include "descriptor.h"
#include "lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct lock chair(const struct bell *bell, int64_t at, int64_t count)
{
    return (struct lock){bell->locks, bell->type, at, count};
}

static void drain(const struct bell *bell)
{
    char bytes[4096];

    while (read(bell->fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

enum wake bell_sit(struct bell *bell, deadline until)
{
    const int64_t own = getpid() % BELL_CHAIRS;
    bool seated = false;

    for (int i = 0; i < BELL_CHAIRS && !seated; i++) {
        bell->chair = bell->first + (own + i) % BELL_CHAIRS;
        struct lock free = chair(bell, bell->chair, 1);
        seated = lock_try(&free);
    }
    if (!seated) {
        bell->chair = bell->first + own;
        struct lock taken = chair(bell, bell->chair, 1);
        enum wake wake = lock_wait(&taken, until, WAIT_NAME | WAIT_MORTAL);
        if (wake != WAKE_DONE) {
            bell_leave(bell);
            return wake;
        }
    }
    if (wait_arm(bell->fd) == -1) {
        bell_leave(bell);
        return WAKE_FAILED;
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
        struct lock ours = chair(bell, bell->chair, 1);
        if (bell->fd != -1) {
            fcntl(bell->fd, F_SETFL, O_NONBLOCK);
        }
        lock_give(&ours);
        bell->chair = 0;
    }
}

/* Whether anybody else sits in a chair or waits for one. */
static bool has_listener(const struct bell *bell)
{
    struct lock chairs = chair(bell, bell->first, BELL_CHAIRS);

    chairs.type = F_WRLCK;
    return lock_is_held(&chairs, NULL);
}

void bell_ring(const struct bell *bell)
{
    if (!has_listener(bell)) {
        return;
    }
    /* A byte that is written to what lies there instead of the bell would be somebody's loss. */
    int fd = descriptor_open(bell->directory, bell->name, O_WRONLY, S_IFIFO);
    if (fd != -1) { /* ENXIO: who has the chair has yet to open the bell, and then to look */
        (void)!write(fd, "", 1);
        close(fd);
    }
}
