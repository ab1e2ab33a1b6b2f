# shellcheck shell=bash
# Goal: one deadline covers everything, a send that gives up leaves nothing, and waiting costs nothing.
load helper

nothing_is_left() {
    run -1 within fifo-recv -q -n box
    [ -z "$output" ]
}

@test "a send that times out ends with 124 in time, and leaves nothing" {
    fifo-make box
    run -124 milliseconds within fifo-send -q -t 0.3 box lost
    milliseconds within fifo-send -q -t 0.3 box lost || true
    between 290 10000 "$took"
    nothing_is_left
}

@test "a send that times out leaves nothing behind for a receiver that was there all along" {
    fifo-make box
    exec 7<>box
    for size in 10 4096 100000; do
        head -c "$size" /dev/urandom >sent
        run -124 within fifo-send -q -t 50ms box <sent
        nothing_is_left
    done
    exec 7>&-
}

@test "a receive that times out ends with 124 in time" {
    fifo-make box
    milliseconds within fifo-recv -q -t 0.2 box || [ $? = 124 ]
    between 190 10000 "$took"
    run -124 within fifo-recv -t 10ms box
    assert_output "fifo-recv: 'box': timed out: no message came"
}

@test "suffixes of -t mean what they say" {
    fifo-make box
    for time in 150ms 0.15 .15s 0.0025m; do
        milliseconds within fifo-recv -q -t "$time" box || [ $? = 124 ]
        between 140 10000 "$took"
    done
}

@test "the deadline covers waiting for another sender" {
    fifo-make box
    start first fifo-send box first
    waits first
    run -124 within fifo-send -q -t 100ms box second
    run -0 within fifo-recv box
    assert_output first
    ended_with 0 first
    nothing_is_left
}

@test "the deadline covers waiting for another receiver" {
    fifo-make box
    start worker fifo-recv box sleep 60
    start sender fifo-send box job
    wait_until pgrep -g "$(ps -o pgid= -p "$(cat worker.pid)" | tr -d ' ')" sleep
    run -124 within fifo-recv -t 100ms box
    assert_output "fifo-recv: 'box': timed out: another receiver is at work"
}

@test "the deadline covers reading standard input" {
    fifo-make box
    run -124 bash -c 'sleep 2 | timeout -s KILL 4 fifo-send -q -t 100ms box'
    run -124 bash -c 'sleep 2 | timeout -s KILL 4 fifo-send -q -l -t 100ms box'
    nothing_is_left
}

@test "the deadline covers a standard output that does not take the message, which stays" {
    fifo-make box
    head -c 1000000 /dev/zero >sent
    STDIN=sent start sender fifo-send box
    run -124 bash -c 'set -o pipefail; timeout -s KILL 10 fifo-recv -q -t 200ms box | sleep 1'
    within fifo-recv box | cmp - sent
    ended_with 0 sender
}

@test "the deadline covers COMMAND, and the message stays" {
    fifo-make box
    start sender fifo-send box job
    milliseconds within fifo-recv -q -t 200ms box sleep 30 || [ $? = 124 ]
    between 190 5000 "$took"
    run -0 within fifo-recv box
    assert_output job
    ended_with 0 sender
}

@test "a COMMAND that ignores SIGTERM is killed a second after the deadline" {
    fifo-make box
    start sender fifo-send box job
    milliseconds within fifo-recv -q -t 1 box bash -c 'trap "" TERM; while :; do sleep 0.1; done' || [ $? = 124 ]
    between 1900 9000 "$took"
}

@test "a stop and a continue do not stretch the deadline" {
    fifo-make box
    start sender fifo-send -q -t 1500ms box slow
    waits sender
    kill -STOP "$(cat sender.pid)"
    sleep 1.7
    kill -CONT "$(cat sender.pid)"
    ended_with 124 sender
    nothing_is_left
}

@test "-n: nobody there, empty, busy are status 1, at once, and nothing happened" {
    fifo-make box
    run -1 within fifo-send -n box nobody
    assert_output "fifo-send: 'box': no receiver is there"
    run -1 within fifo-recv -n box
    assert_output "fifo-recv: 'box': empty"
    start sender fifo-send box first
    waits sender
    run -1 within fifo-send -n box second
    assert_output "fifo-send: 'box': busy: another sender is waiting for a receiver"
    start worker fifo-recv box sleep 60
    wait_until pgrep -g "$(ps -o pgid= -p "$(cat worker.pid)" | tr -d ' ')" sleep
    run -1 within fifo-recv -n box
    assert_output "fifo-recv: 'box': busy: another receiver is at work"
}

@test "-t 0 is -n" {
    fifo-make box
    run -1 within fifo-send -q -t 0 box nobody
    run -1 within fifo-recv -q -t 0 box
}

@test "-n sends to a receiver that waits, and receives from a sender that waits" {
    fifo-make box
    start receiver fifo-recv box
    waits receiver
    within fifo-send -n box quick
    ended_with 0 receiver
    run -0 cat receiver.out
    assert_output quick
    start sender fifo-send box waiting
    waits sender
    run -0 within fifo-recv -n box
    assert_output waiting
    ended_with 0 sender
}

@test "-n with a program that holds the FIFO open and never reads: withdrawn, 1" {
    fifo-make box
    exec 7<>box
    run -1 within fifo-send -q -n box nobody
    nothing_is_left
    exec 7>&-
}

@test "-n in a loop drains what many senders wait with" {
    fifo-make box
    for i in {1..20}; do
        start "sender$i" fifo-send box "$i"
        waits "sender$i"
    done
    for i in {1..20}; do
        within fifo-recv -n box >>got
    done
    run -0 bash -c 'sort -u got | wc -l'
    assert_output 20
    nothing_is_left
}

@test "an idle receiver and a waiting sender sleep in one call and never wake" {
    fifo-make box
    # The follower has had a message, so it is not only a fresh one that is quiet.
    start follower strace -f -o follower.trace fifo-recv -f box
    wait_until grep -q rt_sigtimedwait follower.trace
    within fifo-send box one
    wait_until test "$(cat follower.out)" = one
    start sender strace -f -o sender.trace fifo-send other message
    ended_with 3 sender
    fifo-make other
    start sender strace -f -o sender.trace fifo-send other message
    dozes sender.trace
    sleep 0.2
    before=$(cat follower.trace sender.trace | wc -l)
    sleep 1.5
    [ "$(cat follower.trace sender.trace | wc -l)" = "$before" ]
    # A sleeping call is a line without an end.
    for trace in follower.trace sender.trace; do
        run -0 tail -n 1 "$trace"
        assert_output --regexp 'rt_sigtimedwait\(.*, NULL, NULL, 8$'
    done
}

@test "a sender that waits for its turn sleeps in one call, the lock" {
    fifo-make box
    start first fifo-send box first
    waits first
    start second strace -o second.trace fifo-send box second
    wait_until grep -q F_OFD_SETLKW second.trace
    before=$(wc -l <second.trace)
    sleep 1
    [ "$(wc -l <second.trace)" = "$before" ]
}

@test "SIGINT, SIGTERM and SIGHUP while waiting withdraw the message, then end by that signal" {
    fifo-make box
    exec 7<>box
    for signal in INT:130 TERM:143 HUP:129; do
        start sender env --default-signal=INT,HUP fifo-send box interrupted
        waits sender
        kill -"${signal%:*}" "$(cat sender.pid)"
        ended_with "${signal#*:}" sender
        nothing_is_left
    done
    exec 7>&-
}

@test "signals end a receiver, and one that waits for its turn, and one that waits for a lock" {
    fifo-make box
    start receiver fifo-recv box
    waits receiver
    kill -TERM "$(cat receiver.pid)"
    ended_with 143 receiver
    start first fifo-send box first
    waits first
    start second fifo-send box second
    waits second
    kill -TERM "$(cat second.pid)"
    ended_with 143 second
    run -0 within fifo-recv box
    assert_output first
    nothing_is_left
}

@test "an ignored SIGHUP does not end a sender: nohup works" {
    fifo-make box
    start sender env --ignore-signal=HUP fifo-send box stays
    waits sender
    kill -HUP "$(cat sender.pid)"
    run -0 within fifo-recv box
    assert_output stays
    ended_with 0 sender
}

@test "-x keeps other senders out between the messages of a run" {
    fifo-make box
    start first fifo-send -x box 1 2 3 4 5
    waits first
    for i in a b c; do
        start "$i" fifo-send box "$i"
        waits "$i"
    done
    within fifo-recv -c 8 box >got
    run -0 head -n 5 got
    assert_output $'1\n2\n3\n4\n5'
    ended_with 0 first a b c
}

@test "-x keeps other receivers out between the messages of a run" {
    fifo-make box
    start owner fifo-recv -x -f box
    waits owner
    run -1 within fifo-recv -x -n box
    assert_output "fifo-recv: 'box': busy: process $(cat owner.pid) has it to itself"
    start other fifo-recv box
    waits other
    milliseconds within fifo-send box {1..30}
    wait_until cmp -s <(seq 30) owner.out
    [ ! -s other.out ]
    # Nor does it hold up a sender: that would cost each message the 100 ms that one waits for a lock.
    between 0 2500 "$took"
    # A withdrawal works beside it too.
    kill -STOP "$(cat owner.pid)"
    run -124 within fifo-send -q -t 50ms box late
    kill -CONT "$(cat owner.pid)"
    kill -TERM "$(cat owner.pid)"
    within fifo-send box 4
    ended_with 0 other
}

# switches NAME...: how often the peers have gone to sleep so far.
switches() {
    local name
    for name; do
        cat "/proc/$(<"$name.pid")/status"
    done | awk '/^voluntary/ { sum += $2 } END { print sum }'
}

@test "senders that wait are not woken by each part of another one's message" {
    fifo-make box
    head -c 10M /dev/zero >large
    STDIN=large start first fifo-send box
    waits first
    for name in second third fourth; do
        start "$name" fifo-send box "$name"
        waits "$name"
    done
    before=$(switches second third fourth)
    within fifo-recv box | cmp - large
    ended_with 0 first
    after=$(switches second third fourth)
    ((after - before < 10)) # there are twenty parts and more
    within fifo-recv -c 3 box >out
    ended_with 0 second third fourth
}

# is_small NAME: the peer has less memory than a message of 40 MiB needs, and than a sanitizer takes beside that.
is_small() { (($(awk '/^RssAnon/ { print $2 }' "/proc/$(<"$1.pid")/status") < 24576)); }

# grows_to BYTES: what the receiver has printed is more than that.
grows_to() { (($(stat -c %s receiver.out) > $1)); }

@test "whoever waits gives back the memory that a long message has needed" {
    fifo-make box
    { head -c 40M /dev/zero | tr '\0' x && echo; } >large
    start receiver fifo-recv -f box
    mkfifo feed
    exec 8<>feed
    STDIN=feed start sender fifo-send -l box 8>&-
    cat large >&8
    wait_until grows_to 40000000
    # One waits for input, the other one for messages.
    wait_until is_small sender
    wait_until is_small receiver
    # And now the receiver waits for its turn, beside one that works.
    cat large >&8
    wait_until grows_to 80000000
    start worker strace -o trace -e trace=flock -e inject=flock:delay_exit=60000000 fifo-recv -x box
    wait_until grep -q flock trace
    echo next >&8
    wait_until is_small receiver
    exec 8>&-
}

@test "short messages all the time do not keep the memory of a long one" {
    fifo-make box
    head -c 40M /dev/zero >large
    start receiver fifo-recv -f box
    within fifo-send box <large
    start many bash -c 'while :; do echo x; done | fifo-send -l box'
    wait_until is_small receiver
}
