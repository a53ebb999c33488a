"""The harness: data, few-shot draws, metrics, verdicts and the report. Importing it never imports torch."""

import os
import sys

ROOM_FOR_BYTECODE = 64 << 20
"""Free bytes of the disk below which no bytecode is stored: all modules together take a few MB."""

# Python 3.11 leaves a cut file in `__pycache__` where the disk is full, and every later start ends at it, also once
# there is room again (python/cpython issue 126606).
_disk = os.statvfs(__path__[0])
if _disk.f_bavail * _disk.f_frsize < ROOM_FOR_BYTECODE:
    sys.dont_write_bytecode = True
