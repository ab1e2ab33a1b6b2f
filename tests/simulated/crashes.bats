#!/usr/bin/env bats
# shellcheck shell=bash
# Buffered mailboxes after a kill at any system call, after any loss of power, and with any damage, shortened:
# `make stress` runs them at length.

load ../helper

scenario() {
    mkdir scenario
    cd scenario || return 1
    run timeout -s KILL 120 python3 -B "$ROOT/tests/buffered/$1.py" "${@:2}" 3>&-
    assert_success
}

@test "SIGKILL at each system call of storing with --sync" { scenario crash kills 3; }
@test "SIGKILL at each system call of storing in a bounded mailbox" { scenario crash kills 4; }
@test "SIGKILL at each system call of receiving with COMMAND" { scenario crash kills 8; }
@test "SIGKILL at each system call of moving a message to the dead letters" { scenario crash kills 11; }
@test "SIGKILL at each system call of receiving while an older message is in other hands" { scenario crash kills 13; }
@test "fifo-make and fifo-rm that are killed leave a mailbox or none" { scenario crash make_and_remove; }
@test "after a loss of power all that was synced is there" { scenario crash power_loss 20; }
@test "after a loss of power without --sync a tail is missing, and nothing else" { scenario crash no_sync 20; }
@test "a flipped bit costs at most the message that it is in" { scenario damage bits 7; }
@test "a file that is cut off anywhere costs what is missing" { scenario damage cuts 9; }
@test "pieces that are wiped, overwritten, copied or added are never delivered" { scenario damage blocks 60; }
@test "headers that lie are bounded before they are believed" { scenario damage forged 40; }
