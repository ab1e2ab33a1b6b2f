#include "lease.h"

#include "lock.h"
#include "queue-inner.h"
#include "repair.h"

#include <fcntl.h>
#include <unistd.h>

#define BLOCK   ((uint64_t)4096)
#define PUNCH   ((uint64_t)256 * 1024) /* space is given back in pieces of at least so many bytes */
#define SHARE   32                     /* and of this part of what lies behind */
#define LITTLE  (2 * BLOCK)            /* an empty log that is no longer stays as it is */
#define TOO_FAR (UINT64_C(1) << 36)    /* a log that reaches so far is emptied even if a sender has to wait */

static struct lock lease(const struct queue *queue, uint64_t start, uint64_t end, int type)
{
    return (struct lock){queue->ready.fd, (short)type, (int64_t)start, (int64_t)(end - start)};
}

bool lease_lock(struct queue *queue, uint64_t start, uint64_t end)
{
    struct lock ours = lease(queue, start, end, F_RDLCK);
    return lock_try(&ours);
}

void lease_unlock(struct queue *queue, uint64_t start, uint64_t end)
{
    struct lock ours = lease(queue, start, end, F_RDLCK);
    if (end > start) {
        lock_give(&ours);
    }
}

uint64_t lease_end(const struct queue *queue, uint64_t start, uint64_t end)
{
    struct lock probe = lease(queue, start, end, F_WRLCK);
    uint64_t other = 0;

    return lock_is_held(&probe, &other) ? other : 0;
}

/* Gives back the blocks of a done run that lie wholly between. */
static void punch(struct queue *queue, uint64_t from, uint64_t to)
{
    from = (from + BLOCK - 1) / BLOCK * BLOCK;
    to = to / BLOCK * BLOCK;
    if (from < to) {
        fallocate(queue->log, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
    }
}

/* Joins the run at `first`, whose mark says `known`, with those that follow it, up to `end`. */
static void join(struct queue *queue, uint64_t first, uint64_t known, uint64_t end)
{
    if (record_mark(queue->log, queue->window.id, first, end, 0) && known / PUNCH != end / PUNCH) {
        /* What came before the last multiple of PUNCH went when that was passed. The mark itself stays. */
        uint64_t behind = first + sizeof(struct record);
        uint64_t from = known - known % PUNCH;
        punch(queue, behind > from ? behind : from, end);
    }
    window_forget(&queue->window);
}

uint64_t lease_oldest(struct queue *queue, bool *damaged)
{
    const struct taken *taken = &queue->ledger.taken;
    uint64_t limit = taken->fresh;
    uint64_t first = 0, known = 0; /* the done run that we are stepping over */
    struct record record;

    *damaged = false;
    window_forget(&queue->window);
    for (uint64_t at = taken->head; at < limit;) {
        if (!window_record(&queue->window, at, limit, &record)) {
            *damaged = true;
            return limit;
        }
        if (record.state == RECORD_DONE) {
            uint64_t end = record_run(&record, queue->window.id, at, limit);
            if (first == 0) {
                first = at;
                known = end;
            }
            at = end;
            if (at < limit) {
                continue;
            }
        }
        if (first != 0 && known < at) {
            join(queue, first, known, at);
        }
        first = 0;
        if (at >= limit) {
            break;
        }
        uint64_t own = at + record_size(record.length);
        uint64_t end = lease_end(queue, at, own);
        if (end == 0) {
            return at;
        }
        /* A lease covers whole records, if who took it keeps to the rules. */
        struct record next;
        at = end > own && end < limit && window_record(&queue->window, end, limit, &next) ? end
             : end == limit                                                               ? limit
                                                                                          : own;
    }
    return limit;
}

/* Moves the head over what is done. */
static void advance(struct queue *queue)
{
    struct taken *taken = &queue->ledger.taken;
    struct record record;

    while (taken->head < taken->fresh && window_record(&queue->window, taken->head, taken->fresh, &record) &&
           record.state == RECORD_DONE) {
        taken->head = record_run(&record, queue->window.id, taken->head, taken->fresh);
    }
}

/*
 * How much is given back at a time. To free blocks that have been on disk costs a transaction of the file
 * system, whatever their number, so that a long log may keep a little more.
 */
static uint64_t piece(const struct ledger *ledger)
{
    uint64_t share = (ledger->stored.tail - ledger->taken.head) / SHARE;
    return share > PUNCH ? share : PUNCH;
}

bool lease_finish(struct queue *queue, uint64_t start, uint64_t end, uint64_t count)
{
    struct taken *taken = &queue->ledger.taken;
    const struct taken before = *taken;
    bool marked = false;

    window_forget(&queue->window);
    if (start == taken->fresh) {
        taken->fresh = end; /* it never was leased, and never will be */
    }
    advance(queue);
    if (start == taken->head) {
        if (taken->head - taken->punched >= piece(&queue->ledger)) {
            /* All this lies before the head that everybody knows: nobody will look there again. */
            punch(queue, taken->punched < BLOCK ? BLOCK : taken->punched - taken->punched % BLOCK,
                  taken->head);
            taken->punched = taken->head;
        }
        taken->head = end;
        advance(queue);
    } else {
        taken->at = start;
        taken->run = count;
        if (!ledger_write(queue->state, &queue->ledger, LEDGER_TAKEN) ||
            !record_mark(queue->log, queue->window.id, start, end, 0)) {
            *taken = before;
            ledger_write(queue->state, &queue->ledger, LEDGER_TAKEN);
            return false;
        }
        taken->run = 0;
        marked = true;
    }
    /* Never more than were stored, whatever somebody has written into the log: it would be in disorder again.
     */
    uint64_t left = ledger_waiting(&queue->ledger);
    taken->count += count < left ? count : left;
    if (!ledger_write(queue->state, &queue->ledger, LEDGER_TAKEN) && !marked) {
        *taken = before;
        return false;
    }
    return true; /* what is announced and marked is done with: whoever comes next counts it */
}

void lease_reclaim(struct queue *queue)
{
    struct ledger *ledger = &queue->ledger;

    uint64_t head = ledger->taken.head;
    advance(queue);
    if (ledger->taken.head != head && !ledger_write(queue->state, ledger, LEDGER_TAKEN)) {
        return;
    }
    /* Counted, and nowhere to be found: somebody has written what he likes into the ledger. */
    bool is_wrong = ledger_waiting(ledger) > 0 && ledger->taken.head == ledger->stored.tail;
    if (ledger->taken.head != ledger->taken.fresh || (ledger->taken.head <= LITTLE && !is_wrong)) {
        return;
    }
    /* A sender that is at work may have made it longer already; whoever finds it empty next will see to it.
     */
    if (!queue_try(queue, QUEUE_STORE) &&
        (ledger->taken.head < TOO_FAR || queue_lock(queue, QUEUE_STORE).status != STATUS_DONE)) {
        return;
    }
    if (ledger_read(queue->state, ledger, LEDGER_COUNTS) == LEDGER_COUNTS &&
        ledger->taken.head == ledger->stored.tail && queue_size(queue) == ledger->stored.tail &&
        ftruncate(queue->log, LOG_START) == 0) {
        uint64_t generation = ledger->stored.generation + 1;
        /* From here to the last write anyone who looks finds the log shorter than it should be, and repairs.
         */
        (void)ledger_write_header(queue->log, &ledger->config, generation);
        ledger->stored.generation = ledger->taken.generation = generation;
        ledger->stored.tail = LOG_START;
        ledger->taken.head = ledger->taken.fresh = LOG_START;
        ledger->taken.punched = 0;
        ledger->taken.count = ledger->stored.count;
        ledger_write(queue->state, ledger, LEDGER_ALL);
    }
    queue_unlock(queue, QUEUE_STORE);
}
