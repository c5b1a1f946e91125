"""A process that ends, in every state of the protocol: reported, and replaced by its policy."""

import json
import signal

import pytest

from plugtest import build, procs, site as sites, wire


def crash_of(site, name, **fields):
    crashes = [
        crash
        for crash in site.ok("crashes", name)["crashes"]
        if all(crash[key] == value for key, value in fields.items())
    ]
    assert crashes, site.ok("crashes", name)
    return crashes[0]


BEFORE_READY = {
    "before hello": "os.kill(os.getpid(), signal.SIGSEGV)",
    "connected, before hello": "Rogue(); os.kill(os.getpid(), signal.SIGSEGV)",
    "after hello": "Rogue().hello(); os.kill(os.getpid(), signal.SIGSEGV)",
    "after welcome": "r = Rogue(); r.hello(); r.expect('welcome'); os.kill(os.getpid(), signal.SIGSEGV)",
}


@pytest.mark.parametrize("when", BEFORE_READY)
def test_before_ready(site, when):
    """It comes back until it is quarantined: it never was ready."""
    site.script("weak", BEFORE_READY[when], run={"backoff": {"min": "1ms", "max": "2ms"}})
    site.start()
    site.event("crashed", "weak", "SIGSEGV", generation=1)
    site.event("quarantined", "weak", "5 failures")
    crash = crash_of(site, "weak", generation=1)
    assert crash["signal"] == signal.SIGSEGV
    assert crash["state"] == "starting"
    assert site.status("weak")["state"] == "quarantined"
    assert "plugctl start weak" in site.status("weak")["next"]


def test_ready_and_idle(site):
    site.actor()
    site.start()
    first = site.ready(generation=1)
    procs.Watched(first["pid"]).kill(signal.SIGKILL)
    site.event("crashed", "actor", "SIGKILL", pid=first["pid"])
    second = site.ready(generation=2)
    assert second["pid"] != first["pid"]
    crash = crash_of(site, "actor")
    assert (crash["state"], crash["signal_name"], crash["calls"]) == ("ready", "SIGKILL", [])
    assert "starts again" in crash["decision"]
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE])
def test_in_a_call(site, number):
    site.actor()
    site.start()
    site.ready(generation=1)
    with wire.Client(site) as client:
        outcome, message, _, _ = client.call("actor", "die", json.dumps({"signal": number}).encode())
    assert outcome == wire.EGONE
    assert number.name in message
    site.ready(generation=2)
    crash = crash_of(site, "actor")
    assert [call["method"] for call in crash["calls"]] == ["die"]
    assert crash["signal"] == number
    assert number.name in crash["reason"]


def test_all_calls_of_a_dead_process_end_once(site):
    site.actor()
    site.start()
    site.ready(generation=1)
    with wire.Client(site) as client:
        waiting = [client.start_call("actor", "wait") for _ in range(10)]
        killer = client.start_call("actor", "die", b'{"signal": 9}')
        outcomes = {}
        for _ in range(11):
            env = client.receive("reply")
            assert env.id not in outcomes, "an outcome came twice"
            outcomes[env.id] = env.reply.outcome
        assert outcomes == {number: wire.EGONE for number in waiting + [killer]}
        # Nothing more comes for them: the next message is the answer to the next call.
        assert client.call("actor", "echo")[0] == wire.OK
    assert len(crash_of(site, "actor")["calls"]) >= 10


def test_in_a_stream(site):
    site.script(
        "streamer",
        """
def pieces(rogue, env):
    for n in range(3):
        rogue.reply(env.id, b'{"n": %d}' % n, partial=True)
    os.kill(os.getpid(), signal.SIGKILL)
Rogue(["stream~!"]).start().serve(pieces)
""",
        methods={"stream": {"stream": True}},
    )
    site.start()
    site.ready("streamer", generation=1)
    with wire.Client(site) as client:
        outcome, _, _, pieces = client.call("streamer", "stream")
    assert outcome == wire.EGONE, "idempotent, but part of its answer was seen"
    assert pieces == [b'{"n": 0}', b'{"n": 1}', b'{"n": 2}'], "what it sent before its death arrives"
    site.ready("streamer", generation=2)


def test_while_draining(site):
    site.actor("actor", "--drain-exit", 3)
    site.start()
    site.ready()
    with wire.Client(site) as client:
        held = client.start_call("actor", "wait")
        site.log_line("actor", "^waiting")
        done = site.ok("stop", "actor")
        assert done["results"][0]["state"] == "stopped"
        assert client.finish_call(held)[0] == wire.EGONE
    assert site.ok("crashes", "actor")["crashes"] == [], "it was asked to end"


def test_while_stopping(site):
    site.actor("actor", "--stop-exit", 3)
    site.start()
    site.ready()
    assert site.ok("stop", "actor")["results"][0]["state"] == "stopped"
    assert site.word("actor") == "stopped"


def test_a_program_that_is_no_plugin(site):
    """It exits by itself, cleanly, without ever saying hello: a failure all the same."""
    site.plugin("true", ["/bin/true"], run={"backoff": {"min": "1ms", "max": "2ms"}})
    site.start()
    site.event("quarantined", "true")
    assert crash_of(site, "true", generation=1)["exit_code"] == 0


def test_a_program_that_cannot_be_executed(site):
    path = site.root / "not-a-program"
    path.write_text("#!/nowhere/interpreter\n")
    path.chmod(0o755)
    site.plugin("broken", [path])
    site.start()
    event = site.event("failed", "broken")
    assert "No such file" in event["detail"]
    status = site.status("broken")
    assert status["state"] == "failed", "executing it again would not help"
    assert status["generation"] == 1


def test_a_program_that_does_not_exist(site):
    site.actor("good")
    site.plugin("absent", [site.root / "nothing-here"])
    site.start()
    site.ready("good")
    with wire.Client(site) as client:
        outcome, message, _, _ = client.call("absent", "echo")
    assert outcome in (wire.EUNAVAILABLE, wire.ENOTFOUND)
    assert "nothing-here" in message or outcome == wire.ENOTFOUND


def test_crash_report_quotes_the_last_lines(site):
    site.actor()
    site.start()
    site.ready()
    site.call("actor", "say", {"text": "the last words\n", "stream": "err"})
    site.log_line("actor", "the last words")
    site.ctl("call", "actor", "die", '{"signal": 6}')
    site.ready(generation=2)
    crash = crash_of(site, "actor")
    assert "the last words" in crash["last_log"]
    assert crash["uptime_ms"] > 0
    assert crash["retry_in_ms"] >= 0
    text = site.ctl("crashes", "actor").out
    assert "SIGABRT" in text and "the last words" in text


def test_exit_codes_are_told(site):
    site.actor()
    site.start()
    site.ready()
    site.ctl("call", "actor", "die", '{"exit": 42}')
    assert "42" in site.event("crashed", "actor")["detail"]
    assert crash_of(site, "actor")["exit_code"] == 42


def test_a_crash_in_on_start(site):
    site.actor("actor", "--start-exit", 7, run={"backoff": {"min": "1ms", "max": "2ms"}})
    site.start()
    site.event("quarantined", "actor")
    assert crash_of(site, "actor", generation=5)["exit_code"] == 7


def test_output_before_the_death_is_kept(site):
    """What was in the pipe when it died is read before the report is made."""
    site.script("loud", "print('x' * 30000); print('the end', flush=True); os._exit(9)",
                run={"restart": "never"})
    site.start()
    site.event("crashed", "loud", "9")
    assert "the end" in crash_of(site, "loud")["last_log"]


def test_unhealthy_is_replaced(site):
    site.actor()
    site.start()
    site.ready(generation=1)
    assert site.ctl("call", "actor", "unhealthy").status in (0, 1)
    site.event("failed", "actor", "the device is lost")
    site.ready(generation=2)
    assert site.call("actor", "echo", {}) == {}
    assert "the device is lost" in crash_of(site, "actor")["reason"]


def test_other_plugins_do_not_notice(site):
    """Calls to one go on, one by one, while the other dies again and again."""
    site.actor("good")
    site.actor("bad", run={"backoff": {"min": "0ms", "max": "0ms"}, "max_failures": 0})
    site.start()
    site.ready("good")
    site.ready("bad")
    with wire.Client(site) as good, wire.Client(site) as bad:
        for generation in range(1, 11):
            number = bad.start_call("bad", "die", b'{"signal": 9}')
            for n in range(20):
                assert good.call("good", "echo", b"%d" % n)[2] == b"%d" % n
            assert bad.finish_call(number)[0] == wire.EGONE
            site.ready("bad", generation=generation + 1)
    assert site.status("good")["generation"] == 1


def test_start_from_quarantine(site):
    gate = site.root / "mended"
    site.script(
        "weak",
        f"""
if not os.path.exists({str(gate)!r}):
    os._exit(1)
Rogue().start().serve()
""",
        run={"backoff": {"min": "1ms", "max": "2ms"}},
    )
    site.start()
    site.event("quarantined", "weak")
    done = site.ctl("call", "weak", "echo")
    assert done.status == 1 and "quarantined" in done.err
    gate.touch()
    assert site.ok("start", "weak")["results"][0]["state"] == "ready"
    status = site.status("weak")
    assert status["failures"] == 0, "an operator's start forgives"
    assert site.call("weak", "echo", {"n": 1}) == {"n": 1}


def test_start_of_what_fails_again_says_why(site):
    site.actor("ill", "--start-fail", "no such device")
    site.start()
    site.event("failed", "ill")
    done = site.ctl("start", "ill")
    assert done.status == 1
    assert "no such device" in done.err


def test_restart_never(site):
    site.actor("actor", run={"restart": "never"})
    site.start()
    first = site.ready()
    procs.Watched(first["pid"]).kill()
    site.event("crashed", "actor")
    site.event("stopped", "actor")
    assert site.word("actor") == "stopped"
    assert site.status("actor")["generation"] == 1


def test_restart_on_failure_does_not_restart_a_clean_exit(site):
    site.script("once", "Rogue().start(); sys.exit(0)", run={"restart": "on-failure"})
    site.start()
    site.ready("once")
    site.event("stopped", "once")
    assert site.status("once")["generation"] == 1


def test_restart_always_restarts_a_clean_exit(site):
    site.script("ever", "Rogue().start(); sys.exit(0)",
                run={"restart": "always", "backoff": {"min": "0ms", "max": "0ms"}})
    site.start()
    site.ready("ever", generation=3)


def test_backoff_grows_and_is_told(site):
    """100 ms doubled with every failure, less at most a quarter."""
    site.actor("actor", "--start-exit", 1, run={"backoff": {"min": "100ms", "max": "150ms"}})
    site.start()
    pauses = []
    for failure in range(1, 5):
        event = site.event("restarting", "actor", f"failure {failure} of 5")
        pauses.append(int(event["detail"].split()[1]))
    assert 70 <= pauses[0] <= 100
    for pause in pauses[1:]:
        assert 110 <= pause <= 150, pauses
    site.event("quarantined", "actor")


def test_max_failures_of_one(site):
    site.actor("actor", "--start-exit", 1, run={"max_failures": 1})
    site.start()
    site.event("quarantined", "actor")
    assert site.status("actor")["generation"] == 1


def test_status_in_backoff_says_when(site):
    site.actor("actor", "--start-exit", 1, run={"backoff": {"min": "1h", "max": "1h"}})
    site.start()
    site.event("restarting", "actor")
    status = site.status("actor")
    assert status["state"] == "backoff"
    assert "starts again in" in status["next"]
    assert 2600_000 < status["retry_in_ms"] <= 3600_000
    assert site.ok("stop", "actor")["results"][0]["state"] == "stopped"


def test_start_ends_the_backoff(site):
    gate = site.root / "mended"
    site.script("slow", f"""
if not os.path.exists({str(gate)!r}):
    os._exit(1)
Rogue().start().serve()
""", run={"backoff": {"min": "1h", "max": "1h"}})
    site.start()
    site.event("restarting", "slow")
    gate.touch()
    assert site.ok("start", "slow")["results"][0]["state"] == "ready"


def test_a_call_waits_over_the_backoff(site):
    site.actor("actor", run={"backoff": {"min": "300ms", "max": "300ms"}})
    site.start()
    site.ready(generation=1)
    site.ctl("call", "actor", "die", '{"signal": 9}')
    site.event("restarting", "actor")
    assert site.call("actor", "echo", {"n": 2}) == {"n": 2}
    assert site.status("actor")["generation"] == 2


def test_gates_of_the_fixture_work(site):
    """The FIFOs on which these tests stand: a plugin that waits is not ready before it is let go."""
    site.actor("slow", "--start-wait", gate := site.fifo("gate"))
    site.start()
    site.log_line("slow", "on_start waits")
    assert site.word("slow") == "starting"
    sites.fifo_send(gate)
    site.ready("slow")
    assert build.ACTOR.exists()
