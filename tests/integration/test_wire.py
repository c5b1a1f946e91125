"""The bytes below libplug's session, against a plugd made by hand that may send any."""

import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from plugtest import build, wire

pb = wire.pb
GREETING = b"\0SP\0" + struct.pack(">HH", wire.PAIR1, 0)
TOKEN, NONCE = b"t" * 16, b"n" * 16


def frame(body, hops=1):
    return b"\x01" + struct.pack(">QI", len(body) + 4, hops) + body


def wait_for(condition):
    until = time.monotonic() + build.seconds(20)
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


class Plugd:
    """A listener, and libplug's echo plugin as its child."""

    def __init__(self, root, env):
        self.path = str(root / "s")
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.door.bind(self.path)
        self.door.listen(4)
        self.door.settimeout(build.seconds(20))
        self.seq = self.received = 0
        self.sock = None
        self.process = subprocess.Popen(
            [build.ECHO / "echo-plugin"], stderr=subprocess.PIPE,
            env=os.environ | {"PLUG_ADDRESS": f"ipc://{self.path}", "PLUG_TOKEN": TOKEN.hex(), "PLUG_GENERATION": "1"} | env,
        )

    def accept(self):
        """A connection that has greeted and said HELLO before anybody answered."""
        if self.sock:
            self.sock.close()
        self.sock, _ = self.door.accept()
        self.sock.settimeout(build.seconds(20))
        assert wire._receive(self.sock, 8) == GREETING
        return self.receive("hello").hello

    def receive(self, kind):
        while True:
            one, size, hops = struct.unpack(">BQI", wire._receive(self.sock, 13))
            assert (one, hops) == (1, 1) and 4 <= size <= wire.MESSAGE_BYTES + 4
            env = pb.Envelope.FromString(wire._receive(self.sock, size - 4))
            if env.seq > self.received:
                assert env.seq == self.received + 1
                self.received = env.seq
            if env.WhichOneof("body") == kind:
                return env

    def bytes_of(self, seq=None, **body):
        if seq is None:
            self.seq += 1
            seq = self.seq
        env = pb.Envelope(generation=1, seq=seq, ack=self.received, **body)
        return frame(env.SerializeToString())

    def welcome(self):
        return self.bytes_of(seq=0, welcome=pb.Welcome(protocol=1, generation=1, nonce=NONCE, received=self.received))

    def shake(self):
        self.accept()
        self.sock.sendall(GREETING + self.welcome())

    def echo(self, id, payload=b"x", tell=None):
        call = pb.Call(plugin="echo", method="echo", payload=payload, content_type="text/plain")
        (tell or self.sock.sendall)(self.bytes_of(id=id, call=call))
        reply = self.receive("reply")
        assert (reply.id, reply.reply.outcome, reply.reply.payload) == (id, 0, payload)

    def unread(self):
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD, b"    "))[0]

    def drip(self, data):
        for byte in data:
            self.sock.sendall(bytes([byte]))

    def end(self):
        self.process.kill()
        self.process.communicate()
        self.sock and self.sock.close()
        self.door.close()


@pytest.fixture
def plugd(tmp_path, request):
    one = Plugd(tmp_path, getattr(request, "param", {}))
    yield one
    one.end()


def test_hello_comes_with_the_greeting(plugd):
    """It waits for nobody's: one turn less before a plugin is there."""
    hello = plugd.accept()
    assert hello.token == TOKEN and not hello.HasField("resume")
    plugd.sock.sendall(GREETING + plugd.welcome())
    plugd.receive("ready")
    plugd.echo(1)


def test_bytes_come_one_by_one(plugd):
    plugd.accept()
    plugd.drip(GREETING + plugd.welcome())
    plugd.receive("ready")
    plugd.echo(1, tell=plugd.drip)


def test_many_frames_come_at_once(plugd):
    plugd.shake()
    plugd.receive("ready")
    call = pb.Call(plugin="echo", method="echo", payload=b"y" * 20000)
    plugd.sock.sendall(b"".join(plugd.bytes_of(id=n, call=call) for n in range(1, 9)))
    assert sorted(plugd.receive("reply").id for _ in range(8)) == list(range(1, 9))


@pytest.mark.parametrize("size", [0, 1, 48 * 1024])
def test_sizes(plugd, size):
    plugd.shake()
    plugd.receive("ready")
    for id in range(1, 4):
        plugd.echo(id, b"z" * size)


def test_answers_wait_for_room(plugd):
    """Nobody reads for a while: half a frame waits, and the rest follows it in order."""
    plugd.shake()
    plugd.receive("ready")
    call = pb.Call(plugin="echo", method="echo", payload=b"w" * 40000, content_type="text/plain")
    for id in range(1, 41):
        plugd.sock.sendall(plugd.bytes_of(id=id, call=call))
    replies = [plugd.receive("reply") for _ in range(40)]
    assert sorted(reply.id for reply in replies) == list(range(1, 41))
    assert all(reply.reply.payload == b"w" * 40000 for reply in replies)
    plugd.echo(41)


def test_a_handler_fills_the_socket_while_nobody_receives(plugd):
    """It runs beside the thread that receives, which is told that something waits for room."""
    plugd.shake()
    plugd.receive("ready")
    call = pb.Call(plugin="echo", method="stream", payload=b'{"count": 3000, "interval_ms": 0}', content_type="application/json")
    plugd.sock.sendall(plugd.bytes_of(id=1, call=call))
    replies = [plugd.receive("reply").reply for _ in range(3001)]
    assert [reply.partial for reply in replies] == [True] * 3000 + [False]


@pytest.mark.skipif(bool(build.SANITIZE), reason="a sanitizer needs more addresses than there would be")
@pytest.mark.parametrize("plugd", [{"MALLOC_ARENA_MAX": "1", "MALLOC_TOP_PAD_": str(32 << 20)}], indirect=True, ids=["heap"])
def test_answers_leave_though_no_thread_receives(plugd):
    """Two handlers that do not end have the only threads, one of them that which received."""
    plugd.shake()
    plugd.receive("ready")
    process = f"/proc/{plugd.process.pid}"
    wait_for(lambda: len(os.listdir(f"{process}/task")) == 4)  # its own two, and two that receive and run calls
    with open(f"{process}/statm") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize()
    limit = size + 256 * 1024  # less than the stack of a thread; the heap has what it needs
    resource.prlimit(plugd.process.pid, resource.RLIMIT_AS, (limit, limit))
    call = pb.Call(plugin="echo", method="stream", payload=b'{"count": 1000000, "interval_ms": 1}', content_type="application/json")
    came = {2: 0, 3: 0}
    for id in came:
        plugd.sock.sendall(plugd.bytes_of(id=id, call=call))
        came[plugd.receive("reply").id] += 1
    with plugd.process.stderr as stderr:  # a line at every nap, which would wait for a reader
        assert "cannot start a worker thread" in stderr.readline().decode()
    plugd.process.stderr = None
    seen = []
    wait_for(lambda: seen.append(plugd.unread()) or len(seen) > 10 and seen[-1] == seen[-11])  # it is full
    while min(came.values()) < 1000:
        came[plugd.receive("reply").id] += 1


WRONG = {
    "no frame": lambda: b"\x02" + b"\0" * 12,
    "no hop count": lambda: b"\x01" + struct.pack(">QI", 3, 1),
    "too long": lambda: b"\x01" + struct.pack(">QI", (1 << 20) + 5, 1),
    "endless": lambda: b"\x01" + struct.pack(">QI", (1 << 64) - 1, 1),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_frame_ends_the_connection_only(plugd, what):
    plugd.shake()
    plugd.receive("ready")
    plugd.echo(1)
    plugd.sock.sendall(WRONG[what]())
    hello = plugd.accept()
    assert hello.resume.nonce == NONCE and hello.resume.received == plugd.seq
    plugd.sock.sendall(GREETING + plugd.welcome())
    plugd.echo(2)


def test_a_greeting_of_something_else(plugd):
    plugd.accept()
    plugd.sock.sendall(b"HTTP/1.1 400 no\r\n")
    plugd.shake()
    plugd.receive("ready")


def test_turned_away_it_comes_again(plugd):
    """As plugd does while an older connection is there: a greeting, then the end."""
    for _ in range(3):
        plugd.accept()
        plugd.sock.sendall(GREETING)
        plugd.sock.shutdown(socket.SHUT_WR)
        plugd.sock.recv(1)
    plugd.shake()
    plugd.receive("ready")
    plugd.echo(1)


def test_half_a_frame_before_the_end_is_forgotten(plugd):
    plugd.shake()
    plugd.receive("ready")
    call = pb.Call(plugin="echo", method="echo", payload=b"v" * 1000)
    lost = plugd.bytes_of(id=1, call=call)
    plugd.sock.sendall(lost[:500])
    hello = plugd.accept()
    assert hello.resume.received == plugd.seq - 1
    plugd.sock.sendall(GREETING + plugd.welcome() + lost)
    assert plugd.receive("reply").id == 1


def test_what_was_not_acknowledged_is_said_again(plugd):
    plugd.shake()
    plugd.receive("ready")
    call = pb.Call(plugin="echo", method="echo", payload=b"u" * 40000)
    for id in range(1, 9):
        plugd.sock.sendall(plugd.bytes_of(id=id, call=call))
    first = plugd.receive("reply")
    plugd.accept()
    plugd.sock.sendall(GREETING + plugd.welcome())
    replies = [plugd.receive("reply") for _ in range(7)]
    assert sorted([first.id] + [reply.id for reply in replies]) == list(range(1, 9))
    assert all(reply.reply.payload == b"u" * 40000 for reply in replies)


def test_it_ends_when_plugd_stays_away(plugd):
    plugd.shake()
    plugd.receive("ready")
    plugd.door.close()
    plugd.sock.close()
    assert plugd.process.wait(build.seconds(20)) == 1


def test_a_path_that_is_too_long(tmp_path):
    done = subprocess.run(
        [build.ECHO / "echo-plugin"], capture_output=True, text=True, timeout=build.seconds(20),
        env=os.environ | {"PLUG_ADDRESS": "ipc:///" + "x" * 200, "PLUG_TOKEN": TOKEN.hex(), "PLUG_GENERATION": "1"},
    )
    assert done.returncode == 1 and "fewer than 108 bytes" in done.stderr, done


def test_too_few_descriptors(tmp_path):
    """Enough to load it, and one of its own."""
    done = subprocess.run(
        ["prlimit", "--nofile=4", build.ECHO / "echo-plugin"], capture_output=True, text=True, timeout=build.seconds(20),
        env=os.environ | {"PLUG_ADDRESS": f"ipc://{tmp_path}/s", "PLUG_TOKEN": TOKEN.hex(), "PLUG_GENERATION": "1"},
    )
    assert done.returncode == 1 and "no memory or descriptor left" in done.stderr, done


def test_a_few_threads_and_no_nng(plugd):
    """What nng brought: a dozen threads, whose number grows with processors, and four libraries."""
    plugd.shake()
    plugd.receive("ready")
    plugd.echo(1)
    process = f"/proc/{plugd.process.pid}"
    assert len(os.listdir(f"{process}/task")) <= 5
    with open(f"{process}/maps") as maps:
        assert "libnng" not in maps.read()
    os.kill(plugd.process.pid, signal.SIGTERM)
    assert plugd.process.wait(build.seconds(20)) == 0
