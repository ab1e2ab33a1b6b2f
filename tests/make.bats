# shellcheck shell=bash
# Goal: fifo-make does what mkfifo(1) does, to the bit, and what -p and -T add makes nothing half and touches nothing.
load helper

# is_fifo MODE NAME: NAME is a FIFO with exactly these permission bits.
is_fifo() {
    assert_equal "$(stat -c '%F %a' "$2")" "fifo $1"
}

# nothing_here: the working directory is empty but for files of bats.
nothing_here() {
    assert_equal "$(ls -A -I 'separate-stderr-*')" ""
}

# occupants: one of each kind of thing that may be there already.
occupants() {
    echo content >file
    chmod 640 file
    mkdir -m 750 directory
    mkfifo -m 604 fifo
    ln -s fifo link
    ln -s nowhere dangling
}

# Each line: a umask, then words MODE:BITS, the argument of -m (nothing: no -m) and the permission bits it makes.
MODES='
000  :666  600:600  =rwx:777
002  :664
022  :644  666:666  0:0  0000:0  7:7  070:70  0755:755  00000644:644
022  u=rw,go=:600  a=rw:666  ugo=r:444  a+x:777  o=:660  g-rw:606  a-rwx:0  a=:0  u-w,g-w,o-w:444  u=rwx,g=rx,o=x:751
022  ug=rw,o=:660  gu=x:116  uuu=r:466  u=rrww:666
022  g=u:666  o=u,u=x:166  u=x,g=u:116  u=,g=u:6  u=rwx,o=u:767  g=,o=g:600  u-o:66  o=r,a-o:220  o=x,u+o:761  +u:666
022  =rw:644  +x:777  -w:466  -rw:22  =:0  +:666  -:666
022  u=r+w:666  u=rw-w+x:566  go=-r:600  u+x-x:666  a+x-w:555  +r+w+x:777
022  o+s:666  u+t:666  u+s-s:666  a-st:666  +X:666  a+X:666  u=X:66  a=rX:444  u=rwX,go=rX:644
027  :640  =r,u+w:640
033  +x:766
077  :600  777:777  a=rw:666  go-w:644  u+x:766  =rw:600  +x:766  -r:266  =u:600  +x-w:566
111  :666
0777 :0  644:644  =rwx:0  +x:666  -rwx:666
'
# X asks for the mode before any change, which nobody may execute. mkfifo of coreutils asks for the one it has by then.
MODES_OF_OURS='
022  u+x,a+X:766  a=x,a+X:111  a=,u=rwx,g+X:700
'

# rows MODES: each word of a table like that as a line of its own, UMASK MODE:BITS
rows() {
    awk '{ for (i = 2; i <= NF; i++) print $1, $i }' <<<"$1"
}

# make_each COMMAND: for every row on standard input one FIFO, made by COMMAND and called `UMASK MODE`.
make_each() {
    # shellcheck disable=SC2016
    within bash -e -c '
        while read -r mask mode; do
            mode=${mode%:*}
            umask "$mask"
            "$0" ${mode:+-m "$mode"} "./$mask $mode"
        done' "$1"
}

@test "the mode is what POSIX says, whatever the umask" {
    rows "$MODES$MODES_OF_OURS" >table
    mkdir made
    cd made
    make_each fifo-make <../table
    diff <(sort ../table) <(stat -c '%n:%a' -- * | sort)
    assert_equal "$(stat -c %F -- * | sort -u)" fifo
    between 80 200 "$(wc -l <../table)"
}

@test "the mode is what mkfifo of coreutils makes of it" {
    [[ $(mkfifo --version) == *coreutils* ]] || skip "mkfifo is not the one of coreutils"
    rows "$MODES" >table
    mkdir ours theirs
    (cd ours && make_each fifo-make <../table)
    (cd theirs && make_each mkfifo <../table)
    diff <(cd theirs && stat -c '%n:%a %F' -- *) <(cd ours && stat -c '%n:%a %F' -- *)
}

@test "what is no mode, or no mode for a FIFO, is refused and nothing is made" {
    local mode
    for mode in '' 8 0999 'u=rwx,' 1777 4755 u+s +t g=s 10000 u x ,u+x u+x,,g+x =755 u=gr a+q -1 0x1ff ' 600' \
        '600 ' 'u+x g+x' u+x,7 7,u+x 200000000000000000000600 ',' o+t,u+s; do
        echo "row: -m '$mode'"
        run -2 within fifo-make -m "$mode" "made with '$mode'" box
        one_line mode "$output"
    done
    nothing_here
}

@test "at no moment is there more permission than was asked for" {
    umask 000
    run -0 within strace -f -o trace -e trace=/mknod,/chmod fifo-make -m 600 box
    is_fifo 600 box
    run -0 grep -cE 'mknod.*box.*S_IFIFO\|0600' trace
    assert_equal "$output" 1
    run -1 grep chmod trace
}

@test "options are taken in every way that getopt takes them" {
    local line name
    while read -ra line; do
        within fifo-make "${line[@]}"
    done <<<$'a -m 600\n-m600 b\n--mode=600 c\n--mode 600 d\ne --mode=600 f\n-m 777 -m 600 g\n-m 600 -- -m -p'
    for name in a b c d e f g ./-m ./-p; do
        is_fifo 600 "$name"
    done
}

@test "a wrong command line is a usage error of one line" {
    local line
    while IFS=, read -ra line; do
        echo "row: ${line[*]}"
        run -2 --separate-stderr within fifo-make "${line[@]}"
        one_line fifo-make
        assert_output ''
    done <<<$'-p,-m,600\nbox,-y\nbox,--unknown\nbox,--mode\nbox,--parents=yes\nbox,-m'
    run -2 --separate-stderr within fifo-make
    assert_equal "$stderr" 'fifo-make: missing NAME'
    nothing_here
}

@test "an unknown option with a newline or an escape in it makes one line of a message" {
    run -2 --separate-stderr within fifo-make box $'--new\nline'
    one_line unrecognized
    run -2 --separate-stderr within fifo-make box $'--escape\e[2J'
    one_line unrecognized
}

@test "an operand that fails is told in the system's words, and the others are made" {
    local bad words long
    long=$(printf 'x%.0s' {1..300})
    occupants
    while read -r bad words; do
        echo "row: $bad: $words"
        run -2 within fifo-make first "${bad/LONG/$long}" last
        assert_output "fifo-make: '${bad/LONG/$long}': $words"
        is_fifo 644 first
        is_fifo 644 last
        rm first last
    done <<'END'
file        File exists
directory   File exists
directory/  File exists
dangling    File exists
fifo        File exists
file/box    Not a directory
LONG        File name too long
nowhere/box No such file or directory
END
    run -2 --separate-stderr within fifo-make first '' last
    assert_equal "$stderr" "fifo-make: '': No such file or directory"
    is_fifo 644 last
}

@test "the operands are made in order, and each that fails is told, without -q" {
    run -2 --separate-stderr within fifo-make twice nowhere/box twice other
    assert_equal "$stderr" "fifo-make: 'nowhere/box': No such file or directory
fifo-make: 'twice': File exists"
    is_fifo 644 twice
    is_fifo 644 other
    run -2 within fifo-make -q twice third
    assert_output ''
    is_fifo 644 third
}

@test "where the user may not write, permission is denied" {
    as_another_user
    mkdir -m 777 open
    run -2 --separate-stderr within "${NOBODY[@]}" fifo-make open/a "$PLACE/b" open/c
    assert_equal "$stderr" "fifo-make: '$PLACE/b': Permission denied"
    is_fifo 644 open/a
    is_fifo 644 open/c
}

@test "on a read-only file system it says so" {
    local covered
    [ "$(id -u)" = 0 ] || skip "needs root"
    # Over a mount that is there, made private first: so it stays here, in a chroot too.
    for covered in /sys /dev/pts /run /proc; do
        mountpoint -q "$covered" && break
    done
    # shellcheck disable=SC2016
    run -2 --separate-stderr within unshare --mount --propagation unchanged sh -c '
        mount --make-private "$1" && mount -t tmpfs -o ro none "$1" && exec fifo-make a "$1/b" c' - "$covered"
    assert_equal "$stderr" "fifo-make: '$covered/b': Read-only file system"
    is_fifo 644 a
    is_fifo 644 c
}

@test "what exists keeps its type, its mode and its content" {
    local name before
    occupants
    for name in file directory fifo link dangling; do
        echo "row: $name"
        before=$(stat -c '%F %a %i %Z' "$name")
        run -2 --separate-stderr within fifo-make -m 777 "$name"
        one_line 'File exists'
        assert_equal "$(stat -c '%F %a %i %Z' "$name")" "$before"
    done
    is_fifo 604 fifo
    assert_equal "$(cat file)" content
}

@test "-p makes the directories that mkdir -p would make" {
    local mask
    as_another_user
    for mask in 000 022 077 0277 0777 0333 0111; do
        echo "row: umask $mask"
        mkdir -m 777 ours theirs
        (umask "$mask" && cd theirs && "${NOBODY[@]}" mkdir -p a/b/c/d)
        (umask "$mask" && cd ours && within "${NOBODY[@]}" fifo-make -p a/b//c/box)
        assert_equal "$(cd ours && stat -c '%A %u %n' a a/b a/b/c)" "$(cd theirs && stat -c '%A %u %n' a a/b a/b/c)"
        assert_equal "$(stat -c %F ours/a/b/c/box)" fifo
        rm -r ours theirs
    done
}

@test "-p goes with -m, which is the mailbox's alone, and with absolute names" {
    within fifo-make -p -m 600 "$PWD/a/b/box" c/box box
    assert_equal "$(stat -c '%a %n' a a/b c | xargs)" '755 a 755 a/b 755 c'
    is_fifo 600 a/b/box
    is_fifo 600 c/box
}

@test "-p is content with a mailbox that is there, and does not touch it" {
    local before
    occupants
    before=$(stat -c '%a %i %Z' fifo)
    run -0 --separate-stderr within fifo-make -p -m 666 fifo link
    assert_equal "$stderr" ''
    assert_equal "$(stat -c '%a %i %Z' fifo)" "$before"
    assert_equal "$(stat -c %F link)" 'symbolic link'
}

@test "-p refuses anything else that is there, and makes the others" {
    local name before
    occupants
    for name in file directory dangling; do
        echo "row: $name"
        before=$(stat -c '%F %a %i %Z' "$name")
        run -2 --separate-stderr within fifo-make -p "$name" "after-$name/box"
        one_line "fifo-make: '$name': "
        assert_equal "$(stat -c '%F %a %i %Z' "$name")" "$before"
        is_fifo 644 "after-$name/box"
    done
    run -2 --separate-stderr within fifo-make -p file/below/box dangling/box ''
    assert_equal "$(wc -l <<<"$stderr")" 3
    run -1 test -e nowhere
}

@test "-p says of a link that leads nowhere that it exists" {
    ln -s nowhere dangling
    run -2 --separate-stderr within fifo-make -p dangling
    assert_equal "$stderr" "fifo-make: 'dangling': File exists"
}

@test "-T makes a mailbox of mode 0600 whatever the umask, and prints its path" {
    local mask
    export TMPDIR=$PWD/tmp
    mkdir tmp
    for mask in 000 022 077 0777; do
        echo "row: umask $mask"
        (umask "$mask" && within fifo-make -T) >path 2>messages
        assert_equal "$(<messages)" ''
        [[ $(<path) == "$TMPDIR/"* ]]
        is_fifo 600 "$(<path)"
    done
    assert_equal "$(find tmp -type p | wc -l)" 4
}

@test "-T goes to /tmp without TMPDIR, and with an empty one" {
    local path
    path=$(unset TMPDIR && within fifo-make -T)
    is_fifo 600 "$path"
    rm "$path"
    [[ $path == /tmp/* ]]
    path=$(TMPDIR='' within fifo-make --temp)
    is_fifo 600 "$path"
    rm "$path"
    [[ $path == /tmp/* ]]
}

@test "-T replaces the last X's of a template, and keeps a suffix" {
    local template pattern
    mkdir sub
    while read -r template pattern; do
        echo "row: $template"
        run -0 --separate-stderr within fifo-make -T "$template"
        [[ $output =~ ^$pattern$ ]]
        is_fifo 600 "$output"
    done <<'END'
boxXXXXXX     box[0-9a-zA-Z]{6}
XXX           [0-9a-zA-Z]{3}
a.XXXX.box    a\.[0-9a-zA-Z]{4}\.box
sub/XXXXXXXX  sub/[0-9a-zA-Z]{8}
./XXXXX-b     \./[0-9a-zA-Z]{5}-b
XXX.XXXXXX    XXX\.[0-9a-zA-Z]{6}
END
}

@test "-T gives every mailbox a name of its own" {
    while [ "$(find . -type p | wc -l)" -lt 20 ]; do
        within fifo-make -T boxXXXX >>names
    done
    assert_equal "$(sort -u names | wc -l)" 20
    assert_equal "$(wc -l <names)" 20
}

@test "-T refuses a template with too few X's, two templates, -m, -p, and a directory that is not there" {
    local template
    for template in '' box X XX boxXX XX/box XXXXXX/box XXXX/XX.a XXXXaX; do
        echo "row: $template"
        run -2 --separate-stderr within fifo-make -T "$template"
        one_line "fifo-make: '$template': .*X's"
    done
    run -2 --separate-stderr within fifo-make -T aXXXXXX bXXXXXX
    one_line TEMPLATE
    run -2 --separate-stderr within fifo-make -T -m 600 aXXXXXX
    one_line -m
    run -2 --separate-stderr within fifo-make -T -p aXXXXXX
    one_line -p
    TMPDIR=$PWD/nowhere run -2 --separate-stderr within fifo-make -T
    one_line 'No such file or directory'
    nothing_here
}

@test "-T leaves nothing behind when its path cannot be printed" {
    run -2 --separate-stderr within bash -c 'fifo-make -T aXXXXXX >/dev/full'
    one_line 'No space left on device'
    nothing_here
    run -2 --separate-stderr within bash -c 'fifo-make -T aXXXXXX >&-'
    one_line 'Bad file descriptor'
    nothing_here
}

@test "a name with a newline or an escape in it makes one line of a message" {
    touch $'new\nline' $'\e[2Jescape' $'tab\t'
    run -2 --separate-stderr within fifo-make $'new\nline'
    assert_equal "$stderr" "fifo-make: 'new\\012line': File exists"
    run -2 --separate-stderr within fifo-make $'\e[2Jescape'
    assert_equal "$stderr" "fifo-make: '\\033[2Jescape': File exists"
    run -2 --separate-stderr within fifo-make -m $'6\n00' box
    one_line 'invalid mode'
    within fifo-make $'another\nline'
    is_fifo 644 $'another\nline'
}

@test "--help and --version go to standard output" {
    local option
    for option in --help --usage --version; do
        echo "row: $option"
        run -0 --separate-stderr within fifo-make "$option"
        [ -n "$output" ]
        assert_equal "$stderr" ''
        run -2 within bash -c "fifo-make $option >/dev/full"
    done
    nothing_here
}

@test "-T says which directory it cannot use" {
    TMPDIR=$PWD/missing refused 2 "missing': No such file or directory" fifo-make -T
}
