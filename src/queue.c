#include "queue-inner.h"

#include "descriptor.h"
#include "lock.h"
#include "repair.h"
#include "wait.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the locks lie: behind what any log can reach. A gate lies beside its lock, so that one call takes
 * both. */
#define LOCKS  (INT64_C(1) << 62)
#define CHAIRS (LOCKS + 16)

static const struct {
    int64_t first;
    int64_t count;
    int64_t lock;      /* of these, what is not a gate */
    int64_t signature; /* where one signs who is exclusive and keeps the gate, see lock.h; 0: there is none */
} places[] = {
    [QUEUE_TAKE] = {1, 1, 1, 0},  [QUEUE_STORE] = {2, 1, 2, 0},  [QUEUE_SYNC] = {4, 1, 4, 0},
    [QUEUE_LEASE] = {0, 2, 1, 8}, [QUEUE_APPEND] = {2, 2, 2, 9},
};

/* How long -n waits for a lock that is held for microseconds, unless its holder was stopped right then. */
#define GRACE MILLISECONDS(500)

#define ATTEMPTS 8

/* Whether the log is still in its place. It may have names elsewhere, as of a backup by links. */
static bool is_there(const struct queue *queue, const struct stat *log)
{
    struct stat file;

    return fstatat(queue->directory, QUEUE_LOG, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
           file.st_ino == log->st_ino && file.st_dev == log->st_dev;
}

uint64_t queue_size(struct queue *queue)
{
    struct stat file;

    if (fstat(queue->log, &file) == -1) {
        return 0;
    }
    queue->gone = file.st_nlink == 0 || (queue->watched && !is_there(queue, &file));
    return (uint64_t)file.st_size;
}

bool queue_is_gone(struct queue *queue)
{
    queue_size(queue);
    return queue->gone;
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

/* The verdict of a wait that has ended, or of 0 if it goes on. */
static struct verdict ended(struct queue *queue, enum wake wake, const char *late)
{
    switch (wake) {
    case WAKE_NAME:
        queue_size(queue);
        return queue->gone ? verdict(STATUS_GONE, "removed while waiting") : verdict_done();
    case WAKE_SIGNAL:
        return verdict(STATUS_SIGNAL + wait_signal(),
                       queue->side == QUEUE_SENDER ? "ended by a signal; the message is not stored" : NULL);
    case WAKE_DEADLINE:
        return verdict(STATUS_TIMEOUT, late);
    default:
        return verdict_done();
    }
}

bool queue_try(struct queue *queue, enum queue_lock lock)
{
    struct lock wanted = place(queue, lock);
    return lock_try(&wanted);
}

bool queue_lock_soon(struct queue *queue, enum queue_lock lock)
{
    struct lock wanted = place(queue, lock);

    if (lock_try(&wanted) || lock_wait(&wanted, deadline_in(GRACE), 0) == WAKE_DONE) {
        return true;
    }
    queue_unlock(queue, lock);
    return false;
}

/* Who is exclusive keeps the gate from now on, and signs beside it. */
static struct verdict have(const struct queue *queue, enum queue_lock lock)
{
    if (queue->exclusive && places[lock].signature != 0) {
        lock_sign(queue->log, LOCKS + places[lock].signature);
    }
    return verdict_done();
}

static const char *signed_or(const struct queue *queue, enum queue_lock lock, const char *begin,
                             const char *otherwise)
{
    return places[lock].signature != 0
               ? lock_signed(queue->log, LOCKS + places[lock].signature, begin, otherwise)
               : otherwise;
}

struct verdict queue_lock(struct queue *queue, enum queue_lock lock)
{
    struct lock wanted = place(queue, lock);
    deadline until = queue->until;

    if (lock_try(&wanted)) {
        return have(queue, lock);
    }
    if (queue->nonblock) {
        const char *held = signed_or(queue, lock, "busy", NULL);
        if (held != NULL) {
            return verdict(STATUS_NOT_NOW, held);
        }
        until = deadline_sooner(until, deadline_in(GRACE));
    }
    queue_watch(queue);
    for (;;) {
        enum wake wake = lock_wait(&wanted, until, WAIT_NAME | WAIT_MORTAL);
        if (wake == WAKE_DONE) {
            return have(queue, lock);
        }
        if (wake == WAKE_FAILED) {
            return verdict_errno("cannot lock it", errno);
        }
        queue_unlock(queue, lock);
        if (wake == WAKE_DEADLINE && queue->nonblock) {
            return verdict(STATUS_NOT_NOW,
                           signed_or(queue, lock, "busy", "busy: another process is at work"));
        }
        struct verdict v =
            ended(queue, wake, signed_or(queue, lock, "timed out", "timed out: another process is at work"));
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

static struct verdict open_log(struct queue *queue, const struct identity *who)
{
    struct stat directory;
    int flags = queue->side == QUEUE_LOOK ? O_RDONLY : O_RDWR;

    queue->readable = true;
    queue->writable = queue->side != QUEUE_LOOK;
    queue->directory = descriptor_above_standard(
        open(who->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    /* Since it was found, somebody may have put another one in its place, which would have been refused. */
    if (queue->directory != -1 && (fstat(queue->directory, &directory) == -1 ||
                                   directory.st_dev != who->device || directory.st_ino != who->inode)) {
        return verdict(STATUS_GONE, "removed or replaced, so it is no longer the mailbox it was");
    }
    if (queue->directory != -1) {
        queue->log = open_file(queue, QUEUE_LOG, flags);
    }
    if (queue->directory != -1 && queue->log == -1 && errno == EACCES && queue->side == QUEUE_SENDER) {
        queue->readable = false;
        queue->log = open_file(queue, QUEUE_LOG, O_WRONLY);
    }
    if (queue->log != -1) {
        return verdict_done();
    }
    return errno == ENOENT || errno == ENOTDIR || errno == EINVAL || errno == ELOOP
               ? verdict(STATUS_GONE, "no such buffered mailbox")
               : verdict_errno("cannot open it", errno);
}

/* Whether the log begins as one does. Who may not read it believes it. */
static bool has_header(const struct queue *queue)
{
    struct config config;

    return !queue->readable || ledger_read_config(queue->log, &config);
}

/*
 * What to do when a part of it could not be opened, errno says why. Status 0: try again. One that is missing
 * can be made again: `.state` is found again from the log, and bells hold nothing. But without a log it is a
 * removal that is just taking place, and with any other file of that name it is no mailbox.
 */
static struct verdict without(struct queue *queue, const char *name, mode_t type)
{
    int error = errno;

    queue_size(queue);
    if (queue->gone) {
        return verdict(STATUS_GONE, "removed");
    }
    if (error != ENOENT && error != EINVAL && error != ELOOP) {
        return verdict_errno("cannot open what belongs to it", error);
    }
    if (!has_header(queue)) {
        return verdict(STATUS_GONE, "no such buffered mailbox");
    }
    return error == ENOENT && queue->side != QUEUE_LOOK &&
                   queue_mend(queue->directory, queue->log, name, type) == 0
               ? verdict_done()
               : verdict(STATUS_REFUSED,
                         error == ENOENT
                             ? "damaged: a part of it is missing; fifo-recv makes it again, for its owner"
                             : "damaged: something else lies in place of a part of it; remove that, and "
                               "fifo-recv "
                               "makes the part again, for its owner");
}

static struct verdict open_part(struct queue *queue, int *fd, const char *name, int flags, mode_t type)
{
    struct verdict v = verdict_done();

    for (int i = 0; i < ATTEMPTS && v.status == STATUS_DONE; i++) {
        *fd = descriptor_open(queue->directory, name, flags, type);
        if (*fd != -1) {
            return v;
        }
        v = without(queue, name, type);
    }
    return v.status == STATUS_DONE ? verdict_errno("cannot open what belongs to it", ENOENT) : v;
}

struct verdict queue_sleep(struct queue *queue, struct bell *bell, const char *none, const char *late)
{
    if (queue->nonblock) {
        return verdict(STATUS_NOT_NOW, none);
    }
    if (queue->late) {
        return verdict(STATUS_TIMEOUT, late);
    }
    if (bell->fd == -1) {
        struct verdict opened = open_part(queue, &bell->fd, bell->name, O_RDONLY, S_IFIFO);
        if (opened.status != STATUS_DONE) {
            return opened;
        }
    }
    queue_watch(queue);
    bool seated = bell->chair != 0;
    enum wake wake = seated ? bell_sleep(bell, queue->until) : bell_sit(bell, queue->until);
    if (wake == WAKE_FAILED) {
        return verdict_errno("cannot wait at it", errno);
    }
    struct verdict v = ended(queue, wake, late);
    queue->late = v.status == STATUS_TIMEOUT;
    return queue->late ? verdict_done() : v;
}

/*
 * Who may change something has the bell open that tells of it: if he is killed between the change and the
 * ring, its closing rings (bell.h).
 */
static struct verdict open_bells(struct queue *queue)
{
    struct verdict v = verdict_done();

    if (queue->side != QUEUE_LOOK) {
        v = open_part(queue, &queue->ready.fd, QUEUE_READY, O_RDONLY, S_IFIFO);
    }
    if (v.status == STATUS_DONE && queue->side == QUEUE_RECEIVER && queue->ledger.config.capacity > 0) {
        v = open_part(queue, &queue->space.fd, QUEUE_SPACE, O_RDONLY, S_IFIFO);
    }
    return v;
}

/* Whether there is a regular file `name` in the directory that the first `length` bytes of `path` lead to. */
static bool has_file(const char *path, size_t length, const char *name)
{
    /* Names are short, and no page of the stack is touched, nor one of printf(3), that needs not be. */
    char brief[256];
    size_t size = strlen(name) + 1;
    char *whole = length + size <= sizeof brief ? brief : malloc(length + size);
    struct stat file;

    if (whole == NULL) {
        return false;
    }
    memcpy(whole, path, length);
    memcpy(whole + length, name, size);
    errno = 0;
    bool has = lstat(whole, &file) == 0 && S_ISREG(file.st_mode);
    int error = errno;
    if (whole != brief) {
        free(whole);
    }
    errno = error;
    return has;
}

bool queue_is_mailbox(const char *path)
{
    return has_file(path, strlen(path), "/" QUEUE_LOG);
}

bool queue_is_bell(const char *path, mode_t mode)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t length = (size_t)(name - path);

    return (mode & QUEUE_BELL_MARK) ||
           ((strcmp(name, QUEUE_READY) == 0 || strcmp(name, QUEUE_SPACE) == 0) &&
            has_file(path, length, QUEUE_LOG) && has_file(path, length, QUEUE_STATE));
}

struct verdict queue_open(struct queue *queue, const struct identity *who, enum queue_side side)
{
    struct rlimit limit;

    wait_begin();
    queue->side = side;
    queue->directory = queue->log = queue->state = queue->ready.fd = queue->space.fd = -1;
    /* A part of `.state` is written whole or not at all, but a limit may lie in the middle of it. */
    if (side != QUEUE_LOOK && getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < sizeof queue->ledger) {
        return verdict_errno("cannot be used under such a limit on file sizes (ulimit -f)", EFBIG);
    }
    struct verdict v = open_log(queue, who);
    if (v.status == STATUS_DONE) {
        int flags = queue->side == QUEUE_LOOK ? O_RDONLY : O_RDWR;
        v = open_part(queue, &queue->state, QUEUE_STATE, flags, S_IFREG);
    }
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
