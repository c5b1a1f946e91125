"""The runtime directory: whose it is, what it may be, who else is there."""

import os
import signal

import pytest

from plugtest import build, procs
from plugtest.site import Site


def refused(site, *words, args=()):
    done = site.run(*args)
    assert done.status == 1, done
    for word in words:
        assert word in done.err, done.err
    assert procs.of_socket(site.socket_path) == []
    return done


def test_a_symbolic_link(site):
    (site.root / "elsewhere").mkdir(mode=0o700)
    site.runtime.symlink_to(site.root / "elsewhere")
    refused(site, "symbolic link", str(site.runtime))
    assert list((site.root / "elsewhere").iterdir()) == []


def test_a_file(site):
    site.runtime.write_text("")
    refused(site, "not a directory")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o755])
def test_too_open(site, mode):
    site.runtime.mkdir()
    site.runtime.chmod(mode)
    done = refused(site, str(site.runtime), f"{mode:o}")
    assert "0700" in done.err or "chmod" in done.err, "what to do about it"


def test_foreign(site):
    if os.geteuid() != 0:
        pytest.skip("needs root to give a directory away")
    site.runtime.mkdir(mode=0o700)
    os.chown(site.runtime, 65534, 65534)
    refused(site, str(site.runtime), "65534")


def test_below_a_directory_that_others_may_write(site):
    """Without the sticky bit they could put another in its place."""
    open_one = site.root / "open"
    open_one.mkdir()
    open_one.chmod(0o777)
    site.runtime = open_one / "r"
    refused(site, str(open_one))


def test_without_a_parent(site):
    site.runtime = site.root / "no" / "where"
    refused(site, "No such file or directory")


def test_too_long(site):
    deep = site.root / ("d" * 90)
    deep.mkdir()
    site.runtime = deep / "r"
    done = refused(site, "107")
    assert str(len(str(site.runtime))) in done.err or "shorter" in done.err


def test_as_long_as_it_may_be(site):
    """The longest that plugd takes really works, sessions and all."""
    for length in range(100, 60, -1):
        site.runtime = site.root / ("d" * (length - len(str(site.root)) - 1))
        if site.run("--version").status == 0 and _fits(site):
            break
    site.actor()
    site.start()
    site.ready()
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    assert len(str(site.runtime)) > 70


def _fits(site):
    site.spawn()
    try:
        site.wait_said("READY=1")
        site.stop()
        return True
    except AssertionError:
        site.wait_end()
        return False


def test_a_second_plugd(site):
    """Refused with the first one's pid; the first is not disturbed."""
    site.actor()
    site.start()
    site.ready()
    pid = site.pid
    done = site.run()
    assert done.status == 1
    assert str(pid) in done.err
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    assert site.status()["pid"] == pid
    assert site.status("actor")["generation"] == 1
    assert site.ok("events")["events"][-1]["kind"] != "stopping"


def test_a_second_plugd_elsewhere(site):
    """Two on one machine, each with its own directory, know nothing of each other."""
    other = Site()
    try:
        for one in (site, other):
            one.actor()
            one.start()
            one.ready()
        other.stop()
        assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    finally:
        other.close()


def test_the_pid_file(site):
    site.start()
    assert int((site.runtime / "plugd.pid").read_text()) == site.pid
    assert os.stat(site.runtime).st_mode & 0o777 == 0o700


def test_a_stale_socket_and_pid_file_of_nobody(site):
    site.runtime.mkdir(mode=0o700)
    (site.runtime / "plugd.pid").write_text("1\n")
    site.start()
    assert site.status()["pid"] == site.pid


def test_something_else_in_the_place_of_the_socket(site):
    """It is not ours to remove: refused, with the path."""
    site.runtime.mkdir(mode=0o700)
    site.socket_path.write_text("precious\n")
    refused(site, str(site.socket_path))
    assert site.socket_path.read_text() == "precious\n"


def test_the_default_directory(site):
    """$XDG_RUNTIME_DIR/plugd, for plugd and plugctl alike."""
    (site.root / "xdg").mkdir(mode=0o700)
    site.runtime = site.root / "xdg" / "plugd"
    argv = site.argv()
    at = argv.index("--runtime-dir")
    site.argv = lambda *args: argv[:at] + argv[at + 2:] + ["--state-dir", str(site.root / "state"), *args]
    env = {"XDG_RUNTIME_DIR": str(site.root / "xdg")}
    site.start(env=env)
    site.ctl_argv = lambda *args: [str(build.PLUGCTL), *map(str, args)]
    done = site.ctl("--json", "status", env=env)
    assert done.json["runtime_dir"] == str(site.runtime)


def test_the_state_directory(site):
    state = site.root / "state"
    site.actor()
    site.start("--state-dir", state)
    site.ready()
    assert site.status()["state_dir"] == str(state)
    assert os.stat(state).st_mode & 0o077 == 0
    assert os.stat(state / "log").st_mode & 0o077 == 0


def test_relative_directories_are_told_as_whole_paths(site):
    """Whoever asks is somewhere else."""
    site.actor()
    site.argv = lambda *args: [str(build.PLUGD), *map(str, args)]
    site.start("--runtime-dir", os.path.relpath(site.runtime), "--plugin-dir", os.path.relpath(site.plugins))
    site.ready()
    status = site.status()
    assert status["state_dir"] == str(site.runtime / "state")
    (told,) = status["plugin_dirs"]
    assert os.path.isabs(told) and os.path.samefile(told, site.plugins)


def test_a_state_directory_that_cannot_be(site):
    (site.root / "file").write_text("")
    refused(site, str(site.root / "file"), args=["--state-dir", site.root / "file"])


def test_the_directory_is_removed_behind_plugds_back(site):
    """No crash, and the orderly end stays orderly."""
    site.actor()
    site.start()
    pid = site.watch(site.ready()["pid"])
    os.rename(site.runtime, site.root / "gone")
    site.signal(signal.SIGTERM)
    assert site.wait_end() == 0
    assert pid.gone(0)
