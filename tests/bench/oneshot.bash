# shellcheck shell=bash
# One message per start of the programs: what a script pays that sends now and then.

# pair PROGRAM... & PROGRAM...: COUNT times; each time a line has to come out. LINES_PER is how many, if not one.
pair() {
    : >out
    timed "$COUNT" "$@" '>>out' && holds $((COUNT * ${LINES_PER:-1})) out
}

pair_ours() { pair "$SEND" box m '&' "$RECV" box; }
pair_echo() { pair /bin/echo m '>box' '&' "$HEAD" -n1 '<box'; }
pair_echo_c() {
    local -a LOCALE=(env LC_ALL=C)
    pair_echo
}
pair_redis() {
    COUNT=$FEWER LINES_PER=2 pair redis-cli "${REDIS[@]}" LPUSH queue m '>/dev/null' '&' redis-cli "${REDIS[@]}" BRPOP queue "$LIMIT"
}
pair_floor() { LINES_PER=0 pair "$EMPTY" '&' "$EMPTY"; }

# in_bash TEXT LINES: TEXT in a loop of bash.
in_bash() {
    # shellcheck disable=SC2016
    timed 1 bash -c "for ((i = 0; i < $FEWER; i++)); do $1; done" '>out' && holds "$2" out
}
in_bash_ours() { in_bash 'fifo-send box m & fifo-recv box; wait' "$FEWER"; }
in_bash_echo() { in_bash '/bin/echo m >box & head -n1 <box; wait' "$FEWER"; }
in_bash_floor() { in_bash 'empty & empty; wait' 0; }

# single COUNT RECEIVED LINES PROGRAM...: COUNT times, after which as many times LINES have come out of the receiver.
single() {
    local before
    before=$(wc -l <"$2")
    timed "$1" "${@:4}" && wait_until holds $((before + $1 * $3)) "$2"
}
single_ours() { single "$COUNT" got.ours 1 "$SEND" waited m; }
single_mosquitto() { single "$FEWER" got.mosquitto 1 mosquitto_pub "${MOSQUITTO[@]}" -t waited -m m; }
single_redis() { single "$FEWER" got.redis 2 redis-cli "${REDIS[@]}" LPUSH waited m '>/dev/null'; }
single_nanocat() { single "$FEWER" got.nanocat 1 nanocat --req --connect-ipc "$SPACE/nanocat" --data m --ascii '>/dev/null'; }
single_floor() { timed "$COUNT" "$EMPTY"; }

# receiver PROGRAM OUT COMMAND...: in the background, if the program is there.
receiver() {
    available "$1" || return 0
    background "$2" "${@:3}"
    receivers+=("$BACKGROUND")
}

oneshot_pairs() {
    contest oneshot us "one-shot pair: both sides started for one message, $COUNT in a row"
    entry ours fifo-send "$COUNT" 'fifo-send box m & fifo-recv box' pair_ours
    entry echo head "$COUNT" '/bin/echo m >box & head -n1 <box' pair_echo
    entry echo-c head "$COUNT" 'the same with LC_ALL=C' pair_echo_c
    entry redis 'redis-server redis-cli' "$FEWER" "redis-cli LPUSH & redis-cli BRPOP; $FEWER in a row" pair_redis
    entry floor empty "$COUNT" 'the floor: two empty static programs' pair_floor
    compete

    contest oneshot-bash us "one-shot pair in a loop of bash, $FEWER in a row"
    entry ours fifo-send "$FEWER" 'fifo-send box m & fifo-recv box; wait' in_bash_ours
    entry echo head "$FEWER" '/bin/echo m >box & head -n1 <box; wait' in_bash_echo
    entry floor empty "$FEWER" 'the floor: two empty static programs' in_bash_floor
    compete
}

size_ours() { timed "$COUNT" "$SEND" box '<sent' '&' "$RECV" box '>out' && same sent out; }
size_cat() { timed "$COUNT" "$CAT" sent '>box' '&' "$CAT" '<box' '>out' && same sent out; }

# Larger messages, from one file to another.
oneshot_sizes() {
    local size
    for size in 4096 65536 1048576; do
        head -c "$size" /dev/urandom >sent
        contest "oneshot-$size" us "one-shot pair: a message of $((size >> 10)) KiB, $COUNT in a row"
        entry ours fifo-send "$COUNT" 'fifo-send box <file & fifo-recv box >copy' size_ours
        entry cat cat "$COUNT" 'cat file >box & cat <box >copy' size_cat
        compete
    done
    rm -f sent out
}

oneshot_sends() {
    local -a receivers=()
    local pid
    receiver fifo-recv got.ours fifo-recv -f waited
    receiver mosquitto_sub got.mosquitto mosquitto_sub "${MOSQUITTO[@]}" -t waited -i waited -c
    receiver redis-cli got.redis redis-cli "${REDIS[@]}" -r -1 BRPOP waited 0
    receiver nanocat got.nanocat nanocat --rep --bind-ipc "$SPACE/nanocat" --data ok --ascii
    contest send us "one-shot send to a receiver that waits, $COUNT in a row"
    entry ours fifo-send "$COUNT" 'fifo-send box m, fifo-recv -f' single_ours
    entry mosquitto 'mosquitto mosquitto_pub mosquitto_sub' "$FEWER" "mosquitto_pub, mosquitto_sub; $FEWER in a row" single_mosquitto
    entry redis 'redis-server redis-cli' "$FEWER" "redis-cli LPUSH, redis-cli BRPOP; $FEWER in a row" single_redis
    entry nanocat nanocat "$FEWER" "nanocat --req, nanocat --rep over ipc; $FEWER in a row" single_nanocat
    entry floor empty "$COUNT" 'the floor: an empty static program' single_floor
    compete
    for pid in "${receivers[@]}"; do
        end "$pid"
    done
}

oneshot() {
    COUNT=$(scaled 300) FEWER=$(scaled 100)
    # Found once, not again at every start.
    SEND=$(type -P fifo-send) RECV=$(type -P fifo-recv) HEAD=$(type -P head) EMPTY=$(type -P empty) CAT=$(type -P cat)
    mkfifo box waited
    oneshot_pairs
    oneshot_sizes
    oneshot_sends
    rm box waited
}
