# shellcheck shell=bash
# Goal: fifo-rm removes mailboxes and never anything else, goes on after what it refuses, and frees whoever waits.
load helper

# looks_like NAME: type, inode and times of what is called so.
looks_like() {
    stat -c '%F %i %a %s %Y %Z' "$1"
}

# refuses NAME REGEX: fifo-rm NAME ends with 3, says REGEX, -f makes no difference, and NAME stays as it is.
refuses() {
    local before option
    before=$(looks_like "$1")
    for option in -v -f; do
        echo "row: $option $1"
        run -3 --separate-stderr within fifo-rm "$option" "$1"
        one_line "fifo-rm: '$1': $2"
        assert_output ''
        assert_equal "$(looks_like "$1")" "$before"
    done
}

# in_open NAME: whether the peer is blocked in open(2), by the number of the call (x86_64: open, openat; then arm64).
in_open() {
    grep -qE '^(2|257|56) ' "/proc/$(cat "$1.pid")/syscall"
}

# has_ended NAME
has_ended() {
    test -s "$1.status"
}

@test "a mailbox is removed in silence" {
    fifo-make box other
    run -0 --separate-stderr within fifo-rm box
    assert_equal "$output$stderr" ''
    run -1 test -e box
    test -p other
}

@test "a mailbox that messages wait in is removed too" {
    fifo-make box
    exec 7<>box
    echo message >box
    run -0 within fifo-rm box
    exec 7>&-
    run -1 test -e box
}

@test "what is no FIFO is refused, and stays" {
    echo content >file
    mkdir directory empty
    touch directory/file
    make_socket socket
    refuses file 'is a regular file'
    refuses directory 'is a directory'
    refuses empty 'is a directory'
    refuses empty/ 'is a directory'
    refuses socket 'is a socket'
    assert_equal "$(cat file)" content
}

@test "a device is refused, and stays" {
    mknod device c 1 3 || skip "no permission to make a device node"
    refuses device 'is a device'
}

@test "a symbolic link is refused, and both it and what it leads to stay" {
    fifo-make box
    touch file
    ln -s box link
    ln -s file file-link
    ln -s nowhere dangling
    ln -s loop loop
    refuses link 'is a symbolic link'
    refuses file-link 'is a symbolic link'
    refuses dangling 'is a symbolic link'
    refuses loop 'is a symbolic link'
    test -p box
}

@test "a link among the directories on the way is followed" {
    mkdir directory
    fifo-make directory/box
    ln -s directory link
    run -0 within fifo-rm link/box
    run -1 test -e directory/box
    test -d directory
}

@test "a missing name is told, and -f ignores it" {
    local name
    for name in missing missing/box ''; do
        echo "row: '$name'"
        run -3 --separate-stderr within fifo-rm "$name"
        assert_equal "$stderr" "fifo-rm: '$name': No such file or directory"
        run -0 --separate-stderr within fifo-rm -f "$name"
        assert_equal "$output$stderr" ''
    done
}

@test "a trailing slash does not name a FIFO, nor does a way through one" {
    local name
    fifo-make box
    ln -s box link
    for name in box/ link/ box/. box/inner; do
        echo "row: $name"
        run -3 --separate-stderr within fifo-rm "$name"
        one_line "fifo-rm: '$name': "
    done
    test -p box
    test -L link
}

@test "each operand that fails is told, and the others are removed" {
    fifo-make first middle last
    touch file
    run -3 --separate-stderr within fifo-rm first file middle missing last
    assert_equal "$stderr" "fifo-rm: 'file': is a regular file, not a mailbox
fifo-rm: 'missing': No such file or directory"
    assert_output ''
    assert_equal "$(ls -A -I 'separate-stderr-*')" file
}

@test "the same operand twice is missing the second time" {
    fifo-make box
    run -3 --separate-stderr within fifo-rm box box
    assert_equal "$stderr" "fifo-rm: 'box': No such file or directory"
    fifo-make box
    run -0 within fifo-rm -f box box
    assert_output ''
}

@test "-f ignores only what is missing" {
    fifo-make box
    touch file
    run -3 --separate-stderr within fifo-rm -f missing file box
    one_line "fifo-rm: 'file': is a regular file"
    test -f file
    run -1 test -e box
}

@test "-v says what was removed, and nothing else" {
    fifo-make a b
    run -0 --separate-stderr within fifo-rm -vf a missing b
    assert_equal "$stderr" "fifo-rm: 'a': removed
fifo-rm: 'b': removed"
    assert_output ''
}

@test "-q says nothing of what failed" {
    touch file
    run -3 within fifo-rm -q missing file
    assert_output ''
}

@test "names that begin with a dash, and names with newlines, are names like others" {
    fifo-make -- -box -f $'new\nline' ' '
    run -0 within fifo-rm -- -box -f $'new\nline' ' '
    assert_output ''
    assert_equal "$(ls -A)" ''
    run -3 --separate-stderr within fifo-rm $'new\nline\e[2J'
    assert_equal "$stderr" "fifo-rm: 'new\\012line\\033[2J': No such file or directory"
}

@test "a wrong command line is a usage error of one line, and nothing is removed" {
    fifo-make box
    run -2 --separate-stderr within fifo-rm
    one_line 'fifo-rm: missing NAME'
    run -2 --separate-stderr within fifo-rm -q --
    one_line 'fifo-rm: missing NAME'
    run -2 --separate-stderr within fifo-rm box -r
    one_line fifo-rm
    run -2 --separate-stderr within fifo-rm box --unknown
    one_line fifo-rm
    test -p box
    run -0 within fifo-rm -f
    assert_output ''
}

@test "--help and --version go to standard output" {
    local option
    for option in --help --usage --version; do
        echo "row: $option"
        run -0 --separate-stderr within fifo-rm "$option"
        [ -n "$output" ]
        assert_equal "$stderr" ''
        run -2 within bash -c "fifo-rm $option >/dev/full"
    done
}

@test "a fifo-send that waits for a receiver ends with 3" {
    fifo-make box
    start sender fifo-send box message
    waits sender
    run -0 within fifo-rm box
    ended_with 3 sender
}

@test "a fifo-recv that waits for a message ends with 3" {
    fifo-make box
    start receiver fifo-recv box
    waits receiver
    run -0 within fifo-rm box
    ended_with 3 receiver
}

@test "a raw reader that is blocked in open ends" {
    fifo-make box
    start reader cat box
    wait_until in_open reader
    run -0 within fifo-rm box
    ended_with 0 reader
    assert_equal "$(cat reader.out)" ''
}

@test "a raw writer that is blocked in open ends" {
    fifo-make box
    start writer bash -c 'echo hi >box'
    wait_until in_open writer
    run -0 within fifo-rm box
    wait_until has_ended writer
    run -1 test -e box
}

@test "several raw readers, and several raw writers, that are blocked in open all end" {
    local i
    fifo-make in out
    for i in 1 2 3; do
        start "reader$i" cat in
        start "writer$i" bash -c 'echo hi >out'
        wait_until in_open "reader$i"
        wait_until in_open "writer$i"
    done
    run -0 within fifo-rm in out
    for i in 1 2 3; do
        wait_until has_ended "reader$i"
        wait_until has_ended "writer$i"
    done
}

@test "a mailbox that its owner may neither read nor write is removed like others" {
    as_another_user
    mkdir -m 777 open
    cd open
    "${NOBODY[@]}" fifo-make -m 0 box
    run -0 --separate-stderr within "${NOBODY[@]}" fifo-rm box
    assert_equal "$output$stderr" ''
    run -1 test -e box
}

@test "in a sticky directory somebody else's mailbox stays, in the system's words" {
    as_another_user
    mkdir -m 1777 sticky
    fifo-make sticky/box
    chmod 666 sticky/box
    run -2 --separate-stderr within "${NOBODY[@]}" fifo-rm sticky/box
    one_line "fifo-rm: 'sticky/box': .*Operation not permitted"
    run -2 --separate-stderr within "${NOBODY[@]}" fifo-rm -f sticky/box
    one_line 'Operation not permitted'
    test -p sticky/box
    "${NOBODY[@]}" fifo-make sticky/own
    run -0 within "${NOBODY[@]}" fifo-rm sticky/own
}

@test "where the user may not write, or not even look, permission is denied, also with -f" {
    as_another_user
    mkdir -m 700 closed
    fifo-make box closed/box
    run -2 --separate-stderr within "${NOBODY[@]}" fifo-rm -f box
    one_line "fifo-rm: 'box': .*Permission denied"
    run -2 --separate-stderr within "${NOBODY[@]}" fifo-rm -f closed/box
    one_line "fifo-rm: 'closed/box': .*Permission denied"
    test -p box
    test -p closed/box
}

@test "the status is that of the first operand that failed" {
    as_another_user
    fifo-make box
    run -2 within "${NOBODY[@]}" fifo-rm box missing
    run -3 within "${NOBODY[@]}" fifo-rm missing box
    run -2 within "${NOBODY[@]}" fifo-rm -f missing box bin
}
