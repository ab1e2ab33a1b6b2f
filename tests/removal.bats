# shellcheck shell=bash
# Goal: whoever waits at a mailbox that is removed or replaced, by whatever means, ends at once with status 3.
load helper

# Two senders (one waits for a receiver, one for its turn) and, at another mailbox, two receivers.
gather_peers() {
    fifo-make box inbox
    start sender1 fifo-send box 1
    waits sender1
    start sender2 fifo-send box 2
    waits sender2
    start receiver1 fifo-recv inbox
    start receiver2 fifo-recv -f inbox
    waits receiver1
    waits receiver2
}

all_freed() {
    ended_with 3 sender1 sender2 receiver1 receiver2
}

@test "fifo-rm frees everyone who waits" {
    gather_peers
    run -0 milliseconds within fifo-rm box inbox
    all_freed
}

@test "plain rm frees everyone who waits" {
    gather_peers
    rm box inbox
    all_freed
}

@test "moving it away frees everyone who waits" {
    gather_peers
    mv box elsewhere
    mv inbox elsewhere2
    all_freed
}

@test "another FIFO moved over it is another mailbox" {
    gather_peers
    mkfifo new new2
    mv new box
    mv new2 inbox
    all_freed
}

@test "removed and made anew at once is another mailbox" {
    gather_peers
    rm box && mkfifo box
    rm inbox && mkfifo inbox
    all_freed
    run -1 within fifo-recv -q -n box
}

@test "removing its directory frees everyone who waits" {
    mkdir dir
    fifo-make dir/box dir/inbox
    start sender fifo-send dir/box 1
    start receiver fifo-recv dir/inbox
    waits sender
    waits receiver
    rm -r dir
    ended_with 3 sender receiver
}

@test "chmod, and a second hard link that goes, free nobody" {
    fifo-make box
    ln box link
    start receiver fifo-recv box
    waits receiver
    chmod 600 box
    rm link
    within fifo-send box still
    ended_with 0 receiver
    run -0 cat receiver.out
    assert_output still
}

@test "removal frees those who wait for a lock behind a receiver whose COMMAND runs on" {
    fifo-make box
    start worker fifo-recv box sleep 3600
    start sender fifo-send box job
    wait_until pgrep -g "$(ps -o pgid= -p "$(cat worker.pid)" | tr -d ' ')" sleep
    start second fifo-send box next
    start receiver fifo-recv box
    start exclusive fifo-recv -x box
    waits second
    waits receiver
    waits exclusive
    within fifo-rm box
    ended_with 3 second receiver exclusive
    # The message in hand may or may not be taken yet: its sender cannot know.
    ended_with 4 sender
    kill -0 "$(cat worker.pid)"
}

@test "removal is seen while a message is on its way through a shell's open descriptor" {
    fifo-make box
    exec 7<>box
    start sender fifo-send box kept
    waits sender
    rm box
    ended_with 3 sender
    # And it was withdrawn: nothing is left for the one that has it open.
    run -142 bash -c 'read -t 0.2 -r line <&7'
    exec 7>&-
}

@test "removal is noticed where inotify has nothing left, and where it may not look at the FIFO" {
    for call in inotify_init1:error=EMFILE inotify_add_watch:error=EACCES; do
        for path in box "$PWD/box"; do
            fifo-make box other
            mv other "$BATS_TEST_TMPDIR/new"
            start receiver strace -o trace -e trace=inotify_init1,inotify_add_watch,rt_sigtimedwait -e inject="$call" \
                fifo-recv "$path"
            wait_until grep -q 'rt_sigtimedwait.*NULL, NULL, 8$' trace
            grep -q INJECTED trace
            mv new box
            ended_with 3 receiver
            rm box
        done
    done
}

@test "a mailbox that goes between two messages of a run is noticed" {
    fifo-make box
    start sender fifo-send box one two
    run -0 within fifo-recv box
    within fifo-rm box
    ended_with 3 sender
}
