#include "request.h"

#include "front.h"
#include "peek.h"
#include "wait.h"
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long -n waits for a receiver that is at work. */
#define GRACE MILLISECONDS(100)
/* So many messages are taken between two looks at everything else. */
#define TURN 1000
/* So many bytes are kept for a standard output that does not take them yet. */
#define MOST ((size_t)64 << 20)

static const char *const unanswered = "timed out: it was taken, but no reply came";
static const char *const undrained = "timed out: standard output does not take the reply";

static struct verdict open_fifo(struct request *request)
{
    struct receiver *replies = &request->replies;
    struct verdict v = mailbox_find(request->box.path, &replies->box);

    /* We have it open for as long as we wait: that its last writer has gone need not be the end. */
    replies->box.anonymous = false;
    if (v.status == STATUS_DONE) {
        v = receiver_open(replies, request->box.path);
    } else if (v.status == STATUS_GONE) {
        v.status = STATUS_ERROR; /* it is the mailbox that status 3 is about */
    }
    return v.status == STATUS_DONE && wait_arm(replies->fd) == -1
               ? verdict_errno("cannot wait for the answer", errno)
               : v;
}

/* Closes the FIFO of the message before. */
static void close_fifo(struct request *request)
{
    if (request->open) {
        close(request->replies.fd);
        gather_free(&request->replies.gather);
        request->open = false;
    }
}

struct verdict request_begin(struct request *request, const char *mailbox)
{
    close_fifo(request);
    request->begun = request->passed_on = request->noticed = false;
    request->parts = 0;
    request->replies = (struct receiver){
        .until = DEADLINE_NEVER,
        .nonblock = true,
        .notices = true,
        .max_size = SIZE_MAX / 2,
        .watched = true, /* it is the mailbox that a process has its one watch for */
        .peek = request->replies.peek,
    };
    struct verdict v = replybox_renew(&request->box, mailbox, request->wants);
    v = v.status == STATUS_DONE ? open_fifo(request) : v;
    if (v.status == STATUS_DONE && !request->watched) {
        request->watched = watch_directory(request->box.lock) == 0;
    }
    request->open = v.status == STATUS_DONE;
    return v;
}

static bool has_room(const struct request *request)
{
    return backlog_size(&request->backlog) < MOST;
}

/*
 * Takes what is there, at once: who replies need not wait for whoever reads our standard output. But who does
 * so without end must not keep us from the deadline, nor take all the memory.
 */
static void take(struct request *request)
{
    struct receiver *replies = &request->replies;
    struct message message;

    request->more = false;
    for (unsigned turn = 0;
         request->trouble.status == STATUS_DONE && has_room(request) && peek_count(replies->fd) > 0; turn++) {
        if (turn == TURN) {
            request->more = true;
            return;
        }
        struct verdict v = receiver_next(replies, &message);
        if (v.status != STATUS_DONE) {
            /* What is there has told of itself already, and will not do so again. */
            request->more = replies->barred;
            if (v.status == STATUS_ERROR || v.status == STATUS_REFUSED) {
                request->trouble =
                    verdict(STATUS_UNCERTAIN, "it was taken, but what came as a reply cannot be read");
            }
            return;
        }
        struct notice notice;
        bool is_notice = reply_get_notice(&message, &notice);
        if (is_notice && notice.kind == NOTICE_IN_HAND) {
            request->passed_on = request->begun;
            request->begun = true;
        } else if (is_notice && (notice.kind != NOTICE_FAILED || request->wants & WANTS_REPLY)) {
            request->noticed = true;
            request->notice = notice;
        } else if (message.form != FORM_NOTICE && request->wants & WANTS_REPLY && !request->passed_on) {
            request->parts++;
            if (!backlog_add(&request->backlog, message.content, message.length)) {
                request->trouble = verdict_errno("cannot keep the reply", ENOMEM);
            }
        }
        receiver_take(replies, message.frame);
        receiver_release(replies, &message);
    }
}

/* Prints as much as standard output takes now. */
static void print(struct request *request)
{
    if (request->trouble.status == STATUS_DONE) {
        int error = backlog_write(&request->backlog, request->output);
        request->trouble =
            error == 0 ? request->trouble : verdict_errno("cannot write the reply to standard output", error);
    }
}

static void fetch(struct request *request)
{
    take(request);
    print(request);
}

bool request_occupied(void *context)
{
    const struct request *request = context;
    return request->more || !backlog_is_empty(&request->backlog);
}

enum wake request_rest(void *context, deadline until)
{
    const struct request *request = context;
    struct pollfd end = {.fd = request->output, .events = POLLOUT};

    if (request->more && has_room(request)) {
        return deadline_passed(until) ? WAKE_DEADLINE : wait_pending();
    }
    if (backlog_is_empty(&request->backlog)) {
        return wait_event(until);
    }
    /* That there is room for the reply is news like any other: WAKE_DONE would be that a lock has been taken.
     */
    enum wake wake = wait_ready(&end, until);
    return wake == WAKE_DONE ? WAKE_EVENT : wake;
}

/* Prints what has been taken still, and then ends with `v`. */
static struct verdict settle(struct request *request, struct verdict v)
{
    for (;;) {
        print(request);
        if (request->trouble.status != STATUS_DONE || backlog_is_empty(&request->backlog)) {
            return v.status == STATUS_DONE ? request->trouble : v;
        }
        switch (request_rest(request, request->until)) {
        case WAKE_DEADLINE:
            return v.status == STATUS_DONE ? verdict(STATUS_UNCERTAIN, undrained) : v;
        case WAKE_SIGNAL:
            return verdict(STATUS_SIGNAL + wait_signal(), NULL);
        default:
            break;
        }
    }
}

/* Whether there is nobody any more of those who had the FIFO open for writing, if there ever was one. */
static bool is_left(const struct request *request)
{
    return front_is_all(&request->replies, 0);
}

/* Whether somebody has deleted or moved the FIFO, to which no reply can be sent any more. */
static bool is_removed(const struct request *request)
{
    const struct identity *id = &request->replies.box.id;
    struct stat now;

    if (stat(id->path, &now) == -1) {
        return errno == ENOENT || errno == ENOTDIR;
    }
    return now.st_dev != id->device || now.st_ino != id->inode;
}

static bool has_failed(const struct request *request)
{
    if (request->trouble.status != STATUS_DONE || !(request->wants & WANTS_REPLY)) {
        return request->trouble.status != STATUS_DONE;
    }
    return request->passed_on ||
           (request->noticed ? request->notice.kind != NOTICE_TAKEN : is_left(request)) ||
           is_removed(request);
}

bool request_attend(void *context)
{
    struct request *request = context;

    fetch(request);
    /* Who says anything but that it has failed is about to take the message, unless it has died just then. */
    bool about_to =
        request->trouble.status == STATUS_DONE && request->noticed && request->notice.kind != NOTICE_FAILED;
    return about_to ? request->wants & WANTS_REPLY && (is_left(request) || request->passed_on)
                    : has_failed(request);
}

/* Why an answer will never come: status 4, or what standard output says. The text is good until the next
 * call. */
static struct verdict failure(const struct request *request)
{
    if (request->trouble.status != STATUS_DONE) {
        return request->trouble;
    }
    if (!request->noticed || request->passed_on || request->notice.kind == NOTICE_TAKEN) {
        return verdict(STATUS_UNCERTAIN, is_removed(request) ? "the mailbox for its reply was removed"
                                                             : "its receiver has ended without an answer");
    }
    static char text[80];
    unsigned pid = request->notice.pid, status = request->notice.status;
    if (request->notice.kind == NOTICE_FAILED) {
        snprintf(text, sizeof text, "COMMAND of process %u failed with status %u", pid, status);
    } else if (request->notice.kind == NOTICE_LOST) {
        snprintf(text, sizeof text, "the reply of process %u could not be fetched in time", pid);
    } else {
        snprintf(text, sizeof text, "taken by process %u, which does not reply: it has no COMMAND", pid);
    }
    return verdict(STATUS_UNCERTAIN, text);
}

/* Whether everything that was asked for is there. */
static bool is_complete(const struct request *request)
{
    if (!(request->wants & WANTS_REPLY)) {
        return request->noticed;
    }
    return request->noticed && request->notice.kind == NOTICE_TAKEN && !request->passed_on &&
           request->parts > 0 && is_left(request);
}

/* Whether somebody has had it in hand, who may have done what was asked, though it was withdrawn now. */
static bool was_tried(const struct request *request)
{
    return request->begun && request->wants & WANTS_REPLY;
}

struct verdict request_conclude(struct request *request, struct verdict v)
{
    fetch(request);
    if (is_complete(request)) {
        return settle(request, verdict_done());
    }
    switch (v.status) {
    case STATUS_UNCERTAIN:
        return has_failed(request) ? settle(request, failure(request)) : v;
    case STATUS_NOT_NOW:
    case STATUS_GONE:
    case STATUS_TIMEOUT:
        return was_tried(request) ? settle(request, failure(request)) : v;
    default:
        return v;
    }
}

struct verdict request_await(struct request *request)
{
    deadline until = request->nonblock ? deadline_in(GRACE) : request->until;

    for (;;) {
        fetch(request);
        /* A receipt comes before the message goes, or not at all. */
        if (is_complete(request) || !(request->wants & WANTS_REPLY)) {
            return settle(request, verdict_done());
        }
        if (has_failed(request)) {
            return settle(request, failure(request));
        }
        switch (request_rest(request, until)) {
        case WAKE_DEADLINE:
            return verdict(STATUS_UNCERTAIN, backlog_is_empty(&request->backlog) ? unanswered : undrained);
        case WAKE_SIGNAL:
            return verdict(STATUS_SIGNAL + wait_signal(), "ended by a signal; the message has been taken");
        default:
            break;
        }
    }
}

/*
 * Takes back a message whose receiver has failed or died. The reply FIFO may have told of that just before
 * the lease was given back; when that goes, the bell rings.
 */
static void withdraw_soon(struct queue *queue, const struct place *place)
{
    struct bell *bell = &queue->ready;
    const deadline soon = deadline_in(GRACE);

    while (queue_withdraw(queue, place) == FATE_IN_HAND && !deadline_passed(soon)) {
        enum wake wake = bell->chair == 0 ? bell_sit(bell, soon) : bell_sleep(bell, soon);
        if (wake == WAKE_SIGNAL) {
            break;
        }
    }
    bell_leave(bell);
}

/* What has to be said when we do not wait any longer, for the reason `why`. */
static struct verdict give_up(const struct request *request, struct queue *queue, const struct place *place,
                              struct verdict why)
{
    enum fate fate = queue_withdraw(queue, place);

    if (why.status > STATUS_SIGNAL) {
        if (fate == FATE_TAKEN) {
            why.reason = "ended by a signal; the message has been taken";
        } else if (fate != FATE_WITHDRAWN || was_tried(request)) {
            why.reason = "ended by a signal; a receiver may have the message";
        }
        return why;
    }
    if (fate == FATE_WITHDRAWN) {
        return was_tried(request) ? failure(request) : why;
    }
    switch (fate) {
    case FATE_TAKEN:
        return request->wants & WANTS_REPLY ? verdict(STATUS_UNCERTAIN, unanswered) : verdict_done();
    case FATE_IN_HAND:
        return verdict(STATUS_UNCERTAIN, "a receiver has the message in hand and has not finished");
    default:
        return verdict(STATUS_UNCERTAIN, "the message cannot be taken back out of the mailbox");
    }
}

struct verdict request_await_stored(struct request *request, struct queue *queue, const struct place *place)
{
    deadline until = request->nonblock ? deadline_in(GRACE) : request->until;
    enum wake wake = WAKE_EVENT;

    queue_watch(queue);
    for (;;) {
        fetch(request);
        if (is_complete(request)) {
            return settle(request, verdict_done());
        }
        if (has_failed(request)) {
            withdraw_soon(queue, place);
            return settle(request, failure(request));
        }
        if (!(request->wants & WANTS_REPLY) && is_left(request) && !queue_holds(queue, place)) {
            return verdict_done(); /* taken, by one who died before he could say so */
        }
        if (queue_is_gone(queue) && queue_holds(queue, place)) {
            return give_up(request, queue, place, verdict(STATUS_GONE, "removed while waiting"));
        }
        if (wake == WAKE_SIGNAL) {
            return give_up(
                request, queue, place,
                verdict(STATUS_SIGNAL + wait_signal(), "ended by a signal; the message is withdrawn"));
        }
        if (wake == WAKE_DEADLINE) {
            return give_up(request, queue, place,
                           request->nonblock
                               ? verdict(STATUS_NOT_NOW, "nobody took it; the message is withdrawn")
                               : verdict(STATUS_TIMEOUT, "timed out; the message is withdrawn"));
        }
        wake = request_rest(request, until);
    }
}

void request_end(struct request *request)
{
    close_fifo(request);
    replybox_end(&request->box);
    backlog_drop(&request->backlog);
}
