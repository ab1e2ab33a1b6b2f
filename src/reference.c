#include "reference.h"

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define GRACE_MS 100
#define SEALS    (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int reference_create(struct reference_writer *writer)
{
    *writer = (struct reference_writer){.fd = -1};
    if (getrandom(writer->reference.id, MESSAGE_ID, 0) != MESSAGE_ID) {
        return -1;
    }
    writer->fd = memfd_create("fifo-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (writer->fd == -1) {
        return -1;
    }
    if (reference_append(writer, writer->reference.id, MESSAGE_ID) == -1) {
        reference_drop(writer);
        return -1;
    }
    writer->reference.length = 0;
    return 0;
}

int reference_append(struct reference_writer *writer, const void *content, size_t length)
{
    const char *at = content;

    while (length > 0) {
        ssize_t written = write(writer->fd, at, length);
        if (written == -1 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return -1;
        }
        at += written;
        length -= (size_t)written;
        writer->reference.length += (uint64_t)written;
    }
    return 0;
}

int reference_seal(struct reference_writer *writer)
{
    writer->reference.fd = (uint32_t)writer->fd;
    writer->reference.pid_namespace = process_namespace();
    if (writer->reference.pid_namespace == 0) {
        return -1; /* no /proc: nobody could open it; errno says so */
    }
    return fcntl(writer->fd, F_ADD_SEALS, SEALS);
}

/* What follows the id in the memfd. */
static const unsigned char *map_content(int fd, size_t length)
{
    void *map = mmap(NULL, MESSAGE_ID + length, PROT_READ, MAP_PRIVATE, fd, 0);
    return map == MAP_FAILED ? NULL : (const unsigned char *)map + MESSAGE_ID;
}

const unsigned char *reference_reread(const struct reference_writer *writer)
{
    return map_content(writer->fd, (size_t)writer->reference.length);
}

void reference_drop(struct reference_writer *writer)
{
    if (writer->fd != -1) {
        close(writer->fd);
        writer->fd = -1;
    }
}

/*
 * Whether the process has ended. It gets `grace` milliseconds for that: a sender closes its descriptors, or
 * has them closed as it dies, just before it has ended.
 */
static bool has_ended(pid_t pid, int grace)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd == -1) {
        return errno == ESRCH;
    }
    bool result = process_has_ended(fd, grace);
    close(fd);
    return result;
}

static bool is_visible(pid_t pid)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    return access(path, X_OK) == 0;
}

/*
 * Opens descriptor `reference.fd` of the sender for reading, having made sure that opening it does no harm: a
 * FIFO would hang, and so could a file whose file system is somebody's program; a device could act. O_PATH
 * opens without opening, and pins what was looked at.
 */
static int open_pinned(const struct message *message, struct stat *file)
{
    char path[64];
    struct statfs fs;

    snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)message->sender, message->reference.fd);
    int pin = open(path, O_PATH | O_CLOEXEC);
    if (pin == -1) {
        return -1;
    }
    int fd = -1;
    if (fstat(pin, file) == 0 && fstatfs(pin, &fs) == 0 && S_ISREG(file->st_mode) && file->st_nlink == 0 &&
        fs.f_type == TMPFS_MAGIC) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", pin);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    } else {
        errno = EBADF;
    }
    int error = errno;
    close(pin);
    errno = error;
    return fd;
}

static bool is_sound(int fd, const struct stat *file, const struct reference *reference)
{
    unsigned char id[MESSAGE_ID];

    /* Files that cannot be sealed say -1, which has all bits set. */
    int seals = fcntl(fd, F_GET_SEALS);

    return seals != -1 && (seals & SEALS) == SEALS &&
           (uint64_t)file->st_size == MESSAGE_ID + reference->length &&
           pread(fd, id, MESSAGE_ID, 0) == MESSAGE_ID && memcmp(id, reference->id, MESSAGE_ID) == 0;
}

enum reference_state reference_map(const struct message *message, size_t most, const unsigned char **content)
{
    const struct reference *reference = &message->reference;
    struct stat file;

    uint64_t own = process_namespace();
    if (own == 0 || reference->pid_namespace != own) {
        errno = 0;
        return REFERENCE_UNREACHABLE;
    }
    int fd = open_pinned(message, &file);
    if (fd == -1) {
        int error = errno;
        if (has_ended(message->sender, error == ENOENT ? GRACE_MS : 0)) {
            return REFERENCE_GONE;
        }
        /* A process that /proc hides from us (hidepid) is one whose descriptors we know nothing of. */
        bool hidden = error == ENOENT && !is_visible(message->sender);
        errno = hidden ? EACCES : error;
        return !hidden && (error == ENOENT || error == EBADF) ? REFERENCE_LIES : REFERENCE_UNREACHABLE;
    }
    enum reference_state state;
    if (geteuid() != 0 && file.st_uid != geteuid()) {
        errno = EPERM;
        state = REFERENCE_UNREACHABLE;
    } else if (!is_sound(fd, &file, reference)) {
        state = REFERENCE_LIES;
    } else if (message->length > most) {
        state = REFERENCE_TOO_LONG;
    } else {
        *content = map_content(fd, message->length);
        state = *content == NULL ? REFERENCE_UNREACHABLE : REFERENCE_OPEN;
    }
    int error = errno;
    close(fd);
    errno = error;
    return state;
}

void reference_unmap(const unsigned char *content, size_t length)
{
    if (content != NULL) {
        union {
            const unsigned char *in;
            void *out;
        } start = {.in = content - MESSAGE_ID};
        munmap(start.out, MESSAGE_ID + length);
    }
}
