"""plugctl bench: what it measures is what happened.  No latency is judged."""

import json
import os
import signal

import pytest

from plugtest import build

METHODS = {"echo": {"idempotent": True, "timeout": "30s"}}


@pytest.fixture
def actor(site):
    site.actor(methods=METHODS)
    site.start()
    site.ready()
    return site


def bench(site, *words, method="echo"):
    return site.ctl("--json", "bench", "actor", method, "--warm-up", "10ms", *words)


def calls_of(site):
    stats = site.ctl("--json", "stats", "actor").json
    return sum(plugin["calls"] for plugin in stats["plugins"])


def check_run(run):
    latency = run["latency_us"]
    order = [latency[key] for key in ("min", "p50", "p90", "p99", "p999", "max")]
    assert order == sorted(order) and order[0] > 0
    assert run["calls"] == run["ok"] + sum(run["failed"].values())
    assert run["calls_per_s"] == pytest.approx(run["ok"] / run["elapsed_s"], rel=1e-6)


def test_a_count_of_calls_is_made(actor):
    before = calls_of(actor)
    done = actor.ctl("--json", "bench", "actor", "echo", "--warm-up", "1ms", "--plane", "control",
                     "--size", "64", "--count", "200", "--concurrency", "3")
    assert done.status == 0, done.err
    document = done.json
    assert (document["name"], document["method"]) == ("actor", "echo")
    [run] = document["runs"]
    check_run(run)
    assert (run["calls"], run["ok"], run["failed"]) == (200, 200, {})
    assert (run["size"], run["callers"], run["plane"]) == (64, 3, "control")
    # One call before everything, and those of a warm-up of one millisecond.
    assert before + 201 <= calls_of(actor) <= before + 201 + 1000


def test_every_combination_is_a_run(actor):
    done = bench(actor, "--size", "1,4KiB,100KiB", "--in-flight", "1,8", "--concurrency", "1,2", "--count", "20",
                 "--plane", "control")
    assert done.status == 0, done.err
    runs = done.json["runs"]
    assert {(run["size"], run["in_flight"], run["callers"]) for run in runs} == {
        (size, window, callers) for size in (1, 4096, 102400) for window in (1, 8) for callers in (1, 2)}
    assert len(runs) == 12
    for run in runs:
        check_run(run)
        assert run["ok"] == 20


def test_a_duration_is_kept(actor):
    [run] = bench(actor, "--duration", "300ms", "--size", "8").json["runs"]
    check_run(run)
    assert 0.3 <= run["elapsed_s"] < 0.3 + build.seconds(5)
    assert run["ok"] > 10


def test_processor_time_is_of_the_three(actor):
    [run] = bench(actor, "--duration", "500ms", "--size", "8", "--plane", "control").json["runs"]
    used = run["cpu_us_per_call"]
    assert set(used) == {"caller", "plugin", "plugd"}
    assert all(0 < value < run["latency_us"]["mean"] * 3 for value in used.values()), used


def test_a_rate_is_kept(actor):
    [run] = bench(actor, "--rate", "200", "--duration", "1s", "--size", "8", "--in-flight", "4").json["runs"]
    check_run(run)
    assert run["ok"] + run["unsent"] == 200
    assert run["late_us"]["p50"] >= 0


def test_latency_counts_from_when_a_call_was_due(actor):
    """`wait` never returns by itself: every call takes its deadline, and those behind it wait with it."""
    done = actor.ctl("--json", "--timeout", "200ms", "bench", "actor", "wait", "--count", "1")
    assert done.status == 5  # already the first call, before anything is measured
    done = actor.ctl("--json", "bench", "actor", "sleep", "--payload", "ms=50", "--rate", "100", "--count", "10",
                     "--warm-up", "1ms", "--plane", "control")
    assert done.status == 0, done.err
    [run] = done.json["runs"]
    # The tenth is due 90 ms after the first and answered 500 ms after it.
    assert run["latency_us"]["max"] >= 400_000
    assert run["latency_us"]["min"] >= 50_000
    assert run["late_us"]["max"] >= 350_000


def test_the_data_plane_alone(actor):
    """Not one of the measured calls is seen by plugd; the client's counts say the same."""
    before = calls_of(actor)
    [run] = bench(actor, "--plane", "data", "--size", "64", "--count", "5000").json["runs"]
    check_run(run)
    counters = run["counters"]
    assert (run["ok"], counters["data_calls"], counters["control_calls"]) == (5000, 5000, 0)
    assert counters["copies"] == 2 * 5000 and counters["copied_bytes"] == 2 * 64 * 5000
    assert counters["violations"] == counters["resent"] == 0
    assert calls_of(actor) - before < 1000


def test_a_wait_that_was_slept_through_is_over(actor):
    """Each is counted, and the next one may spin again."""
    [run] = bench(actor, "--plane", "data", "--payload", "ms=50", "--count", "20", "--spin", "100",
                  method="sleep").json["runs"]
    assert run["counters"]["spin_misses"] == 20


def test_replies_beyond_the_window_of_a_channel(actor):
    """They wait for credit, which the last reply needs as well as the pieces of a stream."""
    done = bench(actor, "--plane", "data", "--size", "200KiB,4MiB", "--count", "5")
    assert done.status == 0, done.err
    assert [run["ok"] for run in done.json["runs"]] == [5, 5]


def test_auto_says_which_way_calls_went(actor):
    [run] = bench(actor, "--size", "64", "--count", "2000").json["runs"]
    assert run["counters"]["data_calls"] + run["counters"]["control_calls"] == 2000
    [run] = bench(actor, "--size", "64", "--count", "200", "--plane", "control").json["runs"]
    assert (run["counters"]["data_calls"], run["counters"]["control_calls"]) == (0, 200)


def test_a_plugin_without_a_data_plane_has_no_figure_of_it(site):
    """A plugin in another language takes no channels: that is said, and nothing is published."""
    site.script("plain", "Rogue().start().serve()\n")
    site.start()
    site.ready("plain")
    done = site.ctl("bench", "plain", "echo", "--plane", "data", "--warm-up", "10ms", "--count", "10")
    assert done.status == 1 and not done.out
    assert "channel" in done.err, done.err


def test_calls_that_fail_are_counted(site):
    """The plugin dies meanwhile: what ended is said by name, with status 1, and the rest is measured."""
    site.actor(methods={"sleep": {"timeout": "30s"}})
    site.start()
    pid = site.ready()["pid"]
    process = site.ctl_start("--json", "bench", "actor", "sleep", "--duration", "3s", "--in-flight", "16",
                             "--payload", "ms=500", "--plane", "control", "--warm-up", "1ms")
    while calls_of(site) < 20 or not site.status("actor")["instance_list"][0]["in_flight"]:
        assert process.poll() is None
    os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=build.seconds(30))
    assert process.returncode == 1
    [run] = json.loads(out)["runs"]
    check_run(run)
    assert run["failed"].get("PLUG_EGONE", 0) >= 1
    assert run["ok"] > 20
    assert "PLUG_EGONE" in err and "the first that failed" in err


def test_a_method_that_fails(actor):
    done = actor.ctl("bench", "actor", "fail")
    assert done.status == 1 and done.err and not done.out


def test_a_plugin_that_is_not_there(actor):
    assert bench(actor, method="nothing").status == 1
    done = actor.ctl("bench", "actr", "echo")
    assert done.status == 4 and 'did you mean "actor"' in done.err


@pytest.mark.parametrize("words", [
    ["--plane", "fast"], ["--size", "17MiB"], ["--concurrency", "0"], ["--in-flight", "x"], ["--rate", "0"],
    ["--count", "1", "--duration", "1s"], ["--payload", "{"], ["--plane", "control", "--spin", "5"], ["more"],
])
def test_nonsense_is_refused(actor, words):
    done = actor.ctl("bench", "actor", "echo", *words)
    assert done.status == 2
    assert done.err and not done.out


def test_a_table(actor):
    done = actor.ctl("bench", "actor", "echo", "--size", "8,16", "--count", "10", "--plane", "control")
    assert done.status == 0, done.err
    head, *lines = done.out.splitlines()
    assert "CALLS/S" in head and "P99.9" in head and len(lines) == 2
    assert all(line.startswith("control") for line in lines)
