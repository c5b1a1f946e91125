"""A plugd of a test's own: its directory, its plugins, its processes, its end."""

import collections
import functools
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from . import build, procs

Result = collections.namedtuple("Result", "status out err")


class Outcome(Result):
    """What plugctl said."""

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]


def fifo_send(path, text=""):
    """Open a FIFO that a plugin reads (blocks until it does), write, close."""
    with open(path, "w") as gate:
        gate.write(text)


class Follower:
    """Lines of a command that follows something, as they come."""

    def __init__(self, argv, env):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        self.seen = []
        self.ended = False
        self.news = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.seen.append(json.loads(line))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def wait(self, matches, timeout, what):
        """The first line for which matches() is true, seen already or still to come."""
        deadline = time.monotonic() + timeout
        looked = 0
        with self.news:
            while True:
                for item in self.seen[looked:]:
                    if matches(item):
                        return item
                looked = len(self.seen)
                left = deadline - time.monotonic()
                if left <= 0 or (self.ended and not self.news.wait(0)):
                    raise AssertionError(
                        f"no {what} {'before the end' if self.ended else f'within {timeout:.0f} s'}; "
                        "there were:\n" + "\n".join(json.dumps(item) for item in self.seen[-40:])
                    )
                self.news.wait(left)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


class Site:
    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pt", dir="/tmp"))
        self.plugins = self.root / "p"
        self.plugins.mkdir()
        self.runtime = self.root / "r"
        self.reports = self.root / "san"
        self.reports.mkdir()
        self.log = self.root / "plugd.log"
        self.config = None
        self.process = None  # the guardian, which is plugd's parent
        self.followers = []
        self.expected_status = 0
        self.watched = []
        self._events = None

    # ---- plugins ------------------------------------------------------------------------------

    def manifest(self, name, text, folder=None):
        """A manifest as text; the folder's name is the plugin's unless said otherwise."""
        directory = self.plugins / (folder or name)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "plugin.yaml"
        path.write_text(text)
        return path

    def plugin(self, name, exec, version="1.0.0", type="interface", run=None, folder=None, **keys):
        """A plugin that runs `exec`; JSON is YAML."""
        document = {"plugin": name, "version": version, "type": type, "exec": [str(a) for a in exec]}
        document["run"] = {
            "backoff": {"min": "10ms", "max": "100ms"},
            "start_timeout": f"{build.seconds(20):.0f}s",
            "stop_timeout": "2s",
            **(run or {}),
        }
        document.update(keys)
        return self.manifest(name, json.dumps(document, indent=1) + "\n", folder)

    def actor(self, name="actor", *args, version="1.0.0", **keys):
        """The tests' plugin (tests/fixtures/actor)."""
        return self.plugin(name, [build.ACTOR, "--version", version, *args], version=version, **keys)

    def script(self, name, text, **keys):
        """A plugin in Python: `text` runs with everything of plugtest.rogue imported."""
        path = self.root / f"{name}.py"
        path.write_text("from plugtest.rogue import *\n" + text)
        run = dict(keys.pop("run", {}))
        run["env"] = {
            "PYTHONPATH": str(build.SOURCE / "tests" / "support"),
            "PLUG_BUILD_DIR": str(build.BUILD),
            "PYTHONDONTWRITEBYTECODE": "1",
            **run.get("env", {}),
        }
        return self.plugin(name, ["/usr/bin/python3", path], run=run, **keys)

    def fifo(self, name):
        path = self.root / name
        os.mkfifo(path)
        return path

    # ---- plugd --------------------------------------------------------------------------------

    @property
    def socket_path(self):
        return self.runtime / "plugd.sock"

    def environment(self, extra=None):
        env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PLUG_", "PLUGD_")) and key not in ("NOTIFY_SOCKET", "PYTHONPATH")
        }
        if build.ASAN:
            env["ASAN_OPTIONS"] = f"log_path={self.reports}/asan:detect_leaks=1:abort_on_error=0"
            env["UBSAN_OPTIONS"] = f"log_path={self.reports}/ubsan:print_stacktrace=1"
        if build.TSAN:
            env["TSAN_OPTIONS"] = (
                f"log_path={self.reports}/tsan:suppressions={build.SOURCE}/tests/support/tsan.supp"
            )
        env.update(extra or {})
        return env

    def argv(self, *args):
        argv = [str(build.PLUGD), "--plugin-dir", str(self.plugins), "--runtime-dir", str(self.runtime)]
        if self.config is not None:
            argv += ["--config", str(self.root / "plugd.yaml")]
        return argv + [str(arg) for arg in args]

    def without_fault_handlers(self):
        """For start(): AddressSanitizer leaves faults to the programs, and fault signals that are meant are no finding."""
        options = self.environment().get("ASAN_OPTIONS", "")
        return {"ASAN_OPTIONS": f"{options}:handle_segv=0:handle_abort=0"} if build.ASAN else None

    def configure(self, config):
        """plugd.yaml, as text or as a document."""
        self.config = config if isinstance(config, str) else json.dumps(config, indent=1)
        new = self.root / "plugd.yaml.new"
        new.write_text(self.config)
        new.rename(self.root / "plugd.yaml")  # a plugd that starts meanwhile reads one or the other

    def run(self, *args, env=None, timeout=30):
        """plugd to its end: for what it refuses, and for --check."""
        done = subprocess.run(
            self.argv(*args),
            capture_output=True,
            text=True,
            env=self.environment(env),
            timeout=build.seconds(timeout),
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def spawn(self, *args, env=None, preexec=None):
        """Start plugd and return at once."""
        self.notify_path = self.root / "notify"
        self.notify_path.unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.notify_path))
        self.said = []
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv(*args),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment({"NOTIFY_SOCKET": str(self.notify_path), **(env or {})}),
                preexec_fn=preexec,
            )

    def wait_said(self, word, timeout=30):
        """What plugd tells its service manager: READY=1, RELOADING=1, STOPPING=1."""
        deadline = time.monotonic() + build.seconds(timeout)
        pidfd = os.pidfd_open(self.process.pid)
        try:
            while word not in self.said:
                left = max(0, deadline - time.monotonic())
                readable = select.select([self.notify, pidfd], [], [], left)[0]
                if self.notify in readable:
                    self.said += self.notify.recv(4096).decode().splitlines()
                elif pidfd in readable:
                    raise AssertionError(f"plugd ended before {word}:\n{self.log_text()}")
                elif not readable:
                    raise AssertionError(f"no {word} from plugd:\n{self.log_text()}")
            self.said.remove(word)
        finally:
            os.close(pidfd)

    def start(self, *args, env=None, preexec=None):
        self.spawn(*args, env=env, preexec=preexec)
        self.wait_said("READY=1")
        self._events = None
        self.__dict__.pop("pid", None)
        return self

    @property
    def events(self):
        """All events since the start, followed by plugctl."""
        if self._events is None:
            self._events = self.follow("events", "-f", "-n", "500")
        return self._events

    def follow(self, *args):
        follower = Follower(self.ctl_argv("--json", *args), self.environment())
        self.followers.append(follower)
        return follower

    @functools.cached_property
    def pid(self):
        """Of plugd itself, the guardian's child."""
        return self.status()["pid"]

    def signal(self, number):
        """As a service manager does: to the main process, which is the guardian."""
        os.kill(self.process.pid, number)

    def wait_end(self, timeout=30):
        status = self.process.wait(build.seconds(timeout))
        self._forget_process()
        return status

    def stop(self, timeout=30):
        """The orderly end."""
        self.signal(signal.SIGTERM)
        return self.wait_end(timeout)

    def _forget_process(self):
        for follower in self.followers:
            follower.close()
        self.followers = []
        self._events = None
        self.process = None
        self.notify.close()

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # ---- plugctl ------------------------------------------------------------------------------

    def ctl_argv(self, *args):
        return [str(build.PLUGCTL), "--runtime-dir", str(self.runtime), *map(str, args)]

    def ctl(self, *args, input=None, timeout=60, env=None):
        done = subprocess.run(
            self.ctl_argv(*args),
            input=input,
            capture_output=True,
            text=not isinstance(input, bytes),
            env=self.environment(env),
            timeout=build.seconds(timeout),
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def ctl_on_terminal(self, *args):
        """What plugctl writes to a terminal."""
        try:
            ours, theirs = pty.openpty()
        except OSError as error:
            pytest.skip(f"no terminal can be had here: {error}")
        process = subprocess.Popen(
            self.ctl_argv(*args), stdout=theirs, stderr=theirs, env=self.environment({"TERM": "xterm"})
        )
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:
            pass  # how a terminal ends
        os.close(ours)
        return Outcome(process.wait(build.seconds(20)), text.decode("utf-8", "replace"), "")

    def ctl_start(self, *args, **keys):
        """plugctl in the background."""
        return subprocess.Popen(
            self.ctl_argv(*args),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            **keys,
        )

    def ok(self, *args, **keys):
        """plugctl --json …, which must succeed: its document."""
        done = self.ctl("--json", *args, **keys)
        assert done.status == 0, f"plugctl {' '.join(map(str, args))}: {done}"
        return done.json

    def call(self, plugin, method, payload=None, **keys):
        words = ["call", plugin, method]
        if payload is not None:
            words.append(json.dumps(payload))
        return self.ok(*words, **keys)

    def status(self, name=None):
        return self.ok("status", *([name] if name else []))

    def word(self, name):
        return self.status(name)["state"]

    def event(self, kind, plugin=None, detail="", after=0, timeout=30, **fields):
        """The first such event, past or to come."""
        pattern = re.compile(detail)

        def matches(event):
            return (
                event["kind"] == kind
                and (plugin is None or event["plugin"] == plugin)
                and event["seq"] > after
                and pattern.search(event["detail"])
                and all(event[key] == value for key, value in fields.items())
            )

        what = f"event {kind} of {plugin or 'any'} {fields or ''} {detail!r} after {after}"
        return self.events.wait(matches, build.seconds(timeout), what)

    def ready(self, name="actor", **fields):
        return self.event("ready", name, **fields)

    def log_line(self, plugin, pattern, timeout=30):
        """Wait for a line in a plugin's log."""
        wanted = re.compile(pattern)
        follower = self.follow("logs", plugin, "-f", "-n", "1000")
        try:
            return follower.wait(
                lambda line: wanted.search(line["text"]), build.seconds(timeout), f"line {pattern!r}"
            )
        finally:
            self.followers.remove(follower)
            follower.close()

    # ---- the end ------------------------------------------------------------------------------

    def watch(self, pid):
        """A process that must be gone when the test ends."""
        watched = procs.Watched(pid)
        self.watched.append(watched)
        return watched

    def sanitizer_reports(self):
        reports = [path.read_text(errors="replace") for path in sorted(self.reports.iterdir())]
        # A process that is killed while the leak checker looks at it leaves this line and no finding.
        noise = re.compile(r"(==\d+==Unable to get registers from thread \d+\.\s*)*")
        return "\n".join(report for report in reports if not noise.fullmatch(report))

    def close(self):
        problems = []
        if self.process is not None:
            try:
                status = self.stop()
                if status != self.expected_status:
                    problems.append(f"plugd ended with {status}")
            except subprocess.TimeoutExpired:
                problems.append("plugd did not end within the deadline after SIGTERM")
                self.process.kill()
                self.wait_end()
        for follower in self.followers:
            follower.close()
        left = procs.of_socket(self.socket_path)
        if left:
            problems.append(f"processes of plugins are left: {left}")
        for watched in self.watched:
            if not watched.gone(0):
                problems.append(f"process {watched.pid} is left")
                watched.kill()
            watched.close()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        reports = self.sanitizer_reports()
        if reports:
            problems.append(f"sanitizer reports:\n{reports}")
        shutil.rmtree(self.root, ignore_errors=True)
        assert not problems, "\n".join(problems)
