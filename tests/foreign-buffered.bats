#!/usr/bin/env bats
# shellcheck shell=bash
# Goal: fifo-mailbox(5) is enough. A program written from it alone stores, leases and takes beside the commands.

load helper

# peer VERB MAILBOX [FILE...]
peer() {
    within python3 -B "$ROOT/tests/buffered/peer.py" "$@"
}

# start_peer NAME VERB MAILBOX
start_peer() {
    start "$1" python3 -B "$ROOT/tests/buffered/peer.py" "${@:2}"
}

# keyboard NAME: the peer NAME, which is started next, reads what is written to descriptor 7.
keyboard() {
    mkfifo "$1.keys"
    exec 7<>"$1.keys"
}

# content SIZE: a file of that size.
content() {
    head -c "$1" /dev/urandom >"$1.sent"
    echo "$1.sent"
}

# Each of them is another case of XXH3.
SIZES=(0 1 3 4 8 9 16 17 33 65 97 128 129 240 241 1024 1025 5000)

@test "what another program stores, fifo-recv takes" {
    local size files=()
    fifo-make -b unbounded box
    for size in "${SIZES[@]}"; do
        files+=("$(content "$size")")
    done
    peer store box "${files[@]}"
    peer store box "${files[0]}" "${files[5]}"
    for size in "${SIZES[@]}" 0 9; do
        # shellcheck disable=SC2016
        run -0 within fifo-recv -n box sh -c 'cmp - "$1" && echo "$FIFO_TRIES"' sh "$size.sent"
        assert_output 1
    done
    run -1 within fifo-recv -q -n box
}

@test "what fifo-send stores, another program takes" {
    local size
    fifo-make -b unbounded box
    for size in "${SIZES[@]}"; do
        within fifo-send box <"$(content "$size")"
    done
    peer take box "${#SIZES[@]}" | cmp - <(cat "${SIZES[@]/%/.sent}")
    run -1 within fifo-recv -q -n box
    run -0 peer counts box
    assert_output "${#SIZES[@]} ${#SIZES[@]} 0"
}

@test "both store and both take: one order" {
    local n
    fifo-make -b unbounded box
    for n in 1 4 7; do
        fifo-send box "$n"
        echo $((n + 1)) >one
        echo $((n + 2)) >two
        peer store box one two
    done
    for n in 1 4 7; do
        run -0 peer take box
        assert_output "$n"
        run -0 within fifo-recv -c 2 box
        assert_output $((n + 1))$'\n'$((n + 2))
    done
}

@test "both keep to the capacity" {
    fifo-make -b 3 box
    echo x >x
    peer store box x x
    run -1 peer store box x x
    fifo-send box y
    run -1 peer store box x
    refused 1 full fifo-send -n box z
    run -0 peer take box
    fifo-send -n box z
    refused 1 full fifo-send -n box z
    run -0 within fifo-recv -c 3 box
    assert_output "x
y
z"
}

@test "a message that another program has leased is not handed out, and comes back at its death, counted" {
    fifo-make -b unbounded box
    fifo-send box one two
    keyboard holder
    STDIN=holder.keys start_peer holder hold box
    wait_until test -s holder.out
    run -0 within fifo-recv -n box
    assert_output two
    refused 1 empty fifo-recv -n box
    refused 2 'still holds messages' fifo-rm box
    # shellcheck disable=SC2016
    start waiter fifo-recv box sh -c 'cat; echo "$FIFO_TRIES"'
    waits waiter
    kill -KILL "$(cat holder.pid)"
    ended_with 0 waiter
    assert_equal "$(cat waiter.out)" $'one\n2'
    exec 7>&-
    run -0 peer counts box
    assert_output '2 2 0'
}

@test "a message that another program gives back goes to fifo-recv, which waits for it" {
    fifo-make -b unbounded box
    fifo-send box one
    keyboard holder
    STDIN=holder.keys start_peer holder hold box
    wait_until test -s holder.out
    start waiter fifo-recv box
    waits waiter
    echo 'give it back' >&7
    ended_with 0 holder waiter
    assert_equal "$(cat waiter.out)" one
    exec 7>&-
}

@test "taken out of order by both, in runs, each is counted once" {
    local n
    fifo-make -b unbounded box
    seq 9 | fifo-send -l box
    keyboard holder
    STDIN=holder.keys start_peer holder hold box
    wait_until test -s holder.out
    # shellcheck disable=SC2016
    start worker fifo-recv box sh -c 'cat; until [ -e go ]; do sleep 0.01; done'
    wait_until test -s worker.out
    for n in 3 5 7; do
        run -0 peer take box
        assert_output "$n"
        run -0 within fifo-recv box
        assert_output $((n + 1))
    done
    run -0 peer counts box
    assert_output '9 6 0'
    touch go
    ended_with 0 worker
    # It walks over one run, and joins it.
    run -0 within fifo-recv box
    assert_output 9
    refused 1 empty fifo-recv -n box
    echo take >&7
    ended_with 0 holder
    run -0 peer counts box
    assert_output '9 9 0'
    exec 7>&-
    fifo-send box ten
    run -0 peer take box
    assert_output ten
    run -0 within fifo-rm box
}

@test "what a worker of ours has in hand, another program passes over, and gets when the worker fails" {
    fifo-make -b unbounded box
    fifo-send box one two
    # shellcheck disable=SC2016
    start worker fifo-recv box sh -c 'cat; until [ -e go ]; do sleep 0.01; done; exit 9'
    wait_until test -s worker.out
    run -0 peer take box
    assert_output two
    start_peer waiter take box
    waits waiter
    touch go
    ended_with 9 worker
    ended_with 0 waiter
    assert_equal "$(cat waiter.out)" one
}

@test "each wakes the other: for a message, and for room" {
    fifo-make -b 1 box
    start_peer taker take box
    waits taker
    fifo-send box one
    ended_with 0 taker
    start receiver fifo-recv box
    waits receiver
    echo two >two
    peer store box two
    ended_with 0 receiver
    assert_equal "$(cat taker.out receiver.out)" $'one\ntwo'
    fifo-send box three
    start sender fifo-send box four
    waits sender
    run -0 peer take box
    assert_output three
    ended_with 0 sender
    run -0 within fifo-recv -n box
    assert_output four
}

@test "another program that takes and stays wakes who waits for room" {
    fifo-make -b 1 box
    fifo-send box one
    start sender fifo-send box two
    waits sender
    run -0 peer take box 2
    assert_output $'one\ntwo'
    ended_with 0 sender
}

@test "--sync: each writes down what is on disk" {
    fifo-make -b unbounded --sync box
    echo x >x
    peer store box x x
    run -0 peer counts box
    assert_output '2 0 2'
    fifo-send box y
    run -0 peer counts box
    assert_output '3 0 3'
    run -0 within fifo-recv -c 2 box
    run -0 peer take box
    assert_output y
}

@test "a log that one of them has emptied, the other goes on with" {
    local round
    fifo-make -b unbounded box
    head -c 6000 /dev/urandom >x
    for round in 1 2 3; do
        peer store box x x
        within fifo-recv -c 2 box | cmp - <(cat x x)
        assert_equal "$(stat -c %s box/queue)" 64
        run -0 peer counts box # which finds the log and the ledger in order
        assert_output "$((round * 3 - 1)) $((round * 3 - 1)) 0"
        fifo-send box <x
        peer take box | cmp - x
        assert_equal "$(stat -c %s box/queue)" 64
    done
    run -0 peer counts box
    assert_output '9 9 0'
}
