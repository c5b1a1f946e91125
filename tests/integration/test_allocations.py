"""Out of memory, once, at any allocation of plugd, of a plugin and of plugctl: an error or a clean end, and afterwards
everything works as before.

$PLUG_ALLOC_STRIDE: every so manieth allocation (1: all of them); each test is kept to some seconds otherwise.
$PLUG_ALLOC_FIRST: the first one, to repeat a failure.
"""

import collections
import os
import socket

import pytest

from plugtest import build, channel, failalloc, procs, wire
from plugtest.caller import Caller

pytestmark = pytest.mark.skipif(bool(build.SANITIZE), reason="a sanitizer has an allocator of its own")

STRIDE = int(os.environ.get("PLUG_ALLOC_STRIDE", "0"))
FIRST = int(os.environ.get("PLUG_ALLOC_FIRST", "0"))
DEADLINE = 20


def steps(default):
    """How far to the next one: with the default stride other ones at each turn."""
    return STRIDE or default


def admin():
    return build.admin_messages()


def act(client, action, name="actor"):
    pb = admin()
    number = client.next_id()
    request = pb.Request(act=pb.ActRequest(action=getattr(pb, f"ACTION_{action}"), name=name))
    client.send(number, request=request)
    while True:
        env = client.receive("response")
        if env.id == number and not env.response.more:
            return env.response


def use_channel(client):
    """One call through shared memory; the outcome of asking for it."""
    own, grant, fds = channel.ask(client, "actor", channel.REGION_BYTES)
    if grant.outcome:
        own.close()
        return grant.outcome, grant.message
    opened = channel.Channel(own, channel.Region.map(fds[0], channel.REGION_BYTES), socket.socket(fileno=fds[1]))
    try:
        opened.call("echo", b"through")
    except (AssertionError, OSError) as error:  # the plugin's process has ended under it
        return -1, repr(error)
    finally:
        opened.close()
        os.close(fds[0])
        os.close(fds[2])
    return 0, ""


def scenario(site):
    """Start, call, a long call, a call through a channel, stop: the first outcome that is not 0, with its message."""
    with wire.Client(site, timeout=DEADLINE) as client:
        started = act(client, "START")
        if started.outcome:
            return started.outcome, started.message
        for payload in (b'{"n": 1}', b'"' + 100000 * b"x" + b'"'):
            outcome, message, back, _ = client.finish_call(client.start_call("actor", "echo", payload))
            if outcome:
                return outcome, message
            assert back == payload
        used = use_channel(client)
        if used[0]:
            return used
        stopped = act(client, "STOP")
        return stopped.outcome, stopped.message


def attempt(site, failing, spared):
    """The scenario with a failing allocation in it: a typed error, or the end of the connection."""
    try:
        return scenario(site)
    except (wire.Closed, ConnectionError) as error:
        return -1, repr(error)
    except TimeoutError:
        raise AssertionError(f"allocation {spared}: no answer within the deadline\n{failing.trace()}") from None


def settle(site):
    """What failed may have left the plugin anywhere: stopped, it begins anew."""
    with wire.Client(site, timeout=DEADLINE) as client:
        act(client, "STOP")


def must_work(site, failing, what):
    settle(site)
    outcome = scenario(site)
    assert outcome[0] == 0, f"{what}: afterwards {outcome}; it was\n{failing.trace()}\n{site.log_text()[-3000:]}"


@pytest.fixture
def failing(site, request):
    made = failalloc.FailAlloc(site, request.param)
    yield made
    made.close()


@pytest.mark.parametrize("kind", list(failalloc.KINDS))
@pytest.mark.parametrize("failing", ["plugd"], indirect=True)
def test_plugd_goes_on(site, failing, kind):
    """Each in turn while a plugin is started, called and stopped."""
    site.actor(run={"autostart": False})
    site.start(env=failing.env)
    scenario(site)
    site.pid
    spared, failed, outcomes = FIRST, 0, {}
    while True:
        failing.arm(spared, failalloc.KINDS[kind])
        outcome = attempt(site, failing, spared)
        hit = failing.disarm()
        if not hit:
            break
        failed += 1
        outcomes[outcome[0]] = outcomes.get(outcome[0], 0) + 1
        assert outcome[0] <= 0 or outcome[1], f"allocation {spared}: no message with {outcome}\n{failing.trace()}"
        assert procs.alive(site.pid), f"allocation {spared}: plugd died\n{failing.trace()}"
        must_work(site, failing, f"allocation {spared}")
        spared += steps(5 if kind == "memory" else 1)
    print(f"{kind}: {failed} failed, up to number {spared}; outcomes {outcomes}")
    assert failed > 0 and (kind != "memory" or failed >= 10)


@pytest.mark.parametrize("failing", ["plugd"], indirect=True)
def test_plugd_starts_or_says_why_not(site, failing):
    """Each in turn from main() to READY."""
    site.actor(run={"autostart": False})
    site.configure({"log": {"level": "info"}, "plugins": {"actor": {"run": {"stop_timeout": "3s"}}}})
    spared, failed, ended = FIRST, 0, 0
    while True:
        site.log.unlink(missing_ok=True)
        failing.arm(spared)
        site.spawn(env=failing.env)
        try:
            site.wait_said("READY=1")
            started = True
        except AssertionError as error:
            assert "plugd ended" in str(error), f"allocation {spared}: {error}\n{failing.trace()}"
            started = False
        hit = failing.disarm()
        if started:
            site.__dict__.pop("pid", None)
            if hit:
                with wire.Client(site, timeout=DEADLINE) as client:
                    act(client, "REREAD", "")
            must_work(site, failing, f"allocation {spared}")
            assert site.stop() == 0
        else:
            status = site.wait_end()
            assert status == 1 and site.log_text().strip(), (
                f"allocation {spared}: status {status}\n{failing.trace()}\n{site.log_text()}"
            )
            ended += 1
        if not hit:
            break
        failed += 1
        spared += steps(11)
    print(f"{failed} failed, up to number {spared}; plugd ended {ended} times")
    assert failed >= 5


@pytest.mark.parametrize("failing", ["actor-plugin"], indirect=True)
def test_a_plugin_says_so(site, failing):
    """Each in turn in the plugin's process: plugd tells what became of it, and the next process works."""
    site.actor(run={"autostart": False, "restart": "never", "env": failing.env})
    site.start()
    spared, failed, outcomes = FIRST, 0, {}
    while True:
        failing.arm(spared)
        outcome = attempt(site, failing, spared)
        hit = failing.disarm()
        if not hit:
            break
        failed += 1
        outcomes[outcome[0]] = outcomes.get(outcome[0], 0) + 1
        for crash in site.ok("crashes", "actor")["crashes"]:
            assert not crash["signal"] or crash["signal_name"] in ("SIGTERM", "SIGKILL"), (
                f"allocation {spared}: {crash}\n{failing.trace()}"
            )
        must_work(site, failing, f"allocation {spared}")
        spared += steps(5)
    print(f"{failed} failed, up to number {spared}; outcomes {outcomes}")
    assert failed >= 5


PLUGCTL = [["list"], ["call", "actor", "echo", '{"n": 1}'], ["status", "actor"], ["graph"], ["commands"], ["metrics"],
           ["tell", "--size", "2KiB", "word"]]
TELL = {"help": "tells", "method": "command", "options": {"size": {"type": "bytes"}, "tags": {"type": "list", "default": ["a"]}},
        "args": [{"name": "rest", "many": True, "type": "path"}]}


@pytest.mark.parametrize("words", PLUGCTL, ids=lambda w: w[0])
@pytest.mark.parametrize("failing", ["plugctl"], indirect=True)
def test_plugctl_says_so(site, failing, words):
    """Each in turn in plugctl: its output or an error message, and no signal."""
    site.actor(commands={"tell": TELL})
    site.start()
    site.ready()
    spared, failed = FIRST, 0
    while True:
        failing.arm(spared)
        done = site.ctl(*words, env=failing.env, timeout=DEADLINE)
        hit = failing.disarm()
        assert done.status >= 0, f"allocation {spared}: {done}\n{failing.trace()}"
        assert done.out if done.status == 0 else done.err, f"allocation {spared}: {done}\n{failing.trace()}"
        if not hit:
            break
        failed += 1
        spared += steps(3)
    assert done.status == 0
    print(f"{words[0]}: {failed} failed, up to number {spared}")
    assert failed >= 3


@pytest.mark.parametrize("failing", ["plugd"], indirect=True)
def test_a_check_says_so(site, failing):
    """plugd --check with nothing left out: what libfyaml does without memory is the only way to a crash."""
    everything = failalloc.FailAlloc(site, failing.program, excluded=[])
    site.actor()
    site.configure({"log": {"level": "info"}, "plugins": {"actor": {"run": {"stop_timeout": "3s"}}}})
    spared, failed, crashed = FIRST, 0, 0
    while True:
        everything.arm(spared)
        done = site.run("--check", env=everything.env, timeout=DEADLINE)
        if not everything.disarm():
            break
        failed += 1
        if done.status < 0 and everything.owner().startswith("libfyaml"):
            crashed += 1
        elif done.status == 0:
            assert "1 plugins are valid, 0 are not" in done.out, f"allocation {spared}: {done}\n{everything.trace()}"
        else:
            assert done.status == 1 and done.err, f"allocation {spared}: {done}\n{everything.trace()}"
        spared += steps(3)
    everything.close()
    print(f"{failed} failed, up to number {spared}; libfyaml crashed in {crashed}")
    assert failed >= 5


@pytest.mark.parametrize("failing", ["test-caller"], indirect=True)
def test_a_caller_goes_on(site, failing):
    """Each in turn in libplug's client half, from connecting to calls through a channel: a typed error, once, then calls
    go through a channel all the same."""
    site.actor()
    site.start()
    site.ready()
    spared, failed, refused, outcomes = FIRST, 0, 0, collections.Counter()
    while True:
        failing.arm(spared)
        caller = Caller(site, env=failing.env)
        try:
            caller.wait_up()
            counted = caller.end()
            assert not counted["wrong"] and not counted["violations"], counted
            assert "PLUG_EPROTO" not in counted["outcomes"], f"allocation {spared}: blames plugd\n{failing.trace()}"
            outcomes.update(counted["outcomes"].keys())
        except AssertionError as error:
            if not caller.has_ended(DEADLINE) or caller.process.returncode != 1:
                raise AssertionError(f"allocation {spared}: {error}\n{failing.trace()}") from error
            refused += 1  # it could not connect, and said so
        hit = failing.disarm()
        caller.kill()
        if not hit:
            break
        failed += 1
        spared += steps(12)
    print(f"{failed} failed, up to number {spared}; {refused} did not connect; outcomes in so many runs {dict(outcomes)}")
    assert failed >= 5 and outcomes["PLUG_OK"] >= failed - refused
