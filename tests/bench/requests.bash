# shellcheck shell=bash
# A request and its reply. The server starts a program for each, here cat: the reply is the request.

# What a server takes of the processor, with the programs that it started and waited for: nanoseconds so far.
server_time() {
    local stat tick
    read -r stat <"/proc/$1/stat"
    read -r -a stat <<<"${stat##*) }"
    tick=$(getconf CLK_TCK)
    echo $(((stat[11] + stat[12] + stat[13] + stat[14]) * (1000000000 / tick)))
}

# answered COUNT PROGRAM...: COUNT times; each time a line has to come out. LINES_PER is how many, if not one.
answered() {
    : >out
    timed "$@" '>>out' && holds $(($1 * ${LINES_PER:-1})) out
}

ask_once_ours() { answered "$COUNT" fifo-recv box cat '&' fifo-send -r box m; }
ask_once_redis() {
    LINES_PER=4 answered "$COUNT" sh -c "redis-cli ${REDIS[*]} BRPOP asked $LIMIT >/dev/null; redis-cli ${REDIS[*]} LPUSH told m" \
        '>>out' '&' sh -c "redis-cli ${REDIS[*]} LPUSH asked m; redis-cli ${REDIS[*]} BRPOP told $LIMIT"
}

ask_ours() { answered "$COUNT" fifo-send -r served m; }
ask_ours_list() { timed 1 fifo-send -r -l served '<asked' '>out' && same asked out; }
ask_nc() { answered "$FEWER" sh -c "echo m | nc -NU $SPACE/socket"; }
ask_redis() {
    LINES_PER=3 answered "$FEWER" sh -c "redis-cli ${REDIS[*]} LPUSH asked.more m; redis-cli ${REDIS[*]} BRPOP told.more $LIMIT"
}
ask_share() {
    local before
    before=$(server_time "$SERVER")
    answered "$COUNT" fifo-send -r served m >/dev/null && echo $(($(server_time "$SERVER") - before))
}

# serve PROGRAMS OUT COMMAND...: in the background, if the programs are there.
serve() {
    local program
    for program in $1; do
        available "$program" || return 0
    done
    background "$2" "${@:3}"
    servers+=("$BACKGROUND")
}

requests() {
    local servers=() pid
    COUNT=$(scaled 100)
    fifo-make box served
    contest request-once us "request and reply, one-shot: client and server started for each, $COUNT in a row"
    entry ours fifo-send "$COUNT" 'fifo-send -r box m & fifo-recv box cat' ask_once_ours
    entry redis 'redis-server redis-cli' "$COUNT" 'redis-cli LPUSH, BRPOP & redis-cli BRPOP, LPUSH' ask_once_redis
    compete

    COUNT=$(scaled 1000) FEWER=$(scaled 200)
    yes m | head -n "$COUNT" >asked
    fifo-recv -f served cat &
    SERVER=$!
    PIDS+=("$SERVER")
    serve 'nc socat' none socat "UNIX-LISTEN:$SPACE/socket,fork" EXEC:cat
    # shellcheck disable=SC2016
    serve 'redis-server redis-cli' none bash -c 'while redis-cli "$@" BRPOP asked.more 0 >/dev/null; do
        redis-cli "$@" LPUSH told.more m >/dev/null; done' bash "${REDIS[@]}"
    contest request us "requests and replies: $COUNT in a row to one server, which starts cat for each"
    entry ours fifo-send "$COUNT" 'fifo-send -r box m; fifo-recv -f box cat' ask_ours
    entry list fifo-send "$COUNT" 'fifo-send -r -l box, once; fifo-recv -f box cat' ask_ours_list
    entry share fifo-send "$COUNT" 'of the first: processor time of the server and its COMMANDs' ask_share
    entry nc 'nc socat' "$FEWER" "nc -U; socat UNIX-LISTEN,fork EXEC:cat; $FEWER in a row" ask_nc
    entry redis 'redis-server redis-cli' "$FEWER" "redis-cli LPUSH, BRPOP; redis-cli BRPOP, LPUSH in a loop of bash; $FEWER" \
        ask_redis
    compete
    for pid in "$SERVER" "${servers[@]}"; do
        end "$pid"
    done
    fifo-rm box served
    rm -f asked socket
}
