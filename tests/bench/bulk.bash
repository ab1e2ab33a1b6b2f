# shellcheck shell=bash
# One large file through a FIFO: into /dev/null, and into a pipe to `wc -c`.

bulk_pair() { # SENDER and RECEIVER are arrays of words for drive
    rm -f count
    timed 1 "${SENDER[@]}" '&' "${RECEIVER[@]}" "${SINK[@]}" && bulk_counted
}

bulk_counted() {
    [ ! -e count ] || [ "$(<count)" = "$BULK" ] || { echo "$(<count) of $BULK bytes arrived" >&2 && return 1; }
}

bulk_ours() {
    local SENDER=(fifo-send -R box '<bulk') RECEIVER=(fifo-recv -R box)
    bulk_pair
}

bulk_cat() {
    local SENDER=(cat bulk '>box') RECEIVER=(cat box)
    bulk_pair
}

# bulk_filter COMMAND...: the same on both sides, from standard input to standard output.
bulk_filter() {
    local SENDER=("$@" '<bulk' '>box') RECEIVER=("$@" '<box')
    bulk_pair
}

bulk_contest() {
    contest "$1" MiB/s "bulk: a file of $((BULK >> 20)) MiB $2"
    entry ours fifo-send "$BULK" 'fifo-send -R, fifo-recv -R' bulk_ours
    entry cat cat "$BULK" 'cat, cat' bulk_cat
    entry dd dd "$BULK" 'dd bs=1M, dd bs=1M' bulk_filter dd bs=1M status=none
    entry pv pv "$BULK" 'pv -q, pv -q' bulk_filter pv -q
    entry socat socat "$BULK" 'socat -u -b 1048576, the same' bulk_filter socat -u -b 1048576 - -
    entry splice splice "$BULK" 'a plain loop of splice(2) on both sides' bulk_filter splice
    compete
}

bulk() {
    local free
    local -a SINK
    BULK=$(scaled $((2 << 30)))
    free=$(df --output=avail -B1 . | tail -n 1)
    while ((BULK > free / 2)); do
        BULK=$((BULK / 2))
        echo "not enough room in $SPACE: $((BULK >> 20)) MiB" >&2
    done
    head -c "$BULK" /dev/zero >bulk
    mkfifo box
    SINK=('>/dev/null')
    bulk_contest bulk-null 'to /dev/null'
    SINK=('|' wc -c '>count')
    bulk_contest bulk-wc 'into wc -c'
    rm bulk box
}
