# shellcheck shell=bash
# Many messages in one run, each a line. All of them go to a file, and are compared. Brokers get a queue for each
# contest, so that nothing is left there from one that failed.

lines_ours() {
    timed 1 fifo-send -l box '<sent' '&' fifo-recv -c "$COUNT" box '>out' && same sent out
}

lines_follow() {
    background out fifo-recv -f box
    timed 1 fifo-send -l box '<sent' && same sent out
    local status=$?
    end "$BACKGROUND"
    return $status
}

lines_cat() {
    timed 1 cat sent '>box' '&' cat box '>out' && same sent out
}

# lines_mosquitto FILE COUNT
lines_mosquitto() {
    timed 1 mosquitto_pub "${MOSQUITTO[@]}" -t "$SECTION" -l "<$1" \
        '&' mosquitto_sub "${MOSQUITTO[@]}" -t "$SECTION" -i "$SECTION" -c -C "$2" '>out' && same "$1" out
}

lines_redis() {
    timed 1 redis-cli "${REDIS[@]}" '<commands' '>/dev/null' \
        '&' redis-cli "${REDIS[@]}" -r "$FEWER" BRPOP "$SECTION" "$LIMIT" '>out' &&
        same fewer <(awk 'NR % 2 == 0' out)
}

lines_read() {
    timed 1 cat fewer '>box' \
        '&' bash -c 'while IFS= read -r line; do printf "%s\n" "$line"; done' '<box' '>out' && same fewer out
}

# The same without what a file costs: nobody keeps them, or another program counts them.
lines_null_ours() { timed 1 fifo-send -l box '<sent' '&' fifo-recv -c "$COUNT" box '>/dev/null'; }
lines_null_cat() { timed 1 cat sent '>box' '&' cat box '>/dev/null'; }
lines_pipe_ours() {
    timed 1 fifo-send -l box '<sent' '&' fifo-recv -c "$COUNT" box '|' wc -c '>out' && all_counted
}
lines_pipe_cat() { timed 1 cat sent '>box' '&' cat box '|' wc -c '>out' && all_counted; }

# all_counted: the file `out` says how many bytes were sent.
all_counted() {
    local bytes
    bytes=$(<out)
    [ "$bytes" = "$(stat -c %s sent)" ] || { echo "$bytes bytes arrived" >&2 && return 1; }
}

# beside_cat SECTION UNIT TITLE QUANTITY WHERE: the lines in `sent`, to a file, `null` or `pipe`.
beside_cat() {
    local -A place=([file]=file [null]=/dev/null [pipe]='wc -c') name=([file]=lines [null]=lines_null [pipe]=lines_pipe)
    contest "$1-$5" "$2" "$3, to ${place[$5]}"
    entry ours fifo-send "$4" 'fifo-send -l, fifo-recv -c' "${name[$5]}_ours"
    entry cat cat "$4" 'cat, cat (no messages)' "${name[$5]}_cat"
    compete
}

# lines_fewer COUNT: what slow entries send.
lines_fewer() {
    FEWER=$1
    head -n "$FEWER" sent >fewer
    sed "s/^/LPUSH $SECTION /" fewer >commands
}

# lines_contest SIZE COUNT FEWER
lines_contest() {
    COUNT=$(scaled "$2")
    lines "$1" "$COUNT" >sent
    contest "lines-$1" msg/s "lines: $COUNT messages of $1 bytes"
    lines_fewer "$(scaled "$3")"
    mosquitto_session "$SECTION"
    entry ours fifo-send "$COUNT" 'fifo-send -l, fifo-recv -c' lines_ours
    entry follow fifo-send "$COUNT" 'fifo-send -l, fifo-recv -f' lines_follow
    entry cat cat "$COUNT" 'cat, cat (no messages)' lines_cat
    entry mosquitto 'mosquitto mosquitto_pub mosquitto_sub' "$COUNT" 'mosquitto_pub -l, mosquitto_sub -C' \
        lines_mosquitto sent "$COUNT"
    entry redis 'redis-server redis-cli' "$FEWER" "redis-cli: LPUSH from stdin, BRPOP; $FEWER messages" lines_redis
    entry read bash "$FEWER" "cat, while read in bash; $FEWER messages" lines_read
    compete
}

# lines_elsewhere SIZE: what lines_contest() has just sent to a file.
lines_elsewhere() {
    local where
    for where in null pipe; do
        beside_cat "lines-$1" msg/s "lines: $COUNT messages of $1 bytes" "$COUNT" "$where"
    done
}

many_lines() {
    local where
    mkfifo box
    lines_contest 100 200000 10000
    lines_elsewhere 100
    lines_contest 2000 50000 1000
    lines_elsewhere 2000
    COUNT=$(scaled 3000000)
    lines 100 "$COUNT" >sent
    for where in file null pipe; do
        beside_cat many-100 msg/s "lines: $COUNT messages of 100 bytes" "$COUNT" "$where"
    done
    rm box sent fewer commands out
}
