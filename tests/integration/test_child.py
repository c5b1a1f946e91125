"""What a plugin's process is given, and what it is not."""

import os
import resource
import signal

import pytest

from plugtest import build, procs, wire


@pytest.fixture
def child(site):
    site.actor("actor", run={"env": {"OF_THE_MANIFEST": "a value"}})
    site.start(env={"OF_PLUGD": "inherited"})
    return site, site.ready()["pid"]


def test_descriptors(child):
    """All that it has beyond stdin and its two log pipes it opened itself."""
    site, pid = child
    found = procs.descriptors(pid)
    assert found[0] == "/dev/null"
    assert found[1].startswith("pipe:") and found[2].startswith("pipe:") and found[1] != found[2]
    try:
        plugds = set(procs.descriptors(site.pid).values())
    except PermissionError:  # plugd cannot be looked into but by root
        plugds = set()
    shared = {what for number, what in found.items() if number > 3 and what.startswith(("pipe:", "socket:"))}
    assert not shared & plugds, "inherited from plugd"
    assert not any("plugd.pid" in what or "plugd.log" in what for what in found.values())


def test_descriptors_of_a_program_that_opens_none(site):
    site.plugin("cat", ["/bin/sleep", "3600"])
    site.start()
    pid = site.event("started", "cat")["pid"]
    # The name changes with the exec: until then it is plugd's own image.
    while procs.status(pid).get("Name") != "sleep":
        assert procs.alive(pid)
    found = procs.descriptors(pid)
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert "plug-vitals" in found[3] and found[4].startswith("socket:")
    site.ok("stop", "cat")


def test_descriptors_that_plugd_itself_inherited(site):
    """A descriptor without close-on-exec that plugd was started with goes no further."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    site.actor()

    def keep():
        os.dup2(write, 77)

    site.start(preexec=keep)
    pid = site.ready()["pid"]
    assert 77 not in procs.descriptors(pid)
    os.close(read)
    os.close(write)


def test_session_and_group(child):
    site, pid = child
    _, parent, group, session = procs.stat(pid)
    assert (group, session) == (pid, pid)
    assert parent == site.pid
    assert procs.stat(pid)[1] != site.process.pid


def test_environment(child):
    site, pid = child
    env = procs.environment(pid)
    assert env["PLUG_NAME"] == env["PLUG_INSTANCE"] == "actor"
    assert env["PLUG_GENERATION"] == "1"
    assert env["PLUG_ADDRESS"].startswith(f"ipc://{site.runtime}/s/")
    assert len(bytes.fromhex(env["PLUG_TOKEN"])) == 16
    assert len(bytes.fromhex(env["PLUG_CLIENT_TOKEN"])) == 16
    assert env["PLUG_TOKEN"] != env["PLUG_CLIENT_TOKEN"]
    assert env["PLUGD_SOCKET"] == str(site.socket_path)
    assert env["OF_THE_MANIFEST"] == "a value"
    assert env["OF_PLUGD"] == "inherited"
    assert "NOTIFY_SOCKET" not in env, "the service manager is none of its business"


def test_environment_that_is_not_handed_on(site):
    site.actor()
    site.start(env={"PLUG_TOKEN": "of another", "PLUG_ODD": "x", "PLUGD_OTHER_KEY": "x",
                    "LISTEN_FDS": "1", "LISTEN_PID": "1"})
    env = procs.environment(site.ready()["pid"])
    assert len(env["PLUG_TOKEN"]) == 32
    for name in ("PLUG_ODD", "PLUGD_OTHER_KEY", "LISTEN_FDS", "LISTEN_PID"):
        assert name not in env, name


def test_the_manifest_overrides_plugds_environment(site):
    site.actor("actor", run={"env": {"SHARED": "of the manifest"}})
    site.start(env={"SHARED": "of plugd"})
    raw = procs.read(site.ready()["pid"], "environ").split(b"\0")
    assert [item for item in raw if item.startswith(b"SHARED=")] == [b"SHARED=of the manifest"]


@pytest.mark.parametrize("run, expected", [
    ({}, "50"),
    ({"spin_us": 0}, "0"),
    ({"spin_us": 7, "env": {"PLUG_SPIN_US": "9"}}, "9"),
])
def test_how_long_it_looks_for_calls(site, run, expected):
    site.actor("actor", run=run)
    site.start()
    raw = procs.read(site.ready()["pid"], "environ").split(b"\0")
    assert [item for item in raw if item.startswith(b"PLUG_SPIN_US=")] == [f"PLUG_SPIN_US={expected}".encode()]


def test_tokens_are_of_one_generation(site):
    site.actor()
    site.start()
    first = procs.environment(site.ready(generation=1)["pid"])
    site.ok("restart", "actor")
    second = procs.environment(site.ready(generation=2)["pid"])
    for name in ("PLUG_TOKEN", "PLUG_CLIENT_TOKEN", "PLUG_ADDRESS"):
        assert first[name] != second[name]
    assert not os.path.exists(first["PLUG_ADDRESS"][len("ipc://"):])


def test_the_session_directory_is_private(child):
    site, pid = child
    path = procs.environment(pid)["PLUG_ADDRESS"][len("ipc://"):]
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert os.stat(path).st_mode & 0o077 == 0


def test_signals_are_at_their_defaults(child):
    """Nothing blocked or ignored by plugd is inherited; libplug ignores SIGPIPE itself."""
    _, pid = child
    status = procs.status(pid)
    ignored = int(status["SigIgn"], 16) & ~(1 << (signal.SIGPIPE - 1))
    assert ignored == 0
    assert int(status["SigBlk"], 16) & (1 << (signal.SIGINT - 1)) == 0


def test_working_directory_is_the_plugins(child):
    site, pid = child
    assert os.readlink(f"/proc/{pid}/cwd") == str(site.plugins / "actor")


def test_umask_and_limits(child):
    _, pid = child
    assert procs.status(pid)["Umask"] == "0022"
    limits = procs.read(pid, "limits").decode()
    ours = procs.read(os.getpid(), "limits").decode()
    row = [line for line in limits.splitlines() if line.startswith("Max open files")]
    mine = [line for line in ours.splitlines() if line.startswith("Max open files")]
    assert row[0].split()[3] == mine[0].split()[3], "the soft limit that plugd was given"


def test_plugd_cannot_be_looked_into(child):
    """Not dumpable: its memory and descriptors are closed to plugins of the same user."""
    site, _ = child
    assert os.stat(f"/proc/{site.pid}/fd").st_uid == 0
    assert os.stat(f"/proc/{site.process.pid}/fd").st_uid == 0


def test_a_plugin_that_closes_its_output_goes_on(site):
    site.script("silent", "os.close(1); os.close(2); Rogue().start().serve()")
    site.start()
    site.ready("silent")
    assert site.call("silent", "echo", {"n": 1}) == {"n": 1}


def test_relative_programs_and_arguments(site):
    """exec is relative to the manifest; its arguments are as written."""
    folder = site.plugins / "here"
    folder.mkdir()
    os.symlink(build.ACTOR, folder / "program")
    site.manifest("here", '{"plugin": "here", "version": "3.0.0", "type": "feature", '
                          '"exec": ["./program", "--version", "3.0.0", "--contract", "feature"]}\n')
    site.start()
    pid = site.ready("here")["pid"]
    argv = procs.read(pid, "cmdline").split(b"\0")[:-1]
    assert argv[1:] == [b"--version", b"3.0.0", b"--contract", b"feature"]
    with wire.Client(site) as client:
        assert client.call("here", "echo")[0] == wire.OK


def test_a_program_found_in_path(site):
    site.plugin("found", ["sleep", "3600"], run={"autostart": False})
    site.start()
    assert site.ok("start", "--no-wait", "found")
    site.event("started", "found", "/sleep")
    site.ok("stop", "found")


def test_few_descriptors(site):
    """A hard limit of 64 is enough for a plugin."""
    site.actor()
    site.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    site.ready()
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
