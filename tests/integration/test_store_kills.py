"""plugctl killed at any moment: the store is whole, and the next command finishes what was begun.

PLUG_STORE_KILLS moments are tried (24; 200 by hand), drawn with PLUG_STORE_SEED; a failure names the seed.
"""

import os
import random
import signal
import subprocess

import pytest

from plugtest import build, packs

KILLS = int(os.environ.get("PLUG_STORE_KILLS", "24"))
SEED = int(os.environ.get("PLUG_STORE_SEED", "1"))
LIBRARY = build.BUILD / "tests" / "libkillat.so"
CALLS = 45  # about as many as an install makes

pytestmark = pytest.mark.skipif(bool(build.SANITIZE), reason="a sanitizer must come before every other library")


class Store:
    def __init__(self, site):
        self.site, self.path = site, site.root / "store"
        files = {"data.txt": "x" * 9000, "lib/a.txt": "a", "lib/deep/b.txt": "b"}
        self.packs = {
            version: packs.archive(
                packs.folder(site.root, version=version, program="/bin/true", files=files, exec=["./plugin"])
            )
            for version in ("1.0.0", "2.0.0")
        }

    def ctl(self, *words, kill_at=0, after=False):
        env = self.site.environment()
        if kill_at:
            env |= {"LD_PRELOAD": str(LIBRARY), "KILLAT_CALL": str(kill_at), "KILLAT_AFTER": str(int(after))}
        return subprocess.run(
            [build.PLUGCTL, *map(str, words), "--store", self.path], env=env, capture_output=True, text=True,
            timeout=build.seconds(30),
        )

    def operation(self, draw):
        version = draw.choice(sorted(self.packs))
        return draw.choice([
            ("install", self.packs[version]),
            ("install", self.packs[version]),
            ("use", "actor", version),
            ("uninstall", f"actor@{version}"),
            ("uninstall", "actor"),
        ])


def test_the_store_is_whole_whenever_plugctl_is_killed(site):
    store = Store(site)
    killed = 0
    for number in range(KILLS):
        seed = SEED * 100_000 + number
        draw = random.Random(seed)
        if draw.random() < 0.5:  # so that there is something to change
            store.ctl("install", store.packs["1.0.0"])
        words = store.operation(draw)
        at, after = draw.randint(1, CALLS), draw.random() < 0.5
        done = store.ctl(*words, kill_at=at, after=after)
        killed += done.returncode == -signal.SIGKILL
        try:
            packs.check_store(store.path)
            again = store.ctl(*words)
            packs.check_store(store.path)
            if words[0] == "install":
                assert again.returncode == 0, again
            assert packs.leftovers(store.path) == []
        except AssertionError as error:
            raise AssertionError(
                f"seed {seed} ({' '.join(map(str, words))}, call {at}, {'after' if after else 'before'}): {error}"
            ) from error
    assert killed > KILLS // 4, f"only {killed} of {KILLS} were killed: nothing was shown"


def test_every_call_of_an_install_may_be_the_last(site):
    """From nothing, before each call in turn; a step of several where only a few are wanted."""
    store = Store(site)
    calls, step = 0, max(1, 200 // max(KILLS, 1))
    while True:
        calls += step
        done = store.ctl("install", store.packs["1.0.0"], kill_at=calls)
        packs.check_store(store.path)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done
        store.ctl("uninstall", "actor")
    assert calls > 20, "the library counts nothing"


def test_an_install_begins_where_another_was_killed(site):
    store = Store(site)
    assert store.ctl("install", store.packs["1.0.0"], kill_at=12).returncode == -signal.SIGKILL
    assert packs.leftovers(store.path) != []
    assert store.ctl("install", store.packs["1.0.0"]).returncode == 0
    assert packs.leftovers(store.path) == []
    packs.check_version(store.path / "actor/.versions/1.0.0", "actor")


def test_plugd_sweeps_what_was_left(site):
    site.configure({"store": {"dir": "store"}})
    store = Store(site)
    assert store.ctl("install", store.packs["1.0.0"], kill_at=30).returncode == -signal.SIGKILL
    assert packs.leftovers(store.path) != []
    site.start()
    assert packs.leftovers(store.path) == []
    assert "leftovers" in site.log_text()


def test_plugd_leaves_alone_what_is_at_work(site):
    site.configure({"store": {"dir": "store"}})
    store = site.root / "store"
    (store / ".stage-at-work").mkdir(parents=True)
    holder = subprocess.Popen(["flock", store / ".lock", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdin.write(b"held\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == b"held\n"
        site.start()
        assert (store / ".stage-at-work").exists()
        busy = site.ctl("install", packs.folder(site.root), "--timeout", "200ms")
        assert busy.status == 1 and "another process changes the store" in busy.err
    finally:
        holder.stdin.close()
        holder.wait()


@pytest.mark.parametrize("call, after, expected", [(2, False, "1.0.0"), (2, True, "1.0.0"), (3, False, "1.0.0"), (3, True, "2.0.0")])
def test_plugd_killed_while_it_chooses(site, call, after, expected):
    """Around the two calls by which the chosen version changes: a new link, and its name."""
    site.configure({"store": {"dir": "store"}})
    env = {
        "LD_PRELOAD": str(LIBRARY), "KILLAT_CALL": str(call), "KILLAT_AFTER": str(int(after)), "KILLAT_PATH": "current"
    }
    site.start(env=env)
    for version in ("1.0.0", "2.0.0"):
        site.ok("install", packs.folder(site.root, version=version))
    assert site.ctl("use", "actor", "2.0.0").status != 0
    site.process.wait(build.seconds(30))
    site._forget_process()
    packs.check_store(site.root / "store")
    assert os.readlink(site.root / "store/actor/current").split("/")[1] == expected
    site.start()
    site.ready()
    assert site.status("actor")["version"] == expected
    site.ok("use", "actor", "2.0.0")
    assert packs.leftovers(site.root / "store") == []
    assert not (site.root / "store/actor/.current.new").is_symlink()
