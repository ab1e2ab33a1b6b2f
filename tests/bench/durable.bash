# shellcheck shell=bash
# A mailbox made with --sync, on a disk: how fast it stores, beside a bare program that writes as much, as often, and
# how many system calls put it on the disk.

# durable_ours PROGRAM...: stores into a mailbox that was just made; TIMES times.
durable_ours() {
    fresh "$ON_DISK/box" --sync && timed "$TIMES" "$@" && fifo-rm -f "$ON_DISK/box"
}

# durable_dd SIZE COUNT: as many writes of that size, each on disk before the next one.
durable_dd() {
    rm -f "$ON_DISK/bare"
    timed 1 dd if=/dev/zero of="$ON_DISK/bare" bs="$1" count="$2" oflag=dsync status=none
}

# syncs PROGRAM...: how many calls it made that wait for the disk; or nothing.
syncs() {
    rm -f calls
    available strace && fresh "$ON_DISK/box" --sync &&
        within strace -f -qq -e trace=fdatasync,fsync,sync,syncfs,sync_file_range -o calls "$@" >/dev/null 2>&1 &&
        grep -c 'sync[a-z_]*(' calls
}

# counted KEY QUANTITY LABEL PROGRAM...: its calls, by QUANTITY, as a result.
counted() {
    local calls
    entry "$1" strace "$2" "$3" false
    needs_disk "$1"
    if [ -z "${NOTE[$1]}" ]; then
        calls=$(syncs "${@:4}")
        VALUES[$1]=$calls
        [ -n "$calls" ] || NOTE[$1]='not measured'
    fi
    store "$1"
}

durable_calls() {
    local single=("$SEND" "$ON_DISK/box" m) i
    local -a together=()
    contest calls 'calls' 'buffered, --sync: calls of fdatasync(2)'
    counted single 1 'for a message alone' "${single[@]}"
    # shellcheck disable=SC2086 # as many operands
    counted batch 1 'for a batch of 100 messages' "$SEND" "$ON_DISK/box" $OPERANDS
    for i in {1..8}; do
        together+=("${single[@]}" '&')
    done
    unset 'together[-1]'
    counted together $((8 * SINGLE)) 'for a message, 8 senders at once' drive "$SINGLE" "${together[@]}"
    counted lines 1 "for $COUNT lines of 100 bytes by -l" bash -c 'exec fifo-send -l "$0" <sent' "$ON_DISK/box"
    BATCHES=${VALUES[lines]}
    # Otherwise an estimate: what is read at once.
    BATCHES=${BATCHES:-$((COUNT * 100 / (256 << 10) + 1))}
}

durable() {
    local COUNT SINGLE OPERANDS SEND BATCHES TIMES record=$((64 + 112))
    find_disk
    COUNT=$(scaled 200000) SINGLE=$(scaled 100) SEND=$(type -P fifo-send)
    OPERANDS=$(yes m | head -n 100 | tr '\n' ' ')
    lines 100 "$COUNT" >sent
    durable_calls

    # A record is its content, up to a multiple of 16 bytes, behind 64 bytes.
    contest durable-single us "buffered, --sync: one-shot store, $SINGLE in a row (disk: $DISK_NAME)"
    TIMES=$SINGLE
    entry ours fifo-send "$SINGLE" 'fifo-send box m' durable_ours "$SEND" "$ON_DISK/box" m
    entry dd dd "$SINGLE" 'dd oflag=dsync, the same writes by one process' durable_dd 80 "$SINGLE"
    entry floor empty "$SINGLE" 'an empty static program, which writes nothing' timed "$SINGLE" "$(type -P empty)"
    needs_disk ours
    needs_disk dd
    compete

    contest durable-lines msg/s "buffered, --sync: $COUNT messages of 100 bytes in $BATCHES batches"
    TIMES=1
    entry ours fifo-send "$COUNT" 'fifo-send -l' durable_ours fifo-send -l "$ON_DISK/box" '<sent'
    entry dd dd "$COUNT" "dd oflag=dsync, $BATCHES writes of as many bytes" \
        durable_dd $((COUNT * record / BATCHES)) "$BATCHES"
    needs_disk ours
    needs_disk dd
    compete
    rm -f sent calls
}
