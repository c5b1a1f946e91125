"""plugd's command line, --check, and what is said of manifests."""

import json

import pytest

from plugtest import build


def test_check_of_good_ones(site):
    site.actor("one")
    site.actor("two", requires={"plugins": ["one >=1.0"]})
    done = site.run("--check")
    assert done.status == 0
    assert "2 plugins are valid, 0 are not" in done.out
    assert not site.runtime.exists(), "it runs nothing"


def test_check_names_file_line_and_column(site):
    site.actor("good")
    path = site.manifest("bad", "plugin: bad\nversion: 1.0.0\ntype: interface\nexec: [/bin/true]\n"
                                "run:\n  autostrat: true\n")
    done = site.run("--check")
    assert done.status == 1
    assert f"{path}:6:3: error:" in done.err
    assert "autostrat" in done.err and 'did you mean "autostart"' in done.err
    assert "1 plugins are valid, 1 are not" in done.out


BAD = {
    "no such type": ("type: interfce\n", 'did you mean "interface"'),
    "not a version": ("version: one\n", "semantic version"),
    "a name with capitals": ("plugin: Bad\n", "plugin"),
    "a key twice": ("version: 1.0.0\nversion: 1.0.0\n", "version"),
    "an unknown key": ("prority: high\n", 'did you mean "priority"'),
    "an anchor": ("description: &a x\n", "anchors"),
    "an alias": ("author: *a\n", "alias"),
    "a permission that is none": ("permissions: [root]\n", "expected observe, admin"),
    "probes": ("probe: { interval: 1s }\n", "method"),
    "out of range": ("priority: 1000\n", "0 to 999"),
    "a duration without a unit": ("run: { start_timeout: 5 parsecs }\n", "start_timeout"),
    "requires itself": ('requires: { plugins: ["bad"] }\n', "itself"),
    "another host": ('requires: { host: ">=99" }\n', "host"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_manifest_is_reported_and_hides_no_other(site, what):
    extra, said = BAD[what]
    keys = {"plugin": "plugin: bad\n", "version": "version: 1.0.0\n", "type": "type: interface\n",
            "exec": "exec: [/bin/true]\n"}
    for key in keys:
        if extra.startswith(key + ":"):
            keys[key] = ""
    path = site.manifest("bad", "".join(keys.values()) + extra)
    site.actor()
    site.start()
    site.ready()
    bad = site.ok("list")["bad"]
    assert [one["path"] for one in bad] == [str(path)]
    text = "\n".join(bad[0]["errors"])
    assert f"{path}:" in text and "error:" in text
    assert said in text, text
    assert site.call("actor", "echo", {"n": 1}) == {"n": 1}
    assert site.ctl("list").status == 0
    assert said in site.ctl("list").err
    assert site.ctl("validate", path).status == 1


def test_a_manifest_that_is_no_text(site):
    path = site.plugins / "binary"
    path.mkdir()
    (path / "plugin.yaml").write_bytes(b"plugin: b\xcd\n")
    site.actor()
    site.start()
    site.ready()
    assert "UTF-8" in "\n".join(site.ok("list")["bad"][0]["errors"])


def test_three_bytes_on_which_the_parser_would_hang(site):
    path = site.plugins / "binary"
    path.mkdir()
    (path / "plugin.yaml").write_bytes(b"%a\xcd")
    assert site.run("--check").status == 1


def test_a_manifest_that_is_too_long(site):
    site.manifest("long", "# " + "x" * (300 * 1024) + "\n")
    done = site.run("--check")
    assert done.status == 1
    assert "256" in done.err


def test_an_unreadable_manifest(site):
    path = site.manifest("dir", "")
    path.unlink()
    path.mkdir()
    site.actor()
    done = site.run("--check")
    assert "1 plugins are valid" in done.out
    assert done.status in (0, 1)


def test_two_plugins_of_a_name(site):
    """The first one found stays; the other is named with both paths."""
    first = site.actor("twin", folder="a")
    second = site.actor("twin", folder="b")
    site.start()
    site.ready("twin")
    assert site.ok("info", "twin")["path"] == str(first)
    bad = site.ok("list")["bad"]
    assert bad[0]["path"] == str(second)
    assert str(first) in bad[0]["errors"][0]


def test_check_of_settings(site):
    site.configure("limits:\n  clints: 5\n")
    done = site.run("--check")
    assert done.status == 1
    assert f"{site.root}/plugd.yaml:2:3: error:" in done.err
    assert 'did you mean "clients"' in done.err


def test_bad_settings_do_not_start(site):
    site.configure("log: { level: loud }\n")
    done = site.run()
    assert done.status == 1
    assert "plugd.yaml:1:" in done.err and "debug" in done.err


def test_a_settings_file_that_is_not_there(site):
    done = site.run("--config", site.root / "nothing.yaml")
    assert done.status == 1
    assert "nothing.yaml" in done.err


def test_a_plugin_directory_that_is_not_there(site):
    """Said, and no reason not to run."""
    site.actor()
    site.start("--plugin-dir", site.root / "nowhere")
    site.ready()
    assert "nowhere" in json.dumps(site.ok("list")["bad"]) + site.log_text()


@pytest.mark.parametrize(
    "args", [["--nonsense"], ["word"], ["--log-level", "loud"], ["--log-format", "xml"], ["--config"]]
)
def test_usage_errors(site, args):
    done = site.run(*args)
    assert done.status == 2
    assert "--help" in done.err


def test_help_and_version(site):
    assert "--runtime-dir" in site.run("--help").out
    assert site.run("--version").out.startswith("plugd 0.1.0, protocol 1")
    assert "plugctl 0.1.0" in site.ctl("--version").out


def test_lifecycle_tables(site):
    out = site.run("--lifecycle").out
    assert "| **STARTING** |" in out and "## Its slot" in out


@pytest.mark.parametrize("level,shown", [("debug", True), ("info", True), ("error", False)])
def test_log_level(site, level, shown):
    site.actor()
    site.start("--log-level", level)
    site.ready()
    assert ("ready: after" in site.log_text()) == shown


def test_log_format_json(site):
    site.actor()
    site.start("--log-format", "json")
    site.ready()
    site.stop()
    lines = [json.loads(line) for line in site.log_text().splitlines()]
    assert any("ready" in json.dumps(line) and "actor" in json.dumps(line) for line in lines)


def test_plugins_are_found_in_folders_below(site):
    site.actor("deep", folder="a/b/c/d")
    site.actor("flat")
    site.start()
    site.ready("deep")
    site.ready("flat")


def test_plugin_dirs_of_the_file_and_of_the_command_line(site):
    site.actor("of-the-line")
    site.actor("of-the-file", folder="../q/f")
    site.configure({"plugin_dirs": [str(site.root / "q")]})
    site.start()
    site.ready("of-the-line")
    site.ready("of-the-file")
    assert sorted(site.status()["plugin_dirs"]) == sorted([str(site.plugins), str(site.root / "q")])


def test_many_plugins(site):
    for n in range(60):
        site.actor(f"p{n:02}", run={"autostart": False})
    site.start()
    names = [one["name"] for one in site.ok("list")["plugins"]]
    assert names == sorted(names) and len(names) == 60


def test_limit_of_plugins(site):
    for n in range(5):
        site.actor(f"p{n}", run={"autostart": False})
    site.configure({"limits": {"plugins": 3}})
    site.start()
    found = site.ok("list")
    assert len(found["plugins"]) == 3, "limits.plugins is in force"
    assert build.PLUGD.exists()
