/* fifo-recv: receives messages; takes each only after it was printed in full or COMMAND succeeded. */
#include "cli.h"
#include "command.h"
#include "output.h"
#include "receiver.h"
#include "wait.h"

#include <argp.h>
#include <unistd.h>

#define DEFAULT_MAX_SIZE ((size_t)1 << 30)

struct options {
    struct common common;
    size_t count; /* -c; 0 with -f */
    bool counted;
    bool follow;
    bool null;
    size_t size;
    size_t max_size;
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
    case 's':
        options->size = cli_count("-s", argument, SIZE_MAX / 2);
        return 0;
    case KEY_MAX_SIZE:
        options->max_size = cli_size("--max-size", argument);
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

/* Prints the message, or runs COMMAND on it. Only status 0 allows it to be taken. */
static struct verdict deal_with(const struct options *options, const struct message *message)
{
    deadline until = options->common.until;
    size_t length = message->length;

    if (options->command != NULL) {
        return command_run(options->command, message, options->mailbox, until);
    }
    if (options->null && length > 0 && message->content[length - 1] == '\n') {
        length--;
    }
    struct verdict v = output_write(STDOUT_FILENO, message->content, length, until);
    if (v.status == STATUS_DONE && options->null) {
        v = output_write(STDOUT_FILENO, "", 1, until);
    }
    return v;
}

/* Receives one message and takes it, if it may. */
static struct verdict receive(const struct options *options, struct receiver *receiver,
                              struct message *message)
{
    struct verdict v = receiver_next(receiver, message);

    if (v.status == STATUS_DONE) {
        v = deal_with(options, message);
        if (v.status != STATUS_DONE && message->form == FORM_LINE && message->frame == 0) {
            v.reason = "failed with a line that was too long for the pipe, and is lost";
        }
    }
    if (v.status == STATUS_DONE && !options->peek && !options->keep) {
        v = receiver_take(receiver, message);
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

static struct verdict receive_all(const struct options *options, struct receiver *receiver)
{
    unsigned long received = 0;

    for (;;) {
        struct message message = {0};
        struct verdict v = receive(options, receiver, &message);
        if (v.status == STATUS_DONE) {
            received++;
            tell(options, &message);
            if (received == options->count || wait_signal() != 0) {
                return v;
            }
        } else if (goes_on(options, v, &message)) {
            cli_report(&options->common, options->mailbox, v);
        } else {
            cli_tell(&options->common, options->mailbox, "%lu received before", received);
            return v;
        }
        receiver_release(receiver, &message);
    }
}

static struct verdict run(const struct options *options)
{
    struct receiver receiver = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
        .keeps = options->peek || options->keep,
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
    struct verdict v = run(&options);
    bool cannot_run = v.status == STATUS_CANNOT_RUN || v.status == STATUS_NOT_FOUND;
    int status =
        cli_report(&options.common, cannot_run && v.error != 0 ? options.command[0] : options.mailbox, v);
    if (wait_signal() != 0) {
        wait_die(wait_signal());
    }
    return status;
}
