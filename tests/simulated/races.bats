# shellcheck shell=bash
# Goal: promises hold in the instants that are too short to meet by chance. strace makes them long.
load ../helper

# The mailbox stays alive without peers.
hold() {
    fifo-make box
    exec 8<>box
}

# delayed NAME CALL WHEN MILLISECONDS COMMAND...: starts COMMAND, of whose CALLs the one numbered WHEN is held up before
# it does anything.
delayed() {
    start "$1" strace -f -o "$1.trace" -e "trace=$2" -e "inject=$2:delay_enter=$(($4 * 1000)):when=$3" "${@:5}" 8>&-
}

in_the_call() { # NAME CALL
    wait_until grep -q "^[0-9]* *$2(" "$1.trace"
}

runs() { # NAME PROGRAM: whether the peer runs PROGRAM, itself or by others.
    pgrep -g "$(ps -o pgid= -p "$(<"$1.pid")" | tr -d ' ')" -x "$2" >/dev/null
}

lines_of() { # LETTER COUNT: lines of 8 bytes
    seq "${2}" | awk -v letter="$1" '{ printf "%s%06d\n", letter, $1 }'
}

@test "what a raw receiver is writing to a slow output cannot be taken back, and what comes next is not swallowed" {
    hold
    touch out
    start receiver strace -f -o trace -e trace=write,tee -e inject=write:delay_enter=3000000:when=1 \
        bash -c 'exec fifo-recv -R -t 50 box >>out' 8>&-
    wait_until runs receiver fifo-recv
    start first fifo-send -t 1 box first 8>&-
    ended_with 4 first
    start second fifo-send -t 40 box second 8>&-
    ended_with 0 second
    # As a frame, perhaps, since the receiver was busy; but all of it.
    wait_until eval '(($(stat -c %s out) >= 6 + 7))'
    [ "$(head -n 1 out)" = first ]
}

@test "a raw writer that fills the mailbox just before a batch moves in tears nothing, and gets nothing torn" {
    hold
    # Long enough for a few of them to go by splice(2).
    lines_of m 20000 | sed "s/$/$(printf '%0500d' 0)/" >sent
    lines_of r 50000 >raw
    start receiver fifo-recv -q -c 5000 box 8>&-
    STDIN=sent delayed sender splice 6 700 fifo-send -l -v -t 2 box
    wait_until eval '(($(grep -c " splice(" sender.trace) >= 5))'
    sleep 0.3 # into the delay, for which there is no state to look at
    start writer bash -c 'cat raw >box' 8>&-
    ended_with 0 receiver
    start rest fifo-recv -q -f -t 3 box 8>&-
    run status_of sender
    assert_regex "$output" '^(0|124|4)$'
    ended_with 0 writer
    ended_with 124 rest
    cat receiver.out rest.out >got
    run -1 grep -vxE 'r[0-9]{6}|m[0-9]{506}' got
    grep '^r' got | cmp - raw
    [ -z "$(grep '^m' got | sort | uniq -d)" ]
    taken=$(sed -n 's/.* \([0-9]*\) taken.*/\1/p' sender.err)
    [ "$(grep -c '^m' got)" = "$taken" ]
}

@test "a batch is taken in one step that needs no memory: no read of more than a page from the mailbox" {
    hold
    lines_of m 3000 >&8
    within strace -o trace -e trace=openat,read,splice fifo-recv -q -c 3000 box >got
    cmp got <(lines_of m 3000)
    fd=$(sed -n 's/^openat(.*"box".* = \([0-9]*\)$/\1/p' trace)
    grep -qE "^splice\($fd, NULL, [0-9]+, NULL, 24000, .* = 24000$" trace
    run -1 grep -E "^read\($fd, .* = [0-9]{5,}$" trace
}

@test "messages of fixed size behind a part of one that a raw reader has left are found, and not said to be taken" {
    hold
    seq 1001 1010 | tr -d '\n' >sent
    STDIN=sent start sender fifo-send -v -s 4 -t 1 box 8>&-
    within fifo-recv -s 4 -c 7 box >got
    wait_until test -s got
    dd if=box bs=6 count=1 iflag=fullblock status=none >part
    ended=$(status_of sender)
    run timeout 1 cat <&8
    # What is left belongs to nobody who was told that it was taken.
    if [[ $output == *1010* ]]; then
        [ "$ended" = 4 ]
    else
        assert_regex "$ended" '^(0|124)$'
    fi
}

@test "a receiver to which an empty stream came takes no part of the next one from another" {
    hold
    exec 8>&-
    start early strace -f -o trace -e inject=splice:delay_enter=600000:when=1 fifo-recv -R box
    waits early
    wait_until grep -q rt_sigtimedwait trace
    : >box
    wait_until grep -q 'flock\|splice' trace
    start writer bash -c 'for n in {1..20}; do echo $n; sleep 0.05; done >box'
    start late fifo-recv -R box
    ended_with 0 writer early late
    cat early.out late.out | cmp - <(seq 20)
}

@test "while a message is under way, input is read only where that cannot wait" {
    hold
    mkfifo input
    exec 7<>input
    echo one >&7
    STDIN=input start sender strace -o trace -e trace=read,preadv2,splice,write fifo-send -l box 7>&- 8>&-
    wait_until grep -q '^preadv2(0, .*RWF_NOWAIT' trace
    run -0 grep -c '^read(0' trace
    assert_output 1
    exec 7>&-
    within fifo-recv box >got
    ended_with 0 sender
}

@test "a token that is long in coming does not keep others from the pool" {
    hold
    start slow bash -c '(sleep 3; printf a) | fifo-send -nR box'
    wait_until runs slow fifo-send
    for n in 1 2 3; do
        run -0 within fifo-send -nR box <<<"$n"
    done
    ended_with 0 slow
    run -0 within fifo-recv -s 7 box
    assert_equal "$output" "$(printf '1\n2\n3\na')"
}

@test "where there is no timer, a deadline is an error, and no reason to try again and again" {
    hold
    lines_of m 20000 >sent
    STDIN=sent start sender fifo-send -l -t 5 box 8>&-
    mkfifo slow
    exec 7<>slow
    milliseconds within bash -c 'ulimit -i 0 && exec fifo-recv -q -f -t 30 box >slow' 7>&- 8>&- || [ $? = 2 ]
    between 0 10000 "$took"
    exec 7>&-
}

@test "a non-blocking standard input is waited for like any other" {
    hold
    for option in -l -R -nR ''; do
        mkfifo input
        exec 7<>input
        STDIN=input start sender bash -c "dd iflag=nonblock count=0 status=none; exec fifo-send $option box" 7>&-
        waits sender
        if [ "$option" != -nR ]; then
            start receiver fifo-recv box 7>&- 8>&-
        fi
        echo line >&7
        exec 7>&-
        ended_with 0 sender
        [ "$option" != -nR ] || start receiver fifo-recv box 8>&-
        ended_with 0 receiver
        [ "$(<receiver.out)" = line ]
        rm input
    done
}

@test "whatever is said to somebody who does not listen any more, nobody dies of it" {
    hold
    for command in 'fifo-send --help' 'fifo-recv --bad' 'fifo-send nobox m' 'fifo-send nobox' 'fifo-rm nobox' \
        'fifo-make box' 'fifo-recv nobox' 'fifo-make --version'; do
        # shellcheck disable=SC2086
        run bash -c '(sleep 0.05; '"$command"' </dev/null; echo $? >status) 2>&1 | true; cat status'
        assert_regex "$command: $(<status)" ': [23]$'
    done
}

@test "a long raw line and senders beside it: all whole" {
    fifo-make box
    head -c 300000 /dev/zero | tr '\0' z >long
    echo >>long
    start receiver fifo-recv -c 21 box
    waits receiver
    start writer bash -c 'cat long >box'
    for i in {1..20}; do
        start "sender$i" fifo-send box "message $i"
    done
    ended_with 0 receiver writer
    for i in {1..20}; do
        ended_with 0 "sender$i"
        grep -qx "message $i" receiver.out
    done
    grep -qxE 'z+' receiver.out
    run -0 bash -c 'grep z receiver.out | cmp - long'
}
