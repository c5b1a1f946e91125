"""A plugin that speaks the protocol by hand, and may break every rule of it."""

import os  # noqa: F401  (the plugins' scripts use these)
import select
import signal  # noqa: F401
import socket  # noqa: F401
import struct  # noqa: F401
import sys  # noqa: F401
import time

from .wire import *  # noqa: F401,F403
from .wire import Closed, Pair, environment_address, pb

TOKEN = bytes.fromhex(os.environ.get("PLUG_TOKEN", ""))
NAME = os.environ.get("PLUG_NAME", "")
GENERATION = int(os.environ.get("PLUG_GENERATION", "0"))


def say(*words):
    print(*words, flush=True)


class Rogue:
    def __init__(self, methods=("echo",), connect=True):
        self.methods = methods
        self.seq = 0
        self.received = 0
        self.nonce = b""
        self.pair = Pair(environment_address()) if connect else None

    def reconnect(self):
        self.pair.close()
        self.pair = Pair(environment_address())

    def send(self, id=0, seq=None, generation=GENERATION, ack=None, **body):
        """seq None: the next one; 0: none."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        ack = self.received if ack is None else ack
        env = pb.Envelope(id=id, generation=generation, seq=seq, ack=ack, **body)
        self.pair.send_bytes(env.SerializeToString())

    def hello(self, **changes):
        methods = [
            pb.Method(name=name.rstrip("~!"), stream="~" in name, idempotent="!" in name)
            for name in self.methods
        ]
        fields = dict(
            protocol_min=1,
            protocol_max=1,
            sdk="rogue",
            name=NAME,
            version="1.0.0",
            contract="interface",
            methods=methods,
            token=TOKEN,
        )
        fields.update(changes)
        self.send(seq=0, hello=pb.Hello(**fields))

    def come_back(self, **changes):
        """As nng redials: until the old connection is off plugd's hands and a HELLO is answered."""
        while True:
            try:
                self.reconnect()
                self.resume(**changes)
                return self.receive()
            except (Closed, OSError):
                time.sleep(0.01)

    def resume(self, **changes):
        fields = dict(generation=GENERATION, nonce=self.nonce, received=self.received)
        fields.update(changes)
        self.hello(resume=pb.Resume(**fields))

    def receive(self):
        env = pb.Envelope.FromString(self.pair.receive_bytes())
        if env.seq:
            self.received = env.seq
        if env.WhichOneof("body") == "welcome":
            self.nonce = env.welcome.nonce
        return env

    def expect(self, kind):
        """The next message of this kind; acknowledgements and pings are passed over."""
        while True:
            env = self.receive()
            if env.WhichOneof("body") == kind:
                return env
            if env.WhichOneof("body") == "ping":
                self.send(seq=0, pong=pb.Pong(stamp=env.ping.stamp))

    def take_what_is_there(self):
        while select.select([self.pair.sock], [], [], 0)[0]:
            env = self.receive()
            if env.WhichOneof("body") == "ping":
                self.send(seq=0, pong=pb.Pong(stamp=env.ping.stamp))

    def start(self):
        """HELLO to READY."""
        self.hello()
        self.expect("welcome")
        self.send(ready=pb.Ready())
        return self

    def reply(self, id, payload=b"{}", **fields):
        self.send(id=id, reply=pb.Reply(content_type="application/json", payload=payload, **fields))

    def serve(self, on_call=None):
        """Answer calls until STOP or the end of the session."""
        while True:
            try:
                env = self.receive()
            except Closed:
                return
            kind = env.WhichOneof("body")
            if kind == "call":
                if on_call:
                    on_call(self, env)
                else:
                    self.reply(env.id, env.call.payload)
            elif kind == "ping":
                self.send(seq=0, pong=pb.Pong(stamp=env.ping.stamp))
            elif kind == "stop":
                return


def wait_forever():
    while True:
        signal.pause()
