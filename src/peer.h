/*
 * peer: direct links: a mailbox between two processes that name each other, for each direction one.
 *
 * A process is its pid and the time it started, so one that comes to have the pid of a dead one is a
 * stranger. A link is a FIFO in a private directory, whose name has both, and the pid namespace; it is made
 * by who comes first. Links of processes that have died are deleted by whoever uses the directory next, which
 * never touches that of two live ones.
 *
 * Who we are: the process that runs the command, its parent. A shell runs commands through copies of itself,
 * for $( ) and ( ) and pipelines, and there are programs that do nothing but run another: those are skipped.
 *
 * The path and the descriptor belong to struct peer until the process ends. Nothing here blocks, but a thread
 * waits for the other process's end, and has it heard as a change of the mailbox's name (watch.h).
 */
#ifndef FIFO_PEER_H
#define FIFO_PEER_H

#include "status.h"

#include <stdbool.h>
#include <sys/types.h>

#define PEER_NAME 32

struct peer {
    pid_t self;
    pid_t other;
    char self_name[PEER_NAME]; /* of their programs */
    char other_name[PEER_NAME];
    int pidfd; /* the other one */
    char *path;
};

/*
 * Finds or makes the link from us to process `other` (`sending`), or from it to us. `self` is who we claim to
 * be: a process that we descend from; 0: $FIFO_SELF, or who runs us. Status 3: there is no such process; 2 if
 * it is not ours to talk to, if we are not who we claim to be, or if something is wrong with the directory:
 * *detail, of `size` bytes, says more.
 */
struct verdict peer_link(struct peer *peer, pid_t other, pid_t self, bool sending, char *detail, size_t size);

/* Whether the other process has ended. poll(2) on a pidfd. */
bool peer_is_dead(const struct peer *peer);

/* Reads a pid: 0 if it is none. */
pid_t peer_parse(const char *text);

#endif
