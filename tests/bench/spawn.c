#include "spawn.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void add(struct program *program, const char *redirection)
{
    if (program->redirected == PROGRAM_REDIRECTIONS) {
        errx(2, "too many redirections: %s", redirection);
    }
    program->redirections[program->redirected++] = redirection;
}

int program_parse(char **words, struct program **programs)
{
    int count = 0;
    char **kept = words;

    *programs = NULL;
    while (*words != NULL) {
        *programs = reallocarray(*programs, count + 1, sizeof **programs);
        if (*programs == NULL) {
            err(2, "programs");
        }
        struct program *program = &(*programs)[count++];
        *program = (struct program){.argv = kept, .in = -1, .out = -1, .stack = malloc(PROGRAM_STACK)};
        if (program->stack == NULL) {
            err(2, "stack");
        }
        for (; *words != NULL && strcmp(*words, "&") != 0 && strcmp(*words, "|") != 0; words++) {
            if (**words == '<' || **words == '>') {
                add(program, *words);
            } else {
                *kept++ = *words;
            }
        }
        if (kept == program->argv) {
            errx(2, "a program is missing");
        }
        if (*words != NULL) {
            program->piped = **words == '|';
            words++;
        }
        *kept++ = NULL;
    }
    if (count == 0 || (*programs)[count - 1].piped) {
        errx(2, "a program is missing");
    }
    return count;
}

static void redirect(const char *redirection)
{
    int target = *redirection == '<' ? STDIN_FILENO : STDOUT_FILENO;
    int flags = target == STDIN_FILENO               ? O_RDONLY
                : strncmp(redirection, ">>", 2) == 0 ? O_WRONLY | O_CREAT | O_APPEND
                                                     : O_WRONLY | O_CREAT | O_TRUNC;
    const char *path = redirection + strspn(redirection, "<>");
    int fd = open(path, flags | O_CLOEXEC, 0666);

    if (fd < 0 || dup2(fd, target) < 0) {
        dprintf(STDERR_FILENO, "%s: %s\n", redirection, strerror(errno));
        _exit(126);
    }
}

static int child(void *argument)
{
    struct program *program = argument;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (program->in >= 0) {
        dup2(program->in, STDIN_FILENO);
    }
    if (program->out >= 0) {
        dup2(program->out, STDOUT_FILENO);
    }
    for (int i = 0; i < program->redirected; i++) {
        redirect(program->redirections[i]);
    }
    execvp(program->argv[0], program->argv);
    dprintf(STDERR_FILENO, "%s: %s\n", program->argv[0], strerror(errno));
    _exit(127);
}

void program_start(struct program *program)
{
    /* Not vfork(), under which a child that opens a FIFO would keep its parent from starting the other side.
     */
    program->pid = clone(child, program->stack + PROGRAM_STACK, CLONE_VM | SIGCHLD, program);
    if (program->pid < 0) {
        err(2, "%s", program->argv[0]);
    }
}

void program_start_all(struct program *programs, int count)
{
    int in = -1;

    for (int i = 0; i < count; i++) {
        int ends[2] = {-1, -1};
        if (programs[i].piped && pipe2(ends, O_CLOEXEC) != 0) {
            err(2, "pipe");
        }
        programs[i].in = in;
        programs[i].out = ends[1];
        program_start(&programs[i]);
        if (in >= 0) {
            close(in);
        }
        if (ends[1] >= 0) {
            close(ends[1]);
        }
        in = ends[0];
    }
}

static struct program *find(struct program *programs, int count, pid_t pid)
{
    for (int i = 0; i < count; i++) {
        if (programs[i].pid == pid) {
            return &programs[i];
        }
    }
    errx(2, "an unknown child ended");
}

static void kill_all(struct program *programs, int count)
{
    for (int i = 0; i < count; i++) {
        if (programs[i].pid > 0) {
            kill(programs[i].pid, SIGKILL);
            waitpid(programs[i].pid, NULL, 0);
        }
    }
}

void program_wait_all(struct program *programs, int count)
{
    for (int left = count; left > 0; left--) {
        int status;
        pid_t pid = wait(&status);
        if (pid < 0) {
            err(2, "wait");
        }
        struct program *program = find(programs, count, pid);
        program->pid = 0;
        if (status != 0) {
            fprintf(stderr, "%s: %s %d\n", program->argv[0], WIFEXITED(status) ? "status" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
            kill_all(programs, count);
            exit(1);
        }
    }
}

long long nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}
