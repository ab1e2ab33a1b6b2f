/* lines SIZE COUNT: COUNT lines of SIZE bytes each, the newline included; no two are the same. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    size_t size = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    char *line = size < 32 ? NULL : malloc(size);

    if (line == NULL) {
        errx(2, "usage: lines SIZE COUNT");
    }
    for (size_t i = 0; i < size; i++) {
        line[i] = (char)('a' + i % 26);
    }
    line[size - 1] = '\n';
    for (long i = 0; i < count; i++) {
        char number[32];
        snprintf(number, sizeof number, "%015ld", i);
        memcpy(line, number, 15);
        fwrite(line, 1, size, stdout);
    }
    if (fflush(stdout) != 0) {
        err(1, "standard output");
    }
    return 0;
}
