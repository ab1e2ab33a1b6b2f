#!/usr/bin/env bats
# shellcheck shell=bash
# COMMANDs at a buffered mailbox: several at work, each with a message of its own that goes back if it is not done.

load helper

setup() {
    common_setup
    fifo-make -b unbounded jobs
}

# at_work NAME: starts a worker with a COMMAND that tells that it has begun, and waits until there is a file NAME.go.
at_work() {
    # shellcheck disable=SC2016
    start "$1" fifo-recv jobs sh -c 'cat >"$1.got"; until [ -e "$1.go" ]; do sleep 0.01; done; cat "$1.got"' sh "$1"
    wait_until test -s "$1.got"
}

left() { left_in jobs "$@"; }

@test "COMMAND finds the message, exactly, and where it comes from" {
    head -c 100000 /dev/urandom >content
    within fifo-send jobs <content
    run -0 within fifo-recv jobs cmp - content
    start sender fifo-send jobs x
    ended_with 0 sender
    # shellcheck disable=SC2016
    run -0 within fifo-recv jobs sh -c 'cat; echo "$FIFO_MAILBOX $FIFO_SENDER $FIFO_TRIES"'
    assert_output "x
jobs $(cat sender.pid) 1"
}

@test "FIFO_TRIES counts the tries that failed or ended with a death, and this one" {
    fifo-send jobs x
    run -3 within fifo-recv -q jobs sh -c 'exit 3'
    # shellcheck disable=SC2016
    run -1 within fifo-recv -q jobs sh -c 'echo $FIFO_TRIES; exit 1'
    assert_output 2
    # shellcheck disable=SC2016
    run -137 within fifo-recv -q jobs sh -c 'kill -KILL $PPID'
    # shellcheck disable=SC2016
    run -0 within fifo-recv jobs sh -c 'echo $FIFO_TRIES'
    assert_output 4
}

# tries N: COMMAND is told of N tries.
tries() {
    # shellcheck disable=SC2016
    run -0 within fifo-recv --keep jobs sh -c 'echo $FIFO_TRIES'
    assert_output "$1"
}

@test "what is not the fault of the message is no try" {
    fifo-send jobs x y
    tries 1
    run -127 within fifo-recv -q jobs ./missing
    touch plain
    run -126 within fifo-recv -q jobs ./plain
    run -5 within fifo-recv -q -s 7 jobs true
    run -2 within sh -c 'fifo-recv -q -c 2 jobs >/dev/full'
    tries 1
    start worker fifo-recv jobs sleep 100
    wait_until pgrep -P "$(cat worker.pid)" -x sleep
    kill "$(cat worker.pid)"
    ended_with 143 worker
    tries 1
    run -124 within fifo-recv -q -t 100ms jobs sleep 100
    tries 2
    tries 2
}

@test "at a FIFO tries are not counted, and --max-tries is refused" {
    fifo-make box
    start sender fifo-send box x
    # shellcheck disable=SC2016
    run -0 env FIFO_TRIES=7 timeout 10 fifo-recv box sh -c 'echo "<$FIFO_TRIES>"'
    assert_output "<>"
    ended_with 0 sender
    refused 2 "tries are counted in a buffered mailbox only" fifo-recv --max-tries=2 --dead=jobs box cat
}

@test "five workers have five messages in hand at once, the oldest ones" {
    local n
    fifo-send jobs one two three four five six
    for n in 1 2 3 4 5; do
        at_work "worker$n"
    done
    assert_equal "$(cat worker?.got)" "one
two
three
four
five"
    run -0 within fifo-recv jobs
    assert_output six
    touch worker{1..5}.go
    ended_with 0 worker{1..5}
    left
}

@test "a message is taken only when its COMMAND has succeeded, and done ones may overtake it" {
    fifo-send jobs one two three
    at_work slow
    run -0 within fifo-recv -c 2 jobs cat
    assert_output "two
three"
    refused 1 "empty" fifo-recv -n jobs
    kill "$(cat slow.pid)"
    status_of slow
    left one
}

@test "a COMMAND that fails gives its message back, in its old place, and ends fifo-recv with its status" {
    fifo-send jobs one two
    run -7 on_stderr fifo-recv jobs sh -c 'exit 7'
    one_line "COMMAND failed; the message stays in the mailbox" "$output"
    run -7 within fifo-recv -q -f jobs sh -c 'exit 7'
    run -126 within fifo-recv -q jobs /etc/passwd
    run -127 within fifo-recv -q jobs no-such-command
    # shellcheck disable=SC2016
    run -143 within fifo-recv -q jobs sh -c 'kill $$'
    left one two
}

@test "a worker that is killed gives its message at once to one who waits" {
    fifo-send jobs one
    at_work victim
    start waiter fifo-recv jobs
    waits waiter
    kill -KILL "$(cat victim.pid)"
    ended_with 0 waiter
    assert_equal "$(cat waiter.out)" one
}

@test "one who waits and is stopped keeps nothing from the others" {
    local n
    for n in {1..30}; do
        start "waiter$n" fifo-recv jobs
    done
    for n in {1..30}; do
        waits "waiter$n"
    done
    kill -STOP "$(cat waiter1.pid)" "$(cat waiter2.pid)" "$(cat waiter3.pid)"
    seq 27 | fifo-send -l jobs
    ended_with 0 waiter{4..30}
    kill -KILL "$(cat waiter1.pid)" "$(cat waiter2.pid)" "$(cat waiter3.pid)"
}

@test "a COMMAND that fails wakes one who waits" {
    fifo-send jobs one
    # shellcheck disable=SC2016
    start worker fifo-recv jobs sh -c 'echo >begun; until [ -e go ]; do sleep 0.01; done; exit 9'
    wait_until test -e begun
    start waiter fifo-recv jobs
    waits waiter
    touch go
    ended_with 9 worker
    ended_with 0 waiter
}

@test "-t ends COMMAND, and the message goes back" {
    fifo-send jobs one
    milliseconds within fifo-recv -q -t 300ms jobs sleep 60 || assert_equal $? 124
    between 290 10000 "$took"
    left one
}

@test "a signal is passed on to COMMAND, and then ends fifo-recv" {
    fifo-send jobs one
    start worker fifo-recv -f jobs sh -c 'echo >begun; exec sleep 60'
    wait_until test -e begun
    kill "$(cat worker.pid)"
    ended_with 143 worker
    left one
}

@test "--keep gives the message back whatever happens: a semaphore" {
    fifo-send jobs one two
    run -0 within fifo-recv --keep jobs cat
    assert_output one
    start holder fifo-recv --keep jobs sh -c 'echo >begun; exec sleep 60'
    wait_until test -e begun
    run -0 within fifo-recv --keep jobs cat
    assert_output two
    run -5 within fifo-recv -q --keep jobs sh -c 'exit 5'
    kill -KILL "$(cat holder.pid)"
    ended_with 137 holder
    left one two
}

@test "--max-tries moves a message to the dead letters when it has failed so often" {
    local n
    fifo-make -b unbounded dead
    fifo-send jobs bad good
    for n in 1 2; do
        run -1 within fifo-recv -q --max-tries=3 --dead=dead jobs grep good
        refused 1 empty fifo-recv -n dead
    done
    run -1 on_stderr fifo-recv --max-tries=3 --dead=dead jobs grep good
    one_line "'jobs': a message was moved to the dead-letter mailbox after 3 tries" "$output"
    run -0 within fifo-recv --max-tries=3 --dead=dead jobs grep good
    run -0 within fifo-recv dead
    assert_output bad
    left
}

@test "--max-tries counts workers that were killed, and goes on with the next message" {
    local n
    fifo-make -b unbounded dead
    fifo-send jobs bad good
    for n in 1 2; do
        # shellcheck disable=SC2016
        run -137 within fifo-recv --max-tries=2 --dead=dead jobs sh -c 'kill -KILL $PPID'
    done
    run -0 --separate-stderr within fifo-recv --max-tries=2 --dead=dead jobs cat
    assert_output good
    one_line "moved to the dead-letter mailbox after 2 tries"
    run -0 within fifo-recv dead
    assert_output bad
}

@test "a dead-letter mailbox that is missing, no buffered one, or full" {
    fifo-make fifo
    fifo-make -b 1 dead
    fifo-send jobs one
    refused 3 "'missing': no such mailbox" fifo-recv --max-tries=1 --dead=missing jobs false
    refused 2 "'fifo': is not buffered: dead letters have to be stored" fifo-recv --max-tries=1 --dead=fifo jobs false
    refused 2 "go together" fifo-recv --max-tries=1 jobs false
    refused 2 "go together" fifo-recv --dead=dead jobs false
    refused 2 "is for a COMMAND" fifo-recv --max-tries=1 --dead=dead jobs
    refused 2 "is for a COMMAND" fifo-recv --max-tries=1 --dead=dead --keep jobs false
    refused 2 "takes a whole number" fifo-recv --max-tries=0 --dead=dead jobs false
    fifo-send dead full
    # COMMAND has been run: its status counts, and the next receiver finds the message before it runs anything.
    run -7 on_stderr fifo-recv -n --max-tries=1 --dead=dead jobs sh -c 'exit 7'
    assert_output "fifo-recv: 'dead': full
fifo-recv: 'jobs': COMMAND failed; the message stays in the mailbox"
    refused 1 "'dead': full" fifo-recv -n --max-tries=1 --dead=dead jobs echo ran
    run -0 within fifo-recv --peek jobs
    assert_output one
    run -0 within fifo-recv dead
    fifo-send jobs two
    run -0 --separate-stderr within fifo-recv --max-tries=1 --dead=dead jobs cat
    assert_output two
    one_line "moved to the dead-letter mailbox after 1 try"
}

@test "a message that was given back untried, and whose ledger is an old one, has not been tried" {
    fifo-make -b unbounded dead
    fifo-send jobs one
    cp jobs/.state old
    run -0 within fifo-recv --keep jobs true
    cp old jobs/.state
    # shellcheck disable=SC2016
    run -0 within fifo-recv --max-tries=3 --dead=dead jobs sh -c 'echo $FIFO_TRIES'
    assert_output 1
}

@test "a lock that somebody keeps when COMMAND has succeeded: 4, not 1 or 124" {
    fifo-send jobs one
    # shellcheck disable=SC2016
    start keeper sh -c 'while [ ! -e begun ]; do sleep 0.01; done; exec python3 -B "$0" jobs' \
        "$ROOT/tests/buffered/keep.py"
    run -4 on_stderr fifo-recv -t 8 jobs sh -c 'touch begun; while [ ! -e held ]; do sleep 0.01; done; sleep 0.1'
    one_line 'dealt with, but cannot be taken' "$output"
}

@test "the mailbox itself is no dead-letter mailbox" {
    fifo-send jobs one
    ln -s jobs other
    refused 2 "'other': is the mailbox itself" fifo-recv --max-tries=1 --dead=other jobs false
    refused 2 "'jobs': is the mailbox itself" fifo-recv --max-tries=1 --dead=jobs jobs false
    left one
}

@test "-f works until the mailbox goes, -c so often, -n until it is empty" {
    seq 5 | fifo-send -l jobs
    run -0 within fifo-recv -c 2 jobs cat
    assert_output "1
2"
    run -1 within fifo-recv -q -n -f jobs cat
    assert_output "3
4
5"
    start worker fifo-recv -f jobs cat
    waits worker
    fifo-send jobs 6
    wait_until test -s worker.out
    fifo-rm -f jobs
    ended_with 3 worker
}

@test "COMMAND may use the mailbox it works for" {
    fifo-send jobs 3
    # shellcheck disable=SC2016
    run -1 within fifo-recv -q -n -f jobs bash -c 'read -r n; echo "$n"; [ "$n" = 0 ] || fifo-send jobs $((n - 1))'
    assert_output "3
2
1
0"
}

@test "workers that come and go share the work, each message once" {
    local n
    seq 200 | fifo-send -l jobs
    for n in 1 2 3 4; do
        start "worker$n" fifo-recv -q -n -f jobs cat
    done
    ended_with 1 worker{1..4}
    cat worker?.out | sort -n | cmp - <(seq 200)
    for n in 1 2 3 4; do
        sort -n -c "worker$n.out"
    done
}

@test "how COMMAND has ended is known, or the message stays" {
    fifo-send jobs one
    run -2 on_stderr strace -o trace -e inject=wait4:error=ECHILD fifo-recv jobs true
    assert_output --partial 'cannot wait for COMMAND'
    run -0 within fifo-recv --peek jobs
    assert_output one
}

@test "the deadline holds while COMMAND is being started, too" {
    fifo-send jobs one
    start tracer strace -f -o trace -e trace=execve -e inject=execve:delay_enter=60000000:when=2 \
        sh -c 'fifo-recv -t 0.3 jobs true; echo $? >ended'
    milliseconds wait_until test -s ended
    between 250 30000 "$took"
    assert_equal "$(cat ended)" 124
    run -0 within fifo-recv --peek jobs
    assert_output one
}

@test "a lock that is not to be had after COMMAND has succeeded is 4, whichever it is" {
    fifo-send jobs one two
    start first fifo-recv -t 8 jobs sh -c ': >begun; until [ -e go ]; do sleep 0.01; done'
    wait_until test -e begun
    # Announced, and not marked: whoever comes next has to repair that, for which it needs what a sender has.
    run -137 within strace -o trace -e inject=pwrite64:signal=KILL:when=3 fifo-recv jobs
    start sender strace -o trace2 -e inject=pwrite64:signal=STOP:when=1 fifo-send jobs three
    wait_until grep -q 'stopped by SIGSTOP' trace2
    : >go
    ended_with 4 first
    one_line 'dealt with, but cannot be taken' "$(cat first.err)"
}
