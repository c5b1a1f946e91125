"""One run: start, misbehave, come to rest, look at what is left."""

import concurrent.futures
import json
import os
import signal
import subprocess
import time

from plugtest import build, procs

from . import operations, schedule
from .check import footprint
from .history import DRIVER, History
from .world import CALLERS, CALLS_PER_INSTANCE, HOSTILE_CLIENT, KEYS, RUN, WORKERS, World, held

READY_SECONDS = 30  # after the last fault, until everything serves again
LAST_SECONDS = 1.5
STEPS_AT_ONCE = 12
STILL = 10  # looks that see the same
STEP_SECONDS = 150  # no step takes longer
SAMPLE_SECONDS = 1
MATCH_SECONDS = 15  # for what closes in plugd's own time
ALL = (*schedule.PLUGINS, "wrong")


class Run:
    def __init__(self, seed, seconds, gap_ms, folder):
        self.seed, self.seconds = seed, seconds
        self.steps = schedule.make(seed, seconds, gap_ms)
        self.history = History(folder)
        self.world = World(self.history, seed)
        self.hostile = None

    # ---- waiting ------------------------------------------------------------------------------

    def states(self):
        """What every plugin is, and how many of its processes are ready, of how many there should be."""
        said = self.world.site.ctl("--json", "list", timeout=60)
        if said.status:
            return {}
        return {one["name"]: one for one in json.loads(said.out)["plugins"]}

    def all_ready(self):
        states = self.states()
        return states and all(
            states.get(name, {}).get("state") == "ready" and is_whole(states[name]) for name in ALL)

    def wait_ready(self, bound):
        """Milliseconds that it took.  What ended with status 0 after a late SIGTERM is `stopped`, and started again."""
        began = time.monotonic()
        while not self.all_ready():
            if any(one["state"] == "stopped" for one in self.states().values()):
                self.world.site.ctl("--json", "start", *ALL)
            if time.monotonic() - began > bound:
                self.history.add("not-ready", bound_ms=bound * 1000, states=self.states())
                return None
            time.sleep(0.02)
        return (time.monotonic() - began) * 1000

    def footprint(self):
        world = self.world
        return footprint({**held(world.plugd_pid), "sessions": len(world.sockets())})

    def wait_still(self):
        """Until connections that have ended are closed on plugd's side, too."""
        before, same = None, 0
        while same < STILL:
            now = self.footprint()
            same = same + 1 if now == before else 0
            before = now
            time.sleep(0.02)

    # ---- the parts ----------------------------------------------------------------------------

    def begin(self):
        world = self.world
        self.history.add(
            "meta", seed=self.seed, seconds=self.seconds, scale=build.SCALE, sanitizer=build.SANITIZE,
            plugins={name: {"instances": RUN[name].get("instances", 1), "standby": RUN[name].get("standby", 0),
                            "open_files": KEYS.get(name, {}).get("resources", {}).get("open_files")}
                     for name in schedule.PLUGINS},
            idempotent=["twice", "probe"], hostile=["wrong"], workers=WORKERS,
            calls_per_instance=CALLS_PER_INSTANCE, disk=world.small_disk, shim=world.shims.usable,
            upgrades=world.upgrades)
        world.start_plugd()
        assert self.wait_ready(build.seconds(READY_SECONDS)) is not None, "plugd does not come up"
        self.wait_still()
        world.sample("baseline")
        for kind in CALLERS:
            world.callers.start(kind)
        world.callers.start("threads-auto", ["wrong"], rate=60)
        self.hostile = subprocess.Popen(
            [HOSTILE_CLIENT, str(world.site.runtime), "a", str(self.seed), str(self.seconds)],
            stdout=subprocess.DEVNULL, env=world.site.environment())

    def step(self, step):
        began = time.monotonic()
        try:
            said = operations.OPERATIONS[step["kind"]](self.world, step) or ""
        except operations.Skipped as reason:
            said = f"skipped: {reason}"
        except (ConnectionError, FileNotFoundError, ProcessLookupError, BrokenPipeError, TimeoutError,
                operations.wire.Closed) as error:
            said = f"not there: {type(error).__name__} {error}"
        except subprocess.TimeoutExpired as error:
            said = "not answered"
            self.history.add("left", what="request", detail=f"step {step['n']}: {error}")
        self.history.add("stepped", n=step["n"], kind=step["kind"], said=said,
                         ms=(time.monotonic() - began) * 1000)

    def misbehave(self):
        began = time.monotonic()
        next_sample = began
        with concurrent.futures.ThreadPoolExecutor(STEPS_AT_ONCE) as pool:
            under_way = set()
            for step in self.steps:
                if self.plugd_died():
                    break
                while (now := time.monotonic()) < began + step["at_ms"] / 1000:
                    if now >= next_sample:
                        self.world.sample("running")
                        next_sample = now + SAMPLE_SECONDS
                    time.sleep(min(max(0, began + step["at_ms"] / 1000 - now), 0.1))
                self.history.add("step", **step)
                under_way.add(pool.submit(self.step, step))
                done, under_way = concurrent.futures.wait(under_way, timeout=0)
                for one in done:
                    one.result()
            self.world.over.set()
            done, late = concurrent.futures.wait(under_way, build.seconds(STEP_SECONDS))
            for one in done:
                one.result()
            if late:
                self.history.add("left", what="request", detail=f"{len(late)} steps do not end")

    def plugd_died(self):
        """By itself: whoever ends it on purpose holds the lock."""
        if not self.world.plugd_lock.acquire(blocking=False):
            return False
        try:
            return not self.world.plugd_alive()
        finally:
            self.world.plugd_lock.release()

    def mend(self):
        """Take every fault away that does not end by itself."""
        world = self.world
        for fd, _ in world.observer.processes():
            world.observer.signal(fd, signal.SIGCONT)
        world.limits = {"queue_calls": 64, "channels_per_client": 64}
        world.write_config()
        self.history.add("calm")

    def come_to_rest(self):
        """Everything runs again, and the last callers get what they ask for."""
        world, ctl = self.world, self.world.site.ctl
        began = time.monotonic()
        self.mend()
        ctl("--json", "reread")
        for name in schedule.PLUGINS:
            ctl("--json", "--timeout", "30s", "scale", name, "--reset")
        ctl("--json", "--timeout", "30s", "start", *ALL)
        ready = self.wait_ready(build.seconds(READY_SECONDS)) is not None
        self.history.add("ready", ms=(time.monotonic() - began) * 1000 if ready else None,
                         bound_ms=build.seconds(READY_SECONDS) * 1000)
        world.callers.end(build.seconds(40))
        self.hostile.wait(build.seconds(30))
        ctl("--json", "--timeout", "30s", "reload", "--all")  # one version of each, as at first
        if not ready or self.wait_ready(build.seconds(READY_SECONDS)) is None:
            return
        for kind in ("loop-off", "threads-channel"):
            world.callers.start(kind, name=f"last-{kind}")
        time.sleep(LAST_SECONDS)
        world.callers.end(build.seconds(40))
        self.wait_match()

    def wait_match(self):
        """The last sample is the first one that is like the baseline, or the last before time was up."""
        self.world.unfollow()  # one that was dropped for want of memory holds no connection
        self.world.follow()
        deadline = time.monotonic() + build.seconds(MATCH_SECONDS)
        world = self.world
        baseline = next(line for line in self.lines() if line["e"] == "sample" and line["when"] == "baseline")
        while time.monotonic() < deadline:
            if self.footprint() == footprint(baseline):
                break
            time.sleep(0.1)
        world.sample("final")

    def lines(self):
        whole = (self.history.folder / DRIVER).read_text().rpartition("\n")[0]  # the last may still be on its way
        return [json.loads(line) for line in whole.splitlines()]

    def stop(self):
        world = self.world
        world.site.signal(signal.SIGTERM)
        world.wait_plugd_end(build.seconds(60), expected=False)
        for pid in procs.of_socket(world.site.socket_path):
            self.history.add("left", what="process", detail=f"{pid} {procs.read(pid, 'cmdline')!r}")
        for path in world.site.runtime.rglob("*"):
            if path.is_socket() or path.name == "plugd.pid":
                self.history.add("left", what="file", detail=str(path.relative_to(world.site.root)))
        for name in set(os.listdir("/dev/shm")) - world.devshm:
            if "plug" in name and not name.startswith("plugbench"):
                self.history.add("left", what="file", detail=f"/dev/shm/{name}")
        for reports in filter(None, [world.site.sanitizer_reports()]):
            self.history.add("left", what="sanitizer", detail=reports[:20000])

    def run(self):
        try:
            self.begin()
            self.misbehave()
            if not self.plugd_died():
                self.come_to_rest()
                self.stop()
            else:
                self.world.wait_plugd_end(build.seconds(20), expected=False)
            self.history.add("over")
        finally:
            if self.hostile is not None and self.hostile.poll() is None:
                self.hostile.kill()
                self.hostile.wait()
            self.world.close()


def is_whole(plugin):
    return plugin["ready"] == plugin["instances"] and plugin["standby_ready"] == plugin["standby"]
