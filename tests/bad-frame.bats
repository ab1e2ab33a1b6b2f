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
    local version=2 type=R flags=0 header=16 length='' sender=1 body bytes
    while [[ ${1-} == *=* ]]; do
        local "$1"
        shift
    done
    body=${1-}
    # shellcheck disable=SC2059
    bytes=$(printf "$body" | wc -c)
    # shellcheck disable=SC2059
    printf "\xfffm$(le 1 "$version")$type$(le 1 "$flags")$(le 2 "$header")$(le 4 "${length:-$((16 + bytes))}")$(
        le 4 "$sender")$body" >frame
}

# part [id=N] [total=N] [offset=N] [FIELD=VALUE...] CONTENT: a part of a message; nobody holds the lock of its try.
part() {
    local id=77 total=8 offset=0
    while [[ ${1-} =~ ^(total|offset|id)= ]]; do
        local "$1"
        shift
    done
    frame type=P "${@:1:$#-1}" "$(le 8 "$id")$(le 8 "$total")$(le 8 "$offset")${*: -1}"
}

# alive ID: somebody holds the lock of that try, until the test ends.
alive() {
    start holder perl -MFcntl -e '
        open(F, "+<", "box") or die;
        fcntl(F, 37, pack("s s x![q] q q i x![q]", F_WRLCK, 0, (1 << 62) + $ARGV[0], 1, 0)) or die $!; # F_OFD_SETLK
        print "ready\n"; $| = 1; close STDOUT; sleep 60' "$1"
    wait_until test -s holder.out
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
type=P content
type=P'

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
    printf '\xfffm\x02R\0' >frame && skipped
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
    for fields in length=4095 length=15 header=0 type=Z sender=-1 type=P; do
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

@test "a part that cannot be one is skipped" {
    hold
    part total=3 content && skipped
    part total=-1 content && skipped
    part total=9223372036854775808 content && skipped
    part offset=9 content && skipped
    part offset=2 content && skipped
    part offset=-1 content && skipped
    part total=0 offset=1 content && skipped
    part total=8 '' && skipped
    part id=4611686018427387904 content && skipped
    part id=-1 content && skipped
    part length=39 content && skipped
    works
}

@test "a part of a try that is no more is dropped in silence, and the receiver goes on" {
    hold
    start receiver fifo-recv box 7>&-
    waits receiver
    part contents && cat frame >&7
    part total=100 content && cat frame >&7
    part total=8 offset=1 content && cat frame >&7
    part total=1000000000000 offset=5 content && cat frame >&7
    run -0 within fifo-send box next 7>&-
    ended_with 0 receiver
    assert_equal "$(cat receiver.out receiver.err)" next
    part contents && cat frame >&7
    refused 1 empty fifo-recv -n --max-size=3 box
    works
}

@test "a part of a try that is alive is a message, or the beginning of one" {
    hold
    alive 77
    part contents && cat frame >&7
    run -0 within fifo-recv box
    assert_output contents
    part total=9 contents && cat frame >&7
    part total=9 offset=8 s && cat frame >&7
    run -0 within fifo-recv box
    assert_output contentss
    part contents && stays 5 'longer than --max-size' --max-size=7
    works
}

@test "parts that do not go on from one another are never put together" {
    local lie
    hold
    alive 77
    for lie in 'id=78 total=9 offset=8' 'total=10 offset=8' 'total=9 offset=7' 'total=9 offset=0'; do
        echo "row: $lie"
        part total=9 contents && cat frame >&7
        # shellcheck disable=SC2086 # fields
        part $lie "$([[ $lie == *offset=7 ]] && echo ab || echo a)" && cat frame >&7
        run -124 within fifo-recv -q -t 0.3 box
        assert_output ''
        within dd bs=65536 count=1 iflag=nonblock status=none <&7 >/dev/null || true
        queued 0
    done
    works
}

@test "where the rest of a message is, and nobody begins anew, the deadline holds" {
    hold
    alive 77
    part total=9 offset=8 s && cat frame >&7
    refused 124 'timed out' fifo-recv -t 0.2 box
    refused 1 busy fifo-recv -n box
    kill -KILL "$(cat holder.pid)"
    wait_until test -s holder.status
    refused 1 empty fifo-recv -n box
    works
}

@test "a format of a newer or older version is refused with status 2 and stays" {
    hold
    frame version=1 content && stays 2 'newer or older version'
    frame version=1 type=M content && stays 2 'newer or older version'
    frame version=3 content && stays 2 'newer or older version'
    frame version=255 header=0 length=9 content && stays 2 'newer or older version'
    frame flags=1 content && stays 2 'newer or older version'
    frame flags=128 type=Z content && stays 2 'newer or older version'
    works
}

@test "a record longer than --max-size is refused with status 5 and stays" {
    hold
    frame 123456789 && stays 5 'longer than --max-size' --max-size=8
    frame 123456789 && cat frame >&7
    run -0 within fifo-recv --max-size=9 box
    assert_output 123456789
}
