# shellcheck shell=bash
# Where buffered mailboxes lie: on tmpfs, in the bench's own directory, and on a disk.

ROOMY=$((1 << 30)) # bytes that the disk must have free
ON_DISK=           # a directory there, or nothing
DISK_NAME=         # what it is, or why there is none

# find_disk: in DISK, else in TMPDIR or /tmp or, if that is a tmpfs, beside the programs of the bench.
find_disk() {
    local -a places=("$DISK")
    local place kind
    # Once, for all works.
    [ -z "$DISK_NAME" ] || return 0
    [ -n "$DISK" ] || places=("${TMPDIR:-/tmp}" "$(dirname "$(type -P drive)")")
    DISK_NAME='no directory on a disk: DISK=DIR'
    for place in "${places[@]}"; do
        kind=$(df --output=fstype "$place" 2>/dev/null | tail -n 1)
        [[ $kind =~ ^(|tmpfs|ramfs|devtmpfs)$ ]] && continue
        if (($(df --output=avail -B1 "$place" | tail -n 1) < ROOMY)); then
            DISK_NAME="less than $((ROOMY >> 20)) MiB free"
            continue
        fi
        ON_DISK=$(mktemp -d "$place/fifo-bench.XXXXXXXX") || continue
        # The directory of the programs is known by its name, wherever the project lies.
        [ "$place" != "$(dirname "$(type -P drive)")" ] || place=$(basename "$place")
        DISK_NAME="$kind in $place"
        return
    done
}

# places FUNCTION: calls it for each place, with its key, its directory and its name. Others are compared to the disk.
places() {
    "$1" ours "$ON_DISK" 'on disk'
    "$1" tmpfs "$SPACE" 'on tmpfs'
}

# needs_disk KEY: an entry that is missing where there is no disk.
needs_disk() {
    [ -n "$ON_DISK" ] || NOTE[$1]="missing: $DISK_NAME"
}

# fresh MAILBOX [OPTION...]: makes it anew.
fresh() {
    fifo-rm -f "$1" && fifo-make -b unbounded "${@:2}" "$1"
}

# emptied MAILBOX: removes it; it must not hold a message.
emptied() {
    fifo-rm "$1"
}
