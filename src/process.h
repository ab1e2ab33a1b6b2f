/*
 * process: what /proc says of a process. See proc(5). Nothing here keeps a descriptor, and only
 * process_has_ended() may wait.
 */
#ifndef FIFO_PROCESS_H
#define FIFO_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
    pid_t pid;
    pid_t parent;
    uid_t user;       /* effective */
    bool zombie;      /* its first thread has ended */
    uint64_t started; /* clock ticks since boot */
    uint64_t
        image[3];  /* where its code, stack and arguments lie: a copy that fork(2) has made has the same */
    char name[32]; /* of its program, cut to 15 bytes */
};

/* False and errno, ENOENT or ESRCH where there is no such process, or it is a zombie. */
bool process_look(pid_t pid, struct process *process);

/* Whether `child` is a copy of its parent, rather than another program that it has started. */
bool process_is_copy(const struct process *child, const struct process *parent);

/* Whether the process `pid` is, or descends from, `ancestor`. */
bool process_descends(pid_t pid, pid_t ancestor);

/*
 * Whether the process that `pidfd` refers to has ended, waited for by its parent or not: a zombie holds
 * nothing any more. It gets `grace` milliseconds for that. poll(2).
 */
bool process_has_ended(int pidfd, int grace);

/* Whether /proc is there, but tells of other pids than ours: it was mounted in another pid namespace. */
bool process_is_misled(void);

/* The pid namespace we are in, as the inode number of /proc/self/ns/pid; 0 and errno if there is no /proc. */
uint64_t process_namespace(void);

#endif
