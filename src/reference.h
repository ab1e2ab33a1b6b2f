/*
 * reference: content too big for a frame, kept by its sender in a sealed memfd that a receiver opens.
 *
 * The memfd holds the id, then the content. Sealed, it can neither change nor shrink while it is read,
 * so a receiver may map it. It lives as long as the sender keeps the descriptor, or a receiver the mapping:
 * a reference whose sender is gone leads nowhere, which is how it is withdrawn.
 *
 * The sender's descriptor belongs to struct reference_writer until reference_drop(). Only
 * reference_map() waits for another process: a tenth of a second for a sender that is about to end.
 */
#ifndef FIFO_REFERENCE_H
#define FIFO_REFERENCE_H

#include "message.h"
#include "status.h"

struct reference_writer {
    int fd; /* the memfd, -1 if there is none */
    struct reference reference;
};

/* Makes an empty memfd. Returns 0, or -1 and errno of memfd_create(2), getrandom(2) or write(2). */
int reference_create(struct reference_writer *writer);

/* Appends content. Returns 0, or -1 and errno of write(2). */
int reference_append(struct reference_writer *writer, const void *content, size_t length);

/* Seals it and fills in the rest of writer->reference. Returns 0, or -1 and errno of fcntl(2), or of
 * stat(2) where there is no /proc. */
int reference_seal(struct reference_writer *writer);

/* Maps the content that was appended, to be read again by who wrote it; reference_unmap() gives it back. NULL
 * and errno of mmap(2). */
const unsigned char *reference_reread(const struct reference_writer *writer);

/* Closes the memfd: from here on the reference leads nowhere. Accepts one that was never created. */
void reference_drop(struct reference_writer *writer);

enum reference_state {
    REFERENCE_OPEN,        /* *content and its length are there */
    REFERENCE_GONE,        /* its sender is gone or has taken it back */
    REFERENCE_TOO_LONG,    /* it is sound, but longer than the caller wants */
    REFERENCE_LIES,        /* there is something else at that place */
    REFERENCE_UNREACHABLE, /* it may well be sound, but not for us: errno, or 0 for another pid namespace */
};

/*
 * Maps the content that a message refers to, of at most `most` bytes; reference_unmap() gives it back. Opens
 * nothing but a regular file of ours (or anyone's, if we are root) that has the id. Relies on proc(5),
 * ptrace(2) "access mode".
 */
enum reference_state reference_map(const struct message *message, size_t most, const unsigned char **content);

/* Gives back `length` bytes of content that were mapped; NULL is nothing. */
void reference_unmap(const unsigned char *content, size_t length);

#endif
