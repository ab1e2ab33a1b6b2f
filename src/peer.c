#include "peer.h"

#include "descriptor.h"
#include "mailbox.h"
#include "process.h"
#include "reply.h"
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST              1
#define FIRST_HAS_NO_LINKS "is the first process of all, with which there are no links"

static bool is_among(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(name, *names) != 0) {
        names++;
    }
    return *names != NULL;
}

static bool is_shell(const struct process *process)
{
    static const char *const shells[] = {"sh",   "bash", "dash", "zsh",     "ksh",   "ksh93", "mksh",
                                         "yash", "ash",  "fish", "busybox", "rbash", NULL};
    return is_among(process->name, shells);
}

/* Programs that only run another one, for which they stand. */
static bool is_runner(const struct process *process)
{
    static const char *const runners[] = {
        "xargs",   "timeout",  "time",      "env",      "find",      "flock", "nice",  "nohup",
        "setsid",  "stdbuf",   "strace",    "ltrace",   "sudo",      "doas",  "watch", "chrt",
        "taskset", "parallel", "catchsegv", "valgrind", "fifo-recv", NULL};
    return is_among(process->name, runners);
}

/* A shell that a shell has made as a copy of itself stands for that one. */
static void find_original(struct process *process)
{
    struct process parent;

    while (is_shell(process) && process_look(process->parent, &parent) && process_is_copy(process, &parent)) {
        *process = parent;
    }
}

static struct verdict find_self(pid_t claimed, struct process *self)
{
    pid_t pid = claimed != 0 ? claimed : getppid();

    if (claimed != 0 && !process_descends(getpid(), claimed)) {
        return verdict(STATUS_ERROR,
                       "is not a process that this one descends from: nobody can claim to be another");
    }
    bool found = process_look(pid, self);
    while (found && claimed == 0 && is_runner(self)) {
        found = process_look(self->parent, self);
    }
    if (!found) {
        return verdict_errno("cannot find out who runs this command; say --self=PID", errno);
    }
    if (claimed == 0) {
        find_original(self);
    }
    return verdict_done();
}

/*
 * The other process is taken as it is named. One that has just been made, and is not the program yet that it
 * will be, looks like a copy of its parent; its time of start stays.
 */
static struct verdict find_other(pid_t pid, struct process *other, int *pidfd)
{
    if (pid == FIRST) {
        return verdict(STATUS_ERROR, FIRST_HAS_NO_LINKS);
    }
    if (process_is_misled()) {
        return verdict(STATUS_ERROR, "cannot be looked at: /proc is that of another pid namespace");
    }
    *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    /* Looked at after it was opened: what we see is what we hold. */
    if (*pidfd != -1 && !process_look(pid, other) && !process_has_ended(*pidfd, 0)) {
        return verdict_errno("cannot look at it in /proc", errno);
    }
    if (*pidfd == -1 || other->started == 0) {
        return errno == ESRCH || errno == ENOENT || errno == EINVAL
                   ? verdict(STATUS_GONE, "no such process")
                   : verdict_errno("cannot look at it", errno);
    }
    if (other->user != geteuid()) {
        return verdict(STATUS_ERROR,
                       "belongs to another user: direct links are between processes of one user");
    }
    *pidfd = descriptor_above_standard(*pidfd);
    return verdict_done();
}

/* The name of the private directory, to be freed. */
static char *directory_name(void)
{
    const char *own = getenv("FIFO_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat file;
    char *name = NULL;
    int length;

    /* Who has become another user, by su(1), may still have that of the first one. */
    if (runtime != NULL && (stat(runtime, &file) == -1 || file.st_uid != geteuid())) {
        runtime = NULL;
    }
    if (own != NULL && *own != '\0') {
        length = asprintf(&name, "%s", own);
    } else if (runtime != NULL && *runtime != '\0') {
        length = asprintf(&name, "%s/fifo", runtime);
    } else {
        length = asprintf(&name, "/tmp/fifo-%u", (unsigned)geteuid());
    }
    return length == -1 ? NULL : name;
}

static struct verdict make_directory(const char *name)
{
    mode_t mask = umask(077);
    int made = mkdir(name, 0700);
    int error = errno;

    umask(mask);
    return made == -1 && error != EEXIST ? verdict_errno("cannot make the directory for direct links", error)
                                         : verdict_done();
}

static struct verdict check_directory(const char *name)
{
    struct stat file;

    if (lstat(name, &file) == -1) {
        return verdict_errno("cannot look at the directory for direct links", errno);
    }
    if (!S_ISDIR(file.st_mode)) {
        return verdict(STATUS_ERROR, "is no directory, so there is no place for direct links; see FIFO_DIR");
    }
    if (file.st_uid != geteuid()) {
        return verdict(STATUS_ERROR,
                       "belongs to another user, and is no place for direct links; see FIFO_DIR");
    }
    return (file.st_mode & 077) == 0
               ? verdict_done()
               : verdict(STATUS_ERROR, "is open to other users, and is no place for direct links: chmod 700");
}

static bool is_alive(pid_t pid, uint64_t started)
{
    struct process process;
    return process_look(pid, &process) ? process.started == started : errno != ENOENT && errno != ESRCH;
}

/* Reads a number that `end` follows, and steps behind that. */
static bool read_number(const char **at, char end, uint64_t *number)
{
    char *behind;

    errno = 0;
    *number = strtoull(*at, &behind, 10);
    bool good = errno == 0 && behind > *at && *behind == end;
    *at = behind + (good && end != '\0' ? 1 : 0);
    return good;
}

/* Whether that is the name of a link, in our pid namespace, of which an end is dead. Of others we know
 * nothing. */
static bool is_dead_link(const char *name, uint64_t ours)
{
    uint64_t namespace, pids[2], started[2];

    return read_number(&name, ':', &namespace) && read_number(&name, '.', &pids[0]) &&
           read_number(&name, '-', &started[0]) && read_number(&name, '.', &pids[1]) &&
           read_number(&name, '\0', &started[1]) && namespace == ours &&
           (!is_alive((pid_t)pids[0], started[0]) || !is_alive((pid_t)pids[1], started[1]));
}

static void sweep(const char *directory)
{
    DIR *list = opendir(directory);
    const uint64_t ours = process_namespace();
    const struct dirent *entry;
    struct stat file;
    char *path;

    while (list != NULL && (entry = readdir(list)) != NULL) {
        if (is_dead_link(entry->d_name, ours) &&
            fstatat(dirfd(list), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISFIFO(file.st_mode) &&
            asprintf(&path, "%s/%s", directory, entry->d_name) != -1) {
            reply_sweep(path);
            unlink(path);
            free(path);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
}

static struct verdict make_fifo(const char *path)
{
    return mailbox_make(path, 0600, false) == -1 && errno != EEXIST
               ? verdict_errno("cannot make the link", errno)
               : verdict_done();
}

/* The path of the link from one process to another, to be freed. */
static char *link_path(const char *directory, const struct process *from, const struct process *to)
{
    char *path = NULL;
    int length = asprintf(&path, "%s/%" PRIu64 ":%d.%" PRIu64 "-%d.%" PRIu64, directory, process_namespace(),
                          (int)from->pid, from->started, (int)to->pid, to->started);
    return length == -1 ? NULL : path;
}

static bool has_link(const char *directory, const struct process *from, const struct process *to)
{
    char *path = link_path(directory, from, to);
    bool has = path != NULL && access(path, F_OK) == 0;

    free(path);
    return has;
}

/*
 * A shell may become the last command that it runs, instead of starting it: `sh -c '...; fifo-send ...'`.
 * Then it is we that the other process has a link with, and not our parent.
 */
static void prefer_own_link(const char *directory, struct process *us, const struct process *them)
{
    struct process own;

    if (process_look(getpid(), &own) &&
        (has_link(directory, &own, them) || has_link(directory, them, &own))) {
        *us = own;
    }
}

/* Who we claim to be: 0 if nothing is said. */
static struct verdict find_claim(pid_t *claimed, char *detail, size_t size)
{
    const char *text = getenv("FIFO_SELF");

    if (*claimed == 0 && text != NULL && *text != '\0' && (*claimed = peer_parse(text)) == 0) {
        snprintf(detail, size, "FIFO_SELF");
        return verdict(STATUS_ERROR, "is no process id");
    }
    snprintf(detail, size, "process %d", (int)*claimed);
    return verdict_done();
}

/*
 * Who is left alone when the other one ends is told so when it next asks for it, and may never ask for
 * anybody else.
 */
static void sweep_alone(void)
{
    char *directory = directory_name();

    if (directory != NULL && check_directory(directory).status == STATUS_DONE) {
        sweep(directory);
    }
    free(directory);
}

/* Makes the link in the directory. */
static struct verdict make_link(struct peer *peer, const char *directory, const struct process *us,
                                const struct process *them, bool sending)
{
    sweep(directory);
    peer->path = sending ? link_path(directory, us, them) : link_path(directory, them, us);
    peer->self = us->pid;
    peer->other = them->pid;
    snprintf(peer->self_name, sizeof peer->self_name, "%s", us->name);
    snprintf(peer->other_name, sizeof peer->other_name, "%s", them->name);
    struct verdict v =
        peer->path == NULL ? verdict_errno("cannot make the link", ENOMEM) : make_fifo(peer->path);
    return v.status == STATUS_DONE && watch_process(peer->pidfd) == -1
               ? verdict_errno("cannot watch the other process", errno)
               : v;
}

struct verdict peer_link(struct peer *peer, pid_t other, pid_t self, bool sending, char *detail, size_t size)
{
    struct process us, them;
    pid_t claimed = self;

    *peer = (struct peer){.pidfd = -1};
    snprintf(detail, size, "process %d", (int)other);
    struct verdict v = find_other(other, &them, &peer->pidfd);
    if (v.status == STATUS_GONE) {
        sweep_alone();
    }
    if (v.status == STATUS_DONE) {
        v = find_claim(&claimed, detail, size);
    }
    if (v.status == STATUS_DONE) {
        v = find_self(claimed, &us);
    }
    if (v.status != STATUS_DONE) {
        return v;
    }
    char *directory = directory_name();
    if (directory == NULL) {
        return verdict_errno("", ENOMEM);
    }
    snprintf(detail, size, "%s", directory);
    v = make_directory(directory);
    v = v.status == STATUS_DONE ? check_directory(directory) : v;
    if (v.status == STATUS_DONE && claimed == 0) {
        prefer_own_link(directory, &us, &them);
    }
    if (v.status == STATUS_DONE && (us.pid == them.pid || us.pid == FIRST)) {
        snprintf(detail, size, "process %d", (int)us.pid);
        v = verdict(STATUS_ERROR, us.pid == FIRST ? FIRST_HAS_NO_LINKS
                                                  : "is this process itself, or what it runs in; see --self");
    }
    if (v.status == STATUS_DONE) {
        v = make_link(peer, directory, &us, &them, sending);
    }
    free(directory);
    return v;
}

bool peer_is_dead(const struct peer *peer)
{
    return peer->pidfd != -1 && process_has_ended(peer->pidfd, 0);
}

pid_t peer_parse(const char *text)
{
    char *end;

    if (*text < '0' || *text > '9') {
        return 0;
    }
    errno = 0;
    long pid = strtol(text, &end, 10);
    return errno != 0 || *end != '\0' || pid <= 0 || pid > INT32_MAX ? 0 : (pid_t)pid;
}
