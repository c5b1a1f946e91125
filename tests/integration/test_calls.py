"""Calls through plugd, and the one outcome that each ends with."""

import json
import os
import re
import select
import signal

import pytest

from plugtest import build, site as sites, wire


@pytest.fixture
def actor(site):
    site.actor()
    site.start()
    site.ready()
    return site


def test_ok(actor):
    assert actor.call("actor", "echo", {"text": "hällo", "n": 3}) == {"text": "hällo", "n": 3}


def test_words_make_an_object(actor):
    done = actor.ctl("--json", "call", "actor", "echo", "text=hello", "n=3", 'tags:=["a"]')
    assert done.json == {"text": "hello", "n": 3, "tags": ["a"]}


def test_the_plugin_reports_an_error(actor):
    done = actor.ctl("--json", "call", "actor", "fail", '{"message": "out of paper"}')
    assert done.status == 1
    assert "out of paper" in done.err
    assert done.json["error"]["code"] == "PLUG_EPLUGIN"


def test_the_plugins_own_code_arrives(actor):
    with wire.Client(actor) as client:
        outcome, message, _, _ = client.call("actor", "fail", b'{"code": 14, "message": "no"}')
    assert (outcome, message) == (wire.EDENIED, "no")


def test_no_such_plugin(actor):
    done = actor.ctl("call", "acter", "echo")
    assert done.status == 4
    assert 'did you mean "actor"?' in done.err


def test_no_such_method(actor):
    done = actor.ctl("call", "actor", "ecco")
    assert done.status == 1
    assert "ecco" in done.err
    for method in ("echo", "sink", "pieces"):
        assert method in done.err, "the methods are listed"


def test_malformed_json(actor):
    done = actor.ctl("call", "actor", "echo", '{"text": }')
    assert done.status == 2
    assert "JSON" in done.err


def test_malformed_json_that_reaches_the_plugin(actor):
    with wire.Client(actor) as client:
        outcome, message, _, _ = client.call("actor", "fail", b"{oops")
    assert outcome == wire.EINVAL
    assert "column" in message


def test_timeout(actor):
    done = actor.ctl("--timeout", "200ms", "call", "actor", "wait")
    assert done.status == 5
    assert "did not answer within" in done.err
    actor.log_line("actor", "waited until PLUG_ETIMEOUT")


def test_the_methods_own_timeout(site):
    site.actor(methods={"wait": {"timeout": "150ms"}})
    site.start()
    site.ready()
    assert site.ctl("call", "actor", "wait").status == 5


def test_cancel_by_interrupt(actor):
    caller = actor.ctl_start("call", "actor", "wait")
    actor.log_line("actor", "^waiting")
    caller.send_signal(signal.SIGINT)
    assert caller.wait(build.seconds(20)) != 0
    actor.log_line("actor", "waited until PLUG_ECANCELLED")
    assert actor.call("actor", "echo", {"still": "here"}) == {"still": "here"}


def test_cancel_on_the_wire(actor):
    with wire.Client(actor) as client:
        number = client.start_call("actor", "wait")
        actor.log_line("actor", "^waiting")
        client.send(number, cancel=wire.pb.Cancel(reason=wire.ECANCELLED))
        assert client.finish_call(number)[0] == wire.ECANCELLED
    actor.log_line("actor", "waited until PLUG_ECANCELLED")


def test_gone(actor):
    done = actor.ctl("call", "actor", "die", '{"signal": 9}')
    assert done.status == 1
    assert "PLUG_EGONE" in actor.ctl("--json", "call", "actor", "die", '{"signal": 9}').out
    assert "crashes" in done.err


def test_unavailable_says_why_and_what_next(site):
    site.actor("ill", "--start-fail", "no such device")
    site.start()
    site.event("failed", "ill", detail="no such device")
    done = site.ctl("call", "ill", "echo")
    assert done.status == 1
    assert "no such device" in done.err
    assert "plugctl start ill" in done.err


def test_stopped_is_unavailable(actor):
    actor.ok("stop", "actor")
    with wire.Client(actor) as client:
        outcome, message, _, _ = client.call("actor", "echo")
    assert outcome == wire.EUNAVAILABLE
    assert "plugctl start actor" in message


def test_overloaded(site):
    """Calls that wait for one plugin are bounded; those above are told so, the others are served."""
    site.actor("slow", "--start-wait", gate := site.fifo("gate"))
    site.configure({"limits": {"calls_per_client": 4096}})
    site.start()
    site.event("started", "slow")
    with wire.Client(site) as client:
        numbers = [client.start_call("slow", "echo") for _ in range(1100)]
        refused = {}
        while len(refused) < 76:
            env = client.receive("reply")
            refused[env.id] = env.reply.outcome
        assert set(refused.values()) == {wire.EOVERLOADED}
        sites.fifo_send(gate)
        served = {}
        while len(served) < 1024:
            env = client.receive("reply")
            served[env.id] = env.reply.outcome
        assert set(served.values()) == {wire.OK}
        assert set(served) | set(refused) == set(numbers)
        assert not set(served) & set(refused)


def test_payload_that_waits_is_shared(site):
    """A client that sends most of many calls and never the rest leaves room for others."""
    MiB = 1 << 20
    site.actor()
    site.configure({"limits": {"call_bytes": "1MiB", "calls_per_client": 64}})
    site.start()
    site.ready()
    piece = b"x" * 49152
    with wire.Client(site) as greedy, wire.Client(site) as modest:
        refused, message = None, ""
        while refused is None:
            number = greedy.next_id()
            greedy.send(number, call=wire.pb.Call(plugin="actor", method="sink", payload=piece, more=True))
            for _ in range(MiB // len(piece) - 1):
                greedy.send(number, chunk=wire.pb.Chunk(data=piece))
            if select.select([greedy.sock], [], [], 0.05)[0]:
                reply = greedy.receive("reply").reply
                refused, message = reply.outcome, reply.message
        assert refused == wire.EOVERLOADED
        waiting, own = (int(n) for n in re.findall(r"(\d+)", message)[:2])
        assert 7 * MiB < own <= waiting <= 8.2 * MiB, message
        for _ in range(3):
            assert modest.call("actor", "sink", piece)[0] == wire.OK


def test_too_many_calls_of_one_client(site):
    site.actor()
    site.configure({"limits": {"calls_per_client": 2}})
    site.start()
    site.ready()
    with wire.Client(site) as client:
        held = [client.start_call("actor", "wait") for _ in range(2)]
        outcome, message, _, _ = client.call("actor", "echo")
        assert outcome == wire.EOVERLOADED
        assert "calls_per_client" in message
        assert site.call("actor", "echo", {"from": "another"}) == {"from": "another"}
        for number in held:
            client.send(number, cancel=wire.pb.Cancel(reason=wire.ECANCELLED))
            assert client.finish_call(number)[0] == wire.ECANCELLED


def test_calls_wait_over_a_start(site):
    site.actor("slow", "--start-wait", gate := site.fifo("gate"))
    site.start()
    site.event("started", "slow")
    with wire.Client(site) as client:
        number = client.start_call("slow", "echo", b'{"n": 1}')
        sites.fifo_send(gate)
        assert client.finish_call(number)[0] == wire.OK


def test_a_waiting_call_has_a_deadline(site):
    site.actor("slow", "--start-wait", gate := site.fifo("gate"))
    site.start()
    site.event("started", "slow")
    done = site.ctl("--timeout", "200ms", "call", "slow", "echo")
    assert done.status == 5
    assert "starting" in done.err
    sites.fifo_send(gate)
    site.ready("slow")


def test_calls_wait_over_a_restart(actor):
    """Calls that arrive while the process is being replaced are served by the next one."""
    with wire.Client(actor) as client:
        held = client.start_call("actor", "hold", json.dumps({"fifo": str(fifo := actor.fifo("f"))}).encode())
        gate = open(fifo, "w")
        restart = actor.ctl_start("--json", "restart", "actor")
        actor.log_line("actor", "drains")
        waits = client.start_call("actor", "record", record(actor, "after"))
        gate.write("done")
        gate.close()
        assert client.finish_call(held)[2] == b"done"
        assert json.loads(client.finish_call(waits)[2]) == {"generation": 2}
        assert restart.wait(build.seconds(20)) == 0


def record(site, text, die=0):
    return json.dumps({"file": str(site.root / "record"), "text": text, "die": die}).encode()


def recorded(site):
    return (site.root / "record").read_text().splitlines()


def test_idempotent_is_replayed_once(actor):
    with wire.Client(actor) as client:
        outcome, _, payload, _ = client.call("actor", "record-twice", record(actor, "x", die=1))
    assert (outcome, json.loads(payload)) == (wire.OK, {"generation": 2})
    assert recorded(actor) == ["1 x", "2 x"]


def test_idempotent_is_not_replayed_twice(site):
    site.actor(methods={"record-twice": {"idempotent": True}})
    site.start()
    site.ready()
    with wire.Client(site) as client:
        first = client.start_call("actor", "record-twice", record(site, "x", die=1))
        outcome = client.finish_call(first)[0]
        assert outcome == wire.OK
        # Generation 2 answered it.  One that kills both generations that see it is given up.
        second = client.start_call("actor", "die", b'{"signal": 9}')
        assert client.finish_call(second)[0] == wire.EGONE
    assert recorded(site) == ["1 x", "2 x"]


def test_what_cannot_be_replayed_may_have_been_executed(site):
    """Nothing that says "never started" is true of it."""
    site.actor(run={"restart": "never"})
    site.start()
    site.ready()
    with wire.Client(site) as client:
        outcome, message, _, _ = client.call("actor", "record-twice", record(site, "x", die=1))
        assert outcome == wire.EGONE
        assert "could not be sent once more: actor is stopped" in message
    assert recorded(site) == ["1 x"]


def test_a_caller_s_second_try_may_have_been_executed(actor):
    def second_try(plugin, method):
        number = client.next_id()
        client.send(number, call=wire.pb.Call(plugin=plugin, method=method, again=True))
        return client.finish_call(number)[0]

    with wire.Client(actor) as client:
        assert second_try("actor", "echo") == wire.OK
        assert second_try("actor", "nothing") == wire.EGONE
        assert second_try("nobody", "echo") == wire.EGONE
        actor.ok("stop", "actor")
        assert second_try("actor", "echo") == wire.EGONE
        assert client.call("actor", "echo")[0] == wire.EUNAVAILABLE


def test_non_idempotent_is_never_replayed(actor):
    with wire.Client(actor) as client:
        outcome, _, _, _ = client.call("actor", "record", record(actor, "x", die=1))
    assert outcome == wire.EGONE
    actor.ready(generation=2)
    assert recorded(actor) == ["1 x"]


def test_the_manifest_can_declare_idempotence(site):
    site.actor(methods={"record": {"idempotent": True}})
    site.start()
    site.ready()
    with wire.Client(site) as client:
        assert client.call("actor", "record", record(site, "x", die=1))[0] == wire.OK
    assert recorded(site) == ["1 x", "2 x"]


def test_a_plugin_calls_another(site):
    site.actor("front")
    site.actor("back")
    site.start()
    site.ready("front")
    site.ready("back")
    payload = {"plugin": "back", "method": "echo", "payload": '{"via": "front"}'}
    assert site.call("front", "relay", payload) == {"via": "front"}


def test_instances_may_not_administer(site):
    """The token of the environment makes a client an instance: it may call, and nothing else. It is
    good for as long as the process lives, so that the client half can connect again."""
    site.script(
        "agent",
        """
rogue = Rogue().start()
client = Client(os.environ["PLUGD_SOCKET"], token=bytes.fromhex(os.environ["PLUG_CLIENT_TOKEN"]))
say("role", client.welcome.role)
say("admin", client.request(list={})[-1].outcome)
again = Client(os.environ["PLUGD_SOCKET"], token=bytes.fromhex(os.environ["PLUG_CLIENT_TOKEN"]))
say("again", again.welcome.role)
try:
    Client(os.environ["PLUGD_SOCKET"], token=bytes(16)).receive()
except BaseException as error:
    say("foreign", type(error).__name__)
rogue.serve()
""",
    )
    site.start()
    site.log_line("agent", "^role instance$")
    site.log_line("agent", f"^admin {wire.EDENIED}$")
    site.log_line("agent", "^again instance$")
    site.log_line("agent", "^foreign ")


def test_stats_count_outcomes(actor):
    actor.call("actor", "echo", {})
    actor.ctl("call", "actor", "fail")
    actor.ctl("--timeout", "100ms", "call", "actor", "wait")
    stats = actor.ok("stats", "actor")["plugins"][0]
    methods = {one["method"]: one for one in stats["methods"]}
    assert (stats["calls"], stats["ok"], stats["errors"]) == (3, 1, 2)
    assert methods["wait"]["timeouts"] == 1
    assert methods["fail"]["errors"] == 1
    assert methods["echo"]["ok"] == 1
    assert os.path.basename(build.ACTOR) in actor.ok("info", "actor")["exec"][0]
