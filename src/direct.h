/*
 * direct: --to and --from: a direct link in the place of a mailbox. Part of the commands: it speaks, see
 * cli.h.
 */
#ifndef FIFO_DIRECT_H
#define FIFO_DIRECT_H

#include "cli.h"
#include "peer.h"
#include "status.h"

struct direct {
    pid_t other; /* --to or --from; 0: there is a mailbox */
    pid_t self;  /* --self; 0: whoever runs us */
    struct peer peer;
    char label[40]; /* what diagnostics call it */
};

enum { KEY_DIRECT = 512, KEY_SELF };

/* Reads the argument of such an option; a usage error if it is no process id. */
pid_t direct_parse(const char *option, const char *text);

/*
 * Makes the link, if one was asked for, and stores its path in *mailbox. A verdict other than 0 has been
 * reported.
 */
struct verdict direct_link(const struct common *common, struct direct *direct, bool sending,
                           const char **mailbox);

/* What diagnostics call the mailbox. */
const char *direct_label(const struct direct *direct, const char *mailbox);

/* The verdict, for the reason that the other process has ended if it has. */
struct verdict direct_verdict(const struct direct *direct, struct verdict v);

#endif
