#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int descriptor_above_standard(int fd)
{
    while (fd >= 0 && fd <= STDERR_FILENO) {
        int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        int hole = open("/dev/null", O_PATH);
        if (higher == -1 || hole == -1 || dup2(hole, fd) == -1) {
            return -1;
        }
        if (hole > STDERR_FILENO) {
            close(hole);
        }
        fd = higher;
    }
    return fd;
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
