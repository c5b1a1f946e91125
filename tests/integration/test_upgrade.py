"""plugd is replaced in place: nothing that runs, waits or follows notices."""

import collections
import functools
import json
import os
import pathlib
import signal
import subprocess
import threading
from random import Random

import pytest

from plugtest import build, channel, procs, wire
from plugtest.caller import Caller
from plugtest.site import fifo_send

UPGRADES = 20


def other(name):
    return build.OTHER_PLUGD / f"plugd-{name}"


def upgrade(site, binary=None):
    return site.ok("upgrade", "--daemon", *([binary] if binary else []))


def identity(site, name="actor"):
    """What an upgrade must not change."""
    status = site.status(name)
    return {key: status[key] for key in ("pid", "generation", "restarts", "version")}


def descriptors(pid):
    return collections.Counter(what.split(":")[0] for what in procs.descriptors(pid).values())


def test_everything_goes_on(site):
    """One process, one guardian; sessions, calls, channels and followers as they were."""
    gate = site.fifo("gate")
    site.actor()
    site.start()
    site.ready()
    site.call("actor", "echo", {"n": 1})
    before, plugd, pid = identity(site), site.status(), site.pid
    lines = site.follow("logs", "actor", "-f")
    with wire.Client(site) as client, wire.Client(site) as other_client:
        c = channel.open_channel(other_client, "actor")
        held = client.start_call("actor", "hold", b'{"fifo": "%s"}' % str(gate).encode())
        result = upgrade(site)
        assert (result["from"], result["to"], result["upgrades"]) == (plugd["version"], plugd["version"], 1)
        assert identity(site) == before
        after = site.status()
        assert (after["pid"], after["guardian_pid"]) == (pid, plugd["guardian_pid"])
        assert after["upgrades"] == 1 and after["uptime_ms"] >= plugd["uptime_ms"]
        assert c.call("echo", b"1").payload == b"1", "the channel"
        fifo_send(gate, "at last")
        assert client.finish_call(held)[0] == wire.OK
        assert client.call("actor", "echo", b"2")[2] == b"2", "the session"
        assert client.call("actor", "log", b'{"message": "after the upgrade"}')[0] == wire.OK
        assert c.status.word == channel.LIVE
        site.ok("restart", "actor")
        assert c.status.word == channel.ENDED, "the status page is written by the new plugd"
        c.close()
    lines.wait(lambda line: line["text"] == "after the upgrade", build.seconds(20), "line")
    site.event("upgraded")
    site.ready("actor", generation=2)
    stats = site.ok("stats", "actor")["plugins"][0]
    assert stats["calls"] == 4, stats


def test_the_service_manager_is_told(site):
    site.actor()
    site.start()
    site.ready()
    upgrade(site)
    site.wait_said("RELOADING=1")
    site.wait_said("READY=1")
    assert site.process.pid == site.status()["guardian_pid"]


def pipelined(client, plugin, stop):
    """Calls with 8 in flight until told to stop; outcomes."""
    outcomes, flying, number = collections.Counter(), {}, 0
    while flying or not stop.is_set():
        while len(flying) < 8 and not stop.is_set():
            number += 1
            payload = b"%d" % number
            flying[client.start_call(plugin, "echo", payload, timeout_ms=60000)] = payload
        env = client.receive("reply")
        expected = flying.pop(env.id)
        outcomes[env.reply.outcome if env.reply.payload == expected else "wrong"] += 1
    return outcomes


@pytest.mark.load
def test_nothing_lost_nothing_doubled(site):
    """Upgrades in a row under callers on both planes."""
    site.actor()
    site.start()
    site.ready()
    pid, before = site.pid, identity(site)
    file = site.root / "record"
    recorder, echo = Caller(site, file=file).wait_up(), Caller(site).wait_up()
    stop, outcomes = threading.Event(), [None, None]

    def work(n):
        with wire.Client(site, timeout=60) as client:
            outcomes[n] = pipelined(client, "actor", stop)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    pauses = [upgrade(site)["pause_us"] for _ in range(UPGRADES)]
    stop.set()
    for thread in threads:
        thread.join()
    assert [set(one) for one in outcomes] == [{wire.OK}, {wire.OK}], outcomes
    for caller in (recorder, echo):
        report = caller.end()
        assert (report["wrong"], set(report["outcomes"])) == (0, {"PLUG_OK"}), report
        assert report["opened"] == 1, "no channel was made anew"
        if caller is recorder:
            numbers = [int(line.split()[1]) for line in file.read_text().splitlines()]
            assert numbers == list(range(report["outcomes"]["PLUG_OK"]))
    assert identity(site) == before and site.pid == pid
    assert site.status()["upgrades"] == UPGRADES
    print(f"pauses in µs: {sorted(pauses)}")


def alone(client, others):
    """All that plugctl was connected for has been closed."""
    while client.request(status={})[0].daemon.clients != 1 + others:
        pass  # the test's own deadline ends this


def test_nothing_leaks(site):
    """Neither descriptors nor memory over many upgrades."""
    site.actor()
    site.start()
    site.ready()
    pid = site.pid
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        upgrade(site)
        site.call("actor", "echo", {})
        alone(client, len(site.followers))
        before, rss = descriptors(pid), procs.rss_bytes(pid)
        for n in range(100):
            upgrade(site)
            assert client.call("actor", "echo", b"%d" % n)[0] == wire.OK
            assert c.call("echo", b"1").payload == b"1"
        alone(client, len(site.followers))
        assert descriptors(pid) == before
        if not build.SANITIZE:
            assert procs.rss_bytes(pid) < rss + (1 << 20)
        c.close()


# ---- refusals ------------------------------------------------------------------------------------------


def make(site, name, text, mode=0o755):
    path = site.root / name
    path.write_text(text)
    path.chmod(mode)
    return path


REFUSALS = {
    "missing": (lambda site: site.root / "none", "No such file"),
    "folder": (lambda site: site.root, "not a regular file"),
    "not-executable": (lambda site: make(site, "text", "hello\n", 0o644), "may not be executed"),
    "text": (lambda site: make(site, "text", "hello\n"), "not a program"),
    "script": (lambda site: make(site, "script", "#!/bin/sh\necho plugd-state: 1: ok\n"), "not a program"),
    "damaged": (lambda site: make(site, "damaged", "\x7fELF and no more"), "cannot be executed"),
    "true": (lambda site: pathlib.Path("/bin/true"), "no plugd that can be upgraded to"),
    "plugctl": (lambda site: build.PLUGCTL, "no plugd that can be upgraded to"),
    "late": (lambda site: other("late"), "did not say within"),
    "refusing": (lambda site: other("refusing"), "executed, it did not take over: it has changed its mind"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(site, case):
    binary, reason = REFUSALS[case]
    site.actor()
    site.start()
    site.ready()
    pid, before = site.pid, identity(site)
    with wire.Client(site) as client:
        number = client.next_id()
        client.send(number, request=wire.admin.Request(upgrade=wire.admin.UpgradeRequest(binary=str(binary(site)))))
        response = client.receive("response").response
        assert response.outcome == wire.EINVAL
        assert reason in response.message and "nothing was changed" in response.message, response.message
        assert client.call("actor", "echo", b"1")[2] == b"1"
    assert reason in site.event("upgrade-refused")["detail"]
    assert identity(site) == before
    assert (site.status()["pid"], site.status()["upgrades"]) == (pid, 0)
    assert upgrade(site)["upgrades"] == 1, "the next one is not in its way"


def test_only_plugd_can_be_upgraded(site):
    site.start()
    done = site.ctl("upgrade", build.PLUGD)
    assert done.status == 2 and "--daemon" in done.err


# ---- versions ------------------------------------------------------------------------------------------


def test_to_a_newer_one_and_not_back(site):
    """A state that the older one cannot read: it says so before anything is touched."""
    site.actor()
    site.start()
    site.ready()
    before = identity(site)
    result = upgrade(site, other("newer"))
    assert result["to"] == "9.0.0" == site.status()["version"]
    done = site.ctl("upgrade", "--daemon", build.PLUGD)
    assert done.status == 1 and "needs a plugd that knows version" in done.err, done
    assert "plugd 9.0.0 goes on" in done.err
    assert identity(site) == before and site.status()["version"] == "9.0.0"
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


def test_to_a_newer_one_and_back(site):
    """The state of a newer one that does not need more than the older one knows."""
    site.actor()
    site.start()
    site.ready()
    before = identity(site)
    with wire.Client(site) as client:
        for binary in (other("compatible"), build.PLUGD, other("compatible"), build.PLUGD):
            upgrade(site, binary)
            assert client.call("actor", "echo", b"1")[2] == b"1"
    assert identity(site) == before and site.status()["upgrades"] == 4


def test_what_was_started_from_as_it_is_now(site, monkeypatch):
    """Without a BINARY: a package was updated, and the file is another one."""
    installed = site.root / "plugd"
    installed.write_bytes(build.PLUGD.read_bytes())
    installed.chmod(0o755)
    monkeypatch.setattr(build, "PLUGD", installed)
    site.actor()
    site.start()
    site.ready()
    fresh = site.root / "fresh"
    fresh.write_bytes(other("compatible").read_bytes())
    fresh.chmod(0o755)
    fresh.rename(installed)
    assert upgrade(site)["to"] == "8.0.0"
    installed.unlink()
    done = site.ctl("upgrade", "--daemon")
    assert done.status == 1 and "No such file" in done.err
    assert site.status()["version"] == "8.0.0"


@pytest.mark.parametrize("how", ["absolute", "relative", "path"])
def test_a_link_that_was_turned(site, monkeypatch, how):
    """What plugd was started from is the name that it was started by."""
    link = site.root / "plugd"
    link.symlink_to(build.PLUGD)
    name = {"absolute": link, "relative": os.path.relpath(link), "path": "plugd"}[how]
    path = f"{site.root}:{os.environ['PATH']}"
    monkeypatch.setattr(build, "PLUGD", name)
    monkeypatch.setenv("PATH", path)
    site.actor()
    site.start()
    site.ready()
    link.unlink()
    link.symlink_to(other("compatible"))
    assert upgrade(site)["to"] == "8.0.0"


# ---- while something is under way ----------------------------------------------------------------------


def fnv(data):
    """As the actor's `sink` does."""
    return functools.reduce(lambda total, byte: (total ^ byte) * 16777619 % 2**32, data, 2166136261)


def test_a_call_that_has_come_in_part(site):
    site.actor()
    site.start()
    site.ready()
    payload = bytes(range(256)) * 1000
    with wire.Client(site) as client:
        number = client.next_id()
        size = wire.CHUNK_BYTES
        client.send(number, call=wire.pb.Call(
            plugin="actor", method="sink", content_type="application/octet-stream", payload=payload[:size], more=True))
        upgrade(site)
        client.send(number, chunk=wire.pb.Chunk(data=payload[size:2 * size]))
        upgrade(site)
        for at in range(2 * size, len(payload), size):
            client.send(number, chunk=wire.pb.Chunk(data=payload[at:at + size], last=at + size >= len(payload)))
        outcome, _, answer, _ = client.finish_call(number)
        assert outcome == wire.OK
        assert json.loads(answer) == {"bytes": len(payload), "sum": fnv(payload)}


def test_an_answer_that_has_come_in_part(site):
    """A stream larger than all windows, whose reader is slow; queued packets and credit go over."""
    site.actor()
    site.start()
    site.ready()
    with wire.Client(site, timeout=60) as client:
        number = client.start_call("actor", "pieces", b'{"count": 400, "bytes": 10000}')
        pieces = 0
        while True:
            env = client.receive("reply")
            assert env.id == number and env.reply.outcome == wire.OK
            if not env.reply.partial:
                break
            assert len(env.reply.payload) == 10000
            pieces += 1
            if pieces % 100 == 50:
                upgrade(site)
        assert pieces == 400


def test_calls_that_wait_for_a_start(site):
    """Queued calls, an operator who waits, and a process that has not said HELLO's end yet."""
    gate = site.fifo("gate")
    site.actor("actor", "--start-wait", str(gate), run={"autostart": False})
    site.start()
    operator = site.ctl_start("--json", "start", "actor")
    site.log_line("actor", "on_start waits")
    with wire.Client(site) as client:
        waiting = [client.start_call("actor", "echo", b"%d" % n, timeout_ms=60000) for n in range(5)]
        short = client.start_call("actor", "echo", b"late", timeout_ms=500)
        assert site.status("actor")["queued"] == 6
        upgrade(site)
        assert site.status("actor")["queued"] >= 5
        assert client.finish_call(short)[0] == wire.ETIMEOUT, "the deadline that it had"
        fifo_send(gate)
        answers = {env.id: env.reply for env in (client.receive("reply") for _ in waiting)}
        assert {number: reply.payload for number, reply in answers.items()} == {
            number: b"%d" % n for n, number in enumerate(waiting)
        }
        assert {reply.outcome for reply in answers.values()} == {wire.OK}
    assert operator.wait(build.seconds(30)) == 0
    assert json.loads(operator.communicate()[0])["results"][0]["state"] == "ready"
    assert identity(site)["generation"] == 1


def test_a_backoff_goes_on(site):
    site.actor(run={"backoff": {"min": "2s", "max": "2s"}})
    site.start()
    site.ready()
    site.ctl("call", "actor", "die", '{"signal": 9}')
    site.event("restarting", "actor")
    retry = site.status("actor")["retry_in_ms"]
    upgrade(site)
    status = site.status("actor")
    assert status["state"] == "backoff" and 0 < status["retry_in_ms"] <= retry and status["failures"] == 1
    site.ready(generation=2)
    assert site.ok("crashes", "actor")["crashes"][0]["signal_name"] == "SIGKILL"


def test_a_stop_goes_on(site):
    """It drains, with a call in flight, then stops; its operator waits."""
    gate = site.fifo("gate")
    site.actor(run={"stop_timeout": "60s"})
    site.start()
    site.ready()
    with wire.Client(site) as client:
        held = client.start_call("actor", "hold", b'{"fifo": "%s"}' % str(gate).encode(), timeout_ms=60000)
        operator = site.ctl_start("stop", "actor")
        site.log_line("actor", "drains")
        upgrade(site)
        assert site.word("actor") == "draining"
        fifo_send(gate, "done")
        assert client.finish_call(held)[0] == wire.OK
    assert operator.wait(build.seconds(30)) == 0
    operator.communicate()
    assert site.word("actor") == "stopped"


def test_a_process_that_is_killed_after_sigterm(site):
    """TERMINATING and KILLING are deadlines, and those go on."""
    site.actor("actor", "--stop-deaf", run={"stop_timeout": "500ms"})
    site.start()
    site.ready()
    operator = site.ctl_start("stop", "actor")
    site.log_line("actor", "stops")
    upgrade(site)
    upgrade(site)
    assert operator.wait(build.seconds(30)) == 0
    operator.communicate()
    assert site.word("actor") == "stopped"


def test_a_reload_goes_on(site):
    """The new process starts, the old one serves: both go over, and the way to the end is as before."""
    gate = site.fifo("gate")
    site.actor()
    site.start()
    site.ready()
    site.actor("actor", "--start-wait", str(gate), version="1.1.0")
    reload = site.ctl_start("--json", "reload", "actor")
    site.event("started", "actor", generation=2)
    site.log_line("actor", "on_start waits")
    upgrade(site)
    assert site.status("actor")["version"] == "1.0.0"
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    fifo_send(gate)
    site.event("reloaded", "actor", detail="from version 1.0.0 to 1.1.0")
    assert reload.wait(build.seconds(30)) == 0
    reload.communicate()
    upgrade(site)
    assert site.status("actor")["version"] == "1.1.0"


def test_what_is_in_force_is_not_read_again(site):
    """Manifest, settings and program on disk are others, or gone: what runs is what was opened."""
    program = site.root / "program"
    program.write_bytes(build.ACTOR.read_bytes())
    program.chmod(0o755)
    site.configure({"limits": {"calls_per_client": 3}, "plugins": {"actor": {"config": {"greeting": "hello"}}}})
    site.plugin("actor", [program], config={"greeting": {"type": "string", "default": "none"}})
    site.start()
    site.ready()
    site.configure("nonsense: [")
    site.manifest("actor", "nonsense")
    program.unlink()
    upgrade(site)
    upgrade(site)
    assert site.call("actor", "config", {"keys": ["greeting"]}) == {"greeting": "hello"}
    assert any("hello" in line and "plugd.yaml" in line for line in site.status("actor")["effective_config"])
    with wire.Client(site) as client:
        numbers = [client.start_call("actor", "sleep", b'{"ms": 500}') for _ in range(4)]
        outcomes = {client.receive("reply").reply.outcome for _ in numbers}
        assert outcomes == {wire.OK, wire.EOVERLOADED}, "limits.calls_per_client"
    site.ctl("call", "actor", "die", '{"signal": 9}')
    site.ready(generation=2)


def test_a_probe_under_way(site):
    """plugd's own call: its outcome reaches the next one."""
    site.actor(probe={"method": "echo", "interval": "2s", "timeout": "2s"})
    site.start()
    site.ready()
    plugin = site.watch(site.status("actor")["pid"])
    plugin.kill(signal.SIGSTOP)
    with wire.Client(site) as client:
        while not client.request(status={"name": "actor"})[0].plugin.instances[0].in_flight:
            pass  # the test's own deadline ends this
        upgrade(site)
        plugin.kill(signal.SIGCONT)
        while client.request(status={"name": "actor"})[0].plugin.instances[0].in_flight:
            pass
    kinds = {event["kind"] for event in site.ok("events")["events"]}
    assert not kinds & {"hung", "crashed", "violation"}, kinds


def test_spares_and_instances(site):
    site.actor(run={"instances": 2, "standby": 1})
    site.start()
    for generation in (1, 2, 3):
        site.ready(generation=generation)
    before = {one["name"]: one["pid"] for one in site.status("actor")["instance_list"]}
    upgrade(site)
    assert {one["name"]: one["pid"] for one in site.status("actor")["instance_list"]} == before
    os.kill(before["actor.1"], 9)
    site.event("failover", "actor")
    site.ready(generation=4)


def test_half_a_line_of_output(site):
    site.actor()
    site.start()
    site.ready()
    site.call("actor", "say", {"text": "begun, "})
    while not site.status():  # the pipe is read in the same turns of the loop
        pass
    upgrade(site)
    site.call("actor", "say", {"text": "and ended\n"})
    site.log_line("actor", "^begun, and ended$")
    file = site.runtime / "state" / "log" / "actor.log"
    site.stop()
    assert "begun, and ended" in file.read_text()


def test_what_happens_meanwhile(site):
    """Between the two plugds a plugin dies, a client comes with a call, and the operator goes."""
    gate = site.fifo("gate")
    site.actor()
    site.actor("victim")
    site.start(env={"TEST_GATE": str(gate)})
    site.ready("actor")
    site.ready("victim")
    victim, pid = site.status("victim")["pid"], site.pid
    with wire.Client(site) as client:
        held = client.start_call("victim", "sleep", b'{"ms": 60000}', timeout_ms=60000)
        operator = site.ctl_start("upgrade", "--daemon", other("gated"))
        with open(gate, "w"):  # it is executed, and serves nobody now
            os.kill(victim, 9)
            early = wire.Client(site, hello=False)
            early.send(client_hello=wire.pb.ClientHello(protocol_min=1, protocol_max=1, name="early"))
            number = early.start_call("actor", "echo", b"early")
            operator.kill()
            operator.communicate()
        early.receive("client_welcome")
        assert early.finish_call(number)[::2] == (wire.OK, b"early")
        early.close()
        assert client.finish_call(held)[0] == wire.EGONE
    site.ready("victim", generation=2)
    assert (site.status()["version"], site.status()["pid"]) == ("9.0.4", pid)


def test_a_signal_that_comes_meanwhile(site):
    """SIGTERM waits for the new one, which then stops in order."""
    gate = site.fifo("gate")
    site.actor()
    site.start(env={"TEST_GATE": str(gate)})
    site.ready()
    operator = site.ctl_start("upgrade", "--daemon", other("gated"))
    with open(gate, "w"):
        site.signal(15)
    assert site.wait_end() == 0
    operator.communicate()


def test_refused_after_the_exec_under_load(site):
    gate = site.fifo("gate")
    site.actor()
    site.start(env={"TEST_GATE": str(gate)})
    site.ready()
    before = identity(site)
    stop, outcomes = threading.Event(), []

    def work():
        with wire.Client(site, timeout=60) as client:
            outcomes.append(pipelined(client, "actor", stop))

    caller = Caller(site).wait_up()
    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(5):
        operator = site.ctl_start("upgrade", "--daemon", other("gated"))
        fifo_send(gate, "refuse")
        assert operator.wait(build.seconds(30)) == 1
        assert "it was told to" in operator.communicate()[1]
    stop.set()
    thread.join()
    assert set(outcomes[0]) == {wire.OK}
    report = caller.end()
    assert set(report["outcomes"]) == {"PLUG_OK"} and report["opened"] == 1, report
    assert identity(site) == before and site.status()["upgrades"] == 0


# ---- the end -------------------------------------------------------------------------------------------


def test_a_crash_of_the_new_one_is_the_death_of_plugd(site):
    site.actor()
    site.start()
    site.ready()
    plugin = site.watch(site.status("actor")["pid"])
    site.ctl("upgrade", "--daemon", other("crashing"))
    assert site.wait_end() == 128 + 9
    assert plugin.gone(build.seconds(5)), "the guardian ends what is left"


def test_the_guardian_is_as_before(site):
    site.actor()
    site.start()
    site.ready()
    upgrade(site)
    plugin = site.watch(site.status("actor")["pid"])
    os.kill(site.pid, 9)
    assert site.wait_end() == 128 + 9
    assert plugin.gone(build.seconds(5))
    site.start()
    site.ready()


def test_only_one_at_a_time(site):
    gate = site.fifo("gate")
    site.actor()
    site.start(env={"TEST_GATE": str(gate)})
    site.ready()
    with wire.Client(site) as client:
        ask = wire.admin.Request(upgrade=wire.admin.UpgradeRequest(binary=str(other("late"))))
        client.send(client.next_id(), request=ask)
        client.send(client.next_id(), request=ask)
        env = client.receive("response")
        assert env.id == 2 and env.response.outcome == 19 and "under way" in env.response.message, env
        client.send(1, cancel=wire.pb.Cancel())
        env = client.receive("response")
        assert (env.id, env.response.outcome) == (1, wire.ECANCELLED)
    site.event("upgrade-refused", detail="did not say within")


def test_clients_that_leave_at_that_moment(site):
    """With calls, followers and requests that nobody has answered."""
    site.actor()
    site.start()
    site.ready()
    with wire.Client(site) as operator:
        before = operator.request(status={})[0].daemon.clients
        for _ in range(20):
            leaving = [wire.Client(site) for _ in range(3)]
            leaving[0].start_call("actor", "wait")
            leaving[1].send(leaving[1].next_id(), request=wire.admin.Request(events=wire.admin.EventsRequest(follow=True)))
            leaving[2].send(leaving[2].next_id(), request=wire.admin.Request(
                logs=wire.admin.LogsRequest(name="actor", follow=True)))
            for client in leaving:
                client.close()
            response = operator.request(upgrade=wire.admin.UpgradeRequest())[0]
            assert response.outcome == wire.OK, response
        assert operator.call("actor", "echo", b"1")[2] == b"1"
        while operator.request(status={})[0].daemon.clients != before:
            pass  # the test's own deadline ends this


def test_the_directory_stays_locked(site):
    site.actor()
    site.start()
    site.ready()
    upgrade(site)
    done = site.run()
    assert done.status == 1 and f"another plugd with pid {site.pid} runs" in done.err
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


# ---- a state that is damaged ------------------------------------------------------------------------------


def state_of(site):
    """The bytes of the state: what a plugd that is asked and does not answer was given."""
    operator = site.ctl_start("upgrade", "--daemon", other("late"))
    while True:  # the test's own deadline ends this
        for pid in procs.all_pids():
            stat = procs.stat(pid)
            if stat and stat[1] == site.pid and b"--check-state" in procs.read(pid, "cmdline"):
                state = pathlib.Path(f"/proc/{pid}/fd/3").read_bytes()
                os.kill(pid, 9)
                assert operator.wait(build.seconds(30)) == 1
                assert "SIGKILL" in operator.communicate()[1]
                return state


def check_state(site, state):
    """What plugd says of it, by status and line."""
    path = site.root / "state"
    path.write_bytes(state)
    with open(path, "rb") as file:
        done = subprocess.run(
            [build.PLUGD, "--check-state"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=site.environment(),
            timeout=build.seconds(20), preexec_fn=lambda: os.dup2(file.fileno(), 3), close_fds=False,
        )
    assert done.returncode in (0, 1) and done.stdout.startswith("plugd-state: "), done
    return done.returncode, done.stdout.partition(": ")[2]


def test_a_damaged_state_is_refused_or_understood(site):
    """Never a crash, nor any effect: whatever is flipped, cut out or doubled in the state of a busy plugd."""
    gate = site.fifo("gate")
    site.configure({"plugins": {"actor": {"run": {"stop_timeout": "3s"}}}})
    site.actor(run={"instances": 2, "standby": 1})
    site.actor("waits", "--start-wait", str(gate))
    site.start()
    for generation in (1, 2, 3):
        site.ready("actor", generation=generation)
    follower = site.follow("logs", "actor", "-f")
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        for _ in range(3):
            client.start_call("actor", "wait")
            client.start_call("waits", "echo", b"1")
        site.log_line("waits", "on_start waits")
        operator = site.ctl_start("restart", "waits")
        state = state_of(site)
        assert check_state(site, state) == (0, f"{site.status()['version']}: ok\n")
        assert check_state(site, state[:-1])[0] == 1
        random = Random(1)
        seen = collections.Counter()
        for _ in range(200 if not build.SANITIZE else 60):
            damaged = bytearray(state)
            at, size = random.randrange(24, len(state)), random.randrange(1, 40)
            kind = random.randrange(3)
            if kind == 0:
                damaged[at] ^= 1 << random.randrange(8)
            elif kind == 1:
                del damaged[at:at + size]
            else:
                damaged[at:at] = damaged[at:at + size]
            damaged[16:24] = (len(damaged) - 24).to_bytes(8, "little")
            seen[check_state(site, bytes(damaged))[0]] += 1
        assert seen[0] and seen[1], seen
        c.close()
    operator.kill()
    operator.communicate()
    follower.close()
    site.followers.remove(follower)


def test_files_that_changed_meanwhile(site):
    """Nobody watches between the two plugds: all that is watched is looked at afterwards."""
    gate = site.fifo("gate")
    program = site.root / "program"
    program.write_bytes(build.ACTOR.read_bytes())
    program.chmod(0o755)
    site.plugin("actor", [program], run={"watch": True})
    site.start(env={"TEST_GATE": str(gate)})
    site.ready()
    operator = site.ctl_start("upgrade", "--daemon", other("gated"))
    with open(gate, "w"):
        fresh = site.root / "fresh"
        fresh.write_bytes(build.ACTOR.read_bytes())
        fresh.chmod(0o755)
        fresh.rename(program)
    assert operator.wait(build.seconds(30)) == 0
    operator.communicate()
    site.event("changed", "actor")
    site.event("reloaded", "actor")
    assert identity(site)["generation"] == 2


# ---- what is known of deaths -------------------------------------------------------------------------------


@pytest.mark.skipif(build.TSAN, reason="ThreadSanitizer has fault handlers of its own")
def test_poison_stays_poison(site):
    """Suspected before the first upgrade, confirmed before the second, refused after it; with its crash reports."""
    site.actor(run={"backoff": {"min": "1ms", "max": "1ms"}, "max_failures": 0})
    site.start(env=site.without_fault_handlers())
    site.ready()
    kills = b'{"how": "abort"}'
    with wire.Client(site) as client:
        assert client.call("actor", "crash", kills)[0] == wire.EGONE
        upgrade(site)
        assert [one["state"] for one in site.ok("poison", "actor")["poison"]] == ["suspected"]
        assert client.call("actor", "crash", kills)[0] == wire.EGONE
        upgrade(site)
        outcome, message, _, _ = client.call("actor", "crash", kills)
        assert outcome == wire.EPOISON and "2 processes of actor died" in message
        upgrade(site)
        before = site.ok("crashes", "actor")
        upgrade(site)
        assert site.ok("crashes", "actor") == before
        assert [crash["signal_name"] for crash in before["crashes"]] == ["SIGABRT", "SIGABRT"]
        one, = site.ok("poison", "actor")["poison"]
        assert (one["state"], one["refusals"]) == ("refused", 1)
        site.ok("poison", "actor", "--clear", "1")
        assert client.call("actor", "crash", b'{"how": ""}')[0] == wire.OK


def test_a_process_that_stands_still(site):
    """SIGSTOPped before the upgrade: noticed after it, with its channels told and told again."""
    site.actor(hang={"stopped": "wait"})
    site.start()
    site.ready()
    plugin = site.watch(site.status("actor")["pid"])
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        plugin.kill(signal.SIGSTOP)
        site.event("suspended", "actor")
        assert c.status.word == channel.MOVED
        upgrade(site)
        assert site.word("actor") == "suspended"
        plugin.kill(signal.SIGCONT)
        site.event("recovered", "actor")
        upgrade(site)
        again = channel.open_channel(client, "actor")
        assert again.call("echo", b"1").payload == b"1"
        assert (c.status.word, again.status.word) == (channel.MOVED, channel.LIVE)
        upgrade(site)
        site.ok("restart", "actor")
        assert (c.status.word, again.status.word) == (channel.ENDED, channel.ENDED)
        c.close()
        again.close()


def test_the_level_of_a_log(site):
    site.actor()
    site.start()
    site.ready()
    site.ok("debug", "actor", "--log-level", "error")
    upgrade(site)
    site.call("actor", "log", {"message": "not kept", "level": 1})
    site.ok("debug", "actor", "--log-level", "info")
    site.call("actor", "log", {"message": "kept", "level": 1})
    site.log_line("actor", "^kept")
    assert "not kept" not in site.ctl("logs", "actor").out
