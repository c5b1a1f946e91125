"""SIGHUP and plugctl reread: what changes, what stays, and what is said of a bad file."""

import json
import os
import resource
import shutil
import signal

import pytest

from plugtest import procs, wire


def hangup(site):
    """SIGHUP, until plugd has read everything again."""
    site.signal(signal.SIGHUP)
    site.wait_said("RELOADING=1")
    site.wait_said("READY=1")


def reread(site):
    done = site.ctl("reread")
    assert done.status == 0, done


@pytest.mark.parametrize("how", [hangup, reread])
def test_a_new_plugin(site, how):
    site.actor("old")
    site.start()
    site.ready("old")
    site.actor("new")
    how(site)
    site.ready("new")
    assert site.status("old")["generation"] == 1
    site.event("config", detail="2 plugins")


@pytest.mark.parametrize("how", [hangup, reread])
def test_a_plugin_whose_folder_is_gone(site, how):
    site.actor("stays")
    site.actor("goes")
    site.start()
    site.ready("stays")
    pid = site.watch(site.ready("goes")["pid"])
    shutil.rmtree(site.plugins / "goes")
    how(site)
    site.event("removed", "goes")
    assert pid.gone(0)
    assert [one["name"] for one in site.ok("list")["plugins"]] == ["stays"]
    assert site.ctl("call", "goes", "echo").status == 4
    assert site.status("stays")["generation"] == 1


def test_a_changed_manifest_is_in_force_at_the_next_start(site):
    site.actor("actor", version="1.0.0")
    site.start()
    site.ready(generation=1)
    site.actor("actor", version="1.1.0")
    reread(site)
    status = site.status("actor")
    assert (status["generation"], status["state"]) == (1, "ready"), "it goes on as it is"
    site.ok("restart", "actor")
    assert site.status("actor")["version"] == "1.1.0"


def test_a_changed_manifest_of_a_stopped_one(site):
    site.actor("actor", run={"autostart": False})
    site.start()
    site.actor("actor", version="2.0.0", run={"autostart": False})
    reread(site)
    assert site.status("actor")["version"] == "2.0.0"


def test_a_manifest_that_became_bad(site):
    """The process that runs goes on; the error is shown."""
    site.actor("actor")
    site.start()
    site.ready()
    path = site.manifest("actor", "plugin: actor\nversion: [\n")
    reread(site)
    bad = site.ok("list")["bad"]
    assert bad and bad[0]["path"] == str(path)
    plugins = {one["name"]: one["state"] for one in site.ok("list")["plugins"]}
    assert plugins == {"actor": "ready"}, "an error in a file does not end what runs"


@pytest.mark.parametrize("how", ["hangup", "reread"])
def test_bad_settings_keep_the_old_ones(site, how):
    site.actor()
    site.configure({"limits": {"clients": 50}, "discovery": {"live": False}})
    site.start()
    site.ready()
    site.actor("new")
    site.configure("limits:\n  clients: many\n")
    if how == "hangup":
        hangup(site)
    else:
        done = site.ctl("reread")
        assert done.status == 1
        assert "plugd.yaml:2:" in done.err
    site.event("config", detail="rejected.*stays in force")
    assert "plugd.yaml:2:" in site.status()["config_error"]
    assert [one["name"] for one in site.ok("list")["plugins"]] == ["actor"], "nothing was read of the rest"
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    site.configure({"limits": {"clients": 60}, "discovery": {"live": False}})
    reread(site)
    assert site.status()["config_error"] == ""
    site.ready("new")


def test_what_cannot_be_used_is_told(site):
    site.actor()
    site.start()
    site.ready()
    done = site.ctl("reread")
    assert done.status == 0 and done.err == ""
    assert site.ok("reread") == {"reread": True, "bad": []}
    site.actor("wrong")
    manifest = site.plugins / "wrong" / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace("version", "verison"))
    done = site.ctl("reread")
    assert done.status == 0 and f"{manifest}:" in done.err and 'did you mean "version"' in done.err, done
    assert "1 plugin or directory cannot be used" in done.err
    bad = site.ok("reread")["bad"]
    assert [one["path"] for one in bad] == [str(manifest)] and bad[0]["errors"], bad
    shown = site.ctl("status").out
    assert shown.count(str(manifest)) == len(bad[0]["errors"]) and all(error in shown for error in bad[0]["errors"]), shown
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


def test_settings_that_are_gone(site):
    site.configure({"limits": {"clients": 50}})
    site.actor()
    site.start()
    site.ready()
    os.unlink(site.root / "plugd.yaml")
    assert site.ctl("reread").status == 1
    assert "No such file" in site.status()["config_error"]
    assert site.call("actor", "echo", {}) == {}


def test_a_new_limit_is_in_force(site):
    site.actor()
    site.configure({"limits": {"call_bytes": "1MiB"}})
    site.start()
    site.ready()
    assert site.ctl("call", "actor", "sink", "-", input=json.dumps("x" * 200000)).status == 0
    site.configure({"limits": {"call_bytes": "64KiB"}})
    reread(site)
    done = site.ctl("call", "actor", "sink", "-", input=json.dumps("x" * 200000))
    assert done.status == 1 and "at most 65536" in done.err


def test_an_operators_stop_survives(site):
    """A re-read starts what is new, not what was stopped by hand."""
    site.actor("actor")
    site.start()
    site.ready()
    site.ok("stop", "actor")
    site.actor("other")
    reread(site)
    site.ready("other")
    assert site.word("actor") == "stopped"


def test_a_failed_one_stays_failed(site):
    site.actor("ill", "--start-fail", "no")
    site.start()
    site.event("failed", "ill", "in flight")
    reread(site)
    assert site.status("ill")["generation"] == 1


def test_logs_are_reopened(site):
    """As logrotate wants it."""
    site.actor()
    site.start()
    site.ready()
    log = site.runtime / "state" / "log" / "actor.log"
    site.call("actor", "say", {"text": "before\n"})
    while not log.exists() or "before" not in log.read_text():
        site.status()  # it is written within a fraction of a second
    os.rename(log, log.with_suffix(".moved"))
    hangup(site)
    site.call("actor", "say", {"text": "after\n"})
    site.stop()
    assert "after" in log.read_text()
    assert "before" in log.with_suffix(".moved").read_text()


def test_many_hangups_at_once(site):
    site.actor()
    site.start()
    pid = site.ready()["pid"]
    for _ in range(50):
        site.signal(signal.SIGHUP)
    site.wait_said("READY=1")
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    assert procs.alive(pid) and site.status("actor")["generation"] == 1


def test_what_cannot_be_looked_at_is_not_gone(site):
    """plugd has no descriptor to spare: a folder that it cannot open, or a file, may well be there."""
    for name in "abc":
        site.actor(name)
    site.start()
    pids = {name: site.ready(name)["pid"] for name in "abc"}
    guardian = site.process.pid
    plugd = next(pid for pid in procs.all_pids() if (found := procs.stat(pid)) and found[1] == guardian)
    soft, hard = resource.prlimit(plugd, resource.RLIMIT_NOFILE)
    with wire.Client(site) as client:
        for spare in range(8):
            resource.prlimit(plugd, resource.RLIMIT_NOFILE, (procs.limit_that_leaves(plugd, spare), hard))
            act = wire.admin.ActRequest(action=wire.admin.ACTION_REREAD)
            client.request(act=act)
            resource.prlimit(plugd, resource.RLIMIT_NOFILE, (soft, hard))
            for name, pid in pids.items():
                assert client.call(name, "echo")[0] == wire.OK, (spare, name)
                assert procs.alive(pid)
    assert "Too many open files" in site.log_text()
    shutil.rmtree(site.plugins / "b")  # and what is gone is
    site.ok("reread")
    site.event("removed", "b")
