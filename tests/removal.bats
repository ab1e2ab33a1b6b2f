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

watched=(strace -o trace -e "trace=inotify_init1,fcntl,rt_sigtimedwait")

@test "removal is noticed without an inotify instance, which would delay the exit" {
    for path in box "$PWD/box"; do
        fifo-make box other
        mv other "$BATS_TEST_TMPDIR/new"
        start receiver "${watched[@]}" fifo-recv "$path"
        dozes trace
        mv new box
        ended_with 3 receiver
        run -1 grep inotify trace
        rm box
    done
}

@test "removal is noticed where the directory may not be read" {
    as_another_user
    mkdir hidden
    fifo-make -m 666 hidden/box
    chmod 711 hidden
    start receiver "${watched[@]}" "${NOBODY[@]}" fifo-recv hidden/box
    dozes trace
    grep -q inotify trace
    rm hidden/box
    ended_with 3 receiver
}

@test "what others do in the directory wakes a few times, and no more" {
    fifo-make box
    start receiver "${watched[@]}" fifo-recv box
    dozes trace
    wait_until others_leave . inotify
    sleep 0.2
    calls=$(wc -l <trace)
    for n in {1..50}; do
        others_leave . inotify
        pause
    done
    # Not two for each file; the last of before may have been late.
    between 0 6 $(($(wc -l <trace) - calls))
    rm box
    ended_with 3 receiver
}

@test "removal is noticed after something else has befallen the mailbox" {
    local change
    for change in 'touch box' 'chmod 600 box' 'ln box other.link'; do
        fifo-make box
        start receiver "${watched[@]}" fifo-recv box
        dozes trace
        wait_until others_leave . inotify
        $change
        sleep 0.3 # for the receiver to look, and to sleep on
        mv "other.$others" box
        ended_with 3 receiver
        rm -f box other.*
    done
}

@test "removal is noticed in a busy directory where inotify has nothing left" {
    fifo-make box
    start receiver "${watched[@]}" -e inject=inotify_init1:error=EMFILE fifo-recv box
    dozes trace
    wait_until others_leave . INJECTED
    rm box
    ended_with 3 receiver
}

@test "removal is noticed by a receiver that always finds a message, also while it starts COMMAND" {
    local n
    for n in 3 4 5 6 7; do
        fifo-make box
        start writer bash -c 'exec yes >box'
        start receiver fifo-recv -f box true
        waits writer
        sleep "0.$n"
        rm box
        ended_with 3 receiver
        status_of writer
    done
}

@test "a mailbox that goes between two messages of a run is noticed" {
    fifo-make box
    start sender fifo-send box one two
    run -0 within fifo-recv box
    within fifo-rm box
    ended_with 3 sender
}
