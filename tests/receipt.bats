# shellcheck shell=bash
# Goal: the sender learns who has taken each message, and it is true; and who keeps a mailbox to itself is told.
load helper

@test "a receipt has four columns: pid, uid, name and time" {
    local box pid uid name waited rest
    fifo-make box
    fifo-make -b 2 store
    for box in box store; do
        start receiver fifo-recv --name=bob -c 2 "$box"
        within fifo-send --receipt -t 5 "$box" one two >receipts
        ended_with 0 receiver
        assert_equal "$(cat receiver.out)" "one
two"
        assert_equal "$(wc -l <receipts)" 2
        while read -r pid uid name waited rest; do
            assert_equal "$pid $uid $name $rest" "$(cat receiver.pid) $(id -u) bob "
            assert_regex "$waited" '^[0-9]+\.[0-9]{6}$'
        done <receipts
    done
    nothing_left
}

@test "without --name it is the program that runs the receiver; a name never spoils the columns" {
    fifo-make box
    cp /bin/bash ./worker
    ./worker -c 'timeout 10 true; fifo-recv box >/dev/null; :' 3>&- &
    run -0 within fifo-send --receipt -t 5 box x
    assert_regex "$output" '^[0-9]+ [0-9]+ worker [0-9.]+$'
    wait $!
    start receiver fifo-recv --name=$'a b\nc\e[31m' box
    run -0 within fifo-send --receipt -t 5 box x
    assert_regex "$output" '^[0-9]+ [0-9]+ a_b [0-9.]+$'
    start receiver fifo-recv --name= box
    run -0 within fifo-send --receipt -t 5 box x
    assert_regex "$output" '^[0-9]+ [0-9]+ - [0-9.]+$'
}

@test "the time is that until it was taken" {
    local box
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        start sender fifo-send --receipt "$box" x
        waits sender
        sleep 0.5
        run -0 within fifo-recv "$box"
        ended_with 0 sender
        read -r _ _ _ waited <sender.out
        between 500 5000 "$((10#${waited%.*} * 1000 + 10#${waited#*.} / 1000))"
    done
}

@test "COMMAND has succeeded before there is a receipt; one that fails gives none" {
    local box
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        start sender fifo-send --receipt "$box" x
        run -1 within fifo-recv -q --name=first "$box" false
        waits sender
        [ ! -s sender.out ]
        run -0 within fifo-recv --name=second "$box" true
        ended_with 0 sender
        assert_regex "$(cat sender.out)" '^[0-9]+ [0-9]+ second '
    done
}

@test "a receiver that is killed with the message in hand gives no receipt, the next one does" {
    local box
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        start sender fifo-send --receipt "$box" x
        start victim fifo-recv --name=victim "$box" sleep 60
        wait_until pgrep -P "$(cat victim.pid)" -x sleep
        kill -KILL "$(cat victim.pid)"
        run -0 within fifo-recv --name=next "$box"
        assert_output x
        ended_with 0 sender
        assert_regex "$(cat sender.out)" '^[0-9]+ [0-9]+ next '
    done
}

@test "a program that gives no receipts leaves dashes" {
    fifo-make box
    start sender fifo-send --receipt box x
    waits sender
    run -0 within dd if=box bs=4096 count=1 status=none of=/dev/null
    ended_with 0 sender
    assert_regex "$(cat sender.out)" '^- - - [0-9.]+$'
}

@test "with -t it is withdrawn when nobody takes it" {
    fifo-make -b unbounded store
    refused 124 'the message is withdrawn' fifo-send --receipt -t 100ms store x
    refused 1 'the message is withdrawn' fifo-send --receipt -n store x
    refused 1 empty fifo-recv -n store
    # Behind others, and before others, that come and stay.
    fifo-send store first
    start sender fifo-send --receipt -t 2 store withdrawn
    waits sender
    fifo-send store last
    start holder fifo-recv store sleep 60
    wait_until pgrep -P "$(cat holder.pid)" -x sleep
    ended_with 124 sender
    run -0 within fifo-recv store
    assert_output last
    kill -KILL "$(cat holder.pid)"
    wait_until test -s holder.status
    run -0 within fifo-recv store
    assert_output first
    refused 1 empty fifo-recv -n store
}

@test "-x: who comes second is told who is there" {
    local box pid
    fifo-make box
    fifo-make -b 5 store
    for box in box store; do
        start first fifo-recv -x -f "$box"
        waits first
        pid=$(cat first.pid)
        refused 1 "busy: process $pid has it to itself" fifo-recv -n "$box"
        refused 1 "busy: process $pid has it to itself" fifo-recv -x -n "$box"
        within strace -f -o trace fifo-recv -qn "$box" || [ $? = 1 ]
        run -1 grep F_OFD_SETLKW trace # nor did it wait for that
        refused 124 "process $pid has it to itself" fifo-recv -t 100ms "$box"
        refused 124 "process $pid has it to itself" fifo-recv -x -t 100ms "$box"
        mkfifo -m 600 "feed.$box"
        STDIN="feed.$box" start sender fifo-send -l -x "$box"
        exec 8>"feed.$box"
        echo one >&8
        wait_until grep -q one first.out
        pid=$(cat sender.pid)
        refused 1 "busy: process $pid has it to itself" fifo-send -n "$box" x 8>&-
        refused 124 "process $pid has it to itself" fifo-send -x -t 100ms "$box" x 8>&-
        echo two >&8
        exec 8>&-
        ended_with 0 sender
        wait_until grep -q two first.out
        run -0 within fifo-rm -f "$box" # it may have printed it, and not yet taken it
        ended_with 3 first
    done
}

@test "a message that is moved to the dead letters is no longer waited for" {
    fifo-make -b unbounded jobs
    fifo-make -b unbounded dead
    start sender fifo-send --receipt jobs x
    start killed fifo-recv jobs sleep 60
    wait_until pgrep -P "$(cat killed.pid)" -x sleep
    kill -KILL "$(cat killed.pid)"
    ended_with 137 killed
    run -1 on_stderr fifo-recv -n --max-tries=1 --dead=dead jobs true
    ended_with 0 sender
    assert_regex "$(cat sender.out)" '^- - - [0-9.]+$'
    left_in dead x
}

@test "a receiver that has no descriptor left for a receipt leaves the message" {
    fifo-make -b unbounded jobs
    start sender fifo-send --receipt jobs x
    within fifo-recv --peek jobs >/dev/null
    for n in 7 8 9 10 11 12; do
        run within bash -c 'ulimit -n "$1" && exec fifo-recv -n jobs' - "$n"
        [ "$status" != 0 ] || break
        assert_output --partial 'Too many open files'
    done
    ended_with 0 sender
    refute_output --partial '- - -'
    assert_regex "$(cat sender.out)" '^[0-9]+ [0-9]+ [^ ]+ [0-9.]+$'
}
