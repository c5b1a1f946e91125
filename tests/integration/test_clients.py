"""plugd.sock and those who come to it: one that misbehaves loses its own session and nothing else."""

import os
import re
import select
import socket

import pytest

from plugtest import build, procs, wire

pb, admin = wire.pb, wire.admin


@pytest.fixture
def actor(site):
    site.actor()
    site.start()
    site.ready()
    return site


def still_serves(site):
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


BEFORE_HELLO = {
    "garbage": lambda c: c.send_raw(os.urandom(500)),
    "an empty body": lambda c: c.send_raw(pb.Envelope(id=3).SerializeToString()),
    "too long": lambda c: c.send_raw(b"\0" * (wire.MESSAGE_BYTES + 1)),
    "a call first": lambda c: c.send(1, call=pb.Call(plugin="actor", method="echo")),
    "a request first": lambda c: c.send(1, request=admin.Request(list={})),
    "half an envelope": lambda c: c.send_raw(
        pb.Envelope(client_hello=pb.ClientHello(protocol_min=1, protocol_max=1)).SerializeToString()[:-1]
    ),
}


@pytest.mark.parametrize("what", BEFORE_HELLO)
def test_garbage_before_hello(actor, what):
    with wire.Client(actor) as witness, wire.Client(actor, hello=False) as client:
        BEFORE_HELLO[what](client)
        assert client.is_closed()
        assert witness.call("actor", "echo")[0] == wire.OK


AFTER_HELLO = {
    "garbage": lambda c: c.send_raw(os.urandom(500)),
    "too long": lambda c: c.send_raw(b"\0" * (wire.MESSAGE_BYTES + 1)),
    "what only plugd sends": lambda c: c.send(1, reply=pb.Reply()),
    "what only plugins send": lambda c: c.send(1, ready=pb.Ready()),
    "hello again": lambda c: c.send(client_hello=pb.ClientHello(protocol_min=1, protocol_max=1)),
    "a call with id 0": lambda c: c.send(0, call=pb.Call(plugin="actor", method="echo")),
    "a request with id 0": lambda c: c.send(0, request=admin.Request(list={})),
    "an id in use": lambda c: [
        c.send(9, call=pb.Call(plugin="actor", method="wait")),
        c.send(9, call=pb.Call(plugin="actor", method="wait")),
    ],
    "a chunk too many": lambda c: [
        c.send(9, call=pb.Call(plugin="actor", method="wait")),
        c.send(9, chunk=pb.Chunk(data=b"x", last=True)),
    ],
}


@pytest.mark.parametrize("what", AFTER_HELLO)
def test_garbage_after_hello(actor, what):
    with wire.Client(actor) as witness, wire.Client(actor) as client:
        AFTER_HELLO[what](client)
        assert client.is_closed()
        assert witness.call("actor", "echo")[0] == wire.OK


def test_a_cancel_for_nothing_is_no_offence(actor):
    """The answer may have been on its way."""
    with wire.Client(actor) as client:
        client.send(77, cancel=pb.Cancel())
        client.send(77, chunk=pb.Chunk(data=b"x"))
        assert client.call("actor", "echo")[0] == wire.OK


def test_no_protocol_in_common(actor):
    with wire.Client(actor, hello=False) as client:
        client.send(client_hello=pb.ClientHello(protocol_min=8, protocol_max=9, name="future"))
        refused = client.receive("refused").refused
        assert (refused.code, refused.protocol_min, refused.protocol_max) == (17, 1, 1)
        assert client.is_closed()


def test_a_wrong_token(actor):
    with wire.Client(actor, hello=False) as client:
        client.send(client_hello=pb.ClientHello(protocol_min=1, protocol_max=1, token=b"0" * 16))
        assert client.receive("refused").refused.code == wire.EDENIED
        assert client.is_closed()


def test_one_that_says_nothing_is_sent_away(actor):
    with wire.Client(actor, hello=False) as client:
        assert client.is_closed(timeout=10), "no CLIENT_HELLO within 5 s"
    still_serves(actor)


def test_a_stream_socket_is_no_client(actor):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        with pytest.raises(OSError):
            sock.connect(str(actor.socket_path))
    still_serves(actor)


def test_a_hundred_clients_vanish_in_a_call(actor):
    """Their calls are cancelled, the plugin is free again, nothing is left of them."""
    before = open_sockets(actor)
    clients = []
    for n in range(100):
        client = wire.Client(actor, name=f"client {n}")
        client.start_call("actor", "wait" if n % 2 else "echo", b'"' + b"x" * (n * 400) + b'"')
        clients.append(client)
    actor.log_line("actor", "^waiting")
    for client in clients:
        client.close()
    with wire.Client(actor) as client:
        # A call that has to wait for a free worker is served only once the others are gone.
        assert client.call("actor", "echo", b'{"n": 1}')[2] == b'{"n": 1}'
        drained(actor, client)
    assert open_sockets(actor) == before


def open_sockets(site):
    """Of plugd, once what plugctl left is gone; None for who may not look."""
    pid = site.pid  # who asks for it first is a client for a moment
    with wire.Client(site) as probe:
        clients_left(probe, 1)
        try:
            return sum(what.startswith("socket:") for what in procs.descriptors(pid).values())
        except PermissionError:
            return None


def clients_left(probe, count):
    """Until only so many are there besides this one: what follows events is one."""
    for _ in range(100000):
        if probe.request(status={})[0].daemon.clients == count + 1:
            return
    raise AssertionError("clients that vanished are still there")


def drained(site, client):
    """Until no call is in flight: each look is a round trip through the plugin, not a pause."""
    for _ in range(10000):
        calls = client.request(status={"name": "actor"})[0].plugin.calls
        if not calls:
            return
        assert client.call("actor", "echo")[0] == wire.OK
    raise AssertionError(f"calls of clients that vanished are still there: {calls}")


def test_clients_that_connect_and_vanish(actor):
    before = open_sockets(actor)
    for n in range(300):
        with wire.Client(actor, hello=n % 3 > 0) as client:
            if n % 3 == 2:
                client.start_call("actor", "echo", b"[1]")
    assert open_sockets(actor) == before
    still_serves(actor)


def test_a_call_that_never_gets_its_last_chunk(actor):
    with wire.Client(actor) as client:
        client.send(1, call=pb.Call(plugin="actor", method="sink", payload=b"x", more=True, timeout_us=300000))
        env = client.receive("reply")
        assert env.reply.outcome == wire.ETIMEOUT
        client.last_id = 1
        assert client.call("actor", "echo")[0] == wire.OK


def test_a_half_sent_call_is_forgotten_with_its_client(actor):
    with wire.Client(actor) as client:
        client.send(1, call=pb.Call(plugin="actor", method="sink", payload=b"x" * 40000, more=True))
    still_serves(actor)
    assert actor.status("actor")["calls"] == []


def test_too_many_clients(site):
    site.actor()
    site.configure({"limits": {"clients": 8}})
    site.start()
    site.ready()
    site.events.close()
    site.followers.clear()
    clients = []
    with wire.Client(site) as probe:
        clients_left(probe, 0)
    for _ in range(8):
        clients.append(wire.Client(site))
    with wire.Client(site, hello=False) as late:
        refused = late.receive("refused").refused
        assert refused.code == wire.EOVERLOADED
        assert "limits.clients" in refused.message
        assert late.is_closed()
    assert site.ctl("list").status != 0
    assert clients[0].call("actor", "echo")[0] == wire.OK
    clients.pop().close()
    clients_left(clients[0], 6)
    with wire.Client(site) as another:
        assert another.call("actor", "echo")[0] == wire.OK
    for client in clients:
        client.close()


def test_a_client_that_does_not_read(site):
    """Its replies are bounded, then it is disconnected; others are served all the while."""
    site.actor()
    site.configure({"limits": {"client_queue_bytes": "256KiB", "calls_per_client": 1000}})
    site.start()
    site.ready()
    payload = b'"' + b"x" * 40000 + b'"'
    with wire.Client(site) as lazy:
        try:
            for _ in range(200):
                lazy.start_call("actor", "echo", payload)
        except OSError:
            pass  # disconnected already
        with wire.Client(site) as other:
            for n in range(100):
                assert other.call("actor", "echo", b"%d" % n)[2] == b"%d" % n
        assert lazy.is_closed()
    assert "does not read" in site.log_text()


@pytest.mark.memory
def test_a_slow_reader_of_a_stream_bounds_memory(site):
    """64 MiB of pieces, read slowly: the window stops the plugin, plugd holds little."""
    site.actor()
    site.start()
    site.ready()
    pid = site.pid
    with wire.Client(site, timeout=60) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        assert client.call("actor", "pieces", b'{"count": 100, "bytes": 32768}')[0] == wire.OK
        before = procs.rss_bytes(pid)
        number = client.start_call("actor", "pieces", b'{"count": 2000, "bytes": 32768}', timeout_ms=60000)
        pieces, most = 0, 0
        with wire.Client(site) as other:
            while True:
                if pieces % 100 == 0:
                    assert other.call("actor", "echo")[0] == wire.OK
                    most = max(most, procs.rss_bytes(pid) - before)
                reply = client.receive("reply").reply
                if not reply.partial:
                    break
                assert len(reply.payload) == 32768
                pieces += 1
    assert (reply.outcome, pieces) == (wire.OK, 2000)
    assert most < 4 << 20, f"plugd grew by {most} bytes"
    assert number


def test_a_follower_that_does_not_read_loses_lines_not_its_session(actor):
    with wire.Client(actor) as lazy:
        lazy.send(1, request=admin.Request(logs=admin.LogsRequest(name="actor", follow=True)))
        lazy.last_id = 1
        for n in range(60):
            actor_say = {"text": "x" * 1000 + "\n", "times": 200}
            with wire.Client(actor) as other:
                assert other.call("actor", "say", repr(actor_say).replace("'", '"').replace("\n", "\\n").encode())[0] == 0
        dropped = 0
        while select.select([lazy.sock], [], [], build.seconds(1))[0]:
            dropped += lazy.receive("response").response.logs.dropped
        with wire.Client(actor) as other:
            assert other.call("actor", "say", b'{"text": "one more\\n"}')[0] == wire.OK
        dropped += lazy.receive("response").response.logs.dropped
        assert dropped > 0
        number = lazy.start_call("actor", "echo")
        while lazy.receive().id != number:
            pass


def test_another_user_is_turned_away(site):
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    site.actor()
    site.start()
    site.ready()
    os.chmod(site.root, 0o711)
    done = site.ctl_start("list", user="nobody", group="nogroup")
    _, err = done.communicate(timeout=build.seconds(20))
    assert done.returncode in (1, 3)
    assert "ermi" in err, "the directory or the door says why"


def test_the_socket_is_ours_alone(actor):
    assert os.stat(actor.runtime).st_mode & 0o777 == 0o700
    assert os.stat(actor.socket_path).st_mode & 0o077 == 0
