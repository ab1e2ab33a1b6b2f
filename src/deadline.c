#include "deadline.h"

#include <ctype.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

int64_t deadline_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* Nanoseconds in the unit that `suffix` names, 0 for no unit of ours. */
static int64_t unit(const char *suffix)
{
    static const struct {
        const char *name;
        int64_t span;
    } units[] = {
        {"", SECOND}, {"s", SECOND}, {"ms", SECOND / 1000}, {"m", 60 * SECOND}, {"h", 3600 * SECOND}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(suffix, units[i].name) == 0) {
            return units[i].span;
        }
    }
    return 0;
}

bool deadline_parse(const char *text, int64_t *span)
{
    /* Far more than anyone waits, and far enough from overflow that now + span cannot wrap. */
    const long double limit = 4e18L;
    long double value = 0;
    long double place = 1;
    bool digits = false;

    for (; isdigit((unsigned char)*text); text++, digits = true) {
        value = value * 10 + (*text - '0');
    }
    if (*text == '.') {
        for (text++; isdigit((unsigned char)*text); text++, digits = true) {
            place /= 10;
            value += place * (*text - '0');
        }
    }
    int64_t scale = unit(text);
    if (!digits || scale == 0) {
        return false;
    }
    value *= (long double)scale;
    /* A span above zero stays above zero: -t 0.0000000001 is a wait, if a short one, and not -n. */
    *span = value >= limit ? (int64_t)limit : value > 0 && value < 1 ? 1 : (int64_t)value;
    return true;
}

deadline deadline_in(int64_t span)
{
    return span == DEADLINE_NEVER ? DEADLINE_NEVER : deadline_now() + span;
}

bool deadline_left(deadline d, struct timespec *left)
{
    int64_t rest = d - deadline_now();

    if (rest <= 0) {
        *left = (struct timespec){0};
        return false;
    }
    *left = (struct timespec){.tv_sec = rest / SECOND, .tv_nsec = rest % SECOND};
    return true;
}

bool deadline_passed(deadline d)
{
    struct timespec left;
    return d != DEADLINE_NEVER && !deadline_left(d, &left);
}
