"""What a plugin may send that it must not: its session ends, its process is replaced, nobody else notices."""

import re
import time

import pytest

from plugtest import build, procs, wire

HANDSHAKES = {
    "nothing, closed": "Pair(environment_address(), handshake=False).close()",
    "half a handshake": "p = Pair(environment_address(), handshake=False); p.send_raw(b'\\0SP'); p.close()",
    "another protocol": "p = Pair(environment_address(), handshake=False); p.send_raw(b'\\0SP\\0\\0\\x30\\0\\0')",
    "text": "p = Pair(environment_address(), handshake=False); p.send_raw(b'GET / HTTP/1.1\\r\\n\\r\\n' * 100)",
    "closed before the answer": """
s = socket.socket(socket.AF_UNIX); s.connect(environment_address())
s.send(b'\\0SP\\0\\0\\x11\\0\\0'); s.close()
""",
}


@pytest.mark.parametrize("how", HANDSHAKES)
def test_a_broken_handshake_of_nng(site, how):
    """It costs that generation at most: never the listener of another, never plugd."""
    site.actor("good")
    site.script("broken", HANDSHAKES[how] + "\nos._exit(3)", run={"backoff": {"min": "1ms", "max": "2ms"}})
    site.start()
    site.ready("good")
    site.event("quarantined", "broken")
    assert site.call("good", "echo", {"n": 1}) == {"n": 1}
    assert site.status("good")["generation"] == 1


def test_the_next_generation_has_a_listener_of_its_own(site):
    """nng 1.5 loses a listener for good in this way, so every generation has its own."""
    site.script("clumsy", """
if GENERATION == 1:
    Pair(environment_address(), handshake=False).close()
    os._exit(3)
Rogue().start().serve()
""")
    site.start()
    site.event("crashed", "clumsy", generation=1)
    site.ready("clumsy", generation=2)


VIOLATIONS = {
    # what it does after READY: (script, what is said of it)
    "no protobuf": ("r.pair.send_bytes(b'\\xff' * 64)", "not an Envelope"),
    "empty": ("r.pair.send_bytes(b'')", "not an Envelope"),
    "no body": ("r.pair.send_bytes(pb.Envelope(id=7, seq=2).SerializeToString())", "not an Envelope"),
    "above 64 KiB": ("r.send(log=pb.Log(message='x' * 70000))", "64 KiB"),
    "unknown call": ("r.reply(4711)", "does not have"),
    "unknown call, chunk": ("r.send(id=4711, chunk=pb.Chunk(data=b'x', last=True))", "does not have"),
    "another generation": ("r.send(generation=GENERATION + 1, log=pb.Log(message='x'))", "generation"),
    "position skipped": ("r.send(seq=99, log=pb.Log(message='x'))", "out of order"),
    "without a position": ("r.send(seq=0, log=pb.Log(message='x'))", "out of order"),
    "acknowledges the future": ("r.send(ack=99, log=pb.Log(message='x'))", "never sent"),
    "hello again": ("r.hello()", "second HELLO"),
    "what only plugd sends": ("r.send(drain=pb.Drain())", "does not send"),
    "a call": ("r.send(id=1, call=pb.Call(plugin='good', method='echo'))", "does not send"),
    "a request": ("r.send(request=admin.Request(list={}))", "does not send"),
    "resume with a wrong nonce": ("r.nonce = bytes(16); r.come_back()", "nonce"),
    "resume of another generation": ("r.come_back(generation=GENERATION + 1)", "generation"),
    "resume from the future": ("r.come_back(received=99)", "never sent"),
}


@pytest.mark.parametrize("what", VIOLATIONS)
def test_a_violation_ends_the_process(site, what):
    script, said = VIOLATIONS[what]
    site.actor("good")
    site.script("bad", f"""
r = Rogue().start()
if GENERATION == 1:
    {script}
    wait_forever()
r.serve()
""", run={"stop_timeout": "200ms"})
    site.start()
    site.ready("good")
    pid = site.ready("bad", generation=1)["pid"]
    event = site.event("violation", "bad", generation=1)
    assert said in event["detail"]
    if "wrong nonce" in what or "resume of another" in what:
        site.event("failed", "bad", generation=1)
    else:
        site.event("crashed", "bad", "protocol violation", generation=1)
        site.ready("bad", generation=2)
    assert not procs.alive(pid)
    assert site.call("good", "echo", {"n": 1}) == {"n": 1}


BEFORE_WELCOME = {
    "ready first": ("r.send(ready=pb.Ready())", "not HELLO"),
    "garbage first": ("r.pair.send_bytes(b'\\x00\\x01garbage')", "not an Envelope"),
    "reply first": ("r.reply(1)", "not HELLO"),
}


@pytest.mark.parametrize("what", BEFORE_WELCOME)
def test_a_violation_before_welcome(site, what):
    script, said = BEFORE_WELCOME[what]
    site.script("bad", f"r = Rogue(); {script}; wait_forever()",
                run={"backoff": {"min": "1ms", "max": "2ms"}, "stop_timeout": "200ms"})
    site.start()
    assert said in site.event("violation", "bad")["detail"]
    site.event("quarantined", "bad")


FRAMES = {
    "a length of 2^62": "r.pair.send_raw(b'\\x01' + struct.pack('>Q', 1 << 62) + b'x' * 100)",
    "a length above the limit": "r.pair.send_raw(b'\\x01' + struct.pack('>Q', 2 << 20) + b'x' * 100)",
    "all of 2 MiB": "r.pair.send_bytes(b'x' * (2 << 20))",
    "a length below a header": "r.pair.send_raw(b'\\x01' + struct.pack('>Q', 2) + b'xx')",
    "a type that is not one": "r.pair.send_raw(b'\\x07' + struct.pack('>Q', 10) + b'x' * 10)",
    "too many hops": "r.pair.send_raw(b'\\x01' + struct.pack('>QI', 8, 255) + b'xxxx')",
    "truncated": "r.pair.send_raw(b'\\x01' + struct.pack('>QI', 1000, 1) + b'x' * 10)",
    "truncated in the length": "r.pair.send_raw(b'\\x01\\0\\0')",
}


@pytest.mark.parametrize("what", FRAMES)
def test_a_frame_that_is_none(site, what):
    """nng drops the connection; a session that is not resumed within 5 s is given up."""
    site.actor("good")
    site.script("bad", f"""
r = Rogue().start()
if GENERATION == 1:
    try:
        {FRAMES[what]}
    except OSError:
        pass  # closed while it was being written
    r.pair.close()
    wait_forever()
r.serve()
""")
    site.start()
    site.ready("good")
    pid = site.ready("bad", generation=1)["pid"]
    site.event("crashed", "bad", "lost and not resumed|violation", generation=1)
    assert not procs.alive(pid)
    site.ready("bad", generation=2)
    assert site.call("good", "echo", {"n": 1}) == {"n": 1}


REPLIES = {
    "twice": ("r.reply(env.id); r.reply(env.id)", "does not have", wire.OK),
    "of another id": ("r.reply(env.id + 1)", "does not have", wire.EGONE),
    "a piece, not a stream": ("r.reply(env.id, partial=True)", "not one", wire.EGONE),
    "a chunk without its reply": ("r.send(id=env.id, chunk=pb.Chunk(data=b'x', last=True))",
                                  "without a REPLY", wire.EGONE),
    "a reply among its chunks": ("r.reply(env.id, more=True); r.reply(env.id)", "before the last CHUNK",
                                 wire.EGONE),
    "a chunk after the last": ("r.reply(env.id, more=True); r.send(id=env.id, chunk=pb.Chunk(last=True)); "
                               "r.send(id=env.id, chunk=pb.Chunk(last=True))", "does not have", wire.OK),
}


@pytest.mark.parametrize("what", REPLIES)
def test_a_reply_that_is_wrong(site, what):
    script, said, outcome = REPLIES[what]
    site.script("bad", f"""
def answer(r, env):
    if GENERATION == 1:
        {script}
    else:
        r.reply(env.id)
Rogue().start().serve(answer)
""")
    site.start()
    site.ready("bad", generation=1)
    with wire.Client(site) as client:
        assert client.call("bad", "echo")[0] == outcome
        assert said in site.event("violation", "bad", generation=1)["detail"]
        site.ready("bad", generation=2)
        assert client.call("bad", "echo")[0] == wire.OK, "the session of the client is whole"


def test_an_outcome_that_is_not_in_the_table(site):
    site.script("odd", "Rogue().start().serve(lambda r, env: r.reply(env.id, outcome=4711, message='?'))")
    site.start()
    site.ready("odd")
    with wire.Client(site) as client:
        outcome, message, _, _ = client.call("odd", "echo")
    assert outcome != wire.OK
    assert site.ctl("call", "odd", "echo").status == 1
    assert message == "?"


def test_text_that_is_not_utf8(site):
    """What a plugin says may hold NUL, controls and invalid UTF-8: reports stay JSON and clean."""
    site.script("odd", r"""
r = Rogue(); r.hello(); r.expect("welcome")
bad = pb.Failed(code=EPLUGIN, message="cut")
raw = pb.Envelope(generation=GENERATION, seq=1, ack=r.received, failed=bad).SerializeToString()
r.pair.send_bytes(raw.replace(b"cut", b"\xff\x1b["))
""")
    site.start()
    site.event("failed", "odd", "in flight")
    status = site.status("odd")
    assert status["state"] == "failed"
    shown = site.ctl_on_terminal("status", "odd").out
    assert "\\x1b[" in shown, "shown, but not as a control"
    assert not re.search(r"\x1b(?!\[[0-9;]*m)", shown), "colours of plugctl's own only"


def test_a_session_that_is_not_resumed(site):
    site.script("lost", """
r = Rogue().start()
if GENERATION == 1:
    say("cut")
    r.pair.close()
    wait_forever()
r.serve()
""")
    site.start()
    pid = site.ready("lost", generation=1)["pid"]
    site.log_line("lost", "^cut")
    with wire.Client(site) as client:
        number = client.start_call("lost", "echo", timeout_ms=60000)
        event = site.event("crashed", "lost", "lost and not resumed", pid=pid)
        assert client.finish_call(number)[0] in (wire.EGONE, wire.OK)
    assert event["generation"] == 1
    site.ready("lost", generation=2)


def test_two_sessions_of_one_process(site):
    """A second connection while the first is up gets nothing, and the first is not disturbed."""
    site.script("two", """
r = Rogue().start()
try:
    Pair(environment_address()).wait_closed()
    say("closed")
except (Closed, OSError):
    say("refused")
r.serve()
""")
    site.start()
    site.ready("two")
    site.log_line("two", "^(closed|refused)$")
    for n in range(3):
        assert site.call("two", "echo", {"n": n}) == {"n": n}
    assert site.status("two")["generation"] == 1


def test_unknown_fields_are_ignored(site):
    """A newer plugin may say more than this plugd understands."""
    site.script("newer", """
r = Rogue()
hello = pb.Hello(protocol_min=1, protocol_max=3, name=NAME, version="1.0.0", contract="interface", token=TOKEN)
raw = pb.Envelope(generation=GENERATION, hello=hello).SerializeToString()
r.pair.send_bytes(raw + b"\\xfa\\x7f\\x05hello")
say("chosen", r.expect("welcome").welcome.protocol)
r.send(ready=pb.Ready())
r.serve()
""")
    site.start()
    site.ready("newer")
    site.log_line("newer", "^chosen 1$")


def test_a_flood_of_messages(site):
    """Logs as fast as the session takes them: calls of another plugin go on."""
    site.actor("good")
    site.script("loud", """
r = Rogue().start()
for n in range(5000):
    r.send(log=pb.Log(level=1, message="line %d" % n))
    if n % 64 == 0:
        r.take_what_is_there()
say("said all")
r.serve()
""")
    site.start()
    site.ready("good")
    site.ready("loud")
    with wire.Client(site) as client:
        for n in range(200):
            assert client.call("good", "echo", b"%d" % n)[2] == b"%d" % n
    # Not by a follower: who does not keep up with a flood is told how much it missed, with the next line.
    deadline = time.monotonic() + build.seconds(60)
    while "said all" not in site.ctl("logs", "loud").out:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stats = site.ok("stats", "loud")["plugins"][0]
    assert stats["log_lines"] >= 5000


def test_a_plugin_that_does_not_read(site):
    """plugd never blocks on it: its calls time out, those of another go on."""
    site.actor("good")
    site.script("deaf", "Rogue().start(); say('deaf'); wait_forever()", run={"stop_timeout": "200ms"})
    site.start()
    site.ready("good")
    site.ready("deaf")
    with wire.Client(site) as client:
        held = [client.start_call("deaf", "echo", b'"' + b"x" * 40000 + b'"', timeout_ms=2000)
                for _ in range(200)]
        with wire.Client(site) as other:
            for n in range(100):
                assert other.call("good", "echo", b"%d" % n)[2] == b"%d" % n
        outcomes = {}
        while len(outcomes) < len(held):
            env = client.receive("reply")
            outcomes[env.id] = env.reply.outcome
    assert set(outcomes.values()) <= {wire.ETIMEOUT, wire.EGONE}
    assert build.seconds(1) > 0


def test_beyond_the_window(site):
    """A plugin that goes on sending to a caller who does not read holds plugd's memory: a violation."""
    site.script("pushy", """
def push(r, env):
    for n in range(400):
        r.reply(env.id, b"x" * 40000, partial=True)
    r.reply(env.id)
Rogue(["stream~"]).start().serve(push if GENERATION == 1 else None)
""", methods={"stream": {"stream": True}})
    site.start()
    site.ready("pushy", generation=1)
    with wire.Client(site) as client:
        number = client.start_call("pushy", "stream")
        event = site.event("violation", "pushy", generation=1)
        assert "window" in event["detail"]
        while (env := client.receive("reply")).reply.partial:
            pass
        assert (env.id, env.reply.outcome) == (number, wire.EGONE)
    site.ready("pushy", generation=2)
