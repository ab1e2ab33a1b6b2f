#!/usr/bin/env bats
# shellcheck shell=bash
# Buffered mailboxes where something goes wrong, moves, or dies: each status that can occur, and what is left then.

load helper

# holds MESSAGE...: asserts that the mailbox holds exactly these, and takes them.
holds() { left_in "${BOX:-box}" "$@"; }

# --- fifo-make ----------------------------------------------------------------------------------------------------

@test "fifo-make -b: whatever is there under the name stays as it is" {
    local before after
    touch victim
    ln -s victim link
    ln -s nowhere dangling
    make_socket socket
    fifo-make -b 2 box
    fifo-send box one
    before=$(ls -AlR --full-time --ignore=stdout && sha1sum box/queue box/.state)
    for name in link dangling socket box; do
        refused 2 "File exists" fifo-make -b 2 "$name"
    done
    for name in victim dangling socket; do
        refused 2 "'$name'" fifo-make -p -b 2 "$name"
    done
    after=$(ls -AlR --full-time --ignore=stdout && sha1sum box/queue box/.state)
    assert_equal "$after" "$before"
}

@test "fifo-make -p -b is content with a mailbox behind a symbolic link, and does not change its mode" {
    fifo-make -b 2 -m 640 box
    ln -s box name
    run -0 within fifo-make -p -b 2 -m 666 name box
    assert_equal "$(stat -c %a box/queue)" 640
}

@test "fifo-make -b takes the largest number, and the last of two" {
    refused 2 "takes a whole number from 1" fifo-make -b 4611686018427387905 box
    run -0 within fifo-make -b 4611686018427387904 huge
    fifo-send huge x
    run -0 within fifo-make -b 1 -b unbounded box
    fifo-send -n box one two
    holds one two
    refused 2 "permission bits only" fifo-make -b 2 -m +t third
    refused 2 "'q'" fifo-make -b 2 -m q third
    assert [ ! -e third ]
}

@test "fifo-make -T -b takes a template, a capacity and --sync" {
    run -0 within fifo-make -T --sync -b 2 q.XXXXXX.box
    assert_regex "$output" '^q\..{6}\.box$'
    refused 2 "of another kind, with --sync" fifo-make -p -b 2 "$output"
    refused 2 "--sync needs -b" fifo-make -T --sync
}

@test "a system call that fails while a mailbox is made leaves nothing, also no hidden name" {
    local call
    for call in fsync mknodat renameat2 write; do
        run -2 on_stderr strace -o trace -e inject="$call:error=ENOSPC:when=1" fifo-make -b 2 box
        one_line "'box'.*No space left" "$output"
        assert_equal "$(ls -A)" "stdout
trace"
    done
}

@test "fifo-make that is killed before the end leaves nothing under the name" {
    local call
    for call in mkdir mkdirat fsync mknodat renameat2; do
        within strace -o trace -e inject="$call:signal=KILL:when=1" fifo-make -b 2 box 3>&- 2>noise || true
        if grep -q 'killed by SIGKILL' trace; then
            assert [ ! -e box ]
        fi
        rm -rf box
    done
    grep -q 'killed by SIGKILL' trace
}

# --- fifo-send ----------------------------------------------------------------------------------------------------

@test "nothing to send is no error, and nothing is stored" {
    fifo-make -b 1 box
    run -0 within fifo-send -l box </dev/null
    run -0 within fifo-send -0 box </dev/null
    run -0 within fifo-send -s 3 box </dev/null
    refused 1 empty fifo-recv -n box
    run -2 on_stderr bash -c 'exec fifo-send box <&-'
    one_line "cannot read standard input" "$output"
    refused 1 empty fifo-recv -n box
}

@test "an empty message is one" {
    fifo-make -b 2 box
    within fifo-send box </dev/null
    within fifo-send -N box ''
    refused 1 full fifo-send -n box more
    run -0 within fifo-recv -0 -c 2 box
    within fifo-send box </dev/null
    # shellcheck disable=SC2016
    run -0 within fifo-recv box sh -c '[ "$(wc -c)" = 0 ] && echo "try $FIFO_TRIES"'
    assert_output "try 1"
}

@test "a message of 100 MB goes through, and its space is given back" {
    fifo-make -b unbounded box
    head -c 100000000 /dev/zero | within fifo-send box
    assert_equal "$(within fifo-recv box | tr -d '\0' | wc -c)" 0
    between 0 16 "$(du -k box/queue | cut -f 1)"
    head -c 100000000 /dev/zero | within fifo-send box
    assert_equal "$(within fifo-recv box wc -c)" 100000000
}

@test "an unbounded mailbox never makes a sender wait" {
    fifo-make -b unbounded box
    seq 50000 >numbers
    run -0 within fifo-send -n -l box <numbers
    within fifo-recv -n -c 50000 box | cmp - numbers
}

@test "a sender that is killed or interrupted while it waits for room leaves nothing, and the next one gets it" {
    local signal
    fifo-make -b 1 box
    fifo-send box one
    for signal in KILL INT TERM HUP; do
        start victim env --default-signal=INT,HUP fifo-send box "$signal"
        waits victim
        kill -s "$signal" "$(cat victim.pid)"
        ended_with $((128 + $(kill -l "$signal"))) victim
        [ "$signal" = KILL ] || one_line 'ended by a signal; the message is not stored' "$(cat victim.err)"
    done
    start next fifo-send box two
    waits next
    run -0 within fifo-recv box
    assert_output one
    ended_with 0 next
    holds two
}

@test "of a run of messages that waits for room and is killed, those that were stored stay" {
    fifo-make -b 2 box
    seq 5 >five
    STDIN=five start sender fifo-send -v -l box
    waits sender
    run -0 within fifo-recv box
    assert_output 1
    # A record takes 80 bytes.
    wait_until bash -c '[ "$(stat -c %s box/queue)" = $((64 + 3 * 80)) ]'
    waits sender
    kill -TERM "$(cat sender.pid)"
    ended_with 143 sender
    holds 2 3
}

@test "who is exclusive and is killed keeps nobody out any more" {
    fifo-make -b unbounded box
    mkfifo keyboard
    exec 7<>keyboard
    STDIN=keyboard start first fifo-send -x -l box
    echo one >&7
    wait_until bash -c '[ "$(stat -c %s box/queue)" -gt 64 ]'
    start second fifo-send box two
    waits second
    kill -KILL "$(cat first.pid)"
    ended_with 0 second
    exec 7>&-
    start first fifo-recv -x -f box
    wait_until grep -q two first.out
    start second fifo-recv box
    waits second
    kill -KILL "$(cat first.pid)"
    fifo-send box three
    ended_with 0 second
    assert_equal "$(cat second.out)" three
}

@test "-t covers input that does not come; what was stored before stays" {
    fifo-make -b unbounded box
    mkfifo keyboard
    exec 7<>keyboard
    echo one >&7
    # The writer stays.
    run -124 within fifo-send -q -t 500ms -l box <keyboard
    exec 7>&-
    holds one
}

@test "who stores and stays wakes who waits for a message, who takes and stays wakes who waits for room" {
    fifo-make -b 1 box
    mkfifo keyboard
    exec 7<>keyboard
    STDIN=keyboard start typist fifo-send -l box
    start receiver fifo-recv box
    waits receiver
    echo one >&7
    ended_with 0 receiver
    echo two >&7
    wait_until within fifo-recv -n --peek box >/dev/null 2>&1
    start sender fifo-send box three
    waits sender
    start follower fifo-recv -f box
    ended_with 0 sender
    wait_until grep -q three follower.out
    waits typist
    waits follower
    exec 7>&-
}

@test "what many senders store is all there, each one's in its order" {
    local n
    fifo-make -b 50 box
    for n in {1..6}; do
        seq -f "$n %g" 200 >"from$n"
        STDIN=from$n start "sender$n" fifo-send -l box
    done
    within fifo-recv -c 1200 box >got
    ended_with 0 sender{1..6}
    for n in {1..6}; do
        grep "^$n " got | cmp - "from$n"
    done
}

@test "no mailbox is 3, from all that use one" {
    refused 3 "no such mailbox" fifo-send box x
    refused 3 "no such mailbox" fifo-recv box
    refused 3 "No such file" fifo-rm box
    fifo-make -b 1 box
    refused 3 "regular file" fifo-send box/queue x
    refused 3 "regular file" fifo-recv box/queue
    refused 3 "regular file" fifo-rm box/queue
}

# --- fifo-recv ----------------------------------------------------------------------------------------------------

@test "who takes it for a FIFO is told that it is none, and changes nothing" {
    fifo-make -b unbounded box
    fifo-send box one
    run -1 within cat box
    assert_output --partial "Is a directory"
    run -1 within bash -c 'echo hi >box'
    assert_output --partial "Is a directory"
    holds one
}

@test "-c gives up in time, and -v says how many came before" {
    fifo-make -b 3 box
    fifo-send box one two
    run -124 on_stderr fifo-recv -v -t 200ms -c 3 box
    assert_line "fifo-recv: 'box': 2 received before"
    assert_line "fifo-recv: 'box': timed out: no message came"
    assert_equal "$(cat stdout)" $'one\ntwo'
    refused 124 "timed out: no message came" fifo-recv -t 50ms --peek box
}

@test "a receiver that waits and is ended by a signal takes nothing" {
    local signal
    fifo-make -b unbounded box
    for signal in INT TERM HUP; do
        start receiver env --default-signal=INT,HUP fifo-recv box
        waits receiver
        kill -s "$signal" "$(cat receiver.pid)"
        ended_with $((128 + $(kill -l "$signal"))) receiver
    done
    fifo-send box one
    holds one
}

@test "a reader that goes away: status 2, never 141, and what it did not get is not taken" {
    fifo-make -b unbounded box
    head -c 300000 /dev/zero | tr '\0' x >large
    within fifo-send box <large
    # shellcheck disable=SC2016
    run -2 bash -c 'timeout 10 fifo-recv box 2>said | head -c 1 >/dev/null; exit "${PIPESTATUS[0]}"'
    one_line "the message is not taken: Broken pipe" "$(<said)"
    within fifo-recv -n box | cmp - large
}

@test "-s that finds another size in the middle of a run takes what came before, and nothing more" {
    fifo-make -b unbounded box
    fifo-send -N box four five5 four
    run -5 --separate-stderr within fifo-recv -n -f -s 4 box
    assert_output four
    one_line "not of the size"
    run -5 within fifo-recv -q -n -s 4 box cat
    run -5 within fifo-recv -q -n -s 4 --peek box
    run -0 within fifo-recv -n -c 2 box
    assert_output five5four
}

@test "COMMAND need not read the message" {
    fifo-make -b unbounded box
    head -c 5000000 /dev/zero | within fifo-send box
    run -0 within fifo-recv box true
    refused 1 empty fifo-recv -n box
}

@test "a COMMAND that ignores SIGTERM is killed after the deadline, and its message stays" {
    fifo-make -b unbounded box
    fifo-send box one
    run -124 within fifo-recv -q -t 1 box sh -c 'trap "" TERM; while :; do sleep 1; done'
    holds one
}

@test "a COMMAND that was killed is 128+n, and one that fails under -f ends the run" {
    fifo-make -b unbounded box
    fifo-send box one two
    # shellcheck disable=SC2016
    run -137 on_stderr fifo-recv -f box sh -c 'kill -KILL $$'
    one_line "COMMAND was killed by a signal; the message stays" "$output"
    # shellcheck disable=SC2016
    run -9 within fifo-recv -q -f box sh -c 'cat; grep -q one && exit 0; exit 9' </dev/null
    holds one two
}

@test "five that are given back come again in their old order, before what was stored later" {
    local n
    fifo-make -b unbounded box
    fifo-send box 1 2 3 4 5
    for n in 1 2 3 4 5; do
        # shellcheck disable=SC2016
        start "worker$n" fifo-recv box sh -c 'cat; until [ -e go ]; do sleep 0.01; done; exit 1'
        wait_until test -s "worker$n.out"
    done
    fifo-send box 6
    kill -KILL "$(cat worker4.pid)" "$(cat worker2.pid)"
    touch go
    ended_with 1 worker1 worker3 worker5
    holds 1 2 3 4 5 6
}

@test "each of two that wait gets one of two that are given back at once" {
    local n
    fifo-make -b unbounded box
    fifo-send box 1 2
    for n in 1 2; do
        start "worker$n" fifo-recv box sh -c 'cat; exec sleep 60'
        wait_until test -s "worker$n.out"
    done
    start waiter1 fifo-recv box
    start waiter2 fifo-recv box
    waits waiter1
    waits waiter2
    kill -KILL "$(cat worker1.pid)" "$(cat worker2.pid)"
    ended_with 0 waiter1 waiter2
    assert_equal "$(sort waiter?.out)" $'1\n2'
}

@test "--keep: a token whose holder is killed goes to one who waits for it" {
    fifo-make -b 2 sem
    fifo-send sem 1 2
    start one fifo-recv --keep sem sh -c 'cat; exec sleep 60'
    start two fifo-recv --keep sem sh -c 'cat; exec sleep 60'
    wait_until test -s one.out
    wait_until test -s two.out
    refused 1 empty fifo-recv -n --keep sem true
    start three fifo-recv --keep sem cat
    waits three
    kill -KILL "$(cat two.pid)"
    ended_with 0 three
    cmp two.out three.out
    refused 1 full fifo-send -n sem 3
    kill "$(cat one.pid)"
    ended_with 143 one
    BOX=sem holds 1 2
}

@test "a dead letter is stored before it is taken: killed in between, it is in both mailboxes" {
    fifo-make -b unbounded box dead
    head -c 300000 /dev/urandom >large
    fifo-send box <large
    # Storing the dead letter is the first time that a receiver writes content.
    run within strace -o trace -e trace=pwritev,pwrite64 -e inject=pwritev:signal=KILL:when=1 \
        fifo-recv --max-tries=1 --dead=dead box false 3>&-
    grep -q 'killed by SIGKILL' trace
    within fifo-recv box | cmp - large
    run -1 within fifo-recv -q -n dead
    fifo-send box <large
    # Its second write afterwards, that of what is taken, does not happen any more.
    run within strace -o trace -e trace=pwritev,pwrite64 \
        -e inject=pwrite64:signal=KILL:when=3 fifo-recv --max-tries=1 --dead=dead box false 3>&-
    grep -q 'killed by SIGKILL' trace
    within fifo-recv -n dead | cmp - large
    within fifo-recv -n box | cmp - large
}

@test "a dead-letter mailbox that has no room keeps the message where it is, until there is some" {
    fifo-make -b unbounded box
    fifo-make -b 1 dead
    fifo-send box bad
    fifo-send dead older
    run -1 on_stderr fifo-recv -t 1 --max-tries=1 --dead=dead box false
    assert_output "fifo-recv: 'dead': timed out: it is full
fifo-recv: 'box': COMMAND failed; the message stays in the mailbox"
    # It has been tried once, so the next worker does not try it, but goes on when it has got rid of it.
    fifo-send box good
    start worker fifo-recv --max-tries=1 --dead=dead box cat
    waits worker
    run -0 within fifo-recv dead
    assert_output older
    ended_with 0 worker
    assert_equal "$(cat worker.out)" good
    BOX=dead holds bad
    refused 1 empty fifo-recv -n box
}

# --- moved, copied, removed ---------------------------------------------------------------------------------------

@test "a mailbox that is moved goes on for those who wait, and for those who work" {
    fifo-make -b 1 box
    start receiver fifo-recv box
    waits receiver
    mv box elsewhere
    fifo-send elsewhere one
    ended_with 0 receiver
    fifo-send elsewhere two
    start sender fifo-send elsewhere three
    waits sender
    # shellcheck disable=SC2016
    start worker fifo-recv elsewhere sh -c 'cat; until [ -e go ]; do sleep 0.01; done'
    wait_until test -s worker.out
    mkdir deeper
    mv elsewhere deeper/box
    touch go
    ended_with 0 worker sender
    BOX=deeper/box holds three
    assert_equal "$(cat receiver.out worker.out)" $'one\ntwo'
}

@test "a copy and its original do not disturb each other, also while both are waited at" {
    fifo-make -b 1 box
    cp -a box copy
    start one fifo-recv box
    start other fifo-recv copy
    waits one
    waits other
    fifo-send copy 'for the copy'
    ended_with 0 other
    waits one
    fifo-send box 'for the original'
    ended_with 0 one
    assert_equal "$(cat other.out one.out)" $'for the copy\nfor the original'
}

@test "a way through symbolic links to directories works, for waiting too" {
    mkdir real
    ln -s real way
    fifo-make -b 1 way/box
    ln -s way/box name
    start receiver fifo-recv name
    waits receiver
    fifo-send way/box one
    ended_with 0 receiver
    start receiver fifo-recv name
    waits receiver
    rm name # the mailbox itself is still there
    fifo-send real/box two
    ended_with 0 receiver
    run -0 within fifo-rm way/box
}

@test "fifo-rm that may not remove it leaves it whole" {
    as_another_user
    fifo-make -b 2 -m 666 box
    fifo-send box one
    mkdir theirs
    chmod 777 theirs
    "${NOBODY[@]}" fifo-make -b 2 theirs/box
    run -2 within "${NOBODY[@]}" fifo-rm -f box
    assert_output --partial "Permission denied"
    chmod 555 theirs
    "${NOBODY[@]}" fifo-send theirs/box two
    run -2 within "${NOBODY[@]}" fifo-rm -f theirs/box
    assert_output --partial "Permission denied"
    assert_equal "$(ls -A . theirs theirs/box)" "$(printf '%s\n' .: bin box theirs '' theirs: box '' theirs/box: \
        .state queue ready space)"
    run -0 within "${NOBODY[@]}" fifo-recv theirs/box
    assert_output two
    holds one
}

@test "fifo-rm that may rename a mailbox, but not empty it, does not rename it" {
    as_another_user
    mkdir open
    chmod 777 open
    fifo-make -b 2 -m 666 open/box
    fifo-send open/box one
    run -2 within "${NOBODY[@]}" fifo-rm -f open/box
    assert_output --partial "Permission denied"
    assert_equal "$(ls -A open)" box
    BOX=open/box holds one
}

@test "fifo-rm removes the others when one is refused, and -f ignores what is missing" {
    fifo-make -b 1 full empty
    fifo-make fifo
    fifo-send full x
    run -2 on_stderr fifo-rm -v full empty missing fifo
    assert_output "fifo-rm: 'full': still holds messages; -f removes it with them
fifo-rm: 'empty': removed
fifo-rm: 'missing': No such file or directory
fifo-rm: 'fifo': removed"
    run -0 within fifo-rm -f missing full
    assert_equal "$(ls -A)" stdout
}

@test "removed and made anew under the same name, it is another mailbox to those who wait" {
    fifo-make -b 1 box
    start receiver fifo-recv box
    waits receiver
    fifo-rm box
    fifo-make -b 1 box
    ended_with 3 receiver
    fifo-send box one
    holds one
}

@test "many fifo-rm of one mailbox: it was removed, or was not there" {
    local n pids pid
    for n in {1..15}; do
        fifo-make -b unbounded box
        pids=()
        for pid in 1 2 3; do
            fifo-rm -q box 3>&- &
            pids+=($!)
        done
        for pid in "${pids[@]}"; do
            wait "$pid" || [ $? = 3 ]
        done
        refute [ -e box ]
    done
    run -0 find . -name '.box*'
    assert_output ''
}

@test "fifo-rm does not wait for ever where .state is damaged and somebody is stopped" {
    fifo-make -b unbounded box
    fifo-send box one
    : >box/.state
    start keeper python3 -B "$ROOT/tests/buffered/keep.py" box
    wait_until test -e held
    refused 2 'another process is at work in it' fifo-rm box
    refused 2 'another process is at work in it' fifo-make -p -b unbounded box
    run -0 within fifo-rm -f box
    refute [ -e box ]
}

@test "where there always is a message, a receiver keeps to its deadline, and hears signals" {
    fifo-make -b unbounded box
    start sender bash -c 'yes | fifo-send -l box'
    ends_in_time 124 900 10000 fifo-recv -f -t 1 box
    start receiver bash -c 'exec fifo-recv -f box >/dev/null'
    wait_until test -s receiver.pid
    sleep 0.1
    kill "$(cat receiver.pid)"
    ended_with 143 receiver
    within fifo-rm -f box
    status_of sender
}

@test "a mailbox that another user has put in the place of a removed one gets nothing" {
    as_another_user
    mkdir shared
    chmod 1777 shared
    fifo-make -b unbounded shared/box
    fifo-make -b unbounded shared/dead
    fifo-make -b unbounded jobs
    STDIN=<(until [ -e go ]; do sleep 0.01; done; echo secret) start sender fifo-send shared/box
    waits sender
    fifo-rm shared/box
    "${NOBODY[@]}" fifo-make -b unbounded -m 666 shared/box
    : >go
    ended_with 2 sender
    one_line 'belongs to another user, in a sticky directory' "$(cat sender.err)"
    refused 1 empty "${NOBODY[@]}" fifo-recv -n shared/box
    # The same for dead letters.
    fifo-send jobs letter
    # shellcheck disable=SC2016
    run -1 on_stderr fifo-recv --max-tries=1 --dead=shared/dead jobs \
        sh -c 'fifo-rm shared/dead; "$@" fifo-make -b unbounded -m 666 shared/dead; exit 1' - "${NOBODY[@]}"
    assert_line --partial "'shared/dead': belongs to another user"
    refused 1 empty "${NOBODY[@]}" fifo-recv -n shared/dead
    left_in jobs letter
}

@test "another name of the log, as a backup by links has, keeps nobody waiting after a removal" {
    fifo-make -b 2 box
    cp -al box backup
    start receiver fifo-recv box
    waits receiver
    fifo-rm box
    ended_with 3 receiver
    fifo-send backup x
    left_in backup x
}

@test "a signal ends fifo-rm in the middle of its names" {
    for name in one two three; do
        fifo-make -b unbounded "$name"
    done
    run -143 within strace -o trace -e inject=rmdir:signal=TERM:when=1 fifo-rm one two three
    [ ! -e one ]
    [ -e two ]
    [ -e three ]
}
