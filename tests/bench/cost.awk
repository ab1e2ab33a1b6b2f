# The cost of SECTION and KEY, of the results.
$1 == section && $4 == key && $8 != "" { print median($8) / $6 }
