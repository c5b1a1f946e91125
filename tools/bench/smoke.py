#!/usr/bin/env python3
"""smoke.py PLUGBENCH ROW...: does plugbench run, and is what it says in JSON complete?  No figure is judged."""
import json
import subprocess
import sys

program, names = sys.argv[1], sys.argv[2:]
for name in names:
    run = subprocess.run([program, "--quick", "--json", "--row", name], stdout=subprocess.PIPE, check=True, timeout=120)
    report = json.loads(run.stdout)
    assert report["quick"] is True and report["rounds"] >= 1, report
    assert report["machine"]["cpu"] and report["machine"]["kernel"] and report["machine"]["processors"] >= 1, report
    assert report["rows"] or report["points"] or report["loads"], f"{name}: nothing was measured"
    for point in report["points"]:
        assert point["series"] and point["bytes"] > 0 and point["value"]["p50"] > 0, point
    for load in report["loads"]:
        planes = load["counters"]
        assert load["ok"] == load["calls"] > 0 and load["latency_us"]["p50"] > 0, load
        # What is said of one plane went over that plane.
        assert not planes["control_calls" if load["plane"] == "data" else "data_calls"], load
    for row in report["rows"]:
        assert row["name"] == name and row["what"] and row["unit"], row
        assert row["value"]["p50"] >= 0, row
        assert row["verdict"] in ("none", "reached", "miss", "skipped"), row
        assert (row["reach"] is None) == (row["verdict"] == "none"), row
        if row["floor"]:
            assert row["floor"]["value"]["p50"] > 0 and row["ratio"] > 0, row
            assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"], row

# What is wrong is said, with the status that the manual promises.
assert subprocess.run([program, "--row", "nothing"], stderr=subprocess.PIPE).returncode == 2
assert subprocess.run([program, "--build-dir", "/nonexistent"], stderr=subprocess.PIPE).returncode == 1
