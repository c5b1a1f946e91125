"""What plugins print: captured, bounded, rotated, followed; and what happens when the disk is full."""

import json
import os
import re
import resource
import subprocess

import pytest

from plugtest import build, procs, wire


@pytest.fixture
def actor(site):
    site.actor()
    site.start()
    site.ready()
    return site


def lines(site, *args):
    return site.ctl("--json", "logs", "actor", *args).json["lines"]


def log_dir(site):
    return site.runtime / "state" / "log"


def written(site, pattern, name="actor.log"):
    """The log file once it has this; every look is a round trip, not a pause."""
    path = log_dir(site) / name
    for _ in range(20000):
        if path.exists() and re.search(pattern, text := path.read_text()):
            return text
        site.status()
    raise AssertionError(f"{path} never had {pattern!r}")


def test_streams_are_told_apart(actor):
    actor.call("actor", "say", {"text": "to stdout\n"})
    actor.call("actor", "say", {"text": "to stderr\n", "stream": "err"})
    actor.call("actor", "log", {"message": "to the log", "level": 2})
    actor.log_line("actor", "to the log")
    actor.log_line("actor", "to stderr")
    actor.log_line("actor", "to stdout")
    found = {line["text"]: line["stream"] for line in lines(actor)}
    assert found["to stdout"] == "out"
    assert found["to stderr"] == "err"
    assert found["to the log"] == "log"


def test_lines_know_their_process(actor):
    pid = actor.status("actor")["pid"]
    actor.call("actor", "say", {"text": "of the first\n"})
    actor.log_line("actor", "of the first")
    actor.ok("restart", "actor")
    actor.call("actor", "say", {"text": "of the second\n"})
    actor.log_line("actor", "of the second")
    found = {line["text"]: line for line in lines(actor)}
    assert (found["of the first"]["pid"], found["of the first"]["generation"]) == (pid, 1)
    assert found["of the second"]["generation"] == 2


def test_the_last_lines(actor):
    actor.call("actor", "say", {"text": "".join(f"line {n}\n" for n in range(100))})
    actor.log_line("actor", "line 99")
    assert [line["text"] for line in lines(actor, "-n", "3")] == ["line 97", "line 98", "line 99"]
    text = actor.ctl("logs", "actor", "-n", "1").out
    assert "line 99" in text and "line 98" not in text


def test_follow(actor):
    follower = actor.follow("logs", "actor", "-f", "-n", "0")
    actor.call("actor", "say", {"text": "now\n"})
    assert follower.wait(lambda line: line["text"] == "now", build.seconds(20), "line")["stream"] == "out"


def test_follow_ends_with_plugd(actor):
    follower = actor.ctl_start("logs", "actor", "-f")
    actor.stop()
    assert follower.wait(build.seconds(20)) in (0, 1, 3)


def test_a_line_without_an_end_is_kept(actor):
    actor.call("actor", "say", {"text": "no newline"})
    actor.ok("stop", "actor")
    assert "no newline" in [line["text"] for line in lines(actor)]


def test_long_lines_are_cut_into_pieces(actor):
    actor.call("actor", "say", {"text": "x" * 20000 + "\n"})
    actor.call("actor", "say", {"text": "after\n"})
    actor.log_line("actor", "^after")
    found = [line["text"] for line in lines(actor) if line["text"].startswith("x")]
    assert sum(map(len, found)) == 20000
    assert max(map(len, found)) <= 8192


def test_bytes_that_are_no_text(site):
    site.script("binary", "os.write(1, bytes(range(256)) + b'\\n'); os.write(1, b'\\xff\\xfe after\\n'); "
                          "Rogue().start().serve()")
    site.start()
    site.ready("binary")
    site.log_line("binary", "after")
    assert site.ctl("logs", "binary").status == 0
    shown = site.ctl_on_terminal("logs", "binary").out
    assert not re.search(r"\x1b(?!\[[0-9;]*m)", shown), "no control reaches the terminal"


@pytest.mark.memory
@pytest.mark.parametrize("stream", ["out", "err"])
def test_a_flood_without_a_newline(site, stream):
    """64 MiB of one endless line: bounded memory, and the calls of another plugin go on meanwhile."""
    site.actor("loud")
    site.actor("good")
    site.start()
    site.ready("loud")
    site.ready("good")
    payload = {"bytes": 64 << 20, "stream": stream}
    with wire.Client(site, timeout=60) as client, wire.Client(site) as other:
        assert other.call("good", "echo")[0] == wire.OK
        before = procs.rss_bytes(site.pid)
        number = client.start_call("loud", "flood", json.dumps(payload).encode(), timeout_ms=60000)
        most = 0
        for n in range(100):
            assert other.call("good", "echo", b"%d" % n)[2] == b"%d" % n
            most = max(most, procs.rss_bytes(site.pid) - before)
        assert client.finish_call(number)[0] == wire.OK
        most = max(most, procs.rss_bytes(site.pid) - before)
    assert most < 4 << 20, f"plugd grew by {most} bytes"
    assert site.status("good")["generation"] == 1


def test_a_flood_is_survived(site):
    """The same under a sanitizer, where memory is not measured."""
    site.actor("loud")
    site.actor("good")
    site.start()
    site.ready("loud")
    site.ready("good")
    with wire.Client(site, timeout=60) as client, wire.Client(site) as other:
        numbers = [
            client.start_call("loud", "flood", json.dumps({"bytes": 4 << 20, "stream": stream}).encode())
            for stream in ("out", "err")
        ]
        for n in range(50):
            assert other.call("good", "echo", b"%d" % n)[2] == b"%d" % n
        for _ in numbers:
            assert client.receive("reply").reply.outcome == wire.OK


def test_what_does_not_fit_is_counted(site):
    site.actor()
    site.configure({"limits": {"log_ring_bytes": "16KiB"}})
    site.start()
    site.ready()
    site.call("actor", "say", {"text": "some line that fills the ring\n", "times": 2000})
    site.call("actor", "say", {"text": "the last\n"})
    site.log_line("actor", "the last")
    found = site.ctl("--json", "logs", "actor").json
    assert found["dropped"] > 0
    assert found["lines"][-1]["text"] == "the last"


def test_files(actor):
    actor.call("actor", "say", {"text": "for the file\n"})
    text = written(actor, "for the file")
    assert re.search(r"^\d{4}-\d\d-\d\dT[\d:.]+Z \d+/1 out for the file$", text, re.M)
    assert os.stat(log_dir(actor) / "actor.log").st_mode & 0o777 == 0o600


def test_rotation(site):
    site.actor()
    site.configure({"log": {"max_bytes": "4KiB", "files": 2}})
    site.start()
    site.ready()
    for n in range(40):
        site.call("actor", "say", {"text": f"{n} " + "x" * 500 + "\n"})
        site.log_line("actor", f"^{n} ")
    written(site, "39 x")
    names = sorted(path.name for path in log_dir(site).iterdir())
    assert names == ["actor.log", "actor.log.1", "actor.log.2"]
    for path in log_dir(site).iterdir():
        assert path.stat().st_size <= 4096 + 1024
    assert "39 x" in (log_dir(site) / "actor.log").read_text()


def test_a_log_dir_of_the_settings(site):
    (site.root / "logs").mkdir(mode=0o700)
    site.actor()
    site.configure({"log": {"dir": str(site.root / "logs")}})
    site.start()
    site.ready()
    site.call("actor", "say", {"text": "elsewhere\n"})
    site.stop()
    assert "elsewhere" in (site.root / "logs" / "actor.log").read_text()


def mount_small(path):
    path.mkdir(mode=0o700)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", path], capture_output=True)
    return done.returncode == 0


@pytest.mark.parametrize("means", ["tmpfs", "rlimit"])
def test_a_full_disk(site, means):
    """Lines are dropped and counted; nothing else is disturbed; it goes on when there is room."""
    logs = site.root / "logs"
    if means == "tmpfs" and not mount_small(logs):
        pytest.skip("a small file system cannot be mounted here")
    logs.mkdir(mode=0o700, exist_ok=True)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (32768, resource.RLIM_INFINITY))

    try:
        site.actor()
        site.configure({"log": {"dir": str(logs), "max_bytes": "1GiB"}})
        site.start(preexec=limit if means == "rlimit" else None)
        site.ready()
        dropped = 0
        for n in range(400):
            site.call("actor", "say", {"text": f"{n} " + "x" * 1000 + "\n", "times": 8})
            dropped = site.status()["dropped_log_lines"]
            if dropped:
                break
        assert dropped > 0
        assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
        assert site.status("actor")["generation"] == 1
        assert site.ok("stats", "actor")["plugins"][0]["log_dropped"] > 0
        site.call("actor", "say", {"text": "still in memory\n"})
        site.log_line("actor", "still in memory")
        if means == "tmpfs":
            before = (logs / "actor.log").read_text(errors="replace")  # a short line may have found room already
            (logs / "actor.log").write_text("")
            site.call("actor", "say", {"text": "room again\n"})
            for _ in range(20000):
                text = (logs / "actor.log").read_text()
                if "room again" in text:
                    break
                site.status()
            assert "room again" in text
            told = before + text
            assert "dropped" in told or "missing" in told, "the file says that lines are missing"
        site.stop()
    finally:
        if means == "tmpfs":
            subprocess.run(["umount", "-l", logs], check=True)


def test_a_log_directory_that_cannot_be_written(site):
    """Logs are kept in memory only, and plugd says so."""
    (site.root / "file").write_text("")
    site.actor()
    site.configure({"log": {"dir": str(site.root / "file")}})
    site.start()
    site.ready()
    site.call("actor", "say", {"text": "in memory\n"})
    site.log_line("actor", "in memory")
    assert "in memory only" in site.log_text()


def test_stderr_of_plugd_that_nobody_reads(site):
    """plugd's own log goes into a pipe that is full: it drops lines instead of blocking."""
    site.actor()
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write, True)
    site.start("--log-level", "debug", preexec=lambda: os.dup2(write, 2))
    site.ready()
    for n in range(50):
        site.ok("restart", "actor")
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    assert site.status()["dropped_log_lines"] > 0
    os.close(read)
    os.close(write)


def test_events_are_bounded_and_followed(actor):
    first = actor.ok("events")["events"]
    assert [event["seq"] for event in first] == list(range(1, len(first) + 1))
    last = first[-1]["seq"]
    actor.ok("restart", "actor")
    actor.event("ready", "actor", generation=2)
    kinds = [event["kind"] for event in actor.ok("events")["events"] if event["seq"] > last]
    assert kinds == ["started", "ready"] or "stopped" in kinds or kinds[-1] == "ready"
    assert len(actor.ok("events", "-n", "2")["events"]) == 2
    assert "ready" in actor.ctl("events", "-n", "1").out
