# shellcheck shell=bash
# Buffered mailboxes, on a disk and on tmpfs: many messages stored, and taken; one message per start of the program; and
# what a message costs while others wait. Nothing is synced here: see durable.bash.

# --- many messages in one run ---

# stored_ours DIRECTORY, and taken_ours: only one of the two ways is timed.
stored_ours() {
    fresh "$1/box" && timed 1 fifo-send -l "$1/box" '<sent' && took "$1" >/dev/null
}
taken_ours() {
    fresh "$1/box" && fifo-send -l "$1/box" <sent && took "$1"
}
took() {
    timed 1 fifo-recv -c "$COUNT" "$1/box" '>out' && same sent out && emptied "$1/box"
}

# redis COMMAND...: what the bench itself has to ask.
redis() { timeout "$LIMIT" redis-cli "${REDIS[@]}" "$@" >redis.out; }
redis_holds() {
    redis LLEN "$SECTION" || return
    [ "$(<redis.out)" = "$1" ] || { echo "redis holds $(<redis.out), not $1" >&2 && return 1; }
}

stored_redis() {
    redis DEL "$SECTION" && timed 1 redis-cli "${REDIS[@]}" '<commands' '>/dev/null' && redis_holds "$FEWER"
}
stored_redis_pipe() {
    redis DEL "$SECTION" && timed 1 redis-cli "${REDIS[@]}" --pipe '<commands.all' '>/dev/null' && redis_holds "$COUNT"
}
taken_redis() {
    redis DEL "$SECTION" && redis <commands &&
        timed 1 redis-cli "${REDIS[@]}" '<commands.take' '>out' && same fewer out
}

stored_place() {
    entry "$1" fifo-send "$COUNT" "fifo-send -l, $3" stored_ours "$2"
    [ "$1" != ours ] || needs_disk ours
}
taken_place() {
    entry "$1" fifo-recv "$COUNT" "fifo-recv -c, $3" taken_ours "$2"
    [ "$1" != ours ] || needs_disk ours
}

stored() {
    COUNT=$(scaled 200000)
    lines 100 "$COUNT" >sent
    contest stored msg/s "buffered: $COUNT messages of 100 bytes stored (disk: $DISK_NAME)"
    lines_fewer "$(scaled 10000)"
    sed "s/^/LPUSH $SECTION /" sent >commands.all
    places stored_place
    entry redis 'redis-server redis-cli' "$FEWER" "redis-cli: LPUSH from stdin; $FEWER messages" stored_redis
    entry redis-pipe 'redis-server redis-cli' "$COUNT" 'redis-cli --pipe: LPUSH, answers not awaited' stored_redis_pipe
    compete
    contest taken msg/s "buffered: $COUNT messages of 100 bytes taken"
    lines_fewer "$FEWER"
    sed "s/.*/RPOP $SECTION/" fewer >commands.take
    places taken_place
    entry redis 'redis-server redis-cli' "$FEWER" "redis-cli: RPOP from stdin; $FEWER messages" taken_redis
    compete
    rm -f sent fewer commands commands.all commands.take out redis.out
}

# --- one message per start ---

# store_ours DIRECTORY
store_ours() {
    fresh "$1/box" && timed "$COUNT" "$SEND" "$1/box" m && drained "$1/box" "$COUNT" && emptied "$1/box"
}
store_redis() {
    redis DEL "$SECTION" && timed "$FEWER" "$(type -P redis-cli)" "${REDIS[@]}" LPUSH "$SECTION" m '>/dev/null' &&
        redis_holds "$FEWER"
}
store_nq() { timed "$FEWER" "$(type -P nq)" -q true && within nq -w >/dev/null; }
store_tsp() { timed "$FEWER" "$(type -P tsp)" -n true '>/dev/null' && within tsp -w && tsp -C; }
store_floor() { timed "$COUNT" "$EMPTY"; }

# drained MAILBOX COUNT: takes as many out of it.
drained() {
    timeout "$LIMIT" fifo-recv -c "$2" "$1" >out && holds "$2" out
}

store_place() {
    entry "$1" fifo-send "$COUNT" "fifo-send box m, $3" store_ours "$2"
    [ "$1" != ours ] || needs_disk ours
}

stored_one_by_one() {
    # More, shorter runs: the differences are small.
    local RUNS=$((RUNS * 4))
    COUNT=$(scaled 100) FEWER=$(scaled 10)
    SEND=$(type -P fifo-send) EMPTY=$(type -P empty)
    export NQDIR=$SPACE/nq TS_SOCKET=$SPACE/tsp
    # Its server stays until clean_up.
    ! available tsp || tsp -n true >/dev/null
    contest store us "buffered: one-shot store, $COUNT in a row"
    places store_place
    entry redis 'redis-server redis-cli' "$FEWER" "redis-cli LPUSH; $FEWER in a row" store_redis
    entry nq nq "$FEWER" "nq true, which it also starts; $FEWER in a row" store_nq
    entry tsp tsp "$FEWER" "tsp true, which it also starts; $FEWER in a row" store_tsp
    entry floor empty "$COUNT" 'the floor: an empty static program' store_floor
    compete
    rm -rf out redis.out nq
}

# --- while others wait ---

# Stores messages behind those that wait and takes as many of the oldest; prints how long both took together.

# waiting_batch MAILBOX: in one run of each command, so that their start does not count.
waiting_batch() {
    sum "$(timed 1 fifo-send -l "$1" '<sent')" "$(timed 1 fifo-recv -c "$COUNT" "$1" '>out')" && holds "$COUNT" out
}

# waiting_single MAILBOX: a start for each.
waiting_single() {
    : >out
    sum "$(timed "$FEWER" "$SEND" "$1" m)" "$(timed "$FEWER" "$RECV" "$1" '>>out')" && holds "$FEWER" out
}

# sum TIME TIME: nothing if one is missing.
sum() {
    [ -n "$1" ] && [ -n "$2" ] && echo $(($1 + $2))
}

# fill_place KEY DIRECTORY: the mailboxes, each with its messages.
fill_place() {
    local many
    [ -n "$2" ] || return 0
    for many in "${MANY[@]}"; do
        fresh "$2/waiting.$many" && lines 100 "$many" | timeout "$LIMIT" fifo-send -l "$2/waiting.$many"
    done
    # So that these are not written to the disk meanwhile.
    timeout "$LIMIT" sync "$2"/waiting.*/queue
}

waiting_place() {
    local many
    for many in "${MANY[@]}"; do
        entry "$1-$many" 'fifo-send fifo-recv' "$QUANTITY_OF" "$many messages waiting, $3" "$WORK" "$2/waiting.$many"
        [ "$1" != ours ] || needs_disk "$1-$many"
    done
}

# waiting_kept KEY DIRECTORY: what each mailbox holds must be as much as it was.
waiting_kept() {
    local many
    [ -n "$2" ] || return 0
    for many in "${MANY[@]}"; do
        if ! drained "$2/waiting.$many" "$many" || ! emptied "$2/waiting.$many"; then
            echo "waiting.$many $3: messages are missing, or too many" >&2
            FAILED=1
        fi
    done
}

stored_behind() {
    local -a MANY
    local QUANTITY_OF WORK RUNS=$((RUNS * 2))
    MANY=(10 "$(scaled 10000)" "$(scaled 1000000)")
    COUNT=$(scaled 200000) FEWER=$(scaled 50)
    SEND=$(type -P fifo-send) RECV=$(type -P fifo-recv)
    lines 100 "$COUNT" >sent
    places fill_place
    contest behind us "buffered: $COUNT messages stored behind others, as many taken, by -l and -c: time for each"
    QUANTITY_OF=$COUNT WORK=waiting_batch
    places waiting_place
    compete
    contest behind-single us "the same by a start for each store and each take, $FEWER of both: time for each"
    RUNS=$((RUNS / 2))
    QUANTITY_OF=$FEWER WORK=waiting_single
    places waiting_place
    compete
    places waiting_kept
    rm -f sent out
}

buffered() {
    find_disk
    stored
    stored_one_by_one
    stored_behind
}
