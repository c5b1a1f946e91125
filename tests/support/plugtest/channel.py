"""Channels spoken by hand: the regions, the wake socket, the broker socket, the request.

A second implementation of proto/channel.h, from its text; and every rule of it can be broken here.
"""

import array
import fcntl
import mmap
import os
import select
import socket
import struct
import time

from . import build, wire

pb = wire.pb

MAGIC, STATUS_MAGIC = 0x31474552474C5021, 0x3154534154534C50
CALLER, PLUGIN = 1, 2
LIVE, MOVED, ENDED, DEAD = 1, 2, 3, 4
PAGE = 4096
REGION_BYTES = 128 * 1024
REGION_BYTES_MIN = 64 * 1024
RECORDS, ROOM = 1, 2
TAKEN_AT, SLEEPING_AT, CLOSED_AT = 64, 128, 192

SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_FUTURE_WRITE = 1, 2, 4, 8, 16
SEALS = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE


def memfd(size=REGION_BYTES, seals=SEALS, holes=False):
    """Memory as it has to be, or not."""
    fd = os.memfd_create("test-region", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if not holes and size:
        os.posix_fallocate(fd, 0, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def send_with(sock, data, fds):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    return sock.sendmsg([data], rights)


def receive_with(sock):
    """(bytes, descriptors)"""
    data, fds, _, _ = socket.recv_fds(sock, wire.MESSAGE_BYTES + 1, 16)
    return data, list(fds)


class Region:
    """Shared memory of one side: the own one, writable, or the other's, only to be read."""

    def __init__(self, memory, size):
        self.memory, self.size = memory, size
        self.ring = size - PAGE
        self.record_max = min(56 * 1024, self.ring // 3 // 8 * 8)

    @classmethod
    def make(cls, side, channel=0, size=REGION_BYTES, head=None):
        fd = memfd(size, seals=0)
        memory = mmap.mmap(fd, size)
        memory[:32] = head or struct.pack("<QIIQQ", MAGIC, 1, side, size, channel)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
        return cls(memory, size), fd

    @classmethod
    def map(cls, fd, size):
        return cls(mmap.mmap(fd, size, prot=mmap.PROT_READ), size)

    def word(self, at, size=8):
        return int.from_bytes(self.memory[at : at + size], "little")

    def set_word(self, at, value, size=8):
        self.memory[at : at + size] = value.to_bytes(size, "little")

    def bytes_at(self, position, size):
        place = position % self.ring
        first = min(size, self.ring - place)
        return self.memory[PAGE + place : PAGE + place + first] + self.memory[PAGE : PAGE + size - first]

    def put(self, position, data):
        place = position % self.ring
        first = min(len(data), self.ring - place)
        self.memory[PAGE + place : PAGE + place + first] = data[:first]
        self.memory[PAGE : PAGE + len(data) - first] = data[first:]

    def close(self):
        self.memory.close()


def padded(size):
    return (size + 7) // 8 * 8


class Channel:
    """One side of an open channel: its own region, the other's, and its end of the wake socket."""

    def __init__(self, own, peer, wake):
        self.own, self.peer, self.wake = own, peer, wake
        self.posted = self.taken = self.last_call = 0

    def post(self, **fields):
        body = pb.Envelope(**fields).SerializeToString()
        self.post_bytes(body)

    def post_bytes(self, body, header=None):
        after = self.posted + 8 + padded(len(body))
        assert after + 8 - self.peer.word(TAKEN_AT) <= self.own.ring, "the ring is full"
        self.own.put(self.posted + 8, body)
        self.own.put(after, bytes(8))
        if header is None:
            header = len(body) | (self.posted // 8 + 1 & 0xFFFFFFFF) << 32
        self.own.put(self.posted, struct.pack("<Q", header))
        self.posted = after
        if self.peer.word(SLEEPING_AT, 4) & RECORDS:
            self.notify()

    def notify(self):
        try:
            self.wake.send(b"\1", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            pass

    def take_now(self):
        """The next Envelope, or None."""
        header = struct.unpack("<Q", self.peer.bytes_at(self.taken, 8))[0]
        if not header:
            return None
        size, mark = header & 0xFFFFFFFF, header >> 32
        assert mark == self.taken // 8 + 1 & 0xFFFFFFFF and 0 < size <= self.peer.record_max, hex(header)
        body = self.peer.bytes_at(self.taken + 8, size)
        self.taken += 8 + padded(size)
        self.own.set_word(TAKEN_AT, self.taken)
        if self.peer.word(SLEEPING_AT, 4) & ROOM:
            self.notify()
        return pb.Envelope.FromString(body)

    def take(self, timeout=20):
        """The next Envelope; wire.Closed at the end of the other side."""
        env = self.take_now()
        while env is None:
            self.own.set_word(SLEEPING_AT, RECORDS, 4)
            env = self.take_now()
            if env is None:
                if not select.select([self.wake], [], [], build.seconds(timeout))[0]:
                    raise AssertionError("nothing came through the channel")
                if not self.drain():
                    env = self.take_now()
                    if env is None:
                        raise wire.Closed
                    continue
            self.own.set_word(SLEEPING_AT, 0, 4)
            env = env or self.take_now()
        return env

    def drain(self):
        """False at the end of the other side."""
        while True:
            try:
                if not self.wake.recv(64, socket.MSG_DONTWAIT):
                    return False
            except BlockingIOError:
                return True
            except ConnectionResetError:
                return False

    def wait_end(self, timeout=20):
        """Until the other side closes its end."""
        while select.select([self.wake], [], [], build.seconds(timeout))[0]:
            if not self.drain():
                return
        raise AssertionError("the other side did not close its end of the channel")

    def start_call(self, method, payload=b"{}", content_type="application/json", timeout_us=20_000_000, **fields):
        self.last_call += 1
        call = pb.Call(method=method, payload=payload, content_type=content_type, timeout_us=timeout_us, **fields)
        self.post(id=self.last_call, call=call)
        return self.last_call

    def call(self, method, payload=b"{}", **fields):
        number = self.start_call(method, payload, **fields)
        env = self.take()
        assert env.id == number and env.WhichOneof("body") == "reply", env
        return env.reply

    def close(self):
        self.wake.close()
        self.own.close()
        self.peer.close()


# ---- the caller's way to a channel --------------------------------------------------------------------


class Status:
    def __init__(self, fd):
        self.page = mmap.mmap(fd, PAGE, prot=mmap.PROT_READ)
        magic, _, self.generation = struct.unpack("<QII", self.page[:16])
        assert magic == STATUS_MAGIC

    @property
    def word(self):
        return struct.unpack("<I", self.page[8:12])[0]


def request(client, plugin, size=REGION_BYTES, fds=None, announced=None):
    """Ask for a channel with these descriptors, which stay the caller's; the id."""
    number = client.next_id()
    body = pb.ChannelRequest(plugin=plugin, region_bytes=size if announced is None else announced)
    data = pb.Envelope(id=number, channel_request=body).SerializeToString()
    send_with(client.sock, data, fds or [])
    return number


def receive_grant(client, number):
    """(ChannelGrant, descriptors)"""
    data, fds = receive_with(client.sock)
    if not data:
        raise wire.Closed
    env = pb.Envelope.FromString(data)
    assert env.WhichOneof("body") == "channel_grant" and env.id == number, env
    assert len(fds) == (0 if env.channel_grant.outcome else 3), (fds, env)
    return env.channel_grant, fds


def refusal(client, plugin, fd=None, **keys):
    """The grant that refuses a request; a good region unless `fd` is one."""
    region = memfd() if fd is None else fd
    number = request(client, plugin, fds=[region], **keys)
    os.close(region)
    grant, _ = receive_grant(client, number)
    assert grant.outcome, grant
    return grant


def refused(client, plugin, fd=None, **keys):
    """The same as (outcome, message)."""
    grant = refusal(client, plugin, fd, **keys)
    return grant.outcome, grant.message


def ask(client, plugin, size):
    own, fd = Region.make(CALLER, size=size)
    number = request(client, plugin, size, [fd])
    os.close(fd)
    return own, *receive_grant(client, number)


def open_channel(client, plugin, size=REGION_BYTES):
    """A Channel with .grant and .status; a plugin that has no processor for 2 s is asked again."""
    deadline = time.monotonic() + build.seconds(20)
    own, grant, fds = ask(client, plugin, size)
    while grant.outcome == wire.ETIMEOUT and time.monotonic() < deadline:
        own.close()
        own, grant, fds = ask(client, plugin, size)
    assert not grant.outcome, grant
    channel = Channel(own, Region.map(fds[0], size), socket.socket(fileno=fds[1]))
    channel.grant, channel.status = grant, Status(fds[2])
    os.close(fds[0])
    os.close(fds[2])
    return channel


# ---- the plugin's way ----------------------------------------------------------------------------------


class Broker:
    """The socket on which plugd offers channels to this process."""

    def __init__(self):
        self.sock = socket.socket(fileno=int(os.environ["PLUG_BROKER_FD"]))
        self.generation = int(os.environ["PLUG_GENERATION"])

    def receive(self):
        """(ChannelOffer, [region, wake])"""
        data, fds = receive_with(self.sock)
        env = pb.Envelope.FromString(data)
        assert env.WhichOneof("body") == "channel_offer" and env.generation == self.generation, env
        return env.channel_offer, fds

    def send(self, fds=(), generation=None, **body):
        env = pb.Envelope(generation=self.generation if generation is None else generation, **body)
        send_with(self.sock, env.SerializeToString(), fds)

    def answer(self, number, fds=(), **fields):
        self.send(fds, channel_answer=pb.ChannelAnswer(channel=number, **fields))

    def closed(self, number, **fields):
        self.send(channel_closed=pb.ChannelClosed(channel=number, **fields))

    def accept(self):
        """A Channel with .offer, answered as it should be."""
        offer, fds = self.receive()
        own, fd = Region.make(PLUGIN, offer.channel, offer.region_bytes)
        channel = Channel(own, Region.map(fds[0], offer.region_bytes), socket.socket(fileno=fds[1]))
        channel.offer = offer
        os.close(fds[0])
        self.answer(offer.channel, [fd])
        os.close(fd)
        return channel
