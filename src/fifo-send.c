/* fifo-send: sends messages; exits with 0 only after they have been taken. */
#include "cli.h"
#include "input.h"
#include "mailbox.h"
#include "sender.h"
#include "wait.h"

#include <argp.h>
#include <unistd.h>

struct options {
    struct common common;
    enum cut cut;
    int cuts; /* how many of -l, -0 and -s were given */
    size_t size;
    bool no_newline;
    bool exclusive;
    const char *mailbox;
    char **messages;
    int count;
};

static const struct argp_option table[] = {
    {"lines", 'l', NULL, 0, "Each line of standard input is a message", 0},
    {"null", '0', NULL, 0, "Each item of standard input that a NUL ends is a message", 0},
    {"size", 's', "N", 0, "Each N bytes of standard input are a message", 0},
    {"no-newline", 'N', NULL, 0, "Leave out the newline at the end of each message", 0},
    {"exclusive", 'x', NULL, 0, "Keep other senders out until all messages are sent", 0},
    {0},
};

static void set_cut(struct options *options, enum cut cut)
{
    options->cut = cut;
    options->cuts++;
}

static void check(const struct options *options)
{
    if (options->mailbox == NULL) {
        cli_usage("missing MAILBOX");
    }
    if (options->cuts > 1) {
        cli_usage("-l, -0 and -s exclude each other");
    }
    if (options->cuts > 0 && options->count > 0) {
        cli_usage("-l, -0 and -s are for standard input, and exclude MESSAGE");
    }
    if (options->no_newline && options->count == 0 && options->cut != CUT_LINES && options->cut != CUT_NULL) {
        cli_usage("-N goes with MESSAGE, -l or -0: all else is sent byte for byte");
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'l':
        set_cut(options, CUT_LINES);
        return 0;
    case '0':
        set_cut(options, CUT_NULL);
        return 0;
    case 's':
        set_cut(options, CUT_SIZE);
        options->size = cli_count("-s", argument, SIZE_MAX / 2);
        return 0;
    case 'N':
        options->no_newline = true;
        return 0;
    case 'x':
        options->exclusive = true;
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case ARGP_KEY_ARGS:
        options->mailbox = state->argv[state->next];
        options->messages = state->argv + state->next + 1;
        options->count = state->argc - state->next - 1;
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
    .args_doc = "MAILBOX [MESSAGE...]",
    .doc = "Sends each MESSAGE, or standard input, and waits until a receiver has taken it." CLI_STATUSES,
    .children = children,
};

/* Sends message after message until one fails. */
static struct verdict send_all(const struct options *options, struct sender *sender, struct input *input)
{
    for (unsigned long sent = 0;; sent++) {
        struct outgoing message;
        bool there;
        struct verdict v = input_next(input, &message, &there);
        if (v.status == STATUS_DONE && there && sender->fd == 0) {
            v = sender_open(sender, options->mailbox);
        }
        if (v.status == STATUS_DONE && there) {
            v = sender_send(sender, &message);
        }
        if (v.status != STATUS_DONE || !there) {
            cli_tell(&options->common, options->mailbox, "%lu taken%s", sent,
                     v.status == STATUS_DONE ? "" : " before the one that failed");
            return v;
        }
        reference_drop(&message.big);
        if (!input_is_last(input)) {
            sender_release(sender);
        }
    }
}

static struct verdict run(const struct options *options)
{
    struct sender sender = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
    };
    struct input input = {
        .fd = STDIN_FILENO,
        .cut = options->count > 0 ? CUT_OPERANDS : options->cut,
        .operands = options->messages,
        .count = options->count,
        .size = options->size,
        .no_newline = options->no_newline,
        .until = options->common.until,
    };
    struct verdict v = verdict_done();

    /* Whoever types a message wants to hear at once that there is no such mailbox. */
    if (options->count == 0) {
        v = mailbox_find(options->mailbox, &sender.box);
    }
    if (v.status == STATUS_DONE && options->cut == CUT_SIZE && options->size > PIPE_BUF) {
        v = verdict(STATUS_REFUSED,
                    "a message of fixed size has at most 4096 bytes here: more is not written at once");
    }
    return v.status == STATUS_DONE ? send_all(options, &sender, &input) : v;
}

int main(int argc, char **argv)
{
    struct options options = {0};

    cli_parse(argc, argv, &argp, 0, &options);
    int status = cli_report(&options.common, options.mailbox, run(&options));
    if (wait_signal() != 0) {
        wait_die(wait_signal());
    }
    return status;
}
