#include "queue.h"

#include "descriptor.h"
#include "lock.h"
#include "repair.h"
#include "wait.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the locks lie: behind what any log can reach. A gate lies beside its lock, so that one call takes
 * both. */
#define LOCKS  (INT64_C(1) << 62)
#define CHAIRS (LOCKS + 16)

static const struct {
    int64_t first;
    int64_t count;
    int64_t lock; /* of these, what is not a gate */
} places[] = {
    [QUEUE_TAKE] = {1, 1, 1},  [QUEUE_STORE] = {2, 1, 2},  [QUEUE_SYNC] = {4, 1, 4},
    [QUEUE_LEASE] = {0, 2, 1}, [QUEUE_APPEND] = {2, 2, 2},
};

/* How long -n waits for a lock that is held for microseconds, unless its holder was stopped right then. */
#define GRACE MILLISECONDS(500)

uint64_t queue_size(struct queue *queue)
{
    struct stat file;

    if (fstat(queue->log, &file) == -1) {
        return 0;
    }
    queue->gone = file.st_nlink == 0;
    return (uint64_t)file.st_size;
}

void queue_watch(struct queue *queue)
{
    if (!queue->watched) {
        queue->watched = true;
        watch_directory(queue->directory);
    }
}

static struct lock place(const struct queue *queue, enum queue_lock lock)
{
    return (struct lock){
        .fd = queue->log,
        .type = queue->writable ? F_WRLCK : F_RDLCK,
        .start = LOCKS + places[lock].first,
        .count = places[lock].count,
    };
}

struct verdict queue_ended(struct queue *queue, enum wake wake, const char *late)
{
    switch (wake) {
    case WAKE_NAME:
        queue_size(queue);
        return queue->gone ? verdict(STATUS_GONE, "removed while waiting") : verdict_done();
    case WAKE_SIGNAL:
        return verdict(STATUS_SIGNAL + wait_signal(), NULL);
    case WAKE_DEADLINE:
        return verdict(STATUS_TIMEOUT, late);
    default:
        return verdict_done();
    }
}

struct verdict queue_sleep(struct queue *queue, struct bell *bell, const char *none, const char *late)
{
    if (queue->nonblock) {
        return verdict(STATUS_NOT_NOW, none);
    }
    if (queue->late) {
        return verdict(STATUS_TIMEOUT, late);
    }
    queue_watch(queue);
    bool seated = bell->chair != 0;
    enum wake wake = seated ? bell_sleep(bell, queue->until) : bell_sit(bell, queue->until);
    if (wake == WAKE_EVENT && !seated) {
        return verdict_errno("cannot wait at it", errno);
    }
    struct verdict v = queue_ended(queue, wake, late);
    queue->late = v.status == STATUS_TIMEOUT;
    return queue->late ? verdict_done() : v;
}

bool queue_try(struct queue *queue, enum queue_lock lock)
{
    struct lock wanted = place(queue, lock);
    return lock_try(&wanted);
}

struct verdict queue_lock(struct queue *queue, enum queue_lock lock)
{
    struct lock wanted = place(queue, lock);
    deadline until = queue->until;

    if (lock_try(&wanted)) {
        return verdict_done();
    }
    if (queue->nonblock) {
        until = deadline_sooner(until, deadline_in(GRACE));
    }
    queue_watch(queue);
    for (;;) {
        enum wake wake = lock_wait(&wanted, until, WAIT_NAME | WAIT_MORTAL);
        if (wake == WAKE_DONE) {
            return verdict_done();
        }
        if (wake == WAKE_EVENT) {
            return verdict_errno("cannot lock it", errno);
        }
        queue_unlock(queue, lock);
        if (wake == WAKE_DEADLINE && queue->nonblock) {
            return verdict(STATUS_NOT_NOW, "busy: another process is at work");
        }
        struct verdict v = queue_ended(queue, wake, "timed out: another process is at work");
        if (v.status != STATUS_DONE) {
            return v;
        }
    }
}

void queue_unlock(struct queue *queue, enum queue_lock lock)
{
    struct lock ours = place(queue, lock);

    if (queue->exclusive) {
        ours.start = LOCKS + places[lock].lock;
        ours.count = 1;
    }
    lock_give(&ours);
}

unsigned char *queue_room(struct queue *queue, size_t length)
{
    if (length > queue->content_room) {
        free(queue->content);
        queue->content = malloc(length);
        queue->content_room = queue->content == NULL ? 0 : length;
    }
    return queue->content;
}

static int open_file(const struct queue *queue, const char *name, int flags)
{
    return descriptor_open(queue->directory, name, flags, S_IFREG);
}

static struct verdict open_files(struct queue *queue, const char *path)
{
    int flags = queue->side == QUEUE_LOOK ? O_RDONLY : O_RDWR;

    queue->readable = true;
    queue->writable = queue->side != QUEUE_LOOK;
    queue->directory =
        descriptor_above_standard(open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (queue->directory != -1) {
        queue->log = open_file(queue, QUEUE_LOG, flags);
    }
    if (queue->directory != -1 && queue->log == -1 && errno == EACCES && queue->side == QUEUE_SENDER) {
        queue->readable = false;
        queue->log = open_file(queue, QUEUE_LOG, O_WRONLY);
    }
    if (queue->log != -1) {
        queue->state = open_file(queue, QUEUE_STATE, flags);
    }
    if (queue->state != -1) {
        return verdict_done();
    }
    return errno == ENOENT || errno == ENOTDIR || errno == EINVAL || errno == ELOOP
               ? verdict(STATUS_GONE, "no such buffered mailbox")
               : verdict_errno("cannot open it", errno);
}

/*
 * Who may change something has the bell open that tells of it: if he is killed between the change and the
 * ring, its closing rings (bell.h).
 */
static struct verdict open_bells(struct queue *queue)
{
    bool space = queue->side == QUEUE_RECEIVER && queue->ledger.config.capacity > 0;

    if (queue->side == QUEUE_LOOK) {
        return verdict_done();
    }
    return bell_open(&queue->ready) == -1 || (space && bell_open(&queue->space) == -1)
               ? verdict_errno("cannot open its bells", errno)
               : verdict_done();
}

bool queue_is_mailbox(const char *path)
{
    /* Names are short, and no page of the stack is touched, nor one of printf(3), that needs not be. */
    char brief[256];
    size_t length = strlen(path);
    char *name =
        length + sizeof "/" QUEUE_LOG <= sizeof brief ? brief : malloc(length + sizeof "/" QUEUE_LOG);
    struct stat file;

    if (name == NULL) {
        return false;
    }
    memcpy(name, path, length);
    memcpy(name + length, "/" QUEUE_LOG, sizeof "/" QUEUE_LOG);
    bool is_mailbox = lstat(name, &file) == 0 && S_ISREG(file.st_mode);
    if (name != brief) {
        free(name);
    }
    return is_mailbox;
}

struct verdict queue_open(struct queue *queue, const char *path, enum queue_side side)
{
    wait_begin();
    queue->side = side;
    queue->directory = queue->log = queue->state = queue->ready.fd = queue->space.fd = -1;
    struct verdict v = open_files(queue, path);
    if (v.status != STATUS_DONE) {
        queue_close(queue);
        return v;
    }
    short type = queue->writable ? F_WRLCK : F_RDLCK;
    queue->ready = (struct bell){queue->directory, QUEUE_READY, -1, queue->log, type, CHAIRS, 0};
    queue->space =
        (struct bell){queue->directory, QUEUE_SPACE, -1, queue->log, type, CHAIRS + BELL_CHAIRS, 0};
    queue->window = (struct window){.fd = queue->log};
    if (ledger_read(queue->state, &queue->ledger, LEDGER_CONFIG) != LEDGER_CONFIG) {
        v = queue->readable && queue->writable
                ? repair(queue, true)
                : verdict(STATUS_REFUSED, "damaged; a receiver that may write to it can repair it");
    }
    queue->window.id = queue->ledger.config.id;
    if (v.status == STATUS_DONE) {
        v = open_bells(queue);
    }
    if (v.status != STATUS_DONE) {
        queue_close(queue);
    }
    return v;
}

void queue_close(struct queue *queue)
{
    const int fds[] = {queue->directory, queue->log, queue->state, queue->ready.fd, queue->space.fd};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] != -1) {
            close(fds[i]);
        }
    }
    queue->directory = queue->log = queue->state = queue->ready.fd = queue->space.fd = -1;
    free(queue->window.bytes);
    free(queue->ends);
    free(queue->content);
    queue->window.bytes = queue->content = NULL;
    queue->ends = NULL;
    queue->content_room = queue->room = queue->leased = 0;
}

struct verdict queue_count(struct queue *queue, struct queue_counts *counts)
{
    if (ledger_read(queue->state, &queue->ledger, LEDGER_COUNTS) != LEDGER_COUNTS) {
        return verdict(STATUS_REFUSED, "damaged; a receiver that may write to it can repair it");
    }
    *counts = (struct queue_counts){
        .capacity = queue->ledger.config.capacity,
        .sync = queue->ledger.config.flags & LEDGER_SYNC,
        .stored = queue->ledger.stored.count,
        .taken = queue->ledger.taken.count,
        .waiting = ledger_waiting(&queue->ledger),
        .damaged = queue->ledger.taken.damaged,
    };
    return verdict_done();
}
