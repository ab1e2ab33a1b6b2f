#include "queue-inner.h"

#include "descriptor.h"
#include "repair.h"
#include "reply.h"
#include "wait.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE MILLISECONDS(1000)

static const char *const stuck =
    "another process is at work in it and does not end; -f removes it all the same";

/* In the order in which they are deleted: without the log it is no mailbox any more, and everyone knows. */
static const struct part {
    const char *name;
    mode_t type;
} parts[] = {{QUEUE_LOG, S_IFREG}, {QUEUE_READY, S_IFIFO}, {QUEUE_SPACE, S_IFIFO}, {QUEUE_STATE, S_IFREG}};

#define PARTS (sizeof parts / sizeof *parts)

static bool is_part(int directory, const char *name)
{
    struct stat file;

    for (size_t i = 0; i < PARTS; i++) {
        if (strcmp(name, parts[i].name) == 0) {
            return fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
                   (file.st_mode & S_IFMT) == parts[i].type;
        }
    }
    return false;
}

/* Whether the file begins as the files of a mailbox do. */
static bool is_ours(int directory, const char *name)
{
    struct config config;
    int fd = descriptor_open(directory, name, O_RDONLY, S_IFREG);
    bool ours = fd != -1 && ledger_read_config(fd, &config);

    if (fd != -1) {
        close(fd);
    }
    return ours;
}

/* Why it could not be removed. Somebody else may have been faster. */
static struct verdict not_removed(int error)
{
    return error == ENOENT ? (struct verdict){STATUS_GONE, ENOENT, ""}
                           : verdict_errno("cannot remove it", error);
}

static bool is_deleted(int directory)
{
    struct stat file;
    return fstat(directory, &file) == 0 && file.st_nlink == 0;
}

/* Status 3 if it is another directory, 2 if there is more in it than a mailbox. */
static struct verdict inspect(int directory)
{
    size_t known = 0, unknown = 0;
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy == -1 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (list == NULL) {
        return verdict_errno("cannot look into it", errno);
    }
    while ((entry = readdir(list)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            bool is_known = is_part(directory, entry->d_name);
            known += is_known ? 1 : 0;
            unknown += is_known ? 0 : 1;
        }
    }
    closedir(list);
    if (known + unknown == 0 && is_deleted(directory)) {
        return not_removed(ENOENT);
    }
    /* What a removal leaves that was killed has `.state` to the last. */
    if (known < PARTS && !is_ours(directory, QUEUE_STATE) && !is_ours(directory, QUEUE_LOG)) {
        return verdict(STATUS_GONE, "is a directory, not a mailbox");
    }
    return unknown > 0
               ? verdict(STATUS_ERROR, "holds a file that does not belong to a mailbox; nothing is removed")
               : verdict_done();
}

/*
 * Keeps everyone out, so that nothing is stored between the look and the end, and counts what waits. One that
 * is damaged beyond that counts as holding something.
 */
static struct verdict close_down(struct queue *queue, bool force)
{
    queue->until = deadline_in(PATIENCE);
    struct verdict v = queue_lock(queue, QUEUE_TAKE);
    if (v.status == STATUS_DONE) {
        v = queue_lock(queue, QUEUE_STORE);
    }
    if (v.status == STATUS_DONE) {
        v = repair_locked(queue, false);
    }
    if (v.status == STATUS_TIMEOUT) {
        v = verdict(STATUS_ERROR, stuck);
    }
    if (v.status == STATUS_DONE && queue->gone) {
        return not_removed(ENOENT);
    }
    if (v.status == STATUS_DONE && ledger_waiting(&queue->ledger) > 0) {
        v = verdict(STATUS_ERROR, "still holds messages; -f removes it with them");
    }
    return force ? verdict_done() : v;
}

int queue_delete_parts(int directory)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < PARTS; i++) {
        if (unlinkat(directory, parts[i].name, 0) == -1 && errno != ENOENT) {
            result = -1;
        }
    }
    return result;
}

/* Takes the name away first: whether that may be done is known before anything is lost. */
static int demolish(const char *path, int directory)
{
    char *hidden = queue_hidden_name(path);
    int result = hidden == NULL ? -1 : faccessat(directory, ".", W_OK | X_OK, AT_EACCESS);
    struct stat ours, there;

    if (result == 0 && (fstat(directory, &ours) == -1 || lstat(path, &there) == -1 ||
                        ours.st_ino != there.st_ino || ours.st_dev != there.st_dev)) {
        errno = ENOENT;
        result = -1;
    }
    if (result == 0) {
        result = renameat2(AT_FDCWD, path, AT_FDCWD, hidden, RENAME_NOREPLACE);
    }
    if (result == 0) {
        result = queue_delete_parts(directory);
    }
    if (result == 0) {
        result = rmdir(hidden);
    }
    free(hidden);
    return result;
}

static struct verdict open_queue(struct queue *queue, const char *path, int directory)
{
    struct stat file;

    if (fstat(directory, &file) == -1) {
        return verdict_errno("cannot look at it", errno);
    }
    return queue_open(queue, &(struct identity){path, file.st_dev, file.st_ino}, QUEUE_RECEIVER);
}

struct verdict queue_remove(const char *path, bool force)
{
    struct queue queue = {.until = deadline_in(PATIENCE)};
    bool opened = false;

    wait_begin();
    wait_mortal();
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (directory == -1) {
        return not_removed(errno);
    }
    struct verdict v = inspect(directory);
    if (v.status == STATUS_DONE) {
        v = open_queue(&queue, path, directory);
        opened = v.status == STATUS_DONE;
        if (v.status == STATUS_DONE) {
            v = close_down(&queue, force);
        } else if (v.status == STATUS_TIMEOUT && !force) {
            v = verdict(STATUS_ERROR, stuck);
        } else if (force || v.status == STATUS_GONE) {
            /* What was left by a removal that was killed; or it is too damaged, or not ours, to be looked
             * into. */
            v = verdict_done();
        }
    }
    if (v.status == STATUS_DONE) {
        reply_sweep(path);
    }
    if (v.status == STATUS_DONE && demolish(path, directory) == -1) {
        v = not_removed(errno);
    }
    if (opened) {
        queue_close(&queue);
    }
    close(directory);
    return v;
}
