/*
 * create: makes mailboxes, with the mode that was asked for, with parents, or under a unique name.
 *
 * What is made is made complete or not at all, and what exists is never changed. No descriptor is kept, and
 * nothing blocks, but for a second where a damaged mailbox that is there already is in somebody else's hands.
 */
#ifndef FIFO_CREATE_H
#define FIFO_CREATE_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct creation {
    mode_t mode;
    bool masked; /* by the umask, or by a default ACL of the directory */
    bool parents;
    bool buffered;
    uint64_t capacity; /* messages; 0: unbounded */
    bool sync;
    bool was_there;       /* after create(): it was not made, it was there */
    char difference[100]; /* after create() has failed: what is other about the mailbox that is there, or
                             empty */
};

/* Sets creation->mode from -m's argument, or to a=rw, masked, if it is NULL. Status 2 if it is no mode.
 */
struct verdict create_mode(struct creation *creation, const char *text);

/*
 * Makes the mailbox `path`. With parents, one of the same kind may exist. Status 2 with errno of mkfifo(3),
 * mkdir(2) or queue_make().
 */
struct verdict create(struct creation *creation, const char *path);

/*
 * Makes a mailbox of mode 0600, buffered if creation says so, whose name is `template` with its last X's
 * (three at least) replaced, or in $TMPDIR or /tmp if template is NULL. *path is its name, to be freed.
 * Status 2 with errno of mkfifo(3).
 */
struct verdict create_temporary(const struct creation *creation, const char *template, char **path);

/* Where a temporary mailbox lies whose template is not given: TMPDIR, or /tmp. */
const char *create_directory(void);

#endif
