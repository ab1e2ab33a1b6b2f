# shellcheck shell=bash
# Workers side by side at one buffered mailbox. COMMAND sleeps for 10 ms; to start it takes some CPU time, which they
# share. So there are two ideals: the time of one worker, divided by how many there are; and xargs -P, which starts the
# same commands on the same machine without any messages.

workers_ours() {
    local -a all=()
    local i
    for ((i = 0; i < $1; i++)); do
        all+=('&' fifo-recv -c $((COUNT / $1)) box sleep 0.01)
    done
    fifo-send -l box <sent && timed 1 "${all[@]:1}" && emptied box && fresh box
}

workers_xargs() {
    timed 1 xargs -n 1 -P "$1" sleep '<naps'
}

workers() {
    local -a WORKERS=(1 2 4 8)
    local RUNS=$((RUNS < 3 ? RUNS : 3)) many
    COUNT=120
    [ -z "${QUICK:-}" ] || COUNT=16
    yes m | head -n "$COUNT" >sent
    yes 0.01 | head -n "$COUNT" >naps
    fresh box
    contest workers us "buffered: $COUNT messages, each to a COMMAND that sleeps 10 ms: time for each"
    for many in "${WORKERS[@]}"; do
        entry "$many" fifo-recv "$COUNT" "fifo-recv -c $((COUNT / many)) box sleep 0.01; workers: $many" \
            workers_ours "$many"
        entry "xargs-$many" xargs "$COUNT" "the ideal: xargs -n 1 -P $many sleep" workers_xargs "$many"
    done
    compete
    fifo-rm -f box
    rm -f sent naps
}
