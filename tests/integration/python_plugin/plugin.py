#!/usr/bin/python3
"""A plugin written from docs/protocol.md alone: the distribution's nng through ctypes, python3-protobuf,
and nothing of this repository but the generated messages.

Methods: echo, and stream ({"count": N, "bytes": N}), which sends pieces within the caller's window.
"""

import ctypes
import json
import os
import sys
import threading
import time

import plug_pb2 as pb

CHUNK_BYTES = 48 * 1024
OK, EINVAL, ETIMEOUT, ECANCELLED, ENOMETHOD = 0, 2, 8, 9, 13
TOKEN = bytes.fromhex(os.environ["PLUG_TOKEN"])
GENERATION = int(os.environ["PLUG_GENERATION"])

# ---- nng -----------------------------------------------------------------------------------------------

nng = ctypes.CDLL("libnng.so.1")
FLAG_ALLOC, FLAG_NONBLOCK = 1, 2
ETIMEDOUT, ECLOSED = 5, 7
PIPE_NEW, PIPE_LOST = 0, 2  # NNG_PIPE_EV_ADD_PRE, NNG_PIPE_EV_REM_POST


class Socket(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint32)]


class PipeId(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint32)]


PIPE_EVENT = ctypes.CFUNCTYPE(None, PipeId, ctypes.c_int, ctypes.c_void_p)
nng.nng_recv.argtypes = [Socket, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t), ctypes.c_int]
nng.nng_send.argtypes = [Socket, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
nng.nng_free.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
nng.nng_socket_set_size.argtypes = [Socket, ctypes.c_char_p, ctypes.c_size_t]
nng.nng_socket_set_int.argtypes = [Socket, ctypes.c_char_p, ctypes.c_int]
nng.nng_socket_set_ms.argtypes = [Socket, ctypes.c_char_p, ctypes.c_int32]
nng.nng_pipe_notify.argtypes = [Socket, ctypes.c_int, PIPE_EVENT, ctypes.c_void_p]
nng.nng_dial.argtypes = [Socket, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
nng.nng_close.argtypes = [Socket]
nng.nng_pipe_close.argtypes = [PipeId]
nng.nng_strerror.restype = ctypes.c_char_p


def check(code):
    if code:
        raise OSError(nng.nng_strerror(code).decode())


class Connection:
    """One connection: a socket of its own, closed when the connection ends.  nng would dial again by
    itself, and what waits to be sent would then go out before HELLO: it is to wait with that for hours,
    and where it does so all the same, the connection is refused."""

    def __init__(self):
        self.lost = threading.Event()
        self.socket = Socket()
        check(nng.nng_pair1_open(ctypes.byref(self.socket)))
        check(nng.nng_socket_set_size(self.socket, b"recv-size-max", 1 << 20))
        check(nng.nng_socket_set_int(self.socket, b"recv-buffer", 1024))
        check(nng.nng_socket_set_ms(self.socket, b"recv-timeout", 100))
        check(nng.nng_socket_set_ms(self.socket, b"send-timeout", 100))
        for bound in (b"reconnect-time-min", b"reconnect-time-max"):
            check(nng.nng_socket_set_ms(self.socket, bound, 24 * 3600 * 1000))
        self.had_one = False
        self.callbacks = PIPE_EVENT(self.on_new), PIPE_EVENT(lambda *_: self.lost.set())
        check(nng.nng_pipe_notify(self.socket, PIPE_NEW, self.callbacks[0], None))
        check(nng.nng_pipe_notify(self.socket, PIPE_LOST, self.callbacks[1], None))
        while nng.nng_dial(self.socket, os.environ["PLUG_ADDRESS"].encode(), None, 0):
            time.sleep(0.02)

    def on_new(self, pipe, *_):
        if self.had_one:
            nng.nng_pipe_close(pipe)
        self.had_one = True

    def send(self, data):
        """False when the connection is lost."""
        while not self.lost.is_set():
            code = nng.nng_send(self.socket, data, len(data), 0)
            if code == 0:
                return True
            if code != ETIMEDOUT:
                return False
        return False

    def receive(self):
        """A message, b"" when none came for a while, None when the connection is lost."""
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        code = nng.nng_recv(self.socket, ctypes.byref(data), ctypes.byref(size), FLAG_ALLOC)
        if code == 0:
            message = ctypes.string_at(data, size.value)
            nng.nng_free(data, size)
            return message
        if self.lost.is_set() or code != ETIMEDOUT:
            return None
        return b""

    def close(self):
        """Now and then this never returns, and plugd ends the process when its time to resume is over:
        nng 1.5.2's reaper waits for a task of the pipe that nobody runs."""
        print("closing", file=sys.stderr, flush=True)
        nng.nng_close(self.socket)
        print("closed", file=sys.stderr, flush=True)


# ---- the session ---------------------------------------------------------------------------------------


class Session:
    """Order, acknowledgement and resume."""

    def __init__(self):
        self.lock = threading.RLock()
        self.seq = 0
        self.received = 0
        self.told = 0  # of `received`
        self.told_bytes = 0
        self.heard_at = 0.0
        self.kept = []  # (seq, packed without ack) not acknowledged yet
        self.nonce = b""
        self.connection = None
        self.welcomed = False
        self.limits = None

    def pack(self, env):
        env.generation = GENERATION
        env.ack = self.received
        self.told, self.told_bytes = self.received, 0
        return env.SerializeToString()

    def send(self, env):
        """Kept until it is acknowledged; sent now if there is a connection."""
        with self.lock:
            self.seq += 1
            env.seq = self.seq
            self.kept.append(env)
            if self.welcomed:
                self.connection.send(self.pack(env))

    def send_once(self, env):
        with self.lock:
            self.connection.send(self.pack(env))

    def hello(self):
        hello = pb.Hello(
            protocol_min=1,
            protocol_max=1,
            sdk="python",
            name=os.environ["PLUG_NAME"],
            version="1.0.0",
            contract="interface",
            methods=[
                pb.Method(name="echo", idempotent=True, description="returns what it is given"),
                pb.Method(name="stream", stream=True, description="sends pieces"),
            ],
            token=TOKEN,
        )
        if self.nonce:
            hello.resume.generation = GENERATION
            hello.resume.nonce = self.nonce
            hello.resume.received = self.received
        self.send_once(pb.Envelope(hello=hello))

    def forget(self, ack):
        with self.lock:
            self.kept = [env for env in self.kept if env.seq > ack]

    def take_welcome(self, welcome):
        with self.lock:
            first = not self.nonce
            self.nonce = welcome.nonce
            if first:
                self.limits = welcome.limits
            self.welcomed = True
            self.forget(welcome.received)
            for env in self.kept:
                self.connection.send(self.pack(env))
            return first

    def acknowledge(self, due):
        """Within a second, or after 64 messages or 256 KiB."""
        with self.lock:
            behind = self.received - self.told
            if behind and (due or behind >= 64 or self.told_bytes >= 256 * 1024):
                self.send_once(pb.Envelope(only_ack=pb.Ack()))

    def connect(self):
        with self.lock:
            if self.connection:
                self.connection.close()
            self.welcomed = False
            self.connection = Connection()
            self.hello()

    def messages(self):
        """Every message once and in order, over as many connections as it takes."""
        self.connect()
        while True:
            data = self.connection.receive()
            if data is None:
                self.connect()
                continue
            if data == b"":
                self.acknowledge(due=self.welcomed and time.monotonic() - self.heard_at > 0.5)
                continue
            env = pb.Envelope.FromString(data)
            kind = env.WhichOneof("body")
            if not self.welcomed and kind not in ("welcome", "refused"):
                continue
            self.forget(env.ack)
            if env.seq:
                if env.seq <= self.received:
                    continue  # sent again
                assert env.seq == self.received + 1, (env.seq, self.received)
                self.received = env.seq
                self.told_bytes += len(data)
                self.heard_at = time.monotonic()
            yield kind, env
            self.acknowledge(due=False)


# ---- calls ---------------------------------------------------------------------------------------------


class Call:
    def __init__(self, session, env):
        self.session = session
        self.id = env.id
        self.method = env.call.method
        self.content_type = env.call.content_type
        self.payload = env.call.payload
        self.deadline = time.monotonic() + env.call.timeout_us / 1e6 if env.call.timeout_us else None
        self.news = threading.Condition()
        self.window = session.limits.window_bytes
        self.cancelled = 0

    def wait_for_window(self):
        with self.news:
            while self.window <= 0 and not self.cancelled:
                self.news.wait(1)
            return not self.cancelled

    def spend(self, size):
        with self.news:
            self.window -= size

    def reply(self, payload, partial=False, **fields):
        """In chunks when it is long; each only once the window is open.  False: nobody waits."""
        parts = [payload[at : at + CHUNK_BYTES] for at in range(0, len(payload), CHUNK_BYTES)] or [b""]
        for index, part in enumerate(parts):
            if not self.wait_for_window():
                return False
            last = index == len(parts) - 1
            if index == 0:
                body = pb.Reply(payload=part, more=not last, partial=partial, content_type=self.content_type, **fields)
                self.session.send(pb.Envelope(id=self.id, reply=body))
            else:
                self.session.send(pb.Envelope(id=self.id, chunk=pb.Chunk(data=part, last=last)))
            self.spend(len(part))
        return True

    def fail(self, outcome, message):
        self.session.send(pb.Envelope(id=self.id, reply=pb.Reply(outcome=outcome, message=message)))

    def run(self):
        if self.method == "echo":
            self.answered = self.reply(self.payload)
        elif self.method == "stream":
            self.answered = self.stream()
        else:
            self.fail(ENOMETHOD, f"no method {self.method}")
            return
        if not self.answered:
            self.fail(self.cancelled, "nobody waits any more")

    def stream(self):
        args = json.loads(self.payload or b"{}")
        for _ in range(args.get("count", 3)):
            if not self.reply(b"x" * args.get("bytes", 10), partial=True):
                return False
        return self.reply(b"{}")


def main():
    session = Session()
    calls = {}
    for kind, env in session.messages():
        if kind == "welcome":
            if session.take_welcome(env.welcome):
                print("welcomed by plugd", env.welcome.plugd, flush=True)
                session.send(pb.Envelope(ready=pb.Ready()))
        elif kind == "refused":
            sys.exit(f"refused: {env.refused.message}")
        elif kind == "call":
            calls = {number: call for number, call in calls.items() if call.thread.is_alive() or call.unfinished}
            call = calls[env.id] = Call(session, env)
            call.thread = threading.Thread(target=call.run, daemon=True)
            call.unfinished = env.call.more
            if not call.unfinished:
                call.thread.start()
        elif kind == "chunk":
            call = calls[env.id]
            call.payload += env.chunk.data
            if env.chunk.last:
                call.unfinished = False
                call.thread.start()
        elif kind == "credit" and env.id in calls:
            with calls[env.id].news:
                calls[env.id].window += env.credit.bytes
                calls[env.id].news.notify_all()
        elif kind == "cancel" and env.id in calls:
            with calls[env.id].news:
                calls[env.id].cancelled = env.cancel.reason or ECANCELLED
                calls[env.id].news.notify_all()
        elif kind == "ping":
            session.send_once(pb.Envelope(pong=pb.Pong(stamp=env.ping.stamp)))
        elif kind == "stop":
            print("told to stop", flush=True)
            os._exit(0)


main()
