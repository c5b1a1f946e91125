"""The plugins of this repository, run from the build tree as a newcomer runs them."""

import json
import shutil
import subprocess

import pytest

from plugtest import build, procs, wire

GPT2 = build.BUILD / "plugins" / "models" / "gpt2"


@pytest.fixture
def shipped(site):
    site.plugins = build.BUILD / "plugins"
    site.start()
    site.ready("echo")
    return site


def test_every_manifest_is_valid(shipped):
    assert shipped.ctl("validate", shipped.plugins).status == 0
    assert shipped.ok("list")["bad"] == []


def test_methods_of_echo(shipped):
    assert shipped.call("echo", "echo", {"text": "hello"}) == {"text": "hello"}
    assert shipped.call("echo", "sleep", {"ms": 1}) is None
    done = shipped.ctl("--json", "call", "echo", "stream", "count=3")
    assert done.lines[:3] == [{"piece": 0}, {"piece": 1}, {"piece": 2}]
    done = shipped.ctl("call", "echo", "fail", "message=no", "code=14")
    assert done.status == 1 and "no" in done.err
    assert shipped.ctl("call", "echo", "sleep", "ms=-1").status == 1
    assert shipped.ctl("call", "echo", "sleep", "ms=soon").status == 1
    assert shipped.ctl("--timeout", "200ms", "call", "echo", "hang").status == 5
    procs.Watched(shipped.status("echo")["pid"]).kill()  # it would keep the end waiting
    shipped.ready("echo", generation=2)


def test_echo_comes_back(shipped):
    assert shipped.ctl("call", "echo", "crash", "signal=ABRT").status == 1
    shipped.ready("echo", generation=2)
    assert shipped.ok("crashes", "echo")["crashes"][0]["signal_name"] == "SIGABRT"
    assert shipped.call("echo", "echo", {"n": 1}) == {"n": 1}


def test_programs_started_by_hand(shipped):
    """They say what they are and how to run them."""
    for program in build.BUILD.glob("plugins/*/*/*-plugin"):
        done = subprocess.run([program], capture_output=True, text=True, env=shipped.environment())
        assert done.returncode == 2
        assert "plugd" in done.stderr


def test_gpt2_generates_and_comes_back(shipped):
    if not (GPT2 / "gpt2-plugin").exists():
        pytest.skip("gpt2 is not built here")
    shipped.ready("gpt2", timeout=60)
    words = {"prompt": "The whole family", "max_tokens": 12, "temperature": 0}
    with wire.Client(shipped, timeout=60) as client:
        outcome, message, _, pieces = client.call("gpt2", "generate", json.dumps(words).encode())
        assert outcome == wire.OK, message
        text = "".join(json.loads(piece)["text"] for piece in pieces)
        assert len(pieces) > 3 and text.strip()
        procs.Watched(shipped.status("gpt2")["pid"]).kill()
        shipped.ready("gpt2", generation=2, timeout=60)
        again = client.call("gpt2", "generate", json.dumps(words).encode())[3]
    assert "".join(json.loads(piece)["text"] for piece in again) == text, "greedy decoding is deterministic"


def test_gpt2_is_cancelled(shipped):
    if not (GPT2 / "gpt2-plugin").exists():
        pytest.skip("gpt2 is not built here")
    shipped.ready("gpt2", timeout=60)
    outcomes = []
    with wire.Client(shipped, timeout=60) as client:
        while len(outcomes) < 50 and wire.ECANCELLED not in outcomes:  # its context is full after a moment
            number = client.start_call("gpt2", "generate", b'{"prompt": "A", "max_tokens": 100000, "temperature": 1}')
            client.receive("reply")
            client.send(number, cancel=wire.pb.Cancel(reason=wire.ECANCELLED))
            while (env := client.receive("reply")).reply.partial:
                pass
            outcomes.append(env.reply.outcome)
        assert outcomes[-1] == wire.ECANCELLED and set(outcomes[:-1]) <= {wire.OK}
        assert client.call("gpt2", "info")[0] == wire.OK


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "no weights": lambda path: path.unlink(),
    "garbage": lambda path: path.write_bytes(b"\xff" * 5000),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_gpt2_with_a_damaged_model_is_failed(site, what):
    """A clear reason, and no restart loop."""
    if not (GPT2 / "gpt2-plugin").exists():
        pytest.skip("gpt2 is not built here")
    shutil.copytree(GPT2, site.plugins / "gpt2")
    DAMAGE[what](site.plugins / "gpt2" / "model" / "model.safetensors")
    site.start()
    site.event("failed", "gpt2", "in flight", timeout=60)
    status = site.status("gpt2")
    assert (status["state"], status["generation"]) == ("failed", 1)
    assert "model.safetensors" in status["why"]
