# shellcheck shell=bash
# Goal: many messages at once are still messages: each is whole, in order, taken or not, and the sender knows which.
load helper

# mixture COUNT [END]: items of every kind and awkward length, each ended by END, a newline if it is not given. Items that
# end in NUL have newlines in them, the others NULs.
mixture() {
    perl -e '
        my ($count, $end) = @ARGV;
        $end = $end eq "" ? "\n" : "\0";
        my $other = $end eq "\n" ? "\0" : "\n";
        my %kinds = (3 => "", 7 => "\xff", 11 => "${other}a$other${other}b$other$other", 17 => "\xff" . "fm\2R", 23 => "x" x 500,
            31 => "a\xff" . "fm\2R\1\x10", 37 => "\xff" . "fm\2P\0\x10\0\x34\0\0\0\1\0\0\0" . "y" x 36, 41 => $other);
        for my $n (1 .. $count) {
            my %long = (20 => 4079, 40 => 4080, 60 => 4094, 80 => 4095, 100 => 4096, 120 => 4097, 140 => 10000);
            my $length = $long{$n % 150};
            my $item = $kinds{$n % 47} // "item $n";
            $item .= "z" x ($length - length $item) if $length;
            $item =~ tr/\0/\n/ if $end eq "\0";
            print $item, $end;
        }' "$1" "${2-}"
}

# numbers COUNT: so many lines of 8 bytes, from 1000001 on. This way, seq is fast.
numbers() {
    seq 1000001 $((1000000 + $1))
}

# bytes_in MAILBOX: how many bytes are in it at this moment.
bytes_in() {
    perl -MFcntl -e 'sysopen(F, $ARGV[0], O_RDONLY | O_NONBLOCK) or die; my $n = pack("i", 0); ioctl(F, 0x541B, $n) or die;
        print unpack("i", $n), "\n"' "$1"
}

holds_more_than() {
    (($(bytes_in box) > $1))
}

# has_lines FILE COUNT: at least so many.
has_lines() {
    (($(wc -l <"$1") >= $2))
}

# Receivers take so many that messages come many at a time, and leave one such lot in the middle, with at least
# $1 bytes of it in the mailbox. What they took is in got. They take no longer than $SIZE, if set, says.
leave_in_the_middle() {
    within fifo-recv ${SIZE:+-s "$SIZE"} -c 700 box >got
    until wait_until_or 1 holds_more_than "$1"; do
        within fifo-recv ${SIZE:+-s "$SIZE"} -c 100 box >>got
    done
}

# wait_until_or SECONDS COMMAND...: like wait_until, but in vain is no trouble.
wait_until_or() {
    local DEADLINE=$1
    shift
    wait_until "$@" 2>/dev/null
}

nothing_is_left() {
    run -1 within fifo-recv -q -n box
    assert_output ''
}

# taken NAME: how many messages the sender says were taken.
taken() {
    sed -n "s/.*: \([0-9]*\) taken.*/\1/p" "$1.err"
}

# lines_of FILE: its whole lines. One that was cut is left out.
lines_of() {
    perl -ne 'print if /\n\z/' "$1"
}

# lots COUNT LOT OPTION...: receives COUNT messages, LOT at a time and then those that are left.
lots() {
    # A shell of its own: here each command has a trap of bats, which takes longer than to receive a message.
    # shellcheck disable=SC2016
    within bash -c 'count=$1 lot=$2; shift 2
        for ((; count > 0; count -= lot)); do
            fifo-recv "$@" -c $((lot < count ? lot : count)) box || exit
        done' lots "$@"
}

# all_arrives COUNT SEND-OPTION...: sends the file sent, COUNT items of it, to receivers of all kinds with -0, which shows
# where each message ends, and compares with the file want.
all_arrives() {
    local count=$1 lot
    shift
    for lot in "$count" 64 1; do
        STDIN=sent start sender fifo-send "$@" box
        # Every kind is among the first 150. One by one takes time: only these.
        if [ "$lot" = 1 ]; then
            lots 150 1 -0 >got
            lots $((count - 150)) "$count" -0 >>got
        else
            lots "$count" "$lot" -0 >got
        fi
        ended_with 0 sender
        cmp want got
        nothing_is_left
    done
    STDIN=sent start sender fifo-send "$@" box
    start follower fifo-recv -0 -f box
    ended_with 0 sender
    kill "$(cat follower.pid)"
    ended_with 143 follower
    cmp want follower.out
}

@test "items of every kind arrive one by one as they were sent, with -0 at both ends" {
    fifo-make box
    mixture 600 NUL | tee want >sent
    # The last one needs no end.
    truncate -s -1 sent
    all_arrives 600 -0
}

@test "items of every kind arrive without the newline that -N leaves out" {
    fifo-make box
    mixture 600 NUL >sent
    # A message that ends in a newline has a NUL in its place.
    perl -0pe 's/\n\0\z/\0/' sent >want
    all_arrives 600 -0N
}

@test "lines of every kind arrive one by one as they were sent" {
    fifo-make box
    mixture 600 >sent
    truncate -s -1 sent
    perl -pe 's/\n\z/\0/; $_ .= eof && !/\0\z/ ? "\0" : ""' sent >want
    all_arrives 600 -l
}

@test "lines and items of every kind arrive as they are without -0 at the receiver" {
    fifo-make box
    mixture 3000 >sent
    truncate -s -1 sent
    STDIN=sent start sender fifo-send -l box
    within fifo-recv -c 3000 box | cmp - sent
    ended_with 0 sender
    mixture 3000 NUL >sent
    STDIN=sent start sender fifo-send -0 box
    within fifo-recv -c 3000 box | cmp - <(tr '\0' '\n' <sent)
    ended_with 0 sender
}

@test "COMMAND gets one message at a time, whatever came with it" {
    fifo-make box
    mixture 150 >sent
    STDIN=sent start sender fifo-send -l box
    within fifo-recv -c 150 box wc -c >got
    ended_with 0 sender
    perl -ne 'print length, "\n"' sent | cmp - got
}

@test "messages of fixed size arrive one by one as they were sent" {
    fifo-make box
    for row in '1 1000' '7 50' '4096 300'; do
        read -r size lot <<<"$row"
        head -c $((size * 1000)) /dev/urandom >sent
        STDIN=sent start sender fifo-send -s "$size" box
        lots 1000 "$lot" -s "$size" >got
        ended_with 0 sender
        cmp sent got
    done
    head -c 140 /dev/urandom >sent
    STDIN=sent start sender fifo-send -s 7 box
    within bash -c 'for n in {1..20}; do fifo-recv -s 7 box >one; cat one; wc -c <one >&2; done' >got 2>sizes
    cmp sent got
    [ "$(sort -u sizes)" = 7 ]
    ended_with 0 sender
}

@test "-c takes exactly so many, and the rest remains for the next" {
    fifo-make box
    numbers 100000 >sent
    STDIN=sent start sender fifo-send -l box
    leave_in_the_middle 50
    for count in 1 2 3 1 5 8 13 21 34 55 3000 89 1; do
        within fifo-recv -c "$count" box >lot
        [ "$(wc -l <lot)" = "$count" ]
        cat lot >>got
    done
    count=$(wc -l <got)
    within fifo-recv -c $((100000 - count)) box >>got
    ended_with 0 sender
    cmp sent got
}

@test "--peek and -v in the middle of a batch: one message each" {
    fifo-make box
    numbers 20000 >sent
    STDIN=sent start sender fifo-send -l box
    leave_in_the_middle 50
    next=$((1000001 + $(wc -l <got)))
    run -0 within fifo-recv --peek box
    assert_output "$next"
    run -0 --separate-stderr within fifo-recv -v -c 2 box
    assert_line --index 0 "$next"
    # shellcheck disable=SC2154
    assert_equal "$(grep -c 'message of 8 bytes' <<<"$stderr")" 2
    within fifo-recv -c $((19998 - $(wc -l <got))) box | tail -n 1 | grep -qx 1020000
    ended_with 0 sender
}

# count_calls SEND-OPTION FILE [RECV-OPTION...]: sends the lines or items of FILE, and sets `most` to how many system
# calls the busier side made.
count_calls() {
    local side calls
    STDIN=$2 start sender strace -c -o sender.calls fifo-send "$1" box
    within strace -c -o receiver.calls fifo-recv "${@:3}" -c 100000 box >got 3>&-
    ended_with 0 sender
    most=0
    for side in sender receiver; do
        calls=$(awk '$NF == "total" { print $4 }' "$side.calls")
        echo "$2: $side made $calls calls"
        ((calls >= 20))
        most=$((calls > most ? calls : most))
    done
}

@test "many messages cost few system calls, on both sides" {
    local kind tries most
    fifo-make box
    numbers 100000 >lines
    numbers 100000 | tr 1 '\377' >records
    numbers 100000 | tr '\n' '\0' >items
    for kind in '-l lines' '-l records' '-0 items' '-s8 lines -s 8'; do
        # Most often below 1000. A busy machine makes batches smaller; one that is busy five times is not it.
        most=10000
        for ((tries = 0; tries < 5 && most >= 10000; tries++)); do
            # shellcheck disable=SC2086 # options
            count_calls $kind
        done
        ((most < 10000))
    done
}

# Stops the receivers and prints what is left in the mailbox, message by message, by one read(2) of a program that
# knows frames and nothing else. Dies unless it is whole frames.
drain() {
    perl -MFcntl -e '
        sysopen(F, "box", O_RDONLY | O_NONBLOCK) or die;
        defined(sysread(F, my $left, 1 << 20)) or die $!;
        my $count = 0;
        while ($left ne "") {
            if ($left =~ s/^\xfffm\x02R\0\x10\0(....)....//s) {
                my $length = unpack("V", $1) - 16;
                length $left >= $length or die "a record is cut after message $count";
                print substr($left, 0, $length, "");
            } else {
                $left =~ s/^([^\n\xff]*\n)// or die "no message after message $count: " . substr($left, 0, 20);
                print $1;
            }
            $count++;
        }
        print STDERR "$count\n"'
}

# look_after COUNT: receives so many, and then looks at what is in the mailbox. Sets `most` to the most that were there.
look_after() {
    within fifo-recv -c "$1" box >>got
    wait_until holds_more_than 0
    drain >>got 2>count
    most=$(($(cat count) > most ? $(cat count) : most))
}

@test "what is in the mailbox is whole messages at any moment" {
    fifo-make box
    mixture 3000 >sent
    STDIN=sent start sender fifo-send -l box
    : >got
    most=0
    for count in 100 300 1 2 1 400 1 50 300 1; do
        look_after "$count"
    done
    # On a busy machine batches are small for a while.
    for ((tries = 0; tries < 12 && most <= 10; tries++)); do
        look_after 100
    done
    ((most > 10))
    within fifo-recv -f box >>got 3>&- &
    ended_with 0 sender
    kill $!
    cmp sent got
}

@test "a line of a slow program goes at once, also after many that came fast" {
    fifo-make box
    start receiver fifo-recv -f box
    mkfifo input
    STDIN=input start sender fifo-send -l box 8>&-
    exec 8>input
    echo first >&8
    wait_until grep -qx first receiver.out
    echo second >&8
    wait_until grep -qx second receiver.out
    seq 20000 >&8
    wait_until grep -qx 20000 receiver.out
    printf 'third\nhalf' >&8
    wait_until grep -qx third receiver.out
    [ ! -s sender.status ]
    run -1 grep half receiver.out
    exec 8>&-
    ended_with 0 sender
    run -0 tail -n 1 receiver.out
    assert_output half
}

@test "a line that is typed goes at once" {
    fifo-make box
    start receiver fifo-recv -f box
    mkfifo keys
    STDIN=keys start sender perl -e '
        use Fcntl;
        sysopen(my $m, "/dev/ptmx", O_RDWR | O_NOCTTY) or die;
        my $zero = pack("i", 0); ioctl($m, 0x40045431, $zero) or die;
        my $n = pack("i", 0); ioctl($m, 0x80045430, $n) or die;
        if (fork() == 0) {
            open(STDIN, "+<", "/dev/pts/" . unpack("i", $n)) or die; close $m;
            exec "fifo-send", "-l", "box";
        }
        while (sysread(STDIN, my $keys, 100)) { syswrite($m, $keys) }
        wait; exit $? >> 8'
    exec 8>keys
    for line in one two three; do
        echo "$line" >&8
        wait_until grep -qx "$line" receiver.out
    done
    printf '\004' >&8 # end of file
    exec 8>&-
    ended_with 0 sender
    run -0 cat receiver.out
    assert_output $'one\ntwo\nthree'
}

@test "other senders get their turn beside an endless one, but not beside -x" {
    fifo-make box
    start receiver bash -c 'fifo-recv -f box | grep --line-buffered -v "^[yz]$"'
    start endless bash -c 'yes | fifo-send -l box'
    wait_until test "$(within fifo-recv box)" = y
    for n in {1..8}; do
        run -0 within fifo-send -t 3 box "hello $n"
        wait_until grep -qx "hello $n" receiver.out
    done
    run -0 within fifo-send -t 3 -l box < <(seq 100)
    wait_until grep -qx 100 receiver.out
    run -0 cat receiver.out
    assert_output "$(printf 'hello %d\n' {1..8})"$'\n'"$(seq 100)"
    [ ! -s endless.status ]
    kill -KILL -- "-${PEERS[-1]}"
    start endless bash -c 'yes z | fifo-send -x -l box'
    until [ "$(within fifo-recv box)" = z ]; do
        : # what the one that was killed has left
    done
    run -124 within fifo-send -q -t 300ms box never
    run -1 grep never receiver.out
}

@test "three senders at once: each keeps its order, nothing is lost or torn, and they take turns" {
    fifo-make box
    for name in a b c; do
        seq -f "$name %.0f" 20000 >"$name.sent"
    done
    start receiver fifo-recv -c 60000 box
    # None is done before the last one begins.
    kill -STOP "$(cat receiver.pid)"
    for name in a b c; do
        STDIN=$name.sent start "$name" fifo-send -l box
        waits "$name"
    done
    kill -CONT "$(cat receiver.pid)"
    ended_with 0 receiver a b c
    for name in a b c; do
        grep "^$name" receiver.out | cmp - "$name.sent"
    done
    [ "$(wc -l <receiver.out)" = 60000 ]
    # All have come before any is done. How often they change depends on the machine.
    cut -c 1 receiver.out | uniq | awk '!first[$1] { first[$1] = NR } { last[$1] = NR }
        END { for (a in first) for (b in last) if (first[a] > last[b]) exit 1 }'
}

@test "receivers killed again and again: nothing is lost or torn, and at most one batch each comes twice" {
    fifo-make box
    seq 3000000 >sent
    STDIN=sent start sender fifo-send -l box
    mkdir got
    # One file for each, which may end in the middle of a line. Prints how many were killed.
    run -0 within perl -e '
        use Time::HiRes qw(time);
        srand 1;
        my $n = 1000;
        # How long it takes to start one: built for debugging, it takes its time.
        my $start = time;
        system "fifo-recv --version >version";
        $start = time - $start;
        until (-s "sender.status") {
            my $name = "got/" . ++$n;
            my $pid = fork() // die;
            if ($pid == 0) { open(STDOUT, ">", $name); open(STDERR, ">", "said"); exec "fifo-recv", "-f", "box" }
            select undef, undef, undef, rand(2 * $start) + rand 0.006;
            kill KILL => $pid;
            waitpid $pid, 0;
        }
        print $n - 1000'
    echo "$output killed"
    ((output > 2))
    ended_with 0 sender
    nothing_is_left
    run -0 perl -e '
        my ($next, $again) = (1, 0);
        for my $name (sort glob "got/*") {
            open(F, $name);
            my $first = 1;
            while (<F>) {
                if (!/\n\z/) { die "torn: $_ in $name" if index("$next\n", $_) != 0 && !$first; last }
                /^[0-9]+\n\z/ or die "torn: $_ in $name";
                if ($first && $_ < $next) { $again++; die "more than a batch: $_ after $next" if $next - $_ > 16384; $next = $_ }
                die "$_ after $next in $name" if $_ != $next;
                $next++;
                $first = 0;
            }
        }
        die "ends before $next" if $next != 3000001;
        print "ok"'
    assert_output ok
}

@test "a sender killed in the middle: what came is the beginning, in whole lines, and the mailbox works" {
    fifo-make box
    for n in 1 4 15; do
        start receiver fifo-recv -f box
        STDIN=<(seq inf) start victim fifo-send -l box
        wait_until has_lines receiver.out $((n * n * n))
        kill -KILL "$(cat victim.pid)"
        within fifo-send box after
        kill -TERM "$(cat receiver.pid)"
        ended_with 137 victim
        ended_with 143 receiver
        count=$(($(wc -l <receiver.out) - 1))
        {
            seq "$count"
            echo after
        } | cmp - receiver.out
        nothing_is_left
    done
}

# ends_in_the_middle STATUS LIMIT COMMAND...: for each kind of message, a sender with the deadline LIMIT that COMMAND ends,
# while it has some of a batch in the mailbox: those that the receiver got are those that it says were taken, and the
# others are gone.
ends_in_the_middle() {
    local kind jobs=() job
    for kind in line:-l record:-l item:-0 fixed:-s8; do
        mkdir "${kind%:*}"
        (cd "${kind%:*}" && one_ends_in_the_middle "$kind" "$@") 3>&- &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job"
    done
}

one_ends_in_the_middle() {
    local kind=$1 want=$2 limit=$3
    shift 3
    fifo-make box
    exec 7<>box
    numbers 30000 >sent
    case $kind in
        record*) sed -i $'s/^/\377/' sent ;;
        item*) tr '\n' '\0' <sent >items && mv items sent ;;
        fixed*) SIZE=8 ;;
    esac
    STDIN=sent start sender fifo-send -v "${kind#*:}" -t "$limit" box
    leave_in_the_middle 50
    "$@"
    ended_with "$want" sender
    echo "$kind: $(wc -l <got) received, $(cat sender.err)"
    [ "$(taken sender)" = "$(wc -l <got)" ]
    tr '\0' '\n' <sent | head -n "$(wc -l <got)" | cmp - got
    [ "$(bytes_in /dev/fd/7)" = 0 ]
}

@test "the deadline in the middle of a batch: -v tells what was taken, the others are withdrawn" {
    ends_in_the_middle 124 8 true
}

signalled() {
    kill -"$1" "$(cat sender.pid)"
}

@test "a signal in the middle of a batch withdraws what is left of it" {
    ends_in_the_middle 143 60 signalled TERM
}

@test "removal in the middle of a batch withdraws what is left of it" {
    ends_in_the_middle 3 60 rm box
}

@test "the deadline beside receivers that take one at a time: they got what -v says was taken" {
    fifo-make box
    for _ in 1 2; do
        yes | head -n 100000 >sent
        STDIN=sent start sender fifo-send -v -l -t 2 box
        : >got
        within fifo-recv -q -c 500 box >>got
        while [ ! -s sender.status ]; do
            within fifo-recv -q -n box >>got || true
        done
        ended_with 124 sender
        within fifo-recv -q -n box >>got || true
        [ "$(taken sender)" = "$(wc -l <got)" ]
        nothing_is_left
    done
}

@test "the deadline beside a receiver that is stopped: 124, or 4 if it has some in hand, and never one that is lost" {
    fifo-make box
    for n in 1 2 3 4; do
        start receiver fifo-recv -f box
        STDIN=<(yes) start sender fifo-send -v -l -t 1 box
        wait_until has_lines receiver.out $((n * 50))
        kill -STOP "$(cat receiver.pid)"
        status=$(status_of sender)
        kill -CONT "$(cat receiver.pid)"
        within fifo-send box end
        kill "$(cat receiver.pid)"
        ended_with 143 receiver
        count=$(grep -cx y receiver.out)
        echo "status $status, $count received, $(taken sender) taken"
        case $status in
            124) [ "$(taken sender)" = "$count" ] ;;
            4) (($(taken sender) < count && count <= $(taken sender) + 16384)) ;;
            *) false ;;
        esac
        [ "$(wc -l <receiver.out)" = $((count + 1)) ]
        nothing_is_left
    done
}

@test "removal while a receiver is at work: both end, and what was not taken is told" {
    for _ in 1 2 3; do
        fifo-make box
        start receiver fifo-recv -f box
        start sender bash -c 'seq 1000001 inf | fifo-send -v -l box'
        wait_until has_lines receiver.out 1000
        rm box
        ended_with 3 receiver
        status=$(status_of sender)
        count=$(wc -l <receiver.out)
        case $status in
            3) [ "$(taken sender)" = "$count" ] ;;
            4) (($(taken sender) <= count && count <= $(taken sender) + 16384)) ;;
            *) false ;;
        esac
        numbers "$count" | cmp - receiver.out
    done
}

@test "raw lines behind and between a batch stay when it is withdrawn" {
    fifo-make box
    exec 7<>box
    numbers 30000 >sent
    STDIN=sent start sender fifo-send -v -l -t 8 box
    leave_in_the_middle 50
    printf 'raw 1\n' >box
    printf 'raw 2\n' >box
    within fifo-recv -c 3 box >>got
    printf 'raw 3\n' >box
    ended_with 124 sender
    [ "$(taken sender)" = "$(wc -l <got)" ]
    run -0 within fifo-recv -n -c 3 box
    assert_output $'raw 1\nraw 2\nraw 3'
    nothing_is_left
    exec 7>&-
}

@test "raw lines in the middle of many messages arrive whole, each once" {
    fifo-make box
    start receiver fifo-recv -f box
    numbers 3000000 >sent
    STDIN=sent start sender fifo-send -l box
    within bash -c 'for n in {1..500}; do echo "raw $n" >box; done'
    ended_with 0 sender
    within fifo-send box end
    grep -c raw receiver.out
    grep raw receiver.out | cmp - <(printf 'raw %d\n' {1..500})
    grep -v raw receiver.out | cmp - <(
        cat sent
        echo end
    )
    kill "$(cat receiver.pid)"
}

@test "what a raw writer has not finished is never glued to a message" {
    fifo-make box
    start receiver fifo-recv -0 -f box
    numbers 200000 >sent
    STDIN=sent start sender fifo-send -l box
    within bash -c 'for n in {1..50}; do printf abc >box; echo def >box; done'
    ended_with 0 sender
    within fifo-send box end
    kill "$(cat receiver.pid)"
    tr '\0' '\n' <receiver.out >got
    run -1 grep -nvxE '[0-9]{7}|end|(abc)*(def)?' got
    grep -x '[0-9]*' got | cmp - sent
    [ "$(grep -o abc got | wc -l)" = 50 ]
    [ "$(grep -o def got | wc -l)" = 50 ]
}

@test "what a raw writer leaves just before a batch moves in is never glued to it" {
    fifo-make box
    for call in write:3 splice:1; do
        start receiver fifo-recv -0 -f box
        # Long enough for a few of them to go by splice(2).
        numbers 20000 | sed "s/$/$(printf '%0600d' 0)/" >sent
        # shellcheck disable=SC2094
        STDIN=sent start sender strace -o trace -e trace=write,splice,ioctl \
            -e inject="${call%:*}:delay_enter=1500000:when=${call#*:}" fifo-send -l box
        # The delayed call is told of when it is done, and the one before it is the look at an empty mailbox.
        [ "$call" != write:3 ] || wait_until eval '(($(grep -c "^write(" trace) >= 2))'
        wait_until quiet trace
        printf abc >box
        printf abcd >box
        ended_with 0 sender
        within fifo-send box end
        kill "$(cat receiver.pid)"
        tr '\0' '\n' <receiver.out >got
        run -0 grep -vxE '[0-9]{607}|end' got
        assert_output abcabcd
        grep -x '[0-9]*' got | cmp - sent
    done
}

# quiet FILE: it is not empty, and has not grown for a little.
quiet() {
    local size
    size=$(stat -c %s "$1")
    sleep 0.4
    [ "$size" -gt 0 ] && [ "$(stat -c %s "$1")" = "$size" ]
}

@test "an output that is full takes nothing" {
    fifo-make box
    numbers 5000 >sent
    STDIN=sent start sender fifo-send -l box
    leave_in_the_middle 50
    run -2 --separate-stderr bash -c 'timeout -s KILL 10 fifo-recv -f box >/dev/full'
    one_line 'No space left on device'
    count=$(wc -l <got)
    within fifo-recv -c $((5000 - count)) box >>got
    ended_with 0 sender
    cmp sent got
}

# rest_comes_after FILE: the messages that are whole in FILE and those that are still in the mailbox, up to 30000, are
# those that were sent, each once. FILE ends inside a batch.
rest_comes_after() {
    lines_of "$1" >first
    local count
    count=$(wc -l <first)
    echo "$count messages printed"
    ((count > 100 && count < 30000))
    within fifo-recv -c $((30000 - count)) box >second
    ended_with 0 sender
    cat first second | cmp - sent
    nothing_is_left
}

@test "an output that becomes full: what is in it was taken, the rest comes to the next receiver" {
    for kind in plain record; do
        rm -f box
        fifo-make box
        seq 30000 >sent
        # The file ends inside a line.
        [ "$kind" = plain ] || sed -i $'s/^/\377\377/' sent
        STDIN=sent start sender fifo-send -l box
        run -2 --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 50; timeout -s KILL 10 fifo-recv -f box >out'
        one_line 'File too large'
        [ "$(stat -c %s out)" = 51200 ]
        rest_comes_after out
    done
}

@test "a disk that becomes full: what is in it was taken, the rest comes to the next receiver" {
    local covered
    [ "$(id -u)" = 0 ] || skip "only root can mount a small disk"
    for covered in /sys /dev/pts /run /proc; do
        mountpoint -q "$covered" && break
    done
    fifo-make box
    seq 30000 >sent
    STDIN=sent start sender fifo-send -l box
    # shellcheck disable=SC2016
    run -2 --separate-stderr unshare -m --propagation unchanged bash -c '
        mount --make-private "$1" && mount -t tmpfs -o size=64k none "$1" || exit 77
        timeout -s KILL 10 fifo-recv -f box >"$1/out"; status=$?
        cat "$1/out" >out; exit $status' - "$covered"
    one_line 'No space left on device'
    [ "$(stat -c %s out)" = 65536 ]
    rest_comes_after out
}

@test "an output that nobody reads until the deadline: what it has was taken, the rest comes to the next receiver" {
    fifo-make box
    mkfifo pipe
    seq 30000 >sent
    STDIN=sent start sender fifo-send -l box
    exec 8<>pipe
    run -124 bash -c 'timeout -s KILL 10 fifo-recv -q -f -t 1 box >&8'
    dd iflag=nonblock bs=1M count=1 <&8 >out 2>noise
    exec 8>&-
    rest_comes_after out
}

@test "an output whose reader dies: what it was given was taken, the rest comes to the next receiver" {
    fifo-make box
    numbers 30000 >sent
    STDIN=sent start sender fifo-send -l box
    # shellcheck disable=SC2016
    run -2 --separate-stderr bash -c 'timeout -s KILL 10 strace -o trace -e trace=write,writev fifo-recv -f box |
        { sleep 0.3; head -c 20000 >out; }; exit "${PIPESTATUS[0]}"'
    one_line 'Broken pipe'
    # The pipe was full, and so the write in which the reader died had begun. What the pipe took, also if nobody read it from there, was printed.
    given=$(perl -ne '$sum += $1 if /^writev?\(1, .* = (\d+)$/; END { print $sum }' trace)
    cmp out <(head -c 20000 sent)
    ((given >= 20000 && given < 240000))
    within fifo-recv -c $((30000 - given / 8)) box >rest
    cmp rest <(tail -n +$((given / 8 + 1)) sent)
    ended_with 0 sender
    nothing_is_left
}

@test "who may only write sends many messages too" {
    as_another_user
    chmod 777 .
    fifo-make -m 622 drop
    mixture 3000 | perl -ne 'print if length() <= 4080' >sent
    STDIN=sent start sender "${NOBODY[@]}" fifo-send -l drop
    within fifo-recv -c "$(wc -l <sent)" drop | cmp - sent
    ended_with 0 sender
    STDIN=sent start sender "${NOBODY[@]}" fifo-send -v -l drop
    within fifo-recv -c 1000 drop >got
    head -n 1000 sent | cmp - got
    # It cannot take back what is there already, nor look how much that is.
    rm drop
    status=$(status_of sender)
    [[ $status == [34] ]]
    (($(taken sender) <= 1000))
}

@test "process substitution: many lines to a program, and 3 if it ends before them" {
    # shellcheck disable=SC2016
    run -0 within bash -c 'mixture() { cat lines; }; seq 100000 >lines
        mixture | fifo-send -l >(cat >out); status=$?; wait $!; exit $status'
    wait_until cmp -s <(seq 100000) out
    run -3 within bash -c 'seq 100000 | fifo-send -q -l >(head -n 5 >out)'
    wait_until has_lines out 5
    run -0 cat out
    assert_output "$(seq 5)"
}

@test "-n: many lines to a receiver that is there, and none without one" {
    fifo-make box
    numbers 30000 >sent
    run -1 --separate-stderr within fifo-send -v -n -l box <sent
    [[ $stderr == *"'box': 0 taken before the one that failed"*'no receiver is there'* ]]
    start receiver fifo-recv -c 30000 box
    waits receiver
    run -0 within fifo-send -n -l box <sent
    ended_with 0 receiver
    cmp sent receiver.out
}

@test "-n: a receiver that leaves in the middle got what -v says, the others are withdrawn" {
    fifo-make box
    exec 7<>box
    numbers 30000 >sent
    start receiver fifo-recv -c 700 box
    waits receiver
    STDIN=sent start sender fifo-send -v -n -l box
    ended_with 0 receiver
    ended_with 1 sender
    [ "$(taken sender)" = 700 ]
    head -n 700 sent | cmp - receiver.out
    nothing_is_left
    exec 7>&-
}

@test "a mailbox that somebody makes smaller and bigger all the while carries everything" {
    fifo-make box
    mixture 30000 >sent
    STDIN=sent start sender fifo-send -l box
    start shrinker perl -MFcntl -e '
        open(F, "+<", "box") or die; my $done = 0;
        until (-s "sender.status") {
            $done++ if fcntl(F, 1031, 4096);
            select undef, undef, undef, 0.001;
            fcntl(F, 1031, 65536) if $done % 7 == 6;
        }
        exit($done > 3 ? 0 : 1)'
    within fifo-recv -c 30000 box >got
    cmp sent got
    ended_with 0 sender shrinker
}
