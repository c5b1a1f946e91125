"""A session whose connection is cut in the middle of calls goes on: none lost, none doubled."""

import collections
import json
import os

import pytest

from plugtest import build, procs, wire


class Cut:
    """An actor behind a cutter (support/plugtest/cutter.py)."""

    def __init__(self, site, *args, **keys):
        self.site = site
        self.fifo = site.fifo("cut")
        self.record = site.root / "record"
        site.plugin(
            "actor",
            ["/usr/bin/python3", build.SOURCE / "tests" / "support" / "plugtest" / "cutter.py", self.fifo,
             build.ACTOR, "--version", "1.0.0", *args],
            **keys,
        )
        site.start()
        site.ready()
        self.gate = os.open(self.fifo, os.O_WRONLY)

    def cut(self):
        """And until the session is resumed."""
        last = site_last(self.site)
        os.write(self.gate, b"x")
        return self.site.event("resumed", "actor", after=last)

    def payload(self, text):
        return json.dumps({"file": str(self.record), "text": text}).encode()

    def recorded(self):
        return collections.Counter(line.split()[1] for line in self.record.read_text().splitlines())

    def resumes(self):
        return self.site.ok("stats", "actor")["plugins"][0]["session_resumes"]


def site_last(site):
    with site.events.news:
        return site.events.seen[-1]["seq"] if site.events.seen else 0


@pytest.fixture
def cut(site):
    cut = Cut(site)
    yield cut
    os.close(cut.gate)


def test_idle(cut):
    for _ in range(3):
        cut.cut()
        assert cut.site.call("actor", "echo", {"n": 1}) == {"n": 1}
    assert cut.resumes() == 3
    assert cut.site.status("actor")["generation"] == 1


def test_in_a_call(cut):
    fifo = cut.site.fifo("hold")
    with wire.Client(cut.site) as client:
        number = client.start_call("actor", "hold", json.dumps({"fifo": str(fifo)}).encode())
        with open(fifo, "w") as gate:
            cut.cut()
            gate.write("after the cut")
        assert client.finish_call(number)[2] == b"after the cut"


def test_the_answer_falls_into_the_cut(cut):
    """The handler finishes while there is no connection; its reply comes with the next."""
    fifo = cut.site.fifo("hold")
    with wire.Client(cut.site) as client:
        number = client.start_call("actor", "hold", json.dumps({"fifo": str(fifo)}).encode())
        gate = open(fifo, "w")
        last = site_last(cut.site)
        os.write(cut.gate, b"x")
        gate.write("meanwhile")
        gate.close()
        assert client.finish_call(number)[2] == b"meanwhile"
        cut.site.event("resumed", "actor", after=last)


def load(cut, client, calls, cuts, size=0):
    """So many recorded calls, in flight 64 at a time, with so many cuts spread over them."""
    filler = "x" * size
    expected, outcomes, started = {}, collections.Counter(), 0
    asked = 0
    while len(outcomes) < calls:
        while started < calls and started - len(outcomes) < 64:
            text = f"{started}-{filler}"
            number = client.start_call("actor", "record", cut.payload(text), timeout_ms=60000)
            expected[number] = text
            started += 1
        env = client.receive("reply")
        assert env.id in expected, "an answer to nothing"
        assert env.reply.outcome == wire.OK, env.reply
        outcomes[env.id] += 1
        assert outcomes[env.id] == 1, "an outcome came twice"
        if asked < cuts and len(outcomes) * cuts >= (asked + 0.5) * calls:
            os.write(cut.gate, b"x")
            asked += 1
    assert asked == cuts
    recorded = cut.recorded()
    assert set(recorded.values()) == {1}, "a call was executed twice"
    assert set(recorded) == set(expected.values()), "a call was lost"


@pytest.mark.load
def test_fifty_cuts_under_load(cut):
    """Cut, resumed, cut again, each time with 64 calls in flight."""
    total = 0
    with wire.Client(cut.site, timeout=60) as client:
        for _ in range(50):
            last = site_last(cut.site)
            numbers = [
                client.start_call("actor", "record", cut.payload(f"{total + n}"), timeout_ms=60000) for n in range(64)
            ]
            total += 64
            os.write(cut.gate, b"x")
            outcomes = {}
            for _ in numbers:
                env = client.receive("reply")
                assert env.id not in outcomes, "an outcome came twice"
                outcomes[env.id] = env.reply.outcome
            assert set(outcomes) == set(numbers)
            assert set(outcomes.values()) == {wire.OK}
            cut.site.event("resumed", "actor", after=last)
    recorded = cut.recorded()
    assert set(recorded.values()) == {1}, "executed twice"
    assert len(recorded) == total, "lost"
    assert cut.resumes() == 50
    assert cut.site.status("actor")["generation"] == 1


@pytest.mark.load
def test_cuts_that_do_not_wait_for_the_resume(cut):
    """Also cuts that fall into the handshake of the resume, or before it."""
    with wire.Client(cut.site, timeout=60) as client:
        load(cut, client, calls=1500, cuts=60, size=300)
    assert cut.site.status("actor")["generation"] == 1


def test_chunks_in_both_directions(cut):
    data = bytes(n % 251 for n in range(500_000))
    with wire.Client(cut.site, timeout=60) as client:
        for n in range(12):
            last = site_last(cut.site)
            number = client.start_call("actor", "echo", data, content_type="x", timeout_ms=60000)
            os.write(cut.gate, b"x")
            outcome, message, back, _ = client.finish_call(number)
            assert outcome == wire.OK, message
            assert back == data
            cut.site.event("resumed", "actor", after=last)


def test_a_stream(cut):
    with wire.Client(cut.site, timeout=60) as client:
        number = client.start_call("actor", "pieces", b'{"count": 3000, "bytes": 1000}', timeout_ms=60000)
        pieces = 0
        while True:
            reply = client.receive("reply").reply
            if not reply.partial:
                break
            pieces += 1
            if pieces % 500 == 0:
                os.write(cut.gate, b"x")
    assert number and (reply.outcome, pieces) == (wire.OK, 3000)
    assert cut.resumes() >= 1


def test_a_cancel_in_the_cut(cut):
    with wire.Client(cut.site) as client:
        number = client.start_call("actor", "wait")
        cut.site.log_line("actor", "^waiting")
        last = site_last(cut.site)
        os.write(cut.gate, b"x")
        client.send(number, cancel=wire.pb.Cancel(reason=wire.ECANCELLED))
        assert client.finish_call(number)[0] == wire.ECANCELLED
        cut.site.event("resumed", "actor", after=last)
    cut.site.log_line("actor", "waited until PLUG_ECANCELLED")


def test_logs_are_neither_lost_nor_doubled(cut):
    with wire.Client(cut.site) as client:
        for n in range(100):
            if n % 10 == 5:
                os.write(cut.gate, b"x")
            assert client.call("actor", "log", json.dumps({"message": f"entry {n}"}).encode())[0] == wire.OK
    cut.site.log_line("actor", "^entry 99$")
    lines = [line["text"] for line in cut.site.ctl("--json", "logs", "actor").json["lines"]]
    assert [text for text in lines if text.startswith("entry")] == [f"entry {n}" for n in range(100)]


def test_stop_in_the_cut(cut):
    """DRAIN and STOP that find no connection come with the next, and the process ends in order."""
    os.write(cut.gate, b"x")
    result = cut.site.ok("stop", "actor")["results"][0]
    assert result["state"] == "stopped"
    kinds = [event["kind"] for event in cut.site.ok("events")["events"] if event["plugin"] == "actor"]
    assert "crashed" not in kinds


def test_by_hand(site):
    """What the document says, message by message: what was not acknowledged is sent again, once."""
    site.script("byhand", """
r = Rogue().start()
env = r.expect("call")
first = env.seq
r.received = first - 1          # as if CALL had never come
r.send(log=pb.Log(level=1, message="before the cut"))
sent = r.seq
welcome = r.come_back()
assert welcome.WhichOneof("body") == "welcome", welcome
say("plugd has", welcome.welcome.received, "of", sent)
again = r.expect("call")
assert (again.seq, again.id, again.call.payload) == (first, env.id, env.call.payload)
r.seq = welcome.welcome.received  # what it took is not sent again
if r.seq < sent:
    r.send(log=pb.Log(level=1, message="before the cut"))
r.reply(again.id, again.call.payload)
r.serve()
""")
    site.start()
    site.ready("byhand")
    assert site.call("byhand", "echo", {"n": 1}) == {"n": 1}
    site.event("resumed", "byhand")
    site.log_line("byhand", "^plugd has")
    lines = [line["text"] for line in site.ctl("--json", "logs", "byhand").json["lines"]]
    assert lines.count("before the cut") == 1
    assert site.status("byhand")["generation"] == 1
    assert procs.alive(site.status("byhand")["pid"])


def test_hello_again(site):
    """The connection was lost before WELCOME had come: another HELLO ends the wait for a resume."""
    site.script("again", """
r = Rogue()
r.hello()
r.expect("welcome")
while True:
    try:
        r.reconnect()
        r.hello()
        welcome = r.receive()
        break
    except (Closed, OSError):
        time.sleep(0.01)  # the old connection is not off plugd's hands yet
assert welcome.welcome.limits.call_bytes > 0
r.send(ready=pb.Ready())
r.serve()
""")
    site.start()
    site.ready("again")
    site.event("resumed", "again")
    assert site.call("again", "echo", {"n": 1}) == {"n": 1}


def test_what_is_sent_twice_is_taken_once(site):
    """A plugin that sends again what plugd has already acknowledged."""
    site.script("twice", """
r = Rogue().start()
env = r.expect("call")
r.send(log=pb.Log(level=1, message="once"))
r.send(seq=r.seq, log=pb.Log(level=1, message="once"))
r.reply(env.id, env.call.payload)
r.send(id=env.id, seq=r.seq, reply=pb.Reply(payload=b"again"))
r.serve()
""")
    site.start()
    site.ready("twice")
    for n in range(3):
        assert site.call("twice", "echo", {"n": n}) == {"n": n}
    lines = [line["text"] for line in site.ctl("--json", "logs", "twice").json["lines"]]
    assert lines.count("once") == 1
    assert site.status("twice")["generation"] == 1
