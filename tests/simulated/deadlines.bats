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
    # It was a history in which things happened.
    [[ $output =~ 0:([0-9]+)\ 124:([0-9]+)?.*\ ([0-9]+)\ received,\ ([0-9]+)\ receivers\ killed ]]
    ((BASH_REMATCH[1] > 100 && BASH_REMATCH[2] > 10 && BASH_REMATCH[3] > 100 && BASH_REMATCH[4] > 10))
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
