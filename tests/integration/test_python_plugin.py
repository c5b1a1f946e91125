"""docs/protocol.md is enough to write a plugin: python_plugin/plugin.py was, and uses no libplug."""

import json
import os
import pathlib
import re

import pytest

from plugtest import build, wire

PLUGIN = pathlib.Path(__file__).parent / "python_plugin" / "plugin.py"
CUTTER = build.SOURCE / "tests" / "support" / "plugtest" / "cutter.py"


def install(site, *wrapper):
    build.messages()
    site.plugin(
        "snake",
        [*wrapper, "/usr/bin/python3", PLUGIN],
        run={"env": {"PYTHONPATH": str(build.BUILD / "tests" / "python"), "PYTHONDONTWRITEBYTECODE": "1"}},
        methods={"echo": {"idempotent": True}, "stream": {"stream": True}},
    )
    site.start()
    site.ready("snake")


@pytest.fixture
def snake(site):
    install(site)
    return site


def test_it_uses_nothing_of_ours():
    text = PLUGIN.read_text()
    assert not re.search(r"plugtest|libplug\b(?! )|import (?!ctypes|json|os|sys|threading|time|plug_pb2)\w+", text.partition('"""\n\n')[2])


def test_echo(snake):
    assert snake.call("snake", "echo", {"text": "hällo"}) == {"text": "hällo"}
    snake.log_line("snake", "^welcomed by plugd 0.1.0")


@pytest.mark.parametrize("size", [0, wire.CHUNK_BYTES, wire.CHUNK_BYTES + 1, 1 << 20])
def test_long_payloads(snake, size):
    data = bytes(n % 251 for n in range(size))
    with wire.Client(snake, timeout=60) as client:
        outcome, message, back, _ = client.call("snake", "echo", data, content_type="x")
    assert outcome == wire.OK, message
    assert back == data


def test_stream(snake):
    with wire.Client(snake) as client:
        outcome, _, last, pieces = client.call("snake", "stream", b'{"count": 50, "bytes": 20000}')
    assert (outcome, last) == (wire.OK, b"{}")
    assert pieces == [b"x" * 20000] * 50


def test_cancel_of_a_stream(snake):
    with wire.Client(snake) as client:
        number = client.start_call("snake", "stream", b'{"count": 1000000, "bytes": 1000}')
        client.receive("reply")
        client.send(number, cancel=wire.pb.Cancel())
        while (env := client.receive("reply")).reply.partial:
            pass
        assert env.reply.outcome == wire.ECANCELLED
        assert client.call("snake", "echo", b"[1]")[2] == b"[1]"
    assert snake.status("snake")["generation"] == 1


def test_many_calls(snake):
    """More than one window of acknowledgements, both ways."""
    with wire.Client(snake, timeout=60) as client:
        numbers = [client.start_call("snake", "echo", b"%d" % n) for n in range(200)]
        answers = {}
        for _ in numbers:
            env = client.receive("reply")
            answers[env.id] = env.reply.payload
    assert answers == {number: b"%d" % n for n, number in enumerate(numbers)}


def test_stop(snake):
    assert snake.ok("stop", "snake")["results"][0]["state"] == "stopped"
    snake.log_line("snake", "^told to stop")
    assert "crashed" not in [event["kind"] for event in snake.ok("events")["events"]]


def await_resumed(site, last):
    """False: nng_close() did not return in the plugin, which nng 1.5.2 does once in some hundred times on a
    full machine; then plugd has to have ended it in time and its calls been answered by the next."""
    end = site.events.wait(
        lambda event: event["plugin"] == "snake" and event["seq"] > last and event["kind"] in ("resumed", "crashed"),
        build.seconds(30), f"resumed or crashed after {last}",
    )
    if end["kind"] == "resumed":
        return True
    assert "not resumed within 5 s" in end["detail"], end
    said = [line["text"] for line in site.ok("logs", "snake")["lines"] if line["generation"] == end["generation"]]
    assert said[-1] == "closing", said
    return False


def test_resume(site):
    fifo = site.fifo("cut")
    install(site, "/usr/bin/python3", CUTTER, fifo)
    gate = os.open(fifo, os.O_WRONLY)
    with wire.Client(site, timeout=60) as client:
        for turn in range(5):
            last = site.events.seen[-1]["seq"]
            numbers = [client.start_call("snake", "echo", json.dumps([turn, n]).encode()) for n in range(50)]
            os.write(gate, b"x")
            answers = {}
            for _ in numbers:
                env = client.receive("reply")
                assert env.id not in answers and env.reply.outcome == wire.OK, env
                answers[env.id] = json.loads(env.reply.payload)
            assert answers == {number: [turn, n] for n, number in enumerate(numbers)}
            if not await_resumed(site, last):
                pytest.xfail("nng_close() of nng 1.5.2 did not return")
    os.close(gate)
    assert site.status("snake")["generation"] == 1
    assert site.ok("stats", "snake")["plugins"][0]["session_resumes"] == 5
