/* herd COUNT WAITER [ARG...] & SERVER [ARG...]: starts COUNT waiters, and when all of them sleep, the server.
   Prints how many nanoseconds it took from the server's start until it and all waiters had ended, and the
   median of the KiB of private dirty memory that the waiters had. */
#include "spawn.h"

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOKS = 3, PAUSE = 20000 };

static FILE *proc(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        err(2, "%s", path);
    }
    return file;
}

static bool asleep(pid_t pid)
{
    char line[512];
    FILE *file = proc(pid, "stat");
    size_t length = fread(line, 1, sizeof line - 1, file);

    line[length] = '\0';
    fclose(file);
    const char *state = strrchr(line, ')');
    return state != NULL && state[1] == ' ' && state[2] == 'S';
}

/* Until all of them have been found asleep several times in a row. */
static void settle(const struct program *waiters, int count)
{
    for (int looks = 0; looks < LOOKS; looks++) {
        usleep(PAUSE);
        for (int i = 0; i < count; i++) {
            if (!asleep(waiters[i].pid)) {
                looks = -1;
                break;
            }
        }
    }
}

static long private_dirty(pid_t pid)
{
    static const char name[] = "Private_Dirty:";
    char line[256];
    long kib = -1;
    FILE *file = proc(pid, "smaps_rollup");

    while (kib < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, sizeof name - 1) == 0) {
            kib = strtol(line + sizeof name - 1, NULL, 10);
        }
    }
    fclose(file);
    return kib;
}

static int ascending(const void *a, const void *b)
{
    long x = *(const long *)a;
    long y = *(const long *)b;

    return (x > y) - (x < y);
}

static long median(const struct program *waiters, int count)
{
    long *kib = calloc(count, sizeof *kib);

    if (kib == NULL) {
        err(2, "memory");
    }
    for (int i = 0; i < count; i++) {
        kib[i] = private_dirty(waiters[i].pid);
    }
    qsort(kib, count, sizeof *kib, ascending);
    long middle = kib[count / 2];
    free(kib);
    return middle;
}

int main(int argc, char **argv)
{
    struct program *pair;
    int count = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;

    if (count < 1 || program_parse(argv + 2, &pair) != 2) {
        errx(2, "usage: herd COUNT WAITER... & SERVER...");
    }
    struct program *all = calloc(count + 1, sizeof *all);
    if (all == NULL) {
        err(2, "programs");
    }
    for (int i = 0; i < count; i++) {
        all[i] = pair[0];
        /* Not shared: one may still be on its stack when the next one starts. */
        all[i].stack = malloc(PROGRAM_STACK);
        if (all[i].stack == NULL) {
            err(2, "stack");
        }
        program_start(&all[i]);
    }
    settle(all, count);
    long kib = median(all, count);
    long long begin = nanoseconds();
    all[count] = pair[1];
    program_start(&all[count]);
    program_wait_all(all, count + 1);
    printf("%lld %ld\n", nanoseconds() - begin, kib);
    return 0;
}
