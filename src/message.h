/*
 * message: the wire format: turns messages into frames and finds the frames in a FIFO's bytes.
 *
 * A frame is what goes into the FIFO in one step: by one atomic write(2) of at most PIPE_BUF bytes, or by one
 * splice(2), see stage.h. Its forms, line, record and part, are laid down in fifo-mailbox(5). Pure functions
 * on memory: no descriptor, nothing blocks. Whatever a header claims is checked against what is there before
 * it is believed.
 */
#ifndef FIFO_MESSAGE_H
#define FIFO_MESSAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MESSAGE_HEADER 16 /* bytes of a header without a return address */
#define MESSAGE_TOKEN  16 /* bytes of a return address's token */
#define MESSAGE_PART   24 /* bytes of a part's body before its content */

/* Where the sender waits for what its receiver has to say, see reply.h. */
struct return_address {
    uint32_t wants; /* of enum wants; 0: there is no address */
    unsigned char token[MESSAGE_TOKEN];
};
enum wants { WANTS_RECEIPT = 1, WANTS_REPLY = 2 };
#define RETURN_ADDRESS_BYTES 24 /* of one, where it stands before content or behind a header */
#define MESSAGE_HEAD_MAX     (MESSAGE_HEADER + RETURN_ADDRESS_BYTES + MESSAGE_PART)

/* Which piece of which message a part is; see transfer.h. */
struct message_part {
    uint64_t id;     /* of this try to send it, below MESSAGE_ID_END */
    uint64_t total;  /* bytes of content that the message has */
    uint64_t offset; /* where the content of this part belongs */
};
#define MESSAGE_ID_END ((uint64_t)1 << 62)

struct frame {
    size_t length;
    unsigned char bytes[PIPE_BUF];
};

enum form {
    FORM_LINE,   /* the bytes themselves, up to and with their newline */
    FORM_RECORD, /* a header, then the content */
    FORM_PART,   /* a header, then which piece this is, then that piece */
    FORM_NOTICE, /* a header, then what a receiver says of a message with a return address */
};

/* A frame that was found. `content` points into the bytes that were searched. */
struct message {
    enum form form;
    const unsigned char *content;
    size_t length;              /* bytes of content */
    size_t frame;               /* bytes the frame takes in the FIFO */
    pid_t sender;               /* who sent it, 0 if the frame does not say */
    struct return_address back; /* who waits for an answer */
    uint32_t tries;             /* the how many-th try this is, in a buffered mailbox; 0: not counted */
    struct message_part part;   /* FORM_PART only */
};

enum found {
    FOUND_MESSAGE,
    FOUND_NOTHING,    /* no byte there */
    FOUND_UNFINISHED, /* a line whose newline has not come; message.frame says how long it is so far */
    FOUND_DAMAGED,    /* a header that lies; message.frame says how many bytes to skip */
    FOUND_FOREIGN,    /* a header of a version that this program does not know */
};

/*
 * Whether `content` may travel as a line: it ends in its only newline, and holds no byte 0xFF, which is what
 * a header starts with and what no UTF-8 text contains.
 */
bool message_is_line(const void *content, size_t length);

/* How many of these bytes come before the first one that a header could start with. */
size_t message_plain(const void *bytes, size_t length);

/* Makes a line frame. Only for content that message_is_line() accepts. */
void message_put_line(struct frame *frame, const void *content, size_t length);

/* Bytes of the frame of a record with `length` bytes of content; `back` may be NULL. */
size_t message_record_length(size_t length, const struct return_address *back);

/* Makes a record frame. `back` may be NULL. Returns the length of the frame. */
size_t message_put_record(unsigned char *at, const void *content, size_t length, pid_t sender,
                          const struct return_address *back);

/* Makes only what stands before the content. Returns how many bytes that is. */
size_t message_put_header(unsigned char *at, size_t length, pid_t sender, const struct return_address *back);

/*
 * Makes what stands before the `length` bytes of content of a part: at most MESSAGE_HEAD_MAX bytes, so many
 * are returned. `back` may be NULL.
 */
size_t message_put_part(unsigned char *at, const struct message_part *part, size_t length, pid_t sender,
                        const struct return_address *back);

/* Whether nothing of the message comes behind this part. */
static inline bool message_is_last(const struct message *message)
{
    return message->part.total - message->part.offset == message->length;
}

/* Makes a notice frame, of fewer than PIPE_BUF bytes. */
void message_put_notice(struct frame *frame, const void *content, size_t length, pid_t sender);

/* Writes and reads a return address: RETURN_ADDRESS_BYTES. A read one may want anything, or nothing. */
void message_put_address(unsigned char *at, const struct return_address *back);
struct return_address message_get_address(const unsigned char *at);

/*
 * Looks at what `length` bytes from a FIFO start with. `bytes` must begin where a frame begins. `all` says
 * that these are all the bytes there are; if they are not, and what is missing could change the answer, it
 * is FOUND_UNFINISHED: show more.
 */
enum found message_find(const unsigned char *bytes, size_t length, bool all, struct message *message);

/* Whether what begins so may be a part. */
bool message_may_be_part(const unsigned char *bytes, size_t length);

/*
 * Whether the first `length` bytes are those of a sound part, if `there` bytes are there: what has to be read
 * anyway need not be looked at first. message->content is of no use then.
 */
bool message_is_part(const unsigned char *bytes, size_t length, size_t there, struct message *message);

#endif
