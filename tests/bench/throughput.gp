# Called with `output`; the data are in the current directory.
set terminal svg size 800,480 font "sans-serif,13" background "white"
set output output
set logscale xy
set xlabel "size of a message"
set ylabel "throughput"
set format x "%.0b %BB"
set format y "%.0b %BB/s"
set xtics 64, 8
set ytics 1024, 8
set grid
set key top left reverse Left
set style data linespoints
plot for [key in "ours cat mosquitto redis"] key.".dat" using 1:2 linewidth 2 pointtype 7 pointsize 0.6 title \
    key eq "ours" ? "fifo-send -l, fifo-recv -c" : key eq "cat" ? "cat, cat (no messages)" : key
