/* Starts programs as a shell would, but without the shell's own cost. */
#ifndef SPAWN_H
#define SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

enum { PROGRAM_REDIRECTIONS = 4, PROGRAM_STACK = 64 << 10 };

struct program {
    char **argv;
    const char *redirections[PROGRAM_REDIRECTIONS]; /* "<FILE", ">FILE" or ">>FILE" */
    int redirected;
    bool piped; /* into the next program */
    int in;     /* the pipe from the program before, or -1 */
    int out;
    pid_t pid; /* 0 before the start and after the end */
    char *stack;
};

/* Cuts WORDS at the words "&" and "|" and takes the redirections out. Returns how many programs there are;
   the array is the caller's for ever. */
int program_parse(char **words, struct program **programs);

void program_start(struct program *program);

/* Starts all, with pipes between those that "|" connects. */
void program_start_all(struct program *programs, int count);

/* Until every one of them has ended. If one fails, says which, kills the others and exits with 1. */
void program_wait_all(struct program *programs, int count);

long long nanoseconds(void);

#endif
