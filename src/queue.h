/*
 * queue: a buffered mailbox: messages that are stored, leased, and then taken or given back.
 *
 * A directory with four files: `queue`, the log of records (record.h); `.state`, what has been counted
 * (ledger.h); `ready` and `space`, the bells (bell.h). fifo-mailbox(5) has the layout. Only descriptors are
 * used once it is open, so that it may be moved; it is gone when `queue` has no name any more.
 *
 * Locks, all OFD locks, which the kernel drops at death. On `queue`, far behind any record:
 *
 *   TAKE    who leases, takes, gives back, or repairs; owner of the part `taken`
 *   STORE   who appends, truncates or repairs; owner of the part `stored`
 *   SYNC    who runs fdatasync(2) for those who wait for it; owner of the part `synced`
 *   gates   beside TAKE and STORE: who leases, and who appends, takes the gate with the lock, in one call;
 *           who is exclusive keeps it, and the lock stays free for repair
 *   chairs  who waits, see bell.h
 *
 * Order: TAKE, then STORE, then SYNC. And on `ready`, at the places of the message's own bytes in the log,
 * the leases: see lease.h for why there.
 *
 * Who dies where: an append is written behind the tail and then committed by one write of `stored`; what
 * stands behind the tail was never acknowledged, and is adopted whole or cut off by repair.h. A lease is a
 * lock, and goes. A take is one write too: of `taken` with a new head, or of a mark in the log, announced in
 * `taken` beforehand so that it is counted exactly once.
 *
 * struct queue owns its descriptors and memory; queue_close() gives them back. Everything that blocks ends at
 * the deadline, when the mailbox is removed (status 3), or by a signal that asks us to end (STATUS_SIGNAL
 * plus its number).
 */
#ifndef FIFO_QUEUE_H
#define FIFO_QUEUE_H

#include "bell.h"
#include "deadline.h"
#include "ledger.h"
#include "message.h"
#include "record.h"
#include "status.h"
#include "watch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* What is in the directory, and nothing else. */
#define QUEUE_LOG   "queue"
#define QUEUE_STATE ".state"
#define QUEUE_READY "ready"
#define QUEUE_SPACE "space"

enum queue_side { QUEUE_SENDER, QUEUE_RECEIVER, QUEUE_LOOK };

/* Where a message was stored. */
struct place {
    uint64_t generation;
    uint64_t at;
    uint64_t sequence;
};

struct queue {
    deadline until;
    bool nonblock;   /* -n: status 1 instead of waiting */
    bool exclusive;  /* once served, keep others of our side out until queue_close() */
    size_t max_size; /* a longer message is not read; 0: no limit */

    enum queue_side side;
    int directory; /* the mailbox itself */
    int log;
    int state;
    bool readable; /* the log may be read */
    bool writable; /* it may be written */
    bool checked;  /* the generations were compared */
    bool watched;
    bool gone;  /* the log had no name any more when we last looked */
    bool late;  /* the deadline has passed, and this is the last look */
    bool blind; /* store: behind the tail is something that we may not read */
    struct ledger ledger;
    struct bell ready;
    struct bell space;
    struct window window;
    uint64_t *ends;         /* lease: where each leased message ends */
    size_t room;            /* in `ends` */
    size_t leased;          /* how many of them */
    uint64_t generation;    /* of the log they lie in */
    uint64_t start;         /* where the first of them starts */
    struct place last;      /* where the last message that was stored lies */
    bool skipped;           /* the last verdict of queue_lease() is about such */
    unsigned char *content; /* of one long message, or what is being put together */
    size_t content_room;
};

/* Flags of a message: RETURN_ADDRESS_BYTES of a return address (message.h) stand before its content. */
#define QUEUE_ADDRESSED RECORD_FLAGS

/* One message to store. */
struct queue_item {
    const void *content;
    size_t length;
    uint32_t flags;
};

/* One message that is leased, or that was looked at. `content` lies in struct queue until the next call. */
struct queue_message {
    const unsigned char *content;
    size_t length;
    uint64_t sequence;
    uint64_t time; /* when it was stored: nanoseconds of CLOCK_REALTIME */
    uint32_t sender;
    struct return_address back; /* who waits for an answer */
    uint32_t tries;             /* this one, and those before it that failed or ended with a death */
};

struct queue_counts {
    uint64_t capacity; /* 0: unbounded */
    bool sync;
    uint64_t stored; /* ever */
    uint64_t taken;  /* ever */
    uint64_t waiting;
    uint64_t damaged; /* ever */
};

/*
 * Makes the mailbox `path`, complete or not at all: under a hidden name beside it, synced, then renamed,
 * never over anything. `mode`, less the umask if `masked`, is that of the log; who may write it may use the
 * bells and the counts as well. Status 2 with errno. The process's umask is 0 while it works.
 */
struct verdict queue_make(const char *path, mode_t mode, bool masked, uint64_t capacity, bool sync);

/* Whether the directory `path` is a buffered mailbox, as far as a look at one name in it tells. If not, errno
 * of lstat(2): EACCES where that cannot be told. */
bool queue_is_mailbox(const char *path);

/*
 * Whether the FIFO `path`, whose mode is `mode`, is a bell of a buffered mailbox: has the mark of one, which
 * means nothing else on a FIFO, or, where a copy has lost that, the name of one, and lies beside a log. Bells
 * get bytes that mean nothing and are thrown away, so nobody may take one for a mailbox. lstat(2).
 */
#define QUEUE_BELL_MARK S_ISGID
bool queue_is_bell(const char *path, mode_t mode);

/*
 * Opens the mailbox `who`, which mailbox_find() has found and not refused. The caller has set the options,
 * the rest is zero. Status 3: no such mailbox, not one, or another one by now; 2: not permitted; 5: its files
 * are damaged beyond repair.
 */
struct verdict queue_open(struct queue *queue, const struct identity *who, enum queue_side side);

/* Closes and frees what it owns, and with that gives back every lock and lease. */
void queue_close(struct queue *queue);

/*
 * Stores messages in this order. Status 0: all of them are stored, on disk if the mailbox is one of those.
 * Otherwise the first *stored of them are: 1 full, or 124; 3; 5 too big; 2 with errno: ENOSPC, EDQUOT, EFBIG,
 * EIO. *stored is right in each case but one: where fdatasync(2) fails (status 2), they are in the log, but
 * perhaps not for long.
 */
struct verdict queue_store(struct queue *queue, const struct queue_item *items, size_t count, size_t *stored);

/*
 * Leases the oldest messages that nobody has leased, up to `most`, and waits for one. Status 0: they are in
 * `messages`, *count of them. Status 5: damaged ones were found and skipped; come again. Nothing may be
 * leased already.
 */
struct verdict queue_lease(struct queue *queue, struct queue_message *messages, size_t most, size_t *count);

/* The first `count` of the leased messages are done with: they leave the mailbox. The others stay leased. */
struct verdict queue_take(struct queue *queue, size_t count);

/*
 * Gives back what is leased, to be leased by whoever comes first. Where it was not `tried`, this lease is not
 * counted among the tries. May wait a moment for a lock.
 */
void queue_give_back(struct queue *queue, bool tried);

/* The oldest message that is not done, leased or not. Status 1 if there is none; does not wait. */
struct verdict queue_peek(struct queue *queue, struct queue_message *message);

/*
 * What became of a message that this queue has stored, if it is withdrawn now: it is out and nobody has it or
 * will have it, or it has been taken, or a receiver has it in hand, or that cannot be told, for want of
 * permission to read. Waits a moment at most.
 */
enum fate { FATE_WITHDRAWN, FATE_TAKEN, FATE_IN_HAND, FATE_UNKNOWN };
enum fate queue_withdraw(struct queue *queue, const struct place *place);

/* Whether a message that this queue has stored is still there, in hand or not; also if that cannot be told.
 */
bool queue_holds(struct queue *queue, const struct place *place);

/* Starts to look out for removal, before the first sleep: from then on it raises SIGURG, see watch.h. */
void queue_watch(struct queue *queue);

/* Whether the mailbox has been removed. */
bool queue_is_gone(struct queue *queue);

/* Waits until there may be a message: status 0, look again. 1 with nonblock, 124, 3, or a signal. */
struct verdict queue_wait(struct queue *queue);

/* Counts, without waiting. Status 5: they are damaged. */
struct verdict queue_count(struct queue *queue, struct queue_counts *counts);

/*
 * Removes the buffered mailbox `path`: what belongs to one, and the directory, or nothing. Ends all who wait
 * there. Status 2 if it still holds messages and `force` is not set, if it holds a file of another kind, or
 * with errno; 3 if it is no mailbox. Waits up to a second for those who are at work in it.
 */
struct verdict queue_remove(const char *path, bool force);

#endif
