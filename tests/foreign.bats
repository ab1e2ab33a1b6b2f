# shellcheck shell=bash
# Goal: it is still a FIFO. Programs that know nothing of us read and write it, and damage at most their own messages.
load helper

@test "echo beside fifo-recv is a message" {
    fifo-make box
    start receiver fifo-recv box
    waits receiver
    within bash -c 'echo hi >box'
    ended_with 0 receiver
    run -0 cat receiver.out
    assert_output hi
}

@test "echo before fifo-recv waits for it" {
    fifo-make box
    start echo bash -c 'echo early >box'
    run -0 within fifo-recv box
    assert_output early
    ended_with 0 echo
}

@test "several lines of one raw writer are several messages" {
    fifo-make box
    start writer bash -c 'printf "1\n2\n\n3\n" >box'
    run -0 within fifo-recv -c 4 box
    assert_output $'1\n2\n\n3'
}

@test "one raw writer's lines stay for the next receiver" {
    fifo-make box
    exec 7<>box
    printf '1\n2\n3\n' >box
    for line in 1 2 3; do # not i: that one is run's
        run -0 within fifo-recv box
        assert_output "$line"
    done
    exec 7>&-
}

@test "cat beside fifo-send gets the line" {
    fifo-make box
    start cat cat box
    waits cat
    within fifo-send box 'to cat'
    ended_with 0 cat
    run -0 cat cat.out
    assert_output 'to cat'
}

@test "bash's read gets one line at a time, of senders that each end with 0" {
    fifo-make box
    for i in 1 2 3; do
        start "sender$i" fifo-send box "line $i"
        waits "sender$i"
    done
    run -0 within bash -c 'for i in 1 2 3; do read -r line; echo "<$line>"; done <box | sort'
    assert_output $'<line 1>\n<line 2>\n<line 3>'
    ended_with 0 sender1 sender2 sender3
}

@test "a program that holds the FIFO open for both and reads at once takes the message" {
    fifo-make box
    start reader bash -c 'exec 7<>box; for i in 1 2; do read -r line <&7; echo "$line"; done'
    waits reader
    within fifo-send box one
    within fifo-send -n box two
    ended_with 0 reader
    run -0 cat reader.out
    assert_output $'one\ntwo'
}

@test "a FIFO made by mkfifo is a mailbox" {
    mkfifo box
    start sender fifo-send box hello
    run -0 within fifo-recv box
    assert_output hello
    ended_with 0 sender
}

@test "printf without a newline is delivered when that writer has gone" {
    fifo-make box
    start receiver fifo-recv box
    waits receiver
    within bash -c 'printf abc >box'
    ended_with 0 receiver
    printf abc | cmp - receiver.out
}

@test "printf without a newline is not delivered while its writer is still there" {
    fifo-make box
    start receiver fifo-recv box
    waits receiver
    within bash -c 'exec >box; printf abc; sleep 0.3; printf "def\n"'
    ended_with 0 receiver
    run -0 cat receiver.out
    assert_output abcdef
}

@test "printf without a newline, whose writer had gone before the receiver came" {
    fifo-make box
    start holder fifo-recv box sleep 60 # opens it, and has the message in hand
    waits holder
    within bash -c 'printf abc >box'
    wait_until pgrep -g "$(ps -o pgid= -p "$(cat holder.pid)" | tr -d ' ')" sleep
    start receiver fifo-recv box
    waits receiver
    kill -KILL "$(cat holder.pid)"
    ended_with 0 receiver
    printf abc | cmp - receiver.out
}

@test "printf without a newline does not get stuck to a message that comes after it" {
    fifo-make box
    exec 7<>box
    printf abc >box
    start sender fifo-send box message
    within fifo-recv box >first
    printf abc | cmp - first
    run -0 within fifo-recv box
    assert_output message
    ended_with 0 sender
    exec 7>&-
}

@test "a raw fragment that gets in between a sender's look and its write does not get stuck to the message" {
    fifo-make box
    start receiver fifo-recv -f box
    waits receiver
    start sender strace -o trace -e trace=write,ioctl -e inject=write:delay_enter=1500000:when=1 fifo-send box message
    wait_until grep -q FIONREAD trace
    sleep 0.1
    printf abc >box
    ended_with 0 sender
    # The fault was hit: the first look saw nothing, the one after the write more than the message.
    run -0 grep -c FIONREAD trace
    grep -q 'FIONREAD, \[11\]' trace
    wait_until test "$(cat receiver.out)" = abcmessage
    kill "$(cat receiver.pid)"
    start again fifo-recv -v -c 2 box
    waits again
    start sender strace -o trace -e trace=write,ioctl -e inject=write:delay_enter=1500000:when=1 fifo-send box message
    wait_until grep -q FIONREAD trace
    sleep 0.1
    printf abc >box
    ended_with 0 again sender
    run -0 cat again.err
    assert_line --index 0 --partial 'message of 3 bytes'
    assert_line --index 1 --partial 'message of 8 bytes'
}

@test "a raw line longer than PIPE_BUF, and one longer than the pipe, come whole" {
    fifo-make box
    for size in 5000 70000 1000000; do
        head -c "$size" /dev/zero | tr '\0' z >sent
        echo >>sent
        start writer bash -c 'cat sent >box'
        start receiver fifo-recv box
        ended_with 0 receiver writer
        cmp sent receiver.out
    done
}

@test "a raw line longer than PIPE_BUF without a newline comes whole when its writer has gone" {
    fifo-make box
    head -c 100000 /dev/zero | tr '\0' z >sent
    start receiver fifo-recv box
    waits receiver
    within bash -c 'cat sent >box'
    ended_with 0 receiver
    cmp sent receiver.out
}

@test "the end of a raw line that comes just as the receiver asks whether its writer has gone is not cut off" {
    fifo-make box
    start receiver strace -o trace -e trace=poll -e inject=poll:delay_enter=1500000 fifo-recv box
    waits receiver
    within bash -c 'exec >box; head -c 8192 /dev/zero | tr "\\0" z; sleep 1.7; echo end'
    ended_with 0 receiver
    [ "$(stat -c %s receiver.out)" = 8196 ]
}

@test "what follows a long raw line stays for the next receiver" {
    fifo-make box
    head -c 100000 /dev/zero | tr '\0' z >sent
    printf '\nnext\n' >>sent
    start writer bash -c 'exec 7<>box; cat sent >&7; sleep 60'
    within fifo-recv box >got
    [ "$(stat -c %s got)" = 100001 ]
    run -0 within fifo-recv box
    assert_output next
}

@test "a raw line longer than --max-size is skipped with 5, and what follows is good" {
    fifo-make box
    {
        head -c 200000 /dev/zero | tr '\0' z
        printf '\ngood\n'
    } >sent
    start writer bash -c 'exec 7<>box; cat sent >&7; sleep 60'
    run -5 within fifo-recv --max-size=64K box
    assert_output "fifo-recv: 'box': skipped a line longer than --max-size"
    run -0 within fifo-recv box
    assert_output good
}

@test "process substitution: fifo-recv <(command) receives its lines, then 3" {
    run -0 within bash -c 'fifo-recv <(echo one)'
    assert_output one
    run -3 --separate-stderr within bash -c 'fifo-recv -q -f <(seq 3; printf end)'
    assert_output $'1\n2\n3\nend'
}

@test "process substitution: fifo-send >(command) sends to it" {
    run -0 within bash -c 'fifo-send >(read -r line; echo "<$line>" >got) hello; status=$?; wait $!; exit $status'
    wait_until test -s got
    [ "$(cat got)" = '<hello>' ]
    run -3 within bash -c 'fifo-send -q >(exec <&-) nobody reads this'
}

@test "standard input as a mailbox, in a pipeline" {
    run -0 within bash -c 'printf "1\n2\n" | fifo-recv -c 2 /dev/stdin'
    assert_output $'1\n2'
}

@test "withdrawing from behind raw lines leaves them there, whole and in order" {
    fifo-make box
    exec 7<>box
    printf 'raw 1\nraw 2\n' >box
    for message in short "$(printf 'two\nlines')" "$(head -c 9000 /dev/zero | tr '\0' w)"; do
        run -124 within fifo-send -q -t 100ms box "$message"
    done
    run -0 within fifo-recv -c 2 box
    assert_output $'raw 1\nraw 2'
    run -1 within fifo-recv -q -n box
    exec 7>&-
}

@test "withdrawing from before raw lines leaves them there" {
    fifo-make box
    exec 7<>box
    start sender fifo-send -q -t 2 box mine
    waits sender
    printf 'raw 1\nraw 2\n' >box
    ended_with 124 sender
    run -0 within fifo-recv -c 2 box
    assert_output $'raw 1\nraw 2'
    run -1 within fifo-recv -q -n box
    exec 7>&-
}

@test "a message behind a full pipe of raw lines waits for room, and gives up in time" {
    fifo-make box
    start raw bash -c 'exec 7<>box; exec yes raw >&7'
    wait_until test "$(timeout 5 fifo-recv --peek box)" = raw
    for i in 1 2 3; do
        milliseconds within fifo-send -q -t 100ms box late || [ $? = 124 ]
        between 90 10000 "$took"
    done
    run -1 within fifo-send -q -n box late
    kill -KILL "$(cat raw.pid)"
    within timeout 2 bash -c 'while [ "$(fifo-recv -q -n box)" = raw ]; do :; done' || true
    run -1 within fifo-recv -q -n box
}

@test "a sender that waits for room in a full pipe sleeps" {
    fifo-make box
    exec 7<>box
    start filler bash -c 'yes raw >box'
    wait_until bash -c '[ "$(timeout 5 fifo-recv --peek box)" = raw ]'
    waits filler
    start sender strace -o trace fifo-send box late
    dozes trace
    sleep 0.2
    before=$(wc -l <trace)
    sleep 1
    [ "$(wc -l <trace)" = "$before" ]
    exec 7>&-
}

@test "a drop box: who may only write sends to a receiver that is there" {
    as_another_user
    fifo-make -m 622 drop
    run -1 within "${NOBODY[@]}" fifo-send -q -n drop x
    run -124 within "${NOBODY[@]}" fifo-send -q -t 100ms drop x
    start sender "${NOBODY[@]}" fifo-send drop dropped
    waits sender
    run -0 within fifo-recv drop
    assert_output dropped
    ended_with 0 sender
    start sender "${NOBODY[@]}" fifo-send drop never
    waits sender
    rm drop
    ended_with 3 sender
}

@test "a message behind a record of which a raw reader has taken the beginning is not said to be taken" {
    fifo-make box
    exec 7<>box
    start first fifo-send -N box abc 7>&-
    within fifo-recv --peek box >/dev/null
    kill -KILL "$(cat first.pid)"
    ended_with 137 first
    start second fifo-send box hello 7>&-
    waits second
    head -c 5 <&7 >/dev/null
    sleep 0.2
    [ ! -s second.status ]
    cat <&7 >rest &
    wait_until grep -q hello rest
    ended_with 0 second
    kill $!
    exec 7>&-
}

@test "the name of the mailbox is opened once, and never for anything that takes its place" {
    fifo-make box
    exec 7<>box
    printf abc >&7
    start receiver strace -o trace -e trace=openat fifo-recv -t 0.5 box
    status_of receiver
    assert_equal "$(grep -c '"box"' trace)" 1
    exec 7>&-
}
