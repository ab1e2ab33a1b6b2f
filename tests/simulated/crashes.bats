#!/usr/bin/env bats
# shellcheck shell=bash
# Buffered mailboxes after a kill at any system call, after any loss of power, and with any damage, shortened:
# `make stress` runs them at length.

load ../helper

@test "SIGKILL at each system call of storing with --sync" { simulated crash kills 3; }
@test "SIGKILL at each system call of storing in a bounded mailbox" { simulated crash kills 4; }
@test "SIGKILL at each system call of receiving with COMMAND" { simulated crash kills 8; }
@test "SIGKILL at each system call of moving a message to the dead letters" { simulated crash kills 11; }
@test "SIGKILL at each system call of receiving while an older message is in other hands" { simulated crash kills 13; }
@test "fifo-make and fifo-rm that are killed leave a mailbox or none" { simulated crash make_and_remove; }
@test "after a loss of power all that was synced is there" { simulated crash power_loss 20; }
@test "after a loss of power without --sync a tail is missing, and nothing else" { simulated crash no_sync 20; }
@test "a flipped bit costs at most the message that it is in" { simulated damage bits 7; }
@test "a file that is cut off anywhere costs what is missing" { simulated damage cuts 9; }
@test "pieces that are wiped, overwritten, copied or added are never delivered" { simulated damage blocks 60; }
@test "headers that lie are bounded before they are believed" { simulated damage forged 40; }
