/* fifo-recv: receives messages; takes each only after it was printed in full or COMMAND succeeded. */
#include "cli.h"
#include "command.h"
#include "inflow.h"
#include "output.h"
#include "receiver.h"
#include "wait.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_MAX_SIZE ((size_t)1 << 30)

struct options {
    struct common common;
    size_t count; /* -c; 0 with -f */
    bool counted;
    bool follow;
    bool null;
    bool raw;
    size_t size;
    size_t max_size;
    bool limited; /* --max-size was given */
    bool exclusive;
    bool peek;
    bool keep;
    const char *mailbox;
    char **command;
};

enum { KEY_PEEK = 256, KEY_KEEP, KEY_MAX_SIZE };

static const struct argp_option table[] = {
    {"count", 'c', "N", 0, "Receive N messages", 0},
    {"follow", 'f', NULL, 0, "Receive until killed, or the mailbox is removed", 0},
    {"null", '0', NULL, 0, "End each message with a NUL instead of its newline", 0},
    {"size", 's', "N", 0, "Each message is N bytes", 0},
    {"raw", 'R', NULL, 0, "No messages: bytes as they come, until the last writer has closed", 0},
    {"max-size", KEY_MAX_SIZE, "N", 0, "Refuse messages of more than N bytes (K, M, G; default 1G)", 0},
    {"exclusive", 'x', NULL, 0, "Keep other receivers out until all messages are received", 0},
    {"peek", KEY_PEEK, NULL, 0, "Print the message without taking it", 0},
    {"keep", KEY_KEEP, NULL, 0, "Run COMMAND, and give the message back whatever happens", 0},
    {0},
};

static void check(struct options *options)
{
    if (options->mailbox == NULL) {
        cli_usage("missing MAILBOX");
    }
    if (options->counted && options->follow) {
        cli_usage("-c and -f exclude each other");
    }
    if (options->peek && (options->counted || options->follow || options->keep || options->command != NULL)) {
        cli_usage("--peek excludes -c, -f, --keep and COMMAND");
    }
    if (options->keep && options->command == NULL) {
        cli_usage("--keep needs a COMMAND");
    }
    if (options->raw && (options->counted || options->null || options->size > 0 || options->peek ||
                         options->command != NULL)) {
        cli_usage("-R excludes -c, -0, -s, --peek and COMMAND");
    }
    if (options->raw && options->limited) {
        cli_usage("-R excludes --max-size: there are no messages");
    }
    if (options->null && (options->size > 0 || options->command != NULL)) {
        cli_usage("-0 excludes -s and COMMAND");
    }
    if (!options->counted && !options->follow) {
        options->count = 1;
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'c':
        options->counted = true;
        options->count = cli_count("-c", argument, SIZE_MAX);
        return 0;
    case 'f':
        options->follow = true;
        return 0;
    case '0':
        options->null = true;
        return 0;
    case 'R':
        options->raw = true;
        return 0;
    case 's':
        options->size = cli_count("-s", argument, SIZE_MAX / 2);
        return 0;
    case KEY_MAX_SIZE:
        options->max_size = cli_size("--max-size", argument);
        options->limited = true;
        return 0;
    case 'x':
        options->exclusive = true;
        return 0;
    case KEY_PEEK:
        options->peek = true;
        return 0;
    case KEY_KEEP:
        options->keep = true;
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case ARGP_KEY_ARG:
        /* The first operand is the mailbox; with the second, the rest is COMMAND's, options and all. */
        if (options->mailbox == NULL) {
            options->mailbox = argument;
        } else {
            options->command = state->argv + state->next - 1;
            state->next = state->argc;
        }
        return 0;
    case ARGP_KEY_END:
        check(options);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{.argp = &cli_argp_waiting}, {0}};
static const struct argp argp = {
    .options = table,
    .parser = parse,
    .args_doc = "MAILBOX [COMMAND [ARG...]]",
    .doc = "Receives a message and prints it, or runs COMMAND with it as standard input." CLI_STATUSES
           " With COMMAND: its own, if it failed; 126 if it cannot run, 127 if it is not found.",
    .children = children,
};

/* Messages that have been dealt with, and so may be taken. */
struct handful {
    struct message first; /* what is in hand, from here */
    size_t count;
    size_t frames; /* bytes they take in the FIFO */
    size_t length; /* bytes of content */
};

static void add_to(struct handful *handful, const struct message *message)
{
    handful->count++;
    handful->frames += message->frame;
    handful->length += message->length;
}

/* Bytes that are printed of a message, but for the NUL that -0 puts behind them. */
static size_t printed(const struct options *options, const struct message *message)
{
    bool newline = message->length > 0 && message->content[message->length - 1] == '\n';
    return message->length - (options->null && newline ? 1 : 0);
}

/* Adds to *handful, of `count` messages, those that the first `written` bytes of output are all of. */
static void add_printed(const struct options *options, const struct receiver *receiver, size_t count,
                        size_t written, struct handful *handful)
{
    struct message message = handful->first;

    while (handful->count < count) {
        size_t length = printed(options, &message) + (options->null ? 1 : 0);
        if (length > written) {
            return;
        }
        written -= length;
        size_t at = handful->frames;
        add_to(handful, &message);
        receiver_more(receiver, &message, at);
    }
}

/* Adds the message in hand to the output and, up to `most`, those that have come with it. */
static struct verdict collect(const struct options *options, const struct receiver *receiver, size_t most,
                              struct output *output, struct handful *all)
{
    struct message message = all->first;
    struct verdict v;
    size_t at;

    do {
        const unsigned char *lines;
        size_t length;
        v = output_add(output, message.content, printed(options, &message));
        if (v.status == STATUS_DONE && options->null) {
            v = output_add(output, "", 1);
        }
        at = all->frames;
        add_to(all, &message);
        /* Lines that are printed as they are need not be looked at one by one. */
        bool plain =
            v.status == STATUS_DONE && !options->null && message.form == FORM_LINE && message.frame > 0;
        size_t count =
            plain ? receiver_more_lines(receiver, all->frames, most - all->count, &lines, &length) : 0;
        if (count > 0) {
            v = output_add(output, lines, length);
            at = all->frames;
            message.frame = length;
            all->count += count;
            all->frames += length;
            all->length += length;
        }
    } while (v.status == STATUS_DONE && all->count < most && receiver_more(receiver, &message, at));
    return v;
}

/* Prints what is in hand, up to `most` messages. Whatever the verdict, *handful is what was printed in full.
 */
static struct verdict print(const struct options *options, const struct receiver *receiver, size_t most,
                            struct handful *handful)
{
    struct output output = {.fd = STDOUT_FILENO, .until = options->common.until};
    struct handful all = *handful;
    struct verdict v = collect(options, receiver, most, &output, &all);

    if (v.status == STATUS_DONE) {
        v = output_flush(&output);
    }
    if (v.status == STATUS_DONE) {
        *handful = all;
    } else {
        add_printed(options, receiver, all.count, output.written, handful);
    }
    return v;
}

/* Receives a message, or up to `most` that are there, and takes those it may. */
static struct verdict receive(const struct options *options, struct receiver *receiver, size_t most,
                              struct handful *handful)
{
    struct message *message = &handful->first;
    struct verdict v = receiver_next(receiver, message);

    if (v.status == STATUS_DONE) {
        if (options->command == NULL) {
            v = print(options, receiver, most, handful);
        } else {
            v = command_run(options->command, message, options->mailbox, options->common.until);
            if (v.status == STATUS_DONE) {
                add_to(handful, message);
            }
        }
        if (v.status != STATUS_DONE && message->form == FORM_LINE && message->frame == 0) {
            v.reason = "failed with a line that was too long for the pipe, and is lost";
        }
    }
    if (handful->count > 0 && !options->peek && !options->keep) {
        struct verdict taken = receiver_take(receiver, handful->frames);
        v = v.status == STATUS_DONE ? taken : v;
    }
    return v;
}

/* Whether to go on after something was skipped: whoever follows is told, and stays. */
static bool goes_on(const struct options *options, struct verdict v, const struct message *message)
{
    return options->follow && v.status == STATUS_REFUSED && message->frame > 0 && options->command == NULL;
}

static void tell(const struct options *options, const struct message *message)
{
    if (message->sender > 0) {
        cli_tell(&options->common, options->mailbox, "message of %zu bytes from process %d", message->length,
                 (int)message->sender);
    } else {
        cli_tell(&options->common, options->mailbox, "message of %zu bytes", message->length);
    }
}

static struct verdict receive_all(struct options *options, struct receiver *receiver)
{
    size_t received = 0;

    for (;;) {
        struct handful handful = {0};
        size_t most = options->follow ? SIZE_MAX : options->count - received;
        struct verdict v = receive(options, receiver, most, &handful);
        received += handful.count;
        progress_add(&options->common.progress, handful.length, handful.count);
        if (v.status == STATUS_DONE) {
            tell(options, &handful.first);
            if (received == options->count || wait_signal() != 0) {
                return v;
            }
        } else if (goes_on(options, v, &handful.first)) {
            cli_report(&options->common, options->mailbox, v);
        } else {
            cli_tell(&options->common, options->mailbox, "%zu received before", received);
            return v;
        }
        receiver_release(receiver, &handful.first);
    }
}

/* -R. Whatever comes out, how far it got belongs to it. */
static int run_raw(struct options *options)
{
    char detail[60];
    struct stream stream = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
        .follow = options->follow,
        .progress = &options->common.progress,
    };
    struct verdict v = inflow(&stream, options->mailbox, STDOUT_FILENO);

    progress_stop(&options->common.progress);
    snprintf(detail, sizeof detail, "; %" PRIu64 " bytes received", stream.passed);
    if (v.status == STATUS_DONE) {
        cli_tell(&options->common, options->mailbox, "%s", detail + 2);
    }
    bool started = v.status == STATUS_ERROR || v.status == STATUS_UNCERTAIN || stream.passed > 0;
    return cli_report_detail(&options->common, options->mailbox, v, started ? detail : "");
}

static struct verdict run(struct options *options)
{
    struct receiver receiver = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
        .keeps = options->peek || options->keep,
        /* -v speaks of each message. */
        .many =
            (options->follow || options->count > 1) && options->command == NULL && !options->common.verbose,
        .size = options->size,
        .max_size = options->max_size,
    };
    struct verdict v = receiver_open(&receiver, options->mailbox);

    if (v.status == STATUS_DONE && options->size > PIPE_BUF) {
        v = verdict(STATUS_REFUSED,
                    "a message of fixed size has at most 4096 bytes here: more is not written at once");
    }
    return v.status == STATUS_DONE ? receive_all(options, &receiver) : v;
}

int main(int argc, char **argv)
{
    struct options options = {.max_size = DEFAULT_MAX_SIZE};

    cli_parse(argc, argv, &argp, ARGP_IN_ORDER, &options);
    /* What is printed, and what is drawn, would get into each other's way. */
    bool printed_there = options.common.shown == PROGRESS_AUTO && isatty(STDOUT_FILENO);
    if (options.common.shown != PROGRESS_NEVER && !printed_there) {
        progress_start(&options.common.progress, options.common.shown,
                       options.raw ? PROGRESS_BYTES : PROGRESS_MESSAGES, -1);
    }
    if (options.raw) {
        return run_raw(&options);
    }
    struct verdict v = run(&options);
    progress_stop(&options.common.progress);
    bool cannot_run = v.status == STATUS_CANNOT_RUN || v.status == STATUS_NOT_FOUND;
    int status =
        cli_report(&options.common, cannot_run && v.error != 0 ? options.command[0] : options.mailbox, v);
    if (wait_signal() != 0) {
        wait_die(wait_signal());
    }
    return status;
}
