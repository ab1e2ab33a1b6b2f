#include "cli.h"

#include "wait.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *argp_program_version = "fifo-tools " FIFO_VERSION;

static const struct argp_option common_options[] = {
    {"quiet", 'q', NULL, 0, "Say nothing on standard error but usage errors", -2},
    {"verbose", 'v', NULL, 0, "Say on standard error what happened", -2},
    {0},
};

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
    struct common *common = state->input;

    (void)argument;
    switch (key) {
    case 'q':
        common->quiet = true;
        return 0;
    case 'v':
        common->verbose = true;
        return 0;
    case ARGP_KEY_INIT:
        /* getopt(3) has said in one line what is wrong; no second one that tells to try --help. */
        state->err_stream = NULL;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_argp_common = {.options = common_options, .parser = parse_common};

static const struct argp_option waiting_options[] = {
    {"timeout", 't', "SEC", 0, "Give up after SEC seconds (suffix ms, s, m or h; 0 is -n)", -3},
    {"nonblock", 'n', NULL, 0, "Do not wait: status 1 where waiting would be needed", -3},
    {"progress", 'P', "WHEN", OPTION_ARG_OPTIONAL,
     "Show how far it is, on standard error: WHEN is auto (if that is a terminal), always or never", -2},
    {0},
};

static error_t parse_waiting(int key, char *argument, struct argp_state *state)
{
    struct common *common = state->input;

    switch (key) {
    case 't':
        common->timed = true;
        if (!deadline_parse(argument, &common->span)) {
            cli_usage("-t takes a number of seconds, perhaps with suffix ms, s, m or h, not '%s'", argument);
        }
        return 0;
    case 'n':
        common->nonblock = true;
        return 0;
    case 'P':
        if (!progress_parse(argument, &common->shown)) {
            cli_usage("-P takes auto, always or never, not '%s'", argument);
        }
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = common;
        return 0;
    case ARGP_KEY_END:
        if (common->nonblock && common->timed) {
            cli_usage("-n and -t exclude each other");
        }
        common->nonblock |= common->timed && common->span == 0;
        common->until = common->timed && !common->nonblock ? deadline_in(common->span) : DEADLINE_NEVER;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child waiting_children[] = {{.argp = &cli_argp_common}, {0}};
const struct argp cli_argp_waiting = {
    .options = waiting_options, .parser = parse_waiting, .children = waiting_children};

/* --help into a full disk is not a success. */
static void check_stdout(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        _exit(STATUS_ERROR);
    }
}

/* One line and one write, whatever is in it: names and arguments may hold newlines, escapes, anything. */
static void print_line(const char *prefix, const char *line)
{
    char *escaped = malloc(strlen(prefix) + 4 * strlen(line) + 2);
    char *at = escaped == NULL ? NULL : stpcpy(escaped, prefix);

    for (; escaped != NULL && *line != '\0'; line++) {
        unsigned char byte = (unsigned char)*line;
        if (byte < ' ' || byte == 0x7F) {
            at += sprintf(at, "\\%03o", byte);
        } else {
            *at++ = *line;
        }
    }
    if (escaped != NULL) {
        /* poll(2) promises room for so much, and so much is written in one piece. A long name is what it is.
         */
        const ptrdiff_t half = PIPE_BUF / 2;
        if (at - escaped >= PIPE_BUF) {
            char *tail = stpcpy(escaped + half - 10, "...");
            memmove(tail, at - half, (size_t)half);
            at = tail + half;
        }
        *at++ = '\n';
        /* A standard error that nobody reads must not hold us past the deadline: the line is dropped then. */
        struct pollfd end = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (poll(&end, 1, 1000) == 1) {
            (void)!write(STDERR_FILENO, escaped, (size_t)(at - escaped));
        }
        free(escaped);
    }
}

static void say(const struct common *common, const char *name, const char *format, va_list arguments)
{
    char *text;

    if (vasprintf(&text, format, arguments) == -1) {
        text = NULL;
    }
    char *line;
    int length = name == NULL ? asprintf(&line, "%s: %s", program_invocation_short_name, text)
                              : asprintf(&line, "%s: '%s': %s", program_invocation_short_name, name, text);
    if (length != -1) {
        print_line(progress_prefix(common == NULL ? NULL : &common->progress), line);
        free(line);
    }
    free(text);
}

void cli_parse(int argc, char **argv, const struct argp *argp, unsigned flags, void *options)
{
    char complaint[1024] = "";
    FILE *real = stderr;

    wait_block_failures(); /* --help into a pipe that nobody reads is a failure like any other */
    argv[0] = program_invocation_short_name; /* as getopt(3) prints it */
    argp_err_exit_status = STATUS_ERROR;
    atexit(check_stdout);
    /* getopt(3) repeats what it does not know as it is, newlines and escapes included: it must not reach a
     * terminal. fmemopen(3), for it takes no memory of its own before something is written. */
    FILE *caught = fmemopen(complaint, sizeof complaint, "w");
    stderr = caught == NULL ? real : caught;
    error_t error = argp_parse(argp, argc, argv, flags, NULL, options);
    stderr = real;
    if (caught != NULL) {
        fclose(caught);
    }
    if (error != 0) {
        complaint[strcspn(complaint, "\n")] = '\0';
        if (*complaint != '\0') {
            print_line("", complaint);
        }
        exit(STATUS_ERROR);
    }
}

void cli_progress(struct common *common, enum progress_unit unit, int input, int beside)
{
    bool shares = common->shown == PROGRESS_AUTO && beside != -1 && isatty(beside);

    if (common->shown != PROGRESS_NEVER && !shares) {
        progress_start(&common->progress, common->shown, unit, input);
        if (common->progress.page != NULL) {
            wait_tidily(progress_tidy);
        }
    }
}

void cli_usage(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(NULL, NULL, format, arguments);
    va_end(arguments);
    exit(STATUS_ERROR);
}

void cli_tell(const struct common *common, const char *name, const char *format, ...)
{
    va_list arguments;

    if (common->verbose && !common->quiet) {
        va_start(arguments, format);
        say(common, name, format, arguments);
        va_end(arguments);
    }
}

__attribute__((format(printf, 3, 4))) static void complain(const struct common *common, const char *name,
                                                           const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(common, name, format, arguments);
    va_end(arguments);
}

int cli_report_detail(const struct common *common, const char *name, struct verdict v, const char *detail)
{
    if (v.status != STATUS_DONE && v.reason != NULL && !common->quiet) {
        if (v.error != 0 && *v.reason != '\0') {
            complain(common, name, "%s: %s%s", v.reason, strerror(v.error), detail);
        } else {
            complain(common, name, "%s%s", v.error != 0 ? strerror(v.error) : v.reason, detail);
        }
    }
    return v.status;
}

int cli_report(const struct common *common, const char *name, struct verdict v)
{
    return cli_report_detail(common, name, v, "");
}

/* Digits, then what *rest is set to. False if there are none or they say too much. */
static bool digits(const char *text, size_t *value, const char **rest)
{
    const char *at = text;

    for (*value = 0; isdigit((unsigned char)*at); at++) {
        if (__builtin_mul_overflow(*value, (size_t)10, value) ||
            __builtin_add_overflow(*value, (size_t)(*at - '0'), value)) {
            return false;
        }
    }
    *rest = at;
    return at > text;
}

size_t cli_count(const char *name, const char *text, size_t most)
{
    const char *rest;
    size_t value;

    if (!digits(text, &value, &rest) || *rest != '\0' || value == 0 || value > most) {
        cli_usage("%s takes a whole number from 1, not '%s'", name, text);
    }
    return value;
}

size_t cli_size(const char *name, const char *text)
{
    static const char units[] = "KMG";
    const char *rest;
    size_t value;

    if (digits(text, &value, &rest)) {
        const char *unit = *rest == '\0' ? NULL : strchr(units, *rest);
        size_t shift = unit == NULL ? 0 : 10 * (size_t)(unit - units + 1);
        bool sound = *rest == '\0' || (unit != NULL && rest[1] == '\0');
        if (sound && value > 0 && value <= (SIZE_MAX / 2) >> shift) {
            return value << shift;
        }
    }
    cli_usage("%s takes a number of bytes from 1, perhaps with suffix K, M or G, not '%s'", name, text);
}
