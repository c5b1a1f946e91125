"""Is a history one that plugd promises?  Needs nothing but the history, so that a saved one can be looked at again.

Every rule is a function of the history that yields what is wrong, in words.
"""

import collections
import re

from . import history

NS = 1_000_000_000
MS = 1_000_000
GRACE_MS = 1000  # of the client library, for a plugd that does not answer
HANG_MS = 6000  # more than any machine is busy: a call that is so late hangs
NEAR_NS = 2 * NS  # between a death and who notices it
EARLY_MS = 2  # by which clocks and roundings may differ
DYING = 2  # processes of a plugin that are dying at the same time
DUE_MB = 8  # of plugd's memory, that caches and rings take while a run lasts

NEVER_STARTED = {
    "PLUG_EUNAVAILABLE", "PLUG_EOVERLOADED", "PLUG_EINVAL", "PLUG_ETOOLARGE", "PLUG_ENOTFOUND", "PLUG_ENOMETHOD",
    "PLUG_EDENIED", "PLUG_EUNREACHABLE", "PLUG_ESTATE", "PLUG_EVERSION",
}
SHORTAGE = {"PLUG_ENOMEM", "PLUG_ESYS"}
RULES = []


def rule(function):
    RULES.append((function.__name__.replace("_", "-"), function))
    return function


class Index:
    """A history, found by key."""

    def __init__(self, lines):
        self.lines = lines
        self.of = collections.defaultdict(list)
        self.runs, self.ends, self.calls = (collections.defaultdict(list) for _ in range(3))
        for line in lines:
            self.of[line["e"]].append(line)
        for line in self.of["call"]:
            self.calls[line["key"]].append(line)
        for line in self.of["end"]:
            self.ends[line["key"]].append(line)
        for line in self.of["run"]:
            self.runs[line["key"]].append(line)
        self.meta = self.of["meta"][0] if self.of["meta"] else {}
        self.scale = self.meta.get("scale", 1)
        self.hostile = set(self.meta.get("hostile", ()))
        self.idempotent = set(self.meta.get("idempotent", ()))
        self.killed = {line["name"]: line["t"] for line in self.of["caller-ended"] if line["killed"]}
        self.plugd_ends = [line["t"] for line in self.of["plugd-ended"]]

    def vanished(self, key):
        """Was the caller killed, so that nobody was there to see the end?"""
        return key.split(".")[0] in self.killed

    def ended(self, honest=True):
        """(call, end) of every call that has one end."""
        for key, calls in self.calls.items():
            ends = self.ends.get(key, ())
            if len(calls) == len(ends) == 1 and not (honest and calls[0]["plugin"] in self.hostile):
                yield calls[0], ends[0]

    def most(self, call):
        return 2 if call["method"] in self.idempotent else 1

    def deaths(self, call, end, pid=None):
        """Did a process of the plugin (or that one), or plugd, end while the call was there?"""
        near = NEAR_NS * self.scale
        first, last = call["t"] - near, end["t"] + near
        return any(first <= t <= last for t in self.plugd_ends) or any(
            first <= line["t"] <= last and line["plugin"] == call["plugin"] and pid in (None, line["pid"])
            for line in self.of["down"])

    def short(self, call, end, of=None):
        """Was something missing that the call may have needed?"""
        near = NEAR_NS * self.scale
        return any(
            window["since"] <= end["t"] + near and call["t"] <= window["t"] + near
            and window["of"] in (of or ("plugd", "callers", call["plugin"]))
            for window in self.of["window"])

    def closed_for_want(self, call, end):
        """Without memory plugd closes the connections of clients, a plugin a channel on which it cannot post an answer,
        and a client its own, perhaps without a word: then nobody knows what became of the calls."""
        closed = [who for who in ("plugd", call["plugin"]) if end["text"].startswith(f"{who} went away")]
        if end["outcome"] == "LOST":  # of the driver's own connection, which says no more
            closed.append("plugd")
        return any(self.short(call, end, (who,)) for who in (*closed, "callers"))


def short(line):
    return ", ".join(f"{key} {value}" for key, value in line.items() if key not in ("e", "intact", "sent") and value != "")


# ---- calls -----------------------------------------------------------------------------------------------------------


@rule
def every_call_ends_once(h):
    for key, calls in h.calls.items():
        count = len(h.ends.get(key, ()))
        if len(calls) > 1:
            yield f"call {key} was begun {len(calls)} times: the suite itself is wrong"
        elif count > 1:
            yield f"call {key} ended {count} times: " + " | ".join(end["outcome"] for end in h.ends[key])
        elif count == 0 and not h.vanished(key):
            yield f"call {key} never ended: {short(calls[0])}"
    for key in set(h.ends) - set(h.calls):
        yield f"call {key} ended and was never made"


@rule
def calls_end_in_time(h):
    for call, end in h.ended(honest=False):
        took = (end["t"] - call["t"]) / MS
        if took > call["timeout_ms"] + (GRACE_MS + HANG_MS) * h.scale:
            yield f"call {call['key']} took {took:.0f} ms of {call['timeout_ms']} ms: {short(end)}"


@rule
def a_reply_belongs_to_its_call(h):
    for call, end in h.ended():
        if end["outcome"] == "PLUG_OK" and end["reply"] != call["key"]:
            yield f"call {call['key']} got the reply of {end['reply'] or 'nobody'}"
        elif not end["intact"]:
            yield f"call {call['key']} got another content than it should: {short(end)}"
        elif end["outcome"] == "PLUG_EPLUGIN" and not end["text"].startswith(call["key"] + " "):
            if not h.short(call, end):
                yield f"call {call['key']} got the failure of another: {short(end)}"


@rule
def nothing_is_executed_twice(h):
    for key, runs in h.runs.items():
        call = h.calls[key][0] if key in h.calls else None
        if call is None:
            yield f"call {key} was executed and never made: {short(runs[0])}"
        elif len(runs) > h.most(call):
            yield f"call {key} ({call['method']}) was executed {len(runs)} times: " + " | ".join(map(short, runs))
        elif any((run["plugin"], run["method"]) != (call["plugin"], call["method"]) for run in runs):
            yield f"call {key} was executed as another: {short(call)} | {short(runs[0])}"


@rule
def ok_was_executed(h):
    for call, end in h.ended():
        if end["outcome"] == "PLUG_OK" and not h.runs.get(call["key"]):
            yield f"call {call['key']} succeeded and was never executed: {short(end)}"


@rule
def what_was_never_started_was_not_executed(h):
    for call, end in h.ended():
        if end["outcome"] in NEVER_STARTED and h.runs.get(call["key"]):
            yield f"call {call['key']} ended with {end['outcome']} and was executed: {short(h.runs[call['key']][0])} | {short(end)}"


@rule
def gone_means_a_death(h):
    for call, end in h.ended():
        if end["outcome"] not in ("PLUG_EGONE", "LOST"):
            continue
        runs = h.runs.get(call["key"], ())
        if h.closed_for_want(call, end):
            continue
        if not h.deaths(call, end, runs[-1]["pid"] if runs else None):
            yield f"call {call['key']} ended with {end['outcome']} and nothing had died: {short(call)} | {short(end)}"


@rule
def timeout_means_a_deadline(h):
    for call, end in h.ended():
        took = (end["t"] - call["t"]) / MS
        if end["outcome"] == "PLUG_ETIMEOUT" and took < call["timeout_ms"] - EARLY_MS:
            yield f"call {call['key']} timed out after {took:.1f} ms of {call['timeout_ms']} ms: {short(end)}"


@rule
def cancelled_means_cancelled(h):
    for call, end in h.ended():
        if end["outcome"] == "PLUG_ECANCELLED" and not end["cancelled"]:
            yield f"call {call['key']} was not cancelled by its caller: {short(call)} | {short(end)}"


@rule
def other_outcomes_have_a_reason(h):
    known = {"PLUG_OK", "PLUG_EGONE", "LOST", "PLUG_ETIMEOUT", "PLUG_ECANCELLED", *NEVER_STARTED}
    for call, end in h.ended():
        outcome = end["outcome"]
        if outcome in known or (outcome == "PLUG_EPLUGIN" and call["method"] == "fail"):
            continue
        if outcome in SHORTAGE | {"PLUG_EPLUGIN"} and h.short(call, end):
            continue
        yield f"call {call['key']} ended with {outcome}: {short(call)} | {short(end)}"


# ---- limits ----------------------------------------------------------------------------------------------------------


def at_once(changes):
    """The most that was there at a time; ends before beginnings at the same time."""
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


@rule
def no_more_processes_than_allowed(h):
    changes = collections.defaultdict(list)
    for line in h.of["up"]:
        changes[line["plugin"]].append((line["t"], 1))
    for line in h.of["down"]:
        if line.get("what", "up") == "up":
            changes[line["plugin"]].append((line["t"], -1))
    asked = collections.defaultdict(int)
    for line in h.of["step"]:
        if line["kind"] == "scale":
            asked[line["plugin"]] = max(asked[line["plugin"]], line["to"])
    for plugin, limits in h.meta.get("plugins", {}).items():
        # One more for a reload, and those whose place was taken while they were still dying.
        allowed = max(limits["instances"], asked[plugin]) + limits["standby"] + 1 + DYING
        most = at_once(changes[plugin])
        if most > allowed:
            yield f"{plugin} had {most} processes at once, {allowed} are allowed"


@rule
def no_more_calls_than_allowed(h):
    changes = collections.defaultdict(list)
    ran = collections.defaultdict(list)
    for line in h.of["ran"]:
        ran[line["key"], line["pid"]].append(line["t"])
    for line in h.of["run"]:
        if line["method"] == "fault":
            continue
        changes[line["pid"]].append((line["t"], 1))
        for t in ran[line["key"], line["pid"]][:1]:
            changes[line["pid"]].append((t, -1))
    for pid, found in changes.items():
        most = at_once(found)
        if most > h.meta.get("workers", most):
            yield f"process {pid} executed {most} calls at once, it has {h.meta['workers']} threads"


@rule
def no_more_descriptors_than_allowed(h):
    for sample in h.of["sample"]:
        for one in sample["instances"]:
            if one["open_files"] is not None and one["descriptors"] > one["open_files"]:
                yield f"process {one['pid']} has {one['descriptors']} descriptors of {one['open_files']}"


# ---- what is left, and what became of plugd --------------------------------------------------------------------------


def footprint(sample):
    """What of a sample has to be as before.  A page that shows the state of a process comes with its first channel, a
    log file with the first line."""
    kinds = {kind: count for kind, count in sample["descriptors"].items()
             if "plug-status" not in kind and not (kind.endswith(".log") and "/log/" in kind and count == 1)}
    return {**kinds, "sessions": sample["sessions"]}


@rule
def nothing_is_left(h):
    for line in h.of["left"]:
        yield f"{line['what']}: {line['detail']}"
    baseline = [line for line in h.of["sample"] if line["when"] == "baseline"]
    final = [line for line in h.of["sample"] if line["when"] == "final"]
    if baseline and final:
        first, last = footprint(baseline[0]), footprint(final[-1])
        for kind in sorted(set(first) | set(last)):
            if first.get(kind, 0) != last.get(kind, 0):
                yield f"plugd held {first.get(kind, 0)} of {kind} at first, {last.get(kind, 0)} in the end"


@rule
def memory_is_flat(h):
    if h.meta.get("sanitizer"):
        return
    baseline = [line["rss"] for line in h.of["sample"] if line["when"] == "baseline"]
    final = [line["rss"] for line in h.of["sample"] if line["when"] == "final"]
    if baseline and final and final[-1] - baseline[0] > DUE_MB << 20:
        yield f"plugd had {baseline[0] >> 10} KiB at first, {final[-1] >> 10} KiB in the end"


@rule
def it_is_ready_again(h):
    for line in h.of["not-ready"]:
        yield f"not all plugins are ready after {line['bound_ms']:.0f} ms: {line['states']}"
    for line in h.of["all-gone"]:
        if line["ms"] > 2000 * h.scale + 8000:
            yield f"{line['ms']:.0f} ms after plugd's end there were processes"


@rule
def the_last_callers_are_served(h):
    served = collections.Counter()
    for call, end in h.ended():
        if not call["key"].startswith("last-") or call["plugin"] not in h.meta.get("plugins", ()):
            continue
        served[call["key"].split(".")[0]] += end["outcome"] == "PLUG_OK"
        if end["outcome"] in ("PLUG_EGONE", "PLUG_EUNAVAILABLE", "PLUG_EUNREACHABLE", *SHORTAGE):
            yield f"call {call['key']} was made when all was well: {short(end)}"
    for name in {line["name"] for line in h.of["caller"] if line["name"].startswith("last-")}:
        if not served[name]:
            yield f"{name}: none of its calls succeeded"


@rule
def plugd_lives(h):
    ends = h.of["plugd-ended"]
    for line in ends:
        if not line["expected"] and (line is not ends[-1] or line["status"] != 0):
            yield f"plugd ended with {line['status']}"
    if not h.of["over"]:
        yield "the run did not come to its end"


@rule
def honest_callers_are_not_blamed(h):
    hostile = {call["key"].split(".")[0] for call in h.of["call"] if call["plugin"] in h.hostile}
    for line in h.of["stats"]:
        if line["violations"] and line["caller"] not in hostile:
            yield f"{line['caller']} closed {line['violations']} channels of honest plugins for violations"


@rule
def callers_end_in_order(h):
    for line in h.of["caller-ended"]:
        if line["status"] != 0 and not line["killed"]:
            yield f"caller {line['name']} ended with {line['status']}"


@rule
def something_happened(h):
    """A run that does nothing holds every other rule."""
    count = summary(h)
    least = h.meta.get("seconds", 0) * 2
    for what in ("ok", "data", "control"):
        if count[what] < least:
            yield f"there were {count[what]} calls {what}, expected at least {least}"


def summary(h):
    planes = collections.Counter(line["plane"] for line in h.of["run"])
    outcomes = collections.Counter(end["outcome"] for _, end in h.ended(honest=False))
    skipped = sum(line["said"].startswith(("skipped", "not there")) for line in h.of["stepped"])
    samples = [line["rss"] for line in h.of["sample"]]
    return {
        "seed": h.meta.get("seed"), "seconds": h.meta.get("seconds"), "calls": len(h.calls),
        "ok": outcomes["PLUG_OK"], "data": planes["data"], "control": planes["control"],
        "steps": len(h.of["step"]) - skipped, "skipped": skipped,
        "deaths": sum(line.get("what", "up") == "up" for line in h.of["down"]),
        "strays": len(h.of["stray"]),
        "plugds": len(h.of["plugd"]),
        "ready_ms": next((round(line["ms"]) for line in h.of["ready"] if line["ms"] is not None), None),
        "rss_kib": [samples[0] >> 10, samples[-1] >> 10] if samples else None,
        "outcomes": {re.sub("^PLUG_E?", "", name): count for name, count in sorted(outcomes.items())},
    }


def check(lines):
    """(rule, what is wrong) of everything that is."""
    h = Index(lines)
    return [(name, problem) for name, function in RULES for problem in function(h)]


def check_folder(folder):
    return check(history.read(folder))
