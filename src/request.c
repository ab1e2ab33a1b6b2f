#include "request.h"

#include "descriptor.h"
#include "front.h"
#include "output.h"
#include "peek.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long -n waits for a receiver that is at work. */
#define GRACE MILLISECONDS(100)

#define ATTEMPTS 100

static const char *const unanswered = "timed out: it was taken, but no reply came";

/* What is to be deleted if a signal ends us. One request at a time, as there is one process to end. */
static const char *last_path, *last_directory;

static void tidy_up(void)
{
    if (last_path != NULL) {
        unlink(last_path);
    }
    if (last_directory != NULL) {
        rmdir(last_directory);
    }
}

/* Who sweeps may come between making the directory and locking it: then it has no name any more. */
static bool is_linked(int fd)
{
    struct stat file;
    return fstat(fd, &file) == 0 && file.st_nlink > 0;
}

/* Makes the directory, and locks it. 0, or -1 and errno. */
static int make_directory(struct request *request, const char *mailbox)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        if (getrandom(request->address.token, MESSAGE_TOKEN, 0) != MESSAGE_TOKEN) {
            return -1;
        }
        request->directory = reply_directory(mailbox, &request->address);
        if (request->directory == NULL) {
            return -1;
        }
        mode_t mask = umask(0);
        int made = mkdir(request->directory, 0711);
        umask(mask);
        if (made == 0) {
            last_directory = request->directory;
            wait_tidily(tidy_up);
            request->lock =
                descriptor_above_standard(open(request->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
            if (request->lock != -1 && flock(request->lock, LOCK_EX | LOCK_NB) == 0 &&
                is_linked(request->lock)) {
                return 0;
            }
        }
        int error = errno;
        if (made == 0 && request->lock != -1) {
            close(request->lock);
        }
        last_directory = NULL;
        free(request->directory);
        request->directory = NULL;
        if (made == -1 && error != EEXIST) {
            errno = error;
            return -1;
        }
    }
    return -1;
}

static void close_fifo(struct request *request)
{
    if (request->path != NULL) {
        unlink(request->path);
        close(request->replies.fd);
        last_path = NULL;
        free(request->path);
        request->path = NULL;
    }
}

static struct verdict open_fifo(struct request *request, const char *mailbox)
{
    request->path = reply_path(mailbox, &request->address);
    if (request->path == NULL) {
        return verdict_errno("cannot make a FIFO for the answer", errno);
    }
    mode_t mask = umask(0);
    int made = mkfifo(request->path, S_ISVTX | 0622);
    int error = errno;
    umask(mask);
    if (made == -1) {
        free(request->path);
        request->path = NULL;
        return verdict_errno("cannot make a FIFO for the answer", error);
    }
    last_path = request->path;
    struct verdict v = mailbox_find(request->path, &request->replies.box);
    /* We have it open for as long as we wait: that its last writer has gone need not be the end. */
    request->replies.box.anonymous = false;
    if (v.status == STATUS_DONE) {
        v = receiver_open(&request->replies, request->path);
    }
    return v.status == STATUS_DONE && wait_arm(request->replies.fd) == -1
               ? verdict_errno("cannot wait for the answer", errno)
               : v;
}

struct verdict request_begin(struct request *request, const char *mailbox)
{
    if (request->directory == NULL) {
        reply_sweep(mailbox);
        if (make_directory(request, mailbox) == -1) {
            return verdict_errno(
                "cannot make a directory beside it for the answer; use a mailbox in a directory "
                "where you may make files",
                errno);
        }
    }
    close_fifo(request);
    unsigned char *name = request->address.token + MESSAGE_TOKEN / 2;
    if (getrandom(name, MESSAGE_TOKEN / 2, 0) != MESSAGE_TOKEN / 2) {
        return verdict_errno("cannot make a FIFO for the answer", errno);
    }
    request->address.wants = request->wants;
    request->noticed = false;
    request->parts = 0;
    request->replies = (struct receiver){
        .until = DEADLINE_NEVER,
        .nonblock = true,
        .notices = true,
        .max_size = SIZE_MAX / 2,
        .peek = request->replies.peek,
    };
    return open_fifo(request, mailbox);
}

static struct verdict print(struct request *request, const struct message *message)
{
    struct output output = {.fd = request->output, .until = request->until};
    struct verdict v = output_add(&output, message->content, message->length);

    v = v.status == STATUS_DONE ? output_flush(&output) : v;
    if (v.status == STATUS_ERROR) {
        v.reason = "cannot write the reply to standard output";
    }
    return v;
}

/* Receives what is there. A part is taken before it is printed: its sender need not wait for whoever reads
 * us. */
static void fetch(struct request *request)
{
    struct receiver *replies = &request->replies;
    struct message message;

    while (request->trouble.status == STATUS_DONE && peek_count(replies->fd) > 0) {
        struct verdict v = receiver_next(replies, &message);
        if (v.status == STATUS_REFUSED) {
            continue;
        }
        if (v.status != STATUS_DONE) {
            request->trouble = v.status == STATUS_ERROR ? v : request->trouble;
            return;
        }
        struct notice notice;
        bool is_notice = reply_get_notice(&message, &notice);
        receiver_take(replies, message.frame);
        if (is_notice && (notice.kind != NOTICE_FAILED || request->wants & WANTS_REPLY)) {
            request->noticed = true;
            request->notice = notice;
        } else if (message.form != FORM_NOTICE && request->wants & WANTS_REPLY) {
            request->parts++;
            request->trouble = print(request, &message);
        }
        receiver_release(replies, &message);
    }
}

/* Whether there is nobody any more of those who had the FIFO open for writing, if there ever was one. */
static bool is_left(const struct request *request)
{
    return front_is_all(&request->replies, 0);
}

static bool has_failed(const struct request *request)
{
    return request->trouble.status != STATUS_DONE ||
           (request->wants & WANTS_REPLY &&
            (request->noticed ? request->notice.kind != NOTICE_TAKEN : is_left(request)));
}

bool request_attend(void *context)
{
    struct request *request = context;

    fetch(request);
    /* Who says anything but that it has failed is about to take the message. */
    return has_failed(request) && !(request->noticed && request->notice.kind != NOTICE_FAILED);
}

struct verdict request_failed(const struct request *request)
{
    if (request->trouble.status != STATUS_DONE) {
        return request->trouble;
    }
    if (!request->noticed) {
        return verdict(STATUS_UNCERTAIN, "its receiver has ended without an answer");
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
    return request->wants & WANTS_REPLY ? request->noticed && request->notice.kind == NOTICE_TAKEN &&
                                              request->parts > 0 && is_left(request)
                                        : request->noticed;
}

struct verdict request_await(struct request *request)
{
    deadline until = request->nonblock ? deadline_in(GRACE) : request->until;

    for (;;) {
        fetch(request);
        /* A receipt comes before the message goes, or not at all. */
        if (is_complete(request) || !(request->wants & WANTS_REPLY)) {
            return request->trouble;
        }
        if (has_failed(request)) {
            return request_failed(request);
        }
        switch (wait_event(until)) {
        case WAKE_DEADLINE:
            return verdict(STATUS_UNCERTAIN, unanswered);
        case WAKE_SIGNAL:
            return verdict(STATUS_SIGNAL + wait_signal(), NULL);
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

    if (fate == FATE_WITHDRAWN || why.status > STATUS_SIGNAL) {
        return why;
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
            return request->trouble;
        }
        if (has_failed(request)) {
            withdraw_soon(queue, place);
            return request_failed(request);
        }
        if (!(request->wants & WANTS_REPLY) && is_left(request) && !queue_holds(queue, place)) {
            return verdict_done(); /* taken, by one who died before he could say so */
        }
        queue_size(queue);
        if (queue->gone && !request->noticed) {
            return verdict(STATUS_GONE, "removed while waiting");
        }
        if (wake == WAKE_SIGNAL) {
            return give_up(request, queue, place, verdict(STATUS_SIGNAL + wait_signal(), NULL));
        }
        if (wake == WAKE_DEADLINE) {
            return give_up(request, queue, place,
                           request->nonblock
                               ? verdict(STATUS_NOT_NOW, "nobody took it; the message is withdrawn")
                               : verdict(STATUS_TIMEOUT, "timed out; the message is withdrawn"));
        }
        wake = wait_event(until);
    }
}

void request_end(struct request *request)
{
    close_fifo(request);
    if (request->directory != NULL) {
        rmdir(request->directory);
        close(request->lock);
        last_directory = NULL;
        free(request->directory);
        request->directory = NULL;
    }
}
