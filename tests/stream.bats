# shellcheck shell=bash
# Goal: with -R every byte is accounted for: it arrives once and in order, or the counts say where it is.
load helper

KIB=1024
MIB=$((1024 * KIB))

# content SIZE: so many bytes, at least one, that do not repeat, for `cmp` to see what is missing or comes twice. The
# first is not the one that messages may begin with.
content() {
    printf x
    head -c $(($1 - 1)) /dev/urandom
}

# feed: opens descriptor 7, to which a test writes what a sender's standard input, the file `input`, is to have. Closing
# it ends the input. Peers must not inherit it: they are started with 7>&-.
feed() {
    rm -f input
    mkfifo input
    exec 7<>input
}

# counts NAME: sets `written` and `read` to what the sender NAME says at its end, `received` for a receiver.
counts() {
    local line
    line=$(cat "$1.err")
    written=$(sed -n 's/.* \([0-9]*\) bytes written, [0-9]* of them read$/\1/p' <<<"$line")
    read=$(sed -n 's/.* bytes written, \([0-9]*\) of them read$/\1/p' <<<"$line")
    if [ -z "$written" ]; then
        received=$(sed -n 's/.* \([0-9]*\) bytes received$/\1/p' <<<"$line")
    fi
    [ -n "$written$received" ] || {
        echo "no counts in: $line" >&2
        return 1
    }
}

size_of() {
    stat -c %s "$1"
}

has_size() {
    [ "$(size_of "$1")" = "$2" ]
}

# queued FD: how many bytes are in the pipe that is open there.
queued() {
    perl -e 'my $n = pack("i", 0); ioctl(STDIN, 0x541B, $n) or die; print unpack("i", $n)' <&"$1"
}

# has_queued FD BYTES: at least so many.
has_queued() {
    [ "$(queued "$1")" -ge "$2" ]
}

# is_full FD: the pipe does not take a byte more.
is_full() {
    ! perl -e 'my $bits = ""; vec($bits, 1, 1) = 1; exit(select(undef, $bits, undef, 0) == 1 ? 0 : 1)' >&"$1"
}

# with_socket COMMAND...: with a socket for standard input and output. What comes in is put into it, what it has put out
# comes out.
with_socket() {
    perl -MSocket -e '
        socketpair(my $ours, my $its, AF_UNIX, SOCK_STREAM, 0) or die;
        my $child = fork;
        if (!$child) { open(STDIN, "<&", $its); open(STDOUT, ">&", $its); close($ours); exec @ARGV; }
        close($its);
        my $feeder = fork;
        if (!$feeder) { syswrite($ours, $_) while sysread(STDIN, $_, 5000); shutdown($ours, 1); exit }
        syswrite(STDOUT, $_) while sysread($ours, $_, 5000);
        waitpid($feeder, 0); waitpid($child, 0); exit($? & 127 ? 99 : $? >> 8)' "$@"
}

# unread_socket COMMAND..., unread_terminal COMMAND...: with a standard output that nobody ever reads.
unread_socket() {
    exec perl -MSocket -e '
        $^F = 9;
        socketpair(my $peer, my $out, AF_UNIX, SOCK_STREAM, 0) or die;
        open(STDOUT, ">&", $out) or die; close($out); exec @ARGV' "$@"
}

unread_terminal() {
    exec perl -MFcntl -e '
        sysopen(my $m, "/dev/ptmx", O_RDWR | O_NOCTTY) or die;
        my $zero = pack("i", 0); ioctl($m, 0x40045431, $zero) or die; my $n = pack("i", 0); ioctl($m, 0x80045430, $n) or die;
        sysopen(my $s, "/dev/pts/" . unpack("i", $n), O_RDWR | O_NOCTTY) or die;
        open(STDOUT, ">&", $s) or die; fcntl($m, F_SETFD, 0); exec @ARGV' "$@"
}
export -f with_socket unread_socket unread_terminal

# --- every byte ----------------------------------------------------------------------------------------

@test "whatever the output is, what was sent is what comes out" {
    local way size
    fifo-make box
    for size in 1 $((2 * MIB + 1)); do
        content "$size" >sent
        for way in 'fifo-recv -R box >got' 'fifo-recv -R box | cat >got' 'fifo-recv -R box >>got' \
            'fifo-recv -R box 1<>got' 'with_socket fifo-recv -R box </dev/null >got' \
            'script -qec "stty raw -echo; fifo-recv -R box" /dev/null </dev/null >got'; do
            echo "row: $size $way"
            rm -f got
            STDIN=sent start sender fifo-send -vR box
            within bash -o pipefail -c "$way"
            cmp sent got
            ended_with 0 sender
            one_line "'box': $size bytes written, $size of them read" "$(cat sender.err)"
        done
    done
}

@test "a stream may begin with the byte that messages begin with" {
    fifo-make box
    for begin in '\377' '\377fm' '\377\377fm\2R'; do
        # shellcheck disable=SC2059
        printf "$begin" >sent
        content 100000 >>sent
        STDIN=sent start sender fifo-send -R box
        within fifo-recv -R box | cmp - sent
        ended_with 0 sender
    done
}

@test "whatever the input is, what was sent is what comes out" {
    local way size
    fifo-make box
    for size in 1 $((2 * MIB + 1)); do
        content "$size" >sent
        for way in 'fifo-send -vR box <sent' 'cat sent | fifo-send -vR box' 'with_socket fifo-send -vR box <sent' \
            'fifo-send -vR box 0<>sent' 'dd if=sent bs=1000 status=none | fifo-send -vR box'; do
            echo "row: $size $way"
            start sender bash -c "$way"
            within fifo-recv -vR box >got 2>receiver.err
            cmp sent got
            ended_with 0 sender
            one_line "'box': $size bytes written, $size of them read" "$(cat sender.err)"
            one_line "'box': $size bytes received" "$(cat receiver.err)"
        done
    done
    # And what is typed.
    seq 5000 >sent
    STDIN=sent start sender script -qec 'fifo-send -R box' /dev/null
    within fifo-recv -R box >got
    cmp sent got
    ended_with 0 sender
}

@test "a file goes from where its offset is" {
    fifo-make box
    content 20000 >sent
    start sender bash -c 'exec <sent; head -c 8192 >head; fifo-send -R box'
    within fifo-recv -R box >got
    ended_with 0 sender
    cat head got | cmp - sent
}

@test "a reader that takes a little at a time gets it all" {
    fifo-make box
    content $((2 * MIB)) >sent
    STDIN=sent start sender fifo-send -vR box
    within bash -o pipefail -c 'fifo-recv -R box | dd bs=777 status=none >got'
    cmp sent got
    ended_with 0 sender
    STDIN=sent start sender fifo-send -vR box
    within dd if=box bs=777 status=none >got
    cmp sent got
    ended_with 0 sender
    one_line "$((2 * MIB)) bytes written, $((2 * MIB)) of them read" "$(cat sender.err)"
}

@test "what a slow writer writes arrives at once, bit by bit" {
    local sofar='' bit
    fifo-make box
    feed
    STDIN=input start sender fifo-send -R box 7>&-
    start receiver fifo-recv -R box 7>&-
    for bit in a bc d; do
        printf %s "$bit" >&7
        sofar+=$bit
        wait_until grep -qx "$sofar" receiver.out
    done
    [ ! -s sender.status ]
    [ ! -s receiver.status ]
    exec 7>&-
    ended_with 0 sender receiver
    assert_equal "$(<receiver.out)" abcd
}

@test "an output that is not read for a while holds up both ends and loses nothing" {
    fifo-make box
    mkfifo output
    content $((4 * MIB)) >sent
    exec 8<>output
    start receiver bash -c 'exec fifo-recv -R box >output' 8>&-
    STDIN=sent start sender fifo-send -R box 8>&-
    wait_until is_full 8
    [ ! -s sender.status ]
    [ ! -s receiver.status ]
    within head -c $((4 * MIB)) <&8 | cmp - sent
    ended_with 0 sender receiver
    exec 8>&- # not before: an output that nobody reads any more ends the receiver
}

@test "an output whose reader goes when it has all of it: 0 if the stream has ended as well" {
    fifo-make box
    mkfifo output
    exec 8<>output
    start receiver bash -c 'exec fifo-recv -R box >output' 8>&-
    exec 7<>box
    echo all >&7
    run -0 within head -c 4 <&8
    assert_output all
    kill -STOP "$(cat receiver.pid)"
    wait_until grep -q '^State:.T' "/proc/$(cat receiver.pid)/status"
    exec 7>&- 8>&-
    kill -CONT "$(cat receiver.pid)"
    ended_with 0 receiver
}

@test "empty input is an empty stream" {
    fifo-make box
    start sender fifo-send -vR box
    run -0 --separate-stderr within fifo-recv -vR box
    assert_output ''
    one_line "'box': 0 bytes received"
    ended_with 0 sender
    one_line "'box': 0 bytes written, 0 of them read" "$(cat sender.err)"
}

@test "without -v a success says nothing" {
    fifo-make box
    start sender fifo-send -R box
    run -0 --separate-stderr within fifo-recv -R box
    assert_equal "$stderr" ''
    ended_with 0 sender
    assert_equal "$(<sender.err)" ''
}

# --- readers -------------------------------------------------------------------------------------------

@test "a sender waits for a reader that comes late, and its file is not read before" {
    fifo-make box
    content 100000 >sent
    STDIN=sent start sender fifo-send -R box
    waits sender
    within fifo-recv -R box | cmp - sent
    ended_with 0 sender
}

@test "no reader: 124 at the deadline, in time, and 1 with -n" {
    fifo-make box
    content 100000 >sent
    run -124 --separate-stderr within fifo-send -t 100ms -R box <sent
    one_line "^fifo-send: 'box': timed out: nothing was delivered"
    milliseconds within fifo-send -q -t 200ms -R box <sent || [ $? = 124 ]
    between 190 10000 "$took"
    run -1 --separate-stderr within fifo-send -nR box <sent
    one_line "^fifo-send: 'box': no receiver is there$"
    run -1 within fifo-recv -q -nR box
    assert_output ''
}

@test "a reader that goes in the middle: 2, and the counts say how much it took" {
    fifo-make box
    content $((3 * MIB)) >sent
    STDIN=sent start sender fifo-send -R box
    within head -c 100000 box | cmp - <(head -c 100000 sent)
    ended_with 2 sender
    one_line "its reader has gone before it read everything; [0-9]+ bytes written, 100000 of them read" "$(cat sender.err)"
    counts sender
    between 100000 $((3 * MIB)) "$written"
}

@test "a reader that goes in the middle of a pipe's bytes: 2, though no more came" {
    fifo-make box
    feed
    STDIN=input start sender fifo-send -R box 7>&-
    printf 0123456789 >&7
    run -0 within head -c 4 box
    assert_output 0123
    # Open and silent: the input has no end that could excuse it.
    ended_with 2 sender
    one_line "its reader has gone before it read everything; 10 bytes written, 4 of them read" "$(cat sender.err)"
    exec 7>&-
}

@test "a receiver that is killed: the sender's counts are what it had really passed on" {
    fifo-make box
    mkfifo output
    content $((4 * MIB)) >sent
    exec 8<>output
    start receiver bash -c 'exec fifo-recv -R box >output' 8>&-
    STDIN=sent start sender fifo-send -R box 8>&-
    wait_until is_full 8
    waits receiver
    kill -KILL "$(cat receiver.pid)"
    ended_with 137 receiver
    ended_with 2 sender
    counts sender
    assert_equal "$read" "$(queued 8)"
    between "$((read + 1))" $((4 * MIB)) "$written"
    within head -c "$read" <&8 | cmp - <(head -c "$read" sent)
    exec 8>&-
}

@test "a reader that knows the size, takes all and goes is a success" {
    local size
    fifo-make box
    for size in 5 $((3 * MIB)); do
        content "$size" >sent
        for way in 'fifo-send -vR box <sent' 'cat sent | fifo-send -vR box'; do
            echo "row: $size $way"
            start sender bash -c "$way"
            within head -c "$size" box | cmp - sent
            ended_with 0 sender
            one_line "$size bytes written, $size of them read" "$(cat sender.err)"
        done
    done
}

@test "a reader that took all so far and went: the input decides" {
    fifo-make box
    local rest want
    for want in 0 2; do
        rest=
        [ "$want" = 0 ] || rest='more'
        feed
        STDIN=input start sender fifo-send -vR box 7>&-
        printf abc >&7
        run -0 within head -c 3 box
        assert_output abc
        [ ! -s sender.status ]
        printf %s "$rest" >&7
        exec 7>&-
        ended_with "$want" sender
        one_line '3 bytes written, 3 of them read' "$(cat sender.err)"
    done
}

@test "a reader that goes before the first byte does not matter: the next one gets all" {
    fifo-make box
    feed
    STDIN=input start sender fifo-send -vR box 7>&-
    for n in 1 2 3; do
        exec 8<box # as soon as it is there
        exec 8<&-
    done
    printf abc >&7
    start receiver fifo-recv -R box 7>&-
    wait_until grep -q abc receiver.out
    exec 7>&-
    ended_with 0 sender receiver
    assert_equal "$(<receiver.out)" abc
    one_line '3 bytes written, 3 of them read' "$(cat sender.err)"
}

@test "no end dies of SIGPIPE, not even of one that is not ignored" {
    fifo-make box
    content $((3 * MIB)) >sent
    for signals in --default-signal=PIPE --ignore-signal=PIPE; do
        STDIN=sent start sender env "$signals" fifo-send -R box
        start receiver env "$signals" bash -c 'set -o pipefail; fifo-recv -R box | head -c 5'
        ended_with 2 sender receiver
        one_line "Broken pipe; [0-9]+ bytes received" "$(cat receiver.err)"
        counts receiver
        counts sender
        assert_equal "$read" "$received"
    done
}

# --- receivers -----------------------------------------------------------------------------------------

@test "a sender that is killed: the receiver ends with 0 and has what came" {
    fifo-make box
    feed
    STDIN=input start sender fifo-send -R box 7>&-
    start receiver fifo-recv -vR box 7>&-
    printf abc >&7
    wait_until grep -q abc receiver.out
    kill -KILL "$(cat sender.pid)"
    ended_with 0 receiver
    assert_equal "$(<receiver.out)" abc
    one_line '3 bytes received' "$(cat receiver.err)"
    exec 7>&-
}

@test "an output that takes nothing: 2, and all stays in the mailbox" {
    fifo-make box
    content 50000 >sent
    exec 8<>box # so that the sender has a reader still
    STDIN=sent start sender fifo-send -vR box 8>&-
    wait_until has_queued 8 50000
    within fifo-recv -R box >/dev/full 2>full.err 8>&- || [ $? = 2 ]
    one_line 'No space left on device; 0 bytes received' "$(cat full.err)"
    within fifo-recv -nR box 8>&- | cmp - sent
    ended_with 0 sender
    one_line "50000 bytes written, 50000 of them read" "$(cat sender.err)"
    exec 8>&-
}

@test "a disk that gets full: 2, what is on it was taken, and the rest stays in the mailbox" {
    local covered
    [ "$(id -u)" = 0 ] || skip 'needs root'
    for covered in /sys /dev/pts /run /proc; do
        mountpoint -q "$covered" && break
    done
    fifo-make box
    content 700000 >sent
    for held in '' yes; do
        [ -z "$held" ] || exec 8<>box
        STDIN=sent start sender fifo-send -R box 8>&-
        run -2 --separate-stderr within unshare -m --propagation unchanged bash -c '
            mount --make-private "$1" && mount -t tmpfs -o size=400k none "$1" || exit 99
            status=0
            fifo-recv -R box >"$1/got" || status=$?
            cp "$1/got" got
            exit $status' - "$covered" 8>&-
        one_line 'No space left on device; [0-9]+ bytes received'
        printf %s "$stderr" >receiver.err
        counts receiver
        assert_equal "$received" "$(size_of got)"
        between $((300 * KIB)) $((400 * KIB)) "$received"
        if [ -n "$held" ]; then
            within fifo-recv -nR box 8>&- >>got
            ended_with 0 sender
            cmp sent got
            exec 8>&-
        else
            ended_with 2 sender
            counts sender
            assert_equal "$read" "$received"
            cmp <(head -c "$received" sent) got
        fi
    done
}

@test "-f receives stream after stream" {
    fifo-make box
    start follower fifo-recv -fR box
    for n in 1 2 3; do
        content 100000 >"sent$n"
        within fifo-send -R box <"sent$n"
        cat "sent$n" >>sent
    done
    within fifo-send -R box </dev/null
    wait_until cmp -s sent follower.out
    [ ! -s follower.status ]
    fifo-rm box
    ended_with 3 follower
}

@test "of two receivers one gets the whole stream" {
    fifo-make box
    content $((2 * MIB)) >sent
    start one fifo-recv -R box
    start two fifo-recv -R box
    waits one
    waits two
    within fifo-send -R box <sent
    ended_with 0 one two
    [ -s one.out ] || mv two.out one.out
    cmp sent one.out
    [ ! -s two.out ]
}

@test "a stream that somebody keeps out is told who" {
    fifo-make box
    feed
    STDIN=input start holder fifo-send -x -l box 7>&-
    echo first >&7
    run -0 within fifo-recv box
    pid=$(cat holder.pid)
    refused 1 "busy: process $pid has it to itself" bash -c 'echo x | fifo-send -n -R box'
    refused 124 "timed out: process $pid has it to itself" fifo-send -t 100ms -R box <<<x
    exec 7>&-
    ended_with 0 holder
}

@test "a receiver of a stream keeps others out, to the end of the stream" {
    fifo-make box
    feed
    STDIN=input start sender fifo-send -R box 7>&-
    start receiver fifo-recv -R box 7>&-
    printf abc >&7
    wait_until grep -q abc receiver.out
    run -124 --separate-stderr within fifo-recv -t 100ms -x box
    one_line "'box': timed out: another receiver is at work"
    printf def >&7
    run -1 --separate-stderr within fifo-recv -n -x -R box
    one_line 'another receiver is at work'
    exec 7>&-
    ended_with 0 sender receiver
    assert_equal "$(<receiver.out)" abcdef
}

@test "-n receives what is there, and is 1 if nothing is" {
    fifo-make box
    run -1 --separate-stderr within fifo-recv -nR box
    one_line "^fifo-recv: 'box': empty$"
    exec 8<>box
    run -1 within fifo-recv -q -nR box
    printf abc >&8
    run -0 within fifo-recv -nR box
    assert_output abc
    run -1 within fifo-recv -q -nR box
    assert_output ''
    exec 8>&-
}

# --- deadlines, removal, signals -----------------------------------------------------------------------

@test "the deadline in the middle: 4 for the sender, with the counts, whatever it waits for" {
    fifo-make box
    exec 8<>box
    # Room in the mailbox.
    content $((3 * MIB)) >sent
    milliseconds within fifo-send -t 200ms -R box <sent 2>sender.err 8>&- || [ $? = 4 ]
    between 190 10000 "$took"
    one_line 'timed out in the middle; [0-9]+ bytes written, 0 of them read' "$(cat sender.err)"
    counts sender
    assert_equal "$written" "$(queued 8)"
    within head -c "$written" <&8 | cmp - <(head -c "$written" sent)
    # More input.
    feed
    printf 0123456789 >&7
    STDIN=input start sender fifo-send -t 2 -R box 7>&- 8>&-
    run -0 within head -c 4 <&8
    ended_with 4 sender
    one_line 'in the middle; 10 bytes written, 4 of them read' "$(cat sender.err)"
    exec 7>&-
    run -0 within head -c 6 <&8
    # A reader.
    printf 0123456789 >sent
    STDIN=sent start sender fifo-send -t 2 -R box 8>&-
    run -0 within head -c 4 <&8
    ended_with 4 sender
    one_line 'in the middle; 10 bytes written, 4 of them read' "$(cat sender.err)"
    exec 8>&-
}

@test "the deadline of a receiver: 124 if nothing came, 4 in the middle, whatever it waits for" {
    fifo-make box
    milliseconds within fifo-recv -t 200ms -R box 2>receiver.err || [ $? = 124 ]
    between 190 10000 "$took"
    one_line "^fifo-recv: 'box': timed out" "$(cat receiver.err)"
    exec 8<>box
    run -124 within fifo-recv -q -t 50ms -R box 8>&-
    # More to come.
    printf abc >&8
    milliseconds within fifo-recv -t 200ms -R box >got 2>receiver.err 8>&- || [ $? = 4 ]
    between 190 10000 "$took"
    one_line 'timed out in the middle; 3 bytes received' "$(cat receiver.err)"
    assert_equal "$(<got)" abc
    exec 8>&-
    # Room in the output.
    content $((3 * MIB)) >sent
    mkfifo output
    exec 8<>output
    for way in 'fifo-recv -t 200ms -R box >output' 'unread_socket fifo-recv -t 200ms -R box' \
        'unread_terminal fifo-recv -t 200ms -R box'; do
        echo "row: $way"
        STDIN=sent start sender fifo-send -R box 8>&-
        waits sender
        milliseconds within bash -c "$way" 2>receiver.err 8>&- || [ $? = 4 ]
        between 190 10000 "$took"
        one_line 'timed out in the middle; [0-9]+ bytes received' "$(cat receiver.err)"
        ended_with 2 sender
        counts receiver
        counts sender
        assert_equal "$read" "$received"
        between 1 $((2 * MIB)) "$received"
    done
    exec 8>&-
}

@test "removal ends a sender, with 3 before the first byte and 4 after it, whatever it waits for" {
    local state
    content $((3 * MIB)) >large
    content 100 >small
    for state in reader turn room input taking; do
        echo "row: $state"
        fifo-make box
        feed
        case $state in
            reader)
                STDIN=small start sender fifo-send -R box 7>&-
                waits sender
                ;;
            turn)
                start other fifo-send box message 7>&-
                waits other
                STDIN=small start sender fifo-send -R box 7>&-
                waits sender
                ;;
            *)
                exec 8<>box
                case $state in
                    room) STDIN=large start sender fifo-send -R box 7>&- 8>&- && wait_until is_full 8 ;;
                    input) printf abc >&7 && STDIN=input start sender fifo-send -R box 7>&- 8>&- ;;
                    taking) STDIN=small start sender fifo-send -R box 7>&- 8>&- ;;
                esac
                wait_until has_queued 8 1
                waits sender
                ;;
        esac
        rm box
        # Whoever has it open may go on reading what is in it.
        case $state in
            reader | turn) ended_with 3 sender ;;
            *) ended_with 4 sender ;;
        esac
        one_line "'box': removed" "$(cat sender.err)"
        if [ "$state" = input ]; then
            one_line '; 3 bytes written, 0 of them read' "$(cat sender.err)"
        fi
        exec 7>&- 8>&-
    done
}

@test "removal ends a receiver, with 3 before a stream and 4 in the middle" {
    for options in -R -fR; do
        fifo-make box
        start receiver fifo-recv "$options" box
        waits receiver
        rm box
        ended_with 3 receiver
        one_line "'box': removed while waiting$" "$(cat receiver.err)"
        fifo-make box
        exec 8<>box
        start receiver fifo-recv "$options" box 8>&-
        printf abc >&8
        wait_until grep -q abc receiver.out
        waits receiver
        rm box
        ended_with 4 receiver
        one_line "removed in the middle; 3 bytes received" "$(cat receiver.err)"
        exec 8>&-
    done
    run -3 --separate-stderr within fifo-send -R box </dev/null
    one_line "^fifo-send: 'box': "
    run -3 --separate-stderr within fifo-recv -R box
    one_line "^fifo-recv: 'box': "
}

@test "signals end both ends at once, whatever they wait for" {
    local signal state name number
    mkfifo output
    content $((4 * MIB)) >sent
    for signal in TERM:143 HUP:129 INT:130; do
        name=${signal%:*} number=${signal#*:}
        for state in alone input room; do
            # One signal is enough for the slower rows.
            [ "$state" = alone ] || [ "$name" = TERM ] || continue
            echo "row: $signal $state"
            fifo-make box
            feed
            exec 8<>output
            case $state in
                alone)
                    STDIN=sent start sender env --default-signal=INT,HUP fifo-send -R box 7>&- 8>&-
                    waits sender
                    kill "-$name" "$(cat sender.pid)"
                    ended_with "$number" sender
                    start receiver env --default-signal=INT,HUP fifo-recv -R box 7>&- 8>&-
                    ;;
                input)
                    start receiver env --default-signal=INT,HUP fifo-recv -R box 7>&- 8>&-
                    STDIN=input start sender env --default-signal=INT,HUP fifo-send -R box 7>&- 8>&-
                    printf abc >&7
                    wait_until grep -q abc receiver.out
                    ;;
                room)
                    start receiver env --default-signal=INT,HUP bash -c 'exec fifo-recv -R box >output' 7>&- 8>&-
                    STDIN=sent start sender env --default-signal=INT,HUP fifo-send -R box 7>&- 8>&-
                    wait_until is_full 8
                    ;;
            esac
            if [ "$state" != alone ]; then
                waits sender
                kill -STOP "$(cat receiver.pid)" # or it would end as the sender does
                kill "-$name" "$(cat sender.pid)"
                ended_with "$number" sender
                kill "-$name" "$(cat receiver.pid)"
                kill -CONT "$(cat receiver.pid)"
            else
                waits receiver
                kill "-$name" "$(cat receiver.pid)"
            fi
            ended_with "$number" receiver
            exec 7>&- 8>&-
            rm box
        done
    done
}

# --- pools, and others -----------------------------------------------------------------------------------

@test "a pool of tokens: -nR puts in, -n -s 1 takes out" {
    fifo-make pool
    exec 8<>pool
    printf xxxx | within fifo-send -nR pool
    assert_equal "$(queued 8)" 4
    for n in 1 2 3 4; do
        run -0 within fifo-recv -n -s 1 pool
        assert_output x
    done
    run -1 within fifo-recv -q -n -s 1 pool
    printf x | within fifo-send -nR pool
    printf y | within fifo-send -t 0 -R pool
    run -0 within fifo-recv -n -s 1 -c 2 pool
    assert_output xy
    # Many at once: none is lost, and none is refused, unless one is kept from its work for a tenth of a second.
    for n in {1..8}; do
        start "giver$n" bash -c 'printf x | fifo-send -qnR pool' 8>&-
    done
    given=0
    for n in {1..8}; do
        status=$(status_of "giver$n")
        [[ $status == [01] ]]
        given=$((given + (status == 0 ? 1 : 0)))
    done
    assert_equal "$(queued 8)" "$given"
    ((given > 0))
    exec 8>&-
}

@test "-n at a full mailbox: 1 if nothing fits, 2 with the count if not all does, and pieces stay whole" {
    fifo-make box
    exec 8<>box
    content $((3 * MIB)) >sent
    run -2 --separate-stderr within fifo-send -nR box <sent 8>&-
    one_line "^fifo-send: 'box': full; [0-9]+ bytes written"
    printf %s "$stderr" >sender.err
    counts sender
    assert_equal "$(queued 8)" "$written"
    assert_equal $((written % 4096)) 0
    run -1 --separate-stderr within fifo-send -nR box <sent 8>&-
    one_line "^fifo-send: 'box': full$"
    # 100 bytes are no room for a piece of 4096.
    run -0 --separate-stderr bash -c 'head -c 100 <&8 | cmp - <(head -c 100 sent)'
    run -1 within fifo-send -q -nR box <sent 8>&-
    assert_equal "$(queued 8)" $((written - 100))
    # 8192 are room for two.
    run -0 bash -c 'head -c 8092 <&8 | cmp - <(tail -c +101 sent | head -c 8092)'
    run -2 --separate-stderr within strace -o trace -e trace=write fifo-send -nR box <sent 8>&-
    # Larger ones are torn where others write too.
    run -1 grep -Ev '^write\(2,|, 4096\) +=|^\+\+\+' trace
    run -0 grep -c ' = 4096$' trace
    assert_output 2
    assert_equal "$(queued 8)" "$written"
    cat <(head -c "$written" sent | tail -c +8193) <(head -c 8192 sent) >want
    within fifo-recv -nR box 8>&- | cmp - want
    # What fits is left there, and that is success.
    head -c 10000 sent | within fifo-send -nR box 8>&-
    within fifo-recv -nR box 8>&- | cmp - <(head -c 10000 sent)
    exec 8>&-
}

@test "a stream and a message keep each other out" {
    fifo-make box
    feed
    STDIN=input start stream fifo-send -R box 7>&-
    start reader cat box 7>&-
    printf abc >&7
    wait_until grep -q abc reader.out
    run -124 within fifo-send -q -t 100ms box message 7>&-
    run -1 within fifo-send -q -n box message 7>&-
    run -124 within bash -c 'echo other | fifo-send -q -t 100ms -R box' 7>&-
    run -1 --separate-stderr within bash -c 'echo other | fifo-send -nR box' 7>&-
    one_line "'box': busy: process $(cat stream.pid) has it to itself"
    start message fifo-send -t 10 box message 7>&-
    waits message
    printf def >&7
    wait_until grep -q abcdef reader.out
    exec 7>&-
    ended_with 0 stream message
    ended_with 0 reader
    assert_equal "$(<reader.out)" abcdefmessage
    # And the other way round.
    start message fifo-send box message
    waits message
    run -124 within bash -c 'echo other | fifo-send -q -t 100ms -R box'
    run -1 within bash -c 'echo other | fifo-send -q -nR box'
    run -0 within fifo-recv box
    assert_output message
    ended_with 0 message
}

@test "streams of several senders come one after the other" {
    fifo-make box
    for name in a b c; do
        head -c 300000 /dev/zero | tr '\0' "$name" >"sent.$name"
        start "$name" bash -c 'dd if="$1" bs=5000 status=none | fifo-send -R box' - "sent.$name"
    done
    within fifo-recv -fR box >got &
    PEERS+=($!)
    ended_with 0 a b c
    wait_until has_size got 900000
    # Without repetitions each letter is there once.
    run -0 bash -c 'tr -s a-z <got | fold -w 1 | sort | tr -d "\n"'
    assert_output abc
    fifo-rm box
}

@test "-R goes with programs that know nothing of it" {
    fifo-make box
    content 100000 >sent
    STDIN=sent start sender fifo-send -vR box
    within cat box | cmp - sent
    ended_with 0 sender
    one_line '100000 bytes written, 100000 of them read' "$(cat sender.err)"
    start writer bash -c 'cat sent >box'
    within fifo-recv -R box | cmp - sent
    ended_with 0 writer
    start writer bash -c 'echo one >box'
    run -0 within fifo-recv -R box
    assert_output one
    # To a receiver of messages it is lines.
    start follower fifo-recv -f box sed 's/^/got: /'
    printf 'one\ntwo\n' | within fifo-send -R box
    wait_until grep -q two follower.out
    assert_equal "$(<follower.out)" $'got: one\ngot: two'
    # And a message's line is bytes.
    fifo-rm box
    ended_with 3 follower
    fifo-make box
    start receiver fifo-recv -R box
    within fifo-send box line
    ended_with 0 receiver
    assert_equal "$(<receiver.out)" line
}

@test "a mailbox is not sent into itself" {
    fifo-make box
    exec 7<>box
    for command in 'fifo-send -R box <box' 'fifo-send -nR box <box' 'fifo-recv -R box >box' 'fifo-recv -nR box >box' \
        'fifo-recv -R box >>box'; do
        echo "row: $command"
        run -2 --separate-stderr within bash -c "exec $command"
        one_line "'box': is standard input or output itself"
    done
    assert_equal "$(queued 7)" 0
    exec 7>&-
}

@test "a receiver that waits for a stream is not told by fifo-rm that it was an empty one" {
    local n
    for n in {1..12}; do
        fifo-make box
        start receiver fifo-recv -R box
        waits receiver
        within fifo-rm box
        ended_with 3 receiver
    done
}

@test "who waits for a stream beside -x is told who has it" {
    fifo-make box
    start owner fifo-recv -x -f box
    waits owner
    run -124 on_stderr fifo-recv -R -t 100ms box
    assert_output "fifo-recv: 'box': timed out: process $(<owner.pid) has it to itself"
}

@test "what -R excludes is a usage error" {
    fifo-make box
    refused 2 'exclude' fifo-send -R box message
    refused 2 'exclude' fifo-send -R -l box
    refused 2 'exclude' fifo-send -0 --raw box
    refused 2 'exclude' fifo-send -R -s 4 box
    refused 2 'exclude' fifo-send -n -t 1 -R box
    refused 2 '-N' fifo-send -RN box
    refused 2 'MAILBOX' fifo-send -R
    refused 2 '-R excludes' fifo-recv -R -c 1 box
    refused 2 '-R excludes' fifo-recv -0 -R box
    refused 2 '-R excludes' fifo-recv --raw -s 4 box
    refused 2 '-R excludes' fifo-recv -R --peek box
    refused 2 '-R excludes' fifo-recv -R box cat
    refused 2 '-R excludes' fifo-recv -R --keep box cat
    refused 2 'exclude' fifo-recv -n -t 1 -R box
    refused 2 'MAILBOX' fifo-recv -R
}

# --- how -----------------------------------------------------------------------------------------------

@test "pages are moved, not bytes, and the pipe is grown" {
    fifo-make box
    content $((2 * MIB)) >sent
    STDIN=sent start sender strace -o send.trace fifo-send -R box
    within cat box >/dev/null
    ended_with 0 sender
    start writer bash -c 'cat sent >box'
    within strace -o recv.trace fifo-recv -R box >/dev/null
    ended_with 0 writer
    grep -q 'splice(0, NULL, .* = [1-9]' send.trace
    grep -q 'splice([0-9]*, NULL, 1, NULL, .* = [1-9]' recv.trace
    for trace in send.trace recv.trace; do
        grep -q 'F_SETPIPE_SZ, 1048576' "$trace"
        run -1 grep -E '^(read\(0|write\(1|tee\().* = [0-9]{4,}$' "$trace"
    done
}

@test "an output that nobody reads does not hold up those who use the mailbox" {
    fifo-make box
    content $((4 * MIB)) >sent
    for way in unread_socket unread_terminal; do
        echo "row: $way"
        start receiver bash -c "$way fifo-recv -R box"
        STDIN=sent start sender fifo-send -R box
        waits receiver
        waits sender
        # It comes in, and is told at once that there is no room, or how much is in it. Were it held up, not even
        # SIGKILL would end it.
        start probe dd if=/dev/zero of=box bs=4096 count=1 oflag=nonblock conv=notrunc
        status_of probe
        start probe head -c 0 box
        ended_with 0 probe
        # What it had not passed on goes to whoever comes next, and nothing of it is missing.
        kill -KILL "$(cat receiver.pid)"
        start next cat box
        status_of sender
        if [ "$(cat sender.status)" = 0 ]; then
            ended_with 0 next
            # It has ended without a fault if nobody was missing between the two, and perhaps with a part.
            cmp next.out <(tail -c "$(size_of next.out)" sent)
        else
            # It may have ended before anybody came next, who then waits for another.
            ended_with 2 sender
            kill -KILL "$(cat next.pid)" || true
        fi
    done
}

@test "who only looks does not end a stream that waits for its reader" {
    content 5000 >sent
    fifo-make box
    STDIN=sent start sender fifo-send -R box
    waits sender
    for n in 1 2 3; do
        : <>box # somebody who opens it, and goes
    done
    waits sender
    within cat box >got
    ended_with 0 sender
    cmp got sent
}

@test "a message where a stream should begin stays, and is told" {
    fifo-make box
    seq 2000 >sent
    STDIN=sent start sender fifo-send box
    waits sender
    refused 2 'a message is there' fifo-recv -R box
    within fifo-recv box >got
    ended_with 0 sender
    cmp got sent
}
