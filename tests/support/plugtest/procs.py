"""Processes, seen from outside: /proc and pidfds."""

import os
import pathlib
import select
import signal


class Watched:
    """A process that is not our child, held by a pidfd so that its pid cannot be mistaken."""

    def __init__(self, pid):
        self.pid = pid
        self.fd = os.pidfd_open(pid)

    def gone(self, timeout):
        """Did it end, or does it before the deadline?  A zombie has ended."""
        return bool(select.select([self.fd], [], [], timeout)[0])

    def kill(self, number=signal.SIGKILL):
        signal.pidfd_send_signal(self.fd, number)

    def close(self):
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read(pid, name):
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def environment(pid):
    pairs = (item.partition(b"=") for item in read(pid, "environ").split(b"\0") if item)
    return {key.decode(): value.decode("utf-8", "replace") for key, _, value in pairs}


def status(pid):
    """/proc/PID/status as a dict."""
    lines = read(pid, "status").decode().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def stat(pid):
    """(state, ppid, group, session)"""
    fields = read(pid, "stat").decode().rpartition(")")[2].split()
    return (fields[0], int(fields[1]), int(fields[2]), int(fields[3])) if fields else None


def descriptors(pid):
    """number -> what it is"""
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except FileNotFoundError:
            pass
    return found


def limit_that_leaves(pid, spare):
    """The limit of descriptors with which it may open so many more: there are gaps below its highest."""
    taken = descriptors(pid)
    return [number for number in range(max(taken) + spare + 2) if number not in taken][spare]


def rss_bytes(pid):
    return int(status(pid)["VmRSS"].split()[0]) * 1024


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def alive(pid):
    found = stat(pid)
    return found is not None and found[0] != "Z"


def of_socket(socket_path):
    """Live processes that were started as plugins of the plugd behind this socket."""
    wanted = f"PLUGD_SOCKET={socket_path}".encode()
    return [
        pid
        for pid in all_pids()
        if wanted in read(pid, "environ").split(b"\0") and alive(pid) and pid != os.getpid()
    ]
