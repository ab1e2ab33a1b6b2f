# shellcheck shell=bash
# Goal: two processes that name each other talk, each as itself, and with nobody else; and nothing is left of the dead.
load helper

setup() {
    common_setup
    export FIFO_DIR=$PWD/links
    unset FIFO_SELF
}

# meet SHELL SCRIPT: runs the script in SHELL, which finds the pid of this one in $other. `them` is its own pid.
meet() {
    start "$1" env other="$$" "$1" -c "echo \$\$ >self; $2; :"
    wait_until test -s self
    them=$(cat self)
}

@test "a message each way, made by whoever comes first" {
    meet bash 'fifo-recv --from=$other; fifo-send -t 5 --to=$other back'
    run -0 within fifo-send -t 5 --self=$$ --to="$them" there
    run -0 within fifo-recv -t 5 --self=$$ --from="$them"
    assert_output back
    ended_with 0 bash
    assert_equal "$(cat bash.out)" there
    assert_equal "$(stat -c '%a' links)" 700
    run -0 stat -c '%A' links/*
    assert_output "prw-------
prw-------"
}

@test "the shell is the same process however it runs a command" {
    local shell how text
    for shell in bash dash zsh; do
        command -v "$shell" >/dev/null || continue
        for how in 'fifo-recv --from=$other' 'x=$(fifo-recv --from=$other); echo "$x"' \
            'x=$(true; fifo-recv --from=$other; true); echo "$x"' 'fifo-recv --from=$other | cat' \
            'true | fifo-recv --from=$other' '(true; fifo-recv --from=$other; true)' 'fifo-recv --from=$other & wait' \
            '{ fifo-recv --from=$other; true; } & wait' 'timeout 9 fifo-recv --from=$other' \
            'echo $other | xargs -I% fifo-recv --from=%' 'x=`fifo-recv --from=$other`; echo "$x"'; do
            rm -f self
            text="$shell: $how"
            meet "$shell" "$how"
            run -0 within fifo-send -t 5 --self=$$ --to="$them" "$text"
            ended_with 0 "$shell"
            assert_equal "$(cat "$shell.out")" "$text"
        done
    done
}

@test "without randomized addresses a shell is still another one than its parent" {
    local plain=(setarch -R)
    setarch -R true 2>/dev/null || plain=() # not to be had in some containers
    run -0 within "${plain[@]}" bash -c 'x=$$ bash -c "fifo-send -v -n --to=\$x y; :"; :'
    assert_output --partial "no receiver is there"
}

@test "-v says what was taken for self" {
    meet bash 'fifo-recv -v --from=$other'
    run -0 --separate-stderr within fifo-send -v -t 5 --self=$$ --to="$them" x
    assert_regex "$stderr" "'process $them': is bash; this is process $$, "
    ended_with 0 bash
    assert_regex "$(cat bash.err)" "'process $$': is .*; this is process $them, bash"
}

@test "FIFO_SELF says it too, and nobody can claim to be a process that it does not descend from" {
    meet bash 'fifo-recv --from=$other; sleep 60'
    run -0 env FIFO_SELF=$$ timeout 10 fifo-send -t 5 --to="$them" x
    start stranger sleep 60
    refused 2 'descends from' fifo-send -t 1 --self="$(cat stranger.pid)" --to="$them" x
    refused 2 'descends from' env FIFO_SELF="$(cat stranger.pid)" fifo-send -t 1 --to="$them" x
    refused 2 'FIFO_SELF.*no process id' env FIFO_SELF=abc fifo-send -t 1 --to="$them" x
}

@test "a third process talks over a link of its own" {
    meet bash 'fifo-recv -t 5 --from=$other'
    # It names them, but they do not name it.
    start third bash -c "fifo-send -t 300ms --to=$them intruder; echo \$?"
    ended_with 0 third
    assert_equal "$(cat third.out)" 124
    run -0 within fifo-send -t 5 --self=$$ --to="$them" friend
    ended_with 0 bash
    assert_equal "$(cat bash.out)" friend
}

@test "a process that is not there is 3 at once, and so is one that ends meanwhile" {
    refused 3 'no such process' fifo-send --to=4194304 x
    refused 3 'no such process' fifo-recv --from=4194304
    meet bash 'sleep 60'
    start sender fifo-send --self=$$ --to="$them" x
    start receiver fifo-recv --self=$$ --from="$them"
    start second fifo-send --self=$$ --to="$them" y # waits for its turn
    waits sender
    waits receiver
    waits second
    kill -KILL "$them"
    milliseconds ended_with 3 sender receiver second
    between 0 5000 "$took"
    one_line "'process $them': has ended" "$(cat sender.err)"
    one_line "'process $them': has ended" "$(cat receiver.err)"
}

@test "nothing is left when both are gone and anyone has used it; what is alive stays" {
    meet bash 'fifo-recv --from=$other'
    run -0 within fifo-send -t 5 --self=$$ --to="$them" x
    ended_with 0 bash
    rm self
    assert_equal "$(find links -type p | wc -l)" 1
    meet bash 'sleep 60'
    start living fifo-recv --self=$$ --from="$them"
    waits living
    assert_equal "$(find links -type p | wc -l)" 1
    start other bash -c "fifo-send -n --to=$them x; :"
    ended_with 0 other
    refused 1 '.' fifo-recv -n --self=$$ --from="$PPID"
    waits living
    kill "$them"
    ended_with 3 living
    # Who is left asks for the other once more.
    assert_equal "$(find links -name "*[:-]$them.*" | wc -l)" 1
    refused 3 'no such process' fifo-send -n --self=$$ --to="$them" x
    assert_equal "$(find links -name "*[:-]$them.*" | wc -l)" 0
}

@test "all that a mailbox can do, a link can" {
    meet bash 'fifo-recv -c 3 --from=$other; fifo-recv --from=$other tr a-z A-Z; fifo-recv --from=$other cat'
    printf 'one\ntwo\nthree\n' >lines
    run -0 within fifo-send -t 5 -l --self=$$ --to="$them" <lines
    run -0 within fifo-send -t 5 --receipt --self=$$ --to="$them" loud
    assert_regex "$output" "^[0-9]+ [0-9]+ bash "
    run -0 within fifo-send -t 5 -r --self=$$ --to="$them" ask
    assert_output ask
    ended_with 0 bash
    assert_equal "$(cat bash.out)" "one
two
three
LOUD"
}

@test "for COMMAND, self is the process that receives" {
    # shellcheck disable=SC2016
    meet bash 'fifo-recv --from=$other sh -c "fifo-send -t 5 --to=\$other back; echo \$?"'
    start sender fifo-send -t 5 --self=$$ --to="$them" there
    run -0 within fifo-recv -t 5 --self=$$ --from="$them"
    assert_output back
    ended_with 0 sender
    ended_with 0 bash
    assert_equal "$(cat bash.out)" 0
}

@test "a pid that is none, or not one to talk to" {
    local pid
    for pid in abc '' 0 -1 1.5 ' 1' 99999999999 +5 1x; do
        refused 2 'fifo-send: --to takes a process id' fifo-send --to="$pid" x
        refused 2 'fifo-recv: --from takes a process id' fifo-recv --from="$pid"
    done
    refused 2 'first process' fifo-send --to=1 x
    start other sleep 60
    pid=$(cat other.pid)
    refused 2 'first process' fifo-send --self=1 --to="$pid" x
    refused 2 'first process' fifo-recv --self=1 --from="$pid"
    refused 2 'this process itself' fifo-send --self=$$ --to=$$ x
    refused 2 '--self goes with --to' fifo-send --self=$$ box x
    refused 2 '--self goes with --from' fifo-recv --self=$$ box
    as_another_user
    "${NOBODY[@]}" sleep 60 3>&- &
    pid=$!
    wait_until bash -c "[ \"\$(stat -c %u /proc/$pid)\" = 65534 ]"
    refused 2 'belongs to another user' fifo-send --to=$pid x
    kill $pid
}

@test "a directory that is not ours alone is no place for links" {
    meet bash 'sleep 60'
    mkdir -m 750 open
    FIFO_DIR=$PWD/open refused 2 "'.*open': is open to other users.*chmod 700" fifo-send -n --to="$them" x
    echo x >file
    FIFO_DIR=$PWD/file refused 2 'is no directory' fifo-send -n --to="$them" x
    ln -s links link
    mkdir -m 700 links
    FIFO_DIR=$PWD/link refused 2 'is no directory' fifo-send -n --to="$them" x
    FIFO_DIR=$PWD/missing/links refused 2 'cannot make the directory' fifo-send -n --to="$them" x
    mkdir -m 700 theirs
    chown 65534 theirs 2>/dev/null || skip "only root can give a directory away"
    FIFO_DIR=$PWD/theirs refused 2 'belongs to another user' fifo-send -n --to="$them" x
    export XDG_RUNTIME_DIR=$PWD/runtime
    mkdir -m 700 runtime
    unset FIFO_DIR
    refused 1 'no receiver' fifo-send -n --to="$them" x
    [ -d runtime/fifo ]
}

@test "a process that has got the pid of a dead one is a stranger, and so is one of another pid namespace" {
    cat >reuse.bash <<'END'
mount --make-private /proc && mount -t proc proc /proc || exit
fifo-send -n --to="$1" x
echo "$?"
sleep 60 &
first=$!
fifo-send -qn --to=$first x
links=$(ls links)
kill $first
wait $first
sleep 0.05 # start times are told in hundredths of a second
echo $((first - 1)) >/proc/sys/kernel/ns_last_pid
sleep 60 &
fifo-send -qn --to=$! x
echo "$?"
[ $! = $first ] && [ "$(ls links | wc -l)" = 1 ] && [ "$(ls links)" != "$links" ] && echo "another link"
END
    # Not as the first process of all, with which there are no links.
    # shellcheck disable=SC2016
    run -0 --separate-stderr within unshare -m -p --fork --propagation unchanged bash -c 'bash reuse.bash "$0"; exit' $$
    assert_output "3
1
another link"
    one_line 'no such process' "$stderr"
}

@test "a subshell can be a process of its own" {
    # shellcheck disable=SC2016
    run -0 within bash -c '(fifo-recv -t 20 --self=$BASHPID --from=$$; true) & fifo-send -t 20 --to=$! hello; wait'
    assert_output hello
}

@test "that its link was removed is not said of the process" {
    start receiver fifo-recv --from=$$
    waits receiver
    rm "$FIFO_DIR"/*
    ended_with 3 receiver
    one_line "process $$': the link with it was removed" "$(<receiver.err)"
}

@test "a stream between two processes ends with one of them, and that is said" {
    meet bash 'fifo-recv -R --from=$other >got'
    STDIN=<(printf abc; exec sleep 60) start sender fifo-send -R --self=$$ --to="$them"
    wait_until test -s got
    kill -KILL "$them"
    ended_with 4 sender
    grep -q "process $them': has ended in the middle" sender.err
    start waiter sleep 60
    pid=$(cat waiter.pid)
    start receiver fifo-recv -R --self=$$ --from="$pid"
    waits receiver
    kill -KILL "$pid"
    ended_with 3 receiver
    grep -q "process $pid': has ended" receiver.err
}

@test "what lies in the directory and is no link stays there" {
    mkdir -m 700 links
    name="$(stat -Lc %i /proc/self/ns/pid):99999991.5-99999992.6"
    echo precious >"links/$name"
    refused 3 'no such process' fifo-send --to=99999993 x
    assert_equal "$(cat "links/$name")" precious
}

@test "a process goes on when its first thread has ended" {
    start other python3 -c '
import ctypes, subprocess, threading, time
def work():
    time.sleep(0.3)
    open("self", "w").write(str(__import__("os").getpid()))
    subprocess.run(["fifo-recv", "-t", "20", "--from='$$'"])
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)'
    wait_until test -s self
    grep -q '^State:.Z' "/proc/$(cat self)/status"
    run -0 within fifo-send -t 20 --self=$$ --to="$(cat self)" hello
    wait_until grep -q hello other.out
}

@test "the runtime directory of another user is none" {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    unset FIFO_DIR
    start other sleep 60
    mkdir -m 700 runtime
    chown 65534 runtime
    XDG_RUNTIME_DIR=$PWD/runtime refused 1 'no receiver' fifo-send -n --to="$(cat other.pid)" x
    [ ! -e runtime/fifo ]
    rmdir "/tmp/fifo-$(id -u)" 2>/dev/null || true
}
