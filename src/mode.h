/*
 * mode: reads a file mode as chmod(1) of POSIX.1-2024 takes it, for a file that is about to be made.
 *
 * A pure function: nothing is opened, nothing blocks.
 */
#ifndef FIFO_MODE_H
#define FIFO_MODE_H

#include <stdbool.h>
#include <sys/types.h>

enum mode_error {
    MODE_OK,
    MODE_INVALID,         /* no mode at all */
    MODE_NOT_PERMISSIONS, /* bits beyond 0777: set-id, sticky */
};

/*
 * Reads `text`, octal or symbolic, the latter relative to a=rw. Where an operation names nobody (u, g, o, a)
 * it leaves alone what is set in `mask`, the umask. On MODE_OK *mode has the permission bits.
 */
enum mode_error mode_parse(const char *text, mode_t mask, mode_t *mode);

#endif
