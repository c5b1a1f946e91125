"""Plugins that exclude each other, capabilities that are required, and how it is told."""

import json
import os
import signal

from plugtest import build
from test_order import bad_of, order_of


def not_started(site, name):
    event = site.event("failed", name)
    assert event["detail"].startswith("not started: ")
    status = site.status(name)
    assert (status["state"], status["generation"]) == ("stopped", 0)
    assert status["why"] in event["detail"]
    return status["why"]


def test_a_conflict_keeps_the_later_one_from_starting(site):
    site.actor("loser", priority="low")
    site.actor("winner", priority="high", conflicts=["loser"])
    site.start()
    site.ready("winner")
    why = not_started(site, "loser")
    assert "winner" in why and "loser" in why and "plugctl stop winner" in why


def test_why_it_is_not_started_is_told_once(site):
    """Though it is tried again whenever something was found."""
    site.actor("loser", priority="low")
    site.actor("winner", priority="high", conflicts=["loser"])
    site.start()
    not_started(site, "loser")
    for n in range(3):
        site.actor(f"new{n}")
        site.ready(f"new{n}")
    told = [line for line in site.log_text().splitlines() if "loser: failed: not started: " in line]
    assert len(told) == len(set(line.split("failed: ")[1] for line in told)), told


def test_it_holds_whoever_declares_it(site):
    site.actor("a", conflicts=["b", "not-even-installed"])
    site.actor("b", run={"autostart": False})
    site.start()
    site.ready("a")
    for verb in ("start", "restart"):
        done = site.ctl(verb, "b")
        assert done.status == 1
        assert "a" in done.err and "conflicts with b" in done.err and "ready" in done.err
    assert site.ok("stop", "a")
    assert site.ok("start", "b")["results"][0]["state"] == "ready"
    done = site.ctl("start", "a")
    assert done.status == 1 and "a conflicts with b, which is ready" in done.err


def test_an_exclusive_capability_has_one_owner(site):
    site.actor("first", priority="critical", provides={"exclusive": ["gpu-scheduler"]})
    site.actor("second", provides={"exclusive": ["gpu-scheduler"]})
    site.actor("third", provides={"shared": ["gpu-scheduler"]})
    site.actor("apart", provides={"exclusive": ["something-else"]})
    site.start()
    site.ready("first")
    site.ready("apart")
    for name in ("second", "third"):
        why = not_started(site, name)
        assert '"gpu-scheduler"' in why and name in why and "exclusively by first, which is r" in why


def test_shared_capabilities_do_not_exclude_each_other(site):
    site.actor("a", provides=["text"])
    site.actor("b", provides=["text"])
    site.start()
    site.ready("a")
    site.ready("b")


def test_an_owner_that_waits_for_its_next_start_still_holds_it(site):
    """It comes back by itself, so nobody else may take its place meanwhile."""
    site.actor("owner", provides={"exclusive": ["x"]}, run={"backoff": {"min": "60s", "max": "60s"}})
    site.actor("other", provides={"exclusive": ["x"]}, run={"autostart": False})
    site.start()
    site.ready("owner")
    site.ctl("call", "owner", "die", '{"signal": 9}')
    site.event("crashed", "owner")
    done = site.ctl("start", "other")
    assert done.status == 1 and "owner, which is backoff" in done.err


def test_a_reload_may_not_bring_a_conflict(site):
    site.actor("a")
    site.actor("b")
    site.start()
    site.ready("a")
    site.ready("b")
    site.actor("a", conflicts=["b"])
    done = site.ctl("reload", "a")
    assert done.status == 1 and "a conflicts with b, which is ready" in done.err
    assert "plugin.yaml:" in done.err
    assert site.status("a")["generation"] == 1


def test_a_capability_that_is_required_starts_first(site):
    site.actor("app", priority="critical", requires={"capabilities": ["cache", "disk"]})
    site.actor("memcache", provides=["cache"], priority="low", requires={"plugins": ["disks"]})
    site.actor("disks", provides={"exclusive": ["disk"]}, priority="low")
    site.start()
    assert order_of(site, "ready", ["app", "memcache", "disks"]) == ["disks", "memcache", "app"]
    assert site.stop() == 0
    text = site.log_text()
    at = {name: text.rindex(f"{name}: stopped") for name in ("app", "memcache", "disks")}
    assert at["app"] < at["memcache"] < at["disks"], text


def test_start_starts_the_first_that_provides_it(site):
    site.actor("app", requires={"capabilities": ["cache"]}, run={"autostart": False})
    site.actor("a-low", provides=["cache"], priority="low", run={"autostart": False})
    site.actor("z-high", provides=["cache"], priority="high", run={"autostart": False})
    site.start()
    assert site.ok("start", "app")["results"][0]["state"] == "ready"
    assert (site.word("z-high"), site.word("a-low")) == ("ready", "stopped")


def test_one_that_has_failed_does_not_stand_in_the_way_of_another(site):
    site.actor("app", requires={"capabilities": ["cache"]}, run={"autostart": False})
    site.actor("z-high", "--start-fail", "no room", provides=["cache"], priority="high")
    site.actor("a-low", provides=["cache"], priority="low", run={"autostart": False})
    site.start()
    site.event("failed", "z-high")
    assert site.ok("start", "app")["results"][0]["state"] == "ready"
    assert (site.word("z-high"), site.word("a-low")) == ("failed", "ready")


def test_the_next_is_started_when_the_one_counted_on_fails(site):
    """Its start was under way, or begun for the other."""
    site.actor("app", requires={"capabilities": ["cache"]}, run={"autostart": False})
    for name, priority in (("z-high", "high"), ("m-next", "normal")):
        site.actor(name, "--start-fail", "no room", provides=["cache"], priority=priority, run={"autostart": False})
    site.actor("a-low", provides=["cache"], priority="low", run={"autostart": False})
    site.start()
    assert site.ok("start", "app")["results"][0]["state"] == "ready"
    names = ["z-high", "m-next", "a-low", "app"]
    assert order_of(site, "started", sorted(names)) == names
    assert [site.word(name) for name in names] == ["failed", "failed", "ready", "ready"]


def test_the_next_is_started_over_an_upgrade_too(site):
    gate = site.fifo("gate")
    site.actor("app", requires={"capabilities": ["cache"]}, run={"autostart": False})
    site.actor("high", "--start-wait", gate, provides=["cache"], priority="high",
               run={"autostart": False, "restart": "never"})
    site.actor("low", provides=["cache"], priority="low", run={"autostart": False})
    site.start()
    asked = site.ctl_start("start", "app")
    pid = site.event("started", "high")["pid"]
    site.ok("upgrade", "--daemon")
    os.kill(pid, signal.SIGKILL)
    _, err = asked.communicate(timeout=build.seconds(30))
    assert asked.returncode == 0, err
    assert [site.word(name) for name in ("high", "low", "app")] == ["stopped", "ready", "ready"]


def test_the_next_is_started_after_a_reread_too(site):
    """That would start the plugin by itself, and for that alone nothing else is started."""
    gate = site.fifo("gate")
    site.actor("app", requires={"capabilities": ["cache"]})
    site.actor("high", "--start-wait", gate, provides=["cache"], priority="high",
               run={"autostart": False, "restart": "never"})
    site.actor("low", provides=["cache"], priority="low", run={"autostart": False})
    site.start()
    site.event("failed", "app", "it requires high, which is stopped")
    asked = site.ctl_start("start", "app")
    pid = site.event("started", "high")["pid"]
    site.ok("reread")
    os.kill(pid, signal.SIGKILL)
    _, err = asked.communicate(timeout=build.seconds(30))
    assert asked.returncode == 0, err
    assert [site.word(name) for name in ("high", "low", "app")] == ["stopped", "ready", "ready"]


def circle_through_the_next(site, *high):
    site.actor("app", requires={"capabilities": ["cache"]}, provides=["clock"], run={"autostart": False})
    site.actor("high", *high, provides=["cache"], priority="high", run={"autostart": False})
    site.actor("low", provides=["cache"], priority="low", requires={"capabilities": ["clock"]}, run={"autostart": False})


def test_the_next_that_requires_who_waits_for_it(site):
    circle_through_the_next(site, "--start-fail", "no room")
    site.start()
    done = site.ctl("start", "app")
    assert done.status == 1 and "it requires " in done.err, done
    site.event("failed", "low", "it requires app, which waits for it")
    assert [site.word(name) for name in ("app", "high", "low")] == ["stopped", "failed", "stopped"]


def test_the_next_but_one_serves_without_a_circle(site):
    circle_through_the_next(site, "--start-fail", "no room")
    site.actor("z", provides=["cache"], priority="low", run={"autostart": False})
    site.start()
    assert site.ok("start", "app")["results"][0]["state"] == "ready"
    assert [site.word(name) for name in ("high", "low", "z")] == ["failed", "stopped", "ready"]


def test_those_that_wait_for_each_other_are_told(site):
    circle_through_the_next(site)
    site.start()
    done = site.ctl("start", "low")
    assert done.status == 1 and "it requires app, which is stopped" in done.err, done
    site.event("failed", "app", "it requires low, which waits for it")


def test_each_that_could_serve_is_tried_once(site):
    site.actor("app", requires={"capabilities": ["cache"]}, run={"autostart": False})
    for name in ("a", "b"):
        site.actor(name, "--start-exit", "0", provides=["cache"], run={"autostart": False, "restart": "never"})
    site.start()
    done = site.ctl("start", "app")
    assert done.status == 1 and "it requires " in done.err
    assert [site.status(name)["generation"] for name in ("a", "b")] == [1, 1]
    assert site.word("app") == "stopped"


def test_what_an_operator_stops_is_not_started_for_another(site):
    gate = site.fifo("gate")
    site.actor("app", requires={"capabilities": ["cache"]}, run={"autostart": False})
    site.actor("high", "--start-wait", gate, provides=["cache"], priority="high",
               run={"autostart": False, "stop_timeout": "1s"})
    site.actor("low", provides=["cache"], priority="low", run={"autostart": False})
    site.start()
    asked = site.ctl_start("start", "app")
    site.event("started", "high")
    site.ok("stop", "low")
    site.ok("stop", "high")
    _, err = asked.communicate(timeout=build.seconds(30))
    assert asked.returncode == 1 and "it requires " in err
    assert (site.word("low"), site.word("app")) == ("stopped", "stopped")


def test_one_that_is_disabled_does_not_stand_in_the_way_of_another(site):
    """Nor before one that has failed, which can be started again."""
    site.actor("app", requires={"capabilities": ["cache"]}, run={"autostart": False})
    site.actor("z-high", provides=["cache"], priority="high")
    site.actor("a-low", provides=["cache"], priority="low", run={"autostart": False})
    site.start()
    site.ready("z-high")
    site.ok("disable", "z-high")
    assert site.ok("start", "app")["results"][0]["state"] == "ready"
    assert (site.word("z-high"), site.word("a-low")) == ("disabled", "ready")


def test_a_capability_that_nobody_provides(site):
    site.actor("app", requires={"capabilities": ["cahce"]}, provides=["cahce"])
    site.actor("store", provides=["cache"])
    site.start()
    site.ready("store")
    text = bad_of(site, "app")
    assert '"cahce"' in text and 'did you mean "cache"?' in text and "not registered" in text


def test_a_circle_through_a_capability(site):
    site.actor("a", requires={"capabilities": ["x"]})
    site.actor("b", provides=["x"], requires={"plugins": ["a"]})
    site.start()
    assert "a -> b -> a" in bad_of(site, "a")
    assert "b" in bad_of(site, "b")


def test_what_requires_a_plugin_that_is_kept_out(site):
    """Its own error is that of the other; it is not called missing."""
    site.actor("a", requires={"plugins": ["b"]})
    site.actor("b", requires={"plugins": ["c"]})
    site.start()
    assert 'there is no plugin "c"' in bad_of(site, "b")
    assert '"b", which is not registered itself' in bad_of(site, "a")


def test_info_tells_what_it_provides_and_excludes(site):
    site.actor("a", provides={"shared": ["x"], "exclusive": ["y"]}, conflicts=["c"],
               requires={"capabilities": ["z"]}, commands={"do": {"help": "does it", "method": "command"}})
    site.actor("b", provides=["z"])
    site.start()
    info = site.ok("info", "a")
    assert (info["provides"], info["exclusive"], info["conflicts"], info["commands"]) == (["x"], ["y"], ["c"], ["do"])
    assert info["requires"] == ["capability z"]
    out = site.ctl("info", "a").out
    for word in ("alone", "conflicts", "commands", "capability z"):
        assert word in out


def graph(site, *args):
    return {node["name"] or node["path"]: node for node in site.ok("graph", *args)["plugins"]}


def prepare(site):
    site.actor("app", requires={"plugins": ["store >=1.0 <2"], "capabilities": ["cache"]}, priority="high")
    site.actor("store", version="1.4.0", provides={"exclusive": ["disk"]})
    site.actor("memcache", provides=["cache"])
    site.actor("rival", conflicts=["app"], provides={"exclusive": ["disk"]}, priority="low")
    site.actor("one", requires={"plugins": ["two"]})
    site.actor("two", requires={"plugins": ["one"]})
    site.actor("old", requires={"plugins": ["store ^2"]})
    site.actor("lost", requires={"plugins": ["stroe"]})
    site.manifest("broken", "plugin: broken\n")
    site.start()
    site.ready("app")
    site.event("failed", "rival")


def test_the_graph_as_a_document(site):
    prepare(site)
    nodes = graph(site)
    assert nodes["app"]["requires"] == [{"plugin": "store", "range": ">=1.0 <2", "found": "1.4.0", "problem": ""}]
    assert nodes["app"]["capabilities"] == [{"capability": "cache", "providers": ["memcache"], "problem": ""}]
    assert nodes["app"]["state"] == "ready" and nodes["app"]["problems"] == []
    assert nodes["store"]["required_by"] == ["app", "old"]
    assert nodes["rival"]["conflicts"] == ["app"] and nodes["rival"]["provides"]["exclusive"] == ["disk"]
    assert "store" in nodes["rival"]["problems"][0]
    assert not nodes["one"]["registered"] and "one -> two -> one" in nodes["one"]["problems"][0]
    assert nodes["old"]["requires"][0]["problem"] == 'found store 1.4.0, expected "^2"'
    assert 'did you mean "store"?' in nodes["lost"]["requires"][0]["problem"]
    broken = nodes[str(site.plugins / "broken" / "plugin.yaml")]
    assert not broken["registered"] and "version" in "".join(broken["problems"])
    assert set(graph(site, "app")) == {"app", "store", "memcache", "rival"}
    assert site.ctl("graph", "ap").status == 4


def test_the_graph_as_text(site):
    site.actor("keen", requires={"capabilities": ["nobody-has-it"]})
    prepare(site)
    out = site.ctl("graph").out
    assert out == site.ctl("graph", "--text").out
    assert "app 1.0.0 (ready)\n├─ requires store >=1.0 <2: store 1.4.0 (ready)\n" in out
    assert "└─ requires the capability cache: memcache 1.0.0 (ready)\n" in out
    assert "a circle: one -> two -> one" in out
    assert "└─ conflicts with app" in out
    assert '└─ requires the capability nobody-has-it [no other plugin provides "nobody-has-it"]\n' in out
    assert 'found store 1.4.0, expected "^2"' in out
    for name in ("rival", "one", "two", "old", "lost", "broken"):
        assert name in out[out.index("problems:"):]
    one = site.ctl("graph", "store").out
    assert one.startswith("store 1.4.0 (ready)") and "required by app, old" in one


def test_the_graph_as_a_picture(site):
    prepare(site)
    dot = site.ctl("graph", "--dot").out
    assert dot.startswith("digraph")
    assert '"app" -> "store"' in dot and '"capability cache" -> "memcache"' in dot
    assert '"rival" -> "app"' in dot and '"lost" -> "stroe"' in dot
    written = site.root / "graph.dot"
    assert site.ctl("graph", "--output", written).status == 0
    assert written.read_text() == dot
    for kind, head in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        picture = site.root / f"graph.{kind}"
        done = site.ctl("graph", "app", "--output", picture)
        assert done.status == 0, done.err
        assert picture.read_bytes().startswith(head)
    assert b"store" in (site.root / "graph.svg").read_bytes()
    done = site.ctl("graph", "--output", site.root / "graph.jpeg")
    assert done.status == 2 and ".svg" in done.err
    done = site.ctl("graph", "--dot", "--text")
    assert done.status == 2


def test_without_graphviz_it_is_said(site):
    site.actor()
    site.start()
    done = site.ctl("graph", "--output", site.root / "graph.svg", env={"PATH": "/nowhere"})
    assert done.status == 1 and "graphviz" in done.err and ".dot" in done.err
    assert not (site.root / "graph.svg").exists()
    done = site.ctl("graph", "--output", "/nowhere/graph.svg")
    assert done.status == 1 and "/nowhere/graph.svg" in done.err


def test_the_graph_after_an_upgrade_in_place(site):
    prepare(site)
    site.ctl("reread")  # whoever cannot start is tried at every search, as after the upgrade, and says what its rival is then
    before = graph(site)
    assert site.ctl("upgrade", "--daemon").status == 0
    after = graph(site)
    assert json.dumps(after, sort_keys=True) == json.dumps(before, sort_keys=True)
