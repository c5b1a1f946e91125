"""plugctl new: what it writes builds, is valid, runs under plugd, and passes its own test."""

import json
import os
import socket
import subprocess

import pytest

from plugtest import build

TYPES = ["model", "device", "interface", "provider", "optimization", "feature", "memory", "gateway"]


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """An installation, as an author of plugins has one."""
    where = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", str(build.BUILD), "--prefix", str(where)], check=True, capture_output=True)
    return where


@pytest.fixture
def author(site, prefix):
    env = site.environment()
    env["PATH"] = f"{prefix / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    env["CMAKE_PREFIX_PATH"] = str(prefix)
    env["PKG_CONFIG_PATH"] = ":".join(str(path.parent) for path in prefix.rglob("plug.pc"))
    if build.SANITIZE:  # what links a sanitized library is sanitized itself
        env["CFLAGS"] = f"-fsanitize={build.SANITIZE}"

    def run(*words, cwd=site.plugins, timeout=80):
        return subprocess.run([str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True,
                              timeout=build.seconds(timeout))

    return run


@pytest.mark.parametrize("language", ["c", "python"])
@pytest.mark.parametrize("type", TYPES)
def test_it_passes_its_own_test(site, author, type, language):
    name = f"my-{type}"
    done = author("plugctl", "--json", "new", type, name, "--lang", language)
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    folder = site.plugins / name
    assert sorted(said["files"]) == sorted(os.listdir(folder))
    assert (said["type"], said["language"]) == (type, language)

    done = author("sh", "test.sh", cwd=folder)
    assert done.returncode == 0, done
    assert done.stdout.count("ok:") >= 3 and "FAILED" not in done.stdout
    assert "valid: " + name in done.stdout

    # and under a plugd that others use
    site.start()
    site.ready(name)
    report = site.ok("test", name)
    assert report["ok"] and {"it takes calls", "it offers what it declares", "self_test"} <= {
        check["name"] for check in report["checks"]}
    assert site.status(name)["generation"] == 1
    assert site.ok("stop", name)["results"][0]["state"] == "stopped"
    assert site.ok("crashes")["crashes"] == []


@pytest.mark.parametrize("language", ["c", "python"])
def test_a_gateway_forwards_over_tcp(site, author, language):
    author("plugctl", "new", "gateway", "door", "-l", language)
    if language == "c":
        for words in (["cmake", "-S", ".", "-B", "build"], ["cmake", "--build", "build"]):
            assert author(*words, cwd=site.plugins / "door").returncode == 0
    site.actor("other", methods={"echo": {}})
    site.start()
    site.ready("door")
    site.ready("other")
    port = site.call("door", "status", {})["port"]
    with socket.create_connection(("127.0.0.1", port), build.seconds(10)) as door:
        lines = door.makefile("rw")
        for sent, wanted in [
            ('other echo {"a": [1, "b"]}', 'OK {"a": [1, "b"]}'),
            ("other nothing {}", "ERROR"),
            ("nobody echo {}", "ERROR"),
            ("what is this", "ERROR"),
            ("", "ERROR"),
            ('other echo {"again": true}', 'OK {"again": true}'),
        ]:
            lines.write(sent + "\n")
            lines.flush()
            answer = lines.readline().strip()
            assert answer == wanted or (wanted == "ERROR" and answer.startswith("ERROR ")), (sent, answer)
    assert site.call("door", "status", {})["calls"] == 2


def test_with_pkg_config_alone(site, author):
    """No CMake: one command."""
    author("plugctl", "new", "feature", "plain")
    folder = site.plugins / "plain"
    (folder / "build").mkdir()
    flags = author("pkg-config", "--cflags", "--libs", "plug", "jansson").stdout.split()
    sanitize = [f"-fsanitize={build.SANITIZE}"] if build.SANITIZE else []
    done = author("cc", "-Wall", "-Werror", *sanitize, "main.c", "json.c", "-o", "build/plain-plugin", *flags, "-lm", cwd=folder)
    assert done.returncode == 0, done
    site.start()
    site.ready("plain")
    assert site.call("plain", "run", {"text": "a b"})["words"] == 2


def test_long_answers_of_one_in_python(site, author):
    """More than a message, and more than the window."""
    author("plugctl", "new", "memory", "long", "-l", "python")
    site.start()
    site.ready("long")
    text = "x" * 100_000
    for _ in range(5):
        site.call("long", "append", {"conversation": "a", "role": "user", "text": text})
    assert [one["text"] for one in site.call("long", "recall", {"conversation": "a"})["messages"]] == [text] * 5


def test_many_calls_and_a_cancel_of_one_in_python(site, author):
    author("plugctl", "new", "model", "talk", "-l", "python")
    site.start()
    site.ready("talk")
    running = [site.ctl_start("--json", "call", "talk", "generate", "prompt=the", "max_tokens=20", f"seed={n + 1}")
               for n in range(20)]
    for process in running:
        out, err = process.communicate(timeout=build.seconds(30))
        assert process.returncode == 0 and json.loads(out.splitlines()[-1])["tokens"] == 20, err
    assert site.ctl("--timeout", "100ms", "call", "talk", "generate", "prompt=the", "max_tokens=100000").status == 5
    assert site.call("talk", "info", {})["type"] == "text"
    assert site.status("talk")["generation"] == 1


def test_its_files_are_as_the_umask_wants(site, author):
    author("sh", "-c", "umask 027 && plugctl new model private")
    folder = site.plugins / "private"
    assert folder.stat().st_mode & 0o777 == 0o750
    assert (folder / "main.c").stat().st_mode & 0o777 == 0o640
    assert (folder / "test.sh").stat().st_mode & 0o777 == 0o750


def test_it_names_what_it_is_called(site, author):
    author("plugctl", "new", "device", "my-own-name", "-l", "python")
    for path in (site.plugins / "my-own-name").iterdir():
        assert "@NAME@" not in path.read_text() and "@TYPE@" not in path.read_text(), path
        if path.name in ("plugin.yaml", "main.py", "test.sh", "README.md"):
            assert "my-own-name" in path.read_text(), path


@pytest.mark.parametrize("words,said", [
    (["modle", "x"], "did you mean model?"),
    (["nonsense", "x"], "there are model, device"),
    (["model", "Bad_Name"], "no name of a plugin"),
    (["model", "-"], ""),
    (["model", "a" * 64], "at most 63"),
    (["model", "x", "-l", "pyhton"], "did you mean python?"),
    (["model"], "NAME is missing"),
])
def test_usage(site, author, words, said):
    done = author("plugctl", "new", *words)
    assert done.returncode == 2 and said in done.stderr, done
    assert list(site.plugins.iterdir()) == []


def test_it_writes_over_nothing(site, author):
    there = site.plugins / "there"
    there.mkdir()
    (there / "mine").write_text("precious")
    done = author("plugctl", "new", "model", "there")
    assert done.returncode == 1 and "is there already" in done.stderr and "nothing was written" in done.stderr
    assert [path.name for path in site.plugins.iterdir()] == ["there"]
    assert (there / "mine").read_text() == "precious"
    done = author("plugctl", "new", "model", "x", "--dir", "nowhere/x")
    assert done.returncode == 1 and "there is no folder nowhere/x; make it, or choose another" in done.stderr


