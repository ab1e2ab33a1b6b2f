/*
 * progress: how far we are, on standard error, redrawn four times a second by a process of its own.
 *
 * That process, the painter, is forked by progress_start() and shares one page of counters with us: to count
 * is two stores, and neither a terminal that is stopped nor a pipe that is full can hold up a message. It
 * has no descriptor but standard error, draws for the first time after 250 ms (short runs show nothing) and
 * skips a redraw that would have to wait. It leaves when we do, however we die (PR_SET_PDEATHSIG), and on
 * SIGINT, SIGQUIT, SIGHUP and SIGTERM of its own, unless these were ignored; it then takes at most two
 * seconds to wipe its line. It does not stop on SIGTSTP.
 *
 * On a terminal it keeps one line, the one the cursor is in, and only while we are in the foreground there:
 * in the background the line is the shell's, and `stty tostop` would stop our process group for writing.
 * Every drawing is one write(2) that starts at the line's beginning. So a diagnostic that is one write(2),
 * begins with progress_prefix() and ends with a newline is never mixed up with it.
 *
 * Elsewhere (WHEN is "always") each redraw is a line of at most PIPE_BUF bytes, and nothing is ever wiped.
 *
 * The painter raises no SIGCHLD, is not seen by wait(2) and waitpid(2) without __WALL, and is not reaped
 * by SIGCHLD being ignored: its pid stays its own until progress_stop(). Progress is a courtesy: whatever
 * fails here, there is none, and no error. One at a time; no descriptor is held in this process.
 */
#ifndef FIFO_PROGRESS_H
#define FIFO_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum progress_when { PROGRESS_NEVER, PROGRESS_AUTO, PROGRESS_ALWAYS };
enum progress_unit { PROGRESS_BYTES, PROGRESS_MESSAGES };

/* What the two processes share. Each counter has one writer, and nothing else is published by it. */
struct progress_page {
    _Atomic uint64_t bytes;
    _Atomic uint64_t messages;
    _Atomic uint64_t begun; /* of the bytes, those of a message that is not done with yet */
    atomic_bool drawn;      /* there may be something to wipe; only ever true on a terminal */
};

/* All zero, as {0} makes it, it is one that is not running. */
struct progress {
    struct progress_page *page; /* NULL: not running */
    bool terminal;              /* standard error is one */
};

/*
 * Reads the WHEN of --progress: "auto", "always", "never", or NULL for none, which is auto. Returns false,
 * and leaves *when alone, for anything else.
 */
bool progress_parse(const char *text, enum progress_when *when);

/*
 * Starts the painter: always, or with PROGRESS_AUTO if standard error is a terminal. To be called before
 * anything is opened, and only for a *progress that is not running, whose old contents do not matter. `unit`
 * is what is shown. If `input` is a regular file, what it holds after its current offset is what
 * progress_add() will count in bytes, and the share done and the time left are shown; -1 is for no input.
 * `input` stays the caller's. mmap(2), clone(2).
 */
void progress_start(struct progress *progress, enum progress_when when, enum progress_unit unit, int input);

/*
 * Counts `bytes` bytes and `messages` messages more; with no message, bytes of one that is on its way, or, if
 * negative, of one that begins anew. Does nothing for one that is not running, or NULL.
 */
static inline void progress_add(struct progress *progress, uint64_t bytes, uint64_t messages)
{
    if (progress != NULL && progress->page != NULL) {
        struct progress_page *page = progress->page;
        /* We are the only writer: a load and a store do what a locked addition would. */
        uint64_t all_bytes = atomic_load_explicit(&page->bytes, memory_order_relaxed) + bytes;
        uint64_t all_messages = atomic_load_explicit(&page->messages, memory_order_relaxed) + messages;
        atomic_store_explicit(&page->bytes, all_bytes, memory_order_relaxed);
        uint64_t begun = atomic_load_explicit(&page->begun, memory_order_relaxed) + bytes;
        atomic_store_explicit(&page->messages, all_messages, memory_order_relaxed);
        atomic_store_explicit(&page->begun, messages == 0 ? begun : 0, memory_order_relaxed);
    }
}

/*
 * What a diagnostic has to begin with, in the same write(2): the escape sequence that wipes the line if the
 * painter may have drawn one where we write, "" otherwise and for NULL. Does not block. tcgetpgrp(3).
 */
const char *progress_prefix(const struct progress *progress);

/*
 * Ends the painter, waits for that, and wipes its line; *progress is then not running. Does nothing for one
 * that is not running, or NULL. Blocks for at most one second, if the terminal is stopped: the line is left
 * then. kill(2), waitpid(2).
 */
void progress_stop(struct progress *progress);

/* Ends the painter and wipes its line, in a signal handler that is about to end the process, see
 * wait_tidily(). Blocks as the above. */
void progress_tidy(void);

#endif
