"""Where the programs under test are, and how they were built."""

import fcntl
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("PLUG_BUILD_DIR", SOURCE / "build" / "dev")).resolve()

PLUGD = BUILD / "bin" / "plugd"
PLUGCTL = BUILD / "bin" / "plugctl"
OTHER_PLUGD = BUILD / "tests"  # plugd-newer, plugd-refusing, …: tests/fixtures/plugd
ACTOR = BUILD / "tests" / "actor-plugin"
SINGLE = BUILD / "tests" / "single-plugin"
ECHO = BUILD / "plugins" / "interfaces" / "echo"


def _cache_value(name):
    try:
        for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
            if line.startswith(name + ":"):
                return line.partition("=")[2]
    except FileNotFoundError:
        pass
    return ""


SANITIZE = _cache_value("PLUG_SANITIZE")
ASAN = "address" in SANITIZE
TSAN = "thread" in SANITIZE

# Sanitizers slow everything down; a deadline is there to end a test that hangs, not to measure.
SCALE = float(os.environ.get("PLUG_TEST_SCALE", "4" if SANITIZE else "1"))


def seconds(plain):
    return plain * SCALE


def messages():
    """The protobuf module of plug.proto, generated into the build folder once."""
    out = BUILD / "tests" / "python"
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        protos = [SOURCE / "proto" / name for name in ("plug.proto", "admin.proto")]
        made = out / "plug_pb2.py"
        newest = max(path.stat().st_mtime for path in protos)
        if not made.exists() or made.stat().st_mtime < newest:
            subprocess.run(
                ["protoc", f"-I{SOURCE / 'proto'}", f"--python_out={out}", *map(str, protos)],
                check=True,
            )
    if str(out) not in sys.path:
        sys.path.insert(0, str(out))
    import plug_pb2

    return plug_pb2


def admin_messages():
    messages()
    import admin_pb2

    return admin_pb2
