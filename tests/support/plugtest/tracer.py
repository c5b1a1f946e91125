"""A debugger's hold on a process, by ptrace(2)."""

import ctypes
import os
import signal

PTRACE_CONT, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 7, 17, 0x4206, 0x4207
PTRACE_O_TRACEEXIT = 0x40
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, tid, data=0):
    if libc.ptrace(request, tid, None, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def threads(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


class Tracer:
    """All threads of a process.  One that is to exit with `hold_exit` does not end before let_go()."""

    def __init__(self, pid, hold_exit=False):
        self.pid = pid
        self.held = False  # at its exit
        self.tids = threads(pid)
        for tid in self.tids:
            ptrace(PTRACE_SEIZE, tid, PTRACE_O_TRACEEXIT if hold_exit else 0)

    def stop(self):
        for tid in self.tids:
            ptrace(PTRACE_INTERRUPT, tid)
        for tid in self.tids:
            os.waitpid(tid, WALL)

    def let_go(self):
        """Of a process that is stopped by stop()."""
        for tid in self.tids:
            ptrace(PTRACE_DETACH, tid)
        self.tids = []

    def let_die(self):
        """Of one that was killed: every thread stops once more at its exit, and goes on from there."""
        left = set(self.tids)
        if self.held:
            ptrace(PTRACE_CONT, self.pid)
        while left:
            try:
                tid, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                break
            if tid in left and os.WIFSTOPPED(status):
                try:
                    ptrace(PTRACE_CONT, tid)
                except ProcessLookupError:
                    pass
            else:
                left.discard(tid)
        self.tids = []

    def wait_exit_stop(self):
        """Until the first thread, the process's own, is held at its exit."""
        status = os.waitpid(self.pid, WALL)[1]
        self.held = True
        assert os.WIFSTOPPED(status) and status >> 8 == signal.SIGTRAP | 6 << 8, hex(status)
