"""Plugins that everybody may change: refused, unless plugd.yaml says otherwise."""

import shutil

import pytest

from plugtest import build


def prepare(site):
    """A plugin whose program and data lie in its folder, and one that nothing is wrong with."""
    path = site.plugin("open", ["./program", "--version", "1.0.0", "--start-wait", "./data"])
    shutil.copy(build.ACTOR, path.parent / "program")
    (path.parent / "data").write_text("")
    site.actor("good")
    return path


def part(path, what):
    return {"folder": path.parent, "manifest": path}.get(what, path.parent / what)


@pytest.mark.parametrize("what", ["folder", "manifest", "program", "data"])
def test_what_everybody_may_write_to_is_not_registered(site, what):
    path = prepare(site)
    target = part(path, what)
    target.chmod(target.stat().st_mode | 0o002)
    site.start()
    site.ready("good")
    bad = site.ok("list")["bad"]
    assert [one["path"] for one in bad] == [str(path)]
    (line,) = bad[0]["errors"]
    assert line.startswith(f"{path}:1:1: error: ") and f"{target.name}: found" in line
    assert "everybody may write" in line and "chmod o-w" in line and "allow_unsafe" in line
    assert line.endswith("it is not registered")
    assert site.run("--check").status == 1
    target.chmod(target.stat().st_mode & ~0o002)
    assert site.ctl("reread").status == 0
    site.ready("open")


def test_allow_unsafe_runs_it_and_says_so(site):
    path = prepare(site)
    path.chmod(0o666)
    site.configure({"allow_unsafe": True})
    site.start()
    site.ready("open")
    assert "everybody may write" in site.log_text() and "allow_unsafe" in site.log_text()


def test_allow_unsafe_does_not_help_a_manifest_that_is_wrong(site):
    site.manifest("wrong", "plugin: wrong\n")
    site.configure({"allow_unsafe": True})
    site.start()
    assert [one["path"] for one in site.ok("list")["bad"]] == [str(site.plugins / "wrong" / "plugin.yaml")]


def test_a_sticky_folder_is_safe(site):
    path = prepare(site)
    path.parent.chmod(0o1777)
    site.start()
    site.ready("open")


def test_a_reload_does_not_take_what_became_unsafe(site):
    path = prepare(site)
    site.start()
    site.ready("open")
    path.chmod(0o666)
    done = site.ctl("reload", "open")
    assert done.status == 1 and "everybody may write" in done.err
    assert site.status("open")["generation"] == 1
    assert site.ctl("reread").status == 0
    text = site.ok("list")["bad"][0]["errors"][0]
    assert text.endswith("open 1.0.0, as it was read before, stays in force")
    assert site.word("open") == "ready"
