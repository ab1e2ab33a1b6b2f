/*
 * cli: what all commands say and how they say it: common options, one-line diagnostics, exit statuses.
 *
 * The only module besides the commands that prints or exits.
 */
#ifndef FIFO_CLI_H
#define FIFO_CLI_H

#include "deadline.h"
#include "progress.h"
#include "status.h"

#include <argp.h>
#include <stdbool.h>

/* What the common options say. A command's own options struct begins with it. */
struct common {
    bool nonblock;
    bool quiet;
    bool verbose;
    bool timed;     /* -t was given */
    int64_t span;   /* nanoseconds of -t */
    deadline until; /* set when parsing ends */
    enum progress_when shown;
    struct progress progress;
};

/* Child parsers: -q and -v, and those with -t, -n and -P. Their input is a struct common. */
extern const struct argp cli_argp_common;
extern const struct argp cli_argp_waiting;

/* The exit statuses, as --help shows them below the options. */
#define CLI_STATUSES                                                                                         \
    "\vExit status: 0 done; 1 not now (-n); 2 usage or system error; 3 no such mailbox, not a mailbox, or "  \
    "removed while waiting; 4 uncertain: a receiver has the message in hand; 5 too big, or a damaged "       \
    "message was skipped; 124 timed out; 128+N killed by signal N."

/*
 * Parses the command line with `argp`, whose input is `options`, beginning with a struct common. Does not
 * return on a usage error (status 2), --help, --usage or --version (0, or 2 if standard output cannot be
 * written).
 */
void cli_parse(int argc, char **argv, const struct argp *argp, unsigned flags, void *options);

/*
 * Starts to show progress, if that is wanted; progress_stop() ends it. What is counted is `unit`, of the file
 * `input` if that is not -1. Not by itself where the descriptor `beside`, unless -1, is a terminal: what is
 * typed or printed there, and what is drawn, would get into each other's way.
 */
void cli_progress(struct common *common, enum progress_unit unit, int input, int beside);

/* Prints `COMMAND: TEXT` for a wrong command line and exits with 2. To be called by parsers. */
_Noreturn void cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads a count from 1 to `most` that option `name` was given; a usage error if it is none. */
size_t cli_count(const char *name, const char *text, size_t most);

/* Reads a size in bytes, with suffix K, M or G for powers of 1024; a usage error if it is none. */
size_t cli_size(const char *name, const char *text);

/* Prints `COMMAND: 'NAME': REASON` unless -q, or nothing for status 0. Returns the exit status. */
int cli_report(const struct common *common, const char *name, struct verdict v);

/* The same, with `detail` behind the reason. */
int cli_report_detail(const struct common *common, const char *name, struct verdict v, const char *detail);

/* Under -v, prints `COMMAND: 'NAME': TEXT`. */
void cli_tell(const struct common *common, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
