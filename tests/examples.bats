#!/usr/bin/env bats
# shellcheck shell=bash
# Every example in the manual pages and in README.md does, word for word, what it shows.
#
# An example is a literal block (`.Bd -literal` in mdoc, ```console in README.md) with `$ ` before each command, `> `
# before each further line of a command, and then the output, standard error included. It is one shell in a fresh
# directory. Where the first line reads `Terminal 1 ... Terminal 2` there are two shells, side by side: what is left of
# the second heading belongs to the first. Other literal blocks are none of our business.

load helper

# The shell of a terminal. Reads commands that end in NUL from descriptor 9, shows each with its prompt, runs it, and
# then adds a byte to the file $1. $? is kept from command to command.
# shellcheck disable=SC2016
readonly TERMINAL='
    terminal_status=0
    while IFS= read -r -d "" -u 9 terminal_command; do
        printf "$ %s\n" "${terminal_command//$'\''\n'\''/$'\''\n'\''> }"
        (exit "$terminal_status")
        eval "$terminal_command" 9<&-
        terminal_status=$?
        printf . >>"$1"
    done'

# blocks FILE: writes the literal blocks of FILE to block.1, block.2, ... here, as a reader sees them.
blocks() {
    # shellcheck disable=SC2016
    case $1 in
    *.md) sed -n '/^```console$/,/^```$/{s/^```console$/@begin/;s/^```$/@end/;p}' "$1" ;;
    *) sed -n '/^\.Bd -literal/,/^\.Ed/{s/^\.Bd .*/@begin/;s/^\.Ed$/@end/;s/\\(aq/'\''/g;s/\\(dq/"/g
            s/\\(ha/^/g;s/\\(ti/~/g;s/\\-/-/g;s/\\&//g;s/\\e/\\/g;p}' "$1" ;;
    esac | awk '/^@begin$/ {file = "block." ++n; next} /^@end$/ {next} {print >file}'
}

# split BLOCK: reads it into `place` and `command`, the commands in their order, and expected.1 and expected.2. Returns
# 1 if it is no example.
split() {
    local line half column=1000 side continued=('' '' '')

    grep -q '^ *\$ ' "$1" || return 1
    place=() command=()
    : >expected.1
    : >expected.2
    while IFS= read -r line; do
        if [[ $line == Terminal\ 1*Terminal\ 2 ]]; then
            line=${line%Terminal 2}
            column=${#line}
            continue
        fi
        for side in 1 2; do
            ((side == 1)) && half=${line:0:column} || half=${line:column}
            if ((column < 1000)); then
                half=${half%"${half##*[! ]}"}
                [ -n "$half" ] || continue
            elif ((side == 2)); then
                continue
            fi
            printf '%s\n' "$half" >>expected.$side
            if [[ $half == '$ '* ]]; then
                place+=("$side")
                command+=("${half#'$ '}")
                continued[side]=$((${#command[@]} - 1))
            elif [[ $half == '> '* && -n ${continued[side]} ]]; then
                command[continued[side]]+=$'\n'${half#'> '}
            else
                continued[side]=''
            fi
        done
    done <"$1"
}

# open_terminal N: starts a shell; its pid is terminal[N], descriptor feed[N] feeds it.
open_terminal() {
    local fd reader
    mkfifo "feed.$1"
    : >"settled.$1"
    exec {fd}<>"feed.$1"
    exec {reader}<"feed.$1"
    # Everything shares the descriptor of the transcript, so that what is written first stands first.
    (
        cd room || exit
        exec setsid timeout --foreground -s KILL "$DEADLINE" \
            bash -c "$TERMINAL" bash "../settled.$1" 9<&"$reader" </dev/null >>"../got.$1" 2>&1 3>&- {fd}>&- {reader}<&-
    ) &
    exec {reader}<&-
    terminal[$1]=$!
    feed[$1]=$fd
    PEERS+=($!)
}

# The children of a process, all the way down.
offspring() {
    local child children=()
    { read -r -a children <"/proc/$1/task/$1/children" || true; } 2>/dev/null
    for child in "${children[@]}"; do
        echo "$child"
        offspring "$child"
    done
}

# settled N COUNT: whether terminal N is done with COUNT commands, or the last one sleeps and goes on sleeping.
settled() {
    local before child look

    [ "$(stat -c %s "settled.$1")" -lt "$2" ] || return 0
    before=$(offspring "${terminal[$1]}")
    for look in 1 2 3; do
        # The shell itself is the first of them; without a child it has not got to the command.
        [ "$(wc -w <<<"$before")" -gt 1 ] || return 1
        for child in $before; do
            asleep "$child" || return 1
        done
        [ "$look" = 3 ] || sleep 0.08
        [ "$(offspring "${terminal[$1]}")" = "$before" ] || return 1
    done
}

# Whether a process of group $1 is alive. A zombie, which only waits for init, is not.
has_offspring() {
    [ -n "$(pgrep -g "$1" -r D,R,S,T || true)" ]
}

# perform BLOCK: runs an example and compares. Returns 1, and says what differs, if it does not do what it shows.
perform() {
    local i n count=(0 0 0) ran=0 fd
    local -a place command terminal=() feed=()

    split "$1" || return 0
    examples=$((examples + 1))
    rm -rf room feed.* settled.* got.*
    mkdir room
    : >got.1
    : >got.2
    for n in $(printf '%s\n' "${place[@]}" | sort -u); do
        open_terminal "$n"
    done
    for i in "${!command[@]}"; do
        n=${place[i]}
        printf '%s\0' "${command[i]}" >&"${feed[n]}"
        count[n]=$((count[n] + 1))
        if ((${#terminal[@]} > 1)); then
            wait_until settled "$n" "${count[n]}" || ran=1
        fi
    done
    for n in "${!terminal[@]}"; do
        fd=${feed[n]}
        exec {fd}>&-
    done
    for n in "${!terminal[@]}"; do
        wait "${terminal[n]}" || true
        [ "$(stat -c %s "settled.$n")" = "${count[n]}" ] || { ran=1 && echo "terminal $n did not get to its end"; }
        for ((i = 0; i < 20; i++)); do
            has_offspring "${terminal[n]}" || break
            sleep 0.05
        done
        if has_offspring "${terminal[n]}"; then
            kill -KILL -- "-${terminal[n]}"
            ran=1 && echo "terminal $n leaves processes behind"
        fi
        diff -U 100 --label shown "expected.$n" --label happened "got.$n" || ran=1
    done
    return $ran
}

# holds FILE: asserts that FILE has examples, and that all of them do what they show.
holds() {
    local block failed=0 examples=0

    blocks "$ROOT/$1"
    for block in block.*; do
        perform "$block" || failed=1
    done
    if ((examples == 0)); then
        echo "no example in $1"
        return 1
    fi
    return $failed
}

@test "the examples of fifo-make(1) do what they show" { holds man/fifo-make.1; }
@test "the examples of fifo-send(1) do what they show" { holds man/fifo-send.1; }
@test "the examples of fifo-recv(1) do what they show" { holds man/fifo-recv.1; }
@test "the examples of fifo-rm(1) do what they show" { holds man/fifo-rm.1; }
@test "the examples of fifo-mailbox(5) do what they show" { holds man/fifo-mailbox.5; }
@test "the examples of fifo-tools(7) do what they show" { holds man/fifo-tools.7; }
@test "the examples of README.md do what they show" { holds README.md; }

@test "no page with examples is left out" {
    local page
    for page in "$ROOT"/man/*.[157]; do
        if grep -q '^\.Sh EXAMPLES' "$page"; then
            echo "$page"
            grep -q " holds man/${page##*/};" "$BATS_TEST_FILENAME"
        fi
    done
}

@test "an example that shows something else is found out" {
    local examples=0
    printf '%s\n' '$ echo one' 'two' >wrong
    run -1 perform wrong
    assert_line -- '-two'
    assert_line -- '+one'
    printf '%s\n' '$ false' '$ echo $?' '0' >wrong
    run -1 perform wrong
    printf '%s\n' '$ sleep 60 >/dev/null 2>&1 &' >wrong
    run -1 perform wrong
    assert_output --partial 'leaves processes behind'
    printf '%s\n' '$ for x in a b; do' ">     echo \$x" '> done' a b >right
    run -0 perform right
}
