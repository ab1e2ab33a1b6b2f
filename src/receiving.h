/*
 * receiving: what fifo-recv was asked to do, and the two ways to do it: rendezvous.c for an unbuffered
 * mailbox, worker.c for a buffered one. Part of the command: it speaks, see cli.h.
 */
#ifndef FIFO_RECEIVING_H
#define FIFO_RECEIVING_H

#include "answer.h"
#include "cli.h"
#include "command.h"
#include "direct.h"
#include "mailbox.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

struct receiving {
    struct common common;
    size_t count; /* -c; 0 with -f */
    bool counted;
    bool follow;
    bool null;
    bool raw;
    size_t size;
    size_t max_size;
    bool limited; /* --max-size was given */
    bool exclusive;
    bool peek;
    bool keep;
    size_t max_tries; /* 0: no limit */
    const char *dead; /* the dead-letter mailbox */
    const char *name; /* for receipts */
    struct direct direct;
    const char *mailbox;
    char **command;
};

/* Bytes that are printed of a message, but for the NUL that -0 puts behind them. */
static inline size_t receiving_printed(const struct receiving *options, const unsigned char *content,
                                       size_t length)
{
    bool newline = length > 0 && content[length - 1] == '\n';
    return length - (options->null && newline ? 1 : 0);
}

/* What diagnostics call the mailbox. */
static inline const char *receiving_label(const struct receiving *options)
{
    return direct_label(&options->direct, options->mailbox);
}

/* Says with -v that a reply has not reached who asked. */
static inline void receiving_tell_lost(const struct receiving *options, const struct answer *answer)
{
    if (answer->lost) {
        cli_tell(&options->common, receiving_label(options), "nobody has fetched the reply");
    }
}

/* COMMAND, as it is to be run. */
static inline struct command receiving_command(const struct receiving *options)
{
    return (struct command){
        .argv = options->command,
        .mailbox = options->mailbox,
        .self = options->direct.peer.self,
        .output = -1,
        .until = options->common.until,
    };
}

/*
 * Receives from the mailbox `box`, which mailbox_find() has found, until what was asked for is done or
 * something fails. Each message is taken only after it was printed in full or COMMAND succeeded. The verdict
 * is the command's.
 */
struct verdict rendezvous(struct receiving *options, const struct mailbox *box);
struct verdict worker(struct receiving *options, const struct mailbox *box);

#endif
