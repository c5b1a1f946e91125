#!/usr/bin/env python3
"""Check the models of the data plane with spin.

Every row below is one exhaustive search.  Most must find no error; those with a BUG_ in them leave
out one rule of the data plane and must find the error that the rule is there to prevent, which shows
that the model can find it.

    run.py                  the rows that CI checks: half a minute on two processors, below 1 GiB
    run.py --large          larger bounds too: minutes, several GiB
    run.py -k WORD          only rows whose text has WORD in it; may be repeated
    run.py --trail          show the steps to an unexpected error
    run.py --keep FOLDER    build there and leave it
    run.py --jobs N         searches at a time (2)

Needs spin and gcc.  Exit status: 0 all as expected, 1 not, 2 usage or a tool is missing.
"""

import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent

ENDS = r"invalid end state"
CYCLE = r"non-progress cycle"


def asserts(text):
    return r"assertion violated.*" + re.escape(text).replace(r"\ ", "")


TWICE = asserts("executed[c]<=1")
GONE = asserts("died[g]")
READ = asserts("contents[")
ANOTHER = asserts("seen[p]==meant")
UNSEEN = asserts("(seen_number[p]==number)")

# model, definitions, what the error must be (None: there must be none)
ROWS = [
    # No wake-up is lost, nobody waits for one that died; both rings full; store buffers.
    ("wake", "N=3 DEATH=0 CLOSE=0", None),
    ("wake", "N=3 DEATH=0 SPURIOUS=0 EDGE=1", None),
    ("wake", "N=3 DEATH=0 CLOSE=0 SPURIOUS=0 RING=3 CAP=2", None),
    ("wake", "N=3 DEATH=0 CLOSE=0 SPURIOUS=0 SPILL=1 EDGE=1", None),
    ("wake", "N=2 SPURIOUS=0", None),
    ("wake", "N=2 SPURIOUS=0 EDGE=1", None),
    # It comes to an end: no cycle.
    ("wake", "N=2 DEATH=0 CLOSE=0 SPURIOUS=0 cycles", None),
    ("wake", "N=2 DEATH=0 CLOSE=0 SPURIOUS=0 EDGE=1 cycles", None),
    # Each rule is needed.
    ("wake", "DEATH=0 CLOSE=0 SPURIOUS=0 BUG_PLAIN_POST", ENDS),
    ("wake", "DEATH=0 CLOSE=0 SPURIOUS=0 BUG_PLAIN_SLEEP", ENDS),
    ("wake", "DEATH=0 CLOSE=0 SPURIOUS=0 BUG_PLAIN_TELL", ENDS),
    ("wake", "DEATH=0 CLOSE=1 SPURIOUS=0 BUG_PLAIN_CLOSE", ENDS),
    ("wake", "DEATH=0 CLOSE=0 SPURIOUS=0 BUG_NO_SECOND_LOOK", ENDS),
    ("wake", "DEATH=0 CLOSE=0 SPURIOUS=0 BUG_ROOM_LOOK_EARLY", ENDS),
    ("wake", "DEATH=0 CLOSE=0 BUG_DRAIN_AFTER_LOOK", ENDS),
    ("wake", "DEATH=0 CLOSE=0 SPURIOUS=0 EDGE=1 BUG_EDGE_NOT_DRAINED", ENDS),
    ("wake", "DEATH=0 CLOSE=0 SPURIOUS=0 BUG_WOKEN_ONCE", ENDS),
    ("wake", "DEATH=0 CLOSE=0 SPURIOUS=0 BUG_NO_ZERO", asserts("next+1")),
    # Calls over moves and deaths.
    ("move", "CALLS=2 GENERATIONS=3 CRASHES=1 PATIENCE=1 BY_PLUGD=0", None),
    ("move", "CALLS=2 GENERATIONS=3 CRASHES=1 BY_PLUGD=0", None),
    ("move", "CALLS=2 GENERATIONS=2 CRASHES=1", None),
    ("move", "CALLS=3 GENERATIONS=2 CRASHES=0", None),
    ("move", "CALLS=1 GENERATIONS=3 CRASHES=2", None),
    ("move", "CALLS=1 GENERATIONS=3 CRASHES=1 CALLER_DIES=1", None),
    ("move", "CRASHES=2 BUG_REPLAYED_AGAIN", TWICE),
    ("move", "BUG_CLOSED_AT_WITHOUT_EXCLUSION", TWICE),
    ("move", "BUG_CLOSED_AT_OF_THE_LIVING", TWICE),
    ("move", "LIES", TWICE),
    ("move", "BUG_CLOSED_AT_OF_THE_DEAD", TWICE),
    ("move", "BUG_REPLIES_DROPPED", GONE),
    ("move", "BUG_ENDED_IGNORED", GONE),
    ("move", "BUG_MOVED_IS_ENOUGH", GONE),
    # Opening.
    ("open", "REQUESTS=3 QUOTA=2 QUEUE=1", None),
    ("open", "REQUESTS=3 QUOTA=3 QUEUE=2 DEATHS=1", None),
    ("open", "BUG_LATE_ANSWER_KEPT", asserts("held==0")),
    ("open", "BUG_KEEPS_THE_WAKE_END", asserts("held==0")),
    ("open", "BUG_NO_DEADLINE", asserts("!(client_waits)")),
    ("open", "BUG_CLOSED_UNANSWERED", asserts("open&")),
    ("open", "BUG_UNWANTED_GRANT_KEPT", asserts("client_has[k]==plugin_has[k]")),
    # Buffers of tensors.
    ("release", "CALLS=3 BUFFERS=1", None),
    ("release", "CALLS=3 BUFFERS=2 DEATH=0", None),
    ("release", "BUG_FREED_AT_TIMEOUT", READ),
    ("release", "BUG_NO_GENERATIONS", READ),
    ("release", "BUG_LATE_REPLY_DROPPED", asserts("!(in_order)")),
    # Arenas of tensors.
    ("show", "PLACES=2 SOCKET=2", None),
    ("show", "PLACES=1 SOCKET=1", None),
    ("show", "PLACES=2 SOCKET=4 CALLS=5", None),
    ("show", "BUG_NUMBER_AGAIN", ANOTHER),
    ("show", "BUG_PLACE_OF_WHAT_IS_LENT", UNSEEN),
    ("show", "BUG_SHOWN_AFTERWARDS", UNSEEN),
]

LARGE = [
    ("wake", "N=3 DEATH=0", None),
    ("wake", "N=3 DEATH=0 EDGE=1", None),
    ("wake", "N=3 DEATH=1", None),
    ("wake", "N=3 DEATH=1 EDGE=1 CAP=3", None),
    ("wake", "N=4 DEATH=0 RING=3 CAP=2", None),
    ("wake", "N=2 cycles", None),
    ("move", "CALLS=2 GENERATIONS=3 CRASHES=1", None),
    ("move", "CALLS=2 GENERATIONS=3 CRASHES=1 PATIENCE=1", None),
    ("move", "CALLS=2 GENERATIONS=3 CRASHES=2", None),
    ("move", "CALLS=1 GENERATIONS=4 CRASHES=2", None),
    ("move", "CALLS=2 GENERATIONS=3 CRASHES=1 BY_PLUGD=0 CALLER_DIES=1", None),
    ("move", "CALLS=3 GENERATIONS=3 CRASHES=1 BY_PLUGD=0", None),
    ("release", "CALLS=3 BUFFERS=2", None),
]


class Broken(Exception):
    """A search that says nothing: it did not compile, or did not get to the end."""


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def build(model, words, folder, megabytes, quick):
    defines = [f"-D{word}" for word in words if word != "cycles"]
    status, text = run(["spin", "-a", *defines, str(HERE / f"{model}.pml")], folder)
    if status != 0 or not (folder / "pan.c").exists():
        raise Broken("spin refuses it:\n" + text)
    how = "-DNP" if "cycles" in words else "-DSAFETY"
    status, text = run(
        ["gcc", "-O0" if quick else "-O2", "-w", how, "-DCOLLAPSE", f"-DMEMLIM={megabytes}", "-o", "pan", "pan.c"], folder)
    if status != 0:
        raise Broken("gcc refuses it:\n" + text)


def search(words, folder):
    """The error that was found, or None; and how many states were looked at."""
    command = ["./pan", "-m1000000"] + (["-l"] if "cycles" in words else [])
    _, text = run(command, folder)
    counts = re.search(r"errors: (\d+)\s+(\d+) states, stored", text)
    if not counts:
        raise Broken("the search did not end:\n" + text[-2000:])
    if re.search(r"max search depth too small|out of memory|truncated", text):
        raise Broken("the search is incomplete:\n" + text[-2000:])
    error = re.search(r"^pan:1: (.*) \(at depth", text, re.M)
    return error[1] if error else None, int(counts[2])


def check(row, options, folder):
    model, definitions, expected = row
    words = definitions.split()
    build(model, words, folder, options.megabytes, quick=expected is not None)
    found, states = search(words, folder)
    fine = found is None if expected is None else bool(found and re.search(expected, found))
    trail = ""
    if not fine and options.trail and found:
        defines = [f"-D{word}" for word in words if word != "cycles"]
        trail = run(["spin", "-k", f"{model}.pml.trail", "-t", "-p", "-g", *defines,
                     str(HERE / f"{model}.pml")], folder)[1]
    return fine, found, states, trail


def attempt(number, row, options):
    """One line of the report and, where it is not as it should be, why; whether it is; states."""
    model, definitions, expected = row
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="plug-model-") as scratch:
        folder = options.keep / str(number) if options.keep else pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            fine, found, states, trail = check(row, options, folder)
        except Broken as broken:
            fine, found, states, trail = False, str(broken), 0, ""
    line = f"{'ok  ' if fine else 'FAIL'} {model:8}{definitions:56}{states:11,} states {time.monotonic() - began:5.1f} s"
    if found:
        line += f"  {found}"
    if not fine:
        line += f"\n     expected {'no error' if expected is None else 'an error like: ' + expected}\n{trail}"
    return line, fine, states


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="larger bounds too")
    parser.add_argument("-k", metavar="WORD", action="append", default=[], help="only rows with WORD")
    parser.add_argument("--trail", action="store_true", help="show the steps to an unexpected error")
    parser.add_argument("--keep", metavar="FOLDER", type=pathlib.Path, help="build there and leave it")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="searches at a time (2)")
    return parser.parse_args()


def main():
    options = arguments()
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            print(f"run.py: {tool} is not installed (Debian: apt-get install {tool})", file=sys.stderr)
            return 2
    options.megabytes = 12000 if options.large else 480
    rows = [row for row in ROWS + (LARGE if options.large else [])
            if all(word in f"{row[0]} {row[1]}" for word in options.k)]
    if not rows:
        print("run.py: no row has all of: " + " ".join(options.k), file=sys.stderr)
        return 2
    wrong = states_in_all = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for line, fine, states in pool.map(lambda job: attempt(*job, options), enumerate(rows)):
            print(line, flush=True)
            wrong += not fine
            states_in_all += states
    print(f"{len(rows) - wrong} passed, {wrong} failed; {states_in_all:,} states")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
