"""Killed callers, plugins and plugds: nothing is left of their channels anywhere.

PLUG_KILLS says how many of each; a few are enough to see a leak of one thing a time, a thousand show
what only a race leaves.
"""

import collections
import os
import pathlib
import random
import re
import signal
import time

import pytest

from plugtest import build, procs, wire
from plugtest.caller import Caller

KILLS = int(os.environ.get("PLUG_KILLS", "12"))


def alarm(seconds):
    """More time than a test has by default."""
    signal.setitimer(signal.ITIMER_REAL, build.seconds(seconds))


def held(pid):
    """What a process has open and shares; None for who may not look."""
    try:
        kinds = collections.Counter(re.sub(r"\d+", "N", what) for what in procs.descriptors(pid).values())
    except PermissionError:
        return None
    lines = procs.read(pid, "maps").decode().splitlines()
    shared = collections.Counter(line.split("/", 1)[1] for line in lines if "memfd:" in line)
    return kinds, shared


def settles(look, wanted, what):
    """Until it is so: the last of those that were killed is taken apart in plugd's and the plugin's own time."""
    deadline = time.monotonic() + build.seconds(20)
    while (seen := look()) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen == wanted, what


def shm():
    return sorted(path.name for path in pathlib.Path("/dev/shm").iterdir())


@pytest.fixture
def no_names():
    """Nothing ever has a name in /dev/shm; what others leave there meanwhile is not looked at."""
    before = set(shm())


    def names():
        return [name for name in shm() if name not in before and "plug" in name and not name.startswith("plugbench")]

    yield names
    assert not names()


@pytest.fixture
def actor(site):
    site.actor(run={"backoff": {"min": "1ms", "max": "5ms"}, "max_failures": 1000000})
    site.start()
    site.ready()
    site.pid
    return site


def test_killed_callers(actor, no_names):
    """At any moment: while they connect, open a channel, call, or wait for an answer."""
    alarm(60 + KILLS / 2)
    pick = random.Random(1)
    survivor = Caller(actor).wait_up()
    plugin = actor.status("actor")["pid"]
    Caller(actor).wait_up().kill()  # what is made once is there
    with wire.Client(actor) as probe:

        def look():
            return probe.request(status={})[0].daemon.clients, held(actor.pid), held(plugin)

        def vitals():
            plane = probe.request(status={"name": "actor"})[0].plugin.data_plane
            return plane.channels, probe.request(status={})[0].daemon.clients

        settles(vitals, (1, 3), "the first one that was killed still counts")
        before = look()
        for n in range(KILLS):
            caller = Caller(actor)
            if n % 3:
                caller.wait_up()
                time.sleep(pick.random() * 0.002)
            else:
                time.sleep(pick.random() * 0.01)
            caller.kill()
            assert not no_names()
        settles(look, before, "something is left")
        data = actor.ok("stats", "actor")["plugins"][0]["data_plane"]
        assert data["violations"] == 0 and data["opened"] > KILLS / 2
    report = survivor.end()
    assert (report["wrong"], set(report["outcomes"])) == (0, {"PLUG_OK"}), report
    assert report["opened"] == 1 and actor.status("actor")["generation"] == 1


def test_killed_plugins(actor, no_names):
    """The survivors take a new channel to the next process, and hold no more than before."""
    alarm(60 + KILLS * 3)
    pick = random.Random(2)
    survivors = [Caller(actor).wait_up() for _ in range(2)]
    with wire.Client(actor) as probe:

        def channels():
            return probe.request(status={"name": "actor"})[0].plugin.data_plane.channels

        def look():
            return held(actor.pid), [held(survivor.pid) for survivor in survivors]

        generation = 1
        before = look()
        for n in range(KILLS):
            event = actor.event("ready", "actor", generation=generation)
            if n % 3:
                settles(channels, 2, "no channel to the new process")
            time.sleep(pick.random() * 0.02)
            with procs.Watched(event["pid"]) as plugin:
                plugin.kill()
            generation += 1
            assert not no_names()
        actor.event("ready", "actor", generation=generation)
        # With calls through channels again all is as it was.
        settles(channels, 2, "no channel to the last process")
        settles(look, before, "something is left")
    for survivor in survivors:
        report = survivor.end()
        assert report["wrong"] == report["violations"] == 0, report
        assert set(report["outcomes"]) <= {"PLUG_OK", "PLUG_EGONE", "PLUG_EUNAVAILABLE"}, report
        assert report["opened"] > KILLS / 4, report


def test_killed_plugds(site, no_names):
    """Callers see the end of the plugin, whoever ended it."""
    kills = max(3, KILLS // 4)
    alarm(60 + kills * 2)
    site.actor()
    site.expected_status = 128 + signal.SIGKILL
    survivor, before = None, None
    for n in range(kills):
        site.start()
        plugin = site.ready()["pid"]
        survivor = survivor or Caller(site)
        with procs.Watched(plugin) as watched:
            settles(lambda: site.status("actor")["data_plane"]["channels"], 1, "no channel to the plugin")
            os.kill(site.pid, signal.SIGKILL)
            site.wait_end()
            assert watched.gone(build.seconds(10))
        # Without plugd there is no channel, nor anything of the last one.
        if before is None:
            settles(lambda: held(survivor.pid)[1], collections.Counter(), "a region is left")
            before = held(survivor.pid)
        settles(lambda: held(survivor.pid), before, "something is left")
        assert not no_names()
    report = survivor.end()
    assert report["wrong"] == report["violations"] == 0, report
