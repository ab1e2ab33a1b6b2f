"""Puts the header of a record into an empty log, and nothing behind it: torn.py MAILBOX LENGTH."""

import os
import struct
import sys

from xxh3 import xxh3

START = 64
LENGTH = int(sys.argv[2])

log = os.open(os.path.join(sys.argv[1], "queue"), os.O_RDWR)
mailbox = struct.unpack("=Q", os.pread(log, 8, 24))[0]
sealed = struct.pack("=QQQIIQ", 1, LENGTH, 0, os.getpid(), 0, 0)
header = struct.pack("=II", 0x46517231, xxh3(sealed, mailbox ^ START) & 0xFFFFFFFF)
os.ftruncate(log, START)
os.pwrite(log, header + sealed + b"WAIT" + bytes(12) + b"z" * 1000, START)
