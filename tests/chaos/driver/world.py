"""A plugd with its plugins, its callers and what is limited around them."""

import ctypes
import json
import os
import pathlib
import select
import shutil
import signal
import struct
import subprocess
import threading
import time

from plugtest import build, procs
from plugtest.site import Site

from . import schedule
from .observer import Observer

PLUGIN = build.BUILD / "tests" / "chaos-plugin"
CALLER = build.BUILD / "tests" / "chaos-caller"
SHIM = build.BUILD / "tests" / "chaos-shim.so"
HOSTILE_PLUGIN = build.BUILD / "tests" / "chaos-hostile-plugin"
HOSTILE_CLIENT = build.BUILD / "tests" / "hostile_client"

WORKERS = 8  # of chaos-plugin
CALLS_PER_INSTANCE = 6
STATE_BYTES = 4 << 20

RUN = {
    "a": {"instances": 2},
    "b": {"standby": 1},
    "c": {},
    "d": {"max_failures": 3},
}
KEYS = {
    "c": {"resources": {"open_files": 96}, "probe": {"method": "probe", "interval": "1s", "timeout": "1s"}},
}
# name: how it calls
CALLERS = {
    "threads-auto": ("threads", "auto", 150),
    "loop-auto": ("loop", "auto", 150),
    "loop-off": ("loop", "off", 80),
    "threads-channel": ("threads", "channel", 80),
}


def mounts_allowed():
    """Are we in a mount namespace of our own, with the right to use it?  run.sh sees to it."""
    return os.geteuid() == 0 and os.environ.get("CHAOS_MOUNTS") == "own"


class Shims:
    """The files that chaos-shim.so reads, one for each of plugd, plugins and callers."""

    FORMAT = "<qQII"

    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.lock = threading.Lock()
        self.values = {}
        for whose in (*schedule.PLUGINS, "plugd", "callers"):
            self.values[whose] = {"offset_ns": 0, "alloc_ppm": 0, "no_memfd": 0}
            self.path(whose).write_bytes(bytes(struct.calcsize(self.FORMAT)))

    @property
    def usable(self):
        return not build.SANITIZE  # the runtime of a sanitizer has to come first

    def path(self, whose):
        return self.folder / f"shim.{whose}"

    def set(self, whose, **fields):
        with self.lock:
            values = self.values[whose]
            values.update(fields)
            packed = struct.pack(
                self.FORMAT, values["offset_ns"], self.seed, values["alloc_ppm"], values["no_memfd"]
            )
            with open(self.path(whose), "r+b") as file:  # in place: it is mapped
                file.write(packed)

    def environment(self, whose):
        return {"LD_PRELOAD": str(SHIM), "CHAOS_SHIM": str(self.path(whose))} if self.usable else {}


class Callers:
    def __init__(self, world):
        self.world = world
        self.running = {}  # name -> process
        self.count = 0

    def start(self, kind, plugins=schedule.PLUGINS, name=None, rate=None):
        mode, plane, calls = CALLERS[kind]
        self.count += 1
        name = name or f"{kind}-{self.count}"
        world = self.world
        process = subprocess.Popen(
            [CALLER, world.site.runtime, world.history.calls, name, str(world.seed * 100 + self.count), mode, plane,
             str(rate or calls), *plugins],
            stdin=subprocess.PIPE, stderr=open(world.site.log, "ab"),
            env=world.site.environment(world.shims.environment("callers")),
        )
        world.history.add("caller", name=name, pid=process.pid)
        self.running[name] = ((kind, plugins, rate), process)
        return name

    def kill(self, which):
        """One vanishes in the middle of what it does, another comes."""
        if not self.running:
            return
        name = sorted(self.running)[which % len(self.running)]
        again, process = self.running.pop(name)
        process.kill()
        process.wait()
        process.stdin.close()
        self.world.history.add("caller-ended", name=name, status=process.returncode, killed=True)
        kind, plugins, rate = again
        self.start(kind, plugins, rate=rate)

    def end(self, timeout):
        """All finish what they have begun."""
        deadline = time.monotonic() + timeout
        for _, process in self.running.values():
            process.stdin.close()
        for name, (_, process) in self.running.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
                self.world.history.add("caller-ended", name=name, status=process.returncode, killed=False)
            except subprocess.TimeoutExpired:
                self.world.history.add("left", what="caller", detail=f"{name} does not end: a call hangs")
                process.kill()
                process.wait()
        self.running = {}


class World:
    def __init__(self, history, seed):
        self.history, self.seed = history, seed
        self.site = Site()
        self.state = self.site.root / "state"
        self.state.mkdir()
        self.small_disk = mounts_allowed()
        if self.small_disk:
            mount(self.state, STATE_BYTES)
        self.shims = Shims(self.site.root, seed)
        self.observer = Observer(self.site.root / "observer", history)
        self.callers = Callers(self)
        self.versions = dict.fromkeys(schedule.PLUGINS, 0)
        self.limits = {"queue_calls": 64, "channels_per_client": 64}
        self.plugd_lock = threading.Lock()  # who starts, ends or pauses plugd
        self.plugd = None  # its pidfd
        self.plugd_pid = None
        self.over = threading.Event()
        self.limits_lock = threading.Lock()
        self.file_limits = {}  # pid -> (what it had, how many steps lowered it)
        self.follower = None
        self.upgrades = "upgrade" in subprocess.run(
            [build.PLUGCTL, "help"], capture_output=True, text=True, check=True).stdout
        self.devshm = set(os.listdir("/dev/shm"))
        for name in schedule.PLUGINS:
            self.install(name)
            self.write_manifest(name)
        self.hostile()
        self.write_config()

    def hostile(self):
        """A plugin that damages its side of every channel, whatever happens to the others."""
        env = {"CHAOS_RECORD": str(self.history.executions), "CHAOS_OBSERVER": str(self.observer.path),
               "CHAOS_HOSTILE": str(self.seed)}
        self.site.plugin("wrong", [HOSTILE_PLUGIN], run={"max_failures": 0, "stop_timeout": "1s", "env": env})

    # ---- files --------------------------------------------------------------------------------

    def program(self, name):
        return self.site.plugins / name / "program"

    def install(self, name):
        """A new file in the place of the old one, as an installer does."""
        new = self.program(name).with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PLUGIN, new)
        os.rename(new, self.program(name))

    def write_manifest(self, name):
        version = f"1.0.{self.versions[name]}"
        env = {
            "CHAOS_RECORD": str(self.history.executions),
            "CHAOS_OBSERVER": str(self.observer.path),
            "CHAOS_START": str(self.start_file(name)),
            "CHAOS_VERSION": version,
            **self.shims.environment(name),
        }
        if build.ASAN:  # faults are on purpose here; the signal itself is what plugd is to see
            env["ASAN_OPTIONS"] = self.site.environment()["ASAN_OPTIONS"] + ":handle_segv=0"
        run = {"backoff": {"min": "10ms", "max": "300ms"}, "max_failures": 0, "stop_timeout": "1s",
               "start_timeout": f"{build.seconds(10):.0f}s", **RUN[name], "env": env}
        document = {"plugin": name, "version": version, "type": "interface", "exec": ["./program"], "run": run,
                    "methods": {"once": {}, "twice": {"idempotent": True}}, **KEYS.get(name, {})}
        path = self.site.plugins / name / "plugin.yaml"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(document, indent=1) + "\n")
        os.rename(new, path)

    def start_file(self, name):
        return self.site.root / f"start.{name}"

    def write_config(self, text=None):
        self.site.configure(text or {
            "state_dir": str(self.state),
            "log": {"max_bytes": "256KiB", "files": 2},
            "limits": {"calls_per_instance": CALLS_PER_INSTANCE, "call_bytes": "256KiB", **self.limits},
        })

    def fill_disk(self):
        with open(self.state / "filling", "wb") as file:
            try:
                while True:
                    os.write(file.fileno(), bytes(65536))
            except OSError:
                pass

    def free_disk(self):
        (self.state / "filling").unlink(missing_ok=True)

    # ---- plugd --------------------------------------------------------------------------------

    def start_plugd(self):
        """By who holds plugd_lock, or before there are others."""
        self.shims.set("plugd", alloc_ppm=0, no_memfd=0)
        self.site.start(env=self.shims.environment("plugd"))
        guardian = self.site.process.pid
        children = [pid for pid in procs.all_pids() if (found := procs.stat(pid)) and found[1] == guardian]
        self.plugd_pid = children[0]
        self.plugd = os.pidfd_open(self.plugd_pid)
        self.history.add("plugd", pid=self.plugd_pid)
        self.follow()

    def follow(self):
        """plugd's own story, as long as it can be had: who follows too slowly is dropped."""
        process = subprocess.Popen(
            self.site.ctl_argv("--json", "events", "-f", "-n", "500"), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=self.site.environment(), text=True)

        def read():
            for line in process.stdout:
                event = json.loads(line)
                if "kind" in event:  # else it says why it ends
                    self.history.add("event", **{k: event[k] for k in ("plugin", "kind", "pid", "generation", "detail")})

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        self.follower = (process, thread)

    def unfollow(self):
        process, thread = self.follower
        process.kill()
        process.wait()
        thread.join()
        process.stdout.close()

    def wait_plugd_end(self, timeout, expected):
        """After whatever ended it: is all of it gone, and how soon?"""
        began = time.monotonic()
        status = self.site.wait_end(timeout)
        if not select.select([self.plugd], [], [], timeout)[0]:
            self.history.add("left", what="process", detail=f"plugd {self.plugd_pid} outlived its guardian")
        self.history.add("plugd-ended", status=status, expected=expected)
        os.close(self.plugd)
        self.unfollow()
        left = self.observer.wait_none(build.seconds(10))
        for what, name, pid in left:
            self.history.add("left", what="process", detail=f"{what} {pid} of {name} outlived plugd")
        self.history.add("all-gone", ms=(time.monotonic() - began) * 1000)
        for path in groups(self.plugd_pid):
            self.history.add("left", what="cgroup", detail=str(path))
        return status

    def plugd_alive(self):
        return self.site.process is not None and self.site.process.poll() is None

    def sockets(self):
        """Addresses of the sessions."""
        found = []
        for folder, _, names in os.walk(self.site.runtime / "s"):  # they come and go meanwhile
            found += [f"{folder}/{name}" for name in names]
        return sorted(found)

    def sample(self, when):
        pid = self.plugd_pid
        try:
            fields = {"rss": procs.rss_bytes(pid), **held(pid)}
        except (KeyError, FileNotFoundError, ProcessLookupError):
            return
        instances = []
        for _, one in self.observer.processes():
            try:
                descriptors = procs.descriptors(one)
                limits = procs.read(one, "limits").decode()
                instances.append({"pid": one, "descriptors": len(descriptors), "open_files": soft_limit(limits)})
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        self.history.add("sample", when=when, pid=pid, sessions=len(self.sockets()), instances=instances, **fields)

    def wait(self, ms):
        """Let time pass, as a step says; less when the run is over."""
        self.over.wait(ms / 1000)

    # ---- the end ------------------------------------------------------------------------------

    def close(self):
        for _, process in self.callers.running.values():
            process.kill()
            process.wait()
        if self.site.process is not None:
            if self.plugd_alive():
                self.site.process.kill()
            self.site.wait_end()
        for fd, _ in self.observer.processes() + self.observer.processes(what="stray"):
            self.observer.signal(fd, signal.SIGKILL)
        self.observer.close()
        if self.small_disk:
            unmount(self.state)
        log = self.site.log_text()
        (self.history.folder / "plugd.log").write_text(log[-4_000_000:])
        shutil.rmtree(self.site.root, ignore_errors=True)


def held(pid):
    """What a process has open and shares, by kind."""
    import collections
    import re

    kinds = collections.Counter(re.sub(r"\d+", "N", what) for what in procs.descriptors(pid).values())
    kinds = {re.sub(r"/tmp/pt[^/]*", "ROOT", kind): count for kind, count in kinds.items()}
    lines = procs.read(pid, "maps").decode().splitlines()
    shared = collections.Counter(line.split("/", 1)[1] for line in lines if "memfd:" in line)
    return {"descriptors": kinds, "shared": dict(shared), "mappings": len(lines)}


def groups(pid):
    """What is there of the groups of a plugd, on any hierarchy."""
    return [path for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") for path in pathlib.Path(root).glob(f"plugd-{pid}-*")]


def soft_limit(text):
    for line in text.splitlines():
        if line.startswith("Max open files"):
            return int(line.split()[3]) if line.split()[3] != "unlimited" else None
    return None


libc = ctypes.CDLL(None, use_errno=True)


def mount(path, size):
    if libc.mount(b"none", os.fsencode(path), b"tmpfs", 0, f"size={size},mode=700".encode()):
        raise OSError(ctypes.get_errno(), "mount", str(path))


def unmount(path):
    if libc.umount2(os.fsencode(path), 2):
        raise OSError(ctypes.get_errno(), "umount", str(path))
