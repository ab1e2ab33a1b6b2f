#include "queue-inner.h"

#include "iovecs.h"
#include "repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CHUNK    ((size_t)256 * 1024) /* what is put together for one write */
#define ATTEMPTS 8
#define NO_LIMIT UINT64_MAX
/* The end of what offsets, lengths and runs have room for. */
#define LOG_END (UINT64_C(1) << 47)

/* Reads and checks `.state`; STORE is held. Status 1 with no reason: it was in disorder, begin again. */
static struct verdict prepare(struct queue *queue, uint64_t *tail)
{
    struct ledger *ledger = &queue->ledger;
    unsigned good = ledger_read(queue->state, ledger, LEDGER_COUNTS);
    uint64_t size = queue_size(queue);

    *tail = ledger->stored.tail;
    queue->blind = false;
    if (queue->gone) {
        queue_unlock(queue, QUEUE_APPEND);
        return verdict(STATUS_GONE, "removed");
    }
    if (good == LEDGER_COUNTS && !repair_is_needed(queue, size)) {
        queue->checked = true;
        return verdict_done();
    }
    if (queue->readable) {
        queue_unlock(queue, QUEUE_APPEND);
        struct verdict v = repair(queue, false);
        return v.status == STATUS_DONE ? verdict(STATUS_NOT_NOW, NULL) : v;
    }
    if (good != LEDGER_COUNTS) {
        queue_unlock(queue, QUEUE_APPEND);
        return verdict(STATUS_REFUSED, "damaged; a receiver that may write to it can repair it");
    }
    /*
     * Who may not read the log cannot tell what a killed sender left behind the tail. It may be whole, so it
     * stays, and what we store comes behind it; but it may be torn, with a header that claims what comes
     * behind it, so that the tail stays where it is: who reads next looks at each of them. A log that was cut
     * off gets another generation, which has the same effect, and what it had lost stays a hole: a run that
     * is done may lead over it.
     */
    *tail = record_align(size < ledger->stored.tail ? ledger->stored.tail : size);
    queue->blind = size > ledger->stored.tail;
    if (size < ledger->stored.tail) {
        ledger->stored.generation++;
    }
    return verdict_done();
}

/* How many more messages the mailbox has room for. */
static uint64_t free_places(const struct queue *queue)
{
    uint64_t capacity = queue->ledger.config.capacity;
    uint64_t waiting = ledger_waiting(&queue->ledger);

    return capacity == 0 ? NO_LIMIT : waiting < capacity ? capacity - waiting : 0;
}

static uint64_t now(void)
{
    struct timespec time;

    /* Once a batch. The system call, because the first call of the vDSO costs two page faults. */
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* What the records of one piece have in common. */
static struct record template(void)
{
    return (struct record){.sender = (uint32_t)getpid(), .time = now()};
}

static void describe(const struct queue *queue, struct record *record, const struct queue_item *item,
                     uint64_t sequence, uint64_t at)
{
    record->sequence = sequence;
    record->length = item->length;
    record->flags = item->flags;
    record_seal(record, queue->ledger.config.id, at, item->content);
}

/* Writes all of it, or leaves -1 and errno. */
static int write_all(int fd, struct iovec *parts, int count, uint64_t at)
{
    for (int next = 0; next < count;) {
        ssize_t written = pwritev(fd, parts + next, count - next, (off_t)at);
        if (written == -1 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            errno = written == 0 ? ENOSPC : errno;
            return -1;
        }
        at += (uint64_t)written;
        next = iovecs_skip(parts, next, count, (size_t)written);
    }
    return 0;
}

/* Appends one message that is too long to be copied. Returns the size of its record, 0 and errno. */
static uint64_t append_long(struct queue *queue, const struct queue_item *item, uint64_t at)
{
    static const unsigned char zeros[RECORD_ALIGN];
    union {
        const void *in;
        void *out;
    } content = {.in = item->content}, padding = {.in = zeros};
    struct record record = template();

    describe(queue, &record, item, queue->ledger.stored.count + 1, at);
    struct iovec parts[] = {
        {&record, sizeof record},
        {content.out, item->length},
        {padding.out, (size_t)(record_align(item->length) - item->length)},
    };
    return write_all(queue->log, parts, 3, at) == 0 ? record_size(item->length) : 0;
}

/* Appends as many of the messages as one write takes. Returns their size, 0 and errno. */
static uint64_t append_some(struct queue *queue, const struct queue_item *items, size_t *count, uint64_t at)
{
    uint64_t sequence = queue->ledger.stored.count;
    struct record record = template();
    size_t length = 0, done = 0;
    size_t need = 0;

    for (size_t i = 0; i < *count && need + record_size(items[i].length) <= CHUNK; i++) {
        need += record_size(items[i].length);
    }
    unsigned char *bytes = queue_room(queue, need);
    if (bytes == NULL) {
        errno = ENOMEM;
        return 0;
    }
    for (; done < *count && length + record_size(items[done].length) <= need; done++) {
        const struct queue_item *item = &items[done];
        size_t size = record_size(item->length);
        describe(queue, &record, item, sequence + done + 1, at + length);
        memcpy(bytes + length, &record, sizeof record);
        if (item->length > 0) {
            memcpy(bytes + length + sizeof record, item->content, item->length);
        }
        memset(bytes + length + sizeof record + item->length, 0, size - sizeof record - item->length);
        length += size;
    }
    *count = done;
    struct iovec part = {bytes, length};
    return write_all(queue->log, &part, 1, at) == 0 ? length : 0;
}

static struct verdict refused_by_system(int error)
{
    switch (error) {
    case ENOSPC:
        return verdict_errno("cannot store it: the file system is full", error);
    case EDQUOT:
        return verdict_errno("cannot store it: over quota", error);
    case EFBIG:
        return verdict_errno(
            "cannot store it: the mailbox may not grow further (ulimit -f, or the file system)", error);
    default:
        return verdict_errno("cannot store it", error);
    }
}

/* Appends and commits one piece; STORE is held. *count is how many messages it was. */
static struct verdict append(struct queue *queue, const struct queue_item *items, size_t *count, uint64_t *at)
{
    struct stored *stored = &queue->ledger.stored;
    const struct stored before = *stored;
    uint64_t size;

    if (items->length > LOG_END || *at > LOG_END) {
        return verdict_errno("cannot store it", EFBIG);
    }
    if (record_size(items->length) > CHUNK) {
        *count = 1;
        size = append_long(queue, items, *at);
    } else {
        size = append_some(queue, items, count, *at);
    }
    if (size > 0) {
        uint64_t end = *at + size;
        stored->tail = queue->blind ? stored->tail : end;
        stored->count += *count;
        if (ledger_write(queue->state, &queue->ledger, LEDGER_STORED)) {
            queue->last = (struct place){stored->generation, *at, stored->count}; /* if it was one */
            *at = end;
            return verdict_done();
        }
    }
    int error = errno;
    *stored = before;
    (void)!ftruncate(queue->log, (off_t)*at);
    return refused_by_system(error);
}

/* Stores what there is room for. Status 1: the mailbox is full. */
static struct verdict store_some(struct queue *queue, const struct queue_item *items, size_t count,
                                 size_t *stored)
{
    struct verdict v;
    uint64_t tail = 0;

    for (int i = 0; i < ATTEMPTS; i++) {
        v = queue_lock(queue, QUEUE_APPEND);
        if (v.status != STATUS_DONE) {
            return v;
        }
        v = prepare(queue, &tail);
        if (v.status != STATUS_NOT_NOW || v.reason != NULL) {
            break;
        }
    }
    if (v.status != STATUS_DONE) {
        return v.reason != NULL || v.status != STATUS_NOT_NOW
                   ? v
                   : verdict(STATUS_REFUSED, "damaged, and damaged again as soon as it is repaired");
    }
    uint64_t places = free_places(queue);
    if (places == 0 && queue->readable && queue->ledger.taken.run > 0) {
        /* A receiver is just counting what it has taken; or it died, and nobody else will. */
        queue_unlock(queue, QUEUE_APPEND);
        v = repair(queue, false);
        return v.status == STATUS_DONE ? verdict(STATUS_DONE, "again") : v;
    }
    if (queue->blind && places != NO_LIMIT) {
        /* What a killed sender left may be messages that nobody has counted: a receiver is asked to. */
        places = 0;
        bell_ring(&queue->ready);
    }
    if (places == 0) {
        v = verdict(STATUS_NOT_NOW, "full");
    }
    while (v.status == STATUS_DONE && *stored < count && places > 0) {
        size_t part = count - *stored;
        part = places < part ? (size_t)places : part;
        v = append(queue, items + *stored, &part, &tail);
        if (v.status == STATUS_DONE) {
            *stored += part;
            places -= places == NO_LIMIT ? 0 : part;
        }
    }
    queue_unlock(queue, QUEUE_APPEND);
    return v;
}

/*
 * What is stored is on disk when this returns. Of several senders that wait here, the first one's
 * fdatasync(2) serves all who had stored before it began.
 */
static struct verdict make_durable(struct queue *queue)
{
    const unsigned wanted = LEDGER_CONFIG | LEDGER_STORED | LEDGER_SYNCED;
    uint64_t ours = queue->ledger.stored.count;
    struct verdict v = queue_lock(queue, QUEUE_SYNC);

    /* What is stored is not taken back, whatever keeps us from waiting. */
    if (v.status == STATUS_NOT_NOW || v.status == STATUS_TIMEOUT) {
        return verdict(STATUS_UNCERTAIN,
                       "stored, but perhaps not on disk yet: another sender waits for that");
    }
    if (v.status == STATUS_GONE) {
        return verdict(STATUS_UNCERTAIN, "removed after it was stored: a receiver may have it");
    }
    if (v.status != STATUS_DONE) {
        return v;
    }
    unsigned good = ledger_read(queue->state, &queue->ledger, wanted);
    struct ledger *ledger = &queue->ledger;
    bool is_done =
        good == wanted && ledger->synced.count >= ours && ledger->synced.count <= ledger->stored.count;
    if (!is_done) {
        uint64_t upto = good & LEDGER_STORED ? ledger->stored.count : 0;
        if (fdatasync(queue->log) == -1) {
            v = verdict_errno("stored, but perhaps not on disk", errno);
        } else if (upto >= ours) {
            ledger->synced.count = upto;
            ledger_write(queue->state, ledger, LEDGER_SYNCED);
        }
    }
    queue_unlock(queue, QUEUE_SYNC);
    return v;
}

struct verdict queue_store(struct queue *queue, const struct queue_item *items, size_t count, size_t *stored)
{
    struct verdict v = verdict_done();

    *stored = 0;
    queue->late = false;
    while (v.status == STATUS_DONE && *stored < count) {
        size_t part = 0;
        v = store_some(queue, items + *stored, count - *stored, &part);
        if (part > 0) {
            bell_ring(&queue->ready);
            bool sync = queue->ledger.config.flags & LEDGER_SYNC;
            struct verdict synced = sync ? make_durable(queue) : verdict_done();
            if (synced.status != STATUS_DONE) {
                v = synced;
                break;
            }
            *stored += part;
        }
        if (v.status == STATUS_NOT_NOW && v.reason != NULL && *stored < count) {
            v = queue_sleep(queue, &queue->space, v.reason, "timed out: it is full");
        }
    }
    bell_leave(&queue->space);
    return v;
}
