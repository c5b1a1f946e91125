"""python3 -m driver: see tests/chaos/run.sh."""

import argparse
import json
import pathlib
import shutil
import sys
import time
import traceback

from . import check, history, schedule
from .run import Run

SHOWN = 20  # problems of a run; all are in the history


def options():
    parser = argparse.ArgumentParser(prog="run.sh")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next has the next one")
    parser.add_argument("--runs", type=int, help="how many (1)")
    parser.add_argument("--minutes", type=float, help="as many as begin within so long, instead of --runs")
    parser.add_argument("--seconds", type=float, default=60, help="of faults in a run (60)")
    parser.add_argument("--gap", type=float, default=200, help="milliseconds between two faults, on average (200)")
    parser.add_argument("--keep", action="store_true", help="the histories of good runs, too")
    parser.add_argument("--out", type=lambda path: pathlib.Path(path).resolve(), default="chaos-histories",
                        help="where histories go")
    parser.add_argument("--print", action="store_true", help="print the schedule of the seed and do nothing")
    parser.add_argument("--check", type=pathlib.Path, help="look at a saved history and do nothing else")
    return parser.parse_args()


def show(folder, problems, index, again):
    print(json.dumps(check.summary(index)))
    for name, problem in problems[:SHOWN]:
        print(f"  {name}: {problem}"[:1500])
    if problems:
        print(f"  {len(problems)} problems; the history is in {folder}; the same again: {again}")
    sys.stdout.flush()


def one(seed, args):
    folder = args.out / f"seed-{seed}"
    if folder.exists():
        shutil.rmtree(folder)
    again = f"sh tests/chaos/run.sh --seed {seed} --seconds {args.seconds:g} --gap {args.gap:g}"
    Run(seed, args.seconds, args.gap, folder).run()
    lines = history.read(folder)
    problems = check.check(lines)
    show(folder, problems, check.Index(lines), again)
    if not problems and not args.keep:
        shutil.rmtree(folder)
    return not problems


def main():
    args = options()
    if args.print:
        for step in schedule.make(args.seed, args.seconds, args.gap):
            print(json.dumps(step))
        return 0
    if args.check:
        lines = history.read(args.check)
        problems = check.check(lines)
        show(args.check, problems, check.Index(lines), "--check")
        return bool(problems)
    began, seed, good, bad = time.monotonic(), args.seed, 0, []
    while (time.monotonic() - began < args.minutes * 60) if args.minutes else (seed - args.seed < (args.runs or 1)):
        try:
            held = one(seed, args)
        except Exception:  # the suite's own, or a plugd that does not start: the next seed is worth a try
            traceback.print_exc()
            held = False
        if held:
            good += 1
        else:
            bad.append(seed)
        seed += 1
    print(f"{good} runs held every invariant" + (f"; seeds that did not: {bad}" if bad else ""))
    return bool(bad)


sys.exit(main())
