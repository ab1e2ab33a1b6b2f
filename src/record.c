#include "record.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC  0x46517231U /* "1rQF" */
#define LITTLE 4096        /* read at least so much at once */

#define SEALED_FROM offsetof(struct record, sequence)
#define SEALED_TO   offsetof(struct record, state)

static uint32_t seal_of(const struct record *record, uint64_t id, uint64_t at)
{
    const unsigned char *bytes = (const unsigned char *)record;
    return (uint32_t)XXH3_64bits_withSeed(bytes + SEALED_FROM, SEALED_TO - SEALED_FROM, id ^ at);
}

static uint64_t content_check(uint64_t id, uint64_t at, const void *content, size_t length)
{
    return XXH3_64bits_withSeed(content, length, id ^ at ^ 1);
}

/* A run's end as the mark has it: its distance, and 16 bits that make it improbable that it is a wrong one.
 */
static uint64_t run_of(uint64_t id, uint64_t at, uint64_t end)
{
    uint64_t distance = end - at;
    return distance << 16 | (XXH3_64bits_withSeed(&distance, sizeof distance, id ^ at) & 0xffff);
}

void record_seal(struct record *record, uint64_t id, uint64_t at, const void *content)
{
    record->content = content_check(id, at, content, record->length);
    record_seal_header(record, id, at);
}

void record_seal_header(struct record *record, uint64_t id, uint64_t at)
{
    record->magic = MAGIC;
    record->check = seal_of(record, id, at);
    record->state = RECORD_WAITS;
    record->tries = 0;
    record->run = 0;
}

/* Whether this is a record that lies at `at` and ends by `limit`. */
static bool is_valid(const struct record *record, uint64_t id, uint64_t at, uint64_t limit)
{
    if (record->magic != MAGIC || record->sequence > RECORD_MOST || record->flags > RECORD_FLAGS ||
        at > limit || limit - at < sizeof *record || record->length > limit - at - sizeof *record ||
        record_size(record->length) > limit - at) {
        return false;
    }
    return (record->state == RECORD_WAITS || record->state == RECORD_DONE) &&
           record->check == seal_of(record, id, at);
}

bool record_has_content(const struct record *record, uint64_t id, uint64_t at, const void *content)
{
    return record->content == content_check(id, at, content, record->length);
}

uint64_t record_run(const struct record *record, uint64_t id, uint64_t at, uint64_t limit)
{
    uint64_t own = at + record_size(record->length);
    uint64_t distance = record->run >> 16;

    if (distance == 0 || distance > limit - at || distance % RECORD_ALIGN != 0 || at + distance < own ||
        record->run != run_of(id, at, at + distance)) {
        return own;
    }
    return at + distance;
}

bool record_mark(int fd, uint64_t id, uint64_t at, uint64_t end, uint32_t tries)
{
    const struct record record = {
        .state = end > 0 ? RECORD_DONE : RECORD_WAITS,
        .tries = tries,
        .run = end > 0 ? run_of(id, at, end) : 0,
    };
    const size_t mark = offsetof(struct record, state);
    const size_t length = sizeof record - mark;
    ssize_t written = pwrite(fd, (const unsigned char *)&record + mark, length, (off_t)(at + mark));

    if (written >= 0 && written != (ssize_t)length) {
        errno = EIO;
    }
    return written == (ssize_t)length;
}

size_t window_show(struct window *window, uint64_t at, size_t want)
{
    size_t length = 0;

    if (at >= window->at && at - window->at <= window->length && window->length - (at - window->at) >= want) {
        return window->length - (at - window->at);
    }
    want = want < LITTLE ? LITTLE : want;
    want = want < RECORD_WINDOW ? want : RECORD_WINDOW;
    errno = 0;
    while (length < want) {
        ssize_t got = pread(window->fd, window->bytes + length, want - length, (off_t)(at + length));
        if (got == -1 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
    }
    window->at = at;
    window->length = length;
    return length;
}

bool window_record(struct window *window, uint64_t at, uint64_t limit, struct record *record)
{
    if (at > limit || window_show(window, at, sizeof *record) < sizeof *record) {
        return false;
    }
    memcpy(record, window_bytes(window, at), sizeof *record);
    return is_valid(record, window->id, at, limit);
}

/* Whether there is anything but zeros. */
static bool is_something(const unsigned char *bytes, size_t length)
{
    return length > 0 && (bytes[0] != 0 || memcmp(bytes, bytes + 1, length - 1) != 0);
}

uint64_t window_search(struct window *window, uint64_t at, uint64_t limit, struct record *record,
                       bool *garbage)
{
    *garbage = false;
    while (at < limit && limit - at >= sizeof *record) {
        size_t shown = window_show(window, at, sizeof *record);
        if (shown < sizeof *record) {
            break;
        }
        if (window_record(window, at, limit, record)) {
            return at;
        }
        if (!is_something(window_bytes(window, at), RECORD_ALIGN)) {
            /* What was given back is a hole, and may be gigabytes. */
            off_t data = at % LITTLE == 0 ? lseek(window->fd, (off_t)at, SEEK_DATA) : -1;
            if (data > (off_t)at) {
                at = (uint64_t)data & ~(uint64_t)(RECORD_ALIGN - 1);
                continue;
            }
            if (at % LITTLE == 0 && data == -1 && errno == ENXIO) {
                return limit;
            }
        } else {
            *garbage = true;
        }
        at += RECORD_ALIGN;
    }
    if (at < limit && window_show(window, at, 1) > 0) {
        size_t rest = (size_t)(limit - at);
        *garbage = *garbage || is_something(window_bytes(window, at), rest < 64 ? rest : 64);
    }
    return limit;
}
