/*
 * mailbox: finds, opens, makes and removes mailboxes by name, and refuses everything that is not one.
 *
 * Nothing that is not a mailbox is ever opened for messages or removed, and only mailbox_make() creates. An
 * opened descriptor belongs to the caller; it is close-on-exec and never 0, 1 or 2. Only
 * mailbox_open_waiting() may block.
 */
#ifndef FIFO_MAILBOX_H
#define FIFO_MAILBOX_H

#include "deadline.h"
#include "status.h"
#include "watch.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mailbox {
    struct identity id;
    uid_t owner;
    bool buffered;  /* a directory, for queue.h; otherwise a FIFO */
    bool anonymous; /* whose readers are all there are: a pipe without a name of its own (/dev/fd/N, a process
                       substitution), or that which follows */
    bool reply;     /* where one who asked waits for the answer, see reply.h */
};

/*
 * Finds the mailbox called `path` (kept, not copied). Status 3 if there is none or it is something else;
 * 2 if it may not be looked at, or if it lies in a directory that is sticky and writable for everybody
 * and belongs neither to us nor to that directory's owner: it may be a trap (protected_fifos in proc(5)).
 */
struct verdict mailbox_find(const char *path, struct mailbox *box);

/*
 * Opens it with `flags` of open(2) (an access mode; O_NONBLOCK, O_CLOEXEC and O_NOCTTY are added) and
 * stores the descriptor in *fd. Status 3 if the name leads elsewhere by now, 2 for anything else, with
 * errno in the verdict's error: ENXIO for a write end that nobody reads, EACCES for a mode that is not ours.
 */
struct verdict mailbox_open(const struct mailbox *box, int flags, int *fd);

/*
 * Opens the write end and waits for a reader until `until`. Needs no permission to read. Status 124 or,
 * when the mailbox loses its name, 3.
 */
struct verdict mailbox_open_waiting(const struct mailbox *box, deadline until, int *fd);

/*
 * Lets the pipe or FIFO `fd` hold `bytes` (a power of two), or as many as the system grants; never fewer than
 * now. F_SETPIPE_SZ of fcntl(2).
 */
void mailbox_grow(int fd, size_t bytes);

/*
 * Makes a FIFO with the permission bits `mode`, less the umask if `masked`, and never more than them at any
 * moment. Returns 0, or -1 and errno of mkfifo(3). Without `masked` the process's umask is 0 while it works.
 */
int mailbox_make(const char *path, mode_t mode, bool masked);

/*
 * Removes the mailbox `path`, never following a symbolic link, and frees processes that are blocked in
 * open(2) on it. Status 3 if there is none (the verdict's error is ENOENT) or it is something else, 2 for
 * what unlink(2) refuses, or for a buffered one that holds messages unless `force` is set, see
 * queue_remove().
 */
struct verdict mailbox_remove(const char *path, bool force);

#endif
