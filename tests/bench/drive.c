/* drive COUNT PROGRAM [ARG...] [& PROGRAM...] [| PROGRAM...]: starts the programs side by side, waits for all
   of them, COUNT times over, and prints how many nanoseconds it took. */
#include "spawn.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct program *programs;

    if (argc < 3) {
        errx(2, "usage: drive COUNT PROGRAM...");
    }
    long rounds = strtol(argv[1], NULL, 10);
    int count = program_parse(argv + 2, &programs);
    long long begin = nanoseconds();
    for (long i = 0; i < rounds; i++) {
        program_start_all(programs, count);
        program_wait_all(programs, count);
    }
    printf("%lld\n", nanoseconds() - begin);
    return 0;
}
