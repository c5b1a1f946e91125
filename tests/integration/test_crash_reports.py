"""What a crash report tells: where it was, what it had, what it left."""

import pathlib
import re
import resource
import signal
import time

import pytest

from plugtest import build, procs, wire

NATIVE = pytest.mark.skipif(build.TSAN, reason="ThreadSanitizer has fault handlers of its own")
PLAIN = pytest.mark.skipif(bool(build.SANITIZE), reason="a sanitizer is in the way of such a fault")


def until(condition, timeout=20):
    deadline = time.monotonic() + build.seconds(timeout)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def crashed(site, how, method="crash"):
    site.actor()
    site.start(env=site.without_fault_handlers())
    site.ready(generation=1)
    with wire.Client(site) as client:
        assert client.call("actor", method, b'{"how": "%s"}' % how.encode())[0] == wire.EGONE
    site.ready(generation=2)
    crash, = site.ok("crashes", "actor")["crashes"]
    return crash


@PLAIN
def test_a_write_to_nowhere(site):
    crash = crashed(site, "write")
    assert (crash["signal_name"], crash["exit_code"]) == ("SIGSEGV", 0)
    assert crash["origin"] == "address 0x0 is not mapped"
    assert crash["thread"] > 0 and crash["thread_name"] == "plug-work"
    names = [frame["function"].partition("+")[0] for frame in crash["backtrace"]]
    assert names[:2] == ["write_nowhere", "actor_crash"]
    assert {"plugp_work_execute", "worker_main"} <= set(names), "down to the thread's beginning"
    assert pathlib.Path(crash["backtrace"][0]["module"]).samefile(build.ACTOR)
    assert [(call["method"], call["executing"]) for call in crash["calls"]] == [("crash", True)]
    assert crash["rss_bytes"] > 0 and crash["rss_age_ms"] < build.seconds(10_000), "seen when it was ready, or later"
    assert crash["peak_rss_bytes"] >= crash["rss_bytes"]
    text = site.ctl("crashes", "actor").out
    assert "address 0x0 is not mapped, in thread" in text
    assert re.search(r"backtrace +write_nowhere\+0x[0-9a-f]+  /.*actor-plugin\(\+0x[0-9a-f]+\)", text)
    assert re.search(r"memory +[\d.]+ .iB, .* before its end; at most", text)


@NATIVE
def test_an_abort(site):
    crash = crashed(site, "abort")
    assert (crash["signal_name"], crash["origin"]) == ("SIGABRT", "raised by itself")
    names = [frame["function"].partition("+")[0] for frame in crash["backtrace"]]
    assert "abort" in names and names.index("abort") + 1 == names.index("actor_crash")


@PLAIN
def test_a_stack_that_is_full(site):
    crash = crashed(site, "recurse")
    assert crash["signal_name"] == "SIGSEGV"
    assert {frame["function"].partition("+")[0] for frame in crash["backtrace"][:40]} == {"recurse"}


def test_an_exit(site):
    crash = crashed(site, "exit")
    assert (crash["signal"], crash["exit_code"], crash["backtrace"]) == (0, 3, [])
    assert crash["core_file"] == crash["core_note"] == ""


@NATIVE
def test_a_signal_from_somebody_else(site):
    site.actor()
    site.start(env=site.without_fault_handlers())
    procs.Watched(site.ready(generation=1)["pid"]).kill(signal.SIGSEGV)
    site.ready(generation=2)
    crash, = site.ok("crashes", "actor")["crashes"]
    assert crash["origin"].startswith("sent by process ")


def test_killed(site):
    """The kernel's own count of its memory, where it is above what plugd itself has had."""
    site.actor()
    site.start(env=site.without_fault_handlers())
    pid = site.ready(generation=1)["pid"]
    site.call("actor", "hoard", {"bytes": 64 << 20})
    procs.Watched(pid).kill(signal.SIGKILL)
    site.ready(generation=2)
    crash, = site.ok("crashes", "actor")["crashes"]
    assert (crash["origin"], crash["backtrace"], crash["core_note"]) == ("", [], "")
    assert crash["peak_rss_bytes"] > 64 << 20


def test_calls_that_wait_are_told_from_those_that_execute(site):
    """The actor has 16 threads for handlers."""
    site.actor()
    site.start(env=site.without_fault_handlers())
    pid = site.ready(generation=1)["pid"]
    with wire.Client(site) as client:
        for _ in range(16):
            client.start_call("actor", "wait")
        until(lambda: [call["executing"] for call in site.status("actor")["calls"]] == [True] * 16)
        client.start_call("actor", "echo")
        until(lambda: len(site.status("actor")["calls"]) == 17)
        procs.Watched(pid).kill(signal.SIGKILL)
        site.ready(generation=2)
    crash, = site.ok("crashes", "actor")["crashes"]
    assert [call["method"] for call in crash["calls"] if not call["executing"]] == ["echo"]
    assert "waiting for a thread" in site.ctl("crashes", "actor").out


PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()


@NATIVE
def test_no_core(site):
    crash = crashed(site, "abort")
    assert crash["core_file"] == "" and not crash["core_dumped"]
    assert ("its limit was 0" if PATTERN[:1] not in "|@" else "core_pattern") in crash["core_note"]
    assert crash["core_note"] in re.sub(r"\s+", " ", site.ctl("crashes", "actor").out)


@PLAIN
@pytest.mark.skipif(PATTERN[:1] in "|@" or PATTERN.startswith("/"), reason=f"cores go elsewhere: {PATTERN}")
def test_a_core(site):
    site.actor()
    site.start(env=site.without_fault_handlers(), preexec=lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30)))
    site.ready(generation=1)
    site.ctl("call", "actor", "crash", '{"how": "abort"}')
    site.ready(generation=2)
    crash, = site.ok("crashes", "actor")["crashes"]
    assert crash["core_dumped"], crash
    core = pathlib.Path(crash["core_file"])
    assert core.read_bytes()[:4] == b"\x7fELF"
    assert str(core) in site.ctl("crashes", "actor").out


TELLER = """
import struct
def say(rogue, env):
    sock = socket.socket(fileno=os.dup(int(os.environ["PLUG_BROKER_FD"])))
    for packet in env.call.payload.split(b"|"):
        sock.send(bytes.fromhex(packet.decode()))
    rogue.reply(env.id, b"said")
Rogue(["say"]).start().serve(say)
"""

MAGIC = "ffff545241434531"
SIZE = 72 + 48 * 16 + 16 * 160


def trace(signal=11, frames=0, size=SIZE):
    head = bytes.fromhex(MAGIC) + bytes(16) + signal.to_bytes(4, "little") + bytes(32) + frames.to_bytes(4, "little")
    return head.ljust(size, b"\0").hex()


@pytest.mark.parametrize("packets, reason", [
    ([trace()], "before the dying byte"),
    (["0b", trace(), trace()], "a second backtrace"),
    (["0b", trace(frames=49)], "more frames"),
    (["0b", trace(signal=9)], "no fault signal"),
    (["0b", trace(size=SIZE - 1)], "of another size"),
])
def test_a_backtrace_that_is_none(site, packets, reason):
    site.script("actor", TELLER, run={"stop_timeout": "10s"})
    site.start(env=site.without_fault_handlers())
    pid = site.ready(generation=1)["pid"]
    with wire.Client(site) as client:
        client.start_call("actor", "say", "|".join(packets).encode())
        site.event("violation", "actor", reason, pid=pid)
