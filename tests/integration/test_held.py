"""A caller sees the end of a process before plugd does: its call waits in plugd, and goes to another process."""

import json
import signal
import time

import pytest

from plugtest import build, channel, procs, wire

HOUR = {"backoff": {"min": "1h", "max": "1h"}}
HOLD_S = 1  # HOLD_MS of supervisor/serve/held.c


def until(condition, what, timeout=20):
    deadline = time.monotonic() + build.seconds(timeout)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def whole(site):
    def is_whole():
        status = site.status("actor")
        return (status["ready"], status["standby_ready"]) == (status["instances"], status["standby"])

    return is_whole


def started(site, **run):
    site.actor("actor", run=run)
    site.start()
    until(whole(site), "all are ready")
    return site.status("actor")["pid"]


def send(client, on, at=1, **fields):
    """A call that says of which channel, which is open, the process has died."""
    number = client.next_id()
    call = wire.pb.Call(plugin="actor", method="record-twice", payload=b'{"file": "/dev/null", "text": "x"}', again=True,
                        died_channel=on, died_number=at, **fields)
    client.send(number, call=call)
    return number


def reply(client, number):
    env = client.receive("reply")
    assert env.id == number
    return env.reply


def answered_by(client, number):
    """The generation."""
    answer = reply(client, number)
    assert answer.outcome == wire.OK, answer
    return json.loads(answer.payload)["generation"]


def queued(site):
    return site.status("actor")["queued"]


class Held:
    """While calls are held: what is done in the block comes within the second, or shows nothing."""

    def __init__(self, site, count=1):
        self.began = time.monotonic()
        until(lambda: queued(site) == count or time.monotonic() - self.began > HOLD_S, "it is held")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if time.monotonic() - self.began > 0.9 * HOLD_S:
            pytest.skip("this machine was busy for a second")


def kill(pid):
    with procs.Watched(pid) as process:
        process.kill(signal.SIGKILL)


def test_it_goes_to_the_spare(site):
    pid = started(site, standby=1, **HOUR)
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        number = send(client, c.grant.channel)
        with Held(site):
            kill(pid)
        assert answered_by(client, number) == 2
        c.close()
    assert queued(site) == 0


def test_it_goes_to_the_next_process(site):
    pid = started(site, backoff={"min": "1ms", "max": "1ms"})
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        numbers = {send(client, c.grant.channel, at) for at in range(1, 6)}
        with Held(site, len(numbers)):
            kill(pid)
        answers = [client.receive("reply") for _ in numbers]
        assert {env.id for env in answers} == numbers
        assert {(env.reply.outcome, env.reply.payload) for env in answers} == {(wire.OK, b'{"generation":2}')}
        c.close()


def test_another_instance_is_no_way_out_while_nobody_knows(site):
    """Whose channel it was is dead or not: what the other one has is nothing to it."""
    pids = {one["pid"] for one in (started(site, instances=2, **HOUR), site.status("actor"))[1]["instance_list"]}
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        dead = next(one["pid"] for one in site.status("actor")["instance_list"] if one["generation"] == c.grant.generation)
        assert dead in pids
        number = send(client, c.grant.channel)
        with Held(site):
            kill(dead)
        assert answered_by(client, number) != c.grant.generation
        c.close()


def test_as_soon_as_it_takes_no_calls(site):
    """It says that it cannot go on, and takes five seconds to end: the others have the call at once."""
    site.actor("actor", "--stop-deaf", run={"instances": 6, "stop_timeout": "5s", **HOUR})
    site.start()
    until(whole(site), "all are ready")
    took = []
    with wire.Client(site) as client:
        for _ in range(3):
            c = channel.open_channel(client, "actor")
            number, began = send(client, c.grant.channel), time.monotonic()
            c.start_call("unhealthy")
            assert answered_by(client, number) != c.grant.generation
            took.append(time.monotonic() - began)
            c.close()
    assert min(took) < 0.5 * HOLD_S, took


def test_a_full_queue_is_no_reason(site):
    """None may wait, and one that waited elsewhere is not given to the dead for that."""
    (site.root / "plugd.yaml").write_text("limits: { queue_calls: 0 }\n")
    site.actor("actor", run={"standby": 1, **HOUR})
    site.start("--config", site.root / "plugd.yaml")
    until(whole(site), "both are ready")
    pid = site.status("actor")["pid"]
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        number = send(client, c.grant.channel)
        with Held(site):
            kill(pid)
        assert answered_by(client, number) == 2
        c.close()


def test_the_process_lives_on(site):
    """It hung up and did not die: after a second it has the call all the same."""
    started(site)
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        began = time.monotonic()
        number = send(client, c.grant.channel)
        assert answered_by(client, number) == 1
        assert time.monotonic() - began >= HOLD_S - 0.01
        c.close()


def test_its_deadline_holds(site):
    started(site)
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        answer = reply(client, send(client, c.grant.channel, timeout_us=100_000))
        assert answer.outcome == wire.ETIMEOUT
        c.close()
    assert queued(site) == 0


def test_what_is_not_held(site):
    """Another channel, a plugin without one, and what says nothing: answered while the one before waits."""
    started(site)
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        held = send(client, c.grant.channel)
        with Held(site):
            for other in (c.grant.channel + 1, c.grant.channel | 1 << 32, 0):
                number, env = send(client, other), client.receive("reply")
                assert env.id in (number, held) and env.reply.outcome == wire.OK
                if env.id == held:
                    break
        assert env.id == number
        assert reply(client, held).outcome == wire.OK
        c.close()


def test_nobody_waits_for_it(site):
    """Its client goes, or changes its mind."""
    pid = started(site, standby=1, **HOUR)
    with wire.Client(site) as other:
        c = channel.open_channel(other, "actor")
        with wire.Client(site) as client:
            cancelled = send(client, c.grant.channel)
            with Held(site):
                client.send(cancelled, cancel=wire.pb.Cancel(reason=wire.ECANCELLED))
                assert reply(client, cancelled).outcome in (wire.ECANCELLED, wire.OK)
            send(client, c.grant.channel)
            with Held(site):
                pass
        until(lambda: queued(site) == 0, "it went with its client")
        kill(pid)
        assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
        c.close()


def test_a_stop_ends_it(site):
    started(site)
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        number = send(client, c.grant.channel)
        with Held(site):
            site.ok("stop", "actor")
        answer = reply(client, number)
        assert answer.outcome == wire.EGONE
        c.close()
    assert queued(site) == 0


def test_over_an_upgrade(site):
    """Its second begins anew only as far as it was not over."""
    pid = started(site, standby=1, **HOUR)
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        send(client, c.grant.channel)
        with Held(site):
            site.ok("upgrade", "--daemon")
            kill(pid)
        assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
        c.close()
    until(lambda: queued(site) == 0, "nothing is left of it")
