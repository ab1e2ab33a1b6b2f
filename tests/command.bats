# shellcheck shell=bash
# Goal: COMMAND has the message on standard input, and only its success takes the message. So has standard output.
load helper

@test "COMMAND gets the message, exactly, and it is taken" {
    fifo-make box
    head -c 100000 /dev/urandom >sent
    STDIN=sent start sender fifo-send box
    run -0 within fifo-recv box cmp - sent
    ended_with 0 sender
}

@test "COMMAND's options are its own" {
    fifo-make box
    start sender fifo-send box 'a b'
    run -0 within fifo-recv box -t 5 grep -c -v nothing
    assert_output 1
}

@test "COMMAND finds FIFO_MAILBOX and FIFO_SENDER, and the latter only when the message says it" {
    fifo-make box
    export FIFO_SENDER=forged
    printf 'two\nlines' >sent
    STDIN=sent start sender fifo-send box
    run -0 within fifo-recv ./box sh -c 'echo "$FIFO_MAILBOX $FIFO_SENDER"'
    assert_output "./box $(cat sender.pid)"
    start sender fifo-send box line
    run -0 within fifo-recv ./box sh -c 'echo "${FIFO_SENDER-unset}"'
    assert_output unset
}

@test "a COMMAND that fails leaves the message, and its status is ours" {
    fifo-make box
    start sender fifo-send box job
    for status in 1 5 42 124; do
        run "-$status" within fifo-recv -q box sh -c "cat >/dev/null; exit $status"
    done
    run -143 within fifo-recv -q box sh -c 'kill -TERM $$'
    run -0 within fifo-recv box
    assert_output job
    ended_with 0 sender
}

@test "a COMMAND that is not there is 127, one that cannot run 126, and the message stays" {
    fifo-make box
    start sender fifo-send box job
    run -127 within fifo-recv box no-such-command
    assert_output "fifo-recv: 'no-such-command': cannot run it: No such file or directory"
    run -127 within fifo-recv -q box ./missing
    touch plain
    run -126 within fifo-recv box ./plain
    assert_output "fifo-recv: './plain': cannot run it: Permission denied"
    run -126 within fifo-recv -q box /
    run -0 within fifo-recv box
    assert_output job
    ended_with 0 sender
}

@test "a script without an interpreter line runs, as with env" {
    fifo-make box
    echo 'cat; echo done' >script
    chmod +x script
    start sender fifo-send box job
    run -0 within fifo-recv box ./script
    assert_output $'job\ndone'
}

@test "-f with COMMAND goes on until one fails" {
    fifo-make box
    start sender fifo-send -v box 1 2 3
    run -7 within fifo-recv -q -f box sh -c 'read -r n; echo "got $n"; [ "$n" != 3 ] || exit 7'
    assert_output $'got 1\ngot 2\ngot 3'
    run -0 within fifo-recv box
    assert_output 3
    ended_with 0 sender
}

@test "--keep gives the message back whatever happens" {
    fifo-make box
    start sender fifo-send box token
    run -0 within fifo-recv --keep box cat
    assert_output token
    run -3 within fifo-recv -q --keep box sh -c 'exit 3'
    run -0 within fifo-recv box
    assert_output token
    ended_with 0 sender
}

@test "--keep is a lock that a killed holder gives back" {
    fifo-make box
    start token fifo-send box token
    start holder fifo-recv --keep box sleep 60
    wait_until pgrep -g "$(ps -o pgid= -p "$(cat holder.pid)" | tr -d ' ')" sleep
    run -1 within fifo-recv -q -n --keep box true
    kill -KILL "$(cat holder.pid)"
    ended_with 137 holder
    run -0 within fifo-recv -n --keep box true
}

@test "COMMAND gets the descriptors and the signal mask it would have had without us" {
    fifo-make box
    start sender fifo-send box 1 2
    # Each without a shell in between: dash clears the mask when it starts.
    for look in 'ls /proc/self/fd' 'grep -E Sig(Blk|Ign|Cgt) /proc/self/status'; do
        # shellcheck disable=SC2086
        run -0 within fifo-recv box $look
        with=$output
        # shellcheck disable=SC2086
        run -0 within $look </dev/null
        assert_equal "$with" "$output"
    done
    ended_with 0 sender
}

@test "SIGTERM goes on to COMMAND, and then ends us by that signal" {
    fifo-make box
    start sender fifo-send box job
    start worker fifo-recv box sh -c 'trap "echo caught; exit 1" TERM; echo ready; while :; do sleep 0.05; done'
    wait_until grep -q ready worker.out
    kill -TERM "$(cat worker.pid)"
    ended_with 143 worker
    run -0 cat worker.out
    assert_output $'ready\ncaught'
    run -0 within fifo-recv box
    assert_output job
}

@test "a message that COMMAND did in spite of a signal is taken" {
    fifo-make box
    start sender fifo-send box job
    start worker fifo-recv box sh -c 'trap "exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    wait_until grep -q ready worker.out
    kill -TERM "$(cat worker.pid)"
    ended_with 143 worker
    ended_with 0 sender
}

@test "SIGCHLD ignored by whoever started us does not hide COMMAND's status" {
    fifo-make box
    start sender fifo-send box job
    run -9 within env --ignore-signal=CHLD fifo-recv -q box sh -c 'exit 9'
}

@test "a full disk is an error, and the message is not taken" {
    fifo-make box
    for size in 10 100000; do
        head -c "$size" /dev/urandom >sent
        STDIN=sent start sender fifo-send box
        run -2 bash -c 'timeout -s KILL 10 fifo-recv box 2>&1 >/dev/full'
        assert_output "fifo-recv: 'box': cannot write to standard output; the message is not taken: No space left on device"
        within fifo-recv box | cmp - sent
        ended_with 0 sender
    done
}

@test "a closed pipe is an error and not SIGPIPE, and the message is not taken" {
    fifo-make box
    for size in 10 1000000; do
        head -c "$size" /dev/urandom >sent
        STDIN=sent start sender fifo-send box
        # shellcheck disable=SC2016
        run -2 bash -c 'exec 9> >(exec <&-; : >closed; sleep 1); until [ -e closed ]; do sleep 0.01; done; rm closed
            timeout -s KILL 10 fifo-recv -q box >&9'
        run -2 bash -c 'mkfifo p; exec 8<>p 9>p 8>&-; timeout -s KILL 10 fifo-recv -q box >&9; s=$?; rm p; exit $s'
        within fifo-recv box | cmp - sent
        ended_with 0 sender
    done
}

@test "a closed standard output is an error, and nothing goes back into the mailbox" {
    fifo-make box
    start sender fifo-send box job
    run -2 bash -c 'timeout -s KILL 10 fifo-recv box 2>&1 >&-'
    assert_output --partial 'Bad file descriptor'
    run -2 bash -c 'timeout -s KILL 10 fifo-recv box <&- >&- 2>&-'
    run -0 within fifo-recv box
    assert_output job
    ended_with 0 sender
    run -1 within fifo-recv -q -n box
}

@test "with standard error closed, what we say does not go into the mailbox" {
    fifo-make box
    exec 7<>box
    for closed in '2>&-' '<&- >&- 2>&-'; do
        run -124 bash -c "exec $closed; exec timeout -s KILL 10 fifo-send -v -t 100ms box lost"
        run -1 within fifo-recv -q -n box
        run -1 bash -c "exec $closed; exec timeout -s KILL 10 fifo-recv -v -n box"
        run -1 within fifo-recv -q -n box
    done
    exec 7>&-
}

@test "a standard output that does not block is waited for" {
    fifo-make box
    head -c 1000000 /dev/urandom >sent
    STDIN=sent start sender fifo-send box
    # perl sets O_NONBLOCK on the pipe that both ends share.
    run -0 bash -c 'timeout -s KILL 20 perl -MFcntl -e "fcntl(STDOUT, F_SETFL, O_NONBLOCK) or die; exec @ARGV" \
        fifo-recv box | (sleep 0.2; cmp - sent); exit ${PIPESTATUS[0]}'
    assert_output ''
    ended_with 0 sender
}

@test "COMMAND may leave the message unread" {
    fifo-make box
    head -c 1000000 /dev/urandom >sent
    STDIN=sent start sender fifo-send box
    run -0 within fifo-recv box true
    ended_with 0 sender
}

@test "COMMAND is told to end when fifo-recv is killed, so that two do not work on one message" {
    fifo-make box
    start sender fifo-send box job
    start victim fifo-recv box sh -c 'trap "echo told >told; exit 1" TERM; echo ready; while :; do sleep 0.05; done'
    wait_until grep -q ready victim.out
    kill -KILL "$(cat victim.pid)"
    wait_until test -s told
    run -0 within fifo-recv box
    assert_output job
    ended_with 0 sender
}

@test "-q silences -v" {
    fifo-make box
    run -1 within fifo-recv -qnv box
    assert_output ''
}
