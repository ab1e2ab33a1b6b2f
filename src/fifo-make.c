/* fifo-make: makes mailboxes; a drop-in mkfifo(1). */
#include "cli.h"
#include "create.h"
#include "mailbox.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MOST ((size_t)1 << 62)

struct options {
    struct common common;
    struct creation creation;
    const char *mode;
    bool temporary;
    char **names;
    int count;
};

enum { KEY_SYNC = 256 };

static const struct argp_option table[] = {
    {"buffer", 'b', "N|unbounded", 0, "Store up to N messages, or any number, until they are received", 0},
    {"sync", KEY_SYNC, NULL, 0, "With -b: a message counts as stored when it is on disk", 0},
    {"mode", 'm', "MODE", 0, "Permission bits as for chmod(1), relative to a=rw, not a=rw minus umask", 0},
    {"parents", 'p', NULL, 0, "Make missing parent directories; an existing mailbox is no error", 0},
    {"temp", 'T', NULL, 0, "Make a mailbox with a unique name and mode 0600, and print its path", 0},
    {0},
};

static void check(const struct options *options)
{
    if (options->creation.sync && !options->creation.buffered) {
        cli_usage("--sync needs -b: without it, nothing is stored");
    }
    if (options->temporary && (options->mode != NULL || options->creation.parents)) {
        cli_usage("-T excludes -m and -p");
    }
    if (options->temporary && options->count > 1) {
        cli_usage("-T takes one TEMPLATE");
    }
    if (!options->temporary && options->count == 0) {
        cli_usage("missing NAME");
    }
}

static uint64_t capacity(const char *text)
{
    return strcmp(text, "unbounded") == 0 ? 0
                                          : cli_count("-b, unless it is 'unbounded',", text, CAPACITY_MOST);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'b':
        options->creation.buffered = true;
        options->creation.capacity = capacity(argument);
        return 0;
    case KEY_SYNC:
        options->creation.sync = true;
        return 0;
    case 'm':
        options->mode = argument;
        return 0;
    case 'p':
        options->creation.parents = true;
        return 0;
    case 'T':
        options->temporary = true;
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case ARGP_KEY_ARGS:
        options->names = state->argv + state->next;
        options->count = state->argc - state->next;
        return 0;
    case ARGP_KEY_END:
        check(options);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{.argp = &cli_argp_common}, {0}};
static const struct argp argp = {
    .options = table,
    .parser = parse,
    .args_doc = "NAME...\n-T [TEMPLATE]",
    .doc = "Makes mailboxes: named pipes that messages go through whole, or buffered ones that store them.\v"
           "Exit status: 0 done; 2 usage or system error.",
    .children = children,
};

static int make_temporary(const struct options *options)
{
    char *path;
    const char *template = options->count > 0 ? options->names[0] : NULL;
    struct verdict v = create_temporary(&options->creation, template, &path);

    if (v.status == STATUS_DONE && (puts(path) == EOF || fflush(stdout) == EOF)) {
        v = verdict_errno("cannot write to standard output", errno);
        mailbox_remove(path, false);
    }
    return cli_report(&options->common, template != NULL ? template : create_directory(), v);
}

int main(int argc, char **argv)
{
    struct options options = {0};
    int result = STATUS_DONE;

    cli_parse(argc, argv, &argp, 0, &options);
    if (options.temporary) {
        return make_temporary(&options);
    }
    struct verdict v = create_mode(&options.creation, options.mode);
    if (v.status != STATUS_DONE) {
        return cli_report(&options.common, options.mode, v);
    }
    for (int i = 0; i < options.count; i++) {
        v = create(&options.creation, options.names[i]);
        int status = cli_report_detail(&options.common, options.names[i], v, options.creation.difference);
        if (status == STATUS_DONE) {
            cli_tell(&options.common, options.names[i], options.creation.was_there ? "was there" : "made");
        }
        result = result == STATUS_DONE ? status : result;
    }
    return result;
}
