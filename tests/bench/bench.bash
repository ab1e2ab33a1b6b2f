#!/bin/bash
# How fast the commands are, beside other programs that are installed: see README.md. `make bench` calls it.
#
# QUICK=1               makes the works small
# RUNS=N                how often each is done
# WORKS="WORK ..."      which of bulk, lines, oneshot, rendezvous, sizes, waiters, buffered, durable, workers and requests
# WITHOUT="PROGRAM ..." takes these peers for missing
# DISK=DIR              where buffered mailboxes are measured, beside tmpfs; else TMPDIR, /tmp or where the programs are
# LIMIT=SEC             how long a single run may take
# INTO=FILE             writes the results between the markers in a Markdown file, and draws the plot
# PLOT=FILE             where to, as SVG
#
# Status 0: everything ran, targets reached or not.
set -u
BENCH=$(cd "$(dirname "$0")" && pwd)
INTO=${INTO:+$(realpath "$INTO")}
DISK=${DISK:+$(realpath "$DISK")}
PLOT=$(realpath -m "${PLOT:-$BENCH/throughput.svg}")
# What is measured runs in the user's locale, as its tables are a part of what a start costs. The rest needs C.
if [ -n "${LC_ALL:-}" ]; then
    LOCALE=(env LC_ALL="$LC_ALL")
else
    LOCALE=(env -u LC_ALL)
fi
LOCALE_NAME=${LC_ALL:-${LC_CTYPE:-${LANG:-C}}}
export LC_ALL=C
for part in lib servers bulk lines oneshot sizes waiters places buffered durable workers requests report; do
    # shellcheck source-path=SCRIPTDIR disable=SC1090
    . "$BENCH/$part.bash"
done

PIDS=()
SPACE=$(mktemp -d /dev/shm/fifo-bench.XXXXXXXX) || exit 2
clean_up() {
    local pid
    for pid in "${PIDS[@]}"; do
        end "$pid"
    done
    [ ! -S "$SPACE/tsp" ] || TS_SOCKET=$SPACE/tsp timeout 5 tsp -K
    rm -rf "$SPACE" ${ON_DISK:+"$ON_DISK"}
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd "$SPACE" || exit 2
RESULTS=$SPACE/results

start_mosquitto
start_redis
for work in ${WORKS:-bulk lines oneshot rendezvous sizes waiters buffered durable workers requests}; do
    case $work in
        lines) many_lines ;;
        bulk | oneshot | rendezvous | sizes | waiters | buffered | durable | workers | requests) "$work" ;;
        *) echo "no such work: $work" >&2 && exit 2 ;;
    esac
done

machine
echo
table text
echo
targets
if [ -n "$INTO" ]; then
    plot "$PLOT" || FAILED=1
    write_into "$INTO" || FAILED=1
fi
exit "$FAILED"
