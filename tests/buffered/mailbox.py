"""What the checks of buffered mailboxes share: the commands under a deadline, messages that prove themselves, and the
ledger, read as fifo-mailbox(5) has it.

A message is `SENDER:NUMBER:CHECK padding`, so that one that is torn, mixed up or invented is found out."""

import collections
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib

DEADLINE = 60
MAGIC = 0x0A65756575714646
Ledger = collections.namedtuple("Ledger", "capacity stored tail taken head fresh damaged")


def fail(text):
    sys.exit("FAILED: " + text)


def expect(condition, *what):
    if not condition:
        fail(" ".join(str(part) for part in what))


def run(*command, status=None, given=None, **options):
    """Runs it to its end. Ends us if it crashes, hangs, or has another status (a number, or several)."""
    if isinstance(given, str):
        given = given.encode()
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=DEADLINE, **options)
    except subprocess.TimeoutExpired:
        fail(f"{command} hangs")
    crashes = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL, -signal.SIGFPE)
    if done.returncode in crashes or done.returncode == 99:
        fail(f"{command} crashed: {done.returncode} {done.stderr[-2000:]}")
    if status is not None and done.returncode not in (status if isinstance(status, tuple) else (status,)):
        fail(f"{command}: status {done.returncode}, not {status}: {done.stderr.decode(errors='replace')}")
    return done


def start(out, *command, given=None, **options):
    """Starts it in the background, its output appended to the file `out`, its input from the file `given`."""
    with open(out, "ab") as output, open("errors", "ab") as errors, open(given or os.devnull, "rb") as feed:
        return subprocess.Popen(command, stdin=feed, stdout=output, stderr=errors, **options)


def wait_for(what, *condition):
    """Until the condition, a function and its arguments, holds."""
    end = time.monotonic() + DEADLINE
    while not condition[0](*condition[1:]):
        expect(time.monotonic() < end, "waited in vain:", what)
        time.sleep(0.002)


def fresh(*options):
    """An empty directory with a mailbox `box`."""
    here = os.getcwd()
    for name in os.listdir(here):
        shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)
    run("fifo-make", "-b", *(options or ("unbounded",)), "box", status=0)


def message(sender, number, length=0):
    name = f"{sender}:{number}"
    text = f"{name}:{zlib.crc32(name.encode()):08x} "
    return text + "x" * max(0, length - len(text))


def name_of(line):
    """The name of a message, after a check that it is whole."""
    name, _, check = line.split(" ")[0].rpartition(":")
    good = check == f"{zlib.crc32(name.encode()):08x}" and set(line.partition(" ")[2]) <= {"x"}
    expect(good, "this is no message that was sent:", line[:200])
    return name


def names_in(*files):
    """The names of the messages in these files; a last line that is not whole was being written by who was killed."""
    found = []
    for file in files:
        with open(file) as text:
            found += [name_of(line) for line in text.read().split("\n")[:-1]]
    return found


def ledger(box="box"):
    with open(box + "/.state", "rb") as state:
        data = state.read(272)
    magic, _, _, capacity = struct.unpack_from("=QIIQ", data)
    expect(magic == MAGIC, "this is no ledger")
    _, stored, tail = struct.unpack_from("=QQQ", data, 64)
    _, taken, head, fresh_, _, damaged = struct.unpack_from("=QQQQQQ", data, 128)
    return Ledger(capacity, stored, tail, taken, head, fresh_, damaged)


def waiting(box="box"):
    """How many wait. The two numbers are not read at once, so they are read until they stay."""
    while True:
        one, other = ledger(box), ledger(box)
        if (one.stored, one.taken) == (other.stored, other.taken):
            return one.stored - one.taken


def kib(box="box"):
    return int(run("du", "-sk", box, status=0).stdout.split()[0])


def drain(out="out.drain", status=1, box="box"):
    """Takes what is left; 1 says that it is empty then."""
    with open(out, "ab") as output:
        done = run("fifo-recv", "-n", "-f", box, status=status)
        output.write(done.stdout)
    return done


def main(scenarios):
    """Runs the scenario that is named on the command line, in an empty directory, which is the current one."""
    expect(len(sys.argv) > 1 and sys.argv[1] in scenarios, "one of:", " ".join(scenarios))
    scenarios[sys.argv[1]](*(int(argument) for argument in sys.argv[2:]))
