# shellcheck shell=bash
# Goal: each request gets its own reply or says why not, whoever dies; and nothing is left behind.
load helper

# asks_for N: N processes wait for a reply, or did when they were killed.
asks_for() {
    [ "$(find . -name '.*.????????????????' | wc -l)" = "$1" ]
}

@test "the reply is what COMMAND prints, from a FIFO and from a buffered mailbox" {
    local box
    fifo-make calc
    fifo-make -b 3 store
    for box in calc store; do
        serve server "$box" 'read -r sum; echo "$(($sum))"'
        run -0 within fifo-send -r -t 5 "$box" '2+3' '4*5'
        assert_output "5
20"
        run -0 within fifo-send -r -t 5 -l "$box" <<<$'1+1\n2+2'
        assert_output "2
4"
        kill "$(cat server.pid)"
        ended_with 143 server
        refused 1 empty fifo-recv -n "$box"
        nothing_left
    done
}

@test "a reply has any size and any bytes" {
    local box size
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        serve server "$box" 'cat'
        for size in 1 4056 4057 4096 70000 3000000; do
            head -c "$size" /dev/urandom >sent
            within fifo-send -r -t 10 "$box" <sent >got
            cmp sent got
        done
        fifo-rm "$box"
        ended_with 3 server
    done
    nothing_left
}

@test "COMMAND replies in several parts, and by its standard output" {
    fifo-make box
    # shellcheck disable=SC2016
    serve server box 'fifo-send "$FIFO_REPLY" one two; seq 20000 | fifo-send "$FIFO_REPLY"; echo last'
    run -0 within fifo-send -r -t 5 box x
    assert_equal "$output" "$(echo one && echo two && seq 20000 && echo last)"
}

@test "a reply may come later, from anybody, and be empty" {
    local box
    fifo-make box
    fifo-make -b 1 store
    for box in box store; do
        # shellcheck disable=SC2016
        start server fifo-recv "$box" sh -c 'echo "$FIFO_REPLY" >asked'
        start asker fifo-send -r -t 10 "$box" x
        ended_with 0 server
        waits asker
        [ ! -s asker.out ]
        run -0 within fifo-send "$(cat asked)" answer
        ended_with 0 asker
        assert_equal "$(cat asker.out)" answer
        refused 3 'nobody waits for this reply' fifo-send "$(cat asked)" late
    done
    # shellcheck disable=SC2016
    start server fifo-recv box sh -c 'fifo-send -N "$FIFO_REPLY" ""'
    run -0 within fifo-send -r -t 5 box x
    assert_output ''
    nothing_left
}

@test "a COMMAND that fails is 4, with its status, and the request is withdrawn" {
    local box
    fifo-make box
    fifo-make -b 1 store
    for box in box store; do
        start server fifo-recv "$box" sh -c 'exit 7'
        refused 4 'COMMAND of process [0-9]* failed with status 7' fifo-send -r -t 10 "$box" x
        ended_with 7 server
        one_line 'COMMAND failed; whoever sent the request is told' "$(cat server.err)"
        start server fifo-recv "$box" ./missing
        refused 4 'COMMAND of process [0-9]* failed with status 127' fifo-send -r -t 10 "$box" x
        ended_with 127 server
        refused 1 empty fifo-recv -n "$box"
    done
    nothing_left
}

@test "a server that is killed with a request in hand is 4 at once, and it is withdrawn" {
    local box
    fifo-make box
    fifo-make -b 1 store
    for box in box store; do
        start server fifo-recv "$box" sleep 60
        start asker fifo-send -r -t 15 "$box" x
        wait_until pgrep -P "$(cat server.pid)" -x sleep
        kill -KILL "$(cat server.pid)"
        milliseconds ended_with 4 asker
        between 0 5000 "$took"
        one_line 'has ended without an answer' "$(cat asker.err)"
        wait_until test -s server.status
        refused 1 empty fifo-recv -n "$box"
    done
    nothing_left
}

@test "a request that nobody waits for any more is done once, or dropped when COMMAND fails with it" {
    local box
    fifo-make box
    fifo-make -b 2 store
    exec 7<>box # or what is in it would go with the server
    for box in box store; do
        start asker fifo-send -r "$box" x 7>&-
        start server fifo-recv "$box" sh -c ': >begun; until [ -e go ]; do sleep 0.01; done; fifo-send "$FIFO_REPLY" x' \
            7>&-
        wait_until test -e begun
        kill -KILL "$(cat asker.pid)"
        ended_with 137 asker
        : >go
        ended_with 3 server
        grep -q 'COMMAND failed; nobody waits for a reply any more, so the request is dropped' server.err
        refused 1 empty fifo-recv -n "$box" 7>&-
        rm begun go
        start asker fifo-send -r "$box" x 7>&-
        start server fifo-recv -v "$box" sh -c ': >begun; until [ -e go ]; do sleep 0.01; done; echo y' 7>&-
        wait_until test -e begun
        kill -KILL "$(cat asker.pid)"
        ended_with 137 asker
        : >go
        ended_with 0 server
        grep -q 'nobody has fetched the reply' server.err
        refused 1 empty fifo-recv -n "$box" 7>&-
        rm begun go
    done
    exec 7>&-
    start asker fifo-send -r store x
    waits asker
    kill -KILL "$(cat asker.pid)"
    ended_with 137 asker
    run -0 on_stderr fifo-recv -v store echo y
    assert_line --partial 'nobody has fetched the reply'
    start asker fifo-send -r store x
    waits asker
    kill -KILL "$(cat asker.pid)"
    ended_with 137 asker
    run -1 on_stderr fifo-recv store false
    one_line 'COMMAND failed; nobody waits for a reply any more, so the request is dropped' "$output"
    refused 1 empty fifo-recv -n store
}

@test "a mailbox for a reply that is deleted frees who waits at it" {
    local box
    fifo-make box
    fifo-make -b 2 store
    for box in box store; do
        # shellcheck disable=SC2016
        start server fifo-recv "$box" sh -c 'fifo-rm "$FIFO_REPLY"; sleep 20'
        refused 4 'the mailbox for its reply was removed' fifo-send -r "$box" x
        kill "$(cat server.pid)"
        ended_with 143 server
        run within fifo-recv -qn "$box" # it may have been given back
        # shellcheck disable=SC2016
        start server fifo-recv "$box" sh -c 'echo "$FIFO_REPLY" >asked'
        start asker fifo-send -r "$box" x
        ended_with 0 server
        rm "$(cat asked)"
        ended_with 4 asker
        rm asked
    done
    nothing_left
}

@test "replies are messages, and are not answered" {
    fifo-make box
    # shellcheck disable=SC2016
    start server fifo-recv box sh -c '
        for how in -R "-s 1" -r --receipt; do echo x | fifo-send $how "$FIFO_REPLY"; echo $?; done >statuses; echo end'
    run -0 within fifo-send -r box x
    assert_output end
    ended_with 0 server
    assert_equal "$(tr '\n' ' ' <statuses)" '2 2 2 2 '
    grep -q 'which is a message: -R is not for it' server.err
    grep -q 'which is a message: -s is not for it' server.err
    grep -q 'cannot be asked itself' server.err
    refused 2 'a pipe without a name, with no place beside it for an answer' fifo-send -r /dev/fd/5 x 5> >(cat)
}

@test "a signal while a receiver has the message: that is said, and not that it was withdrawn" {
    fifo-make box
    start receiver fifo-recv box sleep 60
    start sender fifo-send box x
    wait_until pgrep -P "$(cat receiver.pid)" -x sleep
    kill "$(cat sender.pid)"
    ended_with 143 sender
    one_line 'ended by a signal; a receiver may have the message' "$(cat sender.err)"
    kill -KILL "$(cat receiver.pid)"
    ended_with 137 receiver
    # At a buffered mailbox, too, of what is waited for.
    fifo-make -b unbounded store
    for option in -r --receipt; do
        start sender fifo-send "$option" store x
        waits sender
        kill "$(cat sender.pid)"
        ended_with 143 sender
        one_line 'ended by a signal; the message is withdrawn' "$(cat sender.err)"
        refused 1 empty fifo-recv -n store
        start receiver fifo-recv store sleep 60
        start sender fifo-send "$option" store x
        wait_until pgrep -P "$(cat receiver.pid)" -x sleep
        kill "$(cat sender.pid)"
        ended_with 143 sender
        one_line 'ended by a signal; a receiver may have the message' "$(cat sender.err)"
        kill -KILL "$(cat receiver.pid)"
        ended_with 137 receiver
        within fifo-recv -q store >/dev/null
    done
    # Taken, and the reply is still to come.
    for box in box store; do
        # shellcheck disable=SC2016
        start receiver fifo-recv "$box" sh -c 'echo "$FIFO_REPLY" >later'
        start sender fifo-send -r "$box" x
        ended_with 0 receiver
        kill "$(cat sender.pid)"
        ended_with 143 sender
        one_line 'ended by a signal; the message has been taken' "$(cat sender.err)"
    done
    nothing_left
}

@test "not taken in time is 124, or 1, and never will be; taken and not answered is 4" {
    local box
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        refused 124 'the message is withdrawn' fifo-send -r -t 100ms "$box" x
        refused 1 '.' fifo-send -r -n "$box" x
        refused 1 empty fifo-recv -n "$box"
        start server fifo-recv "$box" true
        refused 4 'no reply came' fifo-send -r -t 5 "$box" x
        ended_with 0 server
        start server fifo-recv "$box" sleep 30
        refused 4 'in hand' fifo-send -r -t 2 "$box" x
        kill -KILL "$(cat server.pid)"
        wait_until test -s server.status
        run within fifo-recv -q -n "$box"
    done
    nothing_left
}

@test "a receiver without COMMAND says that it does not reply" {
    local box
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        start receiver fifo-recv -f "$box"
        refused 4 'does not reply' fifo-send -r -t 10 "$box" x
        within fifo-send "$box" y
        wait_until grep -q y receiver.out
        assert_equal "$(cat receiver.out)" "x
y"
        kill "$(cat receiver.pid)"
        ended_with 143 receiver
    done
    nothing_left
}

@test "removal ends who waits for a reply to what was not taken" {
    local box
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        start asker fifo-send -r "$box" x
        waits asker
        run -0 within fifo-rm -f "$box"
        ended_with 3 asker
    done
    nothing_left
}

@test "whatever ends it, a sender leaves no reply mailbox; after SIGKILL the next one sweeps it away" {
    local signal box
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        for signal in INT TERM HUP; do
            start asker env --default-signal=INT,HUP fifo-send -r "$box" x
            wait_until asks_for 1
            waits asker
            kill -"$signal" "$(cat asker.pid)"
            status_of asker
            nothing_left
        done
        start asker fifo-send -r "$box" x
        wait_until asks_for 1
        waits asker
        kill -KILL "$(cat asker.pid)"
        ended_with 137 asker
        asks_for 1
        start living fifo-send -r "$box" y
        wait_until asks_for 1
        waits living
        # It has not taken the living one's away.
        refused 124 withdrawn fifo-send -r -t 200ms "$box" z
        asks_for 1
        kill "$(cat living.pid)"
        ended_with 143 living
        nothing_left
    done
}

@test "a receiver that comes upon the request of a killed sender leaves nothing of it, nor does fifo-rm" {
    local box
    for box in box store; do
        fifo-make box
        fifo-make -b unbounded store
        start asker fifo-send -r store x
        wait_until asks_for 1
        waits asker
        kill -KILL "$(cat asker.pid)"
        ended_with 137 asker
        if [ "$box" = box ]; then
            run -0 within fifo-recv -n store echo reply
        else
            fifo-rm -f store
        fi
        nothing_left
        start asker fifo-send -r box x
        wait_until asks_for 1
        waits asker
        start living fifo-send -r box y
        wait_until asks_for 2
        kill -KILL "$(cat asker.pid)"
        ended_with 137 asker
        fifo-rm -f box store
        ended_with 3 living
        nothing_left
    done
}

@test "who replies without end keeps nobody past the deadline, or from a signal" {
    local box flood
    fifo-make box
    fifo-make -b unbounded store
    # shellcheck disable=SC2016
    for flood in 'yes >"$FIFO_REPLY"' 'tr "\0" z </dev/zero >"$FIFO_REPLY"' 'yes | fifo-send -l "$FIFO_REPLY"'; do
        for box in box store; do
            start server fifo-recv -q "$box" sh -c "$flood"
            milliseconds within fifo-send -q -r -t 1 "$box" x >got || assert_equal $? 4
            between 900 15000 "$took"
            status_of server >/dev/null
            start server fifo-recv -q "$box" sh -c "$flood"
            start asker fifo-send -q -r "$box" x
            case $flood in
                tr*) wait_until pgrep -g "$(ps -o pgid= -p "$(cat server.pid)" | tr -d ' ')" tr ;;
                *) wait_until test -s asker.out ;;
            esac
            kill "$(cat asker.pid)"
            ended_with 143 asker
            status_of server >/dev/null
            within fifo-recv -q -n "$box" >/dev/null || true
        done
    done
    nothing_left
}

@test "a standard output that takes little does not fill the memory with the reply, of which nothing is lost" {
    local most=0 now
    fifo-make box
    mkfifo unread
    exec 8<>unread
    exec 9<unread 8>&-
    # shellcheck disable=SC2016
    start server fifo-recv box sh -c 'seq -f %03999.0f 75000 | fifo-send -l "$FIFO_REPLY"' 9<&-
    # It keeps 64 MiB. The address sanitizer would keep what was freed, too.
    ASAN_OPTIONS=${ASAN_OPTIONS-}:quarantine_size_mb=1 start asker bash -c 'exec fifo-send -r box x >unread' 9<&-
    wait_until memory_is_over 60000
    wait_until has_stopped_growing
    start reader bash -c 'seq -f %03999.0f 75000 | cmp - unread' 9<&-
    # The most that it ever had; sanitizers take more.
    while now=$(memory VmHWM) && [ -n "$now" ]; do
        most=$now
        pause
    done
    ended_with 0 asker server reader
    between 65000 250000 "$most"
    nothing_left
}

# memory FIELD: the sender's, in KiB.
memory() {
    awk -v field="$1:" '$1 == field { print $2 }' "/proc/$(<asker.pid)/status" 2>/dev/null
}

memory_is_over() {
    (($(memory VmRSS) > $1))
}

has_stopped_growing() {
    local before
    before=$(memory VmRSS)
    sleep 0.7
    [ "$(memory VmRSS)" = "$before" ]
}

@test "a receiver that could not start COMMAND does not speak for it" {
    local n got=0
    fifo-make box
    for n in 9 10; do
        start asker fifo-send -r -t 20 box x
        waits asker
        # shellcheck disable=SC2016
        within bash -c 'ulimit -n "$1" && exec fifo-recv box echo reply' - "$n" 2>said 3>&- || got=$?
        assert_equal "$got" 2
        ended_with 4 asker
        one_line 'its receiver has ended without an answer' "$(cat asker.err)"
        refused 1 empty fifo-recv -n box
    done
}

@test "a sender that waits behind others for its turn leaves nothing either when a signal ends it" {
    fifo-make box
    start first fifo-send box first
    waits first
    start asker fifo-send -r box x
    wait_until asks_for 1
    waits asker
    kill "$(cat asker.pid)"
    ended_with 143 asker
    nothing_left
}

@test "a reply to a sender that is gone does not hold up the server, nor does one that is stopped for good" {
    fifo-make box
    # shellcheck disable=SC2016
    start server fifo-recv -v box sh -c 'touch begun; while [ ! -e go ]; do sleep 0.01; done; echo late'
    start asker fifo-send -r box x
    wait_until test -e begun
    kill -KILL "$(cat asker.pid)"
    ended_with 137 asker
    touch go
    ended_with 0 server
    start server fifo-recv box sh -c 'echo reply'
    start asker fifo-send -r box x
    status_of server >/dev/null
    status_of asker >/dev/null
    start server fifo-recv -q -t 3 box sh -c 'touch second; until [ -e stopped ]; do sleep 0.01; done; echo reply'
    start asker fifo-send -r box x
    wait_until test -e second
    kill -STOP "$(cat asker.pid)"
    touch stopped
    milliseconds status_of server
    between 0 12000 "$took"
    kill -CONT "$(cat asker.pid)"
    status_of asker >/dev/null
}

@test "a standard output that is read slowly gets all of it" {
    fifo-make box
    # shellcheck disable=SC2016
    start server fifo-recv box sh -c 'seq 30000 | fifo-send "$FIFO_REPLY"; seq 30001 60000'
    fifo-send -r -t 15 box x | (
        for n in {1..20}; do
            head -c 1000
            sleep 0.02
        done
        cat
    ) >got
    seq 60000 | cmp - got
    ended_with 0 server
    # Also while COMMAND is still at work.
    # shellcheck disable=SC2016
    start server fifo-recv box sh -c 'seq 50000 | fifo-send "$FIFO_REPLY"; until [ -e go ]; do sleep 0.01; done'
    fifo-send -r -t 15 box x | (
        sleep 0.2
        head -c 288894 >got
        : >go
    )
    seq 50000 | cmp - got
    ended_with 0 server
}

@test "a COMMAND that opens its standard output anew cuts nothing off" {
    fifo-make box
    start server fifo-recv box bash -c 'echo one; echo two >>/dev/stdout; echo three; (echo lost >/dev/stdout) 2>/dev/null; :'
    run -0 within fifo-send -r -t 5 box x
    assert_output "one
two
three"
}

@test "removed while a receiver has the request in hand is 4" {
    local option
    for option in -r --receipt; do
        fifo-make -b unbounded store
        start server fifo-recv store sleep 60
        start asker fifo-send "$option" store x
        wait_until pgrep -P "$(cat server.pid)" -x sleep
        run -0 within fifo-rm -f store
        ended_with 4 asker
        kill -KILL "$(cat server.pid)"
        wait_until test -s server.status
    done
    nothing_left
}

@test "a directory on the way that is renamed meanwhile keeps nothing" {
    mkdir place
    fifo-make -b unbounded place/store
    start asker fifo-send -r place/store x
    wait_until asks_for 1
    waits asker
    mv place elsewhere
    kill "$(cat asker.pid)"
    ended_with 143 asker
    nothing_left
}

@test "where no reply mailbox can be made, that is said, and nothing is sent" {
    as_another_user
    mkdir -m 755 shut
    fifo-make -m 666 shut/box
    refused 2 'use a mailbox in a directory where you may make files' "${NOBODY[@]}" fifo-send -r -t 1 shut/box x
    refused 1 empty fifo-recv -n shut/box
}

@test "a server of another user replies, with any size" {
    as_another_user
    mkdir -m 777 open
    fifo-make -m 666 open/box
    head -c 100000 /dev/urandom >sent
    chmod 644 sent
    start server fifo-recv open/box cat sent
    "${NOBODY[@]}" timeout 10 fifo-send -r -t 5 open/box x >got
    cmp sent got
    ended_with 0 server
}

# A request as a hostile sender may write it: with the token $1, of 32 hexadecimal digits.
request() {
    perl -e 'print pack("H*", shift), "x\n"' "ff666d02520028002a00000000000000${1}0200000000000000"
}

@test "a hostile request makes a receiver write to nothing but a reply mailbox" {
    local n=0 kind directory=.box.00112233445566ab file=8899aabbccddeeff
    local token=${directory#.box.}$file
    fifo-make box
    echo precious >victim
    fifo-make elsewhere
    for kind in none regular link fifo linked_directory hard; do
        rm -rf "$directory" aside
        mkdir -p "$directory"
        case $kind in
        regular) echo precious >"$directory/$file" ;;
        link) ln -s "$PWD/elsewhere" "$directory/$file" ;;
        fifo) mkfifo "$directory/$file" ;;
        linked_directory)
            mv "$directory" aside
            mkfifo -m 1622 "aside/$file" 2>/dev/null || { mkfifo "aside/$file" && chmod 1622 "aside/$file"; }
            ln -s aside "$directory"
            ;;
        hard)
            mkfifo other && chmod 1622 other && ln other "$directory/$file"
            ;;
        esac
        exec 8<>elsewhere
        request "$token" >box 8>&- &
        run -0 within fifo-recv box sh -c 'echo reply' 8>&-
        wait $!
        run timeout 1 dd bs=1 count=1 status=none iflag=nonblock <&8
        assert_output --partial 'Resource temporarily unavailable'
        exec 8>&-
        [ "$kind" != regular ] || assert_equal "$(cat "$directory/$file")" precious
        n=$((n + 1))
        # shellcheck disable=SC2016
        refused 3 '.' fifo-send -t 2 "$PWD/$directory/$file" x
    done
    assert_equal "$n" 6
}

@test "a notice in a mailbox that is none for replies is damage" {
    fifo-make box
    perl -e 'print pack "H*", shift' ff666d024e001000110000000000000041 >box &
    run -5 on_stderr fifo-recv box
    one_line 'skipped a damaged message' "$output"
    wait $!
}

@test "a reply goes through no link that was put in the place of its directory meanwhile" {
    local how
    fifo-make box
    mkdir elsewhere
    # shellcheck disable=SC2016
    for how in 'echo secret' 'fifo-send "$FIFO_REPLY" secret'; do
        start asker fifo-send -r -t 10 box x
        # shellcheck disable=SC2016
        start server fifo-recv box sh -c 'd=${FIFO_REPLY%/*}; f=${FIFO_REPLY##*/}; rm -rf moved elsewhere/*
            mv "$d" moved; mkfifo "elsewhere/$f"; chmod 1622 "elsewhere/$f"; ln -s "$PWD/elsewhere" "$d"
            exec 9<>"elsewhere/$f"; eval "$0"; timeout 0.2 cat <&9 >stolen; rm "$d"; exit 0' "$how"
        ended_with 0 server
        [ ! -s stolen ]
        ended_with 4 asker
        rm -rf moved
    done
}

@test "of two receivers that reply, because the first was killed, one is heard" {
    local box
    fifo-make box
    fifo-make -b 2 store
    exec 7<>box
    for box in box store; do
        start asker fifo-send -r -t 15 "$box" x 7>&-
        # shellcheck disable=SC2016
        start first fifo-recv "$box" sh -c 'fifo-send -N "$FIFO_REPLY" first; : >begun; sleep 60' 7>&-
        wait_until test -e begun
        kill -STOP "$(<asker.pid)"
        kill -KILL "$(<first.pid)"
        start second fifo-recv "$box" echo second 7>&-
        waits second
        sleep 0.3 # to COMMAND, and to the reply
        kill -CONT "$(<asker.pid)"
        ended_with 4 asker
        assert_equal "$(<asker.out)" first
        kill "$(<second.pid)" 2>/dev/null || true
        rm begun
    done
    exec 7>&-
}

@test "a mailbox for a reply that is moved, or has too long a name, is none" {
    local deep
    fifo-make box
    start asker fifo-send -r box x
    run -0 within fifo-recv --peek box
    kill -STOP "$(cat asker.pid)" # or it might take the request back when it finds out
    mv .box.* moved
    run -0 within fifo-recv box echo hi
    kill -CONT "$(cat asker.pid)"
    ended_with 4 asker
    one_line 'the mailbox for its reply was removed' "$(<asker.err)"
    deep=$PWD
    while ((${#deep} < 3860)); do
        deep+=/$(printf '%0200d' 0)
    done
    deep+=/$(printf "%0$((4060 - ${#deep}))d" 0)
    mkdir -p "$deep"
    fifo-make "$deep/box"
    refused 2 'File name too long' fifo-send -r -t 5 "$deep/box" x
}

@test "a receiver that is killed after its reply: the reply is there, and the request is not done again" {
    fifo-make box
    # Between its notice and the take it looks through what is in the mailbox for the second time.
    start server strace -P "$PWD/box" -o trace -e inject=tee:signal=KILL:when=2 fifo-recv box sed 's/^/reply to /'
    milliseconds run -0 within fifo-send -r -t 15 box one
    assert_output 'reply to one'
    between 0 10000 "$took"
    grep -q 'killed by SIGKILL' trace
    refused 1 empty fifo-recv -n box
    nothing_left
}

@test "while standard output takes nothing, a signal withdraws the request, and waiting costs nothing" {
    local box
    fifo-make box
    fifo-make -b 2 store
    mkfifo unread
    exec 8<>unread
    exec 7<>box
    for box in box store; do
        # shellcheck disable=SC2016
        start server fifo-recv "$box" sh -c 'seq 50000 | fifo-send "$FIFO_REPLY"; (printf abc; : >begun; sleep 60) >"$FIFO_REPLY"' \
            7>&- 8>&-
        start asker bash -c 'exec fifo-send -r "$0" x >unread' "$box" 7>&- 8>&-
        wait_until test -e begun
        waits asker
        before=$(ticks asker)
        sleep 0.5
        after=$(ticks asker)
        ((after <= before + 5)) # of fifty ticks
        kill -KILL "$(<server.pid)"
        ended_with 137 server
        kill "$(<asker.pid)"
        ended_with 143 asker
        refused 1 empty fifo-recv -n "$box" 7>&- 8>&-
        rm begun
    done
    exec 7>&- 8<&-
    nothing_left
}

@test "with too few descriptors nothing is left, and that is said" {
    fifo-make box
    fifo-make -b 3 store
    for n in 5 6 7 8 9 10 32; do
        for box in box store; do
            within bash -c 'ulimit -n "$1" && exec fifo-send -r -t 50ms "$2" x' - "$n" "$box" 2>said 7>&- || got=$?
            case $got in
                2) grep -q 'Too many open files' said ;;
                # It cannot be withdrawn without one to look at it, and nobody has it.
                4) grep -q 'cannot be taken back' said ;;
                127) grep -q 'shared libraries' said ;; # it could not even be loaded
                *) [ "$got" = 124 ] ;;
            esac
            nothing_left
        done
    done
    [ "$got" = 124 ]
}

@test "the options go together as they should" {
    fifo-make box
    refused 2 'exclude each other' fifo-send -r --receipt box x
    refused 2 'not -R, nor -s' fifo-send -r -R box
    refused 2 'not -R, nor -s' fifo-send --receipt -s 4 box
    refused 3 'no such mailbox' fifo-send -r missing x
    nothing_left
}

@test "who shares a standard output that is full with others keeps to the deadline, and hears signals" {
    fifo-make box
    mkfifo out
    exec 9<>out
    head -c 61440 /dev/zero >&9
    # Between the look whether there is room and the write, somebody else takes it.
    for how in -t2 -t60; do
        start server fifo-recv box head -c 3500 /dev/zero
        start asker bash -c 'exec strace -o trace -e trace=poll -e inject=poll:delay_exit=700000 fifo-send -r "$0" box x >&9' \
            "$how"
        wait_until grep -q 'poll.*POLLOUT.*= 1' trace
        head -c 4096 /dev/zero >&9
        [ "$how" = -t2 ] || { sleep 1 && kill "$(pgrep -P "$(cat asker.pid)")"; }
        got=$(status_of asker)
        [ "$how $got" = "-t2 4" ] || [ "$how $got" = "-t60 143" ]
        nothing_left
        head -c 4096 <&9 >/dev/null
        status_of server
    done
    exec 9>&-
}

@test "a name that becomes a link while it is looked at is not followed" {
    local directory=.box.00112233445566ab file=8899aabbccddeeff
    fifo-make box
    fifo-make elsewhere
    mkdir "$directory"
    mkfifo "$directory/$file"
    chmod 1622 "$directory/$file"
    exec 8<>"$directory/$file"
    exec 7<>elsewhere
    # After fstatat(2) has seen the FIFO.
    start sender strace -o trace -e trace=newfstatat,openat -e inject=newfstatat:delay_exit=700000 \
        fifo-send -t 20 "$PWD/$directory/$file" x
    wait_until grep -q "$file" trace
    mv "$directory/$file" "$directory/moved"
    ln -s ../elsewhere "$directory/$file"
    ended_with 3 sender
    run -1 grep -E "openat\(.*$file.*= [0-9]" trace
    exec 7>&- 8>&-
}

@test "a receiver that has no descriptor left for a reply leaves the request" {
    local n
    fifo-make -b unbounded store
    for n in 8 9 10 11 12 13 14 16 20 32; do
        start asker fifo-send -r -t 20 store x
        within fifo-recv --peek store >/dev/null
        run on_stderr bash -c 'ulimit -n "$1" && exec fifo-recv -n store echo reply' - "$n"
        if [ "$status" = 0 ]; then
            ended_with 0 asker
            assert_equal "$(cat asker.out)" reply
            assert_equal "$(cat stdout)" ''
        else
            assert_output --partial 'Too many open files'
            kill "$(cat asker.pid)" || true # it may have seen that one come and go
            status_of asker
        fi
    done
    [ "$status" = 0 ]
    nothing_left
}

@test "a late server with -n is told that nobody waits" {
    fifo-make box
    start asker fifo-send -r box x
    # shellcheck disable=SC2016
    run -0 within fifo-recv box sh -c 'echo "$FIFO_REPLY" >asked'
    kill -KILL "$(cat asker.pid)"
    ended_with 137 asker
    refused 3 'its reader has gone|nobody waits' fifo-send -n "$(cat asked)" late
    start sweeper fifo-send -r -t 10ms box y
    ended_with 124 sweeper
    nothing_left
}

@test "where an answer cannot be printed, nothing is sent" {
    fifo-make -b unbounded store
    for how in -r --receipt; do
        run -2 bash -c 'exec timeout -s KILL 60 fifo-send "$0" store x 2>&1 >&-' "$how"
        one_line 'nothing is sent: Bad file descriptor' "$output"
    done
    refused 1 empty fifo-recv -n store
}

@test "a reply that nobody can read is 4, for the request was taken" {
    local bytes
    fifo-make box
    for bytes in '\377fm\3R\0\20\0\023\0\0\0\0\0\0\0hi\n' '\377fm\1R\0\20\0\023\0\0\0\0\0\0\0hi\n' '\377fm\2Z\0\20\0\023\0\0\0\0\0\0\0hi\n' '\377fm\n'; do
        # shellcheck disable=SC2016
        start server fifo-recv box sh -c 'printf "$0" >"$FIFO_REPLY"; sleep 0.2' "$bytes"
        run -4 on_stderr fifo-send -r box x
        one_line 'taken, but what came as a reply cannot be read' "$output"
        status_of server
        nothing_left
    done
}

@test "who has waited for a reply to be fetched notices the removal of its mailbox" {
    local busy
    for busy in '' yes; do
        fifo-make box
        start asker fifo-send -r -t 30 box x
        waits asker
        # The reply has to wait for it. And the server has not yet waited for anything else.
        kill -STOP "$(cat asker.pid)"
        start server fifo-recv -f box sh -c 'cat; : >ready'
        wait_until test -e ready
        sleep 0.3
        [ -z "$busy" ] || for n in {1..20}; do
            : >"other.$n"
            pause
        done
        kill -CONT "$(cat asker.pid)"
        ended_with 0 asker
        waits server
        rm ready box
        ended_with 3 server
    done
}

@test "a removal while a reply comes in parts is noticed" {
    fifo-make box
    # shellcheck disable=SC2016
    start server fifo-recv box sh -c 'fifo-send "$FIFO_REPLY" a b c; : >begun; sleep 60'
    start asker strace -o trace -e inject=rt_sigtimedwait:delay_enter=700000:when=1 fifo-send -r -t 50 box x
    wait_until test -e begun
    sleep 1
    rm box
    milliseconds status_of asker
    between 0 20000 "$took"
    ended_with 4 asker
}

@test "a receiver that is slow between writing its reply and letting it be taken is waited for" {
    fifo-make box
    start server strace -o trace -e trace=ioctl -e inject=ioctl:delay_enter=250000 fifo-recv box echo yes
    waits server
    run -0 within fifo-send -r -t 30 box x
    assert_output yes
    ended_with 0 server
}

@test "a reply behind what nobody reads any more, for who asked has died, is given up at once" {
    fifo-make box
    # shellcheck disable=SC2016
    start server fifo-recv box sh -c 'until [ -e stopped ]; do sleep 0.01; done
        echo raw >"$FIFO_REPLY"; fifo-send "$FIFO_REPLY" x & echo $! >reply.pid; wait $!; echo $? >reply.status'
    start asker fifo-send -r box x
    wait_until pgrep -g "$(ps -o pgid= -p "$(cat server.pid)" | tr -d ' ')" sleep
    kill -STOP "$(cat asker.pid)"
    : >stopped
    wait_until test -s reply.pid
    waits reply
    sleep 0.2
    kill -KILL "$(cat asker.pid)"
    assert_equal "$(status_of reply)" 3
    status_of server
}
