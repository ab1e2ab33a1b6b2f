/*
 * status: the one list of exit statuses, and the verdict that every verb of the library returns.
 *
 * The library never prints and never exits: a verb returns a verdict by value, the command turns it
 * into one line on standard error and an exit status.
 */
#ifndef FIFO_STATUS_H
#define FIFO_STATUS_H

enum status {
    STATUS_DONE = 0,         /* taken, stored, printed in full */
    STATUS_NOT_NOW = 1,      /* -n: empty, full, busy or nobody there; nothing happened */
    STATUS_ERROR = 2,        /* usage or system error */
    STATUS_GONE = 3,         /* no such mailbox, not a mailbox, or removed while waiting */
    STATUS_UNCERTAIN = 4,    /* in hand, not to be taken back, not answered, or cut short */
    STATUS_REFUSED = 5,      /* too big for this mailbox, or a damaged message was skipped */
    STATUS_TIMEOUT = 124,    /* timed out; withdrawn */
    STATUS_CANNOT_RUN = 126, /* COMMAND was found but cannot run */
    STATUS_NOT_FOUND = 127,  /* COMMAND was not found */
    STATUS_SIGNAL = 128      /* plus the signal's number */
};

/*
 * What became of a verb. `status` is an enum status or STATUS_SIGNAL plus a signal number.
 * `reason` is a static English phrase without a final full stop, NULL where there is nothing to
 * say. `error` is an errno value whose text belongs behind the reason, or 0.
 */
struct verdict {
    int status;
    int error;
    const char *reason;
};

/* The verdict for success. */
static inline struct verdict verdict_done(void)
{
    return (struct verdict){.status = STATUS_DONE};
}

/* A verdict with a status and a reason (static text). */
static inline struct verdict verdict(int status, const char *reason)
{
    return (struct verdict){.status = status, .reason = reason};
}

/* A system error: status 2, with the text of `error` (an errno value) behind `reason`. */
static inline struct verdict verdict_errno(const char *reason, int error)
{
    return (struct verdict){.status = STATUS_ERROR, .error = error, .reason = reason};
}

#endif
