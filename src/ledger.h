/*
 * ledger: the small file beside the log of a buffered mailbox: what it is, how far it is filled, how far it
 * is emptied.
 *
 * `.state` is apart from `queue` so that who may only write, and so cannot read the log, can still count: it
 * holds no content, and who may write the log may read and write it. Everything fits into one sector, so that
 * one version of it comes back after a power loss, and each part into one write(2), so that a kill leaves it
 * old or new. What is in it can be found again from the log, see repair.h: it is never synced.
 *
 * Parts have owners (queue.h has the locks): `stored` is written by who holds STORE, `taken` by who holds
 * TAKE, `synced` by who holds SYNC. Anyone may read all of them: a part that is just being written does not
 * match its checksum, and is read again.
 *
 * Byte order is the machine's; the magic number of another one does not match. Nothing here blocks or owns a
 * descriptor.
 */
#ifndef FIFO_LEDGER_H
#define FIFO_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_START   64 /* where the first record begins in `queue` */
#define LEDGER_SYNC 1U /* a flag: on disk before a sender is told */

/* What fifo-make decided. It stands at the beginning of both files. */
struct config {
    uint64_t magic;
    uint32_t version;
    uint32_t flags;
    uint64_t capacity; /* messages; 0: unbounded */
    uint64_t id;       /* random; every checksum of this mailbox is seeded with it */
    uint64_t check;
};

struct stored {
    uint64_t generation; /* how often the log has been emptied by truncation */
    uint64_t count;      /* messages ever stored: the last one's sequence number */
    uint64_t tail;       /* where the next record goes: the size of the log */
    uint64_t check;
};

struct taken {
    uint64_t generation;
    uint64_t count;   /* messages ever taken, or lost to damage */
    uint64_t head;    /* everything before it is done */
    uint64_t fresh;   /* nothing from here on was ever leased */
    uint64_t punched; /* where space before head was given back to */
    uint64_t damaged; /* messages that were lost to damage */
    uint64_t at;      /* a run of `run` messages here is being marked as done, if run > 0 */
    uint64_t run;
    uint64_t reported; /* of these, how many a receiver was told of */
    uint64_t check;
};

struct synced {
    uint64_t count; /* the messages up to this sequence number are on disk */
    uint64_t check;
};

struct ledger {
    struct config config;
    uint64_t reserved[3];
    struct stored stored; /* at byte 64 */
    uint64_t reserved2[4];
    struct taken taken; /* at byte 128 */
    uint64_t reserved3[6];
    struct synced synced; /* at byte 256 */
};
_Static_assert(sizeof(struct ledger) == 272, "the layout of .state is laid down in fifo-mailbox(5)");

/* The beginning of `queue`. The generation stands here too, so that it is synced with the records. */
struct log_header {
    struct config config;
    uint64_t generation;
    uint64_t check; /* of the generation */
    uint64_t reserved;
};
_Static_assert(sizeof(struct log_header) == LOG_START, "the first record follows the header");

enum ledger_part {
    LEDGER_CONFIG = 1,
    LEDGER_STORED = 2,
    LEDGER_TAKEN = 4,
    LEDGER_SYNCED = 8,
    LEDGER_COUNTS = LEDGER_CONFIG | LEDGER_STORED | LEDGER_TAKEN, /* what says which messages there are */
    LEDGER_ALL = LEDGER_COUNTS | LEDGER_SYNCED,
};

/* Completes a configuration with magic number, version, random id and checksum. False and errno. */
bool ledger_configure(struct config *config);

/* Whether a configuration can be believed. */
bool ledger_is_config(const struct config *config);

/* Reads the configuration that both files begin with from `fd`, and says whether it can be believed. */
bool ledger_read_config(int fd, struct config *config);

/* The header of a log. */
struct log_header ledger_header(const struct config *config, uint64_t generation);

/* Writes it into the log `fd`. False and errno. */
bool ledger_write_header(int fd, const struct config *config, uint64_t generation);

/* Whether the generation in a header can be believed. */
bool ledger_has_generation(const struct log_header *header);

/*
 * Reads the file `fd`. Returns the parts that can be believed, as far as a checksum tells, of those in
 * `wanted`; a bad one is read again some times, for somebody may be writing it.
 */
unsigned ledger_read(int fd, struct ledger *ledger, unsigned wanted);

/* Fills in the checksums of all parts but the configuration. */
void ledger_seal(struct ledger *ledger);

/*
 * Writes parts, with their checksums. False and errno; a part that failed is as it was before, but where a
 * limit on file sizes cut it short, which queue_open() sees to.
 */
bool ledger_write(int fd, struct ledger *ledger, unsigned parts);

/* The number of messages that wait, leased or not. */
uint64_t ledger_waiting(const struct ledger *ledger);

#endif
