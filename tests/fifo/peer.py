#!/usr/bin/env python3
"""A second implementation of fifo-mailbox(5) for FIFOs, written from that page: sends one message in parts, or
receives one message of any form. It looks again and again instead of waiting, which is simpler, and enough for a test.

    peer.py send BOX FILE [BYTES]    each part has at most so many bytes of content; exits with 0 when it is taken
    peer.py recv BOX FILE [last]     with `last`: is killed by itself when the last part is there, and not taken
"""
import ctypes
import errno
import fcntl
import os
import random
import signal
import struct
import sys
import termios
import time

MARK, VERSION = b"\xfffm", 2
RENDEZVOUS, HAND, GATHER, ALIVE = 0, 1, 3, 1 << 62
libc = ctypes.CDLL(None, use_errno=True)


def lock(fd, kind, byte):
    """Tries to take an OFD lock, or gives it back with F_UNLCK."""
    try:
        fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))
        return True
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False


def is_held(fd, byte):
    found = fcntl.fcntl(fd, 36, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))
    return struct.unpack("hhqqi4x", found)[0] != fcntl.F_UNLCK


def until(condition):
    while not (result := condition()):
        time.sleep(0.001)
    return result


def count(fd):
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0]


def send(box, content, most):
    fd = os.open(box, os.O_RDWR | os.O_NONBLOCK)
    until(lambda: lock(fd, fcntl.F_WRLCK, RENDEZVOUS))
    while not attempt(fd, content, most):
        pass


def attempt(fd, content, most):
    """One try. False: its receiver has gone."""
    number, offset = random.randrange(1 << 62), 0
    assert lock(fd, fcntl.F_WRLCK, ALIVE + number)
    while True:
        piece = content[offset : offset + most]
        if most > 4000 and len(content) - offset > 4000:
            piece = piece[: max(1, len(content) - offset - 1000)]  # the last part is short
        body = struct.pack("<QQQ", number, len(content), offset) + piece
        frame = MARK + struct.pack("<BcBHII", VERSION, b"P", 0, 16, 16 + len(body), os.getpid()) + body
        until(lambda: count(fd) == 0 and lock(fd, fcntl.F_WRLCK, HAND))
        assert os.write(fd, frame) == len(frame)
        lock(fd, fcntl.F_UNLCK, HAND)
        last = offset + len(piece) == len(content)
        while True:
            there = count(fd) > 0
            if last and not there:
                return True
            # Whoever has read the first part holds gather until the last one has been taken.
            if (offset > 0 or not there) and lock(fd, fcntl.F_WRLCK, GATHER):
                taken = last and count(fd) == 0
                if not taken:
                    lock(fd, fcntl.F_UNLCK, ALIVE + number)
                lock(fd, fcntl.F_UNLCK, GATHER)
                return taken
            if not there:
                break
            time.sleep(0.0005)
        offset += len(piece)


def look(fd):
    """All that is there, without taking it."""
    there = count(fd)
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, 1031, max(1 << 16, fcntl.fcntl(fd, 1032)))
    seen = libc.tee(fd, write_end, ctypes.c_size_t(there), 0)
    assert seen == there, (seen, there)
    data = b""
    while len(data) < there:
        data += os.read(read_end, there)
    os.close(read_end)
    os.close(write_end)
    return data


def frame_at(data):
    """(length of the frame, type, body)"""
    if data[:3] == MARK:
        version, kind, flags, header, length, _ = struct.unpack_from("<BcBHII", data, 3)
        assert version == VERSION and flags == 0 and 16 <= header <= length <= len(data), data[:16]
        return length, kind, data[header:length]
    end = data.index(b"\n") + 1
    return end, b"L", data[:end]


def receive(box, dies_at_last):
    fd = os.open(box, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.flock(fd, fcntl.LOCK_EX)
    gathered, number, total = b"", None, 0
    while True:
        until(lambda: count(fd) > 0 or (number is not None and not is_held(fd, ALIVE + number)))
        if count(fd) == 0:
            gathered, number = b"", None
            lock(fd, fcntl.F_UNLCK, GATHER)
            continue
        until(lambda: lock(fd, fcntl.F_RDLCK, HAND))
        if count(fd) == 0:
            lock(fd, fcntl.F_UNLCK, HAND)
            continue
        length, kind, body = frame_at(look(fd))
        if kind in (b"L", b"R"):
            os.read(fd, length)
            return body
        this, whole, offset = struct.unpack_from("<QQQ", body)
        content = body[24:]
        alive = is_held(fd, ALIVE + this)
        if number is not None and (this, whole, offset) != (number, total, len(gathered)):
            gathered, number = b"", None
            lock(fd, fcntl.F_UNLCK, GATHER)
        if not alive or (offset > 0 and number is None):
            if not alive:
                os.read(fd, length)
            lock(fd, fcntl.F_UNLCK, HAND)
            continue
        if offset + len(content) == whole:
            if dies_at_last:
                os.kill(os.getpid(), signal.SIGKILL)
            os.read(fd, length)
            return gathered + content
        if offset == 0:
            until(lambda: lock(fd, fcntl.F_RDLCK, GATHER))
            number, total = this, whole
        assert len(os.read(fd, length)) == length
        gathered += content
        lock(fd, fcntl.F_UNLCK, HAND)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        with open(sys.argv[3], "rb") as file:
            send(sys.argv[2], file.read(), int(sys.argv[4]) if len(sys.argv) > 4 else 4000)
    else:
        message = receive(sys.argv[2], len(sys.argv) > 4)
        with open(sys.argv[3], "wb") as file:
            file.write(message)
