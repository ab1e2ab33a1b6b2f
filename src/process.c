#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Fields of /proc/PID/stat, counted from 1 as in proc(5). */
enum { STATE = 3, PARENT = 4, STARTED = 22, CODE = 26, STACK = 28, ARGUMENTS = 48 };

/* The program's name stands in parentheses and may hold any byte, these too: the last one ends it. */
static bool parse(char *text, struct process *process)
{
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    int field = STATE - 1;

    if (open == NULL || close == NULL || close < open) {
        return false;
    }
    *close = '\0';
    snprintf(process->name, sizeof process->name, "%s", open + 1);
    for (char *at = close + 2; *at != '\0';) {
        size_t length = strcspn(at, " \n");
        uint64_t value = strtoull(at, NULL, 10); /* the first of them is a letter */
        field++;
        process->zombie = process->zombie || (field == STATE && (*at == 'Z' || *at == 'X'));
        switch (field) {
        case PARENT:
            process->parent = (pid_t)value;
            break;
        case STARTED:
            process->started = value;
            break;
        case CODE:
            process->image[0] = value;
            break;
        case STACK:
            process->image[1] = value;
            break;
        case ARGUMENTS:
            process->image[2] = value;
            break;
        default:
            break;
        }
        at += length;
        at += *at == '\0' ? 0 : 1;
    }
    return field >= STARTED;
}

/* A zombie may be the first thread alone, which has ended before the others. */
static bool has_no_threads(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool none = pidfd == -1 || process_has_ended(pidfd, 0);

    if (pidfd != -1) {
        close(pidfd);
    }
    return none;
}

bool process_look(pid_t pid, struct process *process)
{
    char path[40], text[2048];
    struct stat file;

    *process = (struct process){.pid = pid};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return false;
    }
    ssize_t got = read(fd, text, sizeof text - 1);
    bool looked = got > 0 && fstat(fd, &file) == 0;
    close(fd);
    if (!looked) {
        return false;
    }
    text[got] = '\0';
    process->user = file.st_uid;
    bool sound = parse(text, process);
    errno = ESRCH;
    return sound && !(process->zombie && has_no_threads(pid));
}

static ssize_t read_arguments(pid_t pid, char *text, size_t size)
{
    char path[40];

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd == -1 ? -1 : read(fd, text, size);
    if (fd != -1) {
        close(fd);
    }
    return got;
}

/* Without randomized addresses any two processes may have the same. */
static bool has_same_arguments(pid_t a, pid_t b)
{
    char texts[2][1024];
    ssize_t length = read_arguments(a, texts[0], sizeof texts[0]);

    return length > 0 && read_arguments(b, texts[1], sizeof texts[1]) == length &&
           memcmp(texts[0], texts[1], (size_t)length) == 0;
}

bool process_is_copy(const struct process *child, const struct process *parent)
{
    return child->image[1] != 0 && memcmp(child->image, parent->image, sizeof child->image) == 0 &&
           strcmp(child->name, parent->name) == 0 && has_same_arguments(child->pid, parent->pid);
}

bool process_descends(pid_t pid, pid_t ancestor)
{
    struct process process;

    while (pid != ancestor && pid > 1 && process_look(pid, &process)) {
        pid = process.parent;
    }
    return pid == ancestor;
}

uint64_t process_namespace(void)
{
    struct stat file;
    return stat("/proc/self/ns/pid", &file) == 0 ? file.st_ino : 0;
}

bool process_is_misled(void)
{
    char self[24] = "";

    return readlink("/proc/self", self, sizeof self - 1) > 0 && strtol(self, NULL, 10) != getpid();
}

bool process_has_ended(int pidfd, int grace)
{
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    return poll(&end, 1, grace) == 1;
}
