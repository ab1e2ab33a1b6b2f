/* A model of messages in parts, for spin.  run.bash beside this file runs it.
 *
 * WHAT IS MODELLED
 *   Two senders with one message each (N0 and N1 parts), two receivers that
 *   go on for ever, and a raw writer, who knows nothing of locks and puts one
 *   line into the FIFO (RAWW).  The FIFO holds QCAP frames.
 *   The locks of the kernel: R (rendezvous), T (turn), H (hand), G (gather),
 *   and L, one for each try of a sender.  A sender has H and G as a write
 *   lock, a receiver as a read lock.
 *   Every system call is one step.  Between any two steps
 *     - a process may be killed.  The kernel frees its locks: T, which is a
 *       lock of another kind, before or after the others;
 *     - the deadline of a sender may have passed, wherever it waits;
 *     - a receiver may give up: at its deadline, or because it could not
 *       deliver (a COMMAND that fails, --peek).  The frame then stays.
 *   A look finds whether the own frame is in the pipe, and whether it is the
 *   first one there.
 *
 * WHAT IS ASSERTED
 *   - Status 0: the message was delivered.
 *   - Status 124: it was not delivered and never will be (what a receiver
 *     did that was killed does not count).
 *   - Status 4: since the deadline a receiver had H with the frame in front.
 *   - Only whole messages are delivered, with all parts from one try.
 *   - A message is delivered twice only if the first receiver was killed.
 *   - A sender begins again only after a receiver was killed or gave up.
 *   - Where nothing can move any more: each sender has ended, each receiver
 *     waits for a turn or for content, the pipe is empty, the raw line was
 *     delivered, and all locks but T are free.
 *
 * WHAT IS NOT MODELLED
 *   More processes, or several messages from one sender; the passing of
 *   time; raw lines that are torn; a reader who knows nothing of locks; two
 *   tries with the same id by chance, or a stranger who holds their lock; a
 *   pipe that loses its content with its last opener; looks that err; lengths.
 *
 * OPTIONS (-D)
 *   N0, N1  parts of the two messages (2, 2)
 *   QCAP    frames the pipe can hold (1)
 *   BIG     a sender writes into an empty pipe only, as with large frames
 *   RAWW    with a raw writer
 *   KILLS   0, 1: any process, 2: one sender and one receiver at most (1)
 *   GIVEUPS how often receivers may give up, together (0)
 *   WD      0: no deadlines, 1: one of the senders has one, 2: both may (1)
 *   NOTIDY  a sender that begins again never takes its old frame out
 *
 * DELIBERATE BREAKS (-D).  Each does one thing wrong, and must be found:
 *   EARLY     the last part is read before the message is delivered
 *   HLESS     the receiver has not got H while it delivers
 *   NOLLAST   no test of L at the last part
 *   GULATE    giving up after a delivery that succeeded
 *   MIX       any part is taken for the next one while gathering
 *   KEEP      a part that is not the next one is skipped while gathering
 *   NOTWAIT   part 2 or later, nothing gathered: skipped although L is held
 *   GLATE     the receiver takes G only when it has read part 1
 *   GEARLY    the receiver gives G back before it reads the last part
 *   LLATE     the sender takes L only when it has written the part
 *   SAMEID    the next try has the same id
 *   ARMLATE   the read signal is armed after the look
 *   HROOM     the sender holds H while it waits for room
 *   GFIRST    the sender waits for G while part 1 is still in the pipe
 *   NOLOOKG   it begins again without a look under G
 *   KEEPL     it begins again without giving the old L back
 *   NOH       deadline, last part written: 124 without H
 *   HBEFOREL  deadline, H obtained: H back first, then L
 *   LNOLOOK   deadline, H busy, frame not in front: L back, and no second look
 *   FRONT124  deadline, H busy: a frame in front is treated as one further back
 */
#ifndef N0
#define N0 2
#endif
#ifndef N1
#define N1 2
#endif
#ifndef QCAP
#define QCAP 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef GIVEUPS
#define GIVEUPS 0
#endif
#ifndef WD
#define WD 1
#endif

#define PARTS(s) (s == 0 -> N0 : N1)
#define RAW 2                   /* in the place of a sender: a raw line */

#ifdef BIG
#define ROOM empty(q)
#define NOROOM nempty(q)
#else
#define ROOM nfull(q)
#define NOROOM full(q)
#endif

#ifdef SAMEID
#define LBIT(t) 1
#else
#define LBIT(t) (1 << t)
#endif

/* of a sender */
#define RUNNING 0
#define ENDED 1                 /* with status 0 or 4 */
#define WITHDRAWN 2             /* with status 124 */

/* The pipe and the locks.  Processes: senders 0 and 1, receivers 2 and 3. */
chan q = [QCAP] of { byte, byte, byte };        /* sender or RAW, try, part */
byte R, T;                      /* 0: free; otherwise the holder + 1 */
byte H, G;                      /* a bit for each holder */
byte L[2];                      /* of each sender: a bit for each try */
bool signal;                    /* something was read, says the kernel to the sender with R */

byte try[2];                    /* the try each sender is at */

#define MINE (1 << me)
#define SENDERS 3
#define ALIVE(s, t) (L[s] & LBIT(t))
#ifdef MIX
#define NEXT true
#else
#define NEXT (s == gs && LBIT(t) == LBIT(gt) && k == gk + 1)
#endif

/* What may happen. */
bool deadline[2];               /* of a sender: may pass, once, at any wait */
bool may_give_up;
byte gave_up;
bool dead[4];

#define GIVES_UP (may_give_up && gave_up < GIVEUPS)

/* For the assertions only. */
byte status[2];
bool delivered[4];              /* [2 * sender + receiver - 2] */
bool idle[2];                   /* a receiver waits for its turn, or for content */
byte raw_lines;                 /* delivered */
byte due;                       /* 1: deadline passed, last part written; 2: and in hand since */

#define DELIVERED(s) (delivered[2 * s] || delivered[2 * s + 1])
#define DELIVERED_BY_LIVING(s) (delivered[2 * s] && !dead[2] || delivered[2 * s + 1] && !dead[3])
#define DUE_IN_FRONT q?[eval(R - 1), eval(try[R - 1]), eval(PARTS(R - 1))]

inline note_hand()
{
    if
    :: due == 1 && H > SENDERS ->
        if
        :: DUE_IN_FRONT -> due = 2
        :: !DUE_IN_FRONT
        fi
    :: else
    fi
}

/* ------------------------------------------------------------------------ */

inline read_front()
{
    q?_, _, _; signal = (R != 0); note_hand(); s = 0; t = 0; k = 0
}

inline deliver()
{
    d_step {
        assert(!mixed);
        assert(status[gs] != WITHDRAWN);
        assert(!DELIVERED_BY_LIVING(gs));
        delivered[2 * gs + me - 2] = 1
    }
}

inline forget()
{
    gs = 0; gt = 0; gk = 0; mixed = 0; over = 0
}

inline rest()
{
    forget(); s = 0; t = 0; k = 0; idle[me - 2] = 1
}

proctype Receiver(byte me)
{
    byte s, t, k;               /* the frame in front */
    byte gs, gt, gk;            /* gathered: parts 1 to gk of try gt of sender gs */
    bool mixed;
    bool over;                  /* the L of what is gathered was found free */
    {
    skip;
turn:
    atomic { T == 0 -> T = me + 1 }
content:
    if
    :: atomic { nempty(q) -> idle[me - 2] = 0 }
    :: atomic { GIVES_UP -> gave_up++; goto leave }
    fi;
hand:
    if
    :: atomic { !(H & SENDERS) -> H = H | MINE; note_hand() }
    :: atomic { GIVES_UP -> gave_up++; goto leave }
    fi;
look:
    atomic {
        if
        :: empty(q) -> goto nothing
        :: q?<s, t, k>
        fi;
        if
        :: s == RAW -> goto raw
        :: s != RAW && gk == 0 && k == 1 && k == PARTS(s) -> gs = s; gt = t; goto last
        :: s != RAW && gk == 0 && k == 1 && k < PARTS(s) -> goto first
        :: s != RAW && gk == 0 && k > 1 -> goto middle
        :: s != RAW && gk > 0 && NEXT ->
            mixed = mixed || s != gs || t != gt || k != gk + 1;
            if
            :: k < PARTS(s) -> goto next
            :: k == PARTS(s) -> goto last
            fi
        :: s != RAW && gk > 0 && !NEXT -> goto other
        fi
    }

other:                          /* than the next part, while gathering */
#ifdef KEEP
    atomic { read_front() }
    goto look;
#else
    atomic { forget(); G = G & ~MINE; goto look }
#endif

raw:
    if
    :: raw_lines++
    :: atomic { GIVES_UP -> gave_up++; goto leave }
    fi;
    atomic {
        read_front();
        if
        :: gk == 0 -> goto leave
        :: gk > 0
        fi
    }
    H = H & ~MINE;
    goto hand;

first:
    if
    :: ALIVE(s, t)
    :: atomic { !ALIVE(s, t) -> read_front(); goto leave }
    fi;
    if
#ifdef GLATE
    :: atomic { gs = s; gt = t; gk = 1; read_front() }
        H = H & ~MINE;
        atomic { !(G & SENDERS) -> G = G | MINE }
#else
    :: atomic { G & MINE -> gs = s; gt = t; gk = 1; read_front() }
        H = H & ~MINE
    :: atomic {
            !(G & MINE) -> s = 0; t = 0; k = 0; H = H & ~MINE
        }
        if
        :: atomic { !(G & SENDERS) -> G = G | MINE }
        :: atomic { GIVES_UP -> gave_up++; goto leave }
        fi
#endif
    fi;
    goto hand;                  /* and look again */

next:
    atomic { gk = k; over = 0; read_front() }
    H = H & ~MINE;
    goto hand;

last:                           /* of several, or the only one */
#ifndef NOLLAST
    if
    :: ALIVE(s, t)
    :: atomic { !ALIVE(s, t) -> read_front(); goto leave }
    fi;
#endif
#ifdef HLESS
    H = H & ~MINE;
#endif
#ifdef EARLY
    atomic { read_front() }
#endif
    if
    :: deliver()
    :: atomic { GIVES_UP -> gave_up++; goto leave }
    fi;
#ifdef GULATE
    if
    :: skip
    :: atomic { GIVES_UP -> gave_up++; goto leave }
    fi;
#endif
#ifdef HLESS
    atomic { !(H & SENDERS) -> H = H | MINE; note_hand() }
#endif
#ifdef GEARLY
    G = G & ~MINE;
#endif
#ifndef EARLY
    atomic { read_front() }
#endif
    goto leave;

middle:                         /* part 2 or later, and nothing gathered */
    if
    :: ALIVE(s, t)
    :: atomic { !ALIVE(s, t) -> read_front(); goto leave }
#ifdef NOTWAIT
    :: atomic { read_front(); goto leave }
#endif
    fi;
middle_leave:
    if
    :: atomic { H & MINE -> H = H & ~MINE; goto middle_leave }
    :: atomic { !(H & MINE) && (G & MINE) -> G = G & ~MINE; goto middle_leave }
    :: atomic { !(H & MINE) && !(G & MINE) -> T = 0 }
    fi;
    if
    :: atomic { !ALIVE(s, t) -> rest(); goto turn }
    :: atomic { GIVES_UP -> gave_up++; rest(); goto turn }
    fi;

nothing:
    H = H & ~MINE;
    if
    :: atomic { gk == 0 && !(G & MINE) -> idle[me - 2] = 1; goto content }
    :: atomic { gk == 0 && (G & MINE) || gk > 0 && over -> goto leave }
    :: gk > 0 && !over && nempty(q) -> goto hand
    :: atomic { gk > 0 && !over && !ALIVE(gs, gt) -> over = 1; goto hand }
    :: atomic { gk > 0 && !over && GIVES_UP -> gave_up++; goto leave }
    fi;

leave:
    if
    :: atomic { H & MINE -> H = H & ~MINE; goto leave }
    :: atomic { !(H & MINE) && (G & MINE) -> G = G & ~MINE; goto leave }
    :: atomic { !(H & MINE) && !(G & MINE) -> T = 0; rest(); goto turn }
    fi
    } unless { atomic { dead[me] -> forget(); s = 0; t = 0; k = 0 } }
}

/* ------------------------------------------------------------------------ */

#define IN_PIPE q??[eval(me), eval(try[me]), eval(k)]
#define IN_FRONT q?[eval(me), eval(try[me]), eval(k)]

inline status_0()
{
    d_step { assert(DELIVERED(me)); status[me] = ENDED }
}

inline status_124()
{
    d_step { assert(!DELIVERED_BY_LIVING(me)); status[me] = WITHDRAWN }
}

inline status_4()
{
    d_step { assert(due == 2); status[me] = ENDED }
}

inline forget_own()
{
    try[me] = 0; k = 0; written = 0; deadline[me] = 0
}

proctype Sender(byte me; byte n)
{
    byte k;                     /* the part */
    bool written;
    {
    if
    :: atomic { R == 0 -> R = me + 1 }
    :: atomic { deadline[me] -> deadline[me] = 0; status_124(); goto gone }
    fi;
again:
#ifdef LLATE
    k = 1;
#else
    atomic { L[me] = L[me] | LBIT(try[me]); k = 1 }
#endif
part:
#ifndef ARMLATE
    signal = 0;                 /* armed */
#endif
write:
    if
    :: atomic { H == 0 -> H = MINE }
    :: deadline[me] -> goto withdraw
    fi;
    if
    :: atomic { ROOM -> q!me, try[me], k; written = 1 }
#ifndef HROOM
    :: atomic { NOROOM -> H = 0 }
        if
        :: ROOM -> goto write
        :: deadline[me] -> goto withdraw
        fi
#endif
    fi;
    H = 0;
#ifdef LLATE
    L[me] = L[me] | LBIT(try[me]);
#endif

look:
    if
    :: IN_PIPE
    :: atomic { !IN_PIPE && k < n -> k++; written = 0; goto part }
    :: atomic { !IN_PIPE && k == n -> status_0(); goto finish }
    fi;
#ifdef ARMLATE
    signal = 0;
#endif
    if
    :: atomic { signal -> signal = 0; goto look }
#ifdef GFIRST
    :: atomic { n > 1 && G == 0 -> G = MINE }
#else
    :: atomic { k > 1 && G == 0 -> G = MINE }   /* part 1 is gone: one part at a time */
#endif
    :: deadline[me] -> goto withdraw
    fi;

    /* With G: the receiver of this try has gone. */
#ifndef NOLOOKG
    if
    :: atomic { !IN_PIPE && k == n -> status_0(); goto finish }
    :: k < n || IN_PIPE
    fi;
#endif
#ifndef KEEPL
    L[me] = 0;
#endif
    atomic { G = 0; written = 0 }
#ifndef NOTIDY
    if
    :: skip
    :: atomic { H == 0 -> H = MINE }
        if
        :: atomic { IN_FRONT -> q?_, _, _; signal = 1 }
        :: !IN_FRONT
        fi;
        H = 0
    :: deadline[me] -> goto withdraw
    fi;
#endif
    atomic { try[me]++; assert(try[me] <= dead[2] + dead[3] + gave_up); goto again }

withdraw:
    atomic {
        deadline[me] = 0;
        if
        :: k < n || !written -> status_124(); goto finish
        :: k == n && written -> due = 1; note_hand()
        fi
    }
#ifdef NOH
    if
    :: atomic { !IN_PIPE -> status_0(); goto finish }
    :: IN_PIPE -> L[me] = 0; status_124(); goto finish
    fi;
#endif
    if
    :: atomic { H == 0 -> H = MINE }
        if
        :: atomic { !IN_PIPE -> status_0(); goto finish }
        :: IN_PIPE
        fi;
#ifdef HBEFOREL
        H = 0;
#endif
        atomic { L[me] = 0; status_124(); goto finish }
    :: H != 0 ->
        if
        :: atomic { !IN_PIPE -> status_0(); goto finish }
#ifdef FRONT124
        :: IN_PIPE
#else
        :: atomic { IN_FRONT -> status_4(); goto finish }
        :: IN_PIPE && !IN_FRONT
#endif
        fi;
        L[me] = 0;
        if
#ifdef LNOLOOK
        :: atomic { status_124(); goto finish }
#elif defined(FRONT124)
        :: atomic { IN_PIPE -> status_124(); goto finish }
        :: atomic { !IN_PIPE -> status_4(); goto finish }
#else
        :: atomic { IN_PIPE && !IN_FRONT -> status_124(); goto finish }
        :: atomic { IN_FRONT || !IN_PIPE -> status_4(); goto finish }
#endif
        fi
    fi;

finish:                         /* H or G, then L, then R */
    if
    :: atomic { H & MINE -> H = 0; goto finish }
    :: atomic { G & MINE -> G = 0; goto finish }
    :: atomic { !((H | G) & MINE) && L[me] -> L[me] = 0; goto finish }
    :: atomic { !((H | G) & MINE) && !L[me] -> R = 0; signal = 0; due = 0; forget_own() }
    fi;
gone:
    skip
    } unless { atomic { dead[me] -> forget_own() } }
}

/* ------------------------------------------------------------------------ */

proctype RawWriter()
{
    atomic { nfull(q) -> q!RAW, 0, 0 }
}

inline free_turn(v)
{
    if
    :: T == v + 1 -> T = 0
    :: else
    fi
}

inline free_others(v)
{
    if
    :: R == v + 1 -> R = 0; signal = 0; due = 0
    :: else
    fi;
    H = H & ~(1 << v);
    G = G & ~(1 << v)
}

proctype Killer(bool senders, receivers)
{
    if
    :: atomic { senders && status[0] == RUNNING -> dead[0] = 1; L[0] = 0; free_others(0) }
    :: atomic { senders && status[1] == RUNNING -> dead[1] = 1; L[1] = 0; free_others(1) }
    /* The receivers are alike. */
    :: atomic { receivers -> dead[2] = 1; idle[0] = 0; free_others(2) }
        atomic { free_turn(2) }
    :: atomic { receivers -> dead[2] = 1; idle[0] = 0; free_turn(2) }
        atomic { free_others(2) }
    fi
}

init {
    atomic {
        idle[0] = 1;
        idle[1] = 1;
        /* Also without each of these, so that a wait that ends by nothing else is found. */
        if
        :: skip
        :: GIVEUPS > 0 -> may_give_up = 1
        fi;
        if
        :: skip
        :: WD > 0 -> deadline[0] = 1
        :: WD > 0 -> deadline[1] = 1
        :: WD > 1 -> deadline[0] = 1; deadline[1] = 1
        fi;
        run Receiver(2);
        run Receiver(3);
        run Sender(0, N0);
        run Sender(1, N1);
#ifdef RAWW
        run RawWriter();
#endif
        if
        :: skip
        :: KILLS == 1 -> run Killer(1, 1)
        :: KILLS == 2 -> run Killer(1, 0)
        :: KILLS == 2 -> run Killer(0, 1)
        :: KILLS == 2 -> run Killer(1, 0); run Killer(0, 1)
        fi
    }
    timeout ->                  /* nothing can move */
    assert(dead[0] || status[0] != RUNNING);
    assert(dead[1] || status[1] != RUNNING);
    assert(dead[2] || idle[0]);
    assert(dead[3] || idle[1]);
    assert(empty(q));
    assert(R == 0 && H == 0 && G == 0 && L[0] == 0 && L[1] == 0);
#ifdef RAWW
    assert(raw_lines == 1 || raw_lines == 2 && dead[2])
#endif
}
