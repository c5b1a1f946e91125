"""The checker complains: a history that is right, and for every rule histories that are wrong in just that."""

import copy
import json

import pytest

from driver import check, history

SEC = 1_000_000_000
META = {
    "e": "meta", "t": 0, "seed": 1, "seconds": 1, "scale": 1, "sanitizer": "",
    "plugins": {"a": {"instances": 1, "standby": 0, "open_files": 64}},
    "idempotent": ["twice"], "hostile": ["wrong"], "workers": 2, "calls_per_instance": 2,
}
SAMPLE = {"e": "sample", "pid": 9, "rss": 5 << 20, "descriptors": {"socket:[N]": 3}, "sessions": 1, "shared": {},
          "instances": [{"pid": 10, "descriptors": 20, "open_files": 64}]}


def call(key, at, method="once", plugin="a", outcome="PLUG_OK", took=0.01, timeout_ms=1000, runs=1, pid=10, **end):
    """The lines of one call, times in seconds."""
    begin, over = int(at * SEC), int((at + took) * SEC)
    lines = [{"e": "call", "t": begin, "key": key, "plugin": plugin, "method": method, "timeout_ms": timeout_ms, "bytes": 9}]
    for n in range(runs):
        run = {"key": key, "plugin": plugin, "method": method, "pid": pid, "generation": 1,
               "plane": "data" if n % 2 else "control"}
        lines += [{"e": "run", "t": begin + 1000 + n, **run},
                  {"e": "ran", "t": over - 1000, "key": key, "pid": pid, "outcome": "PLUG_OK"}]
    lines.append({"e": "end", "t": over, "key": key, "outcome": outcome, "intact": True, "cancelled": False, "sent": True,
                  "reply": key if outcome == "PLUG_OK" else "", "text": "", **end})
    return lines


def good():
    """A short run in which all went well, and something of everything was there."""
    lines = [META, {"e": "plugd", "t": 1, "pid": 9}, {"e": "up", "t": 2, "plugin": "a", "pid": 10},
             {**SAMPLE, "t": 3, "when": "baseline"}]
    for name in ("c", "last-c"):
        lines.append({"e": "caller", "t": 4, "name": name, "pid": 20})
    for n in range(6):
        lines += call(f"c.0.{n}", 1 + n / 10)
        lines += call(f"c.1.{n}", 1.05 + n / 10, method="twice", runs=2)
    lines += call("c.2.1", 2, outcome="PLUG_ETIMEOUT", took=1.1, text="late")
    lines += call("c.2.2", 2, outcome="PLUG_EUNAVAILABLE", runs=0)
    lines += call("c.2.3", 3.2, outcome="PLUG_ECANCELLED", cancelled=True)
    lines += call("c.2.4", 3.3, method="fail", outcome="PLUG_EPLUGIN", text="c.2.4 as asked")
    lines += call("c.2.5", 3.4, plugin="wrong", outcome="PLUG_EPROTO", runs=0)
    lines += [{"e": "step", "t": 6 * SEC, "n": 0, "at_ms": 1, "kind": "kill"},
              {"e": "down", "t": 6 * SEC, "plugin": "a", "pid": 10, "what": "up"},
              {"e": "stepped", "t": 6 * SEC, "n": 0, "kind": "kill", "said": "10", "ms": 1},
              {"e": "up", "t": 6 * SEC + 9, "plugin": "a", "pid": 11}]
    lines += call("c.2.6", 6, outcome="PLUG_EGONE")
    lines += [{"e": "stats", "t": 7 * SEC, "caller": "c", "violations": 0},
              {"e": "caller-ended", "t": 7 * SEC, "name": "c", "status": 0, "killed": False},
              {"e": "ready", "t": 10 * SEC, "ms": 5, "bound_ms": 30000}]
    lines += call("last-c.0.1", 11, pid=11)
    lines += [{**SAMPLE, "t": 12 * SEC, "when": "final"},
              {"e": "down", "t": 13 * SEC, "plugin": "a", "pid": 11, "what": "up"},
              {"e": "plugd-ended", "t": 13 * SEC, "status": 0, "expected": False},
              {"e": "all-gone", "t": 13 * SEC, "ms": 3.0}, {"e": "over", "t": 14 * SEC}]
    return copy.deepcopy(lines)


def without(key, e):
    return lambda lines: [line for line in lines if not (line.get("key") == key and line["e"] == e)]


def changed(e, of=None, when=None, **fields):
    def change(lines):
        found = [line for line in lines
                 if line["e"] == e and of in (None, line.get("key")) and when in (None, line.get("when"))]
        assert found, "the test changes nothing"
        found[-1].update(fields)
        return lines

    return change


def more(*new):
    return lambda lines: lines + copy.deepcopy(list(new))


def repeated(key, e):
    def change(lines):
        line = next(line for line in lines if line["e"] == e and line["key"] == key)
        return lines + [{**line, "t": line["t"] + 1}]

    return change


WRONG = [
    ("every-call-ends-once", without("c.0.1", "end")),
    ("every-call-ends-once", repeated("c.0.1", "end")),
    ("every-call-ends-once", repeated("c.0.1", "call")),
    ("every-call-ends-once", without("c.0.1", "call")),
    ("every-call-ends-once", without("c.2.5", "end")),
    ("calls-end-in-time", changed("end", "c.0.1", t=60 * SEC)),
    ("calls-end-in-time", changed("end", "c.2.5", t=60 * SEC)),
    ("a-reply-belongs-to-its-call", changed("end", "c.0.1", reply="c.0.2")),
    ("a-reply-belongs-to-its-call", changed("end", "c.0.1", intact=False)),
    ("a-reply-belongs-to-its-call", changed("end", "c.2.3", intact=False)),
    ("a-reply-belongs-to-its-call", changed("end", "c.2.4", text="c.2.3 as asked")),
    ("nothing-is-executed-twice", repeated("c.0.1", "run")),
    ("nothing-is-executed-twice", repeated("c.1.1", "run")),
    ("nothing-is-executed-twice", changed("run", "c.0.1", method="twice")),
    ("nothing-is-executed-twice", changed("run", "c.0.1", key="c.9.9")),
    ("ok-was-executed", without("c.0.1", "run")),
    ("what-was-never-started-was-not-executed", changed("end", "c.0.1", outcome="PLUG_EUNAVAILABLE")),
    ("what-was-never-started-was-not-executed", changed("end", "c.0.1", outcome="PLUG_EOVERLOADED")),
    ("what-was-never-started-was-not-executed", changed("end", "c.0.1", outcome="PLUG_EUNREACHABLE")),
    ("gone-means-a-death", changed("end", "c.0.1", outcome="PLUG_EGONE")),
    ("gone-means-a-death", changed("run", "c.2.6", pid=11)),
    ("gone-means-a-death", changed("end", "c.2.2", outcome="PLUG_EGONE")),
    ("timeout-means-a-deadline", changed("end", "c.0.1", outcome="PLUG_ETIMEOUT")),
    ("cancelled-means-cancelled", changed("end", "c.2.3", cancelled=False)),
    ("other-outcomes-have-a-reason", changed("end", "c.0.1", outcome="PLUG_ENOMEM")),
    ("other-outcomes-have-a-reason", changed("end", "c.0.1", outcome="PLUG_EPROTO")),
    ("other-outcomes-have-a-reason", changed("end", "c.0.1", outcome="PLUG_EPLUGIN", text="c.0.1 ")),
    ("no-more-processes-than-allowed", more(*({"e": "up", "t": 5, "plugin": "a", "pid": 90 + n} for n in range(4)))),
    ("no-more-calls-than-allowed", more(*call("c.3.1", 1, took=2), *call("c.3.2", 1, took=2), *call("c.3.3", 1, took=2))),
    ("no-more-descriptors-than-allowed",
     changed("sample", when="final", instances=[{"pid": 11, "descriptors": 65, "open_files": 64}])),
    ("nothing-is-left", more({"e": "left", "t": 5, "what": "process", "detail": "77"})),
    ("nothing-is-left", changed("sample", when="final", descriptors={"socket:[N]": 4})),
    ("nothing-is-left", changed("sample", when="final", sessions=2)),
    ("memory-is-flat", changed("sample", when="final", rss=20 << 20)),
    ("it-is-ready-again", more({"e": "not-ready", "t": 5, "bound_ms": 30000, "states": {}})),
    ("it-is-ready-again", changed("all-gone", ms=20000)),
    ("the-last-callers-are-served", changed("end", "last-c.0.1", outcome="PLUG_EUNAVAILABLE", reply="")),
    ("the-last-callers-are-served", changed("call", "last-c.0.1", key="c.7.7")),
    ("plugd-lives", changed("plugd-ended", status=139)),
    ("plugd-lives", lambda lines: [line for line in lines if line["e"] != "over"]),
    ("honest-callers-are-not-blamed", changed("stats", caller="d", violations=1)),
    ("callers-end-in-order", changed("caller-ended", status=-6)),
    ("something-happened", changed("meta", seconds=100)),
]


def rules(lines):
    return {name for name, _ in check.check(lines)}


def test_a_good_history():
    assert check.check(good()) == []


@pytest.mark.parametrize("name, change", WRONG, ids=[f"{n}-{name}" for n, (name, _) in enumerate(WRONG)])
def test_a_wrong_history(name, change):
    assert name in rules(change(good()))


def test_every_rule_is_broken_by_a_test():
    assert {name for name, _ in check.RULES} == {name for name, _ in WRONG}


def test_what_a_killed_caller_began_may_have_no_end():
    lines = changed("caller-ended", killed=True)(good())
    assert rules(without("c.0.1", "end")(lines)) == set()


def test_a_shortage_excuses_its_own_time_and_plugin_only():
    window = {"e": "window", "t": 2 * SEC, "since": 1 * SEC, "what": "memory", "of": "a"}
    short = changed("end", "c.0.1", outcome="PLUG_ENOMEM")
    assert rules(more(window)(short(good()))) == set()
    for other in ({"of": "b"}, {"since": 60 * SEC, "t": 61 * SEC}):
        assert rules(more({**window, **other})(short(good()))) == {"other-outcomes-have-a-reason"}


def test_a_plugd_without_memory_may_close_a_connection():
    window = {"e": "window", "t": 2 * SEC, "since": 1 * SEC, "what": "memory", "of": "plugd"}
    for how in ({"outcome": "PLUG_EGONE", "text": "plugd went away after the call was sent"}, {"outcome": "LOST"}):
        gone = changed("end", "c.0.1", **how)
        assert rules(more(window)(gone(good()))) == set()
        assert rules(gone(good())) == {"gone-means-a-death"}
        assert rules(more({**window, "of": "a"})(gone(good()))) == {"gone-means-a-death"}


def test_a_plugin_without_memory_may_close_a_channel():
    """On which it cannot post the answer; the text says who went away."""
    window = {"e": "window", "t": 2 * SEC, "since": 1 * SEC, "what": "memory", "of": "a"}
    gone = changed("end", "c.0.1", outcome="PLUG_EGONE", text="a went away before it answered")
    assert rules(more(window)(gone(good()))) == set()
    assert rules(more({**window, "of": "b"})(gone(good()))) == {"gone-means-a-death"}
    assert rules(more({**window, "since": 60 * SEC, "t": 61 * SEC})(gone(good()))) == {"gone-means-a-death"}


def test_plugd_s_own_end_explains_what_is_gone():
    lines = changed("end", "c.0.1", outcome="PLUG_EGONE")(good())
    lines = more({"e": "plugd-ended", "t": int(1.1 * SEC), "status": 137, "expected": True})(lines)
    assert rules(sorted(lines, key=lambda line: line["t"])) == set()


def test_a_history_that_was_saved(tmp_path):
    for name in (history.DRIVER, history.CALLS, history.EXECUTIONS):
        (tmp_path / name).write_text("")
    (tmp_path / history.CALLS).write_text("".join(json.dumps(line) + "\n" for line in reversed(good())))
    assert check.check_folder(tmp_path) == []
    with open(tmp_path / history.EXECUTIONS, "a") as file:
        file.write('{"e": "run", "t": 5, "key": "nobody-s", "plugin": "a", "method": "once", "pid": 1, "plane": "data"}\n')
    assert {name for name, _ in check.check_folder(tmp_path)} == {"nothing-is-executed-twice"}
