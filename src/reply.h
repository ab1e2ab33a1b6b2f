/*
 * reply: the FIFO through which a receiver answers the one sender who asked: with a receipt, or a reply.
 *
 * Who asks makes a directory beside the mailbox, with a random name and for nobody else to list, and a FIFO
 * in it, with another. Both names travel in the message, as numbers: the return address. So nobody can guess
 * one, nor list those of others, and a receiver opens nothing but a FIFO of this kind beside its mailbox. It
 * is a mailbox for messages, the parts of the reply, and for notices, which say what became of the message.
 * The bit S_ISVTX, which means nothing on a FIFO, tells it from others: its only reader is all the readers
 * there will ever be.
 *
 * The asker holds a lock on the directory for as long as it lives. A directory without is what somebody left
 * who was killed, and is swept away by the next one who asks.
 *
 * Paths and descriptors belong to the caller. Nothing here blocks.
 */
#ifndef FIFO_REPLY_H
#define FIFO_REPLY_H

#include "message.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* What a receiver says of a message. */
enum notice_kind {
    NOTICE_TAKEN = 1,    /* it has been taken; a reply has been sent, or will be, by whom it may concern */
    NOTICE_NO_REPLY = 2, /* it has been taken, by a receiver that does not reply */
    NOTICE_FAILED = 3,   /* COMMAND failed with it */
    NOTICE_LOST = 4,     /* it has been taken, but the reply was not fetched in time */
    NOTICE_IN_HAND = 5,  /* this receiver begins with it: who did before has died, or has given it back */
};
#define NOTICE_NAME 64 /* bytes of a name, with its NUL */

struct notice {
    uint32_t kind;
    uint32_t pid;    /* the receiver's, a claim, as all this is */
    uint32_t uid;    /* its effective user */
    uint32_t status; /* COMMAND's, if it failed */
    char name[NOTICE_NAME];
};

/* Whether `path` looks like the name of a reply FIFO, and whether a file of that mode is one. */
bool reply_is_name(const char *path);

static inline bool reply_is_fifo(mode_t mode)
{
    return S_ISFIFO(mode) && (mode & S_ISVTX);
}

/*
 * The directory beside the mailbox `mailbox`, and the FIFO in it, that the address means: absolute, to be
 * freed. NULL and errno of realpath(3).
 */
char *reply_directory(const char *mailbox, const struct return_address *back);
char *reply_path(const char *mailbox, const struct return_address *back);

/* The FIFO that the address means in such a directory, to be freed. NULL: there is no memory. */
char *reply_fifo(const char *directory, const struct return_address *back);

/*
 * Looks at what lies at `path`, which looks like the name of a reply FIFO. 0, or -1 and errno: EPERM if it is
 * a FIFO that reply_open() would refuse, ENOTDIR if it does not lie in a directory of its own. fstatat(2).
 */
int reply_look(const char *path, struct stat *file);

/*
 * Opens a reply FIFO with the access mode `flags`. -1 and errno: ENXIO, of a write end, or ENOENT if nobody
 * waits there any more, EPERM, ELOOP or EINVAL if it is not what it should be: a FIFO with one name, of the
 * same owner as its directory. openat(2), O_NOFOLLOW.
 */
int reply_open(const char *path, int flags);

/* Writes a notice, in one write(2) that does not wait. False and errno. */
bool reply_put_notice(int fd, const struct notice *notice);

/* Reads the content of a notice frame. False: it is none. */
bool reply_get_notice(const struct message *message, struct notice *notice);

/* Takes a name for a notice: no spaces, nothing that a terminal would obey, not empty, cut to fit. */
void reply_set_name(struct notice *notice, const char *name);

/*
 * Deletes all such directories beside the mailbox `mailbox` whose makers are gone, as far as they are ours to
 * delete.
 */
void reply_sweep(const char *mailbox);

#endif
