# shellcheck shell=bash
# Goal: without /proc nothing is lost. On its own, since the sanitizers cannot do without it.
load helper

# without_proc COMMAND...: an empty directory in place of /proc. Mounted over it, not unmounted, and without touching how
# mounts of the root spread: that would not work in a chroot, or not stay here.
without_proc() {
    unshare -m --propagation unchanged bash -c 'mount --make-private /proc && mount -t tmpfs none /proc && exec "$@"' - "$@"
}

@test "without /proc a big message is refused, and one that is there stays" {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    fifo-make box
    head -c 100000 /dev/urandom >sent
    run -2 without_proc bash -c 'exec timeout -s KILL 10 fifo-send -t 5 box <sent'
    STDIN=sent start sender fifo-send box
    waits sender
    run -2 without_proc bash -c 'exec timeout -s KILL 10 fifo-recv -t 5 box'
    assert_output --partial 'it stays in the mailbox'
    within fifo-recv box | cmp - sent
    ended_with 0 sender
}

@test "without /proc, or with that of another pid namespace, it is not said that a process has ended" {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    export FIFO_DIR=$PWD/links
    start other sleep 60
    run -2 without_proc timeout -s KILL 10 fifo-send -t 5 --to="$(cat other.pid)" x
    one_line 'cannot look at it in /proc' "$output"
    run -2 within unshare -p --fork bash -c 'fifo-send -t 5 --to=2 x; exit'
    one_line '/proc is that of another pid namespace' "$output"
}
