# shellcheck shell=bash
# Goal: with hundreds of processes, or messages, each still gets what is its own.
load ../helper

@test "two hundred at once, and one server: every reply reaches its own" {
    many box 1
}

@test "two hundred at once, and four servers at a buffered mailbox: every reply reaches its own" {
    many store 4
}

@test "a request that fails is tried once, whoever else waits for it" {
    local box pids n
    fifo-make box
    fifo-make -b unbounded store
    for box in box store; do
        pids=()
        for n in 1 2 3; do
            start "worker$n" bash -c 'while :; do fifo-recv -q "$1" sh -c "cat >>$1.$2; exit 7"; [ $? = 7 ] || exit 0; done' \
                - "$box" "$n"
        done
        for n in {1..50}; do
            fifo-send -q -r -t 30 "$box" "$n" 3>&- &
            pids+=($!)
        done
        for n in "${pids[@]}"; do
            status=0
            wait "$n" || status=$?
            [ "$status" = 4 ]
        done
        run -0 within fifo-rm -f "$box"
        ended_with 0 worker1 worker2 worker3
        sort -n "$box".[123] | cmp - <(seq 50)
    done
}

# many MAILBOX N: two hundred requests at once to N servers.
many() {
    local i pids=() servers=()
    [ "$1" = box ] && fifo-make box
    [ "$1" = store ] && fifo-make -b unbounded store
    for ((i = 0; i < $2; i++)); do
        serve "server.$i" "$1" 'sed "s/^/reply to /"'
        servers+=("server.$i")
    done
    for i in {1..200}; do
        fifo-send -r -t 60 "$1" "$i" >"got.$i" 3>&- &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i"
    done
    for i in {1..200}; do
        echo "reply to $i" | cmp - "got.$i"
    done
    nothing_left
    fifo-rm "$1"
    ended_with 3 "${servers[@]}"
}

@test "two hundred receivers are freed, though inotify has fewer instances for one user" {
    local herd=herd.$$
    fifo-make "$herd"
    for i in {1..200}; do
        timeout -s KILL 60 fifo-recv "$herd" 3>&- 2>"err.$i" &
    done
    # By a name that no other test uses: all of them have looked, armed and are asleep. What they would do next is
    # nothing.
    # shellcheck disable=SC2016
    wait_until bash -c '[ "$(pgrep -fc "^fifo-recv $0")" = 200 ]' "$herd"
    for pid in $(pgrep -f "^fifo-recv $herd"); do
        wait_until asleep "$pid"
    done
    sleep 0.3
    rm "$herd" # fifo-rm would wake them by opening it, too
    for i in {1..200}; do
        status=0
        wait -n || status=$?
        [ "$status" = 3 ] || {
            cat err.*
            false
        }
    done
}

@test "five receivers and a thousand messages: receipts and logs agree one to one" {
    local box n
    fifo-make box
    fifo-make -b 3 store
    for box in box store; do
        for n in 1 2 3 4 5; do
            start "r$n" fifo-recv -f --name="r$n" "$box"
        done
        seq 1000 >numbers
        within fifo-send -l --receipt "$box" <numbers >receipts
        fifo-rm "$box"
        ended_with 3 r1 r2 r3 r4 r5
        assert_equal "$(wc -l <receipts)" 1000
        paste -d ' ' numbers <(cut -d ' ' -f 3 receipts) | sort >told
        for n in 1 2 3 4 5; do
            sed "s/\$/ r$n/" "r$n.out"
        done | sort | cmp - told
    done
}
