# shellcheck shell=bash
# Goal: no invalid access, nothing uninitialised, and not one descriptor more for a hundred messages than for one.
load ../helper

checked=(valgrind -q --error-exitcode=108 --leak-check=no --track-fds=yes --log-file=valgrind.%p)

# open_at_exit NAME: how many descriptors the peer had open when it ended.
open_at_exit() {
    local open
    open=$(sed -n 's/.*FILE DESCRIPTORS: \([0-9]*\) open.*/\1/p' "valgrind.$(cat "$1.pid")")
    [ -n "$open" ] && echo "$open"
}

# exchange COUNT KIND: sends COUNT messages, and sets `sends` and `receives`.
exchange() {
    for ((n = 0; n < $1; n++)); do
        case $2 in
        line) echo "line $n" ;;
        record) printf '%d \377\n' "$n" ;;
        long) head -c 6000 /dev/zero | tr '\0' x && echo ;;
        esac
    done >sent
    DEADLINE=120
    STDIN=sent start sender "${checked[@]}" fifo-send -l box
    start receiver "${checked[@]}" fifo-recv -c "$1" box
    ended_with 0 sender receiver
    cmp sent receiver.out
    sends=$(open_at_exit sender)
    receives=$(open_at_exit receiver)
}

@test "messages of all forms: no error, and descriptors do not add up" {
    fifo-make box
    # Nothing goes in parts: valgrind lets no signal end a wait for a lock of an open file.
    for kind in line record long; do
        exchange 3 "$kind"
        local few_sends=$sends few_receives=$receives
        exchange 60 "$kind"
        # Depending on who came first, the watch on the name, the pipe to peek with and the one to prepare the next
        # batch in are there or not: five. 57 more messages would show.
        between $((few_sends - 5)) $((few_sends + 5)) "$sends"
        between $((few_receives - 5)) $((few_receives + 5)) "$receives"
    done
}

@test "whole input, COMMAND, time-outs, and bad names: no error" {
    fifo-make box
    head -c 200000 /dev/urandom >sent
    STDIN=sent start sender "${checked[@]}" fifo-send box
    run -0 within "${checked[@]}" fifo-recv box cmp - sent
    ended_with 0 sender
    run -124 within "${checked[@]}" fifo-send -t 100ms box lost
    run -124 within "${checked[@]}" fifo-send -t 100ms box <sent
    run -124 within "${checked[@]}" fifo-recv -t 100ms box
    run -3 within "${checked[@]}" fifo-send missing x
    run -3 within "${checked[@]}" fifo-recv /
    run -2 within "${checked[@]}" fifo-recv -t x box
    run -0 within "${checked[@]}" fifo-make -p a/b/c
    run -0 within "${checked[@]}" fifo-make -T
    rm "$output"
    run -0 within "${checked[@]}" fifo-rm a/b/c
}

@test "waiting for a lock, and being freed from it: no error" {
    fifo-make box
    start first fifo-send box first
    waits first
    start second "${checked[@]}" fifo-send -t 10 box second
    waits second
    within fifo-rm box
    ended_with 3 first second
}

@test "long raw lines and fragments: no error" {
    fifo-make box
    head -c 150000 /dev/zero | tr '\0' z >sent
    start receiver "${checked[@]}" fifo-recv box
    within bash -c 'cat sent >box'
    ended_with 0 receiver
    cmp sent receiver.out
}

@test "buffered mailboxes: no error, and descriptors do not add up" {
    local few
    DEADLINE=120
    fifo-make -b unbounded box
    for count in 3 60; do
        for ((n = 0; n < count; n++)); do
            head -c $((n * 997)) /dev/zero | tr '\0' x && echo
        done >sent
        STDIN=sent start sender "${checked[@]}" fifo-send -l box
        ended_with 0 sender
        start receiver "${checked[@]}" fifo-recv -c "$count" box
        ended_with 0 receiver
        cmp sent receiver.out
        [ "$count" = 3 ] && few="$(open_at_exit sender) $(open_at_exit receiver)"
        assert_equal "$(open_at_exit sender) $(open_at_exit receiver)" "$few"
    done
}

@test "buffered mailboxes: COMMAND, dead letters, waiting, damage and removal: no error" {
    DEADLINE=120
    run -0 within "${checked[@]}" fifo-make -b 2 --sync box
    run -0 within "${checked[@]}" fifo-make -p -b 2 --sync box
    fifo-make -b unbounded dead
    head -c 400000 /dev/urandom >sent
    run -0 within "${checked[@]}" fifo-send box <sent
    run -0 within "${checked[@]}" fifo-recv --peek box
    run -1 within "${checked[@]}" fifo-recv -q --max-tries=1 --dead=dead box false
    within fifo-recv dead | cmp - sent
    run -0 within "${checked[@]}" fifo-send box one two
    run -124 within "${checked[@]}" fifo-send -t 300ms box three
    run -0 within "${checked[@]}" fifo-recv --keep box true
    printf X | dd of=box/queue bs=1 seek=$((64 + 64)) conv=notrunc status=none
    truncate -s -1 box/queue
    run within "${checked[@]}" fifo-recv -n -f box
    refute [ "$status" = 108 ]
    run -0 within "${checked[@]}" fifo-send box one
    run -2 within "${checked[@]}" fifo-rm box
    start waiter "${checked[@]}" fifo-recv dead
    waits waiter
    run -0 within "${checked[@]}" fifo-rm -f box dead
    ended_with 3 waiter
}

# Direct links need pidfd_open(2), which the valgrind of Debian 12 does not know.
@test "requests and receipts: no error, and descriptors do not add up" {
    local few count box
    DEADLINE=120
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        few=
        for count in 2 12; do
            seq "$count" >sent
            STDIN=sent start sender "${checked[@]}" fifo-send -r -l "$box"
            start receiver "${checked[@]}" fifo-recv -c "$count" "$box" cat
            ended_with 0 sender receiver
            cmp sent sender.out
            [ -n "$few" ] || few="$(open_at_exit sender) $(open_at_exit receiver)"
            # As above; 10 more messages would show.
            between $((${few% *} - 5)) $((${few% *} + 5)) "$(open_at_exit sender)"
            between $((${few#* } - 5)) $((${few#* } + 5)) "$(open_at_exit receiver)"
        done
        start receiver "${checked[@]}" fifo-recv -c 2 "$box"
        run -0 within "${checked[@]}" fifo-send --receipt "$box" one two
        ended_with 0 receiver
        run -124 within "${checked[@]}" fifo-send -t 500ms -r "$box" x
    done
}
