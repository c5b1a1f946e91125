"""The built-in tools: size, test, compare, doctor, debug."""

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess

import pytest

from plugtest import build, procs

METHODS = {"echo": {"idempotent": True}, "wait": {}}


@pytest.fixture
def actor(site):
    site.actor(methods=METHODS)
    site.start()
    site.ready()
    return site


# ---- test --------------------------------------------------------------------------------------------

def test_a_self_test_that_is_none(actor):
    done = actor.ctl("--json", "test", "actor")
    assert done.status == 1 and not done.json["ok"]
    assert "--method" in done.json["checks"][-1]["detail"]


def test_any_method_is_a_self_test(actor):
    report = actor.ok("test", "actor", "--method", "echo")
    assert report["ok"] and report["checks"][-1]["name"] == "echo"
    assert report["checks"][-1]["took_us"] > 0


def test_a_self_test_that_fails(actor):
    done = actor.ctl("--json", "test", "actor", "--method", "fail")
    assert done.status == 1 and done.json["checks"][-1]["ok"] is False


def test_the_report_for_people(actor):
    done = actor.ctl("test", "actor", "-m", "echo")
    assert done.status == 0 and re.search(r"it takes calls +ok +ready", done.out)
    done = actor.ctl("test", "actor", "-m", "fail")
    assert done.status == 1 and re.search(r"fail +FAILED", done.out)


def test_a_plugin_that_is_stopped(actor):
    actor.ok("stop", "actor")
    done = actor.ctl("--json", "test", "actor", "-m", "echo")
    assert done.status == 1
    assert done.json["checks"][0]["ok"] is False and done.json["checks"][0]["detail"].startswith("stopped")


# ---- size --------------------------------------------------------------------------------------------


def test_size(actor):
    folder = actor.plugins / "actor"
    (folder / "model.bin").write_bytes(os.urandom(300_000))
    size = actor.ok("size", "actor")["plugins"][0]
    disk = sum(path.lstat().st_blocks * 512 for path in [folder, *folder.rglob("*")])
    assert size["disk_bytes"] == disk and size["files"] == 2
    assert size["program_bytes"] == build.ACTOR.stat().st_size
    pid = actor.status("actor")["pid"]
    rss = procs.rss_bytes(pid)
    assert size["processes"] == 1 and rss / 2 < size["rss_bytes"] < rss * 2
    assert 0 < size["private_bytes"] <= size["rss_bytes"] and 0 < size["pss_bytes"] <= size["rss_bytes"]
    assert size["threads"] == int(procs.status(pid)["Threads"])
    assert size["descriptors"] == len(procs.descriptors(pid))
    assert size["start_ms"] > 0


def test_size_of_several_processes_and_of_none(site):
    site.actor("many", run={"instances": 3})
    site.actor("none", run={"autostart": False})
    site.start()
    site.ready("many")
    many, none = site.ok("size")["plugins"]
    assert (many["name"], many["processes"]) == ("many", site.status("many")["instances"]) == ("many", 3)
    assert (none["name"], none["processes"], none["rss_bytes"]) == ("none", 0, 0)
    table = site.ctl("size").out
    assert re.search(r"^none .* - ", table, re.M)
    assert site.ctl("size", "nobody").status == 4


# ---- compare -----------------------------------------------------------------------------------------


@pytest.fixture
def two(site):
    site.actor("one", methods=METHODS, config={"n": {"type": "int", "default": 1}})
    site.actor("two", version="2.0.0", methods={"echo": {"timeout": "7s"}}, config={"n": {"type": "int", "default": 2}})
    site.start()
    site.ready("one")
    site.ready("two")
    return site


def test_what_differs(two):
    done = two.ok("compare", "one", "two")
    differences = {one["what"]: (one["a"], one["b"]) for one in done["differences"]}
    assert differences["name"] == ("one", "two") and differences["version"] == ("1.0.0", "2.0.0")
    assert differences["config n"] == ("int = 1", "int = 2")
    assert differences["method echo"] == ("idempotent, deadline plugd's", "idempotent, deadline 7s")
    assert "method fail" not in differences, "it is the same in both"
    assert done["method"] is None and not done["same"]


def test_answers_and_latencies(two):
    done = two.ok("compare", "one", "two", "echo", "text=hello", "-n", "20")
    assert (done["calls"], done["different_answers"]) == (20, 0)
    for side in (done["a"], done["b"]):
        assert side["answer"] == {"text": "hello"} and side["failed"] == 0
        assert 0 < side["p50_us"] <= side["p99_us"]
    assert two.ok("stats", "one")["plugins"][0]["calls"] + two.ok("stats", "one")["plugins"][0]["data_plane"]["calls"] == 20


def test_json_is_compared_by_content(site, tmp_path):
    """The same members in another order are the same answer, another value is not."""
    subprocess.run([build.PLUGCTL, "new", "feature", "say", "-l", "python", "-C", tmp_path], check=True, capture_output=True)
    source = (tmp_path / "say" / "main.py").read_text()
    for name, text in {"b": '{"characters": 1, "lines": 1, "words": 1}', "c": '{"words": 1, "lines": 1, "characters": 2}'}.items():
        shutil.copytree(tmp_path / "say", tmp_path / name)
        (tmp_path / name / "main.py").write_text(source.replace("    return count(text)", f"    return {text}"))
    env = site.environment()

    def compare(other):
        done = subprocess.run([build.PLUGCTL, "--json", "compare", tmp_path / "say", tmp_path / other, "run", "text=x", "-n", "2"],
                              capture_output=True, text=True, env=env, timeout=build.seconds(60))
        return done.returncode, json.loads(done.stdout)

    status, same = compare("b")
    assert status == 0 and same["different_answers"] == 0 and same["same"]
    status, other = compare("c")
    assert status == 1 and other["different_answers"] == 2 and not other["same"]


def test_the_running_one_against_one_on_disk(two, tmp_path):
    shutil.copytree(two.plugins / "one", tmp_path / "next")
    done = two.ok("compare", "one", f"{tmp_path}/next", "echo", "n=1", "-n", "5")
    assert done["same"] and done["b"]["name"] == "one" and done["different_answers"] == 0
    assert two.ctl("compare", "one", f"{tmp_path}/nothing").status == 1
    assert two.ctl("compare", "one", "nobody").status == 4
    assert two.ctl("compare", "one").status == 2


# ---- doctor ------------------------------------------------------------------------------------------


def doctor(site, preexec=None, env=None, words=()):
    done = subprocess.run(site.ctl_argv("--json", "doctor", *words), capture_output=True, text=True,
                          preexec_fn=preexec, env={**site.environment(), **(env or {})}, timeout=build.seconds(60))
    document = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    assert done.returncode in (0, 1)
    for check in document["checks"]:
        assert set(check) == {"group", "name", "result", "detail", "remedy"}
        assert check["detail"], check
        assert bool(check["remedy"]) == (check["result"] != "ok"), check
    return {check["name"]: check for check in document["checks"]}


def test_this_machine_is_well(site):
    found = doctor(site)
    assert {name for name, check in found.items() if check["result"] == "broken"} == set()
    assert found["answers"]["detail"] == "no plugd runs here"
    table = site.ctl("doctor")
    assert table.status == 0 and re.search(r"^kernel +Linux +ok", table.out, re.M)


def test_a_plugd_that_is_well(actor):
    found = doctor(actor)
    assert found["answers"]["detail"] == f"process {actor.pid}"
    assert found["plugins"]["detail"] == "all can be used"
    assert found["containment"]["detail"] == actor.status()["containment"]


def refuse(*numbers):
    """A seccomp filter under which these system calls do not exist."""
    BPF_LOAD, BPF_JEQ, BPF_RET = 0x20, 0x15, 0x06
    code = [(BPF_LOAD, 0, 0, 0)]
    for number in numbers:
        code += [(BPF_JEQ, 0, 1, number), (BPF_RET, 0, 0, 0x00050000 | 38)]  # ENOSYS
    code.append((BPF_RET, 0, 0, 0x7FFF0000))
    program = b"".join(struct.pack("HBBI", *one) for one in code)

    def apply():
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(program)
        filter = struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer))
        assert libc.prctl(38, 1, 0, 0, 0) == 0
        assert libc.prctl(22, 2, filter, 0, 0) == 0

    return apply


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of system calls are of x86-64")
@pytest.mark.skipif(bool(build.SANITIZE), reason="a sanitizer needs these system calls")
@pytest.mark.parametrize("number,name,result", [
    (434, "pidfd", "broken"), (319, "sealed memory", "broken"), (53, "descriptors over sockets", "broken"),
    (322, "execute an open file", "broken"), (294, "inotify", "weak"), (444, "Landlock", "weak"), (317, "seccomp", "weak"),
])
def test_a_kernel_without(site, number, name, result):
    """Each is tried: without the system call the check says so, and it alone."""
    usual, without = doctor(site), doctor(site, preexec=refuse(number))
    assert without[name]["result"] == result
    changed = {one for one in usual if usual[one]["result"] != without[one]["result"]}
    assert changed == {name}


def test_few_descriptors(site):
    found = doctor(site, preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert found["open files"]["result"] == "broken" and "up to 64" in found["open files"]["detail"]


def test_programs_that_are_not_there(site):
    found = doctor(site, env={"PATH": "/nonexistent"})
    assert found["debugging"]["result"] == "weak" and "gdb" in found["debugging"]["detail"]
    assert found["plugins in C"]["result"] == "weak"


def test_a_runtime_directory_that_others_may_enter(site):
    site.runtime.mkdir(mode=0o777)
    site.runtime.chmod(0o777)
    assert doctor(site)["runtime directory"]["result"] == "broken"


def test_a_runtime_directory_that_is_none(site):
    site.runtime.write_text("a file")
    assert doctor(site)["runtime directory"]["result"] == "broken"
    site.runtime.unlink()
    site.runtime = site.root / ("d" * 100)
    assert "89" in doctor(site)["runtime directory"]["detail"]


def test_a_socket_that_a_killed_plugd_left(site):
    import socket

    site.runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(site.socket_path))
    assert doctor(site)["answers"]["result"] == "broken"


def test_plugins_that_are_down(site):
    site.manifest("bad", "plugin: bad\n")
    site.script("quits", "sys.exit(1)\n", run={"max_failures": 1})
    site.start()
    site.event("quarantined", "quits")
    found = doctor(site)["plugins"]
    assert found["result"] == "broken" and "1 cannot be used" in found["detail"]
    assert "quits is quarantined" in found["detail"]


def test_a_configuration_that_was_refused(site):
    site.configure({"log": {"level": "info"}})
    site.start()
    site.configure({"log": {"level": "loud"}})
    site.ctl("reread")
    found = doctor(site)["configuration"]
    assert found["result"] == "broken" and "plugd.yaml:" in found["detail"]


# ---- debug -------------------------------------------------------------------------------------------


def test_a_process_and_its_threads(actor):
    caller = actor.ctl_start("call", "actor", "wait")
    pid = actor.status("actor")["pid"]
    dump = {"processes": [{"executing": []}]}
    while not dump["processes"][0]["executing"]:
        dump = actor.ok("debug", "actor", "--no-stacks")
    process, = dump["processes"]
    assert (process["pid"], process["stopped"], process["instance"]) == (pid, False, "actor")
    assert {thread["tid"] for thread in process["threads"]} == {int(tid) for tid in os.listdir(f"/proc/{pid}/task")}
    assert all(thread["state"] for thread in process["threads"])
    assert dump["status"]["calls"][0]["method"] == "wait"
    assert process["executing"][0]["call"] == dump["status"]["calls"][0]["id"]
    text = actor.ctl("debug", "actor", "--no-stacks").out
    assert f"process {pid}" in text and "plug-work" in text and "wait for" in text
    caller.kill()
    caller.communicate()


@pytest.mark.skipif(bool(build.SANITIZE), reason="stacks of a sanitized program take longer than plugd's patience")
def test_where_it_hangs(site):
    shutil.copytree(build.ECHO, site.plugins / "echo")
    site.start()
    site.ready("echo")
    caller = site.ctl_start("call", "echo", "hang")
    dump = {"status": {"calls": []}}
    while not dump["status"]["calls"]:
        dump = site.ok("debug", "echo")
    stacks = "\n".join(dump["processes"][0]["stacks"])
    assert re.search(r"^#\d+ .* in hang \(call=", stacks, re.M), dump["processes"][0]
    assert site.status("echo")["generation"] == 1, "it goes on"
    assert site.call("echo", "echo", {"a": 1}) == {"a": 1}
    caller.kill()
    caller.communicate()


def test_a_process_that_is_stopped(actor):
    pid = actor.status("actor")["pid"]
    os.kill(pid, signal.SIGSTOP)
    while procs.stat(pid)[0] != "T":
        pass
    dump = actor.ok("debug", "actor", "--no-stacks")
    os.kill(pid, signal.SIGCONT)
    assert dump["processes"][0]["stopped"] and dump["processes"][0]["state"].startswith("T")


def test_a_plugin_without_a_process(actor):
    actor.ok("stop", "actor")
    assert actor.ok("debug", "actor")["processes"] == []
    assert "no process" in actor.ctl("debug", "actor").out
    assert actor.ctl("debug", "nobody").status == 4


def test_no_debugger_is_installed(actor):
    dump = actor.ok("debug", "actor", env={"PATH": "/nonexistent"})
    assert dump["processes"][0]["stacks"] is None and "apt-get install gdb" in dump["processes"][0]["no_stacks"]


# ---- levels ------------------------------------------------------------------------------------------

LEVELS = """
import plug
plugin = plug.Plugin("talk", "0.1.0", "feature")


@plugin.method("say")
def say(call):
    for level, name in enumerate(["debug", "info", "warning", "error"]):
        plugin.log(level, name + " " + call.arg("text", str))
    return {}


plugin.run()
"""


def lines(site, name):
    return [line["text"] for line in site.ok("logs", name)["lines"] if line["stream"] == "log"]


def test_levels_of_a_plugin_that_does_not_know_them(site):
    """plugd drops what is below, whoever sends it."""
    subprocess.run([build.PLUGCTL, "new", "feature", "talk", "-l", "python", "-C", site.plugins], check=True,
                   capture_output=True)
    (site.plugins / "talk" / "main.py").write_text("#!/usr/bin/python3\n" + LEVELS)
    site.plugin("talk", ["./main.py"], version="0.1.0", type="feature")
    site.start()
    site.ready("talk")
    site.call("talk", "say", {"text": "one"})
    assert lines(site, "talk") == ["info one", "warning one", "error one"]
    assert site.ok("debug", "talk", "--log-level", "debug") == {"name": "talk", "log_level": "debug"}
    site.call("talk", "say", {"text": "two"})
    site.ok("debug", "talk", "-l", "error")
    site.call("talk", "say", {"text": "three"})
    assert lines(site, "talk")[3:] == ["debug two", "info two", "warning two", "error two", "error three"]
    assert site.status("talk")["log_level"] == "error"
    assert site.event("log-level", "talk")


LEVELS_C = r"""
#include <plug/plugin.h>
#include <stdio.h>

static plug_err
say(struct plug_call *call, void *user)
{
	struct plug_plugin *plugin = plug_call_plugin(call);
	char answer[64];

	(void)user;
	for (int level = PLUG_LOG_DEBUG; level <= PLUG_LOG_ERROR; level++)
		plug_log(plugin, (enum plug_log_level)level, "level %d", level);
	int n = snprintf(answer, sizeof(answer), "[%d, %d]", plug_log_enabled(plugin, PLUG_LOG_DEBUG),
			 plug_log_enabled(plugin, PLUG_LOG_ERROR));
	return plug_reply(call, "application/json", answer, (size_t)n);
}

int
main(void)
{
	static const struct plug_method methods[] = {{"say", say, 0, 0, ""}, {0}};
	struct plug_plugin_config config = {.size = sizeof(config), .name = "talk", .version = "1.0.0",
					    .contract = "interface", .methods = methods};

	return plug_main(&config);
}
"""


def test_levels_of_libplug(site, tmp_path):
    """The process is told, also one that is started later, and the manifest's level holds before."""
    (tmp_path / "main.c").write_text(LEVELS_C)
    libraries = [str(path) for pattern in ("sdk/plugin/*.a", "sdk/shared/*.a", "proto/*.a") for path in sorted(build.BUILD.glob(pattern))]
    sanitize = [f"-fsanitize={build.SANITIZE}"] if build.SANITIZE else []
    subprocess.run(["cc", *sanitize, f"-I{build.SOURCE}/sdk/include", f"-I{build.SOURCE}/proto/include", "main.c", "-o", "talk",
                    *libraries, *libraries, "-lprotobuf-c", "-lpthread"], cwd=tmp_path, check=True)
    site.plugin("talk", [tmp_path / "talk"], run={"log_level": "warning"})
    site.start()
    site.ready("talk")
    assert site.call("talk", "say", {}) == [0, 1]
    assert lines(site, "talk") == ["level 2", "level 3"]
    site.ok("debug", "talk", "-l", "debug")
    while site.call("talk", "say", {}) != [1, 1]:  # it is told by a message
        pass
    assert lines(site, "talk")[-4:] == ["level 0", "level 1", "level 2", "level 3"]
    site.ok("restart", "talk")
    assert site.call("talk", "say", {}) == [1, 1]
    assert site.ctl("debug", "talk", "-l", "loud").status == 2


# ---- doctor and a GPU that is not here ---------------------------------------------------------------

CUDA = """
int cuInit(unsigned flags) { return flags ? 1 : %d; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
"""


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="there is a GPU: doctor is right about that one")
@pytest.mark.parametrize("rc,said", [(0, "CUDA 12.4, 2 devices"), (100, "not needed without a GPU")])
def test_the_driver_is_asked(site, tmp_path, rc, said):
    """Its library counts the devices; a stand-in for it has two."""
    (tmp_path / "cuda.c").write_text(CUDA % rc)
    subprocess.run(["cc", "-shared", "-fPIC", "cuda.c", "-o", "libcuda.so.1"], cwd=tmp_path, check=True)
    found = doctor(site, env={"LD_LIBRARY_PATH": str(tmp_path)})
    assert found["CUDA driver"]["detail"] == said
