/*
 * withdraw: finds our message among what else is in the FIFO, and takes it back, and only it.
 *
 * Two messages with the same bytes are the same message here: when one of two equal lines is left, it does
 * not matter to anybody whose it was. Only withdraw_put_back() waits. The descriptors belong to
 * the sender.
 */
#ifndef FIFO_WITHDRAW_H
#define FIFO_WITHDRAW_H

#include "sender.h"

enum withdrawal {
    WITHDRAWN,       /* it is out, and nobody has it or will have it */
    WITHDRAW_TAKEN,  /* it was not there any more */
    WITHDRAW_PARTLY, /* a program without locks has taken a part of it; the rest is out */
    WITHDRAW_FAILED, /* it is there, or may be, and cannot be taken out */
};

/* What a message that is written behind some bytes would follow. */
enum tail {
    TAIL_CLEAN, /* the end of a message: anything may be written */
    TAIL_OPEN,  /* a line without its newline: anything but a line may be written */
    TAIL_LIE, /* a header that claims bytes which are not there, and would claim ours: nothing may be written
               */
};

enum tail withdraw_tail(const unsigned char *bytes, size_t length);

/* Where the sender's frame is. */
enum place {
    PLACE_NONE,    /* nowhere: it has been taken */
    PLACE_FRONT,   /* at the front of the FIFO */
    PLACE_BEHIND,  /* behind the bytes of others */
    PLACE_PARTLY,  /* only its end is left, by a program that reads without locking */
    PLACE_UNKNOWN, /* it may be there, but cannot be seen */
};

/*
 * Looks for it. Where we may not look, and others' bytes are there, it is PLACE_UNKNOWN until fewer bytes
 * than it has are left. Never PLACE_NONE while it is there, and of one of more than PIPE_BUF bytes, while any
 * of it is.
 */
enum place withdraw_look(struct sender *sender);

/* Takes it back. The caller holds the hand lock, so that no receiver of ours is at work. */
enum withdrawal withdraw(struct sender *sender);

/*
 * After a write: whether something that a raw writer did not finish got before our frame, so that the two
 * would be read as one. If so the frame is taken out again (true: look again what to write). Needs the hand
 * lock.
 */
bool withdraw_if_glued(struct sender *sender);

/*
 * Puts back bytes of others that had to be taken out, whatever their number: line by line, as far as they are
 * lines, so that those stay whole. Where a raw writer has filled the FIFO meanwhile it gives the hand lock
 * back and waits for room, up to 5 seconds each time.
 */
void withdraw_put_back(struct sender *sender, const unsigned char *bytes, size_t length);

/* Whether bytes of others are whole messages, `unit` bytes each if that is not 0. */
bool withdraw_is_whole(size_t unit, const unsigned char *bytes, size_t length);

/*
 * A descriptor to read from: the sender's own or, if we may, a new one, which belongs to the caller. -1 if
 * not.
 */
int withdraw_reading_end(const struct sender *sender);

/* Whether nobody has the other end open. poll(2), POLLERR. */
bool withdraw_has_no_reader(const struct sender *sender);

#endif
