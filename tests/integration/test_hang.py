"""What hangs, what is stopped and what a debugger holds: told apart, reported, and dealt with by policy."""

import json
import os
import signal
import time

import pytest

from plugtest import build, channel, procs, wire
from plugtest.caller import Caller
from plugtest.tracer import PTRACE_SEIZE, Tracer, WALL, ptrace

pb = wire.pb


def started(site, *args, **keys):
    site.actor("actor", *args, **keys)
    site.start()
    return site.ready(generation=1)["pid"]


def one_instance(site):
    return site.status("actor")["instance_list"][0]


def held_call(client, fifo, method="hold", timeout_ms=300):
    """A call whose handler is deaf to its deadline; the gate lets it end."""
    number = client.start_call("actor", method, json.dumps({"fifo": str(fifo)}).encode(), timeout_ms=timeout_ms)
    return number, open(fifo, "w")


def of_crash(site):
    return site.ok("crashes", "actor")["crashes"][-1]


# ---- a process that is stopped ----------------------------------------------------------------------


def test_a_stopped_process_goes_on(site):
    """The default: SIGCONT.  Its calls are late and not lost; it is the same process all the while."""
    pid = started(site)
    with wire.Client(site) as client:
        os.kill(pid, signal.SIGSTOP)
        early = client.start_call("actor", "echo", b"1")
        site.event("suspended", "actor", "SIGSTOP.*SIGCONT", pid=pid)
        site.event("recovered", "actor", "takes calls", pid=pid)
        assert client.finish_call(early)[2] == b"1"
        assert client.call("actor", "echo", b"2")[2] == b"2"
    assert site.status("actor")["generation"] == 1
    assert site.ok("crashes", "actor")["crashes"] == []


def test_a_stopped_process_is_waited_for(site):
    """It has no calls meanwhile: they wait, each as long as its deadline; nothing is killed."""
    pid = started(site, hang={"stopped": "wait", "ping_timeout": "100ms"})
    with wire.Client(site, timeout=60) as client:
        os.kill(pid, signal.SIGSTOP)
        site.event("suspended", "actor", "somebody sends it SIGCONT", pid=pid)
        status = site.status("actor")
        assert (status["state"], status["pid"]) == ("suspended", pid)
        assert "SIGSTOP" in status["reason"] and "SIGCONT" in status["next"]
        assert site.ok("list")["plugins"][0]["ready"] == 0
        outcome, message = client.finish_call(client.start_call("actor", "echo", timeout_ms=300))[:2]
        assert outcome == wire.ETIMEOUT and "not started" in message and "suspended" in message
        patient = client.start_call("actor", "echo", b"7")
        with pytest.raises(TimeoutError):  # longer than anything that would end it
            client.sock.settimeout(3)
            client.receive()
        client.sock.settimeout(build.seconds(20))
        os.kill(pid, signal.SIGCONT)
        assert client.finish_call(patient)[2] == b"7"
    site.event("recovered", "actor", pid=pid)
    status = site.status("actor")
    assert (status["state"], status["reason"], status["generation"]) == ("ready", "", 1)


def test_a_stopped_process_is_killed(site):
    pid = started(site, hang={"stopped": "kill", "ping_timeout": "1s"})
    with procs.Watched(pid) as watched, wire.Client(site) as client:
        number = client.start_call("actor", "freeze")
        site.event("suspended", "actor", "hang.stopped is kill", pid=pid)
        assert client.finish_call(number)[0] == wire.EGONE
        assert watched.gone(build.seconds(5))
    site.ready(generation=2)
    assert site.call("actor", "echo", {}) == {}
    assert of_crash(site)["reason"].startswith("suspended: stopped by a signal (SIGSTOP)")


def test_calls_go_to_another_instance(site):
    """One of two is stopped: what comes from then on is answered by the other, on both planes."""
    site.actor(run={"instances": 2}, hang={"stopped": "wait"})
    site.start()
    pids = {site.ready(generation=generation)["pid"] for generation in (1, 2)}
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        first = next(i for i in site.status("actor")["instance_list"] if i["generation"] == c.grant.generation)
        os.kill(first["pid"], signal.SIGSTOP)
        site.event("suspended", "actor", pid=first["pid"])
        other = (pids - {first["pid"]}).pop()
        states = {i["pid"]: i["state"] for i in site.status("actor")["instance_list"]}
        assert states == {first["pid"]: "suspended", other: "ready"}
        for n in range(20):
            assert client.call("actor", "echo", str(n).encode(), timeout_ms=5000)[2] == str(n).encode()
        second = channel.open_channel(client, "actor")
        assert second.call("echo", b"3").payload == b"3"
        second.close()
        os.kill(first["pid"], signal.SIGCONT)
        site.event("recovered", "actor", pid=first["pid"])
        c.close()


def test_the_status_page_of_one_that_was_away(site):
    """MOVED, for whoever has a channel; who asks when it is back gets a page that says LIVE; its death is on both."""
    pid = started(site, hang={"stopped": "wait"})
    with wire.Client(site) as client:
        before = channel.open_channel(client, "actor")
        os.kill(pid, signal.SIGSTOP)
        site.event("suspended", "actor", pid=pid)
        assert before.status.word == channel.MOVED
        assert channel.refused(client, "actor")[0] == wire.EUNAVAILABLE
        os.kill(pid, signal.SIGCONT)
        site.event("recovered", "actor", pid=pid)
        assert before.status.word == channel.MOVED
        assert before.call("echo", b"1").payload == b"1"  # what was posted there is answered
        after = channel.open_channel(client, "actor")
        assert after.status.word == channel.LIVE
        assert after.call("echo", b"2").payload == b"2"
        os.kill(pid, signal.SIGKILL)
        site.event("crashed", "actor", pid=pid)
        assert (before.status.word, after.status.word) == (channel.DEAD, channel.DEAD)
        before.close()
        after.close()


def test_callers_on_channels_go_on_with_another_process(site):
    """libplug's caller, whose channel leads to the one that is stopped: only the call that was there ends late."""
    site.actor(run={"instances": 2}, hang={"stopped": "wait"})
    site.start()
    for generation in (1, 2):
        site.ready(generation=generation)
    caller = Caller(site).wait_up()
    first, second = site.status("actor")["instance_list"]
    os.kill(first["pid"], signal.SIGSTOP)
    site.event("suspended", "actor", pid=first["pid"])
    before = site.ok("stats", "actor")["plugins"][0]["data_plane"]["ok"]
    # The other one answers on a channel: the counters of a stopped process stand still.
    while site.ok("stats", "actor")["plugins"][0]["data_plane"]["ok"] == before:
        assert procs.alive(second["pid"])
    os.kill(first["pid"], signal.SIGCONT)
    site.event("recovered", "actor", pid=first["pid"])
    result = caller.end()
    assert result["wrong"] == 0 and result["opened"] >= 2, result
    assert set(result["outcomes"]) <= {"PLUG_OK", "PLUG_ETIMEOUT"}, result
    assert result["outcomes"].get("PLUG_ETIMEOUT", 0) <= 1, result


# ---- a process that says nothing --------------------------------------------------------------------

# It has a page of vitals whose ticks stand still, and answers no PING until it is told to.
SILENT = """
r = Rogue()
os.pwrite(3, struct.pack("<QQ", 0x31534c4154495650, 1), 0)
r.start()
gate = open(os.environ["GATE"])  # until the test opens it
ticks = 1
while True:
    try:
        env = r.receive()
    except Closed:
        break
    kind = env.WhichOneof("body")
    if kind == "ping":
        say("was pinged")
        if not gate.read(1):
            wait_forever()
        ticks += 1
        os.pwrite(3, struct.pack("<Q", ticks), 8)
    elif kind == "call":
        r.reply(env.id, env.call.payload)
    elif kind == "stop":
        break
"""


def silent(site, **hang):
    gate = site.fifo("gate")
    site.script("still", SILENT, run={"env": {"GATE": str(gate)}}, hang=hang)
    site.start()
    pid = site.ready("still", generation=1)["pid"]
    return pid, open(gate, "w")


def test_one_that_gives_no_sign_of_life_is_killed(site):
    pid, gate = silent(site, ping_timeout="1s")
    with procs.Watched(pid) as watched, wire.Client(site, timeout=60) as client:
        site.log_line("still", "was pinged")
        number = client.start_call("still", "echo", b"5")  # under suspicion it gets none
        event = site.event("hung", "still", "no sign of life.*PING within 1000 ms; it is killed", pid=pid)
        assert watched.gone(build.seconds(5))
        gate.close()
        with open(site.root / "gate", "w"):
            site.ready("still", generation=2)
            assert client.finish_call(number)[2] == b"5"
    crash = site.ok("crashes", "still")["crashes"][-1]
    assert crash["reason"].startswith("hung: no sign of life") and crash["generation"] == event["generation"]


def test_one_that_gives_no_sign_of_life_is_reported(site):
    """And takes calls again when it shows life; it is the same process."""
    pid, gate = silent(site, ping="report", ping_timeout="1s")
    with gate, wire.Client(site, timeout=60) as client:
        site.event("hung", "still", "until it shows life", pid=pid)
        status = site.status("still")
        assert status["state"] == "hung" and "no sign of life" in status["reason"]
        number = client.start_call("still", "echo", b"6", timeout_ms=60000)
        gate.write("x")
        gate.flush()
        site.event("recovered", "still", pid=pid)
        assert client.finish_call(number)[2] == b"6"
        assert site.word("still") == "ready"


# ---- a process in a debugger's hands ----------------------------------------------------------------


def test_a_debugger_holds_it(site):
    """At a breakpoint: nothing ends it, however short the deadlines are, not its probe either."""
    pid = started(site, hang={"ping_timeout": "100ms"}, probe={"method": "echo", "interval": "200ms", "timeout": "100ms"})
    tracer = Tracer(pid)
    tracer.stop()
    with wire.Client(site, timeout=60) as client:
        site.event("traced", "actor", rf"\(pid {os.getpid()}\) holds it.*hang.traced is wait", pid=pid)
        assert site.word("actor") == "traced"
        waits = client.start_call("actor", "echo", b"1", timeout_ms=60000)
        with pytest.raises(TimeoutError):
            client.sock.settimeout(3)
            client.receive()
        client.sock.settimeout(build.seconds(20))
        tracer.let_go()
        assert client.finish_call(waits)[2] == b"1"
    site.event("recovered", "actor", pid=pid)
    assert site.status("actor")["generation"] == 1


def test_a_debugger_holds_it_while_it_starts(site):
    """run.start_timeout passes, and again: it is waited for."""
    fifo = site.fifo("gate")
    site.actor("actor", "--start-wait", str(fifo), run={"start_timeout": "1s"})
    site.start()
    pid = site.event("started", "actor")["pid"]
    site.log_line("actor", "on_start waits")
    tracer = Tracer(pid)
    tracer.stop()
    while site.log_text().count("a debugger or valgrind has it") < 2:
        assert procs.alive(pid)
    tracer.let_go()
    with open(fifo, "w"):
        pass
    assert site.ready()["generation"] == 1


def test_a_traced_one_can_be_killed_by_policy(site):
    pid = started(site, hang={"traced": "kill", "ping_timeout": "200ms"})
    tracer = Tracer(pid)
    tracer.stop()
    site.event("traced", "actor", "hang.traced is kill", pid=pid)
    tracer.let_die()
    site.event("crashed", "actor", "traced: ", pid=pid)
    site.ready(generation=2)


def test_how_it_ended_is_known_before_the_debugger_has_seen_it(site):
    """A debugger is told of an end first, and until it has looked nobody can reap: that is no `exit code 0`."""
    pid = started(site, run={"backoff": {"min": "0ms", "max": "0ms"}})
    ptrace(PTRACE_SEIZE, pid)
    os.kill(pid, signal.SIGKILL)
    site.event("crashed", "actor", "killed by SIGKILL", pid=pid)
    site.ready(generation=2)
    assert procs.stat(pid)[0] == "Z"
    assert os.waitpid(pid, WALL)[1] == signal.SIGKILL
    deadline = time.monotonic() + build.seconds(10)
    while procs.stat(pid):  # it is plugd's again
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("instances", [1, 2])
def test_in_valgrind(site, instances):
    """What valgrind runs is known as such, and not ended for being slow; and has no keeper, which valgrind refuses."""
    valgrind = "/usr/bin/valgrind"
    if build.SANITIZE or not os.path.exists(valgrind):
        pytest.skip("valgrind runs no program with sanitizers" if build.SANITIZE else "valgrind is not installed")
    site.plugin(
        "actor",
        [valgrind, "--quiet", build.ACTOR, "--version", "1.0.0"],
        run={"start_timeout": "200ms", "max_failures": 1, "instances": instances},
    )
    site.start()
    for generation in range(1, instances + 1):
        site.ready(timeout=60, generation=generation)
    assert "a debugger or valgrind has it" in site.log_text()
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


# ---- handlers past their deadlines ------------------------------------------------------------------


def test_a_handler_that_hangs_is_reported(site):
    """Its process goes on; other calls are answered."""
    pid = started(site, hang={"grace": "100ms"})
    with wire.Client(site) as client:
        number, gate = held_call(client, site.fifo("gate"))
        with gate:
            assert client.finish_call(number)[0] == wire.ETIMEOUT
            site.event("hung", "actor", r"call \d+ of hold still executes .* the process goes on", pid=pid)
            assert client.call("actor", "echo", b"1")[2] == b"1"
            while one_instance(site)["hung_calls"] != 1:
                pass
            assert site.word("actor") == "ready"
        while one_instance(site)["hung_calls"]:
            pass


def test_a_handler_that_hangs_has_its_process_replaced(site):
    pid = started(site, hang={"call": "kill", "grace": "100ms"})
    with wire.Client(site) as client, procs.Watched(pid) as watched:
        number, gate = held_call(client, site.fifo("gate"))
        assert client.finish_call(number)[0] == wire.ETIMEOUT
        site.event("hung", "actor", "hold still executes.*is killed", pid=pid)
        assert watched.gone(build.seconds(5))
        gate.close()
    site.ready(generation=2)
    crash = of_crash(site)
    assert crash["reason"].startswith("hung: call") and "hold still executes" in crash["reason"]


def test_a_handler_of_a_channel_that_hangs(site):
    """plugd is not on the path, and knows it by the vitals."""
    pid = started(site, hang={"grace": "100ms"})
    fifo = site.fifo("gate")
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        number = c.start_call("hold", json.dumps({"fifo": str(fifo)}).encode(), timeout_us=300_000)
        with open(fifo, "w"):
            site.event("hung", "actor", rf"call {number} of channel \d+ still executes", pid=pid)
            assert one_instance(site)["hung_calls"] == 1
            assert c.call("echo", b"2").payload == b"2"
        assert c.take().id == number
        c.close()


def test_a_handler_of_a_channel_that_hangs_has_its_process_replaced(site):
    pid = started(site, hang={"call": "kill", "grace": "100ms"})
    fifo = site.fifo("gate")
    with wire.Client(site) as client, procs.Watched(pid) as watched:
        c = channel.open_channel(client, "actor")
        c.start_call("hold", json.dumps({"fifo": str(fifo)}).encode(), timeout_us=300_000)
        with open(fifo, "w"):
            site.event("hung", "actor", "of channel .* is killed", pid=pid)
            assert watched.gone(build.seconds(5))
        c.close()
    site.ready(generation=2)


def test_all_handlers_hang(site):
    """Then what is given to it only waits: it gets nothing until one of them ends."""
    pid = started(site, "--workers", "2", hang={"grace": "100ms"})
    gates = []
    with wire.Client(site, timeout=60) as client:
        for n in range(2):
            number, gate = held_call(client, site.fifo(f"gate{n}"))
            gates.append(gate)
            assert client.finish_call(number)[0] == wire.ETIMEOUT
        site.event("hung", "actor", "all its 2 handlers", pid=pid)
        status = site.status("actor")
        assert status["state"] == "hung" and "plugctl restart actor" in status["next"]
        waits = client.start_call("actor", "echo", b"3", timeout_ms=60000)
        while site.status("actor")["queued"] != 1:
            pass
        gates[0].close()
        assert client.finish_call(waits)[2] == b"3"
        site.event("recovered", "actor", "a handler has ended", pid=pid)
        assert site.word("actor") == "ready"
        gates[1].close()


def test_a_stopped_process_is_no_handler_that_hangs(site):
    """Its calls pass their deadlines because it is stopped: no handler is blamed, nothing is killed for it."""
    pid = started(site, hang={"call": "kill", "grace": "100ms", "stopped": "wait"})
    with wire.Client(site) as client:
        number = client.start_call("actor", "sleep", b'{"ms": 1000}', timeout_ms=300)
        os.kill(pid, signal.SIGSTOP)
        assert client.finish_call(number)[0] == wire.ETIMEOUT
        site.event("suspended", "actor", pid=pid)
        os.kill(pid, signal.SIGCONT)
        site.event("recovered", "actor", pid=pid)
        assert client.call("actor", "echo", b"1")[2] == b"1"
    assert site.status("actor")["generation"] == 1
    assert not [event for event in site.ok("events")["events"] if event["kind"] == "hung"]


def test_a_handler_of_a_channel_is_not_blamed_for_a_stop(site):
    """Nor is it in the seconds before plugd takes a silence for one."""
    pid = started(site, hang={"call": "kill", "grace": "1s", "stopped": "wait"})
    fifo = site.fifo("gate")
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        number = c.start_call("hold", json.dumps({"fifo": str(fifo)}).encode(), timeout_us=300_000)
        with open(fifo, "w") as gate:
            os.kill(pid, signal.SIGSTOP)
            site.event("suspended", "actor", pid=pid)
            gate.write("done")
        os.kill(pid, signal.SIGCONT)
        site.event("recovered", "actor", pid=pid)
        assert c.take().id == number
        c.close()
    assert site.status("actor")["generation"] == 1
    assert not [event for event in site.ok("events")["events"] if event["kind"] == "hung"]


# ---- what SIGKILL does not end ----------------------------------------------------------------------


def test_stuck(site):
    """Held at its exit, as a process is that is blocked in a driver: reported, and no second copy is started."""
    pid = started(site)
    tracer = Tracer(pid, hold_exit=True)
    os.kill(pid, signal.SIGKILL)
    tracer.wait_exit_stop()
    stop = site.ctl_start("--json", "stop", "actor")
    site.event("stuck", "actor", "SIGKILL did not end it.*no other process", pid=pid, timeout=60)
    assert stop.wait(build.seconds(20)) == 1
    status = site.status("actor")
    assert (status["state"], status["pid"]) == ("stuck", pid)
    assert "until the kernel lets process" in status["next"]
    site.ctl("start", "actor", "--no-wait")
    assert [i["pid"] for i in site.status("actor")["instance_list"]] == [pid]
    tracer.let_die()
    site.ready(generation=2)


# ---- by configuration -------------------------------------------------------------------------------


def test_plugd_yaml_says_otherwise(site):
    site.configure({"plugins": {"actor": {"hang": {"stopped": "kill", "ping_timeout": "1s"}}}})
    pid = started(site)
    os.kill(pid, signal.SIGSTOP)
    site.event("crashed", "actor", "suspended", pid=pid)


def test_a_wrong_word_is_refused(site):
    site.actor(hang={"stopped": "conitnue"})
    done = site.run("--check")
    assert done.status != 0
    assert 'hang.stopped: expected one of' in done.err + done.out
    assert 'did you mean "continue"' in done.err + done.out
