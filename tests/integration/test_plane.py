"""The plugin's side of many channels in a whole system: threads, idling, callers that do not read."""

import json
import os
import subprocess
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


def test_a_quick_method_that_turns_slow_holds_up_nobody(actor, client):
    """The thread that looks at the channels runs it itself, until somebody takes that from it."""
    first, second = (channel.open_channel(client, "actor") for _ in range(2))
    for _ in range(5):
        for _ in range(200):
            assert first.call("sleep", b'{"ms": 0}').outcome == wire.OK
        began = time.monotonic()
        slow = first.start_call("sleep", b'{"ms": 3000}')
        assert second.call("echo", b"1").payload == b"1"
        quick = first.start_call("echo", b"2")
        env = first.take()
        assert (env.id, env.reply.payload) == (quick, b"2")
        assert actor.call("actor", "echo", {"n": 3}) == {"n": 3}
        assert time.monotonic() - began < build.seconds(2)
        first.post(id=slow, cancel=pb.Cancel(reason=wire.ECANCELLED))
        env = first.take()
        assert (env.id, env.reply.outcome) == (slow, wire.ECANCELLED)
    first.close()
    second.close()


def test_handlers_of_both_planes_share_the_workers(actor, client):
    """Sixteen at a time, whatever they came by; one more has to wait, and does not wait for ever."""
    c = channel.open_channel(client, "actor")
    waiting = [c.start_call("wait") for _ in range(16)]
    deadline = time.monotonic() + build.seconds(20)
    while actor.ok("stats", "actor")["plugins"][0]["data_plane"]["in_flight"] < 16:
        assert time.monotonic() < deadline
    over_plugd = actor.ctl_start("--json", "call", "actor", "echo", '{"n": 1}')
    with pytest.raises(subprocess.TimeoutExpired):
        over_plugd.wait(0.5)
    c.post(id=waiting[3], cancel=pb.Cancel(reason=wire.ECANCELLED))
    assert c.take().id == waiting[3]
    out, _ = over_plugd.communicate(timeout=build.seconds(20))
    assert json.loads(out) == {"n": 1}
    for number in waiting[:3] + waiting[4:]:
        c.post(id=number, cancel=pb.Cancel(reason=wire.ECANCELLED))
        assert c.take().id == number
    c.close()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_open_channels_cost_nothing_while_nobody_calls(actor, client):
    channels = [channel.open_channel(client, "actor", channel.REGION_BYTES_MIN) for _ in range(20)]
    for c in channels:
        assert c.call("echo", b"1").outcome == wire.OK
    time.sleep(0.1)
    pid = actor.status("actor")["pid"]
    before = cpu_seconds(pid)
    time.sleep(2)
    assert cpu_seconds(pid) - before <= 0.04
    for c in channels:
        assert c.call("echo", b"2").payload == b"2"
        c.close()


def test_a_caller_that_does_not_read_loses_its_channel(actor, client):
    deaf, other = (channel.open_channel(client, "actor") for _ in range(2))
    for _ in range(30):
        deaf.start_call("big", b'{"bytes": 20000}', timeout_us=60_000_000)
    assert other.call("echo", b"1").payload == b"1"
    deaf.wait_end(timeout=20)
    assert other.call("echo", b"2").payload == b"2"
    actor.event("violated", "actor", "does not read its replies")
    seen = actor.ok("stats", "actor")["plugins"][0]["data_plane"]
    assert (seen["channels"], seen["violations"]) == (1, 1)
    assert "does not read its replies" in actor.ctl("logs", "actor").out
    deaf.close()
    other.close()
