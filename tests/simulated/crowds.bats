# shellcheck shell=bash
# Goal: with hundreds of requests at once every reply reaches its own.
load ../helper

@test "two hundred at once, and one server: every reply reaches its own" {
    many box 1
}

@test "two hundred at once, and four servers at a buffered mailbox: every reply reaches its own" {
    many store 4
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
