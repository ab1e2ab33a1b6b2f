# shellcheck shell=bash
# Goal: a header that lies costs at most itself. Nothing it names is opened, nothing hangs, and the next message comes.
load helper

PLACE= # of the test that needs another user

teardown() {
    common_teardown
    rm -rf "$PLACE"
}

# le BYTES VALUE: VALUE in little-endian, as printf(1) takes it.
le() {
    local all
    printf -v all '\\x%02x' $(($2 & 255)) $(($2 >> 8 & 255)) $(($2 >> 16 & 255)) $(($2 >> 24 & 255)) \
        $(($2 >> 32 & 255)) $(($2 >> 40 & 255)) $(($2 >> 48 & 255)) $(($2 >> 56 & 255))
    printf %s "${all:0:4*$1}"
}

# frame [FIELD=VALUE...] [BODY]: writes a frame, sound but for the fields given, to the file `frame`. BODY is as
# printf(1) takes it. From there cat writes it into a mailbox, in one write as a sender does.
frame() {
    local version=1 type=R flags=0 header=16 length='' sender=1 body bytes
    while [[ ${1-} == *=* ]]; do
        local "$1"
        shift
    done
    body=${1-}
    # shellcheck disable=SC2059
    bytes=$(printf "$body" | wc -c)
    # shellcheck disable=SC2059
    printf "\xfffm$(le 1 "$version")$type$(le 1 "$flags")$(le 2 "$header")$(le 2 "${length:-$((16 + bytes))}")$(
        le 2 0)$(le 4 "$sender")$body" >frame
}

# reference PID FD [FIELD=VALUE...]: a frame whose content is said to lie with that process.
reference() {
    local pid=$1 fd=$2 content=100000 space id=0123456789abcdef
    space=$(stat -Lc %i /proc/self/ns/pid)
    shift 2
    while [[ ${1-} =~ ^(content|space|id)= ]]; do
        local "$1"
        shift
    done
    frame type=M sender="$pid" "$@" "$(le 8 "$content")$(le 8 "$space")$(le 4 "$fd")$id"
}

# Headers that lie about themselves: the arguments of frame.
LIES='length=4095 content
length=24 content
length=65535 content
length=4097 content
length=15 content
length=0 content
length=0
header=0 content
header=15 content
header=24 content
header=65535 length=24
version=0 content
type=Z content
type=\x00 content
sender=-1 content
sender=2147483648
type=M content
type=M'

# hold: a mailbox `box` that descriptor 7 keeps open, so that what is written to it stays.
hold() {
    fifo-make box
    exec 7<>box
}

# queued COUNT: so many bytes are in the mailbox.
queued() {
    run -0 perl -e 'my $n = pack("i", 0); ioctl(STDIN, 0x541B, $n) or die; print unpack("i", $n)' <&7
    assert_output "$1"
}

# goes_on: nothing is left in front of the next message, which comes through.
goes_on() {
    echo 'good message' >&7
    run -0 within fifo-recv -n box
    assert_output 'good message'
}

# works: so does one of fifo-send.
works() {
    queued 0
    start sender fifo-send -t 10 box 'good message' 7>&-
    run -0 --separate-stderr within fifo-recv box
    assert_output 'good message'
    ended_with 0 sender
}

# skipped: `frame` is skipped with status 5.
skipped() {
    cat frame >&7
    refused 5 'skipped a damaged message' fifo-recv -n box
    goes_on
}

# stays STATUS REGEX [OPTION...]: `frame` is refused so, and is in the mailbox afterwards, byte for byte.
stays() {
    local want=$1 regex=$2 size
    shift 2
    cat frame >&7
    refused "$want" "$regex.*stays in the mailbox" fifo-recv "$@" box
    size=$(stat -c %s frame)
    queued "$size"
    within head -c "$size" <&7 >left
    cmp frame left
    goes_on
}

# lines FILE COUNT
lines() {
    [ "$(wc -l <"$1")" = "$2" ]
}

@test "a record that tells the truth is a message" {
    hold
    frame 'two\nlines' && cat frame >&7
    run -0 --separate-stderr within fifo-recv box
    assert_output $'two\nlines'
    frame sender=0 '\000' && cat frame >&7
    assert_equal "$(within fifo-recv box | od -An -tx1)" ' 00'
    works
}

@test "a header that lies about itself is skipped with status 5" {
    local fields
    hold
    while read -ra fields; do
        echo "row: ${fields[*]}"
        frame "${fields[@]}" && skipped
    done <<<"$LIES"
    printf '\xfffm' >frame && skipped
    printf '\xfffm\x01R\0' >frame && skipped
    works
}

@test "a receiver that waits is told of each header that lies, and goes on with -f" {
    local fields count=0
    hold
    start receiver fifo-recv -f box 7>&-
    waits receiver
    while read -ra fields; do
        echo "row: ${fields[*]}"
        frame "${fields[@]}" && cat frame >&7
        wait_until lines receiver.err $((++count))
        echo "good $count" >&7
        wait_until lines receiver.out "$count"
    done <<<"$LIES"
    run -0 sort -u receiver.err
    assert_output "fifo-recv: 'box': skipped a damaged message"
    assert_equal "$(cat receiver.out)" "$(seq -f 'good %g' "$count")"
    exec 7>&-
}

@test "a sender behind a header that lies does not believe that its message was taken" {
    local fields
    hold
    for fields in length=4095 length=15 header=0 type=Z sender=-1 type=M; do
        echo "row: $fields"
        frame "$fields" && cat frame >&7
        refused 124 'timed out' fifo-send -t 0.1 box message
        # What lies is still there; the message is not, or leads nowhere.
        refused 5 'skipped a damaged message' fifo-recv -n box
        refused 1 empty fifo-recv -n box
    done
    works
}

@test "a message behind a header that lies is received, if its sender is told so" {
    hold
    frame length=4095 && cat frame >&7
    start sender fifo-send -t 3 box 'good message' 7>&-
    refused 5 'skipped a damaged message' fifo-recv -t 10 box
    within fifo-recv -q -t 4 box >got || true
    echo "sender: $(status_of sender), receiver: $(cat got)"
    case $(cat got) in
    'good message') ended_with 0 sender ;;
    *) ended_with 124 sender ;;
    esac
}

@test "a reference that cannot be one is skipped" {
    hold
    reference 0 3 && skipped
    reference -1 3 && skipped
    # Not by our own pid, which may have a newline among its bytes: what is damaged ends there.
    reference 1 3 length=51 && skipped
    reference 1 4294967295 && skipped
    reference 1 3 content=-1 && skipped
    works
}

@test "a reference to a process that is gone is dropped in silence, and the receiver goes on" {
    hold
    # shellcheck disable=SC2016
    reference "$(bash -c 'echo $$')" 3
    start receiver fifo-recv box 7>&-
    waits receiver
    cat frame frame >&7
    run -0 within fifo-send box next 7>&-
    ended_with 0 receiver
    assert_equal "$(cat receiver.out receiver.err)" next
    cat frame >&7
    refused 1 empty fifo-recv -n box
    works
}

@test "a reference to a process that is gone is dropped, however long its content is said to be" {
    hold
    # shellcheck disable=SC2016
    reference "$(bash -c 'echo $$')" 3 content=1000
    cat frame >&7
    refused 1 empty fifo-recv -n --max-size=999 box
    works
}

@test "a reference to a FIFO, a terminal, a device, a directory or nothing is skipped, and not opened" {
    local fd pid
    hold
    mkfifo fifo
    # shellcheck disable=SC2016
    start holder bash -c 'exec 20<>fifo 21<>/dev/ptmx 22</dev/zero 23<. 24> >(:); echo >ready; sleep 60' 7>&-
    wait_until test -s ready
    pid=$(cat holder.pid)
    for fd in 20 21 22 23 24 99; do
        echo "row: descriptor $fd"
        reference "$pid" "$fd" content=8 && cat frame >&7
        refused 5 'skipped a damaged message' strace -o trace -e trace=/^open fifo-recv -n box
        run -0 grep "/proc/$pid/fd/$fd" trace
        [[ $output == *O_PATH* ]]
        run -1 grep '/proc/self/fd/' trace
    done
    works
}

@test "a reference to a regular file is skipped, even if it starts with the id" {
    hold
    printf '0123456789abcdefcontent\n' >file
    start holder bash -c 'exec 20<file; echo >ready; sleep 60' 7>&-
    wait_until test -s ready
    reference "$(cat holder.pid)" 20 content=8 && skipped
    reference "$(cat holder.pid)" 20 content=7 && skipped
    works
}

@test "a reference with a wrong id, length or descriptor is skipped; with the right ones it is a message" {
    local pid fd id
    hold
    fifo-make other
    head -c 100000 /dev/zero >content
    STDIN=content start owner fifo-send other 7>&-
    waits owner
    pid=$(cat owner.pid)
    fd=$(find "/proc/$pid/fd" -lname '/memfd:*' -printf '%f')
    id=$(head -c 16 "/proc/$pid/fd/$fd" | od -An -v -tx1 | tr -d '\n' | sed 's/ /\\x/g')
    reference "$pid" "$fd" && skipped
    reference "$pid" "$fd" id="$id" content=99999 && skipped
    reference "$pid" "$fd" id="$id" content=100001 && skipped
    reference "$pid" $((fd + 1)) id="$id" && skipped
    reference "$pid" "$fd" id="$id" content=2000000000 && skipped
    reference "$pid" "$fd" id="$id" && stays 5 'longer than --max-size' --max-size=99999
    reference "$pid" "$fd" id="$id" && cat frame >&7
    within fifo-recv box >got
    cmp content got
    works
}

@test "a reference to a process of another user is skipped by root, and left in place by anyone else" {
    [ "$(id -u)" = 0 ] || skip "only root can become another user"
    local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    PLACE=$(mktemp -d /tmp/fifo-bad-frame-test.XXXXXXXX)
    cp "$(command -v fifo-recv)" "$PLACE"
    chmod -R a+rX "$PLACE"
    hold
    chmod 666 box
    mv box "$PLACE" # descriptor 7 goes with it
    ln -s "$PLACE/box" box
    start process "${nobody[@]}" sleep 60 7>&-
    reference "$(cat process.pid)" 0 && skipped
    reference "$(cat process.pid)" 99 && skipped
    works
    reference $$ 0 && cat frame >&7
    refused 2 'same user.*stays in the mailbox.*Permission denied' "${nobody[@]}" "$PLACE/fifo-recv" "$PLACE/box"
    queued 52
}

@test "a format of a newer version is refused with status 2 and stays" {
    hold
    frame version=2 content && stays 2 'newer version'
    frame version=255 header=0 length=9 content && stays 2 'newer version'
    frame flags=1 content && stays 2 'newer version'
    frame flags=128 type=Z content && stays 2 'newer version'
    works
}

@test "a reference from another pid namespace is refused with status 2 and stays" {
    hold
    reference $$ 3 space=1 && stays 2 'another pid namespace'
    works
}

@test "a record longer than --max-size is refused with status 5 and stays" {
    hold
    frame 123456789 && stays 5 'longer than --max-size' --max-size=8
    frame 123456789 && cat frame >&7
    run -0 within fifo-recv --max-size=9 box
    assert_output 123456789
}
