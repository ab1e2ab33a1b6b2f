"""Histories of buffered mailboxes, and what has to hold for each: history.py SCENARIO [NUMBER...]

Many senders and receivers at work, some of them killed; then: each acknowledged message was received at least once,
and exactly once where nobody was killed; nothing else was received; the bound was kept; each sender's messages came
to each receiver in their order."""

import collections
import glob
import os
import random
import signal
import subprocess
import time

from mailbox import (drain, expect, fresh, kib, ledger, main, message, name_of, names_in, run, start, wait_for,
                     waiting)

LENGTHS = (0, 40, 90, 3000)


def feed(sender, count, longest):
    """A file with the messages of a sender."""
    with open(f"feed.{sender}", "w") as file:
        for number in range(1, count + 1):
            length = longest if number == 3 else random.choice(LENGTHS)
            file.write(message(sender, number, length) + "\n")
    return file.name


def begin_sender(sender, count, longest=100000):
    """Sends the messages one by one or in batches. -v says at the end how many were stored."""
    with open(f"said.{sender}", "wb") as said:
        return subprocess.Popen(["fifo-send", "-v", "-l", "box"], stderr=said, stdin=open(feed(sender, count, longest)))


def acknowledged(senders):
    """The names of what fifo-send said it had stored."""
    names = []
    for sender in senders:
        with open(f"said.{sender}") as said:
            for line in said:
                if " stored" in line:
                    count = int(line.split(": ")[2].split(" ")[0])
                    names += [f"{sender}:{number}" for number in range(1, count + 1)]
    return names


def check(acked, outs, exactly, tried=None):
    """What a history has to satisfy. `tried` is how many messages each sender may have sent."""
    received = collections.Counter()
    for out in outs:
        last = {}
        for name in names_in(out):
            received[name] += 1
            sender, number = name.rsplit(":", 1)
            if received[name] == 1:
                expect(last.get(sender, 0) < int(number) or not exactly, "order:", name, "after", last.get(sender), out)
                last[sender] = int(number)
            if tried is not None:
                expect(sender in tried and 1 <= int(number) <= tried[sender], "invented:", name)
    lost = [name for name in acked if received[name] == 0]
    expect(not lost, len(lost), "acknowledged messages were lost:", lost[:5])
    if exactly:
        twice = [name for name in received if received[name] > 1]
        expect(not twice, "received twice:", twice[:5])
        expect(set(received) == set(acked), "received, not acknowledged:", list(set(received) - set(acked))[:5])
    return sum(received.values())


def checker():
    """The checker itself: a sound history passes, and each fault is found."""
    def judge(lines, exactly, acked=("s:1", "s:2", "s:3")):
        with open("out.0", "w") as file:
            file.writelines(line + "\n" for line in lines)
        try:
            check(list(acked), ["out.0"], exactly, {"s": 3})
        except SystemExit as end:
            return str(end.code)
        return "sound"

    one, two, three, four = (message("s", number, 50) for number in (1, 2, 3, 4))
    faults = {
        "sound": ([one, two, three], True),
        "lost": ([one, three], False),
        "order": ([two, one, three], True),
        "twice": ([one, two, three, two], True),
        "invented": ([one, two, three, four], False),
        "no message": ([one, two, three, four[:20] + one], False),
    }
    for fault, (lines, exactly) in faults.items():
        expect(fault in judge(lines, exactly), fault, "is not found:", judge(lines, exactly))
    expect(judge([one, two, three, two], False) == "sound", "after a kill twice is allowed")


def watch_bound(capacity, processes, seconds=120):
    """Until all have ended: never more in the mailbox than it may hold."""
    end, peak = time.monotonic() + seconds, 0
    while any(process.poll() is None for process in processes):
        peak = max(peak, waiting())
        expect(capacity == 0 or peak <= capacity, peak, "messages in a mailbox for", capacity)
        expect(time.monotonic() < end, "hangs with", ledger())
        time.sleep(0.003)
    return peak


def parallel(capacity=0, count=2000, peers=8):
    """Nobody is killed: each message exactly once, and each sender's in their order."""
    fresh(str(capacity or "unbounded"))
    senders = [f"s{i}" for i in range(peers)]
    sending = [begin_sender(sender, count) for sender in senders]
    receiving = [start(f"out.{i}", "fifo-recv", "-c", str(count), "box") for i in range(peers)]
    peak = watch_bound(capacity, sending + receiving)
    expect(all(process.returncode == 0 for process in sending + receiving), "somebody failed")
    acked = acknowledged(senders)
    expect(len(acked) == peers * count, len(acked), "acknowledged")
    taken = check(acked, glob.glob("out.*"), True)
    expect(waiting() == 0 and ledger().damaged == 0 and kib() <= 64, "left behind:", ledger(), kib())
    print(f"{len(acked)} acknowledged, {taken} taken, at most {peak} at once")


def under_fire(capacity=0, count=2000, seconds=8, peers=8):
    """Every 50 ms somebody is killed with SIGKILL, and replaced by another."""
    fresh(str(capacity or "unbounded"))
    tried, running, kills, peak = {}, {}, 0, 0
    end = time.monotonic() + seconds

    def begin(slot):
        serial = len(tried) + len(glob.glob("out.*"))
        if slot < peers:
            sender = f"s{serial}"
            tried[sender] = random.choice((1, 50, count))
            return begin_sender(sender, tried[sender], 300000)
        how = random.choice((["-c", "10"], ["-f"], ["-f"], ["-c", "3", "COMMAND"]))
        if how[-1] == "COMMAND":
            # cat(1) is not killed with its fifo-recv at once: what it prints then is printed again, whole.
            return start(f"out.{serial}", "fifo-recv", *how[:-1], "box", "cat")
        return start(f"out.{serial}", "fifo-recv", *how, "box")

    while time.monotonic() < end:
        for slot in range(2 * peers):
            if slot not in running or running[slot].poll() is not None:
                running[slot] = begin(slot)
        time.sleep(0.05)
        running[random.randrange(2 * peers)].kill()
        kills += 1
        peak = max(peak, waiting())
        expect(capacity == 0 or peak <= capacity, peak, "messages in a mailbox for", capacity)
    for process in running.values():
        process.kill()
        process.wait()
    # What was killed while it printed leaves a line that is not whole; nothing follows it in the same file.
    drain()
    acked = acknowledged(tried)
    outs = glob.glob("out.*")
    taken = check(acked, outs, False, tried)
    expect(waiting() == 0 and ledger().damaged == 0 and kib() <= 64, "left behind:", ledger(), kib())
    print(f"{kills} killed; {len(acked)} acknowledged, {ledger().stored} stored, {taken} received, at most {peak} at once")


def stopped():
    """A receiver that is stopped keeps its message and holds up nobody; killed, it gives it back."""
    fresh()
    run("fifo-send", "box", *(message("a", number) for number in range(1, 7)), status=0)
    holders = [start(f"out.{i}", "fifo-recv", "box", "sh", "-c", "echo >begun.$$; cat; sleep 60") for i in range(2)]
    wait_for("two at work", lambda: len(glob.glob("begun.*")) == 2)
    for holder in holders:
        os.kill(holder.pid, signal.SIGSTOP)
    got = run("fifo-recv", "-c", "3", "box", status=0).stdout.decode().splitlines()
    expect([name_of(line) for line in got] == ["a:3", "a:4", "a:5"], "the others should go on:", got)
    waiter = start("out.waiter", "fifo-recv", "-c", "3", "box")
    wait_for("the sixth", lambda: os.path.getsize("out.waiter") > 0)
    for holder in holders:
        holder.kill()
    expect(waiter.wait(20) == 0, "who waits should get what the killed ones had")
    expect(sorted(names_in("out.waiter")) == ["a:1", "a:2", "a:6"], names_in("out.waiter"))
    expect(waiting() == 0, ledger())


def moved(count=3000):
    """The mailbox is renamed again and again while all work: nobody notices who has it open."""
    fresh()
    os.symlink("box", "name")
    senders = [f"s{i}" for i in range(4)]
    sending = [begin_sender(sender, count) for sender in senders]
    receiving = [start(f"out.{i}", "fifo-recv", "-c", str(count), "box") for i in range(4)]
    wait_for("all have it open", lambda: all(has_open(process.pid) for process in sending + receiving))
    for round_ in range(200):
        os.rename("box" if round_ % 2 == 0 else "elsewhere", "elsewhere" if round_ % 2 == 0 else "box")
        time.sleep(0.002)
    watch_bound(0, sending + receiving)
    expect(all(process.returncode == 0 for process in sending + receiving), "somebody failed")
    check(acknowledged(senders), glob.glob("out.*"), True)
    waiter = start("out.waiter", "fifo-recv", "box")
    wait_for("it waits", asleep, waiter.pid)
    os.rename("box", "elsewhere")
    run("fifo-send", "elsewhere", message("late", 1), status=0)
    expect(waiter.wait(20) == 0 and names_in("out.waiter") == ["late:1"], "who waited did not hear of it")


def has_open(pid):
    """Whether the process has opened the mailbox, or is through with it."""
    try:
        if open(f"/proc/{pid}/stat").read().rpartition(") ")[2].startswith("Z"):
            return True
        return any(os.readlink(link).endswith("/ready") for link in glob.glob(f"/proc/{pid}/fd/*"))
    except FileNotFoundError:
        return True


def asleep(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(") ")[2].startswith("S")


def many_waiters(count=1000):
    """Of as many receivers that wait, a third is killed at random; what is sent reaches the others, one each."""
    fresh()
    receivers = [start(f"out.{i}", "fifo-recv", "box") for i in range(count)]
    wait_for("all wait", lambda: all(asleep(receiver.pid) for receiver in receivers))
    victims = set(random.sample(range(count), count // 3))
    sent = 0
    for victim in victims:
        receivers[victim].kill()
        if victim % 3 == 0:
            sent += 1
            run("fifo-send", "box", message("w", sent), status=0)
    alive = [receivers[i] for i in range(count) if i not in victims]
    more = count - sent
    run("fifo-send", "-l", "box", given="".join(message("w", sent + i) + "\n" for i in range(1, more + 1)), status=0)
    wait_for("each gets one", lambda: all(receiver.poll() is not None for receiver in alive))
    expect(all(receiver.returncode == 0 for receiver in alive), "somebody failed")
    drain()
    check([f"w:{i}" for i in range(1, count + 1)], glob.glob("out.*"), False, {"w": count})


def many_senders(count=300):
    """The same for senders that wait for room."""
    fresh("2")
    run("fifo-send", "box", message("a", 1), message("a", 2), status=0)
    senders = [start("sent", "fifo-send", "box", message("w", i)) for i in range(1, count + 1)]
    wait_for("all wait", lambda: all(asleep(sender.pid) for sender in senders))
    victims = set(random.sample(range(count), count // 3))
    for victim in victims:
        senders[victim].kill()
        senders[victim].wait()
    alive = [i for i in range(count) if i not in victims]
    receiver = start("out.0", "fifo-recv", "-c", str(2 + len(alive)), "box")
    wait_for("all have stored", lambda: all(senders[i].poll() is not None for i in alive))
    expect(all(senders[i].returncode == 0 for i in alive), "somebody failed")
    drain()
    receiver.kill()
    receiver.wait()
    check([f"w:{i + 1}" for i in alive], ["out.0", "out.drain"], False, {"w": count, "a": 2})


def semaphore(tokens=4, seconds=5):
    """Holders of tokens, some killed: never more of them than tokens, and in the end all tokens are there."""
    fresh(str(tokens))
    run("fifo-send", "box", *(message("token", number) for number in range(1, tokens + 1)), status=0)
    # Each holds a lock of its own while it works; the shells end with their fifo-recv (SIGTERM), but not at once.
    work = 'read token; mkdir "held/$token" || { echo "$token" >>broken; exit 0; }; sleep 0.02; rmdir "held/$token"'
    os.mkdir("held")
    end = time.monotonic() + seconds
    running = {}
    while time.monotonic() < end:
        for slot in range(3 * tokens):
            if slot not in running or running[slot].poll() is not None:
                running[slot] = start("out", "fifo-recv", "--keep", "-c", "5", "box", "sh", "-c", work)
        time.sleep(0.02)
    for process in running.values():
        process.wait()
    expect(not os.path.exists("broken"), "two held one token")
    for _ in range(200):
        holders = [start("out", "fifo-recv", "--keep", "box", "sleep", "60") for _ in range(tokens)]
        wait_for("no token is free", lambda: run("fifo-recv", "-q", "-n", "--keep", "box", "true").returncode == 1)
        for holder in random.sample(holders, random.randrange(1, tokens + 1)):
            holder.kill()
            holder.wait()
        # Not in the same instant: what is killed between fork(2) and execve(2) leaves a child that has yet to look.
        wait_for("a token is free", lambda: run("fifo-recv", "-q", "-n", "--keep", "box", "true").returncode == 0)
        for holder in holders:
            holder.kill()
            holder.wait()
        if time.monotonic() > end + seconds:
            break
    wait_for("all are there", lambda: drain() and len(names_in("out.drain")) >= tokens)
    expect(sorted(names_in("out.drain")) == [f"token:{number}" for number in range(1, tokens + 1)], "tokens")


def space(count=1000000, rounds=300):
    """What was taken is given back to the file system: all at once, by halves, and in a steady stream."""
    fresh()
    with open("feed", "w") as file:
        file.writelines(f"{number:099}\n" for number in range(count))
    start("out", "fifo-send", "-l", "box", given="feed").wait()
    expect(waiting() == count, ledger())
    full = kib()
    with open("out", "wb") as out:
        take = ["fifo-recv", "-c", str(count // 2), "box"]
        expect(subprocess.run(take, stdout=out).returncode == 0, "failed")
        # What is still to be given back is a piece of 256 KiB, or one part in 32 of what waits.
        expect(kib() <= full / 2 + max(256, full / 32) + 64, "half empty, and takes", kib(), "KiB; it was", full)
        expect(subprocess.run(take, stdout=out).returncode == 0, "failed")
    run("cmp", "feed", "out", status=0)
    expect(kib() <= 64, "empty, and takes", kib(), "KiB; it was", full)
    # Never empty: 100 wait all the time.
    batch = "".join(f"{number:999}\n" for number in range(100))
    run("fifo-send", "-l", "box", given=batch, status=0)
    peak = 0
    for _ in range(rounds):
        run("fifo-send", "-l", "box", given=batch, status=0)
        expect(run("fifo-recv", "-c", "100", "box", status=0).stdout.decode() == batch, "not what was stored")
        peak = max(peak, kib())
    expect(peak < 2000, f"{rounds * 100} KB went through, and it took", peak, "KiB")
    print(f"{full} KiB, then {kib()}; in a stream of {rounds * 100} KB at most {peak}")


if __name__ == "__main__":
    random.seed(int(os.environ.get("SEED", "1")))
    main({function.__name__: function for function in (
        checker, parallel, under_fire, stopped, moved, many_waiters, many_senders, semaphore, space)})
