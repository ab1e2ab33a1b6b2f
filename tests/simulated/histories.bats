#!/usr/bin/env bats
# shellcheck shell=bash
# Histories of buffered mailboxes, shortened: `make stress` runs them at length. What is checked is in
# buffered/history.py: acknowledged messages are received, once where nobody was killed, in their order, within bounds.

load ../helper

@test "the checker finds what is lost, doubled, invented, torn or out of order" { simulated history checker; }
@test "eight senders and eight receivers: each message once, each sender's in their order" { simulated history parallel; }
@test "a mailbox for one message never holds two" { simulated history parallel 1 60; }
@test "a mailbox for seven never holds eight" { simulated history parallel 7 200; }
@test "a mailbox for a thousand never holds more" { simulated history parallel 1000; }
@test "with a kill every 50 ms nothing that was acknowledged is lost" { simulated history under_fire 0 1000 2; }
@test "a bounded mailbox under fire keeps its bound" { simulated history under_fire 2 200 2; }
@test "a stopped receiver keeps its message and holds up nobody, a killed one gives it back" { simulated history stopped; }
@test "who has a mailbox open does not notice that it is moved" { simulated history moved 1000; }
@test "of three hundred waiting receivers a third is killed, and each other one gets a message" { simulated history many_waiters 300; }
@test "of a hundred waiting senders a third is killed, and each other one stores its message" { simulated history many_senders 100; }
@test "a semaphore never has more holders than tokens, and loses none of them to a kill" { simulated history semaphore 3 1; }
@test "space is given back, at once and in a stream that never ends" { simulated history space 100000 60; }
