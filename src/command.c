#include "command.h"

#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_WORDS MILLISECONDS(1000)

/* A memfd with the content: no writer has to feed it, and COMMAND may stop reading when it likes. */
static int make_stdin(const struct message *message)
{
    int fd = memfd_create("fifo-message", MFD_CLOEXEC);
    size_t done = 0;

    while (fd != -1 && done < message->length) {
        ssize_t written = write(fd, message->content + done, message->length - done);
        if (written == -1 && errno != EINTR) {
            int error = errno;
            close(fd);
            errno = error;
            return -1;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    if (fd != -1) {
        lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

/* Sets a variable to a number, or unsets it where there is none. */
static void set_number(const char *name, long long number)
{
    char text[24];

    if (number > 0) {
        snprintf(text, sizeof text, "%lld", number);
        setenv(name, text, 1);
    } else {
        unsetenv(name);
    }
}

static void set_environment(const struct command *command, const struct message *message)
{
    setenv("FIFO_MAILBOX", command->mailbox, 1);
    if (command->reply != NULL) {
        setenv("FIFO_REPLY", command->reply, 1);
    } else {
        unsetenv("FIFO_REPLY");
    }
    if (command->self != 0) {
        set_number("FIFO_SELF", command->self);
    }
    set_number("FIFO_SENDER", message->sender);
    set_number("FIFO_TRIES", message->tries);
}

/* In the child: becomes COMMAND, or tells the parent through `report` why not. */
_Noreturn static void become(const struct command *command, int input, int report, pid_t parent)
{
    /* Who kills us hands the message to the next receiver, and should not have two at work on it. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(STATUS_CANNOT_RUN); /* too late for that: it has happened */
    }
    dup2(input, STDIN_FILENO);
    if (command->output != -1) {
        dup2(command->output, STDOUT_FILENO);
    }
    sigprocmask(SIG_SETMASK, wait_entry_mask(), NULL);
    execvp(command->argv[0], command->argv);
    int error = errno;
    (void)!write(report, &error, sizeof error);
    _exit(STATUS_CANNOT_RUN);
}

/* Waits until the child has become COMMAND, or has told why not; a file system may be slow. */
static bool is_reported(int report, deadline until)
{
    struct pollfd end = {.fd = report, .events = POLLIN};
    enum wake wake;

    do {
        wake = wait_poll(&end, 1, until);
    } while (wake == WAKE_NAME);
    return wake == WAKE_EVENT;
}

/* Starts COMMAND. Returns its pid, or -1 and errno; *failed is errno of the exec, 0 if it succeeded. */
static pid_t start(const struct command *command, int input, int *failed)
{
    int report[2];

    *failed = 0;
    if (pipe2(report, O_CLOEXEC) == -1) {
        return -1;
    }
    pid_t self = getpid();
    pid_t child = fork();
    if (child == 0) {
        become(command, input, report[1], self);
    }
    int error = errno;
    close(report[1]);
    if (child != -1 && is_reported(report[0], command->until)) {
        ssize_t got;
        do {
            got = read(report[0], failed, sizeof *failed);
        } while (got == -1 && errno == EINTR);
    }
    close(report[0]);
    errno = error;
    return child;
}

/*
 * Waits for the child: its wait status is in *status, and *late says that the deadline ended it; or will,
 * once it can be killed, for a file system that hangs may keep it from that. False and errno: nobody knows
 * how it ended.
 */
static bool wait_for(pid_t child, deadline until, int *status, bool *late)
{
    bool killed = false;

    for (;;) {
        pid_t ended = waitpid(child, status, WNOHANG);
        if (ended == child || (ended == -1 && errno != EINTR)) {
            return ended == child;
        }
        switch (wait_child(until)) {
        case WAKE_DEADLINE:
            if (waitpid(child, status, WNOHANG) == child) {
                return true; /* it was just in time */
            }
            if (killed) {
                return true;
            }
            killed = *late;
            kill(child, killed ? SIGKILL : SIGTERM);
            until = deadline_in(LAST_WORDS);
            *late = true;
            break;
        case WAKE_SIGNAL:
            kill(child, wait_signal());
            break;
        default:
            break;
        }
    }
}

struct verdict command_run(const struct command *command, const struct message *message)
{
    bool late = false;
    int failed;
    int input = make_stdin(message);

    if (input == -1) {
        return verdict_errno("cannot keep the message for COMMAND", errno);
    }
    signal(SIGCHLD, SIG_DFL); /* inherited as ignored, it would hide the exit status */
    set_environment(command, message);
    pid_t child = start(command, input, &failed);
    int error = errno;
    close(input);
    if (child == -1) {
        return verdict_errno("cannot make a process for COMMAND", error);
    }
    int status;
    if (!wait_for(child, command->until, &status, &late)) {
        return verdict_errno("cannot wait for COMMAND", errno);
    }
    if (failed != 0) {
        return (struct verdict){failed == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN, failed,
                                "cannot run it"};
    }
    if (late) {
        return verdict(STATUS_TIMEOUT, "timed out: COMMAND was ended");
    }
    if (WIFSIGNALED(status)) {
        return verdict(STATUS_SIGNAL + WTERMSIG(status), "COMMAND was killed by a signal");
    }
    return WEXITSTATUS(status) == 0 ? verdict_done() : verdict(WEXITSTATUS(status), "COMMAND failed");
}
