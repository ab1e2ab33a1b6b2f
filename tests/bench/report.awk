# The results as a table: of text, or with STYLE=markdown. Needs median.awk.

# A cost in nanoseconds per unit, in the unit of the table. Rates have the highest number where the cost is lowest.
function shown(cost) {
    if (unit == "MiB/s")
        return number(1e9 / cost / 1048576)
    if (unit == "msg/s")
        return number(1e9 / cost)
    if (unit == "us")
        return number(cost / 1000)
    return number(cost)
}

function is_rate() {
    return unit ~ /\/s$/
}

function row(what, middle, spread, ratio) {
    if (style == "markdown")
        printf "| %s | %s | %s | %s |\n", what, middle, spread, ratio
    else {
        line = sprintf("%-62s %10s  %-20s %s", what, middle, spread, ratio)
        sub(/ +$/, "", line)
        print line
    }
}

BEGIN {
    FS = "\t"
    if (style == "markdown") {
        row("", "median", "min..max", "ratio")
        print "|---|---:|---:|---:|"
    } else
        row("", "median", "min..max", "ratio to ours (>1: ours is faster)")
}

# Markdown has a table of its own for these: sizes.awk.
style == "markdown" && $1 ~ /^size-/ {
    next
}

$1 != section {
    section = $1
    unit = $3
    ours = 0
    if (style != "markdown")
        print ""
    row(style == "markdown" ? "**" $2 "**, " unit : $2 ", " unit)
}

{
    label = style == "markdown" ? "`" $5 "`" : "  " $5
}

$7 != "" {
    row(label, "-", $7, "-")
    next
}

{
    middle = median($8) / $6
    low = lowest / $6
    high = highest / $6
    if ($4 == "ours")
        ours = middle
    row(label, shown(middle), is_rate() ? shown(high) ".." shown(low) : shown(low) ".." shown(high),
        ours > 0 ? number(middle / ours) : "-")
}
