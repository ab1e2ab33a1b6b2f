#!/bin/bash
# Makes a history of a mailbox under fire and has it judged.
#
# SENDERS x MESSAGES of 0 bytes to 2 MB, each with a random deadline; RECEIVERS, of whose runs a third are killed
# with SIGKILL at a random moment; beside them a raw `echo` loop. However fast the machine: the first FEW messages of
# each sender meet no receiver, and it does not end before FEW runs of each receiver have been killed. Run it in an
# empty directory, with the commands in PATH. Prints the judgement and exits with its status.
set -u
SENDERS=${SENDERS:-4} MESSAGES=${MESSAGES:-250} RECEIVERS=${RECEIVERS:-3} RAW=${RAW:-1} FEW=5
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p content out log
RANDOM=${SEED:-$$}
fifo-make box

# Contents: half of them short lines, the rest of any size and with any bytes.
head -c 2100000 /dev/urandom >noise
for ((s = 0; s < SENDERS; s++)); do
    for ((m = 0; m < MESSAGES; m++)); do
        case $((RANDOM % 8)) in
        0) size=$((RANDOM * 32768 + RANDOM)) size=$((size % 300000)) ;;
        1) size=$((4060 + RANDOM % 60)) ;;
        2) size=$((RANDOM % 4000)) ;;
        3) size=0 ;;
        4) size=$((520000 + RANDOM * 45)) ;; # goes in parts
        *) size=-1 ;;
        esac
        file=content/$s.$m
        if ((size == -1)); then
            echo "line $s.$m" >"$file"
        elif ((size == 0)); then
            : >"$file"
        else
            { echo "block $s.$m"; tail -c +$((RANDOM + 1)) noise | head -c "$size"; } >"$file"
        fi
    done
done

send_all() {
    local m status deadline
    for ((m = 0; m < MESSAGES; m++)); do
        deadline=$((m < FEW || RANDOM % 4 == 0 ? RANDOM % 20 + 1 : RANDOM % 1000 + 1))
        timeout -s KILL 30 fifo-send -q -t "${deadline}ms" box <"content/$1.$m"
        status=$?
        echo "$1.$m $status"
    done >"log/send.$1" 2>/dev/null
}

receive_all() {
    local n status
    for ((n = 0; ; n++)); do
        if ((RANDOM % 3 == 0)); then
            timeout -s KILL "$((RANDOM % 40 + 2))e-3" fifo-recv -q -t 1 box >"out/$1.$n"
            status=$?
        else
            timeout -s KILL 30 fifo-recv -q -t 1 box >"out/$1.$n"
            status=$?
            if ((status == 137)); then
                echo "hung receiver.$1.$n" >>"log/hung.$1"
            fi
        fi
        echo "$1.$n $status"
        # The last one to leave is one that waited and found nothing, after all senders had ended.
        if ((status == 124)) && [ -e stop ]; then
            break
        fi
    done >"log/recv.$1" 2>/dev/null # bash would tell of each kill
}

raw_all() {
    local n
    for ((n = 0; ; n++)); do
        [ -e stop ] && break
        timeout -s KILL 2 bash -c 'echo "raw $1" >box' raw "$n"
        sleep 0.02
    done
    echo "$n" >log/raw
}

# happened STATUS LOG: waits until that stands FEW times in a log that is being written.
happened() {
    until [ "$(grep -c " $1\$" "log/$2" 2>/dev/null)" -ge "$FEW" ] 2>/dev/null; do
        sleep 0.01
    done
}

pids=() receivers=()
for ((s = 0; s < SENDERS; s++)); do
    RANDOM=$((${SEED:-$$} + s + 1))
    send_all "$s" &
    pids+=($!)
done
for ((s = 0; s < SENDERS; s++)); do
    happened 124 "send.$s"
done
for ((r = 0; r < RECEIVERS; r++)); do
    RANDOM=$((${SEED:-$$} + 100 + r))
    receive_all "$r" &
    receivers+=($!)
done
if ((RAW)); then
    raw_all &
    receivers+=($!)
fi
wait "${pids[@]}"
for ((r = 0; r < RECEIVERS; r++)); do
    happened 137 "recv.$r"
done
: >stop
wait "${receivers[@]}"

{
    (cd content && md5sum -- *) | awk '{ print "content", $2, $1 }'
    (cd out && find . -type f -size +0c -printf '%P\0' | xargs -0r md5sum --) | awk '{ print "out", $2, $1 }'
    for ((n = 0; RAW && n <= $(cat log/raw); n++)); do
        echo "raw $(echo "raw $n" | md5sum | cut -d' ' -f1)"
    done
    cat log/hung.* 2>/dev/null
    sed 's/^/sent /' log/send.*
    sed 's/^/got /' log/recv.*
} | awk '
    BEGIN { nothing = "d41d8cd98f00b204e9800998ecf8427e" }
    $1 == "content" { digest[$2] = $3 == nothing ? "empty" : $3; next }
    $1 == "out" { wrote[$2] = $3; next }
    $1 == "sent" { print "sent", digest[$2], $3; if ($3 == 137) print "hung", "sender." $2; next }
    $1 == "got" { if ($2 in wrote) print "got", wrote[$2], $3; else print "empty", $3; next }
    { print }' >history
awk -f "$here/check.awk" history
