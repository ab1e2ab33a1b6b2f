/* fifo-make: makes mailboxes; a drop-in mkfifo(1). */
#include "cli.h"
#include "create.h"
#include "mailbox.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct options {
    struct common common;
    struct creation creation;
    const char *mode;
    bool temporary;
    char **names;
    int count;
};

static const struct argp_option table[] = {
    {"mode", 'm', "MODE", 0, "Permission bits as for chmod(1), relative to a=rw, not a=rw minus umask", 0},
    {"parents", 'p', NULL, 0, "Make missing parent directories; an existing mailbox is no error", 0},
    {"temp", 'T', NULL, 0, "Make a mailbox with a unique name and mode 0600, and print its path", 0},
    {0},
};

static void check(const struct options *options)
{
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

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
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
    .doc = "Makes mailboxes: named pipes that messages go through whole.\v"
           "Exit status: 0 done; 2 usage or system error.",
    .children = children,
};

static int make_temporary(const struct options *options)
{
    char *path;
    const char *template = options->count > 0 ? options->names[0] : NULL;
    struct verdict v = create_temporary(template, &path);

    if (v.status == STATUS_DONE && (puts(path) == EOF || fflush(stdout) == EOF)) {
        v = verdict_errno("cannot write to standard output", errno);
        mailbox_remove(path);
    }
    return cli_report(&options->common, template != NULL ? template : "-T", v);
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
        int status =
            cli_report(&options.common, options.names[i], create(&options.creation, options.names[i]));
        if (status == STATUS_DONE) {
            cli_tell(&options.common, options.names[i], "made, or was there");
        }
        result = result == STATUS_DONE ? status : result;
    }
    return result;
}
