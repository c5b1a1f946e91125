"""Which processes there are, without asking plugd: plugins say when they begin and what they leave behind, and the
kernel says when it ends."""

import os
import select
import signal
import socket
import threading


class Observer:
    """A thread that writes `up`, `stray` and `down` lines."""

    def __init__(self, path, history):
        self.path, self.history = path, history
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind(str(path))
        self.poll = select.epoll()
        self.poll.register(self.sock, select.EPOLLIN)
        self.alive = {}  # pidfd -> (what, plugin, pid)
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.over = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over:
            for fd, _ in self.poll.poll(0.2):
                if fd == self.sock.fileno():
                    self._take()
                else:
                    self._down(fd)

    def _take(self):
        what, plugin, pid = self.sock.recv(256).decode().split()
        pid = int(pid)
        self.history.add(what, plugin=plugin, pid=pid)
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.history.add("down", what=what, plugin=plugin, pid=pid)
            return
        with self.changed:
            self.alive[fd] = (what, plugin, pid)
        self.poll.register(fd, select.EPOLLIN)

    def _down(self, fd):
        self.poll.unregister(fd)
        with self.changed:
            what, plugin, pid = self.alive.pop(fd)
            self.history.add("down", what=what, plugin=plugin, pid=pid)
            self.changed.notify_all()
        os.close(fd)

    def processes(self, plugin=None, what="up"):
        """(pidfd, pid) of those alive, oldest first."""
        with self.lock:
            return [
                (fd, pid) for fd, (kind, name, pid) in self.alive.items()
                if kind == what and plugin in (None, name)
            ]

    def signal(self, fd, number):
        """False: it has ended meanwhile."""
        with self.lock:
            if fd not in self.alive:
                return False
            try:
                signal.pidfd_send_signal(fd, number)
            except ProcessLookupError:
                return False
            return True

    def wait_none(self, timeout):
        """Until every process that was ever seen has ended; those that have not."""
        with self.changed:
            self.changed.wait_for(lambda: not self.alive, timeout)
            return list(self.alive.values())

    def close(self):
        self.over = True
        self.thread.join()
        for fd in self.alive:
            os.close(fd)
        self.poll.close()
        self.sock.close()
