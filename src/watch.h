/*
 * watch: tells, by SIGURG, when a mailbox's name no longer leads to the mailbox we have open.
 *
 * A process has one mailbox and one watch, which lives as long as it; the kernel drops it at exit. It is the
 * directory that is watched, with F_NOTIFY of fcntl(2): an inotify(7) instance would tell of the FIFO alone,
 * but its end, and so the exit of the process, waits until all processors have been through the scheduler,
 * which takes ten milliseconds and more. Only where others are busy in the directory, or it may not be read
 * (a drop box), is it inotify; of which a user has so many instances (128 is common), while F_NOTIFY has no
 * such limit. Nothing here blocks.
 */
#ifndef FIFO_WATCH_H
#define FIFO_WATCH_H

#include "deadline.h"

#include <stdbool.h>
#include <sys/types.h>

/* Who waits begins to watch only after this time, in which the other side mostly comes: it takes a dozen
 * system calls. */
#define WATCH_AFTER MILLISECONDS(20)

/* The identity of a mailbox: the name it was found under and the inode it had. */
struct identity {
    const char *path;
    dev_t device;
    ino_t inode;
};

/*
 * Starts watching; from then on each change that may have taken the name away raises SIGURG (see
 * wait.h). Calls after the first that succeeded do nothing. Look with watch_gone() after this call, not
 * before: what happened earlier raises nothing. Returns 0, or -1 and errno when neither way of watching is to
 * be had now; the next call tries again.
 */
int watch_start(const struct identity *who);

/*
 * The same for a buffered mailbox, the directory `fd`: each file that leaves it raises SIGURG. 0, or -1 and
 * errno. F_NOTIFY of fcntl(2), which needs neither a name nor an inotify instance.
 */
int watch_directory(int fd);

/*
 * For a mailbox that is between us and one other process: once that has ended, SIGURG is raised, and the
 * mailbox counts as gone. `pidfd` is that of the process; a thread waits for it, with all signals blocked. 0,
 * or -1 and errno.
 */
int watch_process(int pidfd);

/*
 * Whether the name now leads elsewhere or nowhere: removed, renamed, or replaced by another; or the process
 * has ended. stat(2). Where it is asked in vain again and again, because the directory is a busy one, it
 * changes to the other way of watching.
 */
bool watch_gone(const struct identity *who);

/* False if it cannot have happened since the last watch_gone(), for the mailbox is watched, and no alarm
 * came. */
bool watch_may_be_gone(const struct identity *who);

/* Whether there was an alarm since the last watch_gone(), also one that some wait has slept through. */
bool watch_told(void);

#endif
