"""Tensors between real processes: contents, lifetimes, quotas, passing on, mistakes, deaths."""

import json
import os
import select
import signal
import subprocess
import time

import pytest

from plugtest import build, procs

PLUGIN = build.BUILD / "tests" / "tensors-plugin"
CALLER = build.BUILD / "tests" / "tensors-caller"
KILLS = int(os.environ.get("PLUG_KILLS", "12"))


@pytest.fixture
def tensors(site):
    for name, quota in (("tensors", 4 << 20), ("other", 64 << 20)):
        site.plugin(
            name, [PLUGIN, name], methods={"copy": {"idempotent": True}, "mirror": {"idempotent": True}},
            run={"env": {"PLUG_TENSOR_BYTES": str(quota)}, "backoff": {"min": "1ms", "max": "5ms"}, "max_failures": 1000000},
        )
    site.start()
    for name in ("tensors", "other"):
        site.ready(name)
    return site


def run(site, case, env=None):
    done = subprocess.run(
        [CALLER, site.runtime, case], capture_output=True, text=True, env=site.environment(env),
        timeout=build.seconds(60), stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stats(site, name="tensors"):
    return site.call(name, "stats")


def settles(look, wanted):
    """Whoever died is noticed in the others' own time."""
    deadline = time.monotonic() + build.seconds(20)
    while (seen := look()) != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seen == wanted


def held(site, *names):
    """Of these plugins: tensors, arenas, descriptors, mappings of memfds."""
    out = []
    for name in names:
        now, pid = stats(site, name), site.status(name)["pid"]
        maps = procs.read(pid, "maps").decode(errors="replace")
        out.append((now["buffers"], now["seen_arenas"], now["own_arenas"], len(procs.descriptors(pid)), maps.count("/memfd:")))
    return out


@pytest.mark.parametrize("case", ["mirrored", "kinds", "sums", "mistakes", "parked"])
def test_case(tensors, case):
    run(tensors, case)
    settles(lambda: (stats(tensors)["seen_arenas"], stats(tensors)["strays"]), (0, 0))


def test_one_that_its_permissions_do_not_name(tensors):
    """A process of a plugin, with its token."""
    tensors.actor("front", permissions=[{"call": "other"}])
    tensors.ok("reread")
    env = procs.environment(tensors.ready("front")["pid"])
    out = run(tensors, "denied", {key: env[key] for key in ("PLUGD_SOCKET", "PLUG_CLIENT_TOKEN")})
    assert out.count('front may not call "tensors"') == 2, out
    assert stats(tensors)["buffers"] == 0


def test_contents_go_and_come_and_the_library_copies_none(tensors):
    run(tensors, "round-trips", {"PLUG_SPIN_US": "0"})
    assert stats(tensors)["copies"] == 200  # those that the handler asked for
    run(tensors, "round-trips")
    assert stats(tensors)["copies"] == 400


def test_passing_on_and_home_again(tensors):
    before = held(tensors, "tensors", "other")
    for _ in range(2):
        run(tensors, "relayed")
    assert stats(tensors)["copies"] == 0  # it only passed on
    assert stats(tensors, "other")["copies"] == 200
    # Of the caller nothing is left; the plugins keep the channel between them, and what its arenas hold.
    settles(lambda: [h[1] <= 2 and h[0] <= 16 for h in held(tensors, "tensors", "other")], [True, True])
    assert before[0][0] == 0


def test_quota(tensors):
    run(tensors, "quota")
    settles(lambda: stats(tensors)["buffers"], 0)
    settles(lambda: stats(tensors)["own_arenas"], 0)


def test_in_an_event_loop(tensors):
    run(tensors, "event-loop")
    run(tensors, "event-loop", {"PLUG_SPIN_US": "0"})


def test_without_a_data_plane(tensors):
    assert "data plane is off" in run(tensors, "unavailable", {"PLUG_DATA_PLANE": "off"})
    tensors.ctl("stop", "tensors")
    assert "tensors is stopped" in run(tensors, "unavailable")


class Traffic:
    """Calls with tensors, over and over, until it is told to end."""

    def __init__(self, site, case="traffic"):
        self.process = subprocess.Popen(
            [CALLER, site.runtime, case], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=site.environment(),
        )

    def wait_line(self, wanted):
        assert select.select([self.process.stdout], [], [], build.seconds(20))[0]
        line = self.process.stdout.readline().strip()
        assert line == wanted, self.process.stderr.read()
        return self

    def goes_on(self):
        """Ten more calls, from now on, end well."""
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()
        return self.wait_line("more")

    def end(self):
        out, self.errors = self.process.communicate(timeout=build.seconds(40))
        assert self.process.returncode == 0, self.errors
        return json.loads(out.splitlines()[-1]) if out.strip() else None

    def kill(self):
        self.process.kill()
        self.process.communicate()


def test_what_is_held_outlives_its_owner(tensors):
    caller = Traffic(tensors, "outlives").wait_line("held")
    procs.Watched(tensors.status("tensors")["pid"]).kill()
    tensors.ready("tensors", generation=2)
    caller.process.stdin.write("go\n")
    caller.process.stdin.flush()
    caller.end()


def all_kinds(site):
    return [Traffic(site, case).wait_line("up") for case in ("traffic", "traffic", "loop-traffic")]


def lost_none(callers):
    for caller in callers:
        report = caller.end()
        assert report["calls"] > 10 and (report["failed"], report["gone"]) == (0, 0), (report, caller.errors)


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_a_new_process_loses_no_call(tensors, how):
    callers = all_kinds(tensors)
    for generation in range(2, 6):
        assert tensors.ctl(how, "tensors").status == 0
        tensors.ready("tensors", generation=generation)
        for caller in callers:
            caller.goes_on()
    lost_none(callers)


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_a_caller_who_is_late_has_its_answer(tensors, how):
    """Its process stands still until the one that answered it has ended, and no longer waits for it."""
    callers = all_kinds(tensors)
    for generation in range(2, 5):
        with procs.Watched(tensors.status("tensors")["pid"]) as old:
            for caller in callers:
                caller.process.send_signal(signal.SIGSTOP)
            tensors.ok(how, "tensors")
            assert old.gone(build.seconds(20))
        for caller in callers:
            caller.process.send_signal(signal.SIGCONT)
        for caller in callers:
            caller.goes_on()
    lost_none(callers)


def test_a_crash_and_its_backoff_lose_no_call(site):
    site.plugin("tensors", [PLUGIN, "tensors"], methods={"copy": {"idempotent": True}}, run={"backoff": {"min": "300ms", "max": "300ms"}})
    site.start()
    site.ready("tensors")
    for generation in range(2, 5):
        callers = all_kinds(site)
        # What it has is sent once more, and no second death meets that; what comes meanwhile waits.
        procs.Watched(site.status("tensors")["pid"]).kill()
        site.ready("tensors", generation=generation)
        for caller in callers:
            caller.goes_on()
        lost_none(callers)


def test_killed_callers_leave_nothing(tensors):
    Traffic(tensors).wait_line("up").end()
    settles(lambda: held(tensors, "tensors")[0][:3], (0, 0, 0))
    before = held(tensors, "tensors")
    for n in range(KILLS):
        callers = [Traffic(tensors).wait_line("up") for _ in range(2)]
        time.sleep(n % 5 / 1000)
        for caller in callers:
            caller.kill()
    settles(lambda: held(tensors, "tensors"), before)
    assert tensors.status("tensors")["generation"] == 1
    assert stats(tensors)["strays"] == 0 and stats(tensors)["refused"] == 0


def test_killed_plugins_take_nothing_with_them(tensors):
    caller = Traffic(tensors).wait_line("up")
    before = len(procs.descriptors(caller.process.pid))
    for n in range(KILLS):
        with procs.Watched(tensors.ready("tensors", generation=n + 1)["pid"]) as plugin:
            if n % 2:
                settles(lambda: stats(tensors)["copies"] > 0, True)
            time.sleep(n % 4 / 1000)
            plugin.kill()
    tensors.ready("tensors", generation=KILLS + 1)
    # One channel, one arena and what goes with them, whatever died before.
    settles(lambda: len(procs.descriptors(caller.process.pid)) <= before + 1, True)
    maps = procs.read(caller.process.pid, "maps").decode(errors="replace")
    assert maps.count("/memfd:") <= 12, maps
    report = caller.end()
    assert report["failed"] == 0 and report["calls"] > KILLS // 2, (report, caller.errors)


def test_the_middle_one_is_killed(tensors):
    """A passes to B passes to C; B dies: C has nothing left of A."""
    for n in range(3):
        run(tensors, "relayed")
        os.kill(tensors.status("tensors")["pid"], signal.SIGKILL)
        tensors.ready("tensors", generation=n + 2)
    settles(lambda: held(tensors, "other")[0][:3], (0, 0, 0))
