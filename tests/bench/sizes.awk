# The contests by size as one Markdown table, a line for each size. Needs median.awk.

BEGIN {
    FS = "\t"
    columns = split("ours cat mosquitto redis", column, " ")
}

$1 ~ /^size-/ {
    size = substr($1, 6) + 0
    if (!(size in seen)) {
        seen[size] = 1
        order[++sizes] = size
    }
    if ($7 == "")
        cost[size, $4] = median($8) / $6
    else
        note[size, $4] = $7
}

function name(size) {
    return size < 1024 ? size " B" : size < 1048576 ? size / 1024 " KiB" : size / 1048576 " MiB"
}

function cell(size, key) {
    if ((size, key) in note)
        return note[size, key]
    if (!((size, key) in cost))
        return "left out"
    if (key == "ours" || !((size, "ours") in cost))
        return number(1e9 / cost[size, key] / 1048576)
    return number(1e9 / cost[size, key] / 1048576) " (" number(cost[size, key] / cost[size, "ours"]) ")"
}

END {
    if (!sizes)
        exit
    print "Throughput by size, median, in MiB/s (ratio to ours):"
    print ""
    print "| size of a message | `fifo-send -l`, `fifo-recv -c` | `cat`, `cat` (no messages) | mosquitto | redis-cli |"
    print "|---:|---:|---:|---:|---:|"
    for (i = 1; i <= sizes; i++) {
        printf "| %s |", name(order[i])
        for (j = 1; j <= columns; j++)
            printf " %s |", cell(order[i], column[j])
        print ""
    }
}
