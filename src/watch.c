#include "watch.h"

#include "descriptor.h"
#include "process.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many alarms about other names in the directory, and the watch on it gives way to one on the FIFO. */
#define FALSE_ALARMS 8

/* What is watched: the FIFO by inotify, or its directory, and how many alarms there had been before that. */
static struct identity mailbox;
static int inode = -1;
static int parent = -1;
static unsigned alarms;
/* How many alarms there had been at the last look. */
static unsigned looked;
/* There has been one since it is watched. */
static bool seen;

static int watch_inode(const struct identity *who)
{
    int fd = descriptor_above_standard(inotify_init1(IN_CLOEXEC));

    if (fd == -1) {
        return -1;
    }
    /*
     * IN_ATTRIB is what unlink(2) and a rename(2) over the name raise while somebody has the file open;
     * IN_DELETE_SELF would only come after the last close, which is ours.
     */
    if (inotify_add_watch(fd, who->path, IN_ATTRIB | IN_MOVE_SELF) == -1 || wait_arm_name(fd) == -1) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    inode = fd;
    return 0;
}

/* An event like the last one that nobody has read is dropped, and raises no signal. */
static void read_events(void)
{
    char events[sizeof(struct inotify_event) * 16];

    while (inode != -1 && read(inode, events, sizeof events) > 0) {
    }
}

static int watch_parent(const struct identity *who)
{
    char real[PATH_MAX];

    /* Where the name itself is a symbolic link, it is the directory that it leads to that counts. */
    if (realpath(who->path, real) == NULL) {
        return -1;
    }
    int fd = descriptor_above_standard(open(dirname(real), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd == -1) {
        return -1;
    }
    /* DN_CREATE is how a rename from another directory over the name is told. */
    if (wait_arm_name(fd) == -1 ||
        fcntl(fd, F_NOTIFY, DN_CREATE | DN_DELETE | DN_RENAME | DN_MULTISHOT) == -1) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    parent = fd;
    alarms = wait_names();
    return 0;
}

/*
 * In a busy directory each file of others would wake us. False: nothing has changed. True: look again, as
 * what happened before is not told a second time.
 */
static bool prefer_inode(void)
{
    if (parent == -1 || wait_names() - alarms < FALSE_ALARMS) {
        return false;
    }
    if (watch_inode(&mailbox) == -1) {
        alarms = wait_names(); /* there may be an instance for us later */
        return false;
    }
    close(parent);
    parent = -1;
    return true;
}

int watch_directory(int fd)
{
    return wait_arm_name(fd) == -1 ? -1 : fcntl(fd, F_NOTIFY, DN_DELETE | DN_RENAME | DN_MULTISHOT);
}

int watch_start(const struct identity *who)
{
    if (parent != -1 || inode != -1) {
        return 0;
    }
    mailbox = *who;
    return watch_parent(who) == 0 ? 0 : watch_inode(who);
}

static int watched = -1;

/* poll(2) is all that tells of it, and the rest of this program waits for signals. */
static void *wait_for_end(void *unused)
{
    while (!process_has_ended(watched, -1)) {
    }
    kill(getpid(), SIGURG);
    return unused;
}

int watch_process(int pidfd)
{
    sigset_t all, before;
    pthread_t thread;

    wait_begin();
    watched = pidfd;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, wait_for_end, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_detach(thread);
    }
    errno = error;
    return error == 0 ? 0 : -1;
}

/* Whether the name leads elsewhere or nowhere. */
static bool is_moved(const struct identity *who)
{
    struct stat now;

    if (stat(who->path, &now) == -1) {
        /* EACCES and the like say nothing about the mailbox: somebody changed the way to it. */
        return errno == ENOENT || errno == ENOTDIR;
    }
    /* unlink(2) tells of the inode before the name is gone, but after this count has fallen. */
    return now.st_dev != who->device || now.st_ino != who->inode || now.st_nlink == 0;
}

static bool is_watched(const struct identity *who)
{
    return (parent != -1 || inode != -1) && who->device == mailbox.device && who->inode == mailbox.inode;
}

bool watch_may_be_gone(const struct identity *who)
{
    return !is_watched(who) || !seen || watch_told();
}

bool watch_gone(const struct identity *who)
{
    /* In this order: what happens after the look is told of. */
    if (is_watched(who)) {
        looked = wait_names();
        seen = true;
    }
    read_events();
    if (watched != -1 && process_has_ended(watched, 0)) {
        return true;
    }
    return is_moved(who) || (prefer_inode() && is_moved(who));
}

bool watch_told(void)
{
    return wait_names() != looked;
}
