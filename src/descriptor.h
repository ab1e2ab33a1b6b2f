/*
 * descriptor: keeps what we open away from the numbers of standard input, output and error.
 */
#ifndef FIFO_DESCRIPTOR_H
#define FIFO_DESCRIPTOR_H

#include <sys/types.h>

/*
 * Takes a descriptor that was just opened, or -1, and returns it under a number above 2; close-on-exec if it
 * had to be moved. With standard output closed, the next descriptor would be number 1, and a message that is
 * printed would go straight back into the mailbox: such gaps are filled with descriptors on which writing
 * fails. -1 and errno, also where `fd` is -1; nothing is open then. fcntl(2), F_DUPFD_CLOEXEC.
 */
int descriptor_above_standard(int fd);

/*
 * Opens `name` in `directory` with `flags` of openat(2), under a number above 2, if it is a file of the type
 * `type` (S_IFREG, S_IFIFO) and no link to one. O_NONBLOCK, O_CLOEXEC, O_NOCTTY and O_NOFOLLOW are added. -1
 * and errno; EINVAL: it is of another type.
 */
int descriptor_open(int directory, const char *name, int flags, mode_t type);

#endif
