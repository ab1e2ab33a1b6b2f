# shellcheck shell=bash
# Goal: fifo-mailbox(5) is enough to write a program that meets ours: a second implementation, at either end.
load helper

setup() {
    common_setup
    PEER=("$(command -v python3)" -B "$ROOT/tests/fifo/peer.py")
    fifo-make box
}

@test "fifo-recv receives what another program sends in parts, of any size" {
    local size
    for row in '0 4000' '1 1' '7 1' '4000 4000' '4001 4000' '65000 4000' '65000 30000' '300000 32000'; do
        read -r size most <<<"$row"
        echo "row: $size bytes, $most at a time"
        head -c "$size" /dev/urandom >sent
        start sender "${PEER[@]}" send box sent "$most"
        within fifo-recv -t 30 box >got
        cmp sent got
        ended_with 0 sender
    done
}

@test "another program receives what fifo-send sends, of any size" {
    local size
    for size in 0 1 4080 4081 33000 524272 524273 1048576 3000000; do
        echo "row: $size bytes"
        head -c "$size" /dev/urandom >sent
        start receiver "${PEER[@]}" recv box got
        within fifo-send -t 30 box <sent
        ended_with 0 receiver
        cmp sent got
    done
}

@test "a receiver of either kind that dies before the last part is taken leaves the message to one of the other" {
    head -c 3000000 /dev/urandom >sent
    STDIN=sent start sender fifo-send box
    start receiver "${PEER[@]}" recv box got last
    ended_with 137 receiver
    within fifo-recv -t 30 box | cmp - sent
    ended_with 0 sender
    start sender "${PEER[@]}" send box sent 32000
    run -0 bash -c 'fifo-recv --keep -t 30 box cmp - sent'
    start receiver "${PEER[@]}" recv box got
    ended_with 0 receiver sender
    cmp sent got
}

# gathers NAME: the peer has the lock `gather`.
gathers() { grep -qs 'lock:.* OFDLCK .* READ .* 3 3$' "/proc/$(<"$1.pid")/fdinfo/"*; }

@test "a sender of parts that dies among them is forgotten, by a receiver of either kind" {
    head -c 3000000 /dev/urandom >sent
    for how in fifo-recv peer; do
        start sender "${PEER[@]}" send box sent 100
        if [ "$how" = peer ]; then
            start receiver "${PEER[@]}" recv box got
        else
            start receiver bash -c 'exec fifo-recv box >got'
        fi
        wait_until gathers receiver
        kill -KILL "$(cat sender.pid)"
        within fifo-send -t 30 box next
        ended_with 0 receiver
        assert_equal "$(cat got)" next
    done
}
