/* fifo-send: sends messages; exits with 0 only after they have been taken, or stored in a buffered mailbox.
 */
#include "ask.h"
#include "cli.h"
#include "deposit.h"
#include "direct.h"
#include "dispatch.h"
#include "input.h"
#include "mailbox.h"
#include "outflow.h"
#include "sender.h"
#include "wait.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct options {
    struct common common;
    enum cut cut;
    int cuts; /* how many of -l, -0, -s and -R were given */
    bool raw;
    size_t size;
    bool no_newline;
    bool exclusive;
    uint32_t wants; /* a receipt, or a reply */
    struct direct direct;
    const char *mailbox;
    char **messages;
    int count;
};

enum { KEY_RECEIPT = 256 };

static const struct argp_option table[] = {
    {"lines", 'l', NULL, 0, "Each line of standard input is a message", 0},
    {"null", '0', NULL, 0, "Each item of standard input that a NUL ends is a message", 0},
    {"size", 's', "N", 0, "Each N bytes of standard input are a message", 0},
    {"raw", 'R', NULL, 0, "No messages: the bytes of standard input as they come, to its end", 0},
    {"no-newline", 'N', NULL, 0, "Leave out the newline at the end of each message", 0},
    {"exclusive", 'x', NULL, 0, "Keep other senders out until all messages are sent", 0},
    {"to", KEY_DIRECT, "PID", 0, "In place of MAILBOX: the direct link to process PID", 0},
    {"self", KEY_SELF, "PID", 0, "With --to: the process that this is, instead of the one that runs it", 0},
    {"request", 'r', NULL, 0, "Wait for a reply to each message, and print it", 0},
    {"receipt", KEY_RECEIPT, NULL, 0,
     "Print who took each message: pid, uid, name, and the seconds it waited", 0},
    {0},
};

static void set_cut(struct options *options, enum cut cut)
{
    options->cut = cut;
    options->cuts++;
}

static void check(const struct options *options)
{
    if (options->mailbox == NULL && options->direct.other == 0) {
        cli_usage("missing MAILBOX");
    }
    if (options->cuts > 1) {
        cli_usage("-l, -0, -s and -R exclude each other");
    }
    if (options->cuts > 0 && options->count > 0) {
        cli_usage("-l, -0, -s and -R are for standard input, and exclude MESSAGE");
    }
    if (options->direct.self != 0 && options->direct.other == 0) {
        cli_usage("--self goes with --to");
    }
    if (options->wants == (WANTS_RECEIPT | WANTS_REPLY)) {
        cli_usage("-r and --receipt exclude each other");
    }
    if (options->wants != 0 && (options->raw || options->cut == CUT_SIZE)) {
        cli_usage("-r and --receipt need messages of their own form: not -R, nor -s");
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
    case 'R':
        options->raw = true;
        options->cuts++;
        return 0;
    case 'N':
        options->no_newline = true;
        return 0;
    case 'x':
        options->exclusive = true;
        return 0;
    case KEY_DIRECT:
        options->direct.other = direct_parse("--to", argument);
        return 0;
    case KEY_SELF:
        options->direct.self = direct_parse("--self", argument);
        return 0;
    case 'r':
        options->wants |= WANTS_REPLY;
        return 0;
    case KEY_RECEIPT:
        options->wants |= WANTS_RECEIPT;
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case ARGP_KEY_ARGS:
        options->messages = state->argv + state->next;
        options->count = state->argc - state->next;
        if (options->direct.other == 0) {
            options->mailbox = *options->messages++;
            options->count--;
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
    .args_doc = "MAILBOX [MESSAGE...]\n--to=PID [MESSAGE...]",
    .doc = "Sends each MESSAGE, or standard input, and waits until a receiver has taken it, or a buffered "
           "mailbox has "
           "stored it." CLI_STATUSES,
    .children = children,
};

/* -R. Whatever comes out, how far it got belongs to it. */
static int run_raw(struct options *options)
{
    char detail[100];
    struct stream stream = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .progress = &options->common.progress,
    };
    struct verdict v = direct_verdict(&options->direct, outflow(&stream, options->mailbox, STDIN_FILENO));

    progress_stop(&options->common.progress);
    snprintf(detail, sizeof detail, "; %" PRIu64 " bytes written, %" PRIu64 " of them read", stream.passed,
             stream.read);
    if (v.status == STATUS_DONE) {
        cli_tell(&options->common, direct_label(&options->direct, options->mailbox), "%s", detail + 2);
    }
    bool started = v.error != 0 || v.status == STATUS_UNCERTAIN || stream.passed > 0;
    return cli_report_detail(&options->common, direct_label(&options->direct, options->mailbox), v,
                             started ? detail : "");
}

static struct input make_input(const struct options *options)
{
    return (struct input){
        .fd = STDIN_FILENO,
        .cut = options->count > 0 ? CUT_OPERANDS : options->cut,
        .operands = options->messages,
        .count = options->count,
        .size = options->size,
        .no_newline = options->no_newline,
        .until = options->common.until,
    };
}

static struct asking make_asking(const struct options *options)
{
    return (struct asking){
        .mailbox = options->mailbox,
        .request = {.wants = options->wants,
                    .until = options->common.until,
                    .nonblock = options->common.nonblock,
                    .output = STDOUT_FILENO},
    };
}

/* -v: how far it came. */
static void tell_count(const struct options *options, unsigned long count, const char *what, struct verdict v)
{
    cli_tell(&options->common, direct_label(&options->direct, options->mailbox), "%lu %s%s", count, what,
             v.status == STATUS_DONE ? "" : " before the one that failed");
}

/* To a buffered mailbox. */
static struct verdict run_queue(struct options *options, const struct mailbox *box)
{
    struct queue queue = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
    };
    struct input input = make_input(options);
    unsigned long done;
    struct verdict v;

    if (options->wants == 0) {
        v = deposit(&queue, box, &input, &options->common.progress, &done);
    } else {
        struct asking asking = make_asking(options);
        asking.who = &box->id;
        v = ask_queue(&asking, &queue, &input, &done);
        request_end(&asking.request);
    }
    tell_count(options, done, options->wants == 0 ? "stored" : "taken", v);
    return v;
}

/* To an unbuffered one, which was found to be `box`. */
static struct verdict run_link(struct options *options, const struct mailbox *box)
{
    struct input input = make_input(options);
    struct asking asking = make_asking(options);
    const bool asks = options->wants != 0;
    struct dispatch all = {
        .input = &input, .batched = options->cuts > 0 && !asks, .asking = asks ? &asking : NULL};
    struct sender sender = {
        .until = options->common.until,
        .nonblock = options->common.nonblock,
        .exclusive = options->exclusive,
        .progress = &options->common.progress,
        .attend = asks ? request_attend : NULL,
        .rest = asks ? request_rest : NULL,
        .occupied = asks ? request_occupied : NULL,
        .attending = &asking.request,
    };
    unsigned long taken;

    if (options->count > 0) {
        sender.box = *box; /* standard input may take a while, and the mailbox may be another one by then */
    }
    if (options->cut == CUT_SIZE && box->reply) {
        return verdict(STATUS_ERROR,
                       "is where somebody waits for a reply, which is a message: -s is not for it");
    }
    if (options->cut == CUT_SIZE && options->size > PIPE_BUF) {
        return verdict(STATUS_REFUSED,
                       "a message of fixed size has at most 4096 bytes here: more is not written at once");
    }
    struct verdict v = dispatch(&all, &sender, options->mailbox, &taken);
    request_end(&asking.request);
    tell_count(options, taken, "taken", v);
    return v;
}

static struct verdict run(struct options *options)
{
    struct mailbox box;

    if (options->wants != 0 && fcntl(STDOUT_FILENO, F_GETFD) == -1) {
        return verdict_errno("cannot print an answer, so nothing is sent", errno);
    }
    /* Before anything is read: whoever types a message wants to hear at once that there is no such mailbox.
     */
    struct verdict v = mailbox_find(options->mailbox, &box);

    if (v.status != STATUS_DONE) {
        return v;
    }
    return box.buffered ? run_queue(options, &box) : run_link(options, &box);
}

int main(int argc, char **argv)
{
    struct options options = {0};

    cli_parse(argc, argv, &argp, 0, &options);
    const int input = options.count > 0 ? -1 : STDIN_FILENO;
    const int beside = options.wants != 0 && isatty(STDOUT_FILENO) ? STDOUT_FILENO : input;
    cli_progress(&options.common, options.raw ? PROGRESS_BYTES : PROGRESS_MESSAGES, input, beside);
    struct verdict v = direct_link(&options.common, &options.direct, true, &options.mailbox);
    if (v.status == STATUS_DONE && options.raw) {
        return run_raw(&options);
    }
    if (v.status == STATUS_DONE) {
        v = direct_verdict(&options.direct, run(&options));
    }
    progress_stop(&options.common.progress);
    int status = cli_report(&options.common, direct_label(&options.direct, options.mailbox), v);
    if (wait_signal() != 0) {
        wait_die(wait_signal());
    }
    return status;
}
