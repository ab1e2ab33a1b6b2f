#include "replybox.h"

#include "descriptor.h"
#include "reply.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTEMPTS 100
#define HALF     (MESSAGE_TOKEN / 2)

static const char *last_part(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* What is to be deleted if a signal ends us: one at a time, as there is one process to end. */
static const struct replybox *last;

static void tidy_up(void)
{
    if (last != NULL && last->path != NULL) {
        unlinkat(last->lock, last_part(last->path), 0);
    }
    if (last != NULL && last->directory != NULL) {
        unlinkat(last->parent, last_part(last->directory), AT_REMOVEDIR);
    }
}

/*
 * Who sweeps may come between making the directory and locking it: then it has no name any more, or is just
 * about to lose it. That is EEXIST, as if the name had been somebody else's. 0, or -1 and errno.
 */
static int lock_directory(struct replybox *box, const char *name)
{
    struct stat file;
    int error;

    box->lock =
        descriptor_above_standard(openat(box->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (box->lock == -1) {
        error = errno == ENOENT ? EEXIST : errno;
    } else if (flock(box->lock, LOCK_EX | LOCK_NB) == -1) {
        error = errno == EWOULDBLOCK ? EEXIST : errno;
    } else if (fstat(box->lock, &file) == -1) {
        error = errno;
    } else {
        error = file.st_nlink == 0 ? EEXIST : 0;
    }
    if (error != 0 && box->lock != -1) {
        close(box->lock);
    }
    errno = error;
    return error == 0 ? 0 : -1;
}

/* Tries to make the directory `path`. 0, or -1 and errno; EEXIST: try another name. */
static int try_directory(struct replybox *box, char *path)
{
    const char *name = last_part(path);
    mode_t mask = umask(0);
    int made = mkdirat(box->parent, name, 0711);

    umask(mask);
    if (made == -1) {
        return -1;
    }
    if (lock_directory(box, name) == -1) {
        int error = errno;
        unlinkat(box->parent, name, AT_REMOVEDIR);
        errno = error;
        return -1;
    }
    box->directory = path;
    last = box;
    wait_tidily(tidy_up);
    return 0;
}

/* Opens the directory that `path` lies in. */
static int open_parent(const char *path)
{
    char *copy = strndup(path, (size_t)(last_part(path) - path));
    int fd = copy == NULL ? -1 : descriptor_above_standard(open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC));

    free(copy);
    return fd;
}

/* Makes the directory, and locks it. 0, or -1 and errno. */
static int make_directory(struct replybox *box, const char *mailbox)
{
    int result = -1;

    errno = EEXIST;
    for (int i = 0; i < ATTEMPTS && result == -1 && errno == EEXIST; i++) {
        char *path = getrandom(box->address.token, MESSAGE_TOKEN, 0) == MESSAGE_TOKEN
                         ? reply_directory(mailbox, &box->address)
                         : NULL;
        box->parent = path == NULL ? -1 : open_parent(path);
        result = box->parent == -1 ? -1 : try_directory(box, path);
        if (result == -1) {
            int error = errno;
            if (box->parent != -1) {
                close(box->parent);
            }
            free(path);
            errno = error;
        }
    }
    return result;
}

static void delete_fifo(struct replybox *box)
{
    if (box->path != NULL) {
        char *path = box->path;
        unlinkat(box->lock, last_part(path), 0);
        box->path = NULL;
        free(path);
    }
}

static int make_fifo(struct replybox *box)
{
    if (getrandom(box->address.token + HALF, HALF, 0) != HALF) {
        return -1;
    }
    char *path = reply_fifo(box->directory, &box->address);
    if (path != NULL && strlen(path) >= PATH_MAX) {
        free(path);
        errno = ENAMETOOLONG; /* to whoever replies with something else than our commands */
        return -1;
    }
    mode_t mask = umask(0);
    int made = path == NULL ? -1 : mkfifoat(box->lock, last_part(path), S_ISVTX | 0622);
    int error = errno;

    umask(mask);
    if (made == -1) {
        free(path);
        errno = error;
        return -1;
    }
    box->path = path;
    return 0;
}

struct verdict replybox_renew(struct replybox *box, const char *mailbox, uint32_t wants)
{
    if (box->directory == NULL) {
        reply_sweep(mailbox);
        if (make_directory(box, mailbox) == -1) {
            return verdict_errno(
                "cannot make a directory beside it for the answer; use a mailbox in a directory "
                "where you may make files",
                errno);
        }
    }
    delete_fifo(box);
    box->address.wants = wants;
    return make_fifo(box) == -1 ? verdict_errno("cannot make a FIFO for the answer", errno) : verdict_done();
}

void replybox_end(struct replybox *box)
{
    delete_fifo(box);
    if (box->directory != NULL) {
        char *directory = box->directory;
        unlinkat(box->parent, last_part(directory), AT_REMOVEDIR);
        box->directory = NULL;
        last = NULL;
        close(box->lock);
        close(box->parent);
        free(directory);
    }
}
