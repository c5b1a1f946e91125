"""The two wires, spoken by hand: nng's pair1 over a Unix stream, and plugd.sock's packets.

Bytes can be anything here, which is what a library would not allow.
"""

import os
import select
import socket
import struct
import time

from . import build

pb = build.messages()
admin = build.admin_messages()

PAIR1 = 0x11
MESSAGE_BYTES = 64 * 1024
CHUNK_BYTES = 48 * 1024

OK, ESYS, EINVAL, ENOMEM, ESTATE, EPROTO, EGONE, EUNAVAILABLE, ETIMEOUT, ECANCELLED = range(10)
EOVERLOADED, ETOOLARGE, ENOTFOUND, ENOMETHOD, EDENIED, EPLUGIN = range(10, 16)
EPOISON = 20


class Closed(Exception):
    """The other side closed the connection."""


def _receive(sock, size):
    data = b""
    while len(data) < size:
        try:
            got = sock.recv(size - len(data))
        except ConnectionResetError:
            got = b""
        if not got:
            raise Closed
        data += got
    return data


class Pair:
    """One connection of nng's pair1 (mono) over ipc://, the dialing side."""

    def __init__(self, path, handshake=True, timeout=20):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(build.seconds(timeout))
        self.sock.connect(path)
        if handshake:
            self.sock.sendall(b"\0SP\0" + struct.pack(">HH", PAIR1, 0))
            theirs = _receive(self.sock, 8)
            assert theirs == b"\0SP\0" + struct.pack(">HH", PAIR1, 0), theirs

    def send_raw(self, data):
        self.sock.sendall(data)

    def send_bytes(self, body):
        """One message with any content."""
        self.send_raw(b"\x01" + struct.pack(">QI", len(body) + 4, 1) + body)

    def receive_bytes(self):
        kind, size = struct.unpack(">BQ", _receive(self.sock, 9))
        assert kind == 1 and size >= 4, (kind, size)
        return _receive(self.sock, size)[4:]

    def wait_closed(self):
        """Read on until the other side closes."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def close(self):
        self.sock.close()


class Client:
    """A client session over plugd.sock, one packet an Envelope."""

    def __init__(self, site_or_path, hello=True, name="test", timeout=20, token=b""):
        path = getattr(site_or_path, "socket_path", site_or_path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(build.seconds(timeout))
        self.sock.connect(str(path))
        self.last_id = 0
        if hello:
            self.send(client_hello=pb.ClientHello(protocol_min=1, protocol_max=1, name=name, token=token))
            self.welcome = self.receive("client_welcome").client_welcome

    def send_raw(self, data):
        self.sock.send(data)

    def send(self, id=0, **body):
        self.send_raw(pb.Envelope(id=id, **body).SerializeToString())

    def receive(self, kind=None):
        data = self.sock.recv(MESSAGE_BYTES + 1)
        if not data:
            raise Closed
        env = pb.Envelope.FromString(data)
        if kind:
            assert env.WhichOneof("body") == kind, env
        return env

    def next_id(self):
        self.last_id += 1
        return self.last_id

    def start_call(self, plugin, method, payload=b"{}", timeout_ms=0, content_type="application/json"):
        """Send a call, in chunks when it is long; its id."""
        number = self.next_id()
        first, rest = payload[:CHUNK_BYTES], payload[CHUNK_BYTES:]
        call = pb.Call(
            plugin=plugin,
            method=method,
            content_type=content_type,
            payload=first,
            more=bool(rest),
            timeout_us=timeout_ms * 1000,
        )
        self.send(number, call=call)
        while rest:
            part, rest = rest[:CHUNK_BYTES], rest[CHUNK_BYTES:]
            self.send(number, chunk=pb.Chunk(data=part, last=not rest))
        return number

    def finish_call(self, number):
        """(outcome, message, payload, pieces) of a call; answers to others are not expected."""
        pieces, parts, last = [], [], None
        while True:
            env = self.receive()
            assert env.id == number, env
            if env.WhichOneof("body") == "chunk":
                parts.append(env.chunk.data)
                more = not env.chunk.last
            else:
                last, parts, more = env.reply, [env.reply.payload], env.reply.more
            if more:
                continue
            if last.partial:
                pieces.append(b"".join(parts))
            else:
                return last.outcome, last.message, b"".join(parts), pieces

    def call(self, plugin, method, payload=b"{}", **keys):
        return self.finish_call(self.start_call(plugin, method, payload, **keys))

    def request(self, **body):
        """All Responses to one request."""
        number = self.next_id()
        self.send(number, request=admin.Request(**body))
        responses = []
        while True:
            responses.append(self.receive("response").response)
            if not responses[-1].more:
                return responses

    def is_closed(self, timeout=20):
        """Does plugd end this session, whatever it says before?"""
        deadline = time.monotonic() + build.seconds(timeout)
        while select.select([self.sock], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                if not self.sock.recv(MESSAGE_BYTES + 1):
                    return True
            except ConnectionResetError:
                return True
        return False

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def environment_address():
    return os.environ["PLUG_ADDRESS"][len("ipc://"):]
