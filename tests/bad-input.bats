# shellcheck shell=bash
# Goal: what is no mailbox is never opened nor made, and a wrong command line is told in one line, with status 2.
load helper

# both_refused STATUS REGEX MAILBOX [OPTION...]: fifo-send and fifo-recv refuse it so.
both_refused() {
    local want=$1 regex=$2 box=$3
    shift 3
    refused "$want" "fifo-recv: '$box': .*$regex" fifo-recv "$@" "$box"
    refused "$want" "fifo-send: '$box': .*$regex" fifo-send "$@" "$box"
    refused "$want" "fifo-send: '$box': .*$regex" fifo-send "$@" "$box" message
}

# listing: what is in the working directory, but for files of ours.
listing() {
    stat -c '%n %F %i %a %s %y %z' -- * 2>/dev/null | grep -vE '^(stdout|trace) ' || true
}

@test "a missing mailbox is status 3, the remedy is told, and nothing is created" {
    local before name
    mkdir directory
    ln -s nowhere dangling
    before=$(listing)
    for name in missing directory/missing missing/box dangling ''; do
        both_refused 3 'no such mailbox; make it with fifo-make' "$name"
    done
    both_refused 3 'no such mailbox; make it with fifo-make' missing -n
    both_refused 3 'no such mailbox; make it with fifo-make' missing -t 1
    assert_equal "$(listing)" "$before"
    assert_equal "$(ls -A directory)" ''
}

@test "what is no mailbox is status 3, and stays as it was" {
    local before
    echo content >file
    mkdir directory
    make_socket socket
    ln -s loop loop
    ln -s file link
    before=$(listing)
    both_refused 3 'is a regular file' file
    both_refused 3 'is a regular file' link
    both_refused 3 'is a directory' directory
    both_refused 3 'is a directory' .
    both_refused 3 'is a socket' socket
    both_refused 3 'is a device' /dev/null
    both_refused 3 'Too many levels of symbolic links' loop
    both_refused 3 'Not a directory' file/box
    both_refused 3 'File name too long' "$(printf 'x%.0s' {1..300})"
    assert_equal "$(listing)" "$before"
    assert_equal "$(cat file)" content
}

@test "what is no mailbox is not even opened" {
    local name command
    touch file
    mkdir directory
    make_socket socket
    mkfifo box
    for name in file directory socket /dev/null; do
        for command in "fifo-recv $name" "fifo-send $name" "fifo-send $name message"; do
            echo "row: $command"
            # shellcheck disable=SC2086
            run -3 within strace -f -o trace -e trace=/^open $command </dev/null
            run -1 grep -F "\"$name\"" trace
        done
    done
    # And what is one is seen to be opened.
    run -1 within strace -f -o trace -e trace=/^open fifo-recv -n box
    run -0 grep -F '"box"' trace
}

@test "-q silences everything but usage errors" {
    local command
    for command in 'fifo-recv -q missing' 'fifo-send -q missing' 'fifo-send -q missing message'; do
        echo "row: $command"
        # shellcheck disable=SC2086
        run -3 within $command </dev/null
        assert_output ''
    done
    refused 2 -t fifo-recv -q -t x missing
    refused 2 -t fifo-send -q -t x missing message
    refused 2 'missing MAILBOX' fifo-recv -q
    refused 2 'missing MAILBOX' fifo-send -q
}

@test "a mailbox that may not be read or written is status 2" {
    as_another_user
    mkdir -m 700 closed
    fifo-make -m 600 box closed/box
    refused 2 "'box': .*Permission denied" "${NOBODY[@]}" fifo-recv box
    refused 2 "'box': .*Permission denied" "${NOBODY[@]}" fifo-send box message
    refused 2 "'box': .*Permission denied" "${NOBODY[@]}" fifo-send -n box message
    refused 2 "'closed/box': .*Permission denied" "${NOBODY[@]}" fifo-recv closed/box
    refused 2 "'closed/box': .*Permission denied" "${NOBODY[@]}" fifo-send closed/box message
    fifo-make -m 622 drop
    refused 2 "'drop': .*Permission denied" "${NOBODY[@]}" fifo-recv drop
    fifo-make -m 644 read-only
    refused 2 "'read-only': .*Permission denied" "${NOBODY[@]}" fifo-send read-only message
}

@test "somebody else's mailbox in a directory where anyone may make one is status 2, and the remedy is told" {
    as_another_user
    mkdir -m 1777 sticky
    mkdir -m 777 open
    "${NOBODY[@]}" fifo-make sticky/trap open/box
    chmod 666 sticky/trap open/box
    ln -s sticky/trap link
    both_refused 2 'belongs to another user.*use a mailbox in a directory of your own' sticky/trap
    both_refused 2 'belongs to another user.*use a mailbox in a directory of your own' link
    both_refused 2 'belongs to another user' sticky/trap -n
    # Not where the directory is not sticky, nor one's own, nor that of the directory's owner.
    refused 1 empty fifo-recv -n open/box
    refused 1 empty "${NOBODY[@]}" fifo-recv -n sticky/trap
    fifo-make -m 666 sticky/of-root
    refused 1 empty "${NOBODY[@]}" fifo-recv -n sticky/of-root
}

@test "a wrong command line is status 2 and creates nothing" {
    local command value before
    mkfifo box
    before=$(listing)
    for command in fifo-recv fifo-send; do
        for value in abc -1 '' 1e3 5x +1 ' 1' . 1.2.3 inf 5ss $'1\n'; do
            refused 2 "$command: -t takes a number of seconds" "$command" -t "$value" box
        done
        for value in 0 '' -1 x 1.5 99999999999999999999999; do
            refused 2 "$command: -s takes a whole number" "$command" -s "$value" box
        done
        refused 2 'exclude each other' "$command" -n -t 1 box
        refused 2 'exclude each other' "$command" -t 0 -n box
        refused 2 "$command: missing MAILBOX" "$command"
        refused 2 "$command: missing MAILBOX" "$command" -n --
        refused 2 "$command: .*unknown" "$command" --unknown box
        refused 2 "$command: .*'y'" "$command" -y box
        refused 2 "$command: " "$command" box --timeout
        refused 2 "$command: " "$command" --nonblock=1 box
    done
    for value in 0 '' -1 x 1kB 99999999999999999999G; do
        refused 2 'fifo-recv: --max-size takes a number of bytes' fifo-recv "--max-size=$value" box
    done
    for value in 0 '' -1 x 1.5 99999999999999999999999; do
        refused 2 'fifo-recv: -c takes a whole number' fifo-recv -c "$value" box
    done
    refused 2 exclude fifo-send -l -0 box
    refused 2 exclude fifo-send -l -s 5 box
    refused 2 exclude fifo-send -l box message
    refused 2 exclude fifo-send -0 box message
    refused 2 exclude fifo-send -s 5 box message
    refused 2 '-N goes with' fifo-send -N box
    refused 2 '-N goes with' fifo-send -N -s 5 box
    refused 2 exclude fifo-recv -c 2 -f box
    refused 2 excludes fifo-recv --peek -c 2 box
    refused 2 excludes fifo-recv --peek -f box
    refused 2 excludes fifo-recv --peek box cat
    refused 2 'needs a COMMAND' fifo-recv --keep box
    refused 2 excludes fifo-recv -0 -s 5 box
    refused 2 excludes fifo-recv -0 box cat
    assert_equal "$(listing)" "$before"
}

@test "an unknown option with a newline or an escape in it makes one line of a message" {
    local command
    for command in fifo-recv fifo-send; do
        refused 2 unrecognized "$command" $'--new\nline' box
        refused 2 unrecognized "$command" $'--escape\e[2J' box
    done
}

@test "a fixed size of more than one atomic write is status 5" {
    mkfifo box
    refused 5 4096 fifo-send -s 5000 box
    refused 5 4096 fifo-recv -s 5000 box
    refused 5 4096 fifo-recv -n -s 4097 box
    refused 1 empty fifo-recv -n -s 4096 box
}
