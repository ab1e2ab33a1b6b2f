# shellcheck shell=bash
# The brokers that some peers need: the bench's own, on ports and paths of its own.

MOSQUITTO=() # options for mosquitto_pub and mosquitto_sub
REDIS=()     # options for redis-cli

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_mosquitto() {
    local port attempt
    if ! available mosquitto || ! available mosquitto_pub || ! available mosquitto_sub; then
        return 0
    fi
    for attempt in {1..10}; do
        port=$((20000 + RANDOM % 30000))
        ! listens "$port" || continue
        cat >mosquitto.conf <<CONF
listener $port 127.0.0.1
allow_anonymous true
user $(id -un)
log_dest none
persistence false
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
queue_qos0_messages true
set_tcp_nodelay true
CONF
        background /dev/null mosquitto -c "$SPACE/mosquitto.conf" && wait_until listens "$port" &&
            kill -0 "$BACKGROUND" 2>/dev/null && break
    done
    MOSQUITTO=(-h 127.0.0.1 -p "$port")
    mosquitto_session waited
}

# mosquitto_session NAME: for a topic of that name, if there is a broker. What is published from now on is kept until its subscriber comes.
mosquitto_session() {
    ((${#MOSQUITTO[@]} == 0)) || timeout 10 mosquitto_sub "${MOSQUITTO[@]}" -t "$1" -i "$1" -c -q 1 -E
}

start_redis() {
    available redis-server && available redis-cli || return 0
    REDIS=(-s "$SPACE/redis")
    background /dev/null redis-server --port 0 --unixsocket "$SPACE/redis" --save '' --appendonly no --daemonize no
    wait_until timeout 5 redis-cli "${REDIS[@]}" ping >/dev/null 2>&1
}
