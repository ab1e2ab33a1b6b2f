# shellcheck shell=bash
# Goal: whoever may open the FIFO can send and receive messages of every size: no condition of user, group, capability or
# namespace.
load helper

SIZES='4080 4081 65521 524288 524289 2000000'

# carries RECEIVER SENDER: messages of all sizes go from one to the other, each the beginning of a command, in `box`.
carries() {
    local size
    local -n receives=$1 sends=$2
    for size in $SIZES; do
        echo "row: $size bytes"
        head -c "$size" /dev/urandom >sent
        chmod a+r sent
        STDIN=sent start sender "${sends[@]}" fifo-send -t 30 box
        within "${receives[@]}" fifo-recv -t 30 box >got
        cmp sent got
        ended_with 0 sender
    done
}

@test "with a sender and a receiver of one user, but of different groups" {
    as_another_user
    # shellcheck disable=SC2034 # by name
    local one=(setpriv --reuid=4242 --regid=4242 --clear-groups) other=(setpriv --reuid=4242 --regid=4343 --clear-groups)
    fifo-make -m 666 box
    carries one other
}

@test "to a mailbox of another user, which one may only write to, or also read" {
    local mode
    as_another_user
    # shellcheck disable=SC2034 # by name
    local root=(env)
    for mode in 622 666; do
        fifo-make -m "$mode" box
        carries root NOBODY
        fifo-rm box
    done
}

@test "without the capability to trace other processes" {
    as_another_user
    # shellcheck disable=SC2034 # by name
    local bare=(setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace)
    fifo-make -m 666 box
    carries bare NOBODY
}

@test "in a pid namespace that /proc knows nothing of" {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    # shellcheck disable=SC2034 # by name
    local inside=(unshare -p --fork) outside=(env)
    fifo-make box
    carries inside inside
    carries outside inside
    carries inside outside
}

@test "in a user namespace, on either side" {
    as_another_user
    # shellcheck disable=SC2034 # by name
    local inside=("${NOBODY[@]}" unshare -U) outside=(env)
    fifo-make -m 666 box
    chown 65534 box
    carries outside inside
    carries inside outside
}

@test "where only the FIFO is mounted into another mount namespace" {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    mkdir place
    mkfifo box place/box
    # shellcheck disable=SC2034 # by name
    local inside=(unshare -m --propagation unchanged bash -c 'mount --make-private / 2>/dev/null; mount --bind box place/box &&
        cd place && exec "$@"' -) outside=(env)
    carries outside inside
    carries inside outside
}

@test "lines of every size in one run, in a pid namespace that /proc knows nothing of" {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    fifo-make box
    perl -e 'print "x" x $_, "\n" for (9000, 70000, 300000, 600000, 3)' >sent
    STDIN=sent start sender unshare -p --fork fifo-send -v -t 30 -l box
    within unshare -p --fork fifo-recv -c 5 -t 30 box >got
    cmp sent got
    ended_with 0 sender
    one_line '5 taken' "$(cat sender.err)"
}

@test "a program that reads without locking gets the content of 24 KB, and the line of 100 KB, as they are" {
    fifo-make box
    seq 9000 | head -c 24000 >sent
    STDIN=sent start sender fifo-send box
    within cat box >got
    ended_with 0 sender
    tail -c 24000 got | cmp - sent
    { head -c 100000 /dev/zero | tr '\0' z && echo; } >sent
    STDIN=sent start sender fifo-send box
    within cat box >got
    ended_with 0 sender
    cmp got sent
}

@test "of a message of which a program that reads without locking has taken a part, the sender says 4, and the rest is gone" {
    fifo-make box
    exec 7<>box
    head -c 24000 /dev/urandom >sent
    STDIN=sent start sender fifo-send -t 2 box 7>&-
    waits sender
    head -c 1000 <&7 >/dev/null
    ended_with 4 sender
    one_line 'only a part' "$(cat sender.err)"
    refused 1 empty fifo-recv -n box
}

@test "the same where that program was faster than the sender's first look" {
    fifo-make box
    head -c 24000 /dev/urandom >sent
    start reader head -c 1000 box
    waits reader
    STDIN=sent start sender strace -o trace -e trace=splice -e inject=splice:delay_exit=300000:when=1 fifo-send box
    ended_with 4 sender
    one_line 'only a part' "$(grep fifo-send sender.err)"
    refused 1 empty fifo-recv -n box
}

@test "the same of a message in parts, wherever that program stops, and whatever the content" {
    local bytes content
    head -c 800000 /dev/urandom >random
    head -c 800000 /dev/zero >zeros
    for content in random zeros; do
        for bytes in 10 40 41 5000; do
            fifo-make box
            exec 7<>box
            STDIN=$content start sender fifo-send -t 20 box 7>&-
            waits sender
            head -c "$bytes" <&7 >/dev/null
            ended_with 4 sender
            one_line 'has taken parts' "$(cat sender.err)"
            refused 1 empty fifo-recv -n box
            exec 7>&-
            fifo-rm box
        done
    done
}

@test "a program that reads all the parts without locking has not got the message: 4, not 0" {
    head -c 800000 /dev/urandom >sent
    for run in 1 2 3 4 5; do
        fifo-make box
        start reader cat box
        refused 4 'has taken parts' bash -c 'exec fifo-send -t 20 box <sent'
        ended_with 0 reader
        fifo-rm box
    done
}

@test "whose message is in hand: the next sender, who has not written anything, is not told 4" {
    fifo-make box
    start receiver fifo-recv box sh -c 'cat; until [ -e enough ]; do sleep 0.01; done'
    waits receiver
    run -4 within fifo-send -q -n box A
    refused 124 'timed out' fifo-send -t .3 box B
    refused 1 'busy' fifo-send -n box B
    : >enough
    ended_with 0 receiver
    assert_equal "$(cat receiver.out)" A
}

@test "a sender that is stopped between two parts holds up nobody who has a deadline, and goes on" {
    fifo-make box
    head -c 20000000 /dev/urandom >sent
    start receiver strace -f -o trace -e trace=readv -e inject=readv:delay_enter=300000:when=2 fifo-recv -t 2 box
    STDIN=sent start sender fifo-send box
    wait_until grep -q readv trace
    kill -STOP "$(cat sender.pid)"
    ended_with 124 receiver
    [ ! -s receiver.out ]
    grep -q 'timed out: only a part of the message has come' receiver.err
    kill -CONT "$(cat sender.pid)"
    within fifo-recv -t 30 box | cmp - sent
    ended_with 0 sender
}

@test "a receiver that is killed among the parts leaves the message to the next, and one without room gives it up" {
    fifo-make box
    head -c 20000000 /dev/urandom >sent
    start receiver strace -f -o trace -e trace=readv -e inject=readv:delay_enter=300000:when=5+ fifo-recv box
    STDIN=sent start sender fifo-send box
    wait_until grep -q readv trace
    pkill -KILL -P "$(cat receiver.pid)" fifo-recv
    # shellcheck disable=SC2016
    refused 2 'cannot keep the message' bash -c 'ulimit -v 12000; exec fifo-recv box'
    refused 5 'longer than --max-size' fifo-recv --max-size=19999999 box
    within fifo-recv --max-size=20000000 box | cmp - sent
    ended_with 0 sender
}

@test "a receiver that gives up, and is the last to read, leaves the message of who may only write to the next" {
    as_another_user
    fifo-make -m 622 box
    head -c 20000 /dev/urandom >sent
    chmod a+r sent
    STDIN=sent start sender strace -f -o trace -e trace=getrandom "${NOBODY[@]}" fifo-send box
    run -1 on_stderr fifo-recv box false
    wait_until grep -qzP '(?s)getrandom.*, 8, 0\).*getrandom.*, 8, 0\)' trace
    within fifo-recv box | cmp - sent
    ended_with 0 sender
}

@test "a program that takes a part before the receiver does costs another try, and a piece of it the receiver" {
    fifo-make box
    exec 7<>box
    head -c 2000000 /dev/urandom >sent
    start receiver strace -o trace -e trace=readv -e inject=readv:delay_enter=500000:when=1 fifo-recv box 7>&-
    STDIN=sent start sender fifo-send box 7>&-
    wait_until grep -q readv trace
    dd iflag=nonblock bs=1M count=1 <&7 >/dev/null 2>&1
    ended_with 0 sender receiver
    cmp receiver.out sent

    start receiver strace -o trace -e trace=readv -e inject=readv:delay_enter=500000:when=1 fifo-recv box 7>&-
    STDIN=sent start sender fifo-send -t 5 box 7>&-
    wait_until grep -q readv trace
    head -c 1000 <&7 >/dev/null
    ended_with 2 receiver
    one_line 'another program reads this mailbox' "$(grep fifo-recv receiver.err)"
    [ ! -s receiver.out ]
}

@test "with -n a large message comes to an end, however often receivers give it up" {
    fifo-make box
    exec 7<>box
    head -c 700000 /dev/zero >sent
    start receivers bash -c 'while [ ! -e stop ]; do fifo-recv -q -t .5 --peek box; done >/dev/null' 7>&-
    waits receivers
    for run in 1 2 3; do
        refused 1 'no receiver took it' bash -c 'exec fifo-send -n box <sent'
    done
    : >stop
    status_of receivers
}

@test "a lock on every number that a try could have ends a send at once" {
    fifo-make box
    head -c 2000000 /dev/zero >sent
    start holder python3 -c '
import fcntl, os, struct, time
box = os.open("box", os.O_RDONLY | os.O_NONBLOCK)
fcntl.fcntl(box, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 64, 0, 0))
print("held", flush=True)
time.sleep(60)'
    wait_until grep -q held holder.out
    refused 2 'cannot lock it' bash -c 'exec fifo-send box <sent'
}

@test "a reply that standard output takes slowly does not end the try of a large request" {
    fifo-make box
    head -c 1500000 /dev/zero >sent
    # shellcheck disable=SC2016
    start server fifo-recv box sh -c 'cat >/dev/null; head -c 3000000 /dev/zero | fifo-send "$FIFO_REPLY"; sleep 2; echo end'
    waits server
    STDIN=sent start client bash -c 'set -o pipefail; fifo-send -r box | { sleep 1; wc -c; }'
    ended_with 0 client server
    assert_equal "$(cat client.out)" 3000004
}

@test "a long message that a sender cannot keep, for a limit on memory, is status 2" {
    fifo-make -b unbounded box
    head -c 64M /dev/zero >content
    for option in '' -l; do
        run -2 on_stderr bash -c "ulimit -v 60000; exec fifo-send $option box <content"
        one_line "cannot keep the input: Cannot allocate memory" "$output"
    done
    run -1 within fifo-recv -q -n box
}

@test "raw lines between the parts of a message are messages of their own" {
    fifo-make box
    exec 7<>box
    head -c 5000000 /dev/urandom >sent
    start receiver strace -f -o trace -e trace=readv -e inject=readv:delay_enter=100000 fifo-recv -0 -f box 7>&-
    STDIN=sent start sender fifo-send box 7>&-
    wait_until grep -q readv trace
    for n in 1 2 3; do
        echo "raw $n" >&7
        pause
    done
    ended_with 0 sender
    wait_until grep -qa 'raw 3' receiver.out
    for n in 1 2 3; do
        assert_equal "$(tr '\0' '\n' <receiver.out | grep -cax "raw $n")" 1
    done
    assert_equal "$(stat -c %s receiver.out)" $((5000000 + 1 + 3 * 6))
}

@test "for a user who has so many large pipes that new ones are tiny; only what is longer, and in one piece, stays" {
    as_another_user
    local size
    start pipes "${NOBODY[@]}" perl -MFcntl -e '
        for (1 .. 70) { pipe(my $r, my $w) or die; push @all, $r, $w; fcntl($w, 1031, 1 << 20) or last }
        print "ready\n"; $| = 1; close STDOUT; sleep 60'
    wait_until test -s pipes.out
    fifo-make -m 666 box
    chown 65534 box
    carries NOBODY NOBODY
    exec 7<>box # by another user, who makes it as large as it is to be
    for size in 4080 600000 2000000; do
        head -c "$size" /dev/urandom >sent
        STDIN=sent start sender fifo-send -t 30 box
        within "${NOBODY[@]}" fifo-recv -t 30 box >got
        cmp sent got
        ended_with 0 sender
    done
    head -c 100000 /dev/urandom >sent
    STDIN=sent start sender fifo-send -t 30 box
    refused 2 'pipes may be.*stays in the mailbox' "${NOBODY[@]}" fifo-recv -t 30 box
    within fifo-recv box | cmp - sent
    ended_with 0 sender
    exec 7>&-
}

@test "with -x, who may only write, and loses its reader between two messages, sends the second to the next one" {
    as_another_user
    fifo-make -m 622 box
    mkfifo -m 666 feed
    exec 8<>feed
    STDIN=feed start sender "${NOBODY[@]}" fifo-send -x -l box 8>&-
    echo one >&8
    assert_equal "$(within fifo-recv box)" one
    echo two >&8
    waits sender
    assert_equal "$(within fifo-recv box)" two
    exec 8>&-
    ended_with 0 sender
}

@test "long lines, of which the next is read ahead, arrive as they are, and in their order" {
    fifo-make box
    perl -e 'print chr(97 + $_) x ((700000, 1, 3000000, 20000000, 600000, 5)[$_]), "\n" for 0 .. 5' >sent
    STDIN=sent start sender fifo-send -v -l box
    within fifo-recv -c 6 box >got
    cmp sent got
    ended_with 0 sender
    one_line '6 taken' "$(cat sender.err)"
}

@test "where madvise is forbidden, and where address space is short, a large message goes through" {
    fifo-make box
    head -c 40M /dev/zero >sent
    STDIN=sent start sender strace -o trace.sender -e trace=madvise -e inject=madvise:error=EPERM fifo-send -t 50 box
    within strace -o trace.receiver -e trace=madvise -e inject=madvise:error=EPERM fifo-recv -t 50 box | cmp - sent
    ended_with 0 sender
    grep -q EPERM trace.sender
    grep -q EPERM trace.receiver
    STDIN=sent start sender bash -c 'ulimit -v 60000; exec fifo-send -t 50 box'
    within fifo-recv -t 50 box | cmp - sent
    ended_with 0 sender
}
