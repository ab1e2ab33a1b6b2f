#include "reply.h"

#include "descriptor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define HALF   ((ptrdiff_t)MESSAGE_TOKEN / 2)
#define DIGITS (2 * HALF)
#define BASE   200 /* bytes of the mailbox's own name that go into the directory's */

/* Whether exactly DIGITS digits stand there, up to `end`. */
static bool is_number(const char *at, const char *end)
{
    if (end - at != DIGITS) {
        return false;
    }
    for (; at < end; at++) {
        if (!isdigit((unsigned char)*at) && !(*at >= 'a' && *at <= 'f')) {
            return false;
        }
    }
    return true;
}

/* Whether the name, up to `end`, is that of a directory: .MAILBOX.NUMBER */
static bool is_directory_name(const char *name, const char *end)
{
    return end - name > DIGITS + 2 && *name == '.' && end[-DIGITS - 1] == '.' && is_number(end - DIGITS, end);
}

/* Where the part of `path` begins that ends at `end`. */
static const char *part_before(const char *path, const char *end)
{
    while (end > path && end[-1] != '/') {
        end--;
    }
    return end;
}

bool reply_is_name(const char *path)
{
    const char *last = strrchr(path, '/');

    if (last == NULL || !is_number(last + 1, last + strlen(last))) {
        return false;
    }
    return is_directory_name(part_before(path, last), last);
}

static void print_number(char *at, const unsigned char *bytes)
{
    for (size_t i = 0; i < HALF; i++) {
        snprintf(at + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Cuts off the last part of an absolute path, and returns it. What is left of the root is empty. */
static const char *split(char *path)
{
    char *slash = strrchr(path, '/');

    *slash = '\0';
    return slash + 1;
}

char *reply_directory(const char *mailbox, const struct return_address *back)
{
    char real[PATH_MAX], number[DIGITS + 1];
    char *path = NULL;

    if (realpath(mailbox, real) == NULL) {
        return NULL;
    }
    const char *name = split(real);
    print_number(number, back->token);
    return asprintf(&path, "%s/.%.*s.%s", real, BASE, name, number) == -1 ? NULL : path;
}

char *reply_fifo(const char *directory, const struct return_address *back)
{
    char number[DIGITS + 1];
    char *path = NULL;

    print_number(number, back->token + HALF);
    return asprintf(&path, "%s/%s", directory, number) == -1 ? NULL : path;
}

char *reply_path(const char *mailbox, const struct return_address *back)
{
    char *directory = reply_directory(mailbox, back);
    char *path = directory == NULL ? NULL : reply_fifo(directory, back);

    free(directory);
    return path;
}

/* Opens the directory that `path`, a name of two parts that are not to be links, and what is before them,
 * lies in. */
static int open_around(const char *path)
{
    const char *last = strrchr(path, '/');
    const char *name = part_before(path, last);
    char *before = name == path ? strdup(".") : strndup(path, (size_t)(name - path));
    char *own = strndup(name, (size_t)(last - name));
    int parent = before == NULL || own == NULL ? -1 : open(before, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = parent == -1 ? -1 : openat(parent, own, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    if (parent != -1) {
        close(parent);
    }
    free(before);
    free(own);
    errno = error;
    return fd;
}

/* Whether that is the FIFO that the owner of the directory has made to be answered by. */
static bool is_own(const struct stat *file, const struct stat *directory)
{
    return reply_is_fifo(file->st_mode) && file->st_nlink == 1 && file->st_uid == directory->st_uid;
}

int reply_look(const char *path, struct stat *file)
{
    struct stat around;
    int directory = open_around(path);
    int result = directory == -1 || fstat(directory, &around) == -1
                     ? -1
                     : fstatat(directory, strrchr(path, '/') + 1, file, AT_SYMLINK_NOFOLLOW);
    int error = errno;

    if (result == 0 && S_ISFIFO(file->st_mode) && !is_own(file, &around)) {
        result = -1;
        error = EPERM;
    }
    if (directory != -1) {
        close(directory);
    }
    errno = error;
    return result;
}

int reply_open(const char *path, int flags)
{
    struct stat file, around;
    int directory = open_around(path);
    int fd = directory == -1 ? -1 : descriptor_open(directory, strrchr(path, '/') + 1, flags, S_IFIFO);
    int error = errno;

    if (fd != -1 && (fstat(fd, &file) == -1 || fstat(directory, &around) == -1 || !is_own(&file, &around))) {
        close(fd);
        fd = -1;
        error = EPERM;
    }
    if (directory != -1) {
        close(directory);
    }
    errno = error;
    return fd;
}

bool reply_put_notice(int fd, const struct notice *notice)
{
    struct frame frame = {0};

    message_put_notice(&frame, notice, sizeof *notice, getpid());
    return write(fd, frame.bytes, frame.length) == (ssize_t)frame.length;
}

bool reply_get_notice(const struct message *message, struct notice *notice)
{
    if (message->form != FORM_NOTICE || message->length != sizeof *notice) {
        return false;
    }
    memcpy(notice, message->content, sizeof *notice);
    notice->name[NOTICE_NAME - 1] = '\0';
    char name[NOTICE_NAME];
    memcpy(name, notice->name, sizeof name);
    reply_set_name(notice, name);
    return true;
}

void reply_set_name(struct notice *notice, const char *name)
{
    size_t length = 0;

    memset(notice->name, 0, sizeof notice->name);
    for (; *name != '\0' && *name != '\n' && length < NOTICE_NAME - 1; name++) {
        notice->name[length++] = *name;
        if (*name == ' ' || iscntrl((unsigned char)*name)) {
            notice->name[length - 1] = '_';
        }
    }
    if (length == 0) {
        notice->name[0] = '-';
    }
}

/* Deletes the directory `name` in `parent` if whoever made it is gone. */
static void sweep_one(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    struct stat file;

    if (list == NULL) {
        if (fd != -1) {
            close(fd);
        }
        return;
    }
    while ((entry = readdir(list)) != NULL) {
        if (fstatat(fd, entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 && reply_is_fifo(file.st_mode)) {
            unlinkat(fd, entry->d_name, 0);
        }
    }
    unlinkat(parent, name, AT_REMOVEDIR); /* fails if there is anything else in it */
    closedir(list);
}

void reply_sweep(const char *mailbox)
{
    char real[PATH_MAX], prefix[BASE + 3];
    const struct dirent *entry;

    if (realpath(mailbox, real) == NULL) {
        return;
    }
    int length = snprintf(prefix, sizeof prefix, ".%.*s.", BASE, split(real));
    DIR *list = opendir(*real == '\0' ? "/" : real);
    while (list != NULL && (entry = readdir(list)) != NULL) {
        const char *end = entry->d_name + strlen(entry->d_name);
        if (strncmp(entry->d_name, prefix, (size_t)length) == 0 && entry->d_name + length == end - DIGITS &&
            is_number(end - DIGITS, end)) {
            sweep_one(dirfd(list), entry->d_name);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
}
