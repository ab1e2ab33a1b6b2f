# shellcheck shell=bash
# Messages one by one, each answered before the next; and throughput by the size of the messages.

rendezvous_ours() {
    # shellcheck disable=SC2086 # as many operands
    timed 1 fifo-send box $OPERANDS '&' fifo-recv -c "$COUNT" box '>out' && holds "$COUNT" out
}

rendezvous_redis() {
    timed 1 redis-cli "${REDIS[@]}" '<commands' '>/dev/null' \
        '&' redis-cli "${REDIS[@]}" -r "$COUNT" BRPOP "$SECTION" "$LIMIT" '>out' && holds $((2 * COUNT)) out
}

rendezvous_bash() {
    timed 1 bash -c 'for ((i = 0; i < $0; i++)); do echo m; read -r answer; done' "$COUNT" '>there' '<back' \
        '&' bash -c 'exec 3>back; while read -r line; do echo "$line"; echo ok >&3; done' '<there' '>out' &&
        holds "$COUNT" out
}

rendezvous_floor() {
    timed 1 pingpong "$COUNT" there back '&' pingpong "$COUNT" there back serve
}

rendezvous() {
    COUNT=$(scaled 20000)
    OPERANDS=$(yes m | head -n "$COUNT" | tr '\n' ' ')
    yes 'LPUSH rendezvous m' | head -n "$COUNT" >commands
    mkfifo box there back
    contest rendezvous us "rendezvous: $COUNT messages, each answered before the next"
    entry ours fifo-send "$COUNT" 'fifo-send box m m m ..., fifo-recv -c' rendezvous_ours
    entry redis 'redis-server redis-cli' "$COUNT" 'redis-cli: LPUSH from stdin, BRPOP; the server answers' rendezvous_redis
    entry bash bash "$COUNT" 'echo and read in bash, over two FIFOs' rendezvous_bash
    entry floor pingpong "$COUNT" 'the floor: a byte there and back, over two FIFOs' rendezvous_floor
    compete
    rm -f box there back out commands
}

# Brokers are given less to do, and nothing above this size: their clients need seconds for each message.
BROKERS_MOST=$((4 << 20))

# messages_of SIZE MIB MOST: sets MESSAGES to how many of that size are so many MiB, but at least 2 and at most MOST.
messages_of() {
    MESSAGES=$(scaled $((($2 << 20) / $1)))
    MESSAGES=$((MESSAGES < 2 ? 2 : MESSAGES > $3 ? $3 : MESSAGES))
}

# size_contest SIZE
size_contest() {
    local name
    messages_of "$1" 128 20000
    COUNT=$MESSAGES
    lines "$1" "$COUNT" >sent
    name=$(numfmt --to=iec-i --format %.0f "$1")B
    contest "size-$1" MiB/s "size: $COUNT messages of $name"
    entry ours fifo-send $((COUNT * $1)) 'fifo-send -l, fifo-recv -c' lines_ours
    entry cat cat $((COUNT * $1)) 'cat, cat (no messages)' lines_cat
    if (($1 <= BROKERS_MOST)); then
        mosquitto_session "$SECTION"
        messages_of "$1" 64 20000
        head -n "$MESSAGES" sent >less
        entry mosquitto 'mosquitto mosquitto_pub mosquitto_sub' $((MESSAGES * $1)) \
            "mosquitto_pub -l, mosquitto_sub -C; $MESSAGES messages" lines_mosquitto less "$MESSAGES"
        messages_of "$1" 32 2000
        lines_fewer "$MESSAGES"
        entry redis 'redis-server redis-cli' $((FEWER * $1)) \
            "redis-cli: LPUSH from stdin, BRPOP; $FEWER messages" lines_redis
    fi
    compete
    (($1 < 16 << 10)) || beside_cat "sink-$1" MiB/s "size: $COUNT messages of $name" $((COUNT * $1)) null
}

sizes() {
    local size
    mkfifo box
    for size in 64 1024 4096 $((16 << 10)) $((64 << 10)) $((256 << 10)) $((1 << 20)) $((4 << 20)) $((16 << 20)) $((64 << 20)); do
        size_contest "$size"
    done
    rm -f box sent less fewer commands out
}
