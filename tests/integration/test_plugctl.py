"""plugctl: its exit statuses, its JSON, its help and what completion is made of."""

import json
import os
import re
import signal
import subprocess

import pytest

from plugtest import build, wire

VERBS = ["list", "status", "start", "stop", "restart", "reload", "scale", "call", "logs", "events", "crashes", "poison", "info", "stats", "size", "top",
         "test", "bench", "compare", "new", "validate", "run", "debug", "doctor", "reread", "shutdown", "version", "help"]


@pytest.fixture
def actor(site):
    site.actor(description="for tests", tags=["test"], methods={"echo": {"idempotent": True, "timeout": "30s"}},
               config={"n": {"type": "int", "default": 1, "description": "a number"}})
    site.start()
    site.ready()
    return site


# ---- exit statuses -----------------------------------------------------------------------------------


def test_done_is_0(actor):
    assert actor.ctl("list").status == 0


def test_failed_is_1(actor):
    assert actor.ctl("call", "actor", "fail").status == 1


@pytest.mark.parametrize(
    "words",
    [
        [], ["nonsense"], ["list", "--nonsense"], ["call"], ["call", "actor"], ["status", "a", "b"],
        ["start"], ["--timeout", "soon", "list"], ["logs", "actor", "-n", "many"], ["call", "actor", "echo", "{"],
        ["start", "--set", "novalue", "actor"],
    ],
)
def test_usage_is_2(actor, words):
    done = actor.ctl(*words)
    assert done.status == 2
    assert done.err


def test_no_plugd_is_3(site):
    for words in (["list"], ["status"], ["call", "a", "b"], ["start", "a"], ["events", "-f"], ["shutdown"]):
        done = site.ctl(*words)
        assert done.status == 3, words
        assert str(site.runtime) in done.err
        assert "runtime dir" in done.err, "what to do next"


@pytest.mark.parametrize("verb", ["status", "start", "stop", "restart", "logs", "crashes", "info", "stats"])
def test_no_plugin_is_4(actor, verb):
    done = actor.ctl(verb, "actr")
    assert done.status == 4
    assert "actr" in done.err and 'did you mean "actor"' in done.err


def test_timeout_is_5(actor):
    assert actor.ctl("--timeout", "100ms", "call", "actor", "wait").status == 5


def test_a_socket_on_which_nobody_answers(site):
    """Something listens and says nothing: a deadline, not a hang."""
    import socket

    site.runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(site.socket_path))
        listener.listen(1)
        done = site.ctl("list")
    assert done.status == 3


def test_something_that_is_not_plugd(site):
    import socket
    import threading

    site.runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(site.socket_path))
        listener.listen(1)

        def answer():
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.send(b"\xff" * 100)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        done = site.ctl("list")
        thread.join()
    assert done.status in (1, 3) and done.err


# ---- JSON --------------------------------------------------------------------------------------------

LINE = {"name", "version", "type", "state", "pid", "generation", "restarts", "uptime_ms", "rss_bytes", "reason",
        "ready", "instances", "standby_ready", "standby", "category", "store", "enabled", "new", "single"}
DOCUMENTS = {
    "list": (["list"], {"plugins", "bad"}),
    "status": (["status"], {"version", "pid", "guardian_pid", "uptime_ms", "rss_bytes", "runtime_dir", "state_dir",
                            "plugin_dirs", "config_file", "config_error", "containment", "plugins", "running",
                            "clients", "calls", "dropped_log_lines", "bad"}),
    "status of one": (["status", "actor"], LINE | {
        "why", "next", "path", "restart_policy", "failures", "failure_limit", "retry_in_ms", "calls", "queued", "sdk",
        "protocol", "autostart", "effective_config"}),
    "start": (["start", "actor"], {"results"}),
    "restart": (["restart", "actor"], {"results"}),
    "stop": (["stop", "actor"], {"results"}),
    "call": (["call", "actor", "echo", "a=1"], {"a"}),
    "logs": (["logs", "actor"], {"lines", "dropped"}),
    "events": (["events"], {"events"}),
    "crashes": (["crashes"], {"crashes"}),
    "info": (["info", "actor"], {"name", "version", "type", "description", "author", "license", "homepage",
                                 "repository", "path", "priority", "tags", "provides", "requires", "exec", "methods",
                                 "config"}),
    "poison": (["poison"], {"poison"}),
    "stats": (["stats"], {"plugins"}),
    "metrics": (["metrics"], {"families"}),
    "reread": (["reread"], set()),
    "version": (["version"], set()),
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_documents(actor, what):
    words, keys = DOCUMENTS[what]
    done = actor.ctl("--json", *words)
    assert done.status == 0, done
    assert len(done.out.splitlines()) >= 1
    document = json.loads(done.out)
    assert keys <= set(document), sorted(set(document) ^ keys)


def test_json_may_come_after_the_verb(actor):
    assert set(actor.ctl("list", "--json").json["plugins"][0]) == LINE


def test_lines_of_a_list(actor):
    line = actor.ok("list")["plugins"][0]
    assert set(line) == LINE
    assert (line["name"], line["version"], line["type"], line["state"]) == ("actor", "1.0.0", "interface", "ready")
    assert line["pid"] > 0 and line["generation"] == 1 and line["rss_bytes"] > 0


def test_events_have_their_keys(actor):
    for event in actor.ok("events")["events"]:
        assert set(event) == {"seq", "time_ms", "plugin", "kind", "detail", "generation", "pid"}


def test_crashes_have_their_keys(actor):
    actor.ctl("call", "actor", "die", '{"signal": 6}')
    actor.ready(generation=2)
    crash = actor.ok("crashes")["crashes"][0]
    assert set(crash) == {"plugin", "time_ms", "pid", "generation", "exit_code", "signal", "signal_name",
                          "core_dumped", "core_file", "core_note", "reason", "state", "uptime_ms", "rss_bytes",
                          "rss_age_ms", "peak_rss_bytes", "calls", "channel_calls", "origin", "thread",
                          "thread_name", "backtrace", "last_log", "decision", "retry_in_ms"}
    assert crash["plugin"] == "actor" and crash["signal_name"] == "SIGABRT"


def test_stats_have_their_keys(actor):
    actor.call("actor", "echo", {})
    stats = actor.ok("stats", "actor")["plugins"][0]
    assert {"name", "calls", "ok", "errors", "in_flight", "queued", "restarts", "crashes", "start_ms", "last_used_ms",
            "rss_bytes", "cpu_ms", "log_lines", "log_dropped", "session_resumes", "last_error", "methods",
            "data_plane"} <= set(stats)
    assert set(stats["data_plane"]) == {"offered", "channels", "opened", "violations", "calls", "ok", "errors",
                                        "cancelled", "tensor_faults", "in_flight", "p50_ns", "p90_ns", "p99_ns"}
    assert set(stats["methods"][0]) == {"method", "calls", "ok", "errors", "timeouts", "cancelled", "gone", "p50_us",
                                        "p90_us", "p99_us", "max_us", "sum_us", "took"}


def test_an_error_is_a_document_too(actor):
    done = actor.ctl("--json", "call", "actor", "fail", '{"message": "no"}')
    assert done.json == {"name": "actor", "error": {"code": "PLUG_EPLUGIN", "message": "no"}}
    done = actor.ctl("--json", "status", "nobody")
    assert done.json["error"]["code"] == "PLUG_ENOTFOUND"
    done = actor.ctl("--json", "call", "actor")
    assert done.status == 2 and "error" in done.json


def test_an_error_without_plugd_is_a_document(site):
    done = site.ctl("--json", "list")
    assert done.json["error"]["code"] == "PLUG_EUNREACHABLE"


def test_a_stream_is_a_document_a_line(actor):
    done = actor.ctl("--json", "call", "actor", "pieces", "count=3", "bytes=2")
    assert [line if "sent" in line else line["text"] for line in done.lines] == ["ab", "ab", "ab", {"sent": 3}]


def test_bytes_are_base64(actor):
    done = actor.ctl("--json", "call", "actor", "echo", "--content-type", "application/octet-stream", "-",
                     input=b"\xff\xfe")
    assert json.loads(done.out) == {"content_type": "application/octet-stream", "base64": "//4="}


def test_a_failure_in_a_stream(actor):
    """Pieces are lines, then the failure is on stderr and in the status."""
    done = actor.ctl("--timeout", "500ms", "--json", "call", "actor", "pieces", "count=100000000", "bytes=1000")
    assert done.status == 5


# ---- text --------------------------------------------------------------------------------------------


def test_list_for_people(actor):
    out = actor.ctl("list").out
    assert re.search(r"^NAME +VERSION +TYPE +STATE", out)
    assert re.search(r"^actor +1\.0\.0 +interface +ready +\d+", out, re.M)
    assert actor.ctl("list", "--names").out == "actor\n"


def test_filters_of_list(site):
    site.actor("a", tags=["red"])
    offers = [word for method in ("append", "recall", "clear") for word in ("--offer", method)]
    site.actor("b", "--contract", "memory", *offers, type="memory", tags=["blue"])
    site.start()
    site.ready("a")
    site.ready("b")
    assert site.ctl("list", "--names", "--type", "memory").out == "b\n"
    assert site.ctl("list", "--names", "--tag", "red").out == "a\n"
    assert site.ctl("list", "--names", "--tag", "green").out == ""


def test_no_colours_in_a_pipe(actor):
    assert "\x1b" not in actor.ctl("list").out
    assert "\x1b[" in actor.ctl_on_terminal("list").out
    assert "\x1b" not in actor.ctl_on_terminal("list", "--no-color").out


def test_status_for_people(actor):
    out = actor.ctl("status", "actor").out
    for word in ("actor 1.0.0", "ready", "manifest", "plugin.yaml", "restart: on-failure", "n = 1"):
        assert word in out, word
    out = actor.ctl("status").out
    for word in ("containment", str(actor.runtime), "guardian"):
        assert word in out, word


def test_help_of_every_verb(site):
    out = site.ctl("help").out
    for verb in VERBS:
        assert re.search(rf"^ +{verb}\b", out, re.M), verb
        done = site.ctl(verb, "--help")
        assert done.status == 0 and re.search(rf"^usage: plugctl .*\b{verb}\b", done.out), verb
        assert site.ctl("help", verb).out == done.out


def test_a_verb_that_is_nearly_one(site):
    assert "did you mean status" in site.ctl("staus").err


def test_an_output_that_cannot_be_written(actor):
    with open("/dev/full", "w") as full:
        done = subprocess.run(actor.ctl_argv("list"), stdout=full, stderr=subprocess.PIPE, text=True,
                              env=actor.environment())
    assert done.returncode == 1
    assert "written" in done.stderr


def test_a_reader_that_goes_away(actor):
    """plugctl … | head: no message, no crash."""
    follower = actor.ctl_start("events", "-f")
    assert "plugd" in follower.stdout.readline()
    follower.stdout.close()
    actor.ok("restart", "actor")  # something to write
    assert follower.wait(build.seconds(20)) in (1, -signal.SIGPIPE)
    assert follower.stderr.read().count("\n") <= 1


def test_validate(site, tmp_path):
    path = site.actor("good")
    done = site.ctl("validate", path)
    assert done.status == 0 and "valid: good 1.0.0" in done.out
    bad = site.manifest("bad", "plugin: bad\nversion: 1.0.0\ntype: interface\nexec: [./nothing]\n")
    done = site.ctl("validate", bad.parent)
    assert done.status == 1 and f"{bad}:4:" in done.err
    document = site.ctl("--json", "validate", site.plugins).json
    assert document["valid"] is False
    assert {one["plugin"]: one["valid"] for one in document["plugins"]} == {"good": True, "bad": False}
    assert site.ctl("validate", tmp_path).status == 1
    assert site.ctl("validate", tmp_path / "nothing").status == 1


def test_validate_agrees_with_plugd(site):
    """What one accepts the other accepts."""
    site.actor("good")
    for name, text in {
        "a": "plugin: a\n", "b": "plugin: b\nversion: x\ntype: interface\nexec: [/bin/true]\n",
        "c": "plugin: c\nversion: 1.0.0\ntype: interface\nexec: [/bin/true]\nprobe: {method: x}\n",
    }.items():
        site.manifest(name, text)
    ctl = site.ctl("--json", "validate", site.plugins).json
    site.start()
    bad = {one["path"]: one["errors"] for one in site.ok("list")["bad"]}
    for one in ctl["plugins"]:
        assert one["valid"] == (one["path"] not in bad), one
        if not one["valid"]:
            assert one["errors"] == [line.removesuffix("; it is not registered") for line in bad[one["path"]]]


def test_version(actor):
    document = actor.ok("version")
    assert "0.1.0" in json.dumps(document)


def test_words_of_a_call(actor):
    (actor.root / "note.txt").write_text("from a file")
    done = actor.ok("call", "actor", "echo", "text=plain", "n=1", "f=1.5", "yes=true", "none=null", 'q="7"',
                    f"note=@{actor.root}/note.txt", 'list:=[1, 2]', "empty=")
    assert done == {"text": "plain", "n": 1, "f": 1.5, "yes": True, "none": None, "q": "7", "note": "from a file",
                    "list": [1, 2], "empty": ""}


def test_a_payload_from_stdin(actor):
    assert actor.ctl("--json", "call", "actor", "echo", "-", input='{"from": "stdin"}').json == {"from": "stdin"}


def test_the_socket_of_the_environment(actor):
    done = subprocess.run([build.PLUGCTL, "list", "--names"], capture_output=True, text=True,
                          env=actor.environment({"PLUGD_SOCKET": str(actor.socket_path)}))
    assert done.stdout == "actor\n", done.stderr


def test_a_runtime_dir_that_is_too_long(site):
    site.runtime = site.root / ("d" * 120)
    done = site.ctl("list")
    assert done.status != 0 and "107" in done.err


def test_many_at_once(actor):
    """Fifty processes of plugctl at a time."""
    running = [actor.ctl_start("--json", "call", "actor", "echo", f"n={n}") for n in range(50)]
    for n, process in enumerate(running):
        out, err = process.communicate(timeout=build.seconds(30))
        assert process.returncode == 0, err
        assert json.loads(out) == {"n": n}
    assert wire.OK == 0 and os.path.exists(build.PLUGCTL)


def test_a_plugin_whose_manifest_is_bad_is_named_with_the_reason(site):
    site.manifest("broken", "plugin: broken\nversion: one\n")
    site.start()
    done = site.ctl("status", "broken")
    assert done.status == 4
    assert "its manifest cannot be used" in done.err and "plugin.yaml:2:10: error: version" in done.err
