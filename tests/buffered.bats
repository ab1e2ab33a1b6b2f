#!/usr/bin/env bats
# shellcheck shell=bash
# Buffered mailboxes: making, storing, taking, removing, option by option. Workers are in workers.bats, crashes in
# durable.bats.

load helper

# holds MESSAGE...: asserts that box holds exactly these, and takes them.
holds() { left_in "${BOX:-box}" "$@"; }

@test "a message is stored while nobody is there, and comes out as it went in" {
    fifo-make -b unbounded box
    run -0 within fifo-send box hello
    assert_output ''
    run -0 within fifo-recv box
    assert_output hello
    refused 1 "'box': empty" fifo-recv -n box
}

@test "any bytes of any size arrive as they were" {
    local size
    fifo-make -b unbounded box
    for size in 0 1 63 64 65 4096 262080 262144 300000 20000000; do
        head -c "$size" /dev/urandom >content
        within fifo-send box <content
        within fifo-recv box | cmp - content
        within fifo-send box <content
        run -0 within fifo-recv box cmp - content
    done
}

@test "-l, -0, -s and operands: each is a message, in its order" {
    fifo-make -b unbounded box
    printf 'one\ntwo\n\nlast' | within fifo-send -l box
    run -0 within fifo-recv -c 4 box
    assert_output "one
two

last"
    printf 'a\nb\0c\0' | within fifo-send -0 box
    within fifo-recv -0 -c 2 box | cmp - <(printf 'a\nb\0c\0')
    printf aaaabbbb | within fifo-send -s 4 box
    run -0 within fifo-recv -s 4 box
    assert_output aaaa
    refused 5 "not of the size that -s says" fifo-recv -s 5 box
    run -0 within fifo-recv -s 4 box
    assert_output bbbb
    within fifo-send -N box one two
    run -0 within fifo-recv -c 2 box
    assert_output onetwo
    head -c 10000 /dev/zero | within fifo-send -s 5000 box
    assert_equal "$(within fifo-recv -s 5000 -c 2 box | wc -c)" 10000
    run -2 --separate-stderr bash -c 'printf aaaab | timeout 10 fifo-send -s 3 box'
    one_line "ends inside a message"
    holds aaa
}

@test "a line that is typed goes at once" {
    fifo-make -b unbounded box
    mkfifo keyboard
    exec 7<>keyboard
    STDIN=keyboard start sender fifo-send -l box
    echo one >&7
    run -0 within fifo-recv box
    assert_output one
    echo two >&7
    run -0 within fifo-recv box
    assert_output two
    exec 7>&-
    kill "$(cat sender.pid)"
    ended_with 143 sender
}

@test "many messages go through whole and in their order, while both sides are at work" {
    fifo-make -b 1000 box
    seq 100000 >numbers
    STDIN=numbers start sender fifo-send -l box
    within fifo-recv -c 100000 box | cmp - numbers
    ended_with 0 sender
}

@test "a full mailbox: -n is 1, -t is 124, and nothing of it is stored" {
    fifo-make -b 2 box
    within fifo-send box one two
    refused 1 "'box': full" fifo-send -n box three
    milliseconds within fifo-send -q -t 200ms box three || assert_equal $? 124
    between 190 5000 "$took"
    refused 124 "timed out: it is full" fifo-send -t 50ms box three
    holds one two
}

@test "of several messages as many are stored as there is room for, and -v says how many" {
    fifo-make -b 3 box
    run -1 on_stderr fifo-send -n -v box one two three four five
    assert_output "fifo-send: 'box': 3 stored before the one that failed
fifo-send: 'box': full"
    run -124 on_stderr fifo-send -v -t 50ms box six
    assert_line "fifo-send: 'box': 0 stored before the one that failed"
    holds one two three
}

@test "a deadline that passes after the last message is none" {
    fifo-make -b unbounded box
    seq 2 >lines
    run -0 timeout 10 strace -o trace -e inject=pwrite64,pwritev:delay_exit=1200000 \
        fifo-send -t 1 -v -l box <lines
    holds 1 2
}

@test "input that was read just when the deadline passed is not lost with status 0" {
    local options
    fifo-make -b unbounded box
    seq 5 >numbers
    for options in '-t 200ms' '-l -t 200ms'; do
        # shellcheck disable=SC2086 # several
        run -124 timeout 10 strace -o trace -P "$PWD/numbers" -e inject=read,readv,preadv2:delay_exit=300000:when=1 \
            fifo-send $options box <numbers
        refused 1 empty fifo-recv -n box
    done
}

@test "a sender that waits for room goes on as soon as there is some" {
    fifo-make -b 2 box
    start sender fifo-send box one two three four five
    waits sender
    run -0 within fifo-recv box
    run -0 within fifo-recv -c 4 box
    assert_output "two
three
four
five"
    ended_with 0 sender
}

@test "who waits for room takes no processor time, nor who waits for a message" {
    local before after
    fifo-make -b 1 box empty
    fifo-send box one
    start sender fifo-send box two
    start receiver fifo-recv empty
    waits sender
    waits receiver
    before=$(ticks sender receiver)
    sleep 0.3
    after=$(ticks sender receiver)
    between 0 4 $((after - before)) # of sixty
    fifo-rm -f box empty
    ended_with 3 sender receiver
}

@test "-x keeps other senders out for the whole run" {
    fifo-make -b unbounded box
    mkfifo keyboard
    exec 7<>keyboard
    STDIN=keyboard start first fifo-send -x -l box
    echo one >&7
    wait_until bash -c '[ "$(stat -c %s box/queue)" -gt 64 ]'
    refused 1 "busy" fifo-send -n box other
    refused 124 "process [0-9]* has it to itself" fifo-send -t 100ms box other
    start second fifo-send box two
    waits second
    echo 'one more' >&7
    exec 7>&-
    wait_until bash -c '[ "$(stat -c %s box/queue)" -gt 200 ]'
    kill "$(cat first.pid)"
    ended_with 0 second
    holds one 'one more' two
}

@test "-x keeps other receivers out for the whole run" {
    fifo-make -b unbounded box
    start first fifo-recv -x -f box
    waits first
    refused 1 "busy" fifo-recv -n box
    start second fifo-recv box
    waits second
    fifo-send box one
    wait_until test -s first.out
    kill "$(cat first.pid)"
    ended_with 143 first
    fifo-send box two
    ended_with 0 second
    assert_equal "$(cat first.out second.out)" "one
two"
}

@test "--peek shows the oldest and takes nothing, waits for it, and -n does not" {
    fifo-make -b unbounded box
    refused 1 "empty" fifo-recv -n --peek box
    start looker fifo-recv --peek box
    waits looker
    fifo-send box one two
    ended_with 0 looker
    assert_equal "$(cat looker.out)" one
    run -0 within fifo-recv --peek box
    assert_output one
    holds one two
}

@test "--max-size leaves what is longer in its place" {
    fifo-make -b unbounded box
    head -c 5000 /dev/zero | tr '\0' x | fifo-send box
    refused 5 "longer than --max-size; it stays" fifo-recv --max-size=4999 box
    refused 5 "longer than --max-size; it stays" fifo-recv -f --max-size=4999 box
    refused 5 "longer than --max-size; it stays" fifo-recv --max-size=4999 box cat
    assert_equal "$(within fifo-recv --max-size=5000 box | wc -c)" 5000
}

@test "what standard output does not take in full is not taken" {
    fifo-make -b unbounded box
    fifo-send box one two
    run -2 bash -c 'timeout 10 fifo-recv box 2>&1 >/dev/full'
    one_line "cannot write to standard output; the message is not taken: No space left" "$output"
    run -2 bash -c 'timeout 10 fifo-recv -f box 2>&1 >&-'
    one_line "cannot write to standard output" "$output"
    holds one two
}

@test "of a batch, what was printed in full is taken, and the rest stays" {
    local line
    fifo-make -b unbounded box
    for line in {1..100}; do
        printf '%0999d\n' "$line"
    done >lines
    within fifo-send -l box <lines
    # shellcheck disable=SC2016
    run -2 on_stderr bash -c 'ulimit -f 40; exec fifo-recv -f box 8>got >&8'
    within fifo-recv -q -n -f box >rest || [ $? = 1 ]
    assert_equal "$(wc -l <rest)" 60
    cat <(head -n 40 got) rest | cmp - lines
}

@test "-R is refused at both ends" {
    fifo-make -b unbounded box
    refused 2 "buffered mailbox: it holds messages" fifo-send -R box
    refused 2 "buffered mailbox: it holds messages" fifo-recv -R box
}

@test "-P shows how many messages" {
    fifo-make -b unbounded box
    seq 200000 >numbers
    run -0 within fifo-send -l -Palways box <numbers
    run -0 within bash -c 'fifo-recv -Palways -c 200000 box | tail -n 1'
    assert_line 200000
}

@test "a mailbox is found through a symbolic link, and fifo-rm does not follow it" {
    fifo-make -b unbounded box
    ln -s box name
    within fifo-send name one
    refused 3 "symbolic link, not a mailbox" fifo-rm -f name
    run -0 within fifo-recv name
    assert_output one
}

@test "a copy of a mailbox is a mailbox of its own" {
    fifo-make -b 3 box
    fifo-send box one two
    cp -a box copy
    fifo-send copy three
    refused 1 full fifo-send -n copy four
    holds one two
    BOX=copy holds one two three
}

@test "who has only a directory, or half a mailbox, is told" {
    mkdir plain half
    cp /dev/null half/queue
    refused 3 "is a directory, not a mailbox" fifo-send plain x
    refused 3 "is a directory, not a mailbox" fifo-recv plain
    refused 3 "no such buffered mailbox" fifo-send half x
    refused 3 "is a directory, not a mailbox" fifo-rm plain
    refused 3 "is a directory, not a mailbox" fifo-rm -f half
    assert [ -e half/queue ]
}

@test "a bell is no mailbox: nothing is sent into it, and it is not removed" {
    local bell
    fifo-make -b 1 box
    start receiver fifo-recv box
    waits receiver
    for bell in box/ready box/space ./box/ready; do
        refused 3 "part of the buffered mailbox" fifo-send -n "$bell" x
        refused 3 "part of the buffered mailbox" fifo-recv -n "$bell"
        refused 3 "part of the buffered mailbox" fifo-rm -f "$bell"
        refused 2 "in a buffered mailbox" fifo-make -p "$bell"
    done
    (cd box && refused 3 "part of the buffered mailbox" fifo-send -n ready x)
    fifo-send box one
    ended_with 0 receiver
    assert_equal "$(cat receiver.out)" one
    mkdir other
    fifo-make other/ready
    start receiver fifo-recv other/ready
    run -0 within fifo-send other/ready two
    ended_with 0 receiver
}

@test "a bell under another name is no mailbox either" {
    fifo-make -b 1 box
    start receiver fifo-recv box
    waits receiver
    ln -s box/ready link
    ln box/ready hard
    refused 3 "part of the buffered mailbox" fifo-send -n link x
    refused 3 "part of the buffered mailbox" fifo-send -n hard x
    refused 3 "part of the buffered mailbox" fifo-send -n /dev/fd/9 x 9<>box/ready
    refused 3 "part of the buffered mailbox" fifo-rm -f hard
    fifo-send box one
    ended_with 0 receiver
}

@test "what root makes again belongs to the owner" {
    as_another_user
    mkdir -m 777 public
    "${NOBODY[@]}" fifo-make -m 600 -b 1 public/box
    "${NOBODY[@]}" fifo-send public/box one
    rm public/box/ready public/box/.state
    refused 1 full fifo-send -n public/box two
    run -0 "${NOBODY[@]}" timeout 10 fifo-recv public/box
    assert_output one
    run -0 stat -c '%u %A' public/box/ready public/box/.state
    assert_output "65534 prw---S---
65534 -rw-------"
}

@test "a part that is missing is made again, with its mode, and nothing is lost" {
    local part
    fifo-make -m 640 -b 3 box
    for part in .state ready space; do
        fifo-send box one two
        rm "box/$part"
        refused 1 full fifo-send -n box three four
        holds one two three
        run -0 stat -c %A "box/$part"
        assert_output --regexp '^(-rw-r-----|prw-r-S---)$'
    done
    fifo-send box one
    rm box/.state
    refused 5 'a part of it is missing' fifo-recv --peek box
    refused 2 "still holds messages" fifo-rm box
    rm box/.state
    run -0 within fifo-rm -f box
    refute [ -e box ]
}

@test "a sender that finds it full and without its bell makes that again, and waits" {
    fifo-make -b 1 box
    fifo-send box one
    rm box/space
    start sender fifo-send box two
    waits sender
    run -0 within fifo-recv -c 2 box
    assert_output "one
two"
    ended_with 0 sender
}

@test "fifo-make -p repairs what it finds; and makes nothing inside a mailbox" {
    fifo-make -b 3 box
    fifo-send box one
    rm box/.state
    run -0 within fifo-make -p -b 3 box
    holds one
    refused 2 'would lie in a buffered mailbox' fifo-make box/inner
    refused 2 'would lie in a buffered mailbox' fifo-make -b 1 box/inner
    refused 2 'would lie in a buffered mailbox' fifo-make -T box/innerXXXX
}

@test "who may not look into a mailbox is told so" {
    as_another_user
    fifo-make -m 600 -b 1 box
    refused 2 'Permission denied' "${NOBODY[@]}" fifo-send -n box x
    refused 2 'Permission denied' "${NOBODY[@]}" fifo-recv -n box
}

@test "--peek of a message longer than --max-size is 5" {
    fifo-make -b 1 box
    head -c 300000 /dev/zero | fifo-send box
    refused 5 'longer than --max-size; it stays' fifo-recv --peek --max-size=1K box
}

@test "what lies in the place of a part is not opened, and nothing is written to it" {
    local part
    echo precious >victim
    for part in queue .state ready space; do
        fifo-make -b 1 box
        fifo-send box one
        rm "box/$part"
        ln -s ../victim "box/$part"
        run within fifo-send -n box two </dev/null
        refute [ "$status" = 137 ]
        run within fifo-recv -n box sh -c 'exit 7'
        refute [ "$status" = 137 ]
        assert_equal "$(cat victim)" precious
        rm "box/$part"
        cp victim "box/$part"
        run within fifo-send -n box two </dev/null
        refute [ "$status" = 137 ]
        run within fifo-recv -n box sh -c 'exit 7'
        refute [ "$status" = 137 ]
        rm -r box
    done
}

# --- fifo-make ---------------------------------------------------------------------------------------------------

@test "fifo-make -b takes a number from 1 or 'unbounded', and makes nothing of anything else" {
    local bad
    for bad in 0 -1 x 1x '' 99999999999999999999 Unbounded; do
        refused 2 "takes a whole number from 1" fifo-make -b "$bad" box
    done
    refused 2 "--sync needs -b" fifo-make --sync box
    assert_equal "$(ls -A)" stdout
}

@test "the files have the mode that was asked for, and the directory lets in who may do something" {
    fifo-make -b 1 -m 640 a
    fifo-make -b 1 -m u=rw,go=w b
    fifo-make -b 1 -m 600 c
    (umask 027 && fifo-make -b 1 d)
    run -0 stat -c '%n %a' a a/queue a/.state a/ready a/space b b/queue b/ready c c/queue c/space d d/queue
    assert_output "a 750
a/queue 640
a/.state 640
a/ready 2640
a/space 2640
b 755
b/queue 622
b/ready 2666
c 700
c/queue 600
c/space 2600
d 750
d/queue 640"
}

@test "-p accepts a mailbox of the same kind, and says how another one differs" {
    fifo-make -b 3 box
    fifo-send box one
    run -0 within fifo-make -p -b 3 box
    refused 2 "of another kind, for 3 messages" fifo-make -p -b 4 box
    refused 2 "of another kind, for 3 messages" fifo-make -p -b unbounded box
    refused 2 "of another kind, without --sync" fifo-make -p -b 3 --sync box
    refused 2 "there is a buffered mailbox" fifo-make -p box
    refused 2 "File exists" fifo-make -b 3 box
    fifo-make -b unbounded --sync other
    refused 2 "of another kind, unbounded" fifo-make -p -b 1 --sync other
    refused 2 "of another kind, with --sync" fifo-make -p -b unbounded other
    fifo-make fifo
    refused 2 "there is one, not buffered" fifo-make -p -b 1 fifo
    holds one
    run -0 within fifo-make -p -b 2 new/er/box
    within fifo-send new/er/box x
}

@test "what exists is never touched, and nothing is left beside it" {
    mkdir directory
    echo text >file
    fifo-make fifo
    for name in directory file fifo; do
        refused 2 "File exists" fifo-make -b 1 "$name"
    done
    refused 2 "No such file" fifo-make -b 1 no/where
    assert_equal "$(ls -A)" "directory
fifo
file
stdout"
    assert_equal "$(cat file)" text
}

@test "one that cannot be made does not keep the rest from being made; -T makes a private one" {
    mkdir b
    run -2 within fifo-make -q -b 1 a b c
    within fifo-send a x
    within fifo-send c x
    run -0 within fifo-make -T -b 1 aXXXXXX
    within fifo-send "$output" x
    assert_equal "$(stat -c %a "$output/queue")" 600
}

# --- fifo-rm -----------------------------------------------------------------------------------------------------

@test "fifo-rm refuses a mailbox that holds messages, also one that is in hand, unless there is -f" {
    fifo-make -b unbounded box
    fifo-send box one
    refused 2 "still holds messages; -f removes it with them" fifo-rm box
    start holder fifo-recv box sleep 60
    waits holder
    refused 2 "still holds messages" fifo-rm box
    kill "$(cat holder.pid)"
    ended_with 143 holder
    holds one
    run -0 within fifo-rm -v box
    assert_output "fifo-rm: 'box': removed"
    fifo-make -b unbounded box
    fifo-send box one
    run -0 within fifo-rm -f box
    assert_equal "$(find . -name '*box*')" ''
}

@test "fifo-rm refuses a mailbox with anything else in it, and deletes nothing" {
    fifo-make -b unbounded box
    echo mine >box/notes
    refused 2 "holds a file that does not belong to a mailbox" fifo-rm box
    refused 2 "holds a file that does not belong to a mailbox" fifo-rm -f box
    assert_equal "$(ls -A box)" ".state
notes
queue
ready
space"
    rm box/notes box/space
    mkdir box/space
    refused 2 "holds a file that does not belong" fifo-rm -f box
}

@test "removal ends all who wait, by fifo-rm and by rm" {
    local remove
    for remove in 'fifo-rm -f box' 'rm -r box'; do
        fifo-make -b 1 box empty
        fifo-send box one
        start sender fifo-send box two
        start second fifo-send -x box two
        start receiver fifo-recv empty
        start looker fifo-recv --peek empty
        start other fifo-recv -x empty
        waits sender
        waits second
        waits receiver
        waits looker
        waits other
        $remove
        ${remove/box/empty}
        ended_with 3 sender second receiver looker other
        one_line "removed" "$(cat sender.err)"
        assert [ ! -e box ]
    done
}

@test "who has a message in hand when the mailbox is removed finishes with it" {
    fifo-make -b unbounded box
    fifo-send box one
    # shellcheck disable=SC2016
    start holder fifo-recv box sh -c 'echo >begun; until [ -e go ]; do sleep 0.01; done; cat'
    wait_until test -e begun
    within fifo-rm -f box
    touch go
    ended_with 0 holder
    assert_equal "$(cat holder.out)" one
}

@test "a process that was stopped at work holds up fifo-rm for a second, and -f not for ever" {
    fifo-make -b unbounded box
    # Stopped by strace as it writes, with the lock held.
    start sender strace -f -o trace -e inject=pwritev:signal=STOP:when=1 fifo-send box one
    wait_until grep -q 'stopped by SIGSTOP' trace
    refused 2 "another process is at work in it" fifo-rm box
    run -0 within fifo-rm -f box
    kill -CONT "$(pgrep -P "$(cat sender.pid)")"
    status_of sender
}

# --- who may do what ----------------------------------------------------------------------------------------------

@test "who may only write can store, and neither read, look nor take" {
    as_another_user
    fifo-make -b 2 -m u=rw,go=w box
    run -0 within "${NOBODY[@]}" fifo-send box one
    run -2 within "${NOBODY[@]}" fifo-recv -n box
    run -2 within "${NOBODY[@]}" fifo-recv -n --peek box
    run -1 within "${NOBODY[@]}" cat box/queue
    run -0 within "${NOBODY[@]}" fifo-send box two
    run -1 within "${NOBODY[@]}" fifo-send -n box three
    start sender "${NOBODY[@]}" fifo-send box three
    waits sender
    run -0 within fifo-recv box
    assert_output one
    ended_with 0 sender
    holds two three
    run -2 within "${NOBODY[@]}" fifo-rm -f box
    assert [ -e box/queue ]
}

@test "who may only write goes on after a sender was killed in the middle, and nothing is lost" {
    as_another_user
    fifo-make -b unbounded -m u=rw,go=w box
    run -0 within "${NOBODY[@]}" fifo-send box one
    run within strace -o trace -e inject=pwrite64:signal=KILL:when=1 fifo-send box half
    run -0 within "${NOBODY[@]}" fifo-send box two
    run -1 within fifo-recv -n -f box
    assert_line one
    assert_line two
}

@test "what is stored behind a piece of a killed sender's message, by who may only write, is not lost with it" {
    as_another_user
    fifo-make -b unbounded -m u=rw,go=w box
    head -c 3000000 /dev/zero | tr '\0' z >long
    # Its header is there, and claims more than there is: it would be in order as soon as the log is long enough.
    python3 -B "$ROOT/tests/buffered/torn.py" box 3000000
    run -0 within "${NOBODY[@]}" fifo-send box one two three
    "${NOBODY[@]}" fifo-send box <long
    run -0 within "${NOBODY[@]}" fifo-send box five
    run -1 --separate-stderr within fifo-recv -n -f box
    assert_equal "${#output}" $((14 + 3000000 + 4))
    assert_equal "${output:0:15}" "$(printf 'one\ntwo\nthree\nz')"
    assert_equal "$(tail -c 5 <<<"$output")" five
    one_line empty "$stderr"
}

@test "what a killed sender has stored and nobody has counted, takes up its place" {
    as_another_user
    fifo-make -b 1 -m u=rw,go=w box
    run within strace -o trace -e inject=pwrite64:signal=KILL:when=1 fifo-send box killed
    run -1 within "${NOBODY[@]}" fifo-send -n box more
    run -2 on_stderr fifo-rm box
    start waiter "${NOBODY[@]}" fifo-send box more
    waits waiter
    run -0 within fifo-recv box
    assert_output killed
    ended_with 0 waiter
    holds more
}

@test "who may only read can look, and not take" {
    as_another_user
    fifo-make -b 2 -m u=rw,go=r box
    fifo-send box one
    run -0 within "${NOBODY[@]}" fifo-recv --peek box
    assert_output one
    run -2 within "${NOBODY[@]}" fifo-recv box
    run -2 within "${NOBODY[@]}" fifo-send box two
    holds one
}

@test "in a sticky directory that all may write to, another user's mailbox is refused" {
    as_another_user
    mkdir shared
    chmod 1777 shared
    "${NOBODY[@]}" fifo-make -b 2 -m 666 shared/box
    refused 2 "belongs to another user, in a sticky directory" fifo-send shared/box x
    refused 2 "belongs to another user, in a sticky directory" fifo-recv -n shared/box
    run -0 within "${NOBODY[@]}" fifo-send shared/box x
}
