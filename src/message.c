#include "message.h"

#include <assert.h>
#include <string.h>

/*
 * The header, little-endian:
 *   0  0xFF 'f' 'm'      mark
 *   3  version           1
 *   4  type              'R' record, 'M' reference, 'N' notice
 *   5  flags             0
 *   6  header length     2 bytes: where the body starts
 *   8  frame length      2 bytes: header and body
 *  10  0                 2 bytes
 *  12  sender            4 bytes: pid, 0 if it does not say
 * and the body of a reference:
 *   0  content length    8 bytes
 *   8  pid namespace     8 bytes
 *  16  descriptor        4 bytes
 *  20  id               16 bytes
 * A header of 40 bytes or more has a return address behind its first 16:
 *   0  token            16 bytes
 *  16  wants             4 bytes: 1 receipt, 2 reply
 *  20  0                 4 bytes
 */
static const unsigned char mark[] = {0xFF, 'f', 'm'};
#define VERSION        1
#define TYPE_RECORD    'R'
#define TYPE_REFERENCE 'M'
#define TYPE_NOTICE    'N'
#define ADDRESSED      (MESSAGE_HEADER + RETURN_ADDRESS_BYTES)
#define REFERENCE_BODY (20 + MESSAGE_ID)

static_assert(ADDRESSED + REFERENCE_BODY <= PIPE_BUF, "a reference fits into one atomic write");

static void put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        at[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t get(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

bool message_is_line(const void *content, size_t length)
{
    return length > 0 && length <= PIPE_BUF &&
           memchr(content, '\n', length) == (const char *)content + length - 1 &&
           memchr(content, mark[0], length) == NULL;
}

size_t message_plain(const void *bytes, size_t length)
{
    const char *first = memchr(bytes, mark[0], length);
    return first == NULL ? length : (size_t)(first - (const char *)bytes);
}

void message_put_line(struct frame *frame, const void *content, size_t length)
{
    assert(length <= sizeof frame->bytes);
    memcpy(frame->bytes, content, length);
    frame->length = length;
}

void message_put_address(unsigned char *at, const struct return_address *back)
{
    memset(at, 0, RETURN_ADDRESS_BYTES);
    memcpy(at, back->token, MESSAGE_TOKEN);
    put(at + MESSAGE_TOKEN, back->wants, 4);
}

struct return_address message_get_address(const unsigned char *at)
{
    struct return_address back = {.wants = (uint32_t)get(at + MESSAGE_TOKEN, 4)};

    memcpy(back.token, at, MESSAGE_TOKEN);
    return back;
}

static size_t header_length(const struct return_address *back)
{
    return back == NULL || back->wants == 0 ? MESSAGE_HEADER : ADDRESSED;
}

/* Puts a header in front of a body of `body` bytes. Returns the length of both. */
static size_t put_header(unsigned char *at, char type, size_t body, pid_t sender,
                         const struct return_address *back)
{
    size_t length = header_length(back);

    memset(at, 0, MESSAGE_HEADER);
    memcpy(at, mark, sizeof mark);
    at[3] = VERSION;
    at[4] = (unsigned char)type;
    put(at + 6, length, 2);
    put(at + 8, length + body, 2);
    put(at + 12, (uint64_t)sender, 4);
    if (length > MESSAGE_HEADER) {
        message_put_address(at + MESSAGE_HEADER, back);
    }
    return length + body;
}

size_t message_record_most(const struct return_address *back)
{
    return PIPE_BUF - header_length(back);
}

size_t message_put_record(unsigned char *at, const void *content, size_t length, pid_t sender,
                          const struct return_address *back)
{
    assert(length <= message_record_most(back));
    if (length > 0) {
        memcpy(at + header_length(back), content, length);
    }
    return put_header(at, TYPE_RECORD, length, sender, back);
}

void message_put_notice(struct frame *frame, const void *content, size_t length, pid_t sender)
{
    memcpy(frame->bytes + MESSAGE_HEADER, content, length);
    frame->length = put_header(frame->bytes, TYPE_NOTICE, length, sender, NULL);
}

void message_put_reference(struct frame *frame, const struct reference *reference, pid_t sender,
                           const struct return_address *back)
{
    unsigned char *body = frame->bytes + header_length(back);

    frame->length = put_header(frame->bytes, TYPE_REFERENCE, REFERENCE_BODY, sender, back);
    put(body, reference->length, 8);
    put(body + 8, reference->pid_namespace, 8);
    put(body + 16, reference->fd, 4);
    memcpy(body + 20, reference->id, MESSAGE_ID);
}

/* Reads the body of a header that was found sound. False if body and type do not go together. */
static bool get_body(const unsigned char *bytes, size_t header, struct message *message)
{
    const unsigned char *body = bytes + header;
    size_t length = message->frame - header;

    if (header >= ADDRESSED) {
        message->back = message_get_address(bytes + MESSAGE_HEADER);
    }
    if (bytes[4] == TYPE_RECORD || bytes[4] == TYPE_NOTICE) {
        message->form = bytes[4] == TYPE_RECORD ? FORM_RECORD : FORM_NOTICE;
        message->content = body;
        message->length = length;
        return true;
    }
    struct reference *reference = &message->reference;
    if (bytes[4] != TYPE_REFERENCE || length != REFERENCE_BODY) {
        return false;
    }
    message->form = FORM_REFERENCE;
    message->content = NULL;
    reference->length = get(body, 8);
    reference->pid_namespace = get(body + 8, 8);
    reference->fd = (uint32_t)get(body + 16, 4);
    memcpy(reference->id, body + 20, MESSAGE_ID);
    message->length = (size_t)reference->length;
    return message->sender > 0 && reference->fd <= INT32_MAX && reference->length <= SIZE_MAX / 2;
}

/* Reads the header at `bytes`, which starts with the mark. */
static enum found find_header(const unsigned char *bytes, size_t length, bool all, struct message *message)
{
    const enum found cut = all ? FOUND_DAMAGED : FOUND_UNFINISHED;

    if (length < MESSAGE_HEADER) {
        return cut;
    }
    if (bytes[3] > VERSION || (bytes[3] == VERSION && bytes[5] != 0)) {
        return FOUND_NEWER;
    }
    uint64_t sender = get(bytes + 12, 4);
    size_t header = (size_t)get(bytes + 6, 2);
    message->frame = (size_t)get(bytes + 8, 2);
    if (bytes[3] != VERSION || header < MESSAGE_HEADER || message->frame < header ||
        message->frame > PIPE_BUF || sender > INT32_MAX) {
        return FOUND_DAMAGED;
    }
    if (message->frame > length) {
        return cut;
    }
    message->sender = (pid_t)sender;
    return get_body(bytes, header, message) ? FOUND_MESSAGE : FOUND_DAMAGED;
}

static bool has_mark(const unsigned char *bytes, size_t length)
{
    return length >= sizeof mark && memcmp(bytes, mark, sizeof mark) == 0;
}

/*
 * Finds the first header behind the start of `bytes` and before `end` that is no lie. Returns where it
 * starts, or `end` if there is none; *cut tells that it goes on behind `length`, as far as one can see.
 */
static size_t find_next_header(const unsigned char *bytes, size_t end, size_t length, bool all, bool *cut)
{
    struct message ignored = {0};

    for (size_t at = 1; at < end; at++) {
        const unsigned char *next = memchr(bytes + at, mark[0], end - at);
        if (next == NULL) {
            break;
        }
        at = (size_t)(next - bytes);
        size_t rest = length - at;
        if (!has_mark(next, rest)) {
            *cut |= !all && rest < sizeof mark;
            continue;
        }
        enum found found = find_header(next, rest, all, &ignored);
        if (found == FOUND_UNFINISHED) {
            *cut = true;
        } else if (found != FOUND_DAMAGED) {
            return at;
        }
    }
    return end;
}

enum found message_find(const unsigned char *bytes, size_t length, bool all, struct message *message)
{
    bool cut = false;

    *message = (struct message){.form = FORM_LINE, .content = bytes};
    if (length == 0) {
        return FOUND_NOTHING;
    }
    bool marked = has_mark(bytes, length);
    if (marked) {
        enum found found = find_header(bytes, length, all, message);
        if (found != FOUND_DAMAGED) {
            return found;
        }
        *message = (struct message){.form = FORM_LINE, .content = bytes};
    }
    /*
     * A line. It ends at its newline, or where a header starts: then its writer left the newline out, and
     * somebody else's message follows. What a damaged header leaves behind is skipped the same way.
     */
    const unsigned char *newline = memchr(bytes, '\n', length);
    size_t line = newline == NULL ? length : (size_t)(newline - bytes) + 1;
    size_t end = find_next_header(bytes, line, length, all, &cut);
    message->frame = message->length = end;
    if (cut) {
        return FOUND_UNFINISHED;
    }
    if (marked) {
        return FOUND_DAMAGED;
    }
    return newline != NULL || end < length ? FOUND_MESSAGE : FOUND_UNFINISHED;
}
