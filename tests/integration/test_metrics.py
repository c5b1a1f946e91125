"""plugctl metrics: what plugd counts, as Prometheus reads it."""

import json
import re
import time

import pytest

from plugtest import build, channel, procs, wire
from plugtest.exposition import Exposition


def metrics(site):
    done = site.ctl("metrics")
    assert done.status == 0, done
    assert done.err == ""
    return Exposition(done.out)


def until(site, name, wanted, **labels):
    deadline = time.monotonic() + build.seconds(20)
    while (value := metrics(site).value(name, **labels)) != wanted:
        assert time.monotonic() < deadline, (name, value)
        time.sleep(0.02)


def use_processor(site):
    """Calls until the kernel has counted some time; how much."""
    deadline = time.monotonic() + build.seconds(30)
    with wire.Client(site) as client:
        while not (used := metrics(site).value("plugd_plugin_cpu_seconds_total", plugin="actor")):
            assert time.monotonic() < deadline
            for _ in range(200):
                client.call("actor", "echo", b"{}")
    return used


BROKEN = {
    "no end of the line": "# HELP a x.\n# TYPE a gauge\na 1",
    "a family twice": "# HELP a x.\n# TYPE a gauge\na 1\n# HELP a x.\n# TYPE a gauge\n",
    "a series twice": "# HELP a x.\n# TYPE a gauge\na{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 1\n",
    "no type": "# HELP a x.\na 1\n",
    "samples of another": "# HELP a x.\n# TYPE a gauge\nb 1\n",
    "a raw quote": "# HELP a x.\n# TYPE a gauge\na{b=\"\"\"} 1\n",
    "an escape that is none": "# HELP a x.\n# TYPE a gauge\na{b=\"\\t\"} 1\n",
    "a raw newline": "# HELP a x.\n# TYPE a gauge\na{b=\"\n\"} 1\n",
    "a counter without its ending": "# HELP a x.\n# TYPE a counter\na 1\n",
    "no number": "# HELP a x.\n# TYPE a gauge\na one\n",
    "buckets that shrink": "# HELP a x.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n"
                           "a_sum 1\na_count 1\n",
    "no last bucket": "# HELP a x.\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
    "another count": "# HELP a x.\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_checker_refuses(what):
    with pytest.raises((AssertionError, ValueError)):
        Exposition(BROKEN[what])


def test_of_plugd(site):
    site.actor()
    site.actor("resting", run={"autostart": False})
    site.manifest("wrong", "plugin: wrong\n")
    site.start()
    site.ready()
    seen = metrics(site)
    status = site.status()
    assert seen.value("plugd_info", version=status["version"]) == 1
    assert 0 < seen.value("plugd_uptime_seconds") <= status["uptime_ms"] / 1000
    assert seen.value("plugd_resident_memory_bytes") > 1 << 20
    assert seen.value("plugd_clients") == 2  # plugctl itself, and who follows the events
    assert seen.value("plugd_plugins_unusable") == 1
    assert seen.value("plugd_config_rejected") == 0
    assert seen.value("plugd_plugins", state="ready") == seen.value("plugd_plugins", state="stopped") == 1
    assert sum(sample.value for sample in seen.select("plugd_plugins")) == 2
    for plugin, state in (("actor", "ready"), ("resting", "stopped")):
        states = {s.labels["state"]: s.value for s in seen.select("plugd_plugin_state", plugin=plugin)}
        assert {word for word, value in states.items() if value} == {state}
        assert {"quarantined", "failed", "backoff", "hung", "disabled"} <= set(states)
    assert seen.value("plugd_plugin_info", plugin="actor", version="1.0.0", type="interface") == 1
    assert seen.value("plugd_plugin_start_duration_seconds", plugin="actor") > 0
    assert seen.value("plugd_plugin_resident_memory_bytes", plugin="actor") > 1 << 20
    assert seen.value("plugd_plugin_resident_memory_bytes", plugin="resting") == 0
    for name in ("start_duration_seconds", "uptime_seconds", "last_used_timestamp_seconds", "last_error_info"):
        assert seen.select(f"plugd_plugin_{name}", plugin="resting") == [], name


def test_processor_time_of_plugd_grows(site):
    site.actor()
    site.start()
    site.ready()
    before = metrics(site).value("plugd_cpu_seconds_total")
    with wire.Client(site) as client:
        deadline = time.monotonic() + build.seconds(30)
        while metrics(site).value("plugd_cpu_seconds_total") == before:
            assert time.monotonic() < deadline
            for _ in range(200):
                client.call("actor", "echo", b"{}")


def test_calls_are_counted_by_outcome(site):
    site.actor()
    site.start()
    site.ready()
    began = time.time()
    with wire.Client(site) as client:
        for _ in range(5):
            assert client.call("actor", "echo", b"{}")[0] == wire.OK
        assert client.call("actor", "sleep", b'{"ms": 40}')[0] == wire.OK
        assert client.call("actor", "sleep", b'{"ms": 60000}', timeout_ms=30)[0] == wire.ETIMEOUT
        assert client.call("actor", "fail")[0] != wire.OK
        assert client.call("actor", "nothing")[0] != wire.OK
        number = client.start_call("actor", "wait", timeout_ms=60000)
        client.send(number, cancel=wire.pb.Cancel(reason=wire.ECANCELLED))
        assert client.receive("reply").reply.outcome == wire.ECANCELLED
        assert client.call("actor", "die", b'{"signal": 9}')[0] == wire.EGONE
    site.ready("actor", generation=2)
    seen = metrics(site)

    def calls(method):
        samples = seen.select("plugd_method_calls_total", plugin="actor", method=method)
        assert len(samples) == 5
        return {sample.labels["outcome"]: sample.value for sample in samples if sample.value}

    assert calls("echo") == {"ok": 5}
    assert calls("sleep") == {"ok": 1, "timeout": 1}
    assert calls("fail") == {"error": 1}
    assert calls("wait") == {"cancelled": 1}
    assert calls("die") == {"gone": 1}
    assert seen.select("plugd_method_calls_total", method="nothing") == []
    assert seen.value("plugd_plugin_calls_total", outcome="ok") == 6
    assert seen.value("plugd_plugin_calls_total", outcome="error") == 5
    assert seen.value("plugd_calls_total") == 11
    assert began - 1 < seen.value("plugd_plugin_last_used_timestamp_seconds") < time.time() + 1
    assert seen.value("plugd_method_duration_seconds_count", method="sleep") == 2
    assert seen.value("plugd_method_duration_seconds_sum", method="sleep") > 0.065
    assert seen.value("plugd_method_duration_seconds_bucket", method="sleep", le="0.016384") == 0
    assert seen.value("plugd_method_duration_seconds_bucket", method="sleep", le="134.217728") == 2
    bounds = {sample.labels["le"] for sample in seen.select("plugd_method_duration_seconds_bucket")}
    assert len(bounds) == 23, "every method has the same"


def test_what_is_under_way(site):
    """Of all instances, and what waits for them."""
    site.actor(run={"instances": 2})
    site.configure("limits: { calls_per_instance: 2 }\n")
    site.start()
    until(site, "plugd_plugin_instances_ready", 2, plugin="actor")
    with wire.Client(site) as client:
        for _ in range(5):
            client.start_call("actor", "wait", timeout_ms=60000)
        until(site, "plugd_plugin_calls_in_flight", 4, plugin="actor")
        until(site, "plugd_plugin_calls_waiting", 1, plugin="actor")
    until(site, "plugd_plugin_calls_in_flight", 0, plugin="actor")


def test_deaths_are_counted(site):
    """What a process has used is not forgotten with it, so that a counter never falls."""
    site.actor()
    site.start()
    pid = site.ready()["pid"]
    used = use_processor(site)
    with procs.Watched(pid) as process:
        process.kill()
    site.ready("actor", generation=2)
    seen = metrics(site)
    assert seen.value("plugd_plugin_crashes_total", plugin="actor") == 1
    assert seen.value("plugd_plugin_restarts_total", plugin="actor") == 1
    assert seen.value("plugd_plugin_starts_total", plugin="actor") == 2
    assert seen.value("plugd_plugin_cpu_seconds_total", plugin="actor") >= used
    site.ok("stop", "actor")
    seen = metrics(site)
    assert seen.value("plugd_plugin_cpu_seconds_total", plugin="actor") >= used
    assert seen.value("plugd_plugin_processes", plugin="actor") == 0


def test_nothing_is_lost_over_an_upgrade(site):
    site.actor()
    site.start()
    pid = site.ready()["pid"]
    use_processor(site)
    with wire.Client(site) as client:
        assert client.call("actor", "sleep", b'{"ms": 20}')[0] == wire.OK
    site.ok("restart", "actor")
    assert not procs.alive(pid)
    before = metrics(site)
    site.ok("upgrade", "--daemon")
    after = metrics(site)
    for name in ("plugd_method_duration_seconds_sum", "plugd_method_duration_seconds_count",
                 "plugd_plugin_starts_total"):
        ours = {"plugin": "actor", **({"method": "sleep"} if "method" in name else {})}
        assert after.value(name, **ours) == before.value(name, **ours) > 0, name
    for sample in before.select("plugd_method_duration_seconds_bucket"):
        assert after.value(sample.name, **sample.labels) == sample.value
    assert after.value("plugd_plugin_cpu_seconds_total") >= before.value("plugd_plugin_cpu_seconds_total") > 0
    assert after.value("plugd_upgrades_total") == 1


def test_calls_through_channels(site):
    site.actor()
    site.start()
    site.ready()
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        for _ in range(20):
            assert c.call("echo", b"1").outcome == wire.OK
        assert c.call("fail").outcome != wire.OK
        waiting = c.start_call("wait")
        c.post(id=waiting, cancel=wire.pb.Cancel(reason=wire.ECANCELLED))
        assert c.take().reply.outcome == wire.ECANCELLED
        until(site, "plugd_plugin_channel_calls_total", 1, outcome="cancelled")
        seen = metrics(site)
        assert seen.value("plugd_plugin_channels") == 1
        assert seen.value("plugd_plugin_channels_opened_total") == 1
        assert seen.value("plugd_plugin_channel_calls_total", outcome="ok") == 20
        assert seen.value("plugd_plugin_channel_calls_total", outcome="error") == 1
        assert seen.value("plugd_plugin_channel_handler_seconds_count") == 22
        assert seen.value("plugd_plugin_channel_handler_seconds", quantile="0.99") > 0
        assert seen.value("plugd_plugin_calls_total", outcome="ok") == 0, "they do not come through plugd"
        c.close()


HOSTILE = {
    "quotes": 'a "b" c',
    "a newline and a line of its own": 'x\nplugd_plugin_crashes_total{plugin="actor"} 99',
    "backslashes": "\\n \\\\ \\",
    "the end of the labels": '"} 5',
    "control characters": "\x01\x1b[2J\x7f\u0085\u2028",
    "cut within a character": "\u00e4" * 300,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_messages_stay_within_their_label(site, what):
    site.actor()
    site.start()
    site.ready()
    assert site.ctl("call", "actor", "fail", json.dumps({"message": HOSTILE[what]})).status == 1
    seen = metrics(site)
    (sample,) = seen.select("plugd_plugin_last_error_info", plugin="actor")
    text = sample.labels["error"].removeprefix("fail: PLUG_EPLUGIN: ")
    assert text.rstrip("\ufffd") and HOSTILE[what].startswith(text.rstrip("\ufffd"))
    assert seen.value("plugd_plugin_crashes_total", plugin="actor") == 0
    if what != "cut within a character":
        assert text == HOSTILE[what]


def test_the_document_has_the_same(site):
    """--json and the text are of one making."""
    site.actor()
    site.start()
    site.ready()
    site.call("actor", "echo", {})
    site.ok("stop", "actor")  # so that nothing moves
    families = site.ok("metrics")["families"]
    seen = metrics(site)
    assert [(f["name"], f["type"], f["help"]) for f in families] == [
        (f.name, f.type, f.help) for f in seen.families.values()]
    moving = {"plugd_uptime_seconds", "plugd_resident_memory_bytes", "plugd_cpu_seconds_total"}
    for family in families:
        for sample in family["samples"]:
            assert set(sample) == {"name", "labels", "value"}
            if family["name"] not in moving:
                assert seen.value(sample["name"], **sample["labels"]) == sample["value"], sample


def test_every_family_is_documented(site):
    site.start()
    page = (build.SOURCE / "docs" / "operating.md").read_text()
    table = page.partition("## Metrics")[2].partition("## Upgrading")[0]
    named = re.findall(r"`(plugd_\w+)`", "\n".join(line for line in table.splitlines() if line.startswith("| ")))
    assert sorted(named) == sorted(metrics(site).families)


def test_without_plugd(site):
    done = site.ctl("metrics")
    assert done.status == 3 and done.out == ""
    assert str(site.runtime) in done.err
