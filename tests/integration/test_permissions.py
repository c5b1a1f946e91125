"""permissions: what the instances of a plugin may ask of plugd as its clients, over both planes."""

import json
import os
import subprocess

import pytest

from plugtest import build, channel, procs, wire
from plugtest import site as sites

PATIENT = {"stop_timeout": f"{build.seconds(20):.0f}s"}

CHANGES = {
    "act": {"action": "ACTION_STOP", "name": "back"},
    "load": {"path": "/no/such"},
    "upgrade": {"binary": "/no/such"},
    "dirs": {"action": "DIRS_ADD", "path": "/no/such"},
    "poison": {"clear": True},
    "config": {"verb": "CONFIG_SET", "name": "back"},
}
LOOKS = {
    "list": {}, "status": {"name": "back"}, "logs": {"name": "back"}, "events": {}, "crashes": {"name": "back"},
    "info": {"name": "back"}, "stats": {"name": "back"}, "poison": {}, "graph": {}, "commands": {}, "models": {},
    "dirs": {"action": "DIRS_LIST"}, "config": {"verb": "CONFIG_GET", "name": "back"},
}


def message(kind, fields):
    """The request of this name, from words."""
    made = getattr(wire.admin, f"{kind.capitalize()}Request")()
    for key, value in fields.items():
        kinds = made.DESCRIPTOR.fields_by_name[key].enum_type
        setattr(made, key, kinds.values_by_name[value].number if kinds else value)
    return {kind: made}


class Inside(wire.Client):
    """A client with the token of a plugin's process, as it is in its environment."""

    def __init__(self, site, name="front", pid=None):
        env = procs.environment(pid or site.status(name)["pid"])
        assert env["PLUG_NAME"] == name
        self.env = {key: env[key] for key in ("PLUGD_SOCKET", "PLUG_CLIENT_TOKEN")}
        super().__init__(site, name="inside", token=bytes.fromhex(env["PLUG_CLIENT_TOKEN"]))
        assert self.welcome.role == "instance"

    def asks(self, kind, fields):
        last = self.request(**message(kind, fields))[-1]
        return last.outcome, last.message


def start(site, *permissions, **keys):
    site.actor("front", permissions=list(permissions), **keys)
    site.actor("back")
    site.actor("other")
    site.start()
    for name in ("front", "back", "other"):
        site.ready(name)


def denied_of(site):
    process, = site.status("front")["instance_list"]
    return process["denied"]


def relay(site, plugin):
    return site.ctl("call", "front", "relay", json.dumps({"plugin": plugin, "method": "echo", "payload": "{}"}))


def test_every_request_is_one_of_these():
    """Who adds one decides what it is: serve/permit.c."""
    kinds = {field.name for field in wire.admin.Request.DESCRIPTOR.fields}
    assert kinds == set(CHANGES) | set(LOOKS)


def test_by_default_it_may_call_and_nothing_else(site):
    start(site)
    with Inside(site) as client:
        for kind, fields in [*LOOKS.items(), *CHANGES.items()]:
            outcome, text = client.asks(kind, fields)
            assert outcome == wire.EDENIED, (kind, text)
            assert f'front may not ask plugd for "{kind}"' in text and "permissions in its manifest" in text
            assert ("add observe, or admin," in text) == (LOOKS.get(kind) == fields), text
        for plugin in ("back", "other", "front"):
            assert client.call(plugin, "echo", b"{}")[0] == wire.OK
            channel.open_channel(client, plugin).close()
    assert relay(site, "back").status == 0
    assert site.word("back") == "ready"


def test_observe(site):
    start(site, "observe")
    with Inside(site) as client:
        for kind, fields in LOOKS.items():
            outcome, text = client.asks(kind, fields)
            assert outcome == wire.OK, (kind, text)
        for kind, fields in CHANGES.items():
            outcome, text = client.asks(kind, fields)
            assert outcome == wire.EDENIED and "add admin to permissions" in text, (kind, text)
            assert "plugins: { front: { permissions" in text
        assert client.call("back", "echo", b"{}")[0] == wire.OK
    assert site.word("back") == "ready"


def test_admin(site):
    start(site, "admin")
    with Inside(site) as client:
        for kind, fields in [*LOOKS.items(), *CHANGES.items()]:
            outcome, text = client.asks(kind, fields)
            assert outcome != wire.EDENIED, (kind, text)
        assert client.call("other", "echo", b"{}")[0] == wire.OK
    assert site.word("back") == "stopped", "it did that"


def test_plugctl_in_the_hands_of_a_plugin(site):
    """What it starts has its environment, and so its token."""
    start(site)
    env = Inside(site).env
    done = site.ctl("list", env=env)
    assert done.status == 1 and 'front may not ask plugd for "list"' in done.err, done
    assert site.ctl("call", "back", "echo", "{}", env=env).status == 0
    assert site.ctl("list").status == 0


def test_calls_to_those_that_are_named(site):
    start(site, {"call": "back"}, "observe")
    with Inside(site) as client:
        assert client.call("back", "echo", b"{}")[0] == wire.OK
        channel.open_channel(client, "back").close()
        for plugin in ("other", "front", "no-such-plugin", "bac", "back2", ""):
            outcome, text, *_ = client.call(plugin, "echo", b"{}")
            assert outcome == wire.EDENIED, text
            assert f'front may not call "{plugin}"' in text and "(back)" in text and f'"call: {plugin}"' in text
            outcome, again = channel.refused(client, plugin)
            assert (outcome, again) == (wire.EDENIED, text), "the same over the other plane"
        assert client.asks("list", {})[0] == wire.OK
        long = client.start_call("other", "echo", b"x" * 200_000)
        assert client.finish_call(long)[0] == wire.EDENIED
        assert client.call("back", "echo", b"{}")[0] == wire.OK, "the pieces of that one did no harm"
    assert relay(site, "back").status == 0
    done = relay(site, "other")
    assert done.status == 1 and 'front may not call "other"' in done.err, done


def test_calls_to_nobody(site):
    start(site, {"call": []})
    with Inside(site) as client:
        outcome, text, *_ = client.call("back", "echo", b"{}")
        assert outcome == wire.EDENIED and "(none)" in text
        assert channel.refused(client, "back")[0] == wire.EDENIED


def test_it_is_told_once_and_counted(site):
    start(site, {"call": "back"})
    with Inside(site) as client:
        for _ in range(3):
            assert client.call("other", "echo", b"{}")[0] == wire.EDENIED
            assert channel.refused(client, "other")[0] == wire.EDENIED
            assert client.asks("list", {})[0] == wire.EDENIED
            assert client.asks("events", {})[0] == wire.EDENIED
            assert client.asks("act", CHANGES["act"])[0] == wire.EDENIED
    denied = [one for one in site.ok("events")["events"] if one["kind"] == "denied"]
    assert [one["plugin"] for one in denied] == ["front"] * 3
    for event, said in zip(denied, ('may not call "other"', '"list"', '"act"')):
        assert said in event["detail"] and event["generation"] == 1
    assert denied_of(site) == 15
    assert "15 requests of its processes" in site.ctl("status", "front").out
    assert site.log_text().count("denied: front may not") == 3


def test_plugd_yaml_gives_and_takes(site):
    site.configure({"plugins": {"front": {"permissions": ["observe"]}, "back": {"permissions": []}}})
    site.actor("front")
    site.actor("back", permissions=["admin"])
    site.start()
    for name in ("front", "back"):
        site.ready(name)
    with Inside(site) as client:
        assert client.asks("list", {})[0] == wire.OK
    with Inside(site, "back") as client:
        assert client.asks("list", {})[0] == wire.EDENIED
    assert site.ok("info", "front")["permissions"] == ["observe"]
    assert site.ok("info", "back")["permissions"] == []


def test_info_tells(site):
    start(site, "observe", {"call": ["back", "other"]})
    assert site.ok("info", "front")["permissions"] == ["observe", "call: back", "call: other"]
    assert "observe, call: back, call: other" in site.ctl("info", "front").out


def test_a_reload_brings_those_of_its_own_version(site):
    """The old process has what it was started with for as long as it lives, the new one what it is started with."""
    start(site, "observe", run=PATIENT)
    gate = site.fifo("gate")
    old = site.status("front")["pid"]
    before = Inside(site)
    with wire.Client(site) as client:
        held = client.start_call("front", "hold", json.dumps({"fifo": str(gate)}).encode())
        while not site.status("front")["calls"]:
            pass
        site.actor("front", version="1.1.0", permissions=[{"call": "back"}], run=PATIENT)
        reloading = site.ctl_start("reload", "front")
        site.ready("front", generation=2)
        with Inside(site) as after:
            assert procs.alive(old)
            assert before.asks("list", {})[0] == wire.OK
            assert before.call("other", "echo", b"{}")[0] == wire.OK
            assert after.asks("list", {})[0] == wire.EDENIED
            assert after.call("other", "echo", b"{}")[0] == wire.EDENIED
            assert after.call("back", "echo", b"{}")[0] == wire.OK
        sites.fifo_send(gate, "held")
        assert client.finish_call(held)[2] == b"held"
    reloading.communicate(timeout=build.seconds(30))
    assert reloading.returncode == 0
    before.close()


def test_an_upgrade_in_place(site):
    """Connections and what was told go over."""
    start(site, {"call": "back"}, "observe")
    client = Inside(site)
    assert client.call("other", "echo", b"{}")[0] == wire.EDENIED
    site.ok("upgrade", "--daemon")
    assert client.call("other", "echo", b"{}")[0] == wire.EDENIED
    assert channel.refused(client, "other")[0] == wire.EDENIED
    assert client.call("back", "echo", b"{}")[0] == wire.OK
    assert client.asks("list", {})[0] == wire.OK
    assert client.asks("act", CHANGES["act"])[0] == wire.EDENIED
    with Inside(site) as again:
        assert again.call("other", "echo", b"{}")[0] == wire.EDENIED
    assert denied_of(site) == 5
    denied = [one for one in site.ok("events")["events"] if one["kind"] == "denied"]
    assert len(denied) == 2, denied
    client.close()


def test_a_connection_that_outlives_its_process(site):
    start(site, "admin")
    client = Inside(site)
    assert client.asks("list", {})[0] == wire.OK
    site.ok("restart", "front")
    outcome, text = client.asks("list", {})
    assert outcome == wire.EDENIED and "has ended" in text
    assert client.call("back", "echo", b"{}")[0] == wire.EDENIED
    assert channel.refused(client, "back")[0] == wire.EDENIED
    client.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user_has_nothing_but_its_token(site):
    """This is whom permissions bind: without the token it is nobody at all."""
    site.root.chmod(0o755)
    start(site, {"call": "back"}, run={"user": "nobody"})
    argv = site.ctl_argv("list")
    env = Inside(site).env
    done = subprocess.run(argv, user="nobody", env=site.environment(), capture_output=True, text=True)
    assert done.returncode != 0 and "neither plugd's own nor root" in done.stderr, done
    done = subprocess.run(argv, user="nobody", env=site.environment(env), capture_output=True, text=True)
    assert done.returncode == 1 and 'front may not ask plugd for "list"' in done.stderr, done
    assert relay(site, "back").status == 0
    done = relay(site, "other")
    assert done.status == 1 and 'front may not call "other"' in done.err, done
