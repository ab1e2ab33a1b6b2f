# shellcheck shell=bash
# Goal: the promises hold where signals come from outside, /proc is missing, readers are rude and there is no rest.
load helper

@test "what /proc hides makes no difference to a message, whatever its size" {
    as_another_user
    fifo-make -m 666 box
    for size in 100000 2000000; do
        head -c "$size" /dev/urandom >sent
        STDIN=sent start sender setpriv --reuid=4242 --regid=4242 --clear-groups fifo-send box
        waits sender
        # On top of /proc, and private: this reaches nobody else, in a chroot neither.
        unshare -m --propagation unchanged bash -c 'mount --make-private /proc &&
            mount -t proc -o hidepid=2 proc /proc &&
            exec timeout -s KILL 20 setpriv --reuid=4242 --regid=4343 --clear-groups fifo-recv -t 15 box' >got
        cmp got sent
        ended_with 0 sender
    done
}

@test "signals of ours that somebody else sends do not tear what is printed" {
    fifo-make box
    head -c 300000 /dev/urandom >sent
    STDIN=sent start sender fifo-send box
    start reader bash -c 'fifo-recv -t 50 box > >(until [ -e go ]; do sleep 0.01; done; exec cat >out) &
        echo $! >recv.pid; wait $!'
    wait_until test -s recv.pid
    for signal in URG IO CHLD RTMIN+5; do
        sleep 0.1
        kill -s "$signal" "$(cat recv.pid)"
    done
    touch go
    ended_with 0 reader sender
    wait_until cmp -s sent out
}

@test "an alarm that was set before we started ends us by SIGALRM, and withdraws the message" {
    fifo-make box
    run -142 within perl -e 'alarm 1; exec @ARGV' fifo-recv box
    exec 7<>box
    run -142 within perl -e 'alarm 1; exec @ARGV' fifo-send box lost
    run -1 within fifo-recv -q -n box
    exec 7>&-
}

@test "a message of fixed size behind an odd number of bytes is not taken for taken" {
    fifo-make box
    exec 7<>box
    printf abc >box
    run -124 bash -c 'printf wxyz | timeout -s KILL 10 fifo-send -q -t 200ms -s 4 box'
    run -0 within head -c 3 <&7
    assert_output abc
    run -1 within fifo-recv -q -n box
    exec 7>&-
}

@test "a raw reader that takes what is in hand does not make the receiver take the next message for it" {
    fifo-make box
    start receiver fifo-recv box sh -c 'cat >/dev/null; echo begun >begun; until [ -e go ]; do sleep 0.01; done'
    start first fifo-send box first
    wait_until test -s begun
    run -0 within head -c 6 box
    assert_output first
    ended_with 0 first
    start second fifo-send box second-message-that-is-longer
    waits second
    : >go
    ended_with 2 receiver
    run -0 within fifo-recv box
    assert_output second-message-that-is-longer
    ended_with 0 second
}

@test "a receiver that never has to wait still sees its deadline, a signal, and removal" {
    fifo-make box
    start writer bash -c 'exec yes 1<>box' # it is a reader too, and so outlives ours
    milliseconds within fifo-recv -q -f -t 500ms box >/dev/null || [ $? = 124 ]
    between 490 10000 "$took"
    start receiver fifo-recv -f box
    wait_until test -s receiver.out
    kill -TERM "$(cat receiver.pid)"
    ended_with 143 receiver
    start receiver fifo-recv -f box
    wait_until test -s receiver.out
    rm box
    ended_with 3 receiver
}

@test "-n at a drop box whose reader leaves in between is 1" {
    as_another_user
    chmod 777 .
    fifo-make -m 622 drop
    for call in openat:3 write:1; do # the third open is the one behind the probe
        start reader bash -c 'exec 7<>drop; sleep 60'
        waits reader
        start sender "${NOBODY[@]}" strace -o trace -e trace="${call%:*}" \
            -e inject="${call%:*}:delay_enter=1500000:when=${call#*:}" fifo-send -q -n drop x
        sleep 0.3
        kill -KILL -- "-${PEERS[-2]}"
        wait_until test -s sender.status
        [ "$(cat sender.status)" = 1 ]
    done
}

@test "removal of a mailbox behind a symbolic link is noticed, with inotify and without" {
    mkdir real
    for busy in '' yes; do
        fifo-make real/box
        ln -sf real/box link
        start receiver strace -o trace fifo-recv link
        dozes trace
        [ -z "$busy" ] || wait_until others_leave real inotify_init
        rm real/box
        ended_with 3 receiver
    done
}

@test "a long-lived sender at a drop box does not collect descriptors" {
    as_another_user
    fifo-make -m 622 drop
    seq 30 >sent
    STDIN=sent start sender "${NOBODY[@]}" fifo-send -l drop
    for n in {1..20}; do
        run -0 within fifo-recv drop
        assert_output "$n"
    done
    (($(find "/proc/$(cat sender.pid)/fd" -mindepth 1 | wc -l) < 15))
}

@test "a standard error that nobody reads does not hold us for ever" {
    fifo-make box err
    exec 7<>err
    # Full to the last byte.
    perl -MFcntl -e 'open(F, "+<", "err"); fcntl(F, F_SETFL, O_NONBLOCK); 1 while syswrite(F, "x" x 4096)'
    milliseconds within fifo-recv -t 100ms box 2>&7 || [ $? = 124 ]
    between 90 5000 "$took"
    exec 7>&-
}

@test "messages of fixed size: a withdrawal takes out ours, not what looks like it across two others" {
    fifo-make box
    exec 7<>box
    printf 'a\nAB\nb' >box
    run -124 bash -c 'printf "AB\n" | timeout -s KILL 10 fifo-send -q -s 3 -t 200ms box'
    within fifo-recv -n -s 3 -c 2 box >got
    printf 'a\nAB\nb' | cmp - got
    run -1 within fifo-recv -q -n -s 3 box
    exec 7>&-
}

@test "looking at an unfinished long line, with --peek or -n, takes nothing of it" {
    fifo-make box
    exec 7<>box
    head -c 5000 /dev/zero | tr '\0' x >sent
    cat sent >box
    run -1 within fifo-recv -q --peek -n box
    run -124 within fifo-recv -q --peek -t 100ms box
    run -1 within fifo-recv -q -n box
    echo tail | tee -a sent >box
    within fifo-recv -n box | cmp - sent
    exec 7>&-
}

@test "--max-size holds for a line whose writer has gone" {
    fifo-make box
    start receiver fifo-recv -t 5 --max-size 4 box
    waits receiver
    within bash -c 'printf aaaaaaaaaa >box'
    ended_with 5 receiver
    [ ! -s receiver.out ]
}

@test "a limit on file sizes is an error, not a death, and the message stays" {
    fifo-make box
    seq 1000 >content
    STDIN=content start sender fifo-send box
    waits sender
    # shellcheck disable=SC2016
    run -2 within bash -c 'ulimit -f 1 && exec fifo-recv box >out' 3>&-
    one_line "cannot write to standard output.*File too large" "$output"
    within fifo-recv box | cmp - content
    ended_with 0 sender
}

@test "who could not be woken does not wait" {
    fifo-make box
    run -2 on_stderr strace -o trace -e inject=fcntl:error=ENOMEM fifo-recv -t 5 box
    assert_line --partial 'cannot wait for it'
}

@test "a long diagnostic for a standard error that is nearly full holds up nobody" {
    mkfifo full
    exec 8<>full
    head -c 61440 /dev/zero >&8
    milliseconds within fifo-recv -t 0.3 "$(printf '\001%.0s' {1..3000})" 2>&8 8>&- || assert_equal $? 3
    between 0 20000 "$took"
    exec 8>&-
}

@test "with standard input closed, nothing of ours becomes the stream" {
    fifo-make box
    start reader cat box
    run -2 bash -c 'exec timeout -s KILL 60 fifo-send -R -t 20 box <&-'
    one_line 'Bad file descriptor' "$output"
    # One that waits for a reader opens something else before the mailbox.
    fifo-make other
    start late bash -c 'exec fifo-send -v -R -t 20 other <&-'
    waits late
    sleep 0.1
    exec 7<>other
    ended_with 2 late
    [ "$(timeout 1 dd bs=1 count=1 iflag=nonblock status=none <&7 2>/dev/null | wc -c)" = 0 ]
    exec 7>&-
}

# locked BYTE: somebody holds a read lock on that byte of `box`, until the test ends.
locked() {
    start locker perl -MFcntl -e '
        open(F, "<", "box") or die;
        fcntl(F, 37, pack("s s x![q] q q i x![q]", F_RDLCK, 0, $ARGV[0], 1, 0)) or die $!; # F_OFD_SETLK
        print "ready\n"; $| = 1; close STDOUT; sleep 60' "$1"
    wait_until test -s locker.out
}

@test "locks that somebody holds for ever end in 124 or 1, and nothing is said to be taken" {
    local byte
    fifo-make box
    exec 7<>box
    head -c 2000000 /dev/urandom >sent
    for byte in 1 3; do
        locked "$byte"
        for content in /dev/null sent; do
            refused 124 'timed out' bash -c 'exec fifo-send -t 0.3 box <"$0"' "$content" 7>&-
            refused 1 . bash -c 'exec fifo-send -n box <"$0"' "$content" 7>&-
        done
        kill -KILL "$(cat locker.pid)"
        wait_until test -s locker.status
    done
    refused 1 empty fifo-recv -n box
    exec 7>&-
}

@test "a header that claims the message behind it, and comes just before that, does not get it" {
    local size call
    fifo-make box
    exec 7<>box
    for size in 20 30000; do
        call=$([ "$size" = 20 ] && echo write || echo splice)
        head -c "$size" /dev/urandom >sent
        STDIN=sent start sender strace -o trace -e trace="$call,ioctl" -e inject="$call:delay_enter=500000:when=1" \
            fifo-send -t 20 box 7>&-
        wait_until grep -q FIONREAD trace
        pause
        perl -e 'print pack("C a2 C a C v V V", 255, "fm", 2, "R", 0, 16, 16 + 16 + $ARGV[0], 0)' "$size" >&7
        run -5 within fifo-recv -q -t 20 box
        start receiver fifo-recv -t 20 box 7>&-
        ended_with 0 sender receiver
        cmp sent receiver.out
    done
    exec 7>&-
}

@test "who may only write does not say 0 of a message that another's header may have claimed" {
    as_another_user
    fifo-make -m 622 box
    exec 7<>box
    install -m 666 /dev/null trace
    start sender "${NOBODY[@]}" strace -o trace -e trace=write,ioctl -e inject=write:delay_enter=500000:when=1 \
        fifo-send -t 20 box hello 7>&-
    wait_until grep -q FIONREAD trace
    pause
    perl -e 'print pack("C a2 C a C v V V", 255, "fm", 2, "R", 0, 16, 22, 0)' >&7
    within fifo-recv -q -t 20 box || true
    ended_with 4 sender
    exec 7>&-
}

@test "who may only write does not say 0 when readers have come and gone before it could write" {
    local openers
    as_another_user
    for openers in 1 2 3; do
        rm -f box trace
        fifo-make -m 622 box
        install -m 666 /dev/null trace
        printf 'two\nlines' >sent
        STDIN=sent start sender "${NOBODY[@]}" strace -o trace -e trace=write -e inject=write:delay_enter=200000 \
            fifo-send -t 20 box
        for ((n = 0; n < openers; n++)); do
            within bash -c ': <box'
            wait_until bash -c '[ "$(grep -c EPIPE trace)" -gt "$0" ]' "$n"
        done
        within fifo-recv -t 20 box >got
        cmp sent got
        ended_with 0 sender
    done
}

@test "a mailbox that is made smaller between two parts carries the rest in smaller ones" {
    fifo-make box
    exec 7<>box
    head -c 1500000 /dev/urandom >sent
    STDIN=sent start sender fifo-send -t 30 box 7>&-
    wait_until bash -c '[ "$(fifo-recv -n --peek --max-size=1 box 2>&1 | grep -c longer)" = 1 ]'
    waits sender
    kill -STOP "$(cat sender.pid)"
    start receiver fifo-recv -t 30 box 7>&-
    # It has read the first part.
    wait_until perl -e 'my $n = pack("i", 0); ioctl(STDIN, 0x541B, $n); exit(unpack("i", $n) != 0)' <&7
    perl -MFcntl -e 'fcntl(STDIN, 1031, 65536) or die $!' <&7
    kill -CONT "$(cat sender.pid)"
    ended_with 0 sender receiver
    cmp sent receiver.out
    exec 7>&-
}

@test "a part that was cut short, for a raw writer was quicker, is taken out, and everything is whole" {
    run -0 within python3 -B "$ROOT/tests/fifo/short.py" 1500000
}
