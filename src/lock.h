/*
 * lock: the kernel's locks on open files, and waiting for one until a deadline.
 *
 * Two kinds, which on Linux know nothing of each other: flock(2) on the file, and open file description locks
 * on ranges of bytes (F_OFD_SETLK of fcntl(2)), which need a descriptor that may write for F_WRLCK, and one
 * that may read for F_RDLCK. The kernel keeps both, and drops them when the last descriptor of its open file
 * is closed: at death, however it comes. Descriptors belong to the caller; only lock_wait() blocks.
 */
#ifndef FIFO_LOCK_H
#define FIFO_LOCK_H

#include "deadline.h"
#include "wait.h"

#include <stdbool.h>
#include <stdint.h>

struct lock {
    int fd;
    short type;    /* F_RDLCK or F_WRLCK; a lock on the file itself is always exclusive */
    int64_t start; /* bytes, which need not exist */
    int64_t count; /* 0: the file itself, by flock(2) */
};

/* Tries to take it. False and errno: EAGAIN if somebody has one that excludes it. */
bool lock_try(const struct lock *lock);

/*
 * Waits for it; `flags` as wait_call(). WAKE_DONE: we have it. WAKE_FAILED: the kernel refused it, see errno
 * (ENOLCK). Anything else as wait_call(): the kernel may have granted it in the very instant in which we gave
 * up, and nobody would know that we have it. So the caller gives it back.
 */
enum wake lock_wait(const struct lock *lock, deadline until, int flags);

/* Gives back what we have of it. */
void lock_give(const struct lock *lock);

/*
 * Whether another open file has a lock that excludes this one, on a range of bytes. If so, *end, unless NULL,
 * is where the first one found ends: UINT64_MAX if it has no end.
 */
bool lock_is_held(const struct lock *lock, uint64_t *end);

/*
 * Who keeps others out for long (-x) signs: a lock of the other kind, F_SETLK, that belongs to a process and
 * tells its pid, on a byte `at` that nothing else uses. It excludes nobody, and goes with the process, or
 * when that closes any descriptor of the file.
 */
void lock_sign(int fd, int64_t at);

/*
 * `begin` and who has signed there, as in "busy: process 1 has it to itself", or `otherwise` if nobody has.
 * The text is good until the next call.
 */
const char *lock_signed(int fd, int64_t at, const char *begin, const char *otherwise);

#endif
