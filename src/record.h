/*
 * record: one message in the log of a buffered mailbox, and how to find the next one.
 *
 * A record is a header, the content, and zeros up to the next multiple of RECORD_ALIGN. What identifies it is
 * covered by a checksum that is seeded with the mailbox and with the record's own place in the log, so that
 * the picture of a record inside a message is none. The last 16 bytes of the header, its mark, change while
 * it lives; they never straddle two pages, so that a kill leaves them old or new.
 *
 * Whatever a header says is checked against the size of the log before it is believed. Descriptors belong to
 * the caller; nothing here blocks.
 */
#ifndef FIFO_RECORD_H
#define FIFO_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_ALIGN 16
#define RECORD_FLAGS 1U                  /* all that there are so far, for the layers above */
#define RECORD_MOST  (UINT64_C(1) << 62) /* no mailbox has had so many messages; room to count on */

enum record_state {
    RECORD_WAITS = 0x54494157, /* "WAIT" */
    RECORD_DONE = 0x454e4f44,  /* "DONE": taken, with all that is before the end of the run */
};

struct record {
    uint32_t magic;
    uint32_t check;    /* of what follows, up to the mark */
    uint64_t sequence; /* 1 for the first message of a mailbox, then one more each */
    uint64_t length;   /* of the content */
    uint64_t content;  /* checksum of the content */
    uint32_t sender;   /* process id, a claim */
    uint32_t flags;    /* of RECORD_FLAGS */
    uint64_t time;     /* when it was stored: nanoseconds of CLOCK_REALTIME */
    uint32_t state;    /* the mark begins here */
    uint32_t tries;    /* how often it was leased again */
    uint64_t run;      /* where the run ends, see record_run() */
};
_Static_assert(sizeof(struct record) == 64, "the layout of a record is laid down in fifo-mailbox(5)");

/* A piece of the log that is being looked through. `bytes` has room for RECORD_WINDOW. */
struct window {
    int fd;
    uint64_t id; /* the mailbox's */
    unsigned char *bytes;
    uint64_t at; /* where bytes[0] lies in the log */
    size_t length;
};
#define RECORD_WINDOW ((size_t)256 * 1024)

static inline uint64_t record_align(uint64_t at)
{
    return (at + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

/* What the record of a message of `length` bytes takes in the log. */
static inline uint64_t record_size(uint64_t length)
{
    return sizeof(struct record) + record_align(length);
}

/* Completes a record that will lie at `at`: sequence, length, sender, flags and time are set. */
void record_seal(struct record *record, uint64_t id, uint64_t at, const void *content);

/* The same for one whose content does not matter. */
void record_seal_header(struct record *record, uint64_t id, uint64_t at);

/* Whether the content is what was stored. */
bool record_has_content(const struct record *record, uint64_t id, uint64_t at, const void *content);

/*
 * For a record that is done: where the run of done records ends that it begins, at most `limit`. Its own end
 * if the mark does not say more.
 */
uint64_t record_run(const struct record *record, uint64_t id, uint64_t at, uint64_t limit);

/* Writes the mark: done up to `end`, or, with end 0, waiting after so many tries. False and errno. */
bool record_mark(int fd, uint64_t id, uint64_t at, uint64_t end, uint32_t tries);

/*
 * Makes the log at `at` readable through the window, `want` bytes of it if they are there; wants at most
 * RECORD_WINDOW. Returns how many are, 0 at the end or on an error of pread(2), in errno (0 at the end).
 */
size_t window_show(struct window *window, uint64_t at, size_t want);

/* Forgets what has been read. */
static inline void window_forget(struct window *window)
{
    window->length = 0;
}

/* The bytes at `at`, which window_show() has just made readable. */
static inline const unsigned char *window_bytes(const struct window *window, uint64_t at)
{
    return window->bytes + (at - window->at);
}

/* Reads the record at `at`. False if there is no valid one. */
bool window_record(struct window *window, uint64_t at, uint64_t limit, struct record *record);

/*
 * Looks for the first valid record at `at` or behind it. Returns where it is, or `limit` if there is none;
 * *garbage says whether anything but zeros came before it. Holes cost nothing.
 */
uint64_t window_search(struct window *window, uint64_t at, uint64_t limit, struct record *record,
                       bool *garbage);

#endif
