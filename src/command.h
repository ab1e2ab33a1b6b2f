/*
 * command: runs COMMAND with a message as its standard input.
 *
 * Waits until COMMAND has ended. Signals that ask us to end are passed on to it, and we go on waiting; at the
 * deadline it gets SIGTERM, and a second later SIGKILL. If we die without a chance to pass anything on, the
 * kernel sends it SIGTERM. No descriptor of ours but 0, 1 and 2 reaches it.
 */
#ifndef FIFO_COMMAND_H
#define FIFO_COMMAND_H

#include "deadline.h"
#include "message.h"
#include "status.h"

struct command {
    char *const *argv;
    const char *mailbox;
    pid_t self;        /* who has the direct link that the message came by; 0: it did not */
    const char *reply; /* where to send replies; NULL: nobody waits for one */
    int output;        /* standard output; -1: ours */
    deadline until;
};

/*
 * Runs argv[0] with execvp(3), FIFO_SELF set to `self` if there is one, FIFO_MAILBOX to `mailbox`, FIFO_REPLY
 * to `reply`, FIFO_SENDER to the message's sender and FIFO_TRIES to its tries, the last three unset where
 * there is none. Status 0 if it exited with 0. Otherwise its exit status, 128 plus the number of the signal
 * that killed it, 127 or 126 if it was not found or cannot run, 124 if the deadline ended it, 2 and errno if
 * no process could be made.
 */
struct verdict command_run(const struct command *command, const struct message *message);

#endif
