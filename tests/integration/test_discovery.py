"""What is a plugin, where it is looked for, and what is done when one comes, changes or goes."""

import os
import shutil
import subprocess
import time

import pytest

from plugtest import build


def until(condition, what, timeout=20):
    deadline = time.monotonic() + build.seconds(timeout)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)

SCRIPT = """#!/usr/bin/python3
# Any comment may come first.
#
# ---plugin---
# plugin: snake
# version: 2.0.0
# type: interface
# methods: { echo: {} }
# run:
#   backoff: { min: 10ms, max: 100ms }
#   env: { PYTHONPATH: "%s", PLUG_BUILD_DIR: "%s", PYTHONDONTWRITEBYTECODE: "1" }
# ---end---
from plugtest.rogue import *
snake = Rogue(['echo'])
snake.hello(version='2.0.0')
snake.expect('welcome')
snake.send(ready=pb.Ready())
snake.serve(lambda r, e: r.reply(e.id, b'"hiss"'))
""" % (build.SOURCE / "tests" / "support", build.BUILD)


def executable(path, text):
    """Written elsewhere and moved there: it is there all at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    if isinstance(text, str):
        fresh.write_text(text)
    else:
        shutil.copy(text, fresh)
    fresh.chmod(0o755)
    os.rename(fresh, path)
    return path


# ---- single files ----------------------------------------------------------------------------------


def test_a_single_program(site):
    path = executable(site.plugins / "features" / "single", build.SINGLE)
    site.start()
    site.ready("single")
    status = site.status("single")
    assert status["path"] == str(path) and status["version"] == "1.0.0"
    assert site.call("single", "answer") == 42


def test_a_stripped_program(site):
    path = executable(site.plugins / "single", build.SINGLE)
    assert os.system(f"strip {path}") == 0
    site.start()
    site.ready("single")


def test_a_single_script(site):
    path = executable(site.plugins / "snake", SCRIPT)
    site.start()
    site.ready("snake")
    assert site.status("snake")["path"] == str(path)
    assert site.call("snake", "echo") == "hiss"


def test_what_is_no_plugin(site):
    """Executables without a manifest, and files that nobody executes: not a word."""
    executable(site.plugins / "tool", "#!/bin/sh\nexit 0\n")
    executable(site.plugins / "program", "/usr/bin/true")
    executable(site.plugins / "_snake", SCRIPT)
    executable(site.plugins / "snake~", SCRIPT)
    executable(site.plugins / "snake.template", SCRIPT)
    executable(site.plugins / "snake.template.py", SCRIPT)
    (site.plugins / "snake.py").write_text(SCRIPT)
    site.start()
    assert site.ok("list") == {"plugins": [], "bad": []}


def test_bad_ones_hide_no_other(site):
    """A mistake is told with its line in the script; damage is told as such."""
    executable(site.plugins / "a", SCRIPT.replace("version: 2.0.0", "version: x"))
    executable(site.plugins / "b", SCRIPT.replace("# ---end---\n", ""))
    cut = executable(site.plugins / "c", build.SINGLE)
    os.truncate(cut, 5000)
    executable(site.plugins / "single", build.SINGLE)
    site.start()
    site.ready("single")
    bad = {os.path.basename(one["path"]): one["errors"][0] for one in site.ok("list")["bad"]}
    assert list(bad) == ["a", "b", "c"]
    assert f"{site.plugins}/a:6:12: error: version" in bad["a"]
    assert "line 4" in bad["b"] and "---end---" in bad["b"]
    assert "cut off" in bad["c"]


def test_a_single_file_reloads(site):
    path = executable(site.plugins / "snake", SCRIPT)
    site.start()
    site.ready("snake", generation=1)
    executable(path, SCRIPT.replace("2.0.0", "2.1.0").replace("hiss", "rattle"))
    site.ok("reload", "snake")
    assert site.status("snake")["version"] == "2.1.0"
    assert site.call("snake", "echo") == "rattle"


def test_a_single_file_over_an_upgrade(site):
    executable(site.plugins / "single", build.SINGLE)
    site.start()
    site.ready("single")
    pid = site.status("single")["pid"]
    site.ok("upgrade", "--daemon")
    assert site.status("single")["pid"] == pid
    assert site.call("single", "answer") == 42
    site.ok("restart", "single")
    assert site.call("single", "answer") == 42


def test_a_plugin_directory_that_is_a_file(site):
    path = executable(site.root / "elsewhere" / "single", build.SINGLE)
    site.start("--plugin-dir", path)
    site.ready("single")


def test_validate_and_run_single_files(site):
    path = executable(site.plugins / "snake", SCRIPT)
    executable(site.plugins / "single", build.SINGLE)
    executable(site.plugins / "tool", "#!/bin/sh\nexit 0\n")
    document = site.ok("validate", site.plugins)
    assert [one["plugin"] for one in document["plugins"]] == ["single", "snake"]
    path.write_text(SCRIPT.replace("type: interface", "type: interfcae"))
    done = site.ctl("validate", path)
    assert done.status == 1 and f"{path}:7:9: error: type" in done.err and "interface" in done.err
    done = site.ctl("validate", site.plugins / "tool")
    assert done.status == 1 and "holds no manifest" in done.err
    done = subprocess.run(
        [build.PLUGCTL, "run", site.plugins / "single", "--exec", "plugctl call single answer"],
        capture_output=True,
        text=True,
        env=site.environment(),
        timeout=build.seconds(60),
    )
    assert done.returncode == 0 and "42" in done.stdout, done


# ---- live ------------------------------------------------------------------------------------------


def test_a_single_file_is_dropped_in(site):
    """Found and started, without plugctl and without a configuration."""
    site.start()
    assert site.ok("list")["plugins"] == []
    executable(site.plugins / "features" / "single", build.SINGLE)
    assert site.event("found", "single")["detail"] == str(site.plugins / "features" / "single")
    site.ready("single")
    assert site.call("single", "answer") == 42
    (site.plugins / "features" / "single").unlink()
    site.event("removed", "single")
    executable(site.plugins / "snake", SCRIPT)
    site.ready("snake")


def test_a_copy_takes_its_time(site):
    """A file that is written where it is to be: not started before it is whole."""
    site.start()
    content = build.SINGLE.read_bytes()
    path = site.plugins / "single"
    with open(path, "wb") as file:
        path.chmod(0o755)
        for start in range(0, len(content), len(content) // 10):
            file.write(content[start : start + len(content) // 10])
            file.flush()
            time.sleep(0.03)
    site.ready("single")
    assert site.status("single")["generation"] == 1


def test_a_file_becomes_executable(site):
    path = site.plugins / "snake"
    path.write_text(SCRIPT)
    site.start()
    time.sleep(0.3)
    assert site.ok("list")["plugins"] == []
    path.chmod(0o755)
    site.ready("snake")
    path.chmod(0o644)
    site.event("removed", "snake")


def test_a_folder_is_built_in_place(site):
    """The manifest first, its program later: reported in between, and started when it is there."""
    site.start()
    site.plugin("late", ["build/program"])
    until(lambda: len(site.ok("list")["bad"]) == 1, "what is missing is reported")
    assert "build/program" in site.ok("list")["bad"][0]["errors"][0]
    (site.plugins / "late" / "build").mkdir()
    time.sleep(0.3)
    executable(site.plugins / "late" / "build" / "program", build.ACTOR)
    until(lambda: site.ok("list")["bad"] == [], "it is found")
    site.event("started", "late")


def test_what_is_there_stays_as_it_is(site):
    """Changes of plugins are the business of watch: others that come do not bring them into force."""
    site.actor("old", version="1.0.0")
    site.start()
    site.ready("old")
    site.actor("old", version="1.1.0")
    site.actor("new")
    site.ready("new")
    site.ok("restart", "old")
    assert site.status("old")["version"] == "1.0.0"
    site.ok("reload", "old")
    assert site.status("old")["version"] == "1.1.0"


def test_a_manifest_with_another_name(site):
    """It is told, and the plugin goes on until somebody says that the other one is meant."""
    site.actor("actor")
    site.start()
    pid = site.ready("actor")["pid"]
    site.actor("other", folder="actor")
    until(lambda: len(site.ok("list")["bad"]) == 1, "it is told")
    assert "stays in force until plugctl reread" in site.ok("list")["bad"][0]["errors"][0]
    assert site.status("actor")["pid"] == pid and len(site.ok("list")["plugins"]) == 1
    site.ok("reread")
    site.event("removed", "actor")
    site.ready("other")


def test_bad_ones_are_logged_once(site):
    site.manifest("bad", "plugin: bad\nversion: x\n")
    site.start()
    for n in range(3):
        site.actor(f"new{n}")
        site.ready(f"new{n}")
    assert site.log_text().count("bad/plugin.yaml:2:10: error") == 1


def test_removed_ones_may_be_kept(site):
    site.configure({"discovery": {"removed": "keep"}})
    site.actor("old")
    site.start()
    site.ready("old")
    shutil.rmtree(site.plugins / "old")
    site.actor("new")
    site.ready("new")
    assert site.call("old", "echo", {"n": 1}) == {"n": 1}
    site.ok("stop", "old")
    site.event("removed", "old")


def test_kept_ones_stay_over_an_upgrade(site):
    site.configure({"discovery": {"removed": "keep"}})
    site.actor("old")
    site.start()
    site.ready("old")
    shutil.rmtree(site.plugins / "old")
    site.actor("new")
    site.ready("new")
    site.ok("upgrade", "--daemon")
    site.ok("upgrade", "--daemon")  # what was due after the first has been done
    assert site.call("old", "echo", {"n": 1}) == {"n": 1}
    assert site.status("old")["generation"] == 1


def test_a_search_at_once_overtakes_one_in_steps(site):
    """What is loaded while plugd looks by itself, with the directories from before, stays."""
    for n in range(600):  # they are read again by every search, a few in a step
        site.manifest(f"bad{n:03}", "plugin: bad\nversion: x\n")
    path = executable(site.root / "elsewhere" / "single", build.SINGLE)
    site.start()
    for n in range(6):
        site.actor(f"new{n}", run={"autostart": False})
        time.sleep(0.06 + 0.03 * n)
        site.ok("load", path)
        time.sleep(0.4)
        assert site.word("single") == "ready"
        site.ok("unload", "single")


def test_replaced_while_it_stops(site):
    """Its folder is made anew before its process has ended: it comes back, as the one that is there now."""
    site.actor("old", "--stop-deaf", run={"stop_timeout": "3s"})
    site.start()
    site.ready("old")
    shutil.rmtree(site.plugins / "old")
    until(lambda: site.word("old") == "stopping", "it is not stopped")
    site.actor("old", version="1.1.0")
    site.ready("old", generation=2)
    assert site.status("old")["version"] == "1.1.0"


def test_nothing_live(site):
    site.configure({"discovery": {"live": False}})
    site.start()
    site.actor("new")
    time.sleep(0.5)
    assert site.ok("list")["plugins"] == [] and site.status()["watched_dirs"] == 0
    site.ok("reread")
    site.ready("new")


def test_without_inotify(site):
    """As where its limits are reached: it is said, and looked at now and then."""
    if build.SANITIZE:
        pytest.skip("a library that is loaded first is the sanitizer's")
    source, library = site.root / "none.c", site.root / "none.so"
    source.write_text("#include <errno.h>\nint inotify_init1(int f) { (void)f; errno = EMFILE; return -1; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    site.configure({"discovery": {"rescan": "300ms"}})
    site.start(env={"LD_PRELOAD": str(library)})
    told = site.status()["watch"]
    assert "max_user_instances" in told and "every 0.3 s instead" in told
    site.actor("new")
    site.ready("new")
    shutil.rmtree(site.plugins / "new")
    site.event("removed", "new")


def test_loops_and_many_links(site):
    """Links that lead back end, and nothing is found twice."""
    site.actor("one", folder="a/one")
    (site.plugins / "a" / "loop").symlink_to("..")
    (site.plugins / "again").symlink_to("a")
    (site.plugins / "nowhere").symlink_to("not/there")
    site.start()
    site.ready("one")
    assert len(site.ok("list")["plugins"]) == 1
    assert "leads nowhere" in site.ok("list")["bad"][0]["errors"][0]


# ---- directories -----------------------------------------------------------------------------------


def test_precedence(site):
    """The earlier directory wins, in it builtin before others; the loser is listed with the winner."""
    second = site.root / "second"
    site.actor("twice", version="2.0.0", folder="community/twice")
    winner = site.actor("twice", version="1.0.0", folder="builtin/twice")
    site.actor("third", version="3.0.0")
    (second / "third").mkdir(parents=True)
    shutil.copy(site.plugins / "third" / "plugin.yaml", second / "third")
    site.start("--plugin-dir", second)
    site.ready("twice")
    assert site.status("twice")["version"] == "1.0.0"
    bad = site.ok("list")["bad"]
    assert [one["path"] for one in bad] == [
        str(site.plugins / "community" / "twice" / "plugin.yaml"), str(second / "third" / "plugin.yaml")
    ]
    assert str(winner) in bad[0]["errors"][0] and "is taken by" in bad[0]["errors"][0]
    shutil.rmtree(site.plugins / "builtin")
    until(lambda: site.ok("list")["bad"][0]["path"] == str(second / "third" / "plugin.yaml"), "the other one has the name")


def test_directories_are_made(site):
    made = site.root / "made" / "below"
    site.configure({"plugin_dirs": [str(made)], "discovery": {"create": True}})
    site.start()
    assert made.is_dir() and made.stat().st_mode & 0o777 == 0o755
    executable(made / "single", build.SINGLE)
    site.ready("single")


def test_directories_at_run_time(site):
    more = site.root / "more"
    site.start()
    done = site.ctl("dirs", "add", more)
    assert done.status == 1 and "--create" in done.err
    listed = site.ok("dirs", "add", more, "--create")["dirs"]
    assert [(one["path"], one["origin"]) for one in listed] == [
        (str(site.plugins), "--plugin-dir"), (str(more), "added")
    ]
    assert "is searched already" in site.ctl("dirs", "add", more).err
    executable(more / "single", build.SINGLE)
    site.ready("single")
    assert [one["plugins"] for one in site.ok("dirs")["dirs"]] == [0, 1]
    site.ok("upgrade", "--daemon")
    assert [one["path"] for one in site.ok("dirs", "list")["dirs"]][1:] == [str(more)]
    site.stop()
    site.start()
    site.ready("single")
    assert "plugctl" in site.ctl("dirs", "remove", site.plugins).err
    site.ok("dirs", "remove", more)
    site.event("removed", "single")
    assert len(site.ok("dirs")["dirs"]) == 1
    assert site.ctl("dirs", "remove", more).status == 1
    done = site.ctl("dirs", "ad", more)
    assert done.status == 2 and "did you mean add?" in done.err


# ---- which of them run -----------------------------------------------------------------------------


def test_disable_and_enable(site):
    """Kept over a restart and an upgrade; nothing starts what is disabled."""
    site.actor("base")
    site.actor("top", requires={"plugins": ["base"]})
    site.start()
    site.ready("top")
    site.ok("stop", "top")
    assert site.ok("disable", "base")["results"][0]["state"] == "disabled"
    status = site.status("base")
    assert status["state"] == "disabled" and "plugctl enable base" in status["next"]
    done = site.ctl("start", "base")
    assert done.status == 1 and "is disabled; plugctl enable base" in done.err
    done = site.ctl("start", "top")
    assert done.status == 1 and "requires base, which is disabled" in done.err
    done = site.ctl("call", "base", "echo", "{}")
    assert done.status == 1 and "disabled" in done.err
    site.ok("upgrade", "--daemon")
    assert site.word("base") == "disabled"
    site.stop()
    site.start()
    assert site.word("base") == "disabled" and site.status("base")["generation"] == 0
    assert site.ctl("list", "--new", "--names").out == "top\n", "what is disabled is not new"
    assert site.ok("enable", "base")["results"][0]["state"] == "ready"
    site.ok("start", "top")


def test_opt_in(site):
    """Nothing starts by itself but what was enabled, or is said in plugd.yaml."""
    for name in "abc":
        site.actor(name)
    site.configure({"discovery": {"autoload": "enabled"}, "plugins": {"c": {"run": {"autostart": True}}}})
    site.start()
    site.ready("c")
    assert [one["name"] for one in site.ok("list", "--new")["plugins"]] == ["a", "b"]
    site.ok("enable", "a")
    executable(site.plugins / "single", build.SINGLE)
    site.event("found", "single")
    assert [one["name"] for one in site.ok("list", "--new")["plugins"]] == ["b", "single"]
    site.stop()
    site.start()
    site.ready("a")
    assert [one["name"] for one in site.ok("list", "--new")["plugins"]] == ["b", "single"]
    assert site.ctl("list", "--new", "--names").out == "b\nsingle\n"
    site.ok("start", "b")
    assert site.ctl("list", "--new", "--names").out == "single\n"


def test_stores_opt_in(site):
    site.configure({"discovery": {"autoload": "builtin"}})
    site.actor("a", folder="builtin/a")
    site.actor("b", folder="optional/b")
    site.actor("c", folder="community/models/c")
    site.actor("d")
    site.start()
    site.ready("a")
    site.ready("d")
    assert site.ctl("list", "--new", "--names").out == "b\nc\n"
    listed = {one["name"]: (one["store"], one["category"]) for one in site.ok("list")["plugins"]}
    assert listed == {"a": ("builtin", ""), "b": ("optional", ""), "c": ("community", "models"), "d": ("", "")}


def test_autostart_false_and_enabled(site):
    site.actor("quiet", run={"autostart": False})
    site.start()
    assert site.word("quiet") == "stopped"
    site.ok("enable", "quiet")
    site.stop()
    site.start()
    site.ready("quiet")


# ---- by path ---------------------------------------------------------------------------------------


def test_load_and_unload(site):
    """From anywhere; kept until it is unloaded."""
    path = executable(site.root / "elsewhere" / "single", build.SINGLE)
    executable(site.root / "elsewhere" / "snake", SCRIPT)
    site.start()
    done = site.ctl("load", path)
    assert done.status == 0 and done.out.startswith("single: ready"), done
    assert site.call("single", "answer") == 42
    assert [one["name"] for one in site.ok("list")["plugins"]] == ["single"]
    site.ok("upgrade", "--daemon")
    site.stop()
    site.start()
    site.ready("single")
    result = site.ok("unload", "single")["results"][0]
    assert result["state"] == "stopped"
    site.event("removed", "single")
    assert site.ok("list")["plugins"] == [] and path.exists()
    assert site.ctl("unload", "single").status == 4


def test_load_a_folder(site):
    manifest = site.actor("actor")
    shutil.move(site.plugins / "actor", site.root / "apart")
    site.start()
    for path in (site.root / "apart", site.root / "apart" / "plugin.yaml"):
        assert site.ok("load", path)["results"][0]["name"] == "actor"
    assert manifest.parent.name == "actor"
    assert site.ok("dirs")["dirs"][1] == {
        "path": str(site.root / "apart"), "origin": "loaded", "plugins": 1, "error": ""
    }


def test_load_what_is_in_a_directory(site):
    """It is started, and stays where it is."""
    site.actor("quiet", run={"autostart": False})
    site.start()
    assert site.ok("load", site.plugins / "quiet")["results"][0]["state"] == "ready"
    assert len(site.ok("dirs")["dirs"]) == 1
    done = site.ctl("unload", "quiet")
    assert done.status == 1 and "plugctl disable" in done.err
    assert site.word("quiet") == "ready"


def test_a_link_to_a_single_file(site):
    """It is known by the link, reloaded when that leads elsewhere, and loaded by either path."""
    path = executable(site.root / "builds" / "one", SCRIPT)
    executable(site.root / "builds" / "two", SCRIPT.replace("2.0.0", "2.1.0"))
    link = site.plugins / "snake"
    link.symlink_to(path)
    site.configure({"watch": True})
    site.start()
    site.ready("snake")
    assert site.status("snake")["path"] == str(link)
    assert site.ok("load", link)["results"][0]["name"] == "snake"
    assert site.ok("load", path)["results"][0]["name"] == "snake"
    assert len(site.ok("dirs")["dirs"]) == 1
    fresh = site.root / "fresh"
    fresh.symlink_to(site.root / "builds" / "two")
    os.rename(fresh, link)
    site.event("reloaded", "snake", "to 2.1.0")


def test_load_refuses(site):
    """What is no plugin, is broken, or has a name that is taken: told, and nothing is left of it."""
    site.actor("actor")
    tool = executable(site.root / "x" / "tool", "#!/bin/sh\nexit 0\n")
    broken = executable(site.root / "x" / "broken", SCRIPT.replace("version: 2.0.0", "version: x"))
    double = executable(site.root / "x" / "double", SCRIPT.replace("plugin: snake", "plugin: actor"))
    site.start()
    site.ready("actor")
    for path, told in ((tool, "holds no manifest"), (broken, "broken:6:12: error"), (double, "is taken by")):
        done = site.ctl("load", path)
        assert done.status == 1 and told in done.err, done
    assert site.ctl("load", site.root / "not-there").status == 2
    assert site.ok("list")["bad"] == [] and len(site.ok("dirs")["dirs"]) == 1


# ---- finding ---------------------------------------------------------------------------------------


def test_find(site):
    site.plugin("gpt", ["/bin/false"], type="model", tags=["text"], provides=["text-generation"],
                models=["gpt2", "gpt2-xl"], description="Writes on", run={"autostart": False})
    site.plugin("claude", ["/bin/false"], type="provider", provider="anthropic", models=["opus"],
                folder="providers/claude", run={"autostart": False})
    site.plugin("cpu", ["/bin/false"], type="device", category="processors", folder="devices/cpu",
                run={"autostart": False})
    site.start()
    for args, found in (
        (["--type", "model"], ["gpt"]),
        (["--tag", "text"], ["gpt"]),
        (["--capability", "text-generation"], ["gpt"]),
        (["--capability", "text"], []),
        (["--provider", "anthropic"], ["claude"]),
        (["--model", "gpt2-xl"], ["gpt"]),
        (["--category", "providers"], ["claude"]),
        (["--category", "processors"], ["cpu"]),
        (["--category", "devices"], []),
        (["--store", "optional"], []),
        (["--type", "provider", "--model", "opus"], ["claude"]),
        (["--type", "model", "--model", "opus"], []),
        (["--new"], ["claude", "cpu", "gpt"]),
    ):
        for verb in ("list", "find"):
            assert [one["name"] for one in site.ok(verb, *args)["plugins"]] == found, args
    for text, found in (("OPUS", ["claude"]), ("writes", ["gpt"]), ("generation", ["gpt"]), ("anthro", ["claude"]), ("nothing", [])):
        assert [one["name"] for one in site.ok("find", text)["plugins"]] == found, text
    done = site.ctl("list", "--store", "comunity")
    assert done.status == 2 and "did you mean community?" in done.err
