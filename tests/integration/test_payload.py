"""Payloads of every size, both ways, and streams."""

import json

import pytest

from plugtest import wire

MIB = 1 << 20
LIMIT = 16 * MIB


@pytest.fixture(scope="module")
def payload():
    return bytes(i * 7 % 251 for i in range(4096)) * 4096


def fnv(data):
    total = 2166136261
    for byte in data:
        total = (total ^ byte) * 16777619 & 0xFFFFFFFF
    return total


@pytest.fixture
def actor(site):
    site.actor()
    site.start()
    site.ready()
    return site


SIZES = [0, 1, wire.CHUNK_BYTES - 1, wire.CHUNK_BYTES, wire.CHUNK_BYTES + 1, 2 * wire.CHUNK_BYTES, 100_000]


@pytest.mark.parametrize("size", SIZES)
def test_there_and_back(actor, payload, size):
    data = payload[:size]
    with wire.Client(actor) as client:
        outcome, _, back, _ = client.call("actor", "echo", data, content_type="application/octet-stream")
        assert outcome == wire.OK
        assert back == data
        outcome, _, counted, _ = client.call("actor", "sink", data, content_type="application/octet-stream")
    assert json.loads(counted) == {"bytes": size, "sum": fnv(data)}


def pattern(size):
    return (b"abcdefghijklmnopqrstuvw" * (size // 23 + 1))[:size]


@pytest.mark.parametrize("size", [MIB, LIMIT])
def test_long_ones_there_and_back(actor, payload, size):
    data = payload[:size]
    with wire.Client(actor, timeout=60) as client:
        outcome, message, back, _ = client.call(
            "actor", "echo", data, content_type="application/octet-stream", timeout_ms=60000
        )
    assert outcome == wire.OK, message
    assert back == data


@pytest.mark.parametrize("size", [MIB, LIMIT])
def test_a_long_reply(actor, size):
    with wire.Client(actor, timeout=60) as client:
        outcome, message, back, _ = client.call("actor", "big", json.dumps({"bytes": size}).encode())
    assert outcome == wire.OK, message
    assert back == pattern(size)


def test_a_call_above_the_limit(actor, payload):
    with wire.Client(actor, timeout=60) as client:
        data = payload + b"x"
        assert len(data) == LIMIT + 1
        outcome, message, _, _ = client.call("actor", "sink", data, content_type="application/octet-stream")
        assert outcome == wire.ETOOLARGE
        assert str(LIMIT) in message
        assert client.call("actor", "echo", b"[1]")[2] == b"[1]", "the session goes on"


def test_a_reply_above_the_limit(actor):
    with wire.Client(actor, timeout=60) as client:
        outcome, message, _, _ = client.call("actor", "big", json.dumps({"bytes": LIMIT + 1}).encode())
        assert outcome == wire.ETOOLARGE
        assert client.call("actor", "echo", b"[1]")[2] == b"[1]"
    assert actor.status("actor")["generation"] == 1


def test_a_reply_above_the_limit_that_the_sdk_did_not_stop(site):
    """plugd counts itself: the SDK's own check is for the author's convenience."""
    site.configure({"limits": {"call_bytes": "64KiB"}})
    site.script("greedy", """
def answer(r, env):
    r.reply(env.id, b"x" * 40000, more=True)
    for n in range(8):
        r.send(id=env.id, chunk=pb.Chunk(data=b"x" * 40000, last=n == 7))
Rogue().start().serve(answer)
""")
    site.start()
    site.ready("greedy")
    with wire.Client(site) as client:
        number = client.start_call("greedy", "echo")
        while True:
            env = client.receive()
            if env.WhichOneof("body") == "reply" and not env.reply.more:
                break
        assert env.id == number and env.reply.outcome == wire.ETOOLARGE
        assert client.call("greedy", "echo")[0] == wire.ETOOLARGE


def test_plugctl_refuses_what_is_too_long(actor):
    done = actor.ctl("call", "actor", "sink", "-", input=json.dumps("x" * LIMIT))
    assert done.status == 1
    assert f"at most {LIMIT}" in done.err


def test_plugctl_raw(actor, payload):
    data = payload[:200_000]
    done = actor.ctl("call", "actor", "echo", "--raw", "--content-type", "application/octet-stream", "-", input=data)
    assert done.status == 0
    assert done.out == data


def test_a_smaller_limit(site):
    site.actor()
    site.configure({"limits": {"call_bytes": "64KiB"}})
    site.start()
    site.ready()
    with wire.Client(site) as client:
        assert client.welcome.limits.call_bytes == 65536
        assert client.call("actor", "echo", b"x" * 65536)[0] == wire.OK
        assert client.call("actor", "echo", b"x" * 65537)[0] == wire.ETOOLARGE


def test_a_stream(actor):
    with wire.Client(actor) as client:
        outcome, _, last, pieces = client.call("actor", "pieces", b'{"count": 50, "bytes": 10}')
    assert outcome == wire.OK
    assert pieces == [pattern(10)] * 50
    assert json.loads(last) == {"sent": 50}


def test_a_stream_of_long_pieces(actor):
    with wire.Client(actor, timeout=60) as client:
        outcome, _, _, pieces = client.call("actor", "pieces", b'{"count": 5, "bytes": 200000}')
    assert outcome == wire.OK
    assert pieces == [pattern(200_000)] * 5


def test_streams_interleave(actor):
    with wire.Client(actor) as client:
        numbers = [client.start_call("actor", "pieces", b'{"count": 40, "bytes": 20000}') for _ in range(8)]
        counts = dict.fromkeys(numbers, 0)
        done = {}
        while len(done) < len(numbers):
            env = client.receive("reply")
            assert env.id not in done
            if env.reply.partial:
                counts[env.id] += 1
            else:
                done[env.id] = env.reply.outcome
    assert set(counts.values()) == {40}
    assert set(done.values()) == {wire.OK}


def test_a_cancelled_stream(actor):
    """The plugin is told, stops, and is free for the next."""
    with wire.Client(actor) as client:
        number = client.start_call("actor", "pieces", b'{"count": 1000000, "bytes": 1000}')
        client.receive("reply")
        client.send(number, cancel=wire.pb.Cancel(reason=wire.ECANCELLED))
        while (env := client.receive("reply")).reply.partial:
            pass
        assert env.reply.outcome == wire.ECANCELLED
        assert client.call("actor", "echo", b"[1]")[2] == b"[1]"


def test_a_stream_on_the_terminal(actor):
    done = actor.ctl("call", "actor", "pieces", "count=3", "bytes=4")
    assert done.status == 0
    assert done.out.startswith("abcdabcdabcd")


def test_calls_with_and_without_chunks_interleave(actor, payload):
    """Short calls are not kept waiting by long ones of another client."""
    with wire.Client(actor, timeout=60) as long, wire.Client(actor) as short:
        numbers = [long.start_call("actor", "sink", payload[: 4 * MIB], content_type="x") for _ in range(3)]
        for n in range(50):
            assert short.call("actor", "echo", b"%d" % n)[2] == b"%d" % n
        outcomes = [long.receive("reply") for _ in numbers]
    assert [env.reply.outcome for env in outcomes] == [wire.OK] * 3


def test_chunks_of_two_calls_interleave(actor):
    with wire.Client(actor) as client:
        for number in (1, 2):
            client.send(number, call=wire.pb.Call(plugin="actor", method="echo", payload=b"%d-" % number,
                                                  content_type="text/plain", more=True))
        for part in (b"a", b"b"):
            for number in (1, 2):
                client.send(number, chunk=wire.pb.Chunk(data=part, last=part == b"b"))
        found = {}
        for _ in (1, 2):
            env = client.receive("reply")
            found[env.id] = env.reply.payload
    assert found == {1: b"1-ab", 2: b"2-ab"}


def test_empty_chunks(actor):
    with wire.Client(actor) as client:
        client.send(1, call=wire.pb.Call(plugin="actor", method="echo", content_type="t", more=True))
        client.send(1, chunk=wire.pb.Chunk())
        client.send(1, chunk=wire.pb.Chunk(data=b"x"))
        client.send(1, chunk=wire.pb.Chunk(last=True))
        assert client.receive("reply").reply.payload == b"x"
