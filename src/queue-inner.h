/*
 * queue-inner: what the modules behind queue.h share: build.c makes mailboxes, queue.c opens and locks,
 * store.c stores, take.c leases and takes, giveback.c gives back and withdraws, content.c reads, repair.c
 * mends, and remove.c removes.
 *
 * Descriptors and memory belong to struct queue. Only queue_lock(), queue_lock_soon() and queue_sleep()
 * block.
 */
#ifndef FIFO_QUEUE_INNER_H
#define FIFO_QUEUE_INNER_H

#include "queue.h"

/* A name beside `path` for what is not finished, to be freed. NULL and errno. */
char *queue_hidden_name(const char *path);

/*
 * Makes a file of a mailbox that is missing beside the log `log`: `type` is S_IFREG or S_IFIFO. 0, or -1 and
 * errno of mknodat(2). Takes no more permission than those have who may write the log.
 */
int queue_mend(int directory, int log, const char *name, mode_t type);

/* Deletes the files of a mailbox, those that are there, the log first. 0, or -1 and errno of unlinkat(2). */
int queue_delete_parts(int directory);

/* LEASE is TAKE with its gate, APPEND is STORE with its gate. */
enum queue_lock { QUEUE_TAKE, QUEUE_STORE, QUEUE_SYNC, QUEUE_LEASE, QUEUE_APPEND };

/* Waits for a lock, with nonblock only a moment. */
struct verdict queue_lock(struct queue *queue, enum queue_lock lock);
bool queue_try(struct queue *queue, enum queue_lock lock);

/* Waits for it for a moment only, whatever else has come to pass. */
bool queue_lock_soon(struct queue *queue, enum queue_lock lock);

/* Gives it back; who is exclusive keeps the gate. */
void queue_unlock(struct queue *queue, enum queue_lock lock);

/*
 * Waits at a bell until what somebody has changed may be what we wait for: status 0, look again. With
 * nonblock status 1 and `none`. Past the deadline 124 and `late`, but only at the second call: who stood
 * behind a chair has not looked for long, and is to look once more. Otherwise 3, a signal, or 2 with errno.
 */
struct verdict queue_sleep(struct queue *queue, struct bell *bell, const char *none, const char *late);

/* The size of the log, 0 if that fails. Finds out as well whether it has lost its name: queue->gone. */
uint64_t queue_size(struct queue *queue);

/*
 * With TAKE held: gets `.state`, in order, and repairs what is not. False and *v: that failed.
 */
bool queue_load(struct queue *queue, struct verdict *v);

/* Whether what was found from `start` to `end` in the log of that generation is still to be found there. */
bool queue_has_place(const struct queue *queue, uint64_t generation, uint64_t start, uint64_t end);

/* Memory to look at records. False: there is none. */
bool queue_room_to_look(struct queue *queue);

/* Memory for one long content. NULL: there is none. */
unsigned char *queue_room(struct queue *queue, size_t length);

#endif
