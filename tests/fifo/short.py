#!/usr/bin/env python3
"""A splice(2) that is cut short: fills the FIFO with raw lines while a sender, whose splices strace delays, is about to
move a part into it, keeps it full while the sender takes that out again, and then receives everything.

    short.py SIZE    in an empty directory, with the commands in PATH; 0: the message is whole, and each raw line there
"""
import fcntl
import os
import subprocess
import sys
import time

RAW = b"r" * 4095 + b"\n"
content = os.urandom(int(sys.argv[1]))
with open("sent", "wb") as file:
    file.write(content)
os.mkfifo("box")
box = os.open("box", os.O_RDWR | os.O_NONBLOCK)
fcntl.fcntl(box, 1031, 1 << 20)


def calls():
    try:
        with open("trace") as file:
            return file.read()
    except OSError:
        return ""


def until(condition, what):
    end = time.time() + 30
    while not condition():
        if time.time() > end:
            sys.exit("waited in vain for " + what)
        time.sleep(0.0005)


with open("sent", "rb") as file:
    sender = subprocess.Popen(
        ["strace", "-o", "trace", "-e", "trace=splice", "-e", "inject=splice:delay_enter=300000", "fifo-send", "-t", "30", "box"],
        stdin=file,
    )
until(lambda: "splice(" in calls() and ", NULL," in calls().rsplit("\n", 1)[-1], "the splice into the FIFO")
written = 0
for _ in range(200):
    written += os.write(box, RAW)
until(lambda: ", NULL, 1044" in calls() or ", NULL, 1048" in calls(), "the sender to take it out")
end = time.time() + 0.6
while time.time() < end:
    try:
        written += os.write(box, RAW)
    except BlockingIOError:
        time.sleep(0.0005)
run = subprocess.run(["fifo-recv", "-q", "-0", "-f", "-t", "3", "box"], capture_output=True)
got = run.stdout
lines = got.count(RAW[:-1] + b"\0")
rest = got.replace(RAW[:-1] + b"\0", b"")
print("sender", sender.wait(), "raw lines", written // len(RAW), "got", lines, "other bytes", len(rest))
sys.exit(not (sender.returncode == 0 and lines == written // len(RAW) and rest.rstrip(b"\0\n") == content.rstrip(b"\0\n")))
