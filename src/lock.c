#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

static struct flock range(const struct lock *lock, int type)
{
    return (struct flock){
        .l_type = (short)type,
        .l_whence = SEEK_SET,
        .l_start = lock->start,
        .l_len = lock->count,
    };
}

static bool is_whole(const struct lock *lock)
{
    return lock->count == 0;
}

bool lock_try(const struct lock *lock)
{
    struct flock wanted = range(lock, lock->type);

    return (is_whole(lock) ? flock(lock->fd, LOCK_EX | LOCK_NB) : fcntl(lock->fd, F_OFD_SETLK, &wanted)) == 0;
}

static long take(void *argument)
{
    const struct lock *lock = argument;
    struct flock wanted = range(lock, lock->type);

    return is_whole(lock) ? flock(lock->fd, LOCK_EX) : fcntl(lock->fd, F_OFD_SETLKW, &wanted);
}

enum wake lock_wait(const struct lock *lock, deadline until, int flags)
{
    struct lock wanted = *lock;
    enum wake wake;
    long result;

    do {
        wake = wait_call(take, &wanted, &result, until, flags);
    } while (wake == WAKE_DONE && result == -1 && errno == EINTR); /* a stop and a continue */
    return wake == WAKE_DONE && result == -1 ? WAKE_FAILED : wake;
}

void lock_give(const struct lock *lock)
{
    struct flock ours = range(lock, F_UNLCK);

    if (is_whole(lock)) {
        flock(lock->fd, LOCK_UN);
    } else {
        fcntl(lock->fd, F_OFD_SETLK, &ours);
    }
}

bool lock_is_held(const struct lock *lock, uint64_t *end)
{
    struct flock found = range(lock, lock->type);

    if (fcntl(lock->fd, F_OFD_GETLK, &found) == -1 || found.l_type == F_UNLCK) {
        return false;
    }
    if (end != NULL) {
        *end = found.l_len <= 0 ? UINT64_MAX : (uint64_t)found.l_start + (uint64_t)found.l_len;
    }
    return true;
}

void lock_sign(int fd, int64_t at)
{
    struct flock signature = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

    /* Who may only write may have no other. */
    if (fcntl(fd, F_SETLK, &signature) == -1) {
        signature.l_type = F_WRLCK;
        fcntl(fd, F_SETLK, &signature);
    }
}

const char *lock_signed(int fd, int64_t at, const char *begin, const char *otherwise)
{
    static char text[80];
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

    if (fcntl(fd, F_GETLK, &found) == -1 || found.l_type == F_UNLCK || found.l_pid <= 0) {
        return otherwise;
    }
    snprintf(text, sizeof text, "%s: process %d has it to itself", begin, (int)found.l_pid);
    return text;
}
