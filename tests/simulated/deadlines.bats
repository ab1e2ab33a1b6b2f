# shellcheck shell=bash
# Goal: nothing acknowledged is lost, nothing refused is received, nothing is torn, nothing hangs, whoever is killed.
# And: the checker that says so says no when it is not so.
load ../helper

judge() {
    printf '%s\n' "$@" | awk -f "$ROOT/tests/stress/check.awk"
}

@test "senders with random deadlines, receivers that are killed and a raw echo loop leave a sound history" {
    DEADLINE=240
    # Shortened; `make stress` runs it at full length.
    export MESSAGES=100
    within "$ROOT/tests/stress/history.bash" >judgement 2>noise || {
        cat judgement noise
        false
    }
    run -0 cat judgement
    assert_output --regexp '^[0-9]+ sends .* 0 faults$'
    # It was a history in which things happened: by its making, 20 messages met nobody, and 15 receivers were killed.
    [[ $output =~ 0:([0-9]+)\ 124:([0-9]+).*\ ([0-9]+)\ received,\ ([0-9]+)\ receivers\ killed ]]
    ((BASH_REMATCH[1] >= 100 && BASH_REMATCH[2] >= 20 && BASH_REMATCH[3] >= 50 && BASH_REMATCH[4] >= 15))
}

@test "two hundred waiting senders and one receiver with -c 200: all delivered, all senders 0" {
    fifo-make box
    for i in {1..200}; do
        timeout -s KILL 60 fifo-send box "message $i" 3>&- &
    done
    within fifo-recv -c 200 box >got
    for i in {1..200}; do
        wait -n
    done
    run -0 bash -c 'sort got | uniq | wc -l'
    assert_output 200
    run -1 within fifo-recv -q -n box
}

@test "the checker accepts a sound history" {
    run -0 judge 'sent a 0' 'got a 0' 'sent b 124' 'sent c 4' 'got c 0' 'sent d 0' 'got d 137' 'got d 0'
    assert_output --partial '0 faults'
}

@test "the checker sees an acknowledged message that nobody got" {
    run -1 judge 'sent a 0' 'got a 0' 'sent b 0'
    assert_line 'lost: b'
}

@test "the checker sees one of two equal messages lost" {
    run -1 judge 'sent a 0' 'sent a 0' 'got a 0'
    assert_line 'lost: a'
}

@test "the checker sees a refused message that was received" {
    run -1 judge 'sent a 0' 'got a 0' 'sent b 124' 'got b 0'
    assert_line 'revived: b'
    run -1 judge 'sent a 0' 'got a 0' 'sent b 1' 'got b 0'
    assert_line 'revived: b'
}

@test "the checker sees a message received twice by receivers that lived" {
    run -1 judge 'sent a 0' 'got a 0' 'got a 0'
    assert_line 'revived: a'
}

@test "the checker sees a torn message" {
    run -1 judge 'sent a 0' 'got a 0' 'got half 0'
    assert_line 'torn: half'
}

@test "the checker lets a killed receiver leave half a message" {
    run -0 judge 'sent a 0' 'got half 137' 'got a 0'
}

@test "the checker sees a hang, and statuses that the manual does not have" {
    run -1 judge 'sent a 0' 'got a 0' 'hung sender.1'
    assert_line 'hung: sender.1'
    run -1 judge 'sent a 141' 'sent b 0' 'got b 0'
    assert_line 'status 141: a'
}

@test "the checker does not accept a history in which nothing happened" {
    run -1 judge
    run -1 judge 'sent a 124'
}

@test "a terminal that nobody reads does not hold the receiver past its deadline" {
    fifo-make box
    # Far more than it takes, in messages of less than PIPE_BUF: one of them meets some room, and too little.
    for ((n = 0; n < 100; n++)); do
        head -c 3500 /dev/zero | tr '\0' x
        echo
    done >sent
    STDIN=sent start sender fifo-send -l box
    waits sender
    run -124 within perl -e '
        use Fcntl;
        sysopen(my $m, "/dev/ptmx", O_RDWR) or die;
        my $zero = pack("i", 0); ioctl($m, 0x40045431, $zero) or die; my $n = pack("i", 0); ioctl($m, 0x80045430, $n) or die;
        open(STDOUT, "+<", "/dev/pts/" . unpack("i", $n)) or die; fcntl($m, F_SETFD, 0);
        exec @ARGV' fifo-recv -q -f -t 500ms box
    run -0 within fifo-recv box
    assert_equal "${#output}" 3500
}

@test "a standard output that nobody reads: the server goes on, and at the deadline it is 4" {
    local box
    fifo-make box
    fifo-make -b unbounded store
    mkfifo unread
    for box in box store; do
        exec 8<>unread
        # shellcheck disable=SC2016
        start server fifo-recv "$box" sh -c 'seq 50000 | fifo-send "$FIFO_REPLY"; seq 50000'
        start asker bash -c 'exec fifo-send -r -t 4 "$0" x >unread' "$box"
        milliseconds ended_with 0 server
        between 0 3500 "$took"
        ended_with 4 asker
        one_line 'standard output does not take the reply' "$(cat asker.err)"
        exec 8<&-
        exec 8<>unread
        yes | head -c 65536 >unread
        start receiver fifo-recv "$box"
        run -4 within bash -c 'fifo-send --receipt -t 500ms "$0" x >unread' "$box"
        ended_with 0 receiver
        exec 8<&-
    done
    nothing_left
}
