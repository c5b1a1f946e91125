"""Who dies is dead for everybody before its memory is given back, and is followed by another only after that."""

import json
import os
import select
import signal
import time

import pytest

from plugtest import build, channel, procs, wire

pytestmark = pytest.mark.skipif(build.TSAN, reason="there are no keepers under ThreadSanitizer")

HOUR = {"backoff": {"min": "1h", "max": "1h"}}
AGAIN = {"max_failures": 0, "backoff": {"min": "1ms", "max": "1ms"}}
LARGE = 768 << 20  # bytes that take the kernel some ten milliseconds
SECCOMP_FILTER = 2
TRIES = 5  # where others are at work, too


def until(condition, what, timeout=30):
    deadline = time.monotonic() + build.seconds(timeout)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.001)


def whole(site):
    status = site.status("actor")
    return (status["ready"], status["standby_ready"]) == (status["instances"], status["standby"])


def active(site):
    return next(one for one in site.status("actor")["instance_list"] if one["role"] == "active")


def started(site, *args, **run):
    site.actor("actor", *args, run=run)
    site.start()
    until(lambda: whole(site), "all are ready")
    return active(site)["pid"]


def keepers(pid):
    """Those that share this process's memory, by name."""
    return [one for one in procs.all_pids() if (procs.stat(one) or " ---")[3] == pid
            and procs.read(one, "comm").strip() == b"plug-keeper" and procs.alive(one)]


def has_ended(process):
    return bool(select.select([process.fd], [], [], 0)[0])


class Halted:
    """A keeper that stands still: what it keeps stays."""

    def __init__(self, pid):
        self.pid, = keepers(pid)

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: procs.stat(self.pid)[0] == "T", "it stands still")
        return self.pid

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def test_it_has_one_that_can_do_nothing(site):
    pid = started(site, standby=1, **HOUR)
    keeper, = keepers(pid)
    given, = procs.descriptors(keeper).values()
    assert given.startswith("socket:")
    assert given not in procs.descriptors(pid).values() and given not in procs.descriptors(site.pid).values()
    found = procs.status(keeper)
    assert (int(found["Seccomp"]), found["NoNewPrivs"]) == (SECCOMP_FILTER, "1")
    blocked = int(found["SigBlk"], 16)
    unblockable = 1 << signal.SIGKILL - 1 | 1 << signal.SIGSTOP - 1
    assert blocked | unblockable == 2**64 - 1
    assert found["VmRSS"] == procs.status(pid)["VmRSS"]


def test_plugd_ends_it_and_not_the_death(site):
    """Woken by the death it would run before plugd, for which the calls wait."""
    pid = started(site, standby=1, **HOUR)
    keeper, = keepers(pid)
    os.kill(site.pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        until(lambda: procs.stat(pid)[0] == "Z", "it is dead")
        time.sleep(0.1)
        assert procs.alive(keeper)
    finally:
        os.kill(site.pid, signal.SIGCONT)
    until(lambda: not procs.alive(keeper), "plugd has ended it")


def test_none_where_nobody_could_stand_in(site):
    pid = started(site, **HOUR)
    assert "PLUG_KEEPER_FD" not in procs.environment(pid) and not keepers(pid)


def test_several_instances_have_one_each(site):
    started(site, instances=2, **HOUR)
    found = [keepers(one["pid"]) for one in site.status("actor")["instance_list"]]
    assert [len(one) for one in found] == [1, 1]


def record(site, generation):
    return json.dumps({"file": str(site.root / "record"), "text": "x", "die": generation}).encode()


@pytest.mark.parametrize("how", ["kill", "crash"])
def test_the_end_comes_before_the_memory_is_gone(site, how):
    """For plugd, whose spare answers, and for a caller on a channel."""
    site.actor("actor", run={"standby": 1, **HOUR})
    site.start(env=site.without_fault_handlers())
    until(lambda: whole(site), "both are ready")
    one = active(site)
    site.call("actor", "hoard", {"bytes": LARGE})
    with procs.Watched(one["pid"]) as process, wire.Client(site) as client, Halted(one["pid"]) as keeper:
        c = channel.open_channel(client, "actor")
        if how == "kill":
            client.start_call("actor", "record-twice", record(site, one["generation"]))
        else:
            c.start_call("crash", b'{"how": "abort"}')
            client.start_call("actor", "record-twice", record(site, 0))
        answer = client.receive("reply").reply
        assert answer.outcome == wire.OK, answer
        if how == "kill":
            assert json.loads(answer.payload)["generation"] != one["generation"]
        c.wait_end()
        assert process.gone(build.seconds(20))
        c.close()
        # Who looks for what it left behind ends the keeper, whether it stands still or not.
        until(lambda: not procs.alive(keeper), "its memory is given back")
    site.event("crashed", "actor", "SIGKILL" if how == "kill" else "SIGABRT", pid=one["pid"])


def test_an_end_is_seen_at_once(site):
    """It does not take the tenth of a second that the memory takes: that goes when the keeper does."""
    pid = started(site, standby=1, **HOUR)
    site.call("actor", "hoard", {"bytes": LARGE})
    with procs.Watched(pid) as process, procs.Watched(keepers(pid)[0]) as keeper:
        process.kill(signal.SIGKILL)
        assert process.gone(build.seconds(20))
        assert not has_ended(keeper)
        assert keeper.gone(build.seconds(20))


def followed_by(site, upgraded=False):
    """Whether the memory was gone when the death was told: the keeper is dead a moment after plugd has heard of it."""
    until(lambda: whole(site), "both are ready")
    pid = active(site)["pid"]
    site.call("actor", "hoard", {"bytes": LARGE})
    if upgraded:
        site.ok("upgrade", "--daemon")
    with procs.Watched(pid) as process, procs.Watched(keepers(pid)[0]) as keeper:
        process.kill(signal.SIGKILL)
        crashed = site.event("crashed", "actor", pid=pid)
        gone = keeper.gone(0.005)
        assert keeper.gone(build.seconds(20))
        site.event("started", "actor", after=crashed["seq"])
    return gone


@pytest.mark.parametrize("upgraded", [False, True], ids=["", "over-an-upgrade"])
def test_the_next_one_waits_for_the_memory(site, upgraded):
    """Of the same slot.  Without a wait it would take ten times as long, every time."""
    started(site, instances=2, **AGAIN)
    assert any(followed_by(site, upgraded) for _ in range(TRIES))


def test_a_stop_waits_for_the_memory(site):
    pid = started(site, standby=1, **HOUR)
    site.call("actor", "hoard", {"bytes": LARGE})
    keeper, = keepers(pid)
    site.ok("stop", "actor")
    assert not procs.alive(keeper) and not procs.alive(pid)


def test_in_order_too(site):
    """plug_main() returns: its keeper is gone, and does not hold the process up."""
    pid = started(site, standby=1, **HOUR)
    with procs.Watched(pid) as process:
        os.kill(pid, signal.SIGTERM)
        assert process.gone(build.seconds(20))
    assert not keepers(pid)


def test_a_keeper_that_is_killed(site):
    """Nothing but what it is for is lost."""
    pid = started(site, standby=1, **HOUR)
    keeper, = keepers(pid)
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not procs.alive(keeper), "it is dead")
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1} and active(site)["pid"] == pid
    site.ok("restart", "actor")
    until(lambda: whole(site), "all are ready")
    assert site.call("actor", "echo", {"n": 2}) == {"n": 2}


def test_with_plugd_s_end(site):
    pid = started(site, standby=1, **HOUR)
    with procs.Watched(keepers(pid)[0]) as keeper:
        site.signal(signal.SIGTERM)
        assert keeper.gone(build.seconds(20))


def test_the_next_spare_waits_for_the_memory_too(site):
    """One has taken over at once; the one that takes its place is started when that of the dead one is there again."""
    started(site, standby=1, **AGAIN)
    assert any(followed_by(site) for _ in range(TRIES))
    pid = active(site)["pid"]
    site.call("actor", "hoard", {"bytes": LARGE})
    before = site.status("actor")["instance_list"]
    with procs.Watched(pid) as process, procs.Watched(keepers(pid)[0]) as keeper:
        process.kill(signal.SIGKILL)
        failover = site.event("failover", "actor", pid=next(one["pid"] for one in before if one["role"] == "standby"))
        site.event("started", "actor", after=failover["seq"])
        assert keeper.gone(build.seconds(1))


def test_a_stop_that_comes_while_it_is_waited_for(site):
    """The process was killed before that: the crash is told."""
    pid = started(site, standby=1, **HOUR)
    site.call("actor", "hoard", {"bytes": LARGE})
    with procs.Watched(pid) as process:
        process.kill(signal.SIGKILL)
        assert process.gone(build.seconds(20))
        site.ok("stop", "actor")
    crash, = site.ok("crashes", "actor")["crashes"]
    assert crash["pid"] == pid and "SIGKILL" in crash["reason"]


def test_a_plugin_that_becomes_another_user(site):
    """It cannot end its keeper any more, and stops in order all the same."""
    if os.geteuid():
        pytest.skip("needs another user")
    pid = started(site, "--become", "65534", standby=1, **HOUR)
    assert procs.status(pid)["Uid"].split()[0] == "65534" and keepers(pid)
    began = time.monotonic()
    site.ok("stop", "actor")
    assert time.monotonic() - began < build.seconds(1) and not keepers(pid)
    assert not any(event["kind"] == "killed" for event in site.events.seen)


HOLDER = """
import subprocess
def answer(rogue, env):
    if env.call.method == "leave":
        subprocess.Popen(["sleep", "600"], close_fds=False)
    rogue.reply(env.id, b"%d" % GENERATION)
Rogue(["leave", "who"]).start().serve(answer)
"""


def test_who_has_no_keeper_is_not_waited_for(site):
    """It has the descriptor itself, and whom it left behind: they are killed, and with that it ends."""
    site.script("actor", HOLDER, run={"instances": 2, **AGAIN})
    site.start()
    until(lambda: whole(site), "both are ready")
    with wire.Client(site) as client:
        generation = int(client.call("actor", "leave")[2])
    pid = next(one["pid"] for one in site.status("actor")["instance_list"] if one["generation"] == generation)
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    crashed = site.event("crashed", "actor", pid=pid)
    site.event("started", "actor", after=crashed["seq"])
    assert time.monotonic() - began < build.seconds(3), "MEMORY_MS of supervisor/plugin/instance_end.c is 5 s"
