#!/bin/bash
# Every scenario of buffered mailboxes at full length, each in a directory of its own; $SEED varies them. Minutes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

while read -r script scenario; do
    echo "== $script $scenario"
    rm -rf "$place/here"
    mkdir "$place/here"
    cd "$place/here"
    # shellcheck disable=SC2086 # a name, and perhaps numbers
    python3 -B "$here/$script.py" $scenario
    cd /
done <<'END'
history parallel 0 20000
history parallel 1 300
history parallel 2 1000
history parallel 7 3000
history parallel 1000 20000
history under_fire 0 20000 30
history under_fire 1 300 10
history under_fire 7 3000 20
history under_fire 1000 20000 20
history stopped
history moved 20000
history many_waiters 1000
history many_senders 300
history semaphore 4 10
history space 1000000 1000
crash kills
crash make_and_remove
crash power_loss 500
crash no_sync 300
damage bits
damage cuts
damage blocks 1000
damage forged 500
END
