#include "link.h"

#include "lock.h"
#include "message.h"

#include <fcntl.h>

static struct lock place(int fd, enum link_lock lock, int type)
{
    static const struct {
        int64_t start;
        int64_t count;
    } places[] = {
        [LINK_RENDEZVOUS] = {0, 1}, [LINK_TURN] = {0, 0},
        [LINK_HAND] = {1, 1},       [LINK_RENDEZVOUS_AND_HAND] = {0, 2},
        [LINK_QUEUE] = {2, 1},      [LINK_GATHER] = {3, 1},
        [LINK_ENTRY] = {5, 1},      [LINK_ALL] = {0, 6},
    };

    return (struct lock){fd, (short)type, places[lock].start, places[lock].count};
}

static struct lock wanted(int fd, enum link_side side, enum link_lock lock)
{
    return place(fd, lock, side == LINK_SENDER ? F_WRLCK : F_RDLCK);
}

bool link_try(int fd, enum link_side side, enum link_lock lock)
{
    struct lock request = wanted(fd, side, lock);
    return lock_try(&request);
}

enum wake link_wait(int fd, enum link_side side, enum link_lock lock, deadline until, int flags)
{
    struct lock request = wanted(fd, side, lock);
    enum wake wake = lock_wait(&request, until, flags);

    if (wake != WAKE_DONE && wake != WAKE_FAILED) {
        lock_give(&request);
    }
    return wake;
}

void link_give(int fd, enum link_lock lock)
{
    struct lock ours = place(fd, lock, F_UNLCK);
    lock_give(&ours);
}

#define SIGNATURES 8

void link_sign(int fd, enum link_side side)
{
    lock_sign(fd, SIGNATURES + side);
}

const char *link_signed(int fd, enum link_side side, const char *begin, const char *otherwise)
{
    return lock_signed(fd, SIGNATURES + side, begin, otherwise);
}

void link_enqueue(int fd)
{
    struct lock mark = place(fd, LINK_QUEUE, F_RDLCK);
    lock_try(&mark);
}

bool link_has_queue(int fd)
{
    struct lock probe = place(fd, LINK_QUEUE, F_WRLCK);
    return lock_is_held(&probe, NULL);
}

static struct lock alive(int fd, uint64_t id, short type)
{
    return (struct lock){fd, type, (int64_t)(MESSAGE_ID_END + id), 1};
}

bool link_begin(int fd, uint64_t id)
{
    struct lock ours = alive(fd, id, F_WRLCK);
    return lock_try(&ours);
}

void link_end(int fd, uint64_t id)
{
    struct lock ours = alive(fd, id, F_UNLCK);
    lock_give(&ours);
}

bool link_is_alive(int fd, uint64_t id)
{
    struct lock probe = alive(fd, id, F_RDLCK);
    return lock_is_held(&probe, NULL);
}

enum wake link_wait_for_end(int fd, uint64_t id, deadline until, int flags)
{
    struct lock request = alive(fd, id, F_RDLCK);
    enum wake wake = lock_wait(&request, until, flags);

    if (wake != WAKE_FAILED) {
        lock_give(&request);
    }
    return wake;
}

bool link_has_sender(int fd)
{
    struct lock probe = place(fd, LINK_RENDEZVOUS, F_RDLCK);

    /* Between two senders nobody has the rendezvous for an instant; but who waits for it is in the queue
     * until it has it. In this order: who has left the queue since we looked there has the rendezvous. */
    return link_has_queue(fd) || lock_is_held(&probe, NULL);
}
