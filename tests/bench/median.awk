# median(LIST): of the numbers in a string; sets lowest and highest too.
function median(list, value, count, i, j, held) {
    count = split(list, value, " ")
    for (i = 2; i <= count; i++) {
        held = value[i] + 0
        for (j = i - 1; j > 0 && value[j] + 0 > held; j--)
            value[j + 1] = value[j]
        value[j + 1] = held
    }
    lowest = value[1] + 0
    highest = value[count] + 0
    return count % 2 ? value[(count + 1) / 2] + 0 : (value[count / 2] + value[count / 2 + 1]) / 2
}

# number(VALUE): with three digits, more or less.
function number(value) {
    return sprintf(value < 0.1 ? "%.4f" : value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value)
}
