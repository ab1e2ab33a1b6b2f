# shellcheck shell=bash
# Timing, contests and the store of results. A *contest* is a work that several *entries* do; the one with the key `ours`
# is what the others are compared to. An entry's function does the work once and prints how many nanoseconds it took.

[ -z "${QUICK:-}" ] || RUNS=${RUNS:-2}
RUNS=${RUNS:-5}
# The longest that a single run may take, in seconds.
LIMIT=${LIMIT:-90}
FAILED=0

# scaled NUMBER: as it is, or a small part of it with QUICK=1.
scaled() {
    if [ -n "${QUICK:-}" ]; then
        echo $(($1 > 20 ? $1 / 20 : 1))
    else
        echo "$1"
    fi
}

# within COMMAND...: under the limit. What `drive` and `herd` have started dies with them.
within() {
    local status=0
    timeout --foreground -k 1 "$LIMIT" "$@" </dev/null || status=$?
    [ "$status" != 124 ] || echo "not done after $LIMIT s" >&2
    return "$status"
}

# timed COUNT PROGRAM...: see drive.c. Its output is an entry's output.
timed() {
    within "${LOCALE[@]}" drive "$@"
}

# contest SECTION UNIT TITLE
contest() {
    SECTION=$1 UNIT=$2 TITLE=$3
    ENTRIES=()
    declare -gA LABEL=() QUANTITY=() WORK_OF=() NOTE=() VALUES=()
}

# entry KEY NEEDS QUANTITY LABEL FUNCTION [ARGUMENT...]: QUANTITY is how many units of the work are done in one run, NEEDS
# the programs that have to be there.
entry() {
    local key=$1 program
    ENTRIES+=("$key")
    QUANTITY[$key]=$3
    LABEL[$key]=$4
    VALUES[$key]=
    NOTE[$key]=
    for program in $2; do
        available "$program" || NOTE[$key]="missing: $program"
    done
    WORK_OF[$key]=${*:5}
}

# available PROGRAM: installed, and not hidden by WITHOUT="PROGRAM...".
available() {
    [[ " ${WITHOUT:-} " != *" $1 "* ]] && type -P "$1" >/dev/null
}

# Entries take turns, each time with another one first, so that what else the machine does hits all of them alike.
compete() {
    local run turn key
    printf '%s: ' "$TITLE" >&2
    for ((run = 0; run < RUNS; run++)); do
        for ((turn = 0; turn < ${#ENTRIES[@]}; turn++)); do
            key=${ENTRIES[(run + turn) % ${#ENTRIES[@]}]}
            [ -n "${NOTE[$key]}" ] || run_once "$key"
        done
        printf . >&2
    done
    echo >&2
    for key in "${ENTRIES[@]}"; do
        store "$key"
    done
}

# warm_up: gets and frees memory. A guest gives what it does not use back to its host, and has to wait for it when it is used
# again: up to milliseconds a megabyte, which else is paid by whoever comes after a rest.
warm_up() {
    head -c "$(scaled $((256 << 20)))" /dev/zero >warm
    rm -f warm
}

run_once() {
    local took
    rm -f out
    warm_up
    # shellcheck disable=SC2086 # function and arguments
    if took=$(${WORK_OF[$1]} 2>"$SPACE/error") && [[ $took =~ ^[0-9]+$ ]]; then
        VALUES[$1]+=" $took"
    else
        NOTE[$1]="failed: $(head -n 1 "$SPACE/error" | tr -dc '[:print:]' | cut -c 1-70)"
        FAILED=1
    fi
}

# A result is a line of fields with a tab between: section, title, unit, key, label, quantity, note, values.
store() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$SECTION" "$TITLE" "$UNIT" "$1" "${LABEL[$1]}" "${QUANTITY[$1]}" \
        "${NOTE[$1]}" "${VALUES[$1]# }" >>"$RESULTS"
}

# cost SECTION KEY: nanoseconds per unit, the median; or nothing.
cost() {
    awk -F '\t' -v section="$1" -v key="$2" -f "$BENCH/median.awk" -f "$BENCH/cost.awk" "$RESULTS"
}

# same WANT GOT: or says that they differ.
same() {
    cmp -s "$1" "$2" || { echo "what arrived is not what was sent" >&2 && return 1; }
}

# holds COUNT FILE: the file has that many lines.
holds() {
    local found
    found=$(wc -l <"$2")
    [ "$found" = "$1" ] || { echo "$found of $1 arrived" >&2 && return 1; }
}

# wait_until COMMAND...: for at most ten seconds.
wait_until() {
    local end=$((SECONDS + 10))
    until "$@"; do
        ((SECONDS < end)) || { echo "waited in vain for: $*" >&2 && return 1; }
        sleep 0.01
    done
}

# background OUT COMMAND...: starts it, until `end` or the end of the bench, and gives it a moment; sets BACKGROUND.
background() {
    timeout 1800 "${@:2}" >"$1" 2>/dev/null </dev/null &
    BACKGROUND=$!
    PIDS+=("$BACKGROUND")
    sleep 0.1
}

# end PID: of a background process.
end() {
    kill "$1" 2>/dev/null
    wait "$1" 2>/dev/null
    return 0
}
