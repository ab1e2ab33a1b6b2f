# shellcheck shell=bash
# Goal: what was sent is what comes out, byte for byte, one message at a time, and not one byte of the next.
load helper

# arrives FILE [SEND-OPTION...]: sends FILE as one message and compares what was received.
arrives() {
    local file=$1
    shift
    STDIN=$file start sender fifo-send "$@" box
    within fifo-recv box >received || return
    ended_with 0 sender && cmp "$file" received
}

@test "messages of every awkward size arrive byte for byte" {
    fifo-make box
    for size in 0 1 15 16 17 4079 4080 4081 4095 4096 4097 65535 65536 65537 1048576; do
        head -c "$size" /dev/urandom >sent
        arrives sent || {
            echo "size $size"
            false
        }
    done
}

@test "lines of every awkward length arrive byte for byte" {
    fifo-make box
    for size in 0 1 4079 4080 4094 4095 4096 65535 65536; do
        {
            head -c "$size" /dev/zero | tr '\0' x
            echo
        } >sent
        arrives sent || {
            echo "line of $size and a newline"
            false
        }
    done
}

@test "a message of 32 MiB arrives byte for byte" {
    fifo-make box
    head -c $((32 << 20)) /dev/urandom >sent
    arrives sent
}

@test "a message of 80 MiB arrives byte for byte" {
    fifo-make box
    head -c $((80 << 20)) /dev/zero >sent
    echo tail >>sent
    arrives sent
}

@test "bytes that look like something else arrive as they are" {
    fifo-make box
    local -a awkward=('\0' '\0\n' '\377' '\377\n' '\377fm' '\377fm\001R' 'a\377fm\001R\n' 'no newline' '\n' '\n\n\n'
        'a\nb' 'a\nb\n' '\nx' 'x\0y\n' '\377\376\375\n' ' \t\r\n' '\303\251\n' '\377fm\001R\0\020\0\024\0\0\0\0\0\0\0four')
    for bytes in "${awkward[@]}"; do
        # shellcheck disable=SC2059
        printf "$bytes" >sent
        arrives sent || {
            echo "bytes $bytes"
            false
        }
    done
}

@test "a whole record as the content of a line is not taken for a record" {
    fifo-make box
    start sender fifo-send box "$(printf 'before\377fm\001R\001\020')after"
    within fifo-recv box >received
    ended_with 0 sender
    printf 'before\377fm\001R\001\020after\n' | cmp - received
}

@test "each operand is a message with a newline, and -N leaves it off" {
    fifo-make box
    start sender fifo-send box one 'two words' ''
    run -0 within bash -c 'for i in 1 2 3; do fifo-recv box | od -An -c; done'
    assert_line --index 0 --regexp '^ *o +n +e +\\n$'
    assert_line --index 2 --regexp '^ *\\n$'
    ended_with 0 sender
    start bare fifo-send -N box one two
    within fifo-recv -c 2 box >received
    ended_with 0 bare
    printf onetwo | cmp - received
}

@test "a message that begins with a dash is one after --" {
    fifo-make box
    start sender fifo-send box -- -n
    run -0 within fifo-recv box
    assert_output -- -n
    ended_with 0 sender
}

@test "an operand longer than a frame arrives whole" {
    fifo-make box
    long=$(head -c 100000 /dev/zero | tr '\0' y)
    start sender fifo-send box "$long"
    within fifo-recv box >received
    ended_with 0 sender
    printf '%s\n' "$long" | cmp - received
}

@test "three receivers on three waiting senders yield each message once, and not a byte of the next" {
    fifo-make box
    for i in 1 2 3; do
        start "sender$i" fifo-send box "message $i"
        waits "sender$i"
    done
    for i in 1 2 3; do
        within fifo-recv box >"got$i"
        [ "$(wc -l <"got$i")" = 1 ]
    done
    ended_with 0 sender1 sender2 sender3
    run -0 sort got1 got2 got3
    assert_output $'message 1\nmessage 2\nmessage 3'
}

@test "-l sends each line, exactly, and the last one without a newline stays without" {
    fifo-make box
    printf 'one\n\ntwo\nlast' >sent
    STDIN=sent start sender fifo-send -l box
    for want in 'one\n' '\n' 'two\n' 'last'; do
        within fifo-recv box >got
        # shellcheck disable=SC2059
        printf "$want" | cmp - got
    done
    ended_with 0 sender
}

@test "-l with long lines and many of them arrives in order" {
    fifo-make box
    for i in {1..300}; do
        printf '%0*d\n' $((i * i % 9000 + 1)) "$i"
    done >sent
    STDIN=sent start sender fifo-send -l box
    within fifo-recv -c 300 box >got
    ended_with 0 sender
    cmp sent got
}

@test "-l -N leaves the newlines out" {
    fifo-make box
    printf 'one\ntwo\n' >sent
    STDIN=sent start sender fifo-send -lN box
    within fifo-recv -c 2 box >got
    ended_with 0 sender
    printf onetwo | cmp - got
}

@test "-0 at both ends gives back the items, newlines inside them and all" {
    fifo-make box
    printf 'plain\0with\nnewline\0\0ends\n\0last' >sent
    STDIN=sent start sender fifo-send -0 box
    within fifo-recv -0 -c 5 box >got
    ended_with 0 sender
    printf 'plain\0with\nnewline\0\0ends\n\0last\0' | cmp - got
}

@test "-0 to a receiver without it gives lines" {
    fifo-make box
    printf 'a\0b\0' >sent
    STDIN=sent start sender fifo-send -0 box
    run -0 within fifo-recv -c 2 box
    assert_output $'a\nb'
    ended_with 0 sender
}

@test "empty input: one empty message, but no lines, items or blocks" {
    fifo-make box
    start sender fifo-send box
    run -0 within fifo-recv box
    assert_output ''
    ended_with 0 sender
    for option in -l -0 -s4; do
        run -0 within fifo-send "$option" box </dev/null
    done
}

@test "-s at both ends: messages of fixed size with any bytes and no framing" {
    fifo-make box
    head -c 4096 /dev/urandom >sent
    STDIN=sent start sender fifo-send -s 512 box
    for i in {0..7}; do
        within fifo-recv -s 512 box >>got
        [ "$(stat -c %s got)" = $(((i + 1) * 512)) ]
    done
    ended_with 0 sender
    cmp sent got
}

@test "-s 4096 is the most, and works" {
    fifo-make box
    head -c 8192 /dev/urandom >sent
    STDIN=sent start sender fifo-send -s 4096 box
    within fifo-recv -s 4096 -c 2 box >got
    ended_with 0 sender
    cmp sent got
}

@test "-s: input that ends inside a message is an error after the whole ones were sent" {
    fifo-make box
    printf abcdef >sent
    STDIN=sent start sender fifo-send -s 4 box
    run -0 within fifo-recv -s 4 box
    assert_output abcd
    ended_with 2 sender
    run -1 within fifo-recv -q -n box
}

@test "-c counts, and takes no more" {
    fifo-make box
    seq 5 >sent
    STDIN=sent start sender fifo-send -l box
    run -0 within fifo-recv -c 3 box
    assert_output $'1\n2\n3'
    run -0 within fifo-recv -c 2 box
    assert_output $'4\n5'
    ended_with 0 sender
}

@test "--peek prints without taking" {
    fifo-make box
    start sender fifo-send box look
    run -0 within fifo-recv --peek box
    assert_output look
    run -0 within fifo-recv --peek box
    assert_output look
    run -0 within fifo-recv box
    assert_output look
    ended_with 0 sender
}

@test "-f prints message after message until the mailbox goes" {
    fifo-make box
    start follower fifo-recv -f box
    within fifo-send box one
    within fifo-send box two three
    within fifo-rm box
    ended_with 3 follower
    run -0 cat follower.out
    assert_output $'one\ntwo\nthree'
}

@test "-v tells what happened, -q nothing" {
    fifo-make box
    start sender fifo-send -v box one two
    run -0 --separate-stderr within fifo-recv -v -c 2 box
    assert_output $'one\ntwo'
    # shellcheck disable=SC2154
    [[ $stderr == *"'box': message of 4 bytes"* ]]
    ended_with 0 sender
    run -0 cat sender.err
    assert_output --partial "'box': 2 taken"
    run -124 --separate-stderr within fifo-send -q -t 10ms box nobody
    [ -z "$stderr" ]
}

@test "with several messages the status is the first failure's, and -v says how many went before" {
    fifo-make box
    start sender fifo-send -v -t 3 box one two three
    within fifo-recv -c 2 box
    ended_with 124 sender
    run -0 cat sender.err
    assert_output --partial '2 taken before the one that failed'
}

@test "process substitution: what is read between two looks was taken" {
    run -0 within bash -c 'strace -o trace -e trace=poll -e inject=poll:delay_enter=600000 \
        fifo-send >(sleep 0.3; head -n1 >got) hello; status=$?; wait $!; exit $status'
    assert_equal "$(cat got)" hello
}
