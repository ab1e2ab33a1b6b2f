/* Standard input to standard output, at least one of them a pipe, by splice(2). */
#include <err.h>
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
    ssize_t moved;

    fcntl(STDIN_FILENO, F_SETPIPE_SZ, 1 << 20);
    fcntl(STDOUT_FILENO, F_SETPIPE_SZ, 1 << 20);
    do {
        moved = splice(STDIN_FILENO, NULL, STDOUT_FILENO, NULL, 1 << 20, SPLICE_F_MOVE);
    } while (moved > 0);
    if (moved < 0) {
        err(1, "splice");
    }
    return 0;
}
