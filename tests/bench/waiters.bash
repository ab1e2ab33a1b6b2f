# shellcheck shell=bash
# Many who wait at one mailbox: how long it takes to serve them, and what memory each holds meanwhile.

# herd COUNT WAITER... & SERVER...: see herd.c. The memory goes to a file.
served() {
    local result
    : >out
    result=$(within herd "$@") && holds "$1" out || return
    echo "${result#* }" >>"memory.$SECTION.$1"
    echo "${result% *}"
}

served_senders() { served "$1" fifo-send box m '&' fifo-recv -c "$1" box '>>out'; }
served_receivers() { served "$1" fifo-recv box '>>out' '&' fifo-send -l box "<lines.$1"; }

# memory_of SECTION: what `served` has put aside, as results of their own.
memory_of() {
    local count key
    for count in "${COUNTS[@]}"; do
        key=$1-$count
        entry "$key" fifo-send 1 "each of $count waiting $1" false
        VALUES["$key"]=$(tr '\n' ' ' <"memory.$1.$count" 2>/dev/null)
        [ -n "${VALUES[$key]}" ] || NOTE["$key"]='not measured'
        store "$key"
    done
}

waiters() {
    local -a COUNTS=(1 10 100 1000)
    local kind count
    [ -z "${QUICK:-}" ] || COUNTS=(1 10 100)
    mkfifo box
    # Pages of a program that was built just now would count as dirty memory of who runs it.
    sync "$(type -P fifo-send)" "$(type -P fifo-recv)"
    for kind in senders receivers; do
        contest "$kind" us "waiting $kind, all served: time for each"
        for count in "${COUNTS[@]}"; do
            yes m | head -n "$count" >"lines.$count"
            entry "$count" fifo-send "$count" "$count at once" "served_$kind" "$count"
        done
        compete
    done
    contest memory KiB 'private dirty memory of each that waits'
    memory_of senders
    memory_of receivers
    rm box out
}
