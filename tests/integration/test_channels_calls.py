"""Calls through channels to plugins with libplug, by a caller that is written by hand."""

import os
import signal
import socket
import time

import pytest

from plugtest import build, channel, wire

pb = wire.pb


@pytest.fixture
def actor(site):
    site.actor()
    site.start()
    site.ready()
    return site


@pytest.fixture
def client(actor):
    with wire.Client(actor, name="caller") as client:
        yield client


def receive_payload(c, number, credit=True):
    """The joined payload and the last Reply of a call, giving credit for all that comes."""
    parts = []
    while True:
        env = c.take()
        assert env.id == number, env
        if env.WhichOneof("body") == "chunk":
            data, more = env.chunk.data, not env.chunk.last
        else:
            last = env.reply
            data, more = last.payload, last.more
        parts.append(data)
        if not more and not last.partial:
            return b"".join(parts), last
        if credit:
            c.post(id=number, credit=pb.Credit(bytes=len(data)))


def test_echo(client):
    c = channel.open_channel(client, "actor")
    assert c.grant.methods and c.grant.limits.calls == 256
    for n in range(200):
        reply = c.call("echo", b'{"n": %d}' % n)
        assert (reply.outcome, reply.payload) == (wire.OK, b'{"n": %d}' % n)
    c.close()


def test_many_at_once(client):
    c = channel.open_channel(client, "actor")
    numbers = [c.start_call("echo", b"%d" % n) for n in range(32)]
    answers = {}
    for _ in numbers:
        env = c.take()
        answers[env.id] = env.reply.payload
    assert answers == {number: b"%d" % n for n, number in enumerate(numbers)}
    c.close()


@pytest.mark.parametrize("size", [0, 30000, 300000, 3 << 20])
def test_long_payloads(client, size):
    """In pieces both ways, through rings that are much smaller."""
    c = channel.open_channel(client, "actor")
    data = bytes(n % 251 for n in range(size))
    most = min(wire.CHUNK_BYTES, c.own.record_max - 256)
    pieces = [data[at : at + most] for at in range(0, size, most)] or [b""]
    for index, piece in enumerate(pieces):
        while c.posted + len(piece) + 512 - c.peer.word(channel.TAKEN_AT) > c.own.ring:
            pass  # it takes what there is
        if index == 0:
            number = c.start_call("echo", piece, content_type="x", more=len(pieces) > 1)
        else:
            c.post(id=number, chunk=pb.Chunk(data=piece, last=index == len(pieces) - 1))
    back, last = receive_payload(c, number)
    assert (last.outcome, back == data) == (wire.OK, True)
    c.close()


def test_no_such_method(client):
    c = channel.open_channel(client, "actor")
    assert c.call("nonsense").outcome == wire.ENOMETHOD
    assert c.call("echo", b"1").payload == b"1"
    c.close()


def test_cancel(client):
    c = channel.open_channel(client, "actor")
    number = c.start_call("wait")
    c.post(id=number, cancel=pb.Cancel(reason=wire.ECANCELLED))
    env = c.take()
    assert (env.id, env.reply.outcome) == (number, wire.ECANCELLED)
    c.close()


def test_a_channel_and_its_session_are_independent(actor, client):
    c = channel.open_channel(client, "actor")
    waiting = c.start_call("wait")
    assert client.call("actor", "echo", b"[1]")[2] == b"[1]"
    client.close()
    assert actor.call("actor", "echo", {"n": 1}) == {"n": 1}
    c.post(id=waiting, cancel=pb.Cancel(reason=wire.ECANCELLED))
    assert c.take().reply.outcome == wire.ECANCELLED
    c.close()


def test_a_tensor_that_is_none(actor, client):
    """The call is refused, counted, and the channel goes on."""
    c = channel.open_channel(client, "actor")
    wrong = [pb.Tensor(name="x", arena=7, offset=1 << 40, bytes=64, code=2, bits=32, lanes=1, shape=[16])]
    reply = c.call("echo", b"{}", tensors=wrong)
    assert (reply.outcome, reply.message != "") == (wire.EINVAL, True), reply
    assert c.call("echo", b"1").payload == b"1"
    until(lambda: actor.ok("stats", "actor")["plugins"][0]["data_plane"]["tensor_faults"] == 1)
    assert "1 mistakes of callers with tensors" in actor.ctl("stats", "actor").out
    c.close()


# ---- the end --------------------------------------------------------------------------------------------


def until(condition):
    deadline = time.monotonic() + build.seconds(20)
    while not condition() and time.monotonic() < deadline:
        pass
    assert condition()


def test_stop_finishes_what_was_taken(actor, client):
    """The plugin says where it stopped taking calls, answers those before, and ends in order."""
    c = channel.open_channel(client, "actor")
    assert c.call("echo", b"1").payload == b"1"
    taken = c.start_call("sleep", b'{"ms": 300}')
    until(lambda: c.peer.word(channel.TAKEN_AT) == c.posted)
    stop = actor.ctl_start("stop", "actor")
    until(lambda: c.peer.word(channel.CLOSED_AT))
    closed_at = c.peer.word(channel.CLOSED_AT)
    assert closed_at == taken + 1
    late = c.start_call("echo", b"late")
    env = c.take()
    assert (env.id, env.reply.outcome) == (taken, wire.OK)
    assert c.status.word in (channel.LIVE, channel.MOVED)
    c.wake.shutdown(socket.SHUT_RDWR)  # nothing is left here
    assert stop.wait(build.seconds(30)) == 0
    stop.communicate()
    until(lambda: c.status.word == channel.ENDED)
    assert c.take_now() is None and late == closed_at
    c.close()


def test_a_kill_is_seen_at_once(actor, client):
    c = channel.open_channel(client, "actor")
    c.start_call("wait")
    os.kill(actor.status("actor")["pid"], signal.SIGKILL)
    with pytest.raises(wire.Closed):
        c.take()
    until(lambda: c.status.word == channel.DEAD)
    c.close()
    actor.event("ready", "actor", generation=2)
    again = channel.open_channel(client, "actor")
    assert (again.grant.generation, again.call("echo", b"1").payload) == (2, b"1")
    again.close()


# ---- what operators see ---------------------------------------------------------------------------------


def test_what_operators_see(actor, client):
    c = channel.open_channel(client, "actor")
    for _ in range(20):
        assert c.call("echo", b"1").outcome == wire.OK
    for _ in range(3):
        assert c.call("nonsense").outcome == wire.ENOMETHOD
    waiting = c.start_call("wait")

    def data(verb):
        document = actor.ok(verb, "actor")
        return (document["plugins"][0] if verb == "stats" else document)["data_plane"]

    until(lambda: data("stats")["calls"] == 24 and data("stats")["ok"] == 20)
    for verb in ("stats", "status"):
        seen = data(verb)
        assert seen["offered"] and (seen["channels"], seen["opened"], seen["violations"]) == (1, 1, 0)
        assert (seen["calls"], seen["ok"], seen["errors"], seen["in_flight"]) == (24, 20, 3, 1)
        assert 0 < seen["p50_ns"] <= seen["p90_ns"] <= seen["p99_ns"]
    assert "1 open, 1 opened, 0 closed for breaking the rules" in actor.ctl("status", "actor").out
    assert "24 calls through them, 1 in flight" in actor.ctl("stats", "actor").out
    assert "BY CHANNEL" in actor.ctl("stats").out.splitlines()[0]

    # What a process did stays counted when it has ended; a crash report knows of its calls.
    os.kill(actor.status("actor")["pid"], signal.SIGKILL)
    actor.event("crashed", "actor", "1 calls in flight")
    actor.event("ready", "actor", generation=2)
    seen = data("stats")
    assert (seen["channels"], seen["opened"]) == (0, 1)
    assert (seen["calls"], seen["ok"], seen["in_flight"]) == (24, 20, 0)
    crash = actor.ok("crashes", "actor")["crashes"][0]
    assert (crash["channel_calls"], crash["calls"]) == (1, [])
    assert "1 through channels" in actor.ctl("crashes", "actor").out
    again = channel.open_channel(client, "actor")
    assert again.call("echo", b"1").outcome == wire.OK and waiting == 24
    until(lambda: data("stats")["calls"] == 25 and data("stats")["ok"] == 21)
    again.close()
    c.close()


def test_a_plugin_without_channels_shows_none(site):
    site.script("plain", "r = Rogue().start()\nr.serve()\n")
    site.start()
    site.ready("plain")
    assert "channels" not in site.ctl("status", "plain").out
    assert not site.ok("status", "plain")["data_plane"]["offered"]
