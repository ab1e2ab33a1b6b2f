#include "message.h"

#include <assert.h>
#include <string.h>

/*
 * The header, little-endian:
 *   0  0xFF 'f' 'm'      mark
 *   3  version           2
 *   4  type              'R' record, 'P' part, 'N' notice
 *   5  flags             0
 *   6  header length     2 bytes: where the body starts
 *   8  frame length      4 bytes: header and body
 *  12  sender            4 bytes: pid, 0 if it does not say
 * and what a part's body starts with:
 *   0  id                8 bytes
 *   8  total             8 bytes
 *  16  offset            8 bytes
 * A header of 40 bytes or more has a return address behind its first 16:
 *   0  token            16 bytes
 *  16  wants             4 bytes: 1 receipt, 2 reply
 *  20  0                 4 bytes
 */
static const unsigned char mark[] = {0xFF, 'f', 'm'};
#define VERSION     2
#define TYPE_RECORD 'R'
#define TYPE_PART   'P'
#define TYPE_NOTICE 'N'
#define ADDRESSED   (MESSAGE_HEADER + RETURN_ADDRESS_BYTES)

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
    return length > 0 && memchr(content, '\n', length) == (const char *)content + length - 1 &&
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
    put(at + 8, length + body, 4);
    put(at + 12, (uint64_t)sender, 4);
    if (length > MESSAGE_HEADER) {
        message_put_address(at + MESSAGE_HEADER, back);
    }
    return length + body;
}

size_t message_record_length(size_t length, const struct return_address *back)
{
    return header_length(back) + length;
}

size_t message_put_header(unsigned char *at, size_t length, pid_t sender, const struct return_address *back)
{
    assert(length < UINT32_MAX - ADDRESSED);
    put_header(at, TYPE_RECORD, length, sender, back);
    return header_length(back);
}

size_t message_put_record(unsigned char *at, const void *content, size_t length, pid_t sender,
                          const struct return_address *back)
{
    size_t header = message_put_header(at, length, sender, back);

    if (length > 0) {
        memcpy(at + header, content, length);
    }
    return header + length;
}

void message_put_notice(struct frame *frame, const void *content, size_t length, pid_t sender)
{
    memcpy(frame->bytes + MESSAGE_HEADER, content, length);
    frame->length = put_header(frame->bytes, TYPE_NOTICE, length, sender, NULL);
}

size_t message_put_part(unsigned char *at, const struct message_part *part, size_t length, pid_t sender,
                        const struct return_address *back)
{
    size_t header = header_length(back);

    put_header(at, TYPE_PART, MESSAGE_PART + length, sender, back);
    put(at + header, part->id, 8);
    put(at + header + 8, part->total, 8);
    put(at + header + 16, part->offset, 8);
    return header + MESSAGE_PART;
}

/* Reads what a part's body of `length` bytes starts with. False if it cannot be true. */
static bool get_part(const unsigned char *body, size_t length, struct message *message)
{
    struct message_part *part = &message->part;

    if (length < MESSAGE_PART) {
        return false;
    }
    *part = (struct message_part){.id = get(body, 8), .total = get(body + 8, 8), .offset = get(body + 16, 8)};
    message->form = FORM_PART;
    message->content = body + MESSAGE_PART;
    message->length = length - MESSAGE_PART;
    return part->id < MESSAGE_ID_END && part->total <= INT64_MAX && part->offset <= part->total &&
           message->length <= part->total - part->offset && (message->length > 0 || part->total == 0);
}

/* Reads the body of a header that was found sound. False if body and type do not go together. */
static bool get_body(const unsigned char *bytes, size_t header, struct message *message)
{
    const unsigned char *body = bytes + header;
    size_t length = message->frame - header;

    if (header >= ADDRESSED) {
        message->back = message_get_address(bytes + MESSAGE_HEADER);
    }
    if (bytes[4] == TYPE_PART) {
        return get_part(body, length, message);
    }
    message->form = bytes[4] == TYPE_RECORD ? FORM_RECORD : FORM_NOTICE;
    message->content = body;
    message->length = length;
    return bytes[4] == TYPE_RECORD || bytes[4] == TYPE_NOTICE;
}

/*
 * Reads the header at `bytes`, which starts with the mark; `there` bytes could be shown, and at least
 * MESSAGE_HEAD_MAX are, or all.
 */
static enum found find_header(const unsigned char *bytes, size_t there, bool all, struct message *message)
{
    const enum found cut = all ? FOUND_DAMAGED : FOUND_UNFINISHED;

    if (there < MESSAGE_HEADER) {
        return cut;
    }
    if ((bytes[3] != 0 && bytes[3] != VERSION) || (bytes[3] == VERSION && bytes[5] != 0)) {
        return FOUND_FOREIGN;
    }
    uint64_t sender = get(bytes + 12, 4);
    size_t header = (size_t)get(bytes + 6, 2);
    message->frame = (size_t)get(bytes + 8, 4);
    if (bytes[3] != VERSION || header < MESSAGE_HEADER || message->frame < header || sender > INT32_MAX) {
        return FOUND_DAMAGED;
    }
    if (message->frame > there) {
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

bool message_may_be_part(const unsigned char *bytes, size_t length)
{
    return length >= MESSAGE_HEADER && has_mark(bytes, length) && bytes[4] == TYPE_PART;
}

bool message_is_part(const unsigned char *bytes, size_t length, size_t there, struct message *message)
{
    *message = (struct message){0};
    return message_may_be_part(bytes, length) && get(bytes + 6, 2) + MESSAGE_PART <= length &&
           find_header(bytes, there, false, message) == FOUND_MESSAGE;
}
