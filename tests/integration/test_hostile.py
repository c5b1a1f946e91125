"""Hostile processes on channels: real callers and real plugins whose own half damages, from a seed, all that it shares.

$PLUG_MUTATE_SECONDS and $PLUG_MUTATE_SEED make it longer and different; a failure names the seed.
"""

import collections
import json
import os
import re
import subprocess
import time

import pytest

from plugtest import build, procs

SECONDS = int(os.environ.get("PLUG_MUTATE_SECONDS", "5"))
SEED = int(os.environ.get("PLUG_MUTATE_SEED", "1"))
SPIN = [pytest.param({}, id="spinning"), pytest.param({"PLUG_SPIN_US": "0"}, id="sleeping")]


def program(name):
    return build.BUILD / "tests" / name


class Program:
    """One of tests/fuzz, in the background."""

    def __init__(self, site, name, *args, env=None):
        self.name = name
        self.process = subprocess.Popen(
            [str(program(name)), *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=site.environment(env),
        )

    def end(self, seconds):
        try:
            out, err = self.process.communicate(timeout=build.seconds(seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"{self.name} did not end, seed {SEED}:\n{out}\n{err}") from None
        assert self.process.returncode == 0, f"{self.name}, seed {SEED}: {self.process.returncode}\n{out}\n{err}"
        return out


def footprint(pid):
    """What a process holds of channels: kinds of descriptors, and shared mappings."""
    kinds = collections.Counter(re.sub(r"\d+", "N", what) for what in procs.descriptors(pid).values())
    shared = [line for line in procs.read(pid, "maps").splitlines() if b"plug-ring" in line]
    return kinds, len(shared)


def settled(site, pid):
    """What it holds once it works: its library opens one thing and another behind READY."""
    assert site.call("actor", "echo", {"a": 1}) == {"a": 1}
    before = None
    while (now := footprint(pid)) != before:
        before = now
        time.sleep(0.3)
    return before


def expect_footprint(pid, before):
    deadline = time.monotonic() + build.seconds(20)
    while (now := footprint(pid)) != before and time.monotonic() < deadline:
        time.sleep(0.05)  # how long closing takes is not said anywhere else
    assert now == before


@pytest.mark.parametrize("env", SPIN)
def test_hostile_callers(site, env):
    """The plugin serves its honest callers, closes the channels of the others, and keeps nothing of them."""
    site.actor(run={"env": env})
    site.start()
    site.ready()
    pid = site.status("actor")["pid"]
    before = settled(site, pid)

    honest = Program(site, "honest_caller", site.runtime, SECONDS, "actor", env=env)
    hostile = [Program(site, "hostile_client", site.runtime, "actor", SEED + n, SECONDS, env=env) for n in range(2)]
    counted = json.loads(honest.end(SECONDS + 60))
    attacks = [tuple(map(int, process.end(SECONDS + 60).split())) for process in hostile]
    print(counted, attacks)

    assert counted["right"] > 100 and counted["data"] > 100
    assert counted["violations"] == 0
    assert all(handles > 0 and damages > 10 for handles, damages in attacks)
    site.event("violated", "actor", detail="hostile")
    assert site.status("actor")["data_plane"]["violations"] > 0
    assert site.status("actor")["pid"] == pid  # never a restart
    assert site.call("actor", "echo", {"still": "here"}) == {"still": "here"}
    expect_footprint(pid, before)


@pytest.mark.parametrize("env", SPIN)
def test_a_hostile_plugin(site, env):
    """Calls to it end by their deadlines, calls of the same process to an honest one do not suffer."""
    site.actor()
    site.plugin("wrong", [program("hostile_plugin"), SEED])
    site.start()
    site.ready()
    site.ready("wrong")

    # What it damages is drawn by lot: on a busy machine a short while may pass without a violation.
    for _ in range(6):
        honest = Program(site, "honest_caller", site.runtime, SECONDS, "actor", "wrong", env=env)
        counted = json.loads(honest.end(SECONDS + 60))
        print(counted)
        assert counted["right"] > 100 and counted["data"] > 100
        if counted["wrong"] > 20 and counted["wrong_ok"] > 0 and counted["violations"] > 0:
            break

    assert counted["wrong"] > 20 and counted["wrong_ok"] > 0
    assert counted["violations"] > 0
    assert site.call("actor", "echo", {"still": "here"}) == {"still": "here"}
