# Loaded by every suite. Vocabulary: a *peer* is a fifo-send or fifo-recv in the background; `start` starts one,
# `status_of` waits for it. Whatever a test starts is dead when the test ends.

bats_require_minimum_version 1.5.0

# Not by their load.bash: that starts dirname(1) for each of these files, sixteen times before every test.
for place in /usr/lib/bats /usr/share/bats /usr/lib/bats-core; do
    for file in "$place"/bats-support/src/*.bash "$place"/bats-assert/src/*.bash; do
        # shellcheck source=/dev/null
        [ ! -r "$file" ] || source "$file"
    done
done

# The longest any single command may take. Generous: it only ever ends what hangs.
DEADLINE=${DEADLINE:-60}

common_setup() {
    ROOT=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
    # Then the distribution's own programs: what comes before them may be wrappers that take ten times as long.
    export PATH="${FIFO_BIN:-$ROOT/bin}:/usr/bin:$PATH"
    cd "$BATS_TEST_TMPDIR" || return 1
    export LC_ALL=C
    umask 022
    PEERS=()
    exec {NEVER}<> <(:) # of pause
    PLACE= # of as_another_user
}

# is_strange PID: the number of a peer that has ended long ago belongs to a process of somebody else's by now.
is_strange() {
    local line strange=1
    while IFS= read -rd '' line; do
        strange=0
        [ "$line" != "BATS_TEST_TMPDIR=$BATS_TEST_TMPDIR" ] || return 1
    done 2>/dev/null <"/proc/$1/environ"
    return "$strange"
}

common_teardown() {
    local peer
    for peer in "${PEERS[@]}"; do
        ! is_strange "$peer" || continue
        kill -KILL -- "-$peer" 2>/dev/null || true
    done
}

setup() { common_setup; }
teardown() {
    common_teardown
    [ -z "$PLACE" ] || rm -rf "$PLACE"
}

# within COMMAND...: runs it under the deadline. A hang becomes status 137.
within() {
    timeout --foreground -s KILL "$DEADLINE" "$@"
}

# start NAME COMMAND...: runs it in the background, in a process group of its own, with output in NAME.out and
# NAME.err. The pid of COMMAND itself is in NAME.pid, its status, once it has ended, in NAME.status.
start() {
    local name=$1
    shift
    [ ! -e "$name.pid" ] || rm -f "$name".{pid,status}
    # shellcheck disable=SC2016
    setsid bash -c '
        name=$1; shift
        "$@" >"$name.out" 2>"$name.err" <"${STDIN:-/dev/null}" &
        echo $! >"$name.pid" # each in one write: the file is empty, or whole
        wait $!; echo $? >"$name.status"
    ' start "$name" "$@" 3>&- &
    PEERS+=($!)
    disown 2>/dev/null || true # or bash would tell of its end, if it has not ended by now
    wait_until test -s "$name.pid"
}

# wait_until COMMAND...: until it succeeds, for at most the deadline. Looks often: the good case is fast.
wait_until() {
    local end=$((SECONDS + DEADLINE))
    until "$@"; do
        if ((SECONDS >= end)); then
            echo "waited in vain for: $*" >&2
            return 1
        fi
        pause
    done
}

# pause: for ten milliseconds. Starting sleep(1) would take about as long, of the processor.
pause() {
    read -rt 0.01 <&"$NEVER" || true
}

# status_of NAME: waits for the peer and prints its status.
status_of() {
    wait_until test -s "$1.status" && echo "$(<"$1.status")"
}

# ended_with STATUS NAME...: asserts how each peer ended.
ended_with() {
    local want=$1 name got
    shift
    for name; do
        got=$(status_of "$name") || return 1
        if [ "$got" != "$want" ]; then
            echo "$name ended with $got, not $want: $(cat "$name.err")" >&2
            return 1
        fi
    done
}

# waits NAME: until the peer sleeps, for whatever it is waiting for.
waits() {
    wait_until asleep "$(<"$1.pid")"
}

asleep() {
    local stat
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    [[ ${stat##*) } == S* ]]
}

# dozes TRACE: until the peer that is traced there sleeps without an end, as who waits for messages does.
dozes() {
    wait_until grep -q 'rt_sigtimedwait.*NULL, NULL, 8$' "$1"
}

# others_leave DIRECTORY WHAT: one more file in it; whether the file `trace` has WHAT.
others_leave() {
    others=$((${others:-0} + 1))
    : >"$1/other.$others"
    grep -q "$2" trace
}

# ticks NAME...: processor time of the peers so far, in hundredths of a second.
ticks() {
    local name
    for name; do
        cat "/proc/$(<"$name.pid")/stat"
    done | awk '{ sum += $14 + $15 } END { print sum }'
}

# milliseconds COMMAND...: runs it and sets `took`; the status is COMMAND's.
milliseconds() {
    local before=${EPOCHREALTIME/./} status=0
    "$@" || status=$?
    took=$(((${EPOCHREALTIME/./} - before) / 1000))
    return $status
}

# ends_in_time STATUS LOW HIGH COMMAND...: it ends with STATUS, after so many milliseconds. What it says is in `output`.
ends_in_time() {
    local want=$1 low=$2 high=$3 got=0
    shift 3
    milliseconds on_stderr "$@" >said || got=$?
    output=$(<said)
    assert_equal "$got" "$want"
    between "$low" "$high" "$took"
}

# between LOW HIGH VALUE
between() {
    if (($3 < $1 || $3 > $2)); then
        echo "$3 is not between $1 and $2" >&2
        return 1
    fi
}

# one_line REGEX [TEXT]: TEXT, or standard error of the last run, is exactly one line of plain characters, and REGEX is
# in it.
one_line() {
    assert_regex "${2-$stderr}" "^[^[:cntrl:]]*$1[^[:cntrl:]]*\$"
}

# on_stderr COMMAND...: runs it, its standard error as output. What it writes to standard output is in `stdout`.
on_stderr() {
    # shellcheck disable=SC2069 # in this order
    within "$@" 2>&1 >stdout </dev/null
}

# refused STATUS REGEX COMMAND...: COMMAND ends with STATUS, nothing on standard output, and exactly one line of plain
# characters on standard error, which REGEX is in. It does not get descriptor 7, where tests hold mailboxes open.
refused() {
    local want=$1 regex=$2
    shift 2
    echo "row: $*"
    run "-$want" on_stderr "$@" 7>&-
    one_line "$regex" "$output"
    assert_equal "$(<stdout)" ''
}

# left_in MAILBOX MESSAGE...: asserts that the buffered mailbox holds exactly these, in this order, and takes them.
left_in() {
    local taken
    taken=$(within fifo-recv -q -n -f "$1") || [ $? = 1 ]
    shift
    assert_equal "$taken" "$(printf '%s\n' "$@")"
}

# nothing_left: asserts that there is no reply mailbox beside the mailboxes.
nothing_left() {
    run -0 find . -name '.*.????????????????'
    assert_output ''
}

# serve NAME MAILBOX SCRIPT...: a server that runs the shell script on each request.
serve() {
    start "$1" fifo-recv -f "$2" sh -c "${@:3}"
}

# simulated SCRIPT ARGUMENT...: a scenario of buffered/SCRIPT.py, in a directory of its own, which has to succeed.
simulated() {
    mkdir simulated
    cd simulated || return 1
    run timeout -s KILL 120 python3 -B "$ROOT/tests/buffered/$1.py" "${@:2}" 3>&-
    assert_success
}

# as_another_user: makes $PLACE, a directory that every user can reach, with the commands in $PLACE/bin, goes there, and
# sets NOBODY to what runs a command as a user who owns nothing.
as_another_user() {
    local command
    [ "$(id -u)" = 0 ] || skip "only root can become another user"
    PLACE=$(mktemp -d /tmp/fifo-test.XXXXXXXX)
    mkdir "$PLACE/bin"
    for command in fifo-make fifo-send fifo-recv fifo-rm; do
        cp "$(command -v "$command")" "$PLACE/bin"
    done
    chmod -R a+rX "$PLACE"
    PATH=$PLACE/bin:$PATH
    NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    cd "$PLACE" || return 1
}

make_socket() {
    perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && bind(S, pack_sockaddr_un($ARGV[0])) or die' "$1"
}
