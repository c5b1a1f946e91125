"""plugctl reload: another version in the place of one that is called."""

import json
import os
import resource
import shutil
import signal
import threading

import pytest

from plugtest import build, procs, site as sites, wire


def reload(site, name="actor", *options):
    """The one result of a reload that must succeed."""
    return site.ok("reload", name, *options)["results"][0]


def refused(site, name="actor", *options):
    """The reason of one that must not."""
    done = site.ctl("reload", name, *options)
    assert done.status == 1, done
    return done.err


class Load(threading.Thread):
    """A client that keeps calls in flight and holds every answer against what it sent."""

    def __init__(self, site, name="actor", in_flight=8):
        super().__init__(daemon=True)
        self.client = wire.Client(site)
        self.name_of_plugin, self.in_flight = name, in_flight
        self.ending = threading.Event()
        self.answered, self.wrong = 0, []

    def run(self):
        sent = {}
        while sent or not self.ending.is_set():
            while len(sent) < self.in_flight and not self.ending.is_set():
                payload = b"%d" % self.client.last_id
                sent[self.client.start_call(self.name_of_plugin, "echo", payload)] = payload
            env = self.client.receive("reply")
            expected = sent.pop(env.id, None)
            if env.reply.outcome != wire.OK or env.reply.payload != expected:
                self.wrong.append((env.id, expected, str(env)))
            self.answered += 1

    def finish(self):
        self.ending.set()
        self.join(build.seconds(30))
        assert not self.is_alive(), "a call was never answered"
        self.client.close()
        assert self.wrong == []
        return self.answered


@pytest.fixture
def load(site):
    loads = []

    def start(*args, count=3, **keys):
        for _ in range(count):
            loads.append(Load(site, *args, **keys))
            loads[-1].start()
        return loads

    yield start


def test_a_new_version_takes_over(site):
    site.actor(version="1.0.0")
    site.start()
    old = site.ready(generation=1)["pid"]
    site.actor(version="1.1.0")
    result = reload(site)
    assert result["state"] == "ready" and result["generation"] == 2 and result["pid"] != old
    assert result["detail"].startswith("from version 1.0.0 to 1.1.0, beside the old process: ")
    assert "MiB are available" in result["detail"]
    status = site.status("actor")
    assert (status["version"], status["pid"]) == ("1.1.0", result["pid"])
    assert not procs.alive(old), "the answer comes when the old process has ended"
    assert site.event("reloaded", "actor")["detail"] == result["detail"]
    assert site.ok("crashes", "actor")["crashes"] == []
    assert status["restarts"] == 0 and status["failures"] == 0


def test_no_call_is_lost(site, load):
    """Thousands of calls during 24 reloads, each answered once and rightly."""
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    loads = load()
    for n in range(24):
        site.actor(version=f"1.{n}.1")
        assert reload(site)["generation"] == n + 2
    answered = [each.finish() for each in loads]
    assert min(answered) > 0 and sum(answered) >= 2000, answered
    stats = site.ok("stats", "actor")["plugins"][0]
    assert (stats["calls"], stats["errors"]) == (sum(answered), 0)
    assert site.status("actor")["version"] == "1.23.1"


def test_no_call_is_lost_in_place(site, load):
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    loads = load()
    for n in range(6):
        result = reload(site, "actor", "--in-place")
        assert "after the old process had ended: as asked" in result["detail"]
    assert sum(each.finish() for each in loads) > 100


@pytest.mark.memory
def test_without_room_for_both_the_old_one_ends_first(site, load):
    """More memory than the machine has is asked for: drain, then swap; calls wait, none is lost."""
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    loads = load()
    site.actor(version="1.1.0", resources={"memory_mb": 16000000})
    result = reload(site)
    assert "after the old process had ended: " in result["detail"], result
    assert "MiB are available" in result["detail"] and "are needed" in result["detail"]
    assert sum(each.finish() for each in loads) > 0
    assert site.status("actor")["version"] == "1.1.0"


def test_a_call_in_flight_ends_on_the_old_process(site):
    site.actor(run={"stop_timeout": f"{build.seconds(20):.0f}s"})
    site.start()
    old = site.ready(generation=1)["pid"]
    gate = site.fifo("gate")
    with wire.Client(site) as client:
        held = client.start_call("actor", "hold", json.dumps({"fifo": str(gate)}).encode())
        while not site.status("actor")["calls"]:
            pass
        reloading = site.ctl_start("--json", "reload", "actor")
        new = site.ready(generation=2)["pid"]
        assert site.call("actor", "echo", {"n": 1}) == {"n": 1}, "the new one answers meanwhile"
        assert procs.alive(old) and reloading.poll() is None
        sites.fifo_send(gate, "held")
        assert client.finish_call(held)[2] == b"held"
    out, err = reloading.communicate(timeout=build.seconds(30))
    assert reloading.returncode == 0, err
    assert json.loads(out)["results"][0]["pid"] == new
    assert not procs.alive(old)


FAILURES = {
    "says FAILED": (["--start-fail", "no such device"], "no such device"),
    "exits": (["--start-exit", "7"], "exit code 7"),
    "claims another version": (["--version", "9.9.9"], "its version"),
    "lacks a method": (["--without", "echo"], "does not offer"),
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_new_version_that_fails_changes_nothing(site, how):
    extra, reason = FAILURES[how]
    keys = {"methods": {"echo": {"idempotent": True}}}
    site.actor(version="1.0.0", **keys)
    site.start()
    old = site.ready(generation=1)["pid"]
    site.actor("actor", *extra, version="1.1.0", **keys)
    told = refused(site)
    assert "version 1.0.0 stays in force" in told
    event = site.event("rolled-back", "actor", reason)
    assert event["detail"] in told
    status = site.status("actor")
    assert (status["pid"], status["version"], status["state"]) == (old, "1.0.0", "ready")
    assert (status["restarts"], status["failures"]) == (0, 0), "the old process did nothing wrong"
    assert "rolled back" in status["reload"]
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    site.actor(version="1.1.0", **keys)
    assert reload(site)["detail"].startswith("from version 1.0.0 to 1.1.0")
    assert "rolled back" not in site.status("actor")["reload"]


def test_a_new_version_that_is_never_ready(site):
    site.actor(version="1.0.0")
    site.start()
    old = site.ready(generation=1)["pid"]
    site.actor("actor", "--start-wait", site.fifo("gate"), version="1.1.0", run={"start_timeout": "300ms"})
    assert "not READY within run.start_timeout" in refused(site)
    assert site.status("actor")["pid"] == old


def test_a_manifest_that_is_wrong_is_refused(site):
    site.actor(version="1.0.0")
    site.start()
    old = site.ready(generation=1)["pid"]
    site.manifest("actor", "plugin: actor\nversion: 1.1.0\ntype: interface\nexec: [./nothing]\nrum: {}\n")
    told = refused(site)
    assert "plugin.yaml:5" in told and "run" in told
    site.manifest("actor", "plugin: actor\nversion: 1.1.0\ntype: interface\nexec: [./nothing]\n")
    assert "nothing" in refused(site)
    site.actor("other", folder="actor")
    assert "that is another plugin" in refused(site)
    assert site.status("actor")["pid"] == old
    assert site.status("actor")["generation"] == 1, "nothing was started for it"


def test_the_probe_comes_before_any_caller(site):
    """What does not pass its self-test never sees a call."""
    site.actor(version="1.0.0")
    site.start()
    old = site.ready(generation=1)["pid"]
    site.actor(version="1.1.0", probe={"method": "fail"})
    told = refused(site)
    assert "its probe fail failed: PLUG_EPLUGIN: as asked" in told
    assert site.status("actor")["pid"] == old
    site.actor(version="1.1.0", probe={"method": "echo"})
    assert reload(site)["generation"] == 3


def test_a_probe_that_is_not_answered(site):
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    site.actor(version="1.1.0", probe={"method": "wait", "timeout": "200ms"})
    assert "probe" in refused(site)
    assert site.status("actor")["version"] == "1.0.0"


def test_a_process_that_does_not_answer_its_first_ping(site):
    """READY is not enough: the first look at its health comes before the switch."""
    site.actor(version="1.0.0")
    site.start()
    old = site.ready(generation=1)["pid"]
    site.script("deaf", "Rogue(['echo']).start(); time.sleep(3600)",
                folder="actor", plugin="actor", probe={"method": "echo", "timeout": "300ms"})
    assert "did not answer its probe within probe.timeout" in refused(site)
    assert site.status("actor")["pid"] == old


def test_a_probe_at_an_ordinary_start(site):
    """The process is `probing` until the probe is answered."""
    gate = site.fifo("gate")
    site.script("slow", f"""
def answer(rogue, env):
    open({str(gate)!r}).read()
    rogue.reply(env.id, b'')
Rogue(["echo"]).start().serve(answer)
""", probe={"method": "echo", "timeout": "20s"})
    site.start()
    while site.word("slow") != "probing":
        pass
    sites.fifo_send(gate)
    site.ready("slow")


def test_an_unhealthy_process_is_replaced(site):
    flag = site.root / "ill"
    site.script("sick", f"""
def answer(rogue, env):
    rogue.reply(env.id, b'', outcome=15 if os.path.exists({str(flag)!r}) else 0)
Rogue(["echo"]).start().serve(answer)
""", probe={"method": "echo", "interval": "100ms", "timeout": "100ms"})
    site.start()
    site.ready("sick", generation=1)
    flag.touch()
    site.event("unhealthy", "sick", "3 of 3 times")
    site.event("crashed", "sick", "unhealthy: its probe echo failed 3 times", generation=1)
    flag.unlink()
    site.event("ready", "sick", after=site.event("crashed", "sick")["seq"])


def test_methods_of_the_new_version(site):
    site.actor(version="1.0.0", **{"methods": {"sink": {"timeout": "10s"}}})
    site.start()
    site.ready(generation=1)
    site.actor("actor", "--without", "big", version="2.0.0")
    reload(site)
    methods = {m["name"]: m for m in site.ok("info", "actor")["methods"]}
    assert "big" not in methods and not methods["sink"]["declared"]
    with wire.Client(site) as client:
        outcome, message, _, _ = client.call("actor", "big")
    assert outcome == wire.ENOMETHOD and '"big"' in message
    site.actor(version="3.0.0")
    reload(site)
    with wire.Client(site) as client:
        assert client.call("actor", "big", b'{"bytes": 3}')[2] == b"abc"


def test_configuration_is_read_anew(site):
    schema = {"config": {"n": {"type": "int", "default": 1}, "text": {"type": "string", "default": "d"}}}
    site.actor(**schema)
    site.configure({"plugins": {"actor": {"config": {"n": 2}}}})
    site.start()
    site.ready(generation=1)
    assert site.call("actor", "config", {"keys": ["n", "text"]}) == {"n": 2, "text": "d"}
    site.configure({"plugins": {"actor": {"config": {"n": 3}}}})
    reload(site)
    assert site.call("actor", "config", {"keys": ["n", "text"]}) == {"n": 3, "text": "d"}
    site.configure({"plugins": {"actor": {"config": {"n": "three"}}}})
    assert "plugd.yaml" in refused(site)
    assert site.call("actor", "config", {"keys": ["n"]}) == {"n": 3}


def test_what_start_was_given_is_kept(site):
    schema = {"config": {"n": {"type": "int", "default": 1}}}
    site.actor(run={"autostart": False}, **schema)
    site.start()
    site.ok("start", "actor", "--set", "n=7")
    site.actor(version="1.1.0", run={"autostart": False}, **schema)
    reload(site)
    assert site.call("actor", "config", {"keys": ["n"]}) == {"n": 7}


def test_a_new_version_that_dies_while_the_old_one_drains(site):
    """The old one cannot take calls again: the version before is started anew, and at once."""
    site.actor(version="1.0.0", run={"stop_timeout": "10s"})
    site.start()
    site.ready(generation=1)
    gate = site.fifo("gate")
    site.actor(version="1.1.0", run={"stop_timeout": "10s"})
    with wire.Client(site) as client:
        held = client.start_call("actor", "hold", json.dumps({"fifo": str(gate)}).encode())
        while not site.status("actor")["calls"]:
            pass
        reloading = site.ctl_start("reload", "actor")
        second = site.ready(generation=2)["pid"]
        procs.Watched(second).kill(signal.SIGKILL)
        out, err = reloading.communicate(timeout=build.seconds(30))
        assert reloading.returncode == 1
        assert "SIGKILL" in err and "version 1.0.0 stays in force" in err
        assert site.ready(generation=3)
        sites.fifo_send(gate, "held")
        assert client.finish_call(held)[2] == b"held", "the old one finishes what it has"
    assert site.status("actor")["version"] == "1.0.0"
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


def test_a_new_version_that_dies_soon_after(site):
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    site.actor(version="1.1.0")
    new = reload(site)
    procs.Watched(new["pid"]).kill(signal.SIGABRT)
    site.event("rolled-back", "actor", "SIGABRT.*version 1.0.0 is started again")
    site.ready(generation=3)
    assert site.status("actor")["version"] == "1.0.0"
    procs.Watched(site.status("actor")["pid"]).kill(signal.SIGABRT)
    site.ready(generation=4)
    assert site.status("actor")["version"] == "1.0.0", "and stays"


def test_in_place_comes_back_too(site):
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    site.actor("actor", "--start-exit", 3, version="1.1.0")
    told = refused(site, "actor", "--in-place")
    assert "version 1.0.0 stays in force" in told
    status = site.status("actor")
    assert (status["state"], status["version"], status["generation"]) == ("ready", "1.0.0", 3)
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


def copy_of_actor(site, path):
    """Another file with the same program, put in place by rename."""
    fresh = path.with_suffix(".new")
    shutil.copy(build.ACTOR, fresh)
    os.rename(fresh, path)
    return os.stat(path).st_ino


def exe(pid):
    return os.stat(f"/proc/{pid}/exe").st_ino


def test_what_was_opened_is_what_runs(site):
    """The version in force keeps its program, also when its path leads to something else."""
    program = site.root / "program"
    first = copy_of_actor(site, program)
    site.plugin("actor", [program])
    site.start()
    pid = site.ready(generation=1)["pid"]
    assert exe(pid) == first
    program.unlink()
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    assert "exit" in refused(site)
    procs.Watched(pid).kill(signal.SIGKILL)
    assert exe(site.ready(generation=3)["pid"]) == first, "a crash is not answered with a new version"
    second = copy_of_actor(site, program)
    assert exe(reload(site)["pid"]) == second != first
    third = copy_of_actor(site, program)
    assert exe(site.ok("restart", "actor")["results"][0]["pid"]) == third, "restart takes what is there"


def test_a_script_keeps_its_identity_too(site):
    site.script("snake", "Rogue(['echo']).start().serve(lambda r, e: r.reply(e.id, b'one'))")
    path = site.root / "snake.py"
    path.write_text("#!/usr/bin/python3\n" + path.read_text())
    path.chmod(0o755)
    document = json.loads((site.plugins / "snake" / "plugin.yaml").read_text())
    document["exec"] = [str(path)]
    site.manifest("snake", json.dumps(document))
    site.start()
    pid = site.ready("snake", generation=1)["pid"]
    fresh = site.root / "fresh.py"
    fresh.write_text("#!/bin/sh\nexit 3\n")
    fresh.chmod(0o755)
    os.rename(fresh, path)
    procs.Watched(pid).kill(signal.SIGKILL)
    site.ready("snake", generation=2)
    with wire.Client(site) as client:
        assert client.call("snake", "echo")[2] == b"one"


def test_one_that_is_stopped(site):
    site.actor(version="1.0.0", run={"autostart": False})
    site.start()
    site.actor(version="1.1.0", run={"autostart": False})
    result = reload(site)
    assert result["state"] == "stopped" and "in force from its next start" in result["detail"]
    assert site.status("actor")["version"] == "1.1.0"
    site.ok("start", "actor")
    assert site.status("actor")["version"] == "1.1.0"


def test_one_that_is_down_is_started(site):
    site.actor("actor", "--start-fail", "ill")
    site.start()
    site.event("failed", "actor")
    while site.word("actor") != "failed":
        pass
    site.actor("actor", "--start-fail", "still ill", version="1.0.1")
    assert "still ill" in refused(site)
    site.actor(version="1.1.0")
    result = reload(site)
    assert result["state"] == "ready" and "it was failed" in result["detail"]


def test_one_that_is_down_and_cannot_be_executed(site):
    """It is tried once, not again and again."""
    site.actor("actor", "--start-fail", "ill")
    site.start()
    site.event("failed", "actor")
    while site.word("actor") != "failed":
        pass
    site.plugin("actor", [site.plugins])
    assert "is failed: exec" in refused(site)
    assert site.status("actor")["generation"] == 2


def paused(site):
    """One that was well, was killed, and would start again after a long while."""
    run = {"backoff": {"min": "60s", "max": "60s"}}
    site.actor(version="1.0.0", run=run)
    site.start()
    pid = site.ready(generation=1)["pid"]
    os.kill(pid, signal.SIGKILL)
    site.event("restarting", "actor")
    return run


def test_one_that_pauses(site):
    run = paused(site)
    site.actor(version="1.1.0", run=run)
    result = reload(site)
    assert result["state"] == "ready" and "it was backoff" in result["detail"]
    assert site.status("actor")["version"] == "1.1.0"


@pytest.mark.parametrize("how", [("--start-exit", "3"), ("--start-fail", "ill"), ("--name", "other")])
def test_one_that_pauses_goes_back_to_what_was_well(site, how):
    run = paused(site)
    site.actor("actor", *how, version="1.1.0", run=run)
    assert "version 1.0.0 stays in force" in refused(site)
    site.ready(generation=3)
    status = site.status("actor")
    assert (status["state"], status["version"]) == ("ready", "1.0.0")


def test_one_that_pauses_goes_back_to_the_program_that_was_well(site):
    run = {"backoff": {"min": "60s", "max": "60s"}}
    program = site.root / "program"
    shutil.copy(build.ACTOR, program)
    site.plugin("actor", [program], run=run)
    site.start()
    pid = site.ready(generation=1)["pid"]
    os.kill(pid, signal.SIGKILL)
    site.event("restarting", "actor")
    program.with_suffix(".new").write_bytes(program.read_bytes()[:5000])
    program.with_suffix(".new").chmod(0o755)
    os.rename(program.with_suffix(".new"), program)
    assert "version 1.0.0 stays in force" in refused(site)
    site.ready(generation=3)


def test_one_that_pauses_and_cannot_be_started(site):
    """plugd has no descriptors for a process; everything stays as it was."""
    paused(site)
    guardian = site.process.pid
    pid = next(pid for pid in procs.all_pids() if (found := procs.stat(pid)) and found[1] == guardian)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    reasons = []
    with wire.Client(site) as client:
        for spare in range(10):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (procs.limit_that_leaves(pid, spare), hard))
            act = wire.admin.ActRequest(name="actor", action=wire.admin.ACTION_RELOAD)
            reasons.append(client.request(act=act)[-1].message)
            if "cannot be started" in reasons[-1]:
                break
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert "cannot be started" in reasons[-1] and "1.0.0 stays in force" in reasons[-1], reasons
    assert all("Too many open files" in reason for reason in reasons), reasons
    assert site.word("actor") == "backoff"
    assert reload(site)["state"] == "ready"


def test_no_way_back(site):
    """The second instance fails, and plugd has no descriptors to start the old version of the first one again."""
    site.actor(version="1.0.0", run={"instances": 2})
    site.start()
    site.ready(generation=1)
    site.ready(generation=2)
    gate = site.fifo("gate")
    site.actor("actor", "--start-wait", gate, version="1.1.0", run={"instances": 2})
    reloading = site.ctl_start("reload", "actor")
    sites.fifo_send(gate)
    site.ready(generation=3)
    second = site.event("started", "actor", generation=4)["pid"]
    plugd = site.pid
    soft, hard = resource.prlimit(plugd, resource.RLIMIT_NOFILE)
    resource.prlimit(plugd, resource.RLIMIT_NOFILE, (max(map(int, os.listdir(f"/proc/{plugd}/fd"))) - 6, hard))
    os.kill(second, signal.SIGKILL)
    _, err = reloading.communicate(timeout=build.seconds(30))
    resource.prlimit(plugd, resource.RLIMIT_NOFILE, (soft, hard))
    assert "killed by SIGKILL; actor.1 could not go back and is left as it is: cannot be started" in err
    assert "version 1.0.0 stays in force" in err
    assert site.word("actor") == "ready"
    site.actor(version="1.2.0", run={"instances": 2})
    assert reload(site)["state"] == "ready"


def test_one_that_never_comes_up_holds_no_reload_up(site):
    """Its attempts have no end; the reload that brought it has."""
    run = {"backoff": {"min": "20ms", "max": "50ms"}, "max_failures": 0}
    site.actor("actor", "--start-exit", "3", version="1.0.0", run=run)
    site.start()
    site.event("restarting", "actor", detail="failure 2")
    site.actor("actor", "--start-exit", "4", version="1.1.0", run=run)
    assert "exit code 4" in refused(site)
    site.actor(version="1.2.0", run=run)
    assert reload(site)["state"] == "ready"


def test_two_at_once_are_done_one_after_the_other(site):
    gate = site.fifo("gate")
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    site.actor("actor", "--start-wait", gate, version="1.1.0")
    first = site.ctl_start("--json", "reload", "actor")
    site.log_line("actor", "on_start waits")
    site.actor(version="1.2.0")
    second = site.ctl_start("--json", "reload", "actor")
    assert "under way" in site.ctl("reload", "--no-wait", "actor").err
    sites.fifo_send(gate)
    details = []
    for process in (first, second):
        out, err = process.communicate(timeout=build.seconds(30))
        assert process.returncode == 0, err
        details.append(json.loads(out)["results"][0]["detail"])
    assert details[0].startswith("from version 1.0.0 to 1.1.0")
    assert details[1].startswith("from version 1.1.0 to 1.2.0")


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_an_operator_comes_between(site, verb):
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    site.actor("actor", "--start-wait", site.fifo("gate"), version="1.1.0")
    reloading = site.ctl_start("reload", "actor")
    site.log_line("actor", "on_start waits")
    site.actor(version="1.0.0")
    result = site.ok(verb, "actor")["results"][0]
    assert result["state"] == ("stopped" if verb == "stop" else "ready")
    out, err = reloading.communicate(timeout=build.seconds(30))
    assert reloading.returncode == 1 and "called off" in err
    while len(procs.of_socket(site.socket_path)) > (verb == "restart"):
        pass


def test_plugd_ends_during_a_reload(site):
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    site.actor("actor", "--start-wait", site.fifo("gate"), version="1.1.0")
    site.ctl("reload", "--no-wait", "actor")
    site.log_line("actor", "on_start waits")
    assert site.stop() == 0


def test_requirements_hold(site):
    site.actor("base", version="1.0.0")
    site.actor("user", requires={"plugins": ["base ^1.0"]})
    site.start()
    site.ready("user")
    site.actor("base", version="2.0.0")
    assert 'user requires "base ^1.0"; found 2.0.0' in refused(site, "base")
    site.actor("user", requires={"plugins": ["base >=2"]})
    assert "found base 1.0.0" in refused(site, "user")
    site.actor("user", requires={"plugins": ["nobody"]})
    assert 'no plugin "nobody"' in refused(site, "user")
    site.actor("base", version="1.1.0", requires={"plugins": ["user"]})
    assert "what it requires requires it" in refused(site, "base")
    site.actor("base", version="1.1.0")
    reload(site, "base")
    assert site.word("user") == "ready"


def test_all(site):
    for name in ("a", "b", "c"):
        site.actor(name, version="1.0.0")
    site.actor("idle", run={"autostart": False})
    site.start()
    for name in ("a", "b", "c"):
        site.ready(name)
        site.actor(name, version="1.1.0")
    results = site.ok("reload", "--all")["results"]
    assert [result["name"] for result in results] == ["a", "b", "c"]
    assert {plugin["version"] for plugin in site.ok("list")["plugins"]} == {"1.1.0", "1.0.0"}
    assert site.ctl("reload").status == 2
    assert site.ctl("reload", "--all", "a").status == 2
    assert site.ctl("reload", "nobody").status == 4


def test_for_people(site):
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    site.actor(version="1.1.0")
    said = site.ctl("reload", "actor").out
    assert said.startswith("actor: ready, process ") and "from version 1.0.0 to 1.1.0" in said
    assert "from version 1.0.0 to 1.1.0" in site.ctl("status", "actor").out
