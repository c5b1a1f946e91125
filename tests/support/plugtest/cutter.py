"""Between a plugin and plugd: passes bytes on until it is told to cut the connection.

Run as the plugin's program: the process becomes the plugin named by its arguments, and a child of it
listens in the place of plugd's session.  Every line that the test writes into the FIFO cuts whatever
is connected, in the middle of whatever is being passed; what was read and not yet written is lost, as
with any broken connection.

    cutter.py FIFO PROGRAM ARGUMENT…
"""

import os
import selectors
import socket
import sys

BLOCK = 4096  # small, so that cuts fall inside messages


class Cutter:
    def __init__(self, listener, target, commands):
        self.target = target
        self.commands = commands
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.selector.register(commands, selectors.EVENT_READ)
        self.other = {}
        self.waiting = {}

    def connect(self):
        ours, _ = self.listener.accept()
        theirs = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            theirs.connect(self.target)
        except OSError:
            ours.close()
            theirs.close()
            return
        for a, b in ((ours, theirs), (theirs, ours)):
            self.other[a] = b
            self.waiting[a] = b""
            a.setblocking(False)
            self.selector.register(a, selectors.EVENT_READ)

    def drop(self, *socks):
        for sock in socks:
            self.other.pop(sock)
            self.waiting.pop(sock)
            self.watch(sock, 0)
            sock.close()

    def watch(self, sock, events):
        if sock in self.selector.get_map():
            self.selector.unregister(sock)
        if events:
            self.selector.register(sock, events)

    def want(self, sock):
        """Read from it while the other side takes what comes; write to it while something waits."""
        events = 0 if self.waiting[self.other[sock]] else selectors.EVENT_READ
        if self.waiting[sock]:
            events |= selectors.EVENT_WRITE
        self.watch(sock, events)

    def serve(self, sock, events):
        other = self.other[sock]
        if events & selectors.EVENT_WRITE:
            sent = sock.send(self.waiting[sock][:BLOCK])
            self.waiting[sock] = self.waiting[sock][sent:]
        if events & selectors.EVENT_READ and not self.waiting[other]:
            data = sock.recv(BLOCK)
            if not data:
                raise ConnectionResetError
            self.waiting[other] = data
        self.want(sock)
        self.want(other)

    def take_commands(self):
        """Everything is cut, once for all that was asked for meanwhile."""
        os.read(self.commands.fileno(), 4096)
        self.drop(*self.other)

    def run(self):
        while True:
            for key, events in self.selector.select():
                sock = key.fileobj
                if sock is self.listener:
                    self.connect()
                elif sock is self.commands:
                    self.take_commands()
                elif sock in self.other:
                    try:
                        self.serve(sock, events)
                    except OSError:
                        self.drop(sock, self.other[sock])


def main():
    fifo, program = sys.argv[1], sys.argv[2:]
    target = os.environ["PLUG_ADDRESS"][len("ipc://"):]
    address = target[:-1] + "c"  # beside it, and as private
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(8)
    os.environ["PLUG_ADDRESS"] = "ipc://" + address
    if os.fork() == 0:
        commands = open(fifo, "r+b", buffering=0)  # also for writing: the end of a writer is no end
        os.set_blocking(commands.fileno(), False)
        Cutter(listener, target, commands).run()
    listener.close()
    os.execv(program[0], program)


main()
