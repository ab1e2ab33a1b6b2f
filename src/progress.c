#include "progress.h"

#include "deadline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define INTERVAL    MILLISECONDS(250)
#define WINDOW      11 /* samples: the rate is that of the last 2.5 seconds */
#define WIPE        "\r\033[K"
#define WIPE_WAIT   1000 /* ms for a terminal to take it */
#define LEAVE_LIMIT 2    /* seconds */
#define LONGEST     (9999 * UINT64_C(3600))
#define TEXT_SIZE   208 /* of a line: the fields below, each as long as it can get */
#define FIELD_SIZE  48
#define WIDTH       80 /* of a terminal that does not say */

/* Where the counters stood `ms` milliseconds after the start. */
struct sample {
    uint64_t ms;
    uint64_t bytes;
    uint64_t messages;
    uint64_t begun;
};

struct meter {
    enum progress_unit unit;
    uint64_t total;               /* bytes there are; 0 if that is not known */
    struct sample window[WINDOW]; /* a ring; the first sample is the start, all zero */
    size_t taken;                 /* samples there have been */
};

/* --- the text, from memory to memory ------------------------------------------------------------------- */

/* value * by / per, which may be 0, and saturated at UINT64_MAX. Exact enough to be shown. */
static uint64_t scale(uint64_t value, uint64_t by, uint64_t per)
{
    double result = per == 0 ? 0 : (double)value * (double)by / (double)per;
    return result < 0x1p64 ? (uint64_t)result : UINT64_MAX;
}

/* Three digits or four and a unit, rounded down: 1023 B, 1.00 KiB, 12.5 MiB, 512 GiB. */
static void format_bytes(char *field, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;

    while (unit + 1 < sizeof units / sizeof *units && bytes >> 10 * unit >= 1024) {
        unit++;
    }
    unsigned whole = (unsigned)(bytes >> 10 * unit);
    unsigned rest = unit == 0 ? 0 : (unsigned)(bytes >> 10 * (unit - 1)) % 1024;
    if (unit == 0 || whole >= 100) {
        snprintf(field, FIELD_SIZE / 2, "%u %s", whole, units[unit]);
    } else if (whole >= 10) {
        snprintf(field, FIELD_SIZE / 2, "%u.%u %s", whole, rest * 10 / 1024, units[unit]);
    } else {
        snprintf(field, FIELD_SIZE / 2, "%u.%02u %s", whole, rest * 100 / 1024, units[unit]);
    }
}

/* m:ss, or h:mm:ss when it is long, or -:-- when it is too long to be true. */
static void format_time(char *field, uint64_t seconds)
{
    unsigned s = (unsigned)(seconds % 60);
    unsigned m = (unsigned)(seconds / 60 % 60);

    if (seconds > LONGEST) {
        snprintf(field, FIELD_SIZE, "-:--");
    } else if (seconds >= 3600) {
        snprintf(field, FIELD_SIZE, "%u:%02u:%02u", (unsigned)(seconds / 3600), m, s);
    } else {
        snprintf(field, FIELD_SIZE, "%u:%02u", m, s);
    }
}

static void format_amount(char *amount, char *rate, const struct meter *meter, const struct sample *new,
                          const struct sample *old)
{
    uint64_t ms = new->ms - old->ms;

    if (meter->unit == PROGRESS_BYTES) {
        format_bytes(amount, new->bytes);
        format_bytes(rate, scale(new->bytes - old->bytes, 1000, ms));
        return;
    }
    if (new->begun > 0) {
        /* In a message so long that its bytes are what one wants to see. */
        char bytes[FIELD_SIZE / 2];
        format_bytes(bytes, new->begun);
        snprintf(amount, FIELD_SIZE, "%llu + %s", (unsigned long long)new->messages, bytes);
        format_bytes(rate, new->bytes > old->bytes ? scale(new->bytes - old->bytes, 1000, ms) : 0);
        return;
    }
    uint64_t tenths = scale(new->messages - old->messages, 10000, ms);
    snprintf(amount, FIELD_SIZE, "%llu message%s", (unsigned long long)new->messages,
             new->messages == 1 ? "" : "s");
    if (tenths > 0 && tenths < 100) {
        snprintf(rate, FIELD_SIZE, "%u.%u", (unsigned)tenths / 10, (unsigned)tenths % 10);
    } else {
        snprintf(rate, FIELD_SIZE, "%llu", (unsigned long long)tenths / 10);
    }
}

/* The line, in the TEXT_SIZE bytes at `text`. Returns its length. */
static size_t format_line(char *text, const struct meter *meter)
{
    const struct sample *new = &meter->window[(meter->taken - 1) % WINDOW];
    const struct sample *old = &meter->window[meter->taken > WINDOW ? meter->taken % WINDOW : 0];
    char amount[FIELD_SIZE], rate[FIELD_SIZE], left[FIELD_SIZE];
    int length;

    format_amount(amount, rate, meter, new, old);
    if (meter->total == 0) {
        length = snprintf(text, TEXT_SIZE, "%s  %s/s", amount, rate);
    } else {
        /* A file may have grown since. */
        uint64_t done = new->bytes < meter->total ? new->bytes : meter->total;
        uint64_t ms = scale(meter->total - done, new->ms, done);
        format_time(left, done == 0 ? UINT64_MAX : ms / 1000 + (ms % 1000 > 0));
        length = snprintf(text, TEXT_SIZE, "%s  %s/s  %u %%  %s left", amount, rate,
                          (unsigned)scale(done, 100, meter->total), left);
    }
    return (size_t)length;
}

/* --- the terminal, from both processes ----------------------------------------------------------------- */

/* Whether standard error, a terminal, is ours to draw on. One that is not our controlling one always is. */
static bool in_foreground(void)
{
    pid_t group = tcgetpgrp(STDERR_FILENO);
    return group == -1 || group == getpgrp();
}

/* Whether standard error takes something now, or within `ms` milliseconds; also true if it never will. */
static bool has_room(int ms)
{
    struct pollfd end = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&end, 1, ms) == 1;
}

/* Wipes what was drawn, unless the line is the shell's by now: its prompt is there. */
static void wipe(struct progress_page *page)
{
    if (atomic_load(&page->drawn) && has_room(WIPE_WAIT)) {
        atomic_store(&page->drawn, false);
        if (in_foreground()) {
            (void)!write(STDERR_FILENO, WIPE, sizeof WIPE - 1);
        }
    }
}

/* --- the painter --------------------------------------------------------------------------------------- */

/* For the handlers. */
static struct progress_page *painted;
static pid_t painter;
static pid_t painters_parent;

static void leave(int number)
{
    (void)number;
    /* poll(2) sees one byte of room, write(2) may find that it needs more: SIGALRM ends that. */
    alarm(LEAVE_LIMIT);
    wipe(painted);
    _exit(0);
}

/*
 * Whatever is not asked for here stays blocked: SIGPIPE, so that it is an error of write(2); SIGTSTP, or a
 * stopped painter would outlive us; SIGTTOU, which ends the race between in_foreground() and write(2) well;
 * and all that our parent has handlers for.
 */
static void set_signals(void)
{
    static const int ending[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    struct sigaction action = {.sa_handler = leave};
    struct sigaction old;
    sigset_t mask;

    sigfillset(&mask);
    sigfillset(&action.sa_mask);
    sigdelset(&action.sa_mask, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    sigdelset(&mask, SIGALRM);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        sigdelset(&mask, ending[i]);
        /* SIGTERM tells that our parent is dead, and is heard whoever ignores it. */
        if (ending[i] == SIGTERM || (sigaction(ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)) {
            sigaction(ending[i], &action, NULL);
        }
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

static void take_sample(struct meter *meter, deadline start)
{
    struct sample *sample = &meter->window[meter->taken++ % WINDOW];

    sample->ms = (uint64_t)((deadline_in(0) - start) / MILLISECONDS(1));
    sample->bytes = atomic_load_explicit(&painted->bytes, memory_order_relaxed);
    sample->messages = atomic_load_explicit(&painted->messages, memory_order_relaxed);
    sample->begun = atomic_load_explicit(&painted->begun, memory_order_relaxed);
}

/* Makes of the text what is written at once, in the `size` bytes at `drawing`. Returns its length. */
static size_t make_drawing(char *drawing, size_t size, const char *text, size_t length, bool terminal)
{
    struct winsize window;

    if (!terminal) {
        return (size_t)snprintf(drawing, size, "%s\n", text);
    }
    bool told = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    size_t width = told ? window.ws_col : WIDTH;
    /* The last column stays free: a cursor behind it is in the next line on some terminals. */
    int shown = (int)(length < width ? length : width - 1);
    return (size_t)snprintf(drawing, size, "\r%.*s\033[K", shown, text);
}

static void draw(const struct meter *meter, bool terminal)
{
    char text[TEXT_SIZE];
    char drawing[TEXT_SIZE + sizeof WIPE];
    size_t length = format_line(text, meter);

    if (terminal && !in_foreground()) {
        atomic_store(&painted->drawn, false); /* what was drawn is in a line that others went on from */
        return;
    }
    if (!has_room(0)) {
        return;
    }
    length = make_drawing(drawing, sizeof drawing, text, length, terminal);
    /* Before it is true: we may be killed at any moment. */
    atomic_store(&painted->drawn, terminal);
    if (write(STDERR_FILENO, drawing, length) == -1 && errno != EAGAIN) {
        _exit(0);
    }
}

_Noreturn static void paint(pid_t parent, enum progress_unit unit, uint64_t total, bool terminal)
{
    const struct timespec interval = {.tv_nsec = INTERVAL};
    struct meter meter = {.unit = unit, .total = total, .taken = 1};
    deadline start = deadline_in(0);

    set_signals();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(0); /* too late for that: it has happened */
    }
    prctl(PR_SET_NAME, "fifo-progress");
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    for (;;) {
        nanosleep(&interval, NULL);
        take_sample(&meter, start);
        draw(&meter, terminal);
    }
}

/* --- the parent ---------------------------------------------------------------------------------------- */

bool progress_parse(const char *text, enum progress_when *when)
{
    if (text == NULL || strcmp(text, "auto") == 0) {
        *when = PROGRESS_AUTO;
    } else if (strcmp(text, "always") == 0) {
        *when = PROGRESS_ALWAYS;
    } else if (strcmp(text, "never") == 0) {
        *when = PROGRESS_NEVER;
    } else {
        return false;
    }
    return true;
}

/* The bytes that `input` still has, 0 if that cannot be known. */
static uint64_t count_input(int input)
{
    struct stat status;

    if (fstat(input, &status) == -1 || !S_ISREG(status.st_mode)) {
        return 0;
    }
    off_t offset = lseek(input, 0, SEEK_CUR);
    return offset >= 0 && offset < status.st_size ? (uint64_t)(status.st_size - offset) : 0;
}

void progress_start(struct progress *progress, enum progress_when when, enum progress_unit unit, int input)
{
    *progress = (struct progress){0};
    if (when == PROGRESS_NEVER || fcntl(STDERR_FILENO, F_GETFD) == -1) {
        return;
    }
    progress->terminal = isatty(STDERR_FILENO) == 1;
    if (when == PROGRESS_AUTO && !progress->terminal) {
        return;
    }
    uint64_t total = count_input(input);
    struct progress_page *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    painted = page;
    const pid_t self = getpid();
    painters_parent = self;
    /*
     * fork(2) with no signal at the end, which fork(3) cannot say: a SIGCHLD of the painter would wake those
     * who wait for COMMAND's, and where SIGCHLD is ignored the kernel would reap the painter, and
     * progress_stop() might kill whoever had its pid next. All zero, the order of the arguments, which
     * depends on the machine, does not matter. The child calls nothing that fork(3) would have prepared.
     */
    painter = (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);
    if (painter == 0) {
        paint(self, unit, total, progress->terminal);
    }
    if (painter == -1) {
        painted = NULL;
        munmap(page, sizeof *page);
        return;
    }
    progress->page = page;
}

const char *progress_prefix(const struct progress *progress)
{
    return progress != NULL && progress->page != NULL && progress->terminal && in_foreground() ? WIPE : "";
}

/* The painter does the same when we die; but by then the shell may have the terminal back. */
void progress_tidy(void)
{
    /* Not in a child that is about to become COMMAND. */
    if (painted != NULL && getpid() == painters_parent) {
        kill(painter, SIGKILL);
        wipe(painted);
    }
}

void progress_stop(struct progress *progress)
{
    if (progress == NULL || progress->page == NULL) {
        return;
    }
    kill(painter, SIGKILL);
    while (waitpid(painter, NULL, __WALL) == -1 && errno == EINTR) {
    }
    wipe(progress->page);
    painted = NULL;
    munmap(progress->page, sizeof *progress->page);
    *progress = (struct progress){0};
}
