/* fifo-rm: removes mailboxes, and nothing else. */
#include "cli.h"
#include "mailbox.h"

#include <argp.h>

struct options {
    struct common common;
    bool force;
    char **names;
    int count;
};

static const struct argp_option table[] = {
    {"force", 'f', NULL, 0, "Ignore mailboxes that do not exist; remove one that holds messages, too", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    (void)argument;
    switch (key) {
    case 'f':
        options->force = true;
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case ARGP_KEY_ARGS:
        options->names = state->argv + state->next;
        options->count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        if (!options->force) {
            cli_usage("missing NAME");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{.argp = &cli_argp_common}, {0}};
static const struct argp argp = {
    .options = table,
    .parser = parse,
    .args_doc = "NAME...",
    .doc = "Removes mailboxes and ends whoever waits at them.\v"
           "Exit status: 0 done; 2 usage or system error; 3 no such mailbox, or not a mailbox.",
    .children = children,
};

int main(int argc, char **argv)
{
    struct options options = {0};
    int result = STATUS_DONE;

    cli_parse(argc, argv, &argp, 0, &options);
    for (int i = 0; i < options.count; i++) {
        const char *name = options.names[i];
        struct verdict v = mailbox_remove(name, options.force);
        if (v.status == STATUS_GONE && (v.error == ENOENT || v.error == ENOTDIR) && options.force) {
            continue;
        }
        int status = cli_report(&options.common, name, v);
        if (status == STATUS_DONE) {
            cli_tell(&options.common, name, "removed");
        }
        result = result == STATUS_DONE ? status : result;
    }
    return result;
}
