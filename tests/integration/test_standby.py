"""Warm spares: a death is somebody else's turn."""

import json
import os
import signal
import time

import pytest

from plugtest import build, procs, site as sites, wire

HOUR = {"backoff": {"min": "1h", "max": "1h"}}


def instances(site, role=None):
    return [one for one in site.status("actor")["instance_list"] if role in (None, one["role"])]


def until(condition, what, timeout=20):
    deadline = time.monotonic() + build.seconds(timeout)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def both_ready(site):
    status = site.status("actor")
    return (status["ready"], status["standby_ready"]) == (status["instances"], status["standby"])


def open_gate(gate, condition, what):
    """Let everybody through who waits at the FIFO, until the condition holds."""

    def knock():
        try:
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            pass  # nobody waits there now
        return condition()

    until(knock, what)


def started(site, *args, **keys):
    """With one spare and no restart for an hour, unless said otherwise."""
    run = {"standby": 1, **HOUR, **keys.pop("run", {})}
    site.actor("actor", *args, run=run, **keys)
    site.start()
    until(lambda: both_ready(site), "all are ready")


def kill(pid, number=signal.SIGKILL):
    with procs.Watched(pid) as process:
        process.kill(number)


def test_a_spare_is_ready_and_takes_no_calls(site):
    started(site)
    blocks = instances(site)
    assert [(one["name"], one["role"], one["state"]) for one in blocks] == [
        ("actor", "active", "ready"), ("actor.s1", "standby", "ready")]
    assert site.ctl("list").out.splitlines()[1].split()[4] == "1/1+1/1"
    path = site.root / "record"
    generations = {
        site.call("actor", "record", {"file": str(path), "text": "x"})["generation"] for _ in range(10)
    }
    assert generations == {blocks[0]["generation"]}
    assert procs.environment(blocks[1]["pid"])["PLUG_INSTANCE"] == "actor.s1"


def test_it_takes_over(site):
    """The next call is answered although the restart would take an hour."""
    started(site)
    active, spare = instances(site)
    kill(active["pid"])
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    event = site.event("failover", "actor")
    assert (event["pid"], event["generation"]) == (spare["pid"], spare["generation"])
    until(lambda: site.ok("crashes", "actor")["crashes"], "it is reported when its memory is given back")
    crash, = site.ok("crashes", "actor")["crashes"]
    assert crash["pid"] == active["pid"] and "SIGKILL" in crash["reason"]
    assert crash["decision"] == f"process {spare['pid']} has its place"
    now = instances(site)
    assert now[0]["pid"] == spare["pid"] and now[0]["failures"] == 1
    assert site.status("actor")["failures"] == 1, "the failure counts for the slot"


def test_the_spare_is_replaced(site):
    started(site, run={"backoff": {"min": "1ms", "max": "1ms"}})
    for n in range(3):
        active, spare = instances(site)
        kill(active["pid"], signal.SIGABRT)
        site.event("failover", "actor", pid=spare["pid"])
        until(lambda: both_ready(site), "there is a spare again")
        assert instances(site)[0]["pid"] == spare["pid"]


def test_its_calls_are_replayed_or_gone(site):
    """What may be executed twice is executed by the spare; what may not ends with GONE."""
    started(site)
    path = site.root / "record"
    active, spare = instances(site)
    with wire.Client(site) as client:
        held = client.start_call("actor", "wait")
        twice = client.start_call("actor", "record-twice", json.dumps(
            {"file": str(path), "text": "x", "die": active["generation"]}).encode())
        outcomes = {}
        while len(outcomes) < 2:
            env = client.receive("reply")
            outcomes[env.id] = env.reply
        assert outcomes[held].outcome == wire.EGONE
        assert json.loads(outcomes[twice].payload) == {"generation": spare["generation"]}
    lines = path.read_text().split("\n")[:2]
    assert lines == [f"{active['generation']} x", f"{spare['generation']} x"]


def test_what_plugd_ends_is_replaced_at_once(site):
    """A process that stands still: the spare has its place from the moment that it is killed."""
    started(site, hang={"stopped": "kill"})
    active, spare = instances(site)
    kill(active["pid"], signal.SIGSTOP)
    site.event("suspended", "actor", timeout=60)
    site.event("failover", "actor", pid=spare["pid"])
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


def test_one_that_says_it_cannot_go_on(site):
    started(site)
    active, spare = instances(site)
    site.ctl("call", "actor", "unhealthy")
    site.event("failover", "actor", pid=spare["pid"])
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    site.event("crashed", "actor", "the device is lost", pid=active["pid"])


LIAR = """
held = []
def answer(rogue, env):
    if env.call.method == "late" and GENERATION == 1:
        held.append(env.id)
        return
    if env.call.method == "say":
        socket.socket(fileno=os.dup(int(os.environ["PLUG_BROKER_FD"]))).send(env.call.payload)
        time.sleep(0.1)
        for id in held:
            rogue.reply(id, b"too late")
    rogue.reply(env.id, b"%d" % GENERATION)
Rogue(["say", "who", "late!"]).start().serve(answer)
"""


def test_the_dying_byte(site):
    """Who says that it dies has no place any more, and is ended if it does not."""
    site.script("actor", LIAR, run={"standby": 1, "stop_timeout": "2s", **HOUR})
    site.start()
    until(lambda: both_ready(site), "both are ready")
    active, spare = instances(site)
    assert active["generation"] == 1
    with wire.Client(site) as client:
        late = client.start_call("actor", "late")
        said = client.start_call("actor", "say", bytes([signal.SIGBUS]))
        assert client.finish_call(late)[2] == b"2", "what may be executed twice does not wait for the death"
        assert client.finish_call(said)[2] == b"1", "what it still answers is taken"
        event = site.event("failover", "actor", pid=spare["pid"])
        assert client.call("actor", "who")[2] == b"2"
        assert procs.alive(active["pid"]), "all that while it was there"
    site.event("crashed", "actor", "SIGTERM", pid=active["pid"], after=event["seq"])
    crash, = site.ok("crashes", "actor")["crashes"]
    assert [call["method"] for call in crash["calls"]] == ["late", "say"], "those that were moved, too"
    assert not any(e["kind"] == "violation" for e in site.events.seen), "its late answer is not held against it"


@pytest.mark.parametrize("byte", [0, signal.SIGKILL, 255])
def test_a_byte_that_says_nothing(site, byte):
    site.script("actor", LIAR, run={"standby": 1, **HOUR})
    site.start()
    until(lambda: both_ready(site), "both are ready")
    active = instances(site)[0]
    with wire.Client(site) as client:
        client.call("actor", "say", bytes([byte]))
    site.event("violation", "actor", "names no fault signal", pid=active["pid"])


def test_calls_wait_for_the_next_process_of_one_that_is_dying(site):
    """Without a spare: what comes after the dying byte is not lost with it."""
    site.script("actor", LIAR, run={"stop_timeout": "300ms", "backoff": {"min": "1ms", "max": "1ms"}})
    site.start()
    site.ready(generation=1)
    with wire.Client(site) as client:
        client.call("actor", "say", bytes([signal.SIGABRT]))
        until(lambda: site.word("actor") != "ready", "it is heard")
        assert client.call("actor", "who")[::2] == (wire.OK, b"2")


def test_a_spare_that_comes_late_helps_out(site):
    """Both are dead: whichever is ready first takes the calls."""
    gate = site.fifo("gate")
    site.actor("actor", "--start-wait", gate, run={"standby": 1, "backoff": {"min": "1s", "max": "1h"},
                                                   "max_failures": 0})
    site.start()
    open_gate(gate, lambda: both_ready(site), "both are ready")
    first, second = instances(site)
    kill(first["pid"])
    site.event("failover", "actor", pid=second["pid"])
    until(lambda: instances(site, "standby")[0]["state"] == "starting", "a spare starts")
    late = instances(site, "standby")[0]
    kill(second["pid"])
    until(lambda: instances(site, "active")[0]["state"] == "backoff", "none is left")
    open_gate(gate, lambda: site.status("actor")["ready"] == 1, "one takes calls")
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    assert instances(site, "active")[0]["pid"] == late["pid"]


def test_a_spare_dies(site):
    """Nobody notices."""
    started(site, run={"backoff": {"min": "1ms", "max": "1ms"}})
    active, spare = instances(site)
    with wire.Client(site) as client:
        held = client.start_call("actor", "wait")
        kill(spare["pid"])
        site.event("crashed", "actor", pid=spare["pid"])
        until(lambda: both_ready(site), "there is another spare")
        assert instances(site)[0]["pid"] == active["pid"] and instances(site)[0]["failures"] == 0
        assert instances(site)[1]["failures"] == 1
        client.send(held, cancel=wire.pb.Cancel())


def test_too_many_deaths_are_too_many(site):
    """Spares do not hide a crash loop."""
    started(site, run={"backoff": {"min": "1ms", "max": "1ms"}, "max_failures": 3})
    for n in range(3):
        until(lambda: both_ready(site), "both are ready")
        kill(instances(site)[0]["pid"], signal.SIGABRT)
        until(lambda: len(site.ok("crashes", "actor")["crashes"]) == n + 1, "the death is told")
    site.event("quarantined", "actor", "3 failures")
    until(lambda: [one["state"] for one in instances(site)] == ["quarantined", "stopped"], "spares go, too")
    assert site.ctl("call", "actor", "echo").status == 1
    site.ok("start", "actor")
    until(lambda: both_ready(site), "an operator starts both")


def test_what_ends_by_itself_is_not_replaced(site):
    """restart: on-failure and status 0: it has done its work."""
    started(site)
    site.ctl("call", "actor", "die", '{"exit": 0}')
    site.event("stopped", "actor")
    until(lambda: [one["state"] for one in instances(site)] == ["stopped", "stopped"], "spares go, too")


def test_never_means_never(site):
    started(site, run={"restart": "never"})
    kill(instances(site)[0]["pid"])
    until(lambda: site.word("actor") == "stopped", "no other process")


def test_stop_start_and_plugd_s_end(site):
    started(site)
    pids = [one["pid"] for one in instances(site)]
    site.ok("stop", "actor")
    assert not any(procs.alive(pid) for pid in pids)
    site.ok("start", "actor")
    until(lambda: both_ready(site), "both are back")


def test_a_reload_renews_the_spares(site):
    started(site, version="1.0.0")
    site.actor(version="1.1.0", run={"standby": 1, **HOUR})
    site.ok("reload", "actor")
    until(lambda: both_ready(site), "both are ready")
    assert {one["version"] for one in instances(site)} == {"1.1.0"}
    site.actor("actor", "--start-exit", 3, version="1.2.0", run={"standby": 1, **HOUR})
    spare = instances(site)[1]["pid"]
    assert site.ctl("reload", "actor").status == 1
    assert instances(site)[1]["pid"] == spare, "a reload that failed leaves them alone"


def test_a_new_version_dies_and_a_spare_of_the_old_one_takes_over(site):
    """Nothing has to be started: the spares are renewed last."""
    started(site, version="1.0.0", run={"stop_timeout": "20s"})
    spare = instances(site)[1]
    gate = site.fifo("gate")
    site.actor(version="1.1.0", run={"standby": 1, "stop_timeout": "20s", **HOUR})
    with wire.Client(site) as client:
        held = client.start_call("actor", "hold", json.dumps({"fifo": str(gate)}).encode())
        until(lambda: site.status("actor")["calls"], "it is held")
        reloading = site.ctl_start("reload", "actor")
        new = site.event("ready", "actor", generation=3)["pid"]
        until(lambda: instances(site)[0]["pid"] == new, "the new one takes the calls")
        kill(new)
        site.event("failover", "actor", pid=spare["pid"])
        assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
        sites.fifo_send(gate, "held")
        assert client.finish_call(held)[2] == b"held"
    out, err = reloading.communicate(timeout=build.seconds(30))
    assert reloading.returncode == 1 and "version 1.0.0 stays in force" in err
    assert site.status("actor")["version"] == "1.0.0"
    assert instances(site)[0]["pid"] == spare["pid"]


def test_a_reload_starts_failed_spares_anew(site):
    """Both had failed; what is on disk now is well."""
    site.actor("actor", "--start-fail", "ill", version="1.0.0", run={"standby": 1, **HOUR})
    site.start()
    site.event("failed", "actor")
    until(lambda: all(one["state"] in ("failed", "stopped") for one in instances(site)), "both are down")
    site.actor(version="1.1.0", run={"standby": 1, **HOUR})
    site.ok("reload", "actor")
    until(lambda: both_ready(site), "both are ready")
    assert {one["version"] for one in instances(site)} == {"1.1.0"}
    assert not site.status("actor")["why"]


def test_a_new_version_dies_after_its_spares_were_renewed(site):
    """Its spare would be the next to die: the version before comes back, for the spare as well."""
    started(site, version="1.0.0")
    site.actor(version="1.1.0", run={"standby": 1, **HOUR})
    site.ok("reload", "actor")
    until(lambda: both_ready(site), "both are ready")
    new, spare = instances(site)
    assert new["version"] == spare["version"] == "1.1.0"
    kill(new["pid"], signal.SIGABRT)
    told = site.event("rolled-back", "actor", "within 5 s of its reload; version 1.0.0 is started again")
    assert told["detail"].endswith("then: plugctl reload actor")
    until(lambda: both_ready(site), "both are ready again")
    assert {one["version"] for one in instances(site)} == {"1.0.0"}
    assert spare["pid"] not in [one["pid"] for one in instances(site)]
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


def test_with_several_instances(site):
    started(site, run={"instances": 2})
    kill(instances(site)[1]["pid"])
    site.event("failover", "actor")
    blocks = instances(site)
    assert [one["state"] for one in blocks[:2]] == ["ready", "ready"]
    assert [one["failures"] for one in blocks[:2]] == [0, 1]


@pytest.mark.load
def test_calls_during_many_deaths(site):
    """Idempotent calls all succeed, and none of them waits for a restart."""
    started(site, run={"standby": 2, "backoff": {"min": "1ms", "max": "1ms"}, "max_failures": 0})
    with wire.Client(site) as client:
        for n in range(30):
            until(lambda: site.status("actor")["standby_ready"] > 0, "a spare is ready")
            kill(instances(site)[0]["pid"])
            for k in range(10):
                assert client.call("actor", "echo", b"%d" % k)[::2] == (wire.OK, b"%d" % k)
