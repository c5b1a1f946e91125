"""What makes plugctl pleasant on a terminal: --watch, top, paging, progress, suggestions; and that none of it is there
where no terminal is."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

from plugtest import build


class Terminal:
    """A program on a terminal of its own; `text` is what came and was not waited for yet."""

    def __init__(self, words, env, rows=24, columns=100):
        pid, self.fd = pty.fork()
        if pid == 0:
            self.resize_of(0, rows, columns)
            os.execve(str(words[0]), [str(word) for word in words], {"TERM": "xterm", **env})
        self.pid, self.text = pid, ""

    @staticmethod
    def resize_of(fd, rows, columns):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, pattern, timeout=60):
        deadline = time.monotonic() + build.seconds(timeout)
        while not (found := re.search(pattern, self.text, re.S)):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], f"no {pattern} in:\n{self.text!r}"
            try:
                self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"no {pattern} before the end of:\n{self.text!r}") from None
        self.text = self.text[found.end():]
        return found

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """What still came, and the exit status."""
        try:
            while data := os.read(self.fd, 65536):
                self.text += data.decode("utf-8", "replace")
        except OSError:
            pass
        os.close(self.fd)
        return self.text, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def terminal(site, *words, rows=24, columns=100, env=None):
    return Terminal(site.ctl_argv(*words), site.environment(env), rows, columns)


@pytest.fixture
def actor(site):
    site.actor(methods={"echo": {"idempotent": True}})
    site.start()
    site.ready()
    return site


# ---- --watch -----------------------------------------------------------------------------------------


def test_watch_on_a_terminal(actor):
    """One picture takes the place of the other, and shows what has changed."""
    screen = terminal(actor, "list", "--watch", "0.1")
    screen.wait(r"\x1b\[2J\x1b\[Hplugctl list every 100ms.*actor.*ready")
    actor.ok("stop", "actor")
    screen.wait(r"\x1b\[H.*actor.*stopped")
    screen.type("\x03")
    text, status = screen.end()
    assert status == 0


def test_watch_fits_the_screen(site):
    for n in range(30):
        site.actor(f"a{n:02}", run={"autostart": False})
    site.start()
    screen = terminal(site, "list", "-w0.1", rows=10)
    picture = screen.wait(r"\x1b\[H(plugctl.*?)\x1b\[J")[1]
    assert picture.count("\n") <= 9 and "a05" in picture and "a06" not in picture
    screen.type("\x03")
    assert screen.end()[1] == 0


def test_watch_without_a_terminal(actor):
    watching = actor.ctl_start("list", "-w", "0.05", "--names")
    assert [watching.stdout.readline() for _ in range(3)] == ["actor\n", "\n", "actor\n"]
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=build.seconds(20))
    assert watching.returncode == 0


@pytest.mark.parametrize("words", [["list"], ["status"], ["status", "actor"], ["stats"], ["stats", "actor"]])
def test_watch_as_documents(actor, words):
    watching = actor.ctl_start("--json", *words, "--watch=50ms")
    documents = [json.loads(watching.stdout.readline()) for _ in range(3)]
    assert all(set(one) == set(documents[0]) for one in documents)
    watching.send_signal(signal.SIGTERM)
    watching.communicate(timeout=build.seconds(20))
    assert watching.returncode == 0


def test_watch_takes_no_name_for_a_number(actor):
    """The option's value may be left out, also before a NAME."""
    watching = actor.ctl_start("--json", "status", "-w", "actor")
    assert json.loads(watching.stdout.readline())["name"] == "actor"
    watching.kill()
    watching.communicate()


def test_watch_ends_with_plugd(actor):
    watching = actor.ctl_start("list", "--watch", "0.1")
    watching.stdout.readline()
    actor.stop()
    out, err = watching.communicate(timeout=build.seconds(30))
    assert watching.returncode == 3 and err


# ---- pager -------------------------------------------------------------------------------------------


@pytest.fixture
def many(site):
    for n in range(40):
        site.actor(f"a{n:02}", run={"autostart": False})
    site.start()
    return site


def test_long_output_is_paged(many):
    text, status = terminal(many, "list", env={"PAGER": "sed s/^/paged:/"}).end()
    assert status == 0 and text.count("paged:") == 41
    text, status = terminal(many, "--json", "list", env={"PAGER": "sed s/^/paged:/"}).end()
    assert status == 0 and json.loads(text.replace("paged:", ""))["plugins"][39]["name"] == "a39"


@pytest.mark.parametrize("words,env", [
    (["list", "--type", "model"], {}), (["--no-pager", "list"], {}), (["list"], {"PAGER": ""}), (["list"], {"PAGER": "cat"}),
])
def test_what_is_not_paged(many, words, env):
    text, status = terminal(many, *words, env={"PAGER": "sed s/^/paged:/", **env}).end()
    assert status == 0 and "paged:" not in text and text


def test_short_output_is_not_paged(many):
    text, status = terminal(many, "list", env={"PAGER": "sed s/^/paged:/"}, rows=60).end()
    assert status == 0 and "paged:" not in text and "a39" in text


def test_lines_that_are_wrapped_count(many):
    """Long lines are more than a screen, though there are fewer of them than it has."""
    env = {"PAGER": "sed s/^/paged:/"}
    assert "paged:" not in terminal(many, "help", "validate", env=env, rows=40, columns=200).end()[0]
    assert "paged:" in terminal(many, "help", "validate", env=env, rows=40, columns=30).end()[0]


def test_without_a_terminal_nothing_is_paged(many):
    done = many.ctl("list", env={"PAGER": "sed s/^/paged:/"})
    assert "paged:" not in done.out and "\x1b" not in done.out


def test_the_exit_status_is_that_of_the_verb(many):
    assert terminal(many, "status", "nobody", env={"PAGER": "cat -n"}).end()[1] == 4


def test_a_pager_that_ends_early(many):
    text, status = terminal(many, "list", env={"PAGER": "head -n 1"}).end()
    assert status == 0 and "NAME" in text and "a39" not in text


# ---- progress ----------------------------------------------------------------------------------------


def test_progress_of_a_start(site):
    """While it waits, its state is shown; the line is gone when it ends."""
    fifo = site.fifo("gate")
    site.script("slow", f"open({str(fifo)!r}).read()\nos._exit(3)\n", run={"autostart": False, "restart": "never"})
    site.start()
    screen = terminal(site, "start", "slow")
    screen.wait(r"\r[-|/\\] slow .*starting")
    with open(fifo, "w"):
        pass
    text, status = screen.end()
    assert status == 1 and "\r\x1b[K" in text
    assert "exit code 3" in text.rpartition("\x1b[K")[2]


def test_a_bar(actor):
    screen = terminal(actor, "bench", "actor", "echo", "--size", "64,128", "--duration", "1s", "--warm-up", "100ms")
    screen.wait(r"measuring, 1 of 2 \[-{24}\]   0%")
    screen.wait(r"measuring, 2 of 2 \[#{12}-{12}\]  50%")
    assert screen.end()[1] == 0


def test_no_progress_without_a_terminal(site):
    fifo = site.fifo("gate")
    site.script("slow", f"open({str(fifo)!r}).read()\nos._exit(3)\n", run={"autostart": False, "restart": "never"})
    site.start()
    starting = site.ctl_start("start", "slow")
    site.event("started", "slow")
    time.sleep(0.7)  # longer than it would take to be shown
    with open(fifo, "w"):
        pass
    out, err = starting.communicate(timeout=build.seconds(30))
    assert "\r" not in out + err


# ---- colours and widths ------------------------------------------------------------------------------


def test_colour_on_a_terminal_only(actor):
    assert "\x1b[32mready" in terminal(actor, "list").end()[0]
    for env, words in [({"NO_COLOR": "1"}, []), ({"TERM": "dumb"}, []), ({}, ["--no-color"])]:
        assert "\x1b" not in terminal(actor, *words, "list", env=env).end()[0]
    assert "\x1b" not in actor.ctl("list").out


def test_a_table_fits_the_terminal(site):
    site.script("quits", "sys.exit(7)\n", run={"restart": "never"})
    site.actor("one-that-has-a-very-long-name-indeed", version="1.0.0-beta.12345")
    site.start()
    site.event("crashed", "quits")
    for columns in (80, 100, 200):
        text, _ = terminal(site, "--no-color", "list", columns=columns).end()
        assert all(len(line.rstrip("\r")) <= columns for line in text.split("\n")), (columns, text)


@pytest.mark.parametrize("verb,stay,go", [
    ("list", ["STATE", "PID", "UPTIME", "MEMORY"], ["RESTARTS", "GEN"]),
    ("stats", ["CALLS", "ERRORS", "CRASHES", "CPU"], ["BY CHANNEL"]),
    ("size", ["DISK", "MEMORY", "START", "CPU"], ["OPEN", "THREADS"]),
])
def test_names_are_whole_on_a_narrow_terminal(site, verb, stay, go):
    # with PIDs it is so long that it is the same for those of three digits and of seven
    names = ["my-optimization-in-python" + ("-3" if verb == "list" else ""), "my-optimization-in-c"]
    for name in names:
        site.actor(name)
    site.start()
    for name in names:
        site.ready(name)
    text, _ = terminal(site, "--no-color", "--no-pager", verb, columns=80).end()
    assert all(len(line.rstrip("\r")) <= 80 for line in text.split("\n")), text
    assert all(f"\n{name} " in text for name in names), text
    head = text.split("\n", 1)[0]
    assert all(word in head for word in stay) and not any(word in head for word in go), head
    text, _ = terminal(site, "--no-color", "--no-pager", verb, columns=160).end()
    assert all(word in text.split("\n", 1)[0] for word in stay + go), text


def test_help_fits_80_columns(actor):
    verbs = [line.split()[0] for line in actor.ctl("help").out.split("verbs:\n")[1].split("\n\n")[0].split("\n")]
    assert len(verbs) > 30
    for words in [["help"], *([verb, "--help"] for verb in verbs)]:
        text = actor.ctl(*words).out.split("\nexamples:\n")[0]
        long = [line for line in text.split("\n") if len(line) > 80 and not line.startswith("usage:")]
        assert not long, (words, long)


@pytest.mark.parametrize("words", [["help"], ["--help"]])
def test_help_as_a_document(actor, words):
    text, document = actor.ctl(*words).out, json.loads(actor.ctl("--json", *words).out)
    assert len(document["verbs"]) > 30
    for verb in document["verbs"]:
        assert re.search(rf"(?m)^  {verb['name']} +{re.escape(verb['summary'])}$", text), verb
        one = json.loads(actor.ctl("help", verb["name"], "--json").out)
        assert json.loads(actor.ctl(verb["name"], "--help", "--json").out) == one
        assert one["summary"] == verb["summary"] and one["help"] and one["global_options"]
    assert {"name": "type", "letter": "t", "arg": "TYPE", "help": "only plugins of this type"} in json.loads(
        actor.ctl("help", "list", "--json").out)["options"]


@pytest.mark.parametrize("words", [["nosuch", "--json"], ["--json", "nosuch"], ["nosuch", "-j", "more"], ["help", "nosuch", "-j"]])
def test_no_such_verb_as_a_document(actor, words):
    done = actor.ctl(*words)
    assert done.status == 2
    assert "no verb" in json.loads(done.out)["error"]["message"]


# ---- suggestions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words,said", [
    (["lsit"], "did you mean list?"), (["status", "acter"], 'did you mean "actor"'),
    (["list", "--tpye", "x"], "did you mean --type?"), (["list", "--type", "interfce"], "did you mean interface?"),
    (["help", "strat"], "did you mean start?"), (["top", "--sort", "memry"], "did you mean memory?"),
    (["call", "actor", "ehco"], "echo"),
])
def test_near_misses(actor, words, said):
    done = actor.ctl(*words)
    assert done.status in (1, 2, 4) and said in done.err, done


# ---- top ---------------------------------------------------------------------------------------------


def test_top_without_a_screen(actor):
    sampling = actor.ctl_start("--json", "top", "-n", "3", "-i", "300ms")
    looks = []
    for _ in range(3):
        actor.call("actor", "echo", {})
        looks.append(json.loads(sampling.stdout.readline())["plugins"])
    sampling.communicate(timeout=build.seconds(30))
    assert sampling.returncode == 0
    row = looks[-1][0]
    assert set(row) == {"name", "type", "state", "pid", "ready", "instances", "cpu", "rss_bytes", "calls_per_second",
                        "p99_ns", "in_flight", "waiting", "restarts"}
    assert (row["name"], row["state"], row["pid"]) == ("actor", "ready", actor.status("actor")["pid"])
    assert sum(look[0]["calls_per_second"] for look in looks) > 0
    assert max(look[0]["p99_ns"] for look in looks) > 0
    assert actor.ctl("top").status == 2, "a screen needs a terminal"


def test_top_counts_calls_of_both_ways(actor):
    """As many as were made, whichever way they went."""
    sampling = actor.ctl_start("--json", "top", "-n", "2", "-i", "1s")
    sampling.stdout.readline()
    began = time.monotonic()
    for plane in ("control", "data"):
        actor.ok("bench", "actor", "echo", "--size", "8", "--plane", plane, "--count", "200", "--warm-up", "1ms")
    took = time.monotonic() - began
    rate = json.loads(sampling.stdout.readline())["plugins"][0]["calls_per_second"]
    sampling.communicate()
    if took < 0.8:  # all of it in one look
        assert rate >= 100
    stats = actor.ok("stats", "actor")["plugins"][0]
    assert stats["calls"] + stats["data_plane"]["ok"] >= 400
    # quick calls of channels are timed by samples, of which each counts for sixteen
    assert abs(sum(one["calls"] for one in stats["took"]) - stats["calls"] - stats["data_plane"]["ok"]) <= 64


class Screen:
    """plugctl top in tmux: what a person sees, as text."""

    def __init__(self, site, *words, rows=15, columns=120, env=None):
        self.argv = ["tmux", "-S", str(site.root / "tmux"), "-f", "/dev/null"]
        self.env = {**site.environment(env), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        command = " ".join(map(str, site.ctl_argv("top", *words)))
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), f"{command}; echo ended with $?; cat")

    def tmux(self, *words):
        done = subprocess.run([*self.argv, *words], env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, done
        return done.stdout

    def keys(self, *words):
        self.tmux("send-keys", *words)

    def see(self, pattern, colors=False):
        """Until the screen matches."""
        deadline = time.monotonic() + build.seconds(40)
        while not (found := re.search(pattern, text := self.tmux("capture-pane", "-p", *(["-e"] if colors else [])), re.S | re.M)):
            assert time.monotonic() < deadline, f"no {pattern} on the screen:\n{text}"
        self.text = text
        return found

    def names(self):
        """Of the rows, from above."""
        lines = self.tmux("capture-pane", "-p").splitlines()
        return [line.split()[0] for line in lines[4:] if line and not line[0].isspace() and " of " not in line]

    def close(self):
        subprocess.run([*self.argv, "kill-server"], env=self.env, capture_output=True)


@pytest.fixture
def top(site):
    """As many screens as are wanted."""
    assert shutil.which("tmux"), "tmux is of the packages that tests/run.sh installs"
    opened = []

    def open_screen(*words, **keys):
        opened.append(Screen(site, *words, **keys))
        return opened[-1]

    yield open_screen
    for screen in opened:
        screen.close()


@pytest.fixture
def five(site):
    for name in ("delta", "alpha", "echo2"):
        site.actor(name, methods={"echo": {"idempotent": True}})
    site.actor("charlie", type="model", run={"autostart": False})
    site.script("bravo", "sys.exit(1)\n", run={"max_failures": 1, "restart": "always"})
    site.start()
    site.event("quarantined", "bravo")
    for name in ("delta", "alpha", "echo2"):
        site.ready(name)
    return site


def test_top_shows_what_list_shows(five, top):
    screen = top("-i", "300ms", "--sort", "name")
    screen.see(r"^plugd 0\.1\.0  up .*5 plugins, 3 ready")
    screen.see(r"^NAME +TYPE +STATE +PID +INST +CPU% +MEMORY +CALLS/S +P99 +RUN +WAIT RESTARTS")
    assert screen.names() == ["alpha", "bravo", "charlie", "delta", "echo2"]
    pid = five.status("alpha")["pid"]
    screen.see(rf"^alpha +interface +ready +{pid} +1/1 ")
    screen.see(r"^bravo +interface +quarantined +- +0/1 .* 1$|^bravo +interface +quarantined +- ")
    screen.see(r"^charlie +model +stopped +- ")
    five.ok("stop", "alpha")
    screen.see(r"^alpha +interface +stopped +- ")
    screen.keys("q")
    screen.see(r"ended with 0")


def test_top_of_calls(five, top):
    screen = top("-i", "300ms", "--sort", "calls")
    load = five.ctl_start("bench", "delta", "echo", "--size", "64", "--rate", "500", "--in-flight", "4", "--duration", "60s")
    found = screen.see(r"^delta .* (\d+) +([\d.]+[num]?s) +\d+ +\d+ +\d+$")
    assert int(found[1]) > 50
    assert screen.names()[0] == "delta"
    load.kill()
    load.communicate()
    screen.see(r"^delta .* 0 +- +0 +0 +0$")


def test_top_keys(five, top):
    screen = top("-i", "300ms", "-s", "name")
    screen.see(r"alpha.*echo2")
    screen.keys("R")
    screen.see(r"echo2.*delta.*charlie.*bravo.*alpha")
    screen.keys("R")
    screen.keys("s")
    screen.see(r"^bravo.*^alpha.*^charlie|^bravo.*quarantined.*ready.*stopped")
    screen.keys("n")
    screen.keys(">")
    screen.see(r"^alpha.*^charlie +model")
    assert screen.names()[-1] == "charlie", "by type"
    screen.keys("<")
    screen.keys("/")
    screen.see(r"^show only: ?$")
    screen.keys("rea")
    screen.see(r"show only: rea")
    assert screen.names() == ["alpha", "delta", "echo2"], "those that are ready"
    screen.keys("BSpace", "BSpace", "BSpace", "mod", "Enter")
    screen.see(r'only what holds "mod": 1 of 5')
    assert screen.names() == ["charlie"]
    screen.keys("Escape")
    screen.see(r"alpha.*echo2")
    screen.keys("?")
    screen.see(r"sort by name, type, state.*q +end")
    screen.keys("x")
    screen.see(r"^alpha")
    screen.keys("Space")
    screen.see(r"every 300ms, paused")
    five.ok("stop", "delta")
    screen.keys("-")
    screen.see(r"every 600ms, paused")
    assert re.search(r"^delta +interface +ready", screen.tmux("capture-pane", "-p"), re.M), "it looks no more"
    screen.keys("Space")
    screen.see(r"^delta +interface +stopped")
    screen.keys("C-c")
    screen.see(r"ended with 0")


def test_top_is_resized(five, top):
    screen = top("-i", "300ms", "-s", "name", rows=8)
    screen.see(r"1 to 3 of 5")
    assert screen.names() == ["alpha", "bravo", "charlie"]
    screen.keys("End")
    screen.see(r"3 to 5 of 5")
    assert screen.names() == ["charlie", "delta", "echo2"]
    screen.tmux("resize-window", "-x", "120", "-y", "20")
    screen.see(r"alpha.*bravo.*charlie.*delta.*echo2")
    screen.tmux("resize-window", "-x", "60", "-y", "20")
    screen.see(r"^NAME +STATE +CPU% +MEMORY +CALLS/S +P99$|^NAME +STATE +CPU% +MEMORY +CALLS/S")
    assert "TYPE" not in screen.tmux("capture-pane", "-p")
    screen.tmux("resize-window", "-x", "20", "-y", "3")
    screen.tmux("resize-window", "-x", "120", "-y", "15")
    screen.see(r"^NAME +TYPE.*RESTARTS.*^alpha.*echo2")


def test_top_outlives_plugd(five, top):
    screen = top("-i", "300ms", "-s", "name")
    screen.see(r"alpha")
    five.stop()
    screen.see(r"trying again")
    assert "alpha" in screen.text, "what was seen last stays"
    five.start()
    screen.see(r"^alpha +interface +ready.*echo2")
    screen.see(r"^plugd 0\.1\.0  up")
    deadline = time.monotonic() + build.seconds(20)
    while "trying again" in screen.tmux("capture-pane", "-p"):
        assert time.monotonic() < deadline


def test_top_colours(five, top):
    screen = top("-i", "300ms", "-s", "name")
    screen.see(r"\x1b\[32mready", colors=True)
    screen.see(r"\x1b\[1m\x1b\[31mquarantined", colors=True)
