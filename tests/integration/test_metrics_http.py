"""The plugin metrics: what plugctl metrics prints, over HTTP, and what becomes of it when something is missing."""

import concurrent.futures
import http.client
import os
import signal
import socket
import time
import urllib.error
import urllib.request

import pytest

from plugtest import build, procs
from plugtest.exposition import Exposition
from plugtest.site import Site

FOLDER = build.BUILD / "plugins" / "gateways" / "metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

pytestmark = pytest.mark.skipif(
    not (FOLDER / "metrics-plugin").exists(), reason="the metrics plugin is not built here (libmicrohttpd-dev)"
)


def give_plugin(site):
    (site.plugins / "metrics").symlink_to(FOLDER)


def start(site, run=None, **config):
    """Started as plugd.yaml says, on a port that is free."""
    give_plugin(site)
    site.configure({"plugins": {"metrics": {"run": {"autostart": True, **(run or {})},
                                            "config": {"listen": "127.0.0.1:0", **config}}}})
    site.start()
    site.ready("metrics")
    return site


def url(site, path="/metrics"):
    return "http://" + site.call("metrics", "status")["listen"] + path


def get(address, **keys):
    """(status, headers, text), whatever the status."""
    request = urllib.request.Request(address, **keys)
    try:
        with urllib.request.urlopen(request, timeout=build.seconds(30)) as reply:
            return reply.status, reply.headers, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def script(site, text):
    """A plugctl that is none."""
    path = site.root / "plugctl.sh"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_a_scrape(site):
    site.actor()
    start(site)
    site.ready()
    site.call("actor", "echo", {"n": 1})
    address = url(site)
    status, headers, text = get(address)
    assert (status, headers["Content-Type"]) == (200, CONTENT_TYPE)
    seen = Exposition(text)
    assert seen.value("plugd_method_calls_total", plugin="actor", method="echo", outcome="ok") == 1
    assert seen.value("plugd_plugin_state", plugin="metrics", state="ready") == 1
    printed = Exposition(site.ctl("metrics").out)
    assert list(seen.families) == list(printed.families)
    assert get(address + "?collect[]=all")[0] == 200, "a query is no other path"
    told = site.call("metrics", "status")
    assert (told["scrapes"], told["failures"], told["last_error"], told["url"]) == (2, 0, "", address)
    assert site.ctl("test", "metrics").status == 0


def test_a_head(site):
    start(site)
    status, headers, text = get(url(site), method="HEAD")
    assert (status, headers["Content-Type"], text) == (200, CONTENT_TYPE, "")
    assert int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics/x", "/Metrics", "/%00", "/../metrics"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_another_path_is_404(paths, path, method):
    status, headers, text = get(paths + path, method=method)
    assert status == 404
    assert text == "" if method == "HEAD" else "/metrics" in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_another_method_is_405(paths, method):
    status, headers, text = get(paths + "/metrics", method=method, data=b"x" * 100000)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert "GET" in text
    assert get(paths + "/metrics")[0] == 200


@pytest.fixture(scope="module")
def paths():
    """One that serves, for all that only ask."""
    site = Site()
    start(site)
    yield url(site, "")
    site.close()


def test_one_connection_for_several_requests(paths):
    connection = http.client.HTTPConnection(paths.removeprefix("http://"), timeout=build.seconds(30))
    connection.connect()
    sock = connection.sock
    for path, wanted in (("/metrics", 200), ("/", 404), ("/metrics", 200)):
        connection.request("GET", path)
        reply = connection.getresponse()
        assert (reply.status, len(reply.read()) > 0) == (wanted, True)
        assert connection.sock is sock
    connection.close()


def test_many_at_once(paths):
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for status, _, text in pool.map(get, [paths + "/metrics"] * 24):
            assert status == 200
            Exposition(text)


@pytest.mark.parametrize("request_bytes", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics\r\n\r\n", bytes(range(256)),
                                           b"GET /metrics HTTP/1.1\r\nHost: " + b"a" * 100000 + b"\r\n\r\n"])
def test_what_is_no_http(paths, request_bytes):
    host, _, port = paths.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=build.seconds(30)) as sock:
        try:
            sock.sendall(request_bytes)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except ConnectionError:
            pass
    assert get(paths + "/metrics")[0] == 200


# ---- plugctl ---------------------------------------------------------------------------------------------


def test_plugctl_is_missing_and_comes_back(site):
    start(site, plugctl="/no/such/plugctl")
    address = url(site)
    for _ in range(3):
        status, headers, text = get(address)
        assert (status, headers["Content-Type"]) == (503, "text/plain; charset=utf-8")
        assert text.startswith("/no/such/plugctl cannot be run: No such file or directory; set config key plugctl")
        assert text.endswith("\n")
    assert site.call("metrics", "status")["failures"] == 3
    assert site.ctl("test", "metrics").status == 1
    site.ok("config", "set", "metrics", f"plugctl={build.PLUGCTL}")
    assert get(address)[0] == 200
    assert site.status("metrics")["generation"] == 1, "it is a live key"
    lines = [line["text"] for line in site.ok("logs", "metrics")["lines"]]
    assert [line for line in lines if "503" in line] == [lines[1]], "said once"
    assert "answers again" in lines[2]


FAILURES = {
    "status": ("echo 'plugctl: cannot' >&2; echo more >&2; echo plugd_info 1; exit 3",
               "plugctl.sh metrics ended with status 3: plugctl: cannot\n"),
    "status without a word": ("exit 1", "plugctl.sh metrics ended with status 1\n"),
    "signal": ("kill -SEGV $$", "plugctl.sh metrics was killed by signal 11\n"),
    "nothing": ("exit 0", "plugctl.sh metrics printed nothing\n"),
    "endless": ("exec yes", "plugctl.sh metrics printed more than 64 MiB, or memory is short\n"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_plugctl_fails(site, what):
    text, expected = FAILURES[what]
    start(site, plugctl=script(site, text), timeout="60s")
    status, _, told = get(url(site))
    assert status == 503
    assert told.endswith(expected), told
    assert site.call("metrics", "status")["last_error"] + "\n" == told


def test_plugctl_hangs(site):
    """The limit holds for what it started, too."""
    note = site.root / "pids"
    start(site, plugctl=script(site, f"sleep 3600 & echo $$ $! > {note}; wait"), timeout="300ms")
    status, _, told = get(url(site))
    assert status == 503
    assert "did not end within 300 ms" in told
    shell, sleeper = map(int, note.read_text().split())
    assert not procs.alive(shell)
    deadline = time.monotonic() + build.seconds(10)
    while procs.alive(sleeper):  # it is not the plugin's child
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_plugctl_speaks_to_this_plugd(site):
    """As an operator does: with the plugin's own token it would be refused."""
    start(site, plugctl=script(site, "echo socket $PLUGD_SOCKET; env | grep -c ^PLUG_; ls /proc/self/fd | wc -l"))
    told = get(url(site))[2].split()
    assert told[:2] == ["socket", str(site.socket_path)]
    assert told[2] == "0"
    assert int(told[3]) == 4, "0 to 2, and the folder"


def test_a_stop_does_not_wait_for_plugctl(site):
    note = site.root / "pid"
    start(site, plugctl=script(site, f"echo $$ > {note}.new; mv {note}.new {note}; exec sleep 3600"), timeout="60s",
          run={"stop_timeout": "10m"})
    address = url(site)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(get, address)
        while not note.exists():
            assert not asked.done()
            time.sleep(0.01)
        with procs.Watched(int(note.read_text())) as plugctl:
            site.ok("stop", "--no-wait", "metrics")
            assert plugctl.gone(build.seconds(10))
        try:
            assert asked.result()[0] == 503
        except ConnectionError:
            pass  # the end was faster than the answer
    assert site.event("stopped", "metrics")
    assert site.ok("crashes", "metrics")["crashes"] == []


# ---- its port --------------------------------------------------------------------------------------------


@pytest.fixture
def taken():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


def test_a_port_that_is_taken(site, taken):
    listen = "127.0.0.1:%d" % taken.getsockname()[1]
    give_plugin(site)
    site.configure({"plugins": {"metrics": {"run": {"autostart": True}, "config": {"listen": listen}}}})
    site.start()
    site.event("failed", "metrics", "in flight")
    status = site.status("metrics")
    assert (status["state"], status["generation"]) == ("failed", 1), "it is not tried again and again"
    assert f"listen: {listen} is taken by another process" in status["why"]
    assert "set config key listen" in status["why"]
    taken.close()
    site.ok("start", "metrics")
    assert get(f"http://{listen}/metrics")[0] == 200


def test_a_reload_of_what_holds_a_port(site, taken):
    """Beside the old one it cannot be; the old one goes on, and the message says what to do."""
    listen = "127.0.0.1:%d" % taken.getsockname()[1]
    taken.close()
    start(site, listen=listen)
    done = site.ctl("reload", "metrics")
    assert done.status == 1
    assert "--in-place" in done.err
    assert get(f"http://{listen}/metrics")[0] == 200
    site.ok("reload", "--in-place", "metrics")
    assert get(f"http://{listen}/metrics")[0] == 200


def test_an_address_that_is_none(site):
    give_plugin(site)
    site.configure({"plugins": {"metrics": {"run": {"autostart": True}, "config": {"listen": "localhost:9464"}}}})
    site.start()
    site.event("failed", "metrics", "in flight")
    assert "expected ADDRESS:PORT in numbers" in site.status("metrics")["why"]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
def test_ipv6(site):
    start(site, listen="[::1]:0")
    address = url(site)
    assert address.startswith("http://[::1]:")
    assert get(address)[0] == 200


def test_beyond_this_machine_is_said(site):
    start(site, listen="0.0.0.0:0")
    site.log_line("metrics", "other machines may connect to 0.0.0.0:")


def test_by_itself_it_does_not_start(site):
    give_plugin(site)
    site.start()
    assert site.word("metrics") == "stopped"


# ---- metrics: of plugd.yaml ------------------------------------------------------------------------------


@pytest.fixture
def port():
    """One that is free; 9464 may be somebody's."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_plugd_yaml_says_where(site, port):
    give_plugin(site)
    site.configure(f"metrics: 127.0.0.1:{port}\n")
    site.start()
    site.ready("metrics")
    assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200
    status = site.status("metrics")
    assert status["autostart"]
    assert f"listen = 127.0.0.1:{port}  ({site.root}/plugd.yaml:1:10)" in status["effective_config"]
    assert "metrics" not in [line for line in site.log_text().splitlines() if " warn " in line]


@pytest.mark.parametrize("setting", ["true", "127.0.0.1:{port}"])
def test_plugins_may_say_more(site, port, setting):
    config = "timeout: 7s" if "port" in setting else f"timeout: 7s, listen: 127.0.0.1:{port}"
    give_plugin(site)
    site.configure(f"metrics: {setting.format(port=port)}\nautostart: false\n"
                   f"plugins: {{ metrics: {{ config: {{ {config} }}, run: {{ restart: always }} }} }}\n")
    site.start()
    site.ready("metrics")
    assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200
    status = site.status("metrics")
    assert status["restart_policy"] == "always"
    assert any(line.startswith("timeout = 7000000000") for line in status["effective_config"])


def test_it_is_turned_on_and_off_while_plugd_runs(site, port):
    """false leaves what runs alone, as autostart: false does."""
    give_plugin(site)
    site.configure("metrics: false\n")
    site.start()
    assert site.word("metrics") == "stopped"
    site.configure(f"metrics: 127.0.0.1:{port}\n")
    site.ok("reread")
    site.ready("metrics")
    assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200
    site.configure("")
    site.ok("reread")
    assert site.word("metrics") == "ready"
    site.ok("upgrade", "--daemon")
    assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200
    site.ok("restart", "metrics")
    assert "listen = 127.0.0.1:9464  (default)" in site.status("metrics")["effective_config"]


def test_the_address_is_changed_by_a_reload(site, port):
    give_plugin(site)
    site.configure("metrics: 127.0.0.1:0\n")
    site.start()
    site.ready("metrics")
    before = url(site)
    site.configure(f"metrics: 127.0.0.1:{port}\n")
    site.ok("reload", "metrics")
    assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200
    with pytest.raises(urllib.error.URLError):
        get(before)


def test_what_an_operator_disabled_stays_so(site):
    give_plugin(site)
    site.configure("metrics: 127.0.0.1:0\n")
    site.start()
    site.ready("metrics")
    site.ok("disable", "metrics")
    site.stop()
    site.start()
    assert site.word("metrics") == "disabled"


def test_without_the_plugin_it_is_said_once(site):
    site.actor()
    site.configure("# no plugin\nmetrics: true\n")
    site.start()
    site.ready()
    site.actor("another")
    site.ready("another")  # plugd has looked again

    def warnings():
        return [line for line in site.log_text().splitlines() if " warn " in line]

    assert len(warnings()) == 1
    assert f"{site.root}/plugd.yaml:2:10: warning: metrics: no plugin \"metrics\" was found" in warnings()[0]
    assert "plugin_dirs" in warnings()[0]
    site.ok("reread")
    assert len(warnings()) == 2, "whoever asks is told again"


def test_check_says_so_too(site):
    site.actor()
    site.configure("metrics: true\n")
    done = site.run("--check")
    assert done.status == 0, "plugd starts with it"
    assert "plugd.yaml:1:10: warning: metrics: no plugin" in done.err
    give_plugin(site)
    done = site.run("--check")
    assert (done.status, done.err) == (0, "")


WRONG = {
    "no number": ("metrics: localhost:9464\n", "plugd.yaml:1:10: error: metrics: expected true, false, or ADDRESS:PORT"),
    "two addresses": ("metrics: 127.0.0.1:1\nplugins: { metrics: { config: { listen: 127.0.0.1:2 } } }\n",
                      "plugins.metrics.config.listen says where to listen, too"),
    "both ways": ("metrics: true\nplugins: { metrics: { run: { autostart: false } } }\n",
                  "plugins.metrics.run.autostart is false"),
    "IPv6 without quotes": ("metrics: [::1]:9464\n", "plugd.yaml:1:"),
}


@pytest.mark.parametrize("what", WRONG)
def test_check_refuses(site, what):
    text, said = WRONG[what]
    give_plugin(site)
    site.configure(text)
    done = site.run("--check")
    assert done.status == 1
    assert said in done.err


def test_another_plugin_of_that_name(site):
    """It cannot be told where to listen, and the place that wants it is named."""
    site.actor("metrics")
    site.configure("metrics: 127.0.0.1:1\n")
    done = site.run("--check")
    assert done.status == 1
    assert "plugd.yaml:1:1: error: unknown config key \"listen\"" in done.err


# ---- plugd -----------------------------------------------------------------------------------------------


def test_plugd_is_killed(site):
    """No process is left, and the port is free."""
    start(site)
    address = url(site)
    plugin = site.watch(site.status("metrics")["pid"])
    os.kill(site.pid, signal.SIGKILL)
    assert site.wait_end() == 128 + signal.SIGKILL
    assert plugin.gone(build.seconds(10))
    with pytest.raises(urllib.error.URLError):
        get(address)


def test_it_comes_back(site):
    start(site)
    procs.Watched(site.status("metrics")["pid"]).kill()
    site.ready("metrics", generation=2)
    seen = Exposition(get(url(site))[2])
    assert seen.value("plugd_plugin_crashes_total", plugin="metrics") == 1
