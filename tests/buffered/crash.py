"""Buffered mailboxes after a kill at any system call, and after a power loss: crash.py SCENARIO [NUMBER...]"""

import os
import random
import re
import subprocess

from mailbox import (DEADLINE, collections, drain, expect, fresh, ledger, main, message, name_of, names_in, run, start,
                     wait_for, waiting)

OLD = [message("a", number) for number in range(1, 7)]
NEW = [message("b", number) for number in range(1, 4)]
LONG = message("b", 1, 300000)


def store_old(*options):
    fresh(*options)
    run("fifo-send", "box", *OLD, status=0)


def store_few(*options):
    fresh(*options)
    run("fifo-send", "box", *OLD[:3], status=0)


def with_dead():
    store_old()
    run("fifo-make", "-b", "unbounded", "dead", status=0)


# What is prepared; what is killed; its input; what is stored before. A holder has the oldest message in hand.
Case = collections.namedtuple("Case", "prepare command given held", defaults=(None, False))
CASES = {
    "store": Case(store_old, ["fifo-send", "box", *NEW]),
    "store_lines": Case(store_old, ["fifo-send", "-l", "box"], "\n".join(NEW) + "\n"),
    "store_long": Case(store_old, ["fifo-send", "box"], LONG + "\n"),
    "store_sync": Case(lambda: store_old("unbounded", "--sync"), ["fifo-send", "box", *NEW]),
    "store_bounded": Case(lambda: store_few("6"), ["fifo-send", "-t", "2", "box", *NEW]),
    "take": Case(store_old, ["fifo-recv", "box"]),
    "take_all": Case(store_old, ["fifo-recv", "-c", "6", "box"]),
    "take_bounded": Case(lambda: store_old("6"), ["fifo-recv", "-c", "2", "-v", "box"]),
    "command": Case(store_old, ["fifo-recv", "box", "cat"]),
    "command_fails": Case(store_old, ["fifo-recv", "box", "false"]),
    "keep": Case(store_old, ["fifo-recv", "--keep", "box", "true"]),
    "dead_letter": Case(with_dead, ["fifo-recv", "--max-tries=1", "--dead=dead", "box", "false"]),
    "take_held": Case(lambda: store_old("7"), ["fifo-recv", "-c", "3", "-v", "box"], None, True),
    "take_rest": Case(store_old, ["fifo-recv", "-c", "5", "box"], None, True),
}


def traced(case, point):
    """Runs the command under strace, killed at the point, which is a system call and how many of it come before."""
    kill = ["-e", f"inject={point[0]}:signal=KILL:when={point[1]}"] if point else []
    with open("trace", "w"):
        pass
    return subprocess.run(["strace", "-o", "trace", *kill, *case.command], input=(case.given or "").encode(),
                          capture_output=True, timeout=DEADLINE)


def points():
    """Every system call of the last run, as its name and the how many-th of that name it was."""
    seen = collections.Counter()
    with open("trace") as trace:
        for line in trace:
            call = re.match(r"(\w+)\(", line)
            if call and call.group(1) not in ("execve", "exit_group", "rt_sigreturn"):
                seen[call.group(1)] += 1
                yield call.group(1), seen[call.group(1)]


def begin_holder():
    holder = start("out.holder", "fifo-recv", "box", "sh", "-c", "echo >begun; exec sleep 60")
    wait_for("the holder is at work", os.path.exists, "begun")
    return holder


def check_count(case):
    """However it was killed, the count is right: exactly as many go in as there is room for."""
    capacity = ledger().capacity
    if capacity == 0:
        return []
    filling = [message("c", number) for number in range(1, capacity + 2)]
    done = run("fifo-send", "-n", "-v", "box", *filling, status=1)
    stored = int(re.search(rb"(\d+) stored", done.stderr).group(1))
    expect(waiting() == capacity, "there should be", capacity, ledger())
    return filling[:stored]


def drain_all():
    """Whether nothing was left, or in other hands."""
    drain()
    return waiting() == 0


def survive(name, case, point):
    """One run, and what has to hold after it. Returns what was received twice."""
    case.prepare()
    before = OLD[:waiting()]
    holder = begin_holder() if case.held else None
    done = traced(case, point)
    expect(point is None or done.returncode in (-9, 137, 0, 1, 2, 5), name, point, done.returncode, done.stderr[-300:])
    calls = list(points())
    filled = check_count(case) if case.command[0] == "fifo-send" or case.held else []
    if holder:
        holder.kill()
        holder.wait()
    # Who is killed between fork(2) and execve(2) leaves a child that has the message for an instant.
    wait_for("all are handed out", drain_all)
    printed = done.stdout.decode().split("\n")[:-1]
    got = [name_of(line) for line in printed] if case.command[0] == "fifo-recv" else []
    if os.path.exists("dead"):
        drain("out.dead", box="dead")
        got += names_in("out.dead")
    left = names_in("out.drain")
    expect(not filled or len(left) == ledger().capacity, name, point, "room for", len(left))
    received = collections.Counter(got + left)
    must = [name_of(text) for text in before + filled]
    if done.returncode == 0 and case.command[0] == "fifo-send":
        must += [name_of(text) for text in (case.given or "\n".join(NEW)).split("\n") if text]
    may = must + [name_of(text) for text in NEW]
    expect(all(received[text] for text in must), name, point, "lost:", [t for t in must if not received[t]])
    expect(all(text in may for text in received), name, point, "invented:", received)
    expect(waiting() == 0 and ledger().damaged == 0, name, point, ledger())
    expect(os.path.getsize("box/queue") < 10000, name, point, "space is not given back")
    return calls, [text for text in received if received[text] > 1]


def kill_at_each_call(name):
    case = CASES[name]
    calls, twice = survive(name, case, None)
    expect(not twice, name, "received twice without a kill:", twice)
    repeated = 0
    for point in calls:
        twice = survive(name, case, point)[1]
        may_repeat = case.command[0] == "fifo-recv"
        expect(not twice or may_repeat, name, point, "a killed sender stored it twice:", twice)
        repeated += len(twice) > 0
    print(f"{name}: killed at each of {len(calls)} system calls, {repeated} times received twice")


def kills(which=-1):
    """SIGKILL at each system call of storing and taking. With a number: of that case alone."""
    for name in list(CASES) if which < 0 else [list(CASES)[which]]:
        kill_at_each_call(name)


# What fifo-make and fifo-rm change the file system with: nothing is different between two of them.
CHANGES = ("mkdir", "openat", "write", "pwrite64", "mknodat", "fchmod", "renameat2", "unlinkat", "rmdir")


def make_and_remove():
    """fifo-make killed anywhere leaves no half mailbox under its name, fifo-rm killed anywhere can be run again."""
    for command, prepare in ((["fifo-make", "-b", "3", "box"], lambda: (fresh(), run("fifo-rm", "box"))),
                             (["fifo-rm", "-f", "box"], store_old)):
        case = Case(prepare, command)
        prepare()
        expect(traced(case, None).returncode == 0, command, "failed")
        for point in [point for point in points() if point[0] in CHANGES]:
            prepare()
            traced(case, point)
            if os.path.exists("box"):
                run("fifo-send", "-n", "box", *NEW, status=0)
                drain()
                run("fifo-rm", "box", status=0)
            left = [name for name in os.listdir(".") if name.startswith(".box.")]
            for name in left:
                # A mailbox that is not finished yet, or one that is half removed.
                if os.listdir(name) == []:
                    os.rmdir(name)
                elif run("fifo-rm", "-f", name).returncode != 0:
                    expect(command[0] == "fifo-make", point, "a half removed mailbox is not to be removed:", name)
            run("fifo-make", "-b", "3", "box", status=0)


# --- power loss ----------------------------------------------------------------------------------------------------

PAGE = 4096


def unescape(text):
    return bytes.fromhex(text.replace("\\x", ""))


def writes_of(command, given=None):
    """Runs it and returns the changes it makes, in their order: (file, kind, offset or size, bytes)."""
    calls = "trace=openat,pwrite64,pwritev,write,ftruncate,fallocate,fdatasync"
    done = subprocess.run(["strace", "-xx", "-s", "1000000", "-y", "-o", "trace", "-e", calls, *command],
                          input=(given or "").encode(), capture_output=True, timeout=DEADLINE)
    found = []
    with open("trace") as trace:
        for line in trace:
            call = re.match(r"(\w+)\(\d+<([^>]*)>(.*)\) = (-?\d+)", line)
            if not call or not re.search(r"/(queue|\.state)$", decode_path(call.group(2))) or int(call.group(4)) < 0:
                continue
            name, file, rest = call.group(1), os.path.basename(decode_path(call.group(2))), call.group(3)
            if name == "fdatasync":
                found.append((file, "sync", 0, b""))
            elif name == "ftruncate":
                found.append((file, "size", int(rest.split(", ")[1]), b""))
            elif name == "fallocate":
                offset, length = (int(number) for number in rest.split(", ")[-2:])
                found.append((file, "write", offset, bytes(length)))
            elif name in ("pwrite64", "pwritev"):
                data = b"".join(unescape(part) for part in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', rest))
                found.append((file, "write", int(rest.rpartition(", ")[2]), data))
    return done, found


def decode_path(text):
    return unescape(text).decode() if text.startswith("\\x") else text


def apply(image, change):
    _, kind, at, data = change
    if kind == "size":
        del image[at:]
        image.extend(bytes(at - len(image)))
    elif kind == "write":
        image.extend(bytes(max(0, at + len(data) - len(image))))
        image[at:at + len(data)] = data


def replay(first, changes, keep):
    """The file after these changes, of which, page by page and size by size, only those that `keep` picks came through."""
    image = bytearray(first)
    for change in changes:
        _, kind, at, data = change
        if kind == "write":
            for page in range(at // PAGE, (at + len(data) + PAGE - 1) // PAGE):
                begin, end = max(at, page * PAGE), min(at + len(data), (page + 1) * PAGE)
                if keep():
                    apply(image, ("", "write", begin, data[begin - at:end - at]))
                else:
                    image.extend(bytes(max(0, end - len(image)))) if random.random() < 0.5 else None
        elif kind == "size" and keep():
            apply(image, change)
    return bytes(image)


def work(step, sent, acked, taken):
    """Stores or takes some messages; returns the changes that this made."""
    if random.random() < 0.6:
        lengths = random.choice((0, 300, 5000))
        texts = [message(f"s{step}", number, lengths) for number in range(1, random.choice((1, 5, 40)) + 1)]
        sent += [name_of(text) for text in texts]
        done, made = writes_of(["fifo-send", "-l", "box"], "".join(text + "\n" for text in texts))
        expect(done.returncode == 0, done)
        acked += [name_of(text) for text in texts]
    else:
        done, made = writes_of(["fifo-recv", "-n", "-c", str(random.choice((1, 5, 100))), "box"])
        taken += [name_of(line) for line in done.stdout.decode().split("\n")[:-1]]
    return made


def power_loss(rounds=40, sync=1):
    """A history of stores and takes, then what a disk may hold after it: see fifo-mailbox(5) on what is synced. And
    perhaps the same once more, with the ledger at any version it ever had."""
    statuses = collections.Counter()
    for round_ in range(rounds):
        fresh("unbounded", *(["--sync"] if sync else []))
        acked, taken, sent, states, given_back, steps = [], [], [], [read(".state")], False, 0
        phases = random.choice((1, 1, 2, 3))
        for _ in range(phases):
            first, logs = read("queue"), []
            for _ in range(random.randrange(1, 7)):
                steps += 1
                for change in work(steps, sent, acked, taken):
                    if change[0] == "queue":
                        logs.append(change)
                    elif change[1] == "write":
                        image = bytearray(states[-1])
                        apply(image, change)
                        states.append(bytes(image))
            given_back |= any(change[1] == "write" and change[3].count(0) == len(change[3]) > 64 for change in logs)
            prefix = lose(first, logs, states, sync)
            # The state that the next phase starts with is one that exists, too.
            states.append(read(".state"))
        run("fifo-send", "box", message("z", 1), status=0)
        done = drain(status=(1,))
        names = names_in("out.drain")
        damaged = b"damaged" in done.stderr
        expect(set(names) <= set(sent) | {"z:1"}, "invented:", set(names) - set(sent))
        expect("z:1" in names, round_, "what was stored afterwards is not there")
        if sync:
            lost = set(acked) - set(taken) - set(names)
            expect(not lost, round_, "acknowledged, and lost:", sorted(lost)[:5])
            # An older ledger does not know that space was given back, and takes that for damage.
            expect(not damaged or given_back or phases > 1, round_, "damage where all was synced:", done.stderr)
        if prefix and phases == 1:
            there = [index for index, name in enumerate(acked) if name in names]
            lost = [index for index, name in enumerate(acked) if name not in names and name not in taken]
            expect(not lost or not there or max(there) < min(lost), "more than a tail is missing:", there, lost)
        expect(waiting() == 0, ledger())
        statuses["damaged" if damaged else "whole"] += 1
    print(f"{rounds} losses of power, sync {sync}: {dict(statuses)}")


def read(name):
    with open(f"box/{name}", "rb") as file:
        return file.read()


def lose(first, logs, states, sync):
    """Puts the files as they may be: the log with all that was synced, the ledger at any version. Whether that was a
    prefix of the changes."""
    cut = random.randrange(len(logs) + 1)
    if sync:
        # The last sync came before the last sender was told; only what followed it can be lost.
        cut = max([0] + [i + 1 for i, change in enumerate(logs) if change[1] == "sync"])
    image = bytearray(first)
    for change in logs[:cut]:
        apply(image, change)
    prefix = random.random() < 0.5
    log = bytes(image) if prefix else replay(image, logs[cut:], lambda: random.random() < 0.5)
    for name, data in (("queue", log), (".state", random.choice(states))):
        with open(f"box/{name}", "wb") as file:
            file.write(data)
    return prefix


def no_sync(rounds=40):
    power_loss(rounds, 0)


if __name__ == "__main__":
    random.seed(int(os.environ.get("SEED", "1")))
    main({function.__name__: function for function in (kills, make_and_remove, power_loss, no_sync)})
