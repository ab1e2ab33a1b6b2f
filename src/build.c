#include "queue-inner.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Those who may write the log may read and write what goes with it; those who may read it may read that. */
static mode_t mode_beside(mode_t mode)
{
    return (mode & 0666) | (mode & 0222) << 1;
}

/*
 * Those who may do anything with the log may pass through the directory and, to hear of removal, open it;
 * only the owner may change it.
 */
static mode_t mode_around(mode_t mode)
{
    mode_t any = (mode & 044) | (mode & 022) << 1;
    return 0700 | any | any >> 2;
}

static int write_file(int directory, const char *name, mode_t mode, const void *bytes, size_t length)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd == -1) {
        return -1;
    }
    ssize_t written = write(fd, bytes, length);
    if (written >= 0 && written != (ssize_t)length) {
        errno = ENOSPC;
    }
    int result = written == (ssize_t)length ? fsync(fd) : -1;
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static int fill(int directory, mode_t mode, const struct config *config)
{
    struct ledger ledger = {
        .config = *config,
        .stored = {.generation = 1, .tail = LOG_START},
        .taken = {.generation = 1, .head = LOG_START, .fresh = LOG_START},
    };
    struct log_header header = ledger_header(config, 1);

    ledger_seal(&ledger);
    return write_file(directory, QUEUE_STATE, mode_beside(mode), &ledger, sizeof ledger) == 0 &&
                   write_file(directory, QUEUE_LOG, mode & 0666, &header, sizeof header) == 0 &&
                   mkfifoat(directory, QUEUE_READY, mode_beside(mode) | QUEUE_BELL_MARK) == 0 &&
                   mkfifoat(directory, QUEUE_SPACE, mode_beside(mode) | QUEUE_BELL_MARK) == 0
               ? fsync(directory)
               : -1;
}

/* Gives a file that we have just made, with no permissions, to whom the log belongs. */
static int give_away(int directory, const char *name, const struct stat *log, mode_t mode)
{
    if (fchownat(directory, name, log->st_uid, log->st_gid, AT_SYMLINK_NOFOLLOW) == 0 &&
        fchmodat(directory, name, mode, 0) == 0) {
        return 0;
    }
    int error = errno;
    unlinkat(directory, name, 0);
    errno = error;
    return -1;
}

int queue_mend(int directory, int log, const char *name, mode_t type)
{
    struct stat file, made;

    if (fstat(log, &file) == -1) {
        return -1;
    }
    mode_t mode = mode_beside(file.st_mode) | (type == S_IFIFO ? QUEUE_BELL_MARK : 0);
    /* Who is neither its owner nor root could give it to nobody. */
    bool ours = file.st_uid == geteuid();
    mode_t mask = umask(0);
    int result = mknodat(directory, name, type | (ours ? mode : 0), 0);
    umask(mask);
    if (result == -1) {
        return errno == EEXIST ? 0 : -1;
    }
    bool is_right =
        ours && fstatat(directory, name, &made, AT_SYMLINK_NOFOLLOW) == 0 && made.st_gid == file.st_gid;
    return is_right ? 0 : give_away(directory, name, &file, mode);
}

/* Never over anything. Where the file system cannot promise that, there is a moment between look and rename.
 */
static int rename_alone(const char *from, const char *to)
{
    struct stat there;
    int result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);

    if (result == -1 && errno == EINVAL) {
        errno = EEXIST;
        result = lstat(to, &there) == 0 ? -1 : rename(from, to);
    }
    return result;
}

/* Makes it all under the name `hidden`, and then calls it `path`. */
static int build(const char *hidden, const char *path, mode_t mode, const struct config *config)
{
    if (mkdir(hidden, 0700) == -1) {
        return -1;
    }
    int directory = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int result = directory == -1 ? -1 : fill(directory, mode, config);
    if (result == 0) {
        result = fchmod(directory, mode_around(mode));
    }
    if (result == 0) {
        result = rename_alone(hidden, path);
    }
    int error = errno;
    if (result == -1 && directory != -1) {
        queue_delete_parts(directory);
    }
    if (directory != -1) {
        close(directory);
    }
    if (result == -1) {
        rmdir(hidden);
    }
    errno = error;
    return result;
}

char *queue_hidden_name(const char *path)
{
    char *copies[] = {strdup(path), strdup(path)};
    char *hidden = NULL;
    uint64_t random;

    if (copies[0] != NULL && copies[1] != NULL &&
        getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random &&
        asprintf(&hidden, "%s/.%.200s.%016llx", dirname(copies[0]), basename(copies[1]),
                 (unsigned long long)random) == -1) {
        hidden = NULL;
    }
    free(copies[0]);
    free(copies[1]);
    return hidden;
}

/* So that the name itself survives a power loss. */
static void sync_parent(const char *hidden)
{
    char *copy = strdup(hidden);
    int fd = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd != -1) {
        fsync(fd);
        close(fd);
    }
    free(copy);
}

struct verdict queue_make(const char *path, mode_t mode, bool masked, uint64_t capacity, bool sync)
{
    struct config config = {.capacity = capacity, .flags = sync ? LEDGER_SYNC : 0};
    char *hidden = ledger_configure(&config) ? queue_hidden_name(path) : NULL;

    if (hidden == NULL) {
        return verdict_errno("", errno);
    }
    mode_t mask = umask(0);
    int result = build(hidden, path, masked ? mode & ~mask : mode, &config);
    int error = errno;
    umask(mask);
    if (result == 0) {
        sync_parent(hidden);
    }
    free(hidden);
    return result == 0 ? verdict_done() : verdict_errno("", error);
}
