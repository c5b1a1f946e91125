"""plugctl run: one plugin in the foreground, under a plugd of its own, also under gdb and valgrind."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time

import pytest

from plugtest import build, procs

GDB = shutil.which("gdb")
VALGRIND = shutil.which("valgrind")
DEBUGGABLE = not build.SANITIZE  # a sanitizer and a tracer do not go together


def left_over(base):
    return [path.name for path in pathlib.Path(base).iterdir() if path.name.startswith("plugctl-")]


@pytest.fixture
def place(site):
    """A TMPDIR of the test's own, so that what is left over is seen."""
    base = tempfile.mkdtemp(prefix="pr", dir="/tmp")
    yield base
    left = left_over(base)
    shutil.rmtree(base)
    assert not left, f"plugctl run left {left}"


def argv(*words):
    return [str(build.PLUGCTL), "run", *map(str, words)]


def run(site, place, *words, timeout=60, **keys):
    return subprocess.run(argv(*words), capture_output=True, text=True, timeout=build.seconds(timeout),
                          env=site.environment({"TMPDIR": place}), **keys)


def start(site, place, *words, **keys):
    return subprocess.Popen(argv(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
                            env=site.environment({"TMPDIR": place}), **keys)


def wait_for(stream, pattern):
    """The first line that matches."""
    for line in stream:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"no {pattern} before the end")


def test_a_command_when_it_is_ready(site, place):
    folder = site.actor().parent
    done = run(site, place, folder, "--exec", "plugctl --json call actor echo a=1")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"a": 1}), done


def test_the_exit_status_of_the_command(site, place):
    folder = site.actor().parent
    assert run(site, place, folder, "--exec", "exit 7").returncode == 7
    assert run(site, place, folder, "--exec", "kill -TERM $$").returncode == 128 + signal.SIGTERM


def test_ctrl_c_stops_it_in_order(site, place):
    path = site.actor()
    process = start(site, place, path)
    pid = int(wait_for(process.stderr, r"actor is ready, process (\d+)")[1])
    with procs.Watched(pid) as watched:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=build.seconds(30))
        assert process.returncode == 0, err
        assert watched.gone(0)


def test_its_output_is_shown(site, place):
    folder = site.script("talker", "import time\nprint('to out', flush=True)\nprint('to err', file=sys.stderr)\n"
                                   "sys.exit(3)\n").parent
    done = run(site, place, folder)
    assert done.returncode == 1
    assert "to out" in done.stdout and "to err" in done.stdout
    assert "exit code 3" in done.stderr


def test_it_is_not_restarted(site, place):
    folder = site.actor(run={"restart": "always"}).parent
    process = start(site, place, folder)
    pid = int(wait_for(process.stderr, r"actor is ready, process (\d+)")[1])
    os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=build.seconds(30))
    assert process.returncode == 1 and "killed by SIGKILL" in err, err


def test_it_has_the_standard_input(site, place):
    folder = site.script("reader", "print('read:', sys.stdin.readline(), flush=True)\n").parent
    done = run(site, place, folder, input="from here\n")
    assert "read: from here" in done.stdout


def test_values_of_its_configuration(site, place):
    folder = site.actor(config={"n": {"type": "int", "default": 1}}).parent
    done = run(site, place, folder, "--set", "n=7", "--exec", "plugctl --json status actor")
    assert "n = 7  (environment PLUGD_ACTOR_N)" in json.loads(done.stdout)["effective_config"]
    done = run(site, place, folder, "--set", "n=seven", "--exec", "true")
    assert done.returncode == 1 and "PLUGD_ACTOR_N" in done.stderr


def test_what_it_requires(site, place):
    site.actor("base")
    folder = site.actor("top", requires={"plugins": ["base"]}).parent
    others = site.root / "others"
    others.mkdir()
    shutil.move(site.plugins / "base", others / "base")
    done = run(site, place, folder, "-p", others, "--exec", "plugctl list --names")
    assert (done.returncode, done.stdout.split()) == (0, ["base", "top"]), done


@pytest.mark.parametrize("text,said", [
    ("plugin: bad\nversion: 1.0.0\ntype: interface\nexec: [./nothing]\n", "plugin.yaml:4:"),
    ("plugin: bad\n", "version"),
])
def test_a_manifest_that_is_wrong(site, place, text, said):
    done = run(site, place, site.manifest("bad", text), "--exec", "true")
    assert done.returncode == 1 and said in done.stderr and "nothing was started" in done.stderr


def test_a_program_that_is_not_there(site, place):
    done = run(site, place, site.actor(), "--under", "no-such-tool --flag", "--exec", "true")
    assert done.returncode == 1 and "no-such-tool" in done.stderr and "$PATH" in done.stderr
    assert run(site, place, site.actor(), "--under", "a $(b)", "--exec", "true").returncode == 2
    assert run(site, place, site.actor(), "--set", "novalue", "--exec", "true").returncode == 2
    folder = site.actor("keyed", config={"level": {"type": "int", "default": 1}})
    done = run(site, place, folder, "--set", "levle=2", "--exec", "true")
    assert done.returncode == 1 and 'did you mean "level"' in done.stderr and "nothing was started" in done.stderr, done


def test_under_another_program(site, place):
    """It gets the program and its arguments behind its own, and no deadline holds: the process stands still for longer
    than start_timeout and a call's timeout, and is neither killed nor hung."""
    folder = site.actor(methods={"echo": {"timeout": "50ms"}}, run={"start_timeout": "100ms"}).parent
    under = site.root / "under.sh"
    under.write_text("#!/bin/sh\nsleep 0.5\necho under: $1\nshift\nexec \"$@\"\n")
    under.chmod(0o755)
    script = ("plugctl --json status actor | grep -o '\"pid\":[0-9]*' | head -1 | cut -d: -f2 > pid; kill -STOP $(cat pid); "
              "(sleep 0.5; kill -CONT $(cat pid)) & plugctl --json call actor echo b=2 && plugctl logs actor")
    done = run(site, place, folder, "--under", f"{under} 'one word'", "--exec", script, cwd=site.root)
    assert done.returncode == 0, done
    assert '{"b":2}' in done.stdout and "under: one word" in done.stdout


def test_without_deadlines(site, place):
    """The plugin starts for as long as the FIFO is open: five times what it has."""
    gate = site.fifo("gate")
    folder = site.actor("actor", "--start-wait", gate, run={"start_timeout": "200ms"}, methods={"echo": {}}).parent
    hasty = run(site, place, folder, "--exec", "true")
    assert hasty.returncode == 1 and "200 ms" in hasty.stderr, hasty
    patient = start(site, place, folder, "--patient", "--exec", "true")
    with open(gate, "w"):
        time.sleep(1)
    out, err = patient.communicate(timeout=build.seconds(60))
    assert patient.returncode == 0, (out, err)


@pytest.mark.skipif(not DEBUGGABLE, reason="a sanitizer's process is not traced")
def test_gdb_shows_where_it_crashed(site, place):
    assert GDB, "gdb is of the packages that tests/run.sh installs"
    done = run(site, place, build.ECHO, "--under", "gdb -q -batch -ex run -ex bt --args", "--exec",
               "plugctl call echo crash signal=SEGV")
    assert "received signal SIGSEGV" in done.stdout and re.search(r"#\d+ .*\bcrash \(call=", done.stdout), done


@pytest.mark.skipif(not DEBUGGABLE, reason="a sanitizer's process is not traced")
def test_valgrind(site, place):
    assert VALGRIND, "valgrind is of the packages that tests/run.sh installs"
    done = run(site, place, build.ECHO, "--under", "valgrind --error-exitcode=9", "--exec",
               "plugctl --timeout 60s call echo echo a=1 && plugctl stop echo && plugctl logs echo", timeout=80)
    assert done.returncode == 0, done
    assert "ERROR SUMMARY: 0 errors" in done.stdout


class Terminal:
    """A terminal with a program on it, as a person has one."""

    def __init__(self, words, env):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execve(words[0], words, env)
        self.pid, self.text = pid, ""

    def wait(self, pattern, timeout=60):
        deadline = time.monotonic() + build.seconds(timeout)
        while not (found := re.search(pattern, self.text)):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], f"no {pattern} in:\n{self.text}"
            try:
                self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"no {pattern} before the end of:\n{self.text}") from None
        self.text = self.text[found.end():]
        return found

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.skipif(not DEBUGGABLE, reason="a sanitizer's process is not traced")
def test_gdb_on_a_terminal(site, place):
    """The debugger has the terminal: its prompt, its history of what is typed, Ctrl-C, and the program's output."""
    terminal = Terminal(argv(build.ECHO, "--gdb"), site.environment({"TMPDIR": place, "TERM": "dumb"}))
    terminal.wait(r"\(gdb\) ")
    terminal.type("run\n")
    runtime = pathlib.Path(place) / left_over(place)[0] / "r"
    ctl = [str(build.PLUGCTL), "-d", str(runtime), "--json"]
    state = ""
    while state != "ready":
        state = json.loads(subprocess.run([*ctl, "list"], capture_output=True).stdout)["plugins"][0]["state"]
    terminal.type("\x03")
    terminal.wait(r"received signal SIGINT")
    terminal.type("kill\n")
    terminal.wait(r"y or n\) ")
    terminal.type("y\n")
    terminal.wait(r"killed\]")
    terminal.type("quit\n")
    assert terminal.end() == 0


def test_the_terminal_is_as_it_was(site, place):
    """Ctrl-C on a terminal ends it, and its modes are not changed."""
    terminal = Terminal(argv(site.actor().parent), site.environment({"TMPDIR": place, "TERM": "dumb"}))
    before = termios.tcgetattr(terminal.fd)
    terminal.wait(r"actor is ready")
    assert termios.tcgetattr(terminal.fd) == before
    terminal.type("\x03")
    assert terminal.end() == 0


def test_killed_it_leaves_no_process(site, place):
    process = start(site, place, site.actor().parent)
    pid = int(wait_for(process.stderr, r"actor is ready, process (\d+)")[1])
    runtime = pathlib.Path(place) / left_over(place)[0] / "r"
    ctl = [str(build.PLUGCTL), "-d", str(runtime), "--json", "status"]
    plugd = json.loads(subprocess.run(ctl, capture_output=True).stdout)
    watched = [procs.Watched(one) for one in (pid, plugd["pid"], plugd["guardian_pid"])]
    process.kill()
    process.communicate()
    for one in watched:
        assert one.gone(build.seconds(30))
        one.close()
    for name in left_over(place):  # only a clean end removes it
        shutil.rmtree(os.path.join(place, name))


def test_what_is_debugged_is_not_hung(site):
    """Two stand still; the one that nobody debugs is killed for it."""
    kill = {"stopped": "kill", "ping_timeout": "1s"}
    site.actor("plain", run={"restart": "never"}, hang=kill)
    site.actor("debugged", run={"restart": "never"}, hang=kill)
    site.configure({"plugins": {"debugged": {"run": {"debug": True}}}})
    site.start()
    site.ready("plain")
    site.ready("debugged")
    assert site.status("debugged")["debug"] is True and site.status("plain")["debug"] is False
    for name in ("debugged", "plain"):
        os.kill(site.status(name)["pid"], signal.SIGSTOP)
    site.event("suspended", "plain")
    site.event("crashed", "plain")
    assert site.status("debugged")["state"] == "ready"
    os.kill(site.status("debugged")["pid"], signal.SIGCONT)
    assert site.call("debugged", "echo", {"a": 1}) == {"a": 1}
    kinds = {event["kind"] for event in site.ok("events")["events"] if event["plugin"] == "debugged"}
    assert not kinds & {"hung", "suspended", "crashed"}


def test_run_under_in_plugd_yaml(site):
    """The program that runs is the other one, the plugin's is its argument; the plugin's manifest is as it was."""
    site.actor("actor")
    under = site.root / "under.sh"
    under.write_text('#!/bin/sh\necho "under: $*"\nexec "$@"\n')
    under.chmod(0o755)
    site.configure({"plugins": {"actor": {"run": {"under": [str(under)]}}}})
    site.start()
    site.ready("actor")
    site.log_line("actor", f"^under: {build.ACTOR} --version 1.0.0$")
    assert site.ok("info", "actor")["exec"] == [str(under), str(build.ACTOR), "--version", "1.0.0"]
    site.configure({"plugins": {"actor": {"run": {"under": ["no-such-program"]}}}})
    site.ctl("reread")
    done = site.ctl("reload", "actor")
    assert done.status == 1 and "run.under" in done.err and "no-such-program" in done.err
    assert site.status("actor")["state"] == "ready"


def test_a_second_ctrl_c_does_not_wait(site, place):
    """A plugin that does not stop is killed when it is asked for twice."""
    folder = site.actor(methods={"wait": {"timeout": "1h"}}, run={"stop_timeout": "1h"}).parent
    process = start(site, place, folder)
    pid = int(wait_for(process.stderr, r"actor is ready, process (\d+)")[1])
    runtime = pathlib.Path(place) / left_over(place)[0] / "r"
    fifo = site.fifo("never")
    call = subprocess.Popen([build.PLUGCTL, "-d", str(runtime), "call", "actor", "hold", f"fifo={fifo}"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    with procs.Watched(pid) as watched:
        ctl = [str(build.PLUGCTL), "-d", str(runtime), "--json", "status", "actor"]
        while not json.loads(subprocess.run(ctl, capture_output=True).stdout)["calls"]:
            pass
        process.send_signal(signal.SIGINT)
        while not watched.gone(0.2):  # plugd takes the second one for a second one after a second
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=build.seconds(30))
    call.wait()
