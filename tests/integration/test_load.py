"""Many at once: clients, calls, streams, prints, deaths and restarts."""

import collections
import json
import threading

import pytest

from plugtest import build, wire

pytestmark = pytest.mark.load


def in_threads(*functions):
    """Run all to their end; the first failure fails the test."""
    failures = []

    def run(function):
        try:
            function()
        except BaseException as failure:  # noqa: B902  (it is raised again)
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def pipelined(client, calls, width, make):
    """So many calls, at most `width` in flight; outcomes by number."""
    started, outcomes = 0, {}
    while len(outcomes) < calls:
        while started < calls and started - len(outcomes) < width:
            make(client, started)
            started += 1
        env = client.receive()
        if env.WhichOneof("body") == "reply" and not env.reply.partial and not env.reply.more:
            assert env.id not in outcomes, "an outcome came twice"
            outcomes[env.id] = env.reply.outcome
        elif env.WhichOneof("body") == "chunk" and env.chunk.last:
            outcomes[env.id] = wire.OK
    return collections.Counter(outcomes.values())


def test_clients_at_once(site):
    """Eight clients, each with calls, chunks and streams of its own."""
    site.actor("a")
    site.actor("b")
    site.start()
    site.ready("a")
    site.ready("b")
    long = b"x" * 100_000

    def make(client, n):
        plugin = "ab"[n % 2]
        if n % 7 == 0:
            client.start_call(plugin, "pieces", b'{"count": 10, "bytes": 3000}')
        elif n % 5 == 0:
            client.start_call(plugin, "sink", long, content_type="application/octet-stream")
        elif n % 3 == 0:
            client.start_call(plugin, "log", json.dumps({"message": f"call {n}"}).encode())
        else:
            client.start_call(plugin, "echo", b"%d" % n)

    def work():
        with wire.Client(site, timeout=60) as client:
            assert pipelined(client, 300, 32, make) == {wire.OK: 300}

    in_threads(*[work] * 8)
    assert sum(one["ok"] for one in site.ok("stats")["plugins"]) == 2400


def test_under_deaths(site):
    """A plugin that is killed again and again while four clients call it: every call has one outcome, what is
    idempotent succeeds or was seen by two generations, and nothing else is executed twice."""
    record = site.root / "record"
    site.actor(run={"backoff": {"min": "0ms", "max": "0ms"}, "max_failures": 0},
               methods={"record": {}, "echo": {"idempotent": True}})
    site.start()
    site.ready()
    done = threading.Event()

    def payload(name, n):
        return json.dumps({"file": str(record), "text": f"{name}-{n}"}).encode()

    def work(name):
        def make(client, n):
            if n % 2:
                client.start_call("actor", "echo", b"%d" % n, timeout_ms=60000)
            else:
                client.start_call("actor", "record", payload(name, n), timeout_ms=60000)

        def run():
            with wire.Client(site, timeout=60) as client:
                outcomes = pipelined(client, 400, 16, make)
            assert set(outcomes) <= {wire.OK, wire.EGONE}, outcomes
            assert sum(outcomes.values()) == 400

        return run

    def kill():
        with wire.Client(site, timeout=60) as client:
            for generation in range(1, 16):
                assert client.call("actor", "die", b'{"signal": 9}', timeout_ms=60000)[0] == wire.EGONE
                site.ready(generation=generation + 1)
        done.set()

    in_threads(kill, *[work(name) for name in "pqrs"])
    assert done.is_set()
    recorded = collections.Counter(line.split()[1] for line in record.read_text().splitlines())
    assert set(recorded.values()) == {1}, "executed twice"
    assert site.word("actor") == "ready"


def test_starts_and_stops_at_once(site):
    """Operators that contradict each other: every request is answered, and the end is in order."""
    for name in "abc":
        site.actor(name)
    site.start()
    for name in "abc":
        site.ready(name)

    def operate(verb):
        def run():
            for _ in range(10):
                done = site.ctl("--json", verb, "a", "b", "c")
                assert done.status in (0, 1), done
                assert len(done.json["results"]) == 3

        return run

    in_threads(operate("restart"), operate("stop"), operate("start"), operate("restart"))
    assert site.ok("start", "a", "b", "c")["results"][2]["state"] == "ready"
    for name in "abc":
        assert site.call(name, "echo", {"n": 1}) == {"n": 1}


def test_followers_under_load(site):
    site.actor()
    site.start()
    site.ready()
    followers = [site.follow("logs", "actor", "-f", "-n", "0") for _ in range(4)]
    followers += [site.follow("events", "-f", "-n", "0") for _ in range(4)]
    with wire.Client(site, timeout=60) as client:
        for n in range(100):
            assert client.call("actor", "say", json.dumps({"text": f"line {n}\n", "times": 10}).encode())[0] == wire.OK
    site.ok("restart", "actor")
    for follower in followers[:4]:
        follower.wait(lambda line: line["text"] == "line 99", build.seconds(30), "last line")
    for follower in followers[4:]:
        follower.wait(lambda event: event["kind"] == "ready" and event["generation"] == 2, build.seconds(30), "event")
