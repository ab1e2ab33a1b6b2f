"""A peer that has the lock TAKE of a buffered mailbox and does nothing: keep.py MAILBOX. Makes the file `held`."""

import fcntl
import os
import struct
import sys
import time

F_OFD_SETLK = 37
TAKE = (1 << 62) + 1

log = os.open(os.path.join(sys.argv[1], "queue"), os.O_RDWR)
fcntl.fcntl(log, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, TAKE, 1, 0))
open("held", "w").close()
time.sleep(60)
