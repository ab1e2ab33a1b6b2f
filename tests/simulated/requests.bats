# shellcheck shell=bash
# Goal: whichever side of a request is killed with SIGKILL, at whatever system call, the other one learns of it, no
# reply is torn or goes astray, and nothing is left.
load ../helper

# shellcheck disable=SC2016
COMMAND=(sh -c 'read -r what; echo "$what" >>log; echo "reply to $what"')

# calls_of TRACE: its system calls, as NAME:NUMBER, without those of the dynamic loader.
calls_of() {
    awk -F'(' '/^[a-z0-9_]+\(/ { print $1 ":" ++count[$1] }' "$1" |
        grep -vE '^(execve|brk|mmap|mprotect|arch_prctl|set_tid_address|set_robust_list|rseq|prlimit64|getrandom):'
}

# killed_at CALL NAME COMMAND...: starts it, to be killed as it enters that system call.
killed_at() {
    local call=$1 name=$2
    shift 2
    start "$name" strace -o victim.trace -e inject="${call%:*}:signal=KILL:when=${call#*:}" "$@"
}

# What is there beside the mailbox, and in it, but for what the test writes itself.
leftovers() {
    find . -mindepth 1 ! -name box ! -name log ! -name calls ! -path './*.*' \
        ! -path './box/*' -o -path './box/*' ! -name .state ! -name queue ! -name ready ! -name space
    find . -maxdepth 1 -name '.?*'
}

# at_each_call FUNCTION: for a FIFO and a buffered mailbox, in a directory of its own each, and both at once. FUNCTION
# finds in the file calls where it shall kill.
at_each_call() {
    local jobs=() job kind
    for kind in rendezvous unbounded; do
        mkdir "$kind"
        (
            cd "$kind" || exit
            case $kind in
                rendezvous) fifo-make box ;;
                *) fifo-make -b "$kind" box ;;
            esac
            "$1"
        ) 3>&- &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job"
    done
}

a_server_is_killed() {
    local call status hit=0
    start asker fifo-send -r box x
    waits asker
    strace -o all.trace fifo-recv box "${COMMAND[@]}"
    ended_with 0 asker
    calls_of all.trace >calls
    while read -r call <&9; do
        : >log
        start asker fifo-send -r -t 50 box x
        waits asker
        killed_at "$call" victim fifo-recv box "${COMMAND[@]}"
        status_of victim >/dev/null
        # Was it in hand, that is known at once. Otherwise somebody else takes it.
        wait_until eval '[ -s asker.status ] || asleep "$(<asker.pid)"'
        start next fifo-recv box "${COMMAND[@]}"
        status=$(status_of asker)
        kill "$(<next.pid)" 2>/dev/null || true
        status_of next >/dev/null
        echo "$call: victim $(<victim.status), asker $status, next $(<next.status), done $(wc -l <log), $(cat asker.err)"
        [ "$(<victim.status)" != 137 ] || hit=$((hit + 1))
        case $status in
            0) assert_equal "$(cat asker.out)" 'reply to x' ;;
            4) [ "$(<next.status)" = 143 ] && grep -qxE '(reply to x)?' <<<"$(cat asker.out)" ;;
            *) false ;;
        esac
        run -1 within fifo-recv -q -n box
        assert_output ''
        assert_equal "$(leftovers)" ''
    done 9<calls
    echo "killed $hit times"
    ((hit > 50))
}

@test "a server killed at any of its system calls: a whole reply or 4, and nothing is left" {
    at_each_call a_server_is_killed
}

an_asker_is_killed() {
    local call hit=0
    start server fifo-recv -f box "${COMMAND[@]}"
    strace -o all.trace fifo-send -r box x
    calls_of all.trace >calls
    while read -r call <&9; do
        : >log
        killed_at "$call" victim fifo-send -r -t 50 box x
        status_of victim >/dev/null
        run -0 --separate-stderr within fifo-send -r -t 50 box y
        echo "$call: victim $(<victim.status), done $(tr '\n' ' ' <log), server says $(cat server.err)"
        assert_output 'reply to y'
        [ "$(<victim.status)" != 137 ] || hit=$((hit + 1))
        grep -qxE '(reply to x)?' <<<"$(cat victim.out)"
        (($(grep -cx x log) <= 1 && $(grep -cx y log) == 1))
        assert_equal "$(leftovers)" ''
    done 9<calls
    echo "killed $hit times"
    ((hit > 80))
    kill "$(<server.pid)"
    ended_with 143 server
}

@test "a sender of a request killed at any of its system calls: the next one gets its own reply, and nothing is left" {
    at_each_call an_asker_is_killed
}
