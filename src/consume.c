#include "consume.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

size_t consume(int fd, unsigned char *buffer, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t got = read(fd, buffer + done, length - done);
        if (got == -1 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        done += (size_t)got;
    }
    return done;
}

void consume_nothing(int fd, size_t length)
{
    unsigned char buffer[PIPE_BUF];

    while (length > 0) {
        size_t part = length < sizeof buffer ? length : sizeof buffer;
        if (consume(fd, buffer, part) < part) {
            return;
        }
        length -= part;
    }
}

bool consume_into(int fd, struct long_line *line, size_t length, size_t most)
{
    if (length > most || line->length > most - length) {
        consume_nothing(fd, length);
        line->length = most + 1;
        return true;
    }
    if (length > line->room - line->length) {
        size_t room = 2 * (line->length + length);
        unsigned char *bytes = realloc(line->bytes, room);
        if (bytes == NULL) {
            return false;
        }
        line->bytes = bytes;
        line->room = room;
    }
    if (length > 0) {
        line->length += consume(fd, line->bytes + line->length, length);
    }
    return true;
}
