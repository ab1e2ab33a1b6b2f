/*
 * answer: how a receiver answers a message that has a return address.
 *
 * The reply FIFO is open for as long as the message is in hand: if this process dies, the kernel closes it,
 * and who asked notices at once. For a reply, COMMAND's standard output goes into a file in memory; when
 * COMMAND has succeeded that is sent, and waited for until who asked has it, but no longer than some seconds:
 * one that was stopped must not hold up the others.
 *
 * struct answer owns the path and the descriptors, from answer_begin() to answer_end(). All functions do
 * nothing where there is no return address.
 */
#ifndef FIFO_ANSWER_H
#define FIFO_ANSWER_H

#include "command.h"
#include "deadline.h"
#include "message.h"
#include "reply.h"

#include <stdbool.h>

struct answer {
    const char *name; /* of the receiver, for receipts; NULL: that of our parent's command */
    uint32_t wants;   /* what the message in hand wants */
    char *path;
    int fd;      /* the reply FIFO, -1: nobody waits there */
    int output;  /* COMMAND's standard output, -1: not wanted */
    bool failed; /* COMMAND has, and it was not because somebody has ended us both */
    bool gone;   /* nobody waits for it any more */
    bool lost;   /* it was not fetched */
    /* A request that COMMAND has failed with. Who asked knows it, or waits no more: it is taken all the same.
     */
    bool drop;
};

/* What answers nobody yet, and calls itself `name`. */
static inline struct answer answer_none(const char *name)
{
    return (struct answer){.name = name, .fd = -1, .output = -1};
}

/*
 * Begins: the message with the address `back` is in hand, from `mailbox`. What is wrong with the address is
 * as if nobody waited; status 2 and errno, EMFILE, ENFILE or ENOMEM: we cannot answer now. answer_end() is
 * due either way.
 */
struct verdict answer_begin(struct answer *answer, const char *mailbox, const struct return_address *back);

/*
 * Runs COMMAND as command_run() does, and sends what it has printed, or that it has failed; the reason says
 * what becomes of the message then. The text is good until the next call.
 */
struct verdict answer_run(struct answer *answer, struct command *command, const struct message *message);

/* The message is being taken, or was. `replied`: by a COMMAND, so that a reply has been sent or may be. */
void answer_taken(struct answer *answer, bool replied);

/* Closes and frees what there is. Who asked sees that nobody has the message in hand any more. */
void answer_end(struct answer *answer);

#endif
