"""A sender and a receiver of buffered mailboxes that know nothing but fifo-mailbox(5), and share no code with the
commands: what it says is enough.

    peer.py store BOX FILE...   stores each file as a message, all or none; 1: not room for so many
    peer.py take BOX [COUNT]    prints the oldest message that nobody has leased, and takes it; waits for it
    peer.py hold BOX            the same, but before it takes it, it reads a line: `take`, or it gives it back
    peer.py counts BOX          prints: stored, taken, synced

Nothing here repairs: a mailbox that is not in order is an error."""

import fcntl
import os
import signal
import struct
import sys
import time

from xxh3 import xxh3

MAGIC, RECORD, WAIT, DONE = 0x0A65756575714646, 0x46517231, 0x54494157, 0x454E4F44
GATE_TAKE, TAKE, STORE, SYNC = 0, 1, 2, 4
CHAIRS, SEATS = {"ready": 16, "space": 80}, 64
BASE = 1 << 62
STORED, TAKEN, SYNCED = 64, 128, 256
FORMATS = {STORED: ("=3Q", 2), TAKEN: ("=9Q", 3), SYNCED: ("=Q", 4)}


def expect(condition, what):
    if not condition:
        sys.exit("peer.py: " + what)


def lock(fd, kind, start, length, wait=False):
    """OFD locks. False: somebody else has it."""
    request = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, request)
    except BlockingIOError:
        return False
    return True


def locked(fd, start, length):
    """None, or where the lock of somebody else ends."""
    request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _, at, count, _ = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_OFD_GETLK, request))
    return None if kind == fcntl.F_UNLCK else at + count


class Mailbox:
    def __init__(self, path, bells):
        self.path = path
        self.log = os.open(path + "/queue", os.O_RDWR)
        self.state = os.open(path + "/.state", os.O_RDWR)
        self.bells = {name: os.open(f"{path}/{name}", os.O_RDONLY | os.O_NONBLOCK) for name in bells}
        magic, version, flags, self.capacity, self.id, check = struct.unpack("=QIIQQQ", os.pread(self.state, 40, 0))
        expect((magic, version) == (MAGIC, 1), "not a mailbox of this version")
        expect(check == xxh3(os.pread(self.log, 32, 0), 1), "the configuration is damaged")
        self.sync = flags & 1

    def part(self, at):
        form, seed = FORMATS[at]
        size = struct.calcsize(form)
        for _ in range(1000):
            data = os.pread(self.state, size + 8, at)
            if struct.unpack("=Q", data[size:])[0] == xxh3(data[:size], self.id + seed):
                return list(struct.unpack(form, data[:size]))
        sys.exit(f"peer.py: the part at {at} is damaged")

    def write_part(self, at, values):
        form, seed = FORMATS[at]
        data = struct.pack(form, *values)
        os.pwrite(self.state, data + struct.pack("=Q", xxh3(data, self.id + seed)), at)

    def check(self, under_store):
        """The ledger in order: (stored, taken)."""
        generation, check = struct.unpack("=QQ", os.pread(self.log, 16, 40))
        expect(check == xxh3(struct.pack("=Q", generation), self.id + 5), "the generation is damaged")
        stored, taken = self.part(STORED), self.part(TAKEN)
        head, fresh, punched, tail = taken[2], taken[3], taken[4], stored[2]
        size = os.fstat(self.log).st_size
        expect(os.fstat(self.log).st_nlink > 0, "removed")
        expect(stored[0] == taken[0] == generation, "the generations differ")
        expect(64 <= head <= fresh <= tail and punched <= head, "the places are not in order")
        expect(not (head | fresh | tail) % 16, "the places are not aligned")
        expect(taken[1] <= stored[1] <= BASE, "the counts are not in order")
        expect(taken[7] == 0 or under_store, "a run was not finished")
        expect(size == tail or (size > tail and not under_store), "the tail is not the size of the log")
        return stored, taken

    # --- bells

    def ring(self, name):
        if locked(self.log, BASE + CHAIRS[name], SEATS) is None:
            return
        try:
            fd = os.open(f"{self.path}/{name}", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return
        os.write(fd, b"\0")
        os.close(fd)

    def drain(self, name):
        try:
            while os.read(self.bells[name], 4096):
                pass
        except BlockingIOError:
            pass

    def wait(self, name, look):
        """Until look() gives something."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
        expect(lock(self.log, fcntl.F_WRLCK, BASE + CHAIRS[name] + os.getpid() % SEATS, 1), "the chair is taken")
        fd = self.bells[name]
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
        self.drain(name)
        while (found := look()) is None:
            signal.sigwait([signal.SIGIO])
            self.drain(name)
        lock(self.log, fcntl.F_UNLCK, BASE + CHAIRS[name], SEATS)
        return found

    # --- storing

    def store(self, messages):
        lock(self.log, fcntl.F_WRLCK, BASE + STORE, 2, wait=True)
        stored, taken = self.check(True)
        if self.capacity and self.capacity - (stored[1] - taken[1]) < len(messages):
            sys.exit(1)
        records, tail = b"", stored[2]
        for number, content in enumerate(messages, stored[1] + 1):
            at = tail + len(records)
            sealed = struct.pack("=QQQIIQ", number, len(content), xxh3(content, self.id ^ at ^ 1), os.getpid(), 0,
                                 time.time_ns())
            records += struct.pack("=II", RECORD, xxh3(sealed, self.id ^ at) & 0xFFFFFFFF) + sealed
            records += struct.pack("=IIQ", WAIT, 0, 0) + content + bytes(-len(content) % 16)
        expect(os.pwrite(self.log, records, tail) == len(records), "cannot write it at once")
        self.write_part(STORED, [stored[0], stored[1] + len(messages), tail + len(records)])
        lock(self.log, fcntl.F_UNLCK, BASE + STORE, 2)
        self.ring("ready")
        if self.sync:
            lock(self.log, fcntl.F_WRLCK, BASE + SYNC, 1, wait=True)
            if self.part(SYNCED)[0] < stored[1] + len(messages):
                count = self.part(STORED)[1]
                os.fdatasync(self.log)
                self.write_part(SYNCED, [count])
            lock(self.log, fcntl.F_UNLCK, BASE + SYNC, 1)

    # --- receiving

    def record(self, at, limit):
        data = os.pread(self.log, 64, at)
        magic, check, number, size, content, _, _, _, state, tries, run = struct.unpack("=IIQQQIIQIIQ", data)
        expect(magic == RECORD and check == xxh3(data[8:48], self.id ^ at) & 0xFFFFFFFF, f"no record at {at}")
        own = at + 64 + (size + 15) // 16 * 16
        expect(own <= limit and number <= BASE and state in (WAIT, DONE), f"the record at {at} is damaged")
        distance, bits = run >> 16, run & 0xFFFF
        end = at + distance
        if run and bits == xxh3(struct.pack("=Q", distance), self.id ^ at) & 0xFFFF and distance % 16 == 0:
            own = end if own <= end <= limit else own
        return state, own, size, content, tries

    def mark(self, at, state, tries, end=0):
        run = 0
        if end:
            distance = end - at
            run = distance << 16 | xxh3(struct.pack("=Q", distance), self.id ^ at) & 0xFFFF
        os.pwrite(self.log, struct.pack("=IIQ", state, tries, run), at + 48)

    def find(self, stored, taken):
        """The first record that waits and is not leased: its place, or None."""
        at = taken[2]
        while at < taken[3]:
            state, end, *_ = self.record(at, taken[3])
            if state == WAIT:
                lease_end = locked(self.bells["ready"], at, end - at)
                if lease_end is None:
                    return at
                end = lease_end
            at = end
        while at < stored[2] and self.record(at, stored[2])[0] == DONE:
            at = self.record(at, stored[2])[1]
        return at if at < stored[2] else None

    def lease(self):
        """(place, end, content) of a message, or None."""
        lock(self.log, fcntl.F_WRLCK, BASE + GATE_TAKE, 2, wait=True)
        stored, taken = self.check(False)
        at = self.find(stored, taken)
        if at is None:
            lock(self.log, fcntl.F_UNLCK, BASE + GATE_TAKE, 2)
            return None
        state, end, size, check, tries = self.record(at, stored[2])
        expect(state == WAIT, "found what is done")
        expect(lock(self.bells["ready"], fcntl.F_RDLCK, at, end - at), "cannot lease it")
        if at < taken[3]:
            self.mark(at, WAIT, tries + 1)
        else:
            taken[3] = end
            self.write_part(TAKEN, taken)
        lock(self.log, fcntl.F_UNLCK, BASE + GATE_TAKE, 2)
        content = os.pread(self.log, size, at + 64)
        expect(check == xxh3(content, self.id ^ at ^ 1), "the content is damaged")
        return at, end, content

    def take(self, at, end):
        lock(self.log, fcntl.F_WRLCK, BASE + TAKE, 1, wait=True)
        stored, taken = self.check(False)
        if at == taken[2]:
            taken[2] = end
            while taken[2] < taken[3] and self.record(taken[2], taken[3])[0] == DONE:
                taken[2] = self.record(taken[2], taken[3])[1]
        else:
            taken[6:8] = at, 1
            self.write_part(TAKEN, taken)
            self.mark(at, DONE, 0, end)
            taken[7] = 0
        taken[1] += 1
        self.write_part(TAKEN, taken)
        if taken[2] == taken[3] == stored[2] and lock(self.log, fcntl.F_WRLCK, BASE + STORE, 1):
            self.empty()
            lock(self.log, fcntl.F_UNLCK, BASE + STORE, 1)
        self.give_back(at, end)
        lock(self.log, fcntl.F_UNLCK, BASE + TAKE, 1)
        self.ring("space")

    def empty(self):
        """The log, under TAKE and STORE, if nothing was stored in between."""
        stored, taken = self.part(STORED), self.part(TAKEN)
        if taken[2] == stored[2] == os.fstat(self.log).st_size:
            os.ftruncate(self.log, 64)
            data = struct.pack("=Q", stored[0] + 1)
            os.pwrite(self.log, data + struct.pack("=Q", xxh3(data, self.id + 5)), 40)
            self.write_part(STORED, [stored[0] + 1, stored[1], 64])
            self.write_part(TAKEN, [stored[0] + 1, taken[1], 64, 64, 0, taken[5], 0, 0, taken[8]])

    def give_back(self, at, end):
        lock(self.bells["ready"], fcntl.F_UNLCK, at, end - at)


def receive(mailbox, hold):
    at, end, content = mailbox.lease() or mailbox.wait("ready", mailbox.lease)
    sys.stdout.buffer.write(content)
    sys.stdout.flush()
    if hold and sys.stdin.readline() != "take\n":
        mailbox.give_back(at, end)
        mailbox.ring("ready")
    else:
        mailbox.take(at, end)


def main(verb, box, *files):
    if verb == "store":
        messages = []
        for file in files:
            with open(file, "rb") as opened:
                messages.append(opened.read())
        Mailbox(box, ["ready"]).store(messages)
    elif verb == "counts":
        mailbox = Mailbox(box, [])
        stored, taken = mailbox.check(True)
        print(stored[1], taken[1], mailbox.part(SYNCED)[0])
    else:
        mailbox = Mailbox(box, ["ready", "space"])
        for _ in range(int(files[0]) if files else 1):
            receive(mailbox, verb == "hold")


main(*sys.argv[1:])
