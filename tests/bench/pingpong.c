/* pingpong COUNT FIRST SECOND [SERVE]: COUNT bytes, each answered before the next one, over two FIFOs. With
   SERVE, it is the side that answers. */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char byte = 'm';

    if (argc < 4) {
        errx(2, "usage: pingpong COUNT FIRST SECOND [SERVE]");
    }
    int there = open(argv[2], argc > 4 ? O_RDONLY : O_WRONLY);
    int back = open(argv[3], argc > 4 ? O_WRONLY : O_RDONLY);
    int in = argc > 4 ? there : back;
    int out = argc > 4 ? back : there;
    for (long i = strtol(argv[1], NULL, 10); i > 0; i--) {
        if (argc > 4 && read(in, &byte, 1) != 1) {
            err(1, "read");
        }
        if (write(out, &byte, 1) != 1) {
            err(1, "write");
        }
        if (argc == 4 && read(in, &byte, 1) != 1) {
            err(1, "read");
        }
    }
    return 0;
}
