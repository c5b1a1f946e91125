#!/usr/bin/python3
"""many.py BUILD [--json FILE] [--svg FILE] [--counts 10,30,…]: what plugins cost plugd, by how many there are.

Times are the least of several: what else the machine does only adds to them.

For each count, with a plugd of its own: how long it takes from executing plugd to its being ready with so many plugins found
(none of them started); how long after a plugin was dropped in plugd says that it has found it; how long so many take
from being found to the last one's being ready; then plugd's resident memory, and its processor time while nothing happens.

plugd's runtime directory is in memory, as /run is.  (Elsewhere the file system's search for free inodes counts, too.)
Plugins are libexec/plugbench-plugin, native.  The drawing needs matplotlib (Debian: python3-matplotlib).
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

MANIFEST = """plugin: {name}
version: 0.1.0
type: interface
exec: [{program}]
description: Echoes
methods: {{ echo: {{ idempotent: true }} }}
run: {{ autostart: {autostart} }}
"""
SINGLE = """#!/bin/sh
# ---plugin---
# plugin: {name}
# version: 0.1.0
# type: interface
# run: {{ autostart: false }}
# ---end---
exit 0
"""
DROPS = 7
DISCOVERIES = 5
STARTS = 3
REACH = {"discover_ms": 100, "notice_ms": 200, "start_ms": 3000, "rss_mib": 12, "idle_percent": 0.5}  # of 300


def cpu_ns(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])


class Plugd:
    """A plugd of its own, gone with all that it made when the block ends."""

    def __init__(self, build, root, plugins):
        self.build = build
        self.memory = tempfile.TemporaryDirectory(prefix="many", dir="/dev/shm")
        self.runtime = pathlib.Path(self.memory.name) / "r"
        self.path = root / "notify"
        self.path.unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.path))
        self.notify.settimeout(60)
        config = root / "plugd.yaml"
        config.write_text("limits: { plugins: 4096 }\n")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [build / "bin" / "plugd", "--config", config, "--plugin-dir", plugins, "--runtime-dir", self.runtime,
             "--log-level", "error"],
            env={**os.environ, "NOTIFY_SOCKET": str(self.path)},
        )
        while b"READY=1" not in self.notify.recv(4096):
            pass
        self.up_ms = (time.monotonic() - begin) * 1e3

    def __enter__(self):
        return self

    def ctl(self, *words):
        return [self.build / "bin" / "plugctl", "--runtime-dir", self.runtime, "--json", *words]

    def ask(self, *words):
        return json.loads(subprocess.run(self.ctl(*words), check=True, capture_output=True).stdout)

    def follow(self):
        follower = subprocess.Popen(self.ctl("events", "-f", "-n", "1"), stdout=subprocess.PIPE)
        follower.stdout.readline()  # it follows by now
        return follower

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        self.notify.close()
        self.memory.cleanup()


def make(folder, count, program, autostart):
    for n in range(count):
        one = folder / f"plugin-{n:04}"
        one.mkdir(parents=True)
        (one / "plugin.yaml").write_text(MANIFEST.format(name=one.name, program=program, autostart=autostart))


def wait_for(follower, kind, count=1):
    """This event of so many plugins; the monotonic time of the last."""
    seen = set()
    while len(seen) < count:
        event = json.loads(follower.stdout.readline())
        if event["kind"] in ("crashed", "failed"):
            print(f"{event['plugin']}: {event['kind']}: {event['detail']}", file=sys.stderr)
        if event["kind"] == kind:
            seen.add(event["plugin"])
    return time.monotonic()


def end(follower):
    follower.terminate()
    follower.wait()
    follower.stdout.close()


def discover(build, root, count):
    """From executing plugd to READY=1; the least of several, for what else the machine does only adds."""
    plugins = root / "quiet"
    make(plugins, count, build / "libexec" / "plugbench-plugin", "false")
    times, cpu = [], []
    for _ in range(DISCOVERIES):
        with Plugd(build, root, plugins) as plugd:
            times.append(plugd.up_ms)
            cpu.append(cpu_ns(plugd.ask("status")["pid"]) / 1e6)
    return min(times), min(cpu), plugins


def notice(build, root, plugins):
    """From a rename into the plugin directory to the event, plugctl's part included."""
    times = []
    with Plugd(build, root, plugins) as plugd:
        follower = plugd.follow()
        for n in range(DROPS):
            fresh = root / "fresh"
            fresh.write_text(SINGLE.format(name=f"dropped-{n}"))
            fresh.chmod(0o755)
            time.sleep(0.6)  # whatever the one before brought is over
            begin = time.monotonic()
            os.rename(fresh, plugins / f"dropped-{n}")
            times.append((wait_for(follower, "found") - begin) * 1e3)
        end(follower)
    return statistics.median(times)


def run_all(build, root, count, idle_s):
    """They are in a directory that is added while plugd runs, so that the first is found when the clock starts."""
    plugins, empty = root / "many", root / "empty"
    empty.mkdir()
    make(plugins, count, build / "libexec" / "plugbench-plugin", "true")
    starts, cpu = [], []
    for left in reversed(range(STARTS)):
        with Plugd(build, root, empty) as plugd:
            follower, pid = plugd.follow(), plugd.ask("status")["pid"]
            before, begin = cpu_ns(pid), time.monotonic()
            plugd.ask("dirs", "add", plugins)
            starts.append((wait_for(follower, "ready", count) - begin) * 1e3)
            cpu.append((cpu_ns(pid) - before) / 1e6)
            end(follower)
            if not left:
                time.sleep(3)
                rss = plugd.ask("status")["rss_bytes"]
                before, since = cpu_ns(pid), time.monotonic()
                time.sleep(idle_s)
                idle = (cpu_ns(pid) - before) / (time.monotonic() - since) / 1e7
            plugd.ask("dirs", "remove", plugins)
    return min(starts), min(cpu), rss / 2**20, idle


def measure(build, count, idle_s):
    root = pathlib.Path(tempfile.mkdtemp(prefix="many", dir="/tmp"))
    try:
        best, found_cpu, plugins = discover(build, root, count)
        noticed = notice(build, root, plugins)
        start, start_cpu, rss, idle = run_all(build, root, count, idle_s)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return {"count": count, "discover_ms": best, "discover_cpu_ms": found_cpu, "notice_ms": noticed,
            "start_ms": start, "start_cpu_ms": start_cpu, "rss_mib": rss, "idle_percent": idle}


def draw(rows, path):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "plugbench", "font.family": "DejaVu Sans", "font.size": 10})
    import matplotlib.pyplot as plt

    base = rows[0]
    panels = [
        ("plugd's processor time to find one, µs", "#0072B2",
         lambda r: (r["discover_cpu_ms"] - base["discover_cpu_ms"]) * 1e3 / (r["count"] - base["count"])
         if r is not base else None),
        ("plugd's processor time to start one, µs", "#009E73", lambda r: r["start_cpu_ms"] * 1e3 / r["count"]),
        ("memory of plugd per plugin, KiB", "#D55E00",
         lambda r: (r["rss_mib"] - base["rss_mib"]) * 1024 / (r["count"] - base["count"])
         if r is not base else None),
        ("idle processor time per plugin, millionths", "#E69F00", lambda r: r["idle_percent"] * 1e4 / r["count"]),
    ]
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), sharex=True)
    for axis, (title, color, value) in zip(axes.flat, panels):
        points = [(r["count"], value(r)) for r in rows if value(r) is not None]
        axis.plot(*zip(*points), color=color, marker="o", linewidth=2)
        axis.set_xscale("log")
        axis.set_xticks([r["count"] for r in rows], [str(r["count"]) for r in rows])
        axis.set_ylim(0, max(v for _, v in points) * 1.25)
        axis.set_title(title, fontsize=10)
        axis.grid(True, color="#dddddd", linewidth=0.6)
        axis.minorticks_off()
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for axis in axes[1]:
        axis.set_xlabel("plugins")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": "tools/bench/many.py"})
    text = pathlib.Path(path).read_text()
    pathlib.Path(path).write_text(re.sub(r"[ \t]+$", "", text, flags=re.M))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--svg", type=pathlib.Path)
    parser.add_argument("--counts", default="10,30,100,300,1000")
    parser.add_argument("--idle", type=float, default=20, help="seconds of doing nothing")
    args = parser.parse_args()
    build = args.build.resolve()
    rows = []
    print("| plugins | found, ms | of it plugd's CPU | noticed, ms | all ready, ms | of it plugd's CPU "
          "| plugd resident, MiB | idle, % of a core |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for count in map(int, args.counts.split(",")):
        row = measure(build, count, args.idle)
        rows.append(row)
        print(f"| {count} | {row['discover_ms']:.1f} | {row['discover_cpu_ms']:.1f} | {row['notice_ms']:.0f} "
              f"| {row['start_ms']:.0f} | {row['start_cpu_ms']:.0f} | {row['rss_mib']:.1f} "
              f"| {row['idle_percent']:.2f} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "reach_of_300": REACH, "load": os.getloadavg()}, indent=1) + "\n")
    if args.svg:
        draw(rows, args.svg)
    missed = [key for row in rows if row["count"] == 300 for key, most in REACH.items() if row[key] > most]
    if missed:
        print(f"not reached with 300: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
