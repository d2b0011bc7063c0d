"""Runs a program that ends when whoever started it does, even when that one is killed: tied.py PROGRAM [ARGUMENT...]"""
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2); exec keeps it

parent = int(os.environ.pop("SLIPWAY_PARENT"))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("whoever started this has ended already")
os.execvp(sys.argv[1], sys.argv[1:])
