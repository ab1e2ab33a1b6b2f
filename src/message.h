/*
 * message: the wire format: turns messages into frames and finds the frames in a FIFO's bytes.
 *
 * A frame is what one atomic write(2) carries: at most PIPE_BUF bytes. Its three forms, line, record and
 * reference, are laid down in fifo-mailbox(5). Pure functions on memory: no descriptor, nothing blocks.
 * Whatever a header claims is checked against what is there before it is believed.
 */
#ifndef FIFO_MESSAGE_H
#define FIFO_MESSAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MESSAGE_HEADER     16 /* bytes of a header of version 1 */
#define MESSAGE_ID         16 /* bytes of a reference's random id */
#define MESSAGE_RECORD_MAX (PIPE_BUF - MESSAGE_HEADER)
#define MESSAGE_TOKEN      16 /* bytes of a return address's token */

/* Where the sender waits for what its receiver has to say, see reply.h. */
struct return_address {
    uint32_t wants; /* of enum wants; 0: there is no address */
    unsigned char token[MESSAGE_TOKEN];
};
enum wants { WANTS_RECEIPT = 1, WANTS_REPLY = 2 };
#define RETURN_ADDRESS_BYTES 24 /* of one, where it stands before content or behind a header */

/* Where content that does not fit into a frame lies; see reference.h. */
struct reference {
    uint64_t length;        /* bytes of content */
    uint64_t pid_namespace; /* inode number of the sender's /proc/self/ns/pid */
    uint32_t fd;            /* the sealed memfd among the sender's descriptors */
    unsigned char id[MESSAGE_ID];
};

struct frame {
    size_t length;
    unsigned char bytes[PIPE_BUF];
};

enum form {
    FORM_LINE,      /* the bytes themselves, up to and with their newline */
    FORM_RECORD,    /* a header, then the content */
    FORM_REFERENCE, /* a header, then where the content lies */
    FORM_NOTICE,    /* a header, then what a receiver says of a message with a return address */
};

/* A frame that was found. `content` points into the bytes that were searched. */
struct message {
    enum form form;
    const unsigned char *content; /* NULL for FORM_REFERENCE, until it is mapped */
    size_t length;                /* bytes of content */
    size_t frame;                 /* bytes the frame takes in the FIFO */
    pid_t sender;                 /* who sent it, 0 if the frame does not say */
    struct return_address back;   /* who waits for an answer */
    uint32_t tries;               /* the how many-th try this is, in a buffered mailbox; 0: not counted */
    struct reference reference;   /* FORM_REFERENCE only */
};

enum found {
    FOUND_MESSAGE,
    FOUND_NOTHING,    /* no byte there */
    FOUND_UNFINISHED, /* a line whose newline has not come; message.frame says how long it is so far */
    FOUND_DAMAGED,    /* a header that lies; message.frame says how many bytes to skip */
    FOUND_NEWER,      /* a header of a version that this program does not know */
};

/*
 * Whether `content` may travel as a line: it ends in its only newline, fits, and holds no byte 0xFF, which
 * is what a header starts with and what no UTF-8 text contains.
 */
bool message_is_line(const void *content, size_t length);

/* How many of these bytes come before the first one that a header could start with. */
size_t message_plain(const void *bytes, size_t length);

/* Makes a line frame. Only for content that message_is_line() accepts. */
void message_put_line(struct frame *frame, const void *content, size_t length);

/* How much content a record frame has room for; `back` may be NULL. */
size_t message_record_most(const struct return_address *back);

/*
 * Makes a record frame; `length` is at most message_record_most(). `back` may be NULL. Returns the length of
 * the frame.
 */
size_t message_put_record(unsigned char *at, const void *content, size_t length, pid_t sender,
                          const struct return_address *back);

/* Makes a reference frame. `back` may be NULL. */
void message_put_reference(struct frame *frame, const struct reference *reference, pid_t sender,
                           const struct return_address *back);

/* Makes a notice frame, of at most MESSAGE_RECORD_MAX bytes of content. */
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

#endif
