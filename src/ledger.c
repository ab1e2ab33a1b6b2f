#include "ledger.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC   UINT64_C(0x0a65756575714646) /* "FFqueue\n" where the low byte comes first */
#define VERSION 1
#define RETRIES 1000

/* Each part is checked with a seed of its own, so that none can be taken for another. */
static uint64_t config_check(const struct config *config)
{
    return XXH3_64bits_withSeed(config, offsetof(struct config, check), 1);
}

static uint64_t stored_check(const struct ledger *ledger)
{
    return XXH3_64bits_withSeed(&ledger->stored, offsetof(struct stored, check), ledger->config.id + 2);
}

static uint64_t taken_check(const struct ledger *ledger)
{
    return XXH3_64bits_withSeed(&ledger->taken, offsetof(struct taken, check), ledger->config.id + 3);
}

static uint64_t synced_check(const struct ledger *ledger)
{
    return XXH3_64bits_withSeed(&ledger->synced, offsetof(struct synced, check), ledger->config.id + 4);
}

static uint64_t generation_check(const struct log_header *header)
{
    return XXH3_64bits_withSeed(&header->generation, sizeof header->generation, header->config.id + 5);
}

bool ledger_configure(struct config *config)
{
    config->magic = MAGIC;
    config->version = VERSION;
    if (getrandom(&config->id, sizeof config->id, 0) != (ssize_t)sizeof config->id) {
        return false;
    }
    config->check = config_check(config);
    return true;
}

bool ledger_is_config(const struct config *config)
{
    return config->magic == MAGIC && config->version == VERSION && config->check == config_check(config);
}

bool ledger_read_config(int fd, struct config *config)
{
    return pread(fd, config, sizeof *config, 0) == (ssize_t)sizeof *config && ledger_is_config(config);
}

struct log_header ledger_header(const struct config *config, uint64_t generation)
{
    struct log_header header = {.config = *config, .generation = generation};

    header.check = generation_check(&header);
    return header;
}

bool ledger_write_header(int fd, const struct config *config, uint64_t generation)
{
    struct log_header header = ledger_header(config, generation);
    ssize_t written = pwrite(fd, &header, sizeof header, 0);

    if (written >= 0 && written != (ssize_t)sizeof header) {
        errno = ENOSPC;
    }
    return written == (ssize_t)sizeof header;
}

bool ledger_has_generation(const struct log_header *header)
{
    return header->check == generation_check(header);
}

unsigned ledger_read(int fd, struct ledger *ledger, unsigned wanted)
{
    unsigned good = 0;

    for (int tries = 0; tries < RETRIES && (good & wanted) != wanted; tries++) {
        if (tries > 0) {
            sched_yield();
        }
        ssize_t got = pread(fd, ledger, sizeof *ledger, 0);
        if (got != (ssize_t)sizeof *ledger) {
            return 0;
        }
        good = (ledger_is_config(&ledger->config) ? LEDGER_CONFIG : 0U) |
               (ledger->stored.check == stored_check(ledger) ? LEDGER_STORED : 0U) |
               (ledger->taken.check == taken_check(ledger) ? LEDGER_TAKEN : 0U) |
               (ledger->synced.check == synced_check(ledger) ? LEDGER_SYNCED : 0U);
    }
    return good & wanted;
}

static bool write_at(int fd, const struct ledger *ledger, size_t from, size_t to)
{
    ssize_t written = pwrite(fd, (const unsigned char *)ledger + from, to - from, (off_t)from);

    if (written >= 0 && written != (ssize_t)(to - from)) {
        errno = EIO;
    }
    return written == (ssize_t)(to - from);
}

void ledger_seal(struct ledger *ledger)
{
    ledger->stored.check = stored_check(ledger);
    ledger->taken.check = taken_check(ledger);
    ledger->synced.check = synced_check(ledger);
}

bool ledger_write(int fd, struct ledger *ledger, unsigned parts)
{
    static const struct {
        unsigned part;
        size_t from;
        size_t to;
    } places[] = {
        {LEDGER_CONFIG, 0, offsetof(struct ledger, stored)},
        {LEDGER_STORED, offsetof(struct ledger, stored), offsetof(struct ledger, reserved2)},
        {LEDGER_TAKEN, offsetof(struct ledger, taken), offsetof(struct ledger, reserved3)},
        {LEDGER_SYNCED, offsetof(struct ledger, synced), sizeof(struct ledger)},
    };

    ledger_seal(ledger);
    if (parts == LEDGER_ALL) {
        return write_at(fd, ledger, 0, sizeof *ledger);
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if ((parts & places[i].part) && !write_at(fd, ledger, places[i].from, places[i].to)) {
            return false;
        }
    }
    return true;
}

uint64_t ledger_waiting(const struct ledger *ledger)
{
    return ledger->stored.count > ledger->taken.count ? ledger->stored.count - ledger->taken.count : 0;
}
