#!/usr/bin/env bats
# shellcheck shell=bash
# Histories of buffered mailboxes, shortened: `make stress` runs them at length. What is checked is in
# buffered/history.py: acknowledged messages are received, once where nobody was killed, in their order, within bounds.

load ../helper

history() {
    mkdir history
    cd history || return 1
    run timeout -s KILL 120 python3 -B "$ROOT/tests/buffered/history.py" "$@" 3>&-
    assert_success
}

@test "the checker finds what is lost, doubled, invented, torn or out of order" { history checker; }
@test "eight senders and eight receivers: each message once, each sender's in their order" { history parallel; }
@test "a mailbox for one message never holds two" { history parallel 1 60; }
@test "a mailbox for seven never holds eight" { history parallel 7 200; }
@test "a mailbox for a thousand never holds more" { history parallel 1000; }
@test "with a kill every 50 ms nothing that was acknowledged is lost" { history under_fire 0 1000 2; }
@test "a bounded mailbox under fire keeps its bound" { history under_fire 2 200 2; }
@test "a stopped receiver keeps its message and holds up nobody, a killed one gives it back" { history stopped; }
@test "who has a mailbox open does not notice that it is moved" { history moved 1000; }
@test "of three hundred waiting receivers a third is killed, and each other one gets a message" { history many_waiters 300; }
@test "of a hundred waiting senders a third is killed, and each other one stores its message" { history many_senders 100; }
@test "a semaphore never has more holders than tokens, and loses none of them to a kill" { history semaphore 3 1; }
@test "space is given back, at once and in a stream that never ends" { history space 100000 60; }
