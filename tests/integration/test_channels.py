"""Opening channels: what plugd grants, what it refuses, and that it keeps nothing of either.

The plugins here speak the broker socket by hand (plugtest.channel), and so do the clients.
"""

import collections
import os
import re
import signal
import socket
import threading
import time

import pytest

from plugtest import build, channel, procs, wire

pb = wire.pb

# An honest plugin: accepts what is offered, echoes, says when a channel is over.
HONEST = """
import threading
from plugtest.channel import *

r = Rogue(methods=("echo!", "slow"))
r.hello(channels={channels})
r.expect("welcome")
r.send(ready=pb.Ready())
broker = Broker()

def serve(c):
    try:
        while True:
            env = c.take(timeout=3600)
            if env.WhichOneof("body") == "call":
                c.post(id=env.id, reply=pb.Reply(payload=env.call.payload, content_type=env.call.content_type))
    except Closed:
        pass
    broker.closed(c.offer.channel)

def accept():
    while True:
        c = broker.accept()
        say("accepted", c.offer.channel, c.offer.pid, c.offer.uid, c.offer.name)
        threading.Thread(target=serve, args=(c,), daemon=True).start()

threading.Thread(target=accept, daemon=True).start()
"""
SERVE = "r.serve()\n"


def honest(site, name="snake", channels=8, after=SERVE, **keys):
    site.script(name, HONEST.replace("{channels}", str(channels)) + after, **keys)


@pytest.fixture
def snake(site):
    honest(site)
    site.start()
    site.ready("snake")
    return site


@pytest.fixture
def client(snake):
    with wire.Client(snake, name="caller") as client:
        yield client


class Footprint:
    """Descriptors and shared mappings of plugd, to be the same again; None for who may not look."""

    def __init__(self, site):
        self.site = site
        site.pid  # what asked for it is gone before the first look
        site.event("started")  # what follows events is a client, from now on
        self.probe = wire.Client(site, name="probe")
        for _ in range(3):
            self.clients = self.count_clients()
        self.before = self.look()

    def count_clients(self):
        return self.probe.request(status={})[0].daemon.clients

    def look(self):
        try:
            kinds = collections.Counter(
                re.sub(r"\d+", "N", what)
                for what in procs.descriptors(self.site.pid).values()
                if not what.endswith(".log")  # opened when the plugin prints for the first time
            )
        except PermissionError:
            return None
        shared = [line for line in procs.read(self.site.pid, "maps").splitlines() if line.split()[1].endswith(b"s")]
        return kinds, len(shared)

    def differences(self):
        if (clients := self.count_clients()) != self.clients:
            return f"{clients} clients instead of {self.clients}"
        now = self.look()
        if now == self.before:
            return None
        return {"more": now[0] - self.before[0], "less": self.before[0] - now[0], "mapped": (self.before[1], now[1])}

    def check(self):
        """Once whoever vanished is known to have: each look is a round trip, not a pause."""
        deadline = time.monotonic() + build.seconds(20)
        while self.differences() and time.monotonic() < deadline:
            pass
        assert not self.differences()
        self.probe.close()


def page_count(site):
    return sum("plug-status" in what for what in procs.descriptors(site.pid).values())


def open_when_there_is_room(client, plugin="snake"):
    """The process says in its own time that a channel is over."""
    deadline = time.monotonic() + build.seconds(20)
    while True:
        try:
            return channel.open_channel(client, plugin)
        except AssertionError as error:
            if "as many as" not in str(error) or time.monotonic() > deadline:
                raise


# ---- what is granted ------------------------------------------------------------------------------------


def test_a_call_by_hand(snake, client):
    c = channel.open_channel(client, "snake")
    assert c.status.word == channel.LIVE
    assert c.status.generation == c.grant.generation == 1
    assert c.grant.instance == "snake"
    assert {m.name: (m.idempotent, m.timeout_ms) for m in c.grant.methods} == {
        "echo": (True, 60000),
        "slow": (False, 60000),
    }
    assert (c.grant.limits.call_bytes, c.grant.limits.window_bytes, c.grant.limits.calls) == (16 << 20, 128 << 10, 256)
    for n in range(100):
        assert c.call("echo", b"%d" % n).payload == b"%d" % n
    snake.log_line("snake", f"^accepted {c.grant.channel} {os.getpid()} {os.geteuid()} caller$")
    c.close()


def test_plugd_keeps_nothing(snake):
    with wire.Client(snake) as client:
        first = channel.open_channel(client, "snake")  # makes the status page, kept for the process
        footprint = Footprint(snake)
        if footprint.before:
            assert page_count(snake) == 1
        channels = [channel.open_channel(client, "snake") for _ in range(7)]
        for c in channels:
            assert c.call("echo", b"x").payload == b"x"
            assert c.grant.channel > first.grant.channel
        footprint.check()
        for c in channels + [first]:
            c.close()


def test_channels_outlive_their_session(snake):
    """The processes talk to each other; plugd's socket is needed to open one, not to use it."""
    client = wire.Client(snake)
    c = channel.open_channel(client, "snake")
    client.close()
    assert c.call("echo", b"1").payload == b"1"
    c.close()


def test_without_channels_there_is_no_page(snake):
    try:
        assert page_count(snake) == 0
    except PermissionError:
        pytest.skip("only root may look at what plugd has open")


@pytest.mark.parametrize("size", [channel.REGION_BYTES_MIN, 1 << 20])
def test_sizes(client, size):
    c = channel.open_channel(client, "snake", size)
    assert c.grant.region_bytes == size
    payload = b"p" * min(c.own.record_max - 200, wire.CHUNK_BYTES)
    assert c.call("echo", payload, content_type="x").payload == payload
    c.close()


# ---- what is refused ------------------------------------------------------------------------------------


def pipe_end():
    ours, theirs = os.pipe()
    os.close(theirs)
    return ours


def socket_end():
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()


BAD_REGIONS = {
    "no seals": (lambda: channel.memfd(seals=0), {}, wire.EINVAL, "is not sealed"),
    "one seal missing": (
        lambda: channel.memfd(seals=channel.SEALS & ~channel.SEAL_SHRINK), {}, wire.EINVAL, "is not sealed"
    ),
    "more seals to come": (
        lambda: channel.memfd(seals=channel.SEALS & ~channel.SEAL_SEAL), {}, wire.EINVAL, "is not sealed"
    ),
    "writable by others": (
        lambda: channel.memfd(seals=channel.SEALS & ~channel.SEAL_FUTURE_WRITE), {}, wire.EINVAL, "is not sealed"
    ),
    "longer": (lambda: channel.memfd(size=channel.REGION_BYTES + 4096), {}, wire.EINVAL, "another size"),
    "shorter": (lambda: channel.memfd(size=4096), {}, wire.EINVAL, "another size"),
    "empty": (lambda: channel.memfd(size=0), {}, wire.EINVAL, "another size"),
    "holes": (lambda: channel.memfd(holes=True), {}, wire.EINVAL, "has holes"),
    "a pipe": (pipe_end, {}, wire.EINVAL, "is no memfd"),
    "a socket": (socket_end, {}, wire.EINVAL, "is no memfd"),
    "a file": (lambda: os.open("/dev/null", os.O_RDWR), {}, wire.EINVAL, "is no memfd"),
    "no page": (lambda: channel.memfd(size=100000), {"announced": 100000}, wire.EINVAL, "a multiple of 4096"),
    "too small": (lambda: channel.memfd(size=4096), {"announced": 4096}, wire.EINVAL, "at least 65536"),
    "nothing": (lambda: channel.memfd(), {"announced": 0}, wire.EINVAL, "at least 65536"),
    "too large": (
        lambda: channel.memfd(size=2 << 20), {"announced": 2 << 20}, wire.ETOOLARGE, "limits.channel_bytes, 1048576"
    ),
    "beyond all": (lambda: channel.memfd(), {"announced": 1 << 63}, wire.ETOOLARGE, "limits.channel_bytes"),
}


@pytest.mark.parametrize("what", BAD_REGIONS)
def test_bad_regions(snake, what):
    make, keys, code, text = BAD_REGIONS[what]
    footprint = Footprint(snake)
    with wire.Client(snake) as client:
        outcome, message = channel.refused(client, "snake", make(), **keys)
        assert (outcome, text in message) == (code, True), message
        channel.open_channel(client, "snake").close()  # the session goes on
    assert snake.status("snake")["generation"] == 1
    if footprint.before:
        assert footprint.before[0]["/memfd:plug-status (deleted)"] == 0


def test_no_descriptor(client):
    number = channel.request(client, "snake")
    grant, _ = channel.receive_grant(client, number)
    assert (grant.outcome, "no descriptor came" in grant.message) == (wire.EINVAL, True), grant


def test_the_size_that_is_too_large_names_the_one_that_is_not(client):
    region = channel.memfd(size=2 << 20)
    grant, _ = channel.receive_grant(client, channel.request(client, "snake", 2 << 20, [region]))
    os.close(region)
    assert (grant.outcome, grant.region_bytes) == (wire.ETOOLARGE, 1 << 20)


def test_no_such_plugin(client):
    assert channel.refused(client, "snakes")[0] == wire.ENOTFOUND
    assert 'did you mean "snake"' in channel.refused(client, "snakes")[1]


def test_a_plugin_that_is_stopped(snake, client):
    snake.ok("stop", "snake")
    grant = channel.refusal(client, "snake")
    assert (grant.outcome, grant.again, grant.timeout_ms) == (wire.EUNAVAILABLE, False, 0)
    assert "snake is stopped" in grant.message and "plugctl start snake" in grant.message
    snake.ok("start", "snake")
    assert channel.open_channel(client, "snake").grant.generation == 2


def test_a_plugin_without_a_data_plane(site):
    site.script("plain", "r = Rogue().start()\nr.serve()\n")
    site.start()
    site.ready("plain")
    with wire.Client(site) as client:
        outcome, message = channel.refused(client, "plain")
        assert (outcome, "has no data plane" in message) == (wire.ESTATE, True), message
        assert client.call("plain", "echo", b"[1]")[2] == b"[1]"


def test_a_plugin_that_closed_its_socket(site):
    honest(site, after="broker.sock.shutdown(socket.SHUT_RDWR)\nsay('closed')\n" + SERVE)
    site.start()
    site.ready("snake")
    site.log_line("snake", "^closed")
    with wire.Client(site) as client:
        # At first it might be the end of the process: to be asked again.
        deadline = time.monotonic() + build.seconds(20)
        while (answer := channel.refused(client, "snake"))[0] == wire.EUNAVAILABLE and time.monotonic() < deadline:
            assert "has just closed the socket" in answer[1]
        outcome, message = answer
        assert (outcome, "has closed the socket" in message) == (wire.ESTATE, True), message
        assert client.call("snake", "echo", b"[1]")[2] == b"[1]"


@pytest.mark.parametrize("limit", ["channels_per_client", "channels_per_instance"])
def test_turned_off(site, limit):
    site.configure({"limits": {limit: 0}})
    honest(site)
    site.start()
    site.ready("snake")
    with wire.Client(site) as client:
        outcome, message = channel.refused(client, "snake")
        assert (outcome, f"limits.{limit} is 0" in message) == (wire.ESTATE, True), message


# ---- quotas ---------------------------------------------------------------------------------------------


def test_as_many_as_a_client_may_have(site):
    site.configure({"limits": {"channels_per_client": 3}})
    honest(site)
    site.start()
    site.ready("snake")
    with wire.Client(site) as client, wire.Client(site) as other:
        channels = [channel.open_channel(client, "snake") for _ in range(3)]
        outcome, message = channel.refused(client, "snake")
        assert (outcome, "limits.channels_per_client" in message) == (wire.EOVERLOADED, True), message
        channel.open_channel(other, "snake").close()
        channels.pop().close()
        open_when_there_is_room(client).close()


@pytest.mark.parametrize("offered,allowed,what", [(2, 5, "its HELLO offers"), (5, 2, "limits.channels_per_instance")])
def test_as_many_as_an_instance_may_have(site, offered, allowed, what):
    site.configure({"limits": {"channels_per_instance": allowed}})
    honest(site, channels=offered)
    site.start()
    site.ready("snake")
    clients = [wire.Client(site) for _ in range(3)]
    channels = [channel.open_channel(client, "snake") for client in clients[:2]]
    outcome, message = channel.refused(clients[2], "snake")
    assert (outcome, what in message) == (wire.EOVERLOADED, True), message
    # The session of a client is no channel: those of a client that is gone count until they are over.
    clients[0].close()
    assert channel.refused(clients[2], "snake")[0] == wire.EOVERLOADED
    assert channels[0].call("echo", b"1").payload == b"1"
    channels[0].close()
    open_when_there_is_room(clients[2]).close()


def test_new_limits_apply_at_once(site):
    site.configure({"limits": {"channels_per_instance": 1}})
    honest(site)
    site.start()
    site.ready("snake")
    with wire.Client(site) as client:
        first = channel.open_channel(client, "snake")
        assert channel.refused(client, "snake")[0] == wire.EOVERLOADED
        site.configure({"limits": {"channels_per_instance": 2}})
        site.signal(signal.SIGHUP)
        site.wait_said("READY=1")
        channel.open_channel(client, "snake").close()
        first.close()


# ---- clients that break the rules -----------------------------------------------------------------------


def with_descriptors(count, **body):
    def send(client):
        fd = channel.memfd()
        data = pb.Envelope(id=7, **body).SerializeToString()
        channel.send_with(client.sock, data, [fd] * count)
        os.close(fd)

    return send


REQUEST = {"channel_request": pb.ChannelRequest(plugin="snake", region_bytes=channel.REGION_BYTES)}
OFFENCES = {
    "two": with_descriptors(2, **REQUEST),
    "253": with_descriptors(253, **REQUEST),
    "with a call": with_descriptors(1, call=pb.Call(plugin="snake", method="echo")),
    "253 with a call": with_descriptors(253, call=pb.Call(plugin="snake", method="echo")),
    "with garbage": lambda client: channel.send_with(client.sock, b"\xff" * 99, [client.sock.fileno()] * 9),
    "id 0": lambda client: client.send(0, **REQUEST),
    "a grant": lambda client: client.send(7, channel_grant=pb.ChannelGrant()),
    "an offer": lambda client: client.send(7, channel_offer=pb.ChannelOffer()),
    "an answer": lambda client: client.send(7, channel_answer=pb.ChannelAnswer(channel=1)),
    "closed": lambda client: client.send(7, channel_closed=pb.ChannelClosed(channel=1)),
    "a release": lambda client: client.send(7, release=pb.Release()),
}


@pytest.mark.parametrize("what", OFFENCES)
def test_offences_end_that_client_only(snake, what):
    with wire.Client(snake) as witness:
        mine = channel.open_channel(witness, "snake")
        footprint = Footprint(snake)
        with wire.Client(snake) as client:
            OFFENCES[what](client)
            assert client.is_closed()
        footprint.check()
        assert mine.call("echo", b"1").payload == b"1"
        assert witness.call("snake", "echo", b"1")[2] == b"1"
        mine.close()
    assert snake.status("snake")["generation"] == 1


def test_an_id_in_use(site):
    """While an answer is outstanding its id is taken, for calls as for channels."""
    site.script("deaf", DEAF)
    site.start()
    site.ready("deaf")
    with wire.Client(site) as client:
        number = channel.request(client, "deaf", fds=[channel.memfd()])
        client.send(number, call=pb.Call(plugin="deaf", method="echo"))
        assert client.is_closed()


def test_a_flood_of_requests(snake):
    """Each is answered, none leaves anything, and others are served meanwhile."""
    with wire.Client(snake, timeout=60) as client, wire.Client(snake) as other:
        mine = channel.open_channel(other, "snake")
        footprint = Footprint(snake)
        bad = pipe_end()

        def flood():
            for _ in range(3000):
                channel.request(client, "snake", fds=[bad])

        thread = threading.Thread(target=flood)
        thread.start()
        for n in range(3000):
            assert client.receive("channel_grant").channel_grant.outcome == wire.EINVAL
            if n % 100 == 0:
                assert other.call("snake", "echo", b"1")[0] == wire.OK
        thread.join()
        os.close(bad)
        footprint.check()
        assert mine.call("echo", b"1").payload == b"1"
        mine.close()


def test_grants_that_nobody_reads(site):
    """They take descriptors while they wait; the client is sent away before they are many."""
    honest(site, channels=1000)
    site.configure({"limits": {"channels_per_client": 1000, "channels_per_instance": 1000}})
    site.start()
    site.ready("snake")
    with wire.Client(site) as other:
        channel.open_channel(other, "snake")
        footprint = Footprint(site)

        def opened():
            return other.request(status={"name": "snake"})[0].plugin.data_plane.opened

        with wire.Client(site) as client:
            region = channel.memfd()
            with pytest.raises(OSError):  # sent away
                for _ in range(1000):
                    before, deadline = opened(), time.monotonic() + build.seconds(5)
                    channel.request(client, "snake", fds=[region])
                    while opened() == before and time.monotonic() < deadline:
                        channel.send_with(client.sock, pb.Envelope(id=1 << 40, cancel=pb.Cancel()).SerializeToString(), [])
            os.close(region)
        footprint.check()
        assert other.call("snake", "echo", b"1")[0] == wire.OK


# ---- in the middle --------------------------------------------------------------------------------------

# Takes offers and answers them when it is told to, over its session: a call of the method of that name.
HELD = """
from plugtest.channel import *

r = Rogue(methods=("answer", "refuse", "die", "close"))
r.hello(channels=8)
r.expect("welcome")
r.send(ready=pb.Ready())
broker = Broker()
held = []

def on_call(r, env):
    if env.call.method == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    offer, fds = broker.receive() if not held else held.pop()
    if env.call.method == "refuse":
        broker.answer(offer.channel, outcome=11, message="not today")
    elif env.call.method == "answer":
        own, fd = Region.make(PLUGIN, offer.channel, offer.region_bytes)
        broker.answer(offer.channel, [fd])
        wake = socket.socket(fileno=fds[1])
        Channel(own, own, wake).wait_end()
        broker.closed(offer.channel)
    r.reply(env.id, str(offer.channel).encode())

r.serve(on_call)
"""
DEAF = """
r = Rogue()
r.hello(channels=8)
r.expect("welcome")
r.send(ready=pb.Ready())
r.serve()
"""


@pytest.fixture
def held(site):
    site.script("held", HELD)
    site.start()
    site.ready("held")
    return site


def test_the_client_goes_before_the_answer(held):
    with wire.Client(held) as other:
        footprint = Footprint(held)
        client = wire.Client(held)
        region = channel.memfd()
        channel.request(client, "held", fds=[region])
        os.close(region)
        client.close()
        # The plugin answers, and sees the end of the wake socket.
        assert other.call("held", "answer")[0] == wire.OK
        footprint.check()
        assert held.status("held")["generation"] == 1


def test_the_client_cancels(held):
    with wire.Client(held) as client, wire.Client(held) as other:
        footprint = Footprint(held)
        region = channel.memfd()
        number = channel.request(client, "held", fds=[region])
        os.close(region)
        client.send(number, cancel=pb.Cancel())
        assert channel.receive_grant(client, number)[0].outcome == wire.ECANCELLED
        assert other.call("held", "answer")[0] == wire.OK
        footprint.check()


def test_the_plugin_refuses(held):
    with wire.Client(held) as client, wire.Client(held) as other:
        footprint = Footprint(held)
        region = channel.memfd()
        number = channel.request(client, "held", fds=[region])
        os.close(region)
        assert other.call("held", "refuse")[0] == wire.OK
        grant, _ = channel.receive_grant(client, number)
        assert (grant.outcome, "held: not today" in grant.message) == (wire.ETOOLARGE, True), grant
        footprint.check()


def test_the_process_dies_before_the_answer(held):
    with wire.Client(held) as client, wire.Client(held) as other:
        held.event("ready", "held")
        footprint = Footprint(held)
        region = channel.memfd()
        number = channel.request(client, "held", fds=[region])
        os.close(region)
        assert other.call("held", "die")[0] == wire.EGONE
        grant, _ = channel.receive_grant(client, number)
        # The two connections are read in any order: the death may come before the request.
        said = ("ended before it answered", "has just closed the socket", "next: ")
        assert grant.outcome == wire.EUNAVAILABLE and any(text in grant.message for text in said), grant
        assert grant.again and grant.timeout_ms == 60000, grant
        held.event("ready", "held", generation=2)
        footprint.check()


def test_it_is_stopped_before_the_answer(held):
    with wire.Client(held) as client, wire.Client(held) as other:
        region = channel.memfd()
        number = channel.request(client, "held", fds=[region])
        os.close(region)
        waiting = other.start_call("held", "answer")  # keeps it draining until it is answered
        stop = held.ctl_start("stop", "held")
        grant, fds = channel.receive_grant(client, number)
        # It is granted before DRAIN, or refused afterwards; either way the process ends in order.
        for fd in fds:
            os.close(fd)
        assert grant.outcome in (wire.OK, wire.EUNAVAILABLE), grant
        assert other.finish_call(waiting)[0] in (wire.OK, wire.EUNAVAILABLE)
        assert stop.wait(build.seconds(30)) == 0
        stop.communicate()


def test_one_that_never_answers(site):
    site.script("deaf", DEAF)
    site.start()
    site.ready("deaf")
    with wire.Client(site) as client:
        footprint = Footprint(site)
        outcome, message = channel.refused(client, "deaf")
        assert (outcome, "within 2 s" in message) == (wire.ETIMEOUT, True), message
        # The next one does not have to wait for the same.
        outcome, message = channel.refused(client, "deaf")
        assert (outcome, "has not answered 1 earlier" in message) == (wire.ETIMEOUT, True), message
        assert client.call("deaf", "echo", b"[1]")[2] == b"[1]"
        footprint.check()
    assert site.status("deaf")["generation"] == 1


def test_a_late_answer(held):
    with wire.Client(held) as client, wire.Client(held) as other:
        assert channel.refused(client, "held")[0] == wire.ETIMEOUT
        footprint = Footprint(held)
        assert other.call("held", "answer")[0] == wire.OK
        region = channel.memfd()
        number = channel.request(client, "held", fds=[region])  # it is offered channels again
        os.close(region)
        assert other.call("held", "refuse")[0] == wire.OK
        assert channel.receive_grant(client, number)[0].outcome == wire.ETOOLARGE
        footprint.check()


# ---- plugins that break the rules -----------------------------------------------------------------------

HOSTILE = """
from plugtest.channel import *

r = Rogue()
r.hello(channels=8)
r.expect("welcome")
r.send(ready=pb.Ready())
broker = Broker()
if GENERATION == 1:
    offer, fds = broker.receive()
    number = offer.channel

    def region(**keys):
        return memfd(offer.region_bytes, **keys)

    exec(os.environ["DEED"])
    wait_forever()
r.serve()
"""

DEEDS = {
    "answers twice": ("broker.answer(number, [region()]); broker.answer(number, [region()])", "is answered twice"),
    "refuses twice": (
        "broker.answer(number, outcome=7); broker.answer(number, outcome=7)", "is none of this process"
    ),
    "unsealed": ("broker.answer(number, [region(seals=0)])", "is not sealed"),
    "wrong size": ("broker.answer(number, [memfd(offer.region_bytes + 4096)])", "another size"),
    "a hole": ("broker.answer(number, [region(holes=True)])", "has holes"),
    "a pipe": ("broker.answer(number, [os.pipe()[0]])", "is no memfd"),
    "no region": ("broker.answer(number)", "the region is not there"),
    "a refusal with a region": ("broker.answer(number, [region()], outcome=7)", "descriptors that do not belong"),
    "two regions": ("broker.answer(number, [region(), region()])", "descriptors that do not belong"),
    "253 regions": ("fd = region(); broker.answer(number, [fd] * 253)", "descriptors that do not belong"),
    "another number": ("broker.answer(number + 1, [region()])", "is none of this process"),
    "number 0": ("broker.answer(0, [region()])", "is none of this process"),
    "closed before it was answered": ("broker.closed(number)", "closed before it was answered"),
    "closed twice": (
        "broker.answer(number, [region()]); broker.closed(number); broker.closed(number)", "is none of this process"
    ),
    "closed with a descriptor": (
        "broker.send([region()], channel_closed=pb.ChannelClosed(channel=number))", "descriptors that do not belong"
    ),
    "another generation": ("broker.send(generation=99, channel_closed=pb.ChannelClosed())", "another generation"),
    "garbage": ("broker.sock.send(os.urandom(300))", "is not an Envelope"),
    "too long": ("broker.sock.send(bytes(65537))", "above the limit of 64 KiB"),
    "what it does not send": ("broker.send(ready=pb.Ready())", "that a plugin does not send"),
}


@pytest.mark.parametrize("what", DEEDS)
def test_deeds(site, what):
    deed, text = DEEDS[what]
    site.script("hostile", HOSTILE, run={"env": {"DEED": deed}})
    site.start()
    site.ready("hostile")
    with wire.Client(site) as client:
        footprint = Footprint(site)
        region = channel.memfd()
        number = channel.request(client, "hostile", fds=[region])
        os.close(region)
        grant, fds = channel.receive_grant(client, number)
        for fd in fds:
            os.close(fd)
        violation = site.event("violation", "hostile", text)
        assert violation["generation"] == 1
        site.event("crashed", "hostile", "protocol violation")
        site.event("ready", "hostile", generation=2)
        assert client.call("hostile", "echo", b"[1]")[2] == b"[1]"
        footprint.check()


def test_a_flood_on_the_broker_socket(site):
    """It ends with the first; and while it lasts others are served."""
    site.actor()
    site.script("hostile", HOSTILE, run={"env": {"DEED": "while True: broker.closed(number)"}})
    site.start()
    site.ready("hostile")
    site.ready("actor")
    with wire.Client(site) as client:
        region = channel.memfd()
        channel.request(client, "hostile", fds=[region])
        os.close(region)
        site.event("violation", "hostile")
        with wire.Client(site) as other:
            assert other.call("actor", "echo", b"[1]")[2] == b"[1]"


# ---- the end of a process -------------------------------------------------------------------------------


def word_when(status, word):
    """The page is read, not signalled: until it says so."""
    deadline = time.monotonic() + build.seconds(20)
    while status.word != word and time.monotonic() < deadline:
        pass
    assert status.word == word


def test_stop_says_moved_then_ended(site):
    gate = site.fifo("gate")
    honest(site, after=f"r.serve()\nopen({str(gate)!r}).read()\n")
    site.start()
    site.ready("snake")
    with wire.Client(site) as client:
        footprint = Footprint(site)
        c = channel.open_channel(client, "snake")
        stop = site.ctl_start("stop", "snake")
        word_when(c.status, channel.MOVED)
        with open(gate, "w"):
            pass
        assert stop.wait(build.seconds(30)) == 0
        stop.communicate()
        word_when(c.status, channel.ENDED)
        c.wait_end()
        c.close()
        if footprint.before:
            deadline = time.monotonic() + build.seconds(20)
            while page_count(site) and time.monotonic() < deadline:
                pass
            assert page_count(site) == 0


@pytest.mark.parametrize(
    "how",
    ["killed", "exits", "stopped with a status", "exits by itself with 0"],
)
def test_any_other_end_says_dead(site, how):
    after = {
        "killed": "wait_forever()\n",
        "exits": "r.expect('call'); os._exit(3)\n",
        "stopped with a status": "r.serve(); os._exit(3)\n",
        "exits by itself with 0": "r.expect('call'); os._exit(0)\n",
    }[how]
    honest(site, after=after, run={"restart": "always"})
    site.start()
    site.ready("snake")
    with wire.Client(site) as client:
        c = channel.open_channel(client, "snake")
        assert c.call("echo", b"1").payload == b"1"
        if how == "killed":
            os.kill(site.status("snake")["pid"], signal.SIGKILL)
        elif how == "stopped with a status":
            site.ok("stop", "snake")
        else:
            client.start_call("snake", "slow")
        word_when(c.status, channel.DEAD)
        c.wait_end()
        c.close()


def test_restart_gives_a_new_page(snake, client):
    old = channel.open_channel(client, "snake")
    snake.ok("restart", "snake")
    word_when(old.status, channel.ENDED)
    new = channel.open_channel(client, "snake")
    assert (new.status.word, new.status.generation) == (channel.LIVE, 2)
    assert new.grant.channel > old.grant.channel
    assert new.call("echo", b"1").payload == b"1"


def test_the_end_of_plugd(snake, client):
    """A caller with a channel sees the end of the process on the wake socket; nothing is left of it."""
    c = channel.open_channel(client, "snake")
    snake.stop()
    c.wait_end()
    assert c.status.word == channel.ENDED
    c.close()


# ---- what a plugin says of its callers ------------------------------------------------------------------

ACCUSER = """
from plugtest.channel import *

r = Rogue()
r.hello(channels=8)
r.expect("welcome")
r.send(ready=pb.Ready())
broker = Broker()

def accuse():
    while True:
        c = broker.accept()
        broker.closed(c.offer.channel, violated=True, reason="a record that is none")
        c.close()

import threading
threading.Thread(target=accuse, daemon=True).start()
r.serve()
"""


def test_violations(site):
    """They are counted, told and logged; nobody is killed for them, but in the end gets no more."""
    site.script("accuser", ACCUSER)
    site.start()
    site.ready("accuser")
    with wire.Client(site, name="villain") as client, wire.Client(site) as other:
        for n in range(1, 5):
            c = channel.open_channel(client, "accuser")
            c.wait_end()
            c.close()
            told = site.event("violated", "accuser", f"channel {n} of .*villain, pid {os.getpid()}, uid")
            assert "a record that is none" in told["detail"]
        outcome, message = channel.refused(client, "accuser")
        assert (outcome, "4 channels of this client" in message) == (wire.EDENIED, True), message
        assert client.call("accuser", "echo", b"[1]")[2] == b"[1]"
        channel.open_channel(other, "accuser").close()
    assert site.status("accuser")["generation"] == 1
