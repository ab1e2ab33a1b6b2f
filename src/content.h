/*
 * content: reads the content of a record, checked, for who leases (take.c), repairs, or only looks
 * (queue_peek).
 *
 * What is read lies in struct queue until the next call: short content in its window, beside its neighbours,
 * long content in memory of its own. Nothing here blocks or locks.
 */
#ifndef FIFO_CONTENT_H
#define FIFO_CONTENT_H

#include "queue.h"

/* Memory for the window, and for `most` messages. False: there is none. */
bool content_room(struct queue *queue, size_t most);

/*
 * Reads and checks the content of the record at `at`; so many bytes `ahead` may be read with it. NULL and
 * errno: EBADMSG if it is damaged, EMSGSIZE if it is longer than allowed, ENOMEM, or what pread(2) says.
 */
const unsigned char *content_read(struct queue *queue, uint64_t at, const struct record *record,
                                  size_t ahead);

/* The message that a record and its content are. */
struct queue_message content_message(const struct record *record, const unsigned char *content);

#endif
