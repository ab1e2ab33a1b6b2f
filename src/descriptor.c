#include "descriptor.h"

#include <fcntl.h>
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
