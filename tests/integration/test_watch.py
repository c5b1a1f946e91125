"""Files that change: what is noticed, when, and what is not tried twice."""

import json
import os
import shutil
import time

import pytest

from plugtest import build, procs, site as sites, wire


def until(condition, what, timeout=20):
    deadline = time.monotonic() + build.seconds(timeout)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def watched(site, **keys):
    """An actor whose files are watched, running as 1.0.0."""
    run = {"watch": True, **keys.pop("run", {})}
    path = site.actor(version="1.0.0", run=run, **keys)
    site.start()
    site.ready(generation=1)
    return path


def document(site, **changes):
    """Another manifest, as text."""
    current = json.loads((site.plugins / "actor" / "plugin.yaml").read_text())
    current.update(changes)
    if "version" in changes:
        current["exec"] = [str(build.ACTOR), "--version", changes["version"]]
    return json.dumps(current, indent=1) + "\n"


def in_place(path, text):
    path.write_text(text)


def renamed_over(path, text):
    fresh = path.with_name(".plugin.yaml.swp")
    fresh.write_text(text)
    os.rename(fresh, path)


def removed_and_made(path, text):
    path.unlink()
    time.sleep(0.05)
    path.write_text(text)


def backup_and_write(path, text):
    """As vi and emacs may do: the old one is renamed away, a new one is written."""
    os.rename(path, path.with_name("plugin.yaml~"))
    path.write_text(text)


def slowly(path, text):
    """In pieces, faster than it is quiet."""
    with open(path, "w") as file:
        for start in range(0, len(text), 40):
            file.write(text[start:start + 40])
            file.flush()
            time.sleep(0.03)


PATTERNS = [in_place, renamed_over, removed_and_made, backup_and_write, slowly]


@pytest.mark.parametrize("save", PATTERNS)
def test_a_manifest_that_is_saved(site, save):
    path = watched(site)
    save(path, document(site, version="1.1.0"))
    event = site.event("reloaded", "actor")
    assert "from version 1.0.0 to 1.1.0" in event["detail"]
    assert site.status("actor")["version"] == "1.1.0"
    assert not any(e["kind"] == "rolled-back" for e in site.events.seen), "half a file was not tried"
    assert sum(e["kind"] == "changed" for e in site.events.seen) == 1


def put(path, text="", mode=0o755):
    """A program in the place of another."""
    fresh = path.with_suffix(".fresh")
    if text:
        fresh.write_text(text)
    else:
        shutil.copy(build.ACTOR, fresh)
    fresh.chmod(mode)
    os.rename(fresh, path)
    return os.stat(path).st_ino


def exe(pid):
    return os.stat(f"/proc/{pid}/exe").st_ino


def with_program(site):
    program = site.root / "bin" / "program"
    program.parent.mkdir()
    put(program)
    site.plugin("actor", [program], run={"watch": True})
    site.start()
    site.ready(generation=1)
    return program


def test_a_program_that_is_replaced(site):
    program = with_program(site)
    second = put(program)
    site.event("reloaded", "actor")
    assert exe(site.status("actor")["pid"]) == second


def test_a_program_that_is_broken_is_tried_once(site):
    program = with_program(site)
    first = site.status("actor")["pid"]
    put(program, "#!/bin/sh\nexit 3\n")
    event = site.event("rolled-back", "actor", "exit code 3")
    assert "version 1.0.0 stays in force" in event["detail"]
    assert site.status("actor")["pid"] == first and "rolled back" in site.status("actor")["reload"]
    (program.parent / "neighbour").write_text("x")
    os.utime(program.parent)
    time.sleep(1)
    assert site.status("actor")["generation"] == 2, "what was refused is not tried again"
    second = put(program)
    site.event("reloaded", "actor")
    assert exe(site.status("actor")["pid"]) == second


DIES_SOON = f"#!/bin/sh\n(sleep 0.7; kill -KILL $$) &\nexec {build.ACTOR} \"$@\"\n"


@pytest.mark.parametrize("how", ["saved", "verb", "manifest"])
def test_one_that_dies_soon_after_its_switch_is_tried_once(site, how):
    """It was in force already, and the watcher has seen that: what is on disk is new to it again."""
    program = with_program(site)
    if how == "manifest":
        put(program.with_name("other"), DIES_SOON)
        site.plugin("actor", [program.with_name("other"), "--version", "1.1.0"], version="1.1.0", run={"watch": True})
    else:
        put(program, DIES_SOON)
    if how == "verb":
        site.ok("reload", "actor")
    site.event("rolled-back", "actor", "within 5 s of its reload")
    until(lambda: site.status("actor")["state"] == "ready", "the one from before is started again")
    before = site.status("actor")
    (program.parent / "neighbour").write_text("x")
    os.utime(program.parent)
    time.sleep(2)
    after = site.status("actor")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"]), "what was refused is not tried again"
    assert sum(e["kind"] == "changed" for e in site.events.seen) <= 1
    put(program)
    site.plugin("actor", [program, "--version", "1.2.0"], version="1.2.0", run={"watch": True})
    until(lambda: site.status("actor")["version"] == "1.2.0", "mended, it is tried")


def test_a_program_that_becomes_executable_later(site):
    program = with_program(site)
    second = put(program, mode=0o644)
    site.event("rolled-back", "actor")
    program.chmod(0o755)
    site.event("reloaded", "actor")
    assert exe(site.status("actor")["pid"]) == second


def test_a_link_that_is_swapped(site):
    """releases/N/program, and a link that says which: the directory of the file never changes."""
    for n in (1, 2):
        (site.root / f"release{n}").mkdir()
        put(site.root / f"release{n}" / "program")
    current = site.root / "current"
    current.symlink_to("release1")
    site.plugin("actor", [current / "program"], run={"watch": True})
    site.start()
    site.ready(generation=1)
    fresh = site.root / "next"
    fresh.symlink_to("release2")
    os.rename(fresh, current)
    site.event("reloaded", "actor")
    assert exe(site.status("actor")["pid"]) == os.stat(site.root / "release2" / "program").st_ino
    third = put(site.root / "release2" / "program")
    site.event("reloaded", "actor", after=site.event("reloaded", "actor")["seq"])
    assert exe(site.status("actor")["pid"]) == third, "what the link leads to now is watched"


def test_a_script_that_an_interpreter_runs(site):
    """exec: [python3, main.py]: the argument is a file of the plugin."""
    text = "Rogue(['echo']).start().serve(lambda r, e: r.reply(e.id, b'%s'))"
    site.script("snake", text % "one", run={"watch": True})
    site.start()
    site.ready("snake", generation=1)
    path = site.root / "snake.py"
    path.write_text(path.read_text().replace("one", "two"))
    site.event("reloaded", "snake")
    with wire.Client(site) as client:
        assert client.call("snake", "echo")[2] == b"two"


def test_a_folder_that_vanishes_and_comes_back(site):
    """Where plugd does not look for plugins that went, it goes on meanwhile; what comes back is watched again."""
    site.configure({"discovery": {"live": False}})
    path = watched(site)
    pid = site.status("actor")["pid"]
    text = document(site, version="1.1.0")
    shutil.rmtree(path.parent)
    time.sleep(0.6)
    assert site.status("actor")["pid"] == pid
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    path.parent.mkdir()
    path.write_text(text)
    site.event("reloaded", "actor", "to 1.1.0")
    path.write_text(document(site, version="1.2.0"))
    site.event("reloaded", "actor", "to 1.2.0")


def test_a_folder_that_is_exchanged(site):
    path = watched(site)
    text = document(site, version="1.1.0")
    fresh = site.root / "fresh"
    fresh.mkdir()
    (fresh / "plugin.yaml").write_text(text)
    os.rename(path.parent, site.root / "old")
    os.rename(fresh, path.parent)
    site.event("reloaded", "actor", "to 1.1.0")
    path.write_text(document(site, version="1.2.0"))
    site.event("reloaded", "actor", "to 1.2.0")


def test_a_manifest_with_a_mistake(site):
    """Reported, with its place; the old one stays, until the file is right."""
    path = watched(site)
    path.write_text("plugin: actor\nversion: [\n")
    event = site.event("rolled-back", "actor")
    assert "plugin.yaml" in event["detail"] and "stays in force" in event["detail"]
    assert site.status("actor")["generation"] == 1
    site.actor(version="1.1.0", run={"watch": True})
    site.event("reloaded", "actor", "to 1.1.0")


def test_a_change_that_is_taken_back(site):
    path = watched(site)
    text = path.read_text()
    path.write_text("plugin: actor\nversion: [\n")
    site.event("rolled-back", "actor")
    path.write_text(text)
    path.touch()
    time.sleep(0.8)
    assert site.status("actor")["generation"] == 1, "what is in force is not started anew"


def test_changes_during_a_reload(site):
    """The last one wins."""
    gate = site.fifo("gate")
    path = watched(site)
    slow = json.loads(document(site, version="1.1.0"))
    slow["exec"] += ["--start-wait", str(gate)]
    path.write_text(json.dumps(slow))
    site.log_line("actor", "on_start waits")
    path.write_text(document(site, version="1.2.0"))
    time.sleep(0.5)
    sites.fifo_send(gate)
    site.event("reloaded", "actor", "from version 1.1.0 to 1.2.0")
    assert site.status("actor")["version"] == "1.2.0"


def test_one_that_failed_is_started_when_it_is_mended(site):
    site.actor("actor", "--start-fail", "ill", run={"watch": True})
    site.start()
    until(lambda: site.word("actor") == "failed", "it failed")
    site.actor(version="1.1.0", run={"watch": True})
    site.event("reloaded", "actor", "it was failed")
    assert site.word("actor") == "ready"


def test_one_that_is_stopped_stays_so(site):
    path = watched(site)
    site.ok("stop", "actor")
    path.write_text(document(site, version="1.1.0"))
    site.event("reloaded", "actor", "in force from its next start")
    status = site.status("actor")
    assert (status["state"], status["version"]) == ("stopped", "1.1.0")


def test_no_file_is_watched_unless_asked(site):
    path = site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    path.write_text(document(site, version="1.1.0"))
    time.sleep(0.6)
    assert site.status("actor")["version"] == "1.0.0"
    assert site.status("actor")["generation"] == 1


def test_nothing_is_watched_when_nothing_is_to_be(site):
    site.configure({"discovery": {"live": False}})
    site.actor(version="1.0.0")
    site.start()
    site.ready(generation=1)
    assert site.status()["watched_dirs"] == 0
    assert "inotify" not in str(procs.descriptors(site.pid).values())


def test_calls_during_saves(site):
    """Saving all the time loses no call."""
    path = watched(site)
    with wire.Client(site) as client:
        for n in range(1, 6):
            path.write_text(document(site, version=f"1.{n}.0"))
            reloaded = False
            while not reloaded:
                assert client.call("actor", "echo", b"x")[::2] == (wire.OK, b"x")
                reloaded = any(f"to 1.{n}.0" in e["detail"] for e in site.events.seen)


# ---- watch: true in plugd.yaml ---------------------------------------------------------------------


def test_plugins_come_and_go(site):
    site.configure({"watch": True})
    site.actor("old")
    site.start()
    site.ready("old")
    site.actor("new", folder="below/new")
    site.ready("new")
    assert site.status("old")["generation"] == 1
    site.actor("new", version="1.1.0", folder="below/new")
    site.event("reloaded", "new", "to 1.1.0")
    shutil.rmtree(site.plugins / "below")
    site.event("removed", "new")
    site.actor("new", folder="below/new")
    site.event("ready", "new", after=site.event("removed", "new")["seq"])
    bad = site.manifest("bad", "plugin: bad\nversion: x\n")
    until(lambda: [one["path"] for one in site.ok("list")["bad"]] == [str(bad)], "the bad one is reported")
    site.actor("bad")
    site.ready("bad")


def test_a_plugin_directory_that_vanishes(site):
    """As a file system does that is unmounted: what runs goes on, it is said, and its return is noticed."""
    site.configure({"watch": True})
    site.actor("old")
    site.start()
    site.ready("old")
    away = site.root / "away"
    os.rename(site.plugins, away)
    told = site.event("config", "old")["detail"]
    assert str(site.plugins) in told and "stays as it is" in told
    assert [one["path"] for one in site.ok("list")["bad"]] == [str(site.plugins)]
    assert site.call("old", "echo", {"n": 1}) == {"n": 1}
    os.rename(away, site.plugins)
    until(lambda: site.ok("list")["bad"] == [], "it is back")
    assert site.status("old")["generation"] == 1
    site.actor("new")
    site.ready("new")
    shutil.rmtree(site.plugins / "old")
    site.event("removed", "old")


def test_a_plugin_directory_that_is_not_there_yet(site):
    site.configure({"watch": True})
    site.plugins.rmdir()
    site.start()
    site.plugins.mkdir()
    site.actor("new")
    site.ready("new")


def test_the_configuration_file(site):
    """A value for one of two: only that one is reloaded."""
    schema = {"config": {"n": {"type": "int", "default": 1}}}
    site.configure({"watch": True})
    site.actor("a", **schema)
    site.actor("b", **schema)
    site.start()
    site.ready("a")
    site.ready("b")
    site.configure({"watch": True, "plugins": {"a": {"config": {"n": 2}}}})
    site.event("reloaded", "a")
    assert site.call("a", "config", {"keys": ["n"]}) == {"n": 2}
    assert site.status("b")["generation"] == 1
    site.configure("watch: [\n")
    site.event("config", detail="rejected")
    assert "plugd.yaml" in site.status()["config_error"]
    assert site.status("a")["generation"] == 2
    site.configure({"watch": True})
    site.event("reloaded", "a", after=site.event("config", detail="rejected")["seq"])
    assert site.status()["config_error"] == ""


def test_a_manifest_that_wants_no_watching(site):
    site.configure({"watch": True})
    path = site.actor(version="1.0.0", run={"watch": False})
    site.start()
    site.ready()
    path.write_text(document(site, version="1.1.0"))
    time.sleep(0.8)
    assert site.status("actor")["version"] == "1.0.0"


def test_watching_is_switched_on_and_off(site):
    site.configure({"discovery": {"live": False}})
    path = site.actor(version="1.0.0")
    site.start()
    site.ready()
    site.configure({"watch": True})
    site.ok("reread")
    assert site.status()["watched_dirs"] > 0
    path.write_text(document(site, version="1.1.0"))
    site.event("reloaded", "actor", "to 1.1.0")
    site.configure({"discovery": {"live": False}})
    site.event("config", after=site.event("reloaded", "actor")["seq"])
    until(lambda: site.status()["watched_dirs"] == 0, "nothing is watched any more")


def test_many_changes_at_once(site):
    """A checkout: every plugin is reloaded once, or not at all."""
    for n in range(12):
        site.actor(f"p{n}", run={"watch": True})
    site.start()
    for n in range(12):
        site.ready(f"p{n}")
    for n in range(0, 12, 2):
        site.actor(f"p{n}", version="1.1.0", run={"watch": True})
    for n in range(0, 12, 2):
        site.event("reloaded", f"p{n}")
    time.sleep(0.5)
    assert [site.status(f"p{n}")["generation"] for n in range(12)] == [2, 1] * 6
