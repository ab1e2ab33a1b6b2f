/* fifo-recv: receives messages; takes each only after it was printed in full or COMMAND succeeded. */
#include "cli.h"
#include "inflow.h"
#include "receiving.h"
#include "wait.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_MAX_SIZE ((size_t)1 << 30)

enum { KEY_PEEK = 256, KEY_KEEP, KEY_MAX_SIZE, KEY_MAX_TRIES, KEY_DEAD, KEY_NAME };

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
    {"max-tries", KEY_MAX_TRIES, "N", 0, "Buffered: after N tries, move a message to the mailbox of --dead",
     0},
    {"dead", KEY_DEAD, "MAILBOX", 0, "Buffered: where messages go that --max-tries gives up", 0},
    {"from", KEY_DIRECT, "PID", 0, "In place of MAILBOX: the direct link from process PID", 0},
    {"self", KEY_SELF, "PID", 0, "With --from: the process that this is, instead of the one that runs it", 0},
    {"name", KEY_NAME, "NAME", 0, "What receipts call this receiver", 0},
    {0},
};

static void check(struct receiving *options)
{
    if (options->direct.self != 0 && options->direct.other == 0) {
        cli_usage("--self goes with --from");
    }
    if (options->mailbox == NULL && options->direct.other == 0) {
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
    if ((options->max_tries > 0) != (options->dead != NULL)) {
        cli_usage("--max-tries and --dead go together");
    }
    if (options->max_tries > 0 && (options->command == NULL || options->keep)) {
        cli_usage("--max-tries is for a COMMAND that may fail, without --keep");
    }
    if (!options->counted && !options->follow) {
        options->count = 1;
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct receiving *options = state->input;

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
    case KEY_MAX_TRIES:
        options->max_tries = cli_count("--max-tries", argument, UINT32_MAX);
        return 0;
    case KEY_DIRECT:
        options->direct.other = direct_parse("--from", argument);
        return 0;
    case KEY_SELF:
        options->direct.self = direct_parse("--self", argument);
        return 0;
    case KEY_NAME:
        options->name = argument;
        return 0;
    case KEY_DEAD:
        options->dead = argument;
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case ARGP_KEY_ARG:
        /* The first operand is the mailbox; with the second, the rest is COMMAND's, options and all. */
        if (options->mailbox == NULL && options->direct.other == 0) {
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
    .args_doc = "MAILBOX [COMMAND [ARG...]]\n--from=PID [COMMAND [ARG...]]",
    .doc = "Receives a message and prints it, or runs COMMAND with it as standard input." CLI_STATUSES
           " With COMMAND: its own, if it failed; 126 if it cannot run, 127 if it is not found.",
    .children = children,
};

/* -R. Whatever comes out, how far it got belongs to it. */
static int run_raw(struct receiving *options)
{
    char detail[60];
    struct stream stream = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
        .follow = options->follow,
        .progress = &options->common.progress,
    };
    struct verdict v = direct_verdict(&options->direct, inflow(&stream, options->mailbox, STDOUT_FILENO));

    progress_stop(&options->common.progress);
    snprintf(detail, sizeof detail, "; %" PRIu64 " bytes received", stream.passed);
    if (v.status == STATUS_DONE) {
        cli_tell(&options->common, receiving_label(options), "%s", detail + 2);
    }
    bool started = v.error != 0 || v.status == STATUS_UNCERTAIN || stream.passed > 0;
    return cli_report_detail(&options->common, receiving_label(options), v, started ? detail : "");
}

static struct verdict run(struct receiving *options)
{
    struct mailbox box;
    struct verdict v = mailbox_find(options->mailbox, &box);

    if (v.status != STATUS_DONE) {
        return v;
    }
    return box.buffered ? worker(options, &box) : rendezvous(options, &box);
}

int main(int argc, char **argv)
{
    struct receiving options = {.max_size = DEFAULT_MAX_SIZE};

    cli_parse(argc, argv, &argp, ARGP_IN_ORDER, &options);
    cli_progress(&options.common, options.raw ? PROGRESS_BYTES : PROGRESS_MESSAGES, -1, STDOUT_FILENO);
    struct verdict v = direct_link(&options.common, &options.direct, false, &options.mailbox);
    if (v.status == STATUS_DONE && options.raw) {
        return run_raw(&options);
    }
    if (v.status == STATUS_DONE) {
        v = direct_verdict(&options.direct, run(&options));
    }
    progress_stop(&options.common.progress);
    bool cannot_run = v.status == STATUS_CANNOT_RUN || v.status == STATUS_NOT_FOUND;
    int status = cli_report(
        &options.common,
        cannot_run && v.error != 0 ? options.command[0] : direct_label(&options.direct, options.mailbox), v);
    if (wait_signal() != 0) {
        wait_die(wait_signal());
    }
    return status;
}
