/*
 * deadline: one absolute point of monotonic time, set once and passed down to everything that waits.
 *
 * Stepping the wall clock does not move it, a stop and a continue (SIGSTOP, SIGCONT) do not restart
 * it. Nothing here blocks; no descriptor is held.
 */
#ifndef FIFO_DEADLINE_H
#define FIFO_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Nanoseconds of CLOCK_MONOTONIC; DEADLINE_NEVER means wait for ever. */
typedef int64_t deadline;
#define DEADLINE_NEVER INT64_MAX

#define MILLISECONDS(n) ((int64_t)(n)*1000000)

/*
 * Reads a span of time as -t takes it: decimal digits with an optional fraction, then nothing (seconds)
 * or ms, s, m, h. Stores nanoseconds in *span (saturating below DEADLINE_NEVER).
 * Returns false, and leaves *span alone, for anything else: signs, blanks, exponents, other suffixes.
 */
bool deadline_parse(const char *text, int64_t *span);

/* Nanoseconds of CLOCK_MONOTONIC, now. clock_gettime(2). */
int64_t deadline_now(void);

/* The moment `span` nanoseconds from now; DEADLINE_NEVER stays DEADLINE_NEVER. clock_gettime(2). */
deadline deadline_in(int64_t span);

/* The earlier of two deadlines. */
static inline deadline deadline_sooner(deadline a, deadline b)
{
    return a < b ? a : b;
}

/* Time left in *left, never negative. Returns false if the deadline has passed. Not for DEADLINE_NEVER. */
bool deadline_left(deadline d, struct timespec *left);

/* Whether the deadline has passed. */
bool deadline_passed(deadline d);

#endif
