#include "create.h"

#include "mailbox.h"
#include "mode.h"
#include "queue.h"
#include "wait.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* How long a damaged mailbox that is there already is waited for. */
#define PATIENCE MILLISECONDS(1000)

struct verdict create_mode(struct creation *creation, const char *text)
{
    mode_t mask = umask(0);

    umask(mask);
    if (text == NULL) {
        creation->mode = 0666;
        creation->masked = true;
        return verdict_done();
    }
    switch (mode_parse(text, mask, &creation->mode)) {
    case MODE_OK:
        return verdict_done();
    case MODE_NOT_PERMISSIONS:
        return verdict(STATUS_ERROR, "a mailbox has permission bits only: mode from 0 to 0777");
    default:
        return verdict(STATUS_ERROR, "invalid mode");
    }
}

/*
 * Makes the directories that lead to `path`. As mkdir -p does, each one with u+wx beyond the umask, without
 * which the next could not be made in it.
 */
static int make_parents(const char *path)
{
    mode_t mask = umask(0);
    char *copy = strdup(path);
    int result = copy == NULL ? -1 : 0;

    umask(mask & ~(mode_t)0300);
    for (char *slash = copy; result == 0 && (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        if (mkdir(copy, 0777) == -1 && errno != EEXIST) {
            struct stat there;
            /* A directory that exists where we may not write says EACCES or EROFS, not EEXIST. */
            int error = errno;
            result = stat(copy, &there) == 0 && S_ISDIR(there.st_mode) ? 0 : -1;
            errno = error;
        }
        *slash = '/';
    }
    int error = errno;
    umask(mask);
    free(copy);
    errno = error;
    return result;
}

static int make(const struct creation *creation, const char *path)
{
    if (!creation->buffered) {
        return mailbox_make(path, creation->mode, creation->masked);
    }
    struct verdict v = queue_make(path, creation->mode, creation->masked, creation->capacity, creation->sync);
    errno = v.error;
    return v.status == STATUS_DONE ? 0 : -1;
}

/* Says how a buffered mailbox that is there differs from what was asked for. */
static struct verdict compare(struct creation *creation, const struct queue_counts *counts)
{
    char *text = creation->difference;
    size_t room = sizeof creation->difference;
    int length = 0;

    if (counts->capacity != creation->capacity) {
        length = counts->capacity == 0 ? snprintf(text, room, ", unbounded")
                                       : snprintf(text, room, ", for %" PRIu64 " messages", counts->capacity);
    }
    if (counts->sync != creation->sync) {
        length +=
            snprintf(text + length, room - (size_t)length, ", %s --sync", counts->sync ? "with" : "without");
    }
    return length == 0 ? verdict_done()
                       : verdict(STATUS_ERROR, "there is a buffered mailbox of another kind");
}

/* What is there already: nothing to do if it is what was asked for. */
static struct verdict accept(struct creation *creation, const char *path)
{
    struct queue queue = {.until = deadline_in(PATIENCE)};
    struct queue_counts counts;
    struct mailbox box;
    struct verdict v = mailbox_find(path, &box);

    if (v.status != STATUS_DONE) {
        return (struct verdict){STATUS_ERROR, v.error, v.reason};
    }
    creation->was_there = true;
    if (box.buffered != creation->buffered) {
        return verdict(STATUS_ERROR,
                       box.buffered ? "there is a buffered mailbox" : "there is one, not buffered");
    }
    if (!box.buffered) {
        return verdict_done();
    }
    wait_begin();
    wait_mortal();
    v = queue_open(&queue, &box.id, QUEUE_LOOK);
    if (v.status == STATUS_REFUSED) {
        v = queue_open(&queue, &box.id, QUEUE_RECEIVER); /* which repairs it, if it can be */
    }
    if (v.status == STATUS_DONE) {
        v = queue_count(&queue, &counts);
        queue_close(&queue);
    }
    if (v.status == STATUS_TIMEOUT) {
        v = verdict(STATUS_ERROR, "damaged, and another process is at work in it and does not end");
    }
    return v.status == STATUS_DONE ? compare(creation, &counts) : v;
}

static const struct verdict inside = {STATUS_ERROR, 0,
                                      "would lie in a buffered mailbox, where nothing else may be"};

static bool is_inside_mailbox(const char *path)
{
    char *copy = strdup(path);
    bool is_inside = copy != NULL && queue_is_mailbox(dirname(copy));

    free(copy);
    return is_inside;
}

struct verdict create(struct creation *creation, const char *path)
{
    struct stat there;

    *creation->difference = '\0';
    creation->was_there = false;
    if (is_inside_mailbox(path)) {
        return inside;
    }
    if (make(creation, path) == 0) {
        return verdict_done();
    }
    bool ends_in_slash = *path != '\0' && path[strlen(path) - 1] == '/';
    if (creation->parents && errno == ENOENT && *path != '\0' && !ends_in_slash) {
        if (make_parents(path) == -1) {
            return verdict_errno("cannot make its parent directories", errno);
        }
        if (make(creation, path) == 0) {
            return verdict_done();
        }
    }
    /* Where nothing could be made, it is not EEXIST that says so first, but EACCES or EROFS. */
    int error = errno;
    return creation->parents && stat(path, &there) == 0 ? accept(creation, path) : verdict_errno("", error);
}

/* Replaces the X's. 36 letters and digits: names stay different where case does not count. */
static int fill_in(char *at, size_t length)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    unsigned char random[64];

    while (length > 0) {
        size_t part = length < sizeof random ? length : sizeof random;
        if (getrandom(random, part, 0) != (ssize_t)part) {
            return -1;
        }
        for (size_t i = 0; i < part; i++) {
            at[i] = alphabet[random[i] % (sizeof alphabet - 1)];
        }
        at += part;
        length -= part;
    }
    return 0;
}

const char *create_directory(void)
{
    const char *directory = getenv("TMPDIR");
    return directory != NULL && *directory != '\0' ? directory : "/tmp";
}

/* The template as a string of its own. NULL and errno if there is no memory. */
static char *complete(const char *template)
{
    char *path;

    if (template != NULL) {
        return strdup(template);
    }
    return asprintf(&path, "%s/fifo-XXXXXXXXXX", create_directory()) == -1 ? NULL : path;
}

struct verdict create_temporary(const struct creation *creation, const char *template, char **path)
{
    struct creation private = *creation;
    char *name = complete(template);

    private.mode = 0600;
    private.masked = false;

    if (name == NULL) {
        return verdict_errno("", errno);
    }
    char *base = strrchr(name, '/');
    char *end = strrchr(base == NULL ? name : base, 'X');
    size_t most = end == NULL ? 0 : (size_t)(end - name) + 1;
    size_t length = 0;
    while (length < most && name[most - length - 1] == 'X') {
        length++;
    }
    if (length < 3) {
        free(name);
        return verdict(STATUS_ERROR, "a template needs at least three X's in its last part");
    }
    if (is_inside_mailbox(name)) {
        free(name);
        return inside;
    }
    for (int tries = 0; tries < 100; tries++) {
        if (fill_in(end - length + 1, length) == -1) {
            break;
        }
        if (make(&private, name) == 0) {
            *path = name;
            return verdict_done();
        }
        if (errno != EEXIST) {
            break;
        }
    }
    struct verdict v = verdict_errno("", errno);
    free(name);
    return v;
}
