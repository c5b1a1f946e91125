"""What a plugin's process is kept to: user, limits, files, system calls, environment."""

import json
import os
import pathlib
import pwd
import signal

import pytest

from plugtest import build, procs

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of other users")


def limits_of(pid):
    with open(f"/proc/{pid}/limits") as file:
        return {line[:26].strip(): line[26:].split()[:2] for line in file}


def open_to_all(site):
    """What another user has to reach: the site's own folder is made 0700."""
    site.root.chmod(0o755)


@as_root
def test_another_user(site):
    open_to_all(site)
    site.actor("actor", run={"user": "nobody"})
    site.actor("other")
    site.start()
    pid = site.ready()["pid"]
    site.ready("other")
    nobody = pwd.getpwnam("nobody")
    assert procs.status(pid)["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert procs.status(pid)["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert procs.status(pid)["NoNewPrivs"] == "1"
    assert site.call("actor", "echo", {"a": 1}) == {"a": 1}
    # Its client half reaches plugd by its token, and nothing more than an instance may.
    payload = {"plugin": "other", "method": "echo", "payload": '{"b": 2}'}
    assert site.call("actor", "relay", payload) == {"b": 2}
    assert "user nobody" in site.event("started", "actor")["detail"]


@as_root
def test_another_user_dies_with_plugd(site):
    """The change of user clears the parent-death signal; it is set again."""
    open_to_all(site)
    site.actor("actor", run={"user": "nobody"})
    site.start()
    child = site.watch(site.ready()["pid"])
    os.kill(site.pid, signal.SIGKILL)
    assert child.gone(build.seconds(20))
    site.expected_status = site.wait_end()


@as_root
def test_the_runtime_directory_is_taken_again(site):
    """0711 is what a plugin of another user leaves; the next plugd begins with 0700."""
    open_to_all(site)
    site.actor("actor", run={"user": "nobody"})
    site.start()
    site.ready()
    site.stop()
    site.start()
    site.ready()
    assert site.call("actor", "echo", {"a": 1}) == {"a": 1}


def test_unknown_user(site):
    site.actor("actor", run={"user": "no-such-user-here", "restart": "never"})
    site.start()
    answer = site.ctl("start", "actor")
    assert answer.status == 1
    assert 'there is no user "no-such-user-here"' in answer.err + site.ctl("status", "actor").out


def test_unknown_user_of_a_new_version(site):
    """Refused with the reason and what is in force instead; what runs is not touched."""
    site.actor()
    site.start()
    pid = site.ready()["pid"]
    site.actor(version="1.1.0", run={"user": "no-such-user-here"})
    done = site.ctl("reload", "actor")
    assert done.status == 1
    assert 'there is no user "no-such-user-here"' in done.err and "version 1.0.0 stays in force" in done.err
    status = site.status("actor")
    assert (status["state"], status["pid"], status["version"]) == ("ready", pid, "1.0.0")
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}


def test_descriptor_limit(site):
    site.actor("actor", resources={"open_files": 77})
    site.start()
    assert limits_of(site.ready()["pid"])["Max open files"] == ["77", "77"]
    assert "77 descriptors by RLIMIT_NOFILE" in site.event("started", "actor")["detail"]


@pytest.mark.memory
def test_memory_limit_is_one_or_the_other(site):
    site.actor("actor", resources={"memory_mb": 100})
    site.start()
    pid = site.ready()["pid"]
    detail = site.event("started", "actor")["detail"]
    limited = limits_of(pid)["Max data size"][0] != "unlimited"
    assert ("by cgroup" in detail) != limited
    assert ("by RLIMIT_DATA" in detail) == limited


def test_what_cannot_be_limited_is_said(site):
    site.actor("actor", resources={"cpu": 0.5})
    site.start()
    site.ready()
    detail = site.event("started", "actor")["detail"]
    if "by cgroup" not in detail:
        assert "processor time is NOT limited" in detail
        assert "started with less than its manifest asks for" in site.log_text()


@pytest.mark.skipif(bool(build.SANITIZE), reason="sanitizers write their reports elsewhere")
def test_confined_files(site):
    allowed, hidden = site.root / "allowed", site.root / "hidden"
    allowed.mkdir()
    hidden.mkdir()
    site.actor("actor", sandbox={"write": [str(allowed)], "read": [str(build.ACTOR.parent)]})
    site.start()
    if "no Landlock" in site.ctl("start", "actor").err:
        pytest.skip("no Landlock in this kernel")
    site.ready()
    assert site.call("actor", "record", {"file": str(allowed / "f"), "text": "x"})
    answer = site.ctl("call", "actor", "record", json.dumps({"file": str(hidden / "f"), "text": "x"}))
    assert answer.status == 1 and not (hidden / "f").exists()
    assert "files confined by Landlock" in site.event("started", "actor")["detail"]


@pytest.mark.skipif(bool(build.SANITIZE), reason="sanitizers write their reports elsewhere")
@pytest.mark.parametrize("kind", ["read", "write"])
def test_an_empty_list_confines_too(site, kind):
    hidden = site.root / "hidden"
    hidden.mkdir()
    site.actor("actor", sandbox={kind: []})
    site.start()
    if "no Landlock" in site.ctl("start", "actor").err:
        pytest.skip("no Landlock in this kernel")
    assert "files confined by Landlock" in site.event("started", "actor")["detail"]
    site.ready()
    answer = site.ctl("call", "actor", "record", json.dumps({"file": str(hidden / "f"), "text": "x"}))
    assert answer.status == 1 and not (hidden / "f").exists()


def test_missing_path(site):
    site.actor("actor", sandbox={"read": ["/no/such/place"]}, run={"restart": "never"})
    site.start()
    answer = site.ctl("start", "actor")
    assert answer.status == 1
    assert "/no/such/place" in answer.err or "Landlock" in answer.err


@pytest.mark.skipif(build.ASAN, reason="looking for leaks takes ptrace, which the filter refuses")
def test_filtered_system_calls(site):
    site.actor("actor", sandbox={"system_calls": "default"})
    site.start()
    pid = site.ready()["pid"]
    assert procs.status(pid)["Seccomp"] == "2"
    assert site.call("actor", "echo", {"a": 1}) == {"a": 1}


def test_no_new_privileges_unless_asked_for(site):
    site.actor("plain")
    site.actor("loose", sandbox={"new_privileges": True})
    site.start()
    assert procs.status(site.ready("plain")["pid"])["NoNewPrivs"] == "1"
    assert procs.status(site.ready("loose")["pid"])["NoNewPrivs"] == "0"


def test_environment_by_list(site):
    site.actor("actor", run={"env_inherit": ["PATH", "WANTED"], "env": {"OWN": "1"}})
    site.start(env={"WANTED": "yes", "UNWANTED": "no"})
    found = procs.environment(site.ready()["pid"])
    assert found["WANTED"] == "yes" and found["OWN"] == "1" and "UNWANTED" not in found
    assert "PLUG_TOKEN" in found


# ---- memory that is short --------------------------------------------------------------------------


CAP_SYS_RESOURCE = 24


def oom_score(pid):
    return int(procs.read(pid, "oom_score_adj"))


def test_plugd_is_killed_last(site):
    """When memory is short the kernel takes a plugin, which is replaced, and not plugd, with which all end."""
    site.actor()
    site.start()
    pid = site.ready()["pid"]
    ours = oom_score(os.getpid())
    assert oom_score(pid) == ours, "a plugin is not spared with it"
    if not int(procs.status(site.pid)["CapEff"], 16) >> CAP_SYS_RESOURCE & 1:
        assert oom_score(site.pid) == ours
        pytest.skip("asking to be spared takes CAP_SYS_RESOURCE")
    assert (oom_score(site.pid), oom_score(site.process.pid)) == (-900, -900)


@pytest.fixture
def tight():
    """A group of 64 MiB of the kernel's, for a process to be moved into."""
    mounts = [line.split() for line in open("/proc/self/mounts")]
    v1 = [m[1] for m in mounts if m[2] == "cgroup" and "memory" in m[3].split(",")]
    v2 = [m[1] for m in mounts if m[2] == "cgroup2"]
    root = pathlib.Path((v1 or v2 or ["/none"])[0])
    group = root / f"plugtest-{os.getpid()}"
    limit = group / ("memory.limit_in_bytes" if v1 else "memory.max")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no group of processes can be made here: {error}")
    if not limit.exists():
        group.rmdir()
        pytest.skip("there is no memory controller here")
    limit.write_text(str(64 << 20))
    yield group
    group.rmdir()


@pytest.mark.skipif(bool(build.SANITIZE), reason="sanitizers need more memory than that")
def test_what_the_kernel_kills_for_memory_is_named(site, tight):
    """Of two plugins the one that takes too much, by the kernel's own hand; the other does not notice."""
    site.actor("greedy")
    site.actor("modest")
    site.start()
    greedy, modest = site.ready("greedy")["pid"], site.ready("modest")["pid"]
    (tight / "cgroup.procs").write_text(str(greedy))
    site.ctl("call", "greedy", "hoard", json.dumps({"bytes": 256 << 20}))
    crash = site.event("crashed", "greedy", pid=greedy)["detail"]
    assert "SIGKILL" in crash and "probably by the kernel because memory was short" in crash
    assert site.status("modest")["pid"] == modest and site.status("modest")["generation"] == 1
    site.ready("greedy", generation=2)


def oom_kills():
    """Of the whole machine: other tests bring them about."""
    return next(line for line in pathlib.Path("/proc/vmstat").read_text().splitlines() if line.startswith("oom_kill "))


def test_a_kill_from_outside_is_not_called_short_memory(site):
    site.actor()
    for _ in range(20):
        before = oom_kills()
        site.start()
        pid = site.ready()["pid"]
        procs.Watched(pid).kill()
        detail = site.event("crashed", "actor", pid=pid)["detail"]
        if oom_kills() == before:
            break
        site.stop()
    else:
        pytest.skip("the kernel goes on killing for memory")
    assert "memory" not in detail


def test_limits_are_shown(site):
    site.actor("actor", resources={"open_files": 77, "cpu": 0.5})
    site.actor("free")
    site.start()
    site.ready("actor")
    site.ready("free")
    shown = site.status("actor")["instance_list"][0]["limits"]
    assert "77 descriptors by RLIMIT_NOFILE" in shown
    assert shown == site.event("started", "actor")["detail"].partition("; ")[2]
    assert f"limits         {shown}" in site.ctl("status", "actor").out
    assert "limits" not in site.ctl("status", "free").out
