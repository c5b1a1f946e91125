"""What the steps of a schedule do to the world.

Each is a function of the world and the step; what takes long runs beside the others.  An operator's request may be
refused, for what it asks can be impossible just then; that it is answered is what counts.
"""

import contextlib
import os
import random
import resource
import signal
import socket
import time

from plugtest import build, procs, wire

from . import schedule

OPERATIONS = {}
REQUEST_SECONDS = 60
PLUGD = "plugd"


def operation(*kinds):
    def add(function):
        for kind in kinds:
            OPERATIONS[kind] = function
        return function

    return add


class Skipped(Exception):
    """This machine, this build or this moment does not allow the step."""


def target(world, step):
    """(pidfd, pid) of the process that a step means."""
    alive = world.observer.processes(step["plugin"])
    if not alive:
        raise Skipped("it has no process now")
    return alive[step["which"] % len(alive)]


def ask(world, *words):
    """An operator's request: answered, whatever the answer is."""
    done = world.site.ctl("--json", "--timeout", "45s", *words, timeout=REQUEST_SECONDS)
    return f"{done.status} {done.err.strip()[:200]}".strip()


def say(world, step, payload, timeout_ms=3000):
    """A call of the driver's own, in the history like any other."""
    key, plugin = f"driver.{step['n']}", step["plugin"]
    fields = {"plugin": plugin, "method": "fault", "timeout_ms": timeout_ms}
    world.history.add("call", key=key, bytes=0, **fields)
    outcome, message, reply = wire.ESYS, "", b""
    try:
        with wire.Client(world.site, name="driver") as client:
            outcome, message, reply, _ = client.call(
                plugin, "fault", f"{key} {payload}".encode(), content_type="text/plain", timeout_ms=timeout_ms)
        name = NAMES.get(outcome, str(outcome))
    except (OSError, wire.Closed) as error:
        name, message = "LOST", str(error)
    world.history.add("end", key=key, outcome=name, reply=reply.decode(errors="replace"), intact=True,
                      cancelled=False, sent=True, text=message[:200])
    return name


NAMES = {
    number: f"PLUG_{name}"
    for name, number in vars(wire).items()
    if isinstance(number, int) and (name == "OK" or name.startswith("E")) and name.isupper()
}


# ---- ends of processes -----------------------------------------------------------------------------------------------


@operation("kill", "term", "segv")
def end_process(world, step):
    fd, pid = target(world, step)
    number = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "segv": signal.SIGSEGV}[step["kind"]]
    world.observer.signal(fd, number)
    return str(pid)


@operation("stop", "freeze")
def stop_process(world, step):
    fd, pid = target(world, step)
    world.observer.signal(fd, signal.SIGSTOP)
    world.wait(step["ms"])
    world.observer.signal(fd, signal.SIGCONT)
    return str(pid)


@operation(*(kind for kind in schedule.STEPS if kind.startswith("fault-")))
def misbehave(world, step):
    return say(world, step, f"{step['fault']} {step['number']}")


@operation("slow-start")
def slow_start(world, step):
    path = world.start_file(step["plugin"])
    path.write_text(f"{step['ms']} {step['status']}\n")
    try:
        fd, _ = target(world, step)
        world.observer.signal(fd, signal.SIGKILL)
        world.wait(step["ms"] + 300)
    finally:
        path.unlink(missing_ok=True)


# ---- the operator ----------------------------------------------------------------------------------------------------


@operation("reload")
def reload(world, step):
    if step["version"]:
        world.versions[step["plugin"]] += 1
        world.write_manifest(step["plugin"])
    return ask(world, "reload", step["plugin"], *(["--in-place"] if step["in_place"] else []))


@operation("reload-all")
def reload_all(world, step):
    return ask(world, "reload", "--all")


@operation("restart")
def restart(world, step):
    return ask(world, "restart", step["plugin"])


@operation("stop-start")
def stop_start(world, step):
    said = ask(world, "stop", step["plugin"])
    world.wait(step["ms"])
    return said + " / " + ask(world, "start", step["plugin"])


@operation("start")
def start(world, step):
    return ask(world, "start", *schedule.PLUGINS)


@operation("scale")
def scale(world, step):
    return ask(world, "scale", step["plugin"], str(step["to"]))


@operation("reread")
def reread(world, step):
    world.limits = {"queue_calls": step["queue_calls"], "channels_per_client": step["channels"]}
    world.write_config()
    return ask(world, "reread")


@operation("reread-broken")
def reread_broken(world, step):
    with world.plugd_lock:  # no plugd starts with it
        world.write_config("limits: { queue_calls: many }\n")
        said = ask(world, "reread")
        world.write_config()
    return said


@operation("upgrade")
def upgrade(world, step):
    if not world.upgrades:
        raise Skipped("this plugctl has no `upgrade`")
    binary = build.PLUGD
    if step["binary"] == "garbage":
        binary = world.site.root / "no-plugd"
        binary.write_bytes(b"\x7fELF" + bytes(200))
        binary.chmod(0o755)
    with world.plugd_lock:
        return ask(world, "upgrade", "--daemon", str(binary))


# ---- files that change -----------------------------------------------------------------------------------------------


@operation("replace")
def replace(world, step):
    world.install(step["plugin"])
    return ask(world, "reload", step["plugin"])


@operation("replace-broken")
def replace_broken(world, step):
    program = world.program(step["plugin"])
    new = program.with_suffix(f".broken{step['n']}")
    whole = program.read_bytes()
    new.write_bytes(b"no program\n" if step["how"] == "text" else whole[:5000] if step["how"] == "short" else whole)
    new.chmod(0o644 if step["how"] == "mode" else 0o755)
    if step["how"] == "gone":
        new.unlink()
        program.unlink()
    else:
        os.rename(new, program)
    try:
        return ask(world, "reload", step["plugin"])
    finally:
        world.install(step["plugin"])


# ---- callers, and strangers at the door ------------------------------------------------------------------------------


@operation("vanish")
def vanish(world, step):
    world.callers.kill(step["caller"])


@operation("half-open")
def half_open(world, step):
    """Connections that never say who they are."""
    clients = []
    try:
        for _ in range(step["count"]):
            clients.append(wire.Client(world.site, hello=False))
        world.wait(step["ms"])
    finally:
        for client in clients:
            client.close()


def a_session(world, step):
    sockets = world.sockets()
    if not sockets:
        raise Skipped("there is no session now")
    return sockets[step["which"] % len(sockets)]


@operation("half-open-session")
def half_open_session(world, step):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.connect(a_session(world, step))
        sock.sendall(b"\0SP")
        world.wait(step["ms"])


@operation("garbage-session")
def garbage_session(world, step):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.connect(a_session(world, step))
        sock.sendall(random.Random(step["seed"]).randbytes(300))


@operation("garbage")
def garbage(world, step):
    pick = random.Random(step["seed"])
    with wire.Client(world.site, hello=step["hello"], name="garbage") as client:
        client.send_raw(pick.randbytes(pick.randint(1, 2000)))
        client.is_closed(1)


# ---- what the machine has not ----------------------------------------------------------------------------------------


def window(world, what, of, ms):
    """Calls that end within it may say that something was missing."""
    began = time.monotonic_ns()
    world.wait(ms)
    world.history.add("window", what=what, of=of, since=began)


def few_descriptors(world, pid, step, of):
    """Limits that overlap in time: the last one to end restores what was there before the first."""
    with world.limits_lock:
        try:
            now = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            before, count = world.file_limits.get(pid, (now, 0))
            used = max(procs.descriptors(pid)) + 1
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(used + step["spare"], before[0]), before[1]))
        except (ProcessLookupError, FileNotFoundError, ValueError):
            raise Skipped("it has just ended") from None
        world.file_limits[pid] = (before, count + 1)
    window(world, "descriptors", of, step["ms"])
    with world.limits_lock:
        before, count = world.file_limits.pop(pid)
        if count > 1:
            world.file_limits[pid] = (before, count - 1)
            return
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        except ProcessLookupError:
            pass


@operation("emfile-plugd")
def emfile_plugd(world, step):
    few_descriptors(world, world.plugd_pid, step, PLUGD)


@operation("emfile-plugin")
def emfile_plugin(world, step):
    few_descriptors(world, target(world, step)[1], step, step["plugin"])


@operation("disk-full")
def disk_full(world, step):
    if not world.small_disk:
        raise Skipped("no file system of our own can be mounted")
    world.fill_disk()
    try:
        window(world, "disk", PLUGD, step["ms"])
    finally:
        world.free_disk()


def shim(world, step, whose, what, **fields):
    if not world.shims.usable:
        raise Skipped("a sanitizer's runtime has to be loaded first")
    # A plugd without memory says so and does not start, which is no fault of its own.
    with world.plugd_lock if whose == "plugd" else contextlib.nullcontext():
        world.shims.set(whose, **fields)
    try:
        window(world, what, whose, step["ms"])
    finally:
        world.shims.set(whose, **dict.fromkeys(fields, 0))


@operation("no-memfd")
def no_memfd(world, step):
    shim(world, step, step["whose"], "memfd", no_memfd=1)


@operation("no-memory")
def no_memory(world, step):
    shim(world, step, step["whose"], "memory", alloc_ppm=step["ppm"])


@operation("clock")
def clock(world, step):
    """The wall clock jumps, for plugd and its plugins, and stays there."""
    if not world.shims.usable:
        raise Skipped("a sanitizer's runtime has to be loaded first")
    for whose in (*schedule.PLUGINS, "plugd", "callers"):
        world.shims.set(whose, offset_ns=step["ms"] * 1_000_000)


# ---- plugd itself ----------------------------------------------------------------------------------------------------


@operation("pause-plugd")
def pause_plugd(world, step):
    with world.plugd_lock:
        signal.pidfd_send_signal(world.plugd, signal.SIGSTOP)
        world.wait(step["ms"])
        signal.pidfd_send_signal(world.plugd, signal.SIGCONT)


@operation("kill-plugd", "kill-guardian")
def kill_plugd(world, step):
    with world.plugd_lock:
        if step["kind"] == "kill-plugd":
            signal.pidfd_send_signal(world.plugd, signal.SIGKILL)
        else:
            world.site.process.kill()
        world.wait_plugd_end(build.seconds(20), expected=True)
        world.start_plugd()
