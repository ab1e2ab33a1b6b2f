#include "direct.h"

#include "stream.h"

#include <stdio.h>

pid_t direct_parse(const char *option, const char *text)
{
    pid_t pid = peer_parse(text);

    if (pid == 0) {
        cli_usage("%s takes a process id, not '%s'", option, text);
    }
    return pid;
}

struct verdict direct_link(const struct common *common, struct direct *direct, bool sending,
                           const char **mailbox)
{
    char detail[256];

    if (direct->other == 0) {
        return verdict_done();
    }
    struct verdict v = peer_link(&direct->peer, direct->other, direct->self, sending, detail, sizeof detail);
    if (v.status != STATUS_DONE) {
        cli_report(common, detail, v);
        v.reason = NULL;
        return v;
    }
    *mailbox = direct->peer.path;
    snprintf(direct->label, sizeof direct->label, "process %d", (int)direct->peer.other);
    cli_tell(common, direct->label, "is %s; this is process %d, %s", direct->peer.other_name,
             (int)direct->peer.self, direct->peer.self_name);
    return v;
}

const char *direct_label(const struct direct *direct, const char *mailbox)
{
    return direct->other != 0 ? direct->label : mailbox;
}

struct verdict direct_verdict(const struct direct *direct, struct verdict v)
{
    bool is_middle = v.reason == stream_removed;

    if (direct->other != 0 && (v.status == STATUS_GONE || is_middle) && peer_is_dead(&direct->peer)) {
        v.reason = is_middle ? "has ended in the middle" : "has ended";
    } else if (direct->other != 0 && v.status == STATUS_GONE) {
        v.reason = "the link with it was removed";
    }
    return v;
}
