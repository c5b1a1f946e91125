"""plugbench's rows of what goes on under plugd's feet: that they measure it.  No time is judged."""

import json
import subprocess

import pytest

from plugtest import build

PLUGBENCH = build.BUILD / "bin" / "plugbench"


def measure(name):
    """The rows of one quick run."""
    run = subprocess.run([PLUGBENCH, "--quick", "--json", "--row", name], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=build.seconds(85))
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["quick"] is True and report["rows"]
    for row in report["rows"]:
        assert row["name"] == name and row["what"] and row["unit"], row
        assert (row["reach"] is None) == (row["verdict"] == "none"), row
    return report["rows"]


def row_of(rows, *words):
    found = [row for row in rows if all(word in row["what"] for word in words)]
    assert len(found) == 1, (words, [row["what"] for row in rows])
    return found[0]


def check_latency(row):
    latency = [row["value"][key] for key in ("p50", "p90", "p99", "p999")]
    assert latency == sorted(latency) and latency[0] > 0, row
    assert row["count"] > 0 and row["floor"]["name"] == "between them" and row["floor"]["value"]["p50"] > 0, row
    assert row["ratio"] == pytest.approx(row["value"]["p50"] / row["floor"]["value"]["p50"], rel=1e-3)


def test_calls_during_reloads():
    """5 with --quick, beside the old process each; all calls of both planes are answered."""
    rows = measure("reload")
    lost = row_of(rows, "lost", "5 reloads")
    assert (lost["value"]["p50"], lost["verdict"]) == (0, "reached"), lost["note"]
    for plane in ("data plane", "control plane"):
        latest = row_of(rows, "latest", plane)
        assert latest["unit"] == "ms" and latest["reach"]["at_most"] == 5 and "pacer" in latest["note"]
        check_latency(row_of(rows, "call of 64 B", plane))
    assert " over channels" in lost["note"] and "; of the former 0 over channels" not in lost["note"]


def test_a_spare_answers():
    rows = measure("failover")
    assert len(rows) == 8
    for plane in ("control plane", "data plane"):
        for size in ("", ", 64 MiB"):
            fault = row_of([row for row in rows if row["what"].endswith(plane + size)], "a fault")
            assert 0 < fault["ratio_low"] <= fault["ratio"] <= fault["ratio_high"]
            assert fault["value"]["p50"] > 0 and fault["floor"]["value"]["p50"] > 0
            notice = row_of([row for row in rows if row["what"].endswith(plane + size)], "SIGKILL")
            assert 0 < notice["value"]["p50"], notice
            assert notice["count"] >= 3


def test_a_flood():
    rows = measure("flood")
    for plane in ("control plane", "data plane"):
        calls = row_of(rows, "during a flood", plane)
        assert calls["reach"] == {"of": "ratio", "at_most": 1.5} and calls["value"]["p50"] > 0
        assert calls["ratio_low"] <= calls["ratio"] <= calls["ratio_high"]
    memory = row_of(rows, "memory")
    assert memory["unit"] == "KiB" and memory["value"]["p50"] >= 0, memory
    # Of 1 GB a twentieth is printed by each of two sets of rounds, and a round of each before.
    assert "; 0.13 GB printed in all" in memory["note"]


def test_crashes_in_a_row():
    """100 with --quick: nothing stays open."""
    rows = measure("cycles")
    for who in ("plugd", "guardian"):
        fds = row_of(rows, who + ": descriptors", "100 crashes", "than after 10")
        assert fds["value"]["p50"] <= 0, fds["note"]
        assert row_of(rows, who + ": memory")["reach"] == {"of": "p50", "at_most": 128}
    assert row_of(rows, "starts after them")["value"]["p50"] > 0


def test_calls_during_upgrades():
    """Where plugctl cannot replace plugd in place, that is said in place of figures."""
    rows = measure("upgrade")
    if rows[0]["verdict"] == "skipped":
        assert len(rows) == 1 and rows[0]["value"] is None
        assert "this plugctl cannot do it" in rows[0]["note"]
        return
    lost = row_of(rows, "lost", "3 upgrades")
    assert (lost["value"]["p50"], lost["verdict"]) == (0, "reached"), lost["note"]
    assert row_of(rows, "longest time without an answer")["reach"]["at_most"] == 50
    tail = row_of([row for row in rows if row["unit"] == "us, p99.9"], "data plane")
    assert 0 < tail["ratio_low"] <= tail["ratio"] <= tail["ratio_high"] and tail["count"] > 0 and tail["rounds"] == 3
