#include "repair.h"

#include "content.h"
#include "queue-inner.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* What a look through the log finds. */
struct survey {
    uint64_t head;    /* the first message that is not done */
    uint64_t fresh;   /* the first record boundary where one was wanted */
    uint64_t end;     /* behind the last whole record */
    uint64_t waiting; /* messages that are not done */
    uint64_t last;    /* the highest sequence number */
    uint64_t regions; /* pieces that are neither records nor zeros */
    uint64_t gaps;    /* pieces that are not records */
};

/* More than there ever can have been, but for those that somebody claims. */
#define COUNT_MOST (RECORD_MOST - (UINT64_C(1) << 32))

/* Whether the positions in `.state` can be, given each other. */
static bool is_sane(const struct ledger *ledger)
{
    const struct taken *taken = &ledger->taken;
    const struct stored *stored = &ledger->stored;

    return taken->generation == stored->generation && taken->head >= LOG_START &&
           taken->head <= taken->fresh && taken->fresh <= stored->tail && taken->punched <= taken->head &&
           taken->count <= stored->count && stored->count <= COUNT_MOST &&
           (taken->head | taken->fresh | stored->tail) % RECORD_ALIGN == 0;
}

static bool read_header(const struct queue *queue, struct log_header *header)
{
    return pread(queue->log, header, sizeof *header, 0) == (ssize_t)sizeof *header &&
           ledger_is_config(&header->config);
}

bool repair_is_needed(const struct queue *queue, uint64_t size)
{
    struct log_header header;

    if (!is_sane(&queue->ledger) || queue->ledger.stored.tail != size) {
        return true;
    }
    return queue->readable && !queue->checked &&
           (!read_header(queue, &header) || header.config.id != queue->ledger.config.id ||
            !ledger_has_generation(&header) || header.generation != queue->ledger.stored.generation);
}

/* Turns a damaged piece of the log into a record that is done, so that nobody has to look at it again. */
static void fill(struct queue *queue, uint64_t at, uint64_t end)
{
    struct record filler = {0};

    if (end - at < sizeof filler) {
        return;
    }
    filler.length = end - at - sizeof filler;
    record_seal_header(&filler, queue->window.id, at);
    filler.state = RECORD_DONE;
    (void)!pwrite(queue->log, &filler, sizeof filler, (off_t)at);
    window_forget(&queue->window);
}

/*
 * Returns where the run of a done record ends. A run that leads beyond the log, whose end was lost, is cut
 * back to its own record: when the log has grown again it would cover messages that have nothing to do with
 * it.
 */
static uint64_t settle_run(struct queue *queue, uint64_t at, const struct record *record, uint64_t limit)
{
    uint64_t own = at + record_size(record->length);
    uint64_t end = record_run(record, queue->window.id, at, limit);

    if (end == own && record->run != 0 && record_run(record, queue->window.id, at, UINT64_MAX) != own) {
        record_mark(queue->log, queue->window.id, at, own, 0);
    }
    return end;
}

/*
 * Looks for the next record, as window_search() does. Behind what was acknowledged, a header that is in order
 * may be that of a record whose sender was killed before all of it was there, and its length cover what
 * others have stored behind it since. Those that are done may have given back their content.
 */
static uint64_t search(struct queue *queue, uint64_t at, uint64_t limit, uint64_t acknowledged,
                       struct record *record, bool *garbage)
{
    bool torn = false;

    for (;;) {
        uint64_t found = window_search(&queue->window, at, limit, record, garbage);
        *garbage |= torn;
        if (found == limit || found < acknowledged || record->state == RECORD_DONE ||
            content_read(queue, found, record, 0) != NULL || errno != EBADMSG) {
            return found;
        }
        torn = true;
        at = found + RECORD_ALIGN;
    }
}

static struct survey look_through(struct queue *queue, uint64_t from, uint64_t fresh, uint64_t acknowledged)
{
    struct survey survey = {.head = 0, .fresh = 0, .end = from};
    struct record record;
    uint64_t limit = queue_size(queue);
    bool garbage;

    window_forget(&queue->window);
    for (uint64_t at = from; at < limit;) {
        uint64_t found = search(queue, at, limit, acknowledged, &record, &garbage);
        if (at < acknowledged && (garbage || found > at)) {
            survey.regions += garbage ? 1 : 0;
            survey.gaps++;
        }
        if (found == limit) {
            break;
        }
        if (found > at && (garbage || survey.waiting > 0)) {
            fill(queue, at, found);
        }
        at = found;
        survey.last = record.sequence > survey.last ? record.sequence : survey.last;
        if (survey.fresh == 0 && at >= fresh) {
            survey.fresh = at;
        }
        if (record.state == RECORD_DONE) {
            at = settle_run(queue, at, &record, limit);
        } else {
            survey.head = survey.waiting++ == 0 ? at : survey.head;
            at += record_size(record.length);
        }
        survey.end = at;
    }
    window_forget(&queue->window);
    survey.fresh = survey.fresh == 0 ? survey.end : survey.fresh;
    survey.head = survey.waiting == 0 ? survey.end : survey.head;
    survey.fresh = survey.fresh < survey.head ? survey.head : survey.fresh;
    return survey;
}

/*
 * Reads what there is, and gets the configuration right from whichever file still has it. *whole: the counts
 * can be believed as they were. The generation that is to be is left in *generation.
 */
static struct verdict read_all(struct queue *queue, bool *whole, uint64_t *generation)
{
    struct ledger *ledger = &queue->ledger;
    struct log_header header = {0};
    bool has_header = read_header(queue, &header);
    unsigned good = ledger_read(queue->state, ledger, LEDGER_CONFIG);

    if (!(good & LEDGER_CONFIG) && !has_header) {
        return verdict(STATUS_REFUSED, "damaged beyond repair: both of its headers are");
    }
    /* That of the log, if there are two: it is the one that the records are checked with. */
    if (has_header && (!(good & LEDGER_CONFIG) || header.config.id != ledger->config.id)) {
        ledger->config = header.config;
        if (!ledger_write(queue->state, ledger, LEDGER_CONFIG)) {
            return verdict_errno("cannot repair it", errno);
        }
    }
    queue->window.id = ledger->config.id;
    good = ledger_read(queue->state, ledger, LEDGER_ALL);
    bool has_generation =
        has_header && header.config.id == ledger->config.id && ledger_has_generation(&header);
    *generation = has_generation ? header.generation : 0;
    if (!(good & LEDGER_STORED)) {
        ledger->stored = (struct stored){0};
    }
    if (!(good & LEDGER_TAKEN)) {
        ledger->taken = (struct taken){0};
    }
    if (!(good & LEDGER_SYNCED)) {
        ledger->synced = (struct synced){0};
    }
    *whole = (good | LEDGER_SYNCED) == LEDGER_ALL && is_sane(ledger) &&
             (!has_generation || header.generation == ledger->stored.generation);
    if (ledger->stored.generation > *generation) {
        *generation = ledger->stored.generation;
    }
    if ((!has_generation || header.generation != *generation) &&
        !ledger_write_header(queue->log, &ledger->config, *generation)) {
        return verdict_errno("cannot repair it", errno);
    }
    return verdict_done();
}

/* A run that was being marked when its receiver died: marked, but not counted, or neither. */
static void settle(struct queue *queue)
{
    struct taken *taken = &queue->ledger.taken;
    struct record record;

    if (taken->run > 0) {
        window_forget(&queue->window);
        if (window_record(&queue->window, taken->at, queue->ledger.stored.tail, &record) &&
            record.state == RECORD_DONE) {
            taken->count += taken->run;
        }
        taken->run = 0;
    }
}

/*
 * Writes down what was found. `renew`: places behind the end, or before the head, may be used again that mean
 * something else in an older `.state`. That one may come back, for it is never synced, and must not be
 * believed then: so the log, which is synced, gets a new generation.
 */
static struct verdict rewrite(struct queue *queue, const struct survey *survey, uint64_t generation,
                              bool renew)
{
    struct ledger *ledger = &queue->ledger;
    uint64_t end = survey->waiting == 0 ? LOG_START : survey->end;
    uint64_t size = queue_size(queue);

    if (size != end && ftruncate(queue->log, (off_t)end) == -1) {
        return verdict_errno("cannot repair it", errno);
    }
    if (renew || (survey->waiting == 0 && size > end)) {
        generation++;
        if (!ledger_write_header(queue->log, &ledger->config, generation)) {
            return verdict_errno("cannot repair it", errno);
        }
    }
    ledger->stored.generation = ledger->taken.generation = generation;
    ledger->stored.tail = end;
    if (ledger->stored.count < survey->last || ledger->stored.count > COUNT_MOST) {
        ledger->stored.count = survey->last <= COUNT_MOST ? survey->last : 0;
    }
    if (ledger->stored.count < survey->waiting) {
        ledger->stored.count = survey->waiting; /* somebody numbers them as he likes */
    }
    ledger->taken.count = ledger->stored.count - survey->waiting;
    ledger->taken.head = survey->waiting == 0 ? end : survey->head;
    ledger->taken.fresh = survey->waiting == 0 ? end : survey->fresh;
    if (ledger->taken.punched > ledger->taken.head) {
        ledger->taken.punched = 0;
    }
    if (ledger->synced.count > ledger->stored.count) {
        ledger->synced.count = 0;
    }
    if (!ledger_write(queue->state, ledger, LEDGER_ALL)) {
        return verdict_errno("cannot repair it", errno);
    }
    /* There may be more messages than were counted, or fewer. */
    bell_ring(&queue->ready);
    bell_ring(&queue->space);
    return verdict_done();
}

struct verdict repair_locked(struct queue *queue, bool deep)
{
    struct ledger *ledger = &queue->ledger;
    uint64_t generation, lost;
    bool whole;

    if (!queue_room_to_look(queue)) {
        return verdict_errno("cannot repair it", ENOMEM);
    }
    uint64_t size = queue_size(queue); /* before read_all() writes a header that is missing */
    struct verdict v = read_all(queue, &whole, &generation);
    if (v.status != STATUS_DONE) {
        return v;
    }
    queue->checked = true;
    if (!deep && whole && ledger->stored.tail == size && ledger->taken.run == 0) {
        return v;
    }
    if (whole) {
        settle(queue);
    }
    uint64_t before = whole ? ledger_waiting(ledger) : 0;
    uint64_t tail = ledger->stored.tail;
    struct survey survey = look_through(queue, whole ? ledger->taken.head : LOG_START,
                                        whole ? ledger->taken.fresh : 0, whole ? tail : size);
    if (!whole) {
        lost = survey.regions;
        ledger->synced.count = 0;
    } else {
        /* A log of this size has been emptied, and only its new generation did not get to the disk. */
        bool is_cut = size < tail && size != LOG_START;
        lost = before > survey.waiting && (survey.gaps > 0 || is_cut) ? before - survey.waiting : 0;
    }
    ledger->taken.damaged += lost;
    return rewrite(queue, &survey, generation, !whole || survey.end < tail);
}

struct verdict repair(struct queue *queue, bool deep)
{
    struct verdict v = queue_lock(queue, QUEUE_TAKE);

    if (v.status != STATUS_DONE) {
        return v;
    }
    v = queue_lock(queue, QUEUE_STORE);
    if (v.status == STATUS_DONE) {
        v = repair_locked(queue, deep);
        queue_unlock(queue, QUEUE_STORE);
    }
    queue_unlock(queue, QUEUE_TAKE);
    return v;
}
