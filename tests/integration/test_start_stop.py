"""Slow starts, refusals, hangs, stops."""

import json
import signal
import time

import pytest

from plugtest import build, procs, site as sites, wire


# ---- start ------------------------------------------------------------------------------------------


def test_start_timeout(site):
    site.actor("slow", "--start-wait", site.fifo("gate"),
               run={"start_timeout": "300ms", "backoff": {"min": "1h", "max": "1h"}})
    site.start()
    event = site.event("crashed", "slow")
    assert "start_timeout" in event["detail"]
    assert not procs.alive(event["pid"])


def test_start_timeout_of_one_that_never_says_hello(site):
    site.plugin("mute", ["/bin/sleep", "3600"],
                run={"start_timeout": "300ms", "backoff": {"min": "1h", "max": "1h"}})
    site.start()
    event = site.event("crashed", "mute", "start_timeout")
    assert not procs.alive(event["pid"])


def test_stop_of_a_start(site):
    """Cancelling a start that hangs: SIGTERM, and SIGKILL when that does not help."""
    site.actor("slow", "--start-wait", site.fifo("gate"), run={"stop_timeout": "500ms"})
    site.start()
    pid = site.event("started", "slow")["pid"]
    site.log_line("slow", "on_start waits")
    assert site.ok("stop", "slow")["results"][0]["state"] == "stopped"
    assert not procs.alive(pid)


def test_restart_of_a_start(site):
    gate = site.fifo("gate")
    site.actor("slow", "--start-wait", gate, run={"stop_timeout": "500ms"})
    site.start()
    site.log_line("slow", "on_start waits")
    restart = site.ctl_start("restart", "slow")
    site.event("started", "slow", generation=2)
    sites.fifo_send(gate)
    site.ready("slow", generation=2)
    assert restart.wait(build.seconds(20)) == 0


def test_start_waits_until_it_is_ready(site):
    site.actor("slow", "--start-wait", gate := site.fifo("gate"), run={"autostart": False})
    site.start()
    assert site.word("slow") == "stopped"
    start = site.ctl_start("--json", "start", "slow")
    site.event("started", "slow")
    assert start.poll() is None
    sites.fifo_send(gate)
    out, _ = start.communicate(timeout=build.seconds(20))
    assert start.returncode == 0
    assert json.loads(out)["results"][0]["state"] == "ready"


def test_start_no_wait(site):
    site.actor("slow", "--start-wait", gate := site.fifo("gate"), run={"autostart": False})
    site.start()
    assert site.ok("start", "--no-wait", "slow")["results"][0]["state"] in ("starting", "stopped")
    sites.fifo_send(gate)
    site.ready("slow")


def test_start_twice_is_no_error(site):
    site.actor()
    site.start()
    site.ready()
    assert site.ok("start", "actor")["results"][0]["generation"] == 1


def test_start_timeout_of_plugctl(site):
    site.actor("slow", "--start-wait", gate := site.fifo("gate"), run={"autostart": False})
    site.start()
    done = site.ctl("--timeout", "200ms", "start", "slow")
    assert done.status == 5
    sites.fifo_send(gate)
    site.ready("slow")


# ---- refused ----------------------------------------------------------------------------------------


def refused(site, name, *words):
    """It is failed, at once and for good, and everybody is told why."""
    event = site.event("refused", name)
    site.event("failed", name)
    status = site.status(name)
    assert status["state"] == "failed"
    assert status["generation"] == 1, "a refused plugin is not started again"
    for word in words:
        assert word in event["detail"], event
        assert word in status["why"], status
    done = site.ctl("call", name, "echo")
    assert done.status == 1 and words[0] in done.err


def test_refused_for_its_version(site):
    site.actor("actor", "--version", "2.0.0")
    site.start()
    refused(site, "actor", "2.0.0", "1.0.0", "version")


def test_refused_for_its_name(site):
    site.actor("actor", "--name", "impostor")
    site.start()
    refused(site, "actor", "impostor", "name")


def test_refused_for_its_contract(site):
    site.actor("actor", "--contract", "model")
    site.start()
    refused(site, "actor", '"model"', '"interface"', "contract")


def test_refused_for_a_method_that_it_lacks(site):
    site.actor("actor", "--without", "echo", methods={"echo": {"idempotent": True}})
    site.start()
    refused(site, "actor", '"echo"', "does not offer")


def test_refused_for_a_method_that_is_no_stream(site):
    site.actor(methods={"echo": {"stream": True}})
    site.start()
    refused(site, "actor", "stream")


CONTRACTS = {
    "model": (["generate"], "answers a prompt"),
    "device": (["devices"], "lists its devices"),
    "provider": (["models", "complete"], "lists the models"),
    "optimization": (["info", "apply", "benchmark"], "says what it does"),
    "memory": (["append", "recall", "clear"], "adds to a conversation"),
    "gateway": (["status"], "says where it listens"),
}


def test_refused_for_what_its_type_requires(site):
    """Without the first, without the last, and with all of them."""
    for kind, (methods, _) in CONTRACTS.items():
        offers = [word for method in methods for word in ("--offer", method)]
        site.actor(f"{kind}-none", "--contract", kind, type=kind)
        site.actor(f"{kind}-short", "--contract", kind, *offers[:-2], type=kind)
        site.actor(f"{kind}-whole", "--contract", kind, *offers, type=kind)
    for kind in ("interface", "feature"):
        site.actor(f"{kind}-free", "--contract", kind, type=kind)
    site.start()
    for kind, (methods, help) in CONTRACTS.items():
        refused(site, f"{kind}-none", f'"{methods[0]}"', help, f"the type {kind}", "offers echo, sink", "26 in all")
        refused(site, f"{kind}-short", f'"{methods[-1]}"', f"the type {kind}")
        site.ready(f"{kind}-whole")
    for kind in ("interface", "feature"):
        site.ready(f"{kind}-free")


def test_a_model_that_declares_another_task(site):
    """It need not generate; but saying it in HELLO alone is not enough, and declaring it is a promise, too."""
    model = {"type": "model"}
    site.actor("embeds", "--contract", "model", "--offer", "embed", methods={"embed": {}}, **model)
    site.actor("says", "--contract", "model", "--offer", "embed", **model)
    site.actor("lies", "--contract", "model", methods={"embed": {}}, **model)
    site.start()
    site.ready("embeds")
    refused(site, "says", '"generate"', '"embed"')
    refused(site, "lies", '"embed"', "does not offer")


def test_a_method_with_another_name(site):
    site.actor(methods={"ecoh": {}})
    site.start()
    refused(site, "actor", '"ecoh"', 'did you mean "echo"?', "plugin.yaml")


def test_refused_for_its_token(site):
    site.script("thief", "r = Rogue(); r.hello(token=b'0' * 16); say(r.expect('refused').refused.message)")
    site.start()
    site.event("violation", "thief", "token")
    site.event("failed", "thief")
    status = site.status("thief")
    assert (status["state"], status["generation"]) == ("failed", 1)
    assert "token" in status["why"]
    site.log_line("thief", "token")


def test_refused_for_its_protocol(site):
    site.script(
        "future",
        """
r = Rogue()
r.hello(protocol_min=7, protocol_max=9)
answer = r.expect('refused').refused
say('told', answer.code, answer.protocol_min, answer.protocol_max, answer.message)
""",
    )
    site.start()
    site.event("failed", "future")
    status = site.status("future")
    assert (status["state"], status["generation"]) == ("failed", 1)
    assert "7 to 9" in status["why"] and "1 to 1" in status["why"]
    site.log_line("future", "^told 17 1 1 .*update the older side")


def test_refused_for_two_methods_of_a_name(site):
    site.script("double", "r = Rogue(['a', 'a']); r.hello(); r.expect('refused')")
    site.start()
    refused(site, "double", '"a" twice')


def test_refused_for_the_name_of_a_method(site):
    site.script("odd", "r = Rogue(['../etc']); r.hello(); r.expect('refused')")
    site.start()
    refused(site, "odd", "../etc")


def test_refused_that_does_not_exit_is_killed(site):
    site.script("stubborn", """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
r = Rogue(); r.hello(version='9.9.9'); r.expect('refused'); wait_forever()
""", run={"stop_timeout": "300ms"})
    site.start()
    pid = site.event("refused", "stubborn")["pid"]
    site.event("failed", "stubborn", "SIGKILL|killed")
    assert not procs.alive(pid)


def test_failed_on_start_is_not_restarted(site):
    site.actor("ill", "--start-fail", "model.bin: no such file")
    site.start()
    site.event("failed", "ill", "model.bin: no such file")
    site.event("failed", "ill", "in flight")
    status = site.status("ill")
    assert (status["state"], status["generation"]) == ("failed", 1)
    assert status["why"].startswith("model.bin: no such file")


def test_a_failed_one_can_be_started_again(site):
    mended = site.root / "mended"
    site.script("ill", f"""
r = Rogue(); r.hello(); r.expect('welcome')
if os.path.exists({str(mended)!r}):
    r.send(ready=pb.Ready())
    r.serve()
else:
    r.send(failed=pb.Failed(code=EPLUGIN, message="not yet"))
""")
    site.start()
    site.event("failed", "ill", "not yet.*in flight")
    mended.touch()
    assert site.ok("start", "ill")["results"][0]["state"] == "ready"


# ---- hang -------------------------------------------------------------------------------------------


def test_a_call_that_hangs(site):
    """It times out, is reported as hung, the others go on, and stop goes all the way to SIGKILL."""
    fifo = site.fifo("never")
    site.actor("actor", run={"stop_timeout": "300ms"})
    site.start()
    pid = site.ready()["pid"]
    with wire.Client(site) as client:
        held = client.start_call("actor", "hold", json.dumps({"fifo": str(fifo)}).encode(), timeout_ms=300)
        gate = open(fifo, "w")  # it executes now
        assert client.finish_call(held)[0] == wire.ETIMEOUT
        assert client.call("actor", "echo", b'{"n": 1}')[2] == b'{"n": 1}'
        site.event("hung", "actor", "hold")
        calls = site.status("actor")["calls"]
        assert [(call["method"], call["hung"]) for call in calls] == [("hold", True)]
        assert client.call("actor", "echo", b'{"n": 2}')[2] == b'{"n": 2}'
    with procs.Watched(pid) as watched:
        assert site.ok("stop", "actor")["results"][0]["state"] == "stopped"
        assert watched.gone(0)
    gate.close()


def test_stop_goes_to_sigkill(site):
    site.actor("deaf", "--stop-deaf", run={"stop_timeout": "200ms"})
    site.start()
    pid = site.ready("deaf")["pid"]
    with procs.Watched(pid) as watched:
        assert site.ok("stop", "deaf")["results"][0]["state"] == "stopped"
        assert watched.gone(0)
    site.event("killed", "deaf", pid=pid)


def test_a_stopped_process_can_be_stopped_by_an_operator(site):
    site.actor("actor", run={"stop_timeout": "200ms"})
    site.start()
    pid = site.ready()["pid"]
    with procs.Watched(pid) as watched:
        watched.kill(signal.SIGSTOP)
        assert site.ok("stop", "actor")["results"][0]["state"] == "stopped"
        assert watched.gone(0)


def test_a_busy_handler_is_not_a_dead_plugin(site):
    """A handler that blocks for longer than the silence that is suspicious (3 s) and its ping (5 s)."""
    fifo = site.fifo("gate")
    site.actor("actor", methods={"hold": {"timeout": "60s"}})
    site.start()
    site.ready()
    with wire.Client(site, timeout=60) as client:
        number = client.start_call("actor", "hold", json.dumps({"fifo": str(fifo)}).encode())
        with open(fifo, "w") as gate:
            client.sock.settimeout(9)
            with pytest.raises(TimeoutError):
                client.receive()
            gate.write("done")
        client.sock.settimeout(build.seconds(20))
        assert client.finish_call(number)[2] == b"done"
    assert site.status("actor")["generation"] == 1


def test_a_plugin_without_vitals_answers_pings(site):
    """One that does not map the page is pinged, and lives while it answers."""
    site.script("pinged", """
r = Rogue().start()
while True:
    env = r.receive()
    kind = env.WhichOneof("body")
    if kind == "ping":
        say("pinged")
        r.send(seq=0, pong=pb.Pong(stamp=env.ping.stamp))
    elif kind == "stop":
        break
""")
    site.start()
    site.log_line("pinged", "^pinged")
    assert site.status("pinged")["generation"] == 1


# ---- stop -------------------------------------------------------------------------------------------


def test_stop_waits_for_calls(site):
    fifo = site.fifo("gate")
    site.actor("actor", run={"stop_timeout": "20s"})
    site.start()
    site.ready()
    with wire.Client(site) as client:
        number = client.start_call("actor", "hold", json.dumps({"fifo": str(fifo)}).encode())
        with open(fifo, "w") as gate:
            stop = site.ctl_start("stop", "actor")
            site.log_line("actor", "drains")
            assert site.word("actor") == "draining"
            refused = client.start_call("actor", "echo")
            assert client.finish_call(refused)[0] == wire.EUNAVAILABLE
            gate.write("in peace")
        assert client.finish_call(number)[2] == b"in peace"
    assert stop.wait(build.seconds(20)) == 0
    site.log_line("actor", "stops")


def test_stop_twice_is_no_error(site):
    site.actor()
    site.start()
    site.ready()
    site.ok("stop", "actor")
    assert site.ok("stop", "actor")["results"][0]["state"] == "stopped"


def test_start_after_stop_is_a_new_generation(site):
    site.actor()
    site.start()
    site.ready()
    site.ok("stop", "actor")
    result = site.ok("start", "actor")["results"][0]
    assert (result["state"], result["generation"]) == ("ready", 2)


def test_several_names_in_one_command(site):
    site.actor("a")
    site.actor("b")
    site.start()
    site.ready("a")
    site.ready("b")
    done = site.ok("stop", "a", "b")
    assert [(one["name"], one["state"]) for one in done["results"]] == [("a", "stopped"), ("b", "stopped")]
    done = site.ctl("--json", "start", "a", "nobody")
    assert done.status == 4
    assert done.json["results"][0]["state"] == "ready"
    assert "nobody" in done.json["results"][1]["name"]


def test_shutdown_by_plugctl(site):
    site.actor()
    site.start()
    pid = site.watch(site.ready()["pid"])
    assert site.ctl("shutdown").status == 0
    assert site.wait_end() == 0
    assert pid.gone(0)
    assert not site.socket_path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_orderly_end(site, number):
    site.actor()
    site.start()
    pid = site.watch(site.ready()["pid"])
    site.signal(number)
    assert site.wait_end() == 0
    assert pid.gone(0)
    assert not site.socket_path.exists()
    assert not (site.runtime / "plugd.pid").exists()
    assert list((site.runtime / "s").iterdir() if (site.runtime / "s").exists() else []) == []


def test_a_later_second_signal_has_no_patience(site):
    """Two within a moment are one, for a service manager signals the whole group."""
    site.actor("deaf", "--stop-deaf", run={"stop_timeout": "1h"})
    site.start()
    pid = site.watch(site.ready("deaf")["pid"])
    site.signal(signal.SIGTERM)
    site.log_line("deaf", "^stops")
    until = time.monotonic() + build.seconds(20)
    with procs.Watched(site.process.pid) as guardian:
        while not guardian.gone(0.3) and time.monotonic() < until:
            site.signal(signal.SIGTERM)
    site.wait_end()
    assert pid.gone(0)
