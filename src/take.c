#include "content.h"
#include "lease.h"
#include "queue-inner.h"
#include "repair.h"

#include <errno.h>
#include <string.h>

#define ATTEMPTS 8

static const char *const untaken =
    "it has been dealt with, but cannot be taken: another process keeps a lock";

/* What a look for messages comes to. */
enum look { LOOK_FOUND, LOOK_NOTHING, LOOK_AGAIN, LOOK_DAMAGED, LOOK_FAILED };

static bool read_ledger(struct queue *queue)
{
    return ledger_read(queue->state, &queue->ledger, LEDGER_COUNTS) == LEDGER_COUNTS &&
           queue->ledger.taken.run == 0;
}

/*
 * Under TAKE: gets `.state`, in order. LOOK_AGAIN: it was not, and has been repaired.
 *
 * Nobody but a sender that is just appending makes the log longer than `.state` says, or one that was killed
 * doing so. Which of them it was is found out when there is nothing else to do.
 */
static enum look load(struct queue *queue, struct verdict *v)
{
    const struct ledger *ledger = &queue->ledger;
    bool in_order = read_ledger(queue);
    uint64_t size = queue_size(queue);
    bool locked = false;

    if (in_order && size > ledger->stored.tail && ledger->taken.fresh == ledger->stored.tail) {
        locked = queue_try(queue, QUEUE_STORE);
        in_order = !locked || (read_ledger(queue) && queue_size(queue) == ledger->stored.tail);
    }
    in_order = in_order && size >= ledger->stored.tail && !repair_is_needed(queue, ledger->stored.tail);
    queue->checked = queue->checked || in_order;
    *v = locked || in_order ? verdict_done() : queue_lock(queue, QUEUE_STORE);
    if (v->status == STATUS_DONE && !in_order) {
        *v = repair_locked(queue, false);
        locked = true;
    }
    if (locked) {
        queue_unlock(queue, QUEUE_STORE);
    }
    return v->status != STATUS_DONE ? LOOK_FAILED : in_order ? LOOK_FOUND : LOOK_AGAIN;
}

/* The record at `at` cannot be delivered: it is done with, and reported. TAKE is held. */
static enum look skip(struct queue *queue, uint64_t at, const struct record *record, struct verdict *v)
{
    uint64_t end = at + record_size(record->length);
    struct taken *taken = &queue->ledger.taken;
    const struct taken before = *taken;

    if (errno != EBADMSG) {
        *v = errno == EMSGSIZE
                 ? verdict(STATUS_REFUSED, "the message is longer than --max-size; it stays in the mailbox")
                 : verdict_errno("cannot read it", errno);
        return LOOK_FAILED;
    }
    taken->damaged++;
    if (!lease_finish(queue, at, end, 1)) {
        *taken = before;
        *v = verdict_errno("cannot skip a damaged message", errno);
        return LOOK_FAILED;
    }
    return LOOK_AGAIN;
}

static void have_in_hand(struct queue *queue, uint64_t start, size_t count)
{
    queue->start = start;
    queue->generation = queue->ledger.taken.generation;
    queue->leased = count;
}

/* Leases one message that was leased before. */
static enum look lease_old(struct queue *queue, uint64_t at, struct queue_message *message, struct verdict *v)
{
    struct record record;

    if (!window_record(&queue->window, at, queue->ledger.taken.fresh, &record)) {
        return LOOK_AGAIN;
    }
    uint64_t end = at + record_size(record.length);
    const unsigned char *content = content_read(queue, at, &record, 0);
    if (content == NULL) {
        return skip(queue, at, &record, v);
    }
    record.tries++;
    if (!lease_lock(queue, at, end) || !record_mark(queue->log, queue->window.id, at, 0, record.tries)) {
        *v = verdict_errno("cannot lease a message", errno);
        lease_unlock(queue, at, end);
        return LOOK_FAILED;
    }
    queue->ends[0] = end;
    have_in_hand(queue, at, 1);
    *message = content_message(&record, content);
    return LOOK_FOUND;
}

/* Leases the `count` messages between fresh and `end`. */
static enum look lease_up_to(struct queue *queue, uint64_t end, size_t count, struct verdict *v)
{
    uint64_t start = queue->ledger.taken.fresh;

    queue->ledger.taken.fresh = end;
    if (!lease_lock(queue, start, end) || !ledger_write(queue->state, &queue->ledger, LEDGER_TAKEN)) {
        *v = verdict_errno("cannot lease a message", errno);
        lease_unlock(queue, start, end);
        return LOOK_FAILED;
    }
    have_in_hand(queue, start, count);
    return LOOK_FOUND;
}

/* Leases what comes next of the messages that never were leased. */
static enum look lease_fresh(struct queue *queue, struct queue_message *messages, size_t most,
                             struct verdict *v)
{
    struct taken *taken = &queue->ledger.taken;
    uint64_t tail = queue->ledger.stored.tail;
    uint64_t at = taken->fresh;
    size_t ahead = most > 1 ? (size_t)(tail - at < RECORD_WINDOW ? tail - at : RECORD_WINDOW) : 0;
    struct record record;
    size_t count = 0;

    window_forget(&queue->window);
    while (count < most && at < tail) {
        if (count > 0 && (queue->window.at + queue->window.length < at + sizeof record)) {
            break;
        }
        if (!window_record(&queue->window, at, tail, &record)) {
            break;
        }
        uint64_t end = at + record_size(record.length);
        if (record.state == RECORD_DONE) {
            if (count > 0) {
                break;
            }
            /* A filler; or, since `.state` was lost and found again, what was taken before. Not counted now.
             */
            uint64_t behind = record_run(&record, queue->window.id, at, tail);
            taken->head = taken->head == at ? behind : taken->head;
            at = taken->fresh = behind;
            continue;
        }
        if (count > 0 && end > queue->window.at + queue->window.length) {
            break;
        }
        const unsigned char *content = content_read(queue, at, &record, count == 0 ? ahead : 0);
        if (content == NULL) {
            if (count == 0) {
                return skip(queue, at, &record, v);
            }
            break;
        }
        messages[count] = content_message(&record, content);
        queue->ends[count++] = at = end;
        if (content == queue->content && queue->content != NULL) {
            break; /* a long one, which is not in the window */
        }
    }
    if (count == 0 && at < tail) {
        return LOOK_NOTHING;
    }
    if (count == 0) {
        /* There were only fillers. */
        ledger_write(queue->state, &queue->ledger, LEDGER_TAKEN);
        return LOOK_AGAIN;
    }
    return lease_up_to(queue, at, count, v);
}

/* Repairs, because what should be a record is none; TAKE is held. */
static enum look repair_damage(struct queue *queue, struct verdict *v)
{
    *v = queue_lock(queue, QUEUE_STORE);
    if (v->status == STATUS_DONE) {
        *v = repair_locked(queue, true);
        queue_unlock(queue, QUEUE_STORE);
    }
    return v->status == STATUS_DONE ? LOOK_AGAIN : LOOK_FAILED;
}

static enum look look(struct queue *queue, struct queue_message *messages, size_t most, struct verdict *v)
{
    bool damaged;
    enum look found = load(queue, v);

    if (found != LOOK_FOUND) {
        return found;
    }
    struct ledger *ledger = &queue->ledger;
    if (ledger->taken.reported != ledger->taken.damaged) {
        /* Whoever found it, a sender perhaps: it is told once, to a receiver, before anything else is handed
         * out. */
        ledger->taken.reported = ledger->taken.damaged;
        ledger_write(queue->state, ledger, LEDGER_TAKEN);
        return LOOK_DAMAGED;
    }
    uint64_t at = lease_oldest(queue, &damaged);
    if (damaged) {
        return repair_damage(queue, v);
    }
    if (at < ledger->taken.fresh) {
        return lease_old(queue, at, messages, v);
    }
    if (ledger->taken.fresh < ledger->stored.tail) {
        found = lease_fresh(queue, messages, most, v);
        return found == LOOK_NOTHING ? repair_damage(queue, v) : found;
    }
    lease_reclaim(queue);
    return LOOK_NOTHING;
}

struct verdict queue_wait(struct queue *queue)
{
    return queue_sleep(queue, &queue->ready, "empty", "timed out: no message came");
}

struct verdict queue_lease(struct queue *queue, struct queue_message *messages, size_t most, size_t *count)
{
    struct verdict v = verdict_done();
    int attempts = 0;

    *count = 0;
    queue->skipped = queue->late = false;
    if (queue->leased > 0 || most == 0 || !content_room(queue, most)) {
        return verdict_errno("cannot lease a message", queue->leased > 0 || most == 0 ? EBUSY : ENOMEM);
    }
    while (v.status == STATUS_DONE) {
        v = queue_lock(queue, QUEUE_LEASE);
        if (v.status != STATUS_DONE) {
            break;
        }
        enum look found = look(queue, messages, most, &v);
        if (queue->gone) {
            found = LOOK_FAILED;
            v = verdict(STATUS_GONE, "removed");
            queue->leased = 0; /* with the descriptor, the lease goes too */
        }
        queue_unlock(queue, QUEUE_LEASE);
        if (found == LOOK_AGAIN || found == LOOK_DAMAGED) {
            bell_ring(&queue->space); /* what was counted, or skipped, may have made room */
        }
        if (found == LOOK_DAMAGED) {
            queue->skipped = true;
            v = verdict(STATUS_REFUSED, "a damaged message was skipped");
        } else if (found == LOOK_FOUND) {
            *count = queue->leased;
            break;
        } else if (found == LOOK_NOTHING) {
            v = queue_wait(queue);
            attempts = 0;
        } else if (found == LOOK_AGAIN && ++attempts > ATTEMPTS) {
            v = verdict(STATUS_REFUSED, "damaged, and damaged again as soon as it is repaired");
        }
    }
    bell_leave(&queue->ready);
    return v;
}

bool queue_load(struct queue *queue, struct verdict *v)
{
    enum look found = LOOK_AGAIN;

    for (int i = 0; i < ATTEMPTS && found == LOOK_AGAIN; i++) {
        found = load(queue, v);
    }
    if (found == LOOK_AGAIN) {
        *v = verdict(STATUS_REFUSED, "damaged, and damaged again as soon as it is repaired");
    }
    return found == LOOK_FOUND;
}

bool queue_has_place(const struct queue *queue, uint64_t generation, uint64_t start, uint64_t end)
{
    const struct taken *taken = &queue->ledger.taken;
    return taken->generation == generation && start >= taken->head && end <= queue->ledger.stored.tail;
}

struct verdict queue_take(struct queue *queue, size_t count)
{
    if (count == 0 || count > queue->leased) {
        return count == 0 ? verdict_done() : verdict_errno("cannot take it", EINVAL);
    }
    uint64_t start = queue->start;
    uint64_t end = queue->ends[count - 1];
    struct verdict v = verdict_done();

    /* What has been done has been done: neither the deadline nor a signal is a reason to have it done again.
     */
    if (!queue_lock_soon(queue, QUEUE_TAKE)) {
        v = queue_lock(queue, QUEUE_TAKE);
        if (v.status == STATUS_NOT_NOW || v.status == STATUS_TIMEOUT) {
            return verdict(STATUS_UNCERTAIN, untaken);
        }
        if (v.status != STATUS_DONE) {
            return v;
        }
    }
    if (queue_load(queue, &v)) {
        if (!queue_has_place(queue, queue->generation, start, end) || end > queue->ledger.taken.fresh) {
            v = verdict(STATUS_REFUSED, "damaged while the message was in hand");
        } else if (!lease_finish(queue, start, end, count)) {
            v = verdict_errno("cannot take it", errno);
        } else {
            lease_reclaim(queue);
            lease_unlock(queue, start, end);
            queue->start = end;
            queue->leased -= count;
            memmove(queue->ends, queue->ends + count, queue->leased * sizeof *queue->ends);
        }
    }
    queue_unlock(queue, QUEUE_TAKE);
    if (v.status == STATUS_NOT_NOW || v.status == STATUS_TIMEOUT) {
        v = verdict(STATUS_UNCERTAIN, untaken);
    }
    if (v.status == STATUS_DONE && queue->ledger.config.capacity > 0) {
        bell_ring(&queue->space);
    }
    return v;
}
