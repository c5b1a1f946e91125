"""Whoever dies, however: no process of a plugin is left, and none of its children."""

import os
import signal
import time

import pytest

from plugtest import build, procs, wire


@pytest.fixture
def family(site):
    """Two plugins, and a process that one of them left: another session, parent, environment."""
    site.actor("one")
    site.actor("two")
    site.start()
    pids = {name: site.ready(name)["pid"] for name in ("one", "two")}
    stray = site.call("one", "stray")["pid"]
    for pid in (*pids.values(), stray, site.pid):
        site.watch(pid)
    assert procs.alive(stray)
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
    stray = family.watched[2]
    if stray.gone(0) or "cgroup.kill" not in family.log_text():
        stray.kill()  # nobody was left to do it, and without a cgroup nobody can know it later
        return
    family.start()  # the next plugd ends what is left in the cgroup of a dead one
    assert stray.gone(build.seconds(20))


def test_an_orderly_end(family):
    assert family.stop() == 0
    all_gone(family, timeout=0)


def test_a_plugin_that_dies_takes_its_family_along(family):
    stray = family.watched[2]
    family.watched[0].kill()
    family.event("crashed", "one")
    assert stray.gone(build.seconds(10))
    assert family.word("two") == "ready"


def test_a_plugin_that_is_stopped_takes_its_family_along(family):
    family.ok("stop", "one")
    assert family.watched[2].gone(build.seconds(10))


def no_child_is_left(parents, others):
    """Every child of these but the others is reaped, if not at once then soon: the kernel tells of an end before it can be
    collected."""
    deadline = time.monotonic() + build.seconds(10)
    while left := [
        pid for pid in procs.all_pids()
        if pid not in others and (found := procs.stat(pid)) and found[1] in parents
    ]:
        assert time.monotonic() < deadline, f"{left} are not reaped"
        time.sleep(0.02)


def test_no_zombies(family):
    """Strays of dead plugins are adopted and reaped; plugd's own children too."""
    for _ in range(5):
        family.call("two", "stray")
    family.ok("stop", "one", "two")
    assert procs.alive(family.pid)
    no_child_is_left((family.pid, family.process.pid), {family.pid})


def test_crashed_processes_are_reaped(site):
    """Not before the next process is started, but soon."""
    site.actor(run={"backoff": {"min": "0ms", "max": "0ms"}, "max_failures": 0})
    site.start()
    for generation in range(1, 6):
        pid = site.ready(generation=generation)["pid"]
        os.kill(pid, signal.SIGKILL)
    no_child_is_left((site.pid,), {site.ready(generation=6)["pid"]})


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


def test_a_stray_that_outlives_several_generations(site):
    """A process that left its plugin's session is still known as that plugin's, by its cgroup or its parent."""
    site.actor()
    site.start()
    first = site.ready(generation=1)["pid"]
    strays = [site.watch(site.call("actor", "stray")["pid"]) for _ in range(3)]
    procs.Watched(first).kill()
    site.ready(generation=2)
    for stray in strays:
        assert stray.gone(build.seconds(10))


def test_containment_is_named(site):
    site.start()
    assert site.status()["containment"].startswith(("cgroup", "subreaper"))
