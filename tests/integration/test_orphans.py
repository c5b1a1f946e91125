"""Whoever dies, however: no process of a plugin is left, and none of its children."""

import ctypes
import os
import signal
import subprocess
import time

import pytest

from plugtest import build, procs, wire


def leave_cgroups():
    """In a mount namespace of its own, where no cgroup2 file system is: for a process about to be plugd."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, private_and_all, detach = 0x20000, 1 << 18 | 1 << 14, 2
    if libc.unshare(new_namespace) or libc.mount(b"none", b"/", None, private_and_all, None):
        os._exit(99)
    for mount in reversed(cgroup2_mounts()):
        libc.umount2(mount.encode(), detach)


def cgroup2_mounts():
    with open("/proc/self/mounts") as mounts:
        return [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]


def may_unshare():
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


RUNGS = ["as it is here", "without cgroups"]


@pytest.fixture(params=RUNGS)
def rung(request, site):
    """How plugd holds processes together: by a cgroup where that can be, else by what else it knows of them."""
    if request.param == RUNGS[0]:
        site.rung = None
    elif not cgroup2_mounts():
        pytest.skip("there are no cgroups here anyway")
    elif not may_unshare():
        pytest.skip("a mount namespace needs root")
    else:
        site.rung = leave_cgroups
    return site


def stray(site, name):
    """A process that left its plugin's session and parent.  Without a cgroup its environment is how it is known
    while plugd lives."""
    naked = site.status()["containment"].startswith("cgroup")
    return site.watch(site.call(name, "stray", {"naked": naked})["pid"])


@pytest.fixture
def family(rung):
    """Two plugins, and a process that one of them left: another session, parent, environment."""
    site = rung
    site.actor("one")
    site.actor("two")
    site.start(preexec=site.rung)
    assert site.rung is None or not site.status()["containment"].startswith("cgroup")
    pids = {name: site.ready(name)["pid"] for name in ("one", "two")}
    naked = site.call("one", "stray", {"naked": True})["pid"]
    for pid in (*pids.values(), naked, site.pid):
        site.watch(pid)
    assert procs.alive(naked)
    return site


def all_gone(site, timeout=20):
    for watched in site.watched:
        assert watched.gone(build.seconds(timeout)), f"{watched.pid} survived"


def test_plugd_killed(family):
    os.kill(family.pid, signal.SIGKILL)
    status = family.wait_end()
    assert status == 128 + signal.SIGKILL, "the guardian ends with the daemon's status"
    all_gone(family)


def test_the_guardian_killed(family):
    family.process.kill()
    family.wait_end()
    all_gone(family)


def test_both_killed(family):
    """No guardian is left to clean up: the parent-death signals and the lifeline are."""
    plugd = procs.Watched(family.pid)
    plugd.kill(signal.SIGSTOP)  # so that neither has a moment after the other
    family.process.kill()
    plugd.kill(signal.SIGKILL)
    plugd.close()
    family.wait_end()
    for watched in family.watched[:2]:
        assert watched.gone(build.seconds(20)), "plugins die with their parent"
    left = family.watched[2]
    if "cgroup.kill" not in family.log_text():
        left.kill()  # nobody was there to do it, and without a cgroup nobody can know it later
    else:
        family.start()  # the next plugd ends what is left in the cgroup of a dead one
    assert left.gone(build.seconds(20))


def test_an_orderly_end(family):
    assert family.stop() == 0
    all_gone(family, timeout=0)


@pytest.fixture
def one(rung):
    rung.actor("one")
    rung.actor("two")
    rung.start(preexec=rung.rung)
    rung.ready("two")
    rung.one = rung.watch(rung.ready("one")["pid"])
    return rung


def test_a_plugin_that_dies_takes_its_family_along(one):
    strays = [stray(one, "one") for _ in range(3)]
    one.one.kill()
    one.event("crashed", "one")
    for left in strays:
        assert left.gone(build.seconds(10))
    assert one.word("two") == "ready"


HIDES = """
def answer(rogue, env):
    hidden = subprocess.Popen(
        ["/usr/bin/env", "-i", "/bin/sh", "-c",
         "while kill -0 %d 2>/dev/null && [ ! -e %s ]; do :; done; exec /usr/bin/env PLUG_TOKEN=%s sleep 3600"
         % (os.getpid(), env.call.payload.decode(), os.environ["PLUG_TOKEN"])],
        start_new_session=True, stdout=subprocess.DEVNULL)
    rogue.reply(env.id, b"%d" % hidden.pid)
import subprocess
Rogue(["hide"]).start().serve(answer)
"""


def test_what_cannot_be_told_when_its_plugin_dies_is_found_later(rung):
    """In the middle of an execve() a process has no environment; this one has none until a moment after the death."""
    rung.script("one", HIDES)
    rung.start(preexec=rung.rung)
    pid = rung.ready("one")["pid"]
    gate = rung.root / "gate"
    with wire.Client(rung) as client:
        hidden = rung.watch(int(client.call("one", "hide", str(gate).encode())[2]))
    with procs.Watched(pid) as plugin:
        plugin.kill()
    gate.touch()
    assert hidden.gone(build.seconds(10))
    rung.ready("one", generation=2)


def test_a_plugin_that_is_stopped_takes_its_family_along(one):
    left, of_another = stray(one, "one"), stray(one, "two")
    one.ok("stop", "one")
    assert left.gone(build.seconds(10))
    assert procs.alive(of_another.pid), "it belongs to another, which runs on"


def no_child_is_left(parents, others):
    """Every child of these but the others is reaped, if not at once then soon: the kernel tells of an end
    before it can be collected."""
    deadline = time.monotonic() + build.seconds(10)
    while left := [
        pid for pid in procs.all_pids()
        if pid not in others and (found := procs.stat(pid)) and found[1] in parents
    ]:
        assert time.monotonic() < deadline, f"{left} are not reaped"
        time.sleep(0.02)


def test_no_zombies(one):
    """Strays of dead plugins are adopted and reaped; plugd's own children too."""
    for _ in range(5):
        stray(one, "two")
    one.ok("stop", "one", "two")
    assert procs.alive(one.pid)
    no_child_is_left((one.pid, one.process.pid), {one.pid})


def test_crashed_processes_are_reaped(site):
    """Not before the next process is started, but soon."""
    site.actor(run={"backoff": {"min": "0ms", "max": "0ms"}, "max_failures": 0})
    site.start()
    for generation in range(1, 6):
        pid = site.ready(generation=generation)["pid"]
        os.kill(pid, signal.SIGKILL)
    no_child_is_left((site.pid,), {site.ready(generation=6)["pid"]})


def test_processes_that_were_asked_to_end_are_reaped(site):
    """Nobody waits for it, as for a crashed one, but it is soon."""
    site.actor()
    site.start()
    for generation in range(1, 6):
        assert site.ready(generation=generation)
        site.ok("reload", "actor")
    no_child_is_left((site.pid,), {site.ready(generation=6)["pid"]})
    site.ok("restart", "actor")
    no_child_is_left((site.pid,), {site.ready(generation=7)["pid"]})
    site.ok("stop", "actor")
    no_child_is_left((site.pid,), set())


def test_a_plugin_killed_while_it_starts(site):
    site.actor("slow", "--start-wait", site.fifo("gate"))
    site.start()
    pid = site.watch(site.event("started", "slow")["pid"])
    site.watch(site.pid)
    os.kill(site.pid, signal.SIGKILL)
    site.wait_end()
    assert pid.gone(build.seconds(20))


def test_the_next_plugd_starts_clean(site):
    """What a killed one leaves behind (socket, lock, sessions) is not in its way."""
    site.actor()
    site.start()
    site.ready()
    os.kill(site.pid, signal.SIGKILL)
    site.wait_end()
    assert site.socket_path.exists(), "nobody removed it"
    site.start()
    site.ready()
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    assert len(list((site.runtime / "s").iterdir())) == 1


def test_the_next_plugd_waits_for_the_end_of_the_last(family):
    """Never two copies: while the guardian has not ended what the killed one left, no other starts anything."""
    site = family
    guardian = site.process
    os.kill(guardian.pid, signal.SIGSTOP)
    os.kill(site.pid, signal.SIGKILL)
    assert site.watched[-1].gone(build.seconds(20))
    site.notify.close()
    site.spawn(preexec=site.rung)
    try:
        while "its guardian still ends its processes" not in site.log_text():
            assert site.process.poll() is None, site.log_text()
        assert len(site.log_text().split("started: plugd")) == 2, "only the first one has"
        assert guardian.poll() is None
    finally:
        os.kill(guardian.pid, signal.SIGCONT)
    assert guardian.wait(build.seconds(20)) == 128 + signal.SIGKILL
    site.wait_said("READY=1")
    site._events = None
    site.__dict__.pop("pid", None)
    all_gone(site, timeout=0)
    site.ready("one")


def test_the_next_plugd_does_not_wait_for_a_stranger(site):
    """A lock that a living process holds is not waited for, whoever that is."""
    site.actor()
    site.start()
    site.ready()
    second = site.run()
    assert second.status != 0 and f"another plugd with pid {site.pid}" in second.err
    assert "its guardian" not in second.err
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


def test_clients_of_a_killed_plugd_notice(site):
    site.actor()
    site.start()
    site.ready()
    caller = site.ctl_start("call", "actor", "wait")
    site.log_line("actor", "^waiting")
    os.kill(site.pid, signal.SIGKILL)
    assert caller.wait(build.seconds(20)) in (1, 3)
    site.wait_end()
    done = site.ctl("list")
    assert done.status == 3
    assert str(site.runtime) in done.err


def test_calls_in_flight_at_an_orderly_end_have_an_outcome(site):
    site.actor("actor", run={"stop_timeout": "300ms"})
    site.start()
    site.ready()
    with wire.Client(site) as client:
        number = client.start_call("actor", "wait")
        site.log_line("actor", "^waiting")
        site.signal(signal.SIGTERM)
        outcome = client.finish_call(number)[0]
    assert outcome in (wire.EGONE, wire.ECANCELLED, wire.EUNAVAILABLE)
    assert site.wait_end() == 0


def test_containment_is_named(one):
    said = one.status()["containment"]
    assert "cgroup" in said if one.rung is None and cgroup2_mounts() else "subreaper" in said, said
