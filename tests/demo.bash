#!/bin/bash
# Shows the main job: messages between processes that know nothing of each other but a path.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PATH="$root/bin:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

say() { printf '\n== %s\n' "$*"; }
# apart NAME COMMAND...: runs it in a session of its own, with no descriptor in common with anybody, like a
# service that was started long ago by somebody else.
apart() {
    local name=$1
    shift
    # shellcheck disable=SC2016
    setsid bash -c '"${@:2}" >"$1.out" 2>"$1.err"; echo $? >"$1.status"' apart "$name" "$@" \
        </dev/null >/dev/null 2>&1 3>&- &
}
status() {
    local _
    for _ in {1..1000}; do
        [ -s "$1.status" ] && break
        sleep 0.01
    done
    cat "$1.status"
}
expect() {
    printf '   %s: %s\n' "$1" "$3"
    [ "$2" = "$3" ] || { echo "   expected $2" && exit 1; }
}

say 'Two unrelated processes and a path'
fifo-make box
ls -l box | sed 's/^/   /'
apart receiver fifo-recv box
fifo-send box 'hello from another process'
expect 'status of fifo-recv' 0 "$(status receiver)"
expect 'it printed' 'hello from another process' "$(cat receiver.out)"

say "A text file's lines, each a message"
lines=$(wc -l <"$root/LICENSE")
apart lines fifo-recv -c "$lines" box
fifo-send -l box <"$root/LICENSE"
expect 'lines received' "$lines" "$(status lines >ended && wc -l <lines.out)"
expect 'checksum' "$(sha256sum <"$root/LICENSE")" "$(sha256sum <lines.out)"

say 'A binary file of 5 MiB, one message'
head -c $((5 << 20)) /dev/urandom >binary
apart binary fifo-recv box
fifo-send box <binary
expect 'status of fifo-recv' 0 "$(status binary)"
expect 'checksum' "$(sha256sum <binary)" "$(sha256sum <binary.out)"

say 'A send that times out, and leaves nothing'
result=0
fifo-send -t 0.2 box 'too late' || result=$?
expect 'status of fifo-send' 124 "$result"
result=0
left=$(fifo-recv -n box) || result=$?
expect 'status of fifo-recv -n (1: empty)' 1 "$result"
expect 'what it found' '' "$left"

say 'A receiver that is killed with SIGKILL while it works on a message'
apart sender fifo-send box 'precious'
apart victim bash -c 'fifo-recv box sh -c "echo begun >begun; exec sleep 60" & echo $! >pid; wait $!'
until [ -s begun ]; do sleep 0.01; done
kill -KILL "$(cat pid)"
expect 'the next receiver gets' precious "$(fifo-recv -t 10 box)"
expect 'status of fifo-send' 0 "$(status sender)"
fifo-rm box

say 'A buffered mailbox, whose sender ends before a receiver comes'
fifo-make -b unbounded jobs
seq 1000 | fifo-send -l jobs
apart one fifo-recv -q -n -f jobs
apart other fifo-recv -q -n -f jobs
expect 'status of one worker (1: empty)' 1 "$(status one)"
expect 'status of the other' 1 "$(status other)"
expect 'checksum of what both received' "$(seq 1000 | sha256sum)" "$(sort -n one.out other.out | sha256sum)"
fifo-rm jobs
say 'All as promised.'
