# shellcheck shell=bash
# Goal: without /proc nothing is lost. On its own, since the sanitizers cannot do without it.
load helper

# without_proc COMMAND...: an empty directory in place of /proc. Mounted over it, not unmounted, and without touching how
# mounts of the root spread: that would not work in a chroot, or not stay here.
without_proc() {
    unshare -m --propagation unchanged bash -c 'mount --make-private /proc && mount -t tmpfs none /proc && exec "$@"' - "$@"
}

@test "without /proc messages of every size go through" {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    export -f without_proc
    fifo-make box
    for size in 100000 2000000; do
        head -c "$size" /dev/urandom >sent
        start sender without_proc bash -c 'exec timeout -s KILL 20 fifo-send -t 15 box <sent'
        without_proc bash -c 'exec timeout -s KILL 20 fifo-recv -t 15 box' >got
        ended_with 0 sender
        cmp got sent
    done
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
