# shellcheck shell=bash
# Goal: without /proc nothing is lost. On its own, since the sanitizers cannot do without it.
load helper

@test "without /proc a big message is refused, and one that is there stays" {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    fifo-make box
    head -c 100000 /dev/urandom >sent
    run -2 unshare -m bash -c 'umount -l /proc; exec timeout -s KILL 10 fifo-send -t 5 box <sent'
    STDIN=sent start sender fifo-send box
    waits sender
    run -2 unshare -m bash -c 'umount -l /proc; exec timeout -s KILL 10 fifo-recv -t 5 box'
    assert_output --partial 'it stays in the mailbox'
    within fifo-recv box | cmp - sent
    ended_with 0 sender
}
