#!/usr/bin/env bats
# shellcheck shell=bash
# Buffered mailboxes after kills, losses of power, damage and failing disks. simulated/crashes.bats tries them all.

load helper

# stored MESSAGE...: asserts that the mailbox holds exactly these, and takes them.
stored() { left_in box "$@"; }

# whole: asserts that nothing is half stored: the ledger and the log agree.
whole() {
    assert_equal "$(od -A n -t u8 -j 80 -N 8 box/.state | tr -d ' ')" "$(stat -c %s box/queue)"
}

@test "a damaged message is status 5, once, and the next one comes" {
    fifo-make -b unbounded box
    fifo-send box one two three
    printf X | dd of=box/queue bs=1 seek=$((64 + 64)) conv=notrunc status=none
    run -5 on_stderr fifo-recv box
    one_line "'box': a damaged message was skipped" "$output"
    stored two three
}

@test "-f reports a damaged message and goes on" {
    fifo-make -b unbounded box
    fifo-send box one two three
    printf X | dd of=box/queue bs=1 seek=$((64 + 80 + 64)) conv=notrunc status=none
    run -1 --separate-stderr within fifo-recv -n -f box
    assert_output "one
three"
    assert_equal "$stderr" "fifo-recv: 'box': a damaged message was skipped
fifo-recv: 'box': empty"
}

@test "without its ledger, or with another one's, a mailbox finds its messages again" {
    fifo-make -b 5 box
    fifo-make -b unbounded other
    fifo-send box one two three
    fifo-recv box >/dev/null
    : >box/.state
    stored one two three # that one was taken is in the ledger alone
    fifo-send box four
    cp other/.state box/.state
    fifo-send box five
    stored one two three four five
}

@test "records that were wiped are counted as lost, and reported" {
    fifo-make -b unbounded box
    fifo-send box one two three
    dd if=/dev/zero of=box/queue bs=80 seek=144 oflag=seek_bytes count=2 conv=notrunc status=none
    run -0 within fifo-recv -n box
    assert_output one
    run -5 --separate-stderr within fifo-recv -n box
    one_line "damaged message was skipped"
    run -1 within fifo-recv -q -n box
}

@test "a run of done messages that leads beyond a shortened log does not cover new ones" {
    fifo-make -b unbounded --sync box
    fifo-send box aaaa bbbb cccc dddd
    # While the first one is in hand, the others are taken as one run. The end of it is lost.
    run -1 within fifo-recv -q box sh -c 'fifo-recv -c 3 box >/dev/null; exit 1'
    truncate -s $((64 + 3 * 80)) box/queue
    fifo-send box new
    run -1 within fifo-recv -q box sh -c 'fifo-recv -q box sh -c "fifo-recv -q box false; exit 1"; exit 1'
    stored aaaa cccc new
}

@test "an old ledger that two losses of power bring back twice does not hide what was stored in between" {
    local n
    fifo-make -b unbounded --sync box
    for n in 1 2 3; do
        head -c 5000 /dev/zero | fifo-send box
    done
    fifo-recv -c 2 box >/dev/null
    cp box/.state old
    head -c 64 box/queue >header
    fifo-recv box >/dev/null
    # The log was emptied; its size has got to the disk, but its new generation and the ledger have not.
    assert_equal "$(stat -c %s box/queue)" 64
    cp header box/queue
    cp old box/.state
    fifo-send box new second
    cp old box/.state
    stored new second
}

@test "what was synced need not be known to find out what was taken" {
    fifo-make -b unbounded box
    fifo-send box one two three
    fifo-recv box >/dev/null
    printf X | dd of=box/.state bs=1 seek=256 conv=notrunc status=none
    printf 'half a record that was being written..' >>box/queue
    stored two three
}

@test "a mailbox with both headers gone is status 5, and fifo-rm -f removes it" {
    fifo-make -b unbounded box
    fifo-send box one
    dd if=/dev/zero of=box/queue bs=64 count=1 conv=notrunc status=none
    : >box/.state
    refused 5 "damaged beyond repair" fifo-send box two
    refused 5 "damaged beyond repair" fifo-recv box
    refused 5 "damaged beyond repair" fifo-rm box
    run -0 within fifo-rm -f box
    [ ! -e box ]
}

@test "each failing write is status 2 with its reason, and nothing is half stored" {
    local call error
    fifo-make -b unbounded box
    for call in pwritev pwrite64; do
        for error in ENOSPC EDQUOT EIO EFBIG; do
            fifo-send box one
            run -2 on_stderr strace -o trace -e inject=$call:error=$error:when=1 fifo-send box two
            one_line "'box': cannot store it" "$output"
            whole
            fifo-send box three
            stored one three
        done
    done
}

@test "a write that is cut short is completed, or nothing of it stays" {
    fifo-make -b unbounded box
    seq 3000 >lines
    # At the limit the kernel writes what fits, and refuses the rest.
    # shellcheck disable=SC2016
    run -2 on_stderr bash -c 'ulimit -f 100; exec fifo-send -v -l box <lines'
    assert_regex "$output" "may not grow further \(ulimit -f, or the file system\): File too large"
    whole
    count=$(sed -n 's/.* \([0-9]*\) stored.*/\1/p' <<<"$output")
    assert_equal "$(within fifo-recv -q -n -f box | wc -l)" "$count"
    within fifo-send -l box <lines
    within fifo-recv -c 3000 box | cmp - lines
}

@test "a long message that may not be stored, for a limit on file sizes, is status 2" {
    fifo-make -b unbounded box
    head -c 800000 /dev/zero >content
    run -2 on_stderr bash -c 'ulimit -f 600; exec fifo-send box <content'
    one_line "may not grow further" "$output"
    # shellcheck disable=SC2016
    run -2 on_stderr bash -c 'ulimit -f 1000; fifo-send box <content && exec fifo-send box <content'
    one_line "may not grow further" "$output"
    within fifo-recv box | cmp - content
    run -1 within fifo-recv -q -n box
}

# in_small SCRIPT: runs it with SCRIPT's own mount at the directory `small`, a file system of 200 KiB.
in_small() {
    mkdir small
    # shellcheck disable=SC2016
    within unshare -m --propagation unchanged bash -c '
        for place in /sys /dev/pts /run; do mount --make-private $place 2>/dev/null && break; done
        mount -t tmpfs -o size=200k none $place && cd $place && eval "$1"' in_small "$1" 3>&-
}

@test "a full disk stops senders with status 2, and when there is room again they go on" {
    run -0 in_small '
        fifo-make -b unbounded box
        head -c 3000 /dev/zero | tr "\0" x >one
        n=0
        while said=$(fifo-send box <one 2>&1); do n=$((n + 1)); done
        echo "$said"
        [ $n -gt 10 ] && [ "$(fifo-recv -q -n -f box | wc -c)" = $((n * 3000)) ] && echo all are there
        fifo-send box <one && fifo-recv box | cmp - one && echo it goes on
        head -c 3000000 /dev/zero | fifo-send -q box; echo $?
        fifo-recv -q -n box; echo $?
        fifo-make -b 3 other other/small/er 2>/dev/null; ls'
    assert_output "fifo-send: 'box': cannot store it: the file system is full: No space left on device
all are there
it goes on
2
1
box
one
other"
}

@test "a read-only file system is status 2" {
    run -0 in_small '
        fifo-make -b unbounded box; fifo-send box one
        mount -o remount,ro . || mount -o remount,ro "$PWD"
        fifo-send box two; echo $?
        fifo-recv box; echo $?
        fifo-recv --peek box; echo $?
        fifo-rm -f box; echo $?; fifo-make -b 2 new; echo $?'
    assert_output --regexp "fifo-send: 'box': .*Read-only file system
2
fifo-recv: 'box': .*Read-only file system
2
one
0
fifo-rm: 'box': .*Read-only file system
2
fifo-make: 'new': .*Read-only file system
2"
}

@test "--sync: one fdatasync for a batch, before it is acknowledged; without it, none" {
    fifo-make -b unbounded --sync box
    fifo-make -b unbounded plain
    seq 5000 >lines
    run -0 within strace -o trace -e fdatasync,pwrite64,pwritev fifo-send -l box <lines
    syncs=$(grep -c '^fdatasync' trace)
    batches=$(grep -c '^pwritev' trace)
    between 1 "$batches" "$syncs"
    run -0 tail -n 3 trace
    assert_regex "$output" "fdatasync.*
pwrite64"
    run -0 within strace -o trace -e fdatasync fifo-send -l plain <lines
    run -1 grep fdatasync trace
}

@test "--sync: a disk that fails to sync is status 2, for the message may not survive" {
    fifo-make -b unbounded --sync box
    run -2 on_stderr strace -o trace -e inject=fdatasync:error=EIO:when=1 fifo-send box one
    one_line "stored, but perhaps not on disk: Input/output error" "$output"
    stored one
}

@test "--sync: of senders that wait together some need no fdatasync of their own" {
    local i
    fifo-make -b unbounded --sync box
    for ((i = 0; i < 12; i++)); do
        # A slow disk, so that the others have stored their messages by the time it is done.
        start "sender$i" strace -o "trace.$i" -e trace=fdatasync -e inject=fdatasync:delay_exit=700000 fifo-send box "$i"
    done
    ended_with 0 sender{0..11}
    run -0 cat trace.*
    between 1 11 "$(grep -c fdatasync <<<"$output")"
    assert_equal "$(within fifo-recv -q -n -f box | sort -n | tr '\n' ' ')" "0 1 2 3 4 5 6 7 8 9 10 11 "
}

@test "--sync: neither -t nor -n waits longer for the disk, and what is stored is not said to be undone" {
    fifo-make -b unbounded --sync box
    start slow strace -o trace -e inject=fdatasync:delay_enter=30000000 fifo-send box one
    wait_until grep -q fdatasync trace
    ends_in_time 4 250 10000 fifo-send -t 0.3 box two
    one_line 'stored, but perhaps not on disk yet' "$output"
    ends_in_time 4 0 10000 fifo-send -n box three
    start late fifo-send box four
    waits late
    run -0 within fifo-recv -c 4 box
    assert_output "$(printf '%s\n' one two three four)"
    fifo-rm -f box
    ended_with 4 late
    one_line 'removed after it was stored: a receiver may have it' "$(cat late.err)"
}

@test "a take that is marked, and cannot be counted, is one" {
    fifo-make -b unbounded box
    fifo-send box one two
    start first fifo-recv box sh -c ': >begun; while [ ! -e go ]; do sleep 0.01; done; exit 1'
    wait_until test -e begun
    # Leased, announced, marked, counted.
    run -0 within strace -o trace -e inject=pwrite64:error=EIO:when=4 fifo-recv box
    grep -q INJECTED trace
    assert_output two
    : >go
    ended_with 1 first
    stored one
}

@test "what could not be taken is not said to have been received" {
    fifo-make -b unbounded box
    fifo-send box one
    run -2 on_stderr strace -o trace -e inject=pwrite64:error=EIO:when=2+ fifo-recv -v -c 2 box
    assert_line --partial '0 received before'
    stored one
}

@test "a limit on file sizes that would cut the ledger in two is status 2, and nothing changes" {
    fifo-make -b unbounded box
    fifo-send box one two three
    fifo-recv box >/dev/null
    refused 2 'limit on file sizes' prlimit --fsize=200 fifo-recv box
    refused 2 'limit on file sizes' prlimit --fsize=200 fifo-send box four
    stored two three
}

@test "a sender that finds out that there is room wakes who waits for some" {
    fifo-make -b 4 box
    fifo-send box a b c d
    start waiter fifo-send box more
    waits waiter
    truncate -s 200 box/queue
    run -0 within fifo-send -n box other
    ended_with 0 waiter
    within fifo-rm -f box
}

@test "a count that is as high as any can be is not believed" {
    fifo-make -b unbounded box
    fifo-send box one
    python3 -B - box "$ROOT/tests/buffered" <<'END'
import os, struct, sys
sys.path.insert(0, sys.argv[2])
from xxh3 import xxh3
state = os.open(sys.argv[1] + "/.state", os.O_RDWR)
data = os.pread(state, 272, 0)
stored = data[64:72] + struct.pack("=Q", 1 << 62) + data[80:88]
os.pwrite(state, stored + struct.pack("=Q", xxh3(stored, struct.unpack_from("=Q", data, 24)[0] + 2 & (1 << 64) - 1)), 64)
END
    run -0 within fifo-send box two
    stored one two
}
