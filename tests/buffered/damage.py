"""Damaged and forged buffered mailboxes: damage.py SCENARIO [NUMBER...]

Whatever is in the files: no crash, no endless loop, nothing delivered that was not stored, and the mailbox goes on
working, or says that it is beyond repair."""

import collections
import ctypes
import os
import random
import struct
import subprocess

from mailbox import drain, expect, fresh, ledger, main, message, names_in, run, waiting

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = [message("a", number, length) for number, length in ((1, 0), (2, 60), (3, 0), (4, 200), (5, 0))]
NAMES = [f"a:{number}" for number in range(1, 6)]


def contents(box="box"):
    found = {}
    for name in ("queue", ".state"):
        with open(f"{box}/{name}", "rb") as file:
            found[name] = file.read()
    return found


def put(files, box="box"):
    for name, data in files.items():
        with open(f"{box}/{name}", "wb") as file:
            file.write(data)


def look(what, most_lost, reported=True):
    """Uses the damaged mailbox. Returns how many messages were lost."""
    if os.path.exists("out.drain"):
        os.unlink("out.drain")
    run("fifo-recv", "-n", "--peek", "box", status=(0, 1, 5))
    sent = run("fifo-send", "-n", "box", message("z", 1), status=(0, 1, 2, 5))
    done = drain(status=(1, 5))
    names = names_in("out.drain")
    again = run("fifo-send", "-n", "box", message("y", 1), status=(0, 1, 2, 5))
    last = run("fifo-recv", "-n", "box", status=(0, 1, 5))
    lost = set(NAMES) - set(names)
    expect(set(names) <= set(NAMES) | {"z:1"}, what, "invented:", names)
    expect(len(names) == len(set(names)), what, "received twice:", names)
    expect(sent.returncode != 0 or "z:1" in names, what, "stored, and lost:", names, done.stderr)
    expect(again.returncode != 0 or last.returncode == 0, what, "it does not work any more:", again, last)
    expect(len(lost) <= most_lost, what, "lost:", sorted(lost), done.stderr)
    if reported and lost and done.returncode == 1:
        expect(b"damaged" in done.stderr, what, "lost, and not reported:", sorted(lost), done.stderr)
        expect(ledger().damaged == len(lost), what, "lost", len(lost), "counted", ledger().damaged)
    if done.returncode == 1:
        expect(waiting() == 0, what, "left behind:", ledger())
    return len(lost)


def prepare():
    fresh()
    run("fifo-send", "box", *TEXTS, status=0)
    return contents()


def bits(step=1):
    """One bit of each byte."""
    good, lost = prepare(), collections.Counter()
    for name, data in good.items():
        for at in range(0, len(data), step):
            bad = bytearray(data)
            bad[at] ^= 1 << random.randrange(8)
            put({**good, name: bytes(bad)})
            lost[name] += look((name, at), 1 if name == "queue" else 0)
    print("bits flipped, messages lost:", dict(lost))


def cuts(step=1):
    """Each length."""
    good = prepare()
    for name, data in good.items():
        for length in range(0, len(data), step):
            put({**good, name: data[:length]})
            # 64 bytes are what emptying leaves.
            look((name, length), len(NAMES) if name == "queue" else 0, reported=length != 64)


def blocks(rounds=200):
    """Pieces that are zeroed, overwritten, copied from elsewhere or appended."""
    good = prepare()
    fresh_box = "other"
    run("fifo-make", "-b", "unbounded", fresh_box, status=0)
    run("fifo-send", fresh_box, *(message("foreign", number) for number in range(1, 6)), status=0)
    foreign = contents(fresh_box)
    for round_ in range(rounds):
        name = random.choice(("queue", "queue", ".state"))
        bad = bytearray(good[name])
        at, length = random.randrange(len(bad)), random.choice((16, 80, 300))
        kind = random.choice(("zero", "noise", "copy", "foreign", "grow", "records"))
        if kind == "zero":
            bad[at:at + length] = bytes(len(bad[at:at + length]))
        elif kind == "noise":
            bad[at:at + length] = os.urandom(len(bad[at:at + length]))
        elif kind == "copy":
            source = random.randrange(len(bad)) // 16 * 16
            piece = bad[source:source + length]
            bad[at // 16 * 16:at // 16 * 16 + len(piece)] = piece
        elif kind == "foreign":
            bad[at:at + length] = foreign[name][at:at + length]
        elif kind == "grow":
            bad += os.urandom(length * random.choice((1, 50)))
        else:
            bad[64:] = foreign["queue"][64:]
        # More than one message may be hit, and one may be counted with its neighbour.
        put({**good, name: bytes(bad)})
        look((round_, name, kind, at, length), len(NAMES), reported=False)


# --- forged: nonsense with good checksums ----------------------------------------------------------------------------

MASK = (1 << 64) - 1


def seal(data, begin, end, seed, library):
    struct.pack_into("=Q", data, end, library.xxh3(bytes(data[begin:end]), end - begin, seed & MASK))


def seal_record(queue, at, identity, library):
    check = library.xxh3(bytes(queue[at + 8:at + 48]), 40, (identity ^ at) & MASK) & 0xFFFFFFFF
    struct.pack_into("=I", queue, at + 4, check)


def forge(files, library):
    """Writes nonsense into some fields and makes all checks right again."""
    state, queue = bytearray(files[".state"]), bytearray(files["queue"])
    odd = [0, 1, 15, 16, 63, 64, 80, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 47, (1 << 47) + 16, 1 << 61, 1 << 62,
           (1 << 62) + 64, (1 << 63) - 1, 1 << 63, MASK - 15, MASK, len(queue), len(queue) // 16 * 16 - 64]
    numbers = lambda: random.choice(odd + [random.randrange(0, len(queue) + 64, 16)])
    for _ in range(random.randrange(1, 4)):
        where = random.choice(("config", "stored", "taken", "taken", "record", "record", "mark", "synced"))
        if where == "config":
            struct.pack_into("=Q", state, 16, numbers())
            struct.pack_into("=I", state, 12, random.randrange(4))
            if random.random() < 0.5:
                queue[:32] = state[:32]
        elif where == "stored":
            struct.pack_into("=Q", state, random.choice((64, 72, 80)), numbers())
        elif where == "taken":
            struct.pack_into("=Q", state, random.choice((128, 136, 144, 152, 160, 168, 176, 184)), numbers())
        elif where == "synced":
            struct.pack_into("=Q", state, 256, numbers())
        else:
            at = random.choice((64, 64 + 64 + 16, 64 + 80 + 128))
            if where == "record":
                struct.pack_into("=Q", queue, at + random.choice((8, 16, 32, 40)), numbers())
            else:
                struct.pack_into("=I", queue, at + 48, random.choice((0x54494157, 0x454E4F44)))
                struct.pack_into("=I", queue, at + 52, random.choice((0, 1, MASK >> 32)))
                distance = random.choice((16, 64, 80, 208, len(queue) - at, 1 << 40, (1 << 48) - 16))
                identity = struct.unpack_from("=Q", state, 24)[0]
                low = library.xxh3(struct.pack("=Q", distance), 8, (identity ^ at) & MASK) & 0xFFFF
                struct.pack_into("=Q", queue, at + 56, (distance << 16 | low) & MASK)
            seal_record(queue, at, struct.unpack_from("=Q", state, 24)[0], library)
    identity = struct.unpack_from("=Q", state, 24)[0]
    seal(state, 0, 32, 1, library)
    seal(queue, 0, 32, 1, library)
    seal(queue, 40, 48, identity + 5, library)
    seal(state, 64, 88, identity + 2, library)
    seal(state, 128, 200, identity + 3, library)
    seal(state, 256, 264, identity + 4, library)
    return {".state": bytes(state), "queue": bytes(queue)}


def unknown_flag(good, library):
    """A record that a later version may write is not believed, and the others are."""
    queue = bytearray(good["queue"])
    struct.pack_into("=I", queue, 64 + 36, 2)
    seal_record(queue, 64, struct.unpack_from("=Q", good[".state"], 24)[0], library)
    put({**good, "queue": bytes(queue)})
    done = run("fifo-recv", "-n", "-f", "box", status=1)
    with open("out.flag", "wb") as out:
        out.write(done.stdout)
    expect(names_in("out.flag") == NAMES[1:] and b"skipped" in done.stderr, done)


def forged(rounds=200):
    """Headers that lie, and are sealed as true ones are. Memory is limited, so that what they claim cannot be taken."""
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", "xxh3.so", f"{HERE}/xxh3.c"], check=True)
    library = ctypes.CDLL(os.path.abspath("xxh3.so"))
    library.xxh3.restype = ctypes.c_uint64
    library.xxh3.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    os.rename("xxh3.so", "../xxh3.so")
    good = prepare()
    unknown_flag(good, library)
    statuses = collections.Counter()
    for _ in range(rounds):
        put(forge(good, library))
        seen = []
        for command in (["fifo-recv", "-n", "--peek", "box"], ["fifo-send", "-n", "box", message("z", 1)],
                        ["fifo-recv", "-n", "-f", "box"], ["fifo-send", "-n", "box", message("y", 1)],
                        ["fifo-recv", "-n", "box"], ["fifo-make", "-p", "-b", "3", "box"]):
            # The address sanitizer reserves more than any limit.
            limit = "" if "ASAN_OPTIONS" in os.environ else "ulimit -v 400000;"
            done = run("bash", "-c", limit + 'exec "$@"', "bash", *command, status=(0, 1, 2, 5))
            seen.append(done.returncode)
            if command[0] == "fifo-recv" and "--peek" not in command:
                with open("out.forged", "wb") as out:
                    out.write(done.stdout)
                expect(set(names_in("out.forged")) <= set(NAMES) | {"y:1", "z:1"}, done.stdout)
        run("fifo-rm", "-f", "box", status=0)
        run("fifo-make", "-b", "unbounded", "box", status=0)
        statuses[tuple(seen[1:5])] += 1
    print("statuses of send, receive all, send, receive:", dict(statuses.most_common(6)))
    os.rename("../xxh3.so", "xxh3.so")


if __name__ == "__main__":
    random.seed(int(os.environ.get("SEED", "1")))
    main({function.__name__: function for function in (bits, cuts, blocks, forged)})
