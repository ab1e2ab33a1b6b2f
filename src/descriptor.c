#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int descriptor_above_standard(int fd)
{
    int hole = STDIN_FILENO;

    if (fd < 0 || fd > STDERR_FILENO) {
        return fd;
    }
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    close(fd);
    /* All the gaps: what else is opened need not come through here then. */
    while (higher != -1 && hole != -1 && hole <= STDERR_FILENO) {
        hole = open("/dev/null", O_PATH);
        error = errno;
    }
    if (hole > STDERR_FILENO) {
        close(hole);
    } else if (higher != -1) {
        close(higher);
        higher = -1;
    }
    errno = error;
    return higher;
}

int descriptor_open(int directory, const char *name, int flags, mode_t type)
{
    struct stat file;
    int fd = descriptor_above_standard(
        openat(directory, name, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW));

    if (fd != -1 && (fstat(fd, &file) == -1 || (file.st_mode & S_IFMT) != type)) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}
