#include "answer.h"

#include "deliver.h"
#include "descriptor.h"
#include "process.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long who asked has to fetch a reply, and how much longer for each byte of it. */
#define PATIENCE MILLISECONDS(5000)
#define PER_BYTE 1000

/* False: who asked has not got it. */
static bool give_notice(struct answer *answer, enum notice_kind kind, int status)
{
    struct process parent;

    if (answer->fd == -1) {
        return false;
    }
    struct notice notice = {
        .kind = kind,
        .pid = (uint32_t)getpid(),
        .uid = (uint32_t)geteuid(),
        .status = (uint32_t)status,
    };
    const char *name = answer->name;
    if (name == NULL && kind != NOTICE_IN_HAND) {
        name = process_look(getppid(), &parent) ? parent.name : NULL;
    }
    reply_set_name(&notice, name == NULL ? "" : name);
    if (reply_put_notice(answer->fd, &notice)) {
        return true;
    }
    answer->gone = errno == EPIPE;
    return false;
}

/* Where COMMAND's standard output goes: `>/dev/stdout` would cut off what is there, and who is left of
 * COMMAND what we have mapped; and `>>/dev/stdout` has an offset of its own. -1 and errno. */
static int make_output(void)
{
    int fd = descriptor_above_standard(memfd_create("fifo-reply", MFD_CLOEXEC | MFD_ALLOW_SEALING));

    if (fd != -1) {
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
        fcntl(fd, F_SETFL, O_APPEND);
    }
    return fd;
}

struct verdict answer_begin(struct answer *answer, const char *mailbox, const struct return_address *back)
{
    *answer = answer_none(answer->name);
    answer->wants = back->wants;
    if (back->wants == 0) {
        return verdict_done();
    }
    answer->path = reply_path(mailbox, back);
    answer->fd = answer->path == NULL ? -1 : reply_open(answer->path, O_WRONLY);
    int error = answer->fd == -1 ? errno : 0;
    answer->gone = error == ENOENT || error == ENXIO;
    if (error == ENXIO) {
        reply_sweep(mailbox); /* nobody reads it, so that nobody may come to delete it */
    }
    if (back->wants & WANTS_REPLY) {
        give_notice(answer, NOTICE_IN_HAND, 0);
        answer->output = make_output();
        error = answer->output == -1 ? errno : error;
    }
    bool is_ours = error == EMFILE || error == ENFILE || error == ENOMEM;
    return is_ours ? verdict_errno("cannot answer it; the message stays in the mailbox", error)
                   : verdict_done();
}

static bool send_reply(const struct answer *answer, const char *content, size_t length, deadline until)
{
    const struct outgoing reply = {.content = content, .length = length};
    const int64_t patience = PATIENCE + (int64_t)length * PER_BYTE;
    /* It is the mailbox that a process has its one watch for. Who asked has the FIFO open until it goes. */
    struct sender sender = {.until = deadline_sooner(until, deadline_in(patience)), .watched = true};
    struct verdict v = sender_open(&sender, answer->path);

    if (v.status == STATUS_DONE) {
        v = deliver(&sender, &reply);
        sender_close(&sender);
    }
    return v.status == STATUS_DONE;
}

static void reply(struct answer *answer, deadline until)
{
    struct stat file;

    if (answer->output == -1 || fstat(answer->output, &file) == -1 || file.st_size == 0) {
        return;
    }
    if (answer->fd == -1) {
        answer->lost = true;
        return;
    }
    size_t length = (size_t)file.st_size;
    void *content = mmap(NULL, length, PROT_READ, MAP_PRIVATE, answer->output, 0);
    answer->lost = content == MAP_FAILED || !send_reply(answer, content, length, until);
    if (content != MAP_FAILED) {
        munmap(content, length);
    }
}

/* COMMAND has failed: says so, and what becomes of the message. */
static struct verdict tell_failure(struct answer *answer, struct verdict v)
{
    static char text[100];
    const char *fate = "the message stays in the mailbox";

    /* What we could not do does not end with COMMAND's status. Who asked sees us go. */
    const bool told =
        (v.status != STATUS_ERROR || v.error == 0) && give_notice(answer, NOTICE_FAILED, v.status);
    /* It is not the message's fault if COMMAND could not be started, or if somebody has ended us both. */
    answer->failed = v.error == 0 && wait_signal() == 0;
    if ((answer->wants & WANTS_REPLY) && told) {
        answer->drop = true;
        fate = "whoever sent the request is told";
    } else if ((answer->wants & WANTS_REPLY) && answer->gone && answer->failed) {
        answer->drop = true;
        fate = "nobody waits for a reply any more, so the request is dropped";
    }
    if (v.error == 0) {
        snprintf(text, sizeof text, "%s; %s", v.reason, fate);
        v.reason = text;
    }
    return v;
}

struct verdict answer_run(struct answer *answer, struct command *command, const struct message *message)
{
    command->reply = answer->wants & WANTS_REPLY ? answer->path : NULL;
    command->output = answer->output;
    struct verdict v = command_run(command, message);
    if (v.status != STATUS_DONE) {
        return tell_failure(answer, v);
    }
    reply(answer, command->until);
    return v;
}

void answer_taken(struct answer *answer, bool replied)
{
    bool without = !replied && (answer->wants & WANTS_REPLY);
    give_notice(answer, without ? NOTICE_NO_REPLY : answer->lost ? NOTICE_LOST : NOTICE_TAKEN, 0);
}

void answer_end(struct answer *answer)
{
    if (answer->fd != -1) {
        close(answer->fd);
    }
    if (answer->output != -1) {
        close(answer->output);
    }
    free(answer->path);
    *answer = answer_none(answer->name);
}
