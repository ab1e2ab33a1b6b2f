# shellcheck shell=bash
# Goal: progress is shown where it helps, is gone when it is over, and never outlives or holds up what it is about.
load helper

BYTES='[0-9.]+ ([KM]i)?B'
ESCAPE=$'\033'

# half_way: `sent` is 2.5 MiB, and `box` has a reader, descriptor 8, that takes nothing: a sender with -R stops at 40 %.
half_way() {
    fifo-make box
    head -c 2621440 /dev/zero >sent
    exec 8<>box
}

# finish: what was sent is read to its end.
finish() {
    within head -c 2621440 <&8 | cmp - sent
    exec 8>&-
}

# on_terminal NAME COMMAND: like start, for a line of shell, on a terminal. What that shows is in NAME.shown, the pid of the
# program that the line is, in NAME.main.
on_terminal() {
    start "$1" script -qefc "echo \$\$ >$1.new; mv $1.new $1.main; exec $2" "$1.shown" 8>&-
    wait_until test -s "$1.main"
}

# painter_of PID: sets `painter`, when it is there, to the process that draws.
painter_of() {
    wait_until pgrep -P "$1" -x fifo-progress >painter
    painter=$(<painter)
}

# gone PID: it runs no more, though it may have to be buried still.
gone() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    [[ ${stat##*) } == Z* ]]
}

@test "where standard error is no terminal, only --progress=always shows something" {
    half_way
    for option in -P --progress --progress=auto --progress=never -Pnever -q; do
        STDIN=sent start "sender$option" fifo-send -R "${option/-q/-v}" -t 600ms box 8>&-
        ended_with 4 "sender$option"
        one_line "^fifo-send: 'box': timed out in the middle; [0-9]+ bytes written" "$(cat "sender$option.err")"
        within fifo-recv -nR box >/dev/null 8>&-
    done
    exec 8>&-
}

@test "--progress=always shows lines: amount, rate, and for a file share and time left" {
    half_way
    STDIN=sent start sender fifo-send -R --progress=always box 8>&-
    wait_until grep -Eqx "$BYTES  $BYTES/s  [1-9][0-9] %  [0-9]+:[0-9]{2} left" sender.err
    finish
    ended_with 0 sender
    run -0 cat sender.err
    refute_output --partial "$ESCAPE"
    refute_output --partial $'\r'
}

@test "of what is no file, neither share nor time left are known" {
    fifo-make box
    mkfifo input
    exec 7<>input
    STDIN=input start sender fifo-send -R --progress=always box 7>&-
    start receiver fifo-recv -R -Palways box 7>&-
    head -c 5000 /dev/zero >&7
    wait_until grep -q 4.88 sender.err
    wait_until grep -q 4.88 receiver.err
    exec 7>&-
    ended_with 0 sender receiver
    run -0 cat sender.err receiver.err
    assert_line --regexp "^4.88 KiB  $BYTES/s\$"
    refute_output --partial %
    has_size() { [ "$(stat -c %s "$1")" = "$2" ]; }
    has_size receiver.out 5000
}

@test "messages are counted as messages, by both ends" {
    fifo-make box
    mkfifo input
    exec 7<>input
    STDIN=input start sender fifo-send -l --progress=always box 7>&-
    start receiver fifo-recv -c 3 --progress=always box 7>&-
    printf 'one\n' >&7
    wait_until grep -Eq '^1 message  [0-9.]+/s$' sender.err
    wait_until grep -Eq '^1 message  [0-9.]+/s$' receiver.err
    printf 'two\n' >&7
    wait_until grep -Eq '^2 messages  [0-9.]+/s$' sender.err
    wait_until grep -Eq '^2 messages  [0-9.]+/s$' receiver.err
    printf 'three\n' >&7
    exec 7>&-
    ended_with 0 sender receiver
    assert_equal "$(<receiver.out)" $'one\ntwo\nthree'
}

@test "on a terminal it is one line, redrawn, wiped at the end, and no part of what is said then" {
    half_way
    on_terminal sender 'fifo-send -vR -P box <sent'
    wait_until grep -Eaq "$BYTES/s +[1-9][0-9] % +[0-9:]+ left" sender.shown
    run -0 cat sender.shown
    assert_output --partial $'\r'"1.00 MiB"
    finish
    ended_with 0 sender
    # Drawings are all in one line, each over the one before; then it is empty, and what is said comes behind that.
    run -0 grep -av '^Script ' sender.out
    assert_equal "${#lines[@]}" 1
    assert_output --regexp $'\r'"${ESCAPE}\[K(.*${ESCAPE}\[K)?fifo-send: 'box': 2621440 bytes written, 2621440 of them read"$'\r?$'
    last=${output##*"${ESCAPE}[K"}
    assert_equal "${last%$'\r'}" "fifo-send: 'box': 2621440 bytes written, 2621440 of them read"
}

@test "on a terminal the last that is drawn is nothing, if there is nothing to say" {
    half_way
    on_terminal sender 'fifo-send -R --progress box <sent'
    wait_until grep -aq ' left' sender.shown
    finish
    ended_with 0 sender
    [[ $(<sender.out) == *" left${ESCAPE}[K"*$'\r'"${ESCAPE}[K" ]]
}

@test "what is over soon draws nothing" {
    fifo-make box
    on_terminal receiver 'fifo-recv -RP box'
    within bash -c 'echo quick | fifo-send -R --progress=always box' 2>sender.err
    ended_with 0 receiver
    assert_equal "$(<receiver.out)" $'quick\r'
    [ ! -s sender.err ]
}

@test "a signal wipes the line, though the shell may have the terminal back before the painter knows" {
    fifo-make box
    mkfifo keys
    exec 7<>keys
    start receiver fifo-recv -f box 7>&-
    on_terminal sender 'fifo-send -l --progress box <keys' 7>&-
    echo one >&7
    wait_until grep -aq '1 message ' sender.shown
    painter_of "$(<sender.main)"
    kill -STOP "$painter"
    kill -TERM "$(<sender.main)"
    status_of sender
    exec 7>&-
    [[ $(<sender.out) == *"${ESCAPE}[K" ]]
    wait_until gone "$painter"
}

@test "replies and receipts on the terminal get no line between them" {
    local option
    fifo-make box
    for option in -r --receipt; do
        start receiver fifo-recv box sh -c 'sleep 0.6; cat'
        on_terminal sender "fifo-send $option -P box x"
        ended_with 0 receiver sender
        run -1 grep -a message sender.out
        run -1 grep -a "$ESCAPE" sender.out
        # Where they go elsewhere, it is drawn.
        start receiver fifo-recv box sh -c 'sleep 0.6; cat'
        on_terminal sender "fifo-send $option -P box x >reply"
        ended_with 0 receiver sender
        grep -aq message sender.out
    done
}

@test "a WHEN that is none is a usage error" {
    fifo-make box
    for command in fifo-send fifo-recv; do
        refused 2 "-P takes auto, always or never, not 'sometimes'" "$command" --progress=sometimes box
        refused 2 "-P takes auto, always or never, not 'R'" "$command" -PR box
        refused 2 "-P takes auto, always or never, not ''" "$command" --progress= box
    done
}

@test "who draws ends with the one it draws for, however that ends" {
    for way in end TERM KILL; do
        echo "row: $way"
        half_way
        STDIN=sent start sender fifo-send -R --progress=always box 8>&-
        painter_of "$(<sender.pid)"
        case $way in
            end)
                finish
                ended_with 0 sender
                gone "$painter"
                ;;
            TERM | KILL)
                kill "-$way" "$(<sender.pid)"
                [[ $(status_of sender) == @(143|137) ]]
                exec 8>&-
                ;;
        esac
        wait_until gone "$painter"
        rm box
    done
}

@test "who draws holds neither standard input nor standard output open" {
    fifo-make box
    mkfifo output
    start receiver bash -c 'exec fifo-recv -fR --progress=always box >output'
    start reader cat output
    wait_until test -e "/proc/$(<receiver.pid)/fd/1"
    painter_of "$(<receiver.pid)"
    run -0 wait_until bash -c '[ "$(ls "/proc/$1/fd")" = 2 ]' - "$painter"
    # It cannot help to keep it from its end either.
    kill -STOP "$painter"
    kill -KILL "$(<receiver.pid)"
    ended_with 0 reader
    kill -KILL "$painter" || true
}

@test "messages of a batch are counted while it is being taken" {
    fifo-make box
    seq 40 >sent
    STDIN=sent start sender fifo-send -l -Palways box
    start receiver fifo-recv -q -c 40 box sh -c 'cat >/dev/null; sleep 0.05'
    ended_with 0 sender receiver
    grep -qE '^([1-9]|[1-3][0-9]) messages' sender.err
}

@test "of a large message the bytes are shown as they are taken, by both ends" {
    fifo-make box
    head -c 30000000 /dev/urandom >content
    start receiver strace -f -o trace -e trace=readv -e inject=readv:delay_enter=50000 \
        fifo-recv --progress=always box sh -c 'cat >got'
    STDIN=content start sender fifo-send --progress=always box
    ended_with 0 sender receiver
    cmp content got
    grep -Eq '^0 \+ [0-9.]+ MiB  [0-9.]+ [KM]iB/s  [1-9][0-9]? %' sender.err
    grep -Eq '^0 \+ [0-9.]+ MiB  [0-9.]+ [KM]iB/s$' receiver.err
}
