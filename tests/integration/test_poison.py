"""Requests that processes die of: refused after two deaths, and no others."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from plugtest import build, caller, channel, procs, site as sites, wire

NATIVE = pytest.mark.skipif(build.TSAN, reason="ThreadSanitizer has fault handlers of its own")
PLAIN = pytest.mark.skipif(bool(build.SANITIZE), reason="a sanitizer is in the way of such a fault")
QUICK = {"run": {"backoff": {"min": "1ms", "max": "1ms"}, "max_failures": 0}}
KILLS = b'{"how": "abort"}'


def until(condition, what, timeout=30):
    deadline = time.monotonic() + build.seconds(timeout)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def started(site, *args, **keys):
    site.actor("actor", *args, **{**QUICK, **keys})
    site.start(env=site.without_fault_handlers())
    site.ready(generation=1)


def poison(site):
    return site.ok("poison", "actor")["poison"]


def states(site):
    return [(one["method"], one["state"]) for one in poison(site)]


def executing(site):
    return [call["method"] for call in site.status("actor")["calls"] if call["executing"]]


@NATIVE
def test_the_third_time_it_is_refused(site):
    started(site)
    with wire.Client(site) as client:
        first = client.call("actor", "crash", KILLS)
        assert first[0] == wire.EGONE and "refused" not in first[1]
        assert states(site) == [("crash", "suspected")]
        second = client.call("actor", "crash", KILLS)
        assert second[0] == wire.EGONE and "refused for ten minutes" in second[1]
        assert states(site) == [("crash", "confirmed")]
        site.event("poison", "actor", "two deaths in a row")
        outcome, message, _, _ = client.call("actor", "crash", KILLS)
        assert outcome == wire.EPOISON
        assert "2 processes of actor died" in message and "plugctl poison actor --clear 1" in message
        assert client.call("actor", "crash", b'{"how": ""}')[0] == wire.OK, "another payload"
        assert client.call("actor", "crash-twice", b'{"how": ""}')[0] == wire.OK
    one, = poison(site)
    digest = hashlib.sha256(b"actor\0crash\0application/json\0" + KILLS).hexdigest()
    assert (one["state"], one["deaths"], one["refusals"], one["bytes"]) == ("refused", 2, 1, len(KILLS))
    assert one["digest"] == digest and one["uid"] == os.getuid()
    assert 0 < one["left_ms"] <= 600_000
    assert site.status("actor")["generation"] == 3
    text = site.ctl("poison").out
    assert "refused" in text and digest[:12] in text


@NATIVE
def test_an_operator_allows_it_again(site):
    started(site)
    with wire.Client(site) as client:
        for _ in range(2):
            client.call("actor", "crash", KILLS)
        assert client.call("actor", "crash", KILLS)[0] == wire.EPOISON
        assert site.ctl("poison", "actor", "7", "--clear").status == 1
        assert site.ok("poison", "actor", "1", "--clear")["cleared"] == 1
        assert [one["cleared"] for one in poison(site)] == ["an operator cleared it"]
        assert client.call("actor", "crash", KILLS)[0] == wire.EGONE, "from the beginning"
        assert states(site) == [("crash", "suspected")]
        assert client.call("actor", "crash", KILLS)[0] == wire.EGONE
        assert client.call("actor", "crash", KILLS)[0] == wire.EPOISON
        assert site.ok("poison", "--clear")["cleared"] == 1


@PLAIN
@pytest.mark.parametrize("how", ["write", "recurse"])
def test_faults(site, how):
    started(site)
    payload = json.dumps({"how": how}).encode()
    with wire.Client(site) as client:
        outcomes = [client.call("actor", "crash", payload)[0] for _ in range(3)]
    assert outcomes == [wire.EGONE, wire.EGONE, wire.EPOISON]


@PLAIN
def test_out_of_memory(site):
    """By its limit: the kernel of a cgroup, or the program that finds no more."""
    started(site, resources={"memory_mb": 600})
    with wire.Client(site) as client:
        outcomes = [client.call("actor", "crash", b'{"how": "memory"}')[0] for _ in range(3)]
    assert outcomes == [wire.EGONE, wire.EGONE, wire.EPOISON]


def test_an_exit_is_no_fault(site):
    started(site)
    with wire.Client(site) as client:
        outcomes = [client.call("actor", "crash", b'{"how": "exit"}')[0] for _ in range(4)]
    assert outcomes == [wire.EGONE] * 4
    assert poison(site) == []


@NATIVE
def test_once_replayed_is_the_second_death(site):
    """An idempotent one is sent again by plugd: the caller sees one GONE, and then the refusal."""
    started(site)
    with wire.Client(site) as client:
        outcome, message, _, _ = client.call("actor", "crash-twice", KILLS)
        assert outcome == wire.EGONE and "refused for ten minutes" in message
        assert client.call("actor", "crash-twice", KILLS)[0] == wire.EPOISON
    assert site.status("actor")["generation"] == 3


@NATIVE
def test_the_innocent_beside_it(site):
    """Three that wait and one that kills: they are sent again one at a time, and each is known for what it is."""
    started(site)
    gates = [site.fifo(f"gate{n}") for n in range(3)]
    with wire.Client(site) as client:
        held = [client.start_call("actor", "hold-twice", json.dumps({"fifo": str(gate)}).encode()) for gate in gates]
        until(lambda: len(executing(site)) == 3, "they execute")
        poisonous = client.start_call("actor", "crash-twice", KILLS)
        site.ready(generation=2)
        for number, (gate, call) in enumerate(zip(gates, held)):
            until(lambda: executing(site) == ["hold-twice"], "one at a time")
            assert len(site.status("actor")["calls"]) == 1 and site.status("actor")["queued"] == 3 - number
            sites.fifo_send(gate, "done")
            assert client.finish_call(call)[::2] == (wire.OK, b"done")
        assert client.finish_call(poisonous)[0] == wire.EGONE
        assert client.call("actor", "crash-twice", KILLS)[0] == wire.EPOISON
    assert sorted(states(site)) == [("crash-twice", "refused")] + [("hold-twice", "cleared")] * 3
    assert {one["cleared"] for one in poison(site) if one["method"] == "hold-twice"} == {"it was answered"}


@NATIVE
def test_others_go_on_beside_a_suspect(site):
    started(site)
    gate = site.fifo("gate")
    with wire.Client(site) as client:
        held = client.start_call("actor", "hold-twice", json.dumps({"fifo": str(gate)}).encode())
        until(lambda: executing(site) == ["hold-twice"], "it executes")
        assert client.call("actor", "crash", KILLS)[0] == wire.EGONE
        until(lambda: executing(site) == ["hold-twice"], "it is sent again")
        assert client.call("actor", "echo", b"1")[::2] == (wire.OK, b"1")
        again = client.start_call("actor", "crash", KILLS)  # suspected: it waits for the other one
        assert client.call("actor", "echo", b"2")[::2] == (wire.OK, b"2")
        assert site.status("actor")["generation"] == 2
        sites.fifo_send(gate, "done")
        assert client.finish_call(held)[::2] == (wire.OK, b"done")
        assert client.finish_call(again)[0] == wire.EGONE
        assert client.call("actor", "crash", KILLS)[0] == wire.EPOISON


def let_go(gate, process):
    """Open the other side of the FIFO that a handler reads, unless its process is gone."""
    while not process.gone(0):
        try:
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            return
        except OSError as error:
            assert error.errno == errno.ENXIO
            time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGSEGV, marks=NATIVE),
                                    pytest.param(signal.SIGABRT, marks=NATIVE)])
def test_killed_from_outside(site, number):
    """However often: no request is suspected, none is held back."""
    started(site, run={**QUICK["run"], "restart": "always"})
    gates = [site.fifo("one"), site.fifo("two")]
    with wire.Client(site) as client:
        for generation in range(1, 4):
            pid = site.ready(generation=generation)["pid"]
            calls = [client.start_call("actor", "hold", json.dumps({"fifo": str(gate)}).encode()) for gate in gates]
            until(lambda: executing(site) == ["hold", "hold"], "they execute")
            process = procs.Watched(pid)
            process.kill(number)
            if number == signal.SIGTERM:  # libplug stops in order, and waits for handlers, as long as it is let
                for gate in gates:
                    let_go(gate, process)
            for _ in calls:
                client.receive("reply")
        site.ready(generation=4)
        assert poison(site) == []


FORGED = """
import ctypes, struct, sys
number, pid = map(int, sys.argv[1:])
SI_QUEUE, rt_sigqueueinfo = -1, {"x86_64": 129}.get(__import__("platform").machine(), 138)
info = struct.pack("iiiiiI", number, 0, SI_QUEUE, 0, pid, 0).ljust(128, b"\\0")
assert ctypes.CDLL(None).syscall(rt_sigqueueinfo, pid, number, info) == 0
"""


@NATIVE
def test_killed_by_one_that_gives_a_wrong_name(site):
    """Whoever queues a signal chooses which pid it says it comes from: that of the process itself, here."""
    started(site)
    gate = site.fifo("gate")
    with wire.Client(site) as client:
        for generation in range(1, 4):
            pid = site.ready(generation=generation)["pid"]
            client.start_call("actor", "hold", json.dumps({"fifo": str(gate)}).encode())
            until(lambda: executing(site) == ["hold"], "it executes")
            subprocess.run([sys.executable, "-c", FORGED, str(int(signal.SIGSEGV)), str(pid)], check=True)
            assert client.receive("reply").reply.outcome == wire.EGONE
        site.ready(generation=4)
        assert poison(site) == []


STUCK = """
def stand_still(rogue, env):
    if env.call.payload == b"stand still":
        time.sleep(3600)
    rogue.reply(env.id, b"well")
Rogue(["work"]).start().serve(stand_still)
"""


@pytest.mark.load
def test_what_makes_it_stand_still(site):
    """No sign of life, and not because somebody stopped it: plugd kills it."""
    site.script("actor", STUCK, **QUICK)
    site.start()
    site.ready(generation=1)
    with wire.Client(site) as client:
        for generation in (1, 2):
            call = client.start_call("actor", "work", b"stand still")
            site.event("hung", "actor", generation=generation, timeout=60)
            assert client.finish_call(call)[0] == wire.EGONE
        assert client.call("actor", "work", b"stand still")[0] == wire.EPOISON
        assert client.call("actor", "work", b"go on")[0] == wire.OK


@pytest.mark.parametrize("on_channel", [False, True])
def test_beside_a_handler_that_hangs(site, on_channel):
    """It is known which one is at fault: what was executing beside it is innocent."""
    started(site, hang={"call": "kill", "grace": "100ms"})
    gate = site.fifo("gate")
    innocent = json.dumps({"fifo": str(gate)}).encode()
    with wire.Client(site) as client:
        for generation in (1, 2):
            site.ready(generation=generation)
            beside = client.start_call("actor", "hold", innocent)
            until(lambda: executing(site) == ["hold"], "it executes")
            hangs = json.dumps({"fifo": str(gate), "number": generation}).encode()
            if on_channel:
                c = channel.open_channel(client, "actor")
                c.start_call("hold", hangs, timeout_us=200_000)
            else:
                hanging = client.start_call("actor", "hold", hangs, timeout_ms=200)
                assert client.finish_call(hanging)[0] == wire.ETIMEOUT
            site.event("hung", "actor", "is killed", generation=generation)
            assert client.finish_call(beside)[0] == wire.EGONE
            if on_channel:
                c.close()
        site.ready(generation=3)
        assert [one["bytes"] for one in poison(site)] == ([] if on_channel else [len(hangs)] * 2)
        beside = client.start_call("actor", "hold", innocent)
        sites.fifo_send(gate, "done")
        assert client.finish_call(beside)[0] == wire.OK


@pytest.mark.load
def test_what_is_stopped_by_somebody(site):
    started(site, hang={"stopped": "kill", "ping_timeout": "1s"})
    with wire.Client(site) as client:
        for generation in (1, 2):
            call = client.start_call("actor", "wait")
            until(lambda: executing(site) == ["wait"], "it executes")
            procs.Watched(site.status("actor")["pid"]).kill(signal.SIGSTOP)
            site.event("suspended", "actor", generation=generation, timeout=60)
            assert client.finish_call(call)[0] == wire.EGONE
            site.ready(generation=generation + 1)
        assert poison(site) == []


@NATIVE
def test_with_a_spare(site):
    """The calls are moved at the dying byte, before it is known what the death was; one at a time all the same."""
    started(site, run={"standby": 1, "backoff": {"min": "1ms", "max": "1ms"}, "max_failures": 0})
    until(lambda: site.status("actor")["standby_ready"] == 1, "a spare is ready")
    gate = site.fifo("gate")
    with wire.Client(site) as client:
        held = client.start_call("actor", "hold-twice", json.dumps({"fifo": str(gate)}).encode())
        until(lambda: executing(site) == ["hold-twice"], "it executes")
        poisonous = client.start_call("actor", "crash-twice", KILLS)
        site.event("failover", "actor")
        until(lambda: executing(site) == ["hold-twice"], "it goes first")
        until(lambda: site.status("actor")["standby_ready"] == 1, "a spare is ready again")
        sites.fifo_send(gate, "done")
        assert client.finish_call(held)[::2] == (wire.OK, b"done")
        assert client.finish_call(poisonous)[0] == wire.EGONE
        until(lambda: ("crash-twice", "confirmed") in states(site), "both deaths count")
        assert client.call("actor", "crash-twice", KILLS)[0] == wire.EPOISON
        assert client.call("actor", "echo", b"1")[::2] == (wire.OK, b"1")
    assert ("hold-twice", "suspected") not in states(site)


@NATIVE
def test_a_signal_from_outside_with_a_spare(site):
    """Its calls were moved one at a time, as suspects; then the backtrace said whose signal it was."""
    started(site, run={"standby": 1, "backoff": {"min": "1ms", "max": "1ms"}, "max_failures": 0})
    until(lambda: site.status("actor")["standby_ready"] == 1, "a spare is ready")
    gates = [site.fifo(f"gate{n}") for n in range(3)]
    with wire.Client(site) as client:
        held = [client.start_call("actor", "hold-twice", json.dumps({"fifo": str(gate)}).encode()) for gate in gates]
        until(lambda: len(executing(site)) == 3, "they execute")
        procs.Watched(site.status("actor")["pid"]).kill(signal.SIGSEGV)
        site.event("failover", "actor")
        until(lambda: len(executing(site)) == 3, "all at once")
        for gate, call in zip(gates, held):
            sites.fifo_send(gate, "done")
            assert client.finish_call(call)[::2] == (wire.OK, b"done")
    assert poison(site) == []


@NATIVE
def test_payloads_that_no_room_is_left_for(site):
    """What is kept for a look gives way to what comes: calls are not refused for it."""
    limit = 1 << 20
    site.configure({"limits": {"call_bytes": limit}})
    started(site)
    gate = site.fifo("gate")
    with wire.Client(site) as client, wire.Client(site) as other:
        for n in range(12):  # of a budget of 16
            body = json.dumps({"fifo": str(gate), "pad": "x" * (limit - 200)}).encode()
            other.start_call("actor", "hold", body)
            until(lambda: len(executing(site)) == n + 1, "it executes")
        for n in range(30):
            assert client.call("actor", "sink", b"x" * limit)[0] == wire.OK
        assert client.call("actor", "crash", KILLS)[0] == wire.EGONE
    assert ("crash", "suspected") in states(site)


@NATIVE
def test_those_that_wait_already(site):
    """However many like it wait while its processes die: two die, and the others are refused."""
    started(site, run={"backoff": {"min": "1s", "max": "1s"}, "max_failures": 0})
    with wire.Client(site) as client:
        assert client.call("actor", "crash", KILLS)[0] == wire.EGONE
        until(lambda: site.status("actor")["state"] == "backoff", "no process is there")
        calls = [client.start_call("actor", "crash", KILLS) for _ in range(4)]
        until(lambda: site.status("actor")["queued"] == 4, "they wait")
        assert [client.finish_call(call)[0] for call in calls] == [wire.EGONE] + [wire.EPOISON] * 3
    one, = poison(site)
    assert (one["state"], one["deaths"]) == ("refused", 2)


@NATIVE
@pytest.mark.parametrize("method", ["crash", "crash-twice"])
def test_those_that_waited_before_the_first_death(site, method):
    site.configure({"limits": {"calls_per_instance": 1}})
    started(site)
    gate = site.fifo("gate")
    with wire.Client(site) as client:
        held = client.start_call("actor", "hold", json.dumps({"fifo": str(gate)}).encode())
        until(lambda: executing(site) == ["hold"], "it executes")
        calls = [client.start_call("actor", method, KILLS) for _ in range(4)]
        until(lambda: site.status("actor")["queued"] == 4, "they wait")
        sites.fifo_send(gate, "done")
        assert client.finish_call(held)[0] == wire.OK
        outcomes = sorted(client.finish_call(call)[0] for call in calls)
    gone = 2 if method == "crash" else 1
    assert outcomes == [wire.EGONE] * gone + [wire.EPOISON] * (4 - gone)
    one, = poison(site)
    assert (one["state"], one["deaths"]) == ("refused", 2)


@NATIVE
def test_the_second_death_is_of_another_call(site):
    """It is idempotent and was not sent again yet, which it is not either: it would be the third."""
    started(site)
    with wire.Client(site) as client:
        for generation in (2, 3):
            call = wire.pb.Call(plugin="actor", method="crash-twice", payload=KILLS, content_type="application/json",
                                again=generation == 2)
            client.send(client.next_id(), call=call)
            assert client.receive("reply").reply.outcome == wire.EGONE
            site.ready(generation=generation)
    one, = poison(site)
    assert (one["state"], one["deaths"]) == ("confirmed", 2)


# ---- through channels, where plugd sees no payload ----

GONE_THERE = ("PLUG_EGONE", "channel")
GONE_HERE = ("PLUG_EGONE", "plugd")
REFUSED = ("PLUG_EPOISON", "plugd")


@NATIVE
@pytest.mark.parametrize("loop", [False, True])
def test_through_a_channel(site, loop):
    """The second time it goes over plugd, which counts the death that it did not see, too."""
    started(site)
    with caller.Asker(site, loop=loop) as asker:
        assert asker.ask("crash", {"how": "abort"}) == GONE_THERE
        assert asker.ask("crash", {"how": ""}) == ("PLUG_OK", "channel"), "others are not affected"
        assert asker.ask("crash", {"how": "abort"}) == GONE_HERE
        assert asker.ask("crash", {"how": "abort"}) == REFUSED
        assert asker.ask("crash", {"how": ""}) == ("PLUG_OK", "channel")
    one, = poison(site)
    assert (one["state"], one["deaths"], one["uid"]) == ("refused", 2, os.getuid())
    assert site.status("actor")["generation"] == 3


@NATIVE
@pytest.mark.parametrize("loop", [False, True])
def test_what_the_client_sends_again(site, loop):
    """Idempotent: it comes back over plugd, alone, and that was the second death."""
    started(site)
    with caller.Asker(site, loop=loop) as asker:
        assert asker.ask("crash-twice", {"how": "abort"}) == GONE_HERE
        assert asker.ask("crash-twice", {"how": "abort"}) == REFUSED
    assert site.status("actor")["generation"] == 3


def on_channels(site):
    return site.ok("stats", "actor")["plugins"][0]["data_plane"]["in_flight"]


@NATIVE
def test_the_innocent_on_a_channel(site):
    started(site)
    gate = site.fifo("gate")
    with caller.Asker(site) as asker, wire.Client(site) as client:
        asker.start("hold-twice", {"fifo": str(gate)})
        until(lambda: on_channels(site) == 1, "it executes")
        assert client.call("actor", "crash", KILLS)[0] == wire.EGONE
        until(lambda: executing(site) == ["hold-twice"], "it came over plugd")
        assert ("hold-twice", "suspected") in states(site)
        sites.fifo_send(gate, "done")
        assert asker.finish() == ("PLUG_OK", "plugd")
        assert ("hold-twice", "cleared") in states(site)
        asker.start("hold-twice", {"fifo": str(gate)})
        sites.fifo_send(gate, "done")
        assert asker.finish() == ("PLUG_OK", "channel"), "and is as it was"


def test_killed_from_outside_on_a_channel(site):
    started(site)
    gate = site.fifo("gate")
    with caller.Asker(site) as asker:
        for _ in range(3):
            asker.start("hold", {"fifo": str(gate)})
            until(lambda: on_channels(site) == 1 or executing(site) == ["hold"], "it executes")
            procs.Watched(site.status("actor")["pid"]).kill(signal.SIGKILL)
            assert asker.finish()[0] == "PLUG_EGONE"
        assert poison(site) == []
        asker.start("hold", {"fifo": str(gate)})
        sites.fifo_send(gate, "done")
        assert asker.finish() == ("PLUG_OK", "plugd")
        asker.start("hold", {"fifo": str(gate)})
        sites.fifo_send(gate, "done")
        assert asker.finish() == ("PLUG_OK", "channel")


@NATIVE
def test_who_lies(site):
    """A death that is claimed has to be one of a call that was executing on a channel of that user."""
    started(site)
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        number = c.start_call("crash", KILLS)
        site.ready(generation=2)
        for name, on, at in (("no channel", c.grant.channel + 1, number), ("no call", c.grant.channel, number + 1), ("0", 0, 0)):
            call = pb_call("sink", name.encode(), on, at)
            client.send(client.next_id(), call=call)
            assert client.receive("reply").reply.outcome == wire.OK
            assert poison(site) == [], name
        for name in ("this may be true", "and this not as well"):
            client.send(client.next_id(), call=pb_call("sink", name.encode(), c.grant.channel, number))
            assert client.receive("reply").reply.outcome == wire.OK
        assert states(site) == [("sink", "cleared")], "each is believed once"
        c.close()


def pb_call(method, payload, on, at):
    return wire.pb.Call(plugin="actor", method=method, payload=payload, died_channel=on, died_number=at)


LINGERS = """
def die(rogue, env):
    broker = socket.socket(fileno=os.dup(int(os.environ["PLUG_BROKER_FD"])))
    trace = struct.pack("=QQQiiiii", 0x314543415254ffff, 0, 0, signal.SIGBUS, 2, 0, 0, 0)
    broker.send(bytes([signal.SIGBUS]))
    broker.send(trace.ljust(72 + 48 * 16 + 16 * 160, b"\\0"))
    while GENERATION > 1:
        time.sleep(60)
    os._exit(1)
def answer(rogue, env):
    if env.call.method == "die":
        die(rogue, env)
    elif GENERATION != 2 or env.call.payload != b"wait":
        rogue.reply(env.id, b"%d" % GENERATION)
Rogue(["die", "who", "who-twice!"]).start().serve(answer)
"""


def test_a_suspect_kills_again_and_takes_its_time(site):
    """What it takes the kernel to free a process is not waited for by those that were beside it."""
    site.script("actor", LINGERS, run={"standby": 1, "stop_timeout": "1h", "backoff": {"min": "1ms", "max": "1ms"}})
    site.start()
    whole = lambda: site.status("actor")["standby_ready"] == site.status("actor")["ready"] == 1  # noqa: E731
    until(whole, "both are ready")
    with wire.Client(site) as client:
        assert client.call("actor", "die")[0] == wire.EGONE
        assert states(site) == [("die", "suspected")]
        until(whole, "both are ready again")
        pid = site.status("actor")["pid"]
        beside = client.start_call("actor", "who-twice", b"wait")
        again = client.start_call("actor", "die")
        assert client.finish_call(beside)[::2] == (wire.OK, b"3"), "by the spare"
        assert procs.alive(pid), "while the other one is still there"
        assert client.call("actor", "who")[::2] == (wire.OK, b"3")
        procs.Watched(pid).kill(signal.SIGKILL)
        outcome, message, _, _ = client.finish_call(again)
        assert outcome == wire.EGONE and "refused for ten minutes" in message
        assert client.call("actor", "die")[0] == wire.EPOISON
    assert states(site) == [("die", "refused")]
