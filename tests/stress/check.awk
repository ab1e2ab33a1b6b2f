# Judges a history of one mailbox. Reads lines of
#
#   sent CONTENT STATUS         a fifo-send with that content ended (137: killed)
#   got CONTENT STATUS          a fifo-recv that wrote this ended; 0: it lived, 137: killed by us
#   empty STATUS                a fifo-recv ended without having written anything
#   raw CONTENT                 somebody wrote this past us
#
# where CONTENT is a digest: equal contents are the same message. What must hold, for each content:
#
#   lost      acknowledged sends <= times it was written out in full, by receivers that lived or were killed
#   revived   times received by ones that lived <= sends that were not refused
#   torn      what a receiver that lived wrote is a message that somebody sent
#   hung      every process ended by itself, or by our kill, with a status of the manual
#
# Prints what does not hold, a line each, then a summary. Exits with 1 if anything does not hold, or nothing happened.

function wrong(what, content) { print what ": " content; faults++ }

$1 == "sent" {
    known[$2] = 1
    sends++
    statuses[$3]++
    if ($3 == 0) acknowledged[$2]++
    if ($3 == 0 || $3 == 4 || $3 == 137) possible[$2]++
    if ($3 != 0 && $3 != 1 && $3 != 4 && $3 != 124 && $3 != 137) wrong("status " $3, $2)
}
$1 == "hung" { wrong("hung", $2) }
$1 == "raw" { known[$2] = 1; possible[$2]++ }
$1 == "got" {
    written[$2]++
    if ($3 == 0) { lived[$2]++; received++ }
    else if ($3 == 137) killed++
    else wrong("receiver status " $3, $2)
}
$1 == "empty" {
    if ($2 == 0) { written["empty"]++; lived["empty"]++; received++ }
    else if ($2 == 137) { written["empty"]++; killed++ } # it may have had a message of no bytes
    else if ($2 != 124 && $2 != 1) wrong("receiver status " $2, "empty")
}
END {
    for (content in acknowledged)
        if (acknowledged[content] > written[content]) wrong("lost", content)
    for (content in lived) {
        if (!(content in known)) wrong("torn", content)
        else if (lived[content] > possible[content]) wrong("revived", content)
    }
    for (status in statuses) summary = summary " " status ":" statuses[status]
    printf "%d sends (status:count%s), %d received, %d receivers killed, %d faults\n", \
        sends, summary, received, killed, faults
    exit faults > 0 || acknowledged_none() || received == 0
}
function acknowledged_none(content) { for (content in acknowledged) return 0; return 1 }
