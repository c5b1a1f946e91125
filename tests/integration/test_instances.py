"""Several processes of one plugin: they share its calls, and fall and rise one by one."""

import collections
import json
import signal
import time

import pytest

from plugtest import build, procs, site as sites, wire


def instances(site, name="actor", role=None):
    return [one for one in site.status(name)["instance_list"] if role in (None, one["role"])]


def until(condition, what, timeout=20):
    deadline = time.monotonic() + build.seconds(timeout)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def three(site, **keys):
    run = {"instances": 3, **keys.pop("run", {})}
    site.actor(run=run, **keys)
    site.start()
    until(lambda: site.status("actor")["ready"] == 3, "three are ready")


def kill(pid, number=signal.SIGKILL):
    with procs.Watched(pid) as process:
        process.kill(number)


def test_they_are_shown(site):
    three(site)
    line = site.ok("list")["plugins"][0]
    assert (line["state"], line["ready"], line["instances"]) == ("ready", 3, 3)
    assert site.ctl("list").out.splitlines()[1].split()[4] == "3/3"
    blocks = instances(site)
    assert [one["name"] for one in blocks] == ["actor.1", "actor.2", "actor.3"]
    assert len({one["pid"] for one in blocks}) == len({one["generation"] for one in blocks}) == 3
    assert line["rss_bytes"] >= sum(one["rss_bytes"] for one in blocks) // 2
    text = site.ctl("status", "actor").out
    assert "3 of 3 ready" in text and "actor.2" in text
    for one in blocks:
        assert procs.environment(one["pid"])["PLUG_INSTANCE"] == one["name"]


def test_a_single_one_keeps_its_plain_name(site):
    site.actor()
    site.start()
    pid = site.ready()["pid"]
    assert procs.environment(pid)["PLUG_INSTANCE"] == "actor"
    assert [one["name"] for one in instances(site)] == ["actor"]
    assert "INSTANCES" not in site.ctl("list").out


def test_calls_go_to_the_least_loaded(site):
    three(site)
    with wire.Client(site) as client:
        waiting = [client.start_call("actor", "wait") for _ in range(9)]
        until(lambda: sum(one["in_flight"] for one in instances(site)) == 9, "nine are in flight")
        assert [one["in_flight"] for one in instances(site)] == [3, 3, 3]
        for number in waiting:
            client.send(number, cancel=wire.pb.Cancel())


def test_equals_take_turns(site):
    three(site)
    path = site.root / "record"
    generations = collections.Counter(
        site.call("actor", "record", {"file": str(path), "text": "x"})["generation"] for _ in range(9)
    )
    assert sorted(generations.values()) == [3, 3, 3]


def test_one_dies_and_the_others_go_on(site):
    three(site, run={"backoff": {"min": "1h", "max": "1h"}})
    with wire.Client(site) as client:
        waiting = [client.start_call("actor", "wait") for _ in range(3)]
        until(lambda: [one["in_flight"] for one in instances(site)] == [1, 1, 1], "one each")
        before = instances(site)
        kill(before[1]["pid"])
        env = client.receive("reply")
        assert env.id in waiting and env.reply.outcome == wire.EGONE
        until(lambda: instances(site)[1]["state"] == "backoff", "the second waits")
        after = instances(site)
        assert [after[0]["pid"], after[2]["pid"]] == [before[0]["pid"], before[2]["pid"]]
        assert [one["failures"] for one in after] == [0, 1, 0]
        status = site.status("actor")
        assert (status["state"], status["ready"]) == ("ready", 2)
        assert "SIGKILL" in status["reason"], "what is wrong with it is told"
        assert "2/3" in site.ctl("list").out
        for n in range(20):
            assert client_echo(site, n) == {"n": n}
        assert site.ok("start", "actor")["results"][0]["state"] == "ready"
        assert site.status("actor")["ready"] == 3, "start does not wait for the pause"


def client_echo(site, n):
    return site.call("actor", "echo", {"n": n})


def test_one_is_quarantined_alone(site):
    three(site, run={"max_failures": 2, "backoff": {"min": "1ms", "max": "1ms"}})
    for _ in range(2):
        until(lambda: instances(site)[2]["state"] == "ready", "the third is ready")
        third = instances(site)[2]["pid"]
        kill(third, signal.SIGABRT)
        site.event("crashed", "actor", pid=third)
    site.event("quarantined", "actor", "2 failures")
    blocks = instances(site)
    assert [one["state"] for one in blocks] == ["ready", "ready", "quarantined"]
    assert "plugctl start actor" in blocks[2]["next"]
    assert len(site.ok("crashes", "actor")["crashes"]) == 2
    assert site.word("actor") == "ready"
    assert site.ok("start", "actor")["results"][0]["state"] == "ready"
    assert [one["state"] for one in instances(site)] == ["ready"] * 3


def test_stop_and_start_are_of_all(site):
    three(site)
    pids = [one["pid"] for one in instances(site)]
    site.ok("stop", "actor")
    assert not any(procs.alive(pid) for pid in pids)
    assert [one["state"] for one in instances(site)] == ["stopped"] * 3
    site.ok("start", "actor")
    assert site.status("actor")["ready"] == 3, "start waits for all"
    site.ok("restart", "actor")
    assert site.status("actor")["ready"] == 3


def test_one_that_cannot_start_is_told(site):
    """The second of three fails to start: start says so, the others serve."""
    turn = site.root / "turn"
    site.plugin("actor", ["/bin/sh", "-c", f"""
mkdir {turn}1 2>/dev/null && exec {build.ACTOR}
mkdir {turn}2 2>/dev/null && exec {build.ACTOR} --start-fail 'no second device'
exec {build.ACTOR}"""], run={"instances": 3, "autostart": False})
    site.start()
    done = site.ctl("start", "actor")
    assert done.status == 1 and "no second device" in done.err
    assert sorted(one["state"] for one in instances(site)) == ["failed", "ready", "ready"]
    assert client_echo(site, 1) == {"n": 1}


# ---- reload ---------------------------------------------------------------------------------------


def test_a_rolling_reload_is_one_at_a_time(site):
    """Under load: never fewer than three, never more than one beside them, no call lost."""
    three(site, version="1.0.0")
    site.actor(version="1.1.0", run={"instances": 3})
    seen = []
    with wire.Client(site) as client:
        reloading = client.next_id()
        client.send(reloading, request=wire.admin.Request(act=wire.admin.ActRequest(action=6, name="actor")))
        ended = False
        while not ended:
            number, look = client.start_call("actor", "echo", b"x"), client.next_id()
            client.send(look, request=wire.admin.Request(status=wire.admin.StatusRequest(name="actor")))
            waits = {number, look}
            while waits:
                env = client.receive()
                if env.id == reloading:
                    assert env.response.outcome == wire.OK, env
                    ended = True
                    continue
                waits.remove(env.id)
                if env.id == number:
                    assert (env.reply.outcome, env.reply.payload) == (wire.OK, b"x")
                else:
                    seen.append([(one.role, one.state) for one in env.response.plugin.instances])
    assert len(seen) > 3 and max(map(len, seen)) <= 4, "one beside the three, at most"
    assert all(blocks.count(("active", "ready")) == 3 for blocks in seen), seen
    assert any(("new", "starting") in blocks for blocks in seen), seen
    assert {one["version"] for one in instances(site)} == {"1.1.0"}
    assert len(site.ok("crashes", "actor")["crashes"]) == 0


def test_a_rolling_reload_that_fails_midway_goes_back(site):
    counter = site.root / "count"
    three(site, version="1.0.0")
    document = json.loads(site.actor(version="1.1.0", run={"instances": 3}).read_text())
    document["exec"] = ["/bin/sh", "-c", f"""
echo x >> {counter}
[ $(wc -l < {counter}) = 2 ] && exit 3
exec {build.ACTOR} --version 1.1.0"""]
    site.manifest("actor", json.dumps(document))
    done = site.ctl("reload", "actor")
    assert done.status == 1 and "exit code 3" in done.err and "version 1.0.0 stays in force" in done.err
    assert [one["version"] for one in instances(site)] == ["1.0.0"] * 3, "the first went back, too"
    assert [one["state"] for one in instances(site)] == ["ready"] * 3
    assert site.status("actor")["version"] == "1.0.0"


def test_a_manifest_changes_how_many(site):
    site.actor(run={"instances": 1})
    site.start()
    site.ready()
    site.actor(run={"instances": 3})
    site.ok("reload", "actor")
    assert site.status("actor")["ready"] == 3
    site.actor(run={"instances": 2})
    site.ok("reload", "actor")
    assert [one["name"] for one in instances(site)] == ["actor.1", "actor.2"]
    assert site.status("actor")["ready"] == 2


# ---- scale ----------------------------------------------------------------------------------------


def scale(site, *words):
    return site.ok("scale", "actor", *words)["results"][0]


def test_scale_up_and_down(site):
    site.actor()
    site.start()
    first = site.ready()["pid"]
    result = scale(site, 3)
    assert result["state"] == "ready" and result["detail"] == "3 instances"
    blocks = instances(site)
    assert len(blocks) == 3 and blocks[0]["pid"] == first and site.status("actor")["scale"] == 3
    assert scale(site, 3)["detail"] == "3 instances", "nothing to do"
    assert scale(site, 1)["detail"] == "1 instance"
    assert [one["pid"] for one in instances(site)] == [first]
    assert not any(procs.alive(one["pid"]) for one in blocks[1:])


def test_scale_down_lets_calls_end(site):
    site.actor(run={"stop_timeout": f"{build.seconds(20):.0f}s", "instances": 2})
    site.start()
    until(lambda: site.status("actor")["ready"] == 2, "both are ready")
    gates = [site.fifo("gate1"), site.fifo("gate2")]
    with wire.Client(site) as client:
        held = [client.start_call("actor", "hold", json.dumps({"fifo": str(gate)}).encode()) for gate in gates]
        until(lambda: [one["in_flight"] for one in instances(site)] == [1, 1], "one each")
        scaling = site.ctl_start("scale", "actor", "1")
        until(lambda: instances(site)[1]["state"] == "draining", "the second finishes")
        assert client_echo(site, 1) == {"n": 1}
        for gate in gates:
            sites.fifo_send(gate, "held")
        for _ in held:
            assert client.receive("reply").reply.payload == b"held"
    assert scaling.wait(build.seconds(20)) == 0
    scaling.communicate()
    assert len(instances(site)) == 1


def test_scale_is_kept(site):
    site.actor(run={"instances": 2})
    site.start()
    scale(site, 3)
    site.actor(version="1.1.0", run={"instances": 1})
    site.ok("reload", "actor")
    assert site.status("actor")["instances"] == 3, "over a reload"
    site.stop()
    site.start()
    until(lambda: site.status("actor")["ready"] == 3, "and over plugd's end")
    assert scale(site, "--reset")["detail"] == "1 instance"
    assert site.status("actor")["scale"] == 0
    site.stop()
    assert not (site.runtime / "state" / "scale.actor").exists()


def test_scale_that_cannot_be_read(site):
    site.actor()
    site.start()
    site.ready()
    scale(site, 2)
    site.stop()
    (site.runtime / "state" / "scale.actor").write_text("many\n")
    site.start()
    site.event("ready", "actor")
    assert site.status("actor")["instances"] == 1
    assert "scale.actor in the state directory" in site.log_text()


def test_scale_of_one_that_is_stopped(site):
    site.actor(run={"autostart": False})
    site.start()
    assert scale(site, 2)["detail"] == "2 instances from its next start"
    site.ok("start", "actor")
    assert site.status("actor")["ready"] == 2


@pytest.mark.parametrize("words", [[], ["0"], ["65"], ["x"], ["-1"], ["2", "--reset"]])
def test_scale_with_wrong_words(site, words):
    site.actor()
    site.start()
    site.ready()
    assert site.ctl("scale", "actor", *words).status == 2
    assert site.status("actor")["instances"] == 1


def test_scale_too_many_by_hand(site):
    """What plugctl would not send."""
    site.actor()
    site.start()
    site.ready()
    with wire.Client(site) as client:
        response, = client.request(act=wire.admin.ActRequest(action=7, name="actor", instances=65))
    assert response.outcome == wire.EINVAL and "64" in response.message
    assert site.ctl("scale", "nobody", "2").status == 4


def test_scale_during_a_reload(site):
    gate = site.fifo("gate")
    site.actor(version="1.0.0")
    site.start()
    site.ready()
    site.actor("actor", "--start-wait", gate, version="1.1.0")
    reloading = site.ctl_start("reload", "actor")
    site.log_line("actor", "on_start waits")
    scaling = site.ctl_start("scale", "actor", "2")
    sites.fifo_send(gate)
    # Not the old process and the new one, which waits at the gate as well.
    both = [("active", "ready"), ("active", "starting")]
    until(lambda: [(one["role"], one["state"]) for one in instances(site)] == both, "the second starts")
    sites.fifo_send(gate)
    for process in (reloading, scaling):
        out, err = process.communicate(timeout=build.seconds(20))
        assert process.returncode == 0, err
    assert [one["version"] for one in instances(site)] == ["1.1.0"] * 2


def test_what_it_requires_takes_calls_with_one_of_three(site):
    """A requirement is met by one instance that takes calls."""
    three(site, run={"backoff": {"min": "1h", "max": "1h"}})
    kill(instances(site)[0]["pid"])
    site.event("restarting", "actor")
    site.actor("user", requires={"plugins": ["actor"]})
    site.ok("reread")
    site.ready("user")


@pytest.mark.load
def test_many_deaths_under_load(site):
    """Any of three is killed again and again; idempotent calls all succeed."""
    three(site, run={"backoff": {"min": "0ms", "max": "0ms"}, "max_failures": 0})
    with wire.Client(site) as client:
        for n in range(200):
            if n % 10 == 0:
                ready = [one for one in instances(site) if one["state"] == "ready"]
                if ready:
                    kill(ready[n // 10 % len(ready)]["pid"])
            assert client.call("actor", "echo", b"%d" % n)[::2] == (wire.OK, b"%d" % n)
