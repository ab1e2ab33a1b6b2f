#include "lease.h"
#include "queue-inner.h"

#include <errno.h>

/*
 * What is in hand was leased, but nobody has tried it: that lease is not to count. Not worth waiting for
 * long, nor failing: then it counts.
 */
static void forget_try(struct queue *queue)
{
    struct verdict v;
    struct record record;
    uint64_t at = queue->start;

    if (!queue_lock_soon(queue, QUEUE_TAKE)) {
        return;
    }
    bool same = queue_load(queue, &v) &&
                queue_has_place(queue, queue->generation, at, queue->ends[queue->leased - 1]);
    window_forget(&queue->window);
    for (size_t i = 0; same && i < queue->leased; at = queue->ends[i++]) {
        if (window_record(&queue->window, at, queue->ledger.taken.fresh, &record) &&
            record.state == RECORD_WAITS) {
            record_mark(queue->log, queue->window.id, at, 0, record.tries - 1);
        }
    }
    window_forget(&queue->window);
    queue_unlock(queue, QUEUE_TAKE);
}

void queue_give_back(struct queue *queue, bool tried)
{
    if (queue->leased > 0) {
        if (!tried) {
            forget_try(queue);
        }
        lease_unlock(queue, queue->start, queue->ends[queue->leased - 1]);
        queue->leased = 0;
        bell_ring(&queue->ready);
    }
}

/* Reads the record of a message that was stored at `place`. False: it is not there, or done. */
static bool find_stored(struct queue *queue, const struct place *place, struct record *record)
{
    window_forget(&queue->window);
    bool there = queue_has_place(queue, place->generation, place->at, place->at) &&
                 window_record(&queue->window, place->at, queue->ledger.stored.tail, record) &&
                 record->sequence == place->sequence && record->state == RECORD_WAITS;
    window_forget(&queue->window);
    return there;
}

enum fate queue_withdraw(struct queue *queue, const struct place *place)
{
    struct record record;
    struct verdict v;
    enum fate fate = FATE_TAKEN;

    if (!queue->readable || !queue_room_to_look(queue) || !queue_lock_soon(queue, QUEUE_TAKE)) {
        return FATE_UNKNOWN;
    }
    if (!queue_load(queue, &v)) {
        fate = FATE_UNKNOWN;
    } else if (find_stored(queue, place, &record)) {
        uint64_t end = place->at + record_size(record.length);
        if (lease_end(queue, place->at, end) != 0) {
            fate = FATE_IN_HAND;
        } else if (lease_finish(queue, place->at, end, 1)) {
            lease_reclaim(queue);
            fate = FATE_WITHDRAWN;
        } else {
            fate = FATE_UNKNOWN;
        }
    }
    queue_unlock(queue, QUEUE_TAKE);
    if (fate == FATE_WITHDRAWN && queue->ledger.config.capacity > 0) {
        bell_ring(&queue->space);
    }
    return fate;
}

bool queue_holds(struct queue *queue, const struct place *place)
{
    struct record record;
    struct verdict v;
    bool holds = true;

    if (queue->readable && queue_room_to_look(queue) && queue_lock_soon(queue, QUEUE_TAKE)) {
        holds = !queue_load(queue, &v) || find_stored(queue, place, &record);
        queue_unlock(queue, QUEUE_TAKE);
    }
    return holds;
}
