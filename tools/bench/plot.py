#!/usr/bin/python3
"""plot.py REPORT.json OUT.svg: latency against size, from what `plugbench --row sizes --json` measured.

Needs matplotlib (Debian: python3-matplotlib).  The same report makes the same file, byte for byte.
"""
import json
import math
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "plugbench", "font.family": "DejaVu Sans", "font.size": 10})
import matplotlib.pyplot as plt  # noqa: E402  the backend is chosen before

# Okabe and Ito's colours, which those who see few colours can tell apart; shapes and dashes say it again.
STYLE = {
    "plugd, channel": ("#0072B2", "o", "-", 2.6),
    "plugd, tensor, untouched": ("#009E73", "D", "-", 2.6),
    "plugd, control plane": ("#56B4E9", "s", "-", 1.8),
    "iceoryx, untouched": ("#E69F00", "^", "-", 1.8),
    "go-plugin gRPC": ("#D55E00", "v", "-", 1.8),
    "bare memory, spinning": ("#000000", None, "--", 1.4),
    "bare Unix socket": ("#7F7F7F", None, ":", 1.8),
}
OTHER = ("#CC79A7", "x", "-", 1.8)
LABEL_GAP = 0.045  # least distance of two labels, as a share of the height


def size_name(size):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def time_name(us):
    for unit, name in ((1e6, "s"), (1e3, "ms"), (1, "µs")):
        if us >= unit:
            return f"{us / unit:g} {name}"
    return f"{us * 1e3:g} ns"


def series_of(report):
    """{name: [(bytes, p50), …]} in the order of the report."""
    series = {}
    for point in report["points"]:
        if point["value"]:
            series.setdefault(point["series"], []).append((point["bytes"], point["value"]["p50"]))
    return {name: sorted(points) for name, points in series.items()}


def spread(heights):
    """The heights, moved apart as little as is needed; each label stays in the order of its line's end."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed = {}
    floor = -math.inf
    for i in order:
        placed[i] = floor = max(heights[i], floor + LABEL_GAP)
    over = max(placed.values()) - max(heights) if placed else 0
    ceiling = math.inf
    for i in reversed(order):  # give half of what the upper ones were pushed back to the lower ones
        placed[i] = ceiling = min(placed[i] - over / 2, ceiling - LABEL_GAP)
    return [placed[i] for i in range(len(heights))]


def draw(report):
    series = series_of(report)
    sizes = sorted({size for points in series.values() for size, _ in points})
    times = [us for points in series.values() for _, us in points]
    low, high = 10 ** math.floor(math.log10(min(times))), 10 ** math.ceil(math.log10(max(times)))
    figure, axes = plt.subplots(figsize=(9, 5.6))
    for name, points in series.items():
        color, marker, dash, width = STYLE.get(name, OTHER)
        axes.plot(*zip(*points), color=color, marker=marker, linestyle=dash, linewidth=width, markersize=6)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xticks(sizes, [size_name(size) for size in sizes])
    axes.minorticks_off()
    ticks = [10.0**n for n in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    axes.set_yticks(ticks, [time_name(tick) for tick in ticks])
    axes.grid(True, color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("bytes each way")
    axes.set_ylabel("call and its answer, median")
    axes.set_title("Latency against size: there and back between two processes", loc="left", pad=22, fontsize=12)
    machine = report["machine"]
    axes.text(0, 1.02, f"{machine['date']}, {machine['cpu']}, caller and plugin on a processor each; "
              f"plugd {report['plugd']}, {report['rounds']} rounds in turn", transform=axes.transAxes, fontsize=8,
              color="#555555", va="bottom")
    label(axes, series, low, high)
    figure.subplots_adjust(left=0.09, right=0.765, top=0.88, bottom=0.1)
    return figure


def label(axes, series, low, high):
    """At the end of each line its name; black, as pale colours are hard to read."""
    def height(us):
        return math.log(us / low) / math.log(high / low)

    heights = [height(points[-1][1]) for points in series.values()]
    for name, at, y in zip(series, heights, spread(heights)):
        color, _, dash, width = STYLE.get(name, OTHER)
        axes.plot([0.965, 1.0, 1.025], [at, y, y], color=color, linestyle=dash, linewidth=width * 0.7,
                  transform=axes.transAxes, clip_on=False)
        axes.text(1.035, y, name, transform=axes.transAxes, color="#222222", va="center")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as file:
        report = json.load(file)
    if not report["points"]:
        sys.exit(f"{sys.argv[1]}: no points in it; measure with: plugbench --row sizes --json")
    draw(report).savefig(sys.argv[2], metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
