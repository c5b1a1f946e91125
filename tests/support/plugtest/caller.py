"""A caller with libplug in a process of its own: tests/fixtures/caller."""

import json
import select
import subprocess

from . import build

CALLER = build.BUILD / "tests" / "test-caller"
ASKER = build.BUILD / "tests" / "test-asker"


class Caller:
    """tests/fixtures/caller in a process of its own."""

    def __init__(self, site, plugin="actor", file=None, env=None):
        self.process = subprocess.Popen(
            [CALLER, site.runtime, plugin, *([file] if file else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=site.environment(env),
            text=True,
        )
        self.pid = self.process.pid

    def wait_up(self):
        assert select.select([self.process.stdout], [], [], build.seconds(20))[0], "no call came through a channel"
        assert self.process.stdout.readline() == "up\n"
        return self

    def has_ended(self, seconds):
        """By itself, or does within so many seconds."""
        try:
            self.process.wait(build.seconds(seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def end(self):
        out, _ = self.process.communicate(timeout=build.seconds(30))
        assert self.process.returncode == 0
        return json.loads(out.splitlines()[-1])


class Asker:
    """tests/fixtures/asker in a process of its own."""

    def __init__(self, site, plugin="actor", loop=False):
        self.process = subprocess.Popen(
            [ASKER, site.runtime, plugin, *(["loop"] if loop else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=site.environment(),
            text=True,
        )

    def start(self, method, payload):
        self.process.stdin.write(f"{method} {json.dumps(payload)}\n")
        self.process.stdin.flush()

    def finish(self):
        """(outcome, "channel" or "plugd")"""
        assert select.select([self.process.stdout], [], [], build.seconds(60))[0], "no outcome"
        return tuple(self.process.stdout.readline().split())

    def ask(self, method, payload):
        self.start(method, payload)
        return self.finish()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(build.seconds(20))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
