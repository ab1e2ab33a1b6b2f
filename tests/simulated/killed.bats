# shellcheck shell=bash
# Goal: whoever is killed with SIGKILL, at whatever system call, a message is neither lost nor torn.
load ../helper

@test "a receiver killed while it has a message in hand gives it to the next" {
    fifo-make box
    start sender fifo-send box precious
    start victim fifo-recv box sleep 60
    wait_until pgrep -g "$(ps -o pgid= -p "$(cat victim.pid)" | tr -d ' ')" sleep
    kill -KILL "$(cat victim.pid)"
    run -0 within fifo-recv box
    assert_output precious
    ended_with 0 sender
}

@test "a receiver that waits behind one that is killed gets the message" {
    fifo-make box
    start sender fifo-send box precious
    start victim fifo-recv box sleep 60
    wait_until pgrep -g "$(ps -o pgid= -p "$(cat victim.pid)" | tr -d ' ')" sleep
    start next fifo-recv box
    waits next
    kill -KILL "$(cat victim.pid)"
    ended_with 0 next sender
    run -0 cat next.out
    assert_output precious
}

# kill_at PROGRAM CALL WHEN ARGUMENTS...: runs PROGRAM under strace, which kills it as it enters that system call.
kill_at() {
    local program=$1 call=$2 when=$3
    shift 3
    timeout -s KILL "$DEADLINE" strace -o trace -e trace="$call" -e inject="$call:signal=KILL:when=$when" \
        "$program" "$@" 3>&-
}

@test "a receiver killed at any of its system calls loses nothing" {
    fifo-make box
    head -c 100000 /dev/urandom >large
    printf 'with\0header' >small
    echo line >line
    for kind in line small large; do
        for call in flock:1 fcntl:1 fcntl:2 pipe2:1 tee:1 read:1 poll:1 write:1 read:2 exit_group:1; do
            STDIN=$kind start sender fifo-send box
            waits sender
            status=0
            kill_at fifo-recv "${call%:*}" "${call#*:}" box >killed.out 2>noise || status=$?
            [ "$status" = 137 ] || [ "$status" = 0 ] # strace ends as its child did; a call may be one too many
            # Either the message was taken, then it had been printed in full; or the next receiver gets it.
            if ! within fifo-recv -q -n box >next.out; then
                cp killed.out next.out
            fi
            cmp "$kind" next.out || {
                echo "lost or torn: $kind, killed at $call"
                false
            }
            ended_with 0 sender
        done
    done
}

@test "a sender killed at any of its system calls leaves a whole message or none, and the mailbox works" {
    fifo-make box
    head -c 100000 /dev/urandom >record
    head -c 2000000 /dev/urandom >parts
    echo line >line
    exec 7<>box
    for kind in line record parts; do
        for call in splice:1 splice:2 getrandom:1 getrandom:2 openat:1 fcntl:1 write:1 write:2 fcntl:2 fcntl:3 fcntl:4 rt_sigtimedwait:1 rt_sigtimedwait:2; do
            status=0
            kill_at fifo-send "${call%:*}" "${call#*:}" -t 100ms box <"$kind" 2>noise || status=$?
            : >got
            within fifo-recv -q -n box >got || true
            if [ -s got ]; then
                cmp "$kind" got
                [ "$kind" != parts ] # those of a dead sender mean nothing to anybody
                [ "$status" = 137 ]
            fi
            start sender fifo-send box after
            run -0 within fifo-recv box
            assert_output after
            ended_with 0 sender
        done
    done
    exec 7>&-
}

@test "a sender killed while it waits does not hold up the next one" {
    fifo-make box
    start victim fifo-send box dead
    waits victim
    start next fifo-send box next
    waits next
    kill -KILL "$(cat victim.pid)"
    # The dead one's line was neither acknowledged nor refused: it may come, the next one must.
    within fifo-recv box >got
    if [ "$(cat got)" = dead ]; then
        within fifo-recv box >got
    fi
    [ "$(cat got)" = next ]
    ended_with 0 next
}

@test "what a killed sender has left of a message in parts is dropped in silence, also while it is a zombie" {
    fifo-make box
    exec 7<>box
    head -c 2000000 /dev/urandom >large
    # A parent that does not wait: the sender stays a zombie until it goes.
    start parent bash -c 'timeout -s KILL 60 true; fifo-send box <large & echo $! >victim.pid; exec sleep 60'
    wait_until test -s victim.pid
    waits victim
    wait_until asleep "$(cat victim.pid)"
    sleep 0.1
    kill -KILL "$(cat victim.pid)"
    wait_until grep -q '^State:.Z' "/proc/$(cat victim.pid)/status"
    start sender fifo-send box good
    run -0 --separate-stderr within fifo-recv box
    assert_output good
    [ -z "$stderr" ]
    ended_with 0 sender
    exec 7>&-
}

@test "a message that was taken back, by a sender that takes its time to end, is not delivered" {
    fifo-make box
    exec 7<>box
    yes raw | head -c 5000 >box
    start sender strace -o trace -e trace=exit_group -e inject=exit_group:delay_enter=60000 fifo-send -q -t 50ms box mine
    wait_until grep -q exit_group trace
    run -1 --separate-stderr within fifo-recv -n -c 2000 box
    assert_equal "${#lines[@]}" 1250
    assert_equal "$stderr" "fifo-recv: 'box': empty"
    ended_with 124 sender
    exec 7>&-
}
