#include "mailbox.h"

#include "descriptor.h"
#include "queue.h"
#include "reply.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char *const part_of = "is a part of the buffered mailbox that it lies in, and none itself";
static const char *const gone = "removed or replaced, so it is no longer the mailbox it was";

/* What a file that is no FIFO is called in "is a ..., not a mailbox". */
static const char *other_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "is a directory, not a mailbox";
    case S_IFREG:
        return "is a regular file, not a mailbox";
    case S_IFSOCK:
        return "is a socket, not a mailbox";
    case S_IFLNK:
        return "is a symbolic link, not a mailbox";
    default:
        return "is a device, not a mailbox";
    }
}

/* Whether the directory that really holds `path` is one where anybody could have put a trap for us. */
static bool is_trap(const char *path, const struct stat *file)
{
    char real[PATH_MAX];
    struct stat directory;

    if (realpath(path, real) == NULL || stat(dirname(real), &directory) == -1) {
        return true; /* somebody is moving things about under us: not to be trusted either */
    }
    return (directory.st_mode & S_ISVTX) && (directory.st_mode & S_IWOTH) && directory.st_uid != file->st_uid;
}

/* What a failed look at a name says: status 3 where there can be no mailbox, otherwise 2. */
static struct verdict not_found(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return (struct verdict){STATUS_GONE, error, ""};
    default:
        return verdict_errno("cannot look at it", error);
    }
}

/* The same for a name that looks like that of a reply FIFO. */
static struct verdict no_address(int error)
{
    switch (error) {
    case ENOENT:
        return verdict(STATUS_GONE, "nobody waits for this reply any more");
    case EPERM:
    case ENOTDIR:
        return verdict(STATUS_GONE, "is not where somebody waits for a reply");
    default:
        return not_found(error);
    }
}

struct verdict mailbox_find(const char *path, struct mailbox *box)
{
    struct stat file;

    /* A name that a request leads to, and with it a hostile one, leads nowhere else. */
    bool is_address = reply_is_name(path);
    int looked = is_address ? reply_look(path, &file) : stat(path, &file);
    if (looked == -1) {
        return is_address        ? no_address(errno)
               : errno == ENOENT ? verdict(STATUS_GONE, "no such mailbox; make it with fifo-make")
                                 : not_found(errno);
    }
    bool buffered = S_ISDIR(file.st_mode) && queue_is_mailbox(path);
    if (S_ISDIR(file.st_mode) && !buffered && errno == EACCES) {
        return verdict_errno("cannot look into it", EACCES);
    }
    if (!S_ISFIFO(file.st_mode) && !buffered) {
        return verdict(STATUS_GONE, other_type(file.st_mode));
    }
    if (!buffered && queue_is_bell(path, file.st_mode)) {
        return verdict(STATUS_GONE, part_of);
    }
    *box =
        (struct mailbox){.id = {path, file.st_dev, file.st_ino}, .owner = file.st_uid, .buffered = buffered};
    if (strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0) {
        struct statfs fs;
        box->anonymous = statfs(path, &fs) == 0 && fs.f_type == PIPEFS_MAGIC;
    }
    /* getauxval() is geteuid() without the system call. */
    if (file.st_uid != (uid_t)getauxval(AT_EUID) && !box->anonymous && is_trap(path, &file)) {
        return verdict(STATUS_ERROR,
                       "belongs to another user, in a sticky directory that anyone can write to; refused: "
                       "use a mailbox in a directory of your own");
    }
    box->reply = !buffered && reply_is_fifo(file.st_mode);
    box->anonymous |= box->reply;
    return verdict_done();
}

static struct verdict check_opened(const struct mailbox *box, int opened, int *fd)
{
    struct stat file;

    opened = descriptor_above_standard(opened);
    if (opened == -1 || fstat(opened, &file) == -1) {
        return verdict_errno("cannot open it", errno);
    }
    if (file.st_dev != box->id.device || file.st_ino != box->id.inode) {
        close(opened);
        return verdict(STATUS_GONE, gone);
    }
    *fd = opened;
    return verdict_done();
}

struct verdict mailbox_open(const struct mailbox *box, int flags, int *fd)
{
    /* A name that a request leads to is followed part by part: it may have become a link since we looked. */
    int opened = box->reply ? reply_open(box->id.path, flags)
                            : open(box->id.path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (opened == -1 && box->reply && (errno == EPERM || errno == ELOOP || errno == EINVAL)) {
        return no_address(EPERM);
    }
    if (opened == -1) {
        return errno == ENOENT || errno == ENOTDIR ? verdict(STATUS_GONE, gone)
                                                   : verdict_errno("cannot open it", errno);
    }
    return check_opened(box, opened, fd);
}

static long open_write_end(void *path)
{
    return open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
}

struct verdict mailbox_open_waiting(const struct mailbox *box, deadline until, int *fd)
{
    union {
        const char *in;
        void *out;
    } path = {.in = box->id.path};
    long opened;

    watch_start(&box->id);
    for (;;) {
        if (watch_gone(&box->id)) {
            return verdict(STATUS_GONE, gone);
        }
        switch (wait_call(open_write_end, path.out, &opened, until, WAIT_NAME | WAIT_MORTAL)) {
        case WAKE_DEADLINE:
            return verdict(STATUS_TIMEOUT, "timed out: no receiver came");
        case WAKE_NAME:
            break;
        default:
            if (opened != -1) {
                fcntl((int)opened, F_SETFL, O_NONBLOCK);
                return check_opened(box, (int)opened, fd);
            }
            if (errno != EINTR) {
                return errno == ENOENT ? verdict(STATUS_GONE, gone) : verdict_errno("cannot open it", errno);
            }
        }
    }
}

void mailbox_grow(int fd, size_t bytes)
{
    int now = fcntl(fd, F_GETPIPE_SZ);

    while (now > 0 && bytes > (size_t)now && fcntl(fd, F_SETPIPE_SZ, (int)bytes) == -1) {
        bytes /= 2;
    }
}

int mailbox_make(const char *path, mode_t mode, bool masked)
{
    if (masked) {
        return mkfifo(path, mode);
    }
    /* Creating with the wanted bits and no umask needs no chmod(2) after it, so there is no moment between.
     */
    mode_t before = umask(0);
    int result = mkfifo(path, mode);
    int error = errno;

    umask(before);
    errno = error;
    return result;
}

struct verdict mailbox_remove(const char *path, bool force)
{
    struct stat file;

    if (lstat(path, &file) == -1) {
        return not_found(errno);
    }
    if (S_ISDIR(file.st_mode)) {
        return queue_remove(path, force);
    }
    if (!S_ISFIFO(file.st_mode)) {
        return verdict(STATUS_GONE, other_type(file.st_mode));
    }
    if (queue_is_bell(path, file.st_mode)) {
        return verdict(STATUS_GONE, part_of);
    }
    reply_sweep(path);
    /* Pinned first, opened only when the name is gone: nobody can find us as the other end they wait for. */
    int pin = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (unlink(path) == -1) {
        int error = errno;
        if (pin != -1) {
            close(pin);
        }
        return error == ENOENT ? not_found(error) : verdict_errno("cannot remove it", error);
    }
    struct stat pinned;
    if (pin != -1 && fstat(pin, &pinned) == 0 && pinned.st_ino == file.st_ino &&
        pinned.st_dev == file.st_dev) {
        char alias[32];
        snprintf(alias, sizeof alias, "/proc/self/fd/%d", pin);
        int both = open(alias, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (both != -1) {
            close(both);
        }
    }
    if (pin != -1) {
        close(pin);
    }
    return verdict_done();
}
