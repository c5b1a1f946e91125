"""Configuration of plugins: layers, checks, secrets."""

import os

import pytest

from plugtest import procs

SCHEMA = {
    "model": {"type": "string", "default": "tiny"},
    "batch": {"type": "int", "min": 1, "max": 64, "default": 8},
    "fast": {"type": "bool", "default": False},
    "device": {"type": "enum", "values": ["auto", "cpu", "cuda"], "default": "auto"},
    "token": {"type": "string", "secret": True},
}


def effective(site, *keys):
    return site.call("actor", "config", {"keys": list(keys)})


def origin(site, key):
    return next(one for one in site.ok("info", "actor")["config"] if one["key"] == key)


def test_defaults(site):
    site.actor(config=SCHEMA)
    site.start()
    site.ready()
    assert effective(site, "model", "batch", "fast", "token") == {
        "model": "tiny", "batch": 8, "fast": False, "token": None,
    }
    assert "default" in origin(site, "batch")["origin"] or "plugin.yaml" in origin(site, "batch")["origin"]


def test_the_settings_file_is_above_the_manifest(site):
    site.actor(config=SCHEMA)
    site.configure("plugins:\n  actor:\n    config:\n      batch: 16\n")
    site.start()
    site.ready()
    assert effective(site, "batch", "model") == {"batch": 16, "model": "tiny"}
    assert "plugd.yaml:4:" in origin(site, "batch")["origin"]


def test_the_environment_is_above_the_file(site):
    site.actor(config=SCHEMA)
    site.configure({"plugins": {"actor": {"config": {"batch": 16}}}})
    site.start(env={"PLUGD_ACTOR_BATCH": "32"})
    site.ready()
    assert effective(site, "batch") == {"batch": 32}
    assert "PLUGD_ACTOR_BATCH" in origin(site, "batch")["origin"]


def test_set_is_above_all(site):
    site.actor(config=SCHEMA, run={"autostart": False})
    site.start(env={"PLUGD_ACTOR_BATCH": "32"})
    site.ok("start", "--set", "batch=64", "--set", "fast=true", "actor")
    assert effective(site, "batch", "fast") == {"batch": 64, "fast": True}
    assert "--set" in origin(site, "batch")["origin"]


def test_set_of_one_that_runs(site):
    site.actor(config=SCHEMA)
    site.start()
    site.ready()
    done = site.ctl("start", "--set", "batch=9", "actor")
    assert done.status == 1
    assert "stop it first" in done.err
    assert effective(site, "batch") == {"batch": 8}


@pytest.mark.parametrize("value,said", [("batch=0", "1"), ("batch=many", "batch"), ("bach=1", 'did you mean "batch"'),
                                        ("device=gpu", "cuda"), ("fast=perhaps", "fast")])
def test_a_rejected_value_changes_nothing(site, value, said):
    site.actor(config=SCHEMA, run={"autostart": False})
    site.start()
    done = site.ctl("start", "--set", "model=other", "--set", value, "actor")
    assert done.status == 1
    assert said in done.err
    site.ok("start", "actor")
    assert effective(site, "model", "batch") == {"model": "tiny", "batch": 8}


def test_a_bad_value_in_the_environment(site):
    site.actor(config=SCHEMA)
    site.actor("other")
    site.start(env={"PLUGD_ACTOR_BATCH": "1000"})
    site.ready("other")
    text = "\n".join(error for bad in site.ok("list")["bad"] for error in bad["errors"])
    assert "PLUGD_ACTOR_BATCH" in text and "64" in text


def test_a_bad_value_in_the_file(site):
    site.actor(config=SCHEMA)
    site.configure("plugins:\n  actor:\n    config:\n      batch: 1000\n")
    done = site.run("--check")
    assert done.status == 1
    assert "plugd.yaml:4:" in done.err and "64" in done.err


def test_check_shows_the_line(site):
    """As a compiler does; not where it may be a secret."""
    site.actor(config=SCHEMA)
    site.configure("plugins:\n  actor:\n    config:\n      batch: 1000\n      token: [hunter2]\n      tokn: hunter2\n")
    done = site.run("--check")
    assert done.status == 1
    assert "\n    4 |       batch: 1000\n      |              ^\n" in done.err
    assert "    5 |       token:  ***\n" in done.err and "    6 |       tokn: ***\n" in done.err
    assert 'did you mean "token"?' in done.err
    assert "hunter2" not in done.err + done.out
    site.manifest("bad", "plugin: bad\nversion: 1.0\ntipe: model\n")
    site.configure("")
    done = site.run("--check")
    assert "    3 | tipe: model\n      | ^\n" in done.err
    site.manifest("bad", (site.plugins / "actor" / "plugin.yaml").read_text())
    done = site.run("--check")
    assert done.status == 1 and "is taken by" in done.err
    assert "actor/plugin.yaml:2:12: note: the one that stays in force is here\n    2 |  \"plugin\": \"actor\"" in done.err
    site.configure("limits:\n  clients: no\n")
    done = site.run("--check")
    assert done.status == 1 and "    2 |   clients: no\n      |            ^\n" in done.err


def test_a_required_value_that_nobody_sets(site):
    site.actor(config={"path": {"type": "string", "required": True}})
    site.actor("other")
    site.start()
    site.ready("other")
    text = "\n".join(error for bad in site.ok("list")["bad"] for error in bad["errors"])
    assert "path" in text and "required" in text


def test_the_file_overrides_how_it_is_run(site):
    site.actor()
    site.configure({"plugins": {"actor": {"run": {"autostart": False}}}})
    site.start()
    assert site.word("actor") == "stopped"


def test_secrets_are_never_shown(site):
    """Not by any verb, not in a log, not in a file, and still they reach the plugin."""
    secret = "s3cr3t-of-this-test"
    site.actor(config=SCHEMA)
    site.configure({"plugins": {"actor": {"config": {"token": secret}}}})
    site.start("--log-level", "debug")
    site.ready()
    assert effective(site, "token") == {"token": secret}
    for words in (["status", "actor"], ["info", "actor"], ["list"], ["status"], ["events"], ["stats", "actor"],
                  ["logs", "actor"], ["crashes"]):
        for flags in ([], ["--json"]):
            done = site.ctl(*flags, *words)
            assert done.status == 0
            assert secret not in done.out + done.err, words
    assert "***" in site.ctl("info", "actor").out
    site.stop()
    assert secret not in site.log_text()
    for folder, _, names in os.walk(site.runtime):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                assert secret.encode() not in open(path, "rb").read(), path


def test_a_rejected_secret_is_not_shown(site):
    site.actor(config={"token": {"type": "enum", "values": ["a", "b"], "secret": True}}, run={"autostart": False})
    site.start()
    done = site.ctl("start", "--set", "token=hunter2hunter2", "actor")
    assert done.status != 0
    assert "hunter2" not in done.err + done.out + site.log_text()


def test_a_secret_is_in_a_file(site, tmp_path):
    """Named by plugd.yaml or by a variable; a link, as orchestrators use them; read anew by a reload."""
    secret, key = "s3cr3t-in-a-file", tmp_path / "key"
    (tmp_path / "data").write_text(secret + "\n")
    key.symlink_to(tmp_path / "data")
    site.actor(config=SCHEMA)
    site.configure({"plugins": {"actor": {"config": {"token": {"file": str(key)}}}}})
    site.start()
    site.ready()
    assert effective(site, "token") == {"token": secret}
    assert str(key) in origin(site, "token")["origin"] and origin(site, "token")["value"] == "***"
    (tmp_path / "data").write_text("another\n")
    site.ok("reload", "actor")
    assert effective(site, "token") == {"token": "another"}
    key.unlink()
    done = site.ctl("reload", "actor")
    assert done.status == 1 and "No such file" in done.err and "plugd.yaml:" in done.err
    assert effective(site, "token") == {"token": "another"}
    site.stop()
    site.configure("")
    site.start(env={"PLUGD_ACTOR_TOKEN_FILE": str(tmp_path / "data")})
    site.ready()
    assert effective(site, "token") == {"token": "another"}
    assert secret not in site.log_text()


@pytest.mark.parametrize("runs", [True, False])
def test_a_value_in_a_file_is_read_by_reread(site, tmp_path, runs):
    """Though nothing else of the plugin has changed."""
    file = tmp_path / "key"
    file.write_text("one\n")
    site.actor(config=SCHEMA, run={"autostart": runs})
    site.configure({"plugins": {"actor": {"config": {"token": {"file": str(file)}}}}})
    site.start()
    if runs:
        site.ready()
    file.write_text("two\n")
    site.ok("reread")
    site.ok("restart", "actor")
    assert effective(site, "token") == {"token": "two"}


def test_a_value_in_a_file_goes_over_an_upgrade(site, tmp_path):
    """As it was read: the file may be gone, or be another one, by then; so for a change of other values."""
    file = tmp_path / "key"
    file.write_text("one\n")
    site.actor(config=SCHEMA)
    site.configure({"plugins": {"actor": {"config": {"token": {"file": str(file)}}}}})
    site.start()
    site.ready()
    file.unlink()
    site.ok("upgrade", "--daemon")
    site.ok("restart", "actor")
    assert effective(site, "token") == {"token": "one"}
    file.write_text("two\n")
    site.ok("upgrade", "--daemon")
    site.ok("config", "set", "actor", "batch=9")
    assert effective(site, "batch", "token") == {"batch": 9, "token": "one"}
    site.ok("reload", "actor")
    assert effective(site, "token") == {"token": "two"}


def test_a_secret_of_the_environment_stays_with_plugd(site):
    site.actor(config=SCHEMA)
    site.start(env={"PLUGD_ACTOR_TOKEN": "from-the-environment"})
    pid = site.ready()["pid"]
    assert effective(site, "token") == {"token": "from-the-environment"}
    assert b"from-the-environment" not in procs.read(pid, "environ")
    assert "from-the-environment" not in site.ctl("info", "actor").out
