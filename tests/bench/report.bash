# shellcheck shell=bash
# What came out: the machine, the table, the targets; and the same for the README.

# version_of PROGRAM
version_of() {
    case $1 in
        mosquitto) timeout 5 mosquitto -h | sed -n '1s/.* //p' ;;
        redis-server) timeout 5 redis-cli --version | sed 's/.* //' ;;
        socat) timeout 5 socat -V | sed -n 's/^socat version \([^ ]*\).*/\1/p' ;;
        nq) timeout 5 dpkg-query -W -f '${Version}' nq 2>/dev/null || echo '(version unknown)' ;;
        tsp) timeout 5 tsp -V | sed -n '1s/.* v\([0-9.]*\).*/\1/p' ;;
        nanocat) timeout 5 dpkg-query -W -f '${Version}' nanomsg-utils 2>/dev/null || echo '(version unknown)' ;;
        *) timeout 5 "$1" --version | sed -n '1s/^[^0-9]*\([0-9][^ ,(]*\).*/\1/p' ;;
    esac
}

machine() {
    local program versions=
    for program in cat pv socat mosquitto redis-server nanocat nq tsp bash; do
        if available "$program"; then
            versions+=", $program $(version_of "$program" 2>/dev/null)"
        else
            versions+=", no $program"
        fi
    done
    printf '%s, %s cores, %s memory, Linux %s, %s, locale %s; %s%s; %s runs of each%s\n' \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
        "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)" "$(uname -r)" \
        "$(date -u +%Y-%m-%d)" "$LOCALE_NAME" "$(fifo-send --version)" "$versions" "$RUNS" \
        "${QUICK:+; QUICK: the works are a twentieth}"
}

table() { awk -v style="$1" -f "$BENCH/median.awk" -f "$BENCH/report.awk" "$RESULTS"; }

# ratio SECTION A B: the cost of A by the cost of B.
ratio() {
    awk -v a="$(cost "$1" "$2")" -v b="$(cost "$1" "$3")" 'BEGIN { if (a != "" && b != "") printf "%.3g", a / b }'
}

# rate SECTION KEY: units in a second.
rate() { awk -v cost="$(cost "$1" "$2")" 'BEGIN { if (cost != "") printf "%.0f", 1e9 / cost }'; }

# spread SECTION PREFIX: the greatest cost of the entries whose keys begin with PREFIX, by the least.
spread() {
    local section key
    while IFS=$'\t' read -r section _ _ key _; do
        [[ $section != "$1" || $key != "$2"* ]] || cost "$section" "$key"
    done <"$RESULTS" | awk '
        NR == 1 { least = most = $1 }
        { least = $1 < least ? $1 : least; most = $1 > most ? $1 : most }
        END { if (NR > 1) printf "%.3g", most / least }
    '
}

# speedup COUNT: the speed of as many workers, by COUNT times that of one.
speedup() {
    awk -v ratio="$(ratio workers 1 "$1")" -v count="$1" 'BEGIN { if (ratio != "") printf "%.3g", ratio / count }'
}

# target TEXT RELATION NUMBER MEASURED
target() {
    local met='not reached'
    if [ -z "$4" ]; then
        echo "target $1 $2 $3: not measured"
        return
    fi
    ! awk "BEGIN { exit !($4 $2 $3) }" || met=reached
    echo "target $1 $2 $3: $met: $4"
}

targets() {
    target 'bulk to /dev/null: speed, by that of cat' '>=' 10 "$(ratio bulk-null cat ours)"
    target 'bulk to /dev/null: speed, by that of the splice loop' '>=' 0.9 "$(ratio bulk-null splice ours)"
    target 'lines of 100 bytes, -l to -f: rate, by that of mosquitto' '>=' 20 "$(ratio lines-100 mosquitto follow)"
    target 'lines of 100 bytes, -l to -f: rate, by that of cat' '>=' 0.8 "$(ratio lines-100 cat follow)"
    target 'lines of 2000 bytes, -l to -f: rate, by that of cat' '>=' 0.8 "$(ratio lines-2000 cat follow)"
    targets_lines
    targets_sizes
    target 'one-shot pair: time, by that of echo and head' '<=' 0.75 "$(ratio oneshot ours echo)"
    target 'one-shot pair: time, by that of the two with LC_ALL=C' '<=' 0.75 "$(ratio oneshot ours echo-c)"
    target 'one-shot send: time, by that of the empty program' '<=' 1.3 "$(ratio send ours floor)"
    target 'private dirty memory of a waiting sender, KiB' '<' 1024 "$(cost memory senders-1)"
    target 'private dirty memory of a waiting receiver, KiB' '<' 1024 "$(cost memory receivers-1)"
    targets_buffered
    target 'one-shot request and reply: time, by that of redis-cli' '<=' 0.6 "$(ratio request-once ours redis)"
    target 'requests and replies in a row: time, by that of redis-cli' '<=' 0.6 "$(ratio request ours redis)"
}

targets_lines() {
    local size where
    for where in null pipe; do
        for size in 100 2000; do
            target "lines of $size bytes, to ${where/null//dev/null}: rate, by that of cat" '>=' 0.8 \
                "$(ratio "lines-$size-$where" cat ours)"
        done
    done
    for where in file null pipe; do
        target "3 million lines of 100 bytes, to ${where/null//dev/null}: rate, by that of cat" '>=' 0.8 \
            "$(ratio "many-100-$where" cat ours)"
    done
}

targets_sizes() {
    local size
    for size in 4 64 1024; do
        target "one-shot pair, a message of $size KiB: speed, by that of cat" '>=' 1.1 \
            "$(ratio "oneshot-$((size << 10))" cat ours)"
    done
    for size in 16 64 256; do
        target "messages of $size KiB, to /dev/null: rate, by that of cat" '>=' 0.9 \
            "$(ratio "sink-$((size << 10))-null" cat ours)"
        target "messages of $size KiB: rate, by that of cat" '>=' 0.9 "$(ratio "size-$((size << 10))" cat ours)"
        target "messages of $size KiB: rate, by that of mosquitto" '>=' 3 "$(ratio "size-$((size << 10))" mosquitto ours)"
    done
    for size in 1 4 16 64; do
        target "messages of $size MiB, to /dev/null: rate, by that of cat" '>=' 0.7 \
            "$(ratio "sink-$((size << 20))-null" cat ours)"
        target "messages of $size MiB: rate, by that of cat" '>=' 0.7 "$(ratio "size-$((size << 20))" cat ours)"
    done
    target 'rendezvous: time, by that of a byte there and back' '<=' 1.3 "$(ratio rendezvous ours floor)"
    target '1000 waiting senders: time for each, by that with 100' '<=' 1.5 "$(ratio senders 1000 100)"
    target '1000 waiting receivers: time for each, by that with 100' '<=' 1.5 "$(ratio receivers 1000 100)"
}

targets_buffered() {
    local name key many
    for name in disk tmpfs; do
        key=${name/disk/ours}
        target "stored in a mailbox on $name, messages of 100 bytes in a second" '>=' 300000 "$(rate stored "$key")"
        target "taken from a mailbox on $name, messages of 100 bytes in a second" '>=' 300000 "$(rate taken "$key")"
        target "stored on $name: rate, by that of redis-cli" '>=' 20 "$(ratio stored redis "$key")"
        target "one-shot store on $name: time, by that of the empty program" '<=' 1.1 "$(ratio store "$key" floor)"
        target "one-shot store on $name: speed, by that of redis-cli" '>=' 3 "$(ratio store redis "$key")"
        target "behind many messages on $name: time, most by least" '<=' 1.3 "$(spread behind "$key")"
        target "behind many on $name, a start for each: time, most by least" '<=' 1.3 \
            "$(spread behind-single "$key")"
    done
    target '--sync: calls of fdatasync for a message alone' '==' 1 "$(cost calls single)"
    target '--sync: calls of fdatasync for a batch' '==' 1 "$(cost calls batch)"
    for many in 2 4 8; do
        target "$many workers: speed, by $many times that of one" '>=' 0.9 "$(speedup "$many")"
        target "$many workers: speed, by that of xargs -P $many" '>=' 0.9 "$(ratio workers "xargs-$many" "$many")"
    done
}

# plot FILE: throughput by size, as SVG; sets PLOTTED.
PLOTTED=
plot() {
    local key size value
    # Nothing to plot with some of the WORKS.
    grep -q '^size-' "$RESULTS" || return 0
    if ! available gnuplot; then
        echo 'no gnuplot: no plot' >&2
        return
    fi
    for key in ours cat mosquitto redis; do
        while read -r size; do
            value=$(cost "size-$size" "$key")
            [ -z "$value" ] || awk -v size="$size" -v cost="$value" 'BEGIN { print size, 1e9 / cost }'
        done < <(sed -n 's/^size-\([0-9]*\)\t.*/\1/p' "$RESULTS" | sort -nu) >"$key.dat"
    done
    timeout 30 gnuplot -e "output = '$1'" "$BENCH/throughput.gp" && PLOTTED=1
}

# markdown FILE: all of it, as it goes into FILE.
markdown() {
    machine
    printf '\nThe ratio is to ours; above 1, ours is faster.\n\n'
    table markdown
    echo
    awk -f "$BENCH/median.awk" -f "$BENCH/sizes.awk" "$RESULTS"
    if [ -n "$PLOTTED" ]; then
        printf '\n![Throughput by size of the messages](%s)\n' "$(realpath --relative-to "$(dirname "$1")" "$PLOT")"
    fi
    printf '\n```text\n'
    targets
    echo '```'
}

# write_into FILE: between its markers.
write_into() {
    markdown "$1" >report.md
    awk '
        /^<!-- bench: begin -->$/ && !begun {
            begun = hidden = 1
            print $0 "\n"
            while ((getline line <"report.md") > 0)
                print line
            print ""
        }
        /^<!-- bench: end -->$/ && hidden { ended = 1; hidden = 0 }
        !hidden
        END { exit !ended }
    ' "$1" >written || { echo "$1: no lines <!-- bench: begin --> and <!-- bench: end -->" >&2 && return 1; }
    cat written >"$1"
}
