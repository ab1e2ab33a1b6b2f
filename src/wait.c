#include "wait.h"

#include "descriptor.h"
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGTERM};
#define ENDING (sizeof ending / sizeof *ending)
/* The deadline's own signal: SIGALRM belongs to whoever started us, perhaps with an alarm(2) of theirs. */
#define SIGDEADLINE (SIGRTMIN + 5)

#define REPEAT MILLISECONDS(10)
#define WISHES 2

static sigset_t entry_mask; /* the mask at start */
static sigset_t awaited;    /* what wait_event() takes */
static sigset_t own_mask;   /* the mask between two calls, since wait_begin() */
static bool begun;
static bool entered; /* entry_mask is known */
static int signal_seen;
static sigjmp_buf escape;
static volatile sig_atomic_t may_jump;  /* inside wait_call() */
static volatile sig_atomic_t ends_wait; /* and there a signal that asks us to end ends just the call */
static volatile unsigned names;         /* of SIGURG so far; whoever counts has the signal blocked */

void wait_block_failures(void)
{
    sigset_t failures;

    sigemptyset(&failures);
    sigaddset(&failures, SIGPIPE);
    sigaddset(&failures, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &failures, &entry_mask);
    entered = true;
}

void wait_begin(void)
{
    sigset_t blocked;

    if (begun) {
        return;
    }
    begun = true;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGIO);
    sigaddset(&awaited, SIGURG);
    sigaddset(&awaited, SIGCHLD);
    for (size_t i = 0; i < ENDING; i++) {
        sigaddset(&awaited, ending[i]);
    }
    blocked = awaited;
    sigaddset(&blocked, SIGPIPE);
    sigaddset(&blocked, SIGXFSZ);
    sigaddset(&blocked, SIGDEADLINE);
    sigprocmask(SIG_BLOCK, &blocked, entered ? NULL : &entry_mask);
    sigorset(&own_mask, &entry_mask, &blocked);
    for (size_t i = 0; i < ENDING; i++) {
        if (sigismember(&entry_mask, ending[i]) == 1) {
            sigdelset(&awaited, ending[i]);
        }
    }
}

void wait_mortal(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ENDING; i++) {
        if (sigismember(&awaited, ending[i]) == 1) {
            sigaddset(&set, ending[i]);
            sigdelset(&awaited, ending[i]);
            sigdelset(&own_mask, ending[i]);
        }
    }
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

const sigset_t *wait_entry_mask(void)
{
    return &entry_mask;
}

unsigned wait_names(void)
{
    return names;
}

int wait_signal(void)
{
    return signal_seen;
}

/* Blocked signals are queued even when their disposition is to be ignored (nohup, `&` in sh). */
static bool ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Takes one signal of `set`. */
static enum wake wait_for(const sigset_t *set, deadline until)
{
    for (;;) {
        struct timespec left;
        bool forever = until == DEADLINE_NEVER;

        /* Past the deadline one look at what is pending is still due: left is zero then. */
        if (!forever) {
            deadline_left(until, &left);
        }
        int number = sigtimedwait(set, NULL, forever ? NULL : &left);
        switch (number) {
        case -1:
            if (errno == EAGAIN && deadline_passed(until)) {
                return WAKE_DEADLINE;
            }
            break; /* EINTR: stopped and continued */
        case SIGIO:
        case SIGCHLD:
            /* Events may come faster than we can look at them; the deadline holds all the same. */
            return deadline_passed(until) ? WAKE_DEADLINE : WAKE_EVENT;
        case SIGURG:
            names++;
            return WAKE_NAME;
        default:
            if (!ignored(number)) {
                signal_seen = number;
                return WAKE_SIGNAL;
            }
        }
    }
}

enum wake wait_event(deadline until)
{
    /* A request to end stays one, whichever of several waits it came to. */
    return signal_seen != 0 ? WAKE_SIGNAL : wait_for(&awaited, until);
}

enum wake wait_pending(void)
{
    const struct timespec none = {0};
    sigset_t set = awaited;

    sigdelset(&set, SIGIO);
    sigdelset(&set, SIGCHLD);
    int number = signal_seen != 0 ? -1 : sigtimedwait(&set, NULL, &none);
    if (number == SIGURG) {
        names++;
        return WAKE_NAME;
    }
    if (number > 0 && !ignored(number)) {
        signal_seen = number;
    }
    return signal_seen != 0 ? WAKE_SIGNAL : WAKE_EVENT;
}

bool wait_forget_events(void)
{
    const struct timespec none = {0};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    bool any = false;
    while (sigtimedwait(&set, NULL, &none) == SIGIO) {
        any = true;
    }
    return any;
}

enum wake wait_child(deadline until)
{
    sigset_t set = awaited;

    sigdelset(&set, SIGIO);
    sigdelset(&set, SIGURG);
    return wait_for(&set, until);
}

/*
 * A handler that only set a flag would leave a gap between the last look at the flag and the entry into
 * the system call, where the one signal there will ever be is lost and the call blocks for ever. Jumping
 * out closes it: whenever the signal comes, from the moment it is unblocked, we do not stay in the call.
 * Only plain system calls run in between, so nothing is left half done that could not be jumped out of.
 */
static void jump(int number, siginfo_t *info, void *context)
{
    (void)context;
    names += number == SIGURG;
    /* Whoever else sends our signals may not make us leave a call that has had its effect. */
    if (may_jump && (number != SIGDEADLINE || info->si_code == SI_TIMER)) {
        may_jump = 0;
        siglongjmp(escape, number);
    }
}

static void (*last_wishes[WISHES])(void);

/*
 * For the signals that end a process: leaves a call that may be left for them, or tidies up and dies. What is
 * deleted then may be watched, and raises SIGURG: nobody may jump out of here.
 */
static void end_by(int number)
{
    if (ends_wait) {
        ends_wait = may_jump = 0;
        signal_seen = number;
        siglongjmp(escape, number);
    }
    may_jump = 0;
    for (size_t i = 0; i < WISHES && last_wishes[i] != NULL; i++) {
        last_wishes[i]();
    }
    signal(number, SIG_DFL);
    raise(number); /* takes effect when we return: until then it is blocked */
}

static void catch_endings(void)
{
    static bool caught;
    struct sigaction action = {.sa_handler = end_by, .sa_flags = SA_RESTART};

    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < ENDING && !caught; i++) {
        if (!ignored(ending[i])) {
            sigaction(ending[i], &action, NULL);
        }
    }
    caught = true;
}

void wait_tidily(void (*tidy_up)(void))
{
    size_t at = 0;

    while (at + 1 < WISHES && last_wishes[at] != NULL && last_wishes[at] != tidy_up) {
        at++;
    }
    last_wishes[at] = tidy_up;
    catch_endings();
}

static void install_handlers(void)
{
    static bool installed;
    /* No SA_RESTART: where nobody jumps, that the call is interrupted is what the signal is for. */
    struct sigaction action = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};

    if (!installed) {
        sigemptyset(&action.sa_mask);
        sigaddset(&action.sa_mask, SIGDEADLINE);
        sigaddset(&action.sa_mask, SIGURG);
        sigaddset(&action.sa_mask, SIGIO);
        sigaction(SIGDEADLINE, &action, NULL);
        sigaction(SIGURG, &action, NULL);
        sigaction(SIGIO, &action, NULL);
        installed = true;
    }
}

/*
 * Rings SIGDEADLINE at the deadline and, with `again`, every so many nanoseconds from then on; not at all for
 * DEADLINE_NEVER. False and errno if there is no timer.
 */
static bool set_alarm(deadline until, long again)
{
    const struct timespec none = {0};
    sigset_t set;

    static timer_t timer;
    static bool made;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGDEADLINE};
    struct itimerspec when = {.it_interval.tv_nsec = again};

    if (!made && timer_create(CLOCK_MONOTONIC, &event, &timer) == -1) {
        return false;
    }
    made = true;
    if (until != DEADLINE_NEVER && !deadline_left(until, &when.it_value)) {
        when.it_value.tv_nsec = 1; /* zero would mean never */
    }
    bool done = timer_settime(timer, 0, &when, NULL) == 0;
    if (until == DEADLINE_NEVER) {
        /* One that rang after the call had returned is pending still, and not meant for the next call. */
        sigemptyset(&set);
        sigaddset(&set, SIGDEADLINE);
        while (sigtimedwait(&set, NULL, &none) == SIGDEADLINE) {
        }
    }
    return done;
}

/* The signals that a call is left for, besides the deadline's. */
static void open_for(sigset_t *mask, int flags)
{
    if (flags & WAIT_NAME) {
        sigdelset(mask, SIGURG);
    }
    if (flags & WAIT_EVENTS) {
        sigdelset(mask, SIGIO);
        catch_endings();
    }
    for (size_t i = 0; (flags & (WAIT_MORTAL | WAIT_EVENTS)) && i < ENDING; i++) {
        if (sigismember(&awaited, ending[i]) == 1) {
            sigdelset(mask, ending[i]);
        }
    }
}

static enum wake left_by(int number)
{
    switch (number) {
    case SIGURG:
        return WAKE_NAME;
    case SIGIO:
        return WAKE_EVENT;
    default:
        return number == SIGDEADLINE ? WAKE_DEADLINE : WAKE_SIGNAL;
    }
}

static enum wake make_call(long (*call)(void *), void *argument, long *result, deadline until, int flags)
{
    sigset_t open_mask;
    int saved_errno;

    if (!begun && until == DEADLINE_NEVER) {
        *result = call(argument);
        return WAKE_DONE;
    }
    wait_begin();
    install_handlers();
    open_mask = own_mask;
    sigdelset(&open_mask, SIGDEADLINE);
    open_for(&open_mask, flags);
    int number = sigsetjmp(escape, 0);
    if (number != 0) {
        sigprocmask(SIG_SETMASK, &own_mask, NULL);
        ends_wait = 0;
        (void)(until != DEADLINE_NEVER && set_alarm(DEADLINE_NEVER, 0));
        return left_by(number);
    }
    /* A signal that comes between two calls interrupts none, so where nobody jumps it has to come again. */
    if (until != DEADLINE_NEVER && !set_alarm(until, flags & WAIT_COUNTED ? REPEAT : 0)) {
        errno = errno == EAGAIN ? ENOMEM : errno; /* EAGAIN would be for the caller to wait, and ask again */
        *result = -1;
        return WAKE_DONE;
    }
    may_jump = !(flags & WAIT_COUNTED);
    ends_wait = (flags & WAIT_EVENTS) != 0;
    sigprocmask(SIG_SETMASK, &open_mask, NULL);
    *result = call(argument);
    saved_errno = errno;
    sigprocmask(SIG_SETMASK, &own_mask, NULL);
    may_jump = ends_wait = 0;
    if (until != DEADLINE_NEVER) {
        set_alarm(DEADLINE_NEVER, 0);
    }
    errno = saved_errno;
    return WAKE_DONE;
}

/* When wait_interrupt() will ring, and goes on ringing. */
static deadline interrupted = DEADLINE_NEVER;

bool wait_interrupt(deadline until)
{
    sigset_t set;

    if (until == DEADLINE_NEVER && interrupted == DEADLINE_NEVER) {
        return true;
    }
    interrupted = until;
    sigemptyset(&set);
    sigaddset(&set, SIGDEADLINE);
    if (until == DEADLINE_NEVER) {
        return sigprocmask(SIG_BLOCK, &set, NULL) == 0 && set_alarm(until, 0);
    }
    install_handlers();
    return set_alarm(until, REPEAT) && sigprocmask(SIG_UNBLOCK, &set, NULL) == 0;
}

enum wake wait_call(long (*call)(void *), void *argument, long *result, deadline until, int flags)
{
    deadline resumed = interrupted;

    wait_interrupt(DEADLINE_NEVER); /* there is one timer, and one signal */
    enum wake wake = make_call(call, argument, result, until, flags);
    int error = errno;
    wait_interrupt(resumed);
    errno = error;
    return wake;
}

static long poll_one(void *end)
{
    return poll(end, 1, -1);
}

enum wake wait_until_ready(int fd, short events, deadline until, int flags)
{
    struct pollfd end = {.fd = fd, .events = events};
    long result;

    return wait_call(poll_one, &end, &result, until, flags);
}

enum wake wait_poll(struct pollfd *ends, nfds_t count, deadline until)
{
    static sigset_t mask;
    static bool prepared;
    struct timespec left;

    if (!prepared) {
        install_handlers();
        sigprocmask(SIG_BLOCK, NULL, &mask);
        sigdelset(&mask, SIGURG);
        prepared = true;
    }
    if (until != DEADLINE_NEVER) {
        deadline_left(until, &left);
    }
    int ready = ppoll(ends, count, until == DEADLINE_NEVER ? NULL : &left, &mask);
    if (ready > 0) {
        return WAKE_EVENT;
    }
    return ready == 0 || deadline_passed(until) ? WAKE_DEADLINE : WAKE_NAME;
}

/* When there is no descriptor to be had for the signals, they are looked for this often. */
#define LOOK MILLISECONDS(20)

enum wake wait_ready(struct pollfd *end, deadline until)
{
    static int signals = -1;
    struct timespec left;

    if (signal_seen != 0) {
        return WAKE_SIGNAL;
    }
    if (signals == -1) {
        signals = descriptor_above_standard(signalfd(-1, &awaited, SFD_CLOEXEC | SFD_NONBLOCK));
    }
    struct pollfd ends[] = {*end, {.fd = signals, .events = POLLIN}};
    deadline soon = signals == -1 ? deadline_sooner(until, deadline_in(LOOK)) : until;
    if (soon != DEADLINE_NEVER) {
        deadline_left(soon, &left);
    }
    ppoll(ends, 2, soon == DEADLINE_NEVER ? NULL : &left, NULL);
    end->revents = ends[0].revents;
    enum wake wake = wait_for(&awaited, 0);
    if (wake != WAKE_DEADLINE) {
        return wake;
    }
    if (end->revents != 0) {
        return WAKE_DONE;
    }
    return deadline_passed(until) ? WAKE_DEADLINE : WAKE_EVENT;
}

static int arm(int fd)
{
    if (fcntl(fd, F_SETOWN, getpid()) == -1) {
        return -1;
    }
    return fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

int wait_arm(int fd)
{
    return arm(fd);
}

int wait_arm_name(int fd)
{
    return fcntl(fd, F_SETSIG, SIGURG) == -1 ? -1 : arm(fd);
}

void wait_die(int number)
{
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    /* Not reached: whoever sent it did not ignore it, and nobody here handles it. */
    _exit(STATUS_SIGNAL + number);
}
