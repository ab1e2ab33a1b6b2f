#!/bin/bash
# Searches the model in parts.pml with spin and prints TAP.  Searches of the rules must be complete and find nothing;
# each deliberate break must be found.  With `full`: larger searches too, also for cycles (some minutes, up to 8 GB).
set -euo pipefail
model=$(cd "$(dirname "$0")" && pwd)/parts.pml
: "${CC:=gcc}"
for tool in spin "$CC"; do
    command -v "$tool" >/dev/null || { echo "1..0 # SKIP no $tool" && exit; }
done

# A line for each search: what it must find (none; cycles: none, and no cycle either; error), memory in MB, options.
searches='
none 900 -DN0=2 -DN1=1 -DQCAP=2 -DRAWW -DGIVEUPS=1 -DKILLS=0
none 900 -DN0=2 -DN1=1 -DQCAP=2 -DRAWW -DBIG -DKILLS=0
none 900 -DN0=2 -DN1=1 -DQCAP=2 -DRAWW -DWD=0
none 900 -DN0=1 -DN1=1 -DQCAP=2 -DRAWW
none 900 -DN0=2 -DN1=1
none 900 -DN0=2 -DN1=2
error 900 -DN0=2 -DN1=1 -DEARLY
error 900 -DN0=2 -DN1=1 -DHLESS
error 900 -DN0=2 -DN1=1 -DNOLLAST
error 900 -DN0=1 -DN1=1 -DNOLLAST
error 900 -DN0=1 -DN1=1 -DGIVEUPS=1 -DGULATE
error 900 -DN0=2 -DN1=1 -DMIX
error 900 -DN0=2 -DN1=1 -DKEEP
error 900 -DN0=2 -DN1=1 -DNOTWAIT
error 900 -DN0=2 -DN1=1 -DGLATE
error 900 -DN0=2 -DN1=1 -DGEARLY
error 900 -DN0=2 -DN1=1 -DLLATE
error 900 -DN0=2 -DN1=1 -DSAMEID
error 900 -DN0=2 -DN1=1 -DARMLATE
error 900 -DN0=2 -DN1=1 -DHROOM
error 900 -DN0=2 -DN1=1 -DGFIRST
error 900 -DN0=2 -DN1=1 -DNOLOOKG
error 900 -DN0=2 -DN1=1 -DKEEPL
error 900 -DN0=2 -DN1=1 -DNOH
error 900 -DN0=2 -DN1=1 -DHBEFOREL
error 900 -DN0=1 -DN1=1 -DQCAP=2 -DRAWW -DKILLS=0 -DLNOLOOK
error 900 -DN0=2 -DN1=1 -DFRONT124
'
if [ "${1-}" = full ]; then
    searches+='
none 6000 -DN0=3 -DN1=2 -DQCAP=2 -DGIVEUPS=1
none 6000 -DN0=3 -DN1=2 -DQCAP=2 -DKILLS=2
none 6000 -DN0=2 -DN1=1 -DQCAP=2 -DKILLS=2 -DRAWW
none 6000 -DN0=2 -DN1=1 -DQCAP=2 -DGIVEUPS=1 -DRAWW
none 6000 -DN0=2 -DN1=1 -DQCAP=2 -DRAWW -DBIG
none 6000 -DN0=2 -DN1=2 -DQCAP=2 -DGIVEUPS=1 -DWD=2
cycles 6000 -DN0=2 -DN1=1 -DQCAP=2 -DGIVEUPS=1
cycles 6000 -DN0=2 -DN1=1 -DQCAP=2 -DKILLS=2
'
fi
mapfile -t searches < <(grep . <<<"$searches")

work=$(mktemp -d)
finish() {
    local job
    for job in $(jobs -p); do
        kill -- "-$job" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

# search NUMBER EXPECTED MEMORY OPTION...: writes its line of TAP to the file NUMBER/tap.
search() {
    local number=$1 expected=$2 memory=$3 compile='-O1 -DSAFETY' run=-w22 states what result=ok
    shift 3
    mkdir "$work/$number"
    cd "$work/$number"
    [ "$memory" -lt 1000 ] || compile='-O2 -DSAFETY' run=-w25
    case $expected in
        cycles) compile='-O2 -DNP' run+=' -l' ;;
        error) compile='-O0 -DSAFETY' ;;
    esac
    # -E: no end states, for the model looks at them itself.
    # shellcheck disable=SC2086
    { spin "$@" -a "$model" && "$CC" -w $compile -DCOLLAPSE -DMEMLIM="$memory" -o pan pan.c &&
        ./pan -E -m10000 $run; } >out 2>&1 || true
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' out)
    if [ "$expected" = error ]; then
        what='is found'
        grep -q '^pan:[0-9]*: assertion violated' out || result='not ok'
    else
        what='no error'
        [ "$expected" = none ] || what+=', no cycle'
        ! grep -qE '^pan:|Search not completed|max search depth|out of memory' <(grep -v '^pan: \(elapsed\|rate\)' out) &&
            grep -q '^State-vector.* errors: 0$' out || result='not ok'
    fi
    {
        echo "$result $number - ${*#-D}: $what (${states:-no} states)"
        [ "$result" = ok ] || sed 's/^/# /' out
    } >tap.new
    rm -f pan*
    mv tap.new tap
}

echo "1..${#searches[@]}"
set -m
printed=0 failed=0
# Prints what has been found so far, in order.
report() {
    while [ -e "$work/$((printed + 1))/tap" ]; do
        printed=$((printed + 1))
        cat "$work/$printed/tap"
        ! grep -q '^not ok' "$work/$printed/tap" || failed=1
    done
}
for number in "${!searches[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
        wait -n || true
        report
    done
    read -ra words <<<"${searches[number]}"
    search "$((number + 1))" "${words[@]}" &
done
wait
report
[ "$printed" -eq "${#searches[@]}" ] && exit "$failed"
exit 1
